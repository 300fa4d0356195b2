# The real mover with a real pg_dump in the middle of its work, which waits for a lock that the test holds:
# whoever is killed or stopped, neither of them survives, and the same job succeeds once the fault is gone.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(time sleep);
use PostgreSQL::Test::Utils;
use CustbackupTest;
use WorkerTest qw(alive kill_postmaster worker_pid running_since outcome_of await attempt_of log_count);

my $control = start_control(conf => "log_line_prefix = '%m [%p] %b '\nrestart_after_crash = on\n");
my $customer = start_customer();
my $db = $control->{database};
my $port = $customer->port;
my $password = $customer->{customer}{password};
$customer->safe_psql('shop', 'SET ROLE app; CREATE TABLE t AS SELECT g FROM generate_series(1, 1000) g');
my $resource = add_resource($control, customer_url($customer));
my $store = $control->{store_dir};

my $locker;
sub hold_lock { $locker = $customer->background_psql('shop'); $locker->query_safe('BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE') }
sub let_go { $locker->query_safe('ROLLBACK'); $locker->quit }

# This control plane's movers, and the pg_dumps that they have started.
sub movers
{
    my $worker = worker_pid($control);
    return grep { parent_of($_) == $worker } processes_matching(qr/\Q$control->{mover}\E run --settings-fd=3/);
}

sub dumps
{
    my %ours = map { $_ => 1 } movers();
    return grep { $ours{ parent_of($_) } || $ours{ parent_of(parent_of($_)) } } processes_matching(qr/pg_dump/);
}

sub parent_of
{
    my ($pid) = @_;
    open my $status, '<', "/proc/$pid/status" or return 0;
    local $/;
    return <$status> =~ /^PPid:\s+(\d+)/m ? $1 : 0;
}

# A backup whose pg_dump waits for the lock.
sub waiting_backup
{
    hold_lock();
    my $job = $control->safe_psql($db, "SELECT custbackup.request_backup('$resource')");
    wait_for(sub { $customer->safe_psql('shop', "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pg_dump%' OR query ~* 'LOCK TABLE public.t'
        AND wait_event_type = 'Lock'") > 0 && dumps() }, 20, 'pg_dump waits');
    return $job;
}

sub ends_well
{
    my ($what, $job, @processes) = @_;
    ok(wait_for(sub { !alive(@processes) }, 20, 'gone'), "$what: mover and pg_dump are gone");
    let_go();
    ok(await($control, $job, 'ok', 60), "$what: the same job succeeds once the fault is gone");
    is(scalar(grep { !/\.json$/ } glob "$store/*/$job*"), 1, "$what: there is one object of it");
    is(scalar(glob "$store/*/.*[!.]*") // 0, 0, "$what: and nothing half-finished");
}

{
    my $job = waiting_backup();
    my @processes = (movers(), dumps());
    cmp_ok(scalar(@processes), '>=', 2, 'a mover and a pg_dump run');
    my $seen = '';
    for my $pid (@processes)
    {
        $seen .= slurp_file("/proc/$pid/cmdline");
        open my $environment, '<', "/proc/$pid/environ" or next;
        local $/;
        $seen .= <$environment> // '';
    }
    ok(index($seen, $password) < 0, 'no password is in their arguments or environment');
    kill 'KILL', movers();
    ends_well('mover killed', $job, @processes);
}
{
    my $job = waiting_backup();
    my @processes = (movers(), dumps());
    kill 'KILL', dumps();
    wait_for(sub { outcome_of($control, $job) =~ m{/dump} }, 20, 'judged');
    is(outcome_of($control, $job), 'failed/dump', 'pg_dump killed: its job has failed as dump');
    ok(wait_for(sub { !alive(@processes) }, 20, 'gone'), 'pg_dump killed: nothing is left');
    let_go();
}
{
    my $job = waiting_backup();
    my @processes = (movers(), dumps());
    kill 'STOP', movers();
    $control->append_conf('postgresql.conf', 'custbackup.stall_timeout = 3');
    $control->reload;
    ok(await($control, $job, 'failed', 30), 'mover stopped: its job ends');
    is(outcome_of($control, $job), 'failed/stalled', 'mover stopped: as stalled');
    ok(wait_for(sub { !alive(@processes) }, 20, 'gone'), 'mover stopped: nothing is left');
    $control->append_conf('postgresql.conf', 'custbackup.stall_timeout = 120');
    $control->reload;
    let_go();
}
{
    my $job = waiting_backup();
    my @processes = (movers(), dumps());
    my $begun = time;
    $control->safe_psql($db, "SELECT custbackup.cancel('$job')");
    ok(await($control, $job, 'cancelled', 10), sprintf 'cancelled: after %.1f s', time - $begun);
    ok(wait_for(sub { !alive(@processes) }, 20, 'gone'), 'cancelled: nothing is left');
    let_go();
}
{
    my $job = waiting_backup();
    my @processes = (movers(), dumps());
    kill 'KILL', worker_pid($control);
    sleep 0.2;
    wait_for(sub { ($control->psql('postgres', 'SELECT 1'))[0] == 0 }, 30, 'the server answers');
    ends_well('worker killed', $job, @processes);
}
for my $mode ('fast', 'immediate')
{
    my $job = waiting_backup();
    my @processes = (movers(), dumps());
    my $begun = time;
    $control->stop($mode);
    cmp_ok(time - $begun, '<', 10, "$mode stop: in under 10 s");
    ok(wait_for(sub { !alive(@processes) }, 20, 'gone'), "$mode stop: no process is left");
    $control->start;
    ends_well("$mode stop", $job, @processes);
}
{
    my $job = waiting_backup();
    my @processes = (movers(), dumps());
    kill_postmaster($control);
    ok(wait_for(sub { !alive(@processes) }, 20, 'gone'), 'postmaster killed: no process is left');
    $control->start;
    ends_well('postmaster killed', $job, @processes);
}
ok(log_count($control, qr/custbackup (worker|launcher).*\Q$password\E/) == 0, 'no password is in the log');
done_testing();
