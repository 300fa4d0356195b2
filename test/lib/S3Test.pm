# S3Test.pm
#
# What the tests of object stores share: Versity's and MinIO's servers on loopback (built by
# test/bin/build-tools), a store by hand (test/support/store_tool.c), random bytes.
package S3Test;

use strict;
use warnings;

use Exporter 'import';
use IO::Socket::INET;
use IO::Socket::IP;
use IPC::Run ();
use JSON::PP ();
use Digest::SHA ();
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

our @EXPORT = qw(
    start_versity start_minio start_s3_servers stop_s3_servers
    store store_settings start_store finish_store make_bucket store_url versioning_on
    random_file file_sha256 new_key start_listener stop_listener
    $access_key $secret_key
);

our $access_key = 'custbackup-test';
our $secret_key = 'a+secret/with=signs%20';
my $tools = ($ENV{CUSTBACKUP_TOOLS} // '/var/cache/custbackup-tools') . '/bin';
my $store_tool = "$ENV{UNIT_DIR}/store_tool";
my @running;
my $json = JSON::PP->new->canonical;

sub tool
{
    my ($name) = @_;
    my $file = "$tools/$name";
    BAIL_OUT("$file is not there: run test/bin/build-tools $name") unless -x $file;
    return $file;
}

# Below what the kernel gives to connections, and reserved: a Postgres beside us that starts again finds its own still free.
sub free_port
{
    return PostgreSQL::Test::Cluster::get_free_port();
}

# Starts a server in the background and waits until its port takes connections.
sub start_server
{
    my ($name, $port, $host, $environment, @command) = @_;
    my $directory = PostgreSQL::Test::Utils::tempdir();
    my $pid = fork // die "fork: $!";
    if ($pid == 0)
    {
        %ENV = (%ENV, %$environment, HOME => $directory);
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', "$directory/$name.log";
        open STDERR, '>&', \*STDOUT;
        exec @command or POSIX::_exit(127);
    }
    my $server = { name => $name, port => $port, pid => $pid, log => "$directory/$name.log",
        authority => "127.0.0.1:$port", endpoint => "http://127.0.0.1:$port" };
    push @running, $server;
    my $deadline = time + 60;
    until (IO::Socket::IP->new(PeerHost => $host, PeerPort => $port))
    {
        die "$name did not start: " . slurp_file($server->{log}) if time > $deadline || waitpid($pid, POSIX::WNOHANG()) > 0;
        sleep 0.1;
    }
    return $server;
}

# tls => [certificate file, key file]; ipv6 => 1: on [::1]; domain => for virtual hosts.
sub start_versity
{
    my (%option) = @_;
    my $directory = PostgreSQL::Test::Utils::tempdir();
    my $port = free_port();
    mkdir "$directory/$_" for qw(data versions);
    my $server = start_server('versity', $port, $option{ipv6} ? '::1' : '127.0.0.1',
        { ROOT_ACCESS_KEY => $access_key, ROOT_SECRET_KEY => $secret_key },
        tool('versitygw'), '--port', ($option{ipv6} ? '[::1]' : '127.0.0.1') . ":$port",
        ($option{domain} ? ('--virtual-domain', "$option{domain}:$port") : ()),
        ($option{tls} ? ('--cert', $option{tls}[0], '--key', $option{tls}[1]) : ()),
        'posix', '--versioning-dir', "$directory/versions", "$directory/data");
    $server->{endpoint} =~ s/^http:/https:/ if $option{tls};
    return $server;
}

sub start_minio
{
    my (%option) = @_;
    my $directory = PostgreSQL::Test::Utils::tempdir();
    my $port = free_port();
    my $server = start_server('minio', $port, '127.0.0.1',
        { MINIO_ROOT_USER => $access_key, MINIO_ROOT_PASSWORD => $secret_key, MINIO_BROWSER => 'off', MINIO_SITE_REGION => 'us-east-1',
            %{ $option{environment} // {} } },
        tool('minio'), 'server', '--quiet', '--address', "127.0.0.1:$port", $directory);
    # It takes connections before it takes requests.
    my $deadline = time + 60;
    while (time < $deadline)
    {
        my $answer = store({}, 'request', "s3://ready?endpoint=$server->{endpoint}&tries=1", 'HEAD');
        last if ($answer->{status} // 0) == 404;
        sleep 0.2;
    }
    return $server;
}

# Something that is not quite a store: $serve gets each connection, in a process of its own. Returns (authority, pid).
my @listeners;

sub start_listener
{
    my ($serve) = @_;
    my $socket = IO::Socket::INET->new(Listen => 64, LocalAddr => '127.0.0.1', ReuseAddr => 1) or die $@;
    my $pid = fork // die $!;
    if ($pid == 0)
    {
        POSIX::setpgid(0, 0);
        local $SIG{CHLD} = 'IGNORE';
        while (my $client = $socket->accept)
        {
            my $child = fork // next;
            if ($child == 0) { $serve->($client); POSIX::_exit(0) }
        }
        POSIX::_exit(0);
    }
    POSIX::setpgid($pid, $pid);
    push @listeners, $pid;
    return ('127.0.0.1:' . $socket->sockport, $pid);
}

# With all its connections: who sleeps in one would keep the test's output open.
sub stop_listener { kill 'KILL', -$_[0]; return }

sub start_s3_servers { return (start_versity(), start_minio()) }

sub stop_s3_servers
{
    for my $server (splice @running)
    {
        kill 'KILL', $server->{pid};
        waitpid $server->{pid}, 0;
    }
    return;
}

END
{
    local $?;
    stop_s3_servers();
    stop_listener($_) for @listeners;
}

# A settings file; options override.
sub store_settings
{
    my (%option) = @_;
    my $directory = PostgreSQL::Test::Utils::tempdir();
    mkdir "$directory/spool";
    my $file = "$directory/settings.json";
    append_to_file($file, $json->encode({ spool_dir => "$directory/spool", %option }));
    return $file;
}

sub start_store
{
    my ($option, @arguments) = @_;
    my $run = { out => '', err => '', begun => time };
    my $file = $option->{settings} // store_settings();
    my %environment = (
        AWS_ACCESS_KEY_ID => $access_key, AWS_SECRET_ACCESS_KEY => $secret_key, AWS_EC2_METADATA_DISABLED => 'true',
        CUSTBACKUP_SETTINGS => $file, %{ $option->{environment} // {} });
    my $prepare = sub {
        for my $name (keys %environment)
        {
            if (defined $environment{$name}) { $ENV{$name} = $environment{$name} }
            else { delete $ENV{$name} }
        }
    };
    $run->{harness} = IPC::Run::start([ @{ $option->{prefix} // [] }, $store_tool, @arguments ], '<', $option->{stdin} // '/dev/null',
        '>', \$run->{out}, '2>', \$run->{err}, init => $prepare, IPC::Run::timeout(180));
    $run->{pid} = $run->{harness}{KIDS}[0]{PID};
    return $run;
}

sub finish_store
{
    my ($run) = @_;
    $run->{harness}->finish;
    my $status = $run->{harness}->full_result(0);
    my $result = eval { $json->decode($run->{out}) } // { broken => $run->{out} . $run->{err} };
    return { %$result, status_code => $status, stderr => $run->{err}, seconds => time - $run->{begun} };
}

# One run of store_tool: store({settings =>, environment =>, stdin => file, prefix => [command]}, operation, url, ...).
sub store
{
    return finish_store(start_store(@_));
}

sub store_url
{
    my ($server, $bucket, $prefix, @options) = @_;
    my $endpoint = ref $server eq 'HASH' ? $server->{endpoint} : $server->endpoint;
    return "s3://$bucket" . (length $prefix ? "/$prefix" : '') . '?' . join '&', "endpoint=$endpoint", @options;
}

sub make_bucket
{
    my ($server, $bucket, @headers) = @_;
    my $answer = store({}, 'request', store_url($server, $bucket, ''), 'PUT', '', '', @headers);
    die "bucket $bucket: " . $json->encode($answer) unless ($answer->{status} // 0) == 200;
    return;
}

sub versioning_on
{
    my ($server, $bucket) = @_;
    my $body = PostgreSQL::Test::Utils::tempdir() . '/body';
    append_to_file($body, '<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Status>Enabled</Status></VersioningConfiguration>');
    my $answer = store({ stdin => $body }, 'request', store_url($server, $bucket, ''), 'PUT', '', 'versioning', 'content-type:application/xml');
    is($answer->{status}, 200, "$server->{name}: versioning is switched on") or diag explain $answer;
    return;
}

# A file of random bytes.
sub random_file
{
    my ($bytes) = @_;
    my $file = PostgreSQL::Test::Utils::tempdir() . "/$bytes";
    open my $in, '<:raw', '/dev/urandom' or die $!;
    open my $out, '>:raw', $file or die $!;
    while ($bytes > 0)
    {
        my $got = sysread $in, my $block, $bytes > 1048576 ? 1048576 : $bytes;
        print $out $block;
        $bytes -= $got;
    }
    close $out or die $!;
    return $file;
}

sub file_sha256 { return Digest::SHA->new(256)->addfile($_[0], 'b')->hexdigest }

# A key that follows our pattern.
my $counter = 0;
sub new_key
{
    return sprintf 'acme-main/018f0000-0000-4000-8000-%012x.dump.gz', ++$counter + ($$ << 16);
}

1;
