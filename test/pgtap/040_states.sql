-- The state machine by itself: every pair of states, and the constraints that make wrong rows impossible.
BEGIN;
\ir include/fleet.psql
SELECT plan(82);

-- A job in a given state, inserted as the load of a dump does it.
CREATE FUNCTION pg_temp.job_in(state text) RETURNS uuid LANGUAGE sql AS $$
	INSERT INTO custbackup.jobs (kind, resource_id, resource_type, status, attempt, attempt_id, runner, started_at, store, finished_at, reason)
	SELECT 'backup', gen_random_uuid(), 'postgres', state, (state <> 'pending')::integer,
		CASE WHEN state <> 'pending' THEN gen_random_uuid() END, CASE WHEN state <> 'pending' THEN 'r1' END,
		CASE WHEN state <> 'pending' THEN now() END, CASE WHEN state <> 'pending' THEN 'default' END,
		CASE WHEN state NOT IN ('pending', 'running') THEN now() END,
		CASE WHEN state IN ('failed', 'cancelled', 'skipped') THEN 'cancelled'::custbackup.reason END
	RETURNING id
$$;
CREATE FUNCTION pg_temp.move(job uuid, state text) RETURNS void LANGUAGE sql AS $$
	UPDATE custbackup.jobs SET status = state, attempt = attempt + (status = 'pending' AND state = 'running')::integer,
		attempt_id = CASE WHEN state = 'pending' THEN NULL ELSE coalesce(attempt_id, gen_random_uuid()) END,
		runner = CASE WHEN state = 'pending' THEN NULL ELSE 'r1' END, started_at = CASE WHEN state = 'pending' THEN NULL ELSE now() END, store = 'default',
		finished_at = CASE WHEN state NOT IN ('pending', 'running') THEN now() END,
		reason = CASE WHEN state IN ('failed', 'cancelled', 'skipped') THEN 'cancelled'::custbackup.reason END
	 WHERE id = job
$$;

\set legal '(''pending'', ''running''), (''pending'', ''failed''), (''pending'', ''cancelled''), (''pending'', ''skipped''), (''running'', ''ok''), (''running'', ''failed''), (''running'', ''cancelled''), (''running'', ''pending'')'
SELECT lives_ok(format('SELECT pg_temp.move(pg_temp.job_in(%L), %L)', a, b), format('%s to %s', a, b))
  FROM (VALUES :legal) AS l (a, b);
SELECT throws_ok(format('SELECT pg_temp.move(pg_temp.job_in(%L), %L)', a, b), '23514', NULL, format('never from %s to %s', a, b))
  FROM unnest(ARRAY['pending', 'running', 'ok', 'failed', 'cancelled', 'skipped']) a
 CROSS JOIN unnest(ARRAY['pending', 'running', 'ok', 'failed', 'cancelled', 'skipped']) b
 WHERE a <> b AND (a, b) NOT IN (VALUES :legal);

