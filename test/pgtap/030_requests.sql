-- request_backup, request_restore, cancel, expire: what they accept, what they refuse and how they say it.
BEGIN;
\ir include/fleet.psql
SELECT plan(98);
\set team_a '''aaaaaaaa-0000-4000-8000-000000000001'''
\set team_b '''bbbbbbbb-0000-4000-8000-000000000002'''

SELECT function_returns('custbackup', 'request_backup', ARRAY['uuid', 'text', 'text'], 'uuid');
SELECT function_returns('custbackup', 'request_restore', ARRAY['uuid', 'uuid', 'text', 'boolean'], 'uuid');
SELECT function_returns('custbackup', 'cancel', ARRAY['uuid'], 'boolean');
SELECT has_function('custbackup', 'expire', ARRAY['uuid']);

-- Backups.
SELECT pg_temp.resource('acme') AS acme \gset
SELECT custbackup.request_backup(:'acme', 'ann') AS b1 \gset
SELECT is(custbackup.request_backup(:'acme'), :'b1', 'a second request while one waits: the same id');
SELECT is(requested_by, 'ann', 'who asked is kept') FROM custbackup.jobs WHERE id = :'b1';
SELECT pg_temp.claim() AS a1 \gset
SELECT custbackup.request_backup(resource_id => :'acme', requested_by => 'bob') AS b2 \gset
SELECT isnt(:'b2'::uuid, :'b1', 'while one runs, one more may wait');
SELECT is(custbackup.request_backup(:'acme'), :'b2', 'and that is the one for all further requests');
SELECT pg_temp.failed(:'a1', 'mover_lost');
SELECT is(pg_temp.state(:'b1'), 'pending', 'the first was lost and waits again');
SELECT is(custbackup.request_backup(:'acme'), :'b2', 'a request is not served by a lost attempt, which may have stored earlier bytes');
SELECT is(count(*), 2::bigint, 'two requests in the audit trail') FROM custbackup.events WHERE event = 'requested';
SELECT throws_ok('SELECT custbackup.request_backup(gen_random_uuid())', 'P0002', NULL, 'unknown resource');
SELECT throws_like('SELECT custbackup.request_backup(NULL)', '%no resource NULL%', 'no resource');
UPDATE custbackup.jobs SET status = 'cancelled', reason = 'cancelled', finished_at = now() WHERE status = 'pending';

-- A waiting scheduled one comes forward.
INSERT INTO custbackup.jobs (kind, resource_id, resource_type, not_before) VALUES ('backup', :'acme', 'postgres', now() + interval '4 minutes');
SELECT custbackup.request_backup(:'acme', 'ann') AS early \gset
SELECT is(not_before, now(), 'a request makes a backup that waits for its slot come now') FROM custbackup.jobs WHERE id = :'early';
SELECT custbackup.cancel(:'early');

-- Idempotency.
SELECT pg_temp.resource('idem') AS idem \gset
SELECT custbackup.request_backup(:'idem', 'ann', 'key-1') AS i1 \gset
SELECT is(custbackup.request_backup(:'idem', 'ann', 'key-1'), :'i1', 'same key, same id');
SELECT is(custbackup.request_backup(:'idem', 'ann', 'key-2'), :'i1', 'another key joins the one that waits');
SELECT pg_temp.back_up(pg_temp.claim());
SELECT is(pg_temp.state(:'i1'), 'ok', 'it ended');
SELECT is(custbackup.request_backup(:'idem', NULL, 'key-1'), :'i1', 'the first key still means the same');
SELECT is(custbackup.request_backup(:'idem', NULL, 'key-2'), :'i1', 'and so does the one that joined');
SELECT isnt(custbackup.request_backup(:'idem', NULL, 'key-3'), :'i1', 'a new key is a new request');
SELECT throws_ok(format('SELECT custbackup.request_backup(%L, NULL, %L)', :'acme', 'key-1'), '23505', NULL, 'a key of another resource');
SELECT throws_ok(format('SELECT custbackup.request_backup(%L, NULL, %L)', :'acme', ''), '22023', NULL, 'an empty key');
SELECT throws_ok(format('SELECT custbackup.request_backup(%L, NULL, %L)', :'acme', repeat('k', 201)), '22023', NULL, 'a long key');
SELECT throws_ok($$SELECT custbackup.request_backup(NULL, NULL, 'key-4')$$, 'P0002', 'custbackup: there is no resource NULL', 'a key for nothing');
SELECT throws_ok($$SELECT custbackup.request_backup(gen_random_uuid(), NULL, 'key-4')$$, 'P0002', NULL, 'an error binds no key');
SELECT lives_ok(format('SELECT custbackup.request_backup(%L, NULL, %L)', :'idem', 'key-4'), 'so it can be used afterwards');
SELECT custbackup.cancel(id) FROM custbackup.jobs WHERE status = 'pending';

