# The main job, through SQL alone: a paid customer's Postgres is backed up, damaged, and put back;
# a clone is filled; wrong requests are refused; and no secret is seen anywhere while it happens.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use CustbackupTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $team     = new_uuid();
# The log says all that it can say: what is not in this one is in none.
my $control  = start_control(conf => "log_statement = all\nlog_min_messages = debug2\nlog_min_error_statement = debug2\nlog_error_verbosity = verbose\n");
my $customer = start_customer();
my $database = $control->{database};
my $password = $customer->{customer}{password};

sub sql { return $control->safe_psql($database, $_[0]) }

# Runs as the platform's API role would; returns (exit, stdout, stderr).
sub api { return $control->psql($database, "SET ROLE platform_api; $_[0]") }

sql("CREATE ROLE platform_api; SELECT custbackup.grant_api('platform_api')");
$customer->safe_psql('shop', <<'SQL');
SET ROLE app;
CREATE TABLE item (id int PRIMARY KEY, name text, price numeric(10, 2));
INSERT INTO item SELECT g, 'item ' || g, g * 1.5 FROM generate_series(1, 20000) g;
CREATE TABLE sale (id bigserial PRIMARY KEY, item int REFERENCES item, at timestamptz DEFAULT now());
INSERT INTO sale (item) SELECT 1 + g % 20000 FROM generate_series(1, 50000) g;
CREATE VIEW best AS SELECT item, count(*) FROM sale GROUP BY item;
SELECT lo_from_bytea(0, 'a large object');
SQL
my $before_rows   = checksum_database($customer);
my $before_schema = schema_dump($customer);

my $resource = add_resource($control, customer_url($customer), token => 'acme', team_id => $team);
my ($exit, $backup, $stderr) = api("SELECT custbackup.request_backup('$resource', 'ann')");
is($exit, 0, 'the API role asks for a backup') or diag $stderr;
is(wait_for_job($control, $backup, 60), 'ok/-', 'it ends ok');
is(sql("SELECT status || ' ' || (sha256 ~ '^[0-9a-f]{64}\$') || ' ' || (raw_bytes > stored_bytes) FROM custbackup.backups WHERE id = '$backup'"),
    'ok true true', 'its row has a sha256 and sizes');
is(sql("SELECT counts ->> 'tables' FROM custbackup.backups WHERE id = '$backup'"), '2', 'and counts what is in it');
ok(-f "$control->{store_dir}/acme/$backup.dump.gz", 'the object lies where the key says');
my $sha = `sha256sum < '$control->{store_dir}/acme/$backup.dump.gz'`;
is(substr($sha, 0, 64), sql("SELECT sha256 FROM custbackup.backups WHERE id = '$backup'"), 'and has the sha256 of the row');
is(sql("SELECT requested_by FROM custbackup.backups WHERE id = '$backup'"), 'ann', 'who asked is remembered');

# The bad day.
$customer->safe_psql('shop', <<'SQL');
SET ROLE app;
DROP TABLE sale CASCADE;
UPDATE item SET price = 0 WHERE id % 2 = 0;
DELETE FROM item WHERE id > 15000;
CREATE VIEW in_the_way AS SELECT * FROM item;
CREATE TABLE later (x int);
SELECT lo_unlink(oid) FROM pg_largeobject_metadata;
SELECT lo_from_bytea(0, 'another');
SQL
isnt(checksum_database($customer), $before_rows, 'the customer has lost data');

($exit, my $restore, $stderr) = api("SELECT custbackup.request_restore('$backup')");
is($exit, 0, 'the API role asks for a restore') or diag $stderr;
is(wait_for_job($control, $restore, 120), 'ok/-', 'it ends ok');
is(checksum_database($customer), $before_rows, 'every row, sequence and large object is as it was');
is(schema_dump($customer), $before_schema, 'the schema too, and nothing that was added is left');
is(sql("SELECT phase || ' ' || target_modified FROM custbackup.restores WHERE id = '$restore'"), 'committed true',
    'the row says committed, and that the target was modified');
my $safety = sql("SELECT id FROM custbackup.backups WHERE resource_id = '$resource' AND id <> '$backup' AND status = 'ok'");
like($safety, qr/^[0-9a-f-]{36}$/, 'a safety backup was taken first');

# The safety backup holds the damage: a rewind of the rewind.
$restore = sql("SELECT custbackup.request_restore('$safety', safety_backup => false)");
is(wait_for_job($control, $restore, 120), 'ok/-', 'the safety backup itself can be restored, without another one');
is($customer->safe_psql('shop', "SELECT count(*) FROM later UNION ALL SELECT count(*) FROM item"), "0\n15000", 'and gives the damaged state back');

# A clone into another resource of the same team.
$customer->safe_psql('postgres', 'CREATE DATABASE twin OWNER app');
my $twin = add_resource($control, customer_url($customer, database => 'twin'), token => 'acme-twin', team_id => $team);
$restore = sql("SELECT custbackup.request_restore('$backup', '$twin')");
is(wait_for_job($control, $restore, 120), 'ok/-', 'a clone is filled');
is(checksum_database($customer, 'twin'), $before_rows, 'with the same rows');
$restore = sql("SELECT custbackup.request_restore('$backup', '$twin')");
is(wait_for_job($control, $restore, 120), 'failed/target_not_empty', 'a second time it is not empty, and is refused');

