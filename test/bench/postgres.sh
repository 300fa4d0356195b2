# postgres.sh: a database of SIZE_MB of raw dump, backed up to a local directory and to buckets, and put back,
# beside the plain tools. One server, one client host; CPU is the whole machine's.

size_mb=${SIZE_MB:-1600}
data=$workspace/run/bench-data
pg_port=$(perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport')
store=$workspace/run/store
spool=$workspace/run
. "$source_dir/test/lib/s3_servers.sh"

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
mkdir -p "$store" && chmod 700 "$store"
chown "$test_user" "$store" 2>/dev/null

# One job, written once; every run has a new id.
custbackup keygen >"$workspace/run/key" && chmod 600 "$workspace/run/key"
url=$(printf 'postgresql://app:app@127.0.0.1:%s/shop' "$pg_port" | custbackup encrypt-url --key-file="$workspace/run/key")
chown "$test_user" "$workspace/run/key" 2>/dev/null
cat >"$workspace/run/settings" <<JSON
{"key_file": "$workspace/run/key", "spool_dir": "$spool", "allow_local_targets": true}
JSON

# backup_job STORE_URL
backup_job() {
    local id
    id=$(cat /proc/sys/kernel/random/uuid)
    cat <<JSON
{"version": 1, "kind": "backup", "job_id": "$id", "attempt_id": "$(cat /proc/sys/kernel/random/uuid)", "attempt": 1, "engine": "postgres",
 "resource": {"id": "$(cat /proc/sys/kernel/random/uuid)", "token": "bench", "team_id": null, "tier": "pro", "type": "postgres", "connection_url": "$url"},
 "store": {"name": "default", "url": "$1"}, "object": {"key": "bench/$id.dump.gz", "expected_bytes": null}, "previous": []}
JSON
}

# run_mover FILE_WITH_JOB EVENTS_FILE: as the ordinary user, peak resident memory beside the events.
run_mover() {
    as_user sh -c 'exec custbackup run --settings-fd=3 3<"$1" <"$2" >"$3"' mover "$workspace/run/settings" "$1" "$2"
}
export -f as_user backup_job run_mover
store_url=file://$store
export workspace test_user url store_url spool

backup_command='backup_job $store_url >$workspace/run/job; run_mover $workspace/run/job $workspace/run/events'
before_each='rm -rf "$store"/bench; sync'
dump=$workspace/run/plain.dump
echo "backup of $rows rows ($(role=app sql -d shop -c "SELECT pg_size_pretty(pg_database_size('shop'))") on disk) to a local directory"
compare \
    'pg_dump -Fc -Z0 >/dev/null (bare: the floor)' 'pg_dump -Fc -Z0 >/dev/null' \
    'custbackup: pg_dump, gzip, sha256, fsync, manifest' "$backup_command" \
    'pg_dump -Fc | gzip | tee >(sha256sum) > file (as people do)' 'pg_dump -Fc | gzip | tee >(sha256sum >/dev/null) >$workspace/run/people.gz; rm $workspace/run/people.gz'

before_each=
for server in versity minio; do
    start_s3 $server || return 1
    printf '\nto a bucket of %s, on the same machine\n' $server
    store_url=$s3_url compare \
        'pg_dump -Fc -Z0 >/dev/null (bare: the floor)' 'pg_dump -Fc -Z0 >/dev/null' \
        'custbackup: pg_dump, gzip, sha256, multipart, HEAD, manifest' "$backup_command; grep -q stored_bytes $workspace/run/events"
    stop_s3
done

# The last backup, for the restores; peak memory of the mover by the kernel's own account.
rm -rf "$store"/bench
bash -c "$backup_command" >/dev/null
cp "$workspace/run/job" "$workspace/run/job.backup"
raw=$(sed -n 's/.*"raw_bytes": *\([0-9]*\).*/\1/p' "$workspace/run/events" | tail -1)
stored=$(sed -n 's/.*"stored_bytes": *\([0-9]*\).*/\1/p' "$workspace/run/events" | tail -1)
sha=$(sed -n 's/.*"sha256": *"\([0-9a-f]*\)".*/\1/p' "$workspace/run/events" | tail -1)
id=$(sed -n 's/.*"job_id": *"\([^"]*\)".*/\1/p' "$workspace/run/job.backup")
resource=$(sed -n 's/.*"resource": *{"id": *"\([^"]*\)".*/\1/p' "$workspace/run/job.backup")
echo "raw $raw bytes, stored $stored"
cat >"$workspace/run/restore" <<JSON
{"version": 1, "kind": "restore", "job_id": "$(cat /proc/sys/kernel/random/uuid)", "attempt_id": "$(cat /proc/sys/kernel/random/uuid)", "attempt": 1, "engine": "postgres", "mode": "rewind",
 "resource": {"id": "$resource", "token": "bench", "team_id": null, "tier": "pro", "type": "postgres", "connection_url": "$url"},
 "store": {"name": "default", "url": "file://$store"},
 "object": {"backup_id": "$id", "key": "bench/$id.dump.gz", "version": null, "sha256": "$sha", "raw_bytes": $raw, "stored_bytes": $stored, "resource_id": "$resource", "token": "bench"}}
JSON
pg_dump -Fc -Z0 -f "$dump" && gzip -1 -k "$dump" && sha256sum "$dump.gz" >"$dump.sha256"
chown "$test_user" "$dump"* 2>/dev/null

# Every restore begins with an empty database and a checkpoint behind it.
before_each='PGDATABASE=postgres sql -c "DROP DATABASE shop" -c "CREATE DATABASE shop OWNER app" -c CHECKPOINT; sync'
printf '\nrestore of it into an empty database\n'
compare \
    'pg_restore --single-transaction file (bare: the floor)' 'pg_restore --no-owner --single-transaction -d shop $workspace/run/plain.dump' \
    'custbackup: sha256 first, exact, atomic' 'run_mover $workspace/run/restore $workspace/run/events' \
    'sha256sum -c && gunzip | pg_restore (as people do)' 'sha256sum -c $workspace/run/plain.dump.sha256 && gunzip -c $workspace/run/plain.dump.gz | pg_restore --no-owner --single-transaction -d shop'
before_each=

# Peak resident memory of the mover itself (not of its tools), by the kernel.
rm -rf "$store"/bench
printf '\npeak resident memory of the mover during a backup: '
backup_job "$store_url" >"$workspace/run/job"
run_mover "$workspace/run/job" "$workspace/run/events" &
peak=0
sleep 0.5
while kill -0 $! 2>/dev/null; do
    for pid in $(pgrep -x custbackup); do
        now=$(awk '/^VmHWM/ { print $2 }' "/proc/$pid/status" 2>/dev/null)
        [ "${now:-0}" -gt "$peak" ] && peak=$now
    done
    sleep 0.1
done
echo "$((peak / 1024)) MiB"
unset PGHOST PGPORT PGUSER PGDATABASE
