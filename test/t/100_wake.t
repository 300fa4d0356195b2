# The worker wakes at the commit of a request, and sleeps otherwise.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(time sleep);
use PostgreSQL::Test::Utils;
use CustbackupTest;
use WorkerTest;

my $node = start_fake_control(conf => "custbackup.max_jobs = 2\n");
my $db = $node->{database};
ok(wait_for(sub { worker_pid($node) }, 20, 'worker'), 'the worker runs as soon as the extension is created');

# ---- latency
{
    my @delays;
    for (1 .. 5)
    {
        my $job = submit($node, 'ok');
        await($node, $job, 'ok');
        push @delays, $node->safe_psql($db, "SELECT round(1000 * extract(epoch FROM a.claimed_at - j.requested_at))
            FROM custbackup.jobs j JOIN custbackup.attempts a ON a.job_id = j.id WHERE j.id = '$job'");
    }
    my ($best) = sort { $a <=> $b } @delays;
    note("request to claim: @delays ms");
    cmp_ok($best, '<', 100, 'a request is claimed within 100 ms of its beginning');
}

# ---- what does not commit does not run
{
    my $id = new_uuid();
    $node->safe_psql($db, "INSERT INTO custbackup.resources (id, token, tier, resource_type, connection_url)
        VALUES ('$id', 'ok.rollback', 'pro', 'postgres', 'x')");
    my $before = () = fake_log($node, 'begin');
    $node->safe_psql($db, "BEGIN; SELECT custbackup.request_backup('$id'); ROLLBACK");
    $node->safe_psql($db, "BEGIN; SAVEPOINT s; SELECT custbackup.request_backup('$id'); ROLLBACK TO s; COMMIT");
    sleep 0.5;
    my $after = () = fake_log($node, 'begin');
    is($after, $before, 'a request that was rolled back starts nothing');

    my $job = $node->safe_psql($db, "BEGIN; SAVEPOINT s; SELECT custbackup.request_backup('$id'); RELEASE s; COMMIT");
    ok(await($node, $job, 'ok'), 'a request in a savepoint that was released runs at once');
}

# ---- idle
{
    my $worker = worker_pid($node);
    my $launcher = launcher_pid($node);
    sleep 1;
    my $before = cpu_ticks($worker) + cpu_ticks($launcher);
    sleep 3;
    is(cpu_ticks($worker) + cpu_ticks($launcher) - $before, 0, 'idle processes use no processor time in 3 s');
}

# ---- max_jobs
{
    my @jobs = map { submit($node, 'work') } 1 .. 4;
    wait_for(sub { movers_of($node) == 2 }, 20, 'two movers');
    sleep 0.5;
    is(scalar(movers_of($node)), 2, 'no more than custbackup.max_jobs at once');
    reconfigure($node, 'custbackup.max_jobs = 3');
    ok(wait_for(sub { movers_of($node) == 3 }, 20, 'three movers'), 'a raised limit takes effect at the reload');
    reconfigure($node, 'custbackup.max_jobs = 0');
    $node->safe_psql($db, "SELECT custbackup.cancel('$_')") for @jobs;
    await($node, $_, 'cancelled') for @jobs;
    my $paused = submit($node, 'ok');
    sleep 0.5;
    is(outcome_of($node, $paused), 'pending/-', 'max_jobs = 0 starts nothing');
    reconfigure($node, 'custbackup.max_jobs = 2');
    ok(await($node, $paused, 'ok', 5), 'and what waited runs when it is raised');
}

# ---- a transaction that is prepared: found without a wake, within a minute; here with the next request
SKIP:
{
    my $id = new_uuid();
    $node->safe_psql($db, "INSERT INTO custbackup.resources (id, token, tier, resource_type, connection_url)
        VALUES ('$id', 'ok.prepared', 'pro', 'postgres', 'x')");
    my ($status, $out, $err) = $node->psql($db, "BEGIN; SELECT custbackup.request_backup('$id'); PREPARE TRANSACTION 'p'");
    skip "requests cannot be prepared ($err)", 1 if $status != 0;
    $node->safe_psql($db, "COMMIT PREPARED 'p'");
    await($node, submit($node, 'ok'), 'ok');
    ok(wait_for(sub { $node->safe_psql($db, "SELECT status FROM custbackup.jobs WHERE resource_id = '$id'") eq 'ok' },
            5, 'prepared'), 'a request that was committed in two phases runs');
}

# ---- another database, and a server without the library
{
    $node->safe_psql('postgres', 'CREATE EXTENSION custbackup');
    my ($status, $out, $err) = $node->psql('postgres', 'SELECT custbackup.wake()');
    like($err, qr/WARNING:.*looks into database "$db"/, 'in another database than the worker\'s a request warns');
    like($err, qr/HINT:.*custbackup\.database/, 'and says what to do');
    is(log_count($node, qr/worker started/), 1, 'and disturbs nobody');

    $node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
    $node->restart;
    ($status, $out, $err) = $node->psql($db, 'SELECT custbackup.wake()');
    like($err, qr/WARNING:.*not in shared_preload_libraries/, 'without preload a request warns');
    like($err, qr/HINT:.*restart the server/, 'and says what to do');
    ($status, my $job, $err) = $node->psql($db, "SELECT custbackup.request_backup(id) FROM custbackup.resources LIMIT 1");
    is($status, 0, 'but is accepted');
    is(outcome_of($node, $job), 'pending/-', 'and waits');
}

never_twice($node);
done_testing();
