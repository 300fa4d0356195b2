-- What a runner calls: claim() and renew(); and what gives back what a runner has lost.

CREATE FUNCTION custbackup.object_key(token text, job_id uuid, attempt integer) RETURNS text
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
	SELECT token || '/' || job_id || CASE WHEN attempt > 1 THEN '-' || attempt ELSE '' END || '.dump.gz';
END;
COMMENT ON FUNCTION custbackup.object_key(text, uuid, integer) IS
	'Where an attempt stores its object: each under a name of its own, so that a zombie overwrites nothing';

-- Could the restore have changed its target, as far as its mover's last words tell?
CREATE FUNCTION custbackup.may_be_modified(job custbackup.jobs, said boolean) RETURNS boolean
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT job.kind = 'restore'
		AND (coalesce(job.phase = 'committed', false) OR coalesce(said, coalesce(job.phase = 'applying', false)));
END;
COMMENT ON FUNCTION custbackup.may_be_modified(custbackup.jobs, boolean) IS
	'True from the moment a change is or may be visible; said: what the mover told of it, NULL for nothing';

-- Every end of an attempt goes through here, in one order: the attempt, then its job (whose triggers read the attempt).
CREATE FUNCTION custbackup.end_attempt(job custbackup.jobs, outcome text, new_status text, reason custbackup.reason,
	detail text, as_of timestamptz, target_modified boolean DEFAULT false, left_alone jsonb DEFAULT NULL, counts jsonb DEFAULT NULL)
	RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	requeue CONSTANT boolean := new_status = 'pending';
	short_detail CONSTANT text := left(detail, 2048);
BEGIN
	UPDATE custbackup.attempts a
	   SET finished_at = as_of, outcome = end_attempt.outcome, reason = end_attempt.reason, detail = short_detail
	 WHERE a.attempt_id = job.attempt_id;
	UPDATE custbackup.jobs j
	   SET status = new_status,
	       reason = CASE WHEN NOT requeue THEN end_attempt.reason END,
	       detail = CASE WHEN NOT requeue THEN short_detail END,
	       finished_at = CASE WHEN NOT requeue THEN as_of END,
	       -- 5 s, then 20 s: long enough for a server to be up again, short enough not to be noticed.
	       not_before = CASE WHEN requeue THEN as_of + make_interval(secs => 5 * 4 ^ (j.attempt - 1)) ELSE j.not_before END,
	       attempt_id = CASE WHEN NOT requeue THEN j.attempt_id END,
	       runner = CASE WHEN NOT requeue THEN j.runner END,
	       started_at = CASE WHEN NOT requeue THEN j.started_at END,
	       phase = CASE WHEN NOT requeue THEN j.phase END,
	       target_modified = end_attempt.target_modified,
	       left_alone = coalesce(end_attempt.left_alone, j.left_alone),
	       counts = coalesce(end_attempt.counts, j.counts)
	 WHERE j.id = job.id AND j.attempt_id = job.attempt_id AND j.status = 'running';
END;
$$;
COMMENT ON FUNCTION custbackup.end_attempt(custbackup.jobs, text, text, custbackup.reason, text, timestamptz, boolean, jsonb, jsonb) IS
	'Ends the running attempt of a job, and the job with it or puts it back into the queue';

-- A mover or its runner is gone. Backups and removals are tried again, three times in all; a restore only if it cannot
-- have changed anything.
CREATE FUNCTION custbackup.lose_attempt(job custbackup.jobs, detail text, as_of timestamptz, said_modified boolean DEFAULT NULL)
	RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	max_attempts CONSTANT integer := 3;
	modified CONSTANT boolean := custbackup.may_be_modified(job, said_modified);
	had_begun CONSTANT boolean := job.kind = 'restore' AND coalesce(job.phase IN ('applying', 'committed'), false);
BEGIN
	IF job.cancel_requested_at IS NOT NULL THEN
		PERFORM custbackup.end_attempt(job, 'cancelled', 'cancelled', 'cancelled', detail, as_of, modified);
	ELSIF had_begun OR modified THEN
		PERFORM custbackup.end_attempt(job, 'lost', 'failed', 'mover_lost',
			format('lost while the backup was being applied, so it is not tried again: %s', detail), as_of, modified);
	ELSIF job.attempt >= max_attempts THEN
		PERFORM custbackup.end_attempt(job, 'lost', 'failed', 'mover_lost',
			format('lost %s times, the last time: %s', job.attempt, detail), as_of);
	ELSE
		PERFORM custbackup.end_attempt(job, 'lost', 'pending', 'mover_lost', detail, as_of);
	END IF;
