-- One object of every class that pg_dump knows (15 to 18), for a superuser in an empty UTF8 database.
-- Names hold what names may hold: quotes, blanks, semicolons, line breaks, letters beyond ASCII.
CREATE ROLE every_reader;
CREATE SCHEMA "It's ""one""; with 	tab";
CREATE SCHEMA things AUTHORIZATION every_reader;
SET search_path = things, public;
COMMENT ON SCHEMA things IS E'several\nlines';

CREATE EXTENSION hstore SCHEMA public;
CREATE EXTENSION file_fdw SCHEMA public;
CREATE PROCEDURAL LANGUAGE every_language HANDLER plpgsql_call_handler;
CREATE ACCESS METHOD every_method TYPE INDEX HANDLER bthandler;

CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE TYPE pair AS (a integer, b text);
CREATE TYPE span AS RANGE (subtype = float8);
CREATE TYPE opaque_type;
CREATE FUNCTION opaque_in(cstring) RETURNS opaque_type LANGUAGE internal STRICT IMMUTABLE AS 'int4in';
CREATE FUNCTION opaque_out(opaque_type) RETURNS cstring LANGUAGE internal STRICT IMMUTABLE AS 'int4out';
CREATE TYPE opaque_type (INPUT = opaque_in, OUTPUT = opaque_out, LIKE = integer);
CREATE TYPE only_a_shell;
CREATE DOMAIN positive AS integer CONSTRAINT above_zero CHECK (VALUE > 0);
CREATE COLLATION backwards (provider = libc, locale = 'C');
CREATE CONVERSION every_conversion FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;

CREATE FUNCTION twice(integer) RETURNS integer LANGUAGE sql IMMUTABLE RETURN $1 * 2;
CREATE PROCEDURE nothing() LANGUAGE plpgsql AS $$ BEGIN NULL; END $$;
CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE FUNCTION fire_event() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN NULL; END $$;
CREATE FUNCTION mood_number(mood) RETURNS integer LANGUAGE sql IMMUTABLE RETURN CASE $1 WHEN 'sad' THEN 0 ELSE 1 END;
CREATE AGGREGATE total(integer) (SFUNC = int4pl, STYPE = integer, INITCOND = '0');
CREATE OPERATOR @+@ (FUNCTION = int4pl, LEFTARG = integer, RIGHTARG = integer);
CREATE OPERATOR FAMILY every_family USING btree;
CREATE OPERATOR CLASS every_class FOR TYPE integer USING btree FAMILY every_family AS
    OPERATOR 1 < , OPERATOR 2 <= , OPERATOR 3 = , OPERATOR 4 >= , OPERATOR 5 > , FUNCTION 1 btint4cmp(integer, integer);
CREATE CAST (mood AS integer) WITH FUNCTION mood_number(mood);
CREATE TRANSFORM FOR integer LANGUAGE plpgsql (FROM SQL WITH FUNCTION varchar_support(internal));

CREATE TEXT SEARCH PARSER every_parser (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end, LEXTYPES = prsd_lextype);
CREATE TEXT SEARCH TEMPLATE every_template (LEXIZE = dsimple_lexize, INIT = dsimple_init);
CREATE TEXT SEARCH DICTIONARY every_dictionary (TEMPLATE = every_template);
CREATE TEXT SEARCH CONFIGURATION every_configuration (PARSER = every_parser);
ALTER TEXT SEARCH CONFIGURATION every_configuration ADD MAPPING FOR word WITH every_dictionary;

