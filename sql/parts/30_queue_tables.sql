-- The catalogue of what is stored, the queue, its attempts, and what is kept of both: events and counters.

CREATE TABLE custbackup.objects (
	backup_id uuid PRIMARY KEY,
	resource_id uuid NOT NULL,
	token text NOT NULL,
	team_id uuid,
	resource_type text NOT NULL,
	engine text NOT NULL,
	tier_at_backup text NOT NULL,
	store text NOT NULL REFERENCES custbackup.stores ON UPDATE CASCADE,
	key text NOT NULL,
	version text,
	raw_bytes bigint NOT NULL CONSTRAINT objects_raw_bytes_in_range CHECK (raw_bytes >= 0),
	stored_bytes bigint NOT NULL CONSTRAINT objects_stored_bytes_in_range CHECK (stored_bytes >= 0),
	sha256 text NOT NULL CONSTRAINT objects_sha256_is_hex CHECK (sha256 ~ '^[0-9a-f]{64}$'),
	counts jsonb NOT NULL DEFAULT '{}',
	notes jsonb NOT NULL DEFAULT '[]',
	consistency text NOT NULL,
	server text,
	tool text,
	started_at timestamptz NOT NULL,
	stored_at timestamptz NOT NULL,
	locked_until timestamptz,
	state text NOT NULL DEFAULT 'stored'
		CONSTRAINT objects_state_is_known CHECK (state IN ('stored', 'expiring', 'locked', 'expired')),
	expired_at timestamptz,
	UNIQUE (store, key),
	CONSTRAINT objects_expired_at_when_expired CHECK ((expired_at IS NOT NULL) = (state = 'expired')),
	CONSTRAINT objects_locked_until_when_locked CHECK (state <> 'locked' OR locked_until IS NOT NULL)
);
CREATE INDEX objects_of_resource ON custbackup.objects (resource_id, stored_at);
CREATE INDEX objects_to_remove ON custbackup.objects (locked_until) WHERE state IN ('expiring', 'locked');
COMMENT ON TABLE custbackup.objects IS
	'The catalogue: one row a backup that was stored whole. It outlives its job and can be rebuilt from the manifests';
COMMENT ON COLUMN custbackup.objects.backup_id IS 'The id of the job that made it';
COMMENT ON COLUMN custbackup.objects.team_id IS 'The team that the resource belonged to when it was backed up';
COMMENT ON COLUMN custbackup.objects.tier_at_backup IS 'The resource''s tier when it was backed up: how long it is to be kept';
COMMENT ON COLUMN custbackup.objects.key IS 'Of the object, relative to the store''s URL';
COMMENT ON COLUMN custbackup.objects.version IS 'The store''s version id; NULL where it has none';
COMMENT ON COLUMN custbackup.objects.sha256 IS 'Of the stored bytes';
COMMENT ON COLUMN custbackup.objects.consistency IS 'snapshot, per collection or per key';
COMMENT ON COLUMN custbackup.objects.locked_until IS
	'Until then object lock keeps it, as the store says; infinity: a legal hold; NULL: nothing does';
COMMENT ON COLUMN custbackup.objects.state IS
	'stored; expiring: its removal was asked for, no restore any more; locked: it was asked for, the lock keeps it until locked_until; expired: it is gone from the store';
COMMENT ON INDEX custbackup.objects_to_remove IS 'What sweep() looks at';
COMMENT ON INDEX custbackup.objects_of_resource IS 'A resource''s backups, newest last';

