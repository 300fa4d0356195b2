# Redis: everything that a server can hold goes there and back.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use CustbackupTest;
use RedisTest;
use Test::More;

my ($settings, $store) = mover_settings();
my $source = start_redis();
fill_everything($source);
my $before = $source->everything;
ok(length $before > 5000, 'the server holds something of everything');

my $backup = redis_backup($settings, $store, redis_url($source));
is($backup->{done}{event}, 'done', 'backup') or diag explain $backup->{done}, $backup->{stderr};
is($backup->{done}{consistency}, 'snapshot', 'by replication: a snapshot');
is($backup->{done}{counts}{keys}, () = $before =~ /^\d+ /mg, 'every key counted');
is($backup->{done}{counts}{databases}, 3, 'three databases');
is($backup->{done}{counts}{functions}, 1, 'one library of functions');

# Another server, another life: what was not in the backup has to go, in every database.
my $target = start_redis();
my $clone = redis_restore($settings, $store, redis_url($target), $backup, mode => 'clone');
is($clone->{done}{event}, 'done', 'clone into an empty server') or diag explain $clone->{done}, $clone->{stderr};
same($target->everything, $before, 'the clone is the same in keys, types, encodings, expiries, values, groups, functions');

my $r = $source->client;
$r->do('SET', 'text', 'changed');
$r->do('DEL', 'stream', 'quicklist');
$r->do('SET', 'new', 'not in the backup');
$r->do('FUNCTION', 'LOAD', "#!lua name=newlib\nredis.register_function('newfunc', function(k, a) return 1 end)");
$r->do('SELECT', 3);
$r->do('FLUSHDB');
$r->do('SELECT', 5);
$r->do('SET', 'new', 'a database that was empty');
my $rewind = redis_restore($settings, $store, redis_url($source), $backup);
is($rewind->{done}{event}, 'done', 'rewind') or diag explain $rewind->{done}, $rewind->{stderr};
same($source->everything, $before, 'the rewound server is what it was, and nothing more');
ok($rewind->{done}{target_modified}, 'target_modified after the commit');
is_deeply($rewind->{done}{left_alone}, [], 'nothing left alone');

# Empty is a state, too: no keys, no functions.
my $nothing = start_redis();
my $empty = redis_backup($settings, $store, redis_url($nothing));
is($empty->{done}{counts}{keys}, 0, 'a backup of an empty server');
my $third = start_redis();
fill_everything($third);
is(redis_restore($settings, $store, redis_url($third), $empty)->{done}{event}, 'done', 'a rewind to emptiness');
is($third->everything, $nothing->everything, 'leaves neither keys nor functions');
is(redis_restore($settings, $store, redis_url($third), $backup, resource_id => $backup->{job}{resource}{id})->{done}{event}, 'done', 'and back');
same($third->everything, $before, 'to everything');

my $second = redis_restore($settings, $store, redis_url($target), $backup, mode => 'clone');
is($second->{done}{event}, 'failed', 'a clone into a server with keys is refused');
is($second->{done}{reason}, 'target_not_empty', 'target_not_empty');
same($target->everything, $before, 'and changes nothing');

done_testing();
