# Redis: a restore killed at any point, followed by a backup and by another restore.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use CustbackupTest;
use RedisTest;
use IO::Select;
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(time sleep);

my ($settings, $store, $directory) = mover_settings();
my $source = start_redis();
fill_everything($source);
$source->client->do('EVAL', 'for i = 1, 60000 do redis.call("SET", "key:" .. i, i .. string.rep("v", i % 300)) end', 0);
my $wanted_digest = $source->client->do('DEBUG', 'DIGEST');
my $backup = redis_backup($settings, $store, redis_url($source));
is($backup->{done}{event}, 'done', 'the backup to restore');

# A target with other data in two of the same databases and one more; a role of TCP that we can hold up.
sub live_target
{
    my (%option) = @_;
    my $target = start_redis(%option);
    my $r = $target->client;
    $r->do('EVAL', 'for i = 1, 500 do redis.call("SET", "old:" .. i, i) end', 0);
    $r->do('SELECT', 3);
    $r->do('SET', 'old', 'in 3');
    $r->do('SELECT', 5);
    $r->do('SET', 'old', 'in 5');
    return $target;
}

sub live_part
{
    my ($target) = @_;
    return join "\n", map { $target->everything(database => $_) } 0, 3, 5;
}

# The number of a spare database, as soon as there are thousands of keys in one.
sub filled
{
    my ($r) = @_;
    for (my $end = time + 30; time < $end;)
    {
        return $1 if $r->do('INFO', 'keyspace') =~ /^db(1\d):keys=\d{4}/m;
    }
    die 'no spare database was seen';
}

# Starts a restore and kills the mover once the target shows what the condition wants.
sub kill_when
{
    my ($target, $signal, $condition, %option) = @_;
    my $job = restore_job($settings, $store, redis_url($target), $backup->{job}, $backup->{done},
        engine => 'redis', type => 'redis', %option);
    my $run = start_mover($settings, $job);
    my $r = $target->client;
    my $end = time + 30;
    while (time < $end && !$condition->($r)) { }
    # Held first, so that it gets no further while we aim.
    kill 'STOP', $run->{pid};
    kill $signal, $run->{pid};
    kill 'CONT', $run->{pid};
    my $result = run_mover($run);
    return { %$result, done => last_event($result), job => $job };
}

