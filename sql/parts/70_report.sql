-- What a mover says: the only code that moves a running row's state. The grammar is data (event_fields), the order is
-- code (event_misplaced); docs/protocol.md describes both. What every event needs is plpgsql, which keeps its plans.
-- A line is a stranger's: nothing in it may raise an error here, and no word of it is repeated but names that we know.

CREATE FUNCTION custbackup.event_fields()
	RETURNS TABLE (event text, kinds text[], field text, type text, required boolean)
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT v.event, string_to_array(v.kinds, ' '), v.field, v.type, v.required
	  FROM (VALUES
		('started', 'backup restore expire sweep', 'attempt_id', 'uuid', true),
		('started', 'backup restore expire sweep', 'tool', 'text or null', true),
		('started', 'backup restore expire sweep', 'server', 'text or null', true),
		('progress', 'backup restore', 'phase', 'phase', true),
		('progress', 'backup restore', 'bytes_read', 'bytes', true),
		('progress', 'backup restore', 'bytes_stored', 'bytes', true),
		('progress', 'backup restore', 'alive', 'text', false),
		('upload', 'backup', 'key', 'text', true),
		('upload', 'backup', 'upload_id', 'text or null', true),
		('done', 'backup', 'key', 'text', true),
		('done', 'backup', 'version', 'text or null', true),
		('done', 'backup', 'raw_bytes', 'bytes', true),
		('done', 'backup', 'stored_bytes', 'bytes', true),
		('done', 'backup', 'sha256', 'sha256', true),
		('done', 'backup', 'consistency', 'text', true),
		('done', 'backup', 'server', 'text or null', true),
		('done', 'backup', 'tool', 'text or null', true),
		('done', 'backup', 'counts', 'object', true),
		('done', 'backup', 'notes', 'array', true),
		('done', 'backup', 'adopted', 'boolean', true),
		('done', 'backup', 'locked_until', 'time', false),
		('done', 'backup', 'left', 'leftovers', false),
		('done', 'restore', 'target_modified', 'boolean', true),
		('done', 'restore', 'left_alone', 'array', true),
		('done', 'restore', 'counts', 'object', true),
		('done', 'expire', NULL, NULL, NULL),
		('done', 'sweep', 'left', 'leftovers', true),
		('failed', 'backup restore expire sweep', 'reason', 'reason', true),
		('failed', 'backup restore expire sweep', 'detail', 'text', true),
		('failed', 'backup', 'left', 'leftovers', false),
		('failed', 'expire', 'locked_until', 'time', false),
		('failed', 'restore', 'target_modified', 'boolean', false),
		('failed', 'restore', 'left_alone', 'array', false)
	  ) AS v (event, kinds, field, type, required);
END;
COMMENT ON FUNCTION custbackup.event_fields() IS
	'The grammar of events: which field each has, for which kinds of job; a row without a field: none';

CREATE FUNCTION custbackup.phase_number(kind text, phase text) RETURNS integer
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT array_position(CASE kind
			WHEN 'backup' THEN ARRAY['dumping', 'storing']
			WHEN 'restore' THEN ARRAY['downloading', 'verified', 'applying', 'committed']
		END, phase);
END;
COMMENT ON FUNCTION custbackup.phase_number(text, text) IS 'Place of a phase in a job of this kind; NULL: it has no such phase';

CREATE FUNCTION custbackup.event_time(value text) RETURNS timestamptz
	LANGUAGE plpgsql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF value !~ '^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ|infinity)$' THEN
		RETURN NULL;
	END IF;
	RETURN value::timestamptz;
EXCEPTION
	WHEN OTHERS THEN
		RETURN NULL;
END;
$$;
COMMENT ON FUNCTION custbackup.event_time(text) IS 'A time as movers write it, 2026-11-23T14:07:31Z or infinity; NULL where it is none';

