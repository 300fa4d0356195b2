# The reader of custom archives against pg_dump and pg_restore themselves: a database with an object
# of every class, dumped in every way, must read as pg_restore reads it; what is damaged is refused.
use strict;
use warnings;

use JSON::PP ();
use File::Basename qw(basename);
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $reader = "$ENV{UNIT_DIR}/archive_dump";
my $source = $ENV{SOURCE_DIR};
my $dir    = PostgreSQL::Test::Utils::tempdir();

my $node = PostgreSQL::Test::Cluster->new('archive');
$node->init(allows_streaming => 'logical', extra => [ '--locale=C.UTF-8', '--encoding=UTF8' ]);
$node->start;
$node->safe_psql('postgres', "CREATE DATABASE $_") for qw(every empty);
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', 'every', '-f', "$source/test/lib/every_class.sql" ],
    'a database with an object of every class');

# Runs the reader; output, errors, whether it succeeded.
sub reader
{
    my ($what, $file) = @_;
    my ($out, $err) = ('', '');
    my $good = IPC::Run::run([ $reader, $what, $file ], '>', \$out, '2>', \$err);
    return ($out, $err, $good);
}

# Never pg_dump's stdout into a file: 17 and 18 then append their table of contents a second time.
sub dump_database
{
    my ($database, $file, @options) = @_;
    $node->command_ok([ 'pg_dump', '-Fc', '-Z0', '-f', $file, @options, $database ], "pg_dump @options $database");
    return $file;
}

sub spit
{
    my ($file, $bytes) = @_;
    open my $handle, '>:raw', $file or die $!;
    print $handle $bytes;
    close $handle or die $!;
    return $file;
}

# Every entry and its dependencies, line by line as pg_restore prints them.
sub same_as_pg_restore
{
    my ($file, $name) = @_;
    my ($theirs) = run_command([ 'pg_restore', '--list', '--verbose', $file ]);
    my ($ours, $err) = reader('list', $file);
    $theirs = join "\n", grep { !/^;(?!\t)/ } split /\n/, $theirs;
    chomp $ours;
    is($ours, $theirs, "$name: the list is pg_restore's");
    return scalar grep { /^\d/ } split /\n/, $ours;
}

sub counts_of
{
    my ($file, $name) = @_;
    my ($out, $err, $good) = reader('prove', $file);
    ok($good, "$name: proven whole") or diag $err;
    return $good ? JSON::PP->new->decode($out) : {};
}

my $major  = $node->pg_version->major;
my $every  = dump_database('every', "$dir/every.dump");
my $counts = counts_of($every, 'everything');
my $in_toc = same_as_pg_restore($every, 'everything');

# What the server counts must be what the archive counts.
my $rows = $node->safe_psql('every', q{SELECT sum((xpath('/row/n/text()', query_to_xml(
    format('SELECT count(*) AS n FROM ONLY %s', c.oid::regclass), false, true, '')))[1]::text::bigint)
    FROM pg_class c WHERE relkind = 'r' AND relnamespace = 'things'::regnamespace});
is($counts->{rows}, $rows, "rows are the server's $rows, whatever stands in them");
is($counts->{large_objects}, $node->safe_psql('every', 'SELECT count(*) FROM pg_largeobject_metadata'), 'large objects');
is($counts->{tables}, $node->safe_psql('every',
    q{SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'p', 'f') AND relnamespace = 'things'::regnamespace}), 'tables');
is($counts->{indexes} + $counts->{constraints}, $node->safe_psql('every',
    q{SELECT count(*) FILTER (WHERE NOT indisunique) + 2 + count(*) FILTER (WHERE indisunique) FROM pg_index i
      JOIN pg_class c ON c.oid = indexrelid WHERE relnamespace = 'things'::regnamespace}), 'indexes and constraints');
is($counts->{extensions}, 2, 'extensions');
is($counts->{entries}, $in_toc, 'entries');

