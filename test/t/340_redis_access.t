# Redis: who may come in, by what way, and what is said when the way is barred.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use CustbackupTest;
use RedisTest;
use IO::Socket::INET;
use IO::Socket::IP;
use JSON::PP ();
use Test::More;

my ($settings, $store, $directory) = mover_settings();

sub percent
{
    return join '', map { sprintf '%%%02X', ord } split //, $_[0];
}

# ---- passwords of any bytes, ACL users

my $password = "p\@ss:w/rd?#% \t\"'\\\xff\x01ü";
my $quoted = join '', map { sprintf '\\x%02x', ord } split //, $password;
my $server = start_redis(conf => "requirepass \"$quoted\"\nuser app on \">$quoted\" ~* &* +\@all\n"
      . "user nosync on >secret-nosync ~* &* +\@all -sync -psync -replconf\nuser reader on >secret-reader ~* &* +\@read +info +scan +select\n"
      . "user partial on >secret-partial ~cache:* &* +\@all\n");
$server->{password} = $password;
$server->client->do('SET', "key$_", $_) for 1 .. 100;

my $backup = redis_backup($settings, $store, redis_url($server, password => percent($password)));
is($backup->{done}{event}, 'done', 'a password with any bytes') or diag explain $backup->{done};
is($backup->{done}{counts}{keys}, 100, 'and all keys');
is(redis_backup($settings, $store, redis_url($server, user => 'app', password => percent($password)))->{done}{event}, 'done',
    'an ACL user with it');
is(redis_backup($settings, $store, redis_url($server, user => 'default', password => percent($password)))->{done}{event}, 'done',
    'the user "default"');

# Every byte there is, twice.
my $every = join '', map { chr } 0 .. 255, reverse 0 .. 255;
$server->client->do('ACL', 'SETUSER', 'every', 'on', ">$every", '~*', '&*', '+@all');
my $every_url = redis_url($server, user => 'every', password => percent($every));
is(redis_backup($settings, $store, $every_url)->{done}{event}, 'done', 'a backup with a password of 512 bytes, NUL among them');
is(redis_restore($settings, $store, $every_url, $backup)->{done}{event}, 'done', 'and a restore');

