# Redis through SQL alone: backed up, damaged, put back, cloned; and seen in the rows.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../lib";
use CustbackupTest;
use RedisTest;
use Test::More;

my $team    = new_uuid();
my $control = start_control();
my $server  = start_redis(conf => "requirepass the-password-5678\n");
$server->{password} = 'the-password-5678';
fill_everything($server);
my $before = $server->everything;

sub sql { return $control->safe_psql($control->{database}, $_[0]) }

my $resource = add_resource($control, redis_url($server, password => 'the-password-5678'), type => 'redis', team_id => $team, token => 'cache');
my $backup = sql("SELECT custbackup.request_backup('$resource')");
is(wait_for_job($control, $backup, 60), 'ok/-', 'a backup by SQL');
is(sql("SELECT consistency || ' ' || (counts ->> 'databases') FROM custbackup.backups WHERE id = '$backup'"), 'snapshot 3', 'its row says what it is');

my $r = $server->client;
$r->do('FLUSHALL');
$r->do('FUNCTION', 'FLUSH');
$r->do('SET', 'later', 1);
my $restore = sql("SELECT custbackup.request_restore('$backup')");
is(wait_for_job($control, $restore, 60), 'ok/-', 'a restore by SQL');
same($server->everything, $before, 'everything is back');
is(sql("SELECT phase || ' ' || target_modified FROM custbackup.restores WHERE id = '$restore'"), 'committed true', 'its row');
my $safety = sql("SELECT id FROM custbackup.backups WHERE resource_id = '$resource' AND id <> '$backup' AND status = 'ok'");
like($safety, qr/^[0-9a-f-]{36}$/, 'a safety backup was taken first');
is(sql("SELECT counts ->> 'keys' FROM custbackup.backups WHERE id = '$safety'"), 1, 'of what was there');

my $twin = start_redis();
my $clone = add_resource($control, redis_url($twin), type => 'redis', team_id => $team, token => 'cache-twin');
$restore = sql("SELECT custbackup.request_restore('$backup', '$clone')");
is(wait_for_job($control, $restore, 60), 'ok/-', 'a clone by SQL');
same($twin->everything, $before, 'is the same');

my $wrong = add_resource($control, redis_url($server, password => 'another-secret-99'), type => 'redis', team_id => $team, token => 'wrong');
my $failed = sql("SELECT custbackup.request_backup('$wrong')");
is(wait_for_job($control, $failed, 60), 'failed/auth', 'a wrong password: failed, auth');
unlike(sql("SELECT string_agg(j::text, ' ') FROM custbackup.jobs j") . PostgreSQL::Test::Utils::slurp_file($control->logfile),
    qr/the-password-5678|another-secret-99/, 'no password in a row or in the log');

done_testing();
