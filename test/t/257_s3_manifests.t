# A bucket of many backups: their manifests are read several at a time, and those that cannot matter not at all.
use strict;
use warnings;

use CustbackupTest;
use FaultProxy;
use Fcntl qw(:flock);
use IPC::Run ();
use JSON::PP ();
use POSIX ();
use PostgreSQL::Test::Utils;
use S3Test;
use Test::More;
use Time::HiRes qw(sleep time);

my $directory = PostgreSQL::Test::Utils::tempdir();
my ($log, $buckets) = (undef, 0);    # what the newest bucket was asked for
my $credentials = "$directory/credentials";
append_to_file($credentials, "[default]\naws_access_key_id = $access_key\naws_secret_access_key = $secret_key\n");
chmod 0600, $credentials;

# Backup number n finished n hours after the year began; it lies in the store since then.
my $begin = POSIX::mktime(0, 0, 0, 1, 0, 126);
sub id_of { return sprintf '018f0000-0000-4000-8000-%012d', $_[0] }
sub time_of { return POSIX::strftime('%Y-%m-%dT%H:%M:%SZ', gmtime($begin + 3600 * $_[0])) }

sub manifest
{
    my ($number) = @_;
    my $id = id_of($number);
    return JSON::PP::encode_json({
        format => 1, backup_id => $id, attempt_id => $id, key => "acme/$id.dump.gz", resource_id => $id, token => 'acme', team_id => undef,
        tier => 'pro', type => 'postgres', engine => 'postgres', server_version => '17.2', tool_version => '17.2', consistency => 'snapshot',
        sha256 => '0' x 64, raw_bytes => 1000, stored_bytes => 100, encryption => 'none', started_at => time_of($number),
        finished_at => time_of($number), counts => { tables => 3 }, notes => [] });
}

sub note_request
{
    my ($line) = @_;
    open my $fh, '>>', $log or die $!;
    flock $fh, LOCK_EX;
    print $fh "$line\n";
    close $fh;
    return;
}

# A store of so many backups, each answer after a while; strange says what else becomes of a manifest.
sub start_bucket
{
    my ($count, $delay, %strange) = @_;
    my $page = '<ListBucketResult><IsTruncated>false</IsTruncated>' . join('', map {
            my $number = $_;
            map { "<Contents><Key>acme/${\id_of($number)}$_</Key><LastModified>${\time_of($number)}</LastModified><Size>100</Size></Contents>" }
              '.dump.gz', '.json'
        } reverse 1 .. $count) . '</ListBucketResult>';
    $log = "$directory/log." . ++$buckets;
    my ($authority) = start_listener(sub {
        my ($client) = @_;
        note_request("connection $$");
        while (defined(my $head = FaultProxy::read_head($client)))
        {
            my ($number) = $head =~ /-0*(\d+)\.json/;
            note_request($number ? "manifest $number" : 'list');
            sleep $delay if $number;
            my ($status, $body) = (200, $number ? manifest($number) : $page);
            ($status, $body) = (404, '') if $head =~ /dump\.gz/;    # the objects are not what this is about
            ($status, $body) = @{ $strange{$number} } if $number && $strange{$number};
            # Busy once, at the first try.
            ($status, $body) = -e "$directory/busy.$number" ? (200, manifest($number)) : (503, '<Error><Code>SlowDown</Code></Error>') if $status eq 'busy';
            append_to_file("$directory/busy.$number", '') if $status == 503;
            FaultProxy::write_all($client, "HTTP/1.1 $status Said\r\nETag: \"x\"\r\nContent-Length: " . length($body) . "\r\n\r\n$body") or return;
        }
    });
    return "s3://bucket?endpoint=http://$authority";
}

sub start_tool
{
    my ($command, $store, @arguments) = @_;
    my $run = { out => '', err => '', begun => time };
    $run->{harness} = IPC::Run::start([ $mover, $command, "--store=$store", "--credentials-file=$credentials", @arguments ],
        '<', '/dev/null', '>', \$run->{out}, '2>', \$run->{err}, IPC::Run::timeout(120));
    return $run;
}

sub finish
{
    my ($run) = @_;
    $run->{harness}->finish;
    return ($run->{harness}->full_result(0) >> 8, $run->{out}, $run->{err}, time - $run->{begun});
}

sub tool { return finish(start_tool(@_)) }
sub asked { my ($what) = @_; return scalar grep { /^$what/ } split /\n/, -e $log ? slurp_file($log) : '' }

# ---- several at a time ---------------------------------------------------------------------------

