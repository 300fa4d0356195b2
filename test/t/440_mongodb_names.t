# MongoDB: names and values of every kind come back as they were, into the same database and another.
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
my $json = JSON::PP->new->ascii;

# FerretDB's tables know nothing of a '"' in a collection's name, nor of a line break in a field's: those fields come below.
my @names = (
    'plain', 'with space', 'quo\'te`', 'back\\slash', '*', '\\*', '(a|b)[c]+?^', 'shop', 'shop.shop', 'semi;colon', '--drop', '%24%', "tab\t",
    'two..dots', 'dot.at.', "line\nbreak", "\nfirst\n\nlast\n", "\x{fc}n\x{ef}c\x{f6}de \x{43a}\x{43b}\x{44e}\x{447} \x{1f600}", 'x' x 37,
    'long ' . 'y' x 200, "long\n" . 'z' x 200, 'system.js');
my @fields = (' ', 'a b', '\'', "\x{e9}\x{4e2d}", '__proto__', 'x' x 300);

sub command
{
    my ($database, @pairs) = @_;
    return "$database {" . join(',', map { $json->allow_nonref->encode($pairs[ 2 * $_ ]) . ':' . $pairs[ 2 * $_ + 1 ] } 0 .. $#pairs / 2) . '}';
}
sub text { return $json->allow_nonref->encode($_[0]) }

for my $name (@names)
{
    my $fields = join ',', map { text($_) . ':' . text("value of $_") } @fields;
    $server->say(command('shop', insert => text($name), documents => qq([{"_id":1,$fields,"in":${\ text($name)}}])));
}

my @values = (
    '{"$numberDouble":"1.7976931348623157e308"}', '{"$numberDouble":"5e-324"}', '{"$numberDouble":"1.0"}', '{"$numberInt":"1"}', '{"$numberLong":"1"}',
    '{"$numberInt":"-2147483648"}', '{"$numberLong":"-9223372036854775808"}', '{"$numberLong":"9223372036854775807"}', '""', '"\u0000zero\u0000"',
    '"\u00e9\ud83d\ude00"', '{}', '[]', '[{"a":[{}]},null]', 'true', 'false', 'null', '{"$oid":"0123456789abcdef01234567"}',
    '{"$date":{"$numberLong":"-62135596800000"}}', '{"$date":{"$numberLong":"253402300799999"}}', '{"$binary":{"base64":"","subType":"00"}}',
    '{"$binary":{"base64":"AAEC/w==","subType":"80"}}', '{"$binary":{"base64":"AAAAAAAAAAAAAAAAAAAAAA==","subType":"04"}}',
    '{"$regularExpression":{"pattern":"^a/.*\\\\\\\\/b$","options":"im"}}', '{"$timestamp":{"t":4294967295,"i":4294967295}}');
my $number = 0;
$server->say(map { sprintf 'shop {"insert":"values","documents":[{"_id":%d,"v":%s,"in":{"deep":%s}}]}', ++$number, $_, $_ } @values);
# Keys of every type, one of them of many fields in their order.
$server->say('shop {"insert":"keys","documents":[' . join(',', map { qq({"_id":$_}) }
          '{"$numberInt":"5"}', '{"$numberDouble":"1.5"}', '"text"', '{"$oid":"0123456789abcdef01234567"}', 'true', '{"b":1,"a":2}', '{"a":2,"b":1}',
          '{"$date":{"$numberLong":"77"}}', '{"$binary":{"base64":"AAEC/w==","subType":"00"}}') . ']}');
$server->say(
    'shop {"create":"capped","capped":true,"size":1048576,"max":3}', 'shop {"insert":"capped","documents":[{"_id":3},{"_id":1},{"_id":2}]}',
    'shop {"createIndexes":"plain","indexes":[{"key":{"in":1},"name":"quote\' space \u00e9 .. $"},{"key":{"a b":-1,"in":1},"name":"pair","unique":true},{"key":{"in.deep":1},"name":"line\nbreak"}]}');
my $before = $server->everything('shop');
is(scalar(() = $before =~ /^collection /mg), @names + 3, 'all of them are there');

my $backup = mongodb_backup($settings, $store, mongodb_url($server));
is($backup->{done}{event}, 'done', 'backup') or diag explain $backup->{done}, $backup->{stderr};
is($backup->{done}{counts}{collections}, @names + 3, 'of all of them');

for my $name (@names)
{
    $server->say(command('shop', update => text($name), updates => '[{"q":{"_id":1},"u":{"$set":{"in":"changed"}}}]'),
        command('shop', insert => text($name), documents => '[{"_id":2}]'));
}
$server->say(map { command('shop', insert => text("more $_"), documents => '[{"_id":1}]') } @names[ 0 .. 9 ]);
my $rewind = mongodb_restore($settings, $store, mongodb_url($server), $backup);
is($rewind->{done}{event}, 'done', 'rewind') or diag explain $rewind->{done}, $rewind->{stderr};
same_documents($server->everything('shop'), $before, '... exactly, of a database that had more');
is_deeply([ $server->beside('shop') ], [], '... with nothing beside');
my @in_place = @{ $rewind->{done}{left_alone} // [] };
is(scalar(@in_place), scalar(grep { /\./ && $_ ne 'system.js' } @names), '... in place only what FerretDB does not rename: a dot in the name') or diag explain \@in_place;

my $clone = mongodb_restore($settings, $store, mongodb_url($server, database => 'Other_-_9'), $backup, mode => 'clone');
is($clone->{done}{event}, 'done', 'a clone into another database') or diag explain $clone->{done}, $clone->{stderr};
same_documents($server->everything('Other_-_9'), $before, '... exactly');
same_documents($server->everything('shop'), $before, '... and the first one is as it was');

# ---- what FerretDB does not store, given and taken by a proxy ----

{
    my $directory = PostgreSQL::Test::Utils::tempdir();
    my @rare = (
        '{"$numberDecimal":"1.50"}', '{"$numberDecimal":"NaN"}', '{"$code":"f()"}', '{"$code":"f()","$scope":{"a":1}}', '{"$symbol":"s"}', '{"$undefined":true}',
        '{"$minKey":1}', '{"$maxKey":1}', '{"$dbPointer":{"$ref":"a.b","$id":{"$oid":"0123456789abcdef01234567"}}}', '{"$numberDouble":"-0.0"}',
        '{"$numberDouble":"Infinity"}', '{"$numberDouble":"NaN"}', '[[],[{}],[[null]]]', '{"$x":1,"line\nbreak":2,"\"quoted\"":3,"a.b":{"..":{"":[{"\\\\":1,"\"":"\u0000"}]}}}');
    my @documents = $server->tool_says(map { sprintf '= {"_id":%d,"v":%s}', $_, $rare[$_] } 0 .. $#rare);
    $server->say('rare {"insert":"c","documents":[{"_id":0}]}');
    my $proxy = MongoProxy->start_before($server, $directory,
        { match => '^find rare c$', serve => \@documents }, { match => '^insert rarer custbackup_restore_\w+_c$', swallow => "$directory/swallowed" });
    my $backup = mongodb_backup($settings, $store, mongodb_url($proxy, database => 'rare'));
    is($backup->{done}{counts}{documents}, @rare, 'documents of every type are backed up') or diag explain $backup->{done};
    my $restore = mongodb_restore($settings, $store, mongodb_url($proxy, database => 'rarer'), $backup, mode => 'clone');
    is($restore->{done}{event}, 'done', '... and restored') or diag explain $restore->{done};
    is(PostgreSQL::Test::Utils::slurp_file("$directory/swallowed"), MongoProxy::summary_of(@documents), '... byte for byte');
}

# ---- kinds of collections that FerretDB does not know: it is shown as if it had them ----

{
    my @there = map { [ name => $_->[0], type => $_->[1], options => $_->[2], info => [ readOnly => { bool => 0 } ] ] }
      [ 'c', 'collection', [ validator => [ n => [ '$gt' => 0 ] ] ] ], [ 'v', 'view', [ viewOn => 'c', pipeline => { array => [] } ] ],
      [ 'ts', 'timeseries', [ timeseries => [ timeField => 't', granularity => 'seconds' ] ] ], [ 'system.buckets.ts', 'collection', [] ];
    my $listed = [ cursor => [ id => { long => 0 }, ns => 'kinds.$cmd.listCollections', firstBatch => { array => \@there } ], ok => { double => 1 } ];
    my $proxy = MongoProxy->start_before($server, PostgreSQL::Test::Utils::tempdir(), { match => '^listCollections kinds', pretend => $listed },
        { match => '^find kinds system.buckets.ts', serve => [ $server->tool_says('= {"_id":1,"control":{"version":1},"data":{"t":{"0":1}}}') ] });
    $server->say('kinds {"insert":"c","documents":[{"_id":1,"n":5}]}');
    my $backup = mongodb_backup($settings, $store, mongodb_url($proxy, database => 'kinds'));
    is_deeply($backup->{done}{counts}, { databases => 1, collections => 1, views => 1, time_series => 1, documents => 2, indexes => 1 }, 'a view and a time series are known')
      or diag explain $backup->{done}, $backup->{stderr};
    my @fine = (pretend => [ ok => { double => 1 } ]);
    $proxy->rules({ match => '^create copies (?:v|ts)$', @fine }, { match => '^create copies custbackup_restore_\\w+_c$', @fine },
        { match => '^insert copies system.buckets.ts', pretend => [ n => 1, ok => { double => 1 } ] });
    my $restore = mongodb_restore($settings, $store, mongodb_url($proxy, database => 'copies'), $backup, mode => 'clone');
    is($restore->{done}{event}, 'done', '... and restored') or diag explain $restore->{done}, $restore->{stderr};
    is_deeply($restore->{done}{left_alone}, ['the time series "ts" was replaced in place: MongoDB renames none'], '... the one in place, which the row says');
    my @requests = $proxy->requests;
    is(scalar(grep { /^insert copies custbackup_restore_\w+_c bypassing$/ } @requests), 1, '... documents older than a validator, too');
    $proxy->rules({ match => '^drop copies system.buckets.', error => 13 });
    my $refused = mongodb_restore($settings, $store, mongodb_url($proxy, database => 'copies'), $backup);
    is($refused->{done}{reason}, 'auth', '... but not by a user without rights on buckets') or diag explain $refused->{done};
    like($refused->{done}{detail}, qr/time series.*role restore/, '... who is told so');
    is(scalar(grep { /^(?:insert|update|create|renameCollection admin copies.custbackup_restore_\w{8}_)/ } $proxy->requests), 0, '... before anything is touched');
    $proxy->rules({ match => '^create copies (?:v|ts)$', @fine }, { match => '^create copies custbackup_restore_\\w+_c$', @fine },
        { match => '^insert copies system.buckets.ts', pretend => [ n => 1, ok => { double => 1 } ] }, { match => 'bypassing$', error => 13 });
    my $asking = mongodb_restore($settings, $store, mongodb_url($proxy, database => 'copies'), $backup);
    is($asking->{done}{event}, 'done', '... a user without the right to that has validators asked') or diag explain $asking->{done};
    is(scalar(grep { /^insert copies custbackup_restore_\w+_c$/ } $proxy->requests), 1, '... as ever');
    my @order = map { /^(renameCollection|create|insert) \S+ (?:\S*?[._])??(c|v|ts|system\.buckets\.ts)(?: |$)/ ? "$1 $2" : () } @requests;
    like(join(', ', @order), qr/^create c, insert c, renameCollection c, (?=.*create v)(?=.*create ts, .*insert system\.buckets\.ts)/, '... behind all others');
}

# ---- views that are there already ----

{
    my ($old, $new) = map { my $name = $_; [ name => $name, type => 'view', options => [ viewOn => 'c', pipeline => { array => [] } ], info => [ readOnly => { bool => 1 } ] ] } 'v', 'later';
    my $proxy = MongoProxy->start_before($server, PostgreSQL::Test::Utils::tempdir(), { match => '^listCollections viewed', more => [$old] });
    $server->say('viewed {"insert":"c","documents":[{"_id":1}]}');
    my $backup = mongodb_backup($settings, $store, mongodb_url($proxy, database => 'viewed'));
    is("$backup->{done}{counts}{collections} $backup->{done}{counts}{views}", '1 1', 'a collection and its view are backed up') or diag explain $backup->{done};
    my @fine = (pretend => [ ok => { double => 1 } ]);
    $proxy->rules({ match => '^listCollections viewed', more => [ $old, $new ] }, { match => '^(?:drop|create) viewed (?:v|later)$', @fine });
    my $rewind = mongodb_restore($settings, $store, mongodb_url($proxy, database => 'viewed'), $backup);
    is($rewind->{done}{event}, 'done', '... and rewound') or diag explain $rewind->{done}, $rewind->{stderr};
    my $order = join ', ', map { s/custbackup_restore_\w{8}_(?=\w)//r } grep { /^(?:drop|create|rename)/ } $proxy->requests;
    like($order, qr/renameCollection admin viewed\.c.* drop viewed later.* drop viewed v.* create viewed v/,
        '... behind its collection the view is dropped and made again; one that the backup has not is dropped');
    is_deeply([ $server->collections('viewed') ], ['c'], '... with nothing beside');
}

# ---- many collections, of which mongorestore has to be told one by one ----

my $long = 'y' x 180;
$server->say(map { (qq(many {"insert":"collection number $_ $long","documents":[{"_id":$_}]})) } 1 .. 300);
my $many = mongodb_backup($settings, $store, mongodb_url($server, database => 'many'));
is($many->{done}{counts}{collections}, 300, 'a database of many collections');
my $copy = mongodb_restore($settings, $store, mongodb_url($server, database => 'copy'), $many, mode => 'clone');
is($copy->{done}{event}, 'done', '... is restored') or diag explain $copy->{done};
same_documents($server->everything('copy'), $server->everything('many'), '... exactly');
{
    my $low = PostgreSQL::Test::Utils::tempdir() . '/mover';
    PostgreSQL::Test::Utils::append_to_file($low, "#!/bin/sh\nulimit -s 512 && exec $mover \"\$@\"\n");
    chmod 0755, $low;
    local $CustbackupTest::mover = $low;
    my $crowded = mongodb_restore($settings, $store, mongodb_url($server, database => 'many'), $many);
    is($crowded->{done}{reason}, 'not_restorable', '... but not where arguments have no room for all names') or diag explain $crowded->{done};
    like($crowded->{done}{detail}, qr/300 collections have long names.*stack's limit/, '... as it says');
    ok(!$crowded->{done}{target_modified} && !$server->beside('many'), '... before anything is touched');
}

done_testing();
