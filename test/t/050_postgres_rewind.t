# The exact, atomic rewind of a real Postgres by an ordinary owner: every class of object,
# and afterwards nothing more and nothing less than the backup held.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use CustbackupTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

my $hostile = '/tmp/custbackup-hostile';
my $everything = "$ENV{SOURCE_DIR}/test/data/postgres_everything.sql";
my $node = start_customer(conf => "wal_level = logical\n");
my ($settings, $store, $directory) = mover_settings();
my $url = customer_url($node);

sub admin { return $node->safe_psql($_[1] // 'shop', $_[0]) }

# As the customer: the ordinary owner.
sub customer
{
    my ($sql, $database) = @_;
    return $node->safe_psql($database // 'shop', "SET SESSION AUTHORIZATION app; $sql");
}

sub run_everything
{
    my ($prefix, $database) = @_;
    local $ENV{PGOPTIONS} = '-c client_min_messages=warning';
    my ($out, $err) = ('', '');
    local $ENV{PGPASSWORD} = $node->{customer}{password};
    IPC::Run::run([ 'psql', '-X', '-q', '-h', '127.0.0.1', '-p', $node->port, '-U', 'app', '-v', "prefix=$prefix",
            '-f', $everything, $database // 'shop' ], '>', \$out, '2>', \$err) or die "everything: $err";
    return;
}

sub prepare_database
{
    my ($database) = @_;
    admin(join(';', map { "CREATE EXTENSION $_" } qw(hstore citext pg_trgm btree_gist postgres_fdw))
          . '; GRANT USAGE ON FOREIGN DATA WRAPPER postgres_fdw TO app', $database);
    return;
}

sub backup_of
{
    my ($from) = @_;
    my $job = backup_job($settings, $store, $from);
    my $result = run_mover($settings, $job);
    my $event = last_event($result);
    is($event->{event}, 'done', 'a backup') or diag($result->{stdout});
    return ($job, $event);
}

sub restore
{
    my ($job, $event, $into, %option) = @_;
    my $result = run_mover({ %$settings, %{ $option{settings} // {} } },
        restore_job($settings, $store, $into, $job, $event, %option));
    return (last_event($result), $result);
}

# ---- everything, then a second set of everything --------------------------------------------------------

admin('CREATE ROLE reader; CREATE ROLE someone LOGIN; CREATE ROLE team; GRANT team TO app');
prepare_database('shop');
admin(q{CREATE SCHEMA desk; CREATE TABLE desk.kept (x int); INSERT INTO desk.kept VALUES (1);
    GRANT USAGE ON SCHEMA desk TO app; GRANT SELECT ON desk.kept TO app});
run_everything('first');
customer(q{GRANT CREATE ON SCHEMA public TO team; GRANT CREATE ON DATABASE shop TO team; CREATE TABLE team_table (x int); ALTER TABLE team_table OWNER TO team; GRANT SELECT ON team_table TO reader;
    CREATE SCHEMA team_schema; ALTER SCHEMA team_schema OWNER TO team; GRANT USAGE ON SCHEMA public TO someone;
    CREATE EXTENSION unaccent; CREATE EXTENSION seg});
unlink $hostile;
my ($schema, $rows) = (schema_dump($node), checksum_database($node));
my ($job, $event) = backup_of($url);

run_everything('second');
customer(q{DROP TABLE first_house.bill CASCADE; UPDATE first_house.customer SET size = 1, feeling = 'sad';
    CREATE VIEW on_restored AS SELECT id, name FROM first_house.customer;
    CREATE FUNCTION uses(first_house.mood) RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE EXTENSION pgcrypto; CREATE EXTENSION tablefunc; DROP EXTENSION unaccent; DROP EXTENSION seg; CREATE EXTENSION seg SCHEMA first_house;
    ALTER TABLE first_house.parent ADD COLUMN more text; DROP TABLE team_table; DROP SCHEMA team_schema;
    GRANT ALL ON SCHEMA public TO reader; REVOKE USAGE ON SCHEMA public FROM someone; COMMENT ON SCHEMA public IS 'mine';
    ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO someone; ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
    CREATE SCHEMA late; CREATE TABLE late.t (x int); ALTER DEFAULT PRIVILEGES IN SCHEMA late GRANT SELECT ON TABLES TO someone;
    SELECT lo_unlink(oid) FROM pg_largeobject_metadata ORDER BY oid LIMIT 1; SELECT lo_create(99999)});
isnt(schema_dump($node), $schema, 'the database was changed');

my ($done, $result) = restore($job, $event, $url);
is($done->{event}, 'done', 'the rewind') or diag($result->{stdout});
is(schema_dump($node), $schema, 'the same schema, owners and grants included');
is(checksum_database($node), $rows, 'the same rows, sequences and large objects');
ok($done->{target_modified}, 'target_modified');
ok(!-e $hostile, 'no command of a hostile database ran');
is_deeply([ sort @{ $done->{left_alone} } ],
    [ 'schema desk stays: it is another role\'s', 'table desk.kept stays: it is another role\'s' ], 'what was left alone is told');
my @phases = map { $_->{phase} // () } @{ $result->{events} };
is($phases[-1], 'committed', 'phase committed was said');
wait_for(sub { admin(q{SELECT count(*) > 5 FROM pg_stats WHERE schemaname = 'first_house'}) eq 't' }, 20, 'statistics for the planner');
is(admin(q{SELECT count(*) FROM pg_stat_activity WHERE application_name = 'custbackup' AND state <> 'active'}), 0, 'no session is left');

# Once more, over itself; and over an emptied database.
($done) = restore($job, $event, $url);
is($done->{event}, 'done', 'a rewind of what has not changed');
is(schema_dump($node) . checksum_database($node), $schema . $rows, 'changes nothing');
customer('DROP SCHEMA first_house CASCADE; DROP SERVER first CASCADE; DROP PUBLICATION first');
($done, $result) = restore($job, $event, $url);
is($done->{event}, 'done', 'a rewind of an emptied database') or diag($result->{stdout});
is(schema_dump($node) . checksum_database($node), $schema . $rows, 'puts all back');

# The bytes that may be hostile were really there.
like(admin(q{SELECT name FROM first_house.customer WHERE size = 5}), qr/COMMIT;\n\\\.\n\\restrict x/, 'rows that read like commands');

# ---- a clone ------------------------------------------------------------------------------------------------

admin('CREATE ROLE other LOGIN PASSWORD \'other\'; CREATE DATABASE copy OWNER other', 'postgres');
my $copy = customer_url($node, role => 'other', password => 'other', database => 'copy');
($done) = restore($job, $event, $copy, mode => 'clone');
is($done->{reason}, 'not_restorable', 'a clone into a database without the extensions');
like($done->{detail}, qr/extension postgres_fdw.*may not create/, 'names the one that only an administrator can create');
ok(!$done->{target_modified}, 'and touches nothing');
admin(join(';', map { "CREATE EXTENSION $_" } qw(hstore citext pg_trgm btree_gist postgres_fdw))
      . '; GRANT USAGE ON FOREIGN DATA WRAPPER postgres_fdw TO other; CREATE TABLE in_the_way (x int); ALTER TABLE in_the_way OWNER TO other', 'copy');
($done) = restore($job, $event, $copy, mode => 'clone');
is($done->{reason}, 'target_not_empty', 'a clone into a database that holds something');
like($done->{detail}, qr/table public\.in_the_way/, 'names it');
admin('DROP TABLE in_the_way', 'copy');
($done, $result) = restore($job, $event, $copy, mode => 'clone');
is($done->{event}, 'done', 'a clone') or diag($result->{stdout});
is(checksum_database($node, 'copy'), $rows, 'has the same rows');
is(admin(q{SELECT count(*) FROM pg_class WHERE relnamespace = 'first_house'::regnamespace AND relowner <> 'other'::regrole}, 'copy'),
    0, 'all of it is its new owner\'s');
is(admin(q{SELECT count(*) FROM pg_class WHERE relnamespace = 'first_house'::regnamespace AND relacl IS NOT NULL}, 'copy'),
    0, 'without the source\'s grants');
is(admin('SELECT count(*) FROM pg_user_mappings', 'copy'), 0, 'nor its user mappings');
is(schema_dump($node), $schema, 'the source is untouched');

# ---- another database: schema public lost, row level security, an emptied target ------------------------------

{
    admin('CREATE DATABASE small OWNER app', 'postgres');
    my $small = customer_url($node, database => 'small');
    my $as_app = sub { admin("SET SESSION AUTHORIZATION app; $_[0]", 'small') };
    $as_app->('CREATE TABLE t (i int); INSERT INTO t VALUES (1); CREATE VIEW v AS SELECT * FROM t');
    my $before = schema_dump($node, 'small') . checksum_database($node, 'small');
    my ($small_job, $small_event) = backup_of($small);
    my @seconds;
    my $back = sub {
        my ($what) = @_;
        my $begun = Time::HiRes::time();
        my ($said, $ran) = restore($small_job, $small_event, $small);
        push @seconds, Time::HiRes::time() - $begun;
        is($said->{event}, 'done', "a rewind after: $what") or diag($ran->{stdout});
        is(schema_dump($node, 'small') . checksum_database($node, 'small'), $before, 'puts all back');
    };
    $as_app->('DROP SCHEMA public CASCADE');
    $back->('schema public was dropped');
    $as_app->('ALTER TABLE t ENABLE ROW LEVEL SECURITY; ALTER TABLE t FORCE ROW LEVEL SECURITY');
    $back->('row level security was forced');
    $as_app->(q{CREATE TABLE p (a int, b int, PRIMARY KEY (a, b)) PARTITION BY LIST (a); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)
        PARTITION BY LIST (b); CREATE TABLE p11 PARTITION OF p1 FOR VALUES IN (1); CREATE TABLE f (a int, b int, FOREIGN KEY (a, b) REFERENCES p);
        CREATE VIEW w AS SELECT a, b FROM p GROUP BY a, b; CREATE INDEX ON p (b); ALTER TABLE t ADD CHECK (i > 0);
        CREATE TABLE u () INHERITS (t); CREATE FUNCTION fn(t) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
        CREATE TABLE uses (x int DEFAULT (nextval('s')), y t)} =~ s/nextval\('s'\)/1/r);
    $as_app->('CREATE FUNCTION late() RETURNS int LANGUAGE sql AS $$SELECT 1$$; ALTER TABLE uses ADD z int DEFAULT late();
        CREATE FUNCTION row_of(uses) RETURNS int LANGUAGE sql IMMUTABLE AS $$SELECT 1$$; CREATE INDEX ON uses (row_of(uses))');
    $back->('partitions of partitions, inherited constraints, circles of functions and tables');
    # The tools that were there before are waited for, two seconds at most: not those of this restore.
    cmp_ok((sort { $a <=> $b } @seconds)[0], '<', 2, 'a restore waits for none of its own sessions');
}

# ---- seen before anything is touched ---------------------------------------------------------------------------

sub refused
{
    my ($name, $reason, $detail, %option) = @_;
    my $before = schema_dump($node) . checksum_database($node);
    my ($said, $ran) = restore($job, $event, $option{url} // $url, %option);
    is($said->{reason}, $reason, "$name: $reason");
    like($said->{detail} // '', $detail, "$name: says why");
    ok(!$said->{target_modified}, "$name: target_modified false");
    is(schema_dump($node) . checksum_database($node), $before, "$name: nothing has changed");
    return $ran;
}

admin('CREATE VIEW desk.theirs AS SELECT id FROM first_house.customer');
refused('another role\'s view on our table', 'not_restorable',
    qr/view desk\.theirs of role "\w+" depends on table first_house\.customer/);
admin('DROP VIEW desk.theirs');
admin(q{CREATE SUBSCRIPTION sub CONNECTION 'dbname=nowhere' PUBLICATION p WITH (connect = false)});
refused('a subscription', 'not_restorable', qr/subscription sub.*DROP SUBSCRIPTION/);
admin(q{ALTER SUBSCRIPTION sub SET (slot_name = NONE); DROP SUBSCRIPTION sub});
admin('CREATE TABLE desk.secret (x int)');
refused('a table that we may not even lock', 'auth', qr/desk\.secret/);
admin('DROP TABLE desk.secret');
refused('a wrong password', 'auth', qr/28P01/, url => customer_url($node, password => 'x'));
{
    my $other = $node->background_psql('shop');
    $other->query_safe('SELECT pg_advisory_lock(1668641652, 1650549611)');
    refused('another restore at work', 'target_busy', qr/another restore/);
    $other->quit;
}
{
    $node->append_conf('postgresql.conf', "max_locks_per_transaction = 10\nmax_connections = 20\n");
    $node->restart;
    refused('too few locks', 'not_restorable', qr/needs about \d+ locks.*max_locks_per_transaction = 10.*raise max_locks_per_transaction to \d+/);
    $node->append_conf('postgresql.conf', "max_locks_per_transaction = 64\nmax_connections = 100\n");
    $node->restart;
}

# A role that reads everything and owns nothing.
admin(q{CREATE ROLE auditor LOGIN PASSWORD 'x-only-reads' IN ROLE pg_read_all_data}, 'postgres');
refused('a role that owns nothing', 'not_restorable', qr/role "auditor" owns none of the \d+ tables/,
    url => customer_url($node, role => 'auditor', password => 'x-only-reads'));

# What another role had, and has dropped since, is not ours to make again.
admin('DROP TABLE desk.kept');
($done, $result) = restore($job, $event, $url);
is($done->{event}, 'done', 'a rewind without another role\'s table') or diag($result->{stdout});
ok((grep { /table desk\.kept of the backup is not restored: it is another role's/ } @{ $done->{left_alone} }), 'which is told');
admin('CREATE TABLE desk.kept (x int); INSERT INTO desk.kept VALUES (1); GRANT SELECT ON desk.kept TO app');
is(schema_dump($node) . checksum_database($node), $schema . $rows, 'all else is as it was');

# ---- tools ---------------------------------------------------------------------------------------------------------

my %tool = map { my $name = $_; $name => (grep { -x } map { "$_/$name" } split /:/, $ENV{PATH})[0] } qw(pg_dump pg_restore psql);

sub tools_with
{
    my ($label, %script) = @_;
    my $dir = "$directory/tools-$label";
    mkdir $dir or die $!;
    for my $name (keys %tool)
    {
        if (!$script{$name}) { symlink $tool{$name}, "$dir/$name" or die $!; next }
        open my $fh, '>', "$dir/$name" or die $!;
        print $fh $script{$name};
        close $fh;
        chmod 0755, "$dir/$name" or die $!;
    }
    return (settings => { tool_path => $dir });
}

my $pass = qq{#!/bin/sh\n};
refused('pg_restore fails', 'restore', qr/pg_restore exited with 7: broken/,
    tools_with('fails', pg_restore => "$pass$tool{pg_restore} \"\$@\"\necho broken >&2\nexit 7\n"));
refused('pg_restore is killed', 'restore', qr/pg_restore killed by signal 9/,
    tools_with('killed', pg_restore => "$pass$tool{pg_restore} \"\$@\" | head -c 20000\nkill -9 \$\$\n"));
refused('pg_restore ends early, with 0', 'restore', qr/does not end as one does/,
    tools_with('early', pg_restore => "$pass$tool{pg_restore} \"\$@\" | head -c 90000\nexit 0\n"));
refused('a script without \restrict', 'restore', qr/does not begin with \\restrict/,
    tools_with('open', pg_restore => "$pass$tool{pg_restore} \"\$@\" | grep -v restrict\n"));
refused('a command before \restrict', 'restore', qr/does not begin with \\restrict/,
    tools_with('before', pg_restore => "${pass}echo '\\! touch $hostile'\nexec $tool{pg_restore} \"\$@\"\n"));
refused('a command within', 'restore', qr/restrict/,
    tools_with('within', pg_restore => "$pass$tool{pg_restore} \"\$@\" | sed 's|^CREATE TYPE|\\\\! touch $hostile\\nCREATE TYPE|'\n"));
ok(!-e $hostile, 'is not obeyed');
refused('old tools', 'config', qr/CVE-2025-8714.*15\.14/,
    tools_with('old', pg_dump => "${pass}[ \"\$1\" = --version ] && echo 'pg_dump (PostgreSQL) 15.13' || exec $tool{pg_dump} \"\$@\"\n"))
  if $node->pg_version->major == 15;

# Between our look at the schema and our locks the application makes something that hangs on what is to be dropped.
{
    my $view = 'CREATE VIEW meanwhile AS SELECT id FROM first_house.customer';
    my $once = "${pass}$tool{pg_dump} \"\$@\" || exit\ncase \"\$*\" in *schema-only*) [ -e $directory/once ] || { touch $directory/once;"
      . " env -i $tool{psql} -X -q -h " . $node->host . ' -p ' . $node->port . " -d shop -c 'SET SESSION AUTHORIZATION app; $view' >&2; } ;; esac\n";
    my ($said, $ran) = restore($job, $event, $url, tools_with('meanwhile', pg_dump => $once));
    is($said->{event}, 'done', 'a view that was made while the restore began: looked at anew') or diag($ran->{stdout});
    ok(-e "$directory/once", 'it was made');
    is(schema_dump($node) . checksum_database($node), $schema . $rows, 'and all is as it was');
}

# The answer to COMMIT is lost: the server is asked what happened.
{
    my $lost = <<"PERL";
#!/usr/bin/perl
my \$pid = open(my \$psql, '-|', '$tool{psql}', \@ARGV) or die;
\$| = 1;
while (my \$line = <\$psql>)
{
    if (\$line =~ /^custbackup-committed/) { kill 'KILL', \$pid; kill 'KILL', \$\$ }
    print \$line;
}
waitpid \$pid, 0;
exit(\$? >> 8);
PERL
    customer('DROP SCHEMA first_house CASCADE');
    my ($said, $ran) = restore($job, $event, $url, tools_with('lost', psql => $lost));
    is($said->{event}, 'done', 'a commit whose answer was lost is found to have happened') or diag($ran->{stdout});
    is(schema_dump($node) . checksum_database($node), $schema . $rows, 'and it has');
}

# A statement that ends the transaction in the middle is told as what it is.
{
    my ($said) = restore($job, $event, $url,
        tools_with('commits', pg_restore => "$pass$tool{pg_restore} \"\$@\" | sed 's|^CREATE TYPE first_house.pair|COMMIT;\\nBEGIN;\\nCREATE TYPE first_house.pair|'\n"));
    is($said->{reason}, 'restore', 'a backup that commits by itself');
    ok($said->{target_modified}, 'target_modified is told truthfully');
    ($done) = restore($job, $event, $url);
    is($done->{event}, 'done', 'and the next restore mends it');
    is(schema_dump($node) . checksum_database($node), $schema . $rows, 'wholly');
}
done_testing();
