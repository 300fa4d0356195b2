-- Object lock in the catalogue, and what failed attempts leave: known, never called gone, removed in the end.
BEGIN;
\ir include/fleet.psql
SELECT plan(71);

-- As of some time after now: what the worker's pass would enqueue.
CREATE FUNCTION pg_temp.sweep(after interval) RETURNS integer LANGUAGE sql AS $$ SELECT custbackup.sweep(now() + after) $$;
CREATE FUNCTION pg_temp.object(backup uuid) RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(' ', object_state, locked_until AT TIME ZONE 'UTC', expired_at IS NOT NULL) FROM custbackup.backups WHERE id = $1
$$;
CREATE FUNCTION pg_temp.job(attempt uuid) RETURNS jsonb LANGUAGE sql AS $$
	SELECT custbackup.job_text(j, (SELECT p FROM custbackup.policies(j.resource_id) p))::jsonb FROM custbackup.jobs j WHERE attempt_id = $1
$$;
-- Claims what was enqueued then, and nothing that is due by schedule.
CREATE FUNCTION pg_temp.claim_at(after interval) RETURNS uuid LANGUAGE sql AS $$ SELECT pg_temp.claim('r1', now() + after) $$;

-- ---- how long it is to be locked ---------------------------------------------------------------------
SELECT pg_temp.resource('acme', 'pro') AS acme \gset
SELECT pg_temp.resource('yearly', 'hobby_yearly') AS yearly \gset
SELECT pg_temp.resource('none', 'startup') AS none \gset
SELECT pg_temp.resource('ever', 'ever') AS ever \gset
INSERT INTO custbackup.tiers (tier, cadence, retention_days) VALUES ('startup', '1 day', 0), ('ever', '1 day', 2147483647);
CREATE FUNCTION pg_temp.lock_of(resource uuid) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	attempt uuid;
BEGIN
	PERFORM custbackup.request_backup(resource);
	attempt := pg_temp.claim();
	PERFORM pg_temp.failed(attempt, 'auth');
	RETURN pg_temp.job(attempt) #>> '{object,retain_until}';
END $$;
SET timezone = 'Europe/Berlin';
SELECT is(pg_temp.lock_of(:'acme')::timestamptz, date_trunc('second', now()) + interval '1 minute' + 30 * interval '24 hours', 'until the tier''s retention ends, whatever the session''s time zone');
SET timezone = 'UTC';
SELECT is(pg_temp.lock_of(:'yearly')::timestamptz, date_trunc('second', now()) + interval '1 minute' + 7 * interval '24 hours', 'a yearly tier''s is its base tier''s');
SELECT is(pg_temp.lock_of(:'none'), NULL, 'a tier without retention wants no lock');
SELECT matches(pg_temp.lock_of(:'ever'), '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$', 'an endless retention is still a time');

-- ---- what is locked ----------------------------------------------------------------------------------
CREATE FUNCTION pg_temp.locked_backup(resource uuid, until text) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
	job uuid := custbackup.request_backup(resource);
	attempt uuid := pg_temp.claim();
BEGIN
	PERFORM pg_temp.started(attempt), pg_temp.upload(attempt);
	IF pg_temp.say(attempt, 'done', pg_temp.backup_result(pg_temp.key_of(attempt)) || jsonb_build_object('locked_until', until)) <> 'ended' THEN
		RAISE EXCEPTION 'the test''s own backup did not work';
	END IF;
	RETURN job;
