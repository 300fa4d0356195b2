# Redis with little memory left or none, and other servers that take no writes: nothing is lost to them, nothing evicted for us.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use CustbackupTest;
use RedisTest;
use Test::More;
use Time::HiRes qw(time sleep);

my ($settings, $store, $directory) = mover_settings();

# ---- maxmemory and eviction

{
    my $server = start_redis(conf => "maxmemory 32mb\nmaxmemory-policy allkeys-lru\n");
    strings($server, 30000, 500);
    my $r = $server->client;
    my $before = $r->do('DEBUG', 'DIGEST');
    my $backup = redis_backup($settings, $store, redis_url($server));
    is($backup->{done}{event}, 'done', 'backup of a server with maxmemory');
    is($backup->{done}{counts}{keys}, 30000, 'whole');
    my $got = redis_restore($settings, $store, redis_url($server), $backup);
    is($got->{done}{event}, 'done', 'a rewind that has no room beside the live data') or diag explain $got->{done};
    ok($got->{done}{target_modified}, 'says that the target was modified');
    like($got->{done}{left_alone}[0], qr/restored in place.*maxmemory/, 'and why in place');
    is($r->do('DEBUG', 'DIGEST'), $before, 'all keys are back');
    like($r->do('INFO', 'stats'), qr/evicted_keys:0\r/, 'and none was evicted');

    # Room beside: atomic, still nothing evicted.
    $r->do('CONFIG', 'SET', 'maxmemory', '200mb');
    $got = redis_restore($settings, $store, redis_url($server), $backup);
    is_deeply($got->{done}{left_alone}, [], 'with room, by a spare database');
    is($r->do('DEBUG', 'DIGEST'), $before, 'all keys');
    like($r->do('INFO', 'stats'), qr/evicted_keys:0\r/, 'none evicted');

    # Too small for the data alone.
    my $small = start_redis(conf => "maxmemory 10mb\nmaxmemory-policy allkeys-lru\n");
    $small->client->do('SET', 'live', 1);
    my $refused = redis_restore($settings, $store, redis_url($small), $backup);
    is($refused->{done}{reason}, 'not_restorable', 'a target that is too small is refused');
    like($refused->{done}{detail}, qr/maxmemory is 10 MiB: raise it/, 'with a sentence');
    is($small->client->do('GET', 'live'), 1, 'untouched');
    ok(!$refused->{done}{target_modified}, 'target_modified false');
}

{
    # A backup that does not say what memory it needs, and compresses much better than memory does.
    my $server = start_redis(conf => "databases 16\n");
    strings($server, 200, 200000);
    my $neighbour = $server->client;
    $neighbour->do('SELECT', 1);
    $neighbour->do('SET', 'neighbour', 1);
    my $backup = redis_backup($settings, $store, redis_url($server, database => 0));
    is($backup->{done}{consistency}, 'per key', 'key by key, beside a neighbour');
    my $target = start_redis(conf => "maxmemory 60mb\nmaxmemory-policy allkeys-random\n");
    strings($target, 2000, 10000);
    my $got = redis_restore($settings, $store, redis_url($target, database => 0), $backup);
    is($got->{done}{event}, 'done', 'it is estimated, and restored in place') or diag explain $got->{done};
    like($got->{done}{left_alone}[0], qr/about 4\d MiB have no room beside/, 'as it does not fit beside');
    same($target->everything(database => 0), $server->everything(database => 0), 'whole');
    like($target->client->do('INFO', 'stats'), qr/evicted_keys:0\r/, 'nothing was evicted');
}

{
    # Compressed in the source's memory, not in the target's: it says too little of the memory that it needs.
    my $server = start_redis(conf => "list-compress-depth 1\nlist-max-listpack-size -2\n");
    $server->client->do('EVAL', 'for i = 1, 12000 do redis.call("RPUSH", "list:" .. i % 6, string.rep("x", 4000)) end', 0);
    my $backup = redis_backup($settings, $store, redis_url($server));
    my $target = start_redis(conf => "maxmemory 50mb\nmaxmemory-policy allkeys-random\n");
    strings($target, 2000, 10000);
    my $r = $target->client;
    my $before = $r->do('DEBUG', 'DIGEST');
    my $got = redis_restore($settings, $store, redis_url($target), $backup);
    is($got->{done}{reason}, 'not_restorable', 'stopped before the server would evict') or diag explain $got->{done};
    like($got->{done}{detail}, qr/does not fit beside/, 'with a sentence');
    ok(!$got->{done}{target_modified}, 'target_modified false');
    like($r->do('INFO', 'stats'), qr/evicted_keys:0\r/, 'nothing was evicted');
    is($r->do('DEBUG', 'DIGEST'), $before, 'the live data is untouched');
    is(join(' ', $r->do('INFO', 'keyspace') =~ /^(db\d+)/mg), 'db0', 'and no spare database is left');
}