-- Accepted, to be skipped.
SELECT pg_temp.resource('free', 'free') AS free \gset
SELECT custbackup.request_backup(:'free') AS f1 \gset
SELECT is(pg_temp.state(:'f1'), 'pending', 'a tier without backups: the request is kept');
SELECT is(pg_temp.claim(), NULL, 'nothing is claimed for it');
SELECT is(pg_temp.state(:'f1'), 'skipped/not_eligible', 'it is skipped');
SELECT is(concat_ws(' ', event, reason), 'skipped not_eligible', 'with an event') FROM custbackup.events WHERE job_id = :'f1' ORDER BY id DESC LIMIT 1;
SELECT is(count(*), 0::bigint, 'and no attempt') FROM custbackup.attempts WHERE job_id = :'f1';
SELECT results_eq($$SELECT result, value FROM custbackup.counters WHERE kind = 'backup' AND resource_type = 'postgres' AND result IN ('failed', 'skipped') ORDER BY 1$$,
	$$VALUES ('failed', 0::bigint), ('skipped', 1)$$, 'skipped does not count as failed');

-- Restores.
SELECT pg_temp.backed_up(:'acme') AS good \gset
SELECT pg_temp.resource('clone', team => :team_a) AS twin \gset
SELECT pg_temp.resource('foreign', team => :team_b) AS stranger \gset
SELECT pg_temp.resource('vec', type => 'vector') AS vec \gset
SELECT pg_temp.resource('paused', status => 'suspended') AS paused \gset
SELECT throws_like('SELECT custbackup.request_restore(gen_random_uuid())', '%there is no backup%', 'unknown backup');
SELECT throws_like('SELECT custbackup.request_restore(NULL)', '%there is no backup NULL%', 'no backup');
SELECT throws_like(format('SELECT custbackup.request_restore(%L, %L)', :'good', :'stranger'), '%different teams%', 'another team''s resource');
SELECT throws_like(format('SELECT custbackup.request_restore(%L, %L)', :'good', :'vec'), '%type "postgres"%type "vector"%', 'another type''s resource');
SELECT throws_like(format('SELECT custbackup.request_restore(%L, %L)', :'good', :'paused'), '%status%suspended%', 'a target that is not active');
SELECT throws_like(format('SELECT custbackup.request_restore(%L, gen_random_uuid())', :'good'), '%there is no resource%', 'an unknown target');
SELECT throws_like(format('SELECT custbackup.request_restore(%L)', :'f1'), '%was skipped%', 'a skipped backup');
SELECT custbackup.request_backup(:'twin') AS waits \gset
SELECT throws_like(format('SELECT custbackup.request_restore(%L)', :'waits'), '%has not been taken yet%', 'a pending backup');
SELECT pg_temp.claim() AS twin_attempt \gset
SELECT throws_like(format('SELECT custbackup.request_restore(%L)', :'waits'), '%is running%', 'a running backup');
SELECT pg_temp.failed(:'twin_attempt', 'auth');
SELECT throws_like(format('SELECT custbackup.request_restore(%L)', :'waits'), '%failed%', 'a failed backup');
SELECT throws_like(format('SELECT custbackup.request_restore(%L)', :'early'), '%was cancelled%', 'a cancelled backup');

