-- What each constraint keeps out.

COMMENT ON CONSTRAINT resources_pkey ON custbackup.resources IS 'One row a resource';
COMMENT ON CONSTRAINT resources_token_is_safe ON custbackup.resources IS 'It becomes a folder''s name in a store';

COMMENT ON CONSTRAINT stores_pkey ON custbackup.stores IS 'A backup finds its store by name';
COMMENT ON CONSTRAINT stores_name_is_safe ON custbackup.stores IS 'It is a profile''s name in the mover''s credentials file';
COMMENT ON CONSTRAINT stores_url_is_valid ON custbackup.stores IS 'Schemes that the mover knows, and no credentials';

COMMENT ON CONSTRAINT tiers_pkey ON custbackup.tiers IS 'A tier promises one thing';
COMMENT ON CONSTRAINT tiers_name_is_base ON custbackup.tiers IS 'x_yearly is x, so it has no row of its own';
COMMENT ON CONSTRAINT tiers_cadence_has_no_months ON custbackup.tiers IS 'Periods of one length: months and years have none';
COMMENT ON CONSTRAINT tiers_cadence_in_range ON custbackup.tiers IS 'A minute to a year';
COMMENT ON CONSTRAINT tiers_daily_hour_needs_days ON custbackup.tiers IS 'An hour of the day has a meaning in periods of whole days alone';
COMMENT ON CONSTRAINT tiers_retention_days_in_range ON custbackup.tiers IS 'No days, or some';
COMMENT ON CONSTRAINT tiers_keep_last_in_range ON custbackup.tiers IS 'None, or some';

COMMENT ON CONSTRAINT engines_pkey ON custbackup.engines IS 'A type has one engine';
COMMENT ON CONSTRAINT engines_type_in_range ON custbackup.engines IS 'It stands in indexes and in every row of the queue';
COMMENT ON CONSTRAINT engines_engine_in_range ON custbackup.engines IS 'A name, as the mover has them';

COMMENT ON CONSTRAINT objects_pkey ON custbackup.objects IS 'A backup has one object';
COMMENT ON CONSTRAINT objects_store_key_key ON custbackup.objects IS 'An object is one backup''s';
COMMENT ON CONSTRAINT objects_store_fkey ON custbackup.objects IS 'A store that holds something is renamed, not deleted';
COMMENT ON CONSTRAINT objects_raw_bytes_in_range ON custbackup.objects IS 'A size';
COMMENT ON CONSTRAINT objects_stored_bytes_in_range ON custbackup.objects IS 'A size';
COMMENT ON CONSTRAINT objects_sha256_is_hex ON custbackup.objects IS '64 hex digits: what a restore compares with';
COMMENT ON CONSTRAINT objects_state_is_known ON custbackup.objects IS 'The states of what is stored; check_object() says which follows which';
COMMENT ON CONSTRAINT objects_expired_at_when_expired ON custbackup.objects IS 'Exactly what is gone has a time at which it went';
COMMENT ON CONSTRAINT objects_locked_until_when_locked ON custbackup.objects IS 'What is locked is so until some time';

