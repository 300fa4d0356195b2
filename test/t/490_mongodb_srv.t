# MongoDB by mongodb+srv://: servers and options from the DNS, and the rules for what it may say. A network of the test's own has a DNS of its own.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use CustbackupTest;
use MongoTest;
use PostgreSQL::Test::Utils qw(append_to_file);
use Test::More;

plan skip_all => 'no user namespaces here' if system('unshare -Urnm true 2>/dev/null') != 0;

our $settings;
($settings, my $store, my $directory) = mover_settings(tool_path => tools_directory());
my $server = start_mongodb(socket => "$directory/mongodb.sock");
$server->say('shop {"insert":"c","documents":[{"_id":1},{"_id":2}]}');

my $keeper = fork // die $!;
exec 'unshare', '-Urnm', "$FindBin::Bin/../lib/srv_namespace", $directory, $server->{socket} or POSIX::_exit(1) if $keeper == 0;
END { local $?; kill 'KILL', $keeper if $keeper }
wait_for(sub { -e "$directory/ready" }, 20, 'a network of our own') or BAIL_OUT('no network');

# A mover that lives in it.
append_to_file("$directory/mover", "#!/bin/sh\nexec nsenter --preserve-credentials -U -n -m -t $keeper $mover \"\$@\"\n");
chmod 0755, "$directory/mover";
$CustbackupTest::mover = "$directory/mover";

sub url
{
    my ($name, $options) = @_;
    return sprintf 'mongodb+srv://%s:%s@%s.example.test/shop?tls=false%s', map({ percent_encode($_) } @{$server}{qw(user password)}), $name, $options // '';
}

sub works
{
    my ($what, $url) = @_;
    my $run = mongodb_backup($settings, $store, $url);
    is($run->{done}{counts}{documents}, 2, $what) or diag explain $run->{done}, $run->{stderr};
    return $run;
}

sub fails { return mongodb_backup_fails($settings, $store, @_) }

my $backup = works('a server and authSource from the DNS', url('good'));
$server->say('shop {"delete":"c","deletes":[{"q":{"_id":2},"limit":1}]}');
my $restore = mongodb_restore($settings, $store, url('good'), $backup);
is($restore->{done}{event}, 'done', 'a restore') or diag explain $restore->{done};
is(scalar(() = $server->documents('shop', '"c"')), 2, '... of everything');
works('without a TXT record', url('plain', '&authSource=admin'));
works('srvServiceName', url('plain', '&authSource=admin&srvServiceName=shop'));
works('the first of two servers is not there', url('late', '&authSource=admin'));

fails("the URL's own authSource counts before the DNS's", 'auth', qr/db1\.example\.test/, url('good', '&authSource=shop'));
fails('a name that the DNS does not know', 'unreachable', qr/no answer for _mongodb\._tcp\.nowhere\.example\.test/, url('nowhere'));
fails('a TXT record that the DNS cannot tell of now', 'unreachable', qr/no answer for mute\.example\.test/, url('mute', '&authSource=admin'));
fails('a server of another domain', 'bad_url', qr/not of its domain/, url('stray'));
fails('a TXT record that says more than it may', 'bad_url', qr/TXT record/, url('chatty'));
my %strict = (allow_local_targets => JSON::PP::false);
fails('an answer that leads to this host', 'bad_url', qr/this host|not allowed/, url('good'), %strict);
fails('the second of two answers that does', 'bad_url', qr/this host|not allowed/, url('late', '&authSource=admin'), %strict);
{
    local $settings = { %$settings, %strict };
    works('an answer that leads elsewhere', url('outside', '&authSource=admin'));
}
fails('one that does, behind a server that answers', 'bad_url', qr/"db1\.example\.test" has the address 127\.0\.0\.1/, url('mixed', '&authSource=admin'), %strict);

done_testing();
