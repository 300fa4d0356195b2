-- What each column holds, where the part that makes the table has not said it.

COMMENT ON COLUMN custbackup.resources.id IS 'Of the platform''s choice; what requests name';
COMMENT ON COLUMN custbackup.resources.team_id IS 'Whom it belongs to: backups go back into resources of the same team alone';
COMMENT ON COLUMN custbackup.resources.tier IS 'A row of tiers, or one with _yearly behind its name';
COMMENT ON COLUMN custbackup.resources.resource_type IS 'A row of engines';
COMMENT ON COLUMN custbackup.resources.created_at IS 'When the row was added';

COMMENT ON COLUMN custbackup.stores.is_default IS 'New backups go here';
COMMENT ON COLUMN custbackup.stores.created_at IS 'When the row was added';
COMMENT ON COLUMN custbackup.tiers.tier IS 'Its name in resources, without _yearly';
COMMENT ON COLUMN custbackup.engines.resource_type IS 'Its name in resources';

COMMENT ON COLUMN custbackup.objects.resource_id IS 'Whose backup it is';
COMMENT ON COLUMN custbackup.objects.token IS 'The resource''s when it was backed up: the folder in the store';
COMMENT ON COLUMN custbackup.objects.resource_type IS 'A restore needs a target of the same type';
COMMENT ON COLUMN custbackup.objects.engine IS 'What made it, and restores it';
COMMENT ON COLUMN custbackup.objects.store IS 'Where it lies';
COMMENT ON COLUMN custbackup.objects.raw_bytes IS 'Size before compression';
COMMENT ON COLUMN custbackup.objects.stored_bytes IS 'Size of the object';
COMMENT ON COLUMN custbackup.objects.counts IS 'What was counted in it: tables, keys, documents, by engine';
COMMENT ON COLUMN custbackup.objects.notes IS 'What a restore will not bring back, or will do otherwise';
COMMENT ON COLUMN custbackup.objects.server IS 'The server that was backed up, with its version';
COMMENT ON COLUMN custbackup.objects.tool IS 'The dump tool, with its version';
COMMENT ON COLUMN custbackup.objects.started_at IS 'When its backup began';
COMMENT ON COLUMN custbackup.objects.stored_at IS 'When it was known to be in the store';
COMMENT ON COLUMN custbackup.objects.expired_at IS 'When it was known to be gone from the store';

COMMENT ON COLUMN custbackup.jobs.kind IS 'backup, restore, expire (removes a backup) or sweep (removes what failed attempts left)';
COMMENT ON COLUMN custbackup.jobs.status IS 'pending, running, then ok, failed, cancelled or skipped';
COMMENT ON COLUMN custbackup.jobs.requested_at IS 'When it was asked for, or scheduled';
COMMENT ON COLUMN custbackup.jobs.resource_type IS 'The resource''s, as of the claim; before it, as of the request';
COMMENT ON COLUMN custbackup.jobs.token IS 'The resource''s, as of the claim; before it, as of the request';
COMMENT ON COLUMN custbackup.jobs.team_id IS 'The resource''s, as of the claim; before it, as of the request';
COMMENT ON COLUMN custbackup.jobs.tier IS 'The resource''s, as of the claim; before it, as of the request';
COMMENT ON COLUMN custbackup.jobs.runner IS 'Who runs it, or ran it last';
COMMENT ON COLUMN custbackup.jobs.started_at IS 'When the attempt that runs, or ran last, was claimed';
COMMENT ON COLUMN custbackup.jobs.finished_at IS 'When it ended; NULL: it has not';
COMMENT ON COLUMN custbackup.jobs.phase IS 'How far its attempt is: docs/protocol.md';
COMMENT ON COLUMN custbackup.jobs.reason IS 'Why it is not ok';
COMMENT ON COLUMN custbackup.jobs.backup_id IS 'The backup that is restored or removed';
COMMENT ON COLUMN custbackup.jobs.counts IS 'What a restore has counted in the target';

