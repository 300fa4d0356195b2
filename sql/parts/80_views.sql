-- What people, the API and exporters read. The operator's detail shows only to a role that may read the table jobs
-- itself; everybody else gets the fixed sentence of the reason. Functions with the owner's rights stand behind the views
-- that need the resources, because a view lends its reader no right to call a function.

-- Two halves and not a full join, so that one backup, or one resource's, is found by an index in each.
CREATE VIEW custbackup.backups AS
SELECT j.id,
	j.resource_id,
	coalesce(o.token, j.token) AS token,
	coalesce(o.team_id, j.team_id) AS team_id,
	coalesce(o.resource_type, j.resource_type) AS resource_type,
	coalesce(o.tier_at_backup, j.tier) AS tier,
	j.status,
	o.state AS object_state,
	j.requested_at, j.requested_by, j.scheduled_for, j.not_before, j.is_safety, j.started_at, j.finished_at,
	j.attempt, j.phase, j.reason,
	custbackup.reason_text(j.reason) AS message,
	CASE WHEN has_table_privilege('custbackup.jobs', 'SELECT') THEN j.detail END AS detail,
	coalesce(o.store, j.store) AS store,
	o.key, o.version, o.raw_bytes, o.stored_bytes, o.sha256, o.counts, o.notes, o.consistency, o.server, o.tool, o.expired_at,
	o.locked_until
  FROM custbackup.jobs j
  LEFT JOIN custbackup.objects o ON o.backup_id = j.id
 WHERE j.kind = 'backup'
UNION ALL
-- What has outlived its job.
SELECT o.backup_id, o.resource_id, o.token, o.team_id, o.resource_type, o.tier_at_backup, 'ok', o.state,
	o.started_at, NULL, NULL, NULL, NULL, o.started_at, o.stored_at,
	NULL, NULL, NULL, NULL, NULL,
	o.store,
	o.key, o.version, o.raw_bytes, o.stored_bytes, o.sha256, o.counts, o.notes, o.consistency, o.server, o.tool, o.expired_at,
	o.locked_until
  FROM custbackup.objects o
 WHERE NOT EXISTS (SELECT FROM custbackup.jobs j WHERE j.id = o.backup_id AND j.kind = 'backup');
COMMENT ON VIEW custbackup.backups IS 'Everything about a backup in one row: its job and what is stored of it';
COMMENT ON COLUMN custbackup.backups.object_state IS 'stored, expiring, locked or expired; NULL: nothing was stored';
COMMENT ON COLUMN custbackup.backups.locked_until IS
	'Until then object lock keeps what is stored; infinity: a legal hold; NULL: nothing does';
COMMENT ON COLUMN custbackup.backups.message IS 'For customers: the fixed sentence of the reason';
COMMENT ON COLUMN custbackup.backups.detail IS 'For operators: NULL for a role that may not read custbackup.jobs';

CREATE VIEW custbackup.restores AS
SELECT j.id, j.backup_id, j.resource_id AS target_resource_id, o.resource_id AS source_resource_id, j.mode,
	j.token, j.team_id, j.resource_type, j.status, j.phase, j.requested_at, j.requested_by, j.started_at, j.finished_at,
	j.attempt, j.safety_backup_id, s.status AS safety_backup_status, j.target_modified, j.left_alone, j.counts, j.reason,
	custbackup.reason_text(j.reason) AS message,
	CASE WHEN has_table_privilege('custbackup.jobs', 'SELECT') THEN j.detail END AS detail
  FROM custbackup.jobs j
  JOIN custbackup.objects o ON o.backup_id = j.backup_id
  LEFT JOIN custbackup.jobs s ON s.id = j.safety_backup_id
 WHERE j.kind = 'restore';
COMMENT ON VIEW custbackup.restores IS 'Everything about a restore in one row';
COMMENT ON COLUMN custbackup.restores.safety_backup_id IS 'The restore waits until this backup is ok; NULL: none was asked for';
COMMENT ON COLUMN custbackup.restores.message IS 'For customers: the fixed sentence of the reason';
COMMENT ON COLUMN custbackup.restores.detail IS 'For operators: NULL for a role that may not read custbackup.jobs';

CREATE VIEW custbackup.leftovers AS
SELECT j.id AS backup_id, a.attempt_id, a.attempt, j.resource_id, j.token, j.resource_type, j.store, a.key, a.upload_id, a.outcome,
	a.finished_at, a.locked_until
  FROM custbackup.attempts a
  JOIN custbackup.jobs j ON j.id = a.job_id
 WHERE a.outcome <> 'ok' AND a.key IS NOT NULL AND a.swept_at IS NULL
   -- What a later attempt adopted is the backup itself.
   AND NOT EXISTS (SELECT FROM custbackup.objects o WHERE o.store = j.store AND o.key = a.key);