-- A clone.
SELECT custbackup.request_restore(:'good', :'twin', 'ann') AS c1 \gset
SELECT is(concat_ws(' ', mode, safety_backup_id, resource_id), 'clone ' || :'twin', 'into another resource: a clone, without a safety backup') FROM custbackup.jobs WHERE id = :'c1';
SELECT throws_like(format('SELECT custbackup.request_restore(%L)', :'c1'), '%not a backup but a job of kind restore%', 'a restore''s id is no backup');
SELECT is(custbackup.request_restore(:'good', :'twin'), :'c1', 'asked for again while it waits: the same');
SELECT is(custbackup.cancel(:'c1'), true, 'cancelled while it waits');
SELECT is(pg_temp.state(:'c1'), 'cancelled/cancelled', 'at once');
SELECT is(custbackup.cancel(:'c1'), false, 'not a second time');
SELECT throws_ok('SELECT custbackup.cancel(gen_random_uuid())', 'P0002', NULL, 'an unknown job cannot be cancelled');

-- A rewind.
SELECT custbackup.request_restore(:'good') AS r1 \gset
SELECT safety_backup_id AS s1 FROM custbackup.jobs WHERE id = :'r1' \gset
SELECT is(concat_ws(' ', kind, is_safety, resource_id), 'backup t ' || :'acme', 'a rewind has a safety backup') FROM custbackup.jobs WHERE id = :'s1';
SELECT is(custbackup.request_restore(:'good', :'acme'), :'r1', 'its own resource named: the same rewind');
SELECT throws_ok(format('SELECT custbackup.request_restore(%L, safety_backup => false)', :'good'), '55006', NULL, 'another kind of rewind must wait');
SELECT is(job_id, :'s1', 'the safety backup is claimed first') FROM custbackup.claim('r1', 5, '{}', now() + interval '1 minute') AS c;
SELECT throws_ok(format('SELECT custbackup.expire(%L)', :'good'), '55006', NULL, 'a backup that a restore waits for does not expire');
SELECT is(pg_temp.claim(), NULL, 'the restore waits for it');
SELECT pg_temp.back_up(attempt_id) FROM custbackup.jobs WHERE id = :'s1';
SELECT pg_temp.claim() AS r1_attempt \gset
SELECT is(pg_temp.state(:'r1'), 'running', 'and then runs');
SELECT is(safety_backup_status, 'ok', 'the view restores shows it') FROM custbackup.restores WHERE id = :'r1';
SELECT pg_temp.failed(:'r1_attempt', 'target_busy');

-- A safety backup that ends otherwise.
SELECT custbackup.request_restore(:'good') AS r2 \gset
SELECT pg_temp.failed(pg_temp.claim(), 'unreachable');
SELECT is(pg_temp.state(:'r2'), 'failed/safety_backup', 'failed: the rewind fails');
SELECT matches(detail, 'unreachable.*host db7', 'and says why') FROM custbackup.jobs WHERE id = :'r2';
SELECT custbackup.request_restore(:'good') AS r3 \gset
SELECT custbackup.cancel(safety_backup_id) FROM custbackup.jobs WHERE id = :'r3';
SELECT is(pg_temp.state(:'r3'), 'failed/safety_backup', 'cancelled: likewise');
SELECT custbackup.request_restore(:'good') AS r4 \gset
UPDATE custbackup.resources SET status = 'suspended' WHERE id = :'acme';
SELECT is(pg_temp.claim(), NULL, 'suspended meanwhile: nothing runs');
SELECT is(pg_temp.state(:'r4'), 'failed/safety_backup', 'skipped: likewise');
UPDATE custbackup.resources SET status = 'active' WHERE id = :'acme';

