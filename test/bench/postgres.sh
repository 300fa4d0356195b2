# postgres.sh: a database of SIZE_MB of raw dump, backed up to a local directory and to buckets, and put back, beside
# the plain tools; and the memory of the mover while it stores MEMORY_MB. One server, one client host; CPU is that of
# both. PARTS names some of local, buckets, restore and memory, SERVERS some of sink, versity and minio.

size_mb=${SIZE_MB:-1600}
data=$workspace/run/bench-data
. "$source_dir/test/lib/s3_servers.sh"
. "$source_dir/test/lib/bench_mover.sh"
pg_port=$(free_port)
make_mover "$workspace/run/store"

cleanup() {
    remove_s3
    as_user pg_ctl -D "$data" -m immediate stop >/dev/null 2>&1
    rm -rf "$data" "$store"
}

as_user initdb -D "$data" -U admin -A trust --no-sync -E UTF8 --locale=C.UTF-8 >/dev/null
cat >>"$data/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1'
port = $pg_port
unix_socket_directories = '$workspace/run'
shared_buffers = '1GB'
max_wal_size = '8GB'
checkpoint_timeout = '1h'
autovacuum = off
CONF
as_user pg_ctl -D "$data" -l "$workspace/run/bench.log" -w start >/dev/null
postmaster=$(head -1 "$data/postmaster.pid")
servers=$postmaster
sql() { psql -X -q -At -h 127.0.0.1 -p "$pg_port" -U "${role:-admin}" -v ON_ERROR_STOP=1 "$@"; }

role=admin sql -d postgres -c "CREATE ROLE app LOGIN PASSWORD 'app'" -c 'CREATE DATABASE shop OWNER app'
# About 170 bytes a row as COPY text: numbers, times, words, half of it hard to compress.
rows=$((size_mb * 1000000 / 170))
role=app sql -d shop <<SQL || return 1
CREATE TABLE orders AS
SELECT g AS id, (g::bigint * 7919) % 100003 AS customer, now() - g * interval '1 second' AS placed, (random() * 10000)::numeric(10, 2) AS amount,
       (ARRAY['new', 'paid', 'sent', 'returned'])[1 + g % 4] AS state, 'customer note number ' || g % 1000 || ' of the usual kind' AS note,
       md5(g::text) || md5((g + 1)::text) AS token
  FROM generate_series(1, $rows) g;
ALTER TABLE orders ADD PRIMARY KEY (id);
CREATE INDEX ON orders (customer);
SQL
role=admin sql -d shop -c 'VACUUM (FREEZE, ANALYZE)' -c CHECKPOINT

export PGHOST=127.0.0.1 PGPORT=$pg_port PGUSER=app PGDATABASE=shop
url=$(cipher "postgresql://app:app@127.0.0.1:$pg_port/shop")
export url
events=$workspace/run/events
backup_command='backup_job postgres "$url" >$workspace/run/job; run_mover $workspace/run/job $workspace/run/events'
# What a failed backup leaves out.
backup_proof='grep -q "\"done\"" $workspace/run/events'

local_backups() {
    echo "backup of $rows rows ($(role=app sql -d shop -c "SELECT pg_size_pretty(pg_database_size('shop'))") on disk) to a local directory"
    before_each='rm -rf "$store"/bench; sync' compare \
        'pg_dump -Fc -Z0 >/dev/null (bare: the floor)' 'pg_dump -Fc -Z0 >/dev/null' \
        'custbackup: pg_dump, gzip, sha256, fsync, manifest' "$backup_command" \
        'pg_dump -Fc | gzip | tee >(sha256sum) > file (as people do)' 'pg_dump -Fc | gzip | { tee >(sha256sum >/dev/null) >$workspace/run/people.gz; wait; }; rm $workspace/run/people.gz'
}

bucket_backups() {
    local server
    for server in ${SERVERS:-sink versity minio}; do
        start_s3 $server || return 1
        printf '\nto a bucket of %s, on the same machine\n' $server
        servers="$postmaster $s3_pid" store_url=$s3_url compare \
            'pg_dump -Fc -Z0 >/dev/null (bare: the floor)' 'pg_dump -Fc -Z0 >/dev/null' \
            'custbackup: pg_dump, gzip, sha256, multipart, HEAD, manifest' "$backup_command; $backup_proof" || return 1
        stop_s3
    done
}

# Every restore begins with an empty database and a checkpoint behind it.
restores() {
    local dump=$workspace/run/plain.dump
    rm -rf "$store"/bench
    bash -c "$backup_command; $backup_proof" || return 1
    echo "raw $(event_field raw_bytes "$events") bytes, stored $(event_field stored_bytes "$events")"
    restore_job postgres "$url" >"$workspace/run/restore"
    pg_dump -Fc -Z0 -f "$dump" && gzip -1 -k "$dump" && sha256sum "$dump.gz" >"$dump.sha256"
    chown "$test_user" "$dump"* 2>/dev/null
    printf '\nrestore of it into an empty database\n'
    before_each='PGDATABASE=postgres role=admin sql -c "DROP DATABASE shop" -c "CREATE DATABASE shop OWNER app" -c CHECKPOINT; sync' compare \
        'pg_restore --single-transaction file (bare: the floor)' 'pg_restore --no-owner --single-transaction -d shop $workspace/run/plain.dump' \
        'custbackup: sha256 first, exact, atomic' "run_mover \$workspace/run/restore \$workspace/run/events; $backup_proof" \
        'sha256sum -c && gunzip | pg_restore (as people do)' 'sha256sum -c $workspace/run/plain.dump.sha256 && gunzip -c $workspace/run/plain.dump.gz | pg_restore --no-owner --single-transaction -d shop'
}

# Rows that no gzip makes smaller than their bytes; into the sink, which leaves the machine to the mover.
memory_table() {
    local mb peak
    start_s3 sink || return 1
    role=admin sql -d postgres -c 'CREATE DATABASE noise OWNER app'
    role=app sql -d noise -c 'CREATE EXTENSION pgcrypto' -c 'CREATE UNLOGGED TABLE noise (id serial, bytes bytea)' \
        -c 'ALTER TABLE noise ALTER bytes SET STORAGE EXTERNAL'
    url=$(cipher "postgresql://app:app@127.0.0.1:$pg_port/noise")
    printf '\n| stored in a bucket, bytes | peak resident memory of the mover |\n|---:|---:|\n'
    for mb in ${MEMORY_MB:-1 100 1000 3000}; do
        role=app sql -d noise -c "INSERT INTO noise (bytes) SELECT gen_random_bytes(1000) FROM generate_series((SELECT count(*) FROM noise) + 1, $mb * 900)"
        store_url=$s3_url backup_job postgres "$url" >"$workspace/run/job"
        peak=$(peak_of "$workspace/run/job")
        printf '| %s | %s |\n' "$(event_field stored_bytes "$workspace/run/peak-events")" "$peak"
    done
    stop_s3
}

for part in ${PARTS:-local buckets restore memory}; do
    case $part in
        local) local_backups ;;
        buckets) bucket_backups ;;
        restore) restores ;;
        memory) memory_table ;;
    esac || return 1
done
unset PGHOST PGPORT PGUSER PGDATABASE
