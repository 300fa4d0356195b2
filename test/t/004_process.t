# The mover as a process: what it and its tools hide, what they inherit, and how they end.
use strict;
use warnings;

use CustbackupTest;
use IPC::Run ();
use JSON::PP ();
use POSIX ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $password = 'S3cr:et/wo@rd%';
my $customer = start_customer(password => $password);
my $url      = customer_url($customer);
my ($settings, $store, $directory) = mover_settings();
my $sanitized = $mover =~ /asan/;

# A pg_dump that notes its surroundings and then hangs, so that there is time to look.
my $tools = "$directory/tools";
mkdir $tools or die $!;
my $real = qx(pg_config --version) =~ s/^PostgreSQL/pg_dump (PostgreSQL)/r;
chomp $real;
append_to_file("$tools/pg_dump", <<"SH");
#!/bin/sh
if [ "\$1" = --version ]; then echo '$real'; exit 0; fi
cd '$directory/seen' || exit 1
tr '\\0' '\\n' </proc/\$\$/environ >environ
tr '\\0' '\\n' </proc/\$\$/cmdline >cmdline
i=0; while [ \$i -lt 300 ]; do readlink /proc/\$\$/fd/\$i; i=\$((i + 1)); done >fds
cat /proc/\$\$/limits >limits
cat /proc/\$\$/oom_score_adj >oom
cat /proc/\$\$/coredump_filter >filter
grep '^Sig' /proc/\$\$/status >signals
echo \$\$ >pid.new && mv pid.new pid
if [ -e '$directory/ignore_term' ]; then trap '' TERM; fi
exec sleep 300
SH
chmod 0755, "$tools/pg_dump";

# Starts a backup that hangs in that tool; returns the run, the tool's pid beside it.
sub start_hanging
{
    system("rm -rf '$directory/seen'");
    mkdir "$directory/seen" or die $!;
    my $run = start_mover({ %$settings, tool_path => $tools, @_ }, backup_job($settings, $store, $url));
    wait_for(sub { $run->{harness}->pump_nb; -e "$directory/seen/pid" }, 30, 'the tool runs')
      or diag($run->{stdout}, $run->{stderr});
    chomp($run->{tool} = slurp_file("$directory/seen/pid"));
    return $run;
}

sub proc
{
    my ($pid, $file) = @_;
    open my $fh, '<', "/proc/$pid/$file" or return "cannot read: $!";
    local $/;
    return scalar <$fh> // '';
}

# Alive, and no zombie.
sub alive
{
    my ($pid) = @_;
    return proc($pid, 'stat') =~ /\) [^ZX] /;
}

sub gone_within
{
    my ($seconds, @pids) = @_;
    my $end = time + $seconds;
    while (time < $end)
    {
        return 1 unless grep { alive($_) } @pids;
        sleep 0.02;
    }
    return 0;
}

my @spellings = ($password, 'S3cr%3Aet%2Fwo%40rd%25', $url);

sub hides
{
    my ($text, $what) = @_;
    my @found = grep { index($text, $_) >= 0 } @spellings;
    is(scalar @found, 0, "$what: no password, no URL");
}

# ---- what can be seen while it works