COMMENT ON VIEW custbackup.leftovers IS 'What attempts that failed left in a store, or may have left: until a sweep has seen that nothing is there';
COMMENT ON COLUMN custbackup.leftovers.locked_until IS 'Until then object lock keeps it; NULL: no lock is known of, and the next sweep removes it';

CREATE VIEW custbackup.progress AS
SELECT j.id, j.kind, j.status, j.resource_id, j.token, j.resource_type, j.not_before, j.attempt, j.runner, a.phase, a.alive, a.bytes_read, a.bytes_stored,
	e.expected_bytes,
	CASE WHEN e.expected_bytes > 0 THEN
		least(99, round(100.0 * CASE j.kind WHEN 'restore' THEN greatest(a.bytes_stored, a.bytes_read) ELSE a.bytes_read END
			/ e.expected_bytes, 1))
	END AS percent,
	j.started_at, a.begun_at, a.heard_at, j.cancel_requested_at
  FROM custbackup.jobs j
  LEFT JOIN custbackup.attempts a ON a.attempt_id = j.attempt_id
 CROSS JOIN LATERAL (
	SELECT CASE WHEN j.status = 'running' THEN CASE j.kind
		WHEN 'restore' THEN (SELECT o.raw_bytes FROM custbackup.objects o WHERE o.backup_id = j.backup_id)
		WHEN 'backup' THEN (SELECT o.raw_bytes FROM custbackup.objects o WHERE o.resource_id = j.resource_id
							 ORDER BY o.stored_at DESC LIMIT 1)
		END END AS expected_bytes) AS e
 WHERE j.status IN ('pending', 'running');
COMMENT ON VIEW custbackup.progress IS 'What waits and what runs now, and how far it is';
COMMENT ON COLUMN custbackup.progress.bytes_read IS 'Raw bytes read from the resource, or given to it';
COMMENT ON COLUMN custbackup.progress.bytes_stored IS 'Compressed bytes given to the store, or fetched from it';
COMMENT ON COLUMN custbackup.progress.expected_bytes IS
	'Raw bytes in all: of a restore what the catalogue says, of a backup what the last one had';
COMMENT ON COLUMN custbackup.progress.percent IS 'At most 99 until the job has ended; of a backup an estimate';

-- When each resource is next due, and why not.
CREATE FUNCTION custbackup.schedule_at(as_of timestamptz DEFAULT now())
	RETURNS TABLE (resource_id uuid, token text, team_id uuid, tier text, resource_type text, next_due timestamptz, cadence interval,
		last_slot timestamptz, last_backup_at timestamptz, waiting_id uuid, obstacle text)
	LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH entries AS MATERIALIZED (
		SELECT p.*, coalesce(p.status_obstacle, p.tier_obstacle, p.engine_obstacle) AS obstacle,
			custbackup.slot_at(as_of, p.cadence, p.slot_offset) AS current_slot,
			(SELECT max(j.scheduled_for) FROM custbackup.jobs j WHERE j.resource_id = p.id AND j.kind = 'backup') AS last_slot,
			(SELECT max(o.stored_at) FROM custbackup.objects o WHERE o.resource_id = p.id) AS last_backup_at,
			(SELECT j.id FROM custbackup.jobs j
			  WHERE j.resource_id = p.id AND j.kind = 'backup' AND j.finished_at IS NULL AND j.attempt = 0) AS waiting_id
		  FROM custbackup.policies() p
	)
	SELECT e.id, e.token, e.team_id, e.tier, e.resource_type,
		CASE WHEN e.obstacle IS NULL THEN coalesce((SELECT j.not_before FROM custbackup.jobs j WHERE j.id = e.waiting_id),
			CASE WHEN coalesce((SELECT j.id FROM custbackup.jobs j
								 WHERE j.resource_id = e.id AND j.kind = 'backup' AND j.scheduled_for = e.current_slot),
					custbackup.requested_within(e.id, e.current_slot, as_of)) IS NOT NULL
				THEN e.current_slot + make_interval(secs => extract(epoch FROM e.cadence)::double precision)
				ELSE e.current_slot
			END) END,
		e.cadence, e.last_slot, e.last_backup_at, e.waiting_id, e.obstacle
	  FROM custbackup.require_time(as_of) CROSS JOIN entries e;
END;
COMMENT ON FUNCTION custbackup.schedule_at(timestamptz) IS 'What the view schedule shows, as of another time';

