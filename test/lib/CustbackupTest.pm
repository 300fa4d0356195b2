# CustbackupTest.pm
#
# What the tests of test/t share: real servers on loopback, keys, encrypted URLs, a
# mover run by hand, a control plane with the worker in it, and patience with a limit.
#
# Environment, set by test/bin/check (test/bin/prove for one file):
#   CUSTBACKUP_BIN   the mover
#   SOURCE_DIR       the source tree as the tests may read it
package CustbackupTest;

use strict;
use warnings;

use Exporter 'import';
use File::Basename qw(dirname);
use File::Copy ();
use IPC::Run ();
use JSON::PP ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

our @EXPORT = qw(
    $mover
    start_customer customer_url checksum_database schema_dump
    make_key encrypt_url new_uuid
    run_mover start_mover backup_job restore_job mover_settings events_of last_event
    start_control schedule_nothing add_resource wait_for wait_for_job
    processes_matching movers_running tools_of free_port percent_encode
);

# Whatever the locale of whoever runs the tests.
our @LOCALE = ('--locale=C.UTF-8', '--encoding=UTF8');

our $mover = $ENV{CUSTBACKUP_BIN} or die "CUSTBACKUP_BIN is not set: run the tests by test/bin/check or test/bin/prove\n";
my $json = JSON::PP->new->canonical;

# ---- customers' servers -------------------------------------------------------------------------