CREATE TABLE custbackup.jobs (
	id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	kind text NOT NULL CONSTRAINT jobs_kind_is_known CHECK (kind IN ('backup', 'restore', 'expire', 'sweep')),
	resource_id uuid NOT NULL,
	status text NOT NULL DEFAULT 'pending'
		CONSTRAINT jobs_status_is_known CHECK (status IN ('pending', 'running', 'ok', 'failed', 'cancelled', 'skipped')),
	requested_at timestamptz NOT NULL DEFAULT now(),
	requested_by text,
	not_before timestamptz NOT NULL DEFAULT now(),
	scheduled_for timestamptz,
	-- what the resource was when the job was asked for, then when it was claimed
	resource_type text NOT NULL,
	token text,
	team_id uuid,
	tier text,
	engine text,
	store text REFERENCES custbackup.stores ON UPDATE CASCADE,
	-- the attempt that runs, or ran last
	attempt integer NOT NULL DEFAULT 0 CONSTRAINT jobs_attempt_in_range CHECK (attempt >= 0),
	attempt_id uuid UNIQUE,
	runner text,
	started_at timestamptz,
	finished_at timestamptz,
	cancel_requested_at timestamptz,
	phase text,
	reason custbackup.reason,
	detail text,
	-- a backup's
	is_safety boolean NOT NULL DEFAULT false,
	-- a restore's; the first also an expiry's
	backup_id uuid REFERENCES custbackup.objects,
	-- a sweep's
	swept_job_id uuid,
	mode text CONSTRAINT jobs_mode_is_known CHECK (mode IN ('rewind', 'clone')),
	safety_backup_id uuid,
	target_modified boolean NOT NULL DEFAULT false,
	left_alone jsonb,
	counts jsonb,
	CONSTRAINT jobs_one_a_period UNIQUE (resource_id, kind, scheduled_for),
	CONSTRAINT jobs_only_backups_are_scheduled CHECK (kind = 'backup' OR scheduled_for IS NULL),
	CONSTRAINT jobs_phase_is_known CHECK (phase IS NULL
		OR (kind, phase) IN (('backup', 'dumping'), ('backup', 'storing'), ('restore', 'downloading'), ('restore', 'verified'),
			('restore', 'applying'), ('restore', 'committed'))),
	CONSTRAINT jobs_restored_is_committed CHECK (status <> 'ok' OR kind <> 'restore' OR phase IS NOT DISTINCT FROM 'committed'),
	CONSTRAINT jobs_finished_at_when_ended CHECK ((finished_at IS NOT NULL) = (status NOT IN ('pending', 'running'))),
	CONSTRAINT jobs_reason_when_not_ok CHECK ((reason IS NOT NULL) = (status IN ('failed', 'cancelled', 'skipped'))),
	CONSTRAINT jobs_attempt_while_running CHECK (status <> 'running'
		OR (attempt > 0 AND attempt_id IS NOT NULL AND runner IS NOT NULL AND started_at IS NOT NULL AND store IS NOT NULL)),
	CONSTRAINT jobs_no_attempt_while_pending CHECK (status <> 'pending'
		OR (attempt_id IS NULL AND runner IS NULL AND started_at IS NULL AND phase IS NULL)),
	CONSTRAINT jobs_ok_was_attempted CHECK (status <> 'ok' OR attempt_id IS NOT NULL),
	CONSTRAINT jobs_restore_has_backup CHECK ((kind IN ('restore', 'expire')) = (backup_id IS NOT NULL)
		AND (kind = 'restore') = (mode IS NOT NULL)),
	CONSTRAINT jobs_only_sweeps_sweep CHECK ((kind = 'sweep') = (swept_job_id IS NOT NULL)),
	CONSTRAINT jobs_only_rewinds_wait CHECK (safety_backup_id IS NULL OR mode IS NOT DISTINCT FROM 'rewind'),
	CONSTRAINT jobs_only_backups_are_safety CHECK (kind = 'backup' OR NOT is_safety),
	CONSTRAINT jobs_only_restores_modify CHECK (kind = 'restore' OR NOT target_modified)
);
CREATE UNIQUE INDEX jobs_one_running ON custbackup.jobs (resource_id) WHERE status = 'running';
-- That a job is pending can be said in two ways, and which one a query uses decides which index it can use: by status for
-- the whole queue in order, by times (neither finished nor started) for one resource's. With one way for both, a planner
-- whose statistics are from before the rush hour would look for one resource's job in the whole queue.
CREATE UNIQUE INDEX jobs_one_waiting ON custbackup.jobs (resource_id, kind)
	WHERE finished_at IS NULL AND attempt = 0 AND kind IN ('backup', 'restore');