CREATE SEQUENCE alone;
CREATE TABLE account (
    id serial PRIMARY KEY,
    counted bigint GENERATED ALWAYS AS IDENTITY,
    name text NOT NULL UNIQUE,
    feeling mood DEFAULT 'glad',
    doubled integer GENERATED ALWAYS AS (twice(length(name))) STORED,
    attributes public.hstore,
    CONSTRAINT has_name CHECK (name <> '')
);
CREATE TABLE entry (id integer PRIMARY KEY, account integer REFERENCES account DEFERRABLE, amount numeric);
ALTER TABLE entry ADD CONSTRAINT not_checked_yet CHECK (amount < 1e9) NOT VALID;
CREATE TABLE "line
break; -- ""quoted"" ünïcode" ("a column
too" text);
CREATE TABLE measured (at timestamptz NOT NULL, value float8) PARTITION BY RANGE (at);
CREATE TABLE measured_2026 PARTITION OF measured FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE measured_rest PARTITION OF measured DEFAULT;
CREATE INDEX measured_at ON measured (at);
CREATE TABLE parent (p integer);
CREATE TABLE child (c integer) INHERITS (parent);
CREATE UNLOGGED TABLE fleeting (x integer);
CREATE TABLE no_columns ();
CREATE INDEX account_feeling ON account (feeling) WHERE feeling = 'sad';
CREATE STATISTICS account_statistics ON name, feeling FROM account;
CREATE VIEW sad AS SELECT * FROM account WHERE feeling = 'sad';
ALTER VIEW sad ALTER COLUMN name SET DEFAULT 'nobody';
CREATE MATERIALIZED VIEW summed AS SELECT account, sum(amount) AS amount FROM entry GROUP BY account;
CREATE INDEX summed_account ON summed (account);
CREATE RULE no_delete AS ON DELETE TO sad DO INSTEAD NOTHING;
CREATE TRIGGER on_account BEFORE INSERT ON account FOR EACH ROW EXECUTE FUNCTION fire();
CREATE EVENT TRIGGER every_event ON ddl_command_end EXECUTE FUNCTION fire_event();
ALTER EVENT TRIGGER every_event DISABLE;
ALTER TABLE account ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON account FOR SELECT TO every_reader USING (name = current_user);

CREATE FOREIGN DATA WRAPPER every_wrapper;
CREATE SERVER every_server FOREIGN DATA WRAPPER every_wrapper;
CREATE USER MAPPING FOR every_reader SERVER every_server OPTIONS (password 'hidden');
CREATE FOREIGN TABLE far_away (x integer) SERVER every_server;
CREATE PUBLICATION chosen FOR TABLE account, entry;
CREATE PUBLICATION whole_schema FOR TABLES IN SCHEMA things;
CREATE SUBSCRIPTION every_subscription CONNECTION 'dbname=nowhere' PUBLICATION chosen WITH (connect = false);

GRANT SELECT ON account TO every_reader;
GRANT SELECT (amount) ON entry TO every_reader;
ALTER DEFAULT PRIVILEGES IN SCHEMA things GRANT SELECT ON TABLES TO every_reader;
ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO every_reader;
COMMENT ON COLUMN account.name IS 'a comment';
COMMENT ON EXTENSION hstore IS 'a comment of our own';
ALTER DATABASE :"DBNAME" SET work_mem = '5MB';

INSERT INTO account (name, attributes) SELECT 'name' || i, public.hstore('n', i::text) FROM generate_series(1, 1000) i;
INSERT INTO account (name) VALUES (E'line\nbreak'), (E'COMMIT;\n\\.\n'), (E'back\\slash\ttab');
INSERT INTO entry SELECT i, i, i * 1.5 FROM generate_series(1, 500) i;
INSERT INTO measured SELECT timestamptz '2026-01-01' + i * interval '1 day', i FROM generate_series(1, 400) i;
INSERT INTO child VALUES (1, 2);
INSERT INTO fleeting VALUES (1);
INSERT INTO no_columns DEFAULT VALUES;
REFRESH MATERIALIZED VIEW summed;
SELECT setval('alone', 42);
SELECT lo_from_bytea(0, 'large object');
SELECT lo_from_bytea(0, '');
SELECT lo_from_bytea(4000000000::oid, decode(repeat('0a', 100000), 'hex'));
COMMENT ON LARGE OBJECT 4000000000 IS 'an oid above 2^31';
GRANT SELECT ON LARGE OBJECT 4000000000 TO every_reader;
ANALYZE;
