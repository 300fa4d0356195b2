-- Who is backed up: tiers, daily hours, slots, tokens, stores.
BEGIN;
\ir include/fleet.psql
SELECT plan(99);

-- The daily hour.
SELECT is(custbackup.daily_hour('05aaaaaa-0000-4000-8000-000000000001', gen_random_uuid()), 5, 'first byte 05: hour 5');
SELECT is(custbackup.daily_hour('18000000-0000-4000-8000-000000000001', gen_random_uuid()), 0, 'first byte 0x18 = 24: hour 0');
SELECT is(custbackup.daily_hour('ff000000-0000-4000-8000-000000000001', gen_random_uuid()), 255 % 24, 'first byte ff: hour 15');
SELECT is(custbackup.daily_hour(NULL, '07000000-0000-4000-8000-000000000001'), 7, 'no team: the resource''s first byte');
SELECT cmp_ok(count(DISTINCT custbackup.daily_hour(('0192f3a0-0000-7000-8000-' || lpad(to_hex(g), 12, '0'))::uuid, NULL))::integer, '>', 20,
	'version-7 uuids of one moment spread over the day') FROM generate_series(1, 500) g;
SELECT cmp_ok(count(DISTINCT custbackup.daily_hour(NULL, ('0192f3a0-0000-7000-8000-' || lpad(to_hex(g), 12, '0'))::uuid))::integer, '>', 20,
	'so do resources without a team') FROM generate_series(1, 500) g;
SELECT is(custbackup.daily_hour('0192f3a0-0000-4000-8000-000000000007', NULL), 1, 'a version-4 uuid that begins alike is not hashed');

-- Offsets.
SELECT ok(bool_and(custbackup.slot_offset('1 hour', false, NULL, id) >= '0' AND custbackup.slot_offset('1 hour', false, NULL, id) < '1 hour'),
	'an hourly offset lies within the hour') FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, 300)) r;
SELECT cmp_ok(count(DISTINCT extract(minute FROM custbackup.slot_offset('1 hour', false, NULL, id)))::integer, '>', 50,
	'and is spread over it') FROM (SELECT ('00000000-0000-4000-8000-' || lpad(g::text, 12, '0'))::uuid AS id FROM generate_series(1, 1000) g) r;
SELECT ok(bool_and(extract(hour FROM custbackup.slot_offset('1 day', true, t, r)) = custbackup.daily_hour(t, r)),
	'a daily offset lies in the daily hour') FROM (SELECT gen_random_uuid() AS t, gen_random_uuid() AS r FROM generate_series(1, 300)) x;
SELECT ok(bool_and(custbackup.slot_offset('10 minutes', false, NULL, id) < '10 minutes'), 'a short period has a short offset')
	FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, 300)) r;
SELECT is(custbackup.slot_at('2026-03-01 00:10Z', '1 hour', '15 minutes'), '2026-02-28 23:15Z', 'the slot before, over midnight and month');
SELECT is(custbackup.slot_at('2026-03-01 00:15Z', '1 hour', '15 minutes'), '2026-03-01 00:15Z', 'a slot begins at its first moment');
SET timezone = 'America/New_York';
SELECT is(custbackup.slot_at('2026-03-08 12:00Z', '1 day', '07:30') AT TIME ZONE 'UTC', timestamp '2026-03-08 07:30', 'a day of 23 hours somewhere changes nothing');
SELECT is(custbackup.slot_at('2026-11-02 07:29Z', '1 day', '07:30') AT TIME ZONE 'UTC', timestamp '2026-11-01 07:30', 'nor one of 25');
SET timezone = 'UTC';

-- Tiers, as shipped.
SELECT results_eq('SELECT tier, cadence::text, at_daily_hour FROM custbackup.tiers ORDER BY tier',
	$$VALUES ('anonymous', NULL, false), ('free', NULL, false), ('growth', '01:00:00', false), ('hobby', '1 day', true),
	         ('hobby_plus', '1 day', true), ('pro', '01:00:00', false), ('team', '01:00:00', false)$$, 'the shipped tiers');
