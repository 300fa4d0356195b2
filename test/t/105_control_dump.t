# pg_dump and pg_restore of the control database with the extension in it: edited settings, queue, catalogue, events, counters,
# grants. And two sessions that want the same thing at once.
use strict;
use warnings;

use lib 't', "$ENV{SOURCE_DIR}/test/lib";
use PostgreSQL::Test::BackgroundPsql;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('control');
$node->init;
$node->append_conf('postgresql.conf', "fsync = off\nmax_prepared_transactions = 5\n");
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE control');
$node->safe_psql('postgres', 'CREATE ROLE api LOGIN');
my $sql = sub { $node->safe_psql('control', 'SET client_min_messages = error; ' . shift) };

$sql->(<<'SQL');
CREATE ROLE "Everybody's reader";
ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO "Everybody's reader";
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO "Everybody's reader";
ALTER DEFAULT PRIVILEGES GRANT SELECT ON SEQUENCES TO "Everybody's reader";
ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO "Everybody's reader";
CREATE EXTENSION custbackup;
SQL
is($sql->(q{SELECT count(*) FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a WHERE c.relnamespace = 'custbackup'::regnamespace
        AND a.grantee = '"Everybody''s reader"'::regrole;
    SELECT has_schema_privilege('Everybody''s reader', 'custbackup', 'USAGE'), has_function_privilege('Everybody''s reader', 'custbackup.policies(uuid)', 'EXECUTE')}),
    "0\nf|f", 'default privileges of the database give nobody anything of ours');
$sql->(<<'SQL');
DROP OWNED BY "Everybody's reader";
SELECT custbackup.grant_api('api');
INSERT INTO custbackup.stores (name, url, is_default) VALUES ('old', 's3://old', false), ('default', 'file:///var/backups', true);
INSERT INTO custbackup.resources (id, token, team_id, tier, resource_type, connection_url)
VALUES ('11111111-1111-4111-8111-111111111111', 'acme', gen_random_uuid(), 'pro', 'postgres', 'cipher'),
       ('22222222-2222-4222-8222-222222222222', 'globex', gen_random_uuid(), 'pro', 'postgres', 'cipher');
UPDATE custbackup.tiers SET cadence = '6 hours' WHERE tier = 'pro';
UPDATE custbackup.tiers SET cadence = NULL WHERE tier = 'hobby';
INSERT INTO custbackup.tiers (tier, cadence) VALUES ('startup', '1 day');
UPDATE custbackup.engines SET enabled = false WHERE resource_type = 'redis';
INSERT INTO custbackup.engines (resource_type, engine) VALUES ('timescale', 'postgres');
SELECT custbackup.request_backup('11111111-1111-4111-8111-111111111111', 'ann', 'key-1');
SQL

# A good backup, a failed one, a running one, a lost one, and a rewind that waits.
$sql->(<<'SQL');
DO $$
DECLARE
	c record;
	key text;
BEGIN
	SELECT * INTO STRICT c FROM custbackup.claim('r1', 1);
	key := 'acme/' || c.job_id || '.dump.gz';
	PERFORM custbackup.report(c.attempt_id, jsonb_build_object('event', 'started', 'attempt_id', c.attempt_id, 'tool', NULL, 'server', NULL)::text);
	PERFORM custbackup.report(c.attempt_id, jsonb_build_object('event', 'upload', 'key', key, 'upload_id', NULL)::text);
	IF custbackup.report(c.attempt_id, jsonb_build_object('event', 'done', 'key', key, 'version', NULL, 'raw_bytes', 10, 'stored_bytes', 5, 'sha256', repeat('ab', 32),
		'consistency', 'snapshot', 'server', '15', 'tool', NULL, 'counts', '{}'::jsonb, 'notes', '[]'::jsonb, 'adopted', false)::text) <> 'ended' THEN
		RAISE 'not ended';
	END IF;
	PERFORM custbackup.request_backup('22222222-2222-4222-8222-222222222222');
	SELECT * INTO STRICT c FROM custbackup.claim('r1', 1);
	PERFORM custbackup.report(c.attempt_id, '{"event": "failed", "reason": "auth", "detail": "x"}');
	PERFORM custbackup.request_backup('22222222-2222-4222-8222-222222222222');
	SELECT * INTO STRICT c FROM custbackup.claim('r1', 1);
	PERFORM custbackup.report(c.attempt_id, '{"event": "failed", "reason": "mover_lost", "detail": "x"}');
	PERFORM custbackup.request_backup('22222222-2222-4222-8222-222222222222');
	SELECT * INTO STRICT c FROM custbackup.claim('r1', 1);
	PERFORM custbackup.request_restore(backup_id) FROM custbackup.objects;
	PERFORM custbackup.schedule(now() + interval '2 minutes');
