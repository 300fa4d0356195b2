-- What people and the API ask for. Plain transactional SQL: a request rolls back with its caller's own change.

-- The resource, or an error that says why it cannot be the object of a request.
CREATE FUNCTION custbackup.require_resource(resource_id uuid) RETURNS custbackup.policy
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	policy custbackup.policy;
BEGIN
	SELECT * INTO policy FROM custbackup.policies(resource_id);
	IF resource_id IS NULL OR NOT FOUND THEN
		RAISE EXCEPTION 'custbackup: there is no resource %', coalesce(resource_id::text, 'NULL')
			USING ERRCODE = 'no_data_found', HINT = 'The relation that custbackup.resource_source names lists the resources.';
	END IF;
	IF custbackup.token_is_safe(policy.token) IS NOT TRUE THEN
		RAISE EXCEPTION 'custbackup: the token of resource % cannot name a folder in a store', resource_id
			USING ERRCODE = 'invalid_parameter_value',
				HINT = 'A token has 1 to 200 letters, digits or characters of "._-", and does not begin with a dot.';
	END IF;
	RETURN policy;
END;
$$;
COMMENT ON FUNCTION custbackup.require_resource(uuid) IS 'A row of policies(), or a clear error';

-- Whom a caller names stands in every row of the audit trail.
CREATE FUNCTION custbackup.require_name(requested_by text) RETURNS void
	LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF length(requested_by) > 1000 THEN
		RAISE EXCEPTION 'custbackup: requested_by has % characters; 1000 are the limit', length(requested_by)
			USING ERRCODE = 'invalid_parameter_value', HINT = 'Give the name or id of whoever asks.';
	END IF;
END;
$$;
COMMENT ON FUNCTION custbackup.require_name(text) IS 'A clear error, where requested_by is no name';

-- A backup that waits and was never begun serves this request too. One that is to be tried again does not: its first
-- attempt may have stored what the resource held before this moment.
CREATE FUNCTION custbackup.enqueue_backup(resource custbackup.policy, requested_by text, is_safety boolean) RETURNS uuid
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	job custbackup.jobs;
BEGIN
	PERFORM custbackup.share_lock('custbackup.resources', custbackup.request_mark(resource.id));
	LOOP
		UPDATE custbackup.jobs j
		   SET not_before = least(j.not_before, now()), is_safety = j.is_safety OR enqueue_backup.is_safety,
		       requested_by = coalesce(j.requested_by, enqueue_backup.requested_by)
		 WHERE j.resource_id = resource.id AND j.kind = 'backup' AND j.finished_at IS NULL AND j.attempt = 0
		RETURNING * INTO job;
		EXIT WHEN FOUND;
		INSERT INTO custbackup.jobs AS j (kind, resource_id, requested_by, is_safety, resource_type, token, team_id, tier)
		VALUES ('backup', resource.id, enqueue_backup.requested_by, enqueue_backup.is_safety,
		        coalesce(resource.resource_type, ''), resource.token, resource.team_id, resource.tier)
		    ON CONFLICT DO NOTHING
		RETURNING * INTO job;
		IF FOUND THEN
			PERFORM custbackup.record_enqueued(ARRAY[job.id], 'requested');
			EXIT;
		END IF;
		-- Somebody else's request came between; it is there now.
	END LOOP;
	RETURN job.id;
END;
$$;
COMMENT ON FUNCTION custbackup.enqueue_backup(custbackup.policy, text, boolean) IS
	'The id of the backup that waits for this resource, or of a new one';

-- Without sequential scans, as schedule(): whoever asks for a whole fleet in one statement makes the queue grow in it.
CREATE FUNCTION custbackup.request_backup(resource_id uuid, requested_by text DEFAULT NULL, idempotency_key text DEFAULT NULL)
	RETURNS uuid
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off
AS $$
DECLARE
	resource custbackup.policy;
	bound custbackup.idempotency_keys;
	new_id uuid;
BEGIN
	PERFORM custbackup.require_name(requested_by);
	IF length(idempotency_key) NOT BETWEEN 1 AND 200 THEN
		RAISE EXCEPTION 'custbackup: the idempotency key has % characters, not 1 to 200', length(idempotency_key)
			USING ERRCODE = 'invalid_parameter_value', HINT = 'Leave it out, or give a new uuid for each request.';
	END IF;
	IF idempotency_key IS NOT NULL AND resource_id IS NOT NULL THEN
		-- Two callers with one key: the second waits here for the first.
		INSERT INTO custbackup.idempotency_keys AS k (key, job_id, resource_id)
		VALUES (idempotency_key, gen_random_uuid(), request_backup.resource_id)
		    ON CONFLICT DO NOTHING;
		IF NOT FOUND THEN
			SELECT * INTO STRICT bound FROM custbackup.idempotency_keys k WHERE k.key = idempotency_key;
			IF bound.resource_id IS DISTINCT FROM request_backup.resource_id THEN
				RAISE EXCEPTION 'custbackup: idempotency key "%" was used for another resource', idempotency_key
					USING ERRCODE = 'unique_violation', HINT = 'A key stands for one request for ever; make a new one.';
			END IF;
			RETURN bound.job_id;
		END IF;
	END IF;

	resource := custbackup.require_resource(resource_id);
	IF coalesce(resource.status_obstacle, resource.tier_obstacle, resource.engine_obstacle) IS NOT NULL THEN
		RAISE WARNING 'custbackup: nothing will be backed up: %',
			coalesce(resource.status_obstacle, resource.tier_obstacle, resource.engine_obstacle)
			USING HINT = 'The request is kept; what holds when its turn comes decides.';
	END IF;
	new_id := custbackup.enqueue_backup(resource, requested_by, false);
	UPDATE custbackup.idempotency_keys k SET job_id = new_id WHERE k.key = idempotency_key;
	PERFORM custbackup.wake();
	RETURN new_id;
