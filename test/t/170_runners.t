# Runners on other hosts: the worker gives back what a silent one has left, by its own clock, and nothing else.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(time sleep);
use PostgreSQL::Test::Utils;
use CustbackupTest;
use WorkerTest;

my $node = start_fake_control(conf => "custbackup.max_jobs = 0\ncustbackup.lease_timeout = 6\n");
my $db = $node->{database};
wait_for(sub { worker_pid($node) }, 20, 'worker');

my ($silent, $living) = (submit($node, 'ok'), submit($node, 'ok'));
is($node->safe_psql($db, "SELECT count(*) FROM custbackup.claim('elsewhere', 2)"), 2, 'another runner claims two jobs');
my $attempt = $node->safe_psql($db, "SELECT attempt_id FROM custbackup.jobs WHERE id = '$living'");
# The worker looks for others once a minute; a new one is found at its start.
my $begun = time;
$node->safe_psql('postgres', 'SELECT pg_terminate_backend(' . worker_pid($node) . ')');
wait_for(sub { worker_pid($node) }, 20, 'worker');

my $taken;
while (time - $begun < 14)
{
    $node->safe_psql($db, "SELECT * FROM custbackup.renew('elsewhere', ARRAY['$attempt'::uuid])");
    $taken //= time - $begun if outcome_of($node, $silent) eq 'pending/-';
    sleep 0.5;
}
ok(defined $taken && $taken > 5 && $taken < 12, sprintf 'the job of the silent lease goes back after its timeout (%.1f s)', $taken // -1);
is(outcome_of($node, $living), 'running/-', 'the one that is renewed stays');
like($node->safe_psql($db, "SELECT detail FROM custbackup.attempts WHERE job_id = '$silent'"), qr/runner elsewhere let its lease run out/,
    'the attempt says why');
is(log_count($node, qr/the lease of attempt .* has run out/), 1, 'so does the log');

$node->append_conf('postgresql.conf', 'custbackup.max_jobs = 2');
$node->reload;
ok(await($node, $silent, 'ok', 30), 'the worker does that job');
is($node->safe_psql($db, "SELECT status FROM custbackup.jobs WHERE id = '$living'"), 'running', 'and leaves the other alone');
done_testing();
