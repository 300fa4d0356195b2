# A target whose disk becomes full while a rewind puts its data back.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use CustbackupTest;
use PostgreSQL::Test::Utils;
use Test::More;

# The server sees a small file system where its tablespace lies: namespaces of its own, the inner one to be no root again.
plan skip_all => 'no user namespaces here' if system('unshare -Urm unshare -U --map-user=1000 --map-group=1000 true 2>/dev/null') != 0;

my $node = start_customer();
my ($settings, $store, $directory) = mover_settings();
my $small = "$directory/small";
mkdir $small, 0700 or die $!;
$node->stop;
my $data = $node->data_dir;
is(system(qq{unshare -Urm sh -c 'mount -t tmpfs -o size=28m,mode=700 none $small && exec unshare -U --map-user=1000 --map-group=1000 }
        . qq{pg_ctl -s -w -D $data -l $directory/log start'}), 0, 'a server with little room') or BAIL_OUT(slurp_file("$directory/log"));
$node->_update_pid(1);
$node->safe_psql('postgres', "CREATE TABLESPACE small LOCATION '$small'");
$node->safe_psql('postgres', 'CREATE DATABASE tight OWNER app TABLESPACE small');

sub customer { return $node->safe_psql('tight', "SET SESSION AUTHORIZATION app; $_[0]") }
sub state_of { return schema_dump($node, 'tight') . checksum_database($node, 'tight') }

my $url = customer_url($node, database => 'tight');
customer(q{CREATE TABLE big AS SELECT g AS i, repeat(md5(g::text), 30) AS v FROM generate_series(1, 16000) g; CREATE TABLE other (i int)});
my $wanted = state_of();
my $job = backup_job($settings, $store, $url);
my $event = last_event(run_mover($settings, $job));
is($event->{event}, 'done', 'a backup');

# The old rows stay until COMMIT, so both sets want room.
customer('INSERT INTO other VALUES (1)');
my $changed = state_of();
my $said = last_event(run_mover($settings, restore_job($settings, $store, $url, $job, $event)));
is($said->{reason}, 'restore', 'a full disk: restore');
like($said->{detail}, qr/^the target's disk is full: .*\(53100\)$/, 'which is said');
ok(!$said->{target_modified}, 'target_modified false');
is(state_of(), $changed, 'the target is as it was');

customer('TRUNCATE big');
is(last_event(run_mover($settings, restore_job($settings, $store, $url, $job, $event)))->{event}, 'done', 'the same succeeds where there is room');
is(state_of(), $wanted, 'and puts all back');
done_testing();