COMMENT ON CONSTRAINT jobs_pkey ON custbackup.jobs IS 'One row a request';
COMMENT ON CONSTRAINT jobs_attempt_id_key ON custbackup.jobs IS 'An attempt is one job''s';
COMMENT ON CONSTRAINT jobs_store_fkey ON custbackup.jobs IS 'A store that jobs have used is renamed, not deleted';
COMMENT ON CONSTRAINT jobs_backup_id_fkey ON custbackup.jobs IS 'What is restored or removed is in the catalogue';
COMMENT ON CONSTRAINT jobs_kind_is_known ON custbackup.jobs IS 'What a mover can be asked for';
COMMENT ON CONSTRAINT jobs_status_is_known ON custbackup.jobs IS 'The states of a job; check_transition() says which follows which';
COMMENT ON CONSTRAINT jobs_attempt_in_range ON custbackup.jobs IS 'A count';
COMMENT ON CONSTRAINT jobs_mode_is_known ON custbackup.jobs IS 'The two ways of a restore';
COMMENT ON CONSTRAINT jobs_one_a_period ON custbackup.jobs IS 'However often the scheduler passes, a period has one backup';
COMMENT ON CONSTRAINT jobs_only_backups_are_scheduled ON custbackup.jobs IS 'Other kinds have no period';
COMMENT ON CONSTRAINT jobs_phase_is_known ON custbackup.jobs IS 'Each kind has its own phases: docs/protocol.md';
COMMENT ON CONSTRAINT jobs_restored_is_committed ON custbackup.jobs IS 'A restore is ok when its last step was taken';
COMMENT ON CONSTRAINT jobs_finished_at_when_ended ON custbackup.jobs IS 'Exactly a job that has ended has a time at which it did';
COMMENT ON CONSTRAINT jobs_reason_when_not_ok ON custbackup.jobs IS 'Exactly a job that ended otherwise than well says why';
COMMENT ON CONSTRAINT jobs_attempt_while_running ON custbackup.jobs IS 'A running job has an attempt, a runner, a beginning and a store';
COMMENT ON CONSTRAINT jobs_no_attempt_while_pending ON custbackup.jobs IS 'A pending job is nobody''s';
COMMENT ON CONSTRAINT jobs_ok_was_attempted ON custbackup.jobs IS 'Nothing succeeds that was not tried';
COMMENT ON CONSTRAINT jobs_restore_has_backup ON custbackup.jobs IS 'Restores and removals name a backup, restores a mode, and no other kind does';
COMMENT ON CONSTRAINT jobs_only_sweeps_sweep ON custbackup.jobs IS 'Exactly a sweep names whose traces it removes';
COMMENT ON CONSTRAINT jobs_only_rewinds_wait ON custbackup.jobs IS 'A clone''s target is empty: there is nothing to save';
COMMENT ON CONSTRAINT jobs_only_backups_are_safety ON custbackup.jobs IS 'A safety backup is a backup';
COMMENT ON CONSTRAINT jobs_only_restores_modify ON custbackup.jobs IS 'No other kind writes to a resource';
COMMENT ON CONSTRAINT jobs_count_result ON custbackup.jobs IS 'That of the trigger: it counts at the commit';

COMMENT ON CONSTRAINT attempts_pkey ON custbackup.attempts IS 'One row a claim';
COMMENT ON CONSTRAINT attempts_job_id_attempt_key ON custbackup.attempts IS 'A job''s attempts are numbered';
COMMENT ON CONSTRAINT attempts_job_id_fkey ON custbackup.attempts IS 'They go with their job';
COMMENT ON CONSTRAINT attempts_attempt_in_range ON custbackup.attempts IS 'Counted from 1';
COMMENT ON CONSTRAINT attempts_outcome_is_known ON custbackup.attempts IS 'How an attempt can end';
COMMENT ON CONSTRAINT attempts_outcome_when_finished ON custbackup.attempts IS 'Exactly an attempt that has ended has an outcome';
COMMENT ON CONSTRAINT attempts_reason_when_not_ok ON custbackup.attempts IS 'Exactly an attempt that ended otherwise than well says why';

COMMENT ON CONSTRAINT idempotency_keys_pkey ON custbackup.idempotency_keys IS 'A key stands for one request, for ever';

COMMENT ON CONSTRAINT events_pkey ON custbackup.events IS 'Events are numbered as they are written';
COMMENT ON CONSTRAINT events_event_is_known ON custbackup.events IS 'What can happen to a job';

COMMENT ON CONSTRAINT counters_pkey ON custbackup.counters IS 'One row a series: two with the same labels would fail an exporter''s whole answer';
COMMENT ON CONSTRAINT counters_kind_is_known ON custbackup.counters IS 'The kinds of jobs';
COMMENT ON CONSTRAINT counters_result_is_known ON custbackup.counters IS 'How a job can end';
COMMENT ON CONSTRAINT counters_value_in_range ON custbackup.counters IS 'A count';

COMMENT ON CONSTRAINT scheduler_pkey ON custbackup.scheduler IS 'At most one row';
COMMENT ON CONSTRAINT scheduler_has_one_row ON custbackup.scheduler IS 'At most one row';
COMMENT ON CONSTRAINT home_pkey ON custbackup.home IS 'At most one row';
COMMENT ON CONSTRAINT home_has_one_row ON custbackup.home IS 'At most one row';

-- The index behind a constraint is there for that.
DO $$
DECLARE
	behind record;
BEGIN
	FOR behind IN
		SELECT k.conindid::regclass AS index, obj_description(k.oid, 'pg_constraint') AS purpose
		  FROM pg_constraint k
		 WHERE k.connamespace = 'custbackup'::regnamespace AND k.contype IN ('p', 'u')
	LOOP
		EXECUTE format('COMMENT ON INDEX %s IS %L', behind.index, behind.purpose);
	END LOOP;
END $$;