END;
$$;
COMMENT ON FUNCTION custbackup.lose_attempt(custbackup.jobs, text, timestamptz, boolean) IS
	'The running attempt is lost: tried again where that is safe';

-- By the clock of the queue, in whole seconds, as the protocol has it.
CREATE FUNCTION custbackup.retain_until(job custbackup.jobs) RETURNS text
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN to_char((job.started_at AT TIME ZONE 'UTC') + make_interval(days => least(t.retention_days, 36500)),
			'YYYY-MM-DD"T"HH24:MI:SS"Z"')
	  FROM custbackup.tiers t
	 WHERE t.tier = custbackup.base_tier(job.tier) AND t.retention_days > 0;
END;
$$;
COMMENT ON FUNCTION custbackup.retain_until(custbackup.jobs) IS
	'When the retention of the job''s tier ends, for object lock; NULL: the tier has none';

CREATE FUNCTION custbackup.previous_attempts(job custbackup.jobs) RETURNS jsonb
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN coalesce(jsonb_agg(jsonb_build_object('attempt_id', a.attempt_id, 'key', a.key, 'upload_id', a.upload_id)
			ORDER BY a.attempt), '[]')
	  FROM custbackup.attempts_to_settle(job) AS a;
END;
$$;
COMMENT ON FUNCTION custbackup.previous_attempts(custbackup.jobs) IS 'The field "previous" of a job: attempts_to_settle() as JSON';

-- The job as the mover reads it (docs/protocol.md); the row is running already.
CREATE FUNCTION custbackup.job_text(job custbackup.jobs, resource custbackup.policy) RETURNS text
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp -- which keeps its plans: claim() is waited for
AS $$
BEGIN
	RETURN (jsonb_build_object('version', 1, 'kind', job.kind, 'job_id', job.id, 'attempt_id', job.attempt_id,
			'attempt', job.attempt,
			'store', (SELECT jsonb_build_object('name', s.name, 'url', s.url) FROM custbackup.stores s WHERE s.name = job.store))
		|| CASE WHEN job.kind IN ('backup', 'restore') THEN jsonb_build_object(
			'engine', job.engine,
			'resource', jsonb_build_object('id', resource.id, 'token', resource.token, 'team_id', resource.team_id,
				'tier', job.tier, 'type', resource.resource_type, 'connection_url', resource.connection_url))
			ELSE '{}' END
		|| CASE job.kind
			WHEN 'backup' THEN jsonb_build_object(
				'object', jsonb_build_object('key', custbackup.object_key(job.token, job.id, job.attempt),
					'expected_bytes', (SELECT o.stored_bytes FROM custbackup.objects o WHERE o.resource_id = job.resource_id
										ORDER BY o.stored_at DESC LIMIT 1),
					'retain_until', custbackup.retain_until(job)),
				'previous', custbackup.previous_attempts(job))
			WHEN 'restore' THEN jsonb_build_object('mode', job.mode)
				|| (SELECT jsonb_build_object(
						'object', jsonb_build_object('backup_id', o.backup_id, 'key', o.key, 'version', o.version,
							'sha256', o.sha256, 'raw_bytes', o.raw_bytes, 'stored_bytes', o.stored_bytes,
							'resource_id', o.resource_id, 'token', o.token))
					  FROM custbackup.objects o WHERE o.backup_id = job.backup_id)
			WHEN 'expire' THEN (SELECT jsonb_build_object(
						'object', jsonb_build_object('backup_id', o.backup_id, 'key', o.key, 'version', o.version))
					FROM custbackup.objects o WHERE o.backup_id = job.backup_id)
			ELSE jsonb_build_object('object', jsonb_build_object('backup_id', job.swept_job_id, 'token', job.token),
				'previous', custbackup.previous_attempts(job))
		END)::text;
END;
$$;
COMMENT ON FUNCTION custbackup.job_text(custbackup.jobs, custbackup.policy) IS 'The JSON object that a mover gets on its stdin';

