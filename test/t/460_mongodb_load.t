# MongoDB while its customer writes, and MongoDB with a gigabyte in it: what comes back is compared whole.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use CustbackupTest;
use MemoryTest;
use MongoProxy;
use MongoTest;
use PostgreSQL::Test::Utils ();
use Test::More;

my ($settings, $store) = mover_settings(tool_path => tools_directory());
my $server = start_mongodb();

# ---- under write load ----

# A customer who writes as fast as one connection can: documents come, change, grow and go, collections too. None comes
# twice: a server that renames nothing has the collection replaced in place, where his would meet the backup's.
sub start_writer
{
    my $pid = fork // die $!;
    return $pid if $pid;
    $SIG{PIPE} = 'DEFAULT';
    open STDOUT, '>', '/dev/null';
    open STDERR, '>', '/dev/null';
    open my $tool, '|-', $MongoTest::tool, mongodb_url($server, database => '') or die $!;
    for (my $i = 0;; $i++)
    {
        my ($one, $other, $text) = ($i - int rand 100, $i - int rand 100, 'w' x int rand 2000);
        print $tool qq(shop {"insert":"busy","documents":[{"_id":$i}]}\n),
          qq(shop {"update":"busy","updates":[{"q":{"_id":$one},"u":{"\$set":{"n":$i,"text":"$text"}}}]}\n),
          qq(shop {"delete":"busy","deletes":[{"q":{"_id":$other},"limit":1}]}\n);
        print $tool qq(shop {"insert":"busy_short","documents":[{"_id":$i}]}\nshop {"drop":"busy_short"}\n) if $i % 10 == 0;
    }
}

sub stop_writer
{
    my ($pid) = @_;
    kill 'KILL', $pid;
    waitpid $pid, 0;
    return;
}

sub documents_of_busy { return join "\n", $server->documents('shop', '"busy"') }