# Refused at once.
my $foreign = add_resource($control, customer_url($customer), token => 'other', team_id => new_uuid());
my $vector  = add_resource($control, customer_url($customer), token => 'vec', team_id => $team, type => 'vector');
for my $case (
    [ "request_restore('$backup', '$foreign')" => qr/team/,         "another team's resource" ],
    [ "request_restore('$backup', '$vector')"  => qr/type|vector/,  "another type's resource" ],
    [ "request_restore('" . new_uuid() . "')"  => qr/no backup|not found|does not exist|unknown/i, 'a backup that does not exist' ],
    [ "request_backup('" . new_uuid() . "')"   => qr/no resource|not found|does not exist|unknown/i, 'a resource that does not exist' ])
{
    my ($call, $pattern, $what) = @$case;
    ($exit, undef, $stderr) = api("SELECT custbackup.$call");
    isnt($exit, 0, "$what is refused");
    like($stderr, $pattern, '... with a sentence');
}

# The same engine, counters of its own.
my $counted = q{SELECT string_agg(resource_type || ' ' || value, ', ' ORDER BY resource_type) FROM custbackup.counters WHERE kind = 'backup' AND result = 'ok' AND resource_type IN ('postgres', 'vector')};
my ($postgres_before) = sql($counted) =~ /^postgres (\d+), vector 0$/;
my $of_vector = sql("SELECT custbackup.request_backup('$vector')");
is(wait_for_job($control, $of_vector, 60), 'ok/-', 'a resource of type vector is backed up');
is(sql("SELECT engine FROM custbackup.objects WHERE backup_id = '$of_vector'"), 'postgres', 'by the engine of postgres');
is(sql($counted), "postgres $postgres_before, vector 1", 'and counted as what it is');
(undef, undef, $stderr) = api('SELECT connection_url FROM custbackup.resources');
like($stderr, qr/permission denied/, 'the API role cannot read a URL');

# Failures that a customer causes, by code.
my %expected = (
    'bad password'  => [ customer_url($customer, password => 'wrong'), 'auth' ],
    'no such role'  => [ customer_url($customer, role => 'nobody'), 'auth' ],
    'nobody there'  => [ customer_url($customer, port => free_port()), 'unreachable' ],
    'no such host'  => [ customer_url($customer, host => 'no-such-host.invalid'), 'unreachable' ],
    'a Unix socket' => [ 'postgresql:///shop?host=/tmp', 'bad_url' ],
    'options'       => [ customer_url($customer) . '?options=-c%20x', 'bad_url' ],
    'service'       => [ customer_url($customer) . '?service=x', 'bad_url' ],
    'no URL at all' => [ 'shop', 'bad_url' ]);
for my $what (sort keys %expected)
{
    my ($url, $reason) = @{ $expected{$what} };
    my $cipher = eval { encrypt_url($control->{key_file}, $url) };
    if (!defined $cipher)
    {
        is($what, 'no URL at all', "$what: encrypt-url refuses it already");
        next;
    }
    my $id = add_resource($control, undef, ciphertext => $cipher);
    is(wait_for_job($control, sql("SELECT custbackup.request_backup('$id')"), 60), "failed/$reason", $what);
    unlike(sql("SELECT detail FROM custbackup.jobs WHERE resource_id = '$id'"), qr/\Q$password\E/, '... and its detail holds no password');
}

# A free resource that got into the queue is skipped before any tool runs.
my $free = add_resource($control, customer_url($customer), tier => 'free');
is(wait_for_job($control, sql("SELECT custbackup.request_backup('$free')"), 30), 'skipped/not_eligible', 'a free resource is skipped');
is(sql("SELECT count(*) FROM custbackup.attempts WHERE job_id IN (SELECT id FROM custbackup.jobs WHERE resource_id = '$free')"), '0', 'without an attempt');

# The catalogue knows what the store holds, and the store alone knows it too.
my ($listed, $error) = ('', '');
IPC::Run::run([ $mover, 'list', '--store', "file://$control->{store_dir}", '--json' ], '>', \$listed, '2>', \$error) or diag $error;
like($listed, qr/$backup/, 'custbackup list finds the backup without the control database');

# No secret in the log, the store, or any table.
my $key = slurp_file($control->{key_file}) =~ s/\n//r;
my $log = slurp_file($control->logfile);
like($log, qr/DEBUG:.*custbackup: attempt/, 'the log of the control plane is talkative');
unlike($log, qr/\Q$password\E|s3cret|\Q$key\E/, 'but has no password in it, and no key');
my $dump = '';
IPC::Run::run([ 'pg_dump', '--data-only', '-h', $control->host, '-p', $control->port, $database ], '>', \$dump);
unlike($dump, qr/s3cret/, 'no password in the control database');
is(join(' ', movers_running($control)), '', 'no mover is left');

done_testing();
