-- Scheduling by period: a slot has at most one job, whoever asks how often. Only the latest slot counts, so that any
-- number of slots missed are caught up by one backup.

-- Whoever asks for a backup and does not commit would hold up a pass at that resource, and with it everybody's backups. So
-- a request leaves a mark for as long as its transaction lasts: one of a thousand, for it may ask for a whole fleet at once,
-- and the table of locks is everybody's.
CREATE FUNCTION custbackup.request_mark(resource_id uuid) RETURNS integer
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT hashtext(resource_id::text) & 1023;
END;
COMMENT ON FUNCTION custbackup.request_mark(uuid) IS 'The key of the share_lock() that a request for this resource takes';

CREATE FUNCTION custbackup.open_requests() RETURNS integer[]
	LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT coalesce(array_agg(DISTINCT l.objid::integer), '{}')
	  FROM pg_locks l
	 WHERE l.locktype = 'advisory' AND l.objsubid = 4 AND l.classid = 'custbackup.resources'::regclass
	   AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
	   AND l.pid IS DISTINCT FROM pg_backend_pid();
END;
COMMENT ON FUNCTION custbackup.open_requests() IS 'The marks of requests that other transactions have not committed yet';

-- Whoever asks for a new resource's first backup, or for one after days of downtime, is ahead of the pass: one backup is
-- enough then. plpgsql, which keeps its plans: a pass asks for each resource that is due.
CREATE FUNCTION custbackup.requested_within(resource_id uuid, slot timestamptz, as_of timestamptz) RETURNS uuid
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN (SELECT j.id FROM custbackup.jobs j
			 WHERE j.resource_id = requested_within.resource_id AND j.kind = 'backup' AND j.scheduled_for IS NULL
			   AND j.status IN ('pending', 'running', 'ok')
			   -- The first attempt's beginning: a later one may adopt what that one stored.
			   AND (SELECT a.claimed_at FROM custbackup.attempts a WHERE a.job_id = j.id AND a.attempt = 1) BETWEEN slot AND as_of
			 ORDER BY j.requested_at LIMIT 1);
END;
$$;
COMMENT ON FUNCTION custbackup.requested_within(uuid, timestamptz, timestamptz) IS
	'A backup that somebody asked for and that was begun since this slot: the slot''s backup, unless it has ended otherwise than well';

-- Without sequential scans: while the queue is small they look cheap, and it grows in the very statement that asks it for
-- each resource. And without JIT, which would be called for by the price that is put on them.
CREATE FUNCTION custbackup.schedule(as_of timestamptz DEFAULT now()) RETURNS integer
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off
AS $$
DECLARE
	horizon CONSTANT interval := interval '5 minutes';
	asked CONSTANT integer[] := custbackup.open_requests();
	enqueued uuid[];
	upcoming timestamptz;
