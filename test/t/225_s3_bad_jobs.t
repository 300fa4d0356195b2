# What an operator may get wrong about a bucket, as he meets it: in the row of a backup that was asked
# for by SQL.  Reason and sentence are those of check-store, and neither row, events nor log tell a secret.
use strict;
use warnings;

use CustbackupTest;
use IO::Socket::INET;
use PostgreSQL::Test::Utils;
use S3Test;
use Test::More;

my $customer = start_customer(name => 'bad_store_customer');
my $directory = PostgreSQL::Test::Utils::tempdir();
my $credentials = "$directory/credentials";
my $wrong = 'a-wrong-secret/key+of=40%characters+long';
append_to_file($credentials, join '', map { "[$_->[0]]\naws_access_key_id = $_->[1]\naws_secret_access_key = $_->[2]\n" }
      [ 'good', $access_key, $secret_key ], [ 'wrong-key', 'NOBODY', $secret_key ], [ 'wrong-secret', $access_key, $wrong ]);
chmod 0600, $credentials;
my @servers = start_s3_servers();
make_bucket($_, 'backups') for @servers;

# A web server where a store should be.
my $web = IO::Socket::INET->new(Listen => 64, LocalAddr => '127.0.0.1', ReuseAddr => 1) or die $@;
my $pid = fork // die $!;
if ($pid == 0)
{
    while (my $client = $web->accept)
    {
        sysread $client, my $request, 65536;
        my $page = '<html><body>Welcome</body></html>';
        print $client "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: " . length($page) . "\r\nConnection: close\r\n\r\n$page";
        close $client;
    }
    POSIX::_exit(0);
}
END { local $?; kill 'KILL', $pid if $pid }

my $control = start_control(name => 'bad_store_control', conf => "custbackup.credentials_file = '$credentials'\n");
sub sql { return $control->safe_psql($control->{database}, $_[0]) }
my $resource = add_resource($control, customer_url($customer), token => 'shop', team_id => new_uuid());
my $stores = 0;

sub fails
{
    my ($what, $profile, $url, $reason, $sentence) = @_;
    my $name = $profile =~ /^(good|wrong-.*)$/ ? $profile : 'absent';
    sql("UPDATE custbackup.stores SET is_default = false, name = name || '.' || " . ++$stores
          . " WHERE is_default; INSERT INTO custbackup.stores (name, url, is_default) VALUES ('$name', '$url&tries=2&retry_time=5&connect_timeout=2', true)");
    my $id = sql("SELECT custbackup.request_backup('$resource')");
    like(wait_for_job($control, $id, 60), qr{^failed/(?:$reason)$}, "$what: the backup fails");
    like(sql("SELECT detail FROM custbackup.jobs WHERE id = '$id'"), $sentence, '  its row says why');
    is(sql("SELECT count(*) FROM custbackup.objects WHERE backup_id = '$id' AND state <> 'expired'"), '0', '  and there is no backup');
    my ($said, $err) = ('', '');
    IPC::Run::run([ $mover, 'check-store', "--name=$name", "--credentials-file=$credentials", "$url&tries=2&retry_time=5&connect_timeout=2" ],
        '>', \$said, '2>', \$err, init => sub { $ENV{AWS_EC2_METADATA_DISABLED} = 'true' });
    is($? >> 8, 1, '  check-store fails, too');
    like($said, $sentence, '  and says the same');
    unlike($said . $err, qr/\Q$wrong\E|\Q$secret_key\E/, '  without a secret');
    return;
}

for my $server (@servers)
{
    my $url = store_url($server, 'backups', 'p');
    my $name = $server->{name};
    fails("$name: a wrong access key", 'wrong-key', $url, 'store', qr/does not know this access key; correct it.*profile "wrong-key" of/);
    fails("$name: a wrong secret", 'wrong-secret', $url, 'store', qr/the secret key is wrong.*profile "wrong-secret" of/);
    fails("$name: no such bucket", 'good', store_url($server, 'no-such-bucket', 'p'), 'store', qr/no such bucket.*make it, or correct/);
    fails("$name: another region", 'good', "$url&region=eu-nowhere-1", 'store', qr/region=/);
    fails("$name: TLS where there is none", 'good', $url =~ s/http:/https:/r, 'store', qr/speaks no TLS 1.2 or newer; check endpoint=/);
}
fails('a page of HTML', 'good', 's3://backups/p?endpoint=http://127.0.0.1:' . $web->sockport, 'store', qr/does not speak S3; check endpoint=/);
fails('nobody there', 'good', 's3://backups/p?endpoint=http://127.0.0.1:1', 'upload|store', qr/cannot be reached; check endpoint=/);

my $told = sql('SELECT j::text FROM custbackup.jobs j') . sql('SELECT e::text FROM custbackup.events e') . sql('SELECT a::text FROM custbackup.attempts a')
  . slurp_file($control->logfile);
unlike($told, qr/\Q$wrong\E|\Q$secret_key\E/, 'no row and no log holds a secret');
$control->stop;

done_testing();
