# Versions, object lock, encryption and storage classes, and what check-store says of a bucket.
use strict;
use warnings;

use FaultProxy;
use PostgreSQL::Test::Utils;
use S3Test;
use Test::More;

my $file = random_file(100_000);
my $large = random_file(6 * 1024 * 1024);
my $other = random_file(50);

sub versioning_on
{
    my ($server, $bucket) = @_;
    my $body = PostgreSQL::Test::Utils::tempdir() . '/body';
    append_to_file($body, '<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Status>Enabled</Status></VersioningConfiguration>');
    my $answer = store({ stdin => $body }, 'request', store_url($server, $bucket, ''), 'PUT', '', 'versioning', 'content-type:application/xml');
    is($answer->{status}, 200, "$server->{name}: versioning is switched on") or diag explain $answer;
    return;
}

sub check_store
{
    my ($server, $bucket, @options) = @_;
    my ($out, $err) = ('', '');
    local @ENV{qw(AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_EC2_METADATA_DISABLED)} = ($access_key, $secret_key, 'true');
    IPC::Run::run([ $ENV{CUSTBACKUP_BIN}, 'check-store', @options, store_url($server, $bucket, 'p') ], '>', \$out, '2>', \$err);
    return ($? >> 8, $out, $err);
}

sub check_lock
{
    my ($server, $bucket, $mode) = @_;
    my ($out, $err) = ('', '');
    local @ENV{qw(AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_EC2_METADATA_DISABLED)} = ($access_key, $secret_key, 'true');
    IPC::Run::run([ $ENV{CUSTBACKUP_BIN}, 'check-store', store_url($server, $bucket, 'check', "lock=$mode", 'tries=2') ], '>', \$out, '2>', \$err);
    return ($? >> 8, $out, $err);
}