END $$;
SELECT pg_temp.locked_backup(:'acme', '2100-01-01T00:00:00Z') AS locked \gset
SELECT is(pg_temp.state(:'locked'), 'ok', 'a backup that the store has locked');
SELECT is(pg_temp.object(:'locked'), 'stored 2100-01-01 00:00:00 f', 'it is recorded until when');
SELECT custbackup.expire(:'locked') AS e \gset
SELECT is(pg_temp.object(:'locked'), 'expiring 2100-01-01 00:00:00 f', 'its removal is asked for');
SELECT pg_temp.claim() AS a \gset
SELECT is(concat_ws(' ', pg_temp.started(:'a'), pg_temp.failed(:'a', 'locked', '{"locked_until": "2100-02-01T00:00:00Z"}')), 'continue ended', 'the store says that it is locked');
SELECT is(pg_temp.state(:'e'), 'failed/locked', 'which the request did not reach');
SELECT is(pg_temp.object(:'locked'), 'locked 2100-02-01 00:00:00 f', 'it is locked until then, and not called expired');
SELECT is(message, 'The backup is protected from deletion for a time, and was kept.', 'the customer''s sentence') FROM (SELECT custbackup.reason_text('locked') AS message) s;
SELECT lives_ok(format('SELECT custbackup.cancel(custbackup.request_restore(%L, safety_backup => false))', :'locked'), 'what is locked can be restored');
SELECT is(pg_temp.sweep('1 day'), 0, 'until then nobody asks again');
SELECT is(custbackup.expire(:'locked') IS NOT NULL, true, 'but a person may: a lock can be lifted');
SELECT custbackup.cancel(custbackup.expire(:'locked'));
SELECT is(pg_temp.object(:'locked'), 'stored 2100-02-01 00:00:00 f', 'a removal that is taken back leaves it stored');
SELECT custbackup.expire(:'locked') AS e \gset
SELECT pg_temp.claim() AS a \gset
SELECT pg_temp.started(:'a'), pg_temp.failed(:'a', 'locked', '{"locked_until": "2100-02-01T00:00:00Z"}');
-- 2100-02-01, from the year of this test.
SELECT '2100-02-01'::timestamptz - now() AS t \gset
SELECT is(pg_temp.sweep(:'t'::interval - '1 second'), 0, 'a second before');
SELECT is(pg_temp.sweep(:'t'::interval), 1, 'when the lock has run out its removal is asked for by itself');
SELECT is(pg_temp.sweep(:'t'::interval), 0, 'once');
SELECT is(pg_temp.object(:'locked'), 'expiring 2100-02-01 00:00:00 f', 'it is being removed');
SELECT pg_temp.claim_at(:'t') AS a \gset
SELECT is(concat_ws(' ', pg_temp.started(:'a'), custbackup.report(:'a', '{"event": "failed", "reason": "store", "detail": "x"}', now() + :'t'::interval)), 'continue ended', 'the store is away');
SELECT is(pg_temp.object(:'locked'), 'expiring 2100-02-01 00:00:00 f', 'it is still to be removed');
SELECT is(pg_temp.sweep(:'t'::interval + '10 minutes'), 0, 'not at once again');
SELECT is(pg_temp.sweep(:'t'::interval + '61 minutes'), 1, 'but an hour later');
SELECT pg_temp.claim_at(:'t'::interval + '61 minutes') AS a \gset
SELECT is(concat_ws(' ', pg_temp.started(:'a'), pg_temp.say(:'a', 'done')), 'continue ended', 'and then it works');
SELECT matches(pg_temp.object(:'locked'), '^expired .* t$', 'only now it is expired');
SELECT is(pg_temp.sweep(:'t'::interval + '1 day'), 0, 'and nothing is left to do');

SELECT pg_temp.locked_backup(:'acme', 'infinity') AS held \gset
SELECT is(pg_temp.object(:'held'), 'stored infinity f', 'a legal hold has no end');
SELECT custbackup.expire(:'held') AS e \gset
SELECT pg_temp.claim() AS a \gset
SELECT pg_temp.started(:'a'), pg_temp.failed(:'a', 'locked', '{"locked_until": "infinity"}');
SELECT is(pg_temp.object(:'held'), 'locked infinity f', 'it is kept');
SELECT is(pg_temp.sweep('50 years'), 0, 'and nobody asks by himself');