-- Looked at again when its turn has come: may this job still run? NULLs, or how it ends instead.
CREATE FUNCTION custbackup.claim_obstacle(job custbackup.jobs, resource custbackup.policy,
	OUT new_status text, OUT reason custbackup.reason, OUT detail text)
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	object custbackup.objects;
BEGIN
	IF job.kind = 'restore' THEN
		SELECT * INTO object FROM custbackup.objects o WHERE o.backup_id = job.backup_id;
	END IF;
	IF job.kind IN ('backup', 'restore') THEN
		detail := CASE
			WHEN resource.id IS NULL THEN format('resource %s is no longer there', job.resource_id)
			WHEN resource.status_obstacle IS NOT NULL THEN resource.status_obstacle
			WHEN job.kind = 'backup' AND NOT job.is_safety THEN resource.tier_obstacle
			WHEN job.kind = 'restore' THEN
				custbackup.restore_obstacle(object, resource.id, resource.resource_type, resource.team_id)
		END;
		IF detail IS NOT NULL THEN
			new_status := 'skipped';
			reason := 'not_eligible';
			RETURN;
		END IF;
		detail := CASE
			WHEN resource.engine_obstacle IS NOT NULL THEN resource.engine_obstacle
			WHEN custbackup.token_is_safe(resource.token) IS NOT TRUE
				THEN format('the token of resource %s cannot name a folder in a store', resource.id)
			WHEN coalesce(resource.connection_url, '') = '' THEN format('resource %s has no connection_url', resource.id)
			WHEN length(resource.connection_url) > 100000 THEN format('connection_url of resource %s is too long to be one', resource.id)
		END;
	END IF;
	IF detail IS NULL AND job.store IS NULL AND NOT EXISTS (SELECT FROM custbackup.stores s WHERE s.is_default) THEN
		detail := 'custbackup.stores has no row with is_default: set it for the store that backups are to go to';
	END IF;
	IF detail IS NOT NULL THEN
		new_status := 'failed';
		reason := 'config';
	END IF;
END;
$$;
COMMENT ON FUNCTION custbackup.claim_obstacle(custbackup.jobs, custbackup.policy) IS
	'NULLs, or how a job ends that may not run: skipped where resource, status, tier or team do not allow it, failed where we are not set up for it';

-- Makes one pending job, whose row the caller has locked, running; or ends it, and returns NULL.
CREATE FUNCTION custbackup.claim_one(job custbackup.jobs, resource custbackup.policy, runner text, as_of timestamptz)
	RETURNS custbackup.jobs
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	obstacle record;
	claimed custbackup.jobs;
BEGIN
	SELECT * INTO obstacle FROM custbackup.claim_obstacle(job, resource);
	IF obstacle.new_status IS NOT NULL THEN
		UPDATE custbackup.jobs j
		   SET status = obstacle.new_status, reason = obstacle.reason, detail = obstacle.detail, finished_at = as_of
		 WHERE j.id = job.id AND j.status = 'pending';
		RETURN NULL;
	END IF;
	IF job.kind IN ('backup', 'restore') THEN
		job.resource_type := resource.resource_type;
		job.token := resource.token;
		job.team_id := resource.team_id;
		job.tier := coalesce(resource.tier, '');
		-- A dump is restored by the engine that made it.
		job.engine := CASE job.kind WHEN 'backup' THEN resource.engine
			ELSE (SELECT o.engine FROM custbackup.objects o WHERE o.backup_id = job.backup_id) END;
	END IF;
	UPDATE custbackup.jobs j
	   SET status = 'running', attempt = j.attempt + 1, attempt_id = gen_random_uuid(), runner = claim_one.runner,
	       started_at = as_of, resource_type = job.resource_type, token = job.token, team_id = job.team_id, tier = job.tier,
	       engine = job.engine,
	       store = coalesce(j.store, (SELECT s.name FROM custbackup.stores s WHERE s.is_default))
	 WHERE j.id = job.id AND j.status = 'pending'
	RETURNING * INTO claimed;
	INSERT INTO custbackup.attempts (attempt_id, job_id, attempt, runner, claimed_at)
	VALUES (claimed.attempt_id, claimed.id, claimed.attempt, claimed.runner, as_of);
	RETURN claimed;