END;
$$;
COMMENT ON FUNCTION custbackup.request_backup(uuid, text, text) IS
	'Asks for a backup now; returns its id, or that of one which waits already. The same idempotency key: the same id, for ever';

-- The backup as a thing that can be restored, or an error that says what it is instead.
CREATE FUNCTION custbackup.require_backup(backup_id uuid) RETURNS custbackup.objects
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	object custbackup.objects;
	job custbackup.jobs;
BEGIN
	-- Shared: while somebody restores from it nobody lets it expire.
	SELECT * INTO object FROM custbackup.objects o WHERE o.backup_id = require_backup.backup_id FOR SHARE;
	IF FOUND THEN
		-- What is locked is there still, whole.
		IF object.state IN ('stored', 'locked') THEN
			RETURN object;
		END IF;
		RAISE EXCEPTION 'custbackup: backup % is %', backup_id, object.state
			USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Its bytes are no longer kept; choose another backup.';
	END IF;
	SELECT * INTO job FROM custbackup.jobs j WHERE j.id = require_backup.backup_id;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'custbackup: there is no backup %', coalesce(backup_id::text, 'NULL')
			USING ERRCODE = 'no_data_found', HINT = 'The view custbackup.backups lists them.';
	ELSIF job.kind <> 'backup' THEN
		RAISE EXCEPTION 'custbackup: % is not a backup but a job of kind %', backup_id, job.kind
			USING ERRCODE = 'invalid_parameter_value', HINT = 'The view custbackup.backups lists the backups.';
	END IF;
	RAISE EXCEPTION 'custbackup: backup % %', backup_id,
		CASE job.status WHEN 'pending' THEN 'has not been taken yet' WHEN 'running' THEN 'is running' WHEN 'failed' THEN 'failed'
			WHEN 'cancelled' THEN 'was cancelled' WHEN 'skipped' THEN 'was skipped' ELSE 'is not in the catalogue' END
		USING ERRCODE = 'object_not_in_prerequisite_state',
			HINT = CASE WHEN job.status IN ('pending', 'running') THEN 'Wait until its status is ok.'
				ELSE 'Nothing was stored; choose another backup.' END;
END;
$$;
COMMENT ON FUNCTION custbackup.require_backup(uuid) IS 'A stored backup, or a clear error';

-- NULL, or why this backup must not go into this resource. Two resources without a team have no team in common.
CREATE FUNCTION custbackup.restore_obstacle(object custbackup.objects, target_id uuid, target_type text, target_team uuid)
	RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT CASE
		WHEN target_type IS DISTINCT FROM object.resource_type
			THEN format('backup %s is of type "%s", resource %s is of type "%s"', object.backup_id, object.resource_type,
				target_id, target_type)
		WHEN target_team IS DISTINCT FROM object.team_id
			THEN format('backup %s and resource %s belong to different teams', object.backup_id, target_id)
		WHEN target_team IS NULL AND target_id <> object.resource_id
			THEN format('resource %s has no team, so only its own backups go into it', target_id)
	END;
END;
COMMENT ON FUNCTION custbackup.restore_obstacle(custbackup.objects, uuid, text, uuid) IS
	'NULL, or why a backup must not be restored into a resource of this type and team';

CREATE FUNCTION custbackup.request_restore(backup_id uuid, target_resource_id uuid DEFAULT NULL, requested_by text DEFAULT NULL,
	safety_backup boolean DEFAULT true) RETURNS uuid
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off
AS $$
DECLARE
	object custbackup.objects := custbackup.require_backup(backup_id);
	target custbackup.policy := custbackup.require_resource(coalesce(target_resource_id, object.resource_id));
	restore_mode text := CASE WHEN target.id = object.resource_id THEN 'rewind' ELSE 'clone' END;
	wants_safety boolean := restore_mode = 'rewind' AND safety_backup IS NOT FALSE;
	obstacle text := custbackup.restore_obstacle(object, target.id, target.resource_type, target.team_id);
	job custbackup.jobs;
