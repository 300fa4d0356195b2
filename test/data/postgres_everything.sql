-- One of every class of object that an ordinary owner can have, as :"prefix" names it.
-- Run by psql as the owner, with -v prefix=..., in a database where an administrator
-- has installed hstore, citext, pg_trgm, btree_gist and postgres_fdw (with USAGE on the wrapper).
\set ON_ERROR_STOP on
SET client_min_messages = warning;
\set schema :prefix _house
CREATE SCHEMA :"schema";
COMMENT ON SCHEMA :"schema" IS 'a schema';
SET search_path = :"schema", public;

-- types
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN positive AS integer CHECK (VALUE > 0) DEFAULT 1;
CREATE TYPE pair AS (a integer, b text COLLATE "C");
CREATE TYPE span AS RANGE (subtype = numeric);
CREATE COLLATION german (provider = icu, locale = 'de');
CREATE CONVERSION latin FOR 'UTF8' TO 'LATIN1' FROM utf8_to_iso8859_1;

-- routines, operators, aggregates, casts
CREATE FUNCTION add_one(i integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT i + 1';
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.touched := true; RETURN NEW; END$$;
CREATE PROCEDURE note(t text) LANGUAGE plpgsql AS $$BEGIN RAISE DEBUG '%', t; END$$;
CREATE FUNCTION near(a integer, b integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT abs(a - b) < 3';
CREATE OPERATOR ~~~ (LEFTARG = integer, RIGHTARG = integer, FUNCTION = near, COMMUTATOR = ~~~);
CREATE AGGREGATE total(integer) (SFUNC = int4pl, STYPE = integer, INITCOND = '0');
CREATE FUNCTION pair_text(pair) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT ($1).a || ($1).b';
CREATE CAST (pair AS text) WITH FUNCTION pair_text(pair);

-- text search, statistics
CREATE TEXT SEARCH DICTIONARY plain (TEMPLATE = simple, STOPWORDS = english);
CREATE TEXT SEARCH CONFIGURATION words (COPY = simple);
ALTER TEXT SEARCH CONFIGURATION words ALTER MAPPING FOR word WITH plain;

-- tables
CREATE TABLE customer (
    id integer GENERATED ALWAYS AS IDENTITY (START 100) PRIMARY KEY,
    name text NOT NULL COLLATE german,
    twice integer GENERATED ALWAYS AS (size * 2) STORED,
    size positive,
    feeling mood DEFAULT 'ok',
    attributes hstore,
    email citext UNIQUE,
    tags text[],
    document jsonb,
    during tstzrange,
    parts pair,
    ratio double precision,
    blob bytea,
    touched boolean DEFAULT false,
    EXCLUDE USING gist (name WITH =, during WITH &&)
);
COMMENT ON COLUMN customer.name IS 'their name';
CREATE INDEX customer_trigram ON customer USING gin (name gin_trgm_ops);
CREATE INDEX customer_happy ON customer (lower(name)) WHERE feeling = 'happy';
CREATE STATISTICS customer_both (dependencies, ndistinct) ON size, feeling FROM customer;
ALTER TABLE customer ALTER COLUMN name SET STATISTICS 500;
CREATE TABLE bill (id serial PRIMARY KEY, customer_id integer NOT NULL REFERENCES customer ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    amount numeric(10, 2) CHECK (amount >= 0));
CREATE TABLE cycle_a (id integer PRIMARY KEY, b integer);
CREATE TABLE cycle_b (id integer PRIMARY KEY, a integer REFERENCES cycle_a);
ALTER TABLE cycle_a ADD FOREIGN KEY (b) REFERENCES cycle_b;
CREATE TABLE measure (at timestamptz NOT NULL, value integer, PRIMARY KEY (at)) PARTITION BY RANGE (at);
CREATE TABLE measure_old PARTITION OF measure FOR VALUES FROM ('2020-01-01') TO ('2025-01-01');
CREATE TABLE measure_new PARTITION OF measure FOR VALUES FROM ('2025-01-01') TO ('2030-01-01');
CREATE INDEX ON measure (value);
CREATE TABLE parent (id integer, what text);
CREATE TABLE child (extra text) INHERITS (parent);
CREATE UNLOGGED TABLE scratch (x integer);
CREATE SEQUENCE lonely INCREMENT 7 START 3;

-- views, rules, triggers, policies
CREATE VIEW happy AS SELECT id, name FROM customer WHERE feeling = 'happy' WITH CHECK OPTION;
CREATE MATERIALIZED VIEW totals AS SELECT customer_id, sum(amount) AS amount FROM bill GROUP BY 1;
CREATE UNIQUE INDEX ON totals (customer_id);
CREATE VIEW loop_a AS SELECT 1 AS x;
CREATE VIEW loop_b AS SELECT x FROM loop_a;
CREATE RULE notice_old AS ON DELETE TO parent DO INSTEAD NOTHING;
CREATE TRIGGER touching BEFORE UPDATE ON customer FOR EACH ROW EXECUTE FUNCTION touch();
ALTER TABLE bill ENABLE ROW LEVEL SECURITY;
CREATE POLICY bills_of_all ON bill FOR SELECT USING (amount < 1000000);
CREATE FUNCTION names(customer) RETURNS SETOF text LANGUAGE sql STABLE BEGIN ATOMIC SELECT name FROM customer; END;

-- foreign data, publication
CREATE SERVER :"prefix" FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '192.0.2.1');
CREATE USER MAPPING FOR CURRENT_USER SERVER :"prefix" OPTIONS (user 'u', password 'not-ours');
CREATE FOREIGN TABLE elsewhere (x integer) SERVER :"prefix";
CREATE PUBLICATION :"prefix" FOR TABLE customer, bill WHERE (amount > 3);

-- defaults and grants
ALTER DEFAULT PRIVILEGES IN SCHEMA :"schema" GRANT SELECT ON TABLES TO reader;
ALTER DEFAULT PRIVILEGES GRANT USAGE ON SEQUENCES TO reader;
GRANT USAGE ON SCHEMA :"schema" TO reader;
GRANT SELECT, UPDATE ON customer TO reader WITH GRANT OPTION;
GRANT SELECT (id) ON bill TO reader;
REVOKE EXECUTE ON FUNCTION add_one(integer) FROM PUBLIC;

-- rows
INSERT INTO customer (name, size, feeling, attributes, email, tags, document, during, parts, ratio, blob)
    SELECT 'customer ' || i || CASE i % 5 WHEN 0 THEN E'\nCOMMIT;\n\\.\n\\restrict x\n\\! touch /tmp/custbackup-hostile' ELSE '' END, i,
        (enum_range(NULL::mood))[1 + i % 3], hstore('k', i::text), i || '@Example.COM', ARRAY['a', NULL, i::text],
        jsonb_build_object('i', i, 'text', E'tab\t\\N ''"'), tstzrange('2020-01-01'::timestamptz + i * interval '1 day', NULL),
        ROW(i, E'\\N')::pair, 1.0 / i, decode(lpad(to_hex(i), 8, '0'), 'hex')
    FROM generate_series(1, 200) i;
INSERT INTO bill (customer_id, amount) SELECT 100 + i % 200, i FROM generate_series(0, 999) i;
INSERT INTO measure SELECT '2024-06-01'::timestamptz + i * interval '1 day', i FROM generate_series(1, 400) i;
INSERT INTO parent VALUES (1, 'COMMIT;'), (2, E'\\.'), (3, E'\\unrestrict'), (4, NULL), (5, '');
INSERT INTO child VALUES (1, 'child', 'x');
INSERT INTO scratch VALUES (1);
SELECT nextval('lonely'), nextval('lonely');
REFRESH MATERIALIZED VIEW totals;

-- names that bite
CREATE TABLE "a ""quoted"" 'name' $x$ \; --" ("a
column" integer, "ключ" text, "; COMMIT; --" text DEFAULT E'\\');
CREATE TABLE "line
\! touch /tmp/custbackup-hostile
COMMIT;" (x integer);
COMMENT ON TABLE "line
\! touch /tmp/custbackup-hostile
COMMIT;" IS E'a comment\n\\! touch /tmp/custbackup-hostile\n';
CREATE FUNCTION "f
\q"(text DEFAULT '
\q') RETURNS text LANGUAGE sql AS $body$SELECT '
\!
COMMIT;
'$body$;
GRANT SELECT ON "line
\! touch /tmp/custbackup-hostile
COMMIT;" TO reader;
INSERT INTO "a ""quoted"" 'name' $x$ \; --" VALUES (1, 'значение', 'x');

-- large objects
SELECT lo_from_bytea(0, decode(repeat('00ff5c2e', 5000), 'hex')) AS big \gset
SELECT lo_from_bytea(0, '') AS empty \gset
COMMENT ON LARGE OBJECT :big IS 'large';
GRANT SELECT ON LARGE OBJECT :big TO reader;
RESET search_path;