END;
$$;
COMMENT ON FUNCTION custbackup.claim_one(custbackup.jobs, custbackup.policy, text, timestamptz) IS
	'Starts an attempt of a pending job, or ends the job where it may not run';

-- The platform's relation may fail at one row, which must not keep all others in the queue. Errors that are not a row's
-- (no such relation, a lock, no memory) are left to the caller, who is tried again.
CREATE FUNCTION custbackup.look_up(resource_id uuid, OUT resource custbackup.policy, OUT failed boolean)
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	failed := false;
	SELECT * INTO resource FROM custbackup.policies(resource_id);
EXCEPTION
	WHEN data_exception OR cardinality_violation OR plpgsql_error OR external_routine_exception
		OR external_routine_invocation_exception
	THEN
		-- For the log alone: the message may hold what the row holds.
		RAISE WARNING 'custbackup: resource % cannot be read from custbackup.resource_source, its job waits: %', resource_id, SQLERRM
			USING ERRCODE = SQLSTATE;
		failed := true;
END;
$$;
COMMENT ON FUNCTION custbackup.look_up(uuid) IS 'A row of policies(); failed, with a warning, where reading it raises an error';

-- Without sequential scans: a runner keeps its plans, and those of a quiet hour would read the whole queue for each job of a
-- fleet that has been enqueued since.
CREATE FUNCTION custbackup.claim(runner text, slots integer, holding uuid[] DEFAULT '{}', as_of timestamptz DEFAULT now())
	RETURNS TABLE (job_id uuid, attempt_id uuid, kind text, job text)
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off
AS $$
DECLARE
	at_home CONSTANT boolean := custbackup.is_home();
	-- NULL until it matters. While somebody renames or removes the default store, what has no store yet waits for him.
	default_is_free boolean;
	-- A cursor, so that no more rows are locked than are looked at: the others are for other runners.
	queue CURSOR FOR
		SELECT j.* FROM custbackup.jobs j
		 WHERE j.status = 'pending' AND j.not_before <= as_of
		   AND (at_home OR j.kind IN ('backup', 'restore'))
		   AND (default_is_free IS NOT FALSE OR j.store IS NOT NULL)
		   AND NOT EXISTS (SELECT FROM custbackup.jobs r WHERE r.resource_id = j.resource_id AND r.status = 'running')
		   AND (j.safety_backup_id IS NULL
		        OR EXISTS (SELECT FROM custbackup.jobs s WHERE s.id = j.safety_backup_id AND s.status = 'ok'))
		 ORDER BY j.not_before, j.requested_at, j.id
		   FOR NO KEY UPDATE OF j SKIP LOCKED;
	candidate custbackup.jobs;
	looked record;
	claimed custbackup.jobs;
	free integer := coalesce(slots, 0);
	-- Jobs that end at once take no slot; one call looks at no more than this, so that it stays short.
	looks integer := least(free, 1000) + 200;
BEGIN
	PERFORM custbackup.require_time(as_of);
	IF length(runner) BETWEEN 1 AND 200 IS NOT TRUE THEN
		RAISE EXCEPTION 'custbackup: a runner needs a name of 1 to 200 characters'
			USING ERRCODE = 'invalid_parameter_value', HINT = 'Give each runner one of its own, the same at every call.';
	END IF;
	FOR candidate IN
		SELECT j.* FROM custbackup.jobs j
		 WHERE j.status = 'running' AND j.runner = claim.runner AND j.attempt_id <> ALL (coalesce(holding, '{}'))
		   FOR NO KEY UPDATE SKIP LOCKED
	LOOP
		PERFORM custbackup.lose_attempt(candidate, format('runner %s no longer has it', runner), as_of);
	END LOOP;

	OPEN queue;
	WHILE free > 0 AND looks > 0 LOOP
		FETCH queue INTO candidate;
		EXIT WHEN NOT FOUND;
		looks := looks - 1;
		IF candidate.store IS NULL AND default_is_free IS NULL THEN
			default_is_free := custbackup.hold_store(NULL);
			IF NOT default_is_free THEN
				CLOSE queue;
				OPEN queue;
				CONTINUE;
			END IF;
		END IF;
		-- Two jobs of one resource must not start at once, here or by another runner whose claim is not yet committed:
		-- who has this lock looks again, and who does not get it leaves the resource to the other.
		CONTINUE WHEN NOT custbackup.try_lock('custbackup.jobs', hashtext(candidate.resource_id::text));
		CONTINUE WHEN EXISTS (SELECT FROM custbackup.jobs r WHERE r.resource_id = candidate.resource_id AND r.status = 'running');
		SELECT * INTO looked FROM custbackup.look_up(candidate.resource_id);
		IF looked.failed THEN
			UPDATE custbackup.jobs j SET not_before = as_of + interval '30 seconds' WHERE j.id = candidate.id;
			CONTINUE;
		END IF;
		claimed := custbackup.claim_one(candidate, looked.resource, runner, as_of);
		CONTINUE WHEN claimed.id IS NULL;
		job_id := claimed.id;
		attempt_id := claimed.attempt_id;
		kind := claimed.kind;
		job := custbackup.job_text(claimed, looked.resource);
		IF kind = 'backup' AND NOT at_home THEN
			-- An earlier attempt may still be at work, in the original of this copy: nothing of it is cleared away.
			job := (job::jsonb || '{"previous": []}')::text;
		END IF;
		RETURN NEXT;
		free := free - 1;
	END LOOP;
	CLOSE queue;
