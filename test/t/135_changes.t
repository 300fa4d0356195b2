# What an administrator changes under a running worker: rights, roles, the database's name, the extension, the clock.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(time sleep);
use PostgreSQL::Test::Utils;
use CustbackupTest;
use WorkerTest;

# ---- the clock, of a server of its own: its worker looks once a minute, so what it sees is looked at below
my $directory = PostgreSQL::Test::Utils::tempdir();
my $offset = "$directory/offset";
my ($clock, $unharmed, $started_at);

sub step_to
{
    my ($value) = @_;
    open my $file, '>', "$offset.new" or die $!;
    print $file "$value\n";
    close $file or die $!;
    rename "$offset.new", $offset or die $!;
}

sub start_clock
{
    step_to(0);
    system($ENV{CC} // 'cc', '-shared', '-fPIC', '-o', "$directory/stepped_clock.so", "$ENV{SOURCE_DIR}/test/lib/stepped_clock.c", '-ldl') == 0 or die;
    {
        local @ENV{qw(LD_PRELOAD STEPPED_CLOCK)} = ("$directory/stepped_clock.so", $offset);
        $clock = start_fake_control(name => 'clock', extension => 0, conf => "custbackup.max_jobs = 8\n");
    }
    # Three whose slot is no matter of minutes; the period before this one had its backup too.
    $clock->safe_psql($clock->{database}, <<"SQL");
BEGIN;
CREATE EXTENSION custbackup;
INSERT INTO custbackup.stores (name, url, is_default) VALUES ('default', 'file://$clock->{store_dir}', true);
INSERT INTO custbackup.resources (id, token, tier, resource_type, connection_url)
SELECT id, 'ok.paid-' || id, 'pro', 'postgres', 'x' FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, 200)) AS random
 WHERE now() - custbackup.slot_at(now(), '1 hour', custbackup.slot_offset('1 hour', false, NULL, id)) BETWEEN '10 minutes' AND '45 minutes'
 LIMIT 3;
SELECT custbackup.schedule(now() - interval '1 hour');
UPDATE custbackup.jobs SET status = 'cancelled', reason = 'cancelled', finished_at = now();
COMMIT;
SQL
    wait_for(sub { worker_pid($clock) }, 20, 'worker');
    $started_at = time;
    wait_for(sub { backups_of_paid() eq '3 ok' }, 20, 'the period\'s backups');
    $unharmed = submit($clock, 'work');
    running_since($clock, $unharmed, 1);
}

sub backups_of_paid
{
    return $clock->safe_psql($clock->{database}, "SELECT string_agg(n || ' ' || status, ', ') FROM (SELECT count(*) AS n, status FROM custbackup.jobs
        WHERE token LIKE 'ok.paid%' AND status <> 'cancelled' GROUP BY status ORDER BY status) s");
}

start_clock();
is(backups_of_paid(), '3 ok', 'a clock that is right: one backup each');
step_to(25 * 3600);
is($clock->safe_psql('postgres', 'SELECT round(extract(epoch FROM clock_timestamp()) - ' . time . ') BETWEEN 89000 AND 91000'), 't',
    'the server\'s clock is a day and an hour ahead');
is(outcome_of($clock, $unharmed), 'running/-', 'which ends nothing that runs');

# ---- rights and roles
my $node = start_fake_control(conf => "custbackup.role = 'runner'\ncustbackup.max_jobs = 4\n");
my $db = $node->{database};
my $denied = qr/permission denied for/;

sub worker_comes { my ($what) = @_; ok(wait_for(sub { worker_pid($node) }, 15, $what), $what) }
sub worker_goes { my ($what) = @_; ok(wait_for(sub { !worker_pid($node) }, 15, $what), $what) }

$node->safe_psql($db, q{CREATE ROLE runner LOGIN; SELECT custbackup.grant_worker('runner')});
$node->reload;
worker_comes('the worker runs as a role of its own');
my $worker = worker_pid($node);
my $running = submit($node, 'work');
running_since($node, $running, 1);

for my $right ('EXECUTE ON ALL FUNCTIONS IN SCHEMA custbackup', 'USAGE ON SCHEMA custbackup')
{
    my $before = log_count($node, $denied);
    my $ticks = cpu_ticks($worker);
    $node->safe_psql($db, "REVOKE $right FROM runner");
    ok(wait_for(sub { log_count($node, $denied) > $before }, 15, 'logged'), "$right revoked: logged");
    sleep 3;
    cmp_ok(log_count($node, $denied) - $before, '<', 12, 'not again and again');
    cmp_ok(cpu_ticks($worker) - $ticks, '<', 20, 'nor is it tried so');
    is(worker_pid($node) . ' ' . scalar(movers_of($node)), "$worker 1", 'the worker and its mover go on');
    like(slurp_file($node->logfile), qr/ERROR:  $denied .*\n.*HINT:  The worker needs .*SELECT custbackup\.grant_worker\('runner'\)/, 'and the log says what to do');
    $node->safe_psql($db, q{SELECT custbackup.grant_worker('runner')});
    $node->reload;
    ok(await($node, submit($node, 'ok'), 'ok', 10), 'granted again: it works');
    is(attempt_of($node, $running), 1, 'what ran meanwhile is not lost');
}

