-- What is to be removed from stores, until it is: what failed attempts left, and backups whose removal was asked for and
-- has not succeeded yet. Object lock may keep either for months; then it is known until when, and never called gone.

-- The attempts whose traces a job looks after: of a backup its own earlier ones, of a sweep those of the backup that it
-- sweeps. A token that was renamed in between names another folder; a job touches one.
CREATE FUNCTION custbackup.attempts_to_settle(job custbackup.jobs) RETURNS SETOF custbackup.attempts
	LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT a.*
	  FROM custbackup.attempts a
	 WHERE a.job_id = coalesce(job.swept_job_id, job.id) AND a.key IS NOT NULL AND a.swept_at IS NULL
	   AND starts_with(a.key, job.token || '/')
	   AND CASE job.kind WHEN 'backup' THEN a.attempt < job.attempt
			WHEN 'sweep' THEN a.outcome <> 'ok' AND NOT EXISTS (SELECT FROM custbackup.objects o
																  WHERE o.store = job.store AND o.key = a.key) END;
END;
COMMENT ON FUNCTION custbackup.attempts_to_settle(custbackup.jobs) IS
	'Attempts that may have left something in the store, as the job names them to its mover';

CREATE FUNCTION custbackup.enqueue_expiry(object custbackup.objects, as_of timestamptz, event text) RETURNS uuid
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	job custbackup.jobs;
BEGIN
	UPDATE custbackup.objects o SET state = 'expiring' WHERE o.backup_id = object.backup_id;
	INSERT INTO custbackup.jobs AS j (kind, resource_id, requested_at, not_before, resource_type, token, team_id, tier, store,
		backup_id)
	VALUES ('expire', object.resource_id, as_of, as_of, object.resource_type, object.token, object.team_id, object.tier_at_backup,
		object.store, object.backup_id)
	RETURNING * INTO job;
	PERFORM custbackup.record_enqueued(ARRAY[job.id], event);
	RETURN job.id;
END;
$$;
COMMENT ON FUNCTION custbackup.enqueue_expiry(custbackup.objects, timestamptz, text) IS
	'A job that removes this backup, whose row the caller has locked';

-- A mover that was taken for lost may write for a moment longer, so what has just ended is left alone; what did not work
-- is tried again an hour later.
CREATE FUNCTION custbackup.sweep(as_of timestamptz DEFAULT now()) RETURNS integer
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	at_once CONSTANT integer := 1000;
	settle CONSTANT interval := interval '1 minute';
	again_after CONSTANT interval := interval '1 hour';
	object custbackup.objects;
	expiries integer := 0;
	sweeps uuid[];
BEGIN
	PERFORM custbackup.require_time(as_of);
	FOR object IN
		SELECT o.* FROM custbackup.objects o
		 WHERE o.state IN ('expiring', 'locked') AND (o.locked_until IS NULL OR o.locked_until <= as_of)
		   AND NOT EXISTS (SELECT FROM custbackup.jobs j
							WHERE j.backup_id = o.backup_id AND (j.status IN ('pending', 'running')
								OR (j.kind = 'expire' AND j.finished_at > as_of - again_after)))
		 ORDER BY o.locked_until NULLS FIRST LIMIT at_once
		   FOR UPDATE SKIP LOCKED
	LOOP
		CONTINUE WHEN NOT custbackup.hold_store(object.store);
		PERFORM custbackup.enqueue_expiry(object, as_of, 'scheduled');
		expiries := expiries + 1;
	END LOOP;

	WITH inserted AS (
		INSERT INTO custbackup.jobs AS j (kind, resource_id, requested_at, not_before, resource_type, token, team_id, tier, store,
			swept_job_id)
		SELECT DISTINCT ON (l.backup_id) 'sweep', b.resource_id, as_of, as_of, b.resource_type, split_part(l.key, '/', 1), b.team_id,
			b.tier, b.store, b.id
		  FROM custbackup.leftovers l
		  JOIN custbackup.jobs b ON b.id = l.backup_id
		 WHERE b.finished_at <= as_of - settle AND (l.locked_until IS NULL OR l.locked_until <= as_of)
		   AND custbackup.hold_store(b.store)
		   AND NOT EXISTS (SELECT FROM custbackup.jobs s
							WHERE s.swept_job_id = b.id AND (s.finished_at IS NULL OR s.finished_at > as_of - again_after))
		 ORDER BY l.backup_id, l.attempt LIMIT at_once
		    ON CONFLICT DO NOTHING
		RETURNING j.id
	)
	SELECT coalesce(array_agg(i.id), '{}') INTO sweeps FROM inserted i;
	PERFORM custbackup.record_enqueued(sweeps, 'scheduled');
	RETURN expiries + cardinality(sweeps);
END;
$$;
COMMENT ON FUNCTION custbackup.sweep(timestamptz) IS
	'Enqueues the removal of what is to be gone from the stores and is not: what failed attempts left, and backups whose lock has run out. Says how many jobs';
