# Object lock, on two servers of different make: what is locked until its tier's retention ends stays,
# is known as locked until then, and goes after it, also what failed attempts left. And a store that is
# moved: new backups go to the new one, old ones come back from where they lie.
use strict;
use warnings;

use CustbackupTest;
use FaultProxy;
use POSIX ();
use PostgreSQL::Test::Utils;
use S3Test;
use Test::More;
use Time::HiRes qw(sleep time);

my $customer = start_customer(name => 'locked_customer');
my $url = customer_url($customer);
$customer->safe_psql('shop', q{CREATE TABLE item AS SELECT i AS id, md5(i::text) AS note FROM generate_series(1, 1000) i; ALTER TABLE item OWNER TO app});
my $whole = checksum_database($customer);
my $directory = PostgreSQL::Test::Utils::tempdir();
my $credentials = "$directory/credentials";
append_to_file($credentials, join '', map { "[$_]\naws_access_key_id = $access_key\naws_secret_access_key = $secret_key\n" } qw(default versity minio));
chmod 0600, $credentials;
my ($settings) = mover_settings(credentials_file => $credentials);
my @servers = start_s3_servers();

sub in_seconds { return POSIX::strftime('%Y-%m-%dT%H:%M:%SZ', gmtime(time + $_[0])) }

sub wait_until_past
{
    my ($time) = @_;
    sleep 0.2 while POSIX::strftime('%Y-%m-%dT%H:%M:%SZ', gmtime(time - 1)) lt $time;
    return;
}

# {mode => , key =>, version =>}
sub store_job
{
    my ($kind, $store, %option) = @_;
    return { version => 1, kind => $kind, job_id => new_uuid(), attempt_id => new_uuid(), attempt => 1,
        store => { name => 'default', url => $store }, %option };
}

sub expire_job
{
    my ($store, $job, $done) = @_;
    return store_job('expire', $store, object => { backup_id => $job->{job_id}, key => $done->{key}, version => $done->{version} });
}

sub sweep_job
{
    my ($store, $job, @attempts) = @_;
    return store_job('sweep', $store, object => { backup_id => $job->{job_id}, token => 'acme-main' },
        previous => [ map { { attempt_id => $_->{attempt_id}, key => $_->{object}{key}, upload_id => undef } } @attempts ]);
}

# Versions and markers of a backup that the bucket holds.
sub versions_of
{
    my ($server, $job) = @_;
    my $body = store({}, 'request', store_url($server, 'locked', ''), 'GET', '', 'versions')->{body};
    return scalar(() = $body =~ m{<Key>p/acme-main/\Q$job->{job_id}\E}g);
}

