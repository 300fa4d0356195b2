-- When: months of passes, downtime, clock steps, double calls.
BEGIN;
\ir include/fleet.psql
SELECT plan(75);

\set hobby '''0a000000-0000-4000-8000-000000000001'''
\set pro '''0b000000-0000-4000-8000-000000000001'''
SELECT pg_temp.resource('hobby', 'hobby', team => '0d000000-0000-4000-8000-000000000001', id => :hobby);
SELECT pg_temp.resource('pro', 'growth_yearly', id => :pro);
SELECT pg_temp.resource('free', 'free');
SELECT pg_temp.resource('paused', status => 'suspended');
SELECT pg_temp.resource('unknown', 'platinum');

-- A pass, after which all that waits and is due has been done.
CREATE FUNCTION pg_temp.pass(as_of timestamptz) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	enqueued integer := custbackup.schedule(as_of);
BEGIN
	UPDATE custbackup.jobs SET status = 'cancelled', reason = 'cancelled', finished_at = as_of
	 WHERE status = 'pending' AND not_before <= as_of;
	RETURN enqueued;
END $$;

-- Ten weeks of passes at uneven moments, over a leap day and both changes of daylight time elsewhere.
SET timezone = 'America/New_York';
DO $$
DECLARE
	as_of timestamptz := '2028-01-20 00:01:00Z';
BEGIN
	WHILE as_of < '2028-03-30 00:00:00Z' LOOP
		PERFORM pg_temp.pass(as_of);
		as_of := as_of + make_interval(secs => 600 + abs(hashtext(as_of::text)) % 1200);
	END LOOP;
END $$;
SET timezone = 'UTC';

SELECT is(count(*), count(DISTINCT scheduled_for), 'no slot twice') FROM custbackup.jobs WHERE resource_id = :hobby;
SELECT is(count(*), 71::bigint, 'one a day, and one at once for what was never backed up') FROM custbackup.jobs WHERE resource_id = :hobby;
SELECT is(array_agg(DISTINCT extract(hour FROM scheduled_for)), ARRAY[13::numeric], 'all in the hour of the team''s first byte, UTC')
	FROM custbackup.jobs WHERE resource_id = :hobby;
SELECT is(array_agg(DISTINCT gap), ARRAY[interval '1 day'], 'every day, 29 February too')
	FROM (SELECT scheduled_for - lag(scheduled_for) OVER (ORDER BY scheduled_for) AS gap FROM custbackup.jobs WHERE resource_id = :hobby) g WHERE gap IS NOT NULL;
SELECT is(array_agg(DISTINCT gap), ARRAY[interval '1 hour'], 'pro: every hour')
	FROM (SELECT scheduled_for - lag(scheduled_for) OVER (ORDER BY scheduled_for) AS gap FROM custbackup.jobs WHERE resource_id = :pro) g WHERE gap IS NOT NULL;
SELECT cmp_ok(abs(count(*) - 70 * 24), '<=', 1::bigint, 'as many as there were hours') FROM custbackup.jobs WHERE resource_id = :pro;
SELECT is(count(*), 2::bigint, 'nobody else') FROM (SELECT DISTINCT resource_id FROM custbackup.jobs) r;
SELECT ok(bool_and(not_before >= scheduled_for), 'none before its slot') FROM custbackup.jobs;
SELECT is(count(*), 1::bigint, 'each has one event that says so') FROM (SELECT DISTINCT count(*) FROM custbackup.events WHERE event = 'scheduled' GROUP BY job_id) e;

-- Double calls.
SELECT is(custbackup.schedule('2028-03-29 23:59:00Z'), 0, 'a pass again finds nothing');
SELECT is(custbackup.schedule('2028-03-29 22:40:00Z'), 0, 'nor does one whose clock was set back within the hour');

-- Downtime: three days and a half without a pass, over several midnights.
SELECT pg_temp.pass('2028-03-30 06:00:00Z');
SELECT is(pg_temp.pass('2028-04-02 20:00:00Z'), 2, 'after days of downtime each is caught up once');
SELECT is(pg_temp.pass('2028-04-02 20:00:01Z'), 0, 'and not once for each slot missed');
SELECT is(max(scheduled_for)::date, date '2028-04-02', 'for its latest slot') FROM custbackup.jobs WHERE resource_id = :hobby;

