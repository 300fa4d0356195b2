# Many jobs: the worker grows neither in memory nor in descriptors.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(time sleep);
use PostgreSQL::Test::Utils;
use CustbackupTest;
use WorkerTest;

my $jobs = $ENV{CUSTBACKUP_MANY} // 1000;

# Quicker than Perl: it fails at once.
my $mover = PostgreSQL::Test::Utils::tempdir() . '/quick_mover';
append_to_file($mover, <<'SH');
#!/bin/sh
echo '{"event": "failed", "reason": "auth", "detail": "at once"}'
exit 1
SH
chmod 0755, $mover;

my $node = start_fake_control(conf => "custbackup.max_jobs = 20\n");
my $db = $node->{database};
reconfigure($node, "custbackup.mover = '$mover'");
wait_for(sub { worker_pid($node) }, 20, 'worker');
my $worker = worker_pid($node);

sub run_jobs
{
    my ($count) = @_;
    $node->safe_psql($db, <<"SQL");
INSERT INTO custbackup.resources (id, token, tier, resource_type, connection_url)
SELECT gen_random_uuid(), 'many-' || gen_random_uuid(), 'pro', 'postgres', 'x' FROM generate_series(1, $count);
SELECT count(custbackup.request_backup(r.id)) FROM custbackup.resources r
 WHERE NOT EXISTS (SELECT FROM custbackup.jobs j WHERE j.resource_id = r.id);
SQL
    return wait_for(sub { $node->safe_psql($db, "SELECT count(*) FROM custbackup.jobs WHERE status IN ('pending', 'running')") eq '0' },
        120, "$count jobs");
}

# Its caches fill first.
run_jobs(300);
my ($memory, $descriptors) = (resident_kb($worker), open_pipes($worker));
my $begun = time;
ok(run_jobs($jobs), "$jobs jobs have ended");
note(sprintf '%.1f s', time - $begun);
is($node->safe_psql($db, "SELECT count(*) FROM custbackup.jobs WHERE status = 'failed' AND reason = 'auth'"), 300 + $jobs, 'all of them as their movers said');
is(worker_pid($node), $worker, 'in one worker');
note("private memory $memory kB before, " . resident_kb($worker) . ' kB after');
cmp_ok(resident_kb($worker) - $memory, '<', 1024, 'whose memory is flat: less than a kB a job');
ok(wait_for(sub { open_pipes($worker) <= $descriptors }, 20, 'closed descriptors'), 'and so are its descriptors');

# ---- more jobs than descriptors: some fail and say so, and the worker goes on
{
    $node->append_conf('postgresql.conf', "max_files_per_process = 64\ncustbackup.max_jobs = 60\ncustbackup.mover = '$node->{mover}'");
    $node->restart;
    # All at once, on a slow machine too.
    $node->safe_psql($db, <<'SQL');
BEGIN;
INSERT INTO custbackup.resources (id, token, tier, resource_type, connection_url)
SELECT gen_random_uuid(), 'brief.' || g, 'pro', 'postgres', 'x' FROM generate_series(1, 30) AS g;
SELECT count(custbackup.request_backup(id)) FROM custbackup.resources WHERE token LIKE 'brief.%';
COMMIT;
SQL
    wait_for(sub { $node->safe_psql($db, "SELECT count(*) FROM custbackup.jobs WHERE status IN ('pending', 'running')") eq '0' }, 60, '30 jobs');
    my %count = map { split /\|/ } split /\n/, $node->safe_psql($db,
        "SELECT coalesce(reason::text, status), count(*) FROM custbackup.jobs WHERE token LIKE 'brief%' GROUP BY 1");
    is(($count{ok} // 0) + ($count{internal} // 0), 30, 'with few descriptors jobs are done or fail as internal');
    cmp_ok($count{ok} // 0, '>=', 2, 'those that can be held are done');
    cmp_ok($count{internal} // 0, '>=', 1, 'others fail');
    like($node->safe_psql($db, "SELECT detail FROM custbackup.jobs WHERE reason = 'internal' LIMIT 1"), qr/lower custbackup\.max_jobs or raise max_files_per_process/,
        'and say what to do');
    ok(await($node, submit($node, 'ok'), 'ok'), 'afterwards jobs run again');
}
done_testing();
