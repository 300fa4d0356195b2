# The queue's locks keep two passes and two claims apart, and are nobody else's to take.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use CustbackupTest;
use IPC::Run ();
use Test::More;

my $node = start_control(preload => 0, schedule => 1, conf => "custbackup.max_jobs = 0\n");
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
# One in a thousand has the mark of another, and is left to the next pass with it: not what is asked here.
$asked = new_uuid() while sql("SELECT custbackup.request_mark('$asked') IN (SELECT custbackup.request_mark(r::uuid)
    FROM unnest(ARRAY['$free', '$resources[0]', '$resources[1]']) AS r)") eq 't';
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

# Nor does an operator who renames the default store, or removes it, and then does not commit.
sql("UPDATE custbackup.jobs SET status = 'cancelled', reason = 'cancelled', finished_at = now() WHERE status IN ('pending', 'running')");
sql("INSERT INTO custbackup.stores (name, url) VALUES ('old', 'file:///var/backups/old')");
my ($new_one, $old_one) = map { new_uuid() } 1 .. 2;
sql("INSERT INTO custbackup.resources (id, token, tier, resource_type, connection_url) VALUES ('$_', 't-$_', 'pro', 'postgres', 'x')") for $new_one, $old_one;
my $new_job = sql("SELECT custbackup.request_backup('$new_one')");
my $old_job = sql("SELECT custbackup.request_backup('$old_one')");
# As one that was lost on its way into another store.
sql("UPDATE custbackup.jobs SET store = 'old' WHERE id = '$old_job'");
for my $statement ("UPDATE custbackup.stores SET name = 'renamed' WHERE is_default", 'DELETE FROM custbackup.stores WHERE is_default')
{
    # Nothing refers to it, so that the second can be.
    sql("INSERT INTO custbackup.stores (name, url) VALUES ('fresh', 'file:///var/backups/fresh');
        UPDATE custbackup.stores SET is_default = false; UPDATE custbackup.stores SET is_default = true WHERE name = 'fresh'");
    $idle = hold('second', $statement);
    my $claimed = sql("SET lock_timeout = '1s'; BEGIN; SELECT job_id FROM custbackup.claim('two', 9); ROLLBACK");
    is($claimed, $old_job, "$statement, not committed: what lies in another store is claimed, and nothing waits");
    sql("SET lock_timeout = '1s'; SELECT custbackup.schedule(now() + interval '3 hours')");
    pass('  and the schedule goes on');
    release($idle);
    $claimed = sql("BEGIN; SELECT job_id FROM custbackup.claim('two', 9) ORDER BY job_id = '$new_job' DESC LIMIT 1; ROLLBACK");
    is($claimed, $new_job, '  and the others afterwards');
    sql("DELETE FROM custbackup.stores WHERE name = 'fresh'");
}

# The same where something waits to be removed from that store.
sql("UPDATE custbackup.stores SET is_default = true WHERE name = 'old'");
sql("UPDATE custbackup.jobs SET status = 'cancelled', reason = 'cancelled', finished_at = now() WHERE status IN ('pending', 'running')");
my $left_behind = sql("SELECT custbackup.request_backup('$new_one')");
my ($attempt, $key) = split /[|]/, sql("SELECT attempt_id, job::jsonb #>> '{object,key}' FROM custbackup.claim('three', 9) WHERE job_id = '$left_behind'");
sql(sprintf q{SELECT custbackup.report('%s', '%s')}, $attempt, $_) for
    qq({"event":"started","attempt_id":"$attempt","tool":"pg_dump 15","server":"15.1"}), qq({"event":"upload","key":"$key","upload_id":null}),
    '{"event":"failed","reason":"store","detail":"it was full"}';
is(sql("SELECT count(*) FROM custbackup.leftovers WHERE backup_id = '$left_behind'"), 1, 'something was left in the default store');
$idle = hold('second', "UPDATE custbackup.stores SET name = 'renamed' WHERE is_default");
sql("SET lock_timeout = '1s'; SELECT custbackup.schedule(now() + interval '5 hours')");
is(sql("SELECT count(*) FROM custbackup.jobs WHERE kind = 'sweep'"), 0, '  its removal waits for whoever renames that store');
cmp_ok(sql("SELECT count(*) FROM custbackup.jobs WHERE kind = 'backup' AND status = 'pending'"), '>', 0, '  backups are scheduled all the same');
release($idle);
sql("SELECT custbackup.schedule(now() + interval '5 hours')");
is(sql("SELECT count(*) FROM custbackup.jobs WHERE kind = 'sweep'"), 1, '  and then it is enqueued');

# And where somebody looks at the store closely: FOR UPDATE, without changing it.
sql("INSERT INTO custbackup.objects (backup_id, resource_id, token, resource_type, engine, tier_at_backup, store, key, raw_bytes, stored_bytes, sha256, consistency,
    started_at, stored_at, state) VALUES (gen_random_uuid(), '$new_one', 't', 'postgres', 'postgres', 'pro', 'old', 't/x', 1, 1, repeat('ab', 32), 'snapshot', now(), now(), 'expiring')");
$idle = hold('second', 'SELECT FROM custbackup.stores WHERE is_default FOR UPDATE');
sql("SET lock_timeout = '1s'; SELECT custbackup.schedule(now() + interval '6 hours')");
is(sql("SELECT count(*) FROM custbackup.jobs WHERE kind = 'expire'"), 0, 'a store that somebody has locked: what is to be removed from it waits, and nothing else');
release($idle);
sql("SELECT custbackup.schedule(now() + interval '6 hours')");
is(sql("SELECT count(*) FROM custbackup.jobs WHERE kind = 'expire'"), 1, '  and is enqueued afterwards');

like(($node->psql($db, "SET ROLE stranger; SELECT custbackup.try_lock('pg_class', 1)"))[2], qr/permission denied/, 'a stranger has no such lock');

done_testing();