CREATE UNIQUE INDEX jobs_one_expiry ON custbackup.jobs (backup_id) WHERE kind = 'expire' AND status IN ('pending', 'running');
CREATE UNIQUE INDEX jobs_one_sweep ON custbackup.jobs (swept_job_id) WHERE kind = 'sweep' AND status IN ('pending', 'running');
CREATE INDEX jobs_sweeps ON custbackup.jobs (swept_job_id, finished_at) WHERE kind = 'sweep';
CREATE INDEX jobs_pending ON custbackup.jobs (not_before, requested_at, id) WHERE status = 'pending';
CREATE INDEX jobs_awaiting ON custbackup.jobs (safety_backup_id) WHERE finished_at IS NULL AND safety_backup_id IS NOT NULL;
CREATE INDEX jobs_of_backup ON custbackup.jobs (backup_id) WHERE backup_id IS NOT NULL;
CREATE INDEX jobs_finished ON custbackup.jobs (finished_at) WHERE finished_at IS NOT NULL;
COMMENT ON TABLE custbackup.jobs IS 'The queue and its state machine: one row a request';
COMMENT ON COLUMN custbackup.jobs.id IS 'Of a backup: also the backup''s id';
COMMENT ON COLUMN custbackup.jobs.resource_id IS 'The resource that is touched: of a restore, the target';
COMMENT ON COLUMN custbackup.jobs.requested_by IS 'Whom the caller named; NULL: nobody, or the schedule';
COMMENT ON COLUMN custbackup.jobs.not_before IS 'Not claimed earlier';
COMMENT ON COLUMN custbackup.jobs.scheduled_for IS 'The beginning of the period whose backup this is; NULL: one that somebody asked for besides';
COMMENT ON COLUMN custbackup.jobs.engine IS 'What the mover dispatches on; known from the first claim';
COMMENT ON COLUMN custbackup.jobs.store IS 'Chosen at the first claim: later attempts look for the first one''s traces there';
COMMENT ON COLUMN custbackup.jobs.attempt IS 'Number of the attempt that runs or ran last; 0: none yet';
COMMENT ON COLUMN custbackup.jobs.attempt_id IS 'The fence: who reports under another one is told to end';
COMMENT ON COLUMN custbackup.jobs.cancel_requested_at IS 'When cancel() was called while it ran; renew() passes it on';
COMMENT ON COLUMN custbackup.jobs.detail IS 'For the operator: may name hosts and roles, never a secret';
COMMENT ON COLUMN custbackup.jobs.is_safety IS 'A rewind waits for it: taken whatever the tier says';
COMMENT ON COLUMN custbackup.jobs.swept_job_id IS 'The backup whose attempts left something in the store';
COMMENT ON COLUMN custbackup.jobs.mode IS 'rewind: into its own resource; clone: into another, empty one';
COMMENT ON COLUMN custbackup.jobs.safety_backup_id IS 'The restore runs when this job is ok, and fails when it ends otherwise';
COMMENT ON COLUMN custbackup.jobs.target_modified IS 'Something in the target is, or may be, no longer as it was';
COMMENT ON COLUMN custbackup.jobs.left_alone IS 'What the restore did not touch or could not apply';
COMMENT ON INDEX custbackup.jobs_one_running IS 'A backup never dumps half a rewind';
COMMENT ON INDEX custbackup.jobs_one_waiting IS 'While one runs, one more may wait';
COMMENT ON INDEX custbackup.jobs_one_expiry IS 'A backup is removed once';
COMMENT ON INDEX custbackup.jobs_one_sweep IS 'Nothing is swept twice at once';
COMMENT ON INDEX custbackup.jobs_sweeps IS 'When something was swept last';
COMMENT ON INDEX custbackup.jobs_pending IS 'What claim() and next_wake() read, in the order of claims';
COMMENT ON INDEX custbackup.jobs_awaiting IS 'The rewinds that wait for a safety backup';
COMMENT ON INDEX custbackup.jobs_of_backup IS 'What restores from a backup, or removes it';
COMMENT ON INDEX custbackup.jobs_finished IS 'The last day''s results';