-- What a row may not be.
SELECT pg_temp.job_in('pending') AS p \gset
SELECT pg_temp.job_in('running') AS r \gset
SELECT pg_temp.job_in('ok') AS o \gset
SELECT throws_ok(format(u, j), '23514', NULL, what) FROM (VALUES
	('UPDATE custbackup.jobs SET status = ''unknown'' WHERE id = %L', :'p', 'an unknown status'),
	('UPDATE custbackup.jobs SET kind = ''restore'' WHERE id = %L', :'p', 'another kind'),
	('UPDATE custbackup.jobs SET resource_id = gen_random_uuid() WHERE id = %L', :'p', 'another resource'),
	('UPDATE custbackup.jobs SET id = gen_random_uuid() WHERE id = %L', :'p', 'another id'),
	('UPDATE custbackup.jobs SET requested_at = now() - interval ''1 day'' WHERE id = %L', :'p', 'another time of request'),
	('UPDATE custbackup.jobs SET attempt = 2 WHERE id = %L', :'r', 'another attempt while it runs'),
	('UPDATE custbackup.jobs SET status = ''running'', attempt_id = gen_random_uuid(), runner = ''r1'', started_at = now(), store = ''default'' WHERE id = %L', :'p', 'a start without a new attempt'),
	('UPDATE custbackup.jobs SET finished_at = now() WHERE id = %L', :'p', 'finished_at while pending'),
	('UPDATE custbackup.jobs SET finished_at = now() WHERE id = %L', :'r', 'finished_at while running'),
	('UPDATE custbackup.jobs SET finished_at = NULL WHERE id = %L', :'o', 'ended without finished_at'),
	('UPDATE custbackup.jobs SET status = ''failed'', finished_at = now() WHERE id = %L', :'r', 'failed without a reason'),
	('UPDATE custbackup.jobs SET status = ''ok'', finished_at = now(), reason = ''auth'' WHERE id = %L', :'r', 'ok with a reason'),
	('UPDATE custbackup.jobs SET attempt_id = NULL WHERE id = %L', :'r', 'running without an attempt'),
	('UPDATE custbackup.jobs SET runner = NULL WHERE id = %L', :'r', 'running without a runner'),
	('UPDATE custbackup.jobs SET attempt_id = gen_random_uuid() WHERE id = %L', :'p', 'an attempt while pending'),
	('UPDATE custbackup.jobs SET mode = ''rewind'' WHERE id = %L', :'p', 'a backup with a restore''s mode'),
	('UPDATE custbackup.jobs SET target_modified = true WHERE id = %L', :'p', 'a backup that modifies its target'),
	('UPDATE custbackup.jobs SET attempt_id = gen_random_uuid() WHERE id = %L', :'r', 'another attempt''s id while it runs'),
	('UPDATE custbackup.jobs SET finished_at = finished_at + interval ''1 s'' WHERE id = %L', :'o', 'another end'),
	('UPDATE custbackup.jobs SET phase = ''committed'' WHERE id = %L', :'r', 'a restore''s phase in a backup'),
	('UPDATE custbackup.jobs SET phase = ''thinking'' WHERE id = %L', :'r', 'a phase that is none'),
	('UPDATE custbackup.jobs SET safety_backup_id = gen_random_uuid() WHERE id = %L', :'p', 'a backup that waits for a safety backup')
) AS v (u, j, what);
SELECT throws_ok($$INSERT INTO custbackup.jobs (kind, resource_id, resource_type) VALUES ('restore', gen_random_uuid(), 'postgres')$$, '23514', NULL, 'a restore without a backup');
SELECT throws_ok($$INSERT INTO custbackup.jobs (kind, resource_id, resource_type) VALUES ('verify', gen_random_uuid(), 'postgres')$$, '23514', NULL, 'an unknown kind');
SELECT throws_ok(format($$INSERT INTO custbackup.jobs (kind, resource_id, resource_type, status, attempt, attempt_id, runner, started_at, store)
	SELECT kind, resource_id, resource_type, status, attempt, gen_random_uuid(), runner, started_at, store FROM custbackup.jobs WHERE id = %L$$, :'r'), '23505', NULL, 'two running jobs of one resource');
SELECT throws_ok(format($$INSERT INTO custbackup.jobs (kind, resource_id, resource_type) SELECT kind, resource_id, resource_type FROM custbackup.jobs WHERE id = %L$$, :'p'),
	'23505', NULL, 'two waiting backups of one resource');
SELECT lives_ok($$INSERT INTO custbackup.jobs (kind, resource_id, resource_type, scheduled_for) VALUES ('backup', '00000000-0000-4000-8000-000000000001', 'postgres', '2026-01-01')$$, 'a scheduled job');
UPDATE custbackup.jobs SET status = 'cancelled', reason = 'cancelled', finished_at = now() WHERE scheduled_for = '2026-01-01';
SELECT throws_ok($$INSERT INTO custbackup.jobs (kind, resource_id, resource_type, scheduled_for) VALUES ('backup', '00000000-0000-4000-8000-000000000001', 'postgres', '2026-01-01')$$, '23505', NULL, 'two jobs of one slot');

