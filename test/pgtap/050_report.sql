-- The state machine that events drive: what is legal where, and every way of being illegal.
BEGIN;
\ir include/fleet.psql
SELECT plan(198);

SELECT pg_temp.resource('acme') AS acme \gset
-- A new running attempt of a backup.
CREATE FUNCTION pg_temp.begin() RETURNS uuid LANGUAGE plpgsql AS $$
BEGIN
	PERFORM custbackup.request_backup((SELECT id FROM custbackup.resources WHERE token = 'acme'));
	RETURN pg_temp.claim();
END $$;
-- And of a restore of the good backup, without a safety backup.
CREATE FUNCTION pg_temp.begin_restore() RETURNS uuid LANGUAGE plpgsql AS $$
BEGIN
	PERFORM custbackup.request_restore((SELECT backup_id FROM custbackup.objects WHERE state = 'stored' ORDER BY stored_at LIMIT 1), safety_backup => false);
	RETURN pg_temp.claim();
END $$;
CREATE FUNCTION pg_temp.outcome(attempt uuid) RETURNS text LANGUAGE sql AS $$
	SELECT status || coalesce('/' || reason, '') || CASE WHEN target_modified THEN ' modified' ELSE '' END FROM custbackup.jobs WHERE attempt_id = $1
$$;

-- A backup's whole life.
SELECT pg_temp.begin() AS a \gset
SELECT is(pg_temp.started(:'a'), 'continue', 'started');
SELECT is(pg_temp.progress(:'a', 'dumping', 0, 0), 'continue', 'progress');
SELECT is(pg_temp.progress(:'a', 'dumping', 500, 0), 'continue', 'more of it');
SELECT is(pg_temp.upload(:'a', 'upload~1/+='), 'continue', 'upload');
SELECT is(pg_temp.progress(:'a', 'storing', 1000, 300), 'continue', 'the next phase');
SELECT is(pg_temp.say(:'a', 'progress', '{"phase": "storing", "bytes_read": 1000, "bytes_stored": 300, "alive": "CREATE INDEX"}'), 'continue', 'a proof of life');
SELECT is(concat_ws(' ', status, phase, alive, bytes_read, bytes_stored, runner), 'running storing CREATE INDEX 1000 300 r1', 'the view progress shows it') FROM custbackup.progress;
SELECT is(count(*), 0::bigint, 'no event row for progress') FROM custbackup.events WHERE event NOT IN ('requested', 'started');
SELECT is(pg_temp.say(:'a', 'done', pg_temp.backup_result(pg_temp.key_of(:'a'))), 'ended', 'done');
SELECT is(pg_temp.outcome(:'a'), 'ok', 'ok');
SELECT is(concat_ws(' ', status, object_state, b.raw_bytes, b.stored_bytes, b.sha256 = repeat('ab', 32), b.consistency, b.counts, tier, engine), 'ok stored 1000 300 t snapshot {"tables": 3} pro postgres', 'the catalogue')
	FROM custbackup.backups b JOIN custbackup.objects o ON o.backup_id = b.id;
SELECT is(pg_temp.say(:'a', 'done', pg_temp.backup_result(pg_temp.key_of(:'a'))), 'kill', 'a word after the last');
SELECT is(pg_temp.outcome(:'a'), 'ok', 'changes nothing');
SELECT is(custbackup.report(gen_random_uuid(), '{}'), 'kill', 'an attempt that nobody knows');
SELECT is(custbackup.report(NULL, '{}'), 'kill', 'or none');
SELECT pg_temp.back_up(pg_temp.begin());

