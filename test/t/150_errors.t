# Errors in SQL: logged, survived, and over when their cause is.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(time sleep);
use PostgreSQL::Test::BackgroundPsql;
use PostgreSQL::Test::Utils;
use CustbackupTest;
use WorkerTest;

my $node = start_fake_control(conf => "custbackup.max_jobs = 4\n");
my $db = $node->{database};
wait_for(sub { worker_pid($node) }, 20, 'worker');
my $worker = worker_pid($node);

# ---- a platform's view that fails at the claim
{
    my $running = submit($node, 'work');
    running_since($node, $running, 1);
    $node->safe_psql($db, <<'SQL');
CREATE ROLE platform;
CREATE SCHEMA platform AUTHORIZATION platform;
CREATE FUNCTION platform.switch() RETURNS boolean LANGUAGE plpgsql AS
    $$BEGIN IF current_setting('custbackup.max_jobs')::int = 4 THEN RAISE 'the platform''s view is broken'; END IF; RETURN true; END$$;
CREATE VIEW platform.resources AS SELECT * FROM custbackup.resources WHERE platform.switch();
GRANT USAGE ON SCHEMA custbackup TO platform;
GRANT SELECT ON custbackup.resources TO platform;
ALTER VIEW platform.resources OWNER TO platform;
SQL
    my $waiting = submit($node, 'ok');
    await($node, $waiting, 'ok');
    reconfigure($node, "custbackup.resource_source = 'platform.resources'");
    my ($status, $out, $err) = $node->psql($db, "INSERT INTO custbackup.jobs (kind, resource_id, resource_type)
        SELECT 'backup', id, resource_type FROM custbackup.resources WHERE token LIKE 'ok.%' RETURNING id");
    my ($job) = $out =~ /([0-9a-f-]{36})/;
    $node->safe_psql($db, 'SELECT custbackup.wake()');
    ok(wait_for(sub { log_count($node, qr/the platform's view is broken/) }, 20, 'logged'), 'an error in the platform\'s view is logged');
    sleep 3;
    cmp_ok(log_count($node, qr/the platform's view is broken/), '<', 6, 'not again and again');
    is(worker_pid($node), $worker, 'the worker survives it');
    is(attempt_of($node, $running), 1, 'and so does what runs');
    $node->safe_psql($db, "SELECT custbackup.cancel('$running')");
    ok(await($node, $running, 'cancelled', 5), 'which can be cancelled meanwhile');
    reconfigure($node, 'custbackup.max_jobs = 5');
    $node->safe_psql($db, "SELECT custbackup.request_backup(resource_id) FROM custbackup.jobs WHERE id = '$job'");
    ok(await($node, $job, 'ok', 30), 'once the view is mended its job runs');
    reconfigure($node, "custbackup.resource_source = 'custbackup.resources'\ncustbackup.max_jobs = 4");
}

# ---- a cancellation that is not committed keeps what its job says from being recorded, and no other's
{
    my $running = submit($node, 'work');
    running_since($node, $running, 1);
    my $session = $node->background_psql($db);
    $session->query("BEGIN; SELECT custbackup.cancel('$running')");
    my $before = log_count($node, qr/canceling statement due to lock timeout/);
    ok(wait_for(sub { log_count($node, qr/canceling statement due to lock timeout/) > $before }, 20, 'lock timeout'), 'the worker does not get the row');
    ok(await($node, submit($node, 'ok'), 'ok', 8), "while it waits, another job ($_) is done") for 1, 2;
    $session->query('COMMIT');
    $session->quit;
    ok(await($node, $running, 'cancelled', 40), 'and afterwards the first is cancelled');
}

# ---- source_resources(): clear errors, and nobody else's rights
{
    my ($status, $out, $err);
    my $as = sub { ($status, $out, $err) = $node->psql($db, "SET custbackup.resource_source = '$_[0]'; SELECT * FROM custbackup.source_resources()"); $err };
    like($as->('public.missing'), qr/custbackup\.resource_source names "public\.missing", which does not exist/, 'a missing relation is named');
    like($as->($_), qr/not of the form schema\.relation/, "\"$_\" is refused") for 'resources', '', 'a..b', 'a.b.c';
    like($as->('custbackup.jobs_pending'), qr/neither a table nor a view/, 'an index is refused');
    $node->safe_psql($db, "CREATE VIEW public.partly AS SELECT id, token, team_id FROM custbackup.resources");
    like($as->('public.partly'), qr/has no column "tier".*resource_type, connection_url/s, 'a lacking column is named');
    $node->safe_psql($db, <<'SQL');
CREATE FUNCTION platform.who() RETURNS text LANGUAGE plpgsql AS
    $$BEGIN RETURN current_user || ' ' || current_setting('search_path'); END$$;
CREATE VIEW platform.nosy AS SELECT gen_random_uuid()::text AS id, platform.who() AS token, NULL::text AS team_id, 'pro'::varchar AS tier,
    'postgres' AS resource_type, 'x' AS connection_url, 'active' AS status;
ALTER VIEW platform.nosy OWNER TO platform;
SQL
    $as->('platform.nosy');
    like($out, qr/\|platform pg_catalog, pg_temp\|/, 'a view runs as its owner, with a search_path of ours; its columns are cast');
    $node->safe_psql($db, q{CREATE VIEW platform.rough AS SELECT * FROM (VALUES
        ('11111111-1111-4111-8111-111111111111'::varchar, 'a', '', 'pro', 'postgres', 'x', 'active'), ('no uuid', 'b', NULL, 'pro', 'postgres', 'x', 'active'))
        AS rough (id, token, team_id, tier, resource_type, connection_url, status)});
    is($node->safe_psql($db, "SET custbackup.resource_source = 'platform.rough'; SELECT token, team_id IS NULL FROM custbackup.source_resources()"),
        'a|t', 'a row whose id is no uuid is passed over, not the end of all others');
    is($node->safe_psql($db, "SET custbackup.resource_source = 'platform.rough'; SELECT token FROM custbackup.source_resources('11111111-1111-4111-8111-111111111111')"),
        'a', 'and one can be asked for by its id');
    is($node->safe_psql($db, "SET custbackup.resource_source = 'platform.nosy'; SELECT count(*) FROM custbackup.source_resources(); SELECT current_user = session_user"),
        "1\nt", 'and the caller is the caller again');
    $node->safe_psql($db, "CREATE VIEW platform.greedy AS SELECT * FROM platform.nosy WHERE pg_read_file('postgresql.conf') <> ''; ALTER VIEW platform.greedy OWNER TO platform");
    like($as->('platform.greedy'), qr/permission denied for function pg_read_file/, 'it cannot do what its owner cannot');
    is($node->safe_psql($db, "SELECT count(*) FROM custbackup.source_resources((SELECT id FROM custbackup.resources LIMIT 1))"), 1, 'one resource by its id');
    ($status, $out, $err) = $node->psql($db, "SET ROLE platform; SET custbackup.resource_source = 'platform.nosy'");
    like($err, qr/permission denied to set parameter/, 'an ordinary role cannot redirect it');
}

# ---- a lock on the queue
{
    my $running = submit($node, 'work');
    running_since($node, $running, 1);
    my $locker = $node->background_psql($db);
    $locker->query_safe('BEGIN; LOCK custbackup.jobs, custbackup.attempts IN ACCESS EXCLUSIVE MODE');
    ok(wait_for(sub { log_count($node, qr/canceling statement due to lock timeout/) }, 20, 'lock'), 'a lock on the queue is not waited for without end');
    sleep 3;
    is(worker_pid($node), $worker, 'it is survived');
    is(scalar(movers_of($node)), 1, 'and the mover goes on');
    $locker->query_safe('COMMIT');
    $locker->quit;
    my $before = $node->safe_psql($db, "SELECT bytes_read FROM custbackup.attempts JOIN custbackup.jobs USING (attempt_id) WHERE job_id = '$running'");
    ok(wait_for(sub { $node->safe_psql($db, "SELECT bytes_read > $before FROM custbackup.attempts JOIN custbackup.jobs USING (attempt_id) WHERE job_id = '$running'") eq 't' },
            20, 'progress'), 'what it said meanwhile is recorded afterwards');
    is(attempt_of($node, $running), 1, 'by the same attempt');
    $node->safe_psql($db, "SELECT custbackup.cancel('$running')");
    await($node, $running, 'cancelled');
}

# ---- a cancelled query, a function that is gone for a while
{
    $node->safe_psql($db, 'ALTER FUNCTION custbackup.claim(text, integer, uuid[], timestamptz) RENAME TO claim_hidden');
    my $job = submit($node, 'ok');
    ok(wait_for(sub { log_count($node, qr/function custbackup\.claim.* does not exist/) }, 20, 'logged'), 'a missing function is logged');
    $node->safe_psql($db, 'ALTER FUNCTION custbackup.claim_hidden(text, integer, uuid[], timestamptz) RENAME TO claim');
    ok(await($node, $job, 'ok', 30), 'and when it is back the work goes on');
    $node->safe_psql($db, "SELECT pg_cancel_backend($worker)");
    sleep 0.5;
    is(worker_pid($node), $worker, 'pg_cancel_backend does not end the worker');
    ok(await($node, submit($node, 'ok'), 'ok'), 'which works on');
}

# ---- settings of role and database cannot get in the way
{
    $node->safe_psql($db, <<"SQL");
ALTER DATABASE $db SET role = 'platform';
ALTER DATABASE $db SET search_path = 'nowhere';
ALTER DATABASE $db SET default_transaction_read_only = on;
ALTER DATABASE $db SET default_transaction_isolation = 'serializable';
ALTER DATABASE $db SET statement_timeout = 1;
ALTER DATABASE $db SET idle_in_transaction_session_timeout = 1;
SQL
    $node->safe_psql('postgres', "SELECT pg_terminate_backend($worker)");
    wait_for(sub { my $pid = worker_pid($node); $pid && $pid ne $worker }, 15, 'worker');
    # The test's own sessions override them.
    local $ENV{PGOPTIONS} = '-c role=none -c statement_timeout=0 -c default_transaction_read_only=off';
    my $job = $node->safe_psql($db, "SELECT custbackup.request_backup(id) FROM custbackup.resources WHERE token LIKE 'ok.%' LIMIT 1");
    ok(await($node, $job, 'ok', 15), 'the worker pins its own settings');
}

done_testing();
