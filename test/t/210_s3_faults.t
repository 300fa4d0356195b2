# Each fault at each request of an upload in five parts, of one in a single piece, and of a
# ranged download, on two servers of different make.
#
# After every fault one of two things holds: the operation succeeded and the object is what was
# sent, once; or it failed with its reason and nothing is left, neither object nor upload.
use strict;
use warnings;

use FaultProxy;
use PostgreSQL::Test::Utils;
use S3Test;
use Test::More;
use Time::HiRes qw(sleep time);

use constant MIB => 1024 * 1024;

my $large = random_file(21 * MIB);
my $small = random_file(70_001);
my $large_sha256 = file_sha256($large);
my $small_sha256 = file_sha256($small);
# A busy machine is not a slow store: short patience only where slowness is the fault.
my @patience = ('tries=4', 'retry_time=20', 'min_speed=200KiB', 'min_speed_time=20', 'part_size=5MiB');
my @little_patience = map { s/^(min_speed_time)=.*/$1=1/r } @patience;

sub xml_error { return "<?xml version=\"1.0\"?><Error><Code>$_[0]</Code><Message>made by a test</Message></Error>" }

sub completed { return "<CompleteMultipartUploadResult><ETag>$_[0]</ETag></CompleteMultipartUploadResult>" }

# name => rule; what is worth another try.  Tried at every request.
my @transient = (
    [ 'SlowDown' => { answer => 503, body => xml_error('SlowDown') } ],
    [ 'InternalError after it was done' => { answer => 500, body => xml_error('InternalError'), then => 'answer' } ],
    [ 'RequestTimeout' => { answer => 400, body => xml_error('RequestTimeout') } ],
    [ '429 with Retry-After' => { answer => 429, headers => ['Retry-After: 1'] } ],
    [ 'no answer at all' => { drop => 1 } ],
    [ 'the answer is lost' => { lose => 1 } ],
    [ 'ExpiredToken' => { answer => 400, body => xml_error('ExpiredToken') } ],
);

# What is final: the reason, and what the sentence says.
my @final = (
    [ 'AccessDenied' => { answer => 403, body => xml_error('AccessDenied') }, 'store', qr/lack a right/ ],
    [ 'another host' => { answer => 307, headers => ['Location: http://127.0.0.1:1/elsewhere'],
            body => xml_error('TemporaryRedirect') }, 'store', qr/another region/ ],
    [ 'an HTML page' => { answer => 404, body => '<html>nothing here</html>' }, 'store', qr/does not speak S3|gave no list/ ],
);

sub check_clean
{
    my ($server, $url, $key, $what) = @_;
    my $direct = store_url($server, 'faults', 'p');
    my $uploads = store({}, 'uploads', $direct)->{uploads};
    is_deeply($uploads, [], "$what: no upload is left");
    ok(store({}, 'head', $direct, $key)->{missing}, "$what: no object is left");
    return;
}

# That the store holds what was sent, without fetching it all: its ETag is made of every part's bytes.
my %etag;

sub is_stored
{
    my ($direct, $key, $sha256, $what) = @_;
    my $etag = store({}, 'head', $direct, $key)->{etag} // 'none';
    if (!defined $etag{$direct}{$sha256})
    {
        is(store({}, 'get', $direct, $key)->{sha256}, $sha256, "$what: stored as it was sent");
        $etag{$direct}{$sha256} = $etag;
        return;
    }
    is($etag, $etag{$direct}{$sha256}, "$what: stored as it was sent");
    return;
}

# The requests of an operation when nothing fails: the indexes to break.
sub count_requests
{
    my ($proxy, $run) = @_;
    $proxy->rules;
    $run->();
    my @requests = $proxy->requests;
    return @requests;
}

