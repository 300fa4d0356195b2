# The queue's locks keep two passes and two claims apart, and are nobody else's to take.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use CustbackupTest;
use IPC::Run ();
use Test::More;

my $node = start_control(preload => 0, conf => "custbackup.max_jobs = 0\n");
my $db = $node->{database};
my @resources = map { new_uuid() } 1 .. 2;

sub sql { return $node->safe_psql($db, $_[0]) }

# A session that runs this and then stays in its transaction.
sub hold
{
    my ($role, $statement) = @_;
    my $harness = IPC::Run::start([ 'psql', '-X', '-q', '-d', $node->connstr($db) . " user=$role", '-v', 'ON_ERROR_STOP=1',
            '-c', "BEGIN; $statement; SELECT pg_sleep(60)" ], '<', '/dev/null', '>', '/dev/null', IPC::Run::timeout(120));
    wait_for(sub { sql("SELECT count(*) FROM pg_stat_activity WHERE usename = '$role' AND query LIKE '%pg_sleep(60)%'
        AND wait_event = 'PgSleep' AND pid <> pg_backend_pid()") }, 20, "a session of $role");
    return $harness;
}

sub release
{
    my ($harness) = @_;
    sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
    $harness->finish;
    return;
}

sql('CREATE ROLE stranger LOGIN; CREATE ROLE second LOGIN SUPERUSER');
sql("INSERT INTO custbackup.resources (id, token, tier, resource_type, connection_url) VALUES ('$_', 't-$_', 'pro', 'postgres', 'x')")
    for @resources;

my $stranger = hold('stranger', "SELECT pg_advisory_lock(c.oid::integer, 0), pg_advisory_lock(c.oid::integer, hashtext(r::text)),
    pg_advisory_lock((c.oid::bigint << 32))
    FROM pg_class c, unnest(ARRAY['$resources[0]', '$resources[1]']) AS r WHERE c.relname IN ('scheduler', 'jobs')");
is(sql('SELECT custbackup.schedule()'), 2, 'a stranger who holds every advisory lock that there is does not stop the schedule');
is(sql("SELECT count(*) FROM custbackup.claim('one', 1)"), 1, 'nor a claim');
release($stranger);

my ($one, $other) = (sql("SELECT resource_id FROM custbackup.jobs WHERE status = 'running'"), sql(
    "SELECT resource_id FROM custbackup.jobs WHERE status = 'pending'"));
sql("SELECT custbackup.request_backup('$one')");
my $second = hold('second', "SELECT custbackup.schedule(now() + interval '1 hour'), custbackup.try_lock('custbackup.jobs', hashtext('$other'))");
is(sql("SELECT custbackup.schedule(now() + interval '1 hour')"), 0, 'a pass that goes on elsewhere does this one\'s work');
is(sql("SELECT count(*) FROM custbackup.claim('one', 9, ARRAY(SELECT attempt_id FROM custbackup.jobs WHERE status = 'running'))"), 0,
    'a resource that is being claimed elsewhere is left to the other');
release($second);
is(sql("SELECT count(*) FROM custbackup.claim('one', 9, ARRAY(SELECT attempt_id FROM custbackup.jobs WHERE status = 'running'))"), 1,
    'and free afterwards');
# Somebody who asks or cancels, and then does not commit, holds up nobody else.
sql("UPDATE custbackup.jobs SET status = 'cancelled', reason = 'cancelled', finished_at = now() WHERE status IN ('pending', 'running')");
my ($asked, $cancelled, $free) = map { new_uuid() } 1 .. 3;
sql("INSERT INTO custbackup.resources (id, token, tier, resource_type, connection_url) VALUES ('$_', 't-$_', 'pro', 'postgres', 'x')") for $asked, $cancelled, $free;
my $waits = sql("SELECT custbackup.request_backup('$cancelled')");
my $idle = hold('second', "SELECT custbackup.request_backup('$asked'), custbackup.cancel('$waits')");
sql("SET lock_timeout = '2s'; SELECT custbackup.schedule(now() + interval '2 hours')");
is(sql("SELECT count(*) FROM custbackup.jobs WHERE status = 'pending' AND resource_id IN ('$free', '$resources[0]', '$resources[1]')"), 3, 'a request that is not committed does not stop the schedule');
my $other_job = sql("SELECT id FROM custbackup.jobs WHERE resource_id = '$free'");
is(sql("SET lock_timeout = '2s'; SELECT custbackup.cancel('$other_job')"), 't', 'nor a cancellation another one');
release($idle);
is(sql("SELECT count(*) FROM custbackup.jobs WHERE resource_id = '$asked'"), 0, 'gone with its transaction');
sql("SELECT custbackup.schedule(now() + interval '2 hours')");
is(sql("SELECT count(*) FROM custbackup.jobs WHERE resource_id = '$asked'"), 1, 'its resource is scheduled by the next pass');
is(sql("SELECT sum(value) FROM custbackup.counters WHERE result = 'cancelled'"), sql("SELECT count(*) FROM custbackup.jobs WHERE status = 'cancelled'"),
    'every end was counted');

like(($node->psql($db, "SET ROLE stranger; SELECT custbackup.try_lock('pg_class', 1)"))[2], qr/permission denied/, 'a stranger has no such lock');

done_testing();