my $run = start_hanging();
my $pid = $run->{pid};
hides(proc($pid, 'cmdline'), "the mover's argv");
is(proc($pid, 'cmdline') =~ tr/\0/ /r, "$mover run --settings-fd=3 ", 'the mover has nothing else in it');
SKIP:
{
    skip 'the leak sanitizer needs to trace its own process', 4 if $sanitized;
    like(proc($pid, 'environ'), qr/cannot read: Permission denied/, 'its environment cannot be read by its own user');
    like(proc($pid, 'maps'), qr/cannot read: Permission denied|^\z/, 'nor its memory map');
    ok(!opendir(my $fds, "/proc/$pid/fd"), 'nor its descriptors');
    ok(!open(my $memory, '+<', "/proc/$pid/mem"), 'nor its memory');
}
like(proc($pid, 'limits'), qr/^Max core file size +0 +0 /m, 'it leaves no core file');
is(proc($pid, 'oom_score_adj') + 0, 800, 'the kernel will take it first');
is(slurp_file("$directory/seen/oom") + 0, 800, 'and its tool');
hides(slurp_file("$directory/seen/$_"), "the tool's $_") for qw(environ cmdline);
like(slurp_file("$directory/seen/limits"), qr/^Max core file size +0 +0 /m, 'the tool leaves no core file, nor can want one');
like(slurp_file("$directory/seen/filter"), qr/^0+$/, 'a core file that is wanted all the same has no memory in it');
unlike(slurp_file("$directory/seen/environ"), qr/^(AWS|PERL|TEST|PATH=.*perl|HOME=\/root)/m, 'nothing of our environment in it');
like(slurp_file("$directory/seen/environ"), qr{^PGPASSFILE=/proc/self/fd/\d+$}m, 'the password comes by a file without a name');
my @fds = split /\n/, slurp_file("$directory/seen/fds");
is(scalar(grep { !m{^(/dev/null|pipe:\[\d+\]|/memfd:.*)$} && !m{/(pg_dump|seen/fds)$} } @fds), 0, 'it holds null, pipes and memfds only')
  or diag("@fds");
like(slurp_file("$directory/seen/signals"), qr/^SigIgn:\s+0+$/m, 'no signal is ignored there');
isnt(getpgrp($run->{tool}), getpgrp($pid), 'it has a process group of its own');

# ---- kill -9

kill 'KILL', $pid;
ok(gone_within(1, $run->{tool}), 'kill -9 of the mover: its tool is gone within a second');
my $result = run_mover($run);
is($result->{signal}, 9, 'and nothing pretends otherwise');

# ---- SIGTERM

$run = start_hanging();
my $begun = time;
kill 'TERM', $run->{pid};
$result = run_mover($run);
my $event = last_event($result);
is("$event->{event}/$event->{reason}", 'failed/cancelled', 'SIGTERM: cancelled');
is("$result->{exit}/$result->{signal}", '1/0', 'with an orderly end');
cmp_ok(time - $begun, '<', 10, 'at once');
ok(gone_within(1, $run->{tool}), 'the tool is gone');
is_deeply([ glob "$directory/store/*/* $directory/store/*/.* $directory/spool/*" ],
    [ grep { m{/\.\.?$} } glob "$directory/store/*/.*" ], 'nothing stays in store and spool');
hides($result->{stdout} . $result->{stderr}, 'what it said');

# A tool that does not even tell its version.
mkdir "$directory/mute" or die $!;
append_to_file("$directory/mute/pg_dump", "#!/bin/sh\n: >'$directory/seen/asked'\nexec sleep 300\n");
chmod 0755, "$directory/mute/pg_dump";
$run = start_mover({ %$settings, tool_path => "$directory/mute" }, backup_job($settings, $store, $url));
wait_for(sub { $run->{harness}->pump_nb; -e "$directory/seen/asked" }, 30, 'the tool is asked for its version');
sleep 0.3;    # and we wait for its answer
kill 'TERM', $run->{pid};
is(last_event(run_mover($run))->{reason}, 'cancelled', 'SIGTERM while a tool is asked for its version: cancelled');

append_to_file("$directory/ignore_term", '');
$run = start_hanging();
$begun = time;
kill 'TERM', $run->{pid};
$result = run_mover($run);
is(last_event($result)->{reason}, 'cancelled', 'a tool that ignores SIGTERM: cancelled');
cmp_ok(time - $begun, '<', 10, 'after two seconds of grace');
ok(gone_within(1, $run->{tool}), 'and the tool is gone');
unlink "$directory/ignore_term";

