# Database, extension and role come and go: the launcher waits quietly and says each thing once.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(time sleep);
use PostgreSQL::Test::Utils;
use CustbackupTest;
use WorkerTest;

my $node = start_fake_control(extension => 0, database => 'plane');
my $db = $node->{database};

sub worker_comes { my ($what, $seconds) = @_; ok(wait_for(sub { worker_pid($node) }, $seconds // 10, $what), $what) }
sub worker_goes { my ($what, $seconds) = @_; ok(wait_for(sub { !worker_pid($node) }, $seconds // 10, $what), $what) }

# ---- absent at the start
{
    # start_control creates the database after the start; the launcher has looked before that.
    $node->reload;
    ok(wait_for(sub { log_count($node, qr/has no extension custbackup/) }, 20, 'said'), 'a missing extension is logged');
    $node->reload, sleep 0.5 for 1 .. 3;
    is(log_count($node, qr/has no extension custbackup/), 1, 'once');
    is(worker_pid($node), '', 'there is no worker');
    create_extension($node);
    worker_comes('the worker comes with the extension');
}

# ---- dropped while a job runs
{
    running_since($node, submit($node, 'work'), 1);
    my @movers = movers_of($node);
    $node->safe_psql($db, 'DROP EXTENSION custbackup');
    ok(wait_for(sub { !alive(@movers) }, 15, 'ended'), 'DROP EXTENSION ends its jobs');
    worker_goes('and the worker leaves');
    is(log_count($node, qr/worker leaves: the extension has been dropped/), 1, 'which is logged');
    ok(wait_for(sub { log_count($node, qr/has no extension custbackup/) == 2 }, 15, 'said'), 'as is that it is missing now');
    sleep 1;
    create_extension($node);
    worker_comes('it comes back with the extension');
    ok(await($node, submit($node, 'ok'), 'ok'), 'and works');
}

# ---- the database
{
    my ($status, $out, $err) = $node->psql('postgres', "DROP DATABASE $db");
    isnt($status, 0, 'a plain DROP DATABASE fails while the worker is connected');
    like($err, qr/being accessed by other users/, 'as Postgres does for any session');
    is(outcome_of($node, submit($node, 'ok')) =~ /^(pending|running|ok)/ ? 1 : 0, 1, 'and does no harm');

    running_since($node, submit($node, 'deaf'), 1);
    my @movers = movers_of($node);
    my $begun = time;
    my $missing = qr/launcher: database "$db".*does not exist/;
    my $said = log_count($node, $missing);
    $node->safe_psql('postgres', "DROP DATABASE $db WITH (FORCE)");
    cmp_ok(time - $begun, '<', 5, 'DROP DATABASE WITH (FORCE) works while a job runs');
    ok(wait_for(sub { !alive(@movers) }, 20, 'ended'), 'and ends it');
    ok(wait_for(sub { log_count($node, $missing) > $said }, 15, 'said'), 'the missing database is logged');
    my $fatal = log_count($node, qr/FATAL:  database "$db" does not exist/);
    $node->reload, sleep 0.5 for 1 .. 3;
    is(log_count($node, $missing), $said + 1, 'once');
    is(log_count($node, qr/FATAL:  database "$db" does not exist/), $fatal, 'and no process fails for it');

    $node->safe_psql('postgres', "CREATE DATABASE $db");
    create_extension($node);
    $node->reload;
    worker_comes('the worker comes with a new database', 15);
    ok(await($node, submit($node, 'ok'), 'ok'), 'and works');
}

# ---- a role of its own
{
    $node->safe_psql($db, q{CREATE ROLE runner LOGIN; SELECT custbackup.grant_worker('runner')});
    reconfigure($node, "custbackup.role = 'runner'");
    ok(wait_for(
            sub { $node->safe_psql('postgres', "SELECT usename FROM pg_stat_activity WHERE backend_type = 'custbackup worker'") eq 'runner' },
            15, 'runner'), 'a changed custbackup.role brings a worker of that role');
    ok(await($node, submit($node, 'ok'), 'ok'), 'a role with nothing but grant_worker() does the work');
    my $lost = submit($node, 'work');
    running_since($node, $lost, 1);
    $node->safe_psql($db, "SELECT custbackup.cancel('$lost')");
    ok(await($node, $lost, 'cancelled'), 'cancellations too');
    is(log_count($node, qr/permission denied/), 0, 'and lacks no right');

    reconfigure($node, "custbackup.role = 'nobody_of_this_name'");
    worker_goes('a role that does not exist: no worker');
    ok(wait_for(sub { log_count($node, qr/role that custbackup\.role names does not exist/) }, 20, 'said'), 'which is logged');

    $node->safe_psql($db, "CREATE ROLE stranger LOGIN; REVOKE CONNECT ON DATABASE $db FROM PUBLIC");
    reconfigure($node, "custbackup.role = 'stranger'");
    ok(wait_for(sub { log_count($node, qr/may not connect/) }, 20, 'said'), 'a role without CONNECT is logged');
    $node->safe_psql($db, "ALTER ROLE runner NOLOGIN; GRANT CONNECT ON DATABASE $db TO PUBLIC");
    reconfigure($node, "custbackup.role = 'runner'");
    if ($node->pg_version >= 17)
    {
        worker_comes('from Postgres 17 the role needs no LOGIN', 15);
    }
    else
    {
        ok(wait_for(sub { log_count($node, qr/needs LOGIN before Postgres 17/) }, 20, 'said'), 'a role without LOGIN is logged');
    }
    reconfigure($node, "custbackup.role = ''");
    worker_comes('the extension\'s owner is the default', 15);
    ok(await($node, submit($node, 'ok'), 'ok'), 'and works');
}

# ---- another database, by a reload
{
    $node->safe_psql('postgres', 'CREATE DATABASE other');
    reconfigure($node, "custbackup.database = 'other'");
    worker_goes('the worker leaves a database that is not its own any more');
    reconfigure($node, "custbackup.database = '$db'");
    worker_comes('and comes back', 15);
}

# ---- a control database in another encoding: what a mover says may have letters that it has not
{
    $node->safe_psql('postgres', "CREATE DATABASE western TEMPLATE template0 LOCALE 'C' ENCODING 'LATIN1'");
    $node->{database} = 'western';
    create_extension($node);
    reconfigure($node, "custbackup.database = 'western'");
    my $job = submit($node, 'letters');
    ok(await($node, $job, 'failed'), 'a failure in letters that the database does not have');
    is($node->safe_psql('western', "SET client_encoding = 'UTF8'; SELECT reason, detail FROM custbackup.jobs WHERE id = '$job'"), "dump|\xc3\xa9 ? ?",
        'is recorded, those letters as question marks');

    # SQL_ASCII takes any byte, and the protocol is UTF-8.
    $node->safe_psql('postgres', "CREATE DATABASE bytes TEMPLATE template0 LOCALE 'C' ENCODING 'SQL_ASCII'");
    $node->{database} = 'bytes';
    create_extension($node);
    $node->safe_psql('bytes', q{INSERT INTO custbackup.tiers (tier, cadence) VALUES (E'\xff pro', '1 hour')});
    reconfigure($node, "custbackup.database = 'bytes'");
    my @jobs = map { submit($node, 'ok') } 1 .. 2;
    $node->safe_psql('bytes', "UPDATE custbackup.resources SET tier = E'\\xff pro' WHERE id = (SELECT resource_id FROM custbackup.jobs WHERE id = '$jobs[0]')");
    ok(await($node, $_, 'ok'), 'a tier that is no UTF-8 stops no job') for @jobs;
}

is(log_count($node, qr/terminated by signal/), 0, 'no process crashed');
done_testing();
