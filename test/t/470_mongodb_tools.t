# MongoDB: tools that say that all is well when it is not, and those that end within the last step of a restore.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use CustbackupTest;
use MongoTest;
use PostgreSQL::Test::Utils qw(append_to_file);
use Test::More;

my ($settings, $store, $directory) = mover_settings(tool_path => tools_directory());
my $server = start_mongodb();
$server->say(
    'shop {"insert":"a","documents":[' . join(',', map { sprintf '{"_id":%d,"text":"value-%04d"}', $_, $_ } 1 .. 500) . ']}',
    'shop {"insert":"b","documents":[{"_id":1}]}',
    'shop {"insert":"system.js","documents":[{"_id":"f","value":"function() { return 1 }"}]}');
my $before = $server->everything('shop');

# A tool of the test's own: `$real` runs the real one with the same arguments.
sub settings_with
{
    my ($tool, $script) = @_;
    my $bin = PostgreSQL::Test::Utils::tempdir();
    my $real = tools_directory();
    symlink "$real/$_", "$bin/$_" for grep { $_ ne $tool } qw(mongodump mongorestore);
    append_to_file("$bin/$tool",
        qq{#!/bin/sh\ncase \$1 in --version) exec $real/$tool "\$@" ;; esac\nreal() { $real/$tool "\$@"; }\n$script\n});
    chmod 0755, "$bin/$tool";
    return { %$settings, tool_path => $bin };
}

sub kept { return [ glob "$directory/store/*/*" ] }

# ---- mongodump ----

for my $case (
    [ 'nothing', 'exit 0' ],
    [ 'only the magic', 'printf "\155\342\231\201"' ],
    [ 'all but the last byte', 'real "$@" | head -c -1' ],
    [ 'the first 5,000 bytes', 'real "$@" | head -c 5000' ],
    [ 'one byte that is another', 'real "$@" | sed s/value-0300/value-0301/' ],
    [ 'a byte too much', 'real "$@"; printf x' ],
    [ 'everything twice', 'real "$@"; real "$@"' ],
    [ 'text', 'echo "all is well"' ])
{
    my ($what, $script) = @$case;
    my $run = mongodb_backup(settings_with('mongodump', $script), $store, mongodb_url($server));
    is($run->{done}{event}, 'failed', "a mongodump that gives $what and exits with 0") or diag explain $run->{done};
    like($run->{done}{reason}, qr/^(?:dump|too_small)$/, "... $run->{done}{reason}: $run->{done}{detail}");
    is_deeply(kept(), [], '... and nothing is kept');
}
my $late = mongodb_backup(settings_with('mongodump', 'real "$@"; echo "the cursor is gone" >&2; exit 3'), $store, mongodb_url($server));
is($late->{done}{reason}, 'dump', 'a mongodump that gives all and exits with 3');
like($late->{done}{detail}, qr/exited with 3.*the cursor is gone/, '... and is quoted');
is_deeply(kept(), [], '... and nothing is kept');

# An old one has no --config: a URL would have to stand in its arguments.
for my $version ('3.6.8', '100.2.1')
{
    my $old = settings_with('mongodump', '');
    append_to_file("$old->{tool_path}/old", "#!/bin/sh\necho 'mongodump version: $version'\necho \"\$@\" >>$old->{tool_path}/said\nexit 1\n");
    chmod 0755, "$old->{tool_path}/old";
    rename "$old->{tool_path}/old", "$old->{tool_path}/mongodump" or die $!;
    local $ENV{PATH} = '/usr/bin:/bin';
    my $run = mongodb_backup($old, $store, mongodb_url($server));
    is($run->{done}{reason}, 'config', "mongodump $version") or diag explain $run->{done};
    like($run->{done}{detail}, qr/mongodump \Q$version\E is too old.*install mongodb-database-tools/, "... $run->{done}{detail}");
    is_deeply([ grep { !/^--version$/ } split /\n/, PostgreSQL::Test::Utils::slurp_file("$old->{tool_path}/said") ], [], '... and is not run');
}

my $backup = mongodb_backup($settings, $store, mongodb_url($server));
is($backup->{done}{event}, 'done', 'the real one') or diag explain $backup->{done};

# ---- mongorestore, before anything is renamed ----

$server->say('shop {"update":"a","updates":[{"q":{"_id":7},"u":{"$set":{"text":"lost"}}}]}', 'shop {"drop":"b"}');
my $damaged = $server->everything('shop');

for my $case (
    [ 'says that a document failed', 'cat >/dev/null; echo "500 document(s) restored successfully. 1 document(s) failed to restore." >&2', qr/1 document\(s\) failed/ ],
    [ 'says that ten failed', 'cat >/dev/null; echo "9 document(s) restored successfully. 10 document(s) failed to restore." >&2', qr/10 document\(s\) failed/ ],
    [ 'says nothing', 'cat >/dev/null', qr/exited with 0/ ],
    [ 'reads nothing', 'exit 0', qr/./ ],
    [ 'does nothing', 'cat >/dev/null; echo "501 document(s) restored successfully. 0 document(s) failed to restore." >&2', qr/said that all was well, but .* is missing/ ],
    [ 'has restored fewer than there are', 'real "$@" 2>&1 | sed "s/501 document(s) restored/400 document(s) restored/" >&2', qr/restored 400 documents, and 501 are in the backup/ ],
    [ 'ends half way', 'head -c 3000 | real "$@"; exit 1', qr/exited with 1/ ])
{
    my ($what, $script, $detail) = @$case;
    my $run = mongodb_restore(settings_with('mongorestore', $script), $store, mongodb_url($server), $backup);
    is("$run->{done}{event} $run->{done}{reason}", 'failed restore', "a mongorestore that $what") or diag explain $run->{done};
    like($run->{done}{detail}, $detail, '... is quoted');
    ok(!$run->{done}{target_modified}, '... before anything was modified');
    same_documents($server->everything('shop'), $damaged, '... the database is as it was');
    is_deeply([ $server->beside('shop') ], [], '... and nothing stays beside');
}

# ---- and within the last step, where the functions are put back ----

sub half_replaced
{
    my ($what, $reason, $done) = @_;
    is($done->{reason}, $reason, "$what: $reason") or diag explain $done;
    ok($done->{target_modified}, '... target_modified is true');
    my $after = mongodb_backup($settings, $store, mongodb_url($server));
    like("@{ $after->{done}{notes} // [] }", qr/has not come to its end/, '... and a backup says so');
    my $next = mongodb_restore($settings, $store, mongodb_url($server), $backup);
    is($next->{done}{event}, 'done', '... the next restore succeeds') or diag explain $next->{done};
    same_documents($server->everything('shop'), $before, '... exactly');
    is_deeply([ $server->beside('shop') ], [], '... and leaves nothing beside');
    return;
}

my $is_last = 'case "$*" in *--drop*) ';
half_replaced('mongorestore dies in the last step', 'restore',
    mongodb_restore(settings_with('mongorestore', $is_last . 'kill -9 $$ ;; esac; real "$@"'), $store, mongodb_url($server), $backup)->{done});

my $held = PostgreSQL::Test::Utils::tempdir() . '/held';
my $run = start_mongodb_restore(settings_with('mongorestore', $is_last . qq{echo yes >$held; exec sleep 60 ;; esac; real "\$@"}), $store, mongodb_url($server), $backup);
wait_for(sub { -e $held }, 30, 'the restore is in its last step');
$server->stop;
my $done = last_event(run_mover($run));
$server->start;
$server->age_mark('shop');
half_replaced('the server dies in the last step', 'unreachable', $done);

done_testing();
