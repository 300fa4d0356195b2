# A Postgres with pgvector: the same engine, with an extension that an administrator installed
# and the customer does not own.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use CustbackupTest;
use Test::More;

my $node = start_customer();
sub admin { return $node->safe_psql($_[1] // 'shop', $_[0]) }
plan skip_all => 'pgvector is not installed here'
  if admin(q{SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'}) eq '0';

my ($settings, $store) = mover_settings();
my $url = customer_url($node);
sub customer { return admin("SET SESSION AUTHORIZATION app; $_[0]", $_[1]) }
sub state_of { return schema_dump($node, $_[0]) . checksum_database($node, $_[0]) }

admin('CREATE EXTENSION vector');
customer(q{CREATE TABLE items (id int PRIMARY KEY, v vector(8), h halfvec(8), s sparsevec(100), b bit(16), vs vector(3)[]);
    INSERT INTO items SELECT i, ARRAY(SELECT sin(i * k)::real FROM generate_series(1, 8) k)::vector,
        ARRAY(SELECT cos(i * k)::real FROM generate_series(1, 8) k)::vector::halfvec, format('{%s:1.5,%s:-2}/100', 1 + i % 50, 51 + i % 50)::sparsevec,
        i::bit(16), ARRAY['[1,2,3]', '[4,5,6]']::vector(3)[] FROM generate_series(1, 2000) i;
    CREATE INDEX ON items USING hnsw (v vector_l2_ops); CREATE INDEX ON items USING ivfflat (v vector_cosine_ops) WITH (lists = 20);
    CREATE INDEX ON items USING hnsw (h halfvec_ip_ops); CREATE INDEX ON items USING hnsw (s sparsevec_l2_ops);
    CREATE INDEX ON items USING hnsw (b bit_hamming_ops);
    CREATE FUNCTION nearest(vector) RETURNS int LANGUAGE sql STABLE AS 'SELECT id FROM items ORDER BY v OPERATOR(public.<->) $1 LIMIT 1';
    CREATE DOMAIN embedding AS vector(3) CHECK (vector_dims(VALUE) = 3);
    CREATE TABLE parted (id int, e embedding, n float8 GENERATED ALWAYS AS (vector_norm(e)) STORED) PARTITION BY RANGE (id);
    CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (1000); CREATE TABLE parted_2 PARTITION OF parted DEFAULT;
    INSERT INTO parted SELECT i * 100, format('[%s,1,-1]', i)::vector FROM generate_series(1, 20) i;
    CREATE INDEX ON parted USING hnsw ((binary_quantize(e)::bit(3)) bit_hamming_ops) WITH (m = 8, ef_construction = 40);
    CREATE INDEX ON parted USING ivfflat ((e::vector(3)) vector_l2_ops) WITH (lists = 2) WHERE n > 2;
    CREATE MATERIALIZED VIEW middle AS SELECT avg(e) FROM parted});
my $wanted = state_of();
my $job = backup_job($settings, $store, $url, type => 'vector');
my $event = last_event(run_mover($settings, $job));
is($event->{event}, 'done', 'a backup') or diag(explain($event));
is($event->{counts}{rows}, 2020, 'all rows counted');

customer('DELETE FROM items WHERE id > 5; ALTER TABLE items DROP COLUMN h; CREATE TABLE more (v vector(2)); DROP TABLE parted_2; UPDATE parted SET id = id + 1');
my $said = last_event(run_mover($settings, restore_job($settings, $store, $url, $job, $event)));
is($said->{event}, 'done', 'a rewind') or diag(explain($said));
is(state_of(), $wanted, 'puts everything back, indexes included');
is(customer('SET enable_seqscan = off; SELECT nearest((SELECT v FROM items WHERE id = 77))'), 77, 'which find what they should');

admin('DROP EXTENSION vector CASCADE');
my $without = state_of();
$said = last_event(run_mover($settings, restore_job($settings, $store, $url, $job, $event)));
is($said->{reason}, 'not_restorable', 'a rewind of a database that has lost the extension');
like($said->{detail}, qr/extension vector.*CREATE EXTENSION vector/, '... is told what to do');
is(state_of(), $without, '... before anything was touched');
admin('CREATE EXTENSION vector');
$said = last_event(run_mover($settings, restore_job($settings, $store, $url, $job, $event)));
is($said->{event}, 'done', '... and works when that was done') or diag(explain($said));
is(state_of(), $wanted, '... exactly');

admin('CREATE DATABASE bare OWNER app', 'postgres');
my $bare = customer_url($node, database => 'bare');
$said = last_event(run_mover($settings, restore_job($settings, $store, $bare, $job, $event, mode => 'clone')));
is($said->{reason}, 'not_restorable', 'a target without the extension');
like($said->{detail}, qr/extension vector.*CREATE EXTENSION vector/, 'is told what to do');
ok(!$said->{target_modified}, 'before anything was touched');
admin('CREATE EXTENSION vector', 'bare');
$said = last_event(run_mover($settings, restore_job($settings, $store, $bare, $job, $event, mode => 'clone')));
is($said->{event}, 'done', 'with the extension it works') or diag(explain($said));
is(checksum_database($node, 'bare'), checksum_database($node), 'to the last row');

# ---- an administrator's extension that is another ----

# A clone into a database that has the extension so; it fails before anything is to be seen there.
sub refused
{
    my ($what, $detail, @statements) = @_;
    admin('DROP DATABASE IF EXISTS other', 'postgres');
    admin('CREATE DATABASE other OWNER app', 'postgres');
    admin($_, 'other') for @statements;
    my $was = state_of('other');
    my $said = last_event(run_mover($settings, restore_job($settings, $store, customer_url($node, database => 'other'), $job, $event, mode => 'clone')));
    is($said->{event}, 'failed', $what) or diag(explain($said));
    like($said->{detail}, $detail, "... $said->{reason}: $said->{detail}");
    ok(!$said->{target_modified}, '... with nothing modified');
    is(state_of('other'), $was, '... to be seen');
    return;
}

# What an older one lacks is taken out of this one.
refused('an older version, which has no sparsevec', qr/sparsevec/, 'CREATE EXTENSION vector',
    q{WITH RECURSIVE gone (class, id) AS (SELECT 'pg_type'::regclass::oid, oid FROM pg_type WHERE typname IN ('sparsevec', '_sparsevec')
        UNION SELECT d.classid, d.objid FROM gone JOIN pg_depend d ON d.refclassid = gone.class AND d.refobjid = gone.id AND d.deptype <> 'e')
      DELETE FROM pg_depend d USING gone WHERE d.classid = gone.class AND d.objid = gone.id AND d.deptype = 'e'}, 'DROP TYPE sparsevec CASCADE',
    q{UPDATE pg_extension SET extversion = '0.6.2' WHERE extname = 'vector'});
refused('in another schema', qr/type "?public\.vector"? does not exist/, 'CREATE SCHEMA elsewhere', 'GRANT USAGE ON SCHEMA elsewhere TO app', 'CREATE EXTENSION vector SCHEMA elsewhere');

# A version that differs, but has all that is needed, is no obstacle.
admin('DROP DATABASE other', 'postgres');
admin('CREATE DATABASE other OWNER app', 'postgres');
admin('CREATE EXTENSION vector', 'other');
admin(q{UPDATE pg_extension SET extversion = '0.7.4' WHERE extname = 'vector'}, 'other');
$said = last_event(run_mover($settings, restore_job($settings, $store, customer_url($node, database => 'other'), $job, $event, mode => 'clone')));
is($said->{event}, 'done', 'a version that differs is no obstacle by itself') or diag(explain($said));
is(checksum_database($node, 'other'), checksum_database($node), '... to the last row');

# One that the administrator keeps in a schema of its own.
admin('DROP DATABASE other', 'postgres');
admin('CREATE DATABASE other OWNER app', 'postgres');
admin($_, 'other') for 'CREATE SCHEMA extensions', 'GRANT USAGE ON SCHEMA extensions TO app', 'CREATE EXTENSION vector SCHEMA extensions';
customer(q{CREATE TABLE t (id int PRIMARY KEY, v extensions.vector(3)); INSERT INTO t VALUES (1, '[1,2,3]'); CREATE INDEX ON t USING hnsw (v extensions.vector_l2_ops)}, 'other');
$wanted = state_of('other');
my $url_of_other = customer_url($node, database => 'other');
$job = backup_job($settings, $store, $url_of_other, type => 'vector');
$event = last_event(run_mover($settings, $job));
my $copy = customer_url($node, database => 'copy');
admin('CREATE DATABASE copy OWNER app', 'postgres');
admin($_, 'copy') for 'CREATE SCHEMA extensions', 'GRANT USAGE ON SCHEMA extensions TO app', 'CREATE EXTENSION vector SCHEMA extensions';
$said = last_event(run_mover($settings, restore_job($settings, $store, $copy, $job, $event, mode => 'clone')));
is($said->{event}, 'done', 'a clone into one that has it there, too') or diag(explain($said));
is(checksum_database($node, 'copy'), checksum_database($node, 'other'), '... to the last row');
customer(q{DROP TABLE t; CREATE TABLE u (v extensions.vector(2))}, 'other');
$said = last_event(run_mover($settings, restore_job($settings, $store, $url_of_other, $job, $event)));
is($said->{event}, 'done', 'a rewind of a database with the extension in a schema of an administrator') or diag(explain($said));
is(state_of('other'), $wanted, '... exactly');
done_testing();
