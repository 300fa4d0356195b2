# Redis while its customer writes, and Redis with a gigabyte in it: what comes back is compared whole, key by key,
# with type, encoding, expiry and value.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use CustbackupTest;
use MemoryTest;
use RedisTest;
use Test::More;

my ($settings, $store, $directory) = mover_settings();

# A customer who writes as fast as one connection can, to keys of its own: new ones, larger and smaller, gone, renamed, expiring.
my $busy = <<'LUA';
for i = 1, 20 do
    local n = math.random(3000)
    local key = 'busy:' .. n
    redis.call('SET', key, string.rep('w', math.random(3000)))
    redis.call('RENAME', key, 'busy:' .. math.random(3000))
    redis.call('DEL', 'busy:' .. math.random(3000))
    redis.call('PEXPIRE', 'busy:' .. math.random(3000), math.random(50))
    redis.call('RPUSH', 'busy:list:' .. n % 7, n)
    redis.call('HSET', 'busy:hash:' .. n % 5, n, ARGV[1])
end
LUA

sub start_writer
{
    my ($server, $script) = @_;
    my $pid = fork // die $!;
    return $pid if $pid;
    my $r = $server->client;
    for (my $i = 0;; $i++) { $r->do('EVAL', $script // $busy, 0, $i) }
}

sub stop_writer
{
    my ($pid) = @_;
    kill 'KILL', $pid;
    waitpid $pid, 0;
}

# ---- under write load, both ways

{
    my $server = start_redis();
    fill_everything($server);
    my $r = $server->client;
    $r->do('EVAL', 'for i = 1, 40000 do redis.call("SET", "key:" .. i, i .. string.rep("v", i % 700)) end', 0);
    $r->do('EVAL', 'for i = 1, 40000, 3 do redis.call("PEXPIREAT", "key:" .. i, 4102444800000 + i) end', 0);
    $r->do('EVAL', 'for i = 1, 3000 do redis.call("HSET", "hash:" .. i % 300, "field" .. i, string.rep("x", i % 90)) end', 0);
    my $untouched = $server->everything(skip => qr/^busy:/);

    for my $case ([ 'snapshot', {} ], [ 'per key', { nosync => 1 } ])
    {
        my ($consistency, $option) = @$case;
        $r->do('ACL', 'SETUSER', 'nosync', 'on', '>secret-nosync', '~*', '&*', '+@all', '-sync', '-replconf');
        my $url = redis_url($server, $option->{nosync} ? (user => 'nosync', password => 'secret-nosync') : ());
        my $writer = start_writer($server);
        wait_for(sub { ($r->do('GET', 'busy:1') // $r->do('GET', 'busy:2') // '') ne '' }, 10, 'somebody writes');
        my ($before) = $r->do('INFO', 'stats') =~ /total_commands_processed:(\d+)/;
        my $backup = redis_backup($settings, $store, $url);
        my ($after) = $r->do('INFO', 'stats') =~ /total_commands_processed:(\d+)/;
        stop_writer($writer);
        is($backup->{done}{event}, 'done', "$consistency: a backup under write load") or diag explain $backup->{done};
        is($backup->{done}{consistency}, $consistency, "$consistency: its kind");
        ok($after - $before > 1000, "$consistency: the customer wrote meanwhile") or diag $after - $before;
        my $target = start_redis();
        my $got = redis_restore($settings, $store, redis_url($target), $backup, mode => 'clone');
        is($got->{done}{event}, 'done', "$consistency: its restore") or diag explain $got->{done};
        same($target->everything(skip => qr/^busy:/), $untouched, "$consistency: all that was untouched is there and unchanged");
    }
}

# ---- a restore, while clients write: by the swap, what they wrote is gone; in place, it is there and said

for my $swaps (1, 0)
{
    my $source = start_redis();
    $source->client->do('EVAL', 'for i = 1, 30000 do redis.call("SET", "key:" .. i, i .. string.rep("v", i % 300)) end', 0);
    my $all = $source->everything;
    my $backup = redis_backup($settings, $store, redis_url($source));
    my $target = start_redis(conf => $swaps ? '' : "rename-command SWAPDB \"\"\n");
    my $r = $target->client;
    my $writer = start_writer($target);
    wait_for(sub { $r->do('DBSIZE') > 500 }, 10, 'somebody writes');
    my $got = redis_restore($settings, $store, redis_url($target), $backup);
    stop_writer($writer);
    is($got->{done}{event}, 'done', 'a restore while clients write') or diag explain $got->{done};
    same($target->everything(skip => qr/^busy:/), $all, 'brings all keys');
    like($got->{done}{left_alone}[1], qr/^database 0 holds \d+ keys that are not in the backup/, 'and says what is beside them') unless $swaps;
    next if $swaps;

    my $deleter = start_writer($target, 'for i = 1, 20 do redis.call("DEL", "key:" .. math.random(30000)) end');
    $got = redis_restore($settings, $store, redis_url($target), $backup);
    stop_writer($deleter);
    is($got->{done}{event}, 'done', 'a restore while clients delete') or diag explain $got->{done};
    like($got->{done}{left_alone}[1], qr/^database 0 lacks \d+ of the keys that it was given/, 'says what is missing');
    is($r->do('EXISTS', 'custbackup:restore:unfinished:5f0c7a9d41e84b53'), 0, 'it is finished');
}

# ---- a gigabyte: large values that do not compress, middling ones, many small ones with expiries

{
    my $large = 64;
    my $server = start_redis(conf => "rdbcompression no\n");
    my $r = $server->client;
    open my $random, '<:raw', '/dev/urandom' or die $!;
    read $random, my $bytes, $large * 1024 * 1024;
    $r->do('SET', 'large:0', $bytes);
    undef $bytes;
    for my $i (1 .. 3)
    {
        $r->do('COPY', 'large:0', "large:$i");
        $r->do('SETRANGE', "large:$i", $i * 1000, "number $i");
    }
    $r->do('DEBUG', 'POPULATE', 3300, 'middling', 250_000);
    $r->do('EVAL', 'for i = 1, 60000 do redis.call("SET", "small:" .. i, i, "PXAT", 4102444800000 + i) end', 0);
    $r->do('SELECT', 7);
    $r->do('EVAL', 'for i = 1, 20000 do redis.call("ZADD", "scores:" .. i % 50, i / 7, "member" .. i) end', 0);
    my ($memory) = $r->do('INFO', 'memory') =~ /used_memory:(\d+)/;
    ok($memory > 1 << 30, 'more than a gigabyte') or diag $memory;
    my $all = $server->everything;

    my $job = backup_job($settings, $store, redis_url($server), engine => 'redis', type => 'redis');
    my ($result, $peak) = peak_while($settings, $job);
    my $done = last_event($result);
    is($done->{event}, 'done', 'its backup') or diag explain $done;
    ok($done->{raw_bytes} > 1 << 30, 'all of its bytes') or diag $done->{raw_bytes};
    is($done->{counts}{keys}, () = $all =~ /^\d+ /mg, 'and its keys');
    memory_is_below($peak, 64 * 1024, 'resident memory of the mover');
    $server->stop;

    my $target = start_redis();
    my $restore = restore_job($settings, $store, redis_url($target), $job, $done, engine => 'redis', type => 'redis', mode => 'clone');
    ($result, $peak) = peak_while($settings, $restore);
    is(last_event($result)->{event}, 'done', 'its restore') or diag explain last_event($result);
    memory_is_below($peak, (64 + $large) * 1024, 'resident memory of the mover, one value in it');
    same($target->everything, $all, 'everything is back, in keys, types, encodings, expiries and values');
}

done_testing();
