-- The state machine of a job: which change is legal, and what follows from one. Both triggers see updates alone, so
-- that the load of a dump passes: it inserts rows as they were.
--
--      pending ──▶ running ──▶ ok
--         ▲  │        │ ├────▶ failed
--         └──┼────────┘ └────▶ cancelled
--            └──▶ failed, cancelled, skipped

CREATE FUNCTION custbackup.check_transition() RETURNS trigger
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF (NEW.id, NEW.kind, NEW.resource_id, NEW.requested_at) IS DISTINCT FROM (OLD.id, OLD.kind, OLD.resource_id, OLD.requested_at) THEN
		RAISE EXCEPTION 'custbackup: id, kind, resource and time of request of job % cannot change', OLD.id
			USING ERRCODE = 'check_violation';
	END IF;
	IF NEW.status <> OLD.status AND (OLD.status, NEW.status) NOT IN (
		('pending', 'running'), ('pending', 'failed'), ('pending', 'cancelled'), ('pending', 'skipped'),
		('running', 'ok'), ('running', 'failed'), ('running', 'cancelled'), ('running', 'pending'))
	THEN
		RAISE EXCEPTION 'custbackup: job % cannot go from % to %', OLD.id, OLD.status, NEW.status
			USING ERRCODE = 'check_violation';
	END IF;
	IF NEW.attempt <> OLD.attempt + (OLD.status = 'pending' AND NEW.status = 'running')::integer THEN
		RAISE EXCEPTION 'custbackup: attempt % of job % cannot be followed by attempt %', OLD.attempt, OLD.id, NEW.attempt
			USING ERRCODE = 'check_violation';
	END IF;
	IF NEW.status = OLD.status AND NEW.attempt_id IS DISTINCT FROM OLD.attempt_id THEN
		RAISE EXCEPTION 'custbackup: the attempt of job % cannot change while it is %', OLD.id, OLD.status
			USING ERRCODE = 'check_violation';
	END IF;
	IF OLD.finished_at IS NOT NULL AND (NEW.finished_at, NEW.reason, NEW.phase) IS DISTINCT FROM (OLD.finished_at, OLD.reason, OLD.phase) THEN
		RAISE EXCEPTION 'custbackup: how job % ended cannot change', OLD.id
			USING ERRCODE = 'check_violation';
	END IF;
	RETURN NEW;
END;
$$;
COMMENT ON FUNCTION custbackup.check_transition() IS 'Trigger: only legal transitions of a job';

-- What was stored is what it is, and what is gone does not come back.
CREATE FUNCTION custbackup.check_object() RETURNS trigger
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF (NEW.backup_id, NEW.resource_id, NEW.key, NEW.sha256, NEW.raw_bytes, NEW.stored_bytes)
		IS DISTINCT FROM (OLD.backup_id, OLD.resource_id, OLD.key, OLD.sha256, OLD.raw_bytes, OLD.stored_bytes)
	THEN
		RAISE EXCEPTION 'custbackup: backup, resource, key, sha256 and sizes of backup % cannot change', OLD.backup_id
			USING ERRCODE = 'check_violation';
	END IF;
	IF NEW.state <> OLD.state AND (OLD.state = 'expired' OR (OLD.state, NEW.state) = ('stored', 'expired')) THEN
		RAISE EXCEPTION 'custbackup: backup % cannot go from % to %', OLD.backup_id, OLD.state, NEW.state
			USING ERRCODE = 'check_violation';
	END IF;
	RETURN NEW;
END;
$$;
COMMENT ON FUNCTION custbackup.check_object() IS 'Trigger: the catalogue tells what was stored, and only expiry changes that';

-- One row of the audit trail, and a NOTIFY that says no more than any listener may know.
CREATE FUNCTION custbackup.record_event(job custbackup.jobs, event text, actor_named text, why custbackup.reason, detail text)
	RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	event_id bigint;
BEGIN
	INSERT INTO custbackup.events (event, job_id, kind, resource_id, attempt, requested_by, reason, detail)
	VALUES (event, job.id, job.kind, job.resource_id, job.attempt, actor_named, why, detail)
	RETURNING id INTO event_id;
	PERFORM pg_notify('custbackup', jsonb_build_object('id', event_id, 'event', event, 'job_id', job.id, 'kind', job.kind,
		'resource_id', job.resource_id, 'attempt', job.attempt, 'reason', why)::text);
END;
$$;
COMMENT ON FUNCTION custbackup.record_event(custbackup.jobs, text, text, custbackup.reason, text) IS
	'Writes a row of the audit trail and sends it, without its detail, on channel custbackup';