-- The horizon.
CREATE TEMP TABLE next AS SELECT next_due FROM custbackup.schedule_at('2028-04-02 20:00:02Z') WHERE resource_id = :pro;
SELECT is(custbackup.schedule(next_due - interval '6 minutes'), 0, 'six minutes ahead: not yet') FROM next;
SELECT is(custbackup.next_wake(next_due - interval '6 minutes'), next_due, 'but seen') FROM next;
SELECT is(custbackup.schedule(next_due - interval '4 minutes'), 1, 'four minutes ahead: enqueued') FROM next;
SELECT is(not_before, (SELECT next_due FROM next), 'to run when its slot comes') FROM custbackup.jobs WHERE status = 'pending' AND resource_id = :pro;
SELECT is(count(*), 0::bigint, 'and not claimed before') FROM next, custbackup.claim('r1', 5, '{}', next_due - interval '1 second');
SELECT is(count(*), 1::bigint, 'but then') FROM next, custbackup.claim('r1', 5, '{}', next_due);
SELECT pg_temp.failed(attempt_id, 'auth') FROM custbackup.jobs WHERE status = 'running';
SELECT is(custbackup.schedule(next_due + interval '20 minutes'), 0, 'a failed slot is not repeated') FROM next;

-- A clock that jumps a day ahead, and back.
SELECT is(pg_temp.pass('2028-04-04 09:00:00Z'), 2, 'a day ahead: each due once');
SELECT is(custbackup.schedule(next_due - interval '3 minutes'), 1, 'something waits for a moment in the wrong future')
	FROM custbackup.schedule_at('2028-04-04 09:00:01Z') WHERE resource_id = :pro;
SELECT is(pg_temp.pass('2028-04-02 22:00:00Z'), 0, 'back again: what waited far ahead becomes the backup of this slot, nothing twice');
SELECT is(count(*), 0::bigint, 'and nothing is left far ahead') FROM custbackup.jobs WHERE status = 'pending';
SELECT is(pg_temp.pass('2028-04-02 23:00:00Z'), 1, 'the hours go on as if nothing had been');
SELECT is(pg_temp.pass('2028-04-03 00:00:00Z'), 1, 'and on');
SELECT is(count(*), count(DISTINCT (resource_id, scheduled_for)), 'still no slot twice') FROM custbackup.jobs;
SELECT ok(custbackup.next_wake('2028-04-01 00:00:00Z') <= '2028-04-01 00:00:00Z', 'a pass that lies in the future calls for another now');

-- A lost job whose retry was put into the wrong future is not forgotten there.
SELECT pg_temp.resource('lost', id => '0c000000-0000-4000-8000-000000000001');
SELECT custbackup.request_backup('0c000000-0000-4000-8000-000000000001') AS lost \gset
SELECT pg_temp.claim() AS attempt \gset
SELECT custbackup.report(:'attempt', '{"event": "failed", "reason": "mover_lost", "detail": "x"}', now() + interval '1 day');
SELECT cmp_ok(not_before, '>', now() + interval '23 hours', 'a retry that a wrong clock put off') FROM custbackup.jobs WHERE id = :'lost';
SELECT custbackup.schedule(now());
SELECT is(not_before, now(), 'comes at once when the clock is right again') FROM custbackup.jobs WHERE id = :'lost';
UPDATE custbackup.jobs SET status = 'cancelled', reason = 'cancelled', finished_at = now() WHERE status = 'pending';

-- A backup that waits already is the slot's backup.
SELECT pg_temp.resource('asked', id => '0e000000-0000-4000-8000-000000000001');
SELECT custbackup.request_backup('0e000000-0000-4000-8000-000000000001') AS asked \gset
SELECT custbackup.schedule(now());
SELECT is(count(*), 1::bigint, 'no second one for the slot') FROM custbackup.jobs WHERE resource_id = '0e000000-0000-4000-8000-000000000001';
SELECT isnt(scheduled_for, NULL, 'the one that waits took it over') FROM custbackup.jobs WHERE id = :'asked';

-- So is one that was begun in the slot's period before a pass saw the slot: then one is enough.
CREATE FUNCTION pg_temp.asked_first(how text, OUT jobs bigint, OUT next_due_in interval) LANGUAGE plpgsql AS $$
DECLARE
	resource uuid;
	slot timestamptz;
	job uuid;
BEGIN
	-- One whose slot was a while ago, and will not be again before the pass.
	SELECT random.id, custbackup.slot_at(now(), '1 hour', custbackup.slot_offset('1 hour', false, NULL, random.id)) INTO resource, slot
	  FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, 300)) AS random
	 WHERE now() - custbackup.slot_at(now(), '1 hour', custbackup.slot_offset('1 hour', false, NULL, random.id)) BETWEEN '5 minutes' AND '25 minutes' LIMIT 1;
	PERFORM pg_temp.resource('first-' || how, id => resource);
	job := custbackup.request_backup(resource);
	UPDATE custbackup.jobs SET not_before = '2000-01-01' WHERE id = job;
	PERFORM pg_temp.claim(as_of => slot + CASE how WHEN 'earlier' THEN interval '-1 second' ELSE interval '1 second' END);
	PERFORM CASE how WHEN 'ok' THEN pg_temp.back_up(j.attempt_id) WHEN 'failed' THEN pg_temp.failed(j.attempt_id, 'auth')
		WHEN 'lost' THEN pg_temp.failed(j.attempt_id, 'mover_lost') END FROM custbackup.jobs j WHERE j.id = job AND j.status = 'running';
	next_due_in := (SELECT s.next_due - slot FROM custbackup.schedule_at(slot + interval '40 minutes') s WHERE s.resource_id = resource);
	PERFORM custbackup.schedule(slot + interval '40 minutes'), custbackup.schedule(slot + interval '41 minutes');
	jobs := (SELECT count(*) FROM custbackup.jobs j WHERE j.resource_id = resource);
	UPDATE custbackup.jobs SET status = 'cancelled', reason = 'cancelled', finished_at = now() WHERE status IN ('pending', 'running');