END $$;
SQL

my @tables = qw(resources stores tiers engines objects jobs attempts idempotency_keys events counters scheduler home);
my $contents = sub {
    my ($database) = @_;
    return join "\n", map { $node->safe_psql($database, "SELECT '$_ ' || t::text FROM custbackup.$_ t ORDER BY t::text COLLATE \"C\"") } @tables;
};
my $before = $contents->('control');
for my $expected (qw(pending running failed ok)) { like($before, qr/,$expected,/, "the dump will hold a job that is $expected") }

my $file = PostgreSQL::Test::Utils::tempdir() . '/control.dump';
for my $way ([ 'custom format', '-Fc' ], [ 'plain, rows as INSERT', '--inserts' ])
{
    my ($name, $option) = @$way;
    $node->command_checks_all([ 'pg_dump', $option, '-f', $file, 'control' ], 0, [qr/^$/], [qr/^$/], "$name: dumped without a warning");
    $node->safe_psql('postgres', 'DROP DATABASE IF EXISTS again');
    $node->safe_psql('postgres', 'CREATE DATABASE again');
    if ($option eq '-Fc')
    {
        $node->command_ok([ 'pg_restore', '--exit-on-error', '-d', 'again', $file ], "$name: restored");
        rename $file, "$file.custom" or die $!;
    }
    else
    {
        $node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', 'again', '-f', $file ], "$name: restored");
    }
    is($contents->('again'), $before, "$name: every row is as it was");
    is($node->safe_psql('again', q{SELECT has_function_privilege('api', 'custbackup.request_backup(uuid, text, text)', 'EXECUTE'),
        has_column_privilege('api', 'custbackup.resources', 'connection_url', 'SELECT'), has_column_privilege('api', 'custbackup.resources', 'token', 'SELECT')}),
        't|f|t', "$name: so are the grants");
    is($node->safe_psql('again', q{SET client_min_messages = error;
        SELECT custbackup.request_backup('11111111-1111-4111-8111-111111111111', NULL, 'key-1') = (SELECT backup_id FROM custbackup.objects)}), 't',
        "$name: an idempotency key still means the same");
    is($node->safe_psql('again', q{SET client_min_messages = error; SELECT count(custbackup.cancel(id)) FROM custbackup.jobs WHERE status = 'pending' AND kind = 'restore';
        SELECT count(*) = max(id) FROM custbackup.events}), "1\nt", "$name: the queue goes on, events are numbered on");
}

# ---- pg_upgrade, which takes the extension's own schema along as it stands: here to another cluster of the same release
{
    my ($old, $new) = map { my $n = PostgreSQL::Test::Cluster->new($_); $n->init; $n->append_conf('postgresql.conf', "fsync = off\n"); $n } 'before', 'after';
    $_->append_conf('postgresql.conf', "shared_preload_libraries = 'custbackup'\ncustbackup.database = 'nobody_has_this_database'\n") for $old, $new;
    $old->start;
    $old->safe_psql('postgres', 'CREATE DATABASE control; CREATE ROLE api LOGIN');
    $old->command_ok([ 'pg_restore', '--exit-on-error', '-d', 'control', "$file.custom" ], 'pg_upgrade: a control database');
    $old->stop;
    my ($bin) = grep { -x "$_/pg_upgrade" } split /:/, $ENV{PATH};
    chdir PostgreSQL::Test::Utils::tempdir() or die $!;
    command_ok([ 'pg_upgrade', '-b', $bin, '-B', $bin, '-d', $old->data_dir, '-D', $new->data_dir, '-p', $old->port, '-P', $new->port, '-s', $old->host ],
        'pg_upgrade: done, with the library preloaded');
    $new->start;
    is(join("\n", map { $new->safe_psql('control', "SELECT '$_ ' || t::text FROM custbackup.$_ t ORDER BY t::text COLLATE \"C\"") } @tables), $before,
        'pg_upgrade: every row is as it was');
    is($new->safe_psql('control', q{SELECT removals_paused FROM custbackup.status; SET client_min_messages = error; SELECT custbackup.adopt();
        SELECT removals_paused FROM custbackup.status}), "t\n\nf", 'pg_upgrade: in another data directory nothing is removed until it is adopted');
    is($new->safe_psql('control', q{SET client_min_messages = error; SET ROLE api;
        SELECT custbackup.request_backup('11111111-1111-4111-8111-111111111111', 'ben') IS NOT NULL}), 't', 'pg_upgrade: the queue goes on, with its grants');
    $new->stop;
}