# A Postgres as a customer has it: reached by TCP with a password, the role an ordinary owner.
# Options: name, role, password, database, conf (text for postgresql.conf).  The node carries
# these under {customer}.  The administrator is whoever connects by the socket.
sub start_customer
{
    my (%option) = @_;
    my $name     = $option{name} // 'customer';
    my $role     = $option{role} // 'app';
    my $password = $option{password} // 's3cret:p@ss\\word/%41';
    my $database = $option{database} // 'shop';
    my $node     = PostgreSQL::Test::Cluster->new($name);

    $node->init(extra => \@LOCALE);
    $node->append_conf('postgresql.conf', <<"CONF" . ($option{conf} // ''));
listen_addresses = '127.0.0.1'
password_encryption = 'scram-sha-256'
fsync = off
CONF
    my $hba = $node->data_dir . '/pg_hba.conf';
    unlink $hba;
    append_to_file($hba, "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n");
    $node->start;
    my $literal = $password =~ s/'/''/gr;
    $node->safe_psql('postgres', qq{SET standard_conforming_strings = on;
        CREATE ROLE "$role" LOGIN PASSWORD '$literal'});
    $node->safe_psql('postgres', qq{CREATE DATABASE "$database" OWNER "$role"});
    $node->{customer} = { role => $role, password => $password, database => $database };
    return $node;
}

sub percent_encode
{
    my ($text) = @_;
    utf8::encode($text) if utf8::is_utf8($text);
    $text =~ s/([^A-Za-z0-9_.~-])/sprintf('%%%02X', ord $1)/ge;
    return $text;
}

# The customer's URL; options override role, password, database, host, port, scheme.
sub customer_url
{
    my ($node, %option) = @_;
    my %c = (%{ $node->{customer} }, host => '127.0.0.1', port => $node->port, scheme => 'postgresql', %option);
    return sprintf '%s://%s:%s@%s:%s/%s', $c{scheme}, percent_encode($c{role}), percent_encode($c{password}),
      $c{host}, $c{port}, percent_encode($c{database});
}

# One line a table: its name, count of rows, and a checksum over all of them in any order.
# Also sequences' values and large objects.
sub checksum_database
{
    my ($node, $database) = @_;
    $database //= $node->{customer}{database};
    return $node->safe_psql($database, <<'SQL');
SET search_path = pg_catalog; SET bytea_output = 'hex'; SET extra_float_digits = 3; SET timezone = 'UTC';
SELECT format('%I.%I ', n.nspname, c.relname) ||
       (xpath('/row/v/text()', query_to_xml(format(
          'SELECT count(*) || '' '' || coalesce(sum((''x'' || left(md5(t::text), 15))::bit(60)::bigint)::text, ''-'') AS v FROM ONLY %I.%I t',
          n.nspname, c.relname), false, true, '')))[1]::text
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
   AND (c.relkind <> 'm' OR c.relispopulated)
 ORDER BY 1;
SELECT format('%I.%I last_value %s', schemaname, sequencename, last_value) FROM pg_sequences ORDER BY 1;
SELECT 'large object ' || oid || ' ' || md5(lo_get(oid)) FROM pg_largeobject_metadata ORDER BY oid;
SQL
}

# What pg_dump says about the schema, owners and grants included, as the administrator sees it.
sub schema_dump
{
    my ($node, $database) = @_;
    $database //= $node->{customer}{database};
    my ($out, $err) = ('', '');
    IPC::Run::run([ 'pg_dump', '--schema-only', '-h', $node->host, '-p', $node->port, $database ], '>', \$out, '2>', \$err)
      or die "pg_dump of $database failed: $err";
    # Newer tools guard the script by a random word.
    $out =~ s/^\\(un)?restrict .*\n//mg;
    return $out;
}

# ---- keys and URLs -------------------------------------------------------------------------------

sub new_uuid
{
    open my $fh, '<', '/proc/sys/kernel/random/uuid' or die $!;
    chomp(my $uuid = <$fh>);
    return $uuid;
}

# A key file with one new key, 0600.
sub make_key
{
    my ($directory) = @_;
    my $file = "$directory/custbackup.key";
    my $key  = `$mover keygen`;
    die "keygen failed" if $? != 0;
    umask 077;
    open my $fh, '>', $file or die "$file: $!";
    print $fh $key;
    close $fh or die $!;
    chmod 0600, $file;
    return $file;
}

sub encrypt_url
{
    my ($key_file, $url) = @_;
    my ($out, $err) = ('', '');
    IPC::Run::run([ $mover, 'encrypt-url', "--key-file=$key_file" ], '<', \$url, '>', \$out, '2>', \$err)
      or die "encrypt-url failed: $err";
    chomp $out;
    return $out;
}

# ---- the mover by hand ---------------------------------------------------------------------------

# A directory for a store, keys and spool; {key_file}, {store_url}, {spool_dir} ... as settings.
sub mover_settings
{
    my (%override) = @_;
    my $directory = PostgreSQL::Test::Utils::tempdir();
    mkdir "$directory/store", 0700 or die $!;
    mkdir "$directory/spool", 0700 or die $!;
    my $settings = {
        key_file            => make_key($directory),
        spool_dir           => "$directory/spool",
        allow_local_targets => JSON::PP::true,
        %override
    };
    return wantarray ? ($settings, "file://$directory/store", $directory) : $settings;
}

sub resource_object
{
    my ($settings, $url, %option) = @_;
    my $type = $option{type} // 'postgres';
    return {
        id    => $option{resource_id} // new_uuid(),
        token => $option{token} // 'acme-main',
        team_id => $option{team_id},
        tier  => $option{tier} // 'pro',
        type  => $type,
        connection_url => $option{ciphertext} // encrypt_url($settings->{key_file}, $url)
    };
}

sub backup_job
{
    my ($settings, $store_url, $url, %option) = @_;
    my $id      = $option{job_id} // new_uuid();
    my $attempt = $option{attempt} // 1;
    my $resource = resource_object($settings, $url, %option);
    my $suffix  = $attempt > 1 ? "-$attempt" : '';
    return {
        version => 1, kind => 'backup', job_id => $id, attempt_id => new_uuid(), attempt => $attempt,
        engine => $option{engine} // 'postgres', resource => $resource,
        store => { name => 'default', url => $store_url },
        object => { key => "$resource->{token}/$id$suffix.dump.gz", expected_bytes => $option{expected_bytes} },
        previous => $option{previous} // []
    };
}

# From a backup's job and its `done` event; mode by option, rewind by default.
sub restore_job
{
    my ($settings, $store_url, $url, $backup_job, $done, %option) = @_;
    my $mode = $option{mode} // 'rewind';
    return {
        version => 1, kind => 'restore', job_id => new_uuid(), attempt_id => new_uuid(), attempt => 1,
        engine => $option{engine} // $backup_job->{engine}, mode => $mode,
        resource => resource_object($settings, $url,
            ($mode eq 'rewind' ? (resource_id => $backup_job->{resource}{id}) : ()),
            token => $backup_job->{resource}{token}, type => $backup_job->{resource}{type}, %option),
        store => { name => 'default', url => $store_url },
        object => {
            backup_id => $backup_job->{job_id}, key => $done->{key}, version => $done->{version},
            sha256 => $done->{sha256}, raw_bytes => $done->{raw_bytes} + 0, stored_bytes => $done->{stored_bytes} + 0,
            resource_id => $backup_job->{resource}{id}, token => $backup_job->{resource}{token}
        }
    };
}

# Starts `custbackup run`; returns a handle for finish_mover() with {pid}.
# job: a hash, or a string that is sent as it is.
sub start_mover
{
    my ($settings, $job) = @_;
    my $run = { stdout => '', stderr => '' };
    my $settings_text = ref $settings ? $json->encode({ %$settings, parent_pid => $$ }) : $settings;
    my $directory = PostgreSQL::Test::Utils::tempdir();
    my $file = "$directory/settings";
    append_to_file($file, $settings_text);
    # From a file: a pipe would be closed only by finish(), and the mover reads to the end.
    append_to_file("$directory/job", ref $job ? $json->encode($job) : $job);
    $run->{harness} = IPC::Run::start(
        [ $mover, 'run', '--settings-fd=3' ], '<', "$directory/job", '>', \$run->{stdout}, '2>', \$run->{stderr},
        '3<', $file, IPC::Run::timeout(300));
    $run->{pid} = $run->{harness}{KIDS}[0]{PID};
    return $run;
}

# Returns {exit, signal, events, stdout, stderr, seconds}.
sub run_mover
{
    my ($settings, $job) = @_;
    my $run = (ref $settings && $settings->{harness}) ? $settings : start_mover($settings, $job);
    my $begun = time;
    $run->{harness}->finish;
    my $status = $run->{harness}->full_result(0);
    return {
        exit => $status >> 8, signal => $status & 127, stdout => $run->{stdout}, stderr => $run->{stderr},
        events => [ events_of($run->{stdout}) ], seconds => time - $begun
    };
}

sub events_of
{
    my ($text) = @_;
    return map { $json->decode($_) } grep { length } split /\n/, $text;
}

sub last_event
{
    my ($result) = @_;
    return $result->{events}[-1] // {};
}

# ---- a control plane -----------------------------------------------------------------------------

# A control-plane Postgres with the extension, a key, a local store and the worker running.
# Nothing is scheduled but what the test asks for: which resource's slot comes in its minutes is a matter of chance.
# Options: conf (more of postgresql.conf), preload (default 1), extension (default 1), schedule (default 0), mover.
# The node carries {key_file}, {store_dir}, {database}.
sub start_control
{
    my (%option) = @_;
    my $node = PostgreSQL::Test::Cluster->new($option{name} // 'control');
    $node->init(allows_streaming => $option{allows_streaming} // 0, extra => \@LOCALE);
    my $directory = $node->basedir;
    mkdir "$directory/store", 0700 or die $!;
    mkdir "$directory/spool", 0700 or die $!;
    $node->{key_file}  = make_key($directory);
    $node->{store_dir} = "$directory/store";
    $node->{database}  = $option{database} // 'control';
    my $preload   = ($option{preload} // 1) ? "shared_preload_libraries = 'custbackup'" : '';
    my $bin       = $node->{mover} = $option{mover} // own_mover($directory);
    $node->append_conf('postgresql.conf', <<"CONF" . ($option{conf} // ''));
$preload
max_worker_processes = 16
fsync = off
custbackup.database = '$node->{database}'
custbackup.mover = '$bin'
custbackup.key_file = '$node->{key_file}'
custbackup.spool_dir = '$directory/spool'
custbackup.allow_local_targets = on
CONF
    $node->start;
    $node->safe_psql('postgres', "CREATE DATABASE $node->{database}");
    if ($option{extension} // 1)
    {
        $node->safe_psql($node->{database}, 'BEGIN; CREATE EXTENSION custbackup; ' . ($option{schedule} ? '' : schedule_nothing()) . 'COMMIT');
        $node->safe_psql($node->{database},
            "INSERT INTO custbackup.stores (name, url, is_default) VALUES ('default', 'file://$node->{store_dir}', true)");
    }
    return $node;
}

# For whoever creates the extension by himself, in the same transaction: before the worker's first pass.
sub schedule_nothing
{
    return "CREATE OR REPLACE FUNCTION custbackup.schedule(as_of timestamptz DEFAULT now()) RETURNS integer LANGUAGE sql AS 'SELECT 0';\n";
}

sub put_beside
{
    my ($file, $name) = @_;
    link $file, $name or File::Copy::copy($file, $name) && chmod(0755, $name) or die "$name: $!";
}

# The mover by another name, so that a control plane's movers can be told from those of other tests.
sub own_mover
{
    my ($directory) = @_;
    my $name = "$directory/custbackup";
    put_beside($mover, $name);
    # And the engine that it loads: it looks beside itself, or where this build was installed.
    my ($module) = grep { -e } map { dirname($mover) . "/$_/custbackup_mongodb.so" } '.', '../lib', '../lib/postgresql';
    put_beside($module, "$directory/custbackup_mongodb.so") if $module;
    return $name;
}

# Registers a resource; returns its id.  Options: id, token, team_id, tier, type, status, ciphertext.
sub add_resource
{
    my ($control, $url, %option) = @_;
    my $id     = $option{id} // new_uuid();
    my $team   = $option{team_id} ? "'$option{team_id}'" : 'NULL';
    my $cipher = $option{ciphertext} // encrypt_url($control->{key_file}, $url);
    $control->safe_psql($control->{database}, sprintf(
        q{INSERT INTO custbackup.resources (id, token, team_id, tier, resource_type, connection_url, status)
          VALUES ('%s', '%s', %s, '%s', '%s', '%s', '%s')},
        $id, $option{token} // "token-$id", $team, $option{tier} // 'pro', $option{type} // 'postgres', $cipher,
        $option{status} // 'active'));
    return $id;
}

# Calls $condition until it is true; its value, or a failed test after $seconds.
sub wait_for
{
    my ($condition, $seconds, $what) = @_;
    my $end = time + $seconds;
    while (time < $end)
    {
        my $value = $condition->();
        return $value if $value;
        sleep 0.05;
    }
    fail("waited $seconds s in vain for: $what");
    return;
}

# Waits until a job has ended (or has the status asked for); returns 'status/reason'.
sub wait_for_job
{
    my ($control, $id, $seconds, $status) = @_;
    my $wanted = $status ? "status = '$status'" : "status NOT IN ('pending', 'running')";
    wait_for(
        sub {
            $control->safe_psql($control->{database}, "SELECT 1 FROM custbackup.jobs WHERE id = '$id' AND $wanted");
        },
        $seconds // 30,
        "job $id " . ($status ? "is $status" : 'has ended')
    );
    return $control->safe_psql($control->{database},
        "SELECT status || '/' || coalesce(reason::text, '-') FROM custbackup.jobs WHERE id = '$id'");
}

# ---- looking around ------------------------------------------------------------------------------

# Pids of living processes (no zombies) whose command line matches.
sub processes_matching
{
    my ($pattern) = @_;
    my @found;
    for my $dir (glob '/proc/[0-9]*')
    {
        open my $fh, '<', "$dir/cmdline" or next;
        local $/;
        my $line = <$fh> // '';
        $line =~ tr/\0/ /;
        next if $line eq '' || $line !~ $pattern;
        push @found, $dir =~ m{(\d+)$};
    }
    return grep { $_ != $$ } @found;
}

# Pids of living processes that run this control plane's mover.
sub movers_running
{
    my ($control) = @_;
    # By the command line: what a mover is, as what it holds, is hidden from its own user.
    return processes_matching(qr/^\Q$control->{mover}\E run /);
}

# Pids of the tools that movers have sent to this customer's server: other tests run some, too.
sub tools_of
{
    my ($node) = @_;
    my $place = 'PGPORT=' . $node->port;
    return grep {
        my $environment = "/proc/$_/environ";
        my $text = '';
        if (open my $fh, '<', $environment) { local $/; $text = <$fh> // '' }
        $text =~ /(^|\0)\Q$place\E\0/ && $text =~ /(^|\0)PGAPPNAME=custbackup\0/;
    } processes_matching(qr/^(pg_dump|pg_restore|psql) /);
}

sub free_port
{
    return PostgreSQL::Test::Cluster::get_free_port();
}

1;
