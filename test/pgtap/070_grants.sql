-- Who may do what: PUBLIC nothing, each kind of role what it needs, nobody reads a connection_url.
BEGIN;
\ir include/fleet.psql
SELECT plan(57);

CREATE ROLE tap_api;
CREATE ROLE tap_monitor;
CREATE ROLE tap_runner;
CREATE ROLE "tap Worker";
CREATE ROLE tap_nobody;
SELECT custbackup.grant_api('tap_api');
SELECT custbackup.grant_monitor('tap_monitor');
SELECT custbackup.grant_runner('tap_runner');
SELECT custbackup.grant_worker('"tap Worker"');
SELECT throws_ok(format('SELECT custbackup.grant_%s(%s)', kind, role), '42704', message, format('grant_%s(%s)', kind, role)) FROM (VALUES
	('api', '''no_such_role''', 'role "no_such_role" does not exist'), ('api', 'NULL', 'custbackup: there is no role NULL'), ('monitor', '''-''', 'custbackup: there is no role -'),
	('runner', '4294967290', 'custbackup: there is no role 4294967290'), ('worker', 'NULL', 'custbackup: there is no role NULL')) AS v (kind, role, message);
SELECT pg_temp.resource('acme') AS acme \gset
SELECT pg_temp.backed_up(:'acme') AS good \gset
SELECT custbackup.request_backup(:'acme') AS bad \gset
SELECT pg_temp.failed(pg_temp.claim(), 'auth');

-- Exactly these functions, counted from the catalogue so that a new one cannot slip through.
CREATE FUNCTION pg_temp.may_call(role text) RETURNS text[] LANGUAGE sql AS $$
	SELECT coalesce(array_agg(p.proname::text ORDER BY p.proname COLLATE "C"), '{}') FROM pg_proc p
	 WHERE p.pronamespace = 'custbackup'::regnamespace AND has_function_privilege(role, p.oid, 'EXECUTE')
$$;
CREATE FUNCTION pg_temp.may_read(role text) RETURNS text[] LANGUAGE sql AS $$
	SELECT coalesce(array_agg(c.relname::text ORDER BY c.relname COLLATE "C"), '{}') FROM pg_class c
	 WHERE c.relnamespace = 'custbackup'::regnamespace AND c.relkind IN ('r', 'v') AND has_any_column_privilege(role, c.oid, 'SELECT')
$$;
CREATE FUNCTION pg_temp.may_write(role text) RETURNS text[] LANGUAGE sql AS $$
	SELECT coalesce(array_agg(c.relname::text ORDER BY c.relname COLLATE "C"), '{}') FROM pg_class c
	 WHERE c.relnamespace = 'custbackup'::regnamespace AND c.relkind IN ('r', 'v')
	   AND (has_any_column_privilege(role, c.oid, 'INSERT, UPDATE') OR has_table_privilege(role, c.oid, 'DELETE, TRUNCATE, TRIGGER'))
$$;
SELECT is(has_schema_privilege('tap_nobody', 'custbackup', 'USAGE'), false, 'PUBLIC may not even look into the schema');
SELECT is(pg_temp.may_call('tap_nobody'), '{}', 'PUBLIC calls nothing');
SELECT is(pg_temp.may_read('tap_nobody') || pg_temp.may_write('tap_nobody'), '{}', 'PUBLIC reads and writes nothing');
SELECT is(count(*), 0::bigint, 'PUBLIC uses no type') FROM pg_type t
	WHERE t.typnamespace = 'custbackup'::regnamespace AND has_type_privilege('tap_nobody', t.oid, 'USAGE');
SELECT is(pg_temp.may_call('tap_api'), ARRAY['cancel', 'expire', 'reason_text', 'request_backup', 'request_restore', 'schedule_at', 'status_at', 'token_is_safe'], 'the API calls these');
SELECT is(pg_temp.may_read('tap_api'), ARRAY['backups', 'leftovers', 'progress', 'resources', 'restores', 'schedule', 'status'], 'and reads these');
SELECT is(pg_temp.may_write('tap_api'), ARRAY['resources'], 'and writes resources');
SELECT is(pg_temp.may_call('tap_monitor'), ARRAY['schedule_at', 'status_at'], 'an exporter calls these');
SELECT is(pg_temp.may_read('tap_monitor'), ARRAY['counters', 'leftovers', 'progress', 'schedule', 'status'], 'and reads these');
SELECT is(pg_temp.may_write('tap_monitor'), '{}', 'and writes nothing');
SELECT is(pg_temp.may_call('tap_runner'), ARRAY['claim', 'renew', 'report'], 'a runner calls three functions');
SELECT is(pg_temp.may_read('tap_runner') || pg_temp.may_write('tap_runner'), '{}', 'and no more');
SELECT is(pg_temp.may_call('tap Worker'), ARRAY['claim', 'give_back', 'leases', 'next_wake', 'renew', 'report', 'schedule'], 'the worker, some more');
SELECT is(pg_temp.may_read('tap Worker') || pg_temp.may_write('tap Worker'), '{}', 'but no table');
SELECT is(array_agg(r.rolname::text), NULL, 'no role but the owner may read connection_url')
	FROM pg_roles r WHERE NOT r.rolsuper AND r.rolname LIKE 'tap%' AND has_column_privilege(r.oid, 'custbackup.resources', 'connection_url', 'SELECT');
SELECT is(count(*), 0::bigint, 'no view has such a column') FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
	WHERE c.relnamespace = 'custbackup'::regnamespace AND c.relkind = 'v' AND a.attname = 'connection_url';