$run = start_hanging();
kill 'TERM', $run->{pid};
kill 'TERM', $run->{pid} for 1 .. 3;
$result = run_mover($run);
ok(gone_within(1, $run->{tool}), 'signals in a hurry leave no tool behind');

# ---- the tool dies

$run = start_hanging();
kill 'KILL', $run->{tool};
$result = run_mover($run);
$event = last_event($result);
is("$event->{event}/$event->{reason}", 'failed/dump', 'kill -9 of the tool: dump');
like($event->{detail}, qr/pg_dump .*killed by signal 9/, 'and says what happened');

# ---- the runner dies, or does not listen

# A runner that starts the mover and dies: the mover dies with it, and so does the tool.
system("rm -rf '$directory/seen'");
mkdir "$directory/seen" or die $!;
my $runner = fork // die $!;
if ($runner == 0)
{
    POSIX::setsid();
    start_mover({ %$settings, tool_path => $tools }, backup_job($settings, $store, $url));
    sleep 60;
    POSIX::_exit(0);
}
wait_for(sub { -e "$directory/seen/pid" }, 30, 'the tool runs under a runner of its own');
chomp(my $tool = slurp_file("$directory/seen/pid"));
my ($its_mover) = (proc($tool, 'stat') =~ s/^.*\) //r) =~ /^\S+ (\d+)/;
ok(alive($its_mover), 'the mover is its parent');
kill 'KILL', $runner;
waitpid $runner, 0;
ok(gone_within(1, $its_mover, $tool), 'kill -9 of the runner: mover and tool are gone within a second');

my $unheard = qx(sh -c 'exec 2>&1; { "$mover" run </dev/null; echo "exit \$?" >&2; } | true');
like($unheard, qr/^exit 1$/m, 'a reader that has gone is no crash, and no success');

# One that goes away while the tool gives no byte, so that there is nothing to say.
my $hanging = "$directory/hanging.json";
append_to_file($hanging, JSON::PP->new->encode({ %$settings, tool_path => $tools }));
append_to_file("$directory/job.json", JSON::PP->new->encode(backup_job($settings, $store, $url)));
mkdir "$directory/seen";
{
    local $ENV{CUSTBACKUP_SETTINGS} = $hanging;
    $unheard = qx(sh -c 'exec 2>&1; { timeout -s KILL 60 "$mover" run <"$directory/job.json"; echo "exit \$?" >&2; } | head -n 1 >/dev/null');
}
like($unheard, qr/^exit 1$/m, 'a reader that goes away while nothing flows ends the job');

# ---- descriptors

for my $closed ('<&-', '>&-', '2>&-', '<&- >&- 2>&-')
{
    my $exit = system('sh', '-c', qq("$mover" run $closed)) >> 8;
    is($exit, 1, "started with $closed: no crash, no success");
}

# ---- and then it simply works

$result = run_mover($settings, backup_job($settings, $store, $url));
is(last_event($result)->{event}, 'done', 'the same job succeeds when the fault is gone') or diag($result->{stdout}, $result->{stderr});
is($result->{exit}, 0, 'and its exit status is 0');
hides($result->{stdout} . $result->{stderr}, 'what it said');

# From a parent that ignores SIGCHLD and blocks signals, which exec passes on.
my $job = JSON::PP->new->encode(backup_job($settings, $store, $url));
my $settings_file = "$directory/settings.json";
append_to_file($settings_file, JSON::PP->new->encode($settings));
my ($out, $err) = ('', '');
{
    local $ENV{CUSTBACKUP_SETTINGS} = $settings_file;
    IPC::Run::run([ 'perl', '-e', '$SIG{CHLD} = "IGNORE"; exec @ARGV', $mover, 'run' ], '<', \$job, '>', \$out, '2>', \$err);
}
like($out, qr/"event":"done"/, 'a parent that ignores SIGCHLD does not spoil it') or diag($out, $err);

done_testing();
