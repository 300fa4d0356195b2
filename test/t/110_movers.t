# What a mover may do to its worker, and what becomes of the job.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(time sleep);
use PostgreSQL::Test::Utils;
use CustbackupTest;
use WorkerTest;

$ENV{AWS_PROFILE} = 'passed-on';
$ENV{HTTPS_PROXY} = 'http://proxy.example:3128';
$ENV{SECRET_OF_THE_SERVER} = 'not-passed-on';
my $node = start_fake_control(conf => "custbackup.max_jobs = 20\ncustbackup.stall_timeout = 3\n");
my $db = $node->{database};
wait_for(sub { worker_pid($node) }, 20, 'worker');
await($node, submit($node, 'ok'), 'ok');
my $pipes = open_pipes(worker_pid($node));

sub attempts_of
{
    my ($id) = @_;
    return $node->safe_psql($db, "SELECT string_agg(coalesce(reason::text, outcome), ' ' ORDER BY attempt)
        FROM custbackup.attempts WHERE job_id = '$id'");
}

sub detail_of
{
    my ($id) = @_;
    return $node->safe_psql($db, "SELECT coalesce(detail, '') FROM custbackup.attempts WHERE job_id = '$id' AND attempt = 1");
}

# ---- all at once: each ends as it should, whatever the others do
my %expected = (
    ok         => 'ok',
    fail       => 'auth',
    exit3      => 'mover_lost',
    exit0      => 'mover_lost',
    die        => 'mover_lost',
    unfinished => 'mover_lost',
    malformed  => 'protocol',
    illegal    => 'protocol',
    long       => 'protocol',
    endless    => 'protocol',
    nul        => 'protocol',
    latin1     => 'protocol',
    stderr     => 'mover_lost',
    noisy      => 'ok',
    lingers    => 'ok',
    orphan     => 'ok',
    closed     => 'stalled',
    closed_all => 'stalled',
    hang       => 'stalled',
    silent     => 'stalled',
    stop       => 'stalled',
    same       => 'stalled',
);
my %job = map { $_ => submit($node, $_) } sort keys %expected;
for my $mode (sort keys %expected)
{
    wait_for(sub { attempts_of($job{$mode}) }, 40, "$mode has been judged");
    like(attempts_of($job{$mode}), qr/^$expected{$mode}( |$)/, "$mode: $expected{$mode}");
}
like(detail_of($job{die}), qr/killed by signal 9.*it said: out of luck/, 'the detail tells the signal and the last words of stderr');
like(detail_of($job{exit3}), qr/status 3 without a last word/, 'or the exit status');
like(detail_of($job{stderr}), qr/the end$/, 'of a flood of stderr the end is kept');
cmp_ok(length detail_of($job{stderr}), '<', 2048, 'and no more');
like(detail_of($job{hang}), qr/no progress for 3 s.*custbackup\.stall_timeout/, 'a stall names its limit');
like(detail_of($job{long}), qr/longer than 64 KiB/, 'an over-long line is named');
like(detail_of($job{nul}), qr/NUL byte/, 'so is a NUL byte');
like(detail_of($job{latin1}), qr/UTF-8/, 'so is what is not UTF-8');

$node->safe_psql($db, "SELECT custbackup.cancel(id) FROM custbackup.jobs WHERE status IN ('pending', 'running')");
ok(wait_for(sub { !movers_of($node) }, 15, 'no mover'), 'no process is left of any of them, the orphan included');
ok(wait_for(sub { open_pipes(worker_pid($node)) == $pipes }, 20, 'descriptors'), 'and no descriptor');

# ---- proof of life
{
    my $alive = submit($node, 'alive');
    my $work = submit($node, 'work');
    sleep 6;
    is(outcome_of($node, $alive), 'running/-', 'a proof of life keeps a job whose bytes stand still');
    is(outcome_of($node, $work), 'running/-', 'growing figures do');
    $node->safe_psql($db, "SELECT custbackup.cancel('$alive'), custbackup.cancel('$work')");
    ok(await($node, $alive, 'cancelled', 4), 'a cancelled job ends at once');
    ok(await($node, $work, 'cancelled', 4), 'each of them');
}

# ---- cancel against a mover that does not listen
{
    my $deaf = submit($node, 'deaf');
    running_since($node, $deaf, 1);
    my $begun = time;
    $node->safe_psql($db, "SELECT custbackup.cancel('$deaf')");
    ok(await($node, $deaf, 'cancelled', 15), 'a deaf mover is cancelled too');
    my $took = time - $begun;
    ok($took > 4 && $took < 10, sprintf 'after its 5 s of grace (%.1f)', $took);
    is(scalar(movers_of($node)), 0, 'and is gone');
}

# ---- time limits
{
    reconfigure($node, 'custbackup.backup_timeout = 2');
    my $job = submit($node, 'work');
    ok(wait_for(sub { attempts_of($job) }, 20, 'timeout'), 'a job that takes too long is ended');
    like(attempts_of($job), qr/^timeout/, 'as a timeout');
    like(detail_of($job), qr/not done after 2 s.*custbackup\.backup_timeout/, 'and says which limit');
    $node->safe_psql($db, "SELECT custbackup.cancel('$job')");
    reconfigure($node, 'custbackup.backup_timeout = 1800');
    wait_for(sub { !movers_of($node) }, 20, 'gone');
}

# ---- a restore that is ended: its own last words tell what became of the target
{
    my $restore = sub {
        my ($mode) = @_;
        my $backup = submit($node, 'ok');
        await($node, $backup, 'ok');
        $node->safe_psql($db, "UPDATE custbackup.resources SET token = '$mode.r'
            WHERE id = (SELECT resource_id FROM custbackup.jobs WHERE id = '$backup')");
        my $job = $node->safe_psql($db, "SELECT custbackup.request_restore('$backup', safety_backup => false)");
        await($node, $job, 'failed', 15);
        return $node->safe_psql($db, "SELECT reason, target_modified, attempt FROM custbackup.jobs WHERE id = '$job'");
    };
    is($restore->('apply'), 'stalled|f|1', 'a stalled restore whose mover could still say that nothing was changed');
    is($restore->('applydie'), 'mover_lost|t|1', 'one whose mover died while it applied: possibly changed, and not tried again');
}

# ---- what it inherits
{
    await($node, submit($node, 'environment'), 'ok');
    my $seen = slurp_file("$node->{spool}/environment");
    note($seen);
    like($seen, qr/^AWS_PROFILE=passed-on$/m, 'AWS_* is passed on');
    unlike($seen, qr/SECRET_OF_THE_SERVER|PGDATA|PGHOST|HOME|PROXY/, 'nothing else of the server\'s environment is');
    like($seen, qr{^cwd /$}m, 'its directory is /');
    like($seen, qr/^group own$/m, 'its group is its own');
    like($seen, qr/^SigBlk:\s+0+$/m, 'no signal is blocked');
    # Signal 8 is ignored by Perl itself, 32 and 33 by the C library in whatever it spawns.
    my ($ignored) = $seen =~ /^SigIgn:\s+([0-9a-f]+)$/m;
    is(hex($ignored) & 0x7fffffff & ~0x80, 0, 'none is ignored');
    like($seen, qr/^fd 0 \/memfd:custbackup job/m, 'its job lies in memory');
    like($seen, qr/^fd 3 \/memfd:custbackup settings/m, 'its settings do');
    unlike($seen, qr/^fd \d+ .*(pgdata|global|base\/|PG_VERSION|socket|eventpoll)/m, 'no descriptor of the server is inherited');
}

# ---- a mover that cannot be started
for my $case ([ nproc => 0, qr/Resource temporarily unavailable; lower custbackup\.max_jobs$/ ],
    [ nofile => 20, qr/Too many open files; lower custbackup\.max_jobs or raise max_files_per_process$/ ])
{
    my ($limit, $value, $detail) = @$case;
    my $worker = worker_pid($node);
    my ($soft) = `prlimit --pid $worker --$limit --raw --noheadings -o SOFT` =~ /(\w+)/;
    system("prlimit --pid $worker --$limit=$value:") == 0 or die;
    my $job = submit($node, 'ok');
    ok(await($node, $job, 'failed', 20), "no $limit left: the job fails");
    like(detail_of($job), $detail, 'and says what lacks');
    system("prlimit --pid $worker --$limit=$soft:") == 0 or die;
    ok(await($node, submit($node, 'ok'), 'ok', 10), 'the next one succeeds');
    is(worker_pid($node), $worker, 'by the same worker');
}
{
    reconfigure($node, "custbackup.mover = '/nonexistent/custbackup'");
    my $job = submit($node, 'ok');
    wait_for(sub { attempts_of($job) }, 20, 'judged');
    like(attempts_of($job), qr/^config/, 'a missing executable is a matter of configuration');
    like(detail_of($job), qr{cannot start /nonexistent/custbackup: No such file.*custbackup\.mover}, 'and is named');
}

never_twice($node);
is(log_count($node, qr/custbackup (worker|launcher).*ciphertext/), 0, 'no connection URL is in the worker\'s log, not even as ciphertext');
done_testing();
