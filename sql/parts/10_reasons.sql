-- Why a job failed: the closed list of src/mover/failure.h, in its order, and what a customer may be told of each.

CREATE TYPE custbackup.reason AS ENUM (
	'auth',
	'unreachable',
	'config',
	'decrypt',
	'bad_url',
	'dump',
	'too_small',
	'upload',
	'store',
	'locked',
	'download',
	'integrity',
	'restore',
	'target_busy',
	'target_not_empty',
	'not_restorable',
	'safety_backup',
	'lost_commit',
	'stalled',
	'timeout',
	'cancelled',
	'mover_lost',
	'protocol',
	'not_eligible',
	'internal'
);
COMMENT ON TYPE custbackup.reason IS
	'Why a job failed: the closed list of src/mover/failure.h and docs/reasons.md';

CREATE FUNCTION custbackup.reason_text(reason custbackup.reason) RETURNS text
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
	SELECT CASE reason
		WHEN 'auth' THEN 'The database refused the stored credentials, or its role lacks a right that is needed.'
		WHEN 'unreachable' THEN 'The database could not be reached.'
		WHEN 'config' THEN 'The backup service is not set up for this yet; its operators have to act.'
		WHEN 'decrypt' THEN 'The stored connection data could not be decrypted; its operators have to act.'
		WHEN 'bad_url' THEN 'The stored connection URL cannot be used.'
		WHEN 'dump' THEN 'The database could not be read to its end.'
		WHEN 'too_small' THEN 'The dump was smaller than an empty database gives, so it was not kept.'
		WHEN 'upload' THEN 'The backup could not be transferred to the store.'
		WHEN 'store' THEN 'The store refused the operation; its operators have to act.'
		WHEN 'locked' THEN 'The backup is protected from deletion for a time, and was kept.'
		WHEN 'download' THEN 'The backup could not be fetched from the store. Nothing was changed.'
		WHEN 'integrity' THEN 'The fetched backup is not what was stored, so it was not used. Nothing was changed.'
		WHEN 'restore' THEN 'The database refused something that the backup holds.'
		WHEN 'target_busy' THEN 'The database was in use, by its application or by another restore. Try again when it is idle.'
		WHEN 'target_not_empty' THEN 'The target of a clone has to be empty. Nothing was changed.'
		WHEN 'not_restorable' THEN 'This backup cannot be restored into this target as it is. Nothing was changed.'
		WHEN 'safety_backup' THEN 'The safety backup before the restore was not successful, so nothing was restored.'
		WHEN 'lost_commit' THEN 'The connection broke at the last step; whether the restore took place is not known.'
		WHEN 'stalled' THEN 'The job made no progress and was stopped.'
		WHEN 'timeout' THEN 'The job took longer than is allowed and was stopped.'
		WHEN 'cancelled' THEN 'The job was cancelled.'
		WHEN 'mover_lost' THEN 'The job was interrupted.'
		WHEN 'protocol' THEN 'The job was stopped because of an error in the backup service; its operators have to act.'
		WHEN 'not_eligible' THEN 'Nothing was done: plan, status or team of the resource do not allow it.'
		WHEN 'internal' THEN 'The job was stopped because of an error in the backup service; its operators have to act.'
	END;
END;
COMMENT ON FUNCTION custbackup.reason_text(custbackup.reason) IS
	'The fixed sentence for customers: names no host, role or secret';