{
    # Key by key beside a full memory: what is asked for waits in the server, and its keys must not pay for it.
    my $server = start_redis(conf => "maxmemory 40mb\nmaxmemory-policy allkeys-lru\nrename-command SYNC \"\"\n");
    my $r = $server->client;
    # Made by the server: what a client sends stays in a buffer for a while, and is counted.
    $r->do('SETRANGE', 'a large one', 12_000_000, 'y');
    my $used = sub { ($r->do('INFO', 'memory') =~ /used_memory:(\d+)/)[0] };
    for (my $i = 0; $used->() < 37_000_000; $i++)
    {
        $r->do('EVAL', 'for i = 1, 100 do redis.call("SET", "key:" .. ARGV[1] .. ":" .. i, string.rep("x", 5000)) end', 0, $i);
    }
    my $keys = $r->do('DBSIZE');
    my $refused = redis_backup($settings, $store, redis_url($server));
    is($refused->{done}{reason}, 'dump', 'a value that has no room beside: the backup fails') or diag explain $refused->{done};
    like($refused->{done}{detail}, qr/key "a large one" takes \d+ bytes.*raise maxmemory/, 'with a sentence');
    is($r->do('DBSIZE'), $keys, 'and no key was evicted for it');
    $r->do('DEL', 'a large one');
    $r->do('EVAL', 'for i = 1, 20 do redis.call("SET", "middling:" .. i, string.rep("x", 500000)) end', 0);
    $keys = $r->do('DBSIZE');
    my $backup = redis_backup($settings, $store, redis_url($server));
    is($backup->{done}{counts}{keys}, $keys, 'in a little room all are read, a few at a time') or diag explain $backup->{done};
    like($r->do('INFO', 'stats'), qr/evicted_keys:0\r/, 'none evicted');
}

{
    # In place, with so much to free that it takes a while.
    my $server = start_redis(conf => "maxmemory-policy allkeys-lru\nrepl-backlog-size 1mb\n");
    my $r = $server->client;
    $r->do('EVAL', 'for i = 1, 100000 do redis.call("SET", "key:" .. ARGV[1] .. ":" .. i, "v") end', 0, $_) for 1 .. 3;
    my ($used) = $r->do('INFO', 'memory') =~ /used_memory:(\d+)/;
    $r->do('CONFIG', 'SET', 'maxmemory', int $used * 1.15);
    my $backup = redis_backup($settings, $store, redis_url($server));
    my $got = redis_restore($settings, $store, redis_url($server), $backup);
    is($got->{done}{event}, 'done', 'in place, once what was there is freed') or diag explain $got->{done};
    like($got->{done}{left_alone}[0], qr/in place.*maxmemory/, 'as there is no room beside');
    is($r->do('DBSIZE'), 300000, 'all keys');
    like($r->do('INFO', 'stats'), qr/evicted_keys:0\r/, 'none was evicted');
}