-- A restore's.
SELECT pg_temp.begin_restore() AS r \gset
SELECT is(pg_temp.started(:'r'), 'continue', 'restore: started');
SELECT is(pg_temp.progress(:'r', p, n * 10, n * 5), 'continue', p) FROM unnest(ARRAY['downloading', 'verified', 'applying', 'committed']) WITH ORDINALITY AS x (p, n);
SELECT is(pg_temp.say(:'r', 'done', '{"target_modified": true, "left_alone": ["extension postgis"], "counts": {"tables": 3}}'), 'ended', 'restore: done');
SELECT is(concat_ws(' ', status, mode, phase, target_modified, left_alone, counts), 'ok rewind committed t ["extension postgis"] {"tables": 3}', 'in the view restores') FROM custbackup.restores;

-- Lines of which a crash may lose the last second, where the runner lets it; and all the others.
CREATE FUNCTION pg_temp.waits_for_disk(what text, expected text, answer text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	setting CONSTANT text := current_setting('synchronous_commit');
BEGIN
	SET LOCAL synchronous_commit = off;
	RETURN is(setting, expected, 'commit of ' || what);
END $$;
SELECT pg_temp.begin() AS a \gset
SET LOCAL synchronous_commit = off;
SELECT pg_temp.waits_for_disk('started', 'off', pg_temp.started(:'a'));
SELECT pg_temp.waits_for_disk('progress', 'off', pg_temp.progress(:'a', 'dumping', 0, 0));
SELECT pg_temp.waits_for_disk('upload', 'local', pg_temp.upload(:'a', 'u'));
SELECT pg_temp.waits_for_disk('done', 'local', pg_temp.say(:'a', 'done', pg_temp.backup_result(pg_temp.key_of(:'a'))));
SELECT pg_temp.begin() AS a \gset
SELECT pg_temp.waits_for_disk('an illegal line', 'local', pg_temp.say(:'a', 'progress', '{}'));
SELECT pg_temp.begin_restore() AS r \gset
SET LOCAL synchronous_commit = off;
SELECT pg_temp.waits_for_disk('a restore''s line', 'local', pg_temp.started(:'r'));
SELECT pg_temp.say(:'r', 'failed', '{"reason": "internal", "detail": "enough", "target_modified": false}');
SET LOCAL synchronous_commit = on;

-- Every illegal line ends the job as failed/protocol and the mover with it.
CREATE FUNCTION pg_temp.illegal(attempt uuid, line text, what text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer text := custbackup.report(attempt, line);
BEGIN
	RETURN is(answer || ' ' || (SELECT status || '/' || reason FROM custbackup.jobs j WHERE j.attempt_id = $1), 'kill failed/protocol', 'illegal: ' || what);
END $$;

SELECT pg_temp.illegal(pg_temp.begin(), line, what) FROM (VALUES
	(NULL, 'NULL'), ('', 'nothing'), (' ', 'a blank'), ('started', 'a word'), ('"started"', 'a string'), ('1', 'a number'), ('null', 'null'), ('[]', 'an array'),
	('{', 'half an object'), ('{}', 'an empty object'), ('{"event": null}', 'no event'), ('{"event": 7}', 'a number for an event'), ('{"event": ["started"]}', 'an array for an event'),
	('{"event": {"event": "started"}}', 'an object for an event'), ('{"event": "begun"}', 'an unknown event'), ('{"event": "STARTED"}', 'an event in capitals'),
	('{"event": "failed", "reason": "auth", "detail": "x"} {}', 'two objects'), ('{"event": "failed", "reason": "auth", "detail": "a\u0000b"}', 'a zero byte'),
	('{"event": "failed", "reason": "auth", "detail": "\ud800"}', 'half a surrogate pair'), ('{"event": "failed", "event": "failed", "reason": "auth", "detail": "x"}', 'a field twice'),
	('{"event": "failed", "reason": "weather", "detail": "x"}', 'an unknown reason'), ('{"event": "failed", "reason": "none", "detail": "x"}', 'reason none'), ('{"event": "failed", "reason": 3, "detail": "x"}', 'a number for a reason'),
	('{"event": "failed", "reason": "not_eligible", "detail": "x"}', 'a reason that SQL alone gives'), ('{"event": "failed", "reason": "safety_backup", "detail": "x"}', 'another such'),
	('{"event": "failed", "reason": "auth"}', 'failed without a detail'), ('{"event": "failed", "detail": "x"}', 'failed without a reason'), ('{"event": "failed", "reason": "auth", "detail": null}', 'a null detail'),
	('{"event": "failed", "reason": "auth", "detail": "x", "more": 1}', 'failed with an unknown field'), ('{"event": "failed", "reason": "auth", "detail": "x", "target_modified": false}', 'a backup that speaks of a target'),
	(repeat('[', 60000), 'deep nesting'), ('{"event": ' || repeat('{"a":', 12000) || '1' || repeat('}', 12001), 'deep objects'),
	('{"event": "progress", "phase": "dumping", "bytes_read": 1e400000, "bytes_stored": 0}', 'a number beyond all types'),
	('{"event": "failed", "reason": "auth", "detail": "' || repeat('x', 1048576) || '"}', 'a line of 1 MB'), ('{"event": "failed", "reason": "auth", "detail": "' || repeat('x', 65536) || '"}', 'a line over 64 KiB'),
	('{"event": "progress", "phase": "dumping", "bytes_read": 0, "bytes_stored": 0}', 'progress before started'), ('{"event": "done"}', 'done first')
) AS v (line, what);

-- After `started`.
CREATE FUNCTION pg_temp.begun() RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
	claimed uuid := pg_temp.begin();
BEGIN
	PERFORM pg_temp.started(claimed), pg_temp.progress(claimed, 'dumping', 100, 0);
	RETURN claimed;
END $$;
SELECT pg_temp.illegal(pg_temp.begun(), line, what) FROM (VALUES
	('{"event": "progress", "phase": "dumping", "bytes_read": 99, "bytes_stored": 0}', 'bytes read became fewer'), ('{"event": "progress", "phase": "verified", "bytes_read": 100, "bytes_stored": 0}', 'a restore''s phase in a backup'),
	('{"event": "progress", "phase": "dreaming", "bytes_read": 100, "bytes_stored": 0}', 'an unknown phase'), ('{"event": "progress", "phase": null, "bytes_read": 100, "bytes_stored": 0}', 'no phase'),
	('{"event": "progress", "phase": "dumping", "bytes_read": -1, "bytes_stored": 0}', 'negative bytes'), ('{"event": "progress", "phase": "dumping", "bytes_read": 100.5, "bytes_stored": 0}', 'half a byte'),
	('{"event": "progress", "phase": "dumping", "bytes_read": "100", "bytes_stored": 0}', 'bytes as text'), ('{"event": "progress", "phase": "dumping", "bytes_read": 9223372036854775808, "bytes_stored": 0}', '2^63 bytes'),
	('{"event": "progress", "phase": "dumping", "bytes_read": 1e300, "bytes_stored": 0}', 'a huge number'), ('{"event": "progress", "phase": "dumping", "bytes_read": 100}', 'progress without bytes_stored'),
	('{"event": "progress", "phase": "dumping", "bytes_read": 100, "bytes_stored": 0, "alive": 1}', 'a number for a proof of life'), ('{"event": "progress", "phase": "dumping", "bytes_read": 100, "bytes_stored": 0, "percent": 3}', 'progress with an unknown field'),
	('{"event": "upload", "key": "acme/x.dump.gz", "upload_id": null}', 'another key'), ('{"event": "upload", "key": "../../etc/passwd", "upload_id": null}', 'an unsafe key'), ('{"event": "upload", "key": null, "upload_id": null}', 'no key'),
	('{"event": "upload", "key": "acme/x.dump.gz"}', 'upload without an id'), ('{"event": "done"}', 'done without anything'),
	((jsonb_build_object('event', 'done') || pg_temp.backup_result('acme/x.dump.gz'))::text, 'done without upload'),
	((jsonb_build_object('event', 'done') || pg_temp.backup_result('acme/x.dump.gz') || '{"adopted": true}')::text, 'an adopted key that no attempt had'),
	('{"event": "done", "target_modified": true, "left_alone": [], "counts": {}}', 'a restore''s end')
) AS v (line, what);
SELECT pg_temp.illegal(a, jsonb_build_object('event', 'started', 'attempt_id', a, 'tool', NULL, 'server', NULL)::text, 'started twice') FROM pg_temp.begun() a;
SELECT pg_temp.illegal(a, jsonb_build_object('event', 'started', 'attempt_id', gen_random_uuid(), 'tool', NULL, 'server', NULL)::text, 'another attempt''s started') FROM pg_temp.begin() a;
SELECT pg_temp.illegal(a, jsonb_build_object('event', 'started', 'attempt_id', a, 'tool', 15, 'server', NULL)::text, 'a number for a tool') FROM pg_temp.begin() a;
SELECT pg_temp.illegal(a, jsonb_build_object('event', 'started', 'attempt_id', 'x', 'tool', NULL, 'server', NULL)::text, 'an attempt that is no uuid') FROM pg_temp.begin() a;
SELECT pg_temp.illegal(a, jsonb_build_object('event', 'upload', 'key', pg_temp.key_of(a), 'upload_id', repeat('u', 5000))::text, 'an endless upload id') FROM pg_temp.begun() a;
SELECT pg_temp.begun() AS a \gset
SELECT pg_temp.progress(:'a', 'dumping', 100, 50);
SELECT pg_temp.illegal(:'a', jsonb_build_object('event', 'upload', 'key', pg_temp.key_of(:'a'), 'upload_id', NULL)::text, 'upload after bytes were stored');
SELECT pg_temp.begun() AS a \gset
SELECT pg_temp.progress(:'a', 'storing', 100, 50);
SELECT pg_temp.illegal(:'a', '{"event": "progress", "phase": "storing", "bytes_read": 100, "bytes_stored": 49}', 'bytes stored became fewer');
SELECT pg_temp.begun() AS a \gset
SELECT pg_temp.progress(:'a', 'storing', 100, 50);
SELECT pg_temp.illegal(:'a', '{"event": "progress", "phase": "dumping", "bytes_read": 100, "bytes_stored": 50}', 'a phase back');

-- Every field of `done`: lacking, of another type, or of a wrong value.
CREATE FUNCTION pg_temp.uploaded() RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
	claimed uuid := pg_temp.begun();
BEGIN
	PERFORM pg_temp.upload(claimed);
	RETURN claimed;
END $$;
SELECT pg_temp.illegal(a, ('{"event": "done"}'::jsonb || (pg_temp.backup_result(pg_temp.key_of(a)) - field))::text, 'done without ' || field)
  FROM jsonb_object_keys(pg_temp.backup_result('x')) AS field CROSS JOIN LATERAL (SELECT pg_temp.uploaded() AS a WHERE field IS NOT NULL) u;
SELECT pg_temp.illegal(a, ('{"event": "done"}'::jsonb || pg_temp.backup_result(pg_temp.key_of(a)) || wrong::jsonb)::text, 'done with ' || wrong)
  FROM unnest(ARRAY['{"key": "acme/other.dump.gz"}', '{"key": 1}', '{"version": 1}', '{"raw_bytes": -1}', '{"raw_bytes": null}', '{"raw_bytes": 1.5}', '{"stored_bytes": "300"}', '{"stored_bytes": 1e19}',
	'{"sha256": "abc"}', '{"sha256": null}', '{"consistency": null}', '{"server": 15}', '{"tool": []}', '{"counts": []}', '{"counts": null}', '{"notes": {}}', '{"notes": "x"}', '{"adopted": "no"}', '{"adopted": true}',
	'{"event_id": 1}', '{"target_modified": true}', '{"reason": "auth"}']) AS wrong
 CROSS JOIN LATERAL (SELECT pg_temp.uploaded() AS a WHERE wrong IS NOT NULL) u;
SELECT pg_temp.illegal(a, ('{"event": "done"}'::jsonb || pg_temp.backup_result(pg_temp.key_of(a)) || jsonb_build_object('sha256', s))::text, 'done with sha256 ' || left(s, 8))
  FROM unnest(ARRAY[repeat('AB', 32), repeat('ab', 31), repeat('ab', 33), repeat('zz', 32)]) s CROSS JOIN LATERAL (SELECT pg_temp.uploaded() AS a WHERE s IS NOT NULL) u;
SELECT pg_temp.uploaded() AS a \gset
SELECT pg_temp.illegal(:'a', jsonb_build_object('event', 'upload', 'key', pg_temp.key_of(:'a'), 'upload_id', NULL)::text, 'upload twice');
SELECT pg_temp.begun() AS a \gset
SELECT is(pg_temp.upload(:'a'), 'continue', 'upload without an id yet');
SELECT is(pg_temp.upload(:'a', 'u1'), 'continue', 'and with it');
SELECT is(a.upload_id, 'u1', 'which is kept') FROM custbackup.attempts a WHERE a.attempt_id = :'a';
SELECT pg_temp.illegal(:'a', jsonb_build_object('event', 'upload', 'key', pg_temp.key_of(:'a'), 'upload_id', 'u2')::text, 'upload with another id');

-- A restore's illegal lines, and what is then said of its target.
CREATE FUNCTION pg_temp.restoring(phase text) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
	claimed uuid := pg_temp.begin_restore();
BEGIN
	PERFORM pg_temp.started(claimed);
	IF phase IS NOT NULL THEN
		PERFORM pg_temp.progress(claimed, phase, 10, 10);
	END IF;
	RETURN claimed;
END $$;
SELECT pg_temp.illegal(pg_temp.restoring('verified'), line, what) FROM (VALUES
	('{"event": "upload", "key": "acme/x", "upload_id": null}', 'an upload in a restore'), ('{"event": "progress", "phase": "dumping", "bytes_read": 10, "bytes_stored": 10}', 'a backup''s phase in a restore'),
	('{"event": "progress", "phase": "downloading", "bytes_read": 10, "bytes_stored": 10}', 'a restore''s phase back'), ('{"event": "done", "target_modified": true, "left_alone": [], "counts": {}}', 'done before committed'),
	('{"event": "done", "target_modified": 1, "left_alone": [], "counts": {}}', 'target_modified as a number'), ('{"event": "done", "target_modified": true, "left_alone": {}, "counts": {}}', 'left_alone as an object'),
	('{"event": "failed", "reason": "restore", "detail": "x", "target_modified": "no"}', 'target_modified as text'), ('{"event": "failed", "reason": "restore", "detail": "x", "left_alone": "no"}', 'left_alone as text')
) AS v (line, what);
SELECT is(bool_or(target_modified), false, 'none of these had touched its target') FROM custbackup.jobs WHERE kind = 'restore' AND reason = 'protocol';
SELECT pg_temp.restoring('applying') AS r \gset
SELECT custbackup.report(:'r', 'rubbish');
SELECT is(pg_temp.outcome(:'r'), 'failed/protocol modified', 'an illegal line while applying: the target may be modified');
SELECT pg_temp.restoring(NULL) AS r \gset
SELECT pg_temp.progress(:'r', 'committed');
SELECT pg_temp.illegal(:'r', '{"event": "progress", "phase": "applying", "bytes_read": 0, "bytes_stored": 0}', 'back from committed');
SELECT is(pg_temp.outcome(:'r'), 'failed/protocol modified', 'committed is committed');

-- Failures, and what is true of the target.
SELECT is(pg_temp.failed(a, reason) || ' ' || pg_temp.outcome(a), 'ended failed/' || reason, reason || ' is a reason')
  FROM unnest(enum_range(NULL::custbackup.reason)::text[]) AS reason CROSS JOIN LATERAL (SELECT pg_temp.begin() AS a WHERE reason IS NOT NULL) u
 WHERE reason NOT IN ('safety_backup', 'not_eligible', 'cancelled', 'mover_lost');
SELECT is(pg_temp.outcome(a) , 'failed/restore' || modified, format('a restore that fails in phase %s and says %s', phase, said))
  FROM (VALUES (NULL, NULL, ''), ('downloading', NULL, ''), ('verified', NULL, ''), ('applying', NULL, ' modified'), ('applying', 'false', ''), ('applying', 'true', ' modified'),
	('committed', 'false', ' modified'), ('committed', NULL, ' modified')) AS v (phase, said, modified)
 CROSS JOIN LATERAL (SELECT r AS a FROM pg_temp.restoring(phase) r,
	LATERAL (SELECT pg_temp.failed(r, 'restore', CASE WHEN said IS NOT NULL THEN jsonb_build_object('target_modified', said::boolean, 'left_alone', '[]'::jsonb) ELSE '{}' END)) f) u;
SELECT pg_temp.begin() AS a \gset
SELECT custbackup.report(:'a', '{"event": "failed", "reason": "auth", "detail": "' || repeat('x', 60000) || '"}');
SELECT is(length(detail), 2048, 'a long detail is cut') FROM custbackup.jobs WHERE attempt_id = :'a';

-- Losses: tried again while that is safe.
CREATE FUNCTION pg_temp.lose(attempt uuid, fields jsonb DEFAULT '{}') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	job uuid := (SELECT id FROM custbackup.jobs j WHERE j.attempt_id = $1);
	answer text := pg_temp.failed($1, 'mover_lost', fields);
BEGIN
	RETURN answer || ' ' || (SELECT status || coalesce('/' || reason, '') || CASE WHEN target_modified THEN ' modified' ELSE '' END FROM custbackup.jobs WHERE id = job);
END $$;
SELECT custbackup.request_backup(:'acme') AS job \gset
SELECT pg_temp.claim() AS a \gset
SELECT pg_temp.started(:'a'), pg_temp.upload(:'a', 'upload-1');
SELECT is(pg_temp.lose(:'a'), 'ended pending', 'a lost backup waits again');
SELECT is(not_before, now() + interval '2 minutes 5 seconds', 'for five seconds') FROM custbackup.jobs WHERE id = :'job';
SELECT is(concat_ws(' ', event, attempt, reason), 'requeued 1 mover_lost', 'the audit trail knows') FROM custbackup.events WHERE job_id = :'job' ORDER BY id DESC LIMIT 1;
SELECT is(pg_temp.upload(:'a'), 'kill', 'the zombie is told to die');
SELECT is(pg_temp.claim(as_of => now() + interval '2 minutes 4 seconds'), NULL, 'not before');
SELECT job::jsonb AS text, attempt_id AS a2 FROM custbackup.claim('r2', 1, '{}', now() + interval '2 minutes 5 seconds') \gset
SELECT is(:'text'::jsonb -> 'previous', jsonb_build_array(jsonb_build_object('attempt_id', :'a', 'key', 'acme/' || :'job' || '.dump.gz', 'upload_id', 'upload-1')), 'the next attempt knows what the first left');
SELECT is(:'text'::jsonb #>> '{object,key}', 'acme/' || :'job' || '-2.dump.gz', 'and stores under a name of its own');
SELECT pg_temp.started(:'a2');
SELECT is(pg_temp.say(:'a2', 'done', pg_temp.backup_result('acme/' || :'job' || '.dump.gz') || '{"adopted": true}'), 'ended', 'it may adopt what the first had finished');
SELECT is(concat_ws(' ', status, key), 'ok acme/' || :'job' || '.dump.gz', 'the catalogue names that object') FROM custbackup.backups WHERE id = :'job';

SELECT custbackup.request_backup(:'acme') AS job \gset
SELECT is(pg_temp.lose(pg_temp.claim(as_of => now() + interval '1 hour')), expected, format('loss %s: %s', n, expected))
  FROM (VALUES (1, 'ended pending'), (2, 'ended pending'), (3, 'ended failed/mover_lost')) AS v (n, expected);
SELECT is(count(*), 3::bigint, 'three attempts, each with its end') FROM custbackup.attempts WHERE job_id = :'job' AND outcome = 'lost' AND reason = 'mover_lost';

SELECT custbackup.request_backup(:'acme') AS job \gset
SELECT is(pg_temp.failed(pg_temp.claim(as_of => now() + interval '1 hour'), 'cancelled') || ' ' || pg_temp.state(:'job'), 'ended pending', 'a mover that a runner ended, though nobody cancelled, counts as lost');
UPDATE custbackup.jobs SET status = 'cancelled', reason = 'cancelled', finished_at = now() WHERE status = 'pending';

SELECT is(pg_temp.lose(pg_temp.restoring(phase)), expected, 'a restore lost in phase ' || phase)
  FROM (VALUES ('applying', 'ended failed/mover_lost modified'), ('committed', 'ended failed/mover_lost modified')) AS v (phase, expected);
SELECT is(pg_temp.lose(pg_temp.restoring('applying'), '{"target_modified": false}'), 'ended failed/mover_lost', 'lost while applying, but surely undone: not tried again either');
SELECT is(pg_temp.lose(pg_temp.restoring(NULL)), 'ended pending', 'lost before anything: tried again');
UPDATE custbackup.jobs SET status = 'cancelled', reason = 'cancelled', finished_at = now() WHERE status = 'pending';
SELECT is(pg_temp.lose(pg_temp.restoring('verified')), 'ended pending', 'lost before applying: tried again');
UPDATE custbackup.jobs SET status = 'cancelled', reason = 'cancelled', finished_at = now() WHERE status = 'pending';
SELECT pg_temp.restoring('applying') AS r \gset
SELECT custbackup.cancel(id) FROM custbackup.jobs WHERE attempt_id = :'r';
SELECT is(pg_temp.lose(:'r'), 'ended cancelled/cancelled modified', 'cancelled and killed while applying: cancelled, and the target may be modified');

-- No line raises an error, whatever is in it: a thousand legal lines with one thing changed.
SELECT setseed(0.42);
DO $$
DECLARE
	lines text[] := ARRAY['{"event": "started", "attempt_id": "%s", "tool": "x", "server": null}', '{"event": "progress", "phase": "dumping", "bytes_read": 12, "bytes_stored": 3}',
		'{"event": "upload", "key": "acme/%s.dump.gz", "upload_id": "u"}', '{"event": "failed", "reason": "auth", "detail": "x"}'];
	pieces text[] := ARRAY['{', '}', '[', ']', '"', '\', '\u0000', '\uD834', ',', ':', 'null', 'true', '1e9', '-', '9999999999999999999999', 'é', '%', E'\t', E'\x7f', ''];
	current uuid;
	line text;
	place integer;
BEGIN
	FOR n IN 1..1000 LOOP
		IF current IS NULL OR NOT EXISTS (SELECT FROM custbackup.jobs j WHERE j.attempt_id = current AND j.status = 'running') THEN
			UPDATE custbackup.jobs SET status = 'cancelled', reason = 'cancelled', finished_at = now() WHERE status = 'pending';
			current := pg_temp.begin();
		END IF;
		line := replace(lines[1 + floor(random() * 4)], '%s', current::text);
		place := floor(random() * length(line));
		line := overlay(line PLACING pieces[1 + floor(random() * array_length(pieces, 1))] FROM place + 1 FOR floor(random() * 4)::integer);
		PERFORM custbackup.report(current, line);
	END LOOP;
END $$;
SELECT pass('1,000 damaged lines raised no error');

SELECT * FROM finish();
ROLLBACK;
