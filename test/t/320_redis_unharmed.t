# Redis: neither a backup nor a restore hurts the customer.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use CustbackupTest;
use RedisTest;
use Test::More;
use Time::HiRes qw(time sleep);

my ($settings, $store, $directory) = mover_settings();

sub configuration
{
    my ($server) = @_;
    my %all = @{ $server->client->do('CONFIG', 'GET', '*') };
    return join "\n", map { "$_ $all{$_}" } sort keys %all;
}

# ---- a backup leaves no trace

for my $case (
    [ 'save "", diskless', "save \"\"\n" ],
    [ 'save "", not diskless', "save \"\"\nrepl-diskless-sync no\n" ],
    [ 'save rules that never came due, not diskless', "save 3600 1000000\nrepl-diskless-sync no\n" ],
  )
{
    my ($name, $conf) = @$case;
    my $server = start_redis(conf => $conf);
    strings($server, 1000, 10);
    my $config = configuration($server);
    is(redis_backup($settings, $store, redis_url($server))->{done}{event}, 'done', "$name: backup");
    ok(!-e "$server->{dir}/dump.rdb", "$name: no file where there was none");
    is(configuration($server), $config, "$name: configuration unchanged");
    my ($replicas) = $server->client->do('INFO', 'replication') =~ /connected_slaves:(\d+)/;
    is($replicas, 0, "$name: no replica left behind");
    # Killed and started again, it is as empty as it would have been without us.
    $server->stop;
    $server->start;
    is($server->client->do('DBSIZE'), 0, "$name: a restart loads no stray keys");
}

{
    # A directory that cannot be written to: a server's own save would make it refuse writes.
    my $server = start_redis(conf => "save 3600 1000000\nrepl-diskless-sync no\nstop-writes-on-bgsave-error yes\n");
    strings($server, 1000, 10);
    my $r = $server->client;
    chmod 0500, $server->{dir};
    my $backup = redis_backup($settings, $store, redis_url($server));
    is($backup->{done}{event}, 'done', 'unwritable directory: backup');
    is($r->ask('SET', 'x', 1), 'OK', 'unwritable directory: the customer still writes');
    like($r->do('INFO', 'persistence'), qr/rdb_last_bgsave_status:ok/, 'unwritable directory: no save was tried');
    chmod 0700, $server->{dir};
    # It saves for itself, and could: then over its own file, which is no stranger to it.
    $r->do('SAVE');
    sleep 2.1;
    $r->do('SAVE');
    my $own = redis_backup($settings, $store, redis_url($server));
    is($own->{done}{consistency}, 'snapshot', 'a server that persists RDB: a snapshot over its own file');
    is($own->{done}{counts}{keys}, 1001, 'whole');
}

# ---- heavy writes, a replica, a small output buffer

