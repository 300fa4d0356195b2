# MongoDB: backups of a real server by a real mongodump, and every way in which there is none.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use CustbackupTest;
use MongoTest;
use Test::More;

my ($settings, $store, $directory) = mover_settings(tool_path => tools_directory());
my $server = start_mongodb();
$server->say(
    'shop {"create":"empty"}',
    'shop {"insert":"types","documents":[{"_id":1,"s":"x"},{"_id":{"$oid":"0123456789abcdef01234567"}}]}',
    'shop {"insert":"dotted.name","documents":[{"_id":1}]}',
    'shop {"createIndexes":"types","indexes":[{"key":{"s":1},"name":"by_s"}]}',
    'other {"insert":"c","documents":[{"_id":1}]}',
    'bare {"create":"nothing"}');

my $backup = mongodb_backup($settings, $store, mongodb_url($server));
is($backup->{done}{event}, 'done', 'a backup of one database') or diag explain $backup->{done}, $backup->{stderr};
is_deeply(
    $backup->{done}{counts},
    { databases => 1, collections => 3, views => 0, time_series => 0, documents => 3, indexes => 4 },
    'what is in it is counted') or diag explain $backup->{done};
is($backup->{done}{consistency}, 'per collection', 'and it says how consistent it is');
my ($started) = grep { $_->{event} eq 'started' } @{ $backup->{events} };
is($started->{tool}, 'mongodump 100.6.1', 'with which tool');
like($started->{server}, qr/^MongoDB 7\.0\./, 'of which server');

my $all = mongodb_backup($settings, $store, mongodb_url($server, database => '', options => ''));
is($all->{done}{event}, 'done', 'a URL without a database: all of them') or diag explain $all->{done};
is($all->{done}{counts}{databases}, 4, 'which are counted: these and "admin"') or diag explain $all->{done};

my $bare = mongodb_backup($settings, $store, mongodb_url($server, database => 'bare'));
is($bare->{done}{event}, 'done', 'a database without a document is a good backup');
is($bare->{done}{counts}{collections}, 1, 'with its collection');

# ---- MongoDB's own database, which many a URL names for the log-in alone ----

$server->say('admin {"insert":"apps","documents":[{"_id":1}]}', 'admin {"createUser":"first","pwd":"p@ss1","roles":[]}');
my $admin = mongodb_backup($settings, $store, mongodb_url($server, database => 'admin', options => ''));
is("$admin->{done}{counts}{collections} $admin->{done}{counts}{documents}", '1 1', 'of "admin" what is the customer\'s alone') or diag explain $admin->{done};
like("@{ $admin->{done}{notes} // [] }", qr/names the database "admin", MongoDB's own: no other one is in the backup/, '... which the row says');
$server->say('admin {"insert":"apps","documents":[{"_id":2}]}', 'admin {"insert":"later","documents":[{"_id":1}]}', 'admin {"createUser":"second","pwd":"p@ss2","roles":[]}');
my $rewound = mongodb_restore($settings, $store, mongodb_url($server, database => 'admin', options => ''), $admin);
is($rewound->{done}{event}, 'done', '... is restored') or diag explain $rewound->{done};
is_deeply([ $server->documents('admin', '"apps"') ], ['{ "_id" : { "$numberInt" : "1" } }'], '... exactly');
is(mongodb_backup($settings, $store, mongodb_url($server, user => $_->[0], password => $_->[1]))->{done}{event}, 'done', "... with the user $_->[0] as ever")
  for [ 'first', 'p@ss1' ], [ 'second', 'p@ss2' ];

# ---- failures ----

sub fails { return mongodb_backup_fails($settings, $store, @_) }

fails('a database that does not exist', 'dump', qr/"nosuch" does not exist/, mongodb_url($server, database => 'nosuch'));
fails('a wrong password', 'auth', qr/127\.0\.0\.1/, mongodb_url($server, password => 'wrong-p@ss'));
fails('nobody listens', 'unreachable', qr/127\.0\.0\.1/, mongodb_url($server, port => free_port()));
fails('no mongodump', 'config', qr/mongodump is not installed/, mongodb_url($server), tool_path => $directory);
fails('an address of this host', 'bad_url', qr/not allowed|this host/i, mongodb_url($server), allow_local_targets => JSON::PP::false);
fails('an option that reads a file', 'bad_url', qr/tlsCertificateKeyFile/,
    mongodb_url($server, options => 'tlsCertificateKeyFile=/etc/passwd'));
fails('a socket', 'bad_url', qr/Unix socket/, 'mongodb://u:p%40ss@%2Ftmp%2Fmongodb.sock/shop');
fails('another replica set', 'unreachable', qr/replica set/, mongodb_url($server, options => 'authSource=admin&replicaSet=rs9'));

done_testing();
