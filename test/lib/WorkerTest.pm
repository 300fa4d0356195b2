# WorkerTest.pm
#
# A control plane whose mover is test/lib/fake_mover: what a job does is named by
# the token of its resource, so that each fault can be asked for by name.
package WorkerTest;

use strict;
use warnings;

use Exporter 'import';
use File::Copy ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

use CustbackupTest;

our @EXPORT = qw(
    start_fake_control create_extension install_fake_mover
    submit outcome_of await attempt_of running_since
    worker_pid launcher_pid movers_of fake_log never_twice log_count reconfigure
    alive kill_postmaster cpu_ticks resident_kb open_pipes
);

my $resources = 0;

# Its own copy, so that its processes can be told from those of other tests.
sub install_fake_mover
{
    my ($directory) = @_;
    File::Copy::copy("$ENV{SOURCE_DIR}/test/lib/fake_mover", "$directory/fake_mover") or die "fake_mover: $!";
    chmod 0755, "$directory/fake_mover" or die $!;
    return "$directory/fake_mover";
}

# As start_control, with the fake mover.
sub start_fake_control
{
    my (%option) = @_;
    my $mover = install_fake_mover(PostgreSQL::Test::Utils::tempdir());
    my $node = start_control(%option, mover => $mover, extension => 0,
        conf => "log_line_prefix = '%m [%p] %b '\nwal_level = replica\nmax_prepared_transactions = 5\n"
          . ($option{conf} // ''));
    $node->{mover} = $mover;
    $node->{spool} = $node->basedir . '/spool';
    create_extension($node) if $option{extension} // 1;
    return $node;
}

sub create_extension
{
    my ($node) = @_;
    $node->safe_psql($node->{database}, 'BEGIN; CREATE EXTENSION custbackup; ' . schedule_nothing() . <<"SQL");
INSERT INTO custbackup.stores (name, url, is_default) VALUES ('default', 'file://$node->{store_dir}', true);
COMMIT;
SQL
}

# Adds lines to the configuration; whatever is asked for afterwards is done by them.
sub reconfigure
{
    my ($node, $lines) = @_;
    my $loaded = sub { $node->safe_psql('postgres', 'SELECT pg_conf_load_time()') };
    my $before = $loaded->();
    $node->append_conf('postgresql.conf', $lines);
    $node->reload;
    # A session begins with what the postmaster has read, which has told the worker by then.
    return wait_for(sub { $loaded->() ne $before }, 20, 'the configuration is read');
}

# A new resource whose jobs behave as $mode says, and a backup of it: the job's id.
sub submit
{
    my ($node, $mode, %option) = @_;
    my $id = new_uuid();
    my $token = sprintf '%s.%d', $mode, ++$resources;
    return $node->safe_psql($node->{database}, <<"SQL");
INSERT INTO custbackup.resources (id, token, tier, resource_type, connection_url)
VALUES ('$id', '$token', 'pro', 'postgres', 'ciphertext');
SELECT custbackup.request_backup('$id');
SQL
}

sub outcome_of
{
    my ($node, $job) = @_;
    return $node->safe_psql($node->{database},
        "SELECT status || '/' || coalesce(reason::text, '-') FROM custbackup.jobs WHERE id = '$job'");
}

# Waits for this status; true when it came.
sub await
{
    my ($node, $job, $status, $seconds) = @_;
    return wait_for(sub { outcome_of($node, $job) =~ m{^$status(/|$)} }, $seconds // 20, "job $job is $status");
}

sub attempt_of
{
    my ($node, $job) = @_;
    return $node->safe_psql($node->{database}, "SELECT attempt FROM custbackup.jobs WHERE id = '$job'");
}

# Waits until the job's n-th attempt has said something.
sub running_since
{
    my ($node, $job, $attempt, $seconds) = @_;
    return wait_for(
        sub {
            my ($out) = ('');
            $node->psql($node->{database},
                "SELECT 1 FROM custbackup.jobs j JOIN custbackup.attempts a USING (attempt_id)
                  WHERE j.id = '$job' AND j.status = 'running' AND j.attempt = $attempt AND a.begun_at IS NOT NULL",
                stdout => \$out, on_error_die => 0, on_error_stop => 0);
            $out;
        },
        $seconds // 30,
        "attempt $attempt of job $job runs");
}

sub worker_pid { return process_pid($_[0], 'custbackup worker') }
sub launcher_pid { return process_pid($_[0], 'custbackup launcher') }

sub process_pid
{
    my ($node, $type) = @_;
    return $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = '$type'");
}

# Processes of this node's movers that are alive.
sub movers_of
{
    my ($node) = @_;
    my $path = quotemeta $node->{mover};
    return processes_matching(qr/$path/);
}

# Lines "pid event attempt" that fake movers have written, of this event.
sub fake_log
{
    my ($node, $event) = @_;
    open my $log, '<', "$node->{spool}/fake.log" or return ();
    return grep { !defined $event || / \Q$event\E / } <$log>;
}

sub never_twice
{
    my ($node) = @_;
    is(scalar(fake_log($node, 'TWICE')), 0, 'no resource had two movers at once');
}

sub log_count
{
    my ($node, $pattern) = @_;
    my @found = slurp_file($node->logfile) =~ /$pattern/g;
    return scalar @found;
}

# Those of these processes that live: a zombie that nobody has reaped yet does not.
sub alive
{
    my (@pids) = @_;
    my @alive;
    for my $pid (@pids)
    {
        open my $stat, '<', "/proc/$pid/stat" or next;
        push @alive, $pid if (<$stat> // ') Z ') !~ /^.*\) [ZX] /;
    }
    return @alive;
}

# kill -9 of the postmaster; returns when it is gone from the table of processes, as its next start wants.
sub kill_postmaster
{
    my ($node) = @_;
    my ($pid) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
    $node->kill9;
    return wait_for(sub { !kill 0, $pid }, 10, 'the postmaster is gone');
}

sub cpu_ticks
{
    my ($pid) = @_;
    my @field = split ' ', (slurp_file("/proc/$pid/stat") =~ s/^.*\) //sr);
    return $field[11] + $field[12];
}

sub resident_kb
{
    my ($pid) = @_;
    return (slurp_file("/proc/$pid/status") =~ /^RssAnon:\s+(\d+)/m)[0];
}

# Descriptors but for the files of relations, which any backend keeps open.
sub open_pipes
{
    my ($pid) = @_;
    opendir my $dir, "/proc/$pid/fd" or die $!;
    return scalar grep { (readlink("/proc/$pid/fd/$_") // '') =~ /pipe|memfd|anon_inode/ } readdir $dir;
}

1;
