# Where credentials come from: each source alone, their order, and renewal in the middle of an upload.
#
# The services that give them (STS, a container's agent, an instance's metadata) are played by a
# small server here; what they give is then used against a real store.
use strict;
use warnings;

use FaultProxy;
use IO::Socket::INET;
use JSON::PP ();
use PostgreSQL::Test::Utils;
use S3Test;
use Test::More;

my $directory = PostgreSQL::Test::Utils::tempdir();
my $log = "$directory/requests";
my $state = "$directory/state";

# Plays the services; {expires} seconds from now in what they give, read anew for each request.
sub play_services
{
    my $socket = IO::Socket::INET->new(Listen => 64, LocalAddr => '127.0.0.1', ReuseAddr => 1) or die $@;
    my $pid = fork // die $!;
    return ('127.0.0.1:' . $socket->sockport, $pid) if $pid;
    $SIG{CHLD} = 'IGNORE';
    while (my $client = $socket->accept)
    {
        my $child = fork // next;
        next if $child;
        while (defined(my $head = FaultProxy::read_head($client)))
        {
            my ($length) = $head =~ /^content-length:\s*(\d+)/mi;
            my $body = '';
            sysread $client, $body, $length - length $body, length $body while $length && length $body < $length;
            my ($line) = $head =~ /^(\S+ \S+)/;
            append_to_file($log, "$line | " . join(' ', $head =~ /^((?:authorization|x-aws-ec2\S*): .*?)\r$/mig) . " | $body\n");
            my ($status, $answer) = answer_for($line, $head, $body);
            FaultProxy::write_all($client, "HTTP/1.1 $status X\r\nContent-Length: " . length($answer) . "\r\n\r\n$answer") or last;
        }
        POSIX::_exit(0);
    }
    POSIX::_exit(0);
}

sub answer_for
{
    my ($line, $head, $body) = @_;
    my %now = %{ JSON::PP::decode_json(slurp_file($state)) };
    my @t = gmtime(time + $now{expires});
    my $expiration = sprintf '%04d-%02d-%02dT%02d:%02d:%02dZ', $t[5] + 1900, $t[4] + 1, @t[ 3, 2, 1, 0 ];
    # Busy once: the first request has been written down already.
    my $busy = $now{busy} && slurp_file($log) !~ /\n./;
    return (400, "<ErrorResponse><Error><Code>$now{busy}</Code><Message>slowly</Message></Error></ErrorResponse>") if $busy;
    # Whoever gave some once has none any more.
    return (403, '') if $now{once} && slurp_file($log) =~ /\n./;
    return ($now{status}, '<ErrorResponse><Error><Code>InvalidIdentityToken</Code><Message>no</Message></Error></ErrorResponse>')
      if $now{status} != 200;
    my $json = JSON::PP::encode_json({ Code => 'Success', AccessKeyId => $access_key, SecretAccessKey => $secret_key,
            Expiration => $expiration });
    return (200, 'a-metadata-token') if $line eq 'PUT /latest/api/token' && $head =~ /^x-aws-ec2-metadata-token-ttl-seconds: \d+/mi;
    if (my ($role) = $line =~ m{^GET /latest/meta-data/iam/security-credentials/(.*)})
    {
        return (401, 'version 1 is not spoken here') if $head !~ /^x-aws-ec2-metadata-token: a-metadata-token\r/mi;
        return (404, '') if $now{no_role};
        return (200, JSON::PP::encode_json({ Code => $now{code}, Message => 'cannot assume it' })) if $now{code} && length $role;
        return (200, length $role ? $json : 'the-role');
    }
    return (200, $json) if $line eq 'GET /container';
    return (200, "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>$access_key</AccessKeyId>"
          . "<SecretAccessKey>$secret_key</SecretAccessKey><Expiration>$expiration</Expiration></Credentials>"
          . '</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>')
      if $line eq 'POST /sts';
    return (404, '');
}