my $many = start_bucket(64, 0.1);
my ($exit, $out, $err, $seconds) = tool('list', $many, '--json');
is($exit, 0, 'a list of 64 backups, each manifest a tenth of a second away') or diag $err;
my @listed = map { JSON::PP::decode_json($_)->{backup_id} } split /\n/, $out;
is_deeply(\@listed, [ map { id_of($_) } 1 .. 64 ], '  the oldest first, whatever came first');
cmp_ok($seconds, '<', 5, '  takes less than one after another would');
cmp_ok(asked('connection'), '<=', 16, '  by no more connections than are allowed');
is(asked('manifest'), 64, '  each asked for once');
my $one = start_bucket(16, 0.02);
($exit, $out) = tool('list', "$one&parallel=1");
is(scalar(split /\n/, $out), 17, 'with parallel=1');
cmp_ok(asked('connection'), '<=', 4, '  by few connections');

# ---- no more than needed -------------------------------------------------------------------------

my $year = start_bucket(1000, 0);
($exit, $out, $err) = tool('list', $year, '--json', '--token=acme', '--latest');
is(JSON::PP::decode_json($out)->{backup_id}, id_of(1000), 'the latest of a thousand');
cmp_ok(asked('manifest'), '<', 64, '  is found by the newest manifests alone');
unlink $log;
($exit, $out) = tool('list', $year, '--json', '--token=acme', '--latest', '--until=' . time_of(500));
is(JSON::PP::decode_json($out)->{backup_id}, id_of(500), 'the latest until a time');
unlink $log;
($exit, $out) = tool('list', $year, '--json', '--since=' . time_of(990));
is(scalar(split /\n/, $out), 11, 'those since a time');
cmp_ok(asked('manifest'), '<', 64, '  are found without the older ones\' manifests');
unlink $log;
($exit, $out) = tool('list', $year, '--json', id_of(7));
is(asked('manifest') . JSON::PP::decode_json($out)->{backup_id}, '1' . id_of(7), 'one is found by its manifest alone');

# ---- some of them strange ------------------------------------------------------------------------

my $newer = manifest(3) =~ s/"format":1/"format":2/r;
my $strange = start_bucket(40, 0.01, 1 => ['busy'], 2 => [ 200, '{' ], 3 => [ 200, $newer ], 4 => [ 200, manifest(5) ],
    5 => [ 200, manifest(5) =~ s/"acme/"other/gr ], 6 => [ 404, '<Error><Code>NoSuchKey</Code></Error>' ],
    7 => [ 403, '<Error><Code>AccessDenied</Code></Error>' ], 8 => [ 200, ' ' x 1_100_000 ]);
for my $command (qw(list verify))
{
    ($exit, $out, $err) = tool($command, "$strange&tries=2");
    my %said = map { /018f0000-0000-4000-8000-0*(\d+).dump.gz: (.*)/ ? ($1 => $2) : () } split /\n/, $out;
    my %expected = (2 => qr/not JSON/, 3 => qr/format 2 .* use a newer custbackup/, 4 => qr/another object's/, 5 => qr/another object's/,
        6 => qr/went away/, 7 => qr/lack a right/, 8 => qr/larger/);
    like($said{$_}, $expected{$_}, "$command, manifest $_") for sort keys %expected;
    is($said{1}, undef, "$command: one that had to be asked for twice is there") if $command eq 'list';
}
for my $number (2, 3, 4, 5)
{
    ($exit, $out, $err) = tool('get', $strange, "--output=$directory/got", id_of($number));
    like("$exit $err", qr/^1 .*is no good backup: the manifest/, "get $number: refused");
    ($exit, $out, $err) = tool('restore', $strange, id_of($number));
    like("$exit $err", qr/^1 .*is no good backup: the manifest/, "restore $number: refused");
}
ok(!-e "$directory/got", 'and nothing was written');

# ---- a store that is gone, an operator who is tired ----------------------------------------------

($exit, $out, $err) = tool('list', start_bucket(40, 0, map { $_ => [ 403, '<Error><Code>AccessDenied</Code></Error>' ] } 1 .. 40));
is("$exit$out", '1', 'a store that gives no manifest at all');
like($err, qr/lack a right/, '  is a failure');
my $slow = start_bucket(400, 10);
my $run = start_tool('list', $slow);
my $deadline = time + 30;
sleep 0.02 until asked('manifest') >= 16 || time > $deadline;
is(asked('manifest'), 16, 'sixteen are under way');
$run->{begun} = time;
$run->{harness}->signal('INT');
($exit, $out, $err, $seconds) = finish($run);
is($exit, 1, 'Ctrl-C ends it');
like($err, qr/cancelled/, '  which is said');
cmp_ok($seconds, '<', 5, '  at once');

done_testing();