# ---- two at once -------------------------------------------------------------------------------
$sql->(q{UPDATE custbackup.jobs SET status = 'cancelled', reason = 'cancelled', finished_at = now() WHERE status IN ('pending', 'running')});
my ($one, $two) = map { my $s = $node->background_psql('control', on_error_stop => 0); $s->query('SET client_min_messages = error'); $s } 1, 2;

# Two requests for one resource: the second waits for the first's transaction, and gets its job.
$one->query('BEGIN');
my $id = $one->query(q{SELECT custbackup.request_backup('11111111-1111-4111-8111-111111111111')});
$two->query_until(qr/asked/, "\\echo asked\nSELECT custbackup.request_backup('11111111-1111-4111-8111-111111111111');\n\\echo answered\n");
$one->query('COMMIT');
my $answer = $two->query_until(qr/answered/, "\n");
like($answer, qr/\Q$id\E/, 'two requests at once: one job') or diag($answer);

# The first one rolls back: the second gets a job of its own.
$sql->(q{UPDATE custbackup.jobs SET status = 'cancelled', reason = 'cancelled', finished_at = now() WHERE status IN ('pending', 'running')});
$one->query('BEGIN');
$one->query(q{SELECT custbackup.request_backup('11111111-1111-4111-8111-111111111111', NULL, 'key-2')});
$two->query_until(qr/asked/, "\\echo asked\nSELECT custbackup.request_backup('11111111-1111-4111-8111-111111111111', NULL, 'key-2') IS NOT NULL AS got;\n\\echo answered\n");
$one->query('ROLLBACK');
$two->query_until(qr/answered/, "\n");
is($sql->(q{SELECT count(*) FROM custbackup.jobs j JOIN custbackup.idempotency_keys k ON k.job_id = j.id WHERE k.key = 'key-2' AND j.status = 'pending'}), '1',
    'a request rolled back leaves nothing, and the other one with its key goes on');

# Two runners, uncommitted claims: never the same job, never two jobs of one resource.
$sql->(q{SELECT custbackup.request_backup('22222222-2222-4222-8222-222222222222')});
$sql->(q{SELECT custbackup.request_restore(backup_id, safety_backup => false) FROM custbackup.objects});
$one->query('BEGIN');
my $first = $one->query(q{SELECT count(*) FROM custbackup.claim('one', 1)});
my $second = $two->query(q{SELECT count(*) FROM custbackup.claim('two', 5)});
$one->query('COMMIT');
is("$first $second", '1 1', 'two runners at once: one job for each resource');
is($sql->(q{SELECT count(*), count(DISTINCT resource_id) FROM custbackup.jobs WHERE status = 'running'}), '2|2', 'and no resource twice');

# Two passes of the scheduler.
$sql->(q{UPDATE custbackup.jobs SET status = 'cancelled', reason = 'cancelled', finished_at = now() WHERE status IN ('pending', 'running')});
$one->query('BEGIN');
my $later = $sql->(q{SELECT now() + interval '30 hours'});
is($one->query(qq{SELECT custbackup.schedule('$later')}), '2', 'a pass');
is($two->query(qq{SELECT custbackup.schedule('$later')}), '0', 'another one at the same time leaves it to the first, without waiting');
$one->query('COMMIT');
is($two->query(qq{SELECT custbackup.schedule('$later')}), '0', 'and afterwards there is nothing left to do');

# A request in a prepared transaction.
$sql->(q{UPDATE custbackup.jobs SET status = 'cancelled', reason = 'cancelled', finished_at = now() WHERE status IN ('pending', 'running')});
$one->query("BEGIN; SELECT custbackup.request_backup('11111111-1111-4111-8111-111111111111'); PREPARE TRANSACTION 'asked'");
is($sql->(q{SELECT count(*) FROM custbackup.jobs WHERE status = 'pending'}), '0', 'a prepared request is not seen');
$one->query("COMMIT PREPARED 'asked'");
is($sql->(q{SELECT count(*) FROM custbackup.jobs WHERE status = 'pending'}), '1', 'until it is committed');
$_->quit for $one, $two;

# Without the library preloaded a request works, and says what lacks.
my ($code, $out, $err) = $node->psql('control', q{SELECT custbackup.request_backup('22222222-2222-4222-8222-222222222222')});
is($code, 0, 'a request without the worker is kept');
like($err, qr/WARNING:.*shared_preload_libraries/, 'with a warning that says what to do');
$node->safe_psql('control', q{UPDATE custbackup.resources SET tier = 'free'});
($code, $out, $err) = $node->psql('control', q{SELECT custbackup.request_backup('11111111-1111-4111-8111-111111111111')});
like($err, qr/WARNING:.*takes no backups/, 'a tier without backups: a warning too');

$node->stop;
done_testing();