-- Lost three times: the rewind waits through the retries and fails with the last.
SELECT custbackup.request_restore(:'good') AS r5 \gset
SELECT pg_temp.failed(pg_temp.claim(as_of => now() + g * interval '10 minutes'), 'mover_lost') FROM generate_series(1, 2) g;
SELECT is(pg_temp.state(:'r5'), 'pending', 'the rewind waits while its safety backup is tried again');
SELECT pg_temp.failed(pg_temp.claim(as_of => now() + interval '1 hour'), 'mover_lost');
SELECT is(pg_temp.state(:'r5'), 'failed/safety_backup', 'three losses are enough');

-- What waits already is used; what runs already is not.
SELECT custbackup.request_backup(:'acme') AS w1 \gset
SELECT custbackup.request_restore(:'good') AS r6 \gset
SELECT is(safety_backup_id, :'w1', 'a backup that waits becomes the safety backup') FROM custbackup.jobs WHERE id = :'r6';
SELECT custbackup.cancel(:'r6');
SELECT is(pg_temp.state(:'w1'), 'pending', 'a cancelled rewind leaves its safety backup alone');
SELECT pg_temp.claim() AS w1_attempt \gset
SELECT custbackup.request_restore(:'good') AS r7 \gset
SELECT isnt(safety_backup_id, :'w1', 'a backup that runs already is too early to be one') FROM custbackup.jobs WHERE id = :'r7';
SELECT pg_temp.failed(:'w1_attempt', 'mover_lost');
SELECT custbackup.cancel(id) FROM custbackup.jobs WHERE status = 'pending' AND kind = 'restore';
SELECT custbackup.cancel(id) FROM custbackup.jobs WHERE status = 'pending';

-- Without a safety backup; by a tier that takes none.
SELECT custbackup.request_restore(:'good', safety_backup => false) AS r8 \gset
SELECT is(safety_backup_id, NULL, 'safety_backup => false: none') FROM custbackup.jobs WHERE id = :'r8';
SELECT custbackup.cancel(:'r8');
UPDATE custbackup.resources SET tier = 'free' WHERE id = :'acme';
SELECT custbackup.request_restore(:'good', safety_backup => NULL) AS r9 \gset
SELECT is(pg_temp.back_up(pg_temp.claim()), 'ended', 'a rewind is possible when the tier takes no backups any more, its safety backup is taken');
SELECT is(pg_temp.claim() IS NOT NULL AND pg_temp.state(:'r9') = 'running', true, 'and the restore runs');
SELECT pg_temp.failed(attempt_id, 'restore') FROM custbackup.jobs WHERE id = :'r9';
UPDATE custbackup.resources SET tier = 'pro' WHERE id = :'acme';

-- Teams.
UPDATE custbackup.resources SET team_id = :team_b WHERE id = :'acme';
SELECT throws_like(format('SELECT custbackup.request_restore(%L)', :'good'), '%different teams%', 'a resource that went to another team does not get the first one''s data');
UPDATE custbackup.resources SET team_id = :team_a WHERE id = :'acme';
SELECT pg_temp.resource('alone-1', team => NULL) AS alone1 \gset
SELECT pg_temp.resource('alone-2', team => NULL) AS alone2 \gset
SELECT pg_temp.backed_up(:'alone1') AS alone_backup \gset
SELECT throws_like(format('SELECT custbackup.request_restore(%L, %L)', :'alone_backup', :'alone2'), '%has no team%', 'two resources without a team have none in common');
SELECT lives_ok(format('SELECT custbackup.request_restore(%L)', :'alone_backup'), 'but each its own backups');
SELECT custbackup.cancel(id) FROM custbackup.jobs WHERE status = 'pending' AND kind = 'restore';
SELECT custbackup.cancel(id) FROM custbackup.jobs WHERE status = 'pending';

