# A restore that is cut off anywhere leaves its target as it was, says so, and can be run again.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use CustbackupTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = start_customer(conf => "max_prepared_transactions = 2\n");
my ($settings, $store, $directory) = mover_settings();
my $url = customer_url($node);

sub admin { return $node->safe_psql($_[1] // 'shop', $_[0]) }
sub customer { return admin("SET SESSION AUTHORIZATION app; $_[0]") }
sub state_of { return schema_dump($node) . checksum_database($node) }

# An index that takes four seconds to build: through it, a restore can be watched and cut off.
customer(q{CREATE FUNCTION slow(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM pg_catalog.pg_sleep(0.04); RETURN i; END';
    CREATE TABLE big AS SELECT i, repeat(md5(i::text), 20) AS v FROM generate_series(1, 20000) i;
    CREATE TABLE few AS SELECT i FROM generate_series(1, 100) i; CREATE INDEX ON few (slow(i));
    SELECT lo_from_bytea(1234, 'large')});
my $wanted = state_of();
my $job = backup_job($settings, $store, $url);
my $event = last_event(run_mover($settings, $job));
is($event->{event}, 'done', 'a backup');
customer(q{UPDATE few SET i = i WHERE i < 2; DELETE FROM big WHERE i % 2 = 0; CREATE TABLE later (x int); SELECT lo_unlink(1234)});
my $messed = state_of();
isnt($messed, $wanted, 'the database was changed');

# ---- a server that is lost with its answer to COMMIT, and for good: it takes a minute to give up, and the others go on meanwhile

my $lost = start_customer(name => 'lost');
my $lost_url = customer_url($lost);
$lost->safe_psql('shop', 'SET SESSION AUTHORIZATION app; CREATE TABLE t AS SELECT 1 AS i');
my $lost_job = backup_job($settings, $store, $lost_url);
my $lost_event = last_event(run_mover($settings, $lost_job));
$lost->safe_psql('shop', 'SET SESSION AUTHORIZATION app; DELETE FROM t');
my ($tools) = grep { -x "$_/pg_restore" } split /:/, $ENV{PATH};
mkdir "$directory/lost" or die $!;
symlink "$tools/$_", "$directory/lost/$_" or die $! for qw(pg_dump pg_restore);
append_to_file("$directory/lost/psql", <<"PERL");
#!/usr/bin/perl
my \$pid = open(my \$psql, '-|', '$tools/psql', \@ARGV) or die;
\$| = 1;
while (my \$line = <\$psql>)
{
    if (\$line =~ /^custbackup-committed/) { mkdir '$directory/committed'; sleep 1 while -d '$directory/committed'; kill 'KILL', \$pid, \$\$ }
    print \$line;
}
PERL
chmod 0755, "$directory/lost/psql" or die $!;
my $lost_restore = start_mover({ %$settings, tool_path => "$directory/lost" }, restore_job($settings, $store, $lost_url, $lost_job, $lost_event));
wait_for(sub { $lost_restore->{harness}->pump_nb; -d "$directory/committed" }, 20, 'it has committed');
$lost->stop('immediate');
rmdir "$directory/committed" or die $!;

my $building = q{SELECT pid FROM pg_stat_activity WHERE application_name = 'custbackup' AND query LIKE 'CREATE INDEX%' AND state = 'active'};

# Starts a restore, waits until the index is being built, does what is to be done, and returns the last word.
sub cut_off
{
    my ($cut) = @_;
    my $run = start_mover($settings, restore_job($settings, $store, $url, $job, $event));
    my $backend = wait_for(sub { $run->{harness}->pump_nb; admin($building, 'postgres') }, 60, 'the index is being built');
    $cut->($run->{pid}, $backend);
    my $result = run_mover($run);
    return (last_event($result), $result);
}

sub child_of
{
    my ($mover_pid, $name) = @_;
    for my $stat (glob '/proc/[0-9]*/stat')
    {
        open my $fh, '<', $stat or next;
        my ($pid, $comm, $parent) = (<$fh> // '') =~ /^(\d+) \((.*)\) \S (\d+)/ or next;
        return $pid if $parent == $mover_pid && $comm eq $name;
    }
    die "no $name under $mover_pid";
}

sub unchanged
{
    my ($name, $reason, $cut, $detail) = @_;
    my ($said, $result) = cut_off($cut);
    is($said->{reason} // $said->{event}, $reason, "$name: $reason");
    like($said->{detail} // '', $detail, "$name: says what happened");
    ok(!$said->{target_modified}, "$name: target_modified false");
    wait_for(sub { admin($building, 'postgres') eq '' }, 20, "$name: its backend ends");
    is(state_of(), $messed, "$name: the target is as it was");
    is_deeply([ tools_of($node) ], [],
        "$name: no tool is left");
    return;
}

# Of every process that we may look at, while psql and pg_restore run.
sub no_password_about
{
    my $seen = 0;
    for my $file (glob '/proc/[0-9]*/{cmdline,environ}')
    {
        open my $fh, '<', $file or next;
        local $/;
        my $text = <$fh> // '';
        $seen++;
        fail("a password in $file") if $text =~ /s3cret/;
    }
    cmp_ok($seen, '>', 10, 'arguments and environments were looked at');
    return;
}

unchanged('psql killed', 'restore', sub { no_password_about(); kill 'KILL', child_of($_[0], 'psql') }, qr/psql killed by signal 9/);
unchanged('backend terminated', 'unreachable', sub { admin("SELECT pg_terminate_backend($_[1])", 'postgres') }, qr/57P01/);
unchanged('cancelled', 'cancelled', sub { kill 'TERM', $_[0] }, qr/./);
unchanged('server stopped', 'unreachable', sub { $node->stop('immediate'); $node->start }, qr/./);

# The mover itself: nobody is left to say anything.
{
    my $run = start_mover($settings, restore_job($settings, $store, $url, $job, $event));
    my $backend = wait_for(sub { $run->{harness}->pump_nb; admin($building, 'postgres') }, 60, 'the index is being built');
    kill 'KILL', $run->{pid};
    my $result = run_mover($run);
    is($result->{signal}, 9, 'the mover was killed');
    wait_for(sub { !tools_of($node) }, 20, 'its tools die with it');
    # The backend learns of it when the index is done; until then it holds its locks.
    wait_for(sub { admin($building, 'postgres') eq '' }, 15, 'its backend ends');
    wait_for(sub { admin(q{SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND locktype = 'relation'}) eq '0' }, 10,
        'and its locks are gone');
    is(state_of(), $messed, 'mover killed: the target is as it was');
}

# ---- busy ------------------------------------------------------------------------------------------------------

{
    my $holder = $node->background_psql('shop');
    $holder->query_safe('BEGIN; LOCK TABLE later IN ACCESS SHARE MODE');
    my $pid = $holder->query_safe('SELECT pg_backend_pid()');
    customer(q{BEGIN; LOCK TABLE later IN ACCESS SHARE MODE; PREPARE TRANSACTION 'left over'});
    my $begun = time;
    my $said = last_event(run_mover($settings, restore_job($settings, $store, $url, $job, $event)));
    is($said->{reason}, 'target_busy', 'a lock that the application keeps');
    like($said->{detail}, qr/pid $pid \(another role/, 'its holder is named');
    like($said->{detail}, qr/prepared transaction 'left over' of role app/, 'one without a process too');
    admin(q{ROLLBACK PREPARED 'left over'});
    cmp_ok(time - $begun, '>', 20, 'after five tries');
    ok(!$said->{target_modified}, 'nothing was changed');
    is(state_of(), $messed, 'indeed');
    $holder->query_safe('COMMIT');

    # One that is let go in time costs a second try.
    $holder->query_safe('BEGIN; LOCK TABLE later IN ACCESS SHARE MODE');
    my $run = start_mover($settings, restore_job($settings, $store, $url, $job, $event));
    my $end = time + 7;
    while (time < $end) { $run->{harness}->pump_nb; sleep 0.1 }
    $holder->query_safe('COMMIT');
    my $result = run_mover($run);
    is(last_event($result)->{event}, 'done', 'a lock that is let go in time') or diag($result->{stdout});
    is(state_of(), $wanted, 'the restore went through');
    my @alive = grep { $_->{alive} } @{ $result->{events} };
    ok((grep { $_->{alive} =~ /CREATE INDEX/ } @alive), 'while no byte flowed, the index build was proof of life')
      or diag($result->{stdout});
    $holder->quit;
}

# ---- pg_restore dies with most of the archive still to come: the target is not kept waiting for the rest ---------

{
    my $real = "$tools/pg_restore";
    mkdir "$directory/tools" or die $!;
    symlink "$tools/$_", "$directory/tools/$_" or die $! for qw(pg_dump psql);
    append_to_file("$directory/tools/pg_restore", qq{#!/bin/sh
case "\$*" in *--single-transaction*) $real "\$@" | head -c 100000; kill -9 \$\$ ;; esac
exec $real "\$@"
});
    chmod 0755, "$directory/tools/pg_restore" or die $!;
    my $result = run_mover({ %$settings, tool_path => "$directory/tools" }, restore_job($settings, $store, $url, $job, $event));
    is(last_event($result)->{reason}, 'restore', 'pg_restore dies early: restore (and the last restore\'s ANALYZE is in nobody\'s way)');
    like(last_event($result)->{detail}, qr/pg_restore killed by signal 9 \(Killed\)$/, 'which is said, and no more');
    ok(!last_event($result)->{target_modified}, 'nothing was changed');
    is(state_of(), $wanted, 'indeed');
    cmp_ok($result->{seconds}, '<', 25, sprintf 'and the target is free at once (%.1f s)', $result->{seconds});
}

{
    my $said = last_event(run_mover($lost_restore));
    is($said->{reason}, 'lost_commit', 'a server lost at COMMIT that nobody can ask any more: lost_commit');
    like($said->{detail}, qr/cannot tell what became of transaction \d+/, 'says of which transaction');
    ok($said->{target_modified}, 'target_modified true, as it may be');
    $lost->start;
    is($lost->safe_psql('shop', 'SELECT count(*) FROM t'), '1', 'and is');
}
done_testing();
