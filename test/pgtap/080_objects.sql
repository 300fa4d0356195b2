-- What every object of the schema has to have.
BEGIN;
\ir include/fleet.psql
SELECT plan(19);

CREATE TEMP TABLE object AS
SELECT d.classid, d.objid, pg_describe_object(d.classid, d.objid, 0) AS name
  FROM pg_depend d JOIN pg_extension x ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = x.oid AND x.extname = 'custbackup' AND d.deptype = 'e';
SELECT cmp_ok(count(*), '>', 50::bigint, 'the extension has objects') FROM object;

-- COMMENT ON everything: members, and what hangs on them.
SELECT is(array_agg(o.name), NULL, 'every member has a comment') FROM object o
 WHERE obj_description(o.objid, o.classid::regclass::name) IS NULL
   AND NOT (o.classid = 'pg_type'::regclass AND (SELECT typtype = 'c' AND typrelid <> 0 AND (SELECT relkind FROM pg_class WHERE oid = typrelid) <> 'c' OR typcategory = 'A' FROM pg_type WHERE oid = o.objid))
   AND NOT (o.classid = 'pg_class'::regclass AND (SELECT relkind = 'c' FROM pg_class WHERE oid = o.objid));
SELECT is(array_agg(t.tgname || ' on ' || t.tgrelid::regclass), NULL, 'every trigger has a comment') FROM pg_trigger t
	JOIN pg_class c ON c.oid = t.tgrelid WHERE c.relnamespace = 'custbackup'::regnamespace AND NOT t.tgisinternal AND obj_description(t.oid, 'pg_trigger') IS NULL;
SELECT is(array_agg(i.indexrelid::regclass), NULL, 'every index has a comment, that of a constraint too') FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
	WHERE c.relnamespace = 'custbackup'::regnamespace AND coalesce(obj_description(i.indexrelid, 'pg_class'), '') = '';
-- From Postgres 18 NOT NULL is a constraint with a name; that of a column says all there is to say.
SELECT is(array_agg(k.conname || ' on ' || k.conrelid::regclass), NULL, 'every constraint has a comment') FROM pg_constraint k
	WHERE k.connamespace = 'custbackup'::regnamespace AND k.contype <> 'n' AND coalesce(obj_description(k.oid, 'pg_constraint'), '') = '';
SELECT is(array_agg(c.oid::regclass), NULL, 'every sequence has a comment') FROM pg_class c
	WHERE c.relnamespace = 'custbackup'::regnamespace AND c.relkind = 'S' AND coalesce(obj_description(c.oid, 'pg_class'), '') = '';
-- Kinds that are not looked at above would hide here: what belongs to the extension, and what hangs on that.
SELECT is(array_agg(DISTINCT kind ORDER BY kind), ARRAY['constraint', 'default value', 'function', 'index', 'rule', 'sequence', 'table', 'trigger', 'type', 'view'], 'there is no other kind of object')
  FROM (WITH RECURSIVE all_objects AS (
			SELECT classid, objid, 0 AS objsubid FROM object
			UNION SELECT d.classid, d.objid, d.objsubid FROM pg_depend d JOIN all_objects o ON (d.refclassid, d.refobjid) = (o.classid, o.objid) AND d.deptype IN ('i', 'a'))
		SELECT regexp_replace((pg_identify_object(classid, objid, objsubid)).type, '^(table|view|composite type) ', '') AS kind FROM all_objects) AS kinds
 WHERE kind !~ '^toast' AND kind <> 'composite type';
SELECT is(array_agg(c.relname || '.' || a.attname), NULL, 'every column has a comment') FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
	WHERE c.relnamespace = 'custbackup'::regnamespace AND c.relkind IN ('r', 'v', 'c') AND coalesce(col_description(c.oid, a.attnum), '') = '';
SELECT is(obj_description('custbackup'::regnamespace, 'pg_namespace') IS NOT NULL OR obj_description(oid, 'pg_extension') IS NOT NULL, true, 'so has the extension') FROM pg_extension WHERE extname = 'custbackup';

-- Functions.
SELECT is(array_agg(p.oid::regprocedure), NULL, 'every SECURITY DEFINER function pins its search_path') FROM pg_proc p
	WHERE p.pronamespace = 'custbackup'::regnamespace AND p.prosecdef AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (p.proconfig), false);
SELECT is(array_agg(p.oid::regprocedure), NULL, 'and every function in plpgsql, whose names are looked up when it runs') FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
	WHERE p.pronamespace = 'custbackup'::regnamespace AND l.lanname = 'plpgsql' AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (p.proconfig), false);
SELECT is(array_agg(p.oid::regprocedure), NULL, 'functions in SQL were parsed when they were made') FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
	WHERE p.pronamespace = 'custbackup'::regnamespace AND l.lanname = 'sql' AND p.prosqlbody IS NULL;

-- pg_dump.
SELECT is(array_agg(c.oid::regclass), NULL, 'every table is taken along by pg_dump') FROM pg_class c, pg_extension x
	WHERE c.relnamespace = 'custbackup'::regnamespace AND c.relkind IN ('r', 'S') AND x.extname = 'custbackup' AND NOT c.oid = ANY (x.extconfig);

-- Reasons: failure.h, the type and docs/reasons.md.
\set header `cat "$SOURCE_DIR/src/mover/failure.h"`
\set page `cat "$SOURCE_DIR/docs/reasons.md"`
SELECT is(enum_range(NULL::custbackup.reason)::text[], ARRAY(SELECT m[1] FROM regexp_matches(:'header', 'X\(REASON_[A-Z_]+, "([a-z_]+)"\)', 'g') m), 'the type has the reasons of failure.h, in their order');
SELECT is(ARRAY(SELECT m[1] FROM regexp_matches(:'page', '^\| `([a-z_]+)` \|', 'gn') m), enum_range(NULL::custbackup.reason)::text[], 'and so has docs/reasons.md');
SELECT is(ARRAY(SELECT m[1] FROM regexp_matches(:'page', '^\| `[a-z_]+` \| ([^|]+) \|', 'gn') m), ARRAY(SELECT custbackup.reason_text(r) FROM unnest(enum_range(NULL::custbackup.reason)) r), 'with the same sentences');
SELECT is(array_agg(r), NULL, 'every reason has a sentence') FROM unnest(enum_range(NULL::custbackup.reason)) r WHERE custbackup.reason_text(r) IS NULL;

-- docs/sql.md names everything that has a name for people.
\set reference `cat "$SOURCE_DIR/docs/sql.md"`
SELECT is(array_agg(p.proname), NULL, 'docs/sql.md names every function that somebody may be granted') FROM pg_proc p
	WHERE p.pronamespace = 'custbackup'::regnamespace AND (p.prosecdef OR p.proname LIKE 'grant%') AND p.prorettype <> 'trigger'::regtype
	AND position('`' || p.proname || '(' IN :'reference') = 0;
SELECT is(array_agg(c.relname), NULL, 'and every table and view') FROM pg_class c
	WHERE c.relnamespace = 'custbackup'::regnamespace AND c.relkind IN ('r', 'v') AND position('`' || c.relname || '`' IN :'reference') = 0;

SELECT * FROM finish();
ROLLBACK;