-- Cancelling what runs.
SELECT custbackup.request_backup(:'acme') AS k1 \gset
SELECT pg_temp.claim() AS k1_attempt \gset
SELECT is(verdict, 'continue', 'before') FROM custbackup.renew('r1', ARRAY[:'k1_attempt'::uuid]);
SELECT is(custbackup.cancel(:'k1'), true, 'a running job is asked to end');
SELECT is(custbackup.cancel(:'k1'), true, 'and again');
SELECT is(count(*), 1::bigint, 'one event of it') FROM custbackup.events WHERE job_id = :'k1' AND event = 'cancel_requested';
SELECT is(verdict, 'cancel', 'its runner hears of it') FROM custbackup.renew('r1', ARRAY[:'k1_attempt'::uuid]);
SELECT is(pg_temp.failed(:'k1_attempt', 'cancelled'), 'ended', 'the mover says so');
SELECT is(pg_temp.state(:'k1'), 'cancelled/cancelled', 'and it is');
SELECT custbackup.request_backup(:'acme') AS k2 \gset
SELECT pg_temp.claim() AS k2_attempt \gset
SELECT custbackup.cancel(:'k2'), pg_temp.failed(:'k2_attempt', 'mover_lost');
SELECT is(pg_temp.state(:'k2'), 'cancelled/cancelled', 'a mover killed while being cancelled is not tried again');
SELECT custbackup.request_backup(:'acme') AS k3 \gset
SELECT pg_temp.claim() AS k3_attempt \gset
SELECT custbackup.cancel(:'k3'), pg_temp.back_up(:'k3_attempt');
SELECT is(pg_temp.state(:'k3'), 'ok', 'one that was quicker than its cancellation is ok');

-- Expiry.
SELECT throws_ok('SELECT custbackup.expire(gen_random_uuid())', 'P0002', NULL, 'an unknown backup');
SELECT throws_ok(format('SELECT custbackup.expire(%L)', :'f1'), '55000', NULL, 'a backup that stored nothing');
SELECT custbackup.expire(:'k3') AS e1 \gset
SELECT is(custbackup.expire(:'k3'), :'e1', 'asked for twice: one job');
SELECT lives_ok(format('SELECT custbackup.expire(%L)', :'good'), 'another backup of the same resource at the same time');
SELECT custbackup.cancel(id) FROM custbackup.jobs WHERE kind = 'expire' AND backup_id = :'good';
SELECT is(object_state, 'stored', 'an expiry that is cancelled before it begins leaves the backup as it was') FROM custbackup.backups WHERE id = :'good';
SELECT throws_like(format('SELECT custbackup.request_restore(%L)', :'k3'), '%is expiring%', 'no restore from what is being removed');
SELECT pg_temp.claim() AS e1_attempt \gset
SELECT is(pg_temp.started(:'e1_attempt'), 'continue', 'the removal begins');
SELECT is(pg_temp.failed(:'e1_attempt', 'store'), 'ended', 'and fails');
SELECT is(object_state, 'expiring', 'nobody knows how far it got: no restore from it') FROM custbackup.backups WHERE id = :'k3';
SELECT custbackup.expire(:'k3') AS e2 \gset
SELECT isnt(:'e2'::uuid, :'e1', 'it can be asked for again');
SELECT pg_temp.claim() AS e2_attempt \gset
SELECT is(concat_ws(' ', pg_temp.started(:'e2_attempt'), pg_temp.say(:'e2_attempt', 'done')), 'continue ended', 'and works');
SELECT is(concat_ws(' ', object_state, expired_at IS NOT NULL, status), 'expired t ok', 'object first, row after') FROM custbackup.backups WHERE id = :'k3';
SELECT throws_ok(format('SELECT custbackup.expire(%L)', :'k3'), '55000', NULL, 'once is enough');
SELECT throws_like(format('SELECT custbackup.request_restore(%L)', :'k3'), '%is expired%', 'an expired backup is not restored');
DELETE FROM custbackup.resources WHERE id = :'acme';
SELECT custbackup.expire(:'good') AS e3 \gset
SELECT is(pg_temp.claim() IS NOT NULL AND pg_temp.state(:'e3') = 'running', true, 'backups of a resource that is gone can be removed');

SELECT * FROM finish();
ROLLBACK;