BEGIN
	PERFORM custbackup.require_name(requested_by);
	IF obstacle IS NOT NULL THEN
		RAISE EXCEPTION 'custbackup: %', obstacle
			USING ERRCODE = 'invalid_parameter_value', HINT = 'A restore needs a target of the same team and type.';
	ELSIF target.status_obstacle IS NOT NULL THEN
		RAISE EXCEPTION 'custbackup: %', target.status_obstacle
			USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'The target of a restore has to be active.';
	END IF;

	LOOP
		SELECT * INTO job FROM custbackup.jobs j
		 WHERE j.resource_id = target.id AND j.kind = 'restore' AND j.finished_at IS NULL AND j.started_at IS NULL LIMIT 1;
		IF FOUND THEN
			IF job.backup_id <> object.backup_id OR (job.safety_backup_id IS NOT NULL) <> wants_safety THEN
				RAISE EXCEPTION 'custbackup: another restore, %, of backup %, already waits for resource %', job.id, job.backup_id,
					target.id USING ERRCODE = 'object_in_use', HINT = 'Let it run, or cancel it first.';
			END IF;
			RETURN job.id;
		END IF;
		INSERT INTO custbackup.jobs AS j (kind, resource_id, requested_by, resource_type, token, team_id, tier, store, backup_id,
			mode)
		VALUES ('restore', target.id, request_restore.requested_by, target.resource_type, target.token, target.team_id, target.tier,
			object.store, object.backup_id, restore_mode)
		    ON CONFLICT DO NOTHING
		RETURNING * INTO job;
		EXIT WHEN FOUND;
	END LOOP;
	PERFORM custbackup.record_enqueued(ARRAY[job.id], 'requested');

	-- A backup that runs already began before this moment, so it is not what the safety backup has to be.
	IF wants_safety THEN
		UPDATE custbackup.jobs j
		   SET safety_backup_id = custbackup.enqueue_backup(target, format('restore %s', job.id), true)
		 WHERE j.id = job.id;
	END IF;
	PERFORM custbackup.wake();
	RETURN job.id;
END;
$$;
COMMENT ON FUNCTION custbackup.request_restore(uuid, uuid, text, boolean) IS
	'Asks for a restore into the backup''s own resource (a rewind, by default after a safety backup) or into another, empty one (a clone)';

CREATE FUNCTION custbackup.cancel(id uuid) RETURNS boolean
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	job custbackup.jobs;
BEGIN
	SELECT * INTO job FROM custbackup.jobs j WHERE j.id = cancel.id FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'custbackup: there is no job %', coalesce(cancel.id::text, 'NULL')
			USING ERRCODE = 'no_data_found', HINT = 'The view custbackup.progress lists what can be cancelled.';
	ELSIF job.status = 'pending' THEN
		UPDATE custbackup.jobs j
		   SET status = 'cancelled', reason = 'cancelled', detail = format('cancelled by %s before it began', session_user),
		       finished_at = now()
		 WHERE j.id = cancel.id;
		RETURN true;
	ELSIF job.status = 'running' THEN
		IF job.cancel_requested_at IS NULL THEN
			UPDATE custbackup.jobs j SET cancel_requested_at = now() WHERE j.id = cancel.id;
			PERFORM custbackup.record_event(job, 'cancel_requested', NULL, NULL, NULL);
		END IF;
		PERFORM custbackup.wake();
		RETURN true;
	END IF;
	RETURN false;
END;
$$;
COMMENT ON FUNCTION custbackup.cancel(uuid) IS
	'Ends a job that waits, or has its runner end one that runs; false when it had ended already';

CREATE FUNCTION custbackup.expire(backup_id uuid) RETURNS uuid
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off
AS $$
DECLARE
	object custbackup.objects;
	job custbackup.jobs;
	new_id uuid;
BEGIN
	SELECT * INTO object FROM custbackup.objects o WHERE o.backup_id = expire.backup_id FOR UPDATE;
	IF NOT FOUND THEN
		-- Says what it is instead; that there is nothing in the catalogue, it has just seen.
		object := custbackup.require_backup(backup_id);
	ELSIF object.state = 'expired' THEN
		RAISE EXCEPTION 'custbackup: backup % is expired already', backup_id
			USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'There is nothing left to remove.';
	END IF;
	SELECT * INTO job FROM custbackup.jobs j
	 WHERE j.backup_id = expire.backup_id AND j.kind IN ('expire', 'restore') AND j.status IN ('pending', 'running')
	 LIMIT 1;
	IF job.kind = 'expire' THEN
		RETURN job.id;
	ELSIF job.kind = 'restore' THEN
		RAISE EXCEPTION 'custbackup: backup % is needed by restore %', backup_id, job.id
			USING ERRCODE = 'object_in_use', HINT = 'Let the restore end, or cancel it first.';
	END IF;

	new_id := custbackup.enqueue_expiry(object, now(), 'requested');
	PERFORM custbackup.wake();
	RETURN new_id;
END;
$$;
COMMENT ON FUNCTION custbackup.expire(uuid) IS
	'Has a backup removed from its store: the object first, then its row is expired; what object lock keeps is locked until then, and removed after it. Returns the id of the job that does it';
