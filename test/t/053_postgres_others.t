# Rewinds of databases that are not only the customer's: what other roles have there, what
# the customer may and may not do, encodings, and settings that are meant to be in the way.
# Each ends exactly as it was at the backup, or refused with the target as it was.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use CustbackupTest;
use PostgreSQL::Test::Utils;
use Test::More;

# Whatever the databases set, the test's own sessions work.
$ENV{PGOPTIONS} = '-c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0 -c default_transaction_read_only=off -c search_path=public';
my $node = start_customer(conf => "wal_level = logical\nmax_wal_senders = 5\nmax_prepared_transactions = 5\nallow_in_place_tablespaces = on\n");
my ($settings, $store, $directory) = mover_settings();
my $databases = 0;

sub admin { return $node->safe_psql($_[1] // 'postgres', $_[0]) }
sub state_of { return schema_dump($node, $_[0]) . checksum_database($node, $_[0]) }

# Statements by the role that they are for, in order: [ app => '...', postgres => '...' ]
sub run_as
{
    my ($database, @statements) = @_;
    while (my ($role, $sql) = splice @statements, 0, 2)
    {
        admin("SET SESSION AUTHORIZATION $role; $sql", $database);
    }
    return;
}

# A database made by `before`, backed up, changed by `after`: all that a restore of it wants.
sub prepare
{
    my (%case) = @_;
    my $database = 'case_' . ++$databases;
    admin("CREATE DATABASE $database OWNER app " . ($case{encoding} ? "TEMPLATE template0 LOCALE 'C' ENCODING '$case{encoding}'" : ''));
    run_as($database, map { s/DATABASE_NAME/$database/gr } @{ $case{before} });
    my $url = customer_url($node, database => $database, %{ $case{as} // {} });
    my $wanted = state_of($database);
    my $job = backup_job($settings, $store, $url);
    my $event = last_event(run_mover($settings, $job));
    is($event->{event}, 'done', "$case{name}: a backup") or diag(explain($event));
    like("@{ $event->{notes} }", $case{notes}, "$case{name}: noted with the backup") if $case{notes};
    run_as($database, @{ $case{after} });
    my $changed = state_of($database);
    isnt($changed, $wanted, "$case{name}: changed since") unless $case{unchanged};
    return { name => $case{name}, database => $database, wanted => $wanted, changed => $changed,
        job => restore_job($settings, $store, $url, $job, $event) };
}

sub rewinds
{
    my (%case) = @_;
    my $made = prepare(%case);
    my $event = last_event(run_mover($settings, $made->{job}));
    is($event->{event}, 'done', "$case{name}: the rewind") or diag(explain($event));
    is(state_of($made->{database}), $made->{wanted}, "$case{name}: all is as it was");
    is_deeply([ sort @{ $event->{left_alone} // [] } ], $case{left_alone} // [], "$case{name}: what was left alone is told");
    return;
}

sub is_refused
{
    my ($made, $event, $reason, $detail) = @_;
    is($event->{reason}, $reason, "$made->{name}: $reason");
    like($event->{detail}, $detail, "$made->{name}: says why");
    ok(!$event->{target_modified}, "$made->{name}: target_modified false");
    is(state_of($made->{database}), $made->{changed}, "$made->{name}: nothing has changed");
    return;
}

sub refuses
{
    my ($reason, $detail, %case) = @_;
    my $made = prepare(%case);
    is_refused($made, last_event(run_mover($settings, $made->{job})), $reason, $detail);
    return;
}

admin(q{CREATE ROLE other LOGIN; CREATE ROLE reader; CREATE ROLE someone; CREATE ROLE team; CREATE ROLE "odd ""role"" $x";
    CREATE ROLE member LOGIN PASSWORD 'a-member' IN ROLE team; CREATE ROLE almighty LOGIN SUPERUSER PASSWORD 'almighty-one'});

# ---- a lock that no process holds (this one waits while the others go on)

my $locked = prepare(name => 'a prepared transaction', unchanged => 1, before => [ app => 'CREATE TABLE t (i int)' ], after => []);
run_as($locked->{database}, app => q{BEGIN; TRUNCATE t; PREPARE TRANSACTION 'the gid'});
my $waiting = start_mover($settings, $locked->{job});

# ---- what other roles have in the customer's database

refuses('not_restorable', qr/publication feed of role "postgres" depends on table public\.t,/,
    name => "another role's publication of our table",
    before => [ app => 'CREATE TABLE t (i int PRIMARY KEY)', postgres => 'CREATE PUBLICATION feed FOR TABLE t' ],
    after => [ app => 'INSERT INTO t VALUES (1)' ]);
refuses('not_restorable', qr/table public\.theirs of role "other" depends on table public\.parted,/,
    name => "another role's partition of our table",
    before => [ app => 'CREATE TABLE parted (i int) PARTITION BY LIST (i); CREATE TABLE theirs PARTITION OF parted FOR VALUES IN (1)',
        postgres => 'ALTER TABLE theirs OWNER TO other; GRANT SELECT ON theirs TO app; INSERT INTO theirs VALUES (1)' ],
    after => [ postgres => 'INSERT INTO theirs VALUES (1)' ]);
refuses('not_restorable', qr/table public\.theirs of role "other" depends on table public\.ours,/,
    name => "our partition of another role's table",
    before => [ app => 'CREATE TABLE ours (i int)', postgres => 'CREATE TABLE theirs (i int) PARTITION BY LIST (i);
        ALTER TABLE theirs ATTACH PARTITION ours FOR VALUES IN (1); ALTER TABLE theirs OWNER TO other; GRANT SELECT ON theirs TO app' ],
    after => [ app => 'INSERT INTO ours VALUES (1)' ]);
rewinds(
    name => "partitions whose indexes use what is another's",
    before => [ postgres => 'CREATE EXTENSION pg_trgm; CREATE FUNCTION half(int) RETURNS int IMMUTABLE LANGUAGE sql RETURN $1 / 2',
        app => q{CREATE TABLE parted (i int, t text) PARTITION BY LIST (i); CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1, 2);
            CREATE INDEX ON parted USING gin (t gin_trgm_ops); CREATE INDEX ON parted (half(i)); INSERT INTO parted VALUES (1, 'one')} ],
    after => [ app => "INSERT INTO parted VALUES (2, 'two')" ],
    left_alone => [ 'function public.half(integer) stays: it is another role\'s' ]);
refuses('not_restorable', qr/table desk\.t of the backup lies in a schema in which role "app" may not create: GRANT CREATE ON SCHEMA "desk" TO "app"/,
    name => 'our table in a schema that is closed to us',
    before => [ postgres => 'CREATE SCHEMA desk CREATE TABLE t (i int); GRANT USAGE ON SCHEMA desk TO app; ALTER TABLE desk.t OWNER TO app' ],
    after => [ app => 'INSERT INTO desk.t VALUES (1)' ]);
rewinds(
    name => 'schemas of ours that others live in',
    before => [
        app => q{CREATE SCHEMA "a house" CREATE TABLE t (i int); COMMENT ON SCHEMA "a house" IS 'as it was; once'; GRANT USAGE ON SCHEMA "a house" TO reader;
            CREATE SCHEMA bare CREATE TABLE t (i int, n int GENERATED ALWAYS AS IDENTITY)},
        postgres => q{CREATE TABLE "a house".theirs (i int) PARTITION BY LIST (i); CREATE TABLE "a house".their_part PARTITION OF "a house".theirs DEFAULT;
            CREATE INDEX ON "a house".theirs (i); GRANT SELECT ON "a house".theirs, "a house".their_part TO app; INSERT INTO "a house".theirs VALUES (1);
            ALTER DEFAULT PRIVILEGES FOR ROLE other IN SCHEMA bare GRANT SELECT ON TABLES TO reader} ],
    after => [ app => q{REVOKE USAGE ON SCHEMA "a house" FROM reader; GRANT ALL ON SCHEMA "a house" TO someone; COMMENT ON SCHEMA "a house" IS NULL;
            COMMENT ON SCHEMA bare IS 'later'; GRANT USAGE ON SCHEMA bare TO someone; INSERT INTO bare.t VALUES (1)} ],
    left_alone => [ 'index a house.theirs_i_idx stays: it is another role\'s', 'schema a house stays: table a house.theirs is in it', 'schema bare stays: default acl bare.DEFAULT PRIVILEGES FOR TABLES is in it',
        'table a house.their_part stays: it is another role\'s', 'table a house.theirs stays: it is another role\'s' ]);

refuses('not_restorable', qr/large object 77 of the backup is another role's in the target.*OWNER TO/,
    name => "another role's large object", notes => qr/refused while this database has another role's large object 77/,
    before => [ app => q{CREATE TABLE t (i int); SELECT lo_create(76)},
        postgres => q{SELECT lo_create(77); ALTER LARGE OBJECT 77 OWNER TO other; GRANT SELECT ON LARGE OBJECT 77 TO app} ],
    after => [ app => 'DROP TABLE t' ]);

# ---- who the customer is

rewinds(
    name => 'a superuser with event triggers', as => { role => 'almighty', password => 'almighty-one' },
    before => [ almighty => q{CREATE TABLE t (i int); CREATE FUNCTION fire() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN END$$;
        CREATE EVENT TRIGGER firing ON ddl_command_end EXECUTE FUNCTION fire(); CREATE PUBLICATION everything FOR ALL TABLES;
        CREATE SCHEMA s; CREATE TEXT SEARCH PARSER s.p (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end, LEXTYPES = prsd_lextype);
        CREATE ACCESS METHOD am TYPE INDEX HANDLER bthandler; CREATE TYPE s.b;
        CREATE FUNCTION s.b_in(cstring) RETURNS s.b LANGUAGE internal STRICT IMMUTABLE AS 'int4in';
        CREATE FUNCTION s.b_out(s.b) RETURNS cstring LANGUAGE internal STRICT IMMUTABLE AS 'int4out';
        CREATE TYPE s.b (INPUT = s.b_in, OUTPUT = s.b_out, LIKE = int);
        CREATE TABLE other_table (i int); ALTER TABLE other_table OWNER TO other} ],
    after => [ almighty => q{DROP EVENT TRIGGER firing; DROP FUNCTION fire(); DROP TABLE t; DROP TABLE other_table;
        CREATE FUNCTION forbid() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'nothing is dropped here'; END$$;
        CREATE EVENT TRIGGER forbidding ON sql_drop EXECUTE FUNCTION forbid()} ]);
rewinds(
    name => 'a login that becomes the owning role', as => { role => 'member', password => 'a-member' },
    before => [ postgres => q{ALTER DATABASE DATABASE_NAME OWNER TO team; ALTER ROLE member IN DATABASE DATABASE_NAME SET role = 'team';
            SET ROLE team; CREATE TABLE t (i int); CREATE SCHEMA s CREATE TABLE u (i int); GRANT SELECT ON t TO reader} ],
    after => [ postgres => 'SET ROLE team; DROP SCHEMA s CASCADE; INSERT INTO t VALUES (1); CREATE TABLE later (i int)' ]);

rewinds(
    name => 'a schema public of one\'s own',
    before => [ postgres => 'ALTER SCHEMA public OWNER TO app', app => 'CREATE TABLE t (i int); GRANT USAGE ON SCHEMA public TO reader' ],
    after => [ app => 'DROP SCHEMA public CASCADE' ]);
rewinds(
    name => 'a schema public that changed hands',
    before => [ app => 'CREATE TABLE t (i int)' ],
    after => [ app => 'ALTER SCHEMA public OWNER TO app; INSERT INTO t VALUES (1)' ]);

rewinds(
    name => 'a database that is the administrator\'s: schemas are emptied, not dropped',
    before => [ postgres => 'ALTER DATABASE DATABASE_NAME OWNER TO postgres; CREATE SCHEMA s AUTHORIZATION app; CREATE SCHEMA late AUTHORIZATION app',
        app => q{DROP SCHEMA late; CREATE TABLE s.t (i int); COMMENT ON SCHEMA s IS 'as it was'; GRANT USAGE ON SCHEMA s TO reader} ],
    after => [ app => 'INSERT INTO s.t VALUES (1); CREATE TABLE s.u (i int); REVOKE ALL ON SCHEMA s FROM reader; COMMENT ON SCHEMA s IS NULL',
        postgres => 'CREATE SCHEMA late AUTHORIZATION app' ]);
refuses('not_restorable', qr/schema s of the backup has to be created.*GRANT CREATE ON DATABASE "case_\d+" TO "app"/,
    name => 'a schema that the role may not make again',
    before => [ postgres => 'ALTER DATABASE DATABASE_NAME OWNER TO postgres; CREATE SCHEMA s AUTHORIZATION app', app => 'CREATE TABLE s.t (i int)' ],
    after => [ app => 'DROP SCHEMA s CASCADE' ]);
rewinds(
    name => 'comments on extensions of one\'s own',
    before => [ app => q{CREATE EXTENSION citext; CREATE EXTENSION hstore; COMMENT ON EXTENSION citext IS 'a; "comment"'; COMMENT ON EXTENSION hstore IS NULL} ],
    after => [ app => q{COMMENT ON EXTENSION citext IS NULL; COMMENT ON EXTENSION hstore IS 'another'} ]);

# ---- functions that look names up in search_path, which is empty while a dump is restored

my $looks_up = q{CREATE TABLE allowed AS SELECT 1 AS i;
    CREATE FUNCTION is_allowed(int) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RETURN EXISTS (SELECT FROM allowed WHERE i = $1); END$$;
    CREATE DOMAIN checked AS int CHECK (is_allowed(VALUE)); CREATE TABLE t (x checked); INSERT INTO t VALUES (1)};
rewinds(
    name => 'a check that looks names up, in a small archive', before => [ app => $looks_up ], after => [ app => 'DELETE FROM t' ]);
rewinds(
    name => 'a check that looks names up, in one that is still flowing',
    before => [ app => "$looks_up; CREATE TABLE z AS SELECT g, repeat('x', 1000) FROM generate_series(1, 4000) g" ],
    after => [ app => 'DELETE FROM t; UPDATE z SET g = -g' ]);
refuses('restore', qr/relation "allowed" does not exist \(42P01\)/,
    name => 'a check that looks for what is gone', before => [ app => "$looks_up; DROP TABLE allowed" ], after => [ app => 'DELETE FROM t' ]);

# ---- a tablespace that is closed to the customer: the rows come back, elsewhere

{
    admin(q{CREATE TABLESPACE fast LOCATION ''});
    my $made = prepare(name => 'a tablespace', before => [ app => 'CREATE TABLE t AS SELECT 1 AS i', postgres => 'ALTER TABLE t SET TABLESPACE fast' ],
        after => [ app => 'DELETE FROM t' ]);
    my $event = last_event(run_mover($settings, $made->{job}));
    is($event->{event}, 'done', 'a tablespace in which the role may not create: the rewind') or diag(explain($event));
    is_deeply($event->{left_alone}, [ 'tablespaces of the backup are not used: fast is not there, or role "app" may not create in it' ], 'it is told');
    is(admin('SELECT i FROM t', $made->{database}), '1', 'and the rows are back');
}

# ---- names of every kind, tables in every state

rewinds(
    name => 'names of every kind',
    before => [ app => qq{CREATE SCHEMA "a ""schema"" of\n-- two lines; \$x\$ é"; SET search_path = "a ""schema"" of\n-- two lines; \$x\$ é";
        CREATE TABLE "tab\tle\n\\! touch /nowhere" ("co'l""umn\n\\." text DEFAULT 'x', "\xf0\x9f\x98\x80" int GENERATED ALWAYS AS IDENTITY, "select" int CHECK ("select" > 0), PRIMARY KEY ("select"));
        COMMENT ON COLUMN "tab\tle\n\\! touch /nowhere"."co'l""umn\n\\." IS E'line\n\\\\. \\\\restrict \n\\\\! touch';
        INSERT INTO "tab\tle\n\\! touch /nowhere" ("co'l""umn\n\\.", "select") VALUES (E'\\\\.', 1), (E'\\n\\\\.\\n', 2), (E'a\\r\\nb\\tc', 3), (NULL, 4), ('\\N', 5);
        CREATE VIEW "v\n;" AS SELECT * FROM "tab\tle\n\\! touch /nowhere"; GRANT SELECT ON "v\n;" TO "odd ""role"" \$x";
        CREATE FUNCTION "f(\n)"("a b" int, OUT "o'" int) LANGUAGE plpgsql AS \$body\$ BEGIN "o'" := "a b"; -- \$\$ ';
        END \$body\$;
        CREATE TYPE "t;" AS ENUM ('a''b', 'c\nd', E'\\\\'); CREATE SEQUENCE "s'" START 5 INCREMENT -2 MINVALUE -100 MAXVALUE 10 CYCLE CACHE 3;
        SELECT nextval('"s''"'); CREATE TABLE "uses" (x "t;" DEFAULT 'c\nd', y int DEFAULT nextval('"s''"')); INSERT INTO uses DEFAULT VALUES } ],
    after => [ app => qq{SET search_path = "a ""schema"" of\n-- two lines; \$x\$ é"; DROP VIEW "v\n;";
        UPDATE "tab\tle\n\\! touch /nowhere" SET "select" = "select" + 10; ALTER TYPE "t;" ADD VALUE 'zz';
        CREATE VIEW "w\n--" AS SELECT * FROM "tab\tle\n\\! touch /nowhere"; SELECT nextval('"s''"')} ]);
rewinds(
    name => 'tables in every state',
    before => [ app => q{
        CREATE UNLOGGED TABLE u (i int PRIMARY KEY, t text COMPRESSION pglz) WITH (fillfactor = 70, autovacuum_enabled = off); INSERT INTO u SELECT g, repeat('x', 5000) FROM generate_series(1, 10) g;
        ALTER TABLE u ALTER t SET STORAGE EXTERNAL; ALTER TABLE u ALTER t SET STATISTICS 500, ALTER i SET (n_distinct = -0.5); ALTER TABLE u CLUSTER ON u_pkey; ALTER TABLE u REPLICA IDENTITY FULL;
        CREATE MATERIALIZED VIEW m0 AS SELECT i FROM u WITH NO DATA; CREATE MATERIALIZED VIEW m1 AS SELECT i FROM u; CREATE MATERIALIZED VIEW m2 AS SELECT count(*) FROM m1; CREATE UNIQUE INDEX ON m1 (i);
        CREATE TABLE a (id int PRIMARY KEY, b int); CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a DEFERRABLE INITIALLY DEFERRED); ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b ON DELETE CASCADE;
        INSERT INTO a VALUES (1, NULL); INSERT INTO b VALUES (1, 1); UPDATE a SET b = 1; INSERT INTO a VALUES (-5, NULL); ALTER TABLE a ADD CONSTRAINT nv CHECK (id > 0) NOT VALID; ALTER TABLE a ADD CONSTRAINT nofk FOREIGN KEY (id) REFERENCES b NOT VALID;
        CREATE TABLE g (a int, b int GENERATED ALWAYS AS (a * 2) STORED, c int GENERATED BY DEFAULT AS IDENTITY (START 100 INCREMENT 10), EXCLUDE USING gist (int4range(a, a + 1) WITH &&)); INSERT INTO g (a) VALUES (1), (5);
        CREATE SEQUENCE fresh; CREATE SEQUENCE mid; SELECT nextval('mid'), nextval('mid'); SELECT setval('mid', 17, false); CREATE SEQUENCE small AS smallint; CREATE UNLOGGED SEQUENCE us;
        CREATE TABLE trg (i int); CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$;
        CREATE TRIGGER t1 BEFORE INSERT ON trg FOR EACH ROW EXECUTE FUNCTION tf(); CREATE TRIGGER t2 AFTER UPDATE ON trg REFERENCING OLD TABLE AS o NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION tf(); CREATE TRIGGER t3 BEFORE UPDATE OF i ON trg FOR EACH ROW WHEN (OLD.i IS DISTINCT FROM NEW.i) EXECUTE FUNCTION tf();
        ALTER TABLE trg DISABLE TRIGGER t1; ALTER TABLE trg ENABLE REPLICA TRIGGER t2; ALTER TABLE trg ENABLE ALWAYS TRIGGER t3; CREATE CONSTRAINT TRIGGER ct AFTER INSERT ON trg DEFERRABLE FOR EACH ROW EXECUTE FUNCTION tf();
        CREATE VIEW v AS SELECT i FROM trg; CREATE TRIGGER tv INSTEAD OF INSERT ON v FOR EACH ROW EXECUTE FUNCTION tf(); CREATE VIEW vb WITH (security_barrier, security_invoker) AS SELECT i FROM trg WITH CASCADED CHECK OPTION; CREATE RULE r AS ON INSERT TO vb DO INSTEAD NOTHING; ALTER TABLE trg ADD j int; CREATE RULE r2 AS ON UPDATE TO trg DO ALSO NOTIFY x; ALTER TABLE trg DISABLE RULE r2;
        CREATE TABLE h (i int, t text) PARTITION BY HASH (i); CREATE TABLE h0 (t text, i int); ALTER TABLE h ATTACH PARTITION h0 FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE h1 PARTITION OF h FOR VALUES WITH (MODULUS 2, REMAINDER 1); CREATE INDEX hi ON h (i) INCLUDE (t) WHERE i > 0; INSERT INTO h SELECT g, g::text FROM generate_series(1, 20) g;
        CREATE TABLE rp (d date, PRIMARY KEY (d)) PARTITION BY RANGE (d); CREATE TABLE rp1 PARTITION OF rp FOR VALUES FROM (MINVALUE) TO ('2026-01-01'); CREATE TABLE rpd PARTITION OF rp DEFAULT; INSERT INTO rp VALUES ('2025-01-01'), ('2027-01-01');
        CREATE TABLE fp (d date REFERENCES rp); INSERT INTO fp VALUES ('2025-01-01'); CREATE INDEX only_parent ON ONLY h (t);
        CREATE TYPE ct AS (x int, y text); CREATE TABLE typed OF ct (x PRIMARY KEY); INSERT INTO typed VALUES (1, 'a'); CREATE DOMAIN dom AS ct CHECK ((VALUE).x > 0); CREATE TABLE dt (d dom, e dom[]); INSERT INTO dt VALUES (ROW(1, 'x'), ARRAY[ROW(2, 'y')::dom]);
        CREATE TABLE rls (i int, o name DEFAULT current_user); ALTER TABLE rls ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON rls AS RESTRICTIVE FOR UPDATE TO reader USING (i > 0) WITH CHECK (o = current_user);
        GRANT SELECT (i), UPDATE (i) ON rls TO reader WITH GRANT OPTION; GRANT ALL ON g TO PUBLIC;
        CREATE STATISTICS st (mcv, ndistinct) ON i, t FROM h; ALTER STATISTICS st SET STATISTICS 50; CREATE STATISTICS st2 (dependencies) ON (i + 1), t FROM h1;
        CREATE FUNCTION atomic(int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT count(*)::int + $1 FROM rls; END; CREATE FUNCTION dflt(a int DEFAULT atomic(1), VARIADIC b text[] DEFAULT '{}') RETURNS SETOF rls LANGUAGE sql STABLE ROWS 7 COST 3 PARALLEL SAFE AS 'SELECT * FROM rls';
        CREATE PROCEDURE pr(INOUT x int) LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET work_mem = '1MB' AS $$BEGIN COMMIT; END$$;
        CREATE PUBLICATION pub FOR TABLE h (i) WHERE (i > 3), g WITH (publish = 'insert', publish_via_partition_root = on);
        SELECT lo_from_bytea(4242, '\x00ff5c2e0a'); COMMENT ON LARGE OBJECT 4242 IS 'lo'; GRANT SELECT ON LARGE OBJECT 4242 TO reader; SELECT lo_put(4242, 10000, 'far');
        CREATE TABLE empty (); CREATE TABLE dropped (a int, b int, c text DEFAULT 'x'); ALTER TABLE dropped DROP b; INSERT INTO dropped VALUES (1, 'z'); CREATE TABLE child () INHERITS (dropped, rls); ALTER TABLE child ALTER c SET DEFAULT 'own'; ALTER TABLE child NO INHERIT rls;
        ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO reader; ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE ALL ON SEQUENCES FROM app} ],
    after => [ app => q{REFRESH MATERIALIZED VIEW m0; ALTER TABLE u SET LOGGED;
        SELECT nextval('fresh'), nextval('mid'); ALTER TABLE trg ENABLE TRIGGER ALL; DROP TABLE h CASCADE; DROP TABLE rp CASCADE; ALTER TABLE rls FORCE ROW LEVEL SECURITY; DROP PUBLICATION pub; SELECT lo_unlink(4242);
        CREATE TABLE h (x int); CREATE VIEW later AS SELECT dropped.a, g.b FROM dropped, g; CREATE FUNCTION later(rls) RETURNS int LANGUAGE sql AS 'SELECT 1'; GRANT SELECT ON empty TO someone;
        ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM reader; ALTER DEFAULT PRIVILEGES GRANT ALL ON TYPES TO someone; DROP TYPE ct CASCADE; CREATE TYPE ct AS ENUM ('x'); CREATE TABLE typed (x ct)} ]);
{
    my $name = q{my "shop's" $db; \xc3\xa9} =~ s/\\x(..)/chr hex $1/ger;
    my $quoted = $name =~ s/"/""/gr;
    admin(qq{CREATE DATABASE "$quoted" OWNER app});
    run_as($name, app => 'CREATE TABLE t AS SELECT 1 AS i');
    my $url = customer_url($node, database => $name);
    my $job = backup_job($settings, $store, $url);
    my $event = last_event(run_mover($settings, $job));
    is($event->{event}, 'done', 'a database of an odd name: a backup') or diag(explain($event));
    run_as($name, app => 'DELETE FROM t');
    $event = last_event(run_mover($settings, restore_job($settings, $store, $url, $job, $event)));
    is($event->{event}, 'done', 'a database of an odd name: the rewind') or diag(explain($event));
    is(admin('SELECT i FROM t', $name), '1', 'and its rows are back');
}

# ---- what can be given back, but not as it was given

{
    my $made = prepare(name => 'a grant by somebody who was granted', before => [ app => 'CREATE TABLE t (i int); GRANT SELECT ON t TO reader WITH GRANT OPTION',
            reader => 'GRANT SELECT ON t TO someone' ], after => [ app => 'REVOKE ALL ON t FROM reader CASCADE' ]);
    my $event = last_event(run_mover($settings, $made->{job}));
    is($event->{event}, 'done', 'a grant by somebody who was granted: the rewind') or diag(explain($event));
    is_deeply($event->{left_alone}, [ 'what role reader had granted is granted by role app' ], 'whose name it bears is told');
    is(admin(q{SELECT has_table_privilege('someone', 't', 'SELECT')}, $made->{database}), 't', 'and the right is there');
}

# ---- connections

{
    my $made = prepare(name => 'one connection', before => [ app => 'CREATE TABLE t (i int)' ], after => [ app => 'INSERT INTO t VALUES (1)' ]);
    admin('ALTER ROLE app CONNECTION LIMIT 1');
    my $event = last_event(run_mover($settings, backup_job($settings, $store, customer_url($node, database => $made->{database}))));
    is($event->{reason}, 'unreachable', 'a role that may connect once: a backup is refused by code');
    like($event->{detail}, qr/no connection left.*53300.*two at once/, 'and says what it takes');
    is_refused($made, last_event(run_mover($settings, $made->{job})), 'unreachable', qr/no connection left.*53300/);
    admin('ALTER ROLE app CONNECTION LIMIT 2');
    # A session that its client has left takes a moment to end.
    wait_for(sub { admin(q{SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'}) eq '0' }, 10, 'no session of app');
    # Even where a tool's session ends later than the tool.
    my ($tools) = grep { -x "$_/psql" } split /:/, $ENV{PATH};
    mkdir "$directory/lingers" or die $!;
    symlink "$tools/$_", "$directory/lingers/$_" or die $! for qw(psql pg_restore);
    append_to_file("$directory/lingers/pg_dump", <<"SH");
#!/bin/sh
$tools/pg_dump "\$@"; status=\$?
$tools/psql -X -q -c 'SELECT pg_sleep(1)' </dev/null >/dev/null 2>&1 &
sleep 0.3
exit \$status
SH
    chmod 0755, "$directory/lingers/pg_dump" or die $!;
    my $rewound = last_event(run_mover({ %$settings, tool_path => "$directory/lingers" }, $made->{job}));
    is($rewound->{event}, 'done', 'two are enough for a rewind too') or diag(explain($rewound));
    admin('ALTER ROLE app CONNECTION LIMIT -1');
}

# ---- names that mean something to psql

rewinds(
    name => 'columns that are called as variables of psql',
    before => [ app => q{DO $$BEGIN CREATE TABLE t (a int[], "USER" int, "PORT" int, CHECK (a[1:"USER"] IS NOT NULL AND a[1:"PORT"] IS NOT NULL)); END$$} ],
    after => [ app => q{INSERT INTO t VALUES ('{1}', 1, 1)} ]);

# ---- encodings

my $letters = qq{"\xe9t\xe9"};
rewinds(
    name => 'LATIN1', encoding => 'LATIN1',
    before => [
        app => qq{SET client_encoding = 'LATIN1'; CREATE TABLE $letters ("\xe4" text DEFAULT '\xf6'); INSERT INTO $letters VALUES ('\xfc');
            COMMENT ON TABLE $letters IS '\xff'; GRANT SELECT ON $letters TO reader},
        postgres => qq{SET client_encoding = 'LATIN1'; CREATE SCHEMA "th\xe9irs"} ],
    after => [ app => qq{SET client_encoding = 'LATIN1'; CREATE VIEW "\xe8" AS SELECT * FROM $letters; DELETE FROM $letters} ],
    left_alone => [ 'schema th?irs stays: it is another role\'s' ]);
rewinds(
    name => 'bytes in no encoding', encoding => 'SQL_ASCII',
    before => [ app => qq{CREATE TABLE $letters (v text DEFAULT '\xf6'); INSERT INTO $letters VALUES ('\xfc\xff\xfe'), ('\xc3\xa9'); GRANT SELECT ON $letters TO reader} ],
    after => [ app => qq{CREATE VIEW "\xe8" AS SELECT * FROM $letters; DELETE FROM $letters} ]);

# ---- settings of the database

my %odd = (
    datestyle => 'German, DMY', intervalstyle => 'sql_standard', extra_float_digits => '-15', bytea_output => 'escape',
    standard_conforming_strings => 'off', backslash_quote => 'off', timezone => 'America/New_York', xmloption => 'document',
    client_encoding => 'LATIN1', default_transaction_read_only => 'on', default_transaction_isolation => 'serializable',
    quote_all_identifiers => 'on', transform_null_equals => 'on', row_security => 'off', lock_timeout => '1s', statement_timeout => '250ms',
    search_path => 'nowhere', default_tablespace => 'pg_default', client_min_messages => 'error', work_mem => '64kB',
    idle_in_transaction_session_timeout => '1ms', default_table_access_method => 'heap', array_nulls => 'off',
    restrict_nonsystem_relation_kind => 'view, foreign-table');
rewinds(
    name => 'settings that are in the way',
    before => [
        app => q{CREATE TABLE t (d date, i interval, f float8, b bytea, x xml, ts timestamptz, a text[]);
            INSERT INTO t VALUES ('2026-02-03', '1 mon -3 days 04:05:06', 0.1, '\x00ff5c', '<a>x</a>', '2026-10-25 02:30+00', '{a,NULL}');
            CREATE FUNCTION quoted() RETURNS text LANGUAGE sql AS $$SELECT 'a\b'$$;
            CREATE FUNCTION slow(int) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN PERFORM pg_sleep(0.3); RETURN true; END$$;
            CREATE TABLE takes_long (i int CHECK (slow(i))); INSERT INTO takes_long VALUES (1);
            CREATE VIEW v AS SELECT 1 AS i; CREATE MATERIALIZED VIEW m AS SELECT i FROM v},
        postgres => join(' ', map { "ALTER DATABASE DATABASE_NAME SET $_ = " . ($_ eq 'datestyle' ? $odd{$_} : "'$odd{$_}'") . ';' } sort keys %odd) ],
    after => [ app => 'DELETE FROM t; DROP FUNCTION quoted()' ]);

# ---- a standby

{
    run_as('shop', app => 'CREATE TABLE t AS SELECT 1 AS i; CREATE UNLOGGED TABLE u AS SELECT 2 AS j');
    append_to_file($node->data_dir . '/pg_hba.conf', "local replication all trust\n");
    $node->reload;
    $node->backup('base');
    my $standby = PostgreSQL::Test::Cluster->new('standby');
    $standby->init_from_backup($node, 'base', has_streaming => 1);
    $standby->start;
    my $url = customer_url($node, port => $standby->port);
    my $job = backup_job($settings, $store, $url);
    my $event = last_event(run_mover($settings, $job));
    is($event->{event}, 'done', 'a backup of a standby') or diag(explain($event));
    is_deeply($event->{notes}, [ 'without the rows of unlogged tables, which a standby does not have: public.u' ], 'what it lacks is told');
    my $said = last_event(run_mover($settings, restore_job($settings, $store, $url, $job, $event)));
    is("$said->{reason}: $said->{detail}", 'not_restorable: 127.0.0.1 is a standby: name its primary in the URL', 'a rewind of it is refused');
    my $both = $url =~ s/(127\.0\.0\.1:\d+)/"$1,127.0.0.1:" . $node->port/er;
    run_as('shop', app => 'DELETE FROM t');
    $said = last_event(run_mover($settings, restore_job($settings, $store, $both, $job, $event)));
    is($said->{event}, 'done', 'where the URL names the primary too, that is rewound') or diag(explain($said));
    is(admin('SELECT i FROM t', 'shop'), '1', 'and has its rows');
}

# ---- and what came of the first

{
    my $event = last_event(run_mover($waiting));
    is($event->{reason}, 'target_busy', 'a prepared transaction in the way: target_busy');
    like($event->{detail}, qr/prepared transaction 'the gid' of role app/, 'and is named');
    run_as($locked->{database}, app => q{ROLLBACK PREPARED 'the gid'});
    is(state_of($locked->{database}), $locked->{wanted}, 'nothing has changed');
}
done_testing();