for my $server (start_s3_servers())
{
    my $name = $server->{name};
    make_bucket($server, 'plain');
    make_bucket($server, 'versions');
    versioning_on($server, 'versions');
    make_bucket($server, 'locked', 'x-amz-bucket-object-lock-enabled:true');

    # The version is recorded, and a deletion deletes it instead of hiding it.
    my $url = store_url($server, 'versions', 'p', 'part_size=5MiB');
    for my $case ([ 'one piece', $file ], [ 'parts', $large ])
    {
        my ($kind, $content) = @$case;
        my $key = new_key();
        my $put = store({ stdin => $content }, 'put', $url, $key);
        ok($put->{version}, "$name, $kind: the version is recorded") or diag explain $put;
        # Somebody writes over it.
        store({ stdin => $other }, 'request', $url, 'PUT', $key);
        isnt(store({}, 'get', $url, $key)->{sha256}, file_sha256($content), '  something else lies in front');
        is(store({}, 'get', $url, $key, $put->{version})->{sha256}, file_sha256($content), '  our version is read');
        is(store({}, 'head', $url, $key, $put->{version})->{version}, $put->{version}, '  and looked at');
        is(store({}, 'remove', $url, $key, $put->{version})->{reason}, undef, '  and removed');
        ok(store({}, 'head', $url, $key, $put->{version})->{missing}, '  and is gone');
        is(store({}, 'head', $url, $key)->{bytes}, 50, '  what is not ours is still there');
        is(store({}, 'remove', $url, $key)->{reason}, undef, '  a removal without a version');
        my $left = store({}, 'request', $url, 'GET', '', 'versions');
        unlike($left->{body}, qr/\Q$key\E/, '  leaves neither version nor marker');
    }

    # What is locked stays, and says until when.
    my $locked = store_url($server, 'locked', 'p', 'lock=COMPLIANCE', 'lock_days=1', 'part_size=5MiB');
    for my $case ([ 'one piece', $file ], [ 'parts', $large ])
    {
        my ($kind, $content) = @$case;
        my $key = new_key();
        my $put = store({ stdin => $content }, 'put', $locked, $key);
        ok($put->{version}, "$name, $kind: a locked object is stored") or diag explain $put;
        my $remove = store({}, 'remove', $locked, $key, $put->{version});
        is($remove->{reason}, 'locked', '  is not removed');
        like($remove->{detail}, qr/is locked until \d{4}-\d\d-\d\dT/, '  and says until when');
        my $without = store({}, 'remove', $locked, $key);
        is($without->{reason}, 'locked', '  not without its version either') or diag explain $without;
        is(store({}, 'get', $locked, $key, $put->{version})->{sha256}, file_sha256($content), '  and can be read');
    }
    my $no_lock = store({ stdin => $file }, 'put', store_url($server, 'plain', 'p', 'lock=GOVERNANCE', 'lock_days=1', 'tries=2'), new_key());
    is($no_lock->{reason}, 'store', "$name: a lock that the bucket does not have is refused") or diag explain $no_lock;

    # check-store.
    my ($status, $out, $err) = check_store($server, 'locked');
    is($status, 0, "$name: check-store of a good bucket") or diag $out, $err;
    like($out, qr/^good  $_ /m, "  $_") for qw(credentials reach write read list delete parts abort versioning overwriting clock);
    like($out, qr/^good  object lock  is on/m, '  object lock is on');
    like($out, qr/^Backups can be kept there\.$/m, '  the verdict');
    unlike($out . $err, qr/\Q$secret_key\E/, '  no secret');
    unlike($out, qr/^\S+ +lock /m, '  nothing is locked unasked');
    ($status, $out) = check_lock($server, 'locked', 'GOVERNANCE');
    is($status, 0, "$name: check-store with a lock") or diag $out;
    like($out, qr/^good  lock +an object was locked, and could not be deleted while it was$/m, '  tries it');
    is_deeply(store({}, 'list', store_url($server, 'locked', 'check'))->{list}, [], '  and waits until it can remove its object');
    unlike(store({}, 'request', store_url($server, 'locked', ''), 'GET', '', 'versions')->{body}, qr/custbackup-check/, '  whose version is gone too');
    ($status, $out) = check_lock($server, 'plain', 'GOVERNANCE');
    is($status, 1, "$name: check-store with a lock that the bucket does not have");
    like($out, qr/^bad   lock +an object cannot be locked: .*$/m, '  says so');
    ($status, $out) = check_store($server, 'plain', '--json');
    my $json = eval { JSON::PP::decode_json($out) };
    ok($json && $json->{good} && @{ $json->{checks} } > 10, "$name: check-store --json");
    ok((grep { $_->{check} eq 'versioning' && $_->{state} eq 'note' } @{ $json->{checks} }), '  versioning is off');
    is_deeply(store({}, 'list', store_url($server, 'plain', 'p'))->{list}, [], '  and nothing is left behind');
    is_deeply(store({}, 'uploads', store_url($server, 'plain', 'p'))->{uploads}, [], '  no upload either');
    ($status, $out) = check_store($server, 'no-such-bucket');
    is($status, 1, "$name: check-store of a bucket that is not there");
    like($out, qr/^bad   reach .*no such bucket/m, '  says so');

    # Without rights for what is optional.
    my $proxy = FaultProxy->start($server->{authority}, PostgreSQL::Test::Utils::tempdir());
    my $denied = '<Error><Code>AccessDenied</Code><Message>no</Message></Error>';
    $proxy->rules({ match => '[?](versioning|object-lock|replication)=', answer => 403, body => $denied },
        { match => '^GET .*[?].*uploads=', answer => 403, body => $denied });
    ($status, $out) = check_store($proxy, 'plain');
    is($status, 0, "$name: check-store without optional rights") or diag $out;
    like($out, qr/^note  versioning +is not known: these credentials have no right s3:GetBucketVersioning/m, '  names them');
    like($out, qr/^note  unfinished +uploads cannot be listed/m, '  and goes on');
    $proxy->rules({ match => '^DELETE', answer => 403, body => $denied });
    ($status, $out) = check_store($proxy, 'plain');
    is($status, 1, "$name: check-store without the right to delete");
    like($out, qr/^bad   delete .*lack a right/m, '  says so');
    $proxy->rules({ match => '^PUT', answer => 501, body => '<Error><Code>NotImplemented</Code></Error>' });
    ($status, $out) = check_store($proxy, 'plain');
    like($out, qr/^bad   write .*does not know something that the URL's options ask for/m, "$name: a store that does not know an option");

    # Options that become headers reach the store.
    for my $option ([ 'sse=AES256', 'x-amz-server-side-encryption' ], [ 'storage_class=STANDARD', 'x-amz-storage-class' ])
    {
        my $result = store({ stdin => $file }, 'put', store_url($server, 'plain', 'p', $option->[0], 'tries=2'), new_key());
        ok(!defined $result->{reason} || $result->{reason} eq 'store', "$name: $option->[0]") or diag explain $result;
    }
    $proxy->stop;
}

# A local directory is checked by the same command.
my $local = PostgreSQL::Test::Utils::tempdir();
my ($out, $err) = ('', '');
IPC::Run::run([ $ENV{CUSTBACKUP_BIN}, 'check-store', "file://$local" ], '>', \$out, '2>', \$err);
is($? >> 8, 0, 'check-store of a directory') or diag $out, $err;
like($out, qr/^Backups can be kept there\.$/m, '  the verdict');
IPC::Run::run([ $ENV{CUSTBACKUP_BIN}, 'check-store', 'file:///nowhere' ], '>', \$out, '2>', \$err);
is($? >> 8, 1, 'check-store of a directory that is not there');

done_testing();
