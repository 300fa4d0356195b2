# MongoDB: TLS is verified against the operator's authorities, and can be given up by the URL alone.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use CustbackupTest;
use MongoTest;
use PostgreSQL::Test::Utils ();
use Test::More;

my $tls = PostgreSQL::Test::Utils::tempdir();

sub openssl
{
    my ($out, $said);
    IPC::Run::run([ 'openssl', @_ ], '>', \$out, '2>', \$said) or die "openssl @_: $said\n";
    return;
}

for my $authority (qw(ca other))
{
    openssl(qw(req -x509 -newkey rsa:2048 -nodes -days 2), '-subj', "/CN=Test $authority", '-keyout', "$tls/$authority.key", '-out', "$tls/$authority.crt");
}
PostgreSQL::Test::Utils::append_to_file("$tls/names", "subjectAltName=DNS:localhost\n");

# A directory with a server's certificate, by our authority, and its key.
sub certificate
{
    my ($name, @days) = @_;
    mkdir "$tls/$name" or die $!;
    openssl(qw(req -newkey rsa:2048 -nodes -subj /CN=localhost), '-keyout', "$tls/$name/server.key", '-out', "$tls/$name/server.csr");
    openssl(qw(x509 -req -CAcreateserial), @days, '-in', "$tls/$name/server.csr", '-CA', "$tls/ca.crt", '-CAkey', "$tls/ca.key",
        '-extfile', "$tls/names", '-out', "$tls/$name/server.crt");
    return "$tls/$name";
}

my $server = start_mongodb(tls => certificate('good', -days => 2));
$server->say('shop {"insert":"c","documents":[{"_id":1},{"_id":2}]}');
my ($settings, $store) = mover_settings(tool_path => tools_directory(), ca_file => "$tls/ca.crt");

sub url
{
    my ($host, $options) = @_;
    return mongodb_url($server, host => $host, port => $server->{tls_port}, options => "authSource=admin&tls=true$options");
}

my $backup = mongodb_backup($settings, $store, url('localhost', ''));
is($backup->{done}{event}, 'done', 'a backup over TLS') or diag explain $backup->{done}, $backup->{stderr};
is($backup->{done}{counts}{documents}, 2, 'of everything');
my $clone = mongodb_restore($settings, $store,
    mongodb_url($server, host => 'localhost', port => $server->{tls_port}, database => 'copy', options => 'authSource=admin&tls=true'),
    $backup, mode => 'clone');
is($clone->{done}{event}, 'done', 'a restore over TLS') or diag explain $clone->{done}, $clone->{stderr};
is($server->everything('copy') =~ s/"id":\S+//r, $server->everything('shop') =~ s/"id":\S+//r, 'of everything');

my $other = mongodb_backup({ %$settings, ca_file => "$tls/other.crt" }, $store, url('localhost', ''));
is($other->{done}{reason}, 'unreachable', "another authority's certificate is refused") or diag explain $other->{done};
like($other->{done}{detail}, qr/certificate/i, '... and says so');
my $name = mongodb_backup($settings, $store, url('127.0.0.1', ''));
is($name->{done}{reason}, 'unreachable', 'a certificate of another name is refused') or diag explain $name->{done};
my $insecure = mongodb_backup({ %$settings, ca_file => "$tls/other.crt" }, $store, url('127.0.0.1', '&tlsInsecure=true'));
is($insecure->{done}{event}, 'done', 'unless the URL gives up verifying') or diag explain $insecure->{done}, $insecure->{stderr};
like("@{ $insecure->{done}{notes} // [] }", qr/gives up verifying/, '... which the row says');
is_deeply($backup->{done}{notes} // [], [], '... and otherwise does not');

# OpenSSL before 3.4 takes days alone, later ones no negative ones.
my @over = qx(openssl x509 -help 2>&1) =~ /-not_after/ ? ('-not_before', '20200101000000Z', '-not_after', '20200102000000Z') : ('-days', '-1');
my $late = start_mongodb(tls => certificate('late', @over));
my $expired = mongodb_backup($settings, $store, mongodb_url($late, host => 'localhost', port => $late->{tls_port}, options => 'authSource=admin&tls=true'));
is($expired->{done}{reason}, 'unreachable', 'an expired certificate is refused') or diag explain $expired->{done};
like($expired->{done}{detail}, qr/expired/, '... and says so');
my $plain = mongodb_backup($settings, $store, url('localhost', '') =~ s/tls=true/tls=false/r);
is($plain->{done}{reason}, 'unreachable', 'a server that wants TLS, by a URL without') or diag explain $plain->{done};
my $wants = mongodb_backup($settings, $store, mongodb_url($server, host => 'localhost', options => 'authSource=admin&tls=true'));
is($wants->{done}{reason}, 'unreachable', 'a server without TLS, by a URL that wants it') or diag explain $wants->{done};

done_testing();
