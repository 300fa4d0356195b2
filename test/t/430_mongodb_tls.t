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
openssl(qw(req -newkey rsa:2048 -nodes -subj /CN=localhost), '-keyout', "$tls/server.key", '-out', "$tls/server.csr");
PostgreSQL::Test::Utils::append_to_file("$tls/names", "subjectAltName=DNS:localhost\n");
openssl(qw(x509 -req -days 2 -CAcreateserial), '-in', "$tls/server.csr", '-CA', "$tls/ca.crt", '-CAkey', "$tls/ca.key",
    '-extfile', "$tls/names", '-out', "$tls/server.crt");

my $server = start_mongodb(tls => $tls);
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

done_testing();