$node->safe_psql($db, 'DROP OWNED BY runner; DROP ROLE runner');
worker_goes('its role is dropped: the worker leaves');
is(log_count($node, qr/custbackup worker leaves: its role has been dropped/), 1, 'and says why');
ok(wait_for(sub { log_count($node, qr/role that custbackup\.role names does not exist/) == 1 }, 20, 'said'), 'so does the launcher, once');
ok(wait_for(sub { !movers_of($node) }, 20, 'movers'), 'with its jobs');
$node->safe_psql($db, q{CREATE ROLE runner LOGIN; SELECT custbackup.grant_worker('runner')});
$node->reload;
worker_comes('with a new role of that name it is back');
ok(running_since($node, $running, 2), 'and runs the job again');

# ---- the database's name
{
    like(($node->psql('postgres', "ALTER DATABASE $db RENAME TO renamed"))[2], qr/being accessed by other users/, 'a database that is served cannot be renamed');
    reconfigure($node, "custbackup.database = 'postgres'");
    worker_goes('the worker is sent away');
    my $missing = qr/launcher: database "$db" \(custbackup\.database\) does not exist or takes no connections/;
    my $said = log_count($node, $missing);
    $node->safe_psql('postgres', "ALTER DATABASE $db RENAME TO renamed");
    reconfigure($node, "custbackup.database = '$db'");
    ok(wait_for(sub { log_count($node, $missing) > $said }, 20, 'said'), 'a database that was renamed meanwhile is missed');
    $node->reload, sleep 0.3 for 1 .. 3;
    is(log_count($node, $missing), $said + 1, 'which is said once');
    is(log_count($node, qr/FATAL:  database "$db" does not exist/), 0, 'and fails no process');
    $db = $node->{database} = 'renamed';
    reconfigure($node, "custbackup.database = 'renamed'");
    worker_comes('under its new name it is served');
    ok(running_since($node, $running, 3), 'with all that was in its queue');
}

# ---- the schema's name
{
    my $missing = qr/ERROR:  the schema of the extension custbackup is not called custbackup .*\n.*HINT:  .*ALTER SCHEMA \.\.\. RENAME TO custbackup/;
    $node->safe_psql($db, 'ALTER SCHEMA custbackup RENAME TO backups');
    $node->reload;
    ok(wait_for(sub { log_count($node, $missing) }, 20, 'said'), 'a schema that was renamed is missed, with what to do');
    $node->safe_psql($db, 'ALTER SCHEMA backups RENAME TO custbackup');
    $node->reload;
    ok(await($node, submit($node, 'ok'), 'ok'), 'with its own name again all goes on');
}

# ---- the extension
{
    $worker = worker_pid($node);
    $node->safe_psql($db, 'ALTER EXTENSION custbackup UPDATE');
    ok(await($node, submit($node, 'ok'), 'ok', 10), 'ALTER EXTENSION UPDATE leaves the worker at work');
    $node->safe_psql($db, <<'SQL');
CREATE FUNCTION public.forbid() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'nothing is dropped here'; END$$;
CREATE EVENT TRIGGER forbid ON sql_drop EXECUTE FUNCTION public.forbid();
SQL
    like(($node->psql($db, 'DROP EXTENSION custbackup'))[2], qr/nothing is dropped here/, 'an event trigger of the platform\'s forbids to drop it');
    ok(await($node, submit($node, 'ok'), 'ok', 10), 'then nothing has happened');
    is(worker_pid($node), $worker, 'to the worker either');
    $node->safe_psql($db, <<'SQL');
DROP EVENT TRIGGER forbid;
CREATE TABLE public.audit (command text, object text);
CREATE FUNCTION public.audit() RETURNS event_trigger LANGUAGE plpgsql AS
    $$BEGIN INSERT INTO public.audit SELECT command_tag, object_identity FROM pg_event_trigger_ddl_commands(); END$$;
CREATE EVENT TRIGGER audit ON ddl_command_end EXECUTE FUNCTION public.audit();
DROP EXTENSION custbackup;
SQL
    worker_goes('dropped, the worker leaves');
    create_extension($node);
    worker_comes('one that writes all down does not hinder CREATE EXTENSION');
    is($node->safe_psql($db, "SELECT count(*) FROM public.audit WHERE command = 'CREATE EXTENSION'"), 1, 'which it has seen');
}
never_twice($node);

# ---- the clock again
ok(wait_for(sub { backups_of_paid() eq '6 ok' }, 75, 'the new period\'s backups'),
    sprintf 'a clock that went a day and an hour ahead is noticed within a minute: each period\'s backup, once (%.0f s)', time - $started_at);
for my $case ([ -3600, 'back, by an hour too many' ], [ 0, 'right again' ])
{
    my ($seconds, $name) = @$case;
    step_to($seconds);
    my $passed = sub { $clock->safe_psql($clock->{database}, 'SELECT abs(extract(epoch FROM last_pass_at - clock_timestamp())) < 60 FROM custbackup.status') eq 't' };
    $clock->reload;
    ok(wait_for($passed, 15, 'a pass'), "$name: there is a pass by that clock");
    ok(await($clock, submit($clock, 'ok'), 'ok', 10), "$name: a request is done at once");
}
is(backups_of_paid(), '6 ok', 'and no period had another backup');
is(outcome_of($clock, $unharmed) . ' ' . attempt_of($clock, $unharmed), 'running/- 1', 'what ran all the time still runs');
never_twice($clock);
is(log_count($_, qr/terminated by signal|PANIC/), 0, 'no process crashed') for $node, $clock;
done_testing();
