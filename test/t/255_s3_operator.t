# The operator at a bucket in bad shape: list, verify, get and restore where some objects cannot be
# had, where lists are cut short, where he changes his mind in the middle, and at a terminal.
use strict;
use warnings;

use CustbackupTest;
use FaultProxy;
use PostgreSQL::Test::Utils;
use MemoryTest;
use S3Test;
use Test::More;
use Time::HiRes qw(sleep time);

my $customer = start_customer(name => 'operator');
my $url = customer_url($customer);
$customer->safe_psql('shop', q{CREATE TABLE item AS SELECT i AS id, md5(i::text) AS note FROM generate_series(1, 30000) i; ALTER TABLE item OWNER TO app});
my $whole = checksum_database($customer);
my $directory = PostgreSQL::Test::Utils::tempdir();
my $credentials = "$directory/credentials";
append_to_file($credentials, "[default]\naws_access_key_id = $access_key\naws_secret_access_key = $secret_key\n");
chmod 0600, $credentials;
my ($settings) = mover_settings(credentials_file => $credentials);
my @own = ("--credentials-file=$credentials", "--spool-dir=$directory");
my ($clones, $inputs) = (0, 0);

sub start_tool
{
    my ($store, $stdin, $verb, @arguments) = @_;
    my $run = { out => '', err => '' };
    my $input = "$directory/input." . ++$inputs;
    append_to_file($input, $stdin);
    $run->{harness} = IPC::Run::start([ $mover, $verb, "--store=$store", @own, @arguments ], '<', $input, '>', \$run->{out},
        '2>', \$run->{err}, IPC::Run::timeout(120));
    $run->{pid} = $run->{harness}{KIDS}[0]{PID};
    return $run;
}

sub tool
{
    my $run = start_tool(@_);
    $run->{harness}->finish;
    return ($run->{harness}->full_result(0) >> 8, $run->{out}, $run->{err});
}

# What somebody else on this host, or a core file, could learn of it while it works.
sub tells_nothing
{
    my ($run, $what) = @_;
    my $process = "/proc/$run->{pid}";
    my ($limits) = slurp_file("$process/limits") =~ /^(Max core file size.*?) *$/m;
    like($limits, qr/ 0 +0 +bytes$/, "$what: no core file");
    # A sanitized one is looked into by its own leak check.
    ok(!open(my $memory, '<', "$process/environ"), '  not even its own user looks into it') if $< != 0 && !is_sanitized();
    my $line = slurp_file("$process/cmdline");
    unlike($line, qr/\Q$secret_key\E|s3cret/, '  no secret in its arguments');
    return;
}

sub partials { my @found = glob "$directory/*.partial"; return @found }

