# MongoDB: what was backed up comes back exactly, and nothing more; until the first rename the target is as it was.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use CustbackupTest;
use MongoTest;
use Test::More;
use Time::HiRes qw(sleep);

my ($settings, $store, $directory) = mover_settings(tool_path => tools_directory());
my $server = start_mongodb();
$server->say(
    'shop {"create":"empty"}',
    'shop {"insert":"types","documents":[' . join(',',
        '{"_id":1,"double":{"$numberDouble":"1.5"},"long":{"$numberLong":"9007199254740993"},"int":{"$numberInt":"7"}}',
        '{"_id":"text","text":"h\u00e9llo \"quoted\" \'single\' $dollar .. \n newline"}',
        '{"_id":{"$oid":"0123456789abcdef01234567"},"date":{"$date":{"$numberLong":"1700000000123"}}}',
        '{"_id":4,"binary":{"$binary":{"base64":"AAEC/w==","subType":"80"}},"null":null,"bool":true}',
        '{"_id":5,"array":[1,"two",{"x":[{}]}],"regex":{"$regularExpression":{"pattern":"^a.*b$","options":"i"}}}',
        '{"_id":6,"b":1,"a":2,"timestamp":{"$timestamp":{"t":5,"i":6}}}') . ']}',
    'shop {"createIndexes":"types","indexes":[{"key":{"text":1},"name":"by_text"},{"key":{"b":1,"a":-1},"name":"pair","unique":true}]}',
    'shop {"insert":"Ünïcode_ключ","documents":[{"_id":1}]}',
    'shop {"insert":"many","documents":[' . join(',', map { qq({"_id":$_,"v":"value $_"}) } 1 .. 3000) . ']}',
    'neighbour {"insert":"theirs","documents":[{"_id":1}]}');
my $before = $server->everything('shop');
my $neighbour = $server->everything('neighbour');
cmp_ok(scalar(split /\n/, $before), '>', 3010, 'the server holds something of everything');

my $backup = mongodb_backup($settings, $store, mongodb_url($server));
is($backup->{done}{event}, 'done', 'backup') or diag explain $backup->{done}, $backup->{stderr};

sub damage
{
    $server->say(
        'shop {"delete":"types","deletes":[{"q":{"_id":1},"limit":1}]}',
        'shop {"insert":"types","documents":[{"_id":"added later"}]}',
        'shop {"createIndexes":"types","indexes":[{"key":{"date":1},"name":"added_later"}]}',
        'shop {"drop":"many"}',
        'shop {"insert":"new","documents":[{"_id":"not in the backup"}]}');
    return $server->everything('shop');
}

