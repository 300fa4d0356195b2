-- What the platform's operator decides: stores, tiers, engines; and the resources, where the platform has no table of its own.

-- May this be the name of a folder in a store? The rule of src/mover/object_key.h.
CREATE FUNCTION custbackup.token_is_safe(token text) RETURNS boolean
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
	SELECT token COLLATE "C" ~ '^[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}$';
END;
COMMENT ON FUNCTION custbackup.token_is_safe(text) IS
	'1 to 200 letters, digits and ._- not beginning with a dot: safe as a folder''s name in every store';

CREATE TABLE custbackup.resources (
	id uuid PRIMARY KEY,
	token text NOT NULL CONSTRAINT resources_token_is_safe CHECK (custbackup.token_is_safe(token)),
	team_id uuid,
	tier text NOT NULL,
	resource_type text NOT NULL,
	connection_url text NOT NULL,
	status text NOT NULL DEFAULT 'active',
	created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE custbackup.resources IS
	'What may be backed up; custbackup.resource_source may name a table or view of the platform''s instead';
COMMENT ON COLUMN custbackup.resources.token IS 'Names the folder of its backups in a store';
COMMENT ON COLUMN custbackup.resources.connection_url IS
	'Ciphertext, made by `custbackup encrypt-url`; no role but the owner may read it';
COMMENT ON COLUMN custbackup.resources.status IS 'Backed up while it is ''active''';

-- Before the constraints, whose errors would show the whole row to the client and to the log.
CREATE FUNCTION custbackup.check_resource() RETURNS trigger
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	-- What stands in URLs and in connection strings, and not in base64.
	IF NEW.connection_url ~ '[:@]|password *=.' THEN
		RAISE EXCEPTION 'custbackup: the connection_url of resource % is not encrypted', NEW.id
			USING ERRCODE = 'check_violation',
				HINT = 'Store what `custbackup encrypt-url` prints. The statement may stand in a log: change the password.';
	ELSIF NOT custbackup.token_is_safe(NEW.token) THEN
		RAISE EXCEPTION 'custbackup: the token of resource % cannot name a folder in a store', NEW.id
			USING ERRCODE = 'check_violation',
				HINT = 'A token has 1 to 200 letters, digits or characters of "._-", and does not begin with a dot.';
	END IF;
	RETURN NEW;
END;
$$;
COMMENT ON FUNCTION custbackup.check_resource() IS 'Trigger: no plaintext URL in the table, nor in an error about the row';

CREATE TRIGGER resources_check BEFORE INSERT OR UPDATE ON custbackup.resources
	FOR EACH ROW EXECUTE FUNCTION custbackup.check_resource();
COMMENT ON TRIGGER resources_check ON custbackup.resources IS 'Says what is wrong with a row, without showing it';

-- Secrets have no place in a store's URL; they come from the mover's credentials (docs/settings.md).
CREATE FUNCTION custbackup.store_url_is_valid(url text) RETURNS boolean
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
	SELECT length(url) <= 2000 AND url !~ '[[:cntrl:][:space:]]'
		AND CASE
			WHEN url ~ '^file://' THEN url ~ '^file:///[^?#]+$' AND url !~ '/\.\.?(/|$)'
			ELSE url COLLATE "C" ~ '^s3://[A-Za-z0-9][A-Za-z0-9._-]{1,254}(/[^?#]*)?([?][^#]*)?$'
				AND url !~ '/\.\.?(/|[?]|$)'
				AND url !~* '[?].*(@|%40)'
				AND url !~* '[?&][^=&]*(secret|password|credential|token|access[-_]?key|signature)[^=&]*='
		END;
END;
COMMENT ON FUNCTION custbackup.store_url_is_valid(text) IS
	'file:///absolute/directory or s3://bucket/prefix?endpoint=..&region=.., with no credentials in it';

CREATE TABLE custbackup.stores (
	name text PRIMARY KEY CONSTRAINT stores_name_is_safe CHECK (custbackup.token_is_safe(name)),
	url text NOT NULL CONSTRAINT stores_url_is_valid CHECK (custbackup.store_url_is_valid(url)),
	is_default boolean NOT NULL DEFAULT false,
	created_at timestamptz NOT NULL DEFAULT now()
);
-- As with resources: the error of the constraint would repeat what should not have been in the URL.
CREATE FUNCTION custbackup.check_store() RETURNS trigger
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT custbackup.store_url_is_valid(NEW.url) THEN
		RAISE EXCEPTION 'custbackup: the URL of store "%" is not one that a store can have', NEW.name
			USING ERRCODE = 'check_violation',
				HINT = 'file:///absolute/directory or s3://bucket/prefix?endpoint=..&region=..; credentials come from the mover''s settings.';
	ELSIF NOT custbackup.token_is_safe(NEW.name) THEN
		RAISE EXCEPTION 'custbackup: "%" is no name that a store can have', NEW.name
			USING ERRCODE = 'check_violation',
				HINT = 'It has 1 to 200 letters, digits or characters of "._-", and does not begin with a dot: it is a profile in the credentials file.';
	END IF;
	RETURN NEW;
END;
$$;
COMMENT ON FUNCTION custbackup.check_store() IS 'Trigger: no credentials in the table, nor in an error about the row';

CREATE TRIGGER stores_check BEFORE INSERT OR UPDATE ON custbackup.stores
	FOR EACH ROW EXECUTE FUNCTION custbackup.check_store();
COMMENT ON TRIGGER stores_check ON custbackup.stores IS 'Says what is wrong with a URL, without showing it';
CREATE UNIQUE INDEX stores_one_default ON custbackup.stores (is_default) WHERE is_default;
COMMENT ON TABLE custbackup.stores IS
	'Where backups lie. New ones go to the default; each remembers its own, so an old store stays restorable';
COMMENT ON COLUMN custbackup.stores.name IS 'Also the profile in the mover''s credentials file';
COMMENT ON COLUMN custbackup.stores.url IS 'file:///absolute/directory or s3://bucket/prefix?endpoint=..&region=..; no secrets';
COMMENT ON INDEX custbackup.stores_one_default IS 'At most one default';

-- A foreign key waits for whoever renames or removes the store and has not committed. So the queue takes the lock of the key first,
-- where it is free, and leaves to its next pass what would have to wait.
CREATE FUNCTION custbackup.hold_store(name text) RETURNS boolean
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM FROM custbackup.stores s
	  WHERE s.name = hold_store.name OR (hold_store.name IS NULL AND s.is_default)
		FOR KEY SHARE SKIP LOCKED;
	RETURN FOUND OR NOT EXISTS (SELECT FROM custbackup.stores s
								 WHERE s.name = hold_store.name OR (hold_store.name IS NULL AND s.is_default));
END;
$$;
COMMENT ON FUNCTION custbackup.hold_store(text) IS
	'Keeps a store (NULL: the default) from being renamed or removed until the end of the transaction; false where somebody is at it; true where there is none';

CREATE TABLE custbackup.tiers (
	tier text PRIMARY KEY
		CONSTRAINT tiers_name_is_base CHECK (length(tier) BETWEEN 1 AND 200 AND tier !~ '_yearly$'),
	cadence interval
		CONSTRAINT tiers_cadence_has_no_months CHECK (extract(year FROM cadence) = 0 AND extract(month FROM cadence) = 0)
		CONSTRAINT tiers_cadence_in_range CHECK (cadence BETWEEN interval '1 minute' AND interval '366 days'),
	at_daily_hour boolean NOT NULL DEFAULT false
		CONSTRAINT tiers_daily_hour_needs_days CHECK (NOT at_daily_hour OR extract(epoch FROM cadence) % 86400 = 0),
	retention_days integer NOT NULL DEFAULT 0 CONSTRAINT tiers_retention_days_in_range CHECK (retention_days >= 0),
	keep_last integer NOT NULL DEFAULT 0 CONSTRAINT tiers_keep_last_in_range CHECK (keep_last >= 0),
	shipped boolean NOT NULL DEFAULT false,
	edited boolean NOT NULL DEFAULT true
);
COMMENT ON TABLE custbackup.tiers IS
	'What a tier promises. A tier ''x_yearly'' is its base tier ''x''; a tier that is not listed is never backed up, and status says so';
COMMENT ON COLUMN custbackup.tiers.cadence IS 'Length of a period: one backup in each; NULL: never';
COMMENT ON COLUMN custbackup.tiers.at_daily_hour IS
	'Periods begin in the hour of daily_hour(team_id, resource_id), UTC';
COMMENT ON COLUMN custbackup.tiers.retention_days IS 'How long a backup is to be kept: object lock goes by it; nothing is removed for its age alone';
COMMENT ON COLUMN custbackup.tiers.keep_last IS 'How many of the newest good backups are to be kept however old they are: for whoever calls expire()';
COMMENT ON COLUMN custbackup.tiers.shipped IS 'Came with the extension: may be edited, not deleted';
COMMENT ON COLUMN custbackup.tiers.edited IS 'Not as shipped: pg_dump takes it along';

CREATE TABLE custbackup.engines (
	resource_type text PRIMARY KEY CONSTRAINT engines_type_in_range CHECK (length(resource_type) BETWEEN 1 AND 200),
	engine text NOT NULL CONSTRAINT engines_engine_in_range CHECK (length(engine) BETWEEN 1 AND 200),
	enabled boolean NOT NULL DEFAULT true,
	shipped boolean NOT NULL DEFAULT false,
	edited boolean NOT NULL DEFAULT true
);
COMMENT ON TABLE custbackup.engines IS
	'The one list of what is backed up: the schedule joins it, the mover dispatches on it';
COMMENT ON COLUMN custbackup.engines.engine IS 'Name that the mover knows the engine by';
COMMENT ON COLUMN custbackup.engines.enabled IS 'false: resources of this type are neither backed up nor restored';
COMMENT ON COLUMN custbackup.engines.shipped IS 'Came with the extension: may be edited, not deleted';
COMMENT ON COLUMN custbackup.engines.edited IS 'Not as shipped: pg_dump takes it along';

INSERT INTO custbackup.tiers (tier, cadence, at_daily_hour, retention_days, keep_last, shipped, edited) VALUES
	('anonymous', NULL, false, 0, 0, true, false),
	('free', NULL, false, 0, 0, true, false),
	('hobby', '1 day', true, 7, 3, true, false),
	('hobby_plus', '1 day', true, 14, 3, true, false),
	('pro', '1 hour', false, 30, 24, true, false),
	('growth', '1 hour', false, 30, 24, true, false),
	('team', '1 hour', false, 30, 24, true, false);

INSERT INTO custbackup.engines (resource_type, engine, shipped, edited) VALUES
	('postgres', 'postgres', true, false),
	('vector', 'postgres', true, false),
	('mongodb', 'mongodb', true, false),
	('redis', 'redis', true, false);

-- pg_dump takes rows along only where they differ from what CREATE EXTENSION makes. Loading such a row finds the shipped
-- one in its place and replaces it; the first argument says which rows may be replaced, the others are the key. A row that
-- an operator adds is none of these: where its name is taken it is a duplicate, and ON CONFLICT does what it says.
CREATE FUNCTION custbackup.replace_shipped() RETURNS trigger
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	same_key text := (SELECT string_agg(format('t.%1$I = ($1).%1$I', key), ' AND ') FROM unnest(TG_ARGV[1:]) AS key);
BEGIN
	EXECUTE format('DELETE FROM %I.%I AS t WHERE t.%s AND %s', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_ARGV[0], same_key)
		USING NEW;
	RETURN NEW;
END;
$$;
COMMENT ON FUNCTION custbackup.replace_shipped() IS
	'Trigger: a row that is loaded takes the place of the shipped one with its key';

CREATE FUNCTION custbackup.mark_edited() RETURNS trigger
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF OLD.shipped AND to_jsonb(NEW) -> TG_ARGV[0] <> to_jsonb(OLD) -> TG_ARGV[0] THEN
		RAISE EXCEPTION 'custbackup: the shipped row "%" cannot be renamed', to_jsonb(OLD) ->> TG_ARGV[0]
			USING ERRCODE = 'restrict_violation', HINT = 'Add a row of the new name instead.';
	END IF;
	NEW.shipped := OLD.shipped;
	NEW.edited := true;
	RETURN NEW;
END;
$$;
COMMENT ON FUNCTION custbackup.mark_edited() IS
	'Trigger: a shipped row that is changed is dumped from then on, and keeps its name';

-- A shipped row that was deleted would be back after a dump and restore, and with it backups that nobody wants.
CREATE FUNCTION custbackup.keep_shipped() RETURNS trigger
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RAISE EXCEPTION 'custbackup: rows of custbackup.% that came with the extension cannot be deleted', TG_TABLE_NAME
		USING ERRCODE = 'restrict_violation', HINT = TG_ARGV[0];
END;
$$;
COMMENT ON FUNCTION custbackup.keep_shipped() IS 'Trigger: shipped rows are edited, never deleted';

CREATE TRIGGER tiers_replace_shipped BEFORE INSERT ON custbackup.tiers
	FOR EACH ROW WHEN (NEW.shipped) EXECUTE FUNCTION custbackup.replace_shipped('edited IS FALSE', 'tier');
CREATE TRIGGER tiers_mark_edited BEFORE UPDATE ON custbackup.tiers
	FOR EACH ROW EXECUTE FUNCTION custbackup.mark_edited('tier');
CREATE TRIGGER tiers_keep_shipped BEFORE DELETE ON custbackup.tiers
	FOR EACH ROW WHEN (OLD.shipped AND pg_trigger_depth() = 0)
	EXECUTE FUNCTION custbackup.keep_shipped('Set its cadence to NULL instead: such a tier is never backed up.');
CREATE TRIGGER tiers_keep_all BEFORE TRUNCATE ON custbackup.tiers
	FOR EACH STATEMENT EXECUTE FUNCTION custbackup.keep_shipped('Set their cadence to NULL instead.');
CREATE TRIGGER engines_replace_shipped BEFORE INSERT ON custbackup.engines
	FOR EACH ROW WHEN (NEW.shipped) EXECUTE FUNCTION custbackup.replace_shipped('edited IS FALSE', 'resource_type');
CREATE TRIGGER engines_mark_edited BEFORE UPDATE ON custbackup.engines
	FOR EACH ROW EXECUTE FUNCTION custbackup.mark_edited('resource_type');
CREATE TRIGGER engines_keep_shipped BEFORE DELETE ON custbackup.engines
	FOR EACH ROW WHEN (OLD.shipped AND pg_trigger_depth() = 0)
	EXECUTE FUNCTION custbackup.keep_shipped('Set enabled to false instead.');
CREATE TRIGGER engines_keep_all BEFORE TRUNCATE ON custbackup.engines
	FOR EACH STATEMENT EXECUTE FUNCTION custbackup.keep_shipped('Set enabled to false instead.');

COMMENT ON TRIGGER tiers_replace_shipped ON custbackup.tiers IS 'Lets a dumped row load over the shipped one';
COMMENT ON TRIGGER tiers_mark_edited ON custbackup.tiers IS 'Edited rows are dumped';
COMMENT ON TRIGGER tiers_keep_shipped ON custbackup.tiers IS 'Shipped rows stay';
COMMENT ON TRIGGER tiers_keep_all ON custbackup.tiers IS 'Shipped rows stay';
COMMENT ON TRIGGER engines_replace_shipped ON custbackup.engines IS 'Lets a dumped row load over the shipped one';
COMMENT ON TRIGGER engines_mark_edited ON custbackup.engines IS 'Edited rows are dumped';
COMMENT ON TRIGGER engines_keep_shipped ON custbackup.engines IS 'Shipped rows stay';
COMMENT ON TRIGGER engines_keep_all ON custbackup.engines IS 'Shipped rows stay';

SELECT pg_catalog.pg_extension_config_dump('custbackup.resources', '');
SELECT pg_catalog.pg_extension_config_dump('custbackup.stores', '');
SELECT pg_catalog.pg_extension_config_dump('custbackup.tiers', 'WHERE edited');
SELECT pg_catalog.pg_extension_config_dump('custbackup.engines', 'WHERE edited');
