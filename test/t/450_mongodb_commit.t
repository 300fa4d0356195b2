# MongoDB: how a restore replaces collections, where it may not, and what is left wherever it ends.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use CustbackupTest;
use MongoProxy;
use MongoTest;
use PostgreSQL::Test::Utils ();
use Test::More;

my ($settings, $store) = mover_settings(tool_path => tools_directory());
my $server = start_mongodb();
my $proxy = MongoProxy->start_before($server, PostgreSQL::Test::Utils::tempdir());
# What FerretDB does not know of MongoDB's renames.
my $over = { match => '^renameCollection', over => 1 };
my $live_drop = '^drop shop (?:[abn]|Cust|.*d$|.*mine$)';
my $rename = '^renameCollection admin shop.custbackup_restore_\w{8}_';

$server->say(
    (map { my $name = $_; qq(shop {"insert":"$name","documents":[) . join(',', map { qq({"_id":$_,"in":"$name"}) } 1 .. 5) . ']}' } qw(a b c)),
    # A customer's own, called as if they were ours.
    (map { qq(shop {"insert":"$_","documents":[{"_id":1}]}) } qw(custbackup_restore_mine custbackup_restore_0123abcd_mine Custbackup_restore_ custbackup_restored)),
    'shop {"createIndexes":"a","indexes":[{"key":{"in":1},"name":"by_in"}]}',
    'shop {"insert":"system.js","documents":[{"_id":"f","value":"function() { return 1 }"}]}');
my $before = $server->everything('shop');
my $backup = mongodb_backup($settings, $store, mongodb_url($server));
is($backup->{done}{event}, 'done', 'backup') or diag explain $backup->{done}, $backup->{stderr};

# Every collection is another, one is gone, one is new.
sub damage
{
    $server->say('shop {"drop":"c"}') if grep { $_ eq 'c' } $server->collections('shop');
    $server->say('shop {"drop":"a"}', 'shop {"insert":"a","documents":[{"_id":"later"}]}', 'shop {"delete":"b","deletes":[{"q":{"_id":2},"limit":1}]}',
        'shop {"update":"new","updates":[{"q":{"_id":1},"u":{"$set":{"in":"new"}},"upsert":true}]}', 'shop {"update":"system.js","updates":[{"q":{"_id":"f"},"u":{"$set":{"value":"other"}}}]}');
    return $server->everything('shop');
}

sub restore
{
    my (@rules) = @_;
    $proxy->rules(@rules);
    return mongodb_restore($settings, $store, mongodb_url($proxy), $backup);
}

# ---- the ways ----

sub restores
{
    my ($what, $left_alone, @rules) = @_;
    damage();
    my $run = restore(@rules);
    is($run->{done}{event}, 'done', $what) or diag explain $run->{done}, $run->{stderr};
    same_documents($server->everything('shop'), $before, '... exactly');
    is_deeply([ $server->beside('shop') ], [], '... and nothing stays beside');
    my $said = join ' ', @{ $run->{done}{left_alone} // [] };
    $left_alone ? like($said, $left_alone, '... and the row says how') : is($said, '', '... and nothing is to be said');
    return [ $proxy->requests ];
}

my $requests = restores('a server that renames over what is there', undef, $over);
is(scalar(grep { /$live_drop/ } @$requests), 1, 'only what the backup has not is dropped');
is(scalar(grep { /$rename/ } @$requests), 7, 'each collection is renamed');
restores('a server that does not know dropTarget (238): drop, then rename', undef);
for my $code (13, 59, 303)
{
    $requests = restores("a server or role without renames ($code): in place", qr/in place.*no right to rename/, { match => '^renameCollection', error => $code });
    is(scalar(grep { /custbackup_restore_\w+_[abc]/ } @$requests), 0, '... with nothing beside');
}
$requests = restores('one collection that the server will not rename', qr/"b" was replaced in place/,
    { match => '^renameCollection .*restore_\w+_b$', error => 20 }, $over);
$requests = restores('a server before 6.0, which lets nobody drop the functions (20)', undef, { match => '^drop shop system.js$', error => 20 }, $over);
is(scalar(grep { /^delete shop system.js/ } @$requests), 1, '... has them emptied');

# ---- what a failure says ----

sub fails
{
    my ($what, $modified, @rules) = @_;
    my $was = damage();
    my $run = restore(@rules);
    is($run->{done}{event}, 'failed', $what) or diag explain $run->{done};
    is($run->{done}{target_modified} ? 1 : 0, $modified, '... target_modified ' . ($modified ? 'true' : 'false')) or diag explain $run->{done};
    if (!$modified)
    {
        same_documents($server->everything('shop'), $was, '... the database is as it was');
        is_deeply([ $server->beside('shop') ], [], '... nothing stays beside');
        return $run->{done};
    }
    my $after = mongodb_backup($settings, $store, mongodb_url($server));
    is($after->{done}{event}, 'done', '... a backup of it');
    like("@{ $after->{done}{notes} // [] }", qr/has not come to its end/, '... says that it is half replaced');
    my $next = mongodb_restore($settings, $store, mongodb_url($server), $backup);
    is($next->{done}{event}, 'done', '... the next restore') or diag explain $next->{done};
    same_documents($server->everything('shop'), $before, '... is exact');
    is_deeply([ $server->beside('shop') ], [], '... and leaves nothing');
    return $run->{done};
}

is(fails('no right to write', 0, { match => '^insert shop custbackup_restore_\w+_a', error => 13 })->{reason}, 'auth', 'reason auth');
is(fails('no right to drop', 0, { match => '^drop', error => 13 })->{reason}, 'auth', 'reason auth');
is(scalar(grep { /^(?:insert|update|create)/ } $proxy->requests), 0, '... before anything is written');
fails('an index that the server refuses', 0, { match => '^createIndexes shop custbackup_restore_', error => 86 });
fails('the first rename is refused', 0, { match => $rename, nth => 1, error => 13 }, $over);
fails('the answer to the first rename is lost', 1, { match => $rename, nth => 1, lose => 1 }, $over);
fails('the second rename is refused', 1, { match => $rename, nth => 2, error => 13 }, $over);
fails('the first drop is refused', 0, { match => "$live_drop|$rename", nth => 1, error => 13 });
fails('no right to drop what the backup has not', 1, { match => '^drop shop new', error => 13 }, $over);
is(fails('the mark cannot be set', 0, { match => '^update shop custbackup_restore_$', error => 13 })->{reason}, 'auth', 'reason auth');

# ---- killed at any point ----

# The database is then as it `was`, `half` replaced, or as in the backup (`whole`); `marked`: something of ours is there; `said`: a backup says so.
sub killed
{
    my ($what, $state, $marked, $said, @rules) = @_;
    my $was = damage();
    $proxy->rules(@rules);
    my $run = start_mongodb_restore($settings, $store, mongodb_url($proxy), $backup);
    wait_for(sub { grep { /\[hold/ } $proxy->requests }, 30, "the restore comes to: $what");
    kill 'KILL', $run->{pid};
    run_mover($run);
    my $now = $server->everything('shop');
    like(($now eq $was ? 'was' : $now eq $before ? 'whole' : 'half'), qr/^(?:$state)$/, "killed $what: the database is $state");
    is(scalar($server->beside('shop')) ? 1 : 0, $marked, '... is marked or not');
    my $after = mongodb_backup($settings, $store, mongodb_url($server));
    is($after->{done}{event}, 'done', '... a backup of it');
    is($after->{done}{counts}{documents}, scalar(grep { /^"/ } split /\n/, $now), '... of what is the customer\'s alone');
    is(scalar(grep { /has not come to its end/ } @{ $after->{done}{notes} // [] }), $said, '... which says so where it may be half replaced');
    $server->age_mark('shop') if $marked;
    my $next = mongodb_restore($settings, $store, mongodb_url($server), $backup);
    is($next->{done}{event}, 'done', '... the next restore') or diag explain $next->{done};
    same_documents($server->everything('shop'), $before, '... is exact');
    is_deeply([ $server->beside('shop') ], [], '... and leaves nothing');
    return;
}

my %set_mark = (match => '^update shop custbackup_restore_$', nth => 1);
my %clear_mark = (match => '^drop shop custbackup_restore_$');
killed('before the mark is set', 'was', 0, 0, { %set_mark, hold => 1 });
killed('when the mark was set', 'was', 1, 0, { %set_mark, hold => 'after' });
killed('before the first document', 'was', 1, 0, { match => '^insert shop custbackup_restore_\w+_a', hold => 1 });
killed('before an index', 'was', 1, 0, { match => '^createIndexes', hold => 1 });
killed('before the first rename', 'was', 1, 1, { match => $rename, nth => 1, hold => 1 }, $over);
killed('after a rename', 'half', 1, 1, { match => "${rename}b\$", hold => 'after', over => 1 }, $over);
# Some collections are the same before and after.
killed('before the second rename', 'was|half', 1, 1, { match => $rename, nth => 2, hold => 1 }, $over);
killed('between a drop and its rename', 'half', 1, 1, { match => '^drop shop a$', hold => 'after' });
killed('before the drop of what the backup has not', 'half', 1, 1, { match => '^drop shop new', hold => 1 }, $over);
killed('after the drop of what the backup has not', 'half', 1, 1, { match => '^drop shop new', hold => 'after' }, $over);
killed('before the functions', 'half', 1, 1, { match => '^insert shop system.js', hold => 1 }, $over);
killed('before the mark goes', 'whole', 1, 1, { %clear_mark, hold => 1 }, $over);
killed('when the mark is gone', 'whole', 0, 0, { %clear_mark, hold => 'after' }, $over);

# ---- two at once ----

{
    damage();
    $proxy->rules({ match => '^insert shop custbackup_restore_\w+_b', nth => 1, delay => 7 }, $over);
    my $first = start_mongodb_restore($settings, $store, mongodb_url($proxy), $backup);
    tool_of($first, 'mongorestore');
    my $second = mongodb_restore($settings, $store, mongodb_url($server), $backup);
    is($second->{done}{reason}, 'target_busy', 'a second restore of the same database is refused') or diag explain $second->{done};
    ok(!$second->{done}{target_modified}, '... and changes nothing');
    my $done = last_event(run_mover($first));
    is($done->{event}, 'done', 'the first one goes on') or diag explain $done;
    same_documents($server->everything('shop'), $before, '... and is exact');
}
{
    # Who was thought dead finds his mark gone.
    my $was = damage();
    $proxy->rules({ match => '^insert shop custbackup_restore_\w+_b', nth => 1, delay => 7 });
    my $first = start_mongodb_restore($settings, $store, mongodb_url($proxy), $backup);
    wait_for(sub { grep { /\[delay/ } $proxy->requests }, 20, 'the first restore inserts');
    $server->say('shop {"update":"custbackup_restore_","updates":[{"q":{},"u":{"$set":{"attempt":"another"}}}]}');
    my $done = last_event(run_mover($first));
    is($done->{reason}, 'target_busy', 'a restore that another has taken over from ends') or diag explain $done;
    same_documents($server->everything('shop'), $was, '... before it has changed anything');
    ok(scalar($server->beside('shop')), '... and leaves what is the other one\'s');
    # The other one died 18 of its 20 seconds ago.
    $server->age_mark('shop', 18);
    is(mongodb_restore($settings, $store, mongodb_url($server), $backup)->{done}{event}, 'done', 'a dead one is waited for, then swept');
    same_documents($server->everything('shop'), $before, '... and the restore is exact');
}

done_testing();
