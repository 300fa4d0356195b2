# Versions, object lock, encryption and storage classes, and what check-store says of a bucket.
use strict;
use warnings;

use Digest::MD5 ();
use FaultProxy;
use PostgreSQL::Test::Utils;
use S3Test;
use Test::More;

my $file = random_file(100_000);
my $large = random_file(6 * 1024 * 1024);
my $other = random_file(50);

sub check_store
{
    my ($server, $bucket, @options) = @_;
    my ($out, $err) = ('', '');
    my @command = grep { /^--/ } @options;
    my @of_url = grep { !/^--/ } @options;
    local @ENV{qw(AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_EC2_METADATA_DISABLED)} = ($access_key, $secret_key, 'true');
    IPC::Run::run([ $ENV{CUSTBACKUP_BIN}, 'check-store', @command, store_url($server, $bucket, 'p', 'tries=2', @of_url) ], '>', \$out, '2>', \$err);
    return ($? >> 8, $out, $err);
}

# A bucket whose default it is to lock what is stored.
sub lock_unasked
{
    my ($server, $bucket) = @_;
    make_bucket($server, $bucket, 'x-amz-bucket-object-lock-enabled:true');
    my $body = PostgreSQL::Test::Utils::tempdir() . '/body';
    my $text = '<ObjectLockConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><ObjectLockEnabled>Enabled</ObjectLockEnabled>'
      . '<Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>1</Days></DefaultRetention></Rule></ObjectLockConfiguration>';
    append_to_file($body, $text);
    my $answer = store({ stdin => $body }, 'request', store_url($server, $bucket, ''), 'PUT', '', 'object-lock', 'content-type:application/xml',
        'content-md5:' . Digest::MD5::md5_base64($text) . '==');
    is($answer->{status}, 200, "$server->{name}: a bucket that locks unasked") or diag explain $answer;
    return;
}