CREATE TABLE custbackup.attempts (
	attempt_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	job_id uuid NOT NULL REFERENCES custbackup.jobs ON DELETE CASCADE,
	attempt integer NOT NULL CONSTRAINT attempts_attempt_in_range CHECK (attempt > 0),
	runner text NOT NULL,
	claimed_at timestamptz NOT NULL,
	renewals bigint NOT NULL DEFAULT 0,
	renewed_at timestamptz,
	-- what the mover has said so far
	begun_at timestamptz,
	heard_at timestamptz,
	tool text,
	server text,
	key text,
	upload_id text,
	phase text,
	bytes_read bigint NOT NULL DEFAULT 0,
	bytes_stored bigint NOT NULL DEFAULT 0,
	alive text,
	-- how it ended
	finished_at timestamptz,
	outcome text CONSTRAINT attempts_outcome_is_known CHECK (outcome IN ('ok', 'failed', 'cancelled', 'lost')),
	reason custbackup.reason,
	detail text,
	-- what it left in the store
	locked_until timestamptz,
	swept_at timestamptz,
	UNIQUE (job_id, attempt),
	CONSTRAINT attempts_outcome_when_finished CHECK ((finished_at IS NULL) = (outcome IS NULL)),
	CONSTRAINT attempts_reason_when_not_ok CHECK ((reason IS NOT NULL) = (outcome IS NOT NULL AND outcome <> 'ok'))
);
CREATE INDEX attempts_left ON custbackup.attempts (job_id) WHERE outcome <> 'ok' AND key IS NOT NULL AND swept_at IS NULL;
COMMENT ON INDEX custbackup.attempts_left IS 'What may have left something in a store';
COMMENT ON TABLE custbackup.attempts IS
	'One row a claim: its lease, what its mover said, how it ended. A retry forgets neither what was uploaded nor why';
COMMENT ON COLUMN custbackup.attempts.renewals IS
	'The lease: a counter that its runner moves on. An observer judges by its own clock how long it stands still';
COMMENT ON COLUMN custbackup.attempts.begun_at IS 'When the mover said `started`';
COMMENT ON COLUMN custbackup.attempts.heard_at IS 'When the mover''s last event came';
COMMENT ON COLUMN custbackup.attempts.key IS 'The object, from the moment that anything may be stored under it';
COMMENT ON COLUMN custbackup.attempts.alive IS 'What goes on although no bytes flow';
COMMENT ON COLUMN custbackup.attempts.outcome IS 'ok, failed, cancelled, or lost with its mover or runner';
COMMENT ON COLUMN custbackup.attempts.locked_until IS
	'Of one that was not ok: until then object lock keeps what it left; NULL: no lock is known of';
COMMENT ON COLUMN custbackup.attempts.swept_at IS
	'Of one that was not ok: when a mover saw that nothing of it is left in the store';