for my $case (
    [ 'no password', {}, 'auth', qr/refused INFO: NOAUTH/ ],
    [ 'a wrong password', { password => 'wrong-secret' }, 'auth', qr/refused AUTH: WRONGPASS/ ],
    [ 'an unknown user', { user => 'nobody', password => 'wrong-secret' }, 'auth', qr/refused AUTH: WRONGPASS/ ],
    [ 'a user without the right to DUMP', { user => 'reader', password => 'secret-reader' }, 'auth', qr/refused \w+: NOPERM/ ],
  )
{
    my ($name, $option, $reason, $detail) = @$case;
    my $got = redis_backup($settings, $store, redis_url($server, %$option));
    is($got->{done}{reason}, $reason, "$name: $reason");
    like($got->{done}{detail}, $detail, "$name: the detail names the command") or diag explain $got->{done};
    unlike("$got->{stdout}$got->{stderr}", qr/secret/, "$name: no secret in what is said");
}
my $nosync = redis_backup($settings, $store, redis_url($server, user => 'nosync', password => 'secret-nosync'));
like($nosync->{done}{notes}[0], qr/refused REPLCONF \(NOPERM/, 'a role without replication: key by key, and said');
is($nosync->{done}{counts}{keys}, 100, 'all keys');

my $before = $server->client->do('DEBUG', 'DIGEST');
for my $case (
    [ 'a restore by a reader', 'reader', qr/refused (WATCH|RESTORE|SELECT|MULTI): NOPERM/ ],
    [ 'a restore by a role of some keys', 'partial', qr/NOPERM/ ],
  )
{
    my ($name, $user, $detail) = @$case;
    my $got = redis_restore($settings, $store, redis_url($server, user => $user, password => "secret-$user"), $backup);
    is($got->{done}{reason}, 'auth', "$name: auth");
    like($got->{done}{detail}, $detail, "$name: named");
    ok(!$got->{done}{target_modified}, "$name: not modified");
}
is($server->client->do('DEBUG', 'DIGEST'), $before, 'nothing was touched');

# ---- exactly the rights that docs/redis.md names are enough

{
    my $minimal = start_redis(conf => "user snap on >pw-snap ~* &* +info +config|get +select +get +client +replconf +sync\n"
          . "user scan on >pw-scan ~* &* +info +config|get +select +get +client +scan +dump +pttl +pexpiretime +time +object +memory|usage +multi +exec +function|dump\n"
          . "user put on >pw-put ~* &* +info +config|get +client +select +get +set +del +dbsize +flushdb +restore +watch +multi +exec +discard +time +move +rename +swapdb +function\n"
          . "user inplace on >pw-inplace ~* &* +info +client +select +get +set +del +dbsize +flushdb +restore +watch +multi +exec +discard +time +function\n");
    fill_everything($minimal);
    my $all = $minimal->everything;
    my $snapshot = redis_backup($settings, $store, redis_url($minimal, user => 'snap', password => 'pw-snap'));
    is($snapshot->{done}{consistency}, 'snapshot', 'a role for snapshots') or diag explain $snapshot->{done};
    my $scan = redis_backup($settings, $store, redis_url($minimal, user => 'scan', password => 'pw-scan'));
    is($scan->{done}{consistency}, 'per key', 'a role for scans') or diag explain $scan->{done};
    is($scan->{done}{counts}{keys}, $snapshot->{done}{counts}{keys}, 'both see all keys');
    for my $user ('put', 'inplace')
    {
        my $got = redis_restore($settings, $store, redis_url($minimal, user => $user, password => "pw-$user"), $snapshot);
        is($got->{done}{event}, 'done', "a role for restores ($user)") or diag explain $got->{done};
        is(scalar @{ $got->{done}{left_alone} }, $user eq 'put' ? 0 : 1, $user eq 'put' ? 'by the swap' : 'in place');
        same($minimal->everything, $all, 'whole');
    }
}

# ---- one command less, and the row names it

{
    my $server = start_redis();
    fill_everything($server);
    my $all = $server->everything;
    my $full = redis_backup($settings, $store, redis_url($server));
    my $without = sub {
        my @rules = map { "-$_" } @_;
        $server->client->do('ACL', 'SETUSER', 'less', 'reset', 'on', '>pw-less', '~*', '&*', '+@all', @rules);
        return redis_url($server, user => 'less', password => 'pw-less');
    };
    my $named = sub { my ($command) = @_; return qr/refuse[ds]? (?:the )?\Q$command\E\b/i };

    for my $command ('config|get', 'replconf', 'sync')
    {
        my $got = redis_backup($settings, $store, $without->($command));
        is($got->{done}{consistency}, 'per key', "a backup without $command: key by key");
        my ($word) = $command =~ s/\|/ /r;
        like($got->{done}{notes}[0], $command =~ /config/ ? qr/by CONFIG GET/ : $named->($word), 'and says so');
    }
    for my $command ('info', 'select', 'scan', 'dump', 'multi', 'exec')
    {
        my $got = redis_backup($settings, $store, $without->('replconf', $command));
        is($got->{done}{reason}, 'auth', "a scan without $command: auth");
        like($got->{done}{detail}, $named->($command), 'named');
    }
    for my $command ('memory|usage', 'function|dump', 'get', 'client', 'pexpiretime')
    {
        my $got = redis_backup($settings, $store, $without->('replconf', $command));
        is($got->{done}{counts}{keys}, $full->{done}{counts}{keys}, "a scan without $command: all keys") or diag explain $got->{done};
        like($got->{done}{notes}[1], $named->($command =~ s/\|/ /r), 'and what was refused') if $command =~ /\|/;
    }
    for my $command ('info', 'select', 'get', 'set', 'del', 'dbsize', 'flushdb', 'restore', 'watch', 'multi', 'exec', 'discard', 'function|restore')
    {
        for my $others ([], ['swapdb'])
        {
            my $got = redis_restore($settings, $store, $without->($command, @$others), $full);
            is($got->{done}{reason}, 'auth', "a restore without $command @$others: auth");
            like($got->{done}{detail}, $named->($command =~ s/\|/ /r), 'named');
            ok(!$got->{done}{target_modified}, 'before anything is touched');
        }
    }
    same($server->everything, $all, 'nothing was touched by any of them');
    for my $command ('swapdb', 'move', 'rename')
    {
        my $got = redis_restore($settings, $store, $without->($command), $full);
        is($got->{done}{event}, 'done', "a restore without $command: in place");
        like($got->{done}{left_alone}[0], $named->($command), 'and says why');
    }
    same($server->everything, $all, 'whole');
}

# ---- URLs

for my $case (
    [ 'redis:///tmp/redis.sock', qr/names no host/ ],
    [ 'redis://127.0.0.1:0', qr/a port that is none/ ],
    [ 'redis://127.0.0.1:6379/x', qr/no database's number/ ],
    [ 'redis://127.0.0.1:6379/0?db=1', qr/has parameters/ ],
    [ 'redis://user@127.0.0.1', qr/a user without a password/ ],
    [ 'redis://:se%2@127.0.0.1', qr/not followed by two hex digits/ ],
  )
{
    my ($url, $detail) = @$case;
    my $got = redis_backup($settings, $store, $url);
    is($got->{done}{reason}, 'bad_url', "$url: bad_url");
    like($got->{done}{detail}, $detail, 'said');
}
{
    my $strict = { %$settings, allow_local_targets => JSON::PP::false };
    for my $host ('127.0.0.1', 'localhost', '[::1]', '[::ffff:127.0.0.1]', '0.0.0.0', '2130706433', '0x7f.1', '169.254.1.1')
    {
        my $got = redis_backup($strict, $store, "redis://:x12345\@$host:$server->{port}/0");
        like($got->{done}{reason}, qr/bad_url|unreachable/, "$host: refused");
    }
    is(redis_backup($settings, $store, 'redis://127.0.0.1:' . free_port())->{done}{reason}, 'unreachable', 'nobody listens');
    is(redis_backup($settings, $store, 'redis://no-such-host.invalid')->{done}{reason}, 'unreachable', 'no such host');
}
{
    my $both = start_redis(conf => "bind 127.0.0.1 -::1\nrequirepass secret-v6\n");
    $both->{password} = 'secret-v6';
    my $r = $both->client;
    $r->do('SET', 'key', 1);
    for my $url ("redis://:secret-v6\@127.0.0.1:$both->{port}/", "REDIS://default:secret-v6\@localhost:$both->{port}/0",
        IO::Socket::IP->new(PeerHost => '::1', PeerPort => $both->{port}) ? "valkey://:secret-v6\@[::1]:$both->{port}/0" : ())
    {
        my $got = redis_backup($settings, $store, $url);
        is($got->{done}{counts}{keys}, 1, $url =~ s/secret-v6/.../r) or diag explain $got->{done};
    }
    my $got = redis_backup($settings, $store, redis_url($both, password => 'secret-v6', database => 99));
    is($got->{done}{reason}, 'bad_url', 'a database that the server does not have is no empty one');
    like($got->{done}{detail}, qr/refused SELECT: ERR DB index is out of range/, 'said');
    $got = redis_backup($settings, $store, redis_url($both, password => 'secret-v6', database => 15));
    is($got->{done}{counts}{keys}, 0, 'one that is empty is');

    # Turned away at the door: the server says why, and closes.
    $r->do('CONFIG', 'SET', 'maxclients', 1);
    $got = redis_backup($settings, $store, redis_url($both));
    is($got->{done}{reason}, 'unreachable', 'too many clients');
    like($got->{done}{detail}, qr/max number of clients reached/, 'said');
}

# Something that is no Redis.
{
    my $listener = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1');
    my $pid = fork // die;
    if ($pid == 0)
    {
        while (my $client = $listener->accept) { print $client "HTTP/1.1 400 Bad Request\r\n\r\n"; close $client }
        exit;
    }
    my $got = redis_backup($settings, $store, 'redis://127.0.0.1:' . $listener->sockport);
    is($got->{done}{reason}, 'unreachable', 'no Redis answers: unreachable');
    like($got->{done}{detail}, qr/does not speak Redis' protocol/, 'said');
    $got = redis_backup($settings, $store, 'rediss://127.0.0.1:' . $listener->sockport);
    is($got->{done}{reason}, 'unreachable', 'no TLS there either');
    like($got->{done}{detail}, qr/TLS with Redis at/, 'said');
    kill 'KILL', $pid;
    waitpid $pid, 0;
}

# ---- TLS

SKIP:
{
    my $tls = "$directory/tls";
    mkdir $tls;
    my $made = system("cd $tls && { openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.crt "
          . "&& openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout key -out csr "
          . "&& printf 'subjectAltName=DNS:localhost,IP:127.0.0.1' > ext "
          . "&& openssl x509 -req -in csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out cert; } >log 2>&1");
    skip 'no openssl command', 1 if $made != 0;
    my $port = free_port();
    my $secure = start_redis(conf => "bind 127.0.0.1 127.0.0.2\ntls-port $port\ntls-cert-file $tls/cert\ntls-key-file $tls/key\n"
          . "tls-ca-cert-file $tls/ca.crt\ntls-auth-clients no\n");
    fill_everything($secure);
    my $everything = $secure->everything;
    my %at = (scheme => 'rediss', port => $port);
    my $trusting = { %$settings, ca_file => "$tls/ca.crt" };
    for my $host ('127.0.0.1', 'localhost')
    {
        my $got = redis_backup($trusting, $store, redis_url($secure, %at, host => $host));
        is($got->{done}{event}, 'done', "TLS to $host") or diag explain $got->{done};
        my $target = redis_restore($trusting, $store, redis_url($secure, %at, host => $host), $got);
        is($target->{done}{event}, 'done', "a restore over TLS to $host") or diag explain $target->{done};
        same($secure->everything, $everything, 'is whole');
    }
    my $untrusted = redis_backup($settings, $store, redis_url($secure, %at));
    is($untrusted->{done}{reason}, 'unreachable', 'a certificate of nobody whom we trust');
    like($untrusted->{done}{detail}, qr/certificate is not trusted/, 'said');
    # A right authority, and another server's name.
    my $misnamed = redis_backup($trusting, $store, redis_url($secure, %at, host => '127.0.0.2'));
    is($misnamed->{done}{reason}, 'unreachable', 'a certificate of another name');
    like($misnamed->{done}{detail}, qr/IP address mismatch/, 'said');
    my $garbled = redis_backup({ %$settings, ca_file => "$tls/log" }, $store, redis_url($secure, %at));
    is($garbled->{done}{reason}, 'config', 'a ca_file that holds no certificate');
    for my $protocol ('TLSv1.2', 'TLSv1.3')
    {
        $secure->client->do('CONFIG', 'SET', 'tls-auth-clients', 'yes', 'tls-protocols', $protocol);
        my $barred = redis_backup($trusting, $store, redis_url($secure, %at));
        is($barred->{done}{reason}, 'unreachable', "$protocol: a server that wants certificates of its clients");
        like($barred->{done}{detail}, qr/asks its clients for a certificate, and a URL gives none/, 'said');
    }
    $secure->client->do('CONFIG', 'SET', 'tls-auth-clients', 'no', 'tls-protocols', '');
    my $clear = redis_backup($trusting, $store, redis_url($secure, port => $port));
    is($clear->{done}{reason}, 'unreachable', 'no TLS to a port that does') or diag explain $clear->{done};
}

# ---- secrets: nowhere but in memory

{
    my $target = start_redis(conf => "requirepass the-password-1234\n");
    $target->{password} = 'the-password-1234';
    $target->client->do('EVAL', 'for i = 1, 200000 do redis.call("SET", "key:" .. i, string.rep("v", 400)) end', 0);
    my $job = backup_job($settings, $store, redis_url($target, password => 'the-password-1234'), engine => 'redis', type => 'redis');
    my $run = start_mover($settings, $job);
    my $seen = '';
    for (1 .. 20)
    {
        for my $file ("/proc/$run->{pid}/cmdline", "/proc/$run->{pid}/environ")
        {
            local (@ARGV, $/) = ($file);
            no warnings;
            $seen .= <> // '' if -r $file;
        }
        select undef, undef, undef, 0.02;
    }
    my $result = run_mover($run);
    is(last_event($result)->{event}, 'done', 'a larger backup');
    unlike($seen, qr/the-password/, 'no password in argv or environment');
    is(system("grep -rqs the-password-1234 $directory"), 256, 'nor in a file of ours');
}

done_testing();