COMMENT ON COLUMN custbackup.attempts.attempt_id IS 'What the mover reports under';
COMMENT ON COLUMN custbackup.attempts.job_id IS 'The job that was claimed';
COMMENT ON COLUMN custbackup.attempts.attempt IS 'The first, second or third of its job';
COMMENT ON COLUMN custbackup.attempts.runner IS 'Who claimed it';
COMMENT ON COLUMN custbackup.attempts.claimed_at IS 'When it was claimed';
COMMENT ON COLUMN custbackup.attempts.renewed_at IS 'When its lease was renewed last';
COMMENT ON COLUMN custbackup.attempts.tool IS 'The tool that works, with its version';
COMMENT ON COLUMN custbackup.attempts.server IS 'The server that is worked on, with its version';
COMMENT ON COLUMN custbackup.attempts.upload_id IS 'The bucket''s name for the upload in parts; NULL: there is none';
COMMENT ON COLUMN custbackup.attempts.phase IS 'How far the mover is: docs/protocol.md';
COMMENT ON COLUMN custbackup.attempts.bytes_read IS 'Raw bytes read from the resource, or given to it';
COMMENT ON COLUMN custbackup.attempts.bytes_stored IS 'Compressed bytes given to the store, or fetched from it';
COMMENT ON COLUMN custbackup.attempts.finished_at IS 'When it ended; NULL: it has not';
COMMENT ON COLUMN custbackup.attempts.reason IS 'Why it is not ok';
COMMENT ON COLUMN custbackup.attempts.detail IS 'For the operator: may name hosts and roles, never a secret';

COMMENT ON COLUMN custbackup.idempotency_keys.key IS 'What the caller gave';
COMMENT ON COLUMN custbackup.idempotency_keys.job_id IS 'What request_backup() answers to it, for ever';
COMMENT ON COLUMN custbackup.idempotency_keys.resource_id IS 'The resource that it was given for: for another one it is an error';
COMMENT ON COLUMN custbackup.idempotency_keys.requested_at IS 'When it was given first';

COMMENT ON COLUMN custbackup.events.id IS 'In the order of their writing; gaps mean nothing';
COMMENT ON COLUMN custbackup.events.event IS 'What became of the job';
COMMENT ON COLUMN custbackup.events.job_id IS 'Whose event it is; the job itself may be gone';
COMMENT ON COLUMN custbackup.events.kind IS 'The job''s kind';
COMMENT ON COLUMN custbackup.events.resource_id IS 'The resource that the job touches';
COMMENT ON COLUMN custbackup.events.attempt IS 'Which attempt; 0: before the first';
COMMENT ON COLUMN custbackup.events.reason IS 'Why the job, or its attempt, is not ok';

COMMENT ON COLUMN custbackup.counters.kind IS 'The jobs'' kind';
COMMENT ON COLUMN custbackup.counters.resource_type IS 'The resources'' type';
COMMENT ON COLUMN custbackup.counters.result IS 'How they ended';
COMMENT ON COLUMN custbackup.counters.value IS 'How many';

COMMENT ON COLUMN custbackup.scheduler.only_row IS 'There is one row, or none';
COMMENT ON COLUMN custbackup.scheduler.last_pass IS 'The as_of of the last pass';
COMMENT ON COLUMN custbackup.home.only_row IS 'There is one row, or none';
COMMENT ON COLUMN custbackup.home.host IS 'The name of the host that removals are allowed on';
COMMENT ON COLUMN custbackup.home.data_directory IS 'The data directory there';
COMMENT ON COLUMN custbackup.home.adopted_at IS 'When that was decided';

COMMENT ON COLUMN custbackup.policy.engine IS 'What backs up resources of this type; NULL: nothing does';
COMMENT ON COLUMN custbackup.policy.cadence IS 'Length of a period; NULL: the tier takes no backups';
COMMENT ON COLUMN custbackup.policy.slot_offset IS 'How far into a period its slot lies';
COMMENT ON COLUMN custbackup.policy.status_obstacle IS 'Why it is not active; NULL: it is';
COMMENT ON COLUMN custbackup.policy.tier_obstacle IS 'Why its tier takes no backups; NULL: it takes them';
COMMENT ON COLUMN custbackup.policy.engine_obstacle IS 'Why no engine serves its type; NULL: one does';