CREATE VIEW custbackup.schedule AS SELECT * FROM custbackup.schedule_at();
COMMENT ON VIEW custbackup.schedule IS 'Every resource: when its next scheduled backup is due, or why there is none';
COMMENT ON COLUMN custbackup.schedule.next_due IS 'In the past: overdue, enqueued by the next pass; NULL: never';
COMMENT ON COLUMN custbackup.schedule.last_slot IS 'The latest period that had a backup enqueued';
COMMENT ON COLUMN custbackup.schedule.last_backup_at IS 'When its last good backup, scheduled or not, was stored';
COMMENT ON COLUMN custbackup.schedule.waiting_id IS 'The backup that waits in the queue already';
COMMENT ON COLUMN custbackup.schedule.obstacle IS 'Why it is never due: status, tier or engine';

CREATE FUNCTION custbackup.status_at(as_of timestamptz DEFAULT now())
	RETURNS TABLE (version text, default_store text, resources bigint, scheduled_resources bigint, not_active bigint,
		tier_without_backups bigint, unknown_tier bigint, unknown_tiers text[], without_engine bigint, pending bigint, due bigint,
		oldest_due_at timestamptz, running bigint, ok_last_day bigint, failed_last_day bigint, skipped_last_day bigint,
		last_ok_at timestamptz, last_pass_at timestamptz, next_slot timestamptz, removals_paused boolean)
	LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH fleet AS (
		SELECT count(*) AS resources,
			count(*) FILTER (WHERE coalesce(p.status_obstacle, p.tier_obstacle, p.engine_obstacle) IS NULL) AS scheduled_resources,
			count(*) FILTER (WHERE p.status_obstacle IS NOT NULL) AS not_active,
			count(*) FILTER (WHERE p.tier_obstacle IS NOT NULL AND t.tier IS NOT NULL) AS tier_without_backups,
			count(*) FILTER (WHERE t.tier IS NULL) AS unknown_tier,
			array_agg(DISTINCT p.tier ORDER BY p.tier) FILTER (WHERE t.tier IS NULL) AS unknown_tiers,
			count(*) FILTER (WHERE p.engine_obstacle IS NOT NULL) AS without_engine
		  FROM custbackup.policies() p
		  LEFT JOIN custbackup.tiers t ON t.tier = custbackup.base_tier(p.tier)
	), queue AS (
		SELECT count(*) AS pending, count(*) FILTER (WHERE j.not_before <= as_of) AS due,
			min(j.not_before) FILTER (WHERE j.not_before <= as_of) AS oldest_due_at,
			(SELECT count(*) FROM custbackup.jobs r WHERE r.status = 'running') AS running
		  FROM custbackup.jobs j
		 WHERE j.status = 'pending'
	), results AS (
		SELECT count(*) FILTER (WHERE j.status = 'ok') AS ok_last_day, count(*) FILTER (WHERE j.status = 'failed') AS failed_last_day,
			count(*) FILTER (WHERE j.status = 'skipped') AS skipped_last_day
		  FROM custbackup.jobs j
		 WHERE j.finished_at > as_of - interval '24 hours' AND j.finished_at <= as_of
	)
	SELECT (SELECT x.extversion FROM pg_extension x WHERE x.extname = 'custbackup'),
		(SELECT s.name FROM custbackup.stores s WHERE s.is_default),
		f.resources, f.scheduled_resources, f.not_active, f.tier_without_backups, f.unknown_tier, f.unknown_tiers, f.without_engine,
		q.pending, q.due, q.oldest_due_at, q.running, r.ok_last_day, r.failed_last_day, r.skipped_last_day,
		(SELECT max(j.finished_at) FROM custbackup.jobs j WHERE j.kind = 'backup' AND j.status = 'ok'),
		(SELECT c.last_pass FROM custbackup.scheduler c), (SELECT c.next_slot FROM custbackup.scheduler c),
		NOT custbackup.is_home()
	  FROM custbackup.require_time(as_of) CROSS JOIN fleet f CROSS JOIN queue q CROSS JOIN results r;
END;
COMMENT ON FUNCTION custbackup.status_at(timestamptz) IS 'What the view status shows, as of another time';

CREATE VIEW custbackup.status AS SELECT * FROM custbackup.status_at();
COMMENT ON VIEW custbackup.status IS 'One row: what the operator looks at first';
COMMENT ON COLUMN custbackup.status.unknown_tiers IS 'Tiers of resources that custbackup.tiers does not list: never backed up';
COMMENT ON COLUMN custbackup.status.due IS 'Pending jobs whose time has come';
COMMENT ON COLUMN custbackup.status.last_pass_at IS 'When schedule() last ran; more than a minute or two ago: no worker is at work';
COMMENT ON COLUMN custbackup.status.removals_paused IS
	'This control database came from another server: it takes backups, but removes none until adopt() is called';
