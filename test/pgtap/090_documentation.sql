-- What the documentation shows of the SQL surface and the settings is what there is, and its statements run as printed.
BEGIN;
\ir include/fleet.psql
SELECT * FROM no_plan();

\set readme `cat "$SOURCE_DIR/README.md"`
\set reference `cat "$SOURCE_DIR/docs/sql.md"`
\set stores `cat "$SOURCE_DIR/docs/stores.md"`
\set settings `cat "$SOURCE_DIR/docs/settings.md"`

-- ---- docs/settings.md: every setting, with its default -------------------------------------------------
CREATE TEMP TABLE documented AS
SELECT m[1] AS name, m[2] AS said FROM regexp_matches(:'settings', '^\| `(custbackup\.[a-z_]+)` \| ([^|]+) \|', 'gn') m;
SELECT set_eq('SELECT name FROM documented', $$SELECT name FROM pg_settings WHERE name LIKE 'custbackup.%'$$, 'docs/settings.md has the settings that there are');
SELECT is(array_agg(format('%s: %s', d.name, d.said)), NULL, 'with their defaults')
  FROM documented d JOIN pg_settings s USING (name) CROSS JOIN LATERAL (SELECT substring(d.said FROM '[a-z0-9._]+') AS shown, btrim(substring(d.said FROM '^`?([^`:]+)'), '` ') AS value) v
 WHERE CASE WHEN s.boot_val = '' THEN v.shown <> 'empty'
		WHEN s.unit = 's' THEN extract(epoch FROM v.value::interval) <> s.boot_val::numeric
		WHEN s.unit = 'kB' THEN pg_size_bytes(v.value) <> s.boot_val::bigint * 1024
		ELSE v.value <> s.boot_val END;
SELECT is(array_agg(DISTINCT m[1]), NULL, 'no page shows a line of postgresql.conf with a setting that there is not')
  FROM regexp_matches(:'readme' || :'settings', '^    (?:# )?(custbackup\.[a-z_]+) = ', 'gn') m WHERE m[1] NOT IN (SELECT name FROM pg_settings);

-- ---- docs/sql.md: every view's columns, and nothing else in its row --------------------------------------
CREATE TEMP TABLE row_of AS
SELECT c.oid AS view, m[1] AS text FROM pg_class c CROSS JOIN LATERAL regexp_match(:'reference', '\n\| `' || c.relname || '` \| ([^\n]*(?:`id`|`resource_id`|`version`|`backup_id`)[^\n]*)\|\n') m
 WHERE c.relnamespace = 'custbackup'::regnamespace AND c.relkind = 'v';
CREATE TEMP TABLE named AS
SELECT r.view, m[1] AS name FROM row_of r CROSS JOIN LATERAL regexp_matches(r.text, '`([a-z0-9_]+)`', 'g') m;
SELECT is(count(*), (SELECT count(*) FROM pg_class WHERE relnamespace = 'custbackup'::regnamespace AND relkind = 'v'), 'docs/sql.md has a row for each view') FROM row_of;
SELECT is(array_agg(a.attrelid::regclass || '.' || a.attname), NULL, 'which names every column') FROM pg_attribute a JOIN row_of r ON r.view = a.attrelid
 WHERE a.attnum > 0 AND NOT EXISTS (SELECT FROM named n WHERE n.view = a.attrelid AND n.name = a.attname);
SELECT is(array_agg(n.view::regclass || '.' || n.name), NULL, 'and none that there is not') FROM named n
 WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = n.view AND a.attname = n.name AND a.attnum > 0)
   AND n.name NOT IN ('expired');	-- a state, not a column

-- ---- the statements ---------------------------------------------------------------------------------------
-- Indented by four, from a keyword to the semicolon. In place of <...> stands what a reader would put there.
CREATE FUNCTION pg_temp.statements(page text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT m[1] FROM regexp_matches(page, '^    ((?:SELECT|INSERT|UPDATE|LISTEN|CREATE ROLE)[^;]*);', 'gw') m
$$;
CREATE FUNCTION pg_temp.as_written(page text, statement text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	RETURN NEXT lives_ok(statement, page || ': ' || left(regexp_replace(statement, '\s+', ' ', 'g'), 70));
END $$;

CREATE ROLE platform_api;
CREATE ROLE postgres_exporter;
-- The pages begin without a store.
UPDATE custbackup.stores SET name = 'before', is_default = false;
SELECT pg_temp.resource('shop') AS resource \gset
INSERT INTO custbackup.stores (name, url, is_default) VALUES ('test', 'file:///var/backups/test', true);
SELECT pg_temp.backed_up(:'resource') AS backup \gset
UPDATE custbackup.stores SET is_default = false;

CREATE FUNCTION pg_temp.filled_in(page text, resource uuid, backup uuid) RETURNS text LANGUAGE sql AS $$
	SELECT replace(replace(replace(replace(replace(replace(replace(replace(page, '<resource id>', resource::text), '<uuid>', resource::text), '<backup id>', backup::text),
		'<backup>', backup::text), '<team>', 'aaaaaaaa-0000-4000-8000-000000000001'), '…', gen_random_uuid()::text), '<what encrypt-url printed>', 'ciphertext'), '<output of custbackup encrypt-url>', 'ciphertext')
$$;
SELECT cmp_ok((SELECT count(*) FROM pg_temp.statements(:'readme')), '>=', 8::bigint, 'README.md shows statements');
SELECT pg_temp.as_written('README.md', s) FROM pg_temp.statements(pg_temp.filled_in(:'readme', :'resource', :'backup')) s;
UPDATE custbackup.stores SET name = 'readme', is_default = false WHERE name = 'default';
DELETE FROM custbackup.resources;
SELECT cmp_ok((SELECT count(*) FROM pg_temp.statements(:'reference')), '>=', 8::bigint, 'docs/sql.md shows statements');
SELECT pg_temp.as_written('docs/sql.md', s) FROM pg_temp.statements(pg_temp.filled_in(:'reference', :'resource', :'backup')) s;
SELECT cmp_ok((SELECT count(*) FROM pg_temp.statements(:'stores')), '>=', 1::bigint, 'docs/stores.md shows a statement');
SELECT pg_temp.as_written('docs/stores.md', s) FROM pg_temp.statements(:'stores') s;

SELECT * FROM finish();
ROLLBACK;