my $minio = start_minio(environment => { MINIO_KMS_SECRET_KEY => 'a-key:' . 'MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=' });
for my $server (start_versity(), $minio)
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

    # What the store has taken is not sent again because its answer was lost: a second version would lie over the first.
    my $lossy = FaultProxy->start($server->{authority}, PostgreSQL::Test::Utils::tempdir());
    for my $case ([ 'one piece', $file, '^PUT' ], [ 'parts', $large, '^POST .*uploadId' ])
    {
        my ($kind, $content, $last) = @$case;
        for my $fault ([ 'is lost', lose => 1 ], [ 'says that it failed', then => 'answer', answer => 500 ])
        {
            my ($what, @rule) = @$fault;
            for my $option ('if_none_match=no', 'if_none_match=yes')
            {
                my $key = new_key();
                $lossy->rules({ match => $last, nth => 1, @rule });
                my $put = store({ stdin => $content }, 'put', store_url($lossy, 'versions', 'p', 'part_size=5MiB', $option), $key);
                my $versions = store({}, 'request', $url, 'GET', '', 'versions')->{body};
                is(scalar(() = $versions =~ /<Key>[^<]*\Q$key\E/g), 1, "$name, $kind, $option: stored once where the answer $what") or diag explain $put, [ $lossy->requests ];
                is(store({}, 'get', $url, $key, $put->{version} // 'none')->{sha256}, file_sha256($content), '  and recorded by its version');
                is(scalar(grep { /$last/ } $lossy->requests), 1, '  without sending it twice');
                store({}, 'remove', $url, $key);
            }
        }
    }
    $lossy->stop;

    # What was stored before versioning was switched on has no version, and is deleted for good all the same.
    make_bucket($server, 'later');
    my $later = store_url($server, 'later', 'p', 'tries=2');
    my ($old, $kept) = (new_key(), new_key());
    is(store({ stdin => $file }, 'put', $later, $_)->{version}, undef, "$name: an object without a version") for $old, $kept;
    versioning_on($server, 'later');
    is(store({}, 'remove', $later, $old)->{reason}, undef, '  is removed after versioning is switched on');
    unlike(store({}, 'request', $later, 'GET', '', 'versions')->{body}, qr/\Q$old\E/, '  and leaves neither version nor marker');
    my $guard = FaultProxy->start($server->{authority}, PostgreSQL::Test::Utils::tempdir(),
        { match => 'DELETE .*versionId=null', answer => 403, body => '<Error><Code>AccessDenied</Code></Error>' });
    is(store({}, 'remove', store_url($guard, 'later', 'p', 'tries=2'), $kept)->{reason}, 'store', '  without the right to delete versions it is not');
    is(store({}, 'get', $later, $kept)->{sha256}, file_sha256($file), '  nor is it hidden');
    $guard->stop;

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
    # Where each object is locked for a day unasked, the check's first one stays, and is no bar to the second.
    my $unasked = $server == $minio;
    my $bucket = $unasked ? 'unasked' : 'locked';
    lock_unasked($server, $bucket) if $unasked;
    ($status, $out) = check_store($server, $bucket, 'lock=GOVERNANCE');
    is($status, 0, "$name: check-store with a lock") or diag $out;
    like($out, qr/^note  delete +the bucket locks whatever is stored, also this check's own object/m, '  which the bucket has unasked') if $unasked;
    like($out, qr/^good  lock +an object was locked, and could not be deleted while it was$/m, '  tries it');
    is(scalar(grep { $_->{key} =~ /check/ } @{ store({}, 'list', store_url($server, $bucket, 'p'))->{list} }), $unasked ? 1 : 0, '  and waits until it can remove its object');
    unlike(store({}, 'request', store_url($server, $bucket, ''), 'GET', '', 'versions')->{body}, qr/custbackup-check/, '  whose version is gone too') unless $unasked;
    my $listed = '';
    IPC::Run::run([ $ENV{CUSTBACKUP_BIN}, 'list', '--json', '--store=' . store_url($server, $bucket, 'p') ], '>', \$listed,
        init => sub { @ENV{qw(AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY)} = ($access_key, $secret_key) });
    unlike($listed, qr/custbackup-check/, '  nobody counts it');
    ($status, $out) = check_store($server, 'plain', 'lock=GOVERNANCE');
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
    like($out, qr/^bad   delete .*; left behind: custbackup-check\//m, '  and what is left');
    store({}, 'remove', store_url($server, 'plain', 'p'), $_->{key}) for @{ store({}, 'list', store_url($server, 'plain', 'p'))->{list} };
    # With those to read alone, and with hardly any.
    $proxy->rules({ match => '^PUT', answer => 403, body => $denied });
    ($status, $out) = check_store($proxy, 'plain');
    is($status, 1, "$name: check-store with the rights to read");
    like($out, qr/^good  reach .*^bad   write .*lack a right.*^good  list /ms, '  tells what they are good for') or diag $out;
    unlike($out, qr/left behind/, '  and that nothing is left');
    $proxy->rules({ match => '^(GET|HEAD)', answer => 403, body => $denied });
    ($status, $out) = check_store($proxy, 'plain');
    is($status, 1, "$name: check-store without the rights to look and list");
    like($out, qr/^good  reach .*^bad   write .*lack a right.*^bad   list .*lack a right/ms, '  tells each') or diag $out;
    $proxy->rules({ match => '^PUT', answer => 501, body => '<Error><Code>NotImplemented</Code></Error>' });
    ($status, $out) = check_store($proxy, 'plain');
    like($out, qr/^bad   write .*does not know something that the URL's options ask for/m, "$name: a store that does not know an option");
    # A store that does not know If-None-Match.
    $proxy->rules({ match => '^PUT', nth => 2, answer => 501, body => '<Error><Code>NotImplemented</Code></Error>' });
    ($status, $out) = check_store($proxy, 'plain');
    is($status, 1, "$name: check-store where If-None-Match is refused");
    like($out, qr/^bad   overwriting .*set if_none_match=no/m, '  says what to set');
    # One that passes over it has made a second version.
    $proxy->rules({ match => '^PUT', nth => 2, answer => 200, headers => [ 'ETag: "again"', 'x-amz-version-id: the-second' ] });
    ($status, $out) = check_store($proxy, 'plain');
    like($out, qr/^note  overwriting +is not refused by the store/m, "$name: check-store where If-None-Match is ignored");
    ok((grep /^DELETE .*versionId=the-second/, $proxy->requests), '  removes what it has made');
    # Some call their answer's root as they like.
    $proxy->rules({ match => '^PUT', nth => 2, answer => 501, body => '<Error><Code>NotImplemented</Code></Error>' },
        { match => '[?]versioning=', answer => 200, body => '<GetBucketVersioningResponse><Status>Enabled</Status></GetBucketVersioningResponse>' });
    ($status, $out) = check_store($proxy, 'plain', 'if_none_match=no');
    is($status, 0, '  and is content when it is set') or diag $out;
    like($out, qr/^note  overwriting .*if_none_match=no/m, '  which it says');
    like($out, qr/^good  versioning +is on/m, "$name: versioning is seen under another root");

    $proxy->stop;

    # Encryption by the store: MinIO does it and says so, Versity takes the wish and forgets it.
    for my $sse ([ 'AES256', 'sse=AES256' ], [ 'aws:kms', 'sse=aws:kms', 'sse_kms_key_id=a-key' ])
    {
        my ($algorithm, @options) = @$sse;
        for my $content ($file, $large)
        {
            my $key = new_key();
            my $sealed = store_url($server, 'plain', 'sealed', 'part_size=5MiB', 'tries=2', @options);
            my $put = store({ stdin => $content }, 'put', $sealed, $key);
            is($put->{encryption}, $server == $minio ? $algorithm : undef, "$name: @options") or diag explain $put;
            is(store({}, 'get', $sealed, $key)->{sha256}, file_sha256($content), '  and back') if $server == $minio;
            next if $server == $minio;
            is($put->{reason}, 'store', '  is refused where it is not done');
            like($put->{detail}, qr/without the encryption that sse=\Q$algorithm\E asks for/, '  with the reason');
            is_deeply(store({}, 'list', $sealed)->{list}, [], '  and nothing is left');
        }
    }
}
my ($code, $said) = check_store($minio, 'plain', 'sse=aws:kms', 'sse_kms_key_id=another');
is($code, 1, 'check-store with a key that is not there');
like($said, qr/^bad   write .*there is no key as sse_kms_key_id names it/m, '  says so');
# Manifests have no class, so that backups' own is tried with an upload in parts.
($code, $said) = check_store($minio, 'plain', 'storage_class=NO_SUCH');
is($code, 1, 'check-store with a storage class that is not there');
like($said, qr/^bad   parts .*does not know something that the URL's options ask for/m, '  says so');

# What Amazon's manual wants with an object that is to be locked.
{
    my $heads = PostgreSQL::Test::Utils::tempdir() . '/heads';
    my ($authority, $pid) = start_listener(sub {
        my ($client) = @_;
        my $head = FaultProxy::read_head($client) // return;
        append_to_file($heads, $head);
        my ($status, $body) = $head =~ /^GET/ ? (404, '<Error><Code>NoSuchKey</Code></Error>') : (403, '<Error><Code>AccessDenied</Code></Error>');
        FaultProxy::write_all($client, "HTTP/1.1 $status Said\r\nContent-Length: " . length($body) . "\r\nConnection: close\r\n\r\n$body");
    });
    store({ stdin => $other }, 'put', "s3://locked/p?endpoint=http://$authority&lock=GOVERNANCE&lock_days=1", new_key());
    like(slurp_file($heads), qr/^PUT [^\0]*^x-amz-sdk-checksum-algorithm: SHA256\r$/m, 'an object to be locked names the kind of its checksum');
    stop_listener($pid);
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