SELECT results_eq('SELECT resource_type, engine, enabled FROM custbackup.engines ORDER BY 1',
	$$VALUES ('mongodb', 'mongodb', true), ('postgres', 'postgres', true), ('redis', 'redis', true), ('vector', 'postgres', true)$$, 'the shipped engines');
SELECT is(custbackup.base_tier('pro_yearly'), 'pro', 'pro_yearly is pro');
SELECT is(custbackup.base_tier('yearly'), 'yearly', 'a suffix alone is a name');

SELECT throws_ok($$UPDATE custbackup.tiers SET cadence = '1 month' WHERE tier = 'pro'$$, '23514', NULL, 'a period has no months');
SELECT throws_ok($$UPDATE custbackup.tiers SET cadence = '0' WHERE tier = 'pro'$$, '23514', NULL, 'nor is it empty');
SELECT throws_ok($$UPDATE custbackup.tiers SET cadence = '-1 hour' WHERE tier = 'pro'$$, '23514', NULL, 'nor negative');
SELECT throws_ok($$UPDATE custbackup.tiers SET at_daily_hour = true WHERE tier = 'pro'$$, '23514', NULL, 'a daily hour needs days');
SELECT throws_ok($$INSERT INTO custbackup.tiers (tier, cadence) VALUES ('pro_yearly', '1 hour')$$, '23514', NULL, 'a _yearly tier is its base and has no row');
SELECT throws_ok($$UPDATE custbackup.tiers SET keep_last = -1 WHERE tier = 'pro'$$, '23514', NULL, 'keep_last is not negative');
SELECT throws_ok($$INSERT INTO custbackup.tiers (tier, cadence) VALUES ('pro', '2 hours')$$, '23505', NULL, 'a shipped tier is not added again');
SELECT lives_ok($$INSERT INTO custbackup.tiers (tier, cadence) VALUES ('pro', '2 hours') ON CONFLICT (tier) DO UPDATE SET cadence = excluded.cadence$$, 'added or changed');
SELECT is(concat_ws(' ', cadence, retention_days, keep_last, shipped, edited), '02:00:00 30 24 t t', 'it is changed, and keeps all else') FROM custbackup.tiers WHERE tier = 'pro';
SELECT throws_ok($$INSERT INTO custbackup.engines (resource_type, engine) VALUES ('redis', 'postgres')$$, '23505', NULL, 'nor is a shipped engine');
SELECT lives_ok($$UPDATE custbackup.tiers SET cadence = NULL WHERE tier = 'hobby'$$, 'a tier can be switched off');
SELECT ok(edited, 'and is then marked as edited') FROM custbackup.tiers WHERE tier = 'hobby';
SELECT throws_ok($$DELETE FROM custbackup.tiers WHERE tier = 'hobby'$$, '23001', NULL, 'a shipped tier is not deleted');
SELECT throws_ok($$TRUNCATE custbackup.tiers$$, '23001', NULL, 'nor truncated away');
SELECT throws_ok($$UPDATE custbackup.tiers SET tier = 'other' WHERE tier = 'hobby'$$, '23001', NULL, 'nor renamed');
SELECT lives_ok($$INSERT INTO custbackup.tiers (tier, cadence) VALUES ('enterprise', '15 minutes')$$, 'a new one is added');
SELECT lives_ok($$DELETE FROM custbackup.tiers WHERE tier = 'enterprise'$$, 'and deleted');
SELECT throws_ok($$DELETE FROM custbackup.engines WHERE resource_type = 'redis'$$, '23001', NULL, 'a shipped engine is not deleted');
SELECT throws_ok($$TRUNCATE custbackup.engines$$, '23001', NULL, 'nor truncated away');

-- Tokens: the rule of src/mover/object_key.h.
SELECT ok(custbackup.token_is_safe(t), format('token "%s" is safe', left(t, 40)))
	FROM unnest(ARRAY['a', 'acme-main', 'A.b_c-1', '-x', '_x', '0', 'a..b', repeat('x', 200)]) t;
