# MongoDB: who may log in and how a URL says it, which server of several is chosen, and what a URL may not say.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use CustbackupTest;
use JSON::PP ();
use MongoProxy;
use MongoTest;
use PostgreSQL::Test::Utils ();
use Test::More;

my ($settings, $store) = mover_settings(tool_path => tools_directory());
my $server = start_mongodb();
my $json = JSON::PP->new->ascii->allow_nonref;
$server->say('shop {"insert":"c","documents":[{"_id":1},{"_id":2}]}');

sub backs_up
{
    my ($what, $url) = @_;
    my $run = mongodb_backup($settings, $store, $url);
    is($run->{done}{counts}{documents}, 2, $what) or diag explain $run->{done};
    return $run;
}

sub fails { return mongodb_backup_fails($settings, $store, @_) }

# ---- every character of a name and a password ----

my $all = join '', map { chr } 0x21 .. 0x7e;
my @users = (
    [ 'plain', $all, 'every character of ASCII' ],
    [ $all =~ s{[A-Za-z0-9=,.]}{}gr, "password", "a user of signs" ],
    [ 'spaces', ' a b ', 'blanks' ],
    [ "\x{4e2d}ser", "p\x{e4}ss\x{4e2d}", 'UTF-8' ],
    [ 'encoded', '%41%zz%', 'what looks encoded' ],
    # A restore must not stumble over its own words, blackened in what the tool says.
    [ 'words', ' document(s) failed to restore', 'the words of mongorestore' ]);
for my $case (@users)
{
    my ($user, $password, $what) = @$case;
    $server->say('admin {"createUser":' . $json->encode($user) . ',"pwd":' . $json->encode($password) . ',"roles":[]}');
    backs_up("$what, in user or password", mongodb_url($server, user => $user, password => $password));
}
# SCRAM writes a "=" or "," in a name as =3D and =2C. FerretDB's library looks for it without reading that, and so tells what was sent.
$server->say('admin {"createUser":"a=3Db=2Cc=3D3D","pwd":"p@ss=,","roles":[]}');
backs_up('a user with "=" and ","', mongodb_url($server, user => 'a=b,c=3D', password => 'p@ss=,'));
my $words = backs_up('the same words again', mongodb_url($server, user => 'words', password => $users[-1][1]));
my $restored = mongodb_restore($settings, $store, mongodb_url($server, user => 'words', password => $users[-1][1]), $words);
is($restored->{done}{event}, 'done', '... and a restore') or diag explain $restored->{done};
my $each = sub { join '', map { sprintf '%%%02x', ord } split //, $_[0] };
backs_up('everything percent-encoded', sprintf 'mongodb://%s:%s@127.0.0.1:%d/%s?authSource=%s', map({ $each->($_) } @{$server}{qw(user password)}),
    $server->{port}, $each->('shop'), $each->('admin'));
backs_up('a password as it was pasted', "mongodb://spaces2:p\@ss:w\@rd\@127.0.0.1:$server->{port}/shop?authSource=admin")
  if $server->say('admin {"createUser":"spaces2","pwd":"p@ss:w@rd","roles":[]}');

backs_up('authMechanism', mongodb_url($server, options => 'authSource=admin&authMechanism=SCRAM-SHA-256'));
fails('a user whom nobody knows', 'auth', qr/127\.0\.0\.1/, mongodb_url($server, user => 'nobody'));

# ---- what a URL may not say ----

for my $option (qw(tlsCertificateKeyFile=/etc/passwd tlsCAFile=/etc/passwd TLSCRLFile=/x sslPEMKeyFile=/x tlsCertificateKeyFilePassword=x proxyHost=127.0.0.1
    authMechanismProperties=ENVIRONMENT:azure loadBalanced=true))
{
    my ($name) = split /=/, $option;
    fails("the option $name", 'bad_url', qr/\Q$name\E/i, mongodb_url($server, options => "authSource=admin&$option"));
}
fails("a log-in as this host: $_", 'bad_url', qr/by password alone/, mongodb_url($server, options => "authMechanism=$_")) for qw(MONGODB-AWS MONGODB-X509 GSSAPI);
for my $hosts ('127.0.0.1', 'localhost', '[::1]', '[::ffff:127.0.0.1]', '0.0.0.0', 'nowhere.invalid,127.0.0.1')
{
    fails("an address of this host: $hosts", 'bad_url', qr/this host|not allowed/, "mongodb://u:p%40ss\@$hosts/shop", allow_local_targets => JSON::PP::false);
}

# ---- rights, by their name ----

my $proxy = MongoProxy->start_before($server, PostgreSQL::Test::Utils::tempdir());
for my $command ('listCollections', 'find', 'listIndexes')
{
    $proxy->rules({ match => "^$command shop", error => 13 });
    fails("no right to $command", 'auth', qr/not authorized on shop to execute command \{ $command/, mongodb_url($proxy));
}

# ---- several hosts, members of a replica set ----

backs_up('the first of three hosts is down', mongodb_url($server, host => '127.0.0.1:' . free_port() . ',nowhere.invalid,127.0.0.1'));

my $secondary = MongoProxy->start_before($server, PostgreSQL::Test::Utils::tempdir());
my @members = map { "127.0.0.1:$_->{port}" } $proxy, $secondary;
my $hello = '^(?:hello|isMaster|ismaster) ';

# Is the backup by this preference read from that one?
sub reads
{
    my ($preference, $asked, $from, $what) = @_;
    $proxy->rules({ match => $hello, pretend => MongoProxy::member_of('rs', 'primary', @members) });
    $secondary->rules({ match => $hello, pretend => MongoProxy::member_of('rs', 'secondary', @members) });
    backs_up($what, mongodb_url($asked, options => "authSource=admin&replicaSet=rs$preference"));
    my @read = grep { my $member = $_; grep { /^find shop c/ } $member->requests } $proxy, $secondary;
    is_deeply([ map { $_->{port} } @read ], [ $from->{port} ], '... from that one alone');
    return;
}

reads('', $secondary, $proxy, 'the primary, which the secondary names');
reads('&readPreference=primaryPreferred', $secondary, $proxy, 'primaryPreferred: the primary');
reads('&readPreference=secondary', $proxy, $secondary, 'secondary: the secondary, which the primary names');
reads('&readPreference=secondaryPreferred', $proxy, $secondary, 'secondaryPreferred: the secondary');
fails('a member of another set', 'unreachable', qr/not of the replica set other/, mongodb_url($proxy, options => 'authSource=admin&replicaSet=other'));

$server->say('shop {"delete":"c","deletes":[{"q":{"_id":2},"limit":1}]}');
$_->rules({ match => $hello, pretend => MongoProxy::member_of('rs', ($_ == $proxy ? 'primary' : 'secondary'), @members) }) for $proxy, $secondary;
my $rewind = mongodb_restore($settings, $store, mongodb_url($secondary, options => 'authSource=admin&readPreference=secondary'), $words);
is($rewind->{done}{event}, 'done', 'a restore goes to the primary, whatever is preferred') or diag explain $rewind->{done};
is(scalar(grep { /^(?:insert|drop|rename|update)/ } $secondary->requests), 0, '... and to no other');

$secondary->stop;
$proxy->rules({ match => $hello, pretend => MongoProxy::member_of('rs', 'primary', @members) });
fails('a secondary is wanted, and there is none', 'unreachable', qr/./, mongodb_url($proxy, options => 'authSource=admin&readPreference=secondary'));
backs_up('secondaryPreferred is content with the primary', mongodb_url($proxy, options => 'authSource=admin&readPreference=secondaryPreferred'));

done_testing();
