# The estimate of locks against a real server: one transaction that drops, another that creates, what an
# archive holds, each statement as pg_restore prints it.  The estimate must not be below, nor far above.
use strict;
use warnings;

use IPC::Run ();
use JSON::PP ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $reader = "$ENV{UNIT_DIR}/archive_dump";
my $dir    = PostgreSQL::Test::Utils::tempdir();
my $count  = q{SELECT 'locks: ' || count(DISTINCT (locktype, database, relation, classid, objid, objsubid))
    FROM pg_locks WHERE pid = pg_backend_pid() AND NOT fastpath AND locktype NOT IN ('virtualxid', 'transactionid')};

my $node = PostgreSQL::Test::Cluster->new('locks');
$node->init(allows_streaming => 'logical', extra => [ '--locale=C.UTF-8', '--encoding=UTF8' ]);
$node->append_conf('postgresql.conf', "max_locks_per_transaction = 512\n");
$node->start;

# Locks that this script holds just before its end; it is rolled back.
sub locks_of
{
    my ($database, $script) = @_;
    my ($out, $err) = ('', '');
    IPC::Run::run([ 'psql', '-X', '-A', '-t', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($database) ],
        '<', \"BEGIN;\n$script;\n$count;\nROLLBACK;\n", '>', \$out, '2>', \$err) or diag $err;
    return $out =~ /^locks: (\d+)$/m ? $1 : -1;
}

# From 17 on large objects are listed in one entry, whose drop statement is only a comment.
sub drop_statement
{
    my ($entry) = @_;
    return $entry->[10] // '' if $entry->[1] ne 'BLOB METADATA';
    return join ';', map { "SELECT lo_unlink($_)" } split /\n/, $entry->[9];
}

# The archive's drop statements in reverse order, but of a partition's key, which goes with its parent's.
sub drop_script
{
    my ($archive) = @_;
    my ($lines)   = run_command([ $reader, 'entries', $archive ]);
    my @entries  = map { JSON::PP->new->utf8->decode($_) } split /\n/, $lines;
    my %attached = map { ($_->[4] => 1) } grep { $_->[1] eq 'INDEX ATTACH' } @entries;
    return join '', map { drop_statement($_) . ';' }
      grep { $_->[1] ne 'DATABASE' && !($_->[1] eq 'CONSTRAINT' && $attached{ $_->[4] =~ s/.* //r }) } reverse @entries;
}

sub compare
{
    my ($name, $sql) = @_;
    my $archive = "$dir/$name";
    $node->safe_psql('postgres', "CREATE DATABASE $_") for $name, "${name}_copy";
    $node->safe_psql($name, $sql);
    $node->command_ok([ 'pg_dump', '-Fc', '-Z0', '-f', $archive, $name ], "$name is dumped");
    my ($estimate) = run_command([ $reader, 'locks', $archive ]);
    my %estimated = $estimate =~ /^(\w+)=(\d+)$/mg;
    my ($create) = run_command([ 'pg_restore', '--single-transaction', '-f', '-', $archive ]);
    $create =~ s/^(?:\\(?:un)?restrict .*|BEGIN;|COMMIT;)\n//mg;
    my %held = (create => locks_of("${name}_copy", $create), drop => locks_of($name, drop_script($archive)));
    for my $what (qw(drop create))
    {
        cmp_ok($estimated{$what}, '>=', $held{$what}, "$name, $what: $estimated{$what} is not below what is held");
        # Older minor versions hold fewer while they create: they do not lock what a new object depends on.
        my $times = $what eq 'drop' ? 2 : 10;
        cmp_ok($estimated{$what}, '<=', $times * $held{$what} + 10, "... nor $times times $held{$what}");
    }
}

compare('tables', join ';', map { "CREATE TABLE t$_ (id serial PRIMARY KEY, name text DEFAULT 'x' NOT NULL CHECK (name <> ''),
    parent integer REFERENCES t$_, twice integer GENERATED ALWAYS AS (parent * 2) STORED);
    CREATE INDEX ON t$_ (name); COMMENT ON TABLE t$_ IS 'a table'" } 1 .. 50);
compare('small_tables', join ';', map { "CREATE TABLE t$_ (id integer PRIMARY KEY)" } 1 .. 100);
compare('views', "CREATE TABLE t (a integer, b text);" . join ';',
    map { "CREATE VIEW v$_ AS SELECT * FROM t; CREATE MATERIALIZED VIEW m$_ AS SELECT * FROM t" } 1 .. 50);
compare('types', join ';', map { "CREATE TYPE e$_ AS ENUM ('a'); CREATE TYPE c$_ AS (a integer); CREATE DOMAIN d$_ AS integer CHECK (VALUE > 0);
    CREATE TYPE r$_ AS RANGE (subtype = float8)" } 1 .. 30);
compare('functions', join ';', map { "CREATE FUNCTION f$_(integer) RETURNS integer LANGUAGE sql AS 'SELECT 1'; COMMENT ON FUNCTION f$_ IS 'x'" } 1 .. 100);
compare('large_objects', 'CREATE ROLE keeper; SELECT lo_create(i) FROM generate_series(100001, 100300) i;' . join ';', map { "ALTER LARGE OBJECT " . (100000 + $_) . ' OWNER TO keeper' } 1 .. 300);
compare('partitions', "CREATE TABLE p (a integer PRIMARY KEY, b text) PARTITION BY RANGE (a); CREATE INDEX ON p (b);" . join ';',
    map { "CREATE TABLE p$_ PARTITION OF p FOR VALUES FROM ($_) TO ($_ + 1)" } 1 .. 50);

done_testing();