-- The catalogue.
PREPARE object (text, text, bigint) AS INSERT INTO custbackup.objects (backup_id, resource_id, token, resource_type, engine, tier_at_backup, store, key,
	raw_bytes, stored_bytes, sha256, consistency, started_at, stored_at, state)
	VALUES (gen_random_uuid(), gen_random_uuid(), 't', 'postgres', 'postgres', 'pro', 'default', gen_random_uuid()::text, $3, 1, $1, 'snapshot', now(), now(), $2);
SELECT lives_ok($$EXECUTE object (repeat('0f', 32), 'stored', 1)$$, 'an object');
SELECT throws_ok(format('EXECUTE object (%L, %L, 1)', s, 'stored'), '23514', NULL, format('sha256 %s', s)) FROM unnest(ARRAY['', 'abc', repeat('0F', 32), repeat('0g', 32), repeat('0', 65)]) s;
SELECT throws_ok($$EXECUTE object (repeat('0f', 32), 'lost', 1)$$, '23514', NULL, 'an unknown state');
SELECT throws_ok($$EXECUTE object (repeat('0f', 32), 'expired', 1)$$, '23514', NULL, 'expired without a time');
SELECT throws_ok($$EXECUTE object (repeat('0f', 32), 'stored', -1)$$, '23514', NULL, 'negative bytes');
SELECT throws_ok(format('UPDATE custbackup.objects SET %s', change), '23514', NULL, 'of an object never: ' || change)
  FROM unnest(ARRAY['state = ''expired'', expired_at = now()', 'sha256 = repeat(''1f'', 32)', 'raw_bytes = 2', 'key = ''other''', 'resource_id = gen_random_uuid()']) change;
UPDATE custbackup.objects SET state = 'expiring';
SELECT lives_ok($$UPDATE custbackup.objects SET state = 'expired', expired_at = now()$$, 'what was to expire is expired');
SELECT throws_ok($$UPDATE custbackup.objects SET state = 'stored', expired_at = NULL$$, '23514', NULL, 'and does not come back');
SELECT throws_ok($$INSERT INTO custbackup.jobs (kind, resource_id, resource_type, backup_id, mode, scheduled_for)
	SELECT 'restore', resource_id, 'postgres', backup_id, 'rewind', now() FROM custbackup.objects$$, '23514', NULL, 'no restore is scheduled');
SELECT throws_ok($$INSERT INTO custbackup.jobs (kind, resource_id, resource_type, backup_id, mode, status, attempt, attempt_id, runner, started_at, store, finished_at, phase)
	SELECT 'restore', resource_id, 'postgres', backup_id, 'rewind', 'ok', 1, gen_random_uuid(), 'r1', now(), 'default', now(), 'applying' FROM custbackup.objects$$,
	'23514', NULL, 'nor is one ok that was not committed');
SELECT throws_ok($$DELETE FROM custbackup.stores WHERE name = 'default'$$, '23503', NULL, 'a store that holds something stays');
SELECT lives_ok($$UPDATE custbackup.stores SET name = 'renamed' WHERE name = 'default'$$, 'but may be renamed');

-- One event and one counter a transition.
SELECT is(count(*), 8::bigint + 1, 'an event each') FROM custbackup.events;
SELECT is(sum(value), 7::numeric, 'a count for each end') FROM custbackup.counters WHERE resource_type = 'postgres';
SELECT is(count(*), 4::bigint * 4 * 4, 'every series exists from the start') FROM custbackup.counters;
INSERT INTO custbackup.engines (resource_type, engine) VALUES ('mysql', 'mysql');
SELECT is(count(*), 16::bigint, 'also of a type that is added later') FROM custbackup.counters WHERE resource_type = 'mysql' AND value = 0;

SELECT * FROM finish();
ROLLBACK;