END;
$$;
COMMENT ON FUNCTION custbackup.claim(text, integer, uuid[], timestamptz) IS
	'Gives back what this runner no longer holds, then claims up to so many jobs for it; docs/protocol.md';

CREATE FUNCTION custbackup.renew(runner text, attempt_ids uuid[], as_of timestamptz DEFAULT now())
	RETURNS TABLE (attempt_id uuid, verdict text)
	LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH renewed AS (
		UPDATE custbackup.attempts a
		   SET renewals = a.renewals + 1, renewed_at = as_of
		  FROM custbackup.jobs j
		 WHERE a.attempt_id = ANY (renew.attempt_ids) AND j.attempt_id = a.attempt_id AND j.status = 'running'
		   AND j.runner = renew.runner
		RETURNING a.attempt_id, j.cancel_requested_at
	)
	SELECT DISTINCT w.attempt_id,
		CASE WHEN r.attempt_id IS NULL THEN 'lost' WHEN r.cancel_requested_at IS NOT NULL THEN 'cancel' ELSE 'continue' END
	  FROM custbackup.require_time(as_of)
	 CROSS JOIN unnest(renew.attempt_ids) AS w (attempt_id)
	  LEFT JOIN renewed r ON r.attempt_id = w.attempt_id
	 WHERE w.attempt_id IS NOT NULL;
END;
COMMENT ON FUNCTION custbackup.renew(text, uuid[], timestamptz) IS
	'Renews the leases of these attempts; says of each: continue, cancel or lost';

CREATE FUNCTION custbackup.leases() RETURNS TABLE (attempt_id uuid, runner text, renewals bigint)
	LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT a.attempt_id, a.runner, a.renewals
	  FROM custbackup.attempts a
	  JOIN custbackup.jobs j ON j.attempt_id = a.attempt_id
	 WHERE j.status = 'running';
END;
COMMENT ON FUNCTION custbackup.leases() IS
	'The lease of every running attempt. An observer that has seen one stand still for long enough, by its own monotonic clock, calls give_back()';

CREATE FUNCTION custbackup.give_back(attempt_id uuid, renewals bigint, as_of timestamptz DEFAULT now()) RETURNS boolean
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	job custbackup.jobs;
BEGIN
	PERFORM custbackup.require_time(as_of);
	SELECT j.* INTO job
	  FROM custbackup.jobs j
	 WHERE j.attempt_id = give_back.attempt_id AND j.status = 'running'
	   FOR NO KEY UPDATE;
	IF NOT FOUND OR NOT EXISTS (SELECT FROM custbackup.attempts a
								 WHERE a.attempt_id = job.attempt_id AND a.renewals = give_back.renewals
								   FOR NO KEY UPDATE) THEN
		RETURN false;
	END IF;
	PERFORM custbackup.lose_attempt(job, format('runner %s let its lease run out', job.runner), as_of);
	RETURN true;
END;
$$;
COMMENT ON FUNCTION custbackup.give_back(uuid, bigint, timestamptz) IS
	'Takes a running attempt from its runner, unless its lease was renewed since the observer looked';
