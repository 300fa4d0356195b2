# A Postgres customer backed up into a bucket and put back from it by the mover itself, with the
# faults that only a whole job can show: a lost attempt adopted or swept, a cancelled job, a
# changed object.
use strict;
use warnings;

use CustbackupTest;
use FaultProxy;
use PostgreSQL::Test::Utils;
use S3Test;
use Test::More;
use Time::HiRes qw(sleep);

my $customer = start_customer(name => 'bucket_customer');
my $url = customer_url($customer);
$customer->safe_psql('shop', q{CREATE TABLE orders AS SELECT i AS id, md5(i::text) || md5((i * 7)::text) AS note
    FROM generate_series(1, 400000) i; ALTER TABLE orders OWNER TO app});
my $whole = checksum_database($customer);

my $credentials = PostgreSQL::Test::Utils::tempdir() . '/credentials';
append_to_file($credentials, "[default]\naws_access_key_id = $access_key\naws_secret_access_key = $secret_key\n");
chmod 0600, $credentials;
my ($settings) = mover_settings(credentials_file => $credentials);

sub damage
{
    $customer->safe_psql('shop', 'DROP TABLE IF EXISTS orders; CREATE TABLE stranger (x int); ALTER TABLE stranger OWNER TO app');
    return;
}

for my $server (start_s3_servers())
{
    my $name = $server->{name};
    make_bucket($server, 'backups');
    my $store = store_url($server, 'backups', 'eu', 'part_size=5MiB');

    my $job = backup_job($settings, $store, $url);
    my $backup = run_mover($settings, $job);
    my $done = last_event($backup);
    is($done->{event}, 'done', "$name: a backup goes into the bucket") or diag explain $done, $backup->{stderr};
    my ($announced, $upload) = grep { $_->{event} eq 'upload' } @{ $backup->{events} };
    is($announced->{key}, $done->{key}, '  its key was announced');
    ok($upload->{upload_id}, '  with the id of its upload in parts');
    is_deeply([ sort map { $_->{key} } @{ store({}, 'list', $store)->{list} } ], [ sort $done->{key}, $done->{key} =~ s/\.dump\.gz$/.json/r ],
        '  the object and its manifest are there');
    is(store({}, 'get', $store, $done->{key})->{sha256}, $done->{sha256}, '  with the sha256 that was said');
    unlike($backup->{stdout} . $backup->{stderr}, qr/\Q$secret_key\E/, '  no secret is said');

    # The operator's commands work from the bucket alone.
    {
        my %said;
        for my $command ([ 'list', '--json' ], ['verify'], [ 'get', '--output=' . PostgreSQL::Test::Utils::tempdir() . '/backup' ])
        {
            my ($verb, @options) = @$command;
            my ($out, $err) = ('', '');
            IPC::Run::run([ $mover, $verb, "--store=$store", "--credentials-file=$credentials", @options,
                    $verb eq 'get' ? $job->{job_id} : () ], '>', \$out, '2>', \$err);
            is($? >> 8, 0, "$name: custbackup $verb from the bucket") or diag $out, $err;
            $said{$verb} = $out;
        }
        like($said{list}, qr/\Q$job->{job_id}\E/, '  list names the backup');
    }

    damage();
    my $restore = run_mover($settings, restore_job($settings, $store, $url, $job, $done));
    is(last_event($restore)->{event}, 'done', "$name: and comes back") or diag explain $restore->{events}, $restore->{stderr};
    is(checksum_database($customer), $whole, '  all of it, and nothing else');

    # A bit flips on the way back: nothing is touched.
    my $proxy = FaultProxy->start($server->{authority}, PostgreSQL::Test::Utils::tempdir());
    my $proxied = store_url($proxy, 'backups', 'eu', 'part_size=5MiB', 'tries=3', 'retry_time=10');
    $proxy->rules({ match => '^GET .*dump[.]gz', nth => 1, corrupt_answer => 1_000_000 });
    my $flipped = last_event(run_mover($settings, restore_job($settings, $proxied, $url, $job, $done)));
    is("$flipped->{event} $flipped->{reason}", 'failed integrity', "$name: a flipped bit is refused");
    ok(!$flipped->{target_modified}, '  before the target is touched');
    is(checksum_database($customer), $whole, '  which is as it was');

    # An earlier attempt had finished, and died before it could say so.
    my $again = backup_job($settings, $store, $url, job_id => $job->{job_id}, attempt => 2,
        previous => [ { attempt_id => $job->{attempt_id}, key => $done->{key}, upload_id => $upload->{upload_id} } ]);
    my $adopted = last_event(run_mover($settings, $again));
    ok($adopted->{adopted}, "$name: a finished attempt is adopted") or diag explain $adopted;
    is($adopted->{sha256}, $done->{sha256}, '  with what it stored');

    # An earlier attempt was killed in the middle: its upload goes, the next succeeds.
    my $lost = backup_job($settings, $store, $url);
    $proxy->rules({ match => 'partNumber=2', delay => 60 });
    $lost->{store}{url} = $proxied;
    my $run = start_mover($settings, $lost);
    $run->{harness}->pump until $run->{stdout} =~ /"upload_id": *"/;
    my (undef, $begun) = grep { $_->{event} eq 'upload' } events_of($run->{stdout} =~ s/[^\n]*\z//r);
    kill 'KILL', $run->{pid};
    run_mover($run);
    is(scalar @{ store({}, 'uploads', $store)->{uploads} }, 1, "$name: a killed mover leaves its upload");
    my $next = backup_job($settings, $store, $url, job_id => $lost->{job_id}, attempt => 2,
        previous => [ { attempt_id => $lost->{attempt_id}, key => $begun->{key}, upload_id => $begun->{upload_id} } ]);
    my $second = last_event(run_mover($settings, $next));
    is($second->{event}, 'done', '  the next attempt succeeds') or diag explain $second;
    isnt($second->{key}, $begun->{key}, '  under a key of its own');
    is_deeply(store({}, 'uploads', $store)->{uploads}, [], '  and has swept the upload');

    # Killed before it has heard under what id its upload was begun: the key was said before it, and finds the upload.
    $proxy->rules({ match => '^POST .*uploads=', nth => 1, then => 'answer', answer => 500 },
        { match => '^POST .*uploads=', nth => 2, delay => 60 });
    my $unheard = backup_job($settings, $proxied, $url);
    $run = start_mover($settings, $unheard);
    $run->{harness}->pump until $run->{stdout} =~ /"event": *"upload"/;
    sleep 0.05 until grep { /uploads=.*delay/ } $proxy->requests;
    is(scalar @{ store({}, 'uploads', $store)->{uploads} }, 1, "$name: an upload is begun under an id that nobody heard");
    kill 'KILL', $run->{pid};
    run_mover($run);
    $next = backup_job($settings, $store, $url, job_id => $unheard->{job_id}, attempt => 2,
        previous => [ { attempt_id => $unheard->{attempt_id}, key => $unheard->{object}{key}, upload_id => undef } ]);
    is(last_event(run_mover($settings, $next))->{event}, 'done', '  the next attempt succeeds');
    is_deeply(store({}, 'uploads', $store)->{uploads}, [], '  and has swept the upload');

    # Cancelled while a part is on its way.
    $proxy->rules({ match => 'partNumber=2', delay => 60 });
    my $cancelled = backup_job($settings, $proxied, $url);
    $run = start_mover($settings, $cancelled);
    $run->{harness}->pump until $run->{stdout} =~ /"upload_id": *"/;
    kill 'TERM', $run->{pid};
    my $result = run_mover($run);
    is(last_event($result)->{reason}, 'cancelled', "$name: SIGTERM cancels a backup") or diag explain $result->{events};
    cmp_ok($result->{seconds}, '<', 20, '  soon');
    is_deeply(store({}, 'uploads', $store)->{uploads}, [], '  and leaves no upload');
    ok(store({}, 'head', $store, $cancelled->{object}{key})->{missing}, '  and no object');

    # The bucket refuses in the middle of a dump.
    $proxy->rules({ match => 'partNumber=2', answer => 403, body => '<Error><Code>AccessDenied</Code></Error>' });
    my $refused = last_event(run_mover($settings, backup_job($settings, $proxied, $url)));
    is($refused->{reason}, 'store', "$name: a right that is taken away fails the backup") or diag explain $refused;
    is_deeply(store({}, 'uploads', $store)->{uploads}, [], '  and leaves no upload');
    $proxy->stop;
}

done_testing();
