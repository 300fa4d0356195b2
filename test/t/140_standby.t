# On a standby nothing runs; after its promotion everything does.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep);
use PostgreSQL::Test::Utils;
use PostgreSQL::Test::Cluster;
use CustbackupTest;
use WorkerTest;

my $primary = start_fake_control(allows_streaming => 1);
wait_for(sub { worker_pid($primary) }, 20, 'worker');
my $job = submit($primary, 'work');
running_since($primary, $job, 1);

$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
my $mover = install_fake_mover(PostgreSQL::Test::Utils::tempdir());
my $spool = $standby->basedir . '/spool';
mkdir $spool or die $!;
$standby->append_conf('postgresql.conf', "custbackup.mover = '$mover'\ncustbackup.spool_dir = '$spool'\n");
$standby->{$_} = $primary->{$_} for qw(database store_dir key_file);
@$standby{qw(mover spool)} = ($mover, $spool);
$standby->start;
$primary->wait_for_catchup($standby);
sleep 1;
is(worker_pid($standby) . launcher_pid($standby), '', 'a standby has neither launcher nor worker');
is(scalar(movers_of($standby)), 0, 'and no mover');

my @movers = movers_of($primary);
$primary->stop('immediate');
ok(wait_for(sub { !alive(@movers) }, 20, 'ended'), 'the lost primary\'s movers are gone');
$standby->promote;
ok(wait_for(sub { worker_pid($standby) }, 20, 'worker'), 'the worker runs once the standby is promoted');
ok(running_since($standby, $job, 2, 30), 'and the lost primary\'s job runs again');
ok(await($standby, submit($standby, 'ok'), 'ok'), 'new ones run');
done_testing();