SELECT ok(NOT custbackup.token_is_safe(t), format('token %s is refused', left(to_json(t)::text, 40)))
	FROM unnest(ARRAY['', '.', '..', '.hidden', 'a/b', '../x', 'a b', E'a\n', E'a\tb', E'a\x01', 'ä', 'a%2f', 'a\b', repeat('x', 201)]) t;
SELECT throws_ok($$SELECT pg_temp.resource('../etc')$$, '23514', NULL, 'the table refuses an unsafe token');

-- Stores.
SELECT ok(custbackup.store_url_is_valid(u), format('store %s', u)) FROM unnest(ARRAY['file:///var/backups', 's3://bucket',
	's3://bucket/', 's3://my.bucket-1/some/prefix', 's3://bucket/prefix?endpoint=https://fra1.digitaloceanspaces.com&region=fra1',
	's3://bucket?endpoint=http://127.0.0.1:9000&region=us-east-1']) u;
SELECT ok(NOT custbackup.store_url_is_valid(u), format('no store: %s', left(to_json(u)::text, 60))) FROM unnest(ARRAY['', 'file://', 'file:///', 'file://host/dir', 'file:relative',
	'/var/backups', 'file:///var/../etc', 'file:///var/..', 'file:///a?b', E'file:///a\nb', 'file:///a b', 's3://', 's3:///prefix', 's3://b', 's3://user:pw@bucket/x',
	's3://bucket/x?secret_access_key=abc', 's3://bucket?access-key-id=AKIA', 's3://bucket?session_token=x', 's3://bucket?X-Amz-Signature=x',
	's3://bucket?endpoint=https://user:pw@host', 's3://bucket/../other', 'http://bucket', 's3://bucket#x', 's3://' || repeat('b', 2000)]) u;
SELECT throws_ok($$INSERT INTO custbackup.stores (name, url, is_default) VALUES ('second', 's3://second', true)$$, '23505', NULL, 'one default store');
SELECT lives_ok($$INSERT INTO custbackup.stores (name, url) VALUES ('second', 's3://second')$$, 'another store beside it');
SELECT throws_ok($$INSERT INTO custbackup.stores (name, url) VALUES ('a/b', 's3://third')$$, '23514', NULL, 'a store''s name is a plain name');

-- What stands in the way of a backup.
SELECT pg_temp.resource('active');
SELECT pg_temp.resource('yearly', 'pro_yearly');
SELECT pg_temp.resource('free', 'free');
SELECT pg_temp.resource('free-yearly', 'free_yearly');
SELECT pg_temp.resource('unknown', 'platinum');
SELECT pg_temp.resource('paused', status => 'suspended');
SELECT pg_temp.resource('engineless', type => 'mysql');
SELECT pg_temp.resource('disabled', type => 'redis');
UPDATE custbackup.engines SET enabled = false WHERE resource_type = 'redis';
SELECT results_eq($$SELECT token, status_obstacle IS NOT NULL, tier_obstacle IS NOT NULL, engine_obstacle IS NOT NULL FROM custbackup.policies() ORDER BY token$$,
	$$VALUES ('active', false, false, false), ('disabled', false, false, true), ('engineless', false, false, true), ('free', false, true, false),
	         ('free-yearly', false, true, false), ('paused', true, false, false), ('unknown', false, true, false), ('yearly', false, false, false)$$,
	'obstacles');
SELECT matches(obstacle, 'platinum.*not listed', 'the view schedule names the unknown tier') FROM custbackup.schedule WHERE token = 'unknown';
SELECT matches(obstacle, 'mysql', 'and the type without an engine') FROM custbackup.schedule WHERE token = 'engineless';
SELECT is(next_due, NULL, 'which is never due') FROM custbackup.schedule WHERE token = 'engineless';
SELECT results_eq('SELECT resources, scheduled_resources, not_active, tier_without_backups, unknown_tier, unknown_tiers, without_engine FROM custbackup.status',
	$$VALUES (8::bigint, 2::bigint, 1::bigint, 2::bigint, 1::bigint, ARRAY['platinum'], 2::bigint)$$, 'the view status counts them all');

SELECT * FROM finish();
ROLLBACK;
