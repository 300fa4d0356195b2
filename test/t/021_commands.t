# list, verify, get and restore: the operator's tools, with nothing but a store made by real backups.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use CustbackupTest;
use Digest::SHA;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::Piece ();

my ($settings, $store_url, $directory) = mover_settings();
my $store    = "$directory/store";
my $customer = start_customer();
my $url      = customer_url($customer);

$customer->safe_psql('shop', <<'SQL');
SET ROLE app;
CREATE TABLE item (id int PRIMARY KEY, name text);
INSERT INTO item SELECT g, md5(g::text) FROM generate_series(1, 5000) g;
SQL

sub slurp_raw { my ($file) = @_; open my $fh, '<:raw', $file or die "$file: $!"; local $/; return scalar <$fh> }

sub put_raw { my ($file, $bytes) = @_; open my $fh, '>:raw', $file or die "$file: $!"; print $fh $bytes; close $fh or die $!; return }

# Runs the tool; returns (exit, stdout, stderr).
sub tool
{
    my ($command, $stdin, @arguments) = @_;
    my ($out, $err) = ('', '');
    local $ENV{CUSTBACKUP_SETTINGS};
    delete $ENV{CUSTBACKUP_SETTINGS};
    # From a file: whoever refuses before it reads would break a pipe.
    put_raw("$directory/stdin", $stdin);
    IPC::Run::run([ $mover, $command, @arguments ], '<', "$directory/stdin", '>', \$out, '2>', \$err, IPC::Run::timeout(120));
    return ($? >> 8, $out, $err);
}

sub on_store { my ($command, @arguments) = @_; return tool($command, '', "--store=$store_url", @arguments) }

my ($exit, $out, $err) = on_store('list');
is($exit, 0, 'an empty store is listed') or diag $err;
is(scalar(split /\n/, $out), 1, 'as a heading alone');
($exit, $out, $err) = on_store('verify');
is("$exit $out", "0 0 of 0 verified, 0 bad\n", 'and verified');

my %job;
for my $token ('acme-main', 'acme-main', 'other')
{
    my $job = backup_job($settings, $store_url, $url, token => $token);
    my $done = last_event(run_mover($settings, $job));
    is($done->{event}, 'done', "a backup of $token") or BAIL_OUT('no backup');
    push @{ $job{$token} }, { %$job, done => $done };
    sleep 1;    # so that the next one is newer
}
my ($first, $second) = @{ $job{'acme-main'} };
my $id = $first->{job_id};

# ---- list ----------------------------------------------------------------------------------------