{
    my $server = start_redis(conf => "client-output-buffer-limit replica 1mb 1mb 1\n");
    strings($server, 20000, 500);
    my $replica = start_redis(conf => "replicaof 127.0.0.1 $server->{port}\n");
    wait_for(sub { $replica->client->do('INFO', 'replication') =~ /master_link_status:up/ }, 20, 'replica in sync');
    my $writer = fork // die;
    if ($writer == 0)
    {
        my $r = $server->client;
        my $i = 0;
        while (1) { $r->do('SET', 'written:' . $i++ % 5000, 'w' x 2000); }
    }
    my $digest = $server->client->do('DEBUG', 'DIGEST-VALUE', 'key:77')->[0];
    my $backup = redis_backup($settings, $store, redis_url($server));
    kill 'KILL', $writer;
    waitpid $writer, 0;
    is($backup->{done}{event}, 'done', 'backup under heavy writes, the server\'s buffers small') or diag explain $backup->{done};
    my $target = start_redis();
    is(redis_restore($settings, $store, redis_url($target), $backup, mode => 'clone')->{done}{event}, 'done', 'its restore');
    my $bad = 0;
    my $r = $target->client;
    my $s = $server->client;
    for my $i (1 .. 20000)
    {
        $bad++ if $i % 97 == 0 && ($r->do('GET', "key:$i") // '') ne $s->do('GET', "key:$i");
    }
    is($bad, 0, 'what was not written to is there, unchanged');
    is($r->do('DEBUG', 'DIGEST-VALUE', 'key:77')->[0], $digest, 'byte by byte');
    # The customer's writes alone may have cut it off for a moment.
    ok(wait_for(sub { $replica->client->do('INFO', 'replication') =~ /master_link_status:up/ }, 20, 'its link is up'), 'the replica stayed');

    # A restore into a server with a replica: both end the same.
    is(redis_restore($settings, $store, redis_url($server), $backup)->{done}{event}, 'done', 'rewind of a master');
    wait_for(sub { $replica->client->do('DEBUG', 'DIGEST') eq $s->do('DEBUG', 'DIGEST') }, 30, 'replica and master are equal');
    is($replica->client->do('DEBUG', 'DIGEST'), $s->do('DEBUG', 'DIGEST'), 'the replica has what the master has');
    my $refused = redis_restore($settings, $store, redis_url($replica), $backup);
    is($refused->{done}{reason}, 'not_restorable', 'a restore into a replica is refused');
    like($refused->{done}{detail}, qr/is a replica: restore into its master/, 'with a sentence');
    wait_for(sub { $replica->client->do('INFO', 'replication') =~ /master_link_status:up/ }, 20, 'its link is up');
    my $from = redis_backup($settings, $store, redis_url($replica));
    is($from->{done}{event}, 'done', 'a backup from a replica');
    $server->stop;
    wait_for(sub { $replica->client->do('INFO', 'replication') =~ /master_link_status:down/ }, 20, 'link down');
    my $orphan = redis_backup($settings, $store, redis_url($replica));
    is($orphan->{done}{reason}, 'unreachable', 'a replica that has lost its master gives no backup')
      or diag explain $orphan->{done};
    like($orphan->{done}{detail}, qr/has lost its master: what it holds may be old/, 'and says why');
}

{
    # A store that takes nothing for seconds, while the customer writes more than the server would keep for a replica.
    my $server = start_redis(conf => "client-output-buffer-limit replica 1mb 1mb 1\nrdbcompression no\n");
    strings($server, 60000, 1000);
    my $run = start_mover($settings, backup_job($settings, $store, redis_url($server), engine => 'redis', type => 'redis'));
    my $r = $server->client;
    wait_for(sub { $r->do('INFO', 'replication') =~ /connected_slaves:1/ }, 10, 'the snapshot begins');
    kill 'STOP', $run->{pid};
    my $longest = 0;
    my $end = time + 4;
    for (my $i = 0; time < $end; $i++)
    {
        my $begun = time;
        $r->do('SET', 'written:' . $i % 20000, 'w' x 3000);
        $longest = time - $begun if time - $begun > $longest;
    }
    like($r->do('INFO', 'replication'), qr/connected_slaves:1/, 'stopped for seconds, the backup is still connected');
    kill 'CONT', $run->{pid};
    my $result = run_mover($run);
    is(last_event($result)->{event}, 'done', 'and ends well') or diag explain last_event($result);
    is(last_event($result)->{counts}{keys}, 60000, 'with the keys of its beginning');
    ok($longest < 2, 'the customer could write all the while') or diag $longest;
}

# ---- too few databases, a cluster, a module's absence, large values

{
    my $server = start_redis();
    fill_everything($server);
    my $before = $server->everything;
    my $backup = redis_backup($settings, $store, redis_url($server));
    my $four = start_redis(conf => "databases 4\n");
    my $refused = redis_restore($settings, $store, redis_url($four), $backup);
    is($refused->{done}{reason}, 'not_restorable', 'too few databases');
    like($refused->{done}{detail}, qr/keys in database 9, and the target has only 4/, 'said');

    # It does not say how many it has, and would be restored in place.
    my $silent = start_redis(conf => "databases 4\nrename-command CONFIG \"\"\nrename-command SWAPDB \"\"\n");
    $silent->client->do('SET', 'live', 1);
    $refused = redis_restore($settings, $store, redis_url($silent), $backup);
    is($refused->{done}{reason}, 'not_restorable', 'too few databases, where CONFIG is refused') or diag explain $refused->{done};
    like($refused->{done}{detail}, qr/refused SELECT 9, where the backup has keys: ERR DB index is out of range/, 'said');
    is($silent->client->ask('GET', 'live'), 1, 'before anything is touched');

    # Ten databases: 0, 3 and 9 are live, three others are spare only if nobody uses them.
    my $ten = start_redis(conf => "databases 10\n");
    my @clients = map { my $c = $ten->client; $c->do('SELECT', $_); $c } 1, 2, 4, 5, 6;
    my $got = redis_restore($settings, $store, redis_url($ten), $backup, mode => 'clone');
    is($got->{done}{event}, 'done', 'no three databases that nobody has selected');
    like($got->{done}{left_alone}[0], qr/in place.*no 3 databases to spare/, 'so in place');
    same($ten->everything, $before, 'and all of it');

    my $cluster = start_redis(conf => "cluster-enabled yes\n");
    is(redis_backup($settings, $store, redis_url($cluster))->{done}{reason}, 'not_restorable', 'a cluster is not backed up');
    like(redis_restore($settings, $store, redis_url($cluster), $backup)->{done}{detail}, qr/part of a cluster/,
        'and not restored into');

    # A Sentinel answers as Redis does, and holds nothing.
    my $sentinel = start_redis(arguments => ['--sentinel']);
    for my $got (redis_backup($settings, $store, redis_url($sentinel)), redis_restore($settings, $store, redis_url($sentinel), $backup))
    {
        is($got->{done}{reason}, 'bad_url', 'a Sentinel is neither backed up nor restored into') or diag explain $got->{done};
        like($got->{done}{detail}, qr/is a Sentinel, which holds no data/, 'said');
    }

    my $narrow = start_redis(conf => "proto-max-bulk-len 1mb\n");
    $server->client->do('SET', 'wide', join '', map { chr(33 + $_ * 7919 % 90) . chr(33 + $_ * 104729 % 89) } 1 .. 1_000_000);
    my $wide = redis_backup($settings, $store, redis_url($server));
    $refused = redis_restore($settings, $store, redis_url($narrow), $wide);
    is($refused->{done}{reason}, 'not_restorable', 'a value that the target cannot take');
    like($refused->{done}{detail}, qr/proto-max-bulk-len/, 'is found before anything is touched');
    $narrow->client->do('CONFIG', 'SET', 'proto-max-bulk-len', '512mb', 'client-query-buffer-limit', '1mb');
    like(redis_restore($settings, $store, redis_url($narrow), $wide)->{done}{detail}, qr/client-query-buffer-limit/,
        'a command that the target would cut off, too');

    my $one = start_redis(conf => "databases 1\n");
    $one->client->do('SET', 'only', 1);
    my $single = redis_backup($settings, $store, redis_url($one));
    like(redis_restore($settings, $store, redis_url($one), $single)->{done}{left_alone}[0], qr/in place.*no database to spare/,
        'a server of one database: in place');
}

# ---- expired meanwhile

{
    my $server = start_redis();
    strings($server, 1000, 10);
    my $r = $server->client;
    # Expired at once; a server that does not look for such keys still has them in its file.
    $r->do('DEBUG', 'SET-ACTIVE-EXPIRE', 0);
    $r->do('PEXPIRE', "key:$_", 1) for 1 .. 100;
    my $backup = redis_backup($settings, $store, redis_url($server));
    is($backup->{done}{counts}{expires}, 100, 'keys that are to expire are in the backup');
    my $target = start_redis();
    my $got = redis_restore($settings, $store, redis_url($target), $backup, mode => 'clone');
    is($got->{done}{event}, 'done', 'a restore after some keys have expired');
    is($got->{done}{counts}{expired}, 100, 'they are left out and counted');
    is($target->client->do('DBSIZE'), 900, 'the others are there');
}

done_testing();
