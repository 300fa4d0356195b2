-- With a fleet: what is asked for again and again is found by an index, and no statement reads the whole queue for each row of it.
BEGIN;
\ir include/fleet.psql
SELECT plan(15);

CREATE FUNCTION pg_temp.plan_of(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
	lines text := '';
BEGIN
	FOR line IN EXECUTE 'EXPLAIN ' || query LOOP
		lines := lines || line || E'\n';
	END LOOP;
	RETURN lines;
END $$;
CREATE TEMP TABLE scans (relation regclass, seq_scan bigint);
CREATE FUNCTION pg_temp.scans_of(relation regclass) RETURNS bigint LANGUAGE sql AS $$
	SELECT s.seq_scan - scans.seq_scan FROM pg_stat_xact_user_tables s JOIN scans ON scans.relation = s.relid WHERE s.relid = $1
$$;
CREATE FUNCTION pg_temp.look() RETURNS void LANGUAGE sql AS $$
	TRUNCATE scans; INSERT INTO scans SELECT relid, seq_scan FROM pg_stat_xact_user_tables WHERE schemaname = 'custbackup'
$$;

-- A whole fleet in one statement, asked for from a queue that was empty when it was last looked at: by a runner too.
SET LOCAL plan_cache_mode = force_generic_plan;
SELECT pg_temp.resource('fleet-' || g, id => ('00000000-0000-4000-8000-' || lpad(g::text, 12, '0'))::uuid) FROM generate_series(1, 300) g;
ANALYZE custbackup.jobs, custbackup.attempts, custbackup.idempotency_keys;
SELECT FROM custbackup.claim('r1', 1);
SELECT pg_temp.failed(pg_temp.claim(), 'auth') FROM custbackup.request_backup('00000000-0000-4000-8000-000000000001');
SELECT pg_temp.look();
SELECT is(count(DISTINCT custbackup.request_backup(id, idempotency_key => token)), 300::bigint, 'three hundred backups are asked for') FROM custbackup.resources;
SELECT cmp_ok(pg_temp.scans_of(relation), '<', 10::bigint, format('%s is not read for each', relation))
  FROM unnest(ARRAY['custbackup.jobs', 'custbackup.idempotency_keys']::regclass[]) relation;

SELECT pg_temp.look();
SELECT attempt_id AS first FROM custbackup.claim('r1', 1) \gset
SELECT cmp_ok(pg_temp.scans_of('custbackup.jobs'), '<', 10::bigint, 'nor does the runner read it for each job that waits');
SELECT pg_temp.look();
SELECT pg_temp.failed(:'first', 'auth');
SELECT is(pg_temp.scans_of(relation), 0::bigint, format('nor %s for what its mover says', relation)) FROM unnest(ARRAY['custbackup.jobs', 'custbackup.attempts']::regclass[]) relation;
RESET plan_cache_mode;

-- Ten days of backups; three jobs run, the others wait.
INSERT INTO custbackup.jobs (kind, resource_id, status, resource_type, token, engine, store, attempt, attempt_id, runner, requested_at, started_at, finished_at)
SELECT 'backup', r.id, 'ok', r.resource_type, r.token, 'postgres', 'default', 1, gen_random_uuid(), 'r1', now() - g * interval '1 day', now() - g * interval '1 day',
	now() - g * interval '1 day' FROM custbackup.resources r CROSS JOIN generate_series(1, 10) g;
INSERT INTO custbackup.objects (backup_id, resource_id, token, resource_type, engine, tier_at_backup, store, key, raw_bytes, stored_bytes, sha256, consistency, started_at, stored_at)
SELECT id, resource_id, token, resource_type, engine, 'pro', store, token || '/' || id, extract(day FROM now() - finished_at), 1, repeat('ab', 32), 'snapshot', started_at, finished_at
  FROM custbackup.jobs WHERE status = 'ok';
ANALYZE custbackup.jobs, custbackup.objects;
SELECT id AS one, resource_id AS resource FROM custbackup.jobs WHERE status = 'ok' AND token = 'fleet-2' LIMIT 1 \gset
SELECT unalike(pg_temp.plan_of(format('SELECT * FROM custbackup.backups WHERE id = %L', :'one')), '%Seq Scan on%', 'one backup is found by an index');
SELECT unalike(pg_temp.plan_of(format('SELECT * FROM custbackup.backups WHERE resource_id = %L', :'resource')), '%Seq Scan on%', 'so are those of one resource');
SELECT is(count(*) FILTER (WHERE status = 'ok'), 10::bigint, 'which are these') FROM custbackup.backups WHERE resource_id = :'resource';

SELECT is(count(*), 3::bigint, 'three jobs begin') FROM custbackup.claim('r1', 3);
SELECT pg_temp.look();
SELECT is(array_agg(DISTINCT expected_bytes) FILTER (WHERE status = 'running'), ARRAY[1::bigint], 'of what runs the last backup''s size is expected') FROM custbackup.progress;
SELECT is(count(expected_bytes) || ' of ' || count(*), '3 of 299', 'of what waits nothing') FROM custbackup.progress;
SELECT is(pg_temp.scans_of('custbackup.objects'), 0::bigint, 'nor is the catalogue read for it');

-- What has outlived its job.
SELECT to_jsonb(b) AS before FROM custbackup.backups b WHERE id = :'one' \gset
DELETE FROM custbackup.jobs WHERE id = :'one';
SELECT is(to_jsonb(b) - '{requested_at,requested_by,not_before,attempt,is_safety}'::text[], :'before'::jsonb - '{requested_at,requested_by,not_before,attempt,is_safety}'::text[],
	'a backup whose job is gone is shown as before') FROM custbackup.backups b WHERE id = :'one';
SELECT is(count(*), 3301::bigint, 'once') FROM custbackup.backups;

SELECT * FROM finish();
ROLLBACK;