-- The API at work.
SET ROLE tap_api;
SELECT lives_ok($$INSERT INTO custbackup.resources (id, token, tier, resource_type, connection_url) VALUES ('00000001-0000-4000-8000-000000000001', 'mine', 'pro', 'postgres', 'cipher')$$, 'adds a resource');
SELECT lives_ok($$UPDATE custbackup.resources SET connection_url = 'new cipher', tier = 'team' WHERE id = '00000001-0000-4000-8000-000000000001'$$, 'changes it');
SELECT lives_ok($$INSERT INTO custbackup.resources (id, token, tier, resource_type, connection_url) VALUES ('00000001-0000-4000-8000-000000000001', 'mine', 'pro', 'postgres', 'x')
	ON CONFLICT (id) DO UPDATE SET tier = 'pro', connection_url = 'newer cipher'$$, 'adds or changes');
SELECT throws_ok($$INSERT INTO custbackup.resources AS r (id, token, tier, resource_type, connection_url) VALUES ('00000001-0000-4000-8000-000000000001', 'mine', 'pro', 'postgres', 'x')
	ON CONFLICT (id) DO UPDATE SET tier = r.connection_url RETURNING tier$$, '42501', NULL, 'but does not read while it does');
SELECT throws_ok($$SELECT connection_url FROM custbackup.resources$$, '42501', NULL, 'does not read connection_url');
SELECT throws_ok($$UPDATE custbackup.resources SET tier = connection_url$$, '42501', NULL, 'nor by way of another column');
SELECT throws_ok($$UPDATE custbackup.resources SET tier = 'pro' RETURNING connection_url$$, '42501', NULL, 'nor in what is returned');
SELECT throws_ok($$DELETE FROM custbackup.resources WHERE connection_url LIKE 'c%'$$, '42501', NULL, 'nor by guessing');
SELECT throws_ok($$SELECT * FROM custbackup.source_resources()$$, '42501', NULL, 'nor at the source');
SELECT throws_ok($$SELECT * FROM custbackup.policies()$$, '42501', NULL, 'nor behind it');
SELECT throws_ok($$SELECT * FROM custbackup.claim('api', 1)$$, '42501', NULL, 'nor as a runner');
SELECT throws_ok($$SELECT * FROM custbackup.jobs$$, '42501', NULL, 'does not read the queue itself');
SELECT throws_ok($$SELECT custbackup.grant_api('tap_nobody')$$, '42501', NULL, 'grants nothing on');
SELECT lives_ok($$SELECT custbackup.request_backup('00000001-0000-4000-8000-000000000001')$$, 'asks for a backup');
SELECT lives_ok(format('SELECT custbackup.request_restore(%L)', :'good'), 'and a restore');
SELECT is(count(*), 4::bigint, 'reads backups') FROM custbackup.backups;
SELECT is(concat_ws(' | ', status, reason, message, detail), 'failed | auth | The database refused the stored credentials, or its role lacks a right that is needed.',
	'of a failure the fixed sentence, not the detail') FROM custbackup.backups WHERE id = :'bad';
SELECT is(count(*), 1::bigint, 'restores') FROM custbackup.restores;
SELECT is(count(*), 2::bigint, 'the schedule') FROM custbackup.schedule;
SELECT is(resources, 2::bigint, 'status') FROM custbackup.status;
SELECT isnt(count(*), 0::bigint, 'progress') FROM custbackup.progress;
SELECT is(custbackup.cancel(id), true, 'cancels') FROM custbackup.restores;
SELECT lives_ok(format('SELECT custbackup.expire(%L)', :'good'), 'expires');
SELECT lives_ok($$DELETE FROM custbackup.resources WHERE id = '00000001-0000-4000-8000-000000000001'$$, 'removes its resource');
RESET ROLE;
SELECT matches(detail, 'host db7', 'the operator reads the detail') FROM custbackup.backups WHERE id = :'bad';
SELECT is(actor, session_user::text, 'the audit trail names the session''s role') FROM custbackup.events WHERE event = 'requested' LIMIT 1;

SET ROLE tap_monitor;
SELECT isnt(count(*), 0::bigint, 'the exporter reads counters') FROM custbackup.counters;
SELECT is(count(*), 1::bigint, 'status') FROM custbackup.status;
SELECT is(count(*), 1::bigint, 'the schedule') FROM custbackup.schedule;
SELECT throws_ok($$SELECT * FROM custbackup.backups$$, '42501', NULL, 'not the backups');
RESET ROLE;

UPDATE custbackup.jobs SET status = 'cancelled', reason = 'cancelled', finished_at = now() WHERE status = 'pending';
SELECT custbackup.request_backup(:'acme');
SET ROLE "tap Worker";
SELECT lives_ok('SELECT custbackup.schedule()', 'the worker schedules');
SELECT lives_ok('SELECT custbackup.next_wake()', 'looks for the next thing');
SELECT lives_ok('SELECT * FROM custbackup.leases()', 'watches leases');
CREATE TEMP TABLE claimed AS SELECT * FROM custbackup.claim('w', 1);
SELECT matches(job, 'ciphertext-of-acme', 'claims') FROM claimed;
SELECT is(verdict, 'continue', 'renews') FROM custbackup.renew('w', ARRAY(SELECT attempt_id FROM claimed));
SELECT is(custbackup.report(attempt_id, '{"event": "failed", "reason": "dump", "detail": "x"}'), 'ended', 'reports') FROM claimed;
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;