END $$;
SELECT is(jobs, expected::bigint, format('asked for before the pass: %s', how)) FROM (VALUES ('running', 1), ('ok', 1), ('lost', 1), ('failed', 2), ('earlier', 2)) AS v (how, expected),
	pg_temp.asked_first(how);
SELECT is(next_due_in, expected, format('and the view says so: %s', how)) FROM (VALUES ('running', interval '1 hour'), ('ok', '1 hour'), ('failed', '0'), ('earlier', '0')) AS v (how, expected),
	pg_temp.asked_first(how);

-- Never backed up: at once, also when its slot is only minutes away.
SELECT pg_temp.resource('new', id => '0f000000-0000-4000-8000-000000000001');
CREATE TEMP TABLE soon AS SELECT custbackup.slot_at(now(), '1 hour', slot_offset) + interval '57 minutes' AS as_of
	FROM custbackup.policies('0f000000-0000-4000-8000-000000000001');
SELECT ok(custbackup.schedule(as_of) >= 1, 'a new resource is enqueued') FROM soon;
SELECT is(not_before, (SELECT as_of FROM soon), 'to run at once') FROM custbackup.jobs WHERE resource_id = '0f000000-0000-4000-8000-000000000001';

-- Changes between passes.
UPDATE custbackup.resources SET tier = 'free' WHERE id = :pro;
SELECT is(count(*), 0::bigint, 'a tier that was lowered is not enqueued')
	FROM (SELECT custbackup.schedule('2028-05-01 00:00Z')) s, custbackup.jobs WHERE resource_id = :pro AND scheduled_for > '2028-04-30';
INSERT INTO custbackup.tiers (tier, cadence) VALUES ('quick', '2 minutes');
UPDATE custbackup.resources SET tier = 'quick_yearly' WHERE id = :pro;
SELECT pg_temp.pass('2028-05-01 00:01Z'::timestamptz + g * interval '1 minute') FROM generate_series(1, 60) g;
SELECT cmp_ok(abs(count(*) - 30), '<=', 1::bigint, 'a period of two minutes gives thirty an hour')
	FROM custbackup.jobs WHERE resource_id = :pro AND scheduled_for > '2028-04-30';

-- Whatever goes by a clock wants one that shows some time.
SELECT throws_ok(format('SELECT %s', replace(call, 'TIME', coalesce(quote_literal(moment), 'NULL'))), '22023',
		format('custbackup: as_of is %s, which is no time that a clock can show', coalesce(moment, 'NULL')), replace(call, 'TIME', coalesce(moment, 'NULL')))
  FROM unnest(ARRAY[NULL, 'infinity', '-infinity']) AS moment,
       unnest(ARRAY['custbackup.schedule(TIME)', 'custbackup.sweep(TIME)', 'custbackup.next_wake(TIME)', 'custbackup.claim(''r1'', 1, ''{}'', TIME)',
		'custbackup.renew(''r1'', ARRAY[gen_random_uuid()], TIME)', 'custbackup.give_back(gen_random_uuid(), 0, TIME)', 'custbackup.report(gen_random_uuid(), ''{}'', TIME)',
		'count(*) FROM custbackup.schedule_at(TIME)', 'custbackup.status_at(TIME)']) AS call;

-- A fleet that joins a queue which was small when it was last looked at.
TRUNCATE custbackup.jobs CASCADE;
SELECT pg_temp.resource('first');
SELECT custbackup.schedule('2028-06-01 00:00Z');
ANALYZE custbackup.jobs;
SELECT pg_temp.resource('fleet-' || g) FROM generate_series(1, 300) g;
CREATE TEMP TABLE scans AS SELECT seq_scan FROM pg_stat_xact_user_tables WHERE relid = 'custbackup.jobs'::regclass;
SELECT cmp_ok(custbackup.schedule('2028-06-01 01:00Z'), '>=', 300, 'three hundred resources are enqueued');
SELECT cmp_ok(s.seq_scan - scans.seq_scan, '<', 10::bigint, 'without reading the whole queue for each')
	FROM scans, pg_stat_xact_user_tables s WHERE s.relid = 'custbackup.jobs'::regclass;

SELECT * FROM finish();
ROLLBACK;