my %entry_of = map { my $e = JSON::PP->new->utf8->decode($_); ($e->[0] => $e) } split /\n/, (reader('entries', $every))[0];
is(scalar(grep { $_->[1] eq 'OTHER' } values %entry_of), 0, 'every class is known');
my ($weird) = grep { $_->[1] eq 'TABLE' && $_->[4] =~ /break/ } values %entry_of;
is($weird->[4], "line\nbreak; -- \"quoted\" \x{fc}n\x{ef}code", 'a name with all that a name may hold');
like($weird->[9], qr/CREATE TABLE things\."line\nbreak/, '... its definition');
like($weird->[10], qr/^DROP TABLE things\."line\nbreak; -- ""quoted"" \x{fc}n\x{ef}code";\n$/, '... its drop statement');

# Together the definitions, drop statements and copy statements are the very script of pg_restore.
my ($script) = run_command([ 'pg_restore', '--clean', '-f', '-', $every ]);
utf8::decode($script);
my @lost = grep { my $e = $_; grep { defined && length && index($script, $_) < 0 } @{$e}[9 .. 11] }
  grep { $_->[1] !~ /^(DATABASE|DATABASE PROPERTIES|ENCODING|STDSTRINGS|SEARCHPATH|BLOB METADATA)$/ } values %entry_of;
is(join("\n", map { "$_->[1] $_->[4]" } @lost), '', "every statement stands in pg_restore's script");

my ($header) = reader('header', $every);
like($header, qr/^database=every\n/m, 'the database');
like($header, qr/^server_version=\Q${\ $node->safe_psql('every', 'SHOW server_version')}\E\n/m, "the server's version");
like($header, qr/^encoding=UTF8\nstandard_conforming_strings=1\n/m, 'encoding');
like($header, qr/^large_objects=3\n/m, 'large objects by the TOC');

# Every other way to dump.
my @ways = ([ 'schema', '--schema-only' ], [ 'data', '--data-only' ], [ 'compressed', '-Z', '6' ], [ 'inserts', '--inserts' ]);
push @ways, [ 'lz4', '--compress=lz4' ], [ 'zstd', '--compress=zstd' ] if $major >= 16;
push @ways, [ 'statistics', '--statistics' ] if $major >= 18;
for my $way (@ways)
{
    my ($name, @options) = @$way;
    my $file = dump_database('every', "$dir/$name.dump", @options);
    my $these = counts_of($file, $name);
    same_as_pg_restore($file, $name);
    is(exists $these->{rows}, scalar($name =~ /schema|data|statistics/), "$name: rows are counted where they can be");
}
my $empty = counts_of(dump_database('empty', "$dir/empty.dump"), 'an empty database');
is($empty->{tables} + $empty->{rows} + $empty->{data_entries}, 0, 'an empty database is a whole archive of nothing');

# Through a pipe, as the mover reads it.
my ($out, $err) = ('', '');
ok(IPC::Run::run([ 'pg_dump', '-Fc', '-Z0', '-h', $node->host, '-p', $node->port, 'every' ], '|', [ $reader, 'prove', '-' ],
        '>', \$out, '2>', \$err), 'a dump into a pipe is proven whole') or diag $err;
is_deeply(JSON::PP->new->decode($out), $counts, '... with the same counts');

# The list that we write is one that pg_restore takes, and it chooses by it.
my ($list) = reader('list', $every);
my @tables = grep { /^\d+; \d+ \d+ TABLE things / } split /\n/, $list;
my $chosen = spit("$dir/list", join("\n", @tables) . "\n");
my ($chosen_script) = run_command([ 'pg_restore', '-L', $chosen, '-f', '-', $every ]);
is(scalar(() = $chosen_script =~ /^CREATE (?:UNLOGGED )?TABLE /mg), scalar @tables, 'pg_restore -L takes our list');

# Other formats, and damage.
$node->command_ok([ 'pg_dump', '-Fp', '-f', "$dir/plain.sql", 'every' ], 'plain SQL');
$node->command_ok([ 'pg_dump', '-Ft', '-f', "$dir/every.tar", 'every' ], 'tar');
$node->command_ok([ 'pg_dump', '-Fd', '-f', "$dir/every.dir", 'every' ], 'directory');
my $bytes = slurp_file($every);
for my $case (
    [ "$dir/plain.sql", qr/this is an SQL script/ ],
    [ "$dir/every.tar", qr/this is a tar archive/ ],
    [ "$dir/every.dir/toc.dat", qr/the toc\.dat of a dump in directory/ ],
    [ spit("$dir/cut", substr $bytes, 0, -1), qr/it ends in the data of dump id/ ],
    [ spit("$dir/more", "$bytes\n"), qr/something follows its end/ ],
    [ spit("$dir/twice", $bytes . $bytes), qr/something follows its end/ ],
    [ spit("$dir/nothing", ''), qr/^too_small: .*the stream is empty/ ])
{
    my ($file, $says) = @$case;
    my (undef, $complaint, $good) = reader('prove', $file);
    ok(!$good, 'refused: ' . basename($file));
    like($complaint, $says, '... with the cause');
}
if ($major >= 17)
{
    system("pg_dump -Fc -Z0 -h '@{[ $node->host ]}' -p @{[ $node->port ]} every > '$dir/redirected'");
    like((reader('prove', "$dir/redirected"))[1], qr/something follows its end/, 'a redirected dump of 17 and later ends twice');
}

done_testing();
