-- Where this queue lives. A copy of the control database that comes up elsewhere knows the same stores, and would remove
-- from them what the original still counts on: it takes backups as before, but removes nothing until somebody adopts it.

CREATE FUNCTION custbackup.whereabouts(OUT host text, OUT data_directory text)
	LANGUAGE c STABLE
	AS 'MODULE_PATHNAME', 'custbackup_whereabouts';
COMMENT ON FUNCTION custbackup.whereabouts() IS 'The name of this server''s host, and its data directory';

CREATE TABLE custbackup.home (
	only_row boolean PRIMARY KEY DEFAULT true CONSTRAINT home_has_one_row CHECK (only_row),
	host text NOT NULL,
	data_directory text NOT NULL,
	adopted_at timestamptz NOT NULL DEFAULT now(),
	adopted_by text NOT NULL DEFAULT session_user
);
COMMENT ON TABLE custbackup.home IS
	'Where removals from the stores are allowed: there alone where schedule() ran first, or adopt() last. One row, none before the first pass';
COMMENT ON COLUMN custbackup.home.adopted_by IS 'The role that called adopt(), or that of the first pass';

CREATE FUNCTION custbackup.is_home() RETURNS boolean
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp -- which keeps its plans: claim() is waited for
AS $$
BEGIN
	RETURN NOT EXISTS (SELECT FROM custbackup.home)
		OR EXISTS (SELECT FROM custbackup.home h JOIN custbackup.whereabouts() w
					   ON (w.host, w.data_directory) = (h.host, h.data_directory));
END;
$$;
COMMENT ON FUNCTION custbackup.is_home() IS 'Is this server the one that may remove from the stores?';

CREATE FUNCTION custbackup.adopt() RETURNS void
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	INSERT INTO custbackup.home AS h (host, data_directory)
	SELECT w.host, w.data_directory FROM custbackup.whereabouts() w
	    ON CONFLICT (only_row) DO UPDATE
	   SET host = excluded.host, data_directory = excluded.data_directory, adopted_at = excluded.adopted_at,
	       adopted_by = excluded.adopted_by;
	PERFORM custbackup.wake();
END;
$$;
COMMENT ON FUNCTION custbackup.adopt() IS
	'After the control database has moved to this server for good: its removals from the stores go on. Not in a copy of one that lives on';

SELECT pg_catalog.pg_extension_config_dump('custbackup.home', '');