-- No NOTIFY of what is enqueued: it would forbid PREPARE TRANSACTION to whoever asks.
CREATE FUNCTION custbackup.record_enqueued(job_ids uuid[], event text) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	INSERT INTO custbackup.events (event, job_id, kind, resource_id, attempt, requested_by)
	SELECT record_enqueued.event, j.id, j.kind, j.resource_id, j.attempt, j.requested_by
	  FROM unnest(job_ids) AS enqueued (id)
	  JOIN custbackup.jobs j ON j.id = enqueued.id;
END;
$$;
COMMENT ON FUNCTION custbackup.record_enqueued(uuid[], text) IS
	'Writes a row of the audit trail for each of these jobs, which are new in the queue: requested or scheduled';

CREATE FUNCTION custbackup.follow_transition() RETURNS trigger
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	lost custbackup.attempts;
BEGIN
	IF NEW.status = 'pending' THEN
		SELECT * INTO lost FROM custbackup.attempts a WHERE a.attempt_id = OLD.attempt_id;
		PERFORM custbackup.record_event(NEW, 'requeued', NULL, lost.reason, lost.detail);
		RETURN NULL;
	ELSIF NEW.status = 'running' THEN
		PERFORM custbackup.record_event(NEW, 'started', NULL, NULL, NULL);
		RETURN NULL;
	END IF;

	PERFORM custbackup.record_event(NEW, NEW.status, NULL, NEW.reason, NEW.detail);
	IF NEW.kind = 'backup' AND NEW.status <> 'ok' THEN
		UPDATE custbackup.jobs w
		   SET status = 'failed', reason = 'safety_backup', finished_at = NEW.finished_at,
		       detail = format('its safety backup %s ended as %s (%s): %s', NEW.id, NEW.status, NEW.reason,
		                       coalesce(NEW.detail, 'no detail'))
		 WHERE w.safety_backup_id = NEW.id AND w.finished_at IS NULL AND w.started_at IS NULL;
	ELSIF NEW.kind = 'expire' AND NEW.status = 'ok' THEN
		UPDATE custbackup.objects o SET state = 'expired', expired_at = NEW.finished_at WHERE o.backup_id = NEW.backup_id;
	ELSIF NEW.kind = 'expire' AND NEW.attempt = 0 THEN
		UPDATE custbackup.objects o SET state = 'stored' WHERE o.backup_id = NEW.backup_id;
	END IF;
	RETURN NULL;
END;
$$;
COMMENT ON FUNCTION custbackup.follow_transition() IS
	'Trigger: event, the fate of rewinds that wait for a safety backup, the state of an object that expires';

-- At the commit: whoever has cancelled a job and does not commit would hold the row that every other end needs.
CREATE FUNCTION custbackup.count_result() RETURNS trigger
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	INSERT INTO custbackup.counters AS c (kind, resource_type, result, value)
	VALUES (NEW.kind, NEW.resource_type, NEW.status, 0) ON CONFLICT DO NOTHING;
	UPDATE custbackup.counters c SET value = c.value + 1
	 WHERE c.kind = NEW.kind AND c.resource_type = NEW.resource_type AND c.result = NEW.status;
	RETURN NULL;
END;
$$;
COMMENT ON FUNCTION custbackup.count_result() IS 'Trigger: the counter of a job that has ended';

CREATE TRIGGER jobs_check_transition BEFORE UPDATE ON custbackup.jobs
	FOR EACH ROW EXECUTE FUNCTION custbackup.check_transition();
CREATE TRIGGER jobs_follow_transition AFTER UPDATE ON custbackup.jobs
	FOR EACH ROW WHEN (NEW.status <> OLD.status) EXECUTE FUNCTION custbackup.follow_transition();
CREATE CONSTRAINT TRIGGER jobs_count_result AFTER UPDATE ON custbackup.jobs
	DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW WHEN (NEW.status <> OLD.status AND NEW.finished_at IS NOT NULL) EXECUTE FUNCTION custbackup.count_result();
CREATE TRIGGER objects_check BEFORE UPDATE ON custbackup.objects
	FOR EACH ROW EXECUTE FUNCTION custbackup.check_object();
COMMENT ON TRIGGER objects_check ON custbackup.objects IS 'Only legal changes';
COMMENT ON TRIGGER jobs_check_transition ON custbackup.jobs IS 'Only legal transitions';
COMMENT ON TRIGGER jobs_follow_transition ON custbackup.jobs IS 'What follows from a transition';
COMMENT ON TRIGGER jobs_count_result ON custbackup.jobs IS 'Counts what has ended';
