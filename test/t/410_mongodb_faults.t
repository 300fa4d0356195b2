# MongoDB: server and tool killed in the middle of a backup, and where the password is meanwhile.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use CustbackupTest;
use MongoTest;
use PostgreSQL::Test::Utils ();
use Test::More;
use Time::HiRes qw(sleep);

my ($settings, $store, $directory) = mover_settings(tool_path => tools_directory());
my $server = start_mongodb();
my $text = 'x' x 20_000;
my $number = 0;
for (1 .. 40)
{
    $server->say('shop {"insert":"big","documents":[' . join(',', map { sprintf '{"_id":%d,"text":"%s"}', $number++, $text } 1 .. 50) . ']}');
}

# A mover whose mongodump is held still.
sub start_held
{
    my $job = backup_job($settings, $store, mongodb_url($server), engine => 'mongodb', type => 'mongodb');
    my $run = start_mover($settings, $job);
    my $pid = tool_of($run, 'mongodump');
    kill 'STOP', $pid;
    return ($run, $pid, $job);
}

sub ends
{
    my ($run, $what, $reason, $detail) = @_;
    my $result = run_mover($run);
    my $last = last_event($result);
    is("$last->{event} " . ($last->{reason} // ''), "failed $reason", $what) or diag explain $last, $result->{stderr};
    like($last->{detail} // '', $detail, '... and says why: ' . ($last->{detail} // ''));
    is_deeply([ glob "$directory/store/*/*" ], [], '... and nothing is kept');
    return;
}

{
    my ($run, $pid) = start_held();
    my $secret = qr/p\@ss\/w:rd|p%40ss/;
    no_secret_outside($run, $pid, 'backup', $secret);
    my @leaks = `grep -rlE 'p.ss/w:rd|p%40ss' $settings->{spool_dir} $directory 2>/dev/null`;
    is("@leaks", '', 'nor in a file');
    $server->stop;
    kill 'CONT', $pid;
    ends($run, 'the server is killed in the middle', 'unreachable', qr/MongoDB at 127/);
    $server->start;
}
{
    my ($run, $pid) = start_held();
    kill 'KILL', $pid;
    ends($run, 'mongodump is killed in the middle', 'dump', qr/mongodump 100\.6\.1 killed by signal 9/);
}
{
    my ($run, $pid) = start_held();
    kill 'TERM', $run->{pid};
    kill 'CONT', $pid;
    ends($run, 'the job is cancelled in the middle', 'cancelled', qr/./);
    ok(!kill(0, $pid), '... and mongodump is gone');
}
my $backup = mongodb_backup($settings, $store, mongodb_url($server));
is($backup->{done}{event}, 'done', 'when the faults are gone the same backup succeeds') or diag explain $backup->{done};
is($backup->{done}{counts}{documents}, $number, 'with every document');

done_testing();
