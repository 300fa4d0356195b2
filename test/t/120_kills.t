# Whatever is killed: no process of ours survives, and the jobs run again, once at a time.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(time sleep);
use PostgreSQL::Test::Utils;
use CustbackupTest;
use WorkerTest;

my $node = start_fake_control(conf => "custbackup.max_jobs = 8\nrestart_after_crash = on\n");
my $db = $node->{database};
wait_for(sub { worker_pid($node) }, 20, 'worker');

# Waits for the server to answer again.
sub answers
{
    return wait_for(sub { ($node->psql('postgres', 'SELECT 1'))[0] == 0 }, 30, 'the server answers');
}

# Jobs that have begun, by what their movers do; their ids.
sub jobs_that
{
    my @jobs = map { submit($node, $_) } @_;
    running_since($node, $_, 1) for @jobs;
    return @jobs;
}

# One of them does not hear SIGTERM.
sub two_running { return jobs_that('work', 'deaf') }

sub run_again
{
    my ($what, $seconds, @jobs) = @_;
    my $begun = time;
    running_since($node, $_, 2, $seconds) for @jobs;
    ok(time - $begun < $seconds, sprintf "$what: its jobs run again within $seconds s (%.1f)", time - $begun);
    is(scalar(movers_of($node)), scalar(@jobs), "$what: in one mover each");
    finish(@jobs);
}

# Without the grace that a deaf mover has.
sub finish
{
    my (@jobs) = @_;
    $node->safe_psql($db, "SELECT custbackup.cancel('$_')") for @jobs;
    kill 'KILL', movers_of($node);
    await($node, $_, 'cancelled', 10) for @jobs;
}

sub all_gone
{
    my ($what, $seconds, @movers) = @_;
    ok(wait_for(sub { !alive(@movers) }, $seconds, "$what: movers gone"), "$what: its movers are gone within $seconds s");
}

# ---- the mover: that job alone
{
    my @jobs = two_running();
    my $attempt = $node->safe_psql($db, "SELECT attempt_id FROM custbackup.jobs WHERE id = '$jobs[0]'");
    my ($pid) = map { /^(\d+) begin \Q$attempt\E/ ? $1 : () } fake_log($node, 'begin');
    kill 'KILL', $pid;
    ok(running_since($node, $jobs[0], 2, 30), 'mover killed: its job runs again within 30 s');
    is(attempt_of($node, $jobs[1]), 1, 'mover killed: the other job goes on');
    finish(@jobs);
}

# ---- the worker, by administrators
{
    my @jobs = two_running();
    my @movers = movers_of($node);
    my $worker = worker_pid($node);
    $node->safe_psql('postgres', "SELECT pg_terminate_backend($worker)");
    all_gone('worker terminated', 4, @movers);
    run_again('worker terminated', 30, @jobs);
    isnt(worker_pid($node), $worker, 'worker terminated: by another worker');
}

# ---- the launcher: its worker goes on, and stays the only one
{
    my @jobs = two_running();
    my $worker = worker_pid($node);
    my $launcher = launcher_pid($node);
    $node->safe_psql('postgres', "SELECT pg_terminate_backend($launcher)");
    ok(wait_for(sub { my $pid = launcher_pid($node); $pid && $pid ne $launcher }, 20, 'launcher'), 'launcher terminated: it is back');
    sleep 2;
    is(worker_pid($node), $worker, 'launcher terminated: the worker is the same, and the only one');
    is(attempt_of($node, $_), 1, 'launcher terminated: the job goes on') for @jobs;
    $node->safe_psql('postgres', "SELECT pg_terminate_backend($worker)");
    run_again('launcher, then worker terminated', 30, @jobs);
}

# ---- kill -9 of the worker, and of any backend: the cluster restarts
for my $victim ('custbackup worker', 'checkpointer')
{
    my @jobs = two_running();
    my @movers = movers_of($node);
    kill 'KILL', $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = '$victim'");
    all_gone("$victim killed", 4, @movers);
    answers();
    run_again("$victim killed", 30, @jobs);
}

# ---- stops, with jobs that work, do not hear, say nothing, and are stopped themselves
for my $mode ('fast', 'immediate')
{
    my @jobs = jobs_that(qw(work deaf hang stop));
    my @movers = movers_of($node);
    my $begun = time;
    $node->stop($mode);
    my $took = time - $begun;
    cmp_ok($took, '<', 10, sprintf "$mode stop: done in under 10 s with a job that ignores SIGTERM (%.1f)", $took);
    all_gone("$mode stop", 1, @movers);
    $node->start;
    run_again("$mode stop", 30, @jobs);
}

# ---- the postmaster
{
    my @jobs = two_running();
    my @movers = movers_of($node);
    my $worker = worker_pid($node);
    kill_postmaster($node);
    all_gone('postmaster killed', 10, @movers, $worker);
    $node->start;
    run_again('postmaster killed', 30, @jobs);
}

never_twice($node);
is(log_count($node, qr/PANIC|TRAP/), 0, 'nothing panicked');
done_testing();