for my $server (start_s3_servers())
{
    my $name = $server->{name};
    make_bucket($server, 'faults');
    my $proxy = FaultProxy->start($server->{authority}, PostgreSQL::Test::Utils::tempdir());
    my $url = store_url($proxy, 'faults', 'p', @patience);
    my $impatient = store_url($proxy, 'faults', 'p', @little_patience);
    my $direct = store_url($server, 'faults', 'p');

    for my $case ([ 'five parts', $large, $large_sha256, 9 ], [ 'one piece', $small, $small_sha256, 3 ])
    {
        my ($kind, $file, $sha256, $expected) = @$case;
        my @requests = count_requests($proxy,
            sub { my $key = new_key(); store({ stdin => $file }, 'put', $url, $key); store({}, 'remove', $direct, $key) });
        is(scalar @requests, $expected, "$name, $kind: $expected requests");

        for my $fault (@transient)
        {
            my ($what, $rule) = @$fault;
            for my $nth (1 .. $expected)
            {
                my $key = new_key();
                $proxy->rules({ %$rule, nth => $nth });
                my $put = store({ stdin => $file }, 'put', $url, $key);
                my $label = "$name, $kind, request $nth, $what";
                ok(!defined $put->{reason}, "$label: survived") or diag explain $put, [ $proxy->requests ];
                is_stored($direct, $key, $sha256, $label);
                store({}, 'remove', $direct, $key);
            }
        }
        # Also not the upload that was begun while its answer got lost.
        my @unknown = @{ store({}, 'uploads', $direct)->{uploads} };
        is(scalar @unknown, 0, "$name, $kind: no upload is left");
        store({}, 'abort', $direct, $_->{key}, $_->{upload_id}) for @unknown;

        for my $fault (@final)
        {
            my ($what, $rule, $reason, $sentence) = @$fault;
            for my $nth (1 .. $expected)
            {
                my $key = new_key();
                $proxy->rules({ %$rule, nth => $nth });
                my $put = store({ stdin => $file }, 'put', $url, $key);
                my $label = "$name, $kind, request $nth, $what";
                # A HEAD that is refused is asked about by GET, and then looked at again.
                if (($proxy->requests)[ $nth - 1 ] =~ /^HEAD/)
                {
                    ok(!defined $put->{reason}, "$label: a HEAD that was only unlucky") or diag explain $put;
                    store({}, 'remove', $direct, $key);
                    next;
                }
                is($put->{reason}, $reason, "$label: fails") or diag explain $put;
                like($put->{detail}, $sentence, "$label: says why");
                check_clean($server, $url, $key, $label);
            }
        }
    }

    # The ways of a part to go wrong on the wire.
    for my $fault (
        [ 'a flipped bit in the first part' => { match => 'partNumber=1', nth => 1, corrupt_request => 4321 } ],
        [ 'a flipped bit in the last part' => { match => 'partNumber=5', nth => 1, corrupt_request => 99 } ],
        [ 'a part is cut' => { match => 'partNumber=3', nth => 1, cut_request => 100_000 } ],
        [ 'a part stalls' => { match => 'partNumber=2', nth => 1, slow_request => 20_000 } ],
        [ 'BadDigest' => { match => 'partNumber=4', nth => 1, answer => 400, body => xml_error('BadDigest') } ],
        [ 'IncompleteBody' => { match => 'partNumber=4', nth => 1, answer => 400, body => xml_error('IncompleteBody') } ],
        [ 'Complete says 200 and fails' => { match => '^POST .*uploadId', nth => 1, answer => 200, body => xml_error('InternalError') } ],
        [ 'Complete says 200 and no more' => { match => '^POST .*uploadId', nth => 1, answer => 200 } ],
        [ 'Complete keeps the connection alive and then fails' => { match => '^POST .*uploadId', nth => 1, answer => 200,
                body => '<?xml version="1.0"?>' . "\n " x 1000 . '<Error><Code>InternalError</Code></Error>' } ],
        [ 'Complete names the ETag without quotes' => { match => '^POST .*uploadId', nth => 1, answer => 200, then => 'answer',
                body => completed($etag{$direct}{$large_sha256} =~ s/"//gr) } ],
        [ 'Complete is done and says 200 with an error' =>
                { match => '^POST .*uploadId', nth => 1, answer => 200, body => xml_error('InternalError'), then => 'answer' } ],
        [ 'Complete is done and says 409' =>
                { match => '^POST .*uploadId', nth => 1, answer => 409, body => xml_error('ConditionalRequestConflict'), then => 'answer' } ],
        [ 'every answer to Complete is lost' => { match => '^POST .*uploadId', lose => 1 } ],
        [ 'Complete takes its time' => { match => '^POST .*uploadId', nth => 1, delay => 4 } ])
    {
        my ($what, $rule) = @$fault;
        my $key = new_key();
        $proxy->rules($rule);
        my $put = store({ stdin => $large }, 'put', $what =~ /stalls|takes its time/ ? $impatient : $url, $key);
        ok(!defined $put->{reason}, "$name: $what: survived") or diag explain $put, [ $proxy->requests ];
        is_stored($direct, $key, $large_sha256, "$name: $what");
        store({}, 'remove', $direct, $key);
    }

    # What never gets better ends in time, with the reason, and leaves nothing.
    for my $fault (
        [ 'a part is always refused' => { match => 'partNumber=2', answer => 503, body => xml_error('SlowDown') }, 'upload', qr/slow down.*tries in/ ],
        [ 'a part always stalls' => { match => 'partNumber=2', slow_request => 1000 }, 'upload', qr/too slow/ ],
        [ 'a bit always flips' => { match => 'partNumber=2', corrupt_request => 7 }, 'upload', qr/bytes changed on the way/ ],
        [ 'Complete always fails' => { match => '^POST .*uploadId', answer => 200, body => xml_error('InternalError') }, 'upload', qr/complete the upload/ ],
        [ 'Complete names another ETag' => { match => '^POST .*uploadId', answer => 200, then => 'answer', body => completed('"0-5"') },
            'upload', qr/an object with another ETag/ ],
        [ 'the upload is gone' => { match => '^POST .*uploadId', answer => 404, body => xml_error('NoSuchUpload') }, 'upload', qr/NoSuchUpload/ ],
        [ 'nobody answers' => { match => 'PUT|POST|HEAD|GET', drop => 1 }, 'store', qr/connection broke/ ],
        [ 'the clock is off' => { nth => 1, answer => 403, headers => ['Date: Tue, 05 Jan 2021 10:00:00 GMT'],
                body => xml_error('RequestTimeTooSkewed') }, 'store', qr/clock is off.*it is \d+ s ahead of the store's/ ],
        [ 'an answer of 100 MB' => { match => 'uploads=', answer => 200, body => '<a>' . 'x' x 100_000 . '</a>' }, 'store', qr/far larger/ ],
        [ 'entities' => { match => 'uploads=', answer => 200,
                body => '<!DOCTYPE x [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><InitiateMultipartUploadResult><UploadId>&b;</UploadId></InitiateMultipartUploadResult>' },
            'store', qr/without an upload id/ ],
        [ 'a part without ETag' => { match => 'partNumber=1', answer => 200 }, 'store', qr/without giving it an ETag/ ])
    {
        my ($what, $rule, $reason, $sentence) = @$fault;
        my $key = new_key();
        my $begun = time;
        $proxy->rules($rule);
        my $put = store({ stdin => $large }, 'put', $what =~ /stalls/ ? $impatient : $url, $key);
        is($put->{reason}, $reason, "$name: $what: fails") or diag explain $put;
        like($put->{detail}, $sentence, "$name: $what: says why");
        cmp_ok(time - $begun, '<', 40, "$name: $what: ends in time");
        check_clean($server, $url, $key, "$name: $what") unless $what =~ /entities|100 MB/;
        store({}, 'abort', $direct, $_->{key}, $_->{upload_id}) for @{ store({}, 'uploads', $direct)->{uploads} };
    }

    # Whoever cancels does not wait for a store that has fallen silent, and hears what is left there.
    {
        my $left = new_key();
        $proxy->rules({ match => 'partNumber=2', delay => 60 }, { match => '^DELETE', delay => 60 });
        my $run = start_store({ stdin => $large }, 'put', $url, $left);
        $run->{harness}->pump until $run->{err} =~ /upload_id (\S+)\n/;
        my ($id) = $run->{err} =~ /upload_id (\S+)\n/;
        kill 'TERM', $run->{pid};
        my $cancelled = time;
        my $put = finish_store($run);
        is($put->{reason}, 'cancelled', "$name: cancelled before a silent store") or diag explain $put;
        cmp_ok(time - $cancelled, '<', 8, '  in time');
        like($put->{left}, qr/could not abort the upload/, '  and says what is left');
        store({}, 'abort', $direct, $left, $id);
    }

    # What is under way in one piece then is removed when it has arrived, or told as what may yet come to be there.
    for my $delay (0.3, 60)
    {
        my $cut = new_key();
        $proxy->rules({ match => '^PUT', delay => $delay });
        my $run = start_store({ stdin => $small }, 'put', $url, $cut);
        sleep 0.01 until grep { /^PUT/ } $proxy->requests;
        # It has been seen there, but is not gone here yet.
        sleep 0.2;
        kill 'TERM', $run->{pid};
        my $put = finish_store($run);
        is($put->{reason}, 'cancelled', "$name: cancelled while the store takes $delay s") or diag explain $put;
        like($put->{left} // 'nothing', $delay > 1 ? qr/may still be at work/ : qr/may still be at work|^nothing$/, '  says so where it is not known');
        # Whoever is still under way ends with the rules.
        $proxy->rules;
        ok(store({}, 'head', $direct, $cut)->{missing} || (defined $put->{left} && $delay < 1), '  and nothing is there');
    }

    # Downloads.
    my $key = new_key();
    store({ stdin => $large }, 'put', $direct, $key);
    my @requests = count_requests($proxy, sub { store({}, 'get', $url, $key) });
    is(scalar @requests, 4, "$name: HEAD and three ranges");
    for my $fault (@transient,
        [ 'cut after 1 MB' => { cut_answer => 1_000_000 } ],
        [ 'a short answer' => { match => '^GET', short_answer => 4_000_000 } ],
        [ 'stalled' => { match => '^GET', slow_answer => 10_000 } ])
    {
        my ($what, $rule) = @$fault;
        for my $nth (1 .. 4)
        {
            next if $nth == 4 && $rule->{match};
            $proxy->rules({ %$rule, nth => $nth });
            my $get = store({}, 'get', $what eq 'stalled' ? $impatient : $url, $key);
            is($get->{sha256}, $large_sha256, "$name, download, request $nth, $what: all arrives") or diag explain $get;
        }
    }
    # What is given is not what was asked for.
    for my $lie ('bytes 5-1004/22020096', 'bytes 8388608-16778215/22020096', 'lines 1-2')
    {
        $proxy->rules({ match => '^GET', nth => 2, answer => 206, headers => ["Content-Range: $lie"], body => 'x' x 1000 });
        is(store({}, 'get', $url, $key)->{sha256}, $large_sha256, "$name, download, another range ($lie): all arrives");
    }
    # A line that breaks all the time brings it all the same: each try goes on where the last one was cut.
    $proxy->rules({ match => '^GET', cut_answer => 1_000_000 });
    is(store({}, 'get', $url, $key)->{sha256}, $large_sha256, "$name, download, cut every 1 MB: all arrives");
    cmp_ok(scalar($proxy->requests), '<', 30, '  without fetching anything twice');
    for my $fault (@final)
    {
        my ($what, $rule, $reason, $sentence) = @$fault;
        for my $nth (1 .. 4)
        {
            $proxy->rules({ %$rule, nth => $nth });
            my $get = store({}, 'get', $url, $key);
            is($get->{reason}, $nth == 1 ? undef : 'store', "$name, download, request $nth, $what") or diag explain $get;
        }
    }
    for my $fault (
        [ 'always cut' => { match => '^GET', cut_answer => 1000 }, 'download', qr/connection broke/ ],
        [ 'always short' => { match => '^GET', short_answer => 10 }, 'download', qr/10 of \d+ bytes arrived/ ],
        [ 'changed meanwhile' => { match => '^GET', nth => 2, answer => 412, body => xml_error('PreconditionFailed') }, 'integrity', qr/changed while it was fetched/ ],
        [ 'removed meanwhile' => { match => '^GET', nth => 2, answer => 404, body => xml_error('NoSuchKey') }, 'integrity', qr/is not there/ ],
        [ 'always another range' => { match => '^GET', answer => 206, headers => ['Content-Range: bytes 5-1004/22020096'], body => 'x' x 1000 },
            'download', qr/another range than bytes=\d+-\d+ arrived/ ],
        [ 'ranges are ignored' => { match => '^GET', answer => 200, body => 'x' x 1000 }, 'store', qr/does not give ranges/ ],
        [ 'all is given at once' => { match => '^GET', answer => 200, body => 'x' x 100_000 }, 'store', qr/does not give ranges/ ])
    {
        my ($what, $rule, $reason, $sentence) = @$fault;
        $proxy->rules($rule);
        my $get = store({}, 'get', $url, $key);
        is($get->{reason}, $reason, "$name, download, $what: fails") or diag explain $get;
        like($get->{detail}, $sentence, "$name, download, $what: says why");
    }
    # What is not as long as it was is not fetched.
    for my $bytes (21 * MIB - 1, 21 * MIB + 1, 0)
    {
        $proxy->rules;
        my $get = store({ environment => { OBJECT_BYTES => $bytes } }, 'get', $url, $key);
        is($get->{reason}, 'integrity', "$name, download, $bytes bytes were stored: refused") or diag explain $get;
        like($get->{detail}, qr/holds 22020096 bytes where $bytes were stored/, '  says why');
        is(scalar $proxy->requests, 1, '  before a byte of it is asked for');
    }
    is(store({ environment => { OBJECT_BYTES => 21 * MIB } }, 'get', $url, $key)->{sha256}, $large_sha256, '  and fetched when it is');
    # No room in the spool. (A limit on the size of files stands for a full disk.)
    {
        local $SIG{XFSZ} = 'IGNORE';
        my $get = store({ prefix => [ 'prlimit', '--fsize=9000000', '--' ] }, 'get', $direct, $key);
        is($get->{reason}, 'config', "$name, download: no room in the spool") or diag explain $get;
        like($get->{detail}, qr/spool/, '  says where');
        my $put = store({ stdin => $large, prefix => [ 'prlimit', '--fsize=3000000', '--' ], settings => store_settings(memory_budget => 16 * MIB) },
            'put', store_url($server, 'faults', 'p', 'part_size=12MiB'), my $other = new_key());
        is($put->{reason}, 'config', "$name, upload: no room for a part") or diag explain $put;
        check_clean($server, $url, $other, "$name, upload, no room");
    }
    # One bit flipped on the way down: the bytes differ, and the caller's sha256 says so.
    $proxy->rules({ match => '^GET', nth => 1, corrupt_answer => 12345 });
    isnt(store({}, 'get', $url, $key)->{sha256}, $large_sha256, "$name: a flipped bit shows in the sha256");
    $proxy->stop;
}

done_testing();