($exit, $out, $err) = on_store('list');
is($exit, 0, 'list') or diag $err;
my @lines = split /\n/, $out;
is(scalar @lines, 4, 'three backups');
like($lines[1], qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ postgres +[\d.]+ kB +[\d.]+ kB +$id acme-main$/, 'the oldest first, with what matters');
# On terminals of all widths, by a command that anybody has: as wide as it may be, with all that a command takes.
for my $width (40, 59, 60, 80, 103, 104, 200)
{
    my $shown = '';
    IPC::Run::run([ 'script', '-qec', "stty cols $width; '$mover' list '--store=$store_url'", '/dev/null' ], '<', '/dev/null', '>', \$shown);
    $shown =~ s/.*\r\e\[K//s;    # the line of progress
    my @shown = split /\r?\n/, $shown;
    is_deeply([ grep { length > $width } @shown ], [], "no line of the list is longer than $width columns");
    is(scalar(@shown), $width < 60 ? 8 : 4, '  nor are there more of them than needed');
    like($shown, qr/\Q${\substr($id, 0, 8)}\E\S* acme-main/, '  and what is needed stands there');
}
($exit, $out) = on_store('list', '--json');
my @objects = map { JSON::PP::decode_json($_) } split /\n/, $out;
is(scalar @objects, 3, 'three as JSON');
is_deeply(
    [ @{ $objects[0] }{qw(key backup_id sha256 raw_bytes stored_bytes problem)} ],
    [ "acme-main/$id.dump.gz", $id, @{ $first->{done} }{qw(sha256 raw_bytes stored_bytes)}, undef ],
    'with all that the manifest says'
);
($exit, $out) = on_store('list', '--json', '--token=other');
like($out, qr/\A\{"key":"other[^\n]+\n\z/, 'of one token');
($exit, $out) = on_store('list', '--json', '--token=nobody');
is("$exit$out", '0', 'of a token that is not there: none');
($exit, $out) = on_store('list', '--json', '--latest', '--token=acme-main');
is(JSON::PP::decode_json($out)->{backup_id}, $second->{job_id}, 'the latest of a token');
($exit, $out) = on_store('list', '--json', substr($id, 0, 8));
is(JSON::PP::decode_json($out)->{backup_id}, $id, "by the id's beginning");
($exit, $out) = on_store('list', '--json', "--since=$objects[1]{finished_at}");
is(scalar(split /\n/, $out), 2, 'since a time');
($exit, $out) = on_store('list', '--json', "--until=$objects[1]{finished_at}");
is(scalar(split /\n/, $out), 2, 'until a time');
($exit, $out) = on_store('list', '--json', '--until=1d');
is($out, '', 'until a day ago: none');
($exit, $out) = on_store('list', '--json', '--since=2h', '--until=2100-01-01');
is(scalar(split /\n/, $out), 3, 'within two times');

# The same moment, as it is written elsewhere.
my $second_end = Time::Piece->strptime($objects[1]{finished_at}, '%Y-%m-%dT%H:%M:%SZ');
for my $time ($second_end->strftime('%Y-%m-%d %H:%M:%S'), $second_end->strftime('%Y-%m-%dT%H:%M:%S+00:00'), ($second_end + 5400)->strftime('%Y-%m-%dT%H:%M:%S+01:30'),
    ($second_end - 3600)->strftime('%Y-%m-%d %H:%M:%S-0100'))
{
    local $ENV{TZ} = 'America/New_York';
    is(scalar(split /\n/, (on_store('list', '--json', "--since=$time"))[1]), 2, "since $time");
}

# ---- what is wrong is said -----------------------------------------------------------------------

for my $case (
    [ [ 'list' ],                                             2, qr/--store=URL/ ],
    [ [ 'list', "--store=$store_url", '--since=yesterday' ],   2, qr/is no time: write/ ],
    [ [ 'list', "--store=$store_url", '--since=2026-02-30' ],  2, qr/is no time: write/ ],
    [ [ 'list', "--store=$store_url", '--since=1d', '--until=2d' ], 2, qr/nothing lies between/ ],
    [ [ 'list', '--store=s3://KEY:SEC/RET@bucket' ],           1, qr/\A[^S]*credentials do not belong here/ ],
    [ [ 'check-store', '--name' ],                             2, qr/requires an argument.*--help/s ],
    [ [ 'list', "--store=$store_url", '--token=../x' ],        2, qr/takes a token/ ],
    [ [ 'list', "--store=$store_url", 'abc' ],                 2, qr/no backup's id/ ],
    [ [ 'list', "--store=$store_url", '--no-such-option' ],    2, qr/--help/ ],
    [ [ 'list', "--store=$store_url-missing" ],                1, qr/does not exist/ ],
    [ [ 'list', '--store=ftp://host/x' ],                      1, qr/names no kind of store/ ],
    [ [ 'verify', "--store=$store_url", '--sample=0' ],        2, qr/percentage/ ],
    [ [ 'verify', "--store=$store_url", '--sample=101%' ],     2, qr/percentage/ ],
    [ [ 'verify', "--store=$store_url", '00000000-0000-4000-8000-000000000000' ], 1, qr/no such backup/ ],
    [ [ 'verify', "--store=$store_url", '--token=nobody' ],    1, qr/no such backup/ ],
    [ [ 'verify', "--store=$store_url", '--until=1d' ],        1, qr/no such backup/ ],
    [ [ 'get', "--store=$store_url" ],                         2, qr/name one backup/ ],
    [ [ 'get', "--store=$store_url", '--latest' ],             2, qr/--latest goes with --token/ ],
    [ [ 'get', "--store=$store_url", '--json', $id ],          2, qr/--json goes with --output/ ],
    [ [ 'get', "--store=$store_url", '00000000' ],             1, qr/no such backup/ ],
    [ [ 'get', "--store=$store_url", '--output=', $id ],       2, qr/--output takes the name of a new file/ ],
    [ [ 'list', "--store=$store_url", '--since=2026-11-23T14:00+99' ], 2, qr/is no time: write/ ],
    [ [ 'restore', "--store=$store_url" ],                     2, qr/name one backup/ ],
    [ [ 'restore', "--store=$store_url", $id, $url ],          2, qr/too many arguments/ ],
    [ [ 'restore', "--store=$store_url", $id ],                1, qr/holds no connection URL/ ],
  )
{
    my ($arguments, $status, $pattern) = @$case;
    my ($got, undef, $words) = tool($arguments->[0], '', @{$arguments}[ 1 .. $#$arguments ]);
    is($got, $status, "custbackup @{$arguments}[0, 2 .. $#$arguments] ends with $status") if !grep { $_ eq $url } @$arguments;
    like($words, $pattern, '  and says why');
    unlike($words, qr/\Q$customer->{customer}{password}\E|s3cret/, '  without any secret');
}
# The same for scripts: an object with reason and detail is the last line of standard output, at every command and from the beginning.
for my $case (
    [ 'list',        1, 'store',     qr/does not exist/,    "--store=$store_url-missing" ],
    [ 'verify',      1, 'config',    qr/no such backup/,    "--store=$store_url", '00000000-0000-4000-8000-000000000000' ],
    [ 'get',         1, 'config',    qr/no such backup/,    "--store=$store_url", '00000000', "--output=$directory/nothing" ],
    [ 'get',         2, 'config',    qr/--json goes with/,  "--store=$store_url", $id ],
    [ 'restore',     1, 'config',    qr/no such backup/,    "--store=$store_url", '00000000' ],
    [ 'restore',     1, 'bad_url',   qr/no connection URL/, "--store=$store_url", $id ],
    [ 'list',        2, 'config',    qr/unknown/,           "--store=$store_url", '--no-such-option' ],
    [ 'list',        2, 'config',    qr/is no time/,        "--store=$store_url", "--since=\xff" ],
    [ 'list',        2, 'config',    qr/--store=URL says/ ],
    [ 'list',        1, 'config',    qr/spool|keys|read/,   "--store=s3://bucket?region=x", "--credentials-file=$directory/none" ],
    [ 'check-store', 2, 'config',    qr/one argument/ ],
    [ 'check-store', 1, undef,       qr/./,                 "$store_url-missing" ],
    [ 'check-store', 1, 'config',    qr/names no kind/,     'ftp://host/x' ],
  )
{
    my ($command, $status, $reason, $pattern, @arguments) = @$case;
    my ($got, $told, $words) = tool($command, '', '--json', @arguments);
    my ($line) = $command eq 'check-store' && $told =~ /^\{\n/ ? $told : (split /\n/, $told)[-1];
    my $object = eval { JSON::PP::decode_json($line // '') } // {};
    is($got, $status, "custbackup $command --json @arguments[1 .. $#arguments] ends with $status");
    is($object->{reason}, $reason // $object->{reason}, '  tells its reason');
    like($object->{detail}, $pattern, '  and why, as JSON') or diag $told, $words;
    isnt($words, '', '  and people on standard error') if $command ne 'check-store' || $status == 2;
}
for my $command (qw(list verify get restore))
{
    ($exit, $out) = tool($command, '', '--help');
    is($exit, 0, "$command --help");
    like($out, qr/Usage: custbackup $command .*Examples:.*--store=/s, '  with examples');
}

# ---- get -----------------------------------------------------------------------------------------

($exit, $out, $err) = on_store('get', $id);
is($exit, 0, 'get') or diag $err;
is(Digest::SHA::sha256_hex($out), $first->{done}{sha256}, 'gives the stored bytes');
like($err, qr/verified/, 'and says that they were verified');
($exit, $out) = on_store('get', '--unpack', $id);
is(length $out, $first->{done}{raw_bytes}, 'or the raw ones');
is(substr($out, 0, 5), 'PGDMP', 'which are what pg_dump wrote');
my $file = "$directory/got.gz";
($exit, $out) = on_store('get', "--output=$file", '--token=acme-main', '--latest');
is("$exit$out", '0', 'into a file');
is(Digest::SHA->new(256)->addfile($file, 'b')->hexdigest, $second->{done}{sha256}, 'of the latest');
is(sprintf('%o', (stat $file)[2] & 07777), '600', 'that is ours alone');
($exit, undef, $err) = on_store('get', "--output=$file", $id);
is($exit, 1, 'a file that is there is not overwritten');
like($err, qr/"\Q$file\E" is there already and is not overwritten/, '  and that is said');
($exit, undef, $err) = on_store('get', '--output=/dev/full', $id);
is($exit, 1, 'nor is a device');
{
    my $sink = '';
    for my $command ("list --store=$store_url", "verify --store=$store_url", "check-store $store_url", "check-store --json $store_url")
    {
        IPC::Run::run([ 'sh', '-c', "'$mover' $command >/dev/full" ], '2>', \$sink);
        is($? >> 8, 1, "$command into an output that is full fails");
        like($sink, qr/could not write to standard output/, '  and says so');
    }
    IPC::Run::run([ 'sh', '-c', '"$0" get "--store=$1" "$2" >/dev/full', $mover, $store_url, $id ], '2>', \$sink);
    is($? >> 8, 1, 'an output that is full fails');
    like($sink, qr/No space left/, '  with the reason');
}

# Whoever reads no more has seen enough, and needs no word about it.
for my $command ('list', 'verify', 'list --json', 'verify --json')
{
    my $said = '';
    pipe(my $reader, my $writer) or die $!;
    close $reader;
    my $harness = IPC::Run::start([ $mover, (split / /, $command), "--store=$store_url" ], '>', $writer, '2>', \$said);
    close $writer;
    $harness->finish;
    is($harness->full_result(0) & 127, 13, "$command, read by nobody, ends as other commands do");
    is($said, '', '  without a word');
}

# By hand, as docs/manifest.md says, when everything else is gone.
$customer->safe_psql('postgres', 'CREATE DATABASE by_hand OWNER app');
my $object = "$store/acme-main/$id.dump.gz";
is(system("gzip -dc '$object' | pg_restore --no-owner --single-transaction -h '" . $customer->host . "' -p " . $customer->port . " -d by_hand"), 0, 'gzip -dc | pg_restore');
is(checksum_database($customer, 'by_hand'), checksum_database($customer, 'shop'), 'puts everything back by hand');

# ---- restore -------------------------------------------------------------------------------------

$customer->safe_psql('postgres', 'CREATE DATABASE clone OWNER app');
my $clone_url = customer_url($customer, database => 'clone');
my $before = checksum_database($customer);
my @local = ("--spool-dir=$directory/spool", '--allow-local-targets');

($exit, $out, $err) = tool('restore', $clone_url, "--store=$store_url", @local, $id);
is($exit, 0, 'restore into an empty database') or diag $err;
like($err, qr/^restored$/m, 'says so');
is($out, '', 'and nothing else on standard output');
is(checksum_database($customer, 'clone'), $before, 'and it holds what the backup held');

($exit, $out, $err) = tool('restore', "$clone_url\n", "--store=$store_url", @local, $id);
is($exit, 1, 'a second one is refused');
like($err, qr/target_not_empty.*The target is as it was\./s, 'because the target is not empty');

$customer->safe_psql('clone', 'SET ROLE app; DELETE FROM item WHERE id > 10; CREATE TABLE later (x int)');
($exit, $out, $err) = tool('restore', $clone_url, "--store=$store_url", @local, '--rewind', '--json', '--token=acme-main', '--latest');
is($exit, 0, 'a rewind puts it back') or diag $out, $err;
my @events = events_of($out);
is_deeply([ $events[0]{event}, $events[-1]{event} ], [ 'started', 'done' ], 'telling events as JSON');
is(checksum_database($customer, 'clone'), $before, 'exactly');

($exit, $out, $err) = tool('restore', customer_url($customer, password => 'wrong-password'), "--store=$store_url", @local, '--rewind', $id);
is($exit, 1, 'a wrong password fails');
like($err, qr/failed \(auth\)/, '  with its reason');
unlike($err, qr/wrong-password/, '  and without it');
($exit, $out, $err) = tool('restore', $clone_url, "--store=$store_url", $id);
like($err, qr/failed \(bad_url\)/, 'a target on this host needs --allow-local-targets');

# Every example of --help, as it stands there but for the store and the id.
mkdir "$directory/examples";
symlink $mover, "$directory/examples/custbackup";
put_raw("$directory/examples/url.txt", "$clone_url\n");
for my $command (qw(list verify get restore))
{
    my (undef, $help) = tool($command, '', '--help');
    my ($examples) = $help =~ /^Examples:\n(.*?)^\n/ms;
    my @examples = map { s/^  //mgr } split /^  (?=custbackup)/m, $examples;
    shift @examples;
    cmp_ok(scalar @examples, '>=', 2, "$command --help has examples");
    for my $example (@examples)
    {
        my $line = $example =~ s{(s3://backups/eu|file:///var/backups/custbackup)}{$store_url}gr =~ s/0b9c71e2/$id/r =~ s/(?<=custbackup restore) / @local /r;
        $customer->safe_psql('postgres', 'DROP DATABASE clone WITH (FORCE)');
        $customer->safe_psql('postgres', 'CREATE DATABASE clone OWNER app');
        my ($said, $complaint) = ('', '');
        IPC::Run::run([ 'sh', '-c', "cd '$directory/examples'; PATH=.:\$PATH; jq() { cat; }; $line" ], '<', '/dev/null', '>', \$said, '2>', \$complaint, IPC::Run::timeout(60));
        is($? >> 8, 0, "can be copied: $example") or diag $line, $said, $complaint;
    }
}

# ---- verify --------------------------------------------------------------------------------------

($exit, $out, $err) = on_store('verify');
is($exit, 0, 'verify: all are good') or diag $out, $err;
is(scalar(() = $out =~ /^good  /mg), 3, 'each is said to be');
like($out, qr/^3 of 3 verified, 0 bad$/m, 'and counted');
($exit, $out) = on_store('verify', '--deep', '--json', $id);
is_deeply(JSON::PP::decode_json($out), { key => "acme-main/$id.dump.gz", good => JSON::PP::true, problem => undef }, 'one of them, deeply, as JSON');
($exit, $out) = on_store('verify', '--sample=5%');
like($out, qr/^1 of 3 verified, 0 bad$/m, 'a sample of 5 % is at least one');

my $whole = slurp_raw($object);
my $flipped = $whole;
substr($flipped, 1000, 1) ^= "\x04";
put_raw($object, $flipped);
($exit, $out) = on_store('verify');
is($exit, 1, 'one flipped bit is found');
like($out, qr{^BAD   acme-main/$id\.dump\.gz: .* is not what was stored: its sha256 is}m, '  and named');
like($out, qr/^3 of 3 verified, 1 bad$/m, '  among the others');
($exit, undef, $err) = on_store('get', "--output=$directory/bad.gz", $id);
is($exit, 1, 'such a backup is not fetched');
ok(!-e "$directory/bad.gz", '  nor any part of it');
put_raw($object, substr($whole, 0, 500));
($exit, $out) = on_store('verify');
like($out, qr/^BAD .*holds 500 bytes where \d+ were stored/m, 'a cut one is found without reading it');
($exit, $out) = on_store('list');
like($out, qr/^! acme-main.*holds 500 bytes/m, '  and listed so');
unlink $object;
($exit, $out) = on_store('verify');
like($out, qr/^BAD .*manifest, but no object/m, 'a missing one is found');
put_raw($object, $whole);

my $manifest_file = "$store/acme-main/$id.json";
my $manifest = slurp_raw($manifest_file);
sub with_manifest { my ($text) = @_; put_raw($manifest_file, $text); my @got = on_store('verify'); put_raw($manifest_file, $manifest); return "$got[0] $got[1]" }
like(with_manifest('{'),                                        qr/^1 .*BAD .*not JSON.*put that back, or use the object by hand/s, 'a manifest that is no JSON');
like(with_manifest($manifest =~ s/"format": 1/"format": 2/r),    qr/^1 .*BAD .*use a newer custbackup/s,         'one of a newer format');
like(with_manifest($manifest =~ s/acme-main/other/gr),           qr/^1 .*BAD .*another object's/s,               "another token's");
like(with_manifest($manifest =~ s/"raw_bytes": \d+/"raw_bytes": 5/r), qr/^1 .*BAD .*gzip trailer/s,              'one with another raw size');
like(with_manifest(' ' x 2_000_000),                             qr/^1 .*BAD .*holds 2000000 bytes where at most/s, 'one of 2 MB');
my $evil = with_manifest($manifest =~ s/"finished_at": "[^"]*"/"finished_at": "\\u001b[31mred"/r);
like($evil, qr/^1 .*BAD .*finished_at/s, 'one whose time is none');
unlike($evil, qr/\e/, '  and which cannot speak to the terminal');
put_raw($manifest_file, $manifest =~ s/"engine": "postgres"/"engine": "oracle"/r);
($exit, $out) = on_store('verify', '--deep');
like("$exit $out", qr/\A1 BAD .*does not have, "oracle".*^3 of 3 verified, 1 bad$/ms, 'one of an engine that is none, among others');
put_raw($manifest_file, $manifest);
unlink $manifest_file;
($exit, $out) = on_store('verify', '--json');
is($exit, 1, 'an object without a manifest');
like($out, qr/"problem":"there is an object, but no manifest/, '  is named');
# Another backup's id begins as its own does.
my $alike = substr($id, 0, 8) . '-0000-4000-8000-000000000000';
put_raw("$store/acme-main/$alike.$_", $_ eq 'json' ? $manifest =~ s/\Q$id\E/$alike/gr : $whole) for 'json', 'dump.gz';
($exit, undef, $err) = on_store('get', "--output=$directory/alike", substr($id, 0, 8));
is($exit, 1, 'an id that may mean a damaged backup');
like($err, qr/begins the id of several backups/, '  means no other');
($exit, undef, $err) = on_store('get', "--output=$directory/alike", substr($alike, 0, 13));
is($exit, 0, '  until there is more of it') or diag $err;
unlink "$store/acme-main/$alike.json", "$store/acme-main/$alike.dump.gz";
put_raw($manifest_file, $manifest);
put_raw("$store/acme-main/readme.txt", "somebody's");
put_raw("$store/acme-main/" . uc($id) . '.json', "somebody's");
mkdir "$store/lost+found";
($exit, $out) = on_store('verify');
like($out, qr/^3 of 3 verified, 0 bad$/m, "other people's files are not counted");

done_testing();