sub services
{
    my (%now) = @_;
    open my $fh, '>', $state or die $!;
    print $fh JSON::PP::encode_json({ status => 200, expires => 3600, %now });
    close $fh;
    unlink $log;
    append_to_file($log, '');
    return;
}

services();
my ($authority, $services) = play_services();
END { local $?; kill 'KILL', $services if $services }

my $server = start_versity();
make_bucket($server, 'good');
my $url = store_url($server, 'good', 'p', 'tries=3', 'retry_time=10', 'part_size=5MiB');
my %nothing = (AWS_ACCESS_KEY_ID => undef, AWS_SECRET_ACCESS_KEY => undef);
append_to_file("$directory/web-token", "a.web.token\n");
my %sources = (
    'web identity' => { AWS_WEB_IDENTITY_TOKEN_FILE => "$directory/web-token", AWS_ROLE_ARN => 'arn:aws:iam::1:role/b+c',
        AWS_ENDPOINT_URL_STS => "http://$authority/sts" },
    'container' => { AWS_CONTAINER_CREDENTIALS_FULL_URI => "http://$authority/container",
        AWS_CONTAINER_AUTHORIZATION_TOKEN => 'a-container-token' },
    'instance' => { AWS_EC2_METADATA_DISABLED => 'false', AWS_EC2_METADATA_SERVICE_ENDPOINT => "http://$authority" },
);