for my $server (@servers)
{
    my $name = $server->{name};
    make_bucket($server, 'locked', 'x-amz-bucket-object-lock-enabled:true');
    for my $mode (qw(GOVERNANCE COMPLIANCE))
    {
        my $what = "$name, $mode";
        my $store = store_url($server, 'locked', 'p', "lock=$mode");
        my $job = backup_job($settings, $store, $url);
        my $until = $job->{object}{retain_until} = in_seconds(8);
        my $done = last_event(run_mover($settings, $job));
        is($done->{event}, 'done', "$what: a backup that is to be locked") or diag explain $done;
        is($done->{locked_until}, $until, '  the store says until when it is');
        my $manifest = $done->{key} =~ s/\.dump\.gz$/.json/r;
        cmp_ok(store({}, 'head', $store, $manifest)->{locked_until}, '>', time, '  its manifest is locked too');
        like(store({}, 'read', $store, $manifest)->{text}, qr/"locked_until": "\Q$until\E"/, '  and says so');
        my $removed = store({}, 'remove', $store, $manifest);
        is($removed->{reason}, 'locked', '  nobody removes it');

        my $expire = last_event(run_mover($settings, expire_job($store, $job, $done)));
        is_deeply([ @$expire{qw(event reason locked_until)} ], [ 'failed', 'locked', $until ], "$what: its removal finds it locked") or diag explain $expire;
        is(versions_of($server, $job), 2, '  object and manifest are there, and no marker hides them');
        is(store({}, 'get', $store, $done->{key}, $done->{version})->{sha256}, $done->{sha256}, '  and can be read');
        # A stranger hides the object, which deletes nothing.
        store({}, 'request', $store, 'DELETE', $done->{key});
        is(store({}, 'get', $store, $done->{key}, $done->{version})->{sha256}, $done->{sha256}, "$what: hidden by a stranger it is still there");
        is(last_event(run_mover($settings, expire_job($store, $job, $done)))->{reason}, 'locked', '  and still locked');
        wait_until_past($until);
        is(last_event(run_mover($settings, expire_job($store, $job, $done)))->{event}, 'done', "$what: when the lock has run out it is removed");
        ok(store({}, 'head', $store, $done->{key}, $done->{version})->{missing}, '  that version is gone');
        ok(store({}, 'head', $store, $manifest)->{missing}, '  and the manifest');
    }

    # lock_days is the least, and serves where the tier has no retention.
    {
        my $store = store_url($server, 'locked', 'p', 'lock=GOVERNANCE', 'lock_days=2');
        for my $case ([ 'no retention' => undef, 2 ], [ 'a shorter one' => in_seconds(86400), 2 ], [ 'a longer one' => in_seconds(5 * 86400), 5 ])
        {
            my ($what, $until, $days) = @$case;
            my $job = backup_job($settings, $store, $url);
            $job->{object}{retain_until} = $until;
            my $done = last_event(run_mover($settings, $job));
            # The day may have changed meanwhile.
            my ($earliest, $latest) = map { substr in_seconds($days * 86400 + $_), 0, 10 } -120, 0;
            like($done->{locked_until} // '', qr/^(?:$earliest|$latest)T/, "$name: lock_days=2 and $what") or diag explain $done;
        }
        my $unlocked = last_event(run_mover($settings, backup_job($settings, store_url($server, 'locked', 'p', 'lock=GOVERNANCE'), $url)));
        is($unlocked->{event} . ' ' . ($unlocked->{locked_until} // 'free'), 'done free', "$name: neither: not locked");
    }

    # A copied bucket numbers versions anew: what lies there goes when it is the backup's own, and stays when it is not.
    {
        my $store = store_url($server, 'locked', 'p');
        my ($copied, $replaced) = map { my $job = backup_job($settings, $store, $url); [ $job, last_event(run_mover($settings, $job)) ] } 1 .. 2;
        store({ stdin => $credentials }, 'request', $store, 'PUT', $replaced->[1]{key});
        for my $case ([ 'its own object', $copied, 0 ], [ "somebody else's", $replaced, 1 ])
        {
            my ($what, $backup, $left) = @$case;
            my $job = expire_job($store, @$backup);
            store({}, 'remove', $store, $job->{object}{key}, $job->{object}{version}) if $left;
            $job->{object}{version} = '00000000-0000-4000-8000-000000000000';
            is(last_event(run_mover($settings, $job))->{event}, 'done', "$name: a version that the bucket does not know, and $what");
            is(versions_of($server, $backup->[0]), $left, '  of which that remains which is not ours');
        }
        is(store({}, 'head', $store, $replaced->[1]{key})->{bytes}, -s $credentials, '  as it was');
    }

    # A legal hold has no end.
    {
        my $store = store_url($server, 'locked', 'p');
        my $job = backup_job($settings, $store, $url);
        my $done = last_event(run_mover($settings, $job));
        my $hold = sub {
            my $body = PostgreSQL::Test::Utils::tempdir() . '/body';
            append_to_file($body, "<LegalHold xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Status>$_[0]</Status></LegalHold>");
            is(store({ stdin => $body }, 'request', $store, 'PUT', $done->{key}, 'legal-hold', 'content-type:application/xml')->{status}, 200, "$name: a legal hold is $_[0]");
        };
        $hold->('ON');
        my $expire = last_event(run_mover($settings, expire_job($store, $job, $done)));
        is_deeply([ @$expire{qw(event reason locked_until)} ], [ 'failed', 'locked', 'infinity' ], '  it is locked for ever') or diag explain $expire;
        $hold->('OFF');
        is(last_event(run_mover($settings, expire_job($store, $job, $done)))->{event}, 'done', '  until it is lifted');
    }

    # What a failed attempt leaves locked is told, swept in vain, and swept after it.
    {
        my $proxy = FaultProxy->start($server->{authority}, PostgreSQL::Test::Utils::tempdir());
        my $proxied = store_url($proxy, 'locked', 'p', 'lock=COMPLIANCE', 'tries=2', 'retry_time=5');
        my $store = store_url($server, 'locked', 'p', 'lock=COMPLIANCE');
        my $job = backup_job($settings, $proxied, $url);
        my $until = $job->{object}{retain_until} = in_seconds(9);
        $proxy->rules({ match => '^PUT .*json', answer => 403, body => '<Error><Code>AccessDenied</Code></Error>' });
        my $failed = last_event(run_mover($settings, $job));
        is("$failed->{event} $failed->{reason}", 'failed store', "$name: an attempt fails when its object is locked already") or diag explain $failed;
        my $left = [ { attempt_id => $job->{attempt_id}, locked_until => $until } ];
        is_deeply($failed->{left}, $left, '  and tells what it leaves, and until when') or diag explain $failed;
        is(versions_of($server, $job), 1, '  which is its object, not hidden');
        my $sweep = last_event(run_mover($settings, sweep_job($store, $job, $job)));
        is("$sweep->{event}", 'done', '  a sweep goes by') or diag explain $sweep;
        is_deeply($sweep->{left}, $left, '  and leaves it');

        # The next attempt goes on under its own key, and says the same.
        my $next = backup_job($settings, $store, $url, job_id => $job->{job_id}, attempt => 2,
            previous => [ { attempt_id => $job->{attempt_id}, key => $job->{object}{key}, upload_id => undef } ]);
        my $done = last_event(run_mover($settings, $next));
        is($done->{event}, 'done', "$name: the next attempt succeeds") or diag explain $done;
        is_deeply($done->{left}, $left, '  and knows what the first one left');

        wait_until_past($until);
        $sweep = last_event(run_mover($settings, sweep_job($store, $job, $job)));
        is_deeply($sweep->{left}, [], "$name: after it a sweep leaves nothing") or diag explain $sweep;
        ok(store({}, 'head', $store, $job->{object}{key})->{missing}, '  it is gone');
        is(store({}, 'get', $store, $done->{key})->{sha256}, $done->{sha256}, '  and the backup is untouched');

        # Unlocked, a failed attempt leaves nothing, and a store that is away is no clean slate.
        $job = backup_job($settings, store_url($proxy, 'locked', 'p', 'tries=2', 'retry_time=5'), $url);
        is_deeply(last_event(run_mover($settings, $job))->{left}, [], "$name: without a lock nothing is left");
        $job = backup_job($settings, store_url($proxy, 'locked', 'p', 'tries=2', 'retry_time=5'), $url);
        $proxy->rules({ match => '^PUT .*json', answer => 403, body => '<Error><Code>AccessDenied</Code></Error>' }, { match => '^DELETE', drop => 1 });
        is_deeply(last_event(run_mover($settings, $job))->{left}, [ { attempt_id => $job->{attempt_id}, locked_until => undef } ],
            "$name: what could not be removed is told");
        is_deeply(last_event(run_mover($settings, sweep_job($store, $job, $job)))->{left}, [], '  and swept');
        $proxy->stop;
    }
}

# ---- all of it through SQL, and a store that is moved ------------------------------------------------

my %server = map { $_->{name} => $_ } @servers;
my $control = start_control(name => 'locked_control', conf => "custbackup.credentials_file = '$credentials'\n");
sub sql { return $control->safe_psql($control->{database}, $_[0]) }
sql(sprintf q{UPDATE custbackup.stores SET is_default = false;
    INSERT INTO custbackup.stores (name, url, is_default) VALUES ('versity', '%s', true), ('minio', '%s', false)},
    map { store_url($server{$_}, 'locked', 'sql', 'lock=COMPLIANCE') } qw(versity minio));
my $resource = add_resource($control, $url, token => 'shop', team_id => new_uuid());
my %backup;
for my $name (qw(versity minio))
{
    sql("UPDATE custbackup.stores SET is_default = false WHERE is_default; UPDATE custbackup.stores SET is_default = true WHERE name = '$name'");
    my $id = $backup{$name} = sql("SELECT custbackup.request_backup('$resource')");
    is(wait_for_job($control, $id, 60), 'ok/-', "$name: a backup by SQL") or diag sql("SELECT detail FROM custbackup.jobs WHERE id = '$id'");
    is(sql("SELECT store, object_state, date_trunc('second', started_at) + 30 * interval '24 hours' = locked_until FROM custbackup.backups WHERE id = '$id'"),
        "$name|stored|t", '  lies in the default store, locked until its tier\'s retention ends');
    my $expiry = sql("SELECT custbackup.expire('$id')");
    is(wait_for_job($control, $expiry, 30), 'failed/locked', '  its removal is refused by the lock');
    like(sql("SELECT detail FROM custbackup.jobs WHERE id = '$expiry'"), qr/is locked in its store until \d{4}-.*nothing was removed/, '  and says until when');
    is(sql("SELECT object_state, locked_until > now() + interval '29 days', expired_at IS NULL FROM custbackup.backups WHERE id = '$id'"),
        'locked|t|t', '  it is locked until then, and not expired');
    is(sql('SELECT custbackup.sweep()'), '0', '  nobody asks again before');
    $customer->safe_psql('shop', "DELETE FROM item WHERE id > 500; ALTER TABLE item ADD COLUMN of_$name int") if $name eq 'versity';
}
for my $name (qw(versity minio))
{
    my $restore = sql("SELECT custbackup.request_restore('$backup{$name}', safety_backup => false)");
    is(wait_for_job($control, $restore, 60), 'ok/-', "$name: a locked backup comes back from its own store") or diag sql("SELECT detail FROM custbackup.jobs WHERE id = '$restore'");
    is(checksum_database($customer) eq $whole ? 'whole' : 'damaged', $name eq 'versity' ? 'whole' : 'damaged', '  as it was then');
}

# Every attempt of a backup is killed in its upload: one sweep, and no upload is left.
{
    my $proxy = FaultProxy->start($server{minio}{authority}, PostgreSQL::Test::Utils::tempdir(), { match => 'partNumber=', delay => 60 });
    sql(sprintf "INSERT INTO custbackup.stores (name, url) VALUES ('default2', '%s')", store_url($proxy, 'locked', 'lost', 'part_size=5MiB'));
    append_to_file($credentials, "[default2]\naws_access_key_id = $access_key\naws_secret_access_key = $secret_key\n");
    $customer->safe_psql('shop', q{CREATE TABLE bulk AS SELECT i, md5(i::text) || md5((i * 7)::text) AS note FROM generate_series(1, 250000) i; ALTER TABLE bulk OWNER TO app});
    sql("UPDATE custbackup.stores SET is_default = false WHERE is_default; UPDATE custbackup.stores SET is_default = true WHERE name = 'default2'");
    my $id = sql("SELECT custbackup.request_backup('$resource')");
    for my $attempt (1 .. 3)
    {
        wait_for(sub { sql("SELECT 1 FROM custbackup.jobs j JOIN custbackup.attempts a USING (attempt_id) WHERE j.id = '$id' AND j.attempt = $attempt AND a.key IS NOT NULL") }, 60, "upload $attempt");
        kill 'KILL', movers_running($control);
        wait_for(sub { sql("SELECT 1 FROM custbackup.attempts WHERE job_id = '$id' AND attempt = $attempt AND outcome = 'lost'") }, 30, "attempt $attempt is lost");
        # The pauses between attempts are not this test's subject.
        sql("UPDATE custbackup.jobs SET not_before = now() WHERE id = '$id' AND status = 'pending'; SELECT custbackup.wake()");
    }
    is(wait_for_job($control, $id, 30), 'failed/mover_lost', 'a backup that is lost three times');
    my $direct = store_url($server{minio}, 'locked', 'lost');
    is(scalar @{ store({}, 'uploads', $direct)->{uploads} }, 1, '  leaves its last upload');
    is(sql("SELECT attempt, store FROM custbackup.leftovers WHERE backup_id = '$id' ORDER BY attempt DESC LIMIT 1"), '3|default2', '  which is known');
    $proxy->rules();
    is(sql("SELECT custbackup.sweep(now() + interval '2 minutes')"), '1', 'a sweep');
    sql("UPDATE custbackup.jobs SET not_before = now() WHERE kind = 'sweep' AND status = 'pending'; SELECT custbackup.wake()");
    is(wait_for_job($control, sql("SELECT id FROM custbackup.jobs WHERE kind = 'sweep' AND swept_job_id = '$id'"), 30), 'ok/-', '  does its work');
    is(scalar @{ store({}, 'uploads', $direct)->{uploads} }, 0, '  no upload is left');
    is(sql("SELECT count(*) FROM custbackup.leftovers"), '0', '  and nothing is on the list');
    $proxy->stop;
}
$control->stop;

done_testing();
