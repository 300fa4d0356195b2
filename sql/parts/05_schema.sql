-- Whoever owns the schema may put functions of his own beside ours, where a call of ours could find them.
DO $$
BEGIN
	IF NOT (SELECT r.rolsuper FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_roles r ON r.oid = n.nspowner
			 WHERE n.nspname = 'custbackup')
	THEN
		RAISE EXCEPTION 'custbackup: the schema custbackup is there already, and its owner is no superuser'
			USING ERRCODE = 'object_not_in_prerequisite_state',
				HINT = 'DROP SCHEMA custbackup, and let CREATE EXTENSION make it.';
	END IF;
END $$;

COMMENT ON SCHEMA custbackup IS 'Backups and restores of the platform''s resources; nothing in it is for PUBLIC';
