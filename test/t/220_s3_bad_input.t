# What an operator may get wrong about a bucket: each has a reason and a sentence that says what to do.
use strict;
use warnings;

use FaultProxy;
use IO::Socket::INET;
use MemoryTest;
use PostgreSQL::Test::Utils;
use S3Test;
use Test::More;
use Time::HiRes qw(time);

my $file = random_file(1000);
my @quick = ('tries=2', 'retry_time=5', 'connect_timeout=2', 'min_speed_time=2');

# Every operation fails with the same reason, in time, and says the sentence.
sub refused
{
    my ($what, $url, $reason, $sentence, %option) = @_;
    for my $operation (qw(put get head list))
    {
        my $begun = time;
        my $result = store({ stdin => $file, %option }, $operation, $url, $operation eq 'list' ? () : new_key());
        my $expected = ref $reason ? $reason->{$operation} // $reason->{default} : $reason;
        is($result->{reason}, $expected, "$what: $operation fails") or diag explain $result;
        like($result->{detail}, $sentence, "$what: $operation says why");
        cmp_ok(time - $begun, '<', 30, "$what: $operation ends in time");
        unlike($result->{detail} // '', qr/\Q$secret_key\E/, "$what: $operation tells no secret");
    }
    return;
}

my @servers = start_s3_servers();
for my $server (@servers)
{
    my $name = $server->{name};
    make_bucket($server, 'good');
    my $url = store_url($server, 'good', 'p', @quick);
    refused("$name: wrong access key", $url, 'store', qr/does not know this access key; correct it.*those of the environment/,
        environment => { AWS_ACCESS_KEY_ID => 'NOBODY' });
    refused("$name: wrong secret", $url, 'store', qr/secret key is wrong.*those of the environment/, environment => { AWS_SECRET_ACCESS_KEY => 'not-the-secret' });
    refused("$name: no such bucket", store_url($server, 'no-such-bucket', 'p', @quick), 'store', qr/no such bucket.*; make it, or correct the store's URL/);
    refused("$name: wrong region", store_url($server, 'good', 'p', 'region=eu-nowhere-1', @quick), 'store',
        qr/region/);
    refused("$name: https to http", "s3://good?endpoint=https://$server->{authority}&tries=2&retry_time=5", {
            default => 'store', get => 'store' }, qr/speaks no TLS 1.2 or newer/);
}

my $endpoint = $servers[0]{endpoint};

# No credentials at all.
refused('no credentials', store_url($servers[0], 'good', 'p', @quick), 'config', qr/no credentials for store "test"/,
    environment => { AWS_ACCESS_KEY_ID => undef, AWS_SECRET_ACCESS_KEY => undef });

# Credentials in a file: private or refused, the profile of the store's name.
{
    my $directory = PostgreSQL::Test::Utils::tempdir();
    my $credentials = "$directory/credentials";
    append_to_file($credentials, "# comment\n[other]\naws_access_key_id = x\naws_secret_access_key = y\n"
          . "[test]\naws_access_key_id=$access_key\n aws_secret_access_key = $secret_key \n[half]\naws_access_key_id=z\n");
    my $url = store_url($servers[0], 'good', 'p', @quick);
    my %none = (AWS_ACCESS_KEY_ID => 'WRONG', AWS_SECRET_ACCESS_KEY => 'wrong');
    chmod 0600, $credentials;
    my $settings = store_settings(credentials_file => $credentials);
    is(store({ settings => $settings, environment => \%none }, 'list', $url)->{reason}, undef,
        'the file goes before the environment');
    # Root's own may be read by a group, also when it is root who reads it.
    SKIP:
    {
        skip 'no user namespaces here', 2 if system(q(unshare -Ur true 2>/dev/null)) != 0;
        for my $case ([ 0640, undef ], [ 0660, 'config' ])
        {
            chmod $case->[0], $credentials;
            is(store({ settings => $settings, environment => \%none, prefix => [ 'unshare', '-Ur' ] }, 'list', $url)->{reason}, $case->[1],
                sprintf q{root's file of mode %04o}, $case->[0]);
        }
    }
    for my $mode (0640, 0604, 0660)
    {
        chmod $mode, $credentials;
        my $result = store({ settings => $settings, environment => \%none }, 'list', $url);
        is($result->{reason}, 'config', sprintf 'a file of mode %04o is refused', $mode);
        like($result->{detail}, qr/can be read by others/, '  and says what to do');
    }
    chmod 0600, $credentials;
    for my $case ([ '/nowhere/credentials', qr/could not read the credentials file/ ], [ $directory, qr/no file of at most/ ])
    {
        my $result = store({ settings => store_settings(credentials_file => $case->[0]), environment => \%none }, 'list', $url);
        is($result->{reason}, 'config', "$case->[0] is refused");
        like($result->{detail}, $case->[1], '  and says why');
    }
    my $incomplete = "$directory/incomplete";
    append_to_file($incomplete, "[test]\naws_access_key_id = a\n");
    chmod 0600, $incomplete;
    like(store({ settings => store_settings(credentials_file => $incomplete), environment => \%none }, 'list', $url)->{detail},
        qr/lacks aws_access_key_id or aws_secret_access_key/, 'half a profile is no profile');
    # As editors and other tools write it.
    my @written = (
        [ 'with a mark of byte order, comments and capitals',
            "\xEF\xBB\xBF[test]\r\nAWS_ACCESS_KEY_ID = $access_key  # whose\r\naws_secret_access_key=$secret_key\t; never told\r\nregion = eu-nowhere-1\r\n", undef ],
        [ 'of UTF-16', "\xFF\xFE" . join('', map { "$_\0" } split //, "[test]\naws_access_key_id = a\n"), qr/is no UTF-8 text/ ],
        [ 'with a profile that leads elsewhere', "[test]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = other\n", qr/role_arn or credential_process, is not followed/ ],
    );
    for my $case (@written)
    {
        my ($what, $text, $sentence) = @$case;
        my $own = PostgreSQL::Test::Utils::tempdir() . '/credentials';
        append_to_file($own, $text);
        chmod 0600, $own;
        my $result = store({ settings => store_settings(credentials_file => $own), environment => \%none }, 'list', $url);
        is($result->{reason}, $sentence ? 'config' : undef, "a file $what") or diag explain $result;
        like($result->{detail}, $sentence, '  and says so') if $sentence;
    }
}

# Endpoints that are not S3.
my %strange = (
    'a page of HTML' => [ sub { my ($c) = @_; sysread $c, my $r, 65536; my $b = '<html><body>Welcome</body></html>';
            print $c "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: " . length($b) . "\r\nConnection: close\r\n\r\n$b"; },
        qr/does not speak S3/ ],
    'a page for every question' => [ sub { my ($c) = @_; sysread $c, my $r, 65536;
            print $c "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"; },
        qr/does not speak S3|gave no list/ ],
    'a portal to log in at' => [ sub { my ($c) = @_; sysread $c, my $r, 65536; my $b = '<html><body>Please log in</body></html>';
            print $c "HTTP/1.1 302 Found\r\nLocation: https://login.example/in?ticket=t-i-c-k-e-t\r\nContent-Type: text/html\r\nContent-Length: "
              . length($b) . "\r\nConnection: close\r\n\r\n$b"; },
        qr{to another address, which is never followed.*to https://login.example/in[^?]*$} ],
    'a firewall' => [ sub { my ($c) = @_; sysread $c, my $r, 65536;
            print $c "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"; },
        qr/refused without a word why.*proxy or firewall/ ],
    'entities that multiply' => [ sub { my ($c) = @_; sysread $c, my $r, 65536;
            my $b = '<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "aaaaaaaaaa">' . join('', map { my $p = chr(96 + $_); "<!ENTITY ${\chr(97 + $_)} \"" . "&$p;" x 10 . '">' } 1 .. 9)
              . ']><ListBucketResult><Contents><Key>&j;</Key></Contents></ListBucketResult>';
            print $c "HTTP/1.1 200 OK\r\nContent-Length: " . length($b) . "\r\nConnection: close\r\n\r\n$b"; },
        qr/does not speak S3|gave no list/ ],
    'a web server that finds nothing' => [ sub { my ($c) = @_; sysread $c, my $r, 65536; my $b = '<html><body>Not found</body></html>';
            print $c "HTTP/1.1 404 Not Found\r\nContent-Length: " . length($b) . "\r\nConnection: close\r\n\r\n$b"; },
        qr/does not speak S3/ ],
    'an echo' => [ sub { my ($c) = @_; while (sysread $c, my $r, 65536) { syswrite $c, $r } }, qr/does not speak HTTP|connection broke/ ],
    'a greeting' => [ sub { my ($c) = @_; syswrite $c, "220 mail.example ESMTP\r\n"; sleep 3 }, qr/does not speak HTTP|connection broke/ ],
    'silence' => [ sub { sleep 60 }, qr/too slow|connection broke/ ],
    'a hang-up' => [ sub { }, qr/connection broke/ ],
    'headers without end' => [ sub { my ($c) = @_; sysread $c, my $r, 65536; local $SIG{PIPE} = 'IGNORE';
            print $c "HTTP/1.1 200 OK\r\n"; print $c "x-filler: " . 'x' x 1000 . "\r\n" or last for 1 .. 1000 }, qr/far larger|connection broke/ ],
    'a body without end' => [ sub { my ($c) = @_; sysread $c, my $r, 65536; local $SIG{PIPE} = 'IGNORE';
            print $c "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<ListBucketResult>"; print $c 'x' x 100_000 or last for 1 .. 1000 },
        qr/far larger than such an answer can be|does not speak S3/ ],
);
for my $what (sort keys %strange)
{
    my ($serve, $sentence) = @{ $strange{$what} };
    my ($authority, $pid) = start_listener($serve);
    my $url = "s3://good/p?endpoint=http://$authority&" . join '&', @quick;
    for my $operation (qw(list put))
    {
        my $begun = time;
        my $result = store({ stdin => $file }, $operation, $url, $operation eq 'list' ? () : new_key());
        like($result->{reason}, qr/^(store|upload)$/, "$what: $operation fails") or diag explain $result;
        like($result->{detail}, $sentence, "$what: $operation says why") if $sentence;
        cmp_ok(time - $begun, '<', 20, "$what: $operation ends in time");
        memory_is_below($result->{max_rss_kib}, 64 * 1024, "$what: $operation stays small");
    }
    stop_listener($pid);
}
refused('nobody there', 's3://good/p?endpoint=http://127.0.0.1:1&' . join('&', @quick),
    { default => 'store' }, qr/cannot be reached/);
refused('no such host', 's3://good/p?endpoint=https://no-such-host.invalid&' . join('&', @quick),
    { default => 'store' }, qr/cannot be reached/);
# TEST-NET-1: packets go nowhere.
refused('a black hole', 's3://good/p?endpoint=https://192.0.2.1&' . join('&', @quick), { default => 'store' },
    qr/cannot be reached; check endpoint=/);

# Certificates.
{
    my $directory = PostgreSQL::Test::Utils::tempdir();
    my $openssl = sub { IPC::Run::run([ 'openssl', @_ ], '>', \my $out, '2>', \my $said) or die "openssl @_: \n" };
    $openssl->('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=Test authority', '-days', 2,
        '-keyout', "$directory/ca.key", '-out', "$directory/ca.crt");
    my $certificate = sub {
        my ($name, $alternative, @dates) = @_;
        $openssl->('req', '-newkey', 'rsa:2048', '-nodes', '-subj', "/CN=$name", '-keyout', "$directory/$name.key", '-out', "$directory/$name.csr");
        append_to_file("$directory/$name.ext", "subjectAltName=$alternative\n");
        $openssl->('x509', '-req', '-in', "$directory/$name.csr", '-CA', "$directory/ca.crt", '-CAkey', "$directory/ca.key",
            '-CAcreateserial', '-extfile', "$directory/$name.ext", '-out', "$directory/$name.crt", @dates);
        return [ "$directory/$name.crt", "$directory/$name.key" ];
    };
    my $settings = store_settings(ca_file => "$directory/ca.crt");
    my $good = start_versity(tls => $certificate->('good', 'IP:127.0.0.1,DNS:localhost', '-days', 2));
    my $create = store({ settings => $settings }, 'request', store_url($good, 'good', ''), 'PUT');
    is($create->{status}, 200, 'TLS with an authority of our own');
    for my $option ('payload=signed', 'payload=unsigned')
    {
        my $key = new_key();
        my $url = store_url($good, 'good', 'p', $option);
        is(store({ settings => $settings, stdin => $file }, 'put', $url, $key)->{bytes}, 1000, "$option over TLS");
        is(store({ settings => $settings }, 'get', $url, $key)->{sha256}, file_sha256($file), '  comes back');
    }
    refused('an authority that nobody knows', store_url($good, 'good', 'p', @quick), 'store', qr/not to be trusted/);
    # OpenSSL before 3.4 takes days alone, later ones no negative ones.
    my @over = qx(openssl x509 -help 2>&1) =~ /-not_after/ ? ('-not_before', '20200101000000Z', '-not_after', '20200102000000Z') : ('-days', '-1');
    my %bad = (
        'a certificate for another name' => [ 'other', 'DNS:elsewhere.example' ],
        'an expired certificate'         => [ 'expired', 'IP:127.0.0.1', @over ],
    );
    for my $what (sort keys %bad)
    {
        my $server = start_versity(tls => $certificate->(@{ $bad{$what} }));
        refused($what, store_url($server, 'good', 'p', @quick), 'store', qr/not to be trusted/, settings => $settings);
    }
    $openssl->('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1',
        '-days', 2, '-keyout', "$directory/self.key", '-out', "$directory/self.crt");
    my $server = start_versity(tls => [ "$directory/self.crt", "$directory/self.key" ]);
    refused('a self-signed certificate', store_url($server, 'good', 'p', @quick), 'store', qr/not to be trusted/, settings => $settings);

    append_to_file("$directory/empty.crt", '');
    refused("a ca_file that is $_->[0]", store_url($good, 'good', 'p', @quick), 'config', qr/file of certificates to trust is missing.*check the setting ca_file/,
        settings => store_settings(ca_file => $_->[1])) for [ 'missing', "$directory/nowhere.crt" ], [ 'empty', "$directory/empty.crt" ], [ 'no certificate', "$directory/ca.key" ];

    # Nothing older than TLS 1.2.
    my $port = S3Test::free_port();
    my $old = IPC::Run::start([ 'openssl', 's_server', '-accept', "127.0.0.1:$port", '-cert', "$directory/good.crt", '-key', "$directory/good.key",
            '-tls1_1', '-cipher', 'DEFAULT:@SECLEVEL=0', '-www', '-quiet' ], '<', '/dev/null', '>', '/dev/null', '2>', '/dev/null');
    my $deadline = time + 20;
    Time::HiRes::sleep(0.05) until IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port") || time > $deadline;
    refused('a server of TLS 1.1', "s3://good/p?endpoint=https://127.0.0.1:$port&" . join('&', @quick), 'store',
        qr/speaks no TLS 1.2 or newer/, settings => $settings);
    $old->kill_kill;
}

# A list of 100,000 keys, a page at a time, from a store that has them all.
{
    my $page = sub {
        my ($c) = @_;
        while (1)
        {
            my $head = FaultProxy::read_head($c) // return;
            my ($from) = $head =~ /continuation-token=(\d+)/;
            $from //= 0;
            my $next = $from + 1000;
            my $body = '<?xml version="1.0"?><ListBucketResult><EncodingType>url</EncodingType><IsTruncated>'
              . ($next < 100_000 ? 'true' : 'false') . "</IsTruncated><NextContinuationToken>$next</NextContinuationToken>"
              . join('', map { sprintf '<Contents><Key>p/acme/018f0000-0000-4000-8000-%012d.dump.gz</Key><Size>%d</Size></Contents>', $_, $_ }
                  $from .. $next - 1) . '</ListBucketResult>';
            FaultProxy::write_all($c, "HTTP/1.1 200 OK\r\nContent-Length: " . length($body) . "\r\n\r\n$body") or return;
        }
    };
    my ($authority, $pid) = start_listener($page);
    my $result = store({}, 'list', "s3://good/p?endpoint=http://$authority");
    is(scalar @{ $result->{list} // [] }, 100_000, 'a list of 100,000 keys') or diag $result->{detail};
    stop_listener($pid);
}

done_testing();