my $damaged = damage();
isnt($damaged, $before, 'the customer loses data');
my $rewind = mongodb_restore($settings, $store, mongodb_url($server), $backup);
is($rewind->{done}{event}, 'done', 'rewind') or diag explain $rewind->{done}, $rewind->{stderr};
same_documents($server->everything('shop'), $before, 'the rewound database is what it was, and nothing more');
ok($rewind->{done}{target_modified}, 'target_modified');
is_deeply($rewind->{done}{left_alone} // [], [], 'nothing left alone');

# By hand, as docs/manifest.md says, when everything else is gone.
PostgreSQL::Test::Utils::append_to_file("$directory/uri.yaml", 'uri: "' . mongodb_url($server) . "\"\n");
$server->say('shop {"dropDatabase":1}');
is(system('bash', '-o', 'pipefail', '-c', "gzip -dc '$directory/store/$backup->{done}{key}' | "
      . tools_directory() . "/mongorestore --quiet --archive --stopOnError --config='$directory/uri.yaml'"), 0, 'by hand: gzip and mongorestore');
same_documents($server->everything('shop'), $before, '... put everything back into an empty database');
is($server->everything('neighbour'), $neighbour, "the neighbour's database is untouched");

# ---- clones ----

my $clone = mongodb_restore($settings, $store, mongodb_url($server, database => 'copy'), $backup, mode => 'clone');
is($clone->{done}{event}, 'done', 'clone into a database of another name') or diag explain $clone->{done}, $clone->{stderr};
same_documents($server->everything('copy'), $before, 'the clone is the same');
my $again = mongodb_restore($settings, $store, mongodb_url($server, database => 'copy'), $backup, mode => 'clone');
is($again->{done}{reason}, 'target_not_empty', 'a clone into a database with collections is refused');
ok(!$again->{done}{target_modified}, '... and changes nothing');

# ---- the backup of nothing ----

$server->say('void {"create":"something"}');
my $void = mongodb_backup($settings, $store, mongodb_url($server, database => 'void'));
$server->say('void {"insert":"more","documents":[{"_id":1}]}', 'void {"drop":"something"}');
my $emptied = mongodb_restore($settings, $store, mongodb_url($server, database => 'void'), $void);
is($emptied->{done}{event}, 'done', 'a database without documents is restored') or diag explain $emptied->{done};
is_deeply([ $server->collections('void') ], ['something'], '... and what it had not is gone');

# ---- a whole server ----

$server->say('neighbour {"insert":"custbackup_restore_mine","documents":[{"_id":1}]}');
$neighbour = $server->everything('neighbour');
$server->leave_beside('neighbour', 'theirs', 'a * b');
$server->say(map { qq(admin {"insert":"$_","documents":[{"_id":1}]}) } 'a' .. 'h');
my $all = mongodb_backup($settings, $store, mongodb_url($server, database => '', options => ''));
like("@{ $all->{done}{notes} // [] }", qr/"neighbour": what an unfinished restore has put beside/, 'a backup of a whole server says what of an unfinished restore is in it');
unlike("@{ $all->{done}{notes} // [] }", qr/has not come to its end|"shop"/, '... and no more');
my $copy = start_mongodb();
my $whole = mongodb_restore($settings, $store, mongodb_url($copy, database => '', options => ''), $all, mode => 'clone');
is($whole->{done}{event}, 'done', 'a whole server is cloned') or diag explain $whole->{done}, $whole->{stderr};
is_deeply($whole->{done}{left_alone}, ['the database "admin": MongoDB\'s own'], '... but for what is MongoDB\'s own');
same_documents($copy->everything('shop'), $before, 'its first database');
same_documents($copy->everything('neighbour'), $neighbour, 'and its second');
is_deeply([ $copy->beside('neighbour') ], [], '... without what an unfinished restore had put beside there');
$server->say('neighbour {"update":"custbackup_restore_","updates":[{"q":{},"u":{"$set":{"phase":"replacing"}}}]}');
my $half = mongodb_backup($settings, $store, mongodb_url($server, database => '', options => ''));
like("@{ $half->{done}{notes} // [] }", qr/a restore of the database "neighbour" has not come to its end/, '... and where one is half done');
my $one = mongodb_restore($settings, $store, mongodb_url($copy, database => 'single'), $all, mode => 'clone');
is($one->{done}{reason}, 'not_restorable', 'several databases do not go into one');

# ---- faults ----

# Kills what `choose` picks while mongorestore is held still.
sub interrupted
{
    my ($what, $kill, $reason) = @_;
    my $was = damage();
    my $run = start_mongodb_restore($settings, $store, mongodb_url($server), $backup);
    my $pid = tool_of($run, 'mongorestore');
    kill 'STOP', $pid;
    no_secret_outside($run, $pid, $what, qr/p\@ss\/w:rd|p%40ss/);
    $kill->($run, $pid);
    kill 'CONT', $pid;
    my $result = run_mover($run);
    my $last = last_event($result);
    if ($reason)
    {
        is($last->{reason}, $reason, "$what: $reason") or diag explain $last, $result->{stderr};
        ok(!$last->{target_modified}, '... before anything was modified');
    }
    $server->start unless $server->{pid};
    same_documents($server->everything('shop'), $was, '... the database is as it was');
    $server->age_mark('shop') if $server->beside('shop');
    my $finished = mongodb_restore($settings, $store, mongodb_url($server), $backup);
    is($finished->{done}{event}, 'done', '... the next restore succeeds') or diag explain $finished->{done};
    same_documents($server->everything('shop'), $before, '... exactly');
    is_deeply([ $server->beside('shop') ], [], '... and leaves nothing of the first');
    return;
}

interrupted('mongorestore killed', sub { kill 'KILL', $_[1] }, 'restore');
interrupted('server killed', sub { $server->stop }, 'unreachable');
interrupted('the mark dropped', sub { $server->say('shop {"drop":"custbackup_restore_"}') }, 'restore');
interrupted('cancelled', sub { kill 'TERM', $_[0]{pid} }, 'cancelled');
interrupted('mover killed', sub { kill 'KILL', $_[0]{pid} }, undef);

# What an unfinished restore has left is no part of a backup.
$server->leave_beside('shop', 'types');
my $clean = mongodb_backup($settings, $store, mongodb_url($server));
is($clean->{done}{counts}{documents}, $backup->{done}{counts}{documents}, 'leftovers of a restore are not backed up');

# FerretDB renames no collection with a dot in its name: such are replaced in place, and the row says so.
$server->say('dots {"insert":"dotted.name","documents":[{"_id":1}]}', 'dots {"insert":"plain","documents":[{"_id":1}]}');
my $dotted = $server->everything('dots');
my $dots = mongodb_backup($settings, $store, mongodb_url($server, database => 'dots'));
$server->say('dots {"insert":"dotted.name","documents":[{"_id":2}]}', 'dots {"insert":"plain","documents":[{"_id":2}]}');
my $undotted = mongodb_restore($settings, $store, mongodb_url($server, database => 'dots'), $dots);
is($undotted->{done}{event}, 'done', 'a collection that cannot be renamed is replaced') or diag explain $undotted->{done}, $undotted->{stderr};
same_documents($server->everything('dots'), $dotted, '... exactly');
like("@{ $undotted->{done}{left_alone} // [] }", qr/dotted\.name/, '... and the row says so');

# The mark's place is taken: nobody's data is swept.
$server->say('taken {"insert":"custbackup_restore_","documents":[{"_id":1}]}', 'taken {"insert":"c","documents":[{"_id":1}]}');
my $taken = mongodb_backup($settings, $store, mongodb_url($server, database => 'taken'));
like("@{ $taken->{done}{notes} // [] }", qr/"custbackup_restore_" is left out/, "a customer's collection of that very name is left out, and the row says so");
is($taken->{done}{counts}{collections}, 1, '... alone');
my $refused = mongodb_restore($settings, $store, mongodb_url($server, database => 'taken'), $taken);
is($refused->{done}{reason}, 'not_restorable', '... and a restore into its database is refused') or diag explain $refused->{done};
is_deeply([ $server->documents('taken', '"custbackup_restore_"') ], ['{ "_id" : { "$numberInt" : "1" } }'], '... with nothing touched');

my $denied = mongodb_restore($settings, $store, mongodb_url($server, password => 'wrong'), $backup);
is($denied->{done}{reason}, 'auth', 'a wrong password');
my $missing = mongodb_restore({ %$settings, tool_path => $directory }, $store, mongodb_url($server), $backup);
is($missing->{done}{reason}, 'config', 'no mongorestore');
like($missing->{done}{detail}, qr/mongorestore is not installed/, '... and says so');

done_testing();
