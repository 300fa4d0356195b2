-- What others build on: a change of a name, a type or a signature shows here.
SET client_min_messages = error;
SET datestyle = 'ISO'; SET intervalstyle = 'postgres'; SET timezone = 'UTC';
CREATE EXTENSION custbackup;

\pset format unaligned
SELECT format('%I(%s) returns %s', p.proname, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid)) AS functions
  FROM pg_proc p WHERE p.pronamespace = 'custbackup'::regnamespace AND p.prorettype <> 'trigger'::regtype
   AND (p.prosecdef OR p.proname IN ('reason_text', 'daily_hour', 'wake', 'source_resources') OR p.proname LIKE 'grant%')
 ORDER BY p.proname COLLATE "C";

SELECT c.relname AS relation, a.attname AS "column", format_type(a.atttypid, a.atttypmod) AS type,
       CASE WHEN a.attnotnull THEN 'not null' END AS "null?", pg_get_expr(d.adbin, d.adrelid) AS "default"
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
 WHERE c.relnamespace = 'custbackup'::regnamespace AND c.relkind IN ('r', 'v')
 ORDER BY c.relkind, c.relname COLLATE "C", a.attnum;

SELECT conrelid::regclass AS "table", conname, pg_get_constraintdef(oid) AS definition
  FROM pg_constraint WHERE connamespace = 'custbackup'::regnamespace AND contype <> 'n' ORDER BY conrelid::regclass::text COLLATE "C", conname COLLATE "C";

\pset format aligned
SELECT unnest(enum_range(NULL::custbackup.reason)) AS reason;
TABLE custbackup.tiers;
TABLE custbackup.engines;

-- The extension goes without a trace, and comes again.
DROP EXTENSION custbackup;
SELECT count(*) FROM pg_class WHERE relnamespace = 'custbackup'::regnamespace;
DROP SCHEMA custbackup;
CREATE EXTENSION custbackup;
ALTER EXTENSION custbackup SET SCHEMA public;
SELECT obj_description('custbackup'::regnamespace, 'pg_namespace') AS comment;
DROP EXTENSION custbackup;
DROP SCHEMA custbackup;

-- Not into a schema that somebody has prepared for it.
CREATE ROLE regress_squatter;
\set SHOW_CONTEXT never
CREATE SCHEMA custbackup AUTHORIZATION regress_squatter;
CREATE EXTENSION custbackup;
DROP SCHEMA custbackup;
DROP ROLE regress_squatter;
