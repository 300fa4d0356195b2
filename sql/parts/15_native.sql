-- What only C can do: src/extension/resource_source.c, wake.c and lock.c.

CREATE FUNCTION custbackup.source_resources(
	resource_id uuid DEFAULT NULL,
	OUT id uuid, OUT token text, OUT team_id uuid, OUT tier text, OUT resource_type text,
	OUT connection_url text, OUT status text)
	RETURNS SETOF record
	LANGUAGE c STABLE ROWS 1000
	AS 'MODULE_PATHNAME', 'custbackup_source_resources';
COMMENT ON FUNCTION custbackup.source_resources(uuid) IS
	'The platform''s resources, or one of them, read from custbackup.resource_source with the rights of that relation''s owner';

CREATE FUNCTION custbackup.wake() RETURNS void
	LANGUAGE c VOLATILE
	AS 'MODULE_PATHNAME', 'custbackup_wake';
COMMENT ON FUNCTION custbackup.wake() IS
	'Wakes the background worker when the calling transaction commits';

CREATE FUNCTION custbackup.try_lock(matter regclass, key integer) RETURNS boolean
	LANGUAGE c VOLATILE STRICT
	AS 'MODULE_PATHNAME', 'custbackup_try_lock';
COMMENT ON FUNCTION custbackup.try_lock(regclass, integer) IS
	'An advisory lock until the end of the transaction, of a kind that pg_advisory_lock() cannot take; false: another session has it';

CREATE FUNCTION custbackup.share_lock(matter regclass, key integer) RETURNS void
	LANGUAGE c VOLATILE STRICT
	AS 'MODULE_PATHNAME', 'custbackup_share_lock';
COMMENT ON FUNCTION custbackup.share_lock(regclass, integer) IS
	'One of that kind that any number of sessions have at once: others see in pg_locks that something goes on';
