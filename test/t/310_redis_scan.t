# Redis key by key: one database of a server that others share, and servers that give no snapshot.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use CustbackupTest;
use MemoryTest;
use RedisTest;
use Test::More;

my ($settings, $store, $directory) = mover_settings();

# The stored bytes as a file that a Redis may load.
sub stored_rdb
{
    my ($backup, $file) = @_;
    system("gzip -dc $directory/store/$backup->{done}{key} > $file") == 0 or die "gzip";
    return $file;
}

sub loaded
{
    my ($backup) = @_;
    my $dir = PostgreSQL::Test::Utils::tempdir();
    stored_rdb($backup, "$dir/dump.rdb");
    is(system("redis-check-rdb $dir/dump.rdb >/dev/null"), 0, 'redis-check-rdb accepts the file');
    return start_redis(dir => $dir);
}

# ---- a URL that names a database, and neighbours

my $shared = start_redis();
fill_everything($shared);
my $r = $shared->client;
$r->do('SELECT', 4);
$r->do('SET', "neighbour$_", "secret $_") for 1 .. 50;
my $before = $shared->everything;
my $ours = $shared->everything(database => 0);

my $backup = redis_backup($settings, $store, redis_url($shared, database => 0));
is($backup->{done}{event}, 'done', 'a backup of database 0') or diag explain $backup->{done}, $backup->{stderr};
is($backup->{done}{consistency}, 'per key', 'key by key');
like($backup->{done}{notes}[0], qr/others on this server hold keys/, 'and says why');
is($backup->{done}{counts}{keys}, () = $ours =~ /^0 /mg, 'its keys alone');
is($backup->{done}{counts}{databases}, 1, 'one database');
is($backup->{done}{counts}{functions}, 0, 'functions are the whole server\'s');
my $rdb = stored_rdb($backup, "$directory/one.rdb");
is(`grep -c neighbour $rdb`, "0\n", 'nothing of a neighbour is in the file');
my $loaded = loaded($backup);
same($loaded->everything(database => 0), $ours, 'a Redis that loads the file holds all of it');
$loaded->stop;

$r->do('SELECT', 0);
$r->do('FLUSHDB');
$r->do('SET', 'new', 1);
my $rewind = redis_restore($settings, $store, redis_url($shared, database => 0), $backup);
is($rewind->{done}{event}, 'done', 'rewind of database 0') or diag explain $rewind->{done};
same($shared->everything, $before, 'it is back, and every neighbour and function is as it was');

my $other = start_redis();
my $clone = redis_restore($settings, $store, redis_url($other, database => 7), $backup, mode => 'clone');
is($clone->{done}{event}, 'done', 'a clone into database 7 of another server') or diag explain $clone->{done};
same($other->everything(database => 7) =~ s/^7 /0 /mgr, $ours, 'is the same under another number');

my $all = redis_backup($settings, $store, redis_url($shared));
my $many = redis_restore($settings, $store, redis_url($shared, database => 0), $all);
is($many->{done}{reason}, 'not_restorable', 'a backup of many databases does not go into one');
like($many->{done}{detail}, qr/holds 4 databases/, 'said with their number');
same($shared->everything, $before, 'nothing was touched');

# Nobody else there: the URL's database by a snapshot.
my $alone = redis_backup($settings, $store, redis_url($other, database => 7));
is($alone->{done}{consistency}, 'snapshot', 'a database without neighbours: a snapshot');

# Nobody, but what a restore has left: it may be a neighbour's.
$r = $other->client;
$r->do('SELECT', 15);
$r->do('MSET', 'custbackup:spare:filling:5f0c7a9d41e84b53', 'another one', 'neighbour', 'secret');
my $beside = redis_backup($settings, $store, redis_url($other, database => 7));
is($beside->{done}{consistency}, 'per key', 'a database beside leftovers: key by key') or diag explain $beside->{done};
is($beside->{done}{counts}{keys}, $alone->{done}{counts}{keys}, 'its keys');
$rdb = stored_rdb($beside, "$directory/two.rdb");
is(`grep -c neighbour $rdb`, "0\n", 'and nothing else in the file');

# ---- servers that give no snapshot