-- ---- what failed attempts leave ----------------------------------------------------------------------
CREATE FUNCTION pg_temp.left_of(attempt uuid, until text) RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_build_object('left', jsonb_build_array(jsonb_build_object('attempt_id', attempt, 'locked_until', until)))
$$;
CREATE FUNCTION pg_temp.leftovers(resource uuid) RETURNS text LANGUAGE sql AS $$
	SELECT coalesce(string_agg(concat_ws(' ', attempt, outcome, locked_until AT TIME ZONE 'UTC'), ', ' ORDER BY finished_at, attempt), 'none') FROM custbackup.leftovers WHERE resource_id = $1
$$;
CREATE FUNCTION pg_temp.uploading(resource uuid) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
	attempt uuid;
BEGIN
	PERFORM custbackup.request_backup(resource);
	attempt := pg_temp.claim();
	PERFORM pg_temp.started(attempt), pg_temp.upload(attempt, 'upload-1');
	RETURN attempt;
END $$;
SELECT pg_temp.resource('lefty', 'pro') AS lefty \gset

SELECT pg_temp.uploading(:'lefty') AS a \gset
SELECT is(pg_temp.failed(:'a', 'upload', '{"left": []}'), 'ended', 'an attempt fails and leaves nothing');
SELECT is(pg_temp.leftovers(:'lefty'), 'none', 'nothing is looked for');
SELECT is(pg_temp.sweep('1 day'), 0, 'nor swept');

SELECT pg_temp.uploading(:'lefty') AS a \gset
SELECT is(pg_temp.failed(:'a', 'upload', pg_temp.left_of(:'a', '2100-01-01T00:00:00Z')), 'ended', 'an attempt fails and its object is locked');
SELECT is(pg_temp.leftovers(:'lefty'), '1 failed 2100-01-01 00:00:00', 'it is known, and until when');
SELECT is(pg_temp.sweep('1 day'), 0, 'it is not swept before');
SELECT '2100-01-01'::timestamptz - now() AS t \gset
SELECT is(pg_temp.sweep(:'t'), 1, 'but then');
SELECT is(pg_temp.sweep(:'t'), 0, 'once');
SELECT pg_temp.claim_at(:'t') AS s \gset
SELECT is(pg_temp.job(:'s') - 'attempt_id', jsonb_build_object('version', 1, 'kind', 'sweep', 'job_id', s.id, 'attempt', 1,
	'store', '{"name": "default", "url": "file:///var/backups/custbackup"}'::jsonb, 'object', jsonb_build_object('backup_id', b.id, 'token', 'lefty'),
	'previous', jsonb_build_array(jsonb_build_object('attempt_id', :'a', 'key', 'lefty/' || b.id || '.dump.gz', 'upload_id', 'upload-1'))), 'a sweep''s job')
  FROM custbackup.jobs s JOIN custbackup.jobs b ON b.id = s.swept_job_id WHERE s.attempt_id = :'s';
SELECT pg_temp.started(:'s');
SELECT is(pg_temp.say(:'s', 'done', pg_temp.left_of(:'a', '2100-03-01T00:00:00Z')), 'ended', 'somebody made the lock longer');
SELECT is(pg_temp.leftovers(:'lefty'), '1 failed 2100-03-01 00:00:00', 'it is still there');
SELECT is(pg_temp.sweep(:'t'::interval + '1 day'), 0, 'and waits');
SELECT is(pg_temp.sweep(:'t'::interval + '60 days'), 1, 'until it is free');
SELECT pg_temp.claim_at(:'t'::interval + '60 days') AS s \gset
SELECT pg_temp.started(:'s');
SELECT is(pg_temp.say(:'s', 'done', '{"left": []}'), 'ended', 'the sweep finds it free');
SELECT is(pg_temp.leftovers(:'lefty'), 'none', 'it is gone');
SELECT is(pg_temp.sweep(:'t'::interval + '90 days'), 0, 'for good');