BEGIN
	PERFORM custbackup.require_time(as_of);
	-- A pass that goes on elsewhere does this one's work.
	IF NOT custbackup.try_lock('custbackup.scheduler', 0) THEN
		RETURN 0;
	END IF;

	INSERT INTO custbackup.home (host, data_directory)
	SELECT w.host, w.data_directory FROM custbackup.whereabouts() w WHERE NOT EXISTS (SELECT FROM custbackup.home)
	    ON CONFLICT DO NOTHING;
	IF NOT custbackup.is_home() AND NOT EXISTS (SELECT FROM custbackup.scheduler s
		WHERE date_trunc('hour', s.last_pass) = date_trunc('hour', as_of))
	THEN
		RAISE WARNING 'custbackup: nothing is removed from the stores, because this control database came from another server'
			USING DETAIL = (SELECT format('It was at home in %s on host "%s".', h.data_directory, h.host) FROM custbackup.home h),
				HINT = 'If it has moved here for good, and is not a copy of one that lives on: SELECT custbackup.adopt().';
	END IF;

	-- Nothing is ever put off further than the horizon, unless by a clock that was ahead for a time. What another transaction
	-- has locked is left to the next pass, here and below.
	UPDATE custbackup.jobs j SET not_before = as_of
	 WHERE j.id IN (SELECT p.id FROM custbackup.jobs p WHERE p.status = 'pending' AND p.not_before > as_of + horizon
					   FOR NO KEY UPDATE SKIP LOCKED);

	PERFORM custbackup.sweep(as_of);

	-- Nobody can tell the planner how many resources there are, so nothing here is a join that a wrong guess could make
	-- quadratic: whatever is asked of the queue is asked by subquery, from an index, resource by resource.
	WITH eligible AS MATERIALIZED (
		SELECT p.id, p.token, p.team_id, p.tier, p.resource_type, p.cadence, p.slot_offset
		  FROM custbackup.policies() p
		 WHERE p.status_obstacle IS NULL AND p.tier_obstacle IS NULL AND p.engine_obstacle IS NULL
	), slots AS MATERIALIZED (
		SELECT e.*, custbackup.slot_at(as_of, e.cadence, e.slot_offset) AS current_slot,
			custbackup.slot_at(as_of + least(horizon, e.cadence / 2), e.cadence, e.slot_offset) AS latest_slot
		  FROM eligible e
	), candidates AS MATERIALIZED (
		SELECT s.*,
			CASE WHEN s.latest_slot = s.current_slot THEN s.latest_slot
				-- What was never backed up does not wait for the slot to come.
				WHEN (SELECT true FROM custbackup.jobs j WHERE j.resource_id = s.id AND j.kind = 'backup' LIMIT 1) THEN s.latest_slot
				WHEN (SELECT true FROM custbackup.objects o WHERE o.resource_id = s.id LIMIT 1) THEN s.latest_slot
				ELSE s.current_slot
			END AS slot
		  FROM slots s
	), due AS MATERIALIZED (
		SELECT c.*,
			coalesce((SELECT j.id FROM custbackup.jobs j
					   WHERE j.resource_id = c.id AND j.kind = 'backup' AND j.finished_at IS NULL AND j.attempt = 0),
				custbackup.requested_within(c.id, c.slot, as_of)) AS asked_id
		  FROM candidates c
		 WHERE (SELECT true FROM custbackup.jobs j
				 WHERE j.resource_id = c.id AND j.kind = 'backup' AND j.scheduled_for = c.slot) IS NULL
		   AND custbackup.request_mark(c.id) <> ALL (asked)
	), asked_for AS MATERIALIZED (
		SELECT d.slot,
			(SELECT j.id FROM custbackup.jobs j WHERE j.id = d.asked_id AND j.status IN ('pending', 'running', 'ok')
				FOR NO KEY UPDATE SKIP LOCKED) AS id
		  FROM due d
		 WHERE d.asked_id IS NOT NULL
	), taken AS (
		-- A backup that waits already is this slot's backup; also if it starts this very moment.
		UPDATE custbackup.jobs j
		   SET scheduled_for = a.slot, not_before = least(j.not_before, greatest(a.slot, as_of))
		  FROM asked_for a
		 WHERE j.id = a.id
	), inserted AS (
		INSERT INTO custbackup.jobs AS j
			(kind, resource_id, requested_at, not_before, scheduled_for, resource_type, token, team_id, tier)
		SELECT 'backup', d.id, as_of, greatest(d.slot, as_of), d.slot, d.resource_type, d.token, d.team_id, d.tier
		  FROM due d
		 WHERE d.asked_id IS NULL
		    ON CONFLICT DO NOTHING
		RETURNING j.id
	)
	SELECT coalesce((SELECT array_agg(i.id) FROM inserted i), '{}'),
		(SELECT min(s.latest_slot + make_interval(secs => extract(epoch FROM s.cadence)::double precision)) FROM slots s)
	  INTO enqueued, upcoming;
	PERFORM custbackup.record_enqueued(enqueued, 'scheduled');

	INSERT INTO custbackup.scheduler AS s (last_pass, next_slot) VALUES (as_of, upcoming)
	    ON CONFLICT (only_row) DO UPDATE SET last_pass = excluded.last_pass, next_slot = excluded.next_slot;
	RETURN cardinality(enqueued);
END;
$$;
COMMENT ON FUNCTION custbackup.schedule(timestamptz) IS
	'Enqueues the backups that fall due within five minutes, each once a period; says how many';

CREATE FUNCTION custbackup.next_wake(as_of timestamptz DEFAULT now()) RETURNS timestamptz
	LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off -- as claim()
BEGIN ATOMIC
	SELECT least(
		(SELECT j.not_before
		   FROM custbackup.jobs j
		  WHERE j.status = 'pending'
		    AND (j.kind IN ('backup', 'restore') OR custbackup.is_home())
		    AND NOT EXISTS (SELECT FROM custbackup.jobs r WHERE r.resource_id = j.resource_id AND r.status = 'running')
		    AND (j.safety_backup_id IS NULL
		         OR EXISTS (SELECT FROM custbackup.jobs s WHERE s.id = j.safety_backup_id AND s.status = 'ok'))
		  ORDER BY j.not_before, j.requested_at, j.id
		  LIMIT 1),
		-- After a clock that was set back, the pass lies in the future and what it found says nothing.
		(SELECT CASE WHEN s.last_pass <= as_of THEN s.next_slot ELSE as_of END FROM custbackup.scheduler s))
	  FROM custbackup.require_time(as_of);
END;
COMMENT ON FUNCTION custbackup.next_wake(timestamptz) IS
	'When something is next to be done: a pending job that may run, or a slot; NULL: nothing in sight';