CREATE FUNCTION custbackup.leftovers_fit(value jsonb) RETURNS boolean
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN CASE WHEN jsonb_typeof(value) <> 'array' THEN false
		ELSE NOT EXISTS (SELECT FROM jsonb_array_elements(value) AS e (entry)
			WHERE CASE WHEN jsonb_typeof(e.entry) <> 'object' THEN true
				ELSE e.entry - '{attempt_id,locked_until}'::text[] <> '{}'
					OR custbackup.event_value_fits(e.entry -> 'attempt_id', 'uuid', NULL) IS NOT TRUE
					OR (jsonb_typeof(e.entry -> 'locked_until') <> 'null'
						AND custbackup.event_value_fits(e.entry -> 'locked_until', 'time', NULL) IS NOT TRUE)
					OR NOT e.entry ? 'locked_until' END) END;
END;
$$;
COMMENT ON FUNCTION custbackup.leftovers_fit(jsonb) IS 'Is this a list of what attempts left in a store?';

-- STABLE, as the cast of an enum is: so it is planned as a part of its caller, once, and not called for each field.
CREATE FUNCTION custbackup.event_value_fits(value jsonb, type text, kind text) RETURNS boolean
	LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT CASE type
		WHEN 'text' THEN jsonb_typeof(value) = 'string'
		WHEN 'text or null' THEN jsonb_typeof(value) IN ('string', 'null')
		WHEN 'bytes' THEN CASE WHEN jsonb_typeof(value) = 'number'
			THEN value::numeric BETWEEN 0 AND 9223372036854775807 AND trunc(value::numeric) = value::numeric ELSE false END
		WHEN 'uuid' THEN jsonb_typeof(value) = 'string'
			AND value #>> '{}' ~ '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'
		WHEN 'sha256' THEN jsonb_typeof(value) = 'string' AND value #>> '{}' ~ '^[0-9a-f]{64}$'
		WHEN 'time' THEN jsonb_typeof(value) = 'string' AND custbackup.event_time(value #>> '{}') IS NOT NULL
		WHEN 'leftovers' THEN custbackup.leftovers_fit(value)
		WHEN 'phase' THEN jsonb_typeof(value) = 'string' AND custbackup.phase_number(kind, value #>> '{}') IS NOT NULL
		-- These two are said by SQL alone.
		WHEN 'reason' THEN jsonb_typeof(value) = 'string' AND value #>> '{}' NOT IN ('safety_backup', 'not_eligible')
			AND value #>> '{}' = ANY (enum_range(NULL::custbackup.reason)::text[])
		ELSE jsonb_typeof(value) = type
	END;
END;
COMMENT ON FUNCTION custbackup.event_value_fits(jsonb, text, text) IS 'Is this value of that type of event_fields()?';

-- NULL: not one JSON object of at most 64 KiB. A name that stands twice in it would mean two things to two readers.
CREATE FUNCTION custbackup.parse_event(event text) RETURNS jsonb
	LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	parsed jsonb;
BEGIN
	IF event IS NULL OR octet_length(event) > 65536 THEN
		RETURN NULL;
	END IF;
	parsed := event::jsonb;
	IF jsonb_typeof(parsed) <> 'object'
		OR (SELECT count(*) FROM json_object_keys(event::json)) <> (SELECT count(*) FROM jsonb_object_keys(parsed))
	THEN
		RETURN NULL;
	END IF;
	RETURN parsed;
EXCEPTION
	WHEN OTHERS THEN
		RETURN NULL;
END;
$$;
COMMENT ON FUNCTION custbackup.parse_event(text) IS 'A line as a JSON object; NULL where it is none, whatever else it is';

CREATE FUNCTION custbackup.event_malformed(parsed jsonb, kind text) RETURNS text
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN (
		WITH grammar AS (
			SELECT f.field, f.type, f.required
			  FROM custbackup.event_fields() f
			 WHERE f.event = parsed ->> 'event' AND kind = ANY (f.kinds)
		)
		SELECT CASE
			WHEN parsed IS NULL THEN 'it is not one JSON object of at most 64 KiB'
			WHEN NOT EXISTS (SELECT FROM grammar) THEN format('a job of kind %s has no such event', kind)
			WHEN EXISTS (SELECT FROM jsonb_object_keys(parsed) AS k (name)
						  WHERE k.name <> 'event' AND k.name NOT IN (SELECT g.field FROM grammar g WHERE g.field IS NOT NULL))
				THEN format('event "%s" has a field that is not its own', parsed ->> 'event')
			ELSE (SELECT CASE WHEN parsed ? g.field THEN format('field "%s" of event "%s" is not %s', g.field, parsed ->> 'event', g.type)
							ELSE format('event "%s" lacks field "%s"', parsed ->> 'event', g.field) END
					FROM grammar g
				   WHERE CASE WHEN parsed ? g.field THEN NOT custbackup.event_value_fits(parsed -> g.field, g.type, kind)
							ELSE g.required END
				   ORDER BY g.field LIMIT 1)
		END);
END;
$$;
COMMENT ON FUNCTION custbackup.event_malformed(jsonb, text) IS 'NULL, or what is wrong with the event taken by itself';

-- The event is well formed; may it stand here?
CREATE FUNCTION custbackup.event_misplaced(parsed jsonb, job custbackup.jobs, attempt custbackup.attempts) RETURNS text
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN (
		SELECT CASE
			WHEN parsed ->> 'event' = 'failed' THEN NULL
			WHEN parsed ->> 'event' = 'started' THEN CASE
				WHEN attempt.begun_at IS NOT NULL THEN '"started" was said twice'
				WHEN parsed ->> 'attempt_id' <> attempt.attempt_id::text THEN '"started" names another attempt'
			END
			WHEN attempt.begun_at IS NULL THEN '"started" was not said first'
			WHEN parsed ->> 'event' = 'progress' THEN CASE
				WHEN custbackup.phase_number(job.kind, parsed ->> 'phase') < custbackup.phase_number(job.kind, attempt.phase)
					THEN format('phase "%s" does not come after "%s"', parsed ->> 'phase', attempt.phase)
				WHEN (parsed ->> 'bytes_read')::numeric < attempt.bytes_read
					OR (parsed ->> 'bytes_stored')::numeric < attempt.bytes_stored THEN 'bytes became fewer'
			END
			WHEN parsed ->> 'event' = 'upload' THEN CASE
				WHEN attempt.upload_id IS NOT NULL OR (attempt.key IS NOT NULL AND parsed ->> 'upload_id' IS NULL)
					THEN '"upload" was said twice'
				WHEN attempt.bytes_stored > 0 THEN '"upload" was said after bytes had been stored'
				WHEN parsed ->> 'key' <> custbackup.object_key(job.token, job.id, job.attempt) THEN '"upload" names another key'
				WHEN length(parsed ->> 'upload_id') > 4096 THEN 'the upload id is too long to be one'
			END
			WHEN job.kind = 'backup' THEN CASE
				WHEN (parsed ->> 'adopted')::boolean AND NOT EXISTS (SELECT FROM custbackup.attempts p
					WHERE p.job_id = job.id AND p.attempt < job.attempt AND p.key = parsed ->> 'key')
					THEN '"done" adopts a key that no earlier attempt had'
				WHEN NOT (parsed ->> 'adopted')::boolean AND attempt.key IS NULL THEN '"done" was said without "upload"'
				WHEN NOT (parsed ->> 'adopted')::boolean AND parsed ->> 'key' <> attempt.key THEN '"done" names another key than "upload"'
				WHEN length(parsed ->> 'version') > 1024 THEN 'the version id is too long to be one'
			END
			WHEN job.kind = 'restore' AND attempt.phase IS DISTINCT FROM 'committed' THEN '"done" was said before phase "committed"'
		END);
END;
$$;
COMMENT ON FUNCTION custbackup.event_misplaced(jsonb, custbackup.jobs, custbackup.attempts) IS
	'NULL, or why a well-formed event is not legal after what this attempt has said';

CREATE FUNCTION custbackup.hear(parsed jsonb, job custbackup.jobs, as_of timestamptz) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	CASE parsed ->> 'event'
		WHEN 'started' THEN
			UPDATE custbackup.attempts a
			   SET begun_at = as_of, heard_at = as_of, tool = left(parsed ->> 'tool', 200), server = left(parsed ->> 'server', 200)
			 WHERE a.attempt_id = job.attempt_id;
		WHEN 'upload' THEN
			UPDATE custbackup.attempts a
			   SET heard_at = as_of, key = parsed ->> 'key', upload_id = parsed ->> 'upload_id'
			 WHERE a.attempt_id = job.attempt_id;
		WHEN 'progress' THEN
			UPDATE custbackup.attempts a
			   SET heard_at = as_of, phase = parsed ->> 'phase', bytes_read = (parsed ->> 'bytes_read')::numeric::bigint,
			       bytes_stored = (parsed ->> 'bytes_stored')::numeric::bigint, alive = left(parsed ->> 'alive', 200)
			 WHERE a.attempt_id = job.attempt_id;
			IF job.phase IS DISTINCT FROM parsed ->> 'phase' THEN
				UPDATE custbackup.jobs j SET phase = parsed ->> 'phase' WHERE j.attempt_id = job.attempt_id AND j.status = 'running';
			END IF;
	END CASE;
END;
$$;
COMMENT ON FUNCTION custbackup.hear(jsonb, custbackup.jobs, timestamptz) IS 'Records an event that is not the last';

-- The mover has looked after the attempts that the job named to it, and after itself: what it does not name is gone.
CREATE FUNCTION custbackup.hear_left(parsed jsonb, job custbackup.jobs, as_of timestamptz) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT parsed ? 'left' THEN
		RETURN;
	END IF;
	UPDATE custbackup.attempts a
	   SET locked_until = custbackup.event_time(e.entry ->> 'locked_until'), swept_at = CASE WHEN e.entry IS NULL THEN as_of END
	  FROM (SELECT s.attempt_id FROM custbackup.attempts_to_settle(job) AS s
			UNION SELECT job.attempt_id WHERE job.kind = 'backup' AND parsed ->> 'event' = 'failed') AS settled
	  LEFT JOIN jsonb_array_elements(parsed -> 'left') AS e (entry) ON e.entry ->> 'attempt_id' = settled.attempt_id::text
	 WHERE a.attempt_id = settled.attempt_id AND a.key IS NOT NULL AND a.key IS DISTINCT FROM parsed ->> 'key';
END;
$$;
COMMENT ON FUNCTION custbackup.hear_left(jsonb, custbackup.jobs, timestamptz) IS
	'Records what of the attempts that a mover looked after is left in the store, and until when it is locked';

CREATE FUNCTION custbackup.hear_done(parsed jsonb, job custbackup.jobs, as_of timestamptz) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM custbackup.hear_left(parsed, job, as_of);
	IF job.kind = 'backup' THEN
		INSERT INTO custbackup.objects (backup_id, resource_id, token, team_id, resource_type, engine, tier_at_backup, store, key,
			version, raw_bytes, stored_bytes, sha256, counts, notes, consistency, server, tool, started_at, stored_at, locked_until)
		VALUES (job.id, job.resource_id, job.token, job.team_id, job.resource_type, job.engine, job.tier, job.store,
			parsed ->> 'key', parsed ->> 'version', (parsed ->> 'raw_bytes')::numeric::bigint,
			(parsed ->> 'stored_bytes')::numeric::bigint, parsed ->> 'sha256', parsed -> 'counts', parsed -> 'notes',
			parsed ->> 'consistency', parsed ->> 'server', parsed ->> 'tool', job.started_at, as_of,
			custbackup.event_time(parsed ->> 'locked_until'));
	END IF;
	PERFORM custbackup.end_attempt(job, 'ok', 'ok', NULL, NULL, as_of,
		coalesce((parsed ->> 'target_modified')::boolean, false), parsed -> 'left_alone',
		CASE WHEN job.kind = 'restore' THEN parsed -> 'counts' END);
END;
$$;
COMMENT ON FUNCTION custbackup.hear_done(jsonb, custbackup.jobs, timestamptz) IS 'Records a success: of a backup, its row in the catalogue';

CREATE FUNCTION custbackup.hear_failed(parsed jsonb, job custbackup.jobs, as_of timestamptz) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	why CONSTANT custbackup.reason := parsed ->> 'reason';
	said_modified CONSTANT boolean := parsed ->> 'target_modified';
BEGIN
	PERFORM custbackup.hear_left(parsed, job, as_of);
	IF job.kind = 'expire' AND why = 'locked' THEN
		UPDATE custbackup.objects o
		   SET state = 'locked', locked_until = custbackup.event_time(parsed ->> 'locked_until')
		 WHERE o.backup_id = job.backup_id AND parsed ? 'locked_until';
	END IF;
	-- A mover that was told to end though nobody cancelled the job was told so by a runner that goes away.
	IF why = 'mover_lost' OR (why = 'cancelled' AND job.cancel_requested_at IS NULL) THEN
		PERFORM custbackup.lose_attempt(job, parsed ->> 'detail', as_of, said_modified);
	ELSE
		PERFORM custbackup.end_attempt(job, CASE why WHEN 'cancelled' THEN 'cancelled' ELSE 'failed' END,
			CASE why WHEN 'cancelled' THEN 'cancelled' ELSE 'failed' END, why, parsed ->> 'detail', as_of,
			custbackup.may_be_modified(job, said_modified), parsed -> 'left_alone');
	END IF;
END;
$$;
COMMENT ON FUNCTION custbackup.hear_failed(jsonb, custbackup.jobs, timestamptz) IS
	'Records a failure: an end, or a loss that is tried again';

CREATE FUNCTION custbackup.report(attempt_id uuid, event text, as_of timestamptz DEFAULT now()) RETURNS text
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off -- as claim()
AS $$
DECLARE
	job custbackup.jobs;
	attempt custbackup.attempts;
	parsed CONSTANT jsonb := custbackup.parse_event(event);
	complaint text;
BEGIN
	PERFORM custbackup.require_time(as_of);
	SELECT * INTO job FROM custbackup.jobs j
	 WHERE j.attempt_id = report.attempt_id AND j.status = 'running'
	   FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		RETURN 'kill';
	END IF;
	SELECT * INTO attempt FROM custbackup.attempts a WHERE a.attempt_id = report.attempt_id;

	complaint := custbackup.event_malformed(parsed, job.kind);
	IF complaint IS NULL THEN
		complaint := custbackup.event_misplaced(parsed, job, attempt);
	END IF;
	-- A runner may let its transaction be lost in a crash (synchronous_commit = off), but only while that forgets no more
	-- than how far a backup was.
	IF current_setting('synchronous_commit') = 'off'
		AND (complaint IS NOT NULL OR job.kind <> 'backup' OR parsed ->> 'event' NOT IN ('started', 'progress')) THEN
		PERFORM set_config('synchronous_commit', 'local', true);
	END IF;
	IF complaint IS NOT NULL THEN
		PERFORM custbackup.end_attempt(job, 'failed', 'failed', 'protocol', format('an illegal event: %s', complaint), as_of,
			custbackup.may_be_modified(job, NULL));
		RETURN 'kill';
	END IF;

	CASE parsed ->> 'event'
		WHEN 'done' THEN
			PERFORM custbackup.hear_done(parsed, job, as_of);
			RETURN 'ended';
		WHEN 'failed' THEN
			PERFORM custbackup.hear_failed(parsed, job, as_of);
			RETURN 'ended';
		ELSE
			PERFORM custbackup.hear(parsed, job, as_of);
			RETURN 'continue';
	END CASE;
END;
$$;
COMMENT ON FUNCTION custbackup.report(uuid, text, timestamptz) IS
	'Records one event of a mover, unread by its runner; answers continue, ended or kill; docs/protocol.md';
