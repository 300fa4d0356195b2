# Ways to reach a bucket: virtual hosts, IPv6, a proxy, and none that nobody asked for.
use strict;
use warnings;

use FaultProxy;
use IO::Socket::IP;
use PostgreSQL::Test::Utils;
use S3Test;
use Test::More;

my $file = random_file(6 * 1024 * 1024);

sub works
{
    my ($what, $url, %option) = @_;
    my $key = new_key();
    my $put = store({ stdin => $file, %option }, 'put', $url, $key);
    is($put->{bytes}, 6 * 1024 * 1024, "$what: stored") or diag explain $put;
    is_deeply([ map { $_->{key} } @{ store({%option}, 'list', $url)->{list} } ], [$key], '  listed');
    is(store({%option}, 'get', $url, $key)->{sha256}, file_sha256($file), '  fetched');
    is(store({%option}, 'remove', $url, $key)->{reason}, undef, '  removed');
    return;
}

my $minio = start_minio(environment => { MINIO_DOMAIN => 'localhost' });
my $versity = start_versity(domain => 'localhost');
for my $server ($minio, $versity)
{
    make_bucket($server, 'bucket');
    works("$server->{name}, virtual host", "s3://bucket/p?endpoint=http://localhost:$server->{port}&style=virtual&part_size=5MiB");
    works("$server->{name}, path", "s3://bucket/p?endpoint=http://localhost:$server->{port}&style=path&part_size=5MiB");
}

SKIP:
{
    skip 'this machine has no IPv6 loopback: a bucket reached by IPv6 is not tested', 8
      unless IO::Socket::IP->new(Listen => 1, LocalHost => '::1');
    my $server = start_versity(ipv6 => 1);
    my $url = "s3://bucket/p?endpoint=http://[::1]:$server->{port}&part_size=5MiB";
    store({}, 'request', $url, 'PUT');
    works('IPv6', $url);
    works('IPv6 with all its zeros', $url =~ s/\[::1\]/[0:0:0:0:0:0:0:1]/r);
}

# A proxy is used when it is set, and only then. The endpoint's name exists nowhere.
my $proxy = FaultProxy->start($minio->{authority}, PostgreSQL::Test::Utils::tempdir());
my $nowhere = 's3://bucket/p?endpoint=http://store.invalid&style=path&part_size=5MiB&tries=2&retry_time=5&connect_timeout=2';
my %through = (settings => store_settings(proxy => "http://user:proxy-pass-word\@127.0.0.1:$proxy->{port}", allow_http => JSON::PP::true));
works('by a proxy', $nowhere, %through);
my %direct = (settings => store_settings(allow_http => JSON::PP::true),
    environment => { http_proxy => $proxy->endpoint, HTTP_PROXY => $proxy->endpoint, all_proxy => $proxy->endpoint, ALL_PROXY => $proxy->endpoint });
my $result = store({%direct}, 'list', $nowhere);
is($result->{reason}, 'store', 'a proxy of the environment is not used');
like($result->{detail}, qr/cannot be reached(?!.*by way of)/, '  the store is asked for directly');
$proxy->stop;
$result = store({%through}, 'list', $nowhere);
like($result->{detail}, qr/cannot be reached.*; by way of the setting proxy/, 'a proxy that is gone');
unlike($result->{detail}, qr/proxy-pass-word/, '  and its password is not told');

# One that wants other credentials, at a request that it passes on and at a tunnel that it makes.
my ($strict, $pid) = start_listener(sub {
    my ($client) = @_;
    FaultProxy::read_head($client) // return;
    FaultProxy::write_all($client, "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
});
my %refused = (settings => store_settings(proxy => "http://user:proxy-pass-word\@$strict", allow_http => JSON::PP::true));
for my $endpoint ('http://store.invalid', 'https://store.invalid')
{
    $result = store({%refused}, 'list', "s3://bucket/p?endpoint=$endpoint");
    is($result->{reason}, 'config', "a proxy that refuses, $endpoint") or diag explain $result;
    like($result->{detail}, qr/the proxy does not let us through.*407/, '  is told');
    unlike($result->{detail}, qr/proxy-pass-word|tries in/, '  at once, and without its password');
}
is(store({%refused}, 'list', "s3://bucket/p?endpoint=http://127.0.0.1:$minio->{port}")->{reason}, undef, '  and is not asked the way to this host itself');
stop_listener($pid);

# http is for this host alone.
is(store({}, 'list', 's3://bucket?endpoint=http://192.0.2.1')->{reason}, 'config', 'http to another host is refused');

done_testing();