my $resource = $backup->{job}{resource}{id};
for my $round (1, 3, 6)
{
    my $target = live_target();
    my $before = live_part($target);
    my $keys = 8000 * $round;
    my $there = "$directory/$keys-keys";
    my ($pid, $port) = proxy($target, sub { mkdir $there; sleep 60 }, at => 'RESTORE', after => $keys);
    my $run = start_mover($settings, restore_job($settings, $store, redis_url($target, port => $port), $backup->{job}, $backup->{done},
            engine => 'redis', type => 'redis'));
    wait_for(sub { -d $there }, 30, "killed after $keys keys");
    kill 'KILL', $run->{pid}, $pid;
    run_mover($run);
    waitpid $pid, 0;
    same(live_part($target), $before, "killed after $keys keys: what was live is as it was");
    my $spares = () = $target->client->do('INFO', 'keyspace') =~ /^db1\d:/mg;
    is($spares, 3, "killed after $keys keys: something was left behind");

    # A backup passes over what was left; a restore from it as well.
    my $again = redis_backup($settings, $store, redis_url($target), resource_id => $resource);
    is($again->{done}{event}, 'done', 'a backup of the target') or diag explain $again->{done};
    is($again->{done}{counts}{keys}, 502, 'counts what is live');
    like($again->{done}{notes}[0] // '', qr/leftovers of a restore/, 'and says what it passes over');
    my $copy = start_redis();
    my $from = redis_restore($settings, $store, redis_url($copy), $again, mode => 'clone');
    is($from->{done}{event}, 'done', 'a restore from that backup') or diag explain $from->{done};
    like($from->{done}{left_alone}[0] // '', qr/leftovers/, 'leaves them alone');
    my $kept = join ' ', $copy->client->do('INFO', 'keyspace') =~ /^db(\d+):/mg;
    is($kept, '0 3 5', 'and brings the live databases only');

    # The next restore sweeps and succeeds.
    my $next = redis_restore($settings, $store, redis_url($target), $backup, resource_id => $resource);
    is($next->{done}{event}, 'done', 'the next restore') or diag explain $next->{done};
    is($target->client->do('DEBUG', 'DIGEST'), $wanted_digest, 'brings everything, and nothing else is left');
}

# SIGTERM undoes by itself.
{
    my $target = live_target();
    my $before = $target->everything;
    my $killed = kill_when($target, 'TERM', sub { $_[0]->do('INFO', 'keyspace') =~ /^db1\d:keys=\d{4}/m });
    is($killed->{done}{reason}, 'cancelled', 'SIGTERM: cancelled') or diag explain $killed->{events};
    ok(!$killed->{done}{target_modified}, 'SIGTERM: the target was not modified');
    same($target->everything, $before, 'SIGTERM: and no spare database is left');
}

# The server dies in the middle.
{
    my $target = live_target(conf => "appendonly yes\nappendfsync always\n");
    my $before = $target->everything;
    my $job = restore_job($settings, $store, redis_url($target), $backup->{job}, $backup->{done}, engine => 'redis', type => 'redis');
    my $run = start_mover($settings, $job);
    my $r = $target->client;
    filled($r);
    $target->stop;
    my $result = run_mover($run);
    is(last_event($result)->{reason}, 'unreachable', 'the server killed: unreachable');
    ok(!last_event($result)->{target_modified}, 'not modified');
    $target->start;
    wait_for(sub { ($target->client->ask('PING') // '') eq 'PONG' }, 10, 'started again');
    is(redis_restore($settings, $store, redis_url($target), $backup, resource_id => $resource)->{done}{event}, 'done', 'the next restore');
    is($target->client->do('DEBUG', 'DIGEST'), $wanted_digest, 'is whole');
}

# In place (no SWAPDB), killed: the mark tells the next backup, the next restore mends it.
{
    my $target = live_target(conf => "rename-command SWAPDB \"\"\n");
    my $killed = kill_when($target, 'KILL', sub { $_[0]->do('DBSIZE') > 5000 });
    my $note = redis_backup($settings, $store, redis_url($target), resource_id => $resource);
    is($note->{done}{event}, 'done', 'a backup after a restore in place that was killed');
    like($note->{done}{notes}[0], qr/a restore into database \d did not come to its end/, 'says so');
    my $next = redis_restore($settings, $store, redis_url($target), $backup, resource_id => $resource);
    is($next->{done}{event}, 'done', 'the next restore') or diag explain $next->{done};
    like($next->{done}{left_alone}[0], qr/in place.*SWAPDB/, 'in place, and why');
    is($target->client->do('DEBUG', 'DIGEST'), $wanted_digest, 'is whole');
}

# Somebody writes into a spare database, or takes its mark away: the swap does not take place.
{
    my $target = live_target();
    my $before = $target->everything;
    my $job = restore_job($settings, $store, redis_url($target), $backup->{job}, $backup->{done}, engine => 'redis', type => 'redis');
    my $run = start_mover($settings, $job);
    my $r = $target->client;
    my $spare = filled($r);
    kill 'STOP', $run->{pid};
    $r->do('SELECT', $spare);
    $r->do('SET', 'intruder', 1);
    kill 'CONT', $run->{pid};
    my $result = run_mover($run);
    is(last_event($result)->{event}, 'failed', 'an intruder in a spare database fails the restore');
    ok(!last_event($result)->{target_modified}, 'and nothing live was touched');
    same($target->everything, $before, 'as it was');
}

# A clone in place, killed: its next attempt finds no empty target, but what it left itself.
{
    my $target = start_redis(conf => "rename-command SWAPDB \"\"\n");
    my $clone = new_uuid();
    kill_when($target, 'KILL', sub { $_[0]->do('DBSIZE') > 5000 }, mode => 'clone', resource_id => $clone);
    my $next = redis_restore($settings, $store, redis_url($target), $backup, mode => 'clone', resource_id => $clone);
    is($next->{done}{event}, 'done', 'a clone in place that was killed can be tried again') or diag explain $next->{done};
    is($target->client->do('DEBUG', 'DIGEST'), $wanted_digest, 'is whole');
}

# The connection breaks at the last command: what happened is found out. The preflight names these commands once, for the right to them.
# Options: at (the command), told_by (another one that was named more than so many times, after, before it).
sub proxy
{
    my ($target, $mode, %option) = @_;
    my $at = $option{at} // 'EXEC';
    my $told_by = $option{told_by} // ($option{at} ? $at : 'SWAPDB');
    my $after = $option{after} // 1;
    my $listener = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1') or die $!;
    my $port = $listener->sockport;
    my $pid = fork // die;
    if ($pid == 0)
    {
        my $broken = 0;
        while (my $client = $listener->accept)
        {
            my $server = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $target->{port}) or last;
            my $select = IO::Select->new($client, $server);
            my $told = 0;
            CONNECTION: while (1)
            {
                for my $from ($select->can_read)
                {
                    sysread $from, my $bytes, 65536 or last CONNECTION;
                    $told += () = $bytes =~ /\r\n$told_by\r\n/g if $from == $client;
                    if ($from == $client && !$broken && $told > $after && $bytes =~ /\r\n$at\r\n/)
                    {
                        $broken = 1;
                        # What happens on the server just before the command arrives.
                        if (ref $mode) { $mode->($server, $bytes) }
                        else
                        {
                            syswrite $server, $bytes if $mode ne 'not sent';
                            sleep 0.3;
                            exit if $mode eq 'server gone';
                            last CONNECTION;
                        }
                    }
                    my $to = $from == $client ? $server : $client;
                    while (length $bytes) { my $n = syswrite $to, $bytes or last CONNECTION; substr $bytes, 0, $n, '' }
                }
            }
            close $client;
            close $server;
        }
        exit;
    }
    close $listener;
    return ($pid, $port);
}

for my $case (
    [ 'sent', 'done', undef, 1 ],
    [ 'not sent', 'failed', 'unreachable', 0 ],
    [ 'server gone', 'failed', 'lost_commit', 1 ],
  )
{
    my ($mode, $event, $reason, $modified) = @$case;
    my $target = live_target();
    my $before = $target->everything;
    my ($pid, $port) = proxy($target, $mode);
    my $got = redis_restore($settings, $store, redis_url($target, port => $port), $backup, resource_id => $resource);
    kill 'KILL', $pid;
    waitpid $pid, 0;
    is($got->{done}{event}, $event, "the answer to EXEC is lost ($mode): $event") or diag explain $got->{done};
    is($got->{done}{reason}, $reason, 'its reason');
    is(!!$got->{done}{target_modified}, !!$modified, 'target_modified is told truly');
    if ($mode eq 'sent') { is($target->client->do('DEBUG', 'DIGEST'), $wanted_digest, 'it was committed') }
    elsif ($mode eq 'not sent') { same($target->everything, $before, 'nothing is left of it') }
}

# Killed at the end: before the swap, behind it, and while what was there before is removed.
for my $case (
    [ 'before EXEC', 0, 3 ],
    [ 'behind EXEC', 1, 3, forward => 1 ],
    [ 'between two removals', 1, 2, at => 'FLUSHDB', after => 3 ],
  )
{
    my ($moment, $swapped, $left, %option) = @$case;
    my $target = live_target();
    my $before = live_part($target);
    my $there = "$directory/" . $moment =~ tr/ /-/r;
    my ($pid, $port) = proxy($target, sub {
        my ($server, $bytes) = @_;
        syswrite $server, $bytes if $option{forward};
        sleep 0.2;
        mkdir $there;
        sleep 60;
    }, %option);
    my $run = start_mover($settings, restore_job($settings, $store, redis_url($target, port => $port), $backup->{job}, $backup->{done},
            engine => 'redis', type => 'redis', resource_id => $resource));
    wait_for(sub { -d $there }, 30, "killed $moment");
    kill 'KILL', $run->{pid}, $pid;
    run_mover($run);
    waitpid $pid, 0;
    same(live_part($target), $before, 'what was live is as it was') unless $swapped;
    my @marked = $target->client->do('INFO', 'keyspace') =~ /^db(1\d):/mg;
    is(@marked, $left, 'spare databases are left');

    my $again = redis_backup($settings, $store, redis_url($target), resource_id => $resource);
    is($again->{done}{counts}{keys}, $swapped ? $backup->{done}{counts}{keys} : 502, 'a backup counts what is live') or diag explain $again->{done};
    is(scalar(grep { /leftovers of a restore/ } @{ $again->{done}{notes} }), $left, 'and names what it passes over');
    my $copy = start_redis();
    is(redis_restore($settings, $store, redis_url($copy), $again, mode => 'clone')->{done}{event}, 'done', 'a restore from it');
    $swapped ? is($copy->client->do('DEBUG', 'DIGEST'), $wanted_digest, 'brings that alone') : same(live_part($copy), $before, 'brings that alone');
    is(redis_restore($settings, $store, redis_url($target), $backup, resource_id => $resource)->{done}{event}, 'done', 'the next restore');
    is($target->client->do('DEBUG', 'DIGEST'), $wanted_digest, 'is whole, and leaves nothing else');
}

{
    # In place: what is left to be done is done once more.
    my $target = live_target(conf => "rename-command SWAPDB \"\"\n");
    my ($pid, $port) = proxy($target, 'sent', at => 'DEL');
    my $got = redis_restore($settings, $store, redis_url($target, port => $port), $backup, resource_id => $resource);
    kill 'KILL', $pid;
    waitpid $pid, 0;
    is($got->{done}{event}, 'done', 'in place, the answer to the last command is lost: done') or diag explain $got->{done};
    is($target->client->do('DEBUG', 'DIGEST'), $wanted_digest, 'whole, and without a mark');

    # Cancelled in place, the row says so, and the mark as well.
    my $cancelled = kill_when($target, 'TERM', sub { $_[0]->do('DBSIZE') < 5000 && $_[0]->do('EXISTS', 'custbackup:restore:unfinished:5f0c7a9d41e84b53') });
    is($cancelled->{done}{reason}, 'cancelled', 'in place, SIGTERM: cancelled');
    ok($cancelled->{done}{target_modified}, 'the target was modified');
    is($target->client->do('EXISTS', 'custbackup:restore:unfinished:5f0c7a9d41e84b53'), 1, 'and is marked');
}

# Two at once, into databases of one server: whoever comes second to a spare database takes another.
for my $case ([ 16, 'done', 15, 14, 13 ], [ 10, 'failed', 8, 7, 6, 4 ])
{
    my ($databases, $event, @taken) = @$case;
    my $target = live_target(conf => "databases $databases\n");
    my ($pid, $port) = proxy($target, sub {
        my $r = $target->client;
        for my $i (0 .. $#taken)
        {
            $r->do('SELECT', $taken[$i]);
            # Being filled; swapped, and about to be removed; a customer's.
            $r->do('SET', ('custbackup:spare:filling:5f0c7a9d41e84b53', 'custbackup:spare:replaced:5f0c7a9d41e84b53', 'mine')[ $i % 3 ], 'of another');
        }
    }, at => 'SET');
    my $got = redis_restore($settings, $store, redis_url($target, port => $port), $backup, resource_id => $resource);
    kill 'KILL', $pid;
    waitpid $pid, 0;
    is($got->{done}{event}, $event, @taken . " spare databases of $databases are taken at the last moment: $event") or diag explain $got->{done};
    is($got->{done}{reason}, 'target_busy', 'too many of them') if $event eq 'failed';
    is(!$got->{done}{target_modified}, $event eq 'failed', 'target_modified is told truly');
    my $r = $target->client;
    my %keys = $r->do('INFO', 'keyspace') =~ /^db(\d+):keys=(\d+),/mg;
    is_deeply([ map { delete $keys{$_} } @taken ], [ map { 1 } @taken ], 'what others have put there is there');
    is(join(' ', sort keys %keys), $event eq 'done' ? '0 3 9' : '0 3 5', 'and nothing beside it but what is live');
    for my $number (@taken) { $r->do('SELECT', $number); $r->do('FLUSHDB') }
    is($r->do('DEBUG', 'DIGEST'), $wanted_digest, 'which is whole') if $event eq 'done';
}

# A database of the backup's that carries the mark of another resource: from the beginning, or meanwhile.
for my $mark ('filling', 'replaced', 'meanwhile')
{
    my $target = live_target();
    my $r = $target->client;
    my $of_another = sub {
        $r->do('SELECT', 9);
        $r->do('MSET', 'custbackup:spare:' . ($mark eq 'meanwhile' ? 'filling' : $mark) . ':5f0c7a9d41e84b53', 'of another', 'neighbour', 1);
    };
    $of_another->() if $mark ne 'meanwhile';
    my ($pid, $port) = proxy($target, $of_another, at => 'WATCH');
    my $before = $target->everything;
    my $got = redis_restore($settings, $store, redis_url($target, port => $port), $backup, resource_id => $resource);
    kill 'KILL', $pid;
    waitpid $pid, 0;
    is($got->{done}{reason}, 'target_busy', "another restore's database ($mark): target_busy") or diag explain $got->{done};
    like($got->{done}{detail}, qr/database 9 of/, 'which');
    ok(!$got->{done}{target_modified}, 'not modified');
    same($target->everything(skip => $mark eq 'meanwhile' ? qr/^custbackup:spare|^neighbour/ : undef), $before, 'as it was');
}

# Two at once.
{
    my $target = live_target();
    my $job = restore_job($settings, $store, redis_url($target), $backup->{job}, $backup->{done}, engine => 'redis', type => 'redis');
    my $run = start_mover($settings, $job);
    my $r = $target->client;
    filled($r);
    kill 'STOP', $run->{pid};
    my $second = redis_restore($settings, $store, redis_url($target), $backup, resource_id => $resource);
    is($second->{done}{reason}, 'target_busy', 'a second restore of the same resource is refused') or diag explain $second->{done};
    kill 'CONT', $run->{pid};
    is(last_event(run_mover($run))->{event}, 'done', 'the first one ends well');
    is($target->client->do('DEBUG', 'DIGEST'), $wanted_digest, 'and is whole');
}

# A save of the target's fails while it is restored, and from then on it refuses writes.
for my $at ('RESTORE', 'EXEC')
{
    my $target = live_target(conf => "save 3600 1000000\nstop-writes-on-bgsave-error no\nenable-protected-configs yes\n");
    my $gone = "$directory/gone-at-$at";
    mkdir $gone or die $!;
    $target->client->do('CONFIG', 'SET', 'dir', $gone);
    rmdir $gone or die $!;
    $target->client->do('BGSAVE');
    wait_for(sub { $target->client->do('INFO', 'persistence') =~ /rdb_last_bgsave_status:err/ }, 30, 'a save has failed');
    my $before = live_part($target);
    my $refuse = sub { $target->client->do('CONFIG', 'SET', 'stop-writes-on-bgsave-error', $_[0]) };
    my ($pid, $port) = proxy($target, sub { $refuse->('yes') }, at => $at, $at eq 'EXEC' ? (told_by => 'SWAPDB') : (after => 8000));
    my $got = redis_restore($settings, $store, redis_url($target, port => $port), $backup);
    kill 'KILL', $pid;
    waitpid $pid, 0;
    is($got->{done}{reason}, 'restore', "writes refused at $at: failed") or diag explain $got->{done};
    like($got->{done}{detail}, qr/refused $at.*MISCONF/, 'in the server\'s words');
    ok(!$got->{done}{target_modified}, 'target not modified');
    same(live_part($target), $before, 'which is true');
    $refuse->('no');
    my $next = redis_restore($settings, $store, redis_url($target), $backup, resource_id => $got->{job}{resource}{id});
    is($next->{done}{event}, 'done', 'when it saves again, the next restore') or diag explain $next->{done};
    is($target->client->do('DEBUG', 'DIGEST'), $wanted_digest, 'brings everything, and nothing else is left');
}

done_testing();