-- A key is bound for ever, also where its request joined a job that waited already.
CREATE TABLE custbackup.idempotency_keys (
	key text PRIMARY KEY,
	job_id uuid NOT NULL,
	resource_id uuid NOT NULL,
	requested_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE custbackup.idempotency_keys IS 'Which job a request_backup() with this key led to';

CREATE TABLE custbackup.events (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	at timestamptz NOT NULL DEFAULT clock_timestamp(),
	event text NOT NULL CONSTRAINT events_event_is_known CHECK (event IN ('requested', 'scheduled', 'started', 'requeued',
		'cancel_requested', 'ok', 'failed', 'cancelled', 'skipped')),
	job_id uuid NOT NULL,
	kind text NOT NULL,
	resource_id uuid NOT NULL,
	attempt integer NOT NULL,
	actor text NOT NULL DEFAULT session_user,
	requested_by text,
	reason custbackup.reason,
	detail text
);
CREATE INDEX events_of_job ON custbackup.events (job_id);
COMMENT ON TABLE custbackup.events IS
	'The audit trail: one row a transition of a job, also sent by NOTIFY custbackup (but for the request itself)';
COMMENT ON COLUMN custbackup.events.at IS 'By the wall clock, when it was written';
COMMENT ON COLUMN custbackup.events.actor IS 'The role that was connected';
COMMENT ON COLUMN custbackup.events.requested_by IS 'Whom the caller named';
COMMENT ON COLUMN custbackup.events.detail IS 'For the operator';
COMMENT ON INDEX custbackup.events_of_job IS 'A job''s story';

CREATE TABLE custbackup.counters (
	kind text NOT NULL CONSTRAINT counters_kind_is_known CHECK (kind IN ('backup', 'restore', 'expire', 'sweep')),
	resource_type text NOT NULL,
	result text NOT NULL CONSTRAINT counters_result_is_known CHECK (result IN ('ok', 'failed', 'cancelled', 'skipped')),
	value bigint NOT NULL DEFAULT 0 CONSTRAINT counters_value_in_range CHECK (value >= 0),
	PRIMARY KEY (kind, resource_type, result)
);
COMMENT ON TABLE custbackup.counters IS
	'Jobs ended since the extension was created. Every series exists from the start with 0, so that its first increase is seen';

-- For every type that has an engine; the load of a dump finds these rows and replaces them.
CREATE FUNCTION custbackup.prime_counters() RETURNS trigger
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	INSERT INTO custbackup.counters (kind, resource_type, result)
	SELECT k.kind, NEW.resource_type, r.result
	  FROM unnest(ARRAY['backup', 'restore', 'expire', 'sweep']) AS k (kind)
	 CROSS JOIN unnest(ARRAY['ok', 'failed', 'cancelled', 'skipped']) AS r (result)
	    ON CONFLICT DO NOTHING;
	RETURN NULL;
END;
$$;
COMMENT ON FUNCTION custbackup.prime_counters() IS 'Trigger: a type that gets an engine gets its counters';

INSERT INTO custbackup.counters (kind, resource_type, result)
SELECT k.kind, e.resource_type, r.result
  FROM custbackup.engines e
 CROSS JOIN unnest(ARRAY['backup', 'restore', 'expire', 'sweep']) AS k (kind)
 CROSS JOIN unnest(ARRAY['ok', 'failed', 'cancelled', 'skipped']) AS r (result);

CREATE TRIGGER engines_prime_counters AFTER INSERT OR UPDATE OF resource_type ON custbackup.engines
	FOR EACH ROW EXECUTE FUNCTION custbackup.prime_counters();
CREATE TRIGGER counters_replace_primed BEFORE INSERT ON custbackup.counters
	FOR EACH ROW WHEN (NEW.value > 0)
	EXECUTE FUNCTION custbackup.replace_shipped('value = 0', 'kind', 'resource_type', 'result');
COMMENT ON TRIGGER engines_prime_counters ON custbackup.engines IS 'Counters are there before they are needed';
COMMENT ON TRIGGER counters_replace_primed ON custbackup.counters IS 'Lets a dumped row load over the primed one';

CREATE TABLE custbackup.scheduler (
	only_row boolean PRIMARY KEY DEFAULT true CONSTRAINT scheduler_has_one_row CHECK (only_row),
	last_pass timestamptz NOT NULL,
	next_slot timestamptz
);
COMMENT ON TABLE custbackup.scheduler IS 'What the last pass of schedule() found; one row, none before the first pass';
COMMENT ON COLUMN custbackup.scheduler.next_slot IS 'The earliest slot beyond what that pass enqueued; NULL: none';

SELECT pg_catalog.pg_extension_config_dump('custbackup.objects', '');
SELECT pg_catalog.pg_extension_config_dump('custbackup.jobs', '');
SELECT pg_catalog.pg_extension_config_dump('custbackup.attempts', '');
SELECT pg_catalog.pg_extension_config_dump('custbackup.idempotency_keys', '');
SELECT pg_catalog.pg_extension_config_dump('custbackup.events', '');
SELECT pg_catalog.pg_extension_config_dump('custbackup.events_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('custbackup.counters', 'WHERE value > 0');
SELECT pg_catalog.pg_extension_config_dump('custbackup.scheduler', '');
COMMENT ON SEQUENCE custbackup.events_id_seq IS 'Of events.id';