for my $server (start_s3_servers())
{
    my $name = $server->{name};
    make_bucket($server, 'backups');
    my $store = store_url($server, 'backups', 'eu');
    my @backups;
    for my $token (qw(acme-main acme-main other))
    {
        my $job = backup_job($settings, $store, $url, token => $token);
        my $done = last_event(run_mover($settings, $job));
        is($done->{event}, 'done', "$name: a backup of $token") or BAIL_OUT(explain $done);
        push @backups, { %$done, id => $job->{job_id} };
    }
    my ($first, $second, $third) = @backups;
    # Other people's objects, some of which look a little like ours.
    store({ stdin => '/etc/hostname' }, 'request', $store, 'PUT', $_)
      for 'readme.txt', 'acme-main/notes.json', "acme-main/$first->{id}.dump.gz.old", "acme-main/$first->{id}-1.json", 'x/y/z.dump.gz';
    my ($exit, $out, $err) = tool($store, '', 'verify');
    is($exit, 0, "$name: other people's objects") or diag $out, $err;
    like($out, qr/^3 of 3 verified, 0 bad$/m, '  are not counted');

    # A restore from the bucket alone.
    my $clone = 'clone' . ++$clones;
    $customer->safe_psql('postgres', "CREATE DATABASE $clone OWNER app");
    ($exit, $out, $err) = tool($store, customer_url($customer, database => $clone), 'restore', '--allow-local-targets', '--token=acme-main', '--latest');
    is($exit, 0, "$name: restore, into the URL on standard input") or diag $err;
    is(checksum_database($customer, $clone), $whole, '  all of it');

    # One manifest, one object that the store does not give: the others can be had.
    my $proxy = FaultProxy->start($server->{authority}, PostgreSQL::Test::Utils::tempdir());
    my $proxied = store_url($proxy, 'backups', 'eu', 'tries=2', 'retry_time=5');
    my $denied = '<Error><Code>AccessDenied</Code><Message>no</Message></Error>';
    my $manifest = "$first->{id}\\.json";
    $proxy->rules({ match => $manifest, answer => 403, body => $denied });
    ($exit, $out, $err) = tool($proxied, '', 'list');
    is($exit, 0, "$name: list, with a manifest that is refused") or diag $err;
    like($out, qr/^! acme-main\/\Q$first->{id}\E.*lack a right/m, '  names it');
    like($out, qr/ \Q$_->{id}\E /, '  and the others') for $second, $third;
    ($exit, $out, $err) = tool($proxied, '', 'verify');
    is($exit, 1, '  verify does not call it good');
    like($out, qr/^3 of 3 verified, 1 bad$/m, '  and goes on');
    ($exit, $out, $err) = tool($proxied, '', 'get', '--token=acme-main', '--latest', "--output=$directory/$name.second", '--json');
    is($exit, 0, '  the latest can be had') or diag $err;
    like($err, qr/^passed over: acme-main\/\Q$first->{id}\E/m, '  with a word about the one that is passed over');
    is(JSON::PP::decode_json($out)->{sha256}, file_sha256("$directory/$name.second"), '  and what was written is told as JSON');
    $proxy->rules({ match => "$first->{id}\\.dump", answer => 403, body => '<Error><Code>InvalidObjectState</Code></Error>' });
    ($exit, $out, $err) = tool($proxied, '', 'verify');
    is($exit, 1, "$name: verify, with an object in an archive");
    like($out, qr/^BAD   acme-main\/\Q$first->{id}\E.*bring it back there first/m, '  names it');
    like($out, qr/^3 of 3 verified, 1 bad$/m, '  and goes on');
    $proxy->rules({ match => '[.]json', answer => 403, body => $denied });
    ($exit, $out, $err) = tool($proxied, '', 'list');
    is($exit, 1, "$name: list, without the right to read anything") or diag $out;
    like($err, qr/lack a right/, '  fails and says so');

    $proxy->rules();
    # Lists that are not what was asked for.
    my $page = sub { '<ListBucketResult><IsTruncated>' . $_[0] . '</IsTruncated>' . ($_[1] // '')
          . join('', map { sprintf '<Contents><Key>eu/many/018f0000-0000-4000-8000-%012d.dump.gz</Key><Size>1</Size></Contents>', $_ } 1 .. $_[2]) . '</ListBucketResult>' };
    for my $case ([ 'without a way to go on', '' ], [ 'that goes round', '<NextContinuationToken>again</NextContinuationToken>' ])
    {
        my ($what, $token) = @$case;
        $proxy->rules({ match => 'list-type=2', answer => 200, body => $page->('true', $token, 10) });
        ($exit, $out, $err) = tool($proxied, '', 'list');
        is($exit, 1, "$name: a list $what is no whole list");
        like($err, qr/goes on, but not how: it is not whole/, '  and that is said');
    }
    $proxy->rules({ match => 'list-type=2', answer => 200, body => $page->('false', '', 2500) });
    ($exit, $out) = tool($proxied, '', 'list');
    is(scalar(() = $out =~ /^! many/mg), 2500, "$name: a page longer than was asked for is read to its end");

    # In the middle of a long get.
    $proxy->rules({ match => 'GET .*dump[.]gz', slow_answer => 100_000 });
    # Whoever runs us may have asked not to hear of a hangup, as nohup does.
    local $SIG{HUP} = 'DEFAULT';
    for my $signal (qw(INT TERM HUP KILL))
    {
        my $file = "$directory/$name.$signal";
        my $run = start_tool($proxied, '', 'get', "--output=$file", $third->{id});
        my $deadline = time + 30;
        sleep 0.02 until partials() || time > $deadline;
        is(scalar(() = partials()), 1, "$name, SIG$signal: what is being written has a name of its own");
        tells_nothing($run, '  get') if $signal eq 'INT';
        kill $signal, $run->{pid};
        $run->{harness}->finish;
        isnt($run->{harness}->full_result(0), 0, '  a get that is interrupted fails');
        ok(!-e $file, '  and leaves no file that looks like a backup');
        is(scalar(() = partials()), $signal eq 'KILL' ? 1 : 0, '  nor a part of one, if it can') or diag $run->{err};
        unlink partials();
    }
    # Between two of verify's, and in a restore.
    for my $verb ([ 'verify', '' ], [ 'restore', customer_url($customer, database => $clone), '--allow-local-targets', '--rewind', $third->{id} ])
    {
        my ($command, $stdin, @arguments) = @$verb;
        $proxy->rules({ match => 'GET .*dump[.]gz', slow_answer => 100_000 });
        my $run = start_tool($proxied, $stdin, $command, @arguments);
        my $deadline = time + 30;
        sleep 0.02 until grep(/GET .*dump/, $proxy->requests) || time > $deadline;
        tells_nothing($run, "$name, $command");
        kill 'INT', $run->{pid};
        $run->{harness}->finish;
        is($run->{harness}->full_result(0) >> 8, 1, "$name: Ctrl-C ends $command") or diag $run->{err};
        like($run->{err}, qr/cancelled/, '  which says so');
    }
    is(checksum_database($customer, $clone), $whole, '  before the target is touched');

    # Ctrl-C while check-store waits for an answer: its own object goes.
    $proxy->rules({ match => 'POST .*uploads', delay => 60 });
    my ($said, $words) = ('', '');
    my $check = IPC::Run::start([ $mover, 'check-store', "--credentials-file=$credentials", $proxied ], '>', \$said, '2>', \$words, IPC::Run::timeout(60));
    my $deadline = time + 30;
    sleep 0.02 until grep(/POST .*uploads/, $proxy->requests) || time > $deadline;
    $check->signal('INT');
    $check->finish;
    is($check->full_result(0) >> 8, 1, "$name: check-store interrupted") or diag $said;
    like($said, qr/^bad   store +cancelled by a signal\nThe check was interrupted\.$/m, '  says that, and nothing against the store');
    unlike($said, qr/^bad   (?!store)/m, '  in any line');
    is_deeply([ grep { $_->{key} =~ /check/ } @{ store({}, 'list', $store)->{list} } ], [], '  leaves nothing in the bucket');
    $proxy->stop;

    # A bucket that keeps versions: whoever overwrites or deletes an object has not taken it away.
    make_bucket($server, 'versions');
    versioning_on($server, 'versions');
    my $versioned = store_url($server, 'versions', 'eu');
    my $job = backup_job($settings, $versioned, $url, token => 'acme-main');
    my $stored = last_event(run_mover($settings, $job));
    my ($object, $id) = ($stored->{key}, $job->{job_id});
    my $manifest_key = $object =~ s/dump[.]gz$/json/r;
    ($exit, $out) = tool($versioned, '', 'list', '--json');
    is(JSON::PP::decode_json($out)->{version_id}, $stored->{version}, "$name: the manifest names the version") or diag $out;
    for my $case ([ 'PUT', 'overwritten' ], [ 'DELETE', 'deleted' ])
    {
        my $done = store($case->[0] eq 'PUT' ? { stdin => '/etc/hostname' } : {}, 'request', $versioned, $case->[0], $object);
        like($done->{status}, qr/^20[04]$/, "$name: somebody says $case->[0]") or diag explain $done;
        ($exit, $out, $err) = tool($versioned, '', 'list');
        like($out, qr/^\* \Q$object\E: somebody has $case->[1] it since; its own version \Q$stored->{version}\E is still there/m, "$name: list tells that it was $case->[1]")
          or diag $out, $err;
        ($exit, $out) = tool($versioned, '', 'verify');
        like($out, qr/^good  .*^1 of 1 verified, 0 bad$/ms, '  verify finds it good') or diag $out;
        ($exit, $out, $err) = tool($versioned, '', 'get', '--token=acme-main', '--latest', "--output=$directory/$name.$case->[1]");
        is($exit, 0, '  get takes its own version') or diag $err;
        is(file_sha256("$directory/$name.$case->[1]"), $stored->{sha256}, '  which has the right bytes');
    }
    my $versions_clone = 'clone' . ++$clones;
    $customer->safe_psql('postgres', "CREATE DATABASE $versions_clone OWNER app");
    ($exit, $out, $err) = tool($versioned, customer_url($customer, database => $versions_clone), 'restore', '--allow-local-targets', $id);
    is($exit, 0, '  and restore') or diag $err;
    is(checksum_database($customer, $versions_clone), $whole, '  all of it');
    # One of a release before versions were named: what hides it is said, and how it is undone.
    my $text = store({}, 'read', $versioned, $manifest_key)->{text} =~ s/"version_id": "[^"]*"/"version_id": null/r;
    append_to_file("$directory/$name.manifest", $text);
    store({ stdin => "$directory/$name.manifest" }, 'request', $versioned, 'PUT', $manifest_key);
    ($exit, $out, $err) = tool($versioned, '', 'list');
    # Versity's gateway does not speak of its markers.
    my $told = $name eq 'minio' ? qr/removing the delete marker that lies over it brings it back/ : qr/there is a manifest, but no object/;
    like($out, qr/^! \Q$object\E: .*$told/m, "$name: without its version, the marker over it is told") or diag $out, $err;
    # And a version of another bucket, as after a copy.
    is(store({ stdin => "$directory/$name.deleted" }, 'put', "$versioned&if_none_match=no", $object)->{bytes}, -s "$directory/$name.deleted", "$name: put back by hand");
    unlink "$directory/$name.manifest";
    append_to_file("$directory/$name.manifest", $text =~ s/"version_id": null/"version_id": "00000000-0000-4000-8000-000000000000"/r);
    store({ stdin => "$directory/$name.manifest" }, 'request', $versioned, 'PUT', $manifest_key);
    ($exit, $out) = tool($versioned, '', 'verify');
    like($out, qr/^1 of 1 verified, 0 bad$/m, "$name: a version that this bucket does not know") or diag $out;

    # A bar at a terminal, none in a pipe, and nothing of it on standard output.
    my $terminal = '';
    local @ENV{qw(COLUMNS TERM)} = (80, 'xterm');
    IPC::Run::run([ 'script', '-qec', "'$mover' verify '--store=$store' '--credentials-file=$credentials'", '/dev/null' ], '<', '/dev/null', '>', \$terminal);
    like($terminal, qr/\r\e\[Kverifying \[[#.]{24}\] +\d+ %/, "$name: a progress bar at a terminal");
    ($exit, $out, $err) = tool($store, '', 'verify');
    unlike($out . $err, qr/\e|\r/, '  none in a pipe');
    ($exit, $out, $err) = tool($store, '', 'verify', '--json');
    is(scalar(grep { JSON::PP::decode_json($_)->{good} } split /\n/, $out), 3, '  --json is JSON alone');
}

done_testing();
