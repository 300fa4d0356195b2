-- What a runner gets, and what becomes of what it loses.
BEGIN;
\ir include/fleet.psql
SELECT plan(73);

SELECT throws_ok($$SELECT custbackup.claim('', 1)$$, '22023', NULL, 'a runner has a name');
SELECT throws_ok($$SELECT custbackup.claim(NULL, 1)$$, '22023', NULL, 'not NULL');
SELECT is(count(*), 0::bigint, 'an empty queue') FROM custbackup.claim('r1', 4);
SELECT is(custbackup.next_wake(), NULL, 'and nothing in sight');

-- Order, slots, one job a resource.
SELECT pg_temp.resource('r' || g, id => ('0000000' || g || '-0000-4000-8000-000000000001')::uuid) FROM generate_series(1, 5) g;
INSERT INTO custbackup.jobs (kind, resource_id, resource_type, not_before)
SELECT 'backup', id, 'postgres', now() - (right(token, 1) || ' minutes')::interval FROM custbackup.resources;
SELECT is(custbackup.next_wake(), now() - interval '5 minutes', 'the oldest is next');
SELECT is(count(*), 0::bigint, 'no slots, no jobs') FROM custbackup.claim('r1', 0);
SELECT is(count(*), 0::bigint, 'fewer than none neither') FROM custbackup.claim('r1', -1);
SELECT is(count(*), 0::bigint, 'nor NULL') FROM custbackup.claim('r1', NULL);
CREATE TEMP TABLE first AS SELECT * FROM custbackup.claim('r1', 2);
SELECT set_eq('SELECT job::jsonb #>> ''{resource,token}'' FROM first', ARRAY['r5', 'r4'], 'the two oldest');
SELECT is(count(*), 3::bigint, 'the other three for another runner') FROM custbackup.claim('r2', 10);
SELECT is(custbackup.next_wake(), NULL, 'all at work: nothing to wake for');

