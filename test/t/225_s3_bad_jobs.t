# What an operator may get wrong about a bucket, as he meets it: in the row of a backup that was asked
# for by SQL.  Reason and sentence are those of check-store, and neither row, events nor log tell a secret.
use strict;
use warnings;

use CustbackupTest;
use FaultProxy;
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

# What may stand where a store should be.
sub answers
{
    my ($status, $type, $body) = @_;
    return (start_listener(sub {
        my ($client) = @_;
        while (FaultProxy::read_head($client))
        {
            FaultProxy::write_all($client, "HTTP/1.1 $status Said\r\nContent-Type: $type\r\nContent-Length: " . length($body) . "\r\n\r\n$body") or return;
        }
    }))[0];
}
my ($echo) = start_listener(sub { my ($client) = @_; while (sysread $client, my $read, 65536) { syswrite $client, $read } });
my ($silence) = start_listener(sub { sleep 60 });

sub openssl { my ($out, $said); return IPC::Run::run([ 'openssl', @_ ], '<', '/dev/null', '>', \$out, '2>', \$said) || die "openssl @_: $said" }
openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=Test authority', '-days', 2, '-keyout', "$directory/ca.key", '-out', "$directory/authorities");
my $control = start_control(name => 'bad_store_control', conf => "custbackup.credentials_file = '$credentials'\ncustbackup.ca_file = '$directory/authorities'\n");
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
    IPC::Run::run([ $mover, 'check-store', "--name=$name", "--credentials-file=$credentials", "--ca-file=$directory/authorities", "$url&tries=2&retry_time=5&connect_timeout=2" ],
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
fails('a page of HTML', 'good', 's3://backups/p?endpoint=http://' . answers(200, 'text/html', '<html><body>Welcome</body></html>'), 'store',
    qr/does not speak S3; check endpoint=/);
fails('a token that has expired', 'good', 's3://backups/p?endpoint=http://' . answers(400, 'application/xml',
        '<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>'), 'store', qr/expired.*profile "good" of/);
fails('an echo', 'good', "s3://backups/p?endpoint=http://$echo", 'upload|store', qr/does not speak HTTP|connection broke/);
fails('silence', 'good', "s3://backups/p?endpoint=http://$silence&min_speed_time=1", 'upload|store', qr/too slow.*or nobody answers there/);
fails('nobody there', 'good', 's3://backups/p?endpoint=http://127.0.0.1:1', 'upload|store', qr/cannot be reached; check endpoint=/);
fails('a black hole', 'good', 's3://backups/p?endpoint=https://192.0.2.1', 'upload|store', qr/cannot be reached; check endpoint=/);

# Certificates: one that nobody has vouched for, one for another name, one that is over.
{
    my @over = qx(openssl x509 -help 2>&1) =~ /-not_after/ ? ('-not_before', '20200101000000Z', '-not_after', '20200102000000Z') : ('-days', '-1');
    my %certificates = ('that is self-signed' => [ 'IP:127.0.0.1', '-days', 2 ], 'for another name' => [ 'DNS:elsewhere.example', '-days', 2 ],
        'that has expired' => [ 'IP:127.0.0.1', @over ]);
    for my $what (sort keys %certificates)
    {
        my ($name, @dates) = @{ $certificates{$what} };
        my $file = "$directory/" . $what =~ s/ /-/gr;
        openssl('req', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=store', '-keyout', "$file.key", '-out', "$file.csr");
        append_to_file("$file.ext", "subjectAltName=$name\n");
        openssl('x509', '-req', '-in', "$file.csr", '-signkey', "$file.key", '-extfile', "$file.ext", '-out', "$file.crt", @dates);
        append_to_file("$directory/authorities", slurp_file("$file.crt")) if $what !~ /self-signed/;
        my $port = free_port();
        my $server = IPC::Run::start([ 'openssl', 's_server', '-accept', "127.0.0.1:$port", '-cert', "$file.crt", '-key', "$file.key", '-www', '-quiet' ],
            '<', '/dev/null', '>', '/dev/null', '2>', '/dev/null');
        wait_for(sub { IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port") }, 20, "a server with a certificate $what");
        fails("a certificate $what", 'good', "s3://backups/p?endpoint=https://127.0.0.1:$port", 'store', qr/certificate is not to be trusted: it must be valid today/);
        $server->kill_kill;
    }
}

my $told = sql('SELECT j::text FROM custbackup.jobs j') . sql('SELECT e::text FROM custbackup.events e') . sql('SELECT a::text FROM custbackup.attempts a')
  . slurp_file($control->logfile);
unlike($told, qr/\Q$wrong\E|\Q$secret_key\E/, 'no row and no log holds a secret');

# A store that is moved while a backup goes into it, and renamed: that backup stays its, new ones go to the new default.
my ($old, $new) = @servers;
my $proxy = FaultProxy->start($old->{authority}, PostgreSQL::Test::Utils::tempdir(), { match => 'PUT .*dump[.]gz', delay => 2 });
append_to_file($credentials, "[before]\naws_access_key_id = $access_key\naws_secret_access_key = $secret_key\n");
sql("UPDATE custbackup.stores SET is_default = false, name = 'the-last' WHERE is_default;
    INSERT INTO custbackup.stores (name, url, is_default) VALUES ('good', '" . store_url($proxy, 'backups', 'moved') . "', true)");
my $first = sql("SELECT custbackup.request_backup('$resource')");
wait_for(sub { grep /PUT .*dump/, $proxy->requests }, 30, 'the backup is on its way');
sql("BEGIN; UPDATE custbackup.stores SET is_default = false, name = 'before' WHERE is_default;
    INSERT INTO custbackup.stores (name, url, is_default) VALUES ('good', '" . store_url($new, 'backups', 'moved') . "', true); COMMIT");
my $second = sql("SELECT custbackup.request_backup('$resource')");
is(wait_for_job($control, $first, 60), 'ok/-', 'a backup whose store is moved and renamed meanwhile');
is(wait_for_job($control, $second, 60), 'ok/-', '  and the next one');
is(sql("SELECT string_agg(store, ' ' ORDER BY stored_at) FROM custbackup.objects WHERE backup_id IN ('$first', '$second')"), 'before good', '  each remembers its own store');
$customer->safe_psql('shop', 'SET ROLE app; CREATE TABLE later (x int)');
my $restore = sql("SELECT custbackup.request_restore('$first', safety_backup => false)");
is(wait_for_job($control, $restore, 60), 'ok/-', '  and the old one is restored from the old store');
is($customer->safe_psql('shop', "SELECT count(*) FROM pg_class WHERE relname = 'later'"), '0', '  exactly');
like(($control->psql($control->{database}, "DELETE FROM custbackup.stores WHERE name = 'before'"))[2], qr/still referenced/, 'an old store with backups in it cannot be removed');
$proxy->stop;
$control->stop;

done_testing();