COMMENT ON COLUMN custbackup.backups.id IS 'What request_restore() and expire() take';
COMMENT ON COLUMN custbackup.backups.resource_id IS 'Whose backup it is';
COMMENT ON COLUMN custbackup.backups.resource_type IS 'The resource''s: a restore needs a target of the same type';
COMMENT ON COLUMN custbackup.backups.status IS 'pending, running, then ok, failed, cancelled or skipped';
COMMENT ON COLUMN custbackup.backups.tier IS 'The resource''s when it was backed up';
COMMENT ON COLUMN custbackup.restores.id IS 'What request_restore() has returned';
COMMENT ON COLUMN custbackup.restores.backup_id IS 'The backup that is restored';
COMMENT ON COLUMN custbackup.restores.target_resource_id IS 'The resource that it goes into';
COMMENT ON COLUMN custbackup.restores.source_resource_id IS 'The resource that the backup was taken of';
COMMENT ON COLUMN custbackup.restores.safety_backup_status IS 'What has become of the safety backup';
COMMENT ON COLUMN custbackup.leftovers.backup_id IS 'The backup whose attempt left it';

COMMENT ON COLUMN custbackup.schedule.resource_id IS 'A resource of custbackup.resource_source';
COMMENT ON COLUMN custbackup.status.version IS 'Of the extension';
COMMENT ON COLUMN custbackup.status.default_store IS 'Where new backups go; NULL: nowhere, and they fail';
COMMENT ON COLUMN custbackup.status.resources IS 'All resources: each counts below once or more';
COMMENT ON COLUMN custbackup.status.scheduled_resources IS 'Backed up by period';
COMMENT ON COLUMN custbackup.status.not_active IS 'Not backed up: their status is another one';
COMMENT ON COLUMN custbackup.status.tier_without_backups IS 'Not backed up: their tier takes none';
COMMENT ON COLUMN custbackup.status.unknown_tier IS 'Not backed up: their tier is not in custbackup.tiers';
COMMENT ON COLUMN custbackup.status.without_engine IS 'Not backed up: no engine for their type, or one that is disabled';
COMMENT ON COLUMN custbackup.status.pending IS 'Jobs that wait';
COMMENT ON COLUMN custbackup.status.oldest_due_at IS 'Since when the one that waits longest could run';
COMMENT ON COLUMN custbackup.status.running IS 'Jobs that run';
COMMENT ON COLUMN custbackup.status.ok_last_day IS 'Jobs that ended well in the last 24 hours';
COMMENT ON COLUMN custbackup.status.failed_last_day IS 'Jobs that failed in the last 24 hours';
COMMENT ON COLUMN custbackup.status.skipped_last_day IS 'Jobs that were skipped in the last 24 hours';
COMMENT ON COLUMN custbackup.status.last_ok_at IS 'When the last backup succeeded';
COMMENT ON COLUMN custbackup.status.next_slot IS 'When the next slot of the schedule comes that is not enqueued yet';

-- What shows a table's column under the table's name says what is said there.
DO $$
DECLARE
	shown record;
BEGIN
	FOR shown IN
		SELECT DISTINCT ON (v.attrelid, v.attnum) v.attrelid::regclass AS relation, v.attname AS name, d.description
		  FROM (VALUES ('backups', ARRAY['objects', 'jobs']), ('restores', ARRAY['jobs']), ('progress', ARRAY['attempts', 'jobs']),
				('leftovers', ARRAY['attempts', 'jobs']), ('schedule', ARRAY['resources', 'tiers']), ('policy', ARRAY['resources'])
			   ) AS view (name, tables)
		 CROSS JOIN unnest(view.tables) WITH ORDINALITY AS source (name, place)
		  JOIN pg_attribute v ON v.attrelid = ('custbackup.' || view.name)::regclass
		  JOIN pg_attribute t ON t.attrelid = ('custbackup.' || source.name)::regclass AND t.attname = v.attname
		  JOIN pg_description d ON d.classoid = 'pg_class'::regclass AND d.objoid = t.attrelid AND d.objsubid = t.attnum
		 WHERE v.attnum > 0 AND col_description(v.attrelid, v.attnum) IS NULL
		 ORDER BY v.attrelid, v.attnum, source.place
	LOOP
		EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', shown.relation, shown.name, shown.description);
	END LOOP;
END $$;