# One that cannot: it has no descriptor for the pipe, and says so when its delay is over.
for my $delay (0, 1)
{
    my $server = start_redis(conf => "repl-diskless-sync-delay $delay\n");
    strings($server, 100, 10);
    my $r = $server->client;
    wait_for(sub { $r->do('INFO', 'clients') =~ /connected_clients:1\r/ }, 10, 'nobody else is connected');
    my %taken = map { /(\d+)$/ ? ($1 => 1) : () } glob "/proc/$server->{pid}/fd/*";
    my @free = grep { !$taken{$_} } 0 .. 2000;
    is(system('prlimit', '--pid', $server->{pid}, "--nofile=$free[1]:$free[1]"), 0, 'descriptors for one client');
    my $got = redis_backup($settings, $store, redis_url($server));
    is($got->{done}{consistency}, 'per key', "no snapshot after $delay s: key by key") or diag explain $got->{done};
    like($got->{done}{notes}[0] // '', qr/refused SYNC \(ERR BGSAVE failed/, 'and says why');
    is($got->{done}{counts}{keys}, 100, 'all keys');
}

for my $case (
    [ 'CONFIG renamed', "rename-command CONFIG \"\"\n", undef, qr/CONFIG GET/ ],
    [ 'SYNC renamed', "rename-command SYNC \"\"\n", undef, qr/refused SYNC \(ERR unknown command/ ],
    [ 'REPLCONF renamed', "rename-command REPLCONF \"\"\n", undef, qr/refused REPLCONF/ ],
    [ 'a user without sync', "user app on >pw ~* &* +\@all -sync -psync\n", 'app', qr/refused SYNC \(NOPERM/ ],
    [ 'an older server', "rename-command SYNC \"\"\nrename-command PEXPIRETIME \"\"\n", undef, qr/refused SYNC/ ],
    [ 'no diskless sync, no RDB file', "repl-diskless-sync no\n", undef, qr/repl-diskless-sync is off/ ],
  )
{
    my ($name, $conf, $user, $note) = @$case;
    my $server = start_redis(conf => $conf);
    my $expiretime = $conf !~ /PEXPIRETIME/;
    $conf =~ /CONFIG/ ? $server->client->do('MSET', map { ("k$_" => $_) } 1 .. 3000) : fill_everything($server);
    my $url = redis_url($server, $user ? (user => $user, password => 'pw') : ());
    my $got = redis_backup($settings, $store, $url);
    is($got->{done}{event}, 'done', "$name: backup") or diag explain $got->{done}, $got->{stderr};
    is($got->{done}{consistency}, 'per key', "$name: key by key");
    like($got->{done}{notes}[0] // '', $note, "$name: the note names it");
    my $copy = loaded($got);
    if ($expiretime)
    {
        same($copy->everything, $server->everything, "$name: all of it");
    }
    else
    {
        # By PTTL: some time may pass between two questions.
        my $ttl = $copy->client->do('PEXPIRETIME', 'expiring');
        ok(abs($ttl - 4102444800123) <= 500, "$name: expiry by TIME and PTTL") or diag $ttl;
    }
    ok(!-e "$server->{dir}/dump.rdb", "$name: the server has written no file");
}

# ---- idle times, frequencies, large values, many keys

my $lfu = start_redis(conf => "maxmemory 1gb\nmaxmemory-policy allkeys-lfu\nrename-command SYNC \"\"\n");
my $c = $lfu->client;
$c->do('SET', 'hot', 1);
$c->do('GET', 'hot') for 1 .. 500;
$c->do('SET', 'cold', 1);
my $hot = $c->do('OBJECT', 'FREQ', 'hot');
$c->do('SET', 'large', 'x' x 3_000_000);
$c->do('EVAL', 'for i = 1, 60000 do redis.call("SET", "key:" .. i, string.rep("v", i % 90)) end', 0);
my $frequent = redis_backup($settings, $store, redis_url($lfu));
is($frequent->{done}{event}, 'done', 'an LFU server key by key') or diag explain $frequent->{done};
is($frequent->{done}{counts}{keys}, 60003, 'all keys, none twice');
my $to = start_redis(conf => "maxmemory 1gb\nmaxmemory-policy allkeys-lfu\n");
is(redis_restore($settings, $store, redis_url($to), $frequent, mode => 'clone')->{done}{event}, 'done', 'restored');
ok($to->client->do('OBJECT', 'FREQ', 'hot') >= $hot - 1 && $hot > 6, 'frequencies are kept');
is($to->client->do('DEBUG', 'DIGEST'), $c->do('DEBUG', 'DIGEST'), 'and everything else');

# ---- names as large as values: no answer is held whole

{
    my $server = start_redis(conf => "rename-command SYNC \"\"\nrdbcompression no\n");
    my $r = $server->client;
    my $name = join '', map { chr(33 + $_ * 7919 % 90) } 1 .. 1_000_000;
    $r->do('SET', "$_:$name$name", "value $_", 'PXAT', 4102444800000 + $_) for 1 .. 50;
    $r->do('EVAL', 'for i = 1, 3000 do redis.call("SET", "small:" .. i, i) end', 0);
    my $digest = $r->do('DEBUG', 'DIGEST');
    my ($used) = $r->do('INFO', 'memory') =~ /used_memory:(\d+)/;
    my $job = backup_job($settings, $store, redis_url($server), engine => 'redis', type => 'redis');
    my ($result, $peak) = peak_while($settings, $job);
    my $done = last_event($result);
    is($done->{counts}{keys}, 3050, '50 names of 2 MB among small ones') or diag explain $done;
    memory_is_below($peak, 66 * 1024, 'resident memory of the mover');
    my ($most) = $r->do('INFO', 'memory') =~ /used_memory_peak:(\d+)/;
    ok($most - $used < 64 << 20, 'nor does the server hold them all for us') or diag $most - $used;
    my $target = start_redis();
    my $restore = restore_job($settings, $store, redis_url($target), $job, $done, engine => 'redis', type => 'redis', mode => 'clone');
    ($result, $peak) = peak_while($settings, $restore);
    is(last_event($result)->{event}, 'done', 'restored') or diag explain last_event($result);
    memory_is_below($peak, 66 * 1024, 'resident memory of the mover');
    is($target->client->do('DEBUG', 'DIGEST'), $digest, 'every key is what it was');
}

# ---- a name that is larger than everything else: it is held once

{
    my $server = start_redis(conf => "rename-command SYNC \"\"\n");
    my $r = $server->client;
    $r->do('EVAL', 'redis.call("SET", string.rep("0123456789abcdef", 4194304), "value", "PXAT", 4102444800000)
        for i = 1, 100 do redis.call("SET", "small:" .. i, i) end
        redis.call("SET", string.rep("fedcba9876543210", 131072), string.rep("x", 3000000))', 0);
    my $digest = $r->do('DEBUG', 'DIGEST');
    my $job = backup_job($settings, $store, redis_url($server), engine => 'redis', type => 'redis');
    my ($result, $peak) = peak_while($settings, $job);
    my $done = last_event($result);
    is($done->{counts}{keys}, 102, 'a name of 64 MiB') or diag explain $done;
    memory_is_below($peak, (66 + 64) * 1024, 'resident memory of the mover');
    my $target = start_redis();
    my $restore = restore_job($settings, $store, redis_url($target), $job, $done, engine => 'redis', type => 'redis', mode => 'clone');
    ($result, $peak) = peak_while($settings, $restore);
    is(last_event($result)->{event}, 'done', 'restored') or diag explain last_event($result);
    memory_is_below($peak, (66 + 64) * 1024, 'resident memory of the mover');
    is($target->client->do('DEBUG', 'DIGEST'), $digest, 'every key is what it was');
}

# ---- large values whose sizes the server does not tell: it does not hold many of them for us

{
    my $server = start_redis(conf => "rename-command SYNC \"\"\nrename-command MEMORY \"\"\nrdbcompression no\n");
    my $r = $server->client;
    $r->do('EVAL', 'local v = string.rep("0123456789abcdef", 250000) for i = 1, 40 do redis.call("SET", "large:" .. i, v) end', 0);
    my ($used) = $r->do('INFO', 'memory') =~ /used_memory:(\d+)/;
    my $got = redis_backup($settings, $store, redis_url($server));
    is($got->{done}{counts}{keys}, 40, '40 values of 4 MB') or diag explain $got->{done};
    like($got->{done}{notes}[1], qr/refused MEMORY USAGE/, 'whose sizes are not told');
    my ($most) = $r->do('INFO', 'memory') =~ /used_memory_peak:(\d+)/;
    ok($most - $used < 48 << 20, 'few of them at once') or diag $most - $used;
}

# ---- a server that cuts off whoever takes too much at once

{
    my $server = start_redis(conf => "client-output-buffer-limit normal 256kb 0 0\nrename-command SYNC \"\"\nrdbcompression no\n");
    my $r = $server->client;
    $r->do('EVAL', 'for i = 1, 100 do redis.call("SET", "key:" .. i, string.rep("x", 90000)) end', 0);
    $r->do('EVAL', 'for i = 1, 2000 do redis.call("SET", string.rep("n", 1000) .. i, i) end', 0);
    my $got = redis_backup($settings, $store, redis_url($server));
    is($got->{done}{counts}{keys}, 2100, 'a small output buffer: all keys, few at once') or diag explain $got->{done};
    $r->do('EVAL', 'redis.call("SET", "large", string.rep("x", 9000000))', 0);
    like(redis_backup($settings, $store, redis_url($server))->{done}{detail}, qr/closed the connection; .*client-output-buffer-limit.*every value has to fit in/,
        'a value that is larger: said');
}

done_testing();
