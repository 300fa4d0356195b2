# The local store under a real Postgres: what lies where, what damage does, what a full, missing,
# read-only or foreign directory says, and what is left when the mover is killed at the worst moment.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use CustbackupTest;
use Digest::SHA;
use File::Copy ();
use PostgreSQL::Test::Utils;
use Test::More;

my ($settings, $store_url, $directory) = mover_settings();
my $store    = "$directory/store";
my $customer = start_customer();
my $url      = customer_url($customer);

$customer->safe_psql('shop', <<'SQL');
SET ROLE app;
CREATE TABLE item (id int PRIMARY KEY, name text);
INSERT INTO item SELECT g, md5(g::text) FROM generate_series(1, 30000) g;
SQL

sub files_of { my ($folder) = @_; return map { s{.*/}{}r } sort(glob("$folder/*"), glob("$folder/.[!.]*")) }

sub slurp_raw { my ($file) = @_; open my $fh, '<:raw', $file or die "$file: $!"; local $/; return scalar <$fh> }

sub put_raw { my ($file, $bytes) = @_; open my $fh, '>:raw', $file or die "$file: $!"; print $fh $bytes; close $fh or die $!; return }

sub like_failure
{
    my ($result, $reason, $pattern, $what) = @_;
    my $event = last_event($result);
    is("$event->{event}/" . ($event->{reason} // ''), "failed/$reason", $what) or diag $result->{stdout}, $result->{stderr};
    like($event->{detail} // '', $pattern, '  and says what');
    isnt($result->{exit}, 0, '  and exits so');
    return;
}

# ---- what lies where -----------------------------------------------------------------------------

my $job    = backup_job($settings, $store_url, $url);
my $result = run_mover($settings, $job);
my $done   = last_event($result);
is($done->{event}, 'done', 'a backup is done') or BAIL_OUT($result->{stdout} . $result->{stderr});
my $id     = $job->{job_id};
my $object = "$store/acme-main/$id.dump.gz";
is_deeply([ files_of("$store/acme-main") ], [ "$id.dump.gz", "$id.json" ], 'object and manifest, nothing else');
is(sprintf('%o', (stat $object)[2] & 07777), '600', 'the object is ours alone');
is(sprintf('%o', (stat "$store/acme-main")[2] & 07777), '700', 'so is its folder');
is(Digest::SHA->new(256)->addfile($object, 'b')->hexdigest, $done->{sha256}, 'its sha256 is the one that was told');
is(-s $object, $done->{stored_bytes}, 'so is its size');
is(length(`gzip -dc '$object'`), $done->{raw_bytes}, 'gzip -dc gives the raw bytes');
is(`python3 -c 'import gzip,sys; print(len(gzip.open(sys.argv[1]).read()))' '$object'` + 0, $done->{raw_bytes}, 'so does Python');
like(`gzip -dc '$object' | pg_restore --list 2>&1`, qr/TABLE DATA public item app/, 'and pg_restore reads them');

my $manifest = JSON::PP::decode_json(slurp_raw("$store/acme-main/$id.json"));
is_deeply(
    [ @{$manifest}{qw(format backup_id key token sha256 raw_bytes stored_bytes encryption)} ],
    [ 1, $id, "acme-main/$id.dump.gz", 'acme-main', @{$done}{qw(sha256 raw_bytes stored_bytes)}, 'none' ],
    'the manifest says the same'
);
is($manifest->{counts}{tables}, 1, 'and counts');

# ---- damage: refused before the target is touched --------------------------------------------------

$customer->safe_psql('shop', 'SET ROLE app; CREATE TABLE later (x int); DELETE FROM item WHERE id > 10');
my $state = checksum_database($customer) . schema_dump($customer);
my $whole = slurp_raw($object);

# The catalogue's record is made to fit, so that what lies behind the sha256 is tested too.
sub damaged
{
    my ($bytes, $what, $pattern, %record) = @_;
    put_raw($object, $bytes);
    my $restore = restore_job($settings, $store_url, $url, $job, { %$done, %record });
    my $failed = run_mover($settings, $restore);
    like_failure($failed, 'integrity', $pattern, $what);
    ok(!last_event($failed)->{target_modified}, '  and the target is said to be as it was');
    is(checksum_database($customer) . schema_dump($customer), $state, '  and is');
    return $failed;
}

sub fits
{
    my ($bytes, %record) = @_;
    return (sha256 => Digest::SHA::sha256_hex($bytes), stored_bytes => length $bytes, %record);
}

my $flipped = $whole;
substr($flipped, length($whole) / 2, 1) ^= "\x01";
damaged($flipped,                             'one bit flipped',    qr/not what was stored/);
damaged(substr($whole, 0, -1),                'cut by one byte',    qr/holds \d+ bytes where \d+ were stored/);
damaged('',                                   'emptied',            qr/holds 0 bytes/);
damaged($whole . "\0",                        'a byte more',        qr/holds \d+ bytes where/);
# Where the bit lies decides who sees it first: gzip, or the archive's reader.
damaged($flipped,                             'flipped, recorded',  qr/damaged|not a whole pg_dump archive/, fits($flipped));
damaged(substr($whole, 0, -9),                'cut, recorded',      qr/damaged/, fits(substr($whole, 0, -9)));
damaged($whole . 'garbage!',                  'garbage, recorded',  qr/damaged/, fits($whole . 'garbage!'));
damaged('not gzip' x 100,                     'not gzip, recorded', qr/not gzip/, fits('not gzip' x 100));
damaged($whole . $whole,                      'an extra member, recorded', qr/damaged|unpacks/, fits($whole . $whole));
damaged($whole, 'another raw size recorded', qr/gzip trailer/, raw_bytes => $done->{raw_bytes} - 1);

# A bomb whose trailer tells what was recorded: 300 MB of zeros, then a member of the right length.
my $bomb = `head -c 300000000 /dev/zero | gzip -1` . `head -c $done->{raw_bytes} /dev/zero | gzip -1`;
my $bombed = damaged($bomb, 'a bomb, recorded', qr/./, fits($bomb));

unlink $object or die $!;
like_failure(run_mover($settings, restore_job($settings, $store_url, $url, $job, $done)), 'integrity', qr/not in the store/, 'a missing object');
is(checksum_database($customer) . schema_dump($customer), $state, '  and the target is as it was');
symlink('/etc/passwd', $object) or die $!;
like_failure(run_mover($settings, restore_job($settings, $store_url, $url, $job, $done)), 'integrity', qr/not in the store/, 'a link in its place');
unlink $object;

put_raw($object, $whole);
$result = run_mover($settings, restore_job($settings, $store_url, $url, $job, $done));
is(last_event($result)->{event}, 'done', 'the whole object is restored') or diag $result->{stdout}, $result->{stderr};
is($customer->safe_psql('shop', 'SELECT count(*) FROM item'), '30000', 'and all is back');

# ---- directories that do not serve -----------------------------------------------------------------

sub backup_to
{
    my ($url_of_store) = @_;
    return run_mover($settings, backup_job($settings, $url_of_store, $url));
}

# Runs the mover where a shell as root of its own namespaces has mounted something first.
sub backup_with_mount
{
    my ($mount, $url_of_store) = @_;
    my $wrapper = "$directory/with_mount";
    put_raw($wrapper, "#!/bin/sh\nexec unshare -Urm sh -c 'set -e\n$mount\nexec \"\$0\" \"\$@\"' $mover \"\$@\"\n");
    chmod 0700, $wrapper;
    local $CustbackupTest::mover = $wrapper;
    return run_mover($settings, backup_job($settings, $url_of_store, $url));
}

like_failure(backup_to("$store_url-missing"), 'store', qr/does not exist; create/, 'a missing directory');
like_failure(backup_to('file:///etc/passwd'), 'store', qr/no directory/, 'a file');
like_failure(backup_to("$store_url/../store"), 'config', qr/'\.\.'/, "'..' in the URL");
like_failure(backup_to('file://relative/dir'), 'config', qr{file:///absolute}, 'a relative directory');
like_failure(backup_to("file://$store?x=1"), 'config', qr{without host, query}, 'a query');

mkdir "$directory/closed", 0500;
if ($< != 0)
{
    like_failure(backup_to("file://$directory/closed"), 'store', qr/permission denied/, 'a directory without the right to write');
    like_failure(backup_to('file:///usr'), 'store', qr/permission denied/, "root's directory");
    # From inside a user namespace, everybody else is 'nobody'.
}
mkdir "$directory/open"; chmod 0777, "$directory/open";
like_failure(backup_to("file://$directory/open"), 'store', qr/chmod o-w/, 'a directory for everybody');
symlink('/tmp', "$directory/closed-link");
mkdir "$directory/linked", 0700; symlink("$directory/open", "$directory/linked/acme-main");
like_failure(backup_to("file://$directory/linked"), 'store', qr/symbolic link/, "a token's folder that is a link");
is_deeply([ files_of("$directory/open") ], [], '  and nothing was written through it');

SKIP:
{
    skip 'no user namespaces here', 8 if system('unshare -Urm true 2>/dev/null') != 0;
    mkdir "$directory/mounted", 0700;
    # The file system is gone with the namespace: somebody inside looks at it after the mover's end.
    my $mount = "mount -t tmpfs -o size=200k,mode=700 none $directory/mounted";
    my $look  = "(while kill -0 \$\$ 2>/dev/null; do sleep 0.1; done; find $directory/mounted -type f >$directory/left; mv $directory/left $directory/seen) >/dev/null 2>&1 &";
    like_failure(backup_with_mount("$mount; $look", "file://$directory/mounted"), 'store', qr/full; free some space/, 'a full file system');
    ok(wait_for(sub { -e "$directory/seen" }, 10, 'a look into it'), '  can be looked into');
    is(slurp_raw("$directory/seen"), '', '  and holds nothing afterwards');
    like_failure(backup_with_mount("mount --bind $directory/mounted $directory/mounted && mount -o remount,bind,ro $directory/mounted", "file://$directory/mounted"),
        'store', qr/read-only/, 'a read-only file system');
}

# ---- kill -9 at the worst moments ------------------------------------------------------------------

# Runs it with something done to the nth call of a system call.
sub with_injection
{
    my ($call, $what, $nth, $injected_job) = @_;
    my $wrapper = "$directory/strace";
    # The leak sanitizer, where the mover has it, cannot trace a process that is traced.
    put_raw($wrapper, "#!/bin/sh\nexport ASAN_OPTIONS=\${ASAN_OPTIONS:+\$ASAN_OPTIONS:}detect_leaks=0\nexec strace -D -qq -o $directory/strace.out -e trace=$call -e inject=$call:$what:when=$nth $mover \"\$@\"\n");
    chmod 0700, $wrapper;
    local $CustbackupTest::mover = $wrapper;
    return run_mover($settings, $injected_job);
}

# Kills the mover as it enters that call.
sub killed_at
{
    my ($call, $nth, $killed_job) = @_;
    my $killed = with_injection($call, 'signal=SIGKILL', $nth, $killed_job);
    is($killed->{signal}, 9, "killed at $call number $nth");
    return grep { $_->{event} eq 'upload' } @{ $killed->{events} };
}

SKIP:
{
    skip 'no strace here', 20 if system('strace -qq -o /dev/null true 2>/dev/null') != 0;

    # A file system that fails late. Syncs: file, folder (object); file, folder (manifest).
    mkdir "$store/late", 0700 or die $!;
    for my $case ([ 'fsync', 'EIO', 1 ], [ 'renameat2', 'ENOSPC', 1 ], [ 'fsync', 'EIO', 2 ], [ 'fsync', 'EDQUOT', 3 ], [ 'fsync', 'EIO', 4 ])
    {
        my ($call, $error, $nth) = @$case;
        my $late = with_injection($call, "error=$error", $nth, backup_job($settings, $store_url, $url, token => 'late'));
        like_failure($late, 'store', $error eq 'EIO' ? qr/Input\/output error/ : qr/full; free some space/, "$error at $call number $nth");
        is_deeply([ files_of("$store/late") ], [], '  and nothing is left');
    }
    # One that has no such thing as the sync of a directory.
    is(last_event(with_injection('fsync', 'error=EINVAL', 2, backup_job($settings, $store_url, $url, token => 'late')))->{event}, 'done',
        'a directory that cannot be synced at all fails no backup');

    my $first = backup_job($settings, $store_url, $url, token => 'killed');
    my ($upload) = killed_at('renameat2', 1, $first);
    ok($upload && $upload->{upload_id}, 'the upload was announced');
    is_deeply([ files_of("$store/killed") ], [ $upload->{upload_id} ], 'what a mover that was killed in its upload leaves: that file');

    my $previous = [ { attempt_id => $first->{attempt_id}, key => $upload->{key}, upload_id => $upload->{upload_id} } ];
    my $second = backup_job($settings, $store_url, $url, token => 'killed', job_id => $first->{job_id}, attempt => 2, previous => $previous);
    ($upload) = killed_at('renameat2', 2, $second);
    my $key2 = "$first->{job_id}-2";
    is_deeply([ map { s/$second->{attempt_id}/ATTEMPT/r } files_of("$store/killed") ], [ sort("$key2.dump.gz", ".$key2.json.ATTEMPT.partial") ],
        'the next attempt sweeps it; killed between object and manifest, it leaves both of its own');

    push @$previous, { attempt_id => $second->{attempt_id}, key => $upload->{key}, upload_id => $upload->{upload_id} };
    my $third = backup_job($settings, $store_url, $url, token => 'killed', job_id => $first->{job_id}, attempt => 3, previous => $previous);
    # Syncs: the folder after the sweep; file, folder (object); file, folder (manifest).
    ($upload) = killed_at('fsync', 5, $third);
    my $key3 = "$first->{job_id}-3";
    is_deeply([ files_of("$store/killed") ], [ "$key3.dump.gz", "$key3.json" ], 'the third sweeps again, and is killed with its manifest in place');

    push @$previous, { attempt_id => $third->{attempt_id}, key => $upload->{key}, upload_id => $upload->{upload_id} };
    my $fourth = backup_job($settings, $store_url, $url, token => 'killed', job_id => $first->{job_id}, attempt => 4, previous => $previous);
    my $adopted = run_mover($settings, $fourth);
    is_deeply([ @{ last_event($adopted) }{qw(event adopted key)} ], [ 'done', JSON::PP::true, "killed/$key3.dump.gz" ], 'the fourth adopts it');
    ok(!grep({ $_->{event} eq 'upload' } @{ $adopted->{events} }), 'without an upload of its own');
    is_deeply([ files_of("$store/killed") ], [ "$key3.dump.gz", "$key3.json" ], 'so that one object remains');
    is(last_event(run_mover($settings, restore_job($settings, $store_url, $url, $fourth, last_event($adopted))))->{event}, 'done', 'which can be restored');
}

# ---- expired ---------------------------------------------------------------------------------------

sub expire_job
{
    my ($backup, $key) = @_;
    return {
        version => 1, kind => 'expire', job_id => new_uuid(), attempt_id => new_uuid(), attempt => 1,
        store  => { name => 'default', url => $store_url },
        object => { backup_id => $backup->{job_id}, key => $key // $backup->{object}{key}, version => undef }
    };
}

my $other = backup_job($settings, $store_url, $url);
run_mover($settings, $other);
my $expired = run_mover($settings, expire_job($other));
is_deeply([ map { $_->{event} } @{ $expired->{events} } ], [ 'started', 'done' ], 'an expiry is done') or diag $expired->{stdout};
is_deeply([ files_of("$store/acme-main") ], [ "$id.dump.gz", "$id.json" ], 'its object and manifest are gone, the others are not');
is(last_event(run_mover($settings, expire_job($other)))->{event}, 'done', 'a second attempt ends well');
like_failure(run_mover($settings, expire_job($other, $job->{object}{key})), 'config', qr/another backup's/, "another backup's key");
is_deeply([ files_of("$store/acme-main") ], [ "$id.dump.gz", "$id.json" ], '  and nothing is removed');

# ---- cancelled -------------------------------------------------------------------------------------

$customer->safe_psql('shop', 'SET ROLE app; INSERT INTO item SELECT g, md5(g::text) || repeat(md5(g::text), 20) FROM generate_series(30001, 300000) g');
my $run = start_mover($settings, backup_job($settings, $store_url, $url, token => 'cancelled'));
wait_for(sub { scalar(my @files = files_of("$store/cancelled")) }, 20, 'the upload begins');
kill 'TERM', $run->{pid};
like_failure(run_mover($run), 'cancelled', qr/./, 'a cancelled backup');
is_deeply([ files_of("$store/cancelled") ], [], 'leaves nothing');
is_deeply([ tools_of($customer) ], [], 'and no tool');

done_testing();