-- The job, as docs/protocol.md describes it.
SELECT is(job::jsonb, jsonb_build_object('version', 1, 'kind', 'backup', 'job_id', job_id, 'attempt_id', attempt_id, 'attempt', 1, 'engine', 'postgres',
	'resource', jsonb_build_object('id', '00000005-0000-4000-8000-000000000001', 'token', 'r5', 'team_id', 'aaaaaaaa-0000-4000-8000-000000000001', 'tier', 'pro',
		'type', 'postgres', 'connection_url', 'ciphertext-of-r5'),
	'store', '{"name": "default", "url": "file:///var/backups/custbackup"}'::jsonb,
	'object', jsonb_build_object('key', 'r5/' || job_id || '.dump.gz', 'expected_bytes', NULL, 'retain_until', to_char(now() AT TIME ZONE 'UTC' + interval '30 days', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')), 'previous', '[]'::jsonb), 'a backup''s job')
  FROM first WHERE job LIKE '%"r5"%';

-- A runner that starts anew has lost what it does not hold.
SELECT attempt_id AS kept FROM first WHERE job LIKE '%"r4"%' \gset
SELECT is(count(*), 0::bigint, 'claiming with something in hand') FROM custbackup.claim('r1', 4, ARRAY[:'kept'::uuid]);
SELECT is(count(*), 1::bigint, 'keeps that') FROM custbackup.jobs WHERE runner = 'r1' AND status = 'running';
SELECT is(concat_ws(' ', j.status, a.outcome, a.reason), 'pending lost mover_lost', 'and gives back the other')
	FROM first f JOIN custbackup.jobs j ON j.id = f.job_id JOIN custbackup.attempts a ON a.attempt_id = f.attempt_id WHERE f.attempt_id <> :'kept';
SELECT is(count(*), 3::bigint, 'another runner''s are not touched') FROM custbackup.jobs WHERE runner = 'r2' AND status = 'running';
SELECT is(custbackup.next_wake(), now() + interval '5 seconds', 'it is tried again in five seconds');
SELECT set_eq($$SELECT attempt_id || verdict FROM custbackup.renew('r1', ARRAY(SELECT attempt_id FROM first) || ARRAY[NULL, gen_random_uuid()]) WHERE attempt_id IN (SELECT attempt_id FROM first)$$,
	ARRAY(SELECT attempt_id || CASE WHEN attempt_id = :'kept' THEN 'continue' ELSE 'lost' END FROM first), 'renew says which is lost');
SELECT is(count(*), 0::bigint, 'renewing nothing') FROM custbackup.renew('r1', '{}');
SELECT is(count(*), 0::bigint, 'or NULL') FROM custbackup.renew('r1', NULL);
SELECT is(verdict, 'lost', 'another runner''s attempt is not ours to renew') FROM custbackup.renew('r2', ARRAY[:'kept'::uuid]);
SELECT is(count(*), 2::bigint, 'an attempt named twice is answered once')
	FROM custbackup.renew('r1', ARRAY[:'kept', :'kept', gen_random_uuid()]::uuid[]);

-- Leases, as an observer sees them.
SELECT is(renewals, 2::bigint, 'the counter moves with each renewal') FROM custbackup.leases() WHERE attempt_id = :'kept';
SELECT is(custbackup.give_back(:'kept', 1), false, 'one that was renewed since is not taken');
SELECT is(custbackup.give_back(gen_random_uuid(), 0), false, 'nor one that nobody knows');
SELECT is(custbackup.give_back(:'kept', 2), true, 'one that stood still is');
SELECT is(custbackup.give_back(:'kept', 2), false, 'once');
SELECT is(pg_temp.state(job_id), 'pending', 'and waits again') FROM first WHERE attempt_id = :'kept';
SELECT is(count(*), 3::bigint, 'leases of what runs') FROM custbackup.leases();
UPDATE custbackup.jobs SET status = 'failed', reason = 'internal', finished_at = now() WHERE status IN ('pending', 'running');

-- One resource, several kinds of job: one at a time.
SELECT pg_temp.backed_up('00000001-0000-4000-8000-000000000001') AS good \gset
SELECT custbackup.request_backup('00000001-0000-4000-8000-000000000001') AS earlier \gset
UPDATE custbackup.jobs SET not_before = now() - interval '1 second' WHERE id = :'earlier';
SELECT custbackup.request_restore(:'good', safety_backup => false) AS restore \gset
SELECT is(count(*), 1::bigint, 'a backup and a restore of one resource: one of them') FROM custbackup.claim('r1', 10, '{}', now() + interval '1 minute');
SELECT is(count(*), 0::bigint, 'the other when that has ended') FROM custbackup.claim('r2', 10, '{}', now() + interval '1 minute');
SELECT is(custbackup.next_wake(), NULL, 'no wake for what must wait');
UPDATE custbackup.jobs SET status = 'failed', reason = 'internal', finished_at = now() WHERE status = 'running';
UPDATE custbackup.jobs SET status = 'cancelled', reason = 'cancelled', finished_at = now() WHERE status = 'pending' AND id <> :'restore';
SELECT job::jsonb AS text FROM custbackup.claim('r1', 10, '{}', now() + interval '1 minute') \gset
SELECT is(:'text'::jsonb - 'job_id' - 'attempt_id', jsonb_build_object('version', 1, 'kind', 'restore', 'attempt', 1, 'engine', 'postgres', 'mode', 'rewind',
	'resource', jsonb_build_object('id', '00000001-0000-4000-8000-000000000001', 'token', 'r1', 'team_id', 'aaaaaaaa-0000-4000-8000-000000000001', 'tier', 'pro',
		'type', 'postgres', 'connection_url', 'ciphertext-of-r1'),
	'store', '{"name": "default", "url": "file:///var/backups/custbackup"}'::jsonb,
	'object', jsonb_build_object('backup_id', :'good', 'key', 'r1/' || :'good' || '.dump.gz', 'version', NULL, 'sha256', repeat('ab', 32), 'raw_bytes', 1000, 'stored_bytes', 300,
		'resource_id', '00000001-0000-4000-8000-000000000001', 'token', 'r1')), 'a restore''s job');
SELECT pg_temp.failed(attempt_id, 'restore') FROM custbackup.jobs WHERE status = 'running';

-- The store of the first attempt stays the job's.
SELECT custbackup.request_backup('00000002-0000-4000-8000-000000000001') AS moved \gset
SELECT pg_temp.failed(pg_temp.claim(), 'mover_lost');
UPDATE custbackup.stores SET is_default = false;
INSERT INTO custbackup.stores (name, url, is_default) VALUES ('newer', 's3://newer', true);
SELECT is(job::jsonb #>> '{store,name}', 'default', 'a retry looks where the first attempt stored') FROM custbackup.claim('r1', 1, '{}', now() + interval '1 hour');
SELECT pg_temp.failed(attempt_id, 'store') FROM custbackup.jobs WHERE status = 'running';
SELECT custbackup.request_backup('00000002-0000-4000-8000-000000000001');
SELECT is(job::jsonb #>> '{store,name}', 'newer', 'a new job goes to the new default') FROM custbackup.claim('r1', 1, '{}', now() + interval '1 hour');
SELECT pg_temp.failed(attempt_id, 'store') FROM custbackup.jobs WHERE status = 'running';
SELECT custbackup.request_restore(:'good', safety_backup => false);
SELECT is(job::jsonb #>> '{store,name}', 'default', 'a restore to where its backup lies') FROM custbackup.claim('r1', 1, '{}', now() + interval '1 hour');
SELECT pg_temp.failed(attempt_id, 'store') FROM custbackup.jobs WHERE status = 'running';
SELECT custbackup.expire(:'good') AS expiry \gset
SELECT is(job::jsonb - 'attempt_id', jsonb_build_object('version', 1, 'kind', 'expire', 'job_id', :'expiry', 'attempt', 1, 'store', '{"name": "default", "url": "file:///var/backups/custbackup"}'::jsonb,
	'object', jsonb_build_object('backup_id', :'good', 'key', 'r1/' || :'good' || '.dump.gz', 'version', NULL)), 'an expiry''s job, which knows no URL') FROM custbackup.claim('r1', 1, '{}', now() + interval '1 hour');
SELECT pg_temp.failed(attempt_id, 'store') FROM custbackup.jobs WHERE status = 'running';

-- Looked at again when its turn has come.
CREATE FUNCTION pg_temp.turn(change text, kind text DEFAULT 'backup') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	resource uuid := pg_temp.resource('turn-' || gen_random_uuid());
	backup uuid := pg_temp.backed_up(resource);
	job uuid := CASE kind WHEN 'backup' THEN custbackup.request_backup(resource) ELSE custbackup.request_restore(backup, safety_backup => false) END;
	attempt uuid;
	outcome text;
BEGIN
	EXECUTE replace(change, '$1', quote_literal(resource));
	attempt := pg_temp.claim();
	outcome := pg_temp.state(job) || CASE WHEN attempt IS NULL THEN '' ELSE ' claimed' END || coalesce(' ' || (SELECT detail FROM custbackup.jobs j WHERE j.id = job), '');
	UPDATE custbackup.jobs SET status = 'failed', reason = 'internal', finished_at = now() WHERE status = 'running';
	DELETE FROM custbackup.resources r WHERE r.id = resource;
	RETURN outcome;
END $$;
SELECT matches(pg_temp.turn(change, kind), expected, format('%s, then %s', kind, change)) FROM (VALUES
	('SELECT 1', 'backup', '^running claimed'),
	('UPDATE custbackup.resources SET tier = ''free_yearly'' WHERE id = $1', 'backup', '^skipped/not_eligible .*takes no backups'),
	('UPDATE custbackup.resources SET tier = ''platinum'' WHERE id = $1', 'backup', '^skipped/not_eligible .*not listed'),
	('UPDATE custbackup.resources SET status = ''deleted'' WHERE id = $1', 'backup', '^skipped/not_eligible .*"deleted"'),
	('DELETE FROM custbackup.resources WHERE id = $1', 'backup', '^skipped/not_eligible .*no longer there'),
	('UPDATE custbackup.resources SET resource_type = ''mysql'' WHERE id = $1', 'backup', '^failed/config .*no engine.*mysql'),
	('UPDATE custbackup.resources SET connection_url = '''' WHERE id = $1', 'backup', '^failed/config .*no connection_url'),
	('UPDATE custbackup.resources SET connection_url = repeat(''x'', 300000) WHERE id = $1', 'backup', '^failed/config .*too long'),
	('UPDATE custbackup.resources SET token = ''renamed'' WHERE id = $1', 'backup', '^running claimed'),
	('UPDATE custbackup.resources SET tier = ''free'' WHERE id = $1', 'restore', '^running claimed'),
	('UPDATE custbackup.resources SET status = ''deleted'' WHERE id = $1', 'restore', '^skipped/not_eligible .*"deleted"'),
	('UPDATE custbackup.resources SET team_id = gen_random_uuid() WHERE id = $1', 'restore', '^skipped/not_eligible .*different teams'),
	('UPDATE custbackup.resources SET team_id = NULL WHERE id = $1', 'restore', '^skipped/not_eligible .*different teams'),
	('UPDATE custbackup.resources SET resource_type = ''vector'' WHERE id = $1', 'restore', '^skipped/not_eligible .*type'),
	('DELETE FROM custbackup.resources WHERE id = $1', 'restore', '^skipped/not_eligible .*no longer there')
) AS v (change, kind, expected);
UPDATE custbackup.engines SET enabled = false WHERE resource_type = 'postgres';
SELECT pg_temp.resource('off') AS off \gset
SELECT custbackup.request_backup(:'off') AS off_job \gset
SELECT is(pg_temp.claim(), NULL, 'an engine that was disabled');
SELECT matches(detail, 'engine.*"postgres" is disabled', 'is named') FROM custbackup.jobs WHERE id = :'off_job' AND status = 'failed' AND reason = 'config';
UPDATE custbackup.engines SET enabled = true WHERE resource_type = 'postgres';
UPDATE custbackup.stores SET is_default = false;
SELECT custbackup.request_backup(:'off') AS nowhere \gset
SELECT is(pg_temp.claim(), NULL, 'no default store');
SELECT matches(detail, 'is_default', 'says so') FROM custbackup.jobs WHERE id = :'nowhere' AND status = 'failed' AND reason = 'config';
UPDATE custbackup.stores SET is_default = true WHERE name = 'default';

-- Many that end at once do not use up the slots, and do not take for ever.
SELECT pg_temp.resource('free-' || g, 'free') FROM generate_series(1, 300) g;
INSERT INTO custbackup.jobs (kind, resource_id, resource_type, not_before) SELECT 'backup', id, 'postgres', now() - interval '1 hour' FROM custbackup.resources WHERE token LIKE 'free-%';
SELECT custbackup.request_backup(:'off') AS last \gset
SELECT is(count(*), 0::bigint, 'one call looks at a few hundred') FROM custbackup.claim('r1', 4, '{}', now() + interval '1 minute');
SELECT is(count(*), 1::bigint, 'the next one gets there') FROM custbackup.claim('r1', 4, '{}', now() + interval '1 minute');
SELECT is(count(*), 300::bigint, 'all are skipped') FROM custbackup.jobs j JOIN custbackup.resources r ON r.id = j.resource_id WHERE r.token LIKE 'free-%' AND j.status = 'skipped';

-- A foreign table of resources may hold what ours would refuse.
CREATE TABLE public.platform AS SELECT * FROM custbackup.resources WHERE false;
SET LOCAL custbackup.resource_source = 'public.platform';
INSERT INTO public.platform VALUES ('00000009-0000-4000-8000-000000000001', '../../etc', NULL, 'pro', 'postgres', 'x', 'active'), ('00000008-0000-4000-8000-000000000001', 'fine', NULL, NULL, NULL, NULL, NULL),
	(NULL, 'nobody', NULL, 'pro', 'postgres', 'x', 'active');
SELECT throws_like($$SELECT custbackup.request_backup('00000009-0000-4000-8000-000000000001')$$, '%token%', 'an unsafe token: an error at the request');
SELECT is(custbackup.schedule(), 1, 'scheduled all the same');
SELECT is(pg_temp.claim(), NULL, 'but not run');
SELECT is(concat_ws(' ', status, reason), 'failed config', 'an unsafe token: failed/config at the claim') FROM custbackup.jobs WHERE resource_id = '00000009-0000-4000-8000-000000000001';
SELECT lives_ok($$SELECT custbackup.request_backup('00000008-0000-4000-8000-000000000001')$$, 'a row full of NULLs');
SELECT is(pg_temp.claim(), NULL, 'is skipped');
SELECT is(concat_ws(' ', status, reason), 'skipped not_eligible', 'as not active') FROM custbackup.jobs WHERE resource_id = '00000008-0000-4000-8000-000000000001';
SELECT is(count(*), 2::bigint, 'a row without an id is nobody') FROM custbackup.schedule;

-- Nor may one row of it keep all others in the queue: by its size, or because reading it fails.
TRUNCATE public.platform;
INSERT INTO public.platform SELECT ('0000001' || g || '-0000-4000-8000-000000000001')::uuid, 'fine-' || g, NULL, 'pro', 'postgres', 'x', 'active' FROM generate_series(0, 4) g;
CREATE FUNCTION pg_temp.noise() RETURNS text LANGUAGE sql AS $$SELECT string_agg(sha256(g::text::bytea)::text, '') FROM generate_series(1, 1000) g$$;
UPDATE public.platform SET resource_type = pg_temp.noise() WHERE token = 'fine-0';
UPDATE public.platform SET status = pg_temp.noise() WHERE token = 'fine-1';
UPDATE public.platform SET tier = pg_temp.noise() WHERE token = 'fine-2';
UPDATE public.platform SET token = pg_temp.noise() WHERE token = 'fine-3';
INSERT INTO custbackup.jobs (kind, resource_id, resource_type, not_before, requested_at) SELECT 'backup', id, 'postgres', now() - interval '1 hour', now() - interval '2 hours' FROM public.platform;
SELECT is(array_agg(job::jsonb #>> '{resource,token}'), '{fine-4}', 'rows as long as books: the one that is right is claimed') FROM custbackup.claim('r1', 9, '{}', now() + interval '1 minute');
SELECT results_eq($$SELECT j.status || '/' || j.reason FROM custbackup.jobs j JOIN public.platform p ON p.id = j.resource_id WHERE j.status <> 'running' ORDER BY p.id$$,
	ARRAY['failed/config', 'skipped/not_eligible', 'skipped/not_eligible', 'failed/config'], 'the others end');
SELECT cmp_ok(max(length(detail)), '<', 1000, 'and none of them fills the queue') FROM custbackup.jobs;
UPDATE custbackup.jobs SET status = 'failed', reason = 'internal', finished_at = now() WHERE status = 'running';
CREATE VIEW public.failing AS SELECT id, token, team_id, tier, resource_type, CASE WHEN token = 'fine-4' THEN connection_url ELSE (1 / length(left(tier, 0)))::text END AS connection_url, status FROM public.platform;
SET LOCAL custbackup.resource_source = 'public.failing';
INSERT INTO custbackup.jobs (kind, resource_id, resource_type, not_before, requested_at) SELECT 'backup', id, 'postgres', now() - interval '1 hour', now() - interval '2 hours' FROM public.platform;
SELECT is(array_agg(job::jsonb #>> '{resource,token}'), '{fine-4}', 'rows that cannot be read: the one that can is claimed') FROM custbackup.claim('r1', 9, '{}', now());
SELECT is(count(*), 4::bigint, 'the others wait') FROM custbackup.jobs WHERE status = 'pending' AND not_before = now() + interval '30 seconds' AND attempt = 0;
SET LOCAL custbackup.resource_source = 'public.nowhere';
SELECT throws_ok($$SELECT custbackup.claim('r1', 9, '{}', now() + interval '1 hour')$$, '42P01', NULL, 'what is wrong with all of them is no single row''s matter');

SELECT * FROM finish();
ROLLBACK;