-- A mover that was killed says nothing: three times, so that no further attempt looks after it.
SELECT pg_temp.uploading(:'lefty') AS a \gset
SELECT pg_temp.failed(:'a', 'mover_lost');
SELECT is(pg_temp.leftovers(:'lefty'), '1 lost', 'a lost attempt may have left something');
SELECT is(pg_temp.sweep('2 minutes'), 0, 'which the next attempt looks after');
SELECT pg_temp.claim_at('1 hour') AS a2 \gset
SELECT is(pg_temp.job(:'a2') #>> '{previous,0,attempt_id}', :'a', 'it is named to it');
SELECT pg_temp.started(:'a2'), pg_temp.upload(:'a2');
SELECT pg_temp.failed(:'a2', 'mover_lost');
SELECT pg_temp.claim_at('2 hours') AS a3 \gset
SELECT pg_temp.started(:'a3'), pg_temp.upload(:'a3');
SELECT pg_temp.failed(:'a3', 'mover_lost');
SELECT is(pg_temp.leftovers(:'lefty'), '1 lost, 2 lost, 3 lost', 'after the last attempt nobody knows what lies there');
SELECT is(pg_temp.sweep('2 minutes'), 0, 'a mover may take a moment to die');
SELECT is(pg_temp.sweep('10 minutes'), 1, 'then one job looks after all three');
SELECT pg_temp.claim_at('3 hours') AS s \gset
SELECT is(jsonb_array_length(pg_temp.job(:'s') -> 'previous'), 3, 'which are named to it');
SELECT pg_temp.started(:'s');
SELECT is(pg_temp.failed(:'s', 'store'), 'ended', 'the store is away');
SELECT is(pg_temp.leftovers(:'lefty'), '1 lost, 2 lost, 3 lost', 'nothing is forgotten');
SELECT is(pg_temp.sweep('30 minutes'), 0, 'it is not tried again at once');
SELECT is(pg_temp.sweep('2 hours'), 1, 'but an hour later');
SELECT pg_temp.claim_at('3 hours') AS s \gset
SELECT pg_temp.started(:'s');
SELECT is(pg_temp.say(:'s', 'done', pg_temp.left_of(:'a2', NULL)), 'ended', 'one of the three could not be removed');
SELECT is(pg_temp.leftovers(:'lefty'), '2 lost', 'and is the one that remains');

-- What a later attempt adopts is no leftover.
SELECT pg_temp.resource('adopter', 'pro') AS adopter \gset
SELECT pg_temp.uploading(:'adopter') AS a \gset
SELECT pg_temp.key_of(:'a') AS key \gset
SELECT pg_temp.failed(:'a', 'mover_lost');
SELECT pg_temp.claim_at('1 hour') AS a2 \gset
SELECT pg_temp.started(:'a2');
SELECT is(pg_temp.say(:'a2', 'done', pg_temp.backup_result(:'key') || '{"adopted": true, "left": [], "locked_until": "2100-01-01T00:00:00Z"}'), 'ended', 'an attempt adopts what another had finished');
SELECT is(pg_temp.leftovers(:'adopter'), 'none', 'that is no leftover');
SELECT is(swept_at, NULL, 'nor was it swept') FROM custbackup.attempts WHERE attempt_id = :'a';

-- ---- events that are none ----------------------------------------------------------------------------
SELECT is(custbackup.event_value_fits(value::jsonb, type, 'backup'), fits, format('%s as %s', value, type)) FROM (VALUES
	('"2026-02-30T00:00:00Z"', 'time', false), ('"yesterday"', 'time', false), ('null', 'time', false), ('"2026-02-28T00:00:00Z"', 'time', true),
	('{}', 'leftovers', false), ('[1]', 'leftovers', false), ('[{"attempt_id": "x", "locked_until": null}]', 'leftovers', false),
	('[{"attempt_id": "018f0000-0000-4000-8000-000000000001"}]', 'leftovers', false),
	('[{"attempt_id": "018f0000-0000-4000-8000-000000000001", "locked_until": null, "more": 1}]', 'leftovers', false),
	('[{"attempt_id": "018f0000-0000-4000-8000-000000000001", "locked_until": "infinity"}]', 'leftovers', true)) AS v (value, type, fits);

SELECT * FROM finish();
ROLLBACK;