{
    # A cache that is full, as caches are: it takes nothing until what it held is freed, and fills up to its limit again.
    my $server = start_redis(conf => "maxmemory 30mb\nmaxmemory-policy allkeys-lru\nrepl-backlog-size 1mb\n");
    my $r = $server->client;
    my $evicted = sub { ($r->do('INFO', 'stats') =~ /evicted_keys:(\d+)/)[0] };
    for (my $i = 0; $evicted->() == 0; $i++)
    {
        $r->do('EVAL', 'for i = 1, 1000 do redis.call("SET", "key:" .. ARGV[1] .. ":" .. i, string.rep("v", 100)) end', 0, $i);
    }
    my $backup = redis_backup($settings, $store, redis_url($server));
    my $before = $evicted->();
    my $got = redis_restore($settings, $store, redis_url($server), $backup);
    is($got->{done}{event}, 'done', 'a full cache is rewound') or diag explain $got->{done};
    my ($dropped) = ($got->{done}{left_alone}[1] // '') =~ /^(\d+) keys that the target evicted/;
    my $keys = $backup->{done}{counts}{keys};
    ok($r->do('DBSIZE') >= $keys - ($evicted->() - $before), 'all keys but those that it evicted itself');
    ok(($dropped // 0) < $keys / 20, 'a few, if any, and said') or diag explain $got->{done};
    like($server->client->do('INFO', 'keyspace'), qr/db0:[^\r]*\r\n\z/, 'no mark, no other database');
    is($r->ask('EXISTS', 'custbackup:restore:unfinished:5f0c7a9d41e84b53'), 0, 'it is finished');
}

for my $policy ('noeviction', 'allkeys-lru')
{
    # The backup itself makes the server keep a backlog, which takes its share of the memory with what a restore writes.
    my $server = start_redis(conf => "repl-backlog-size 10mb\nmaxmemory 25mb\nmaxmemory-policy $policy\n");
    strings($server, 20000, 900);
    my $r = $server->client;
    my $digest = $r->do('DEBUG', 'DIGEST');
    my $backup = redis_backup($settings, $store, redis_url($server));
    my $refused = redis_restore($settings, $store, redis_url($server), $backup);
    is($refused->{done}{reason}, 'not_restorable', "$policy: no room beside what the backlog will take") or diag explain $refused->{done};
    like($refused->{done}{detail}, qr/backlog will grow by 9 MiB\), and the target's maxmemory is 25 MiB/, 'said');
    is($r->do('DEBUG', 'DIGEST'), $digest, 'nothing was touched');
    $r->do('CONFIG', 'SET', 'maxmemory', '35mb');
    my $got = redis_restore($settings, $store, redis_url($server), $backup);
    is($got->{done}{event}, 'done', 'where it has, in place') or diag explain $got->{done};
    is($r->do('DEBUG', 'DIGEST'), $digest, 'all keys');
    like($r->do('INFO', 'stats'), qr/evicted_keys:0\r/, 'none was evicted');
}

for my $policy ('noeviction', 'volatile-lru')
{
    # Full, and nothing that may be dropped: every write is refused, and every transaction.
    my $server = start_redis(conf => "maxmemory-policy $policy\nrename-command SYNC \"\"\n");
    fill_everything($server);
    my $r = $server->client;
    $r->do('PERSIST', $_) for 'sooner', 'expiring', 'smallhash';
    $r->do('SELECT', 9);
    $r->do('PERSIST', 'elsewhere');
    $r->do('SELECT', 0);
    my $small = redis_backup($settings, $store, redis_url($server));
    strings($server, 5000, 1000);
    $r->do('CONFIG', 'SET', 'maxmemory', '5mb');
    like($r->ask('SET', 'x', 1), qr/^OOM/, "$policy: the server is full");
    my $all = $server->everything;
    my $full = redis_backup($settings, $store, redis_url($server));
    is($full->{done}{event}, 'done', "$policy: a backup key by key") or diag explain $full->{done};
    like($full->{done}{notes}[-1], qr/one behind the other.*close to its maxmemory/, 'and how it was read');
    my $copy = start_redis();
    redis_restore($settings, $store, redis_url($copy), $full, mode => 'clone');
    same($copy->everything, $all, "$policy: whole");
    my $refused = redis_restore($settings, $store, redis_url($server), $full);
    is($refused->{done}{reason}, 'not_restorable', "$policy: what would not fit again is refused") or diag explain $refused->{done};
    same($server->everything, $all, 'before anything is touched');
    my $got = redis_restore($settings, $store, redis_url($server), $small);
    is($got->{done}{event}, 'done', "$policy: what fits is restored in place") or diag explain $got->{done};
    is($r->ask('SET', 'x', 1), 'OK', 'and there is room again');
}

{
    # Full when the backup is under way: the rest is asked for without transactions, unless the server still queues what only reads.
    my $server = start_redis(conf => "rename-command SYNC \"\"\nrdbcompression no\n");
    strings($server, 60000, 1000);
    my $r = $server->client;
    my $digest = $r->do('DEBUG', 'DIGEST');
    my $run = start_mover($settings, my $job = backup_job($settings, $store, redis_url($server), engine => 'redis', type => 'redis'));
    wait_for(sub { $r->do('INFO', 'commandstats') =~ /cmdstat_dump:calls=\d{4}/ }, 10, 'it has begun');
    kill 'STOP', $run->{pid};
    $r->do('CONFIG', 'SET', 'maxmemory', '40mb');
    $r->do('MULTI');
    my $queues = $r->ask('DUMP', 'key:1') eq 'QUEUED';
    $r->ask('DISCARD');
    kill 'CONT', $run->{pid};
    my $done = last_event(run_mover($run));
    is($done->{counts}{keys}, 60000, 'a server that becomes full meanwhile: all keys') or diag explain $done;
    like($done->{notes}[-1], $queues ? qr/refused SYNC/ : qr/one behind the other/, 'and how they were read');
    my $copy = start_redis();
    redis_restore($settings, $store, redis_url($copy), { job => $job, done => $done }, mode => 'clone');
    is($copy->client->do('DEBUG', 'DIGEST'), $digest, 'whole');
}

# ---- servers that take no writes at the moment

for my $case (
    [ 'too few replicas', [ 'min-replicas-to-write', 1 ], 'restore', qr/NOREPLICAS/ ],
    [ 'a script that runs on', [ 'busy-reply-threshold', 100 ], 'unreachable', qr/BUSY \w+ is busy/ ],
  )
{
    my ($name, $setting, $reason, $detail) = @$case;
    my $server = start_redis(conf => "rename-command SWAPDB \"\"\n");
    strings($server, 100, 10);
    my $r = $server->client;
    my $backup = redis_backup($settings, $store, redis_url($server));
    $r->do('CONFIG', 'SET', @$setting);
    my $script = $server->client;
    if ($reason eq 'unreachable')
    {
        $script->send('EVAL', 'while true do end', 0);
        sleep 0.3;
        my $busy = redis_backup($settings, $store, redis_url($server));
        is($busy->{done}{reason}, $reason, "$name: no backup now");
        like($busy->{done}{detail}, $detail, 'said');
    }
    my $got = redis_restore($settings, $store, redis_url($server), $backup);
    is($got->{done}{reason}, $reason, "$name: no restore") or diag explain $got->{done};
    like($got->{done}{detail}, $detail, 'said');
    ok(!$got->{done}{target_modified}, 'before anything is touched');
    $r->ask('SCRIPT', 'KILL');
    wait_for(sub { $r->ask('DBSIZE') eq '100' }, 10, 'all is there');
}

done_testing();