for my $source (sort keys %sources)
{
    services();
    my $result = store({ environment => { %nothing, %{ $sources{$source} } } }, 'list', $url);
    is($result->{reason}, undef, "$source: its credentials open the store") or diag explain $result;
    services(status => 403);
    $result = store({ environment => { %nothing, %{ $sources{$source} } } }, 'list', $url);
    like($result->{reason} // '', $source eq 'instance' ? qr/^config$/ : qr/^store$/, "$source: refused");
    like($result->{detail}, $source eq 'instance' ? qr/no credentials/ : qr/gave no credentials; check AWS_.*403/, '  and says so');
}
# An instance that has no role has no credentials, as whoever has none; one whose role is not what it should be says why.
for my $case ([ no_role => 1, qr/no credentials for store "test".*no instance's role/ ],
    [ code => 'AssumeRoleUnauthorizedAccess', qr/something else than credentials; check the instance's role.*AssumeRoleUnauthorizedAccess.*cannot assume it/ ])
{
    services(@$case[ 0, 1 ]);
    like(store({ environment => { %nothing, %{ $sources{instance} } } }, 'list', $url)->{detail}, $case->[2], "instance: $case->[0]");
}

# What was asked, and how.
services();
store({ environment => { %nothing, %{ $sources{'web identity'} } } }, 'list', $url);
like(slurp_file($log), qr{POST /sts .*Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fb%2Bc&RoleSessionName=custbackup&WebIdentityToken=a\.web\.token},
    'AssumeRoleWithWebIdentity is asked by its form');
services();
store({ environment => { %nothing, %{ $sources{container} } } }, 'list', $url);
like(slurp_file($log), qr/GET \/container \| authorization: a-container-token/, 'the container is asked with its token');

# STS says in a code that it is only busy.
for my $code ('Throttling', 'IDPCommunicationError')
{
    services(busy => $code);
    my $result = store({ environment => { %nothing, %{ $sources{'web identity'} } } }, 'list', $url);
    is($result->{reason}, undef, "$code of STS is worth another try") or diag explain $result;
    is(scalar(() = slurp_file($log) =~ /POST \/sts/g), 2, '  which is made');
}

# The order: environment, web identity, container, instance.
for my $case ([ [ 'web identity', 'container', 'instance' ], qr{^POST /sts} ], [ [qw(container instance)], qr{^GET /container} ],
    [ ['instance'], qr{^PUT /latest/api/token} ])
{
    services();
    my %environment = (%nothing, map { %{ $sources{$_} } } @{ $case->[0] });
    $environment{AWS_EC2_METADATA_DISABLED} = 'false';
    store({ environment => \%environment }, 'list', $url);
    like(slurp_file($log), $case->[1], "of @{ $case->[0] } the first is asked");
}
services();
store({ environment => { map { %{ $sources{$_} } } keys %sources } }, 'list', $url);
is(slurp_file($log), '', 'with keys in the environment nobody is asked');

# http only to this host and the link-local addresses.
for my $bad ([ AWS_CONTAINER_CREDENTIALS_FULL_URI => 'http://example.invalid/x' ],
    [ AWS_CONTAINER_CREDENTIALS_FULL_URI => 'http://127.0.0.1@example.invalid/x' ],
    [ AWS_EC2_METADATA_SERVICE_ENDPOINT => 'http://example.invalid' ],
    [ %{ $sources{'web identity'} }, AWS_ENDPOINT_URL_STS => 'http://127.0.0.1:80@example.invalid/' ])
{
    my $result = store({ environment => { %nothing, AWS_EC2_METADATA_DISABLED => 'false', @$bad } }, 'list', $url);
    is($result->{reason}, 'config', "$bad->[-2]=$bad->[-1] is refused") or diag explain $result;
}
like(store({ environment => { %nothing, %{ $sources{'web identity'} }, AWS_WEB_IDENTITY_TOKEN_FILE => '/nowhere' } }, 'list', $url)->{detail},
    qr/could not read the token file/, 'a token file that is not there');

# What expires soon is renewed for each request of an upload; what is refused as expired, at once.
services(expires => 200);
my $large = random_file(12 * 1024 * 1024);
my $key = new_key();
is(store({ stdin => $large, environment => { %nothing, %{ $sources{container} } } }, 'put', $url, $key)->{bytes}, 12 * 1024 * 1024,
    'an upload with credentials that run out');
cmp_ok(scalar(() = slurp_file($log) =~ /GET \/container/g), '>=', 5, '  renews them on its way');
services(expires => 3600);
store({ stdin => $large, environment => { %nothing, %{ $sources{container} } } }, 'put', $url, new_key());
is(scalar(() = slurp_file($log) =~ /GET \/container/g), 1, 'those that last are fetched once');
# Whoever has no new ones is not asked at each of the six requests.
services(expires => 200, once => 1);
is(store({ stdin => $large, environment => { %nothing, %{ $sources{container} } } }, 'put', $url, new_key())->{bytes}, 12 * 1024 * 1024,
    'an upload with credentials that run out, and no new ones');
cmp_ok(scalar(() = slurp_file($log) =~ /GET \/container/g), '<=', 4, '  asks for them now and then');
services(expires => 200);
is(store({ environment => { %nothing, %{ $sources{container} } } }, 'get', $url, $key)->{sha256}, file_sha256($large),
    'a download with credentials that run out');
cmp_ok(scalar(() = slurp_file($log) =~ /GET \/container/g), '>=', 3, '  renews them on its way');
my $proxy = FaultProxy->start($server->{authority}, $directory);
services(expires => 3600);
$proxy->rules({ match => 'GET .*acme-main', nth => 2, answer => 400, body => '<Error><Code>ExpiredToken</Code></Error>' });
is(store({ environment => { %nothing, %{ $sources{container} } } }, 'get', store_url($proxy, 'good', 'p'), $key)->{sha256}, file_sha256($large),
    'ExpiredToken in the middle of a download is survived');
is(scalar(() = slurp_file($log) =~ /GET \/container/g), 2, '  with new credentials');
$proxy->rules({ match => 'partNumber=2', nth => 1, answer => 400, body => '<Error><Code>ExpiredToken</Code></Error>' });
services(expires => 3600);
my $proxied = store_url($proxy, 'good', 'p', 'part_size=5MiB');
is(store({ stdin => $large, environment => { %nothing, %{ $sources{container} } } }, 'put', $proxied, new_key())->{bytes}, 12 * 1024 * 1024,
    'ExpiredToken in the middle is survived');
is(scalar(() = slurp_file($log) =~ /GET \/container/g), 2, '  with new credentials');
$proxy->rules({ answer => 400, body => '<Error><Code>ExpiredToken</Code></Error>' });
my $expired = store({ stdin => $large }, 'put', $proxied, new_key());
is($expired->{reason}, 'store', 'a token that stays expired is final');
like($expired->{detail}, qr/the session token has expired/, '  and says so');
# Credentials that cannot be renewed serve while they last.
$proxy->rules({ match => 'partNumber=2', delay => 3 });
services(expires => 200);
my $run = start_store({ stdin => $large, environment => { %nothing, %{ $sources{container} } } }, 'put', $proxied, new_key());
my $deadline = time + 60;
select undef, undef, undef, 0.02 until grep(/partNumber=2/, $proxy->requests) || time > $deadline;
services(status => 403, expires => 200);
is(finish_store($run)->{bytes}, 12 * 1024 * 1024, 'an upload whose credentials cannot be renewed goes on while they last');
like(slurp_file($log), qr/GET \/container/, '  although it has asked for new ones');

# The container's token from a file, which goes before the variable and is read anew each time.
append_to_file("$directory/container-token", "a-token-of-a-file\n");
services();
is(store({ environment => { %nothing, %{ $sources{container} }, AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE => "$directory/container-token" } }, 'list', $url)->{reason},
    undef, "a container's token in a file");
like(slurp_file($log), qr/GET \/container \| authorization: a-token-of-a-file \|/, '  is sent without its newline');

# The role that the instance has.
services();
store({ environment => { %nothing, %{ $sources{instance} } } }, 'list', $url);
like(slurp_file($log), qr{GET /latest/meta-data/iam/security-credentials/the-role \| x-aws-ec2-metadata-token: a-metadata-token}, "an instance's role is asked by its name, with the token");

is(store({ environment => { %nothing, %{ $sources{instance} }, AWS_EC2_METADATA_SERVICE_ENDPOINT => "http://$authority/" } }, 'list', $url)->{reason},
    undef, "an instance's address may end with a slash");

# A session token goes along, and one that is set to nothing is none.
$proxy->rules();
for my $case ([ 'a-session-token', qr/./ ], [ '', undef ])
{
    my $result = store({ environment => { AWS_SESSION_TOKEN => $case->[0] } }, 'list', store_url($server, 'good', 'p', 'tries=1'));
    is(defined $result->{reason}, defined $case->[1], "AWS_SESSION_TOKEN='$case->[0]'") or diag explain $result;
}
# Variables that are set to nothing are not set.
like(store({ environment => { AWS_ACCESS_KEY_ID => '', AWS_SECRET_ACCESS_KEY => '' } }, 'list', $url)->{detail}, qr/no credentials for store/,
    'an empty environment has no credentials');
# Half of a source is a mistake that is told, and nobody else's credentials are taken instead.
for my $half ([ 'credentials of the environment .* is missing', AWS_ACCESS_KEY_ID => undef ],
    [ 'credentials of the environment .* is missing', AWS_SECRET_ACCESS_KEY => '' ],
    [ 'AWS_ROLE_ARN, which names the role, is not', %nothing, %{ $sources{'web identity'} }, AWS_ROLE_ARN => undef ],
    [ 'the token file "/dev/null" is empty', %nothing, %{ $sources{'web identity'} }, AWS_WEB_IDENTITY_TOKEN_FILE => '/dev/null' ])
{
    my ($sentence, %half) = @$half;
    services();
    my $result = store({ environment => { %{ $sources{container} }, %half } }, 'list', $url);
    is($result->{reason}, 'config', "half of a source: $sentence");
    like($result->{detail}, qr/$sentence/, '  is told');
    is(slurp_file($log), '', '  and nobody is asked');
}
is(store({ environment => { %nothing, %{ $sources{container} }, AWS_WEB_IDENTITY_TOKEN_FILE => '' } }, 'list', $url)->{reason}, undef,
    'a web identity that is set to nothing is none');
like(store({ environment => { AWS_SECRET_ACCESS_KEY => 'with blank' } }, 'list', $url)->{detail}, qr/credentials of the environment .*holds blanks/,
    'what cannot be credentials is named with its place');

done_testing();