for my $collection (1 .. 4)
{
    $server->say(qq(shop {"insert":"still $collection","documents":[) . join(',', map { sprintf '{"_id":%d,"text":"%s"}', $_, "$_ " x ($_ % 700) } 1 .. 1500) . ']}');
}
$server->say('shop {"createIndexes":"still 1","indexes":[{"key":{"text":1},"name":"by_text"}]}');
my $skip = qr/^(?:busy|custbackup_restore_)/;
my $still = $server->everything('shop', skip => $skip);

my $writer = start_writer();
END { local $?; stop_writer($writer) if $writer }
wait_for(sub { documents_of_busy() ne '' }, 20, 'somebody writes');
my $was = documents_of_busy();
my $backup = mongodb_backup($settings, $store, mongodb_url($server));
isnt(documents_of_busy(), $was, 'the customer wrote meanwhile');
is($backup->{done}{event}, 'done', 'a backup under write load') or diag explain $backup->{done}, $backup->{stderr};
my $clone = mongodb_restore($settings, $store, mongodb_url($server, database => 'copy'), $backup, mode => 'clone');
is($clone->{done}{event}, 'done', '... and its restore') or diag explain $clone->{done}, $clone->{stderr};
same_documents($server->everything('copy', skip => $skip), $still, '... hold all that was untouched, unchanged');

$server->say('shop {"drop":"still 2"}', 'shop {"update":"still 1","updates":[{"q":{"_id":7},"u":{"$set":{"text":"lost"}}}]}');
my $rewind = mongodb_restore($settings, $store, mongodb_url($server), $backup);
is($rewind->{done}{event}, 'done', 'a rewind while the customer goes on writing') or diag explain $rewind->{done}, $rewind->{stderr};
same_documents($server->everything('shop', skip => $skip), $still, '... is exact where nobody wrote');
stop_writer($writer);
undef $writer;

# What adds up the sizes of collections may meet one that is dropped at that moment.
{
    $server->say('small {"insert":"c","documents":[{"_id":0}]}');
    my $proxy = MongoProxy->start_before($server, PostgreSQL::Test::Utils::tempdir(), { match => '^dbStats small', error => 1 });
    my $done = mongodb_backup($settings, $store, mongodb_url($proxy, database => 'small'))->{done};
    is($done->{event}, 'done', 'a size that the server does not tell fails no backup') or diag explain $done;
    is(scalar(grep { /^dbStats small/ } $proxy->requests), 1, 'though it was asked for');
}

# What is deleted and inserted again while its collection is read may be met twice.
{
    $server->say('moved {"insert":"c","documents":[{"_id":1},{"_id":2},{"_id":3}]}', 'moved {"delete":"c","deletes":[{"q":{},"limit":0}]}',
        'moved {"createIndexes":"c","indexes":[{"key":{"u":1},"name":"by_u","unique":true}]}', 'moved {"insert":"d","documents":[{"_id":1}]}');
    my $proxy = MongoProxy->start_before($server, PostgreSQL::Test::Utils::tempdir(),
        { match => '^find moved c$', serve => [ $server->tool_says(map { '= {"_id":' . int() . qq(,"u":$_}) } 1.1, 2.1, 3.1, 1.2, 2.2) ] });
    my $backup = mongodb_backup($settings, $store, mongodb_url($proxy, database => 'moved'));
    is($backup->{done}{counts}{documents}, 6, 'two documents that moved stand twice in a backup') or diag explain $backup->{done};
    my $restore = mongodb_restore($settings, $store, mongodb_url($server, database => 'moved'), $backup);
    is($restore->{done}{event}, 'done', '... which is restored') or diag explain $restore->{done};
    like("@{ $restore->{done}{left_alone} // [] }", qr/twice in the backup.*\(2\)/, '... as the row says');
    is_deeply([ map { /"_id" : \{ "\$numberInt" : "(\d)"/ } $server->documents('moved', '"c"') ], [ 1, 2, 3 ], '... each of them once');
    is(scalar(() = $server->everything('moved') =~ /^index /mg), 3, '... with the indexes');
    is_deeply([ $server->beside('moved') ], [], '... and nothing stays beside');

    $proxy->rules({ match => '^find moved c$', serve => [ $server->tool_says('= {"_id":1,"u":1}', '= {"_id":2,"u":1}') ] });
    my $was = $server->everything('moved');
    my $conflicting = mongodb_backup($settings, $store, mongodb_url($proxy, database => 'moved'));
    my $refused = mongodb_restore($settings, $store, mongodb_url($server, database => 'moved'), $conflicting)->{done};
    is("$refused->{reason} " . ($refused->{target_modified} ? 1 : 0), 'restore 0', 'two documents that have the same in a unique index are not restored');
    like($refused->{detail}, qr/by_u/, '... which is named');
    same_documents($server->everything('moved'), $was, '... and nothing is changed');
    is_deeply([ $server->beside('moved') ], [], '... nor left beside');
}

# ---- a gigabyte, of documents as large as MongoDB takes them; given and taken by a proxy ----

{
    # The sanitizers see in a few what they would in many.
    my ($count, $size) = (is_sanitized() ? 4 : 70, 16_000_000);
    my $directory = PostgreSQL::Test::Utils::tempdir();
    $server->say('large {"insert":"c","documents":[{"_id":0}]}');
    my $proxy = MongoProxy->start_before($server, $directory, { match => '^find large c$', flood => [ $count, $size ] },
        { match => '^insert larger custbackup_restore_\w+_c$', swallow => "$directory/swallowed" });
    my $job = backup_job($settings, $store, mongodb_url($proxy, database => 'large'), engine => 'mongodb', type => 'mongodb');
    my ($result, $peak) = peak_while($settings, $job);
    my $done = last_event($result);
    is($done->{event}, 'done', 'a backup of a gigabyte') or diag explain $done;
    cmp_ok($done->{raw_bytes}, '>', $count * $size, 'all of its bytes');
    is($done->{counts}{documents}, $count, 'and its documents');
    memory_is_below($peak, 64 * 1024, 'resident memory of the mover');

    my $restore = restore_job($settings, $store, mongodb_url($proxy, database => 'larger'), $job, $done, engine => 'mongodb', type => 'mongodb', mode => 'clone');
    ($result, $peak) = peak_while($settings, $restore);
    is(last_event($result)->{event}, 'done', 'its restore') or diag explain last_event($result);
    memory_is_below($peak, 64 * 1024, 'resident memory of the mover');
    is(PostgreSQL::Test::Utils::slurp_file("$directory/swallowed"), MongoProxy::flood_summary($count, $size), 'every document is back, byte for byte');
}

done_testing();
