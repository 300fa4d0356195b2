# bench_mover.sh: sourced by benchmarks that run the mover by itself, from and to a local directory.
#
# make_mover STORE: a key, and settings for the mover (--settings-fd). Its jobs know the rest from the environment.
#   cipher URL                        the URL, encrypted
#   backup_job ENGINE CIPHERTEXT      a new backup's job
#   restore_job ENGINE CIPHERTEXT     a clone of the backup whose job and events stand in $workspace/run/job and events
#   run_mover JOB EVENTS              both files
#   peak_of JOB                       MiB of resident memory at most

free_port() { perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport'; }

new_id() { cat /proc/sys/kernel/random/uuid; }

make_mover() {
    store=$1
    mkdir -p "$store" && chmod 700 "$store"
    custbackup keygen >"$workspace/run/key" && chmod 600 "$workspace/run/key"
    chown "$test_user" "$workspace/run/key" "$store" 2>/dev/null
    printf '{"key_file": "%s", "spool_dir": "%s", "allow_local_targets": true, "tool_path": "%s"}\n' \
        "$workspace/run/key" "$workspace/run" "${tool_path:-}" >"$workspace/run/settings"
    export store workspace test_user
}

cipher() { printf '%s' "$1" | as_user custbackup encrypt-url --key-file="$workspace/run/key"; }

resource() {
    printf '{"id": "%s", "token": "bench", "team_id": null, "tier": "pro", "type": "%s", "connection_url": "%s"}' "$(new_id)" "$1" "$2"
}

backup_job() {
    local id
    id=$(new_id)
    cat <<JSON
{"version": 1, "kind": "backup", "job_id": "$id", "attempt_id": "$(new_id)", "attempt": 1, "engine": "$1", "resource": $(resource "$1" "$2"),
 "store": {"name": "default", "url": "file://$store"}, "object": {"key": "bench/$id.dump.gz", "expected_bytes": null}, "previous": []}
JSON
}

# event_field NAME FILE: its last value there.
event_field() { sed -n "s/.*\"$1\": *\"\\{0,1\\}\\([^\",}]*\\).*/\\1/p" "$2" | tail -1; }

restore_job() {
    local id
    id=$(event_field job_id "$workspace/run/job")
    cat <<JSON
{"version": 1, "kind": "restore", "job_id": "$(new_id)", "attempt_id": "$(new_id)", "attempt": 1, "engine": "$1", "mode": "clone",
 "resource": $(resource "$1" "$2"), "store": {"name": "default", "url": "file://$store"},
 "object": {"backup_id": "$id", "key": "bench/$id.dump.gz", "version": null, "sha256": "$(event_field sha256 "$workspace/run/events")",
            "raw_bytes": $(event_field raw_bytes "$workspace/run/events"), "stored_bytes": $(event_field stored_bytes "$workspace/run/events"),
            "resource_id": "$(new_id)", "token": "bench"}}
JSON
}

run_mover() {
    as_user sh -c 'exec custbackup run --settings-fd=3 3<"$1" <"$2" >"$3"' mover "$workspace/run/settings" "$1" "$2"
}

peak_of() {
    local peak=0 now
    run_mover "$1" "$workspace/run/peak-events" &
    while kill -0 $! 2>/dev/null; do
        for pid in $(pgrep -x custbackup); do
            now=$(awk '/^VmHWM/ { print $2 }' "/proc/$pid/status" 2>/dev/null)
            [ "${now:-0}" -gt "$peak" ] && peak=$now
        done
        sleep 0.05
    done
    echo -n "$((peak / 1024)) MiB"
}
export -f as_user new_id resource backup_job run_mover
