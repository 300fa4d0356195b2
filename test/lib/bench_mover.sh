# bench_mover.sh: sourced by benchmarks that run the mover by itself.
#
# make_mover DIRECTORY: a key, and settings for the mover (--settings-fd). Its jobs know the rest from the environment;
# their store is that directory, unless $store_url says otherwise.
#   cipher URL                        the URL, encrypted
#   backup_job ENGINE CIPHERTEXT      a new backup's job
#   restore_job ENGINE CIPHERTEXT     a clone of the backup whose job and events stand in $workspace/run/job and events
#   run_mover JOB EVENTS              both files
#   peak_of JOB                       MiB of resident memory at most, by the kernel's account, tools apart

new_id() { cat /proc/sys/kernel/random/uuid; }

make_mover() {
    store=$1
    mkdir -p "$store" && chmod 700 "$store"
    custbackup keygen >"$workspace/run/key" && chmod 600 "$workspace/run/key"
    chown "$test_user" "$workspace/run/key" "$store" 2>/dev/null
    printf '{"key_file": "%s", "spool_dir": "%s", "allow_local_targets": true, "tool_path": "%s"}\n' \
        "$workspace/run/key" "$workspace/run" "${tool_path:-}" >"$workspace/run/settings"
    store_url=file://$store
    export store store_url workspace test_user
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
 "store": {"name": "default", "url": "$store_url"}, "object": {"key": "bench/$id.dump.gz", "expected_bytes": null}, "previous": []}
JSON
}

# event_field NAME FILE: its last value there.
event_field() { sed -n "s/.*\"$1\": *\"\\{0,1\\}\\([^\",}]*\\).*/\\1/p" "$2" | tail -1; }

restore_job() {
    local id
    id=$(event_field job_id "$workspace/run/job")
    cat <<JSON
{"version": 1, "kind": "restore", "job_id": "$(new_id)", "attempt_id": "$(new_id)", "attempt": 1, "engine": "$1", "mode": "clone",
 "resource": $(resource "$1" "$2"), "store": {"name": "default", "url": "$store_url"},
 "object": {"backup_id": "$id", "key": "bench/$id.dump.gz", "version": null, "sha256": "$(event_field sha256 "$workspace/run/events")",
            "raw_bytes": $(event_field raw_bytes "$workspace/run/events"), "stored_bytes": $(event_field stored_bytes "$workspace/run/events"),
            "resource_id": "$(new_id)", "token": "bench"}}
JSON
}

# Leaves its process id in $workspace/run/pid.
run_mover() {
    as_user sh -c 'echo $$ >"$4"; exec custbackup run --settings-fd=3 3<"$1" <"$2" >"$3"' mover "$workspace/run/settings" "$1" "$2" "$workspace/run/pid"
}

peak_of() {
    local peak=0 now
    rm -f "$workspace/run/pid"
    run_mover "$1" "$workspace/run/peak-events" &
    while kill -0 $! 2>/dev/null; do
        now=$(awk '/^VmHWM/ { print $2 }' "/proc/$(cat "$workspace/run/pid" 2>/dev/null)/status" 2>/dev/null)
        [ "${now:-0}" -gt "$peak" ] && peak=$now
        sleep 0.02
    done
    echo -n "$((peak / 1024)) MiB"
}
export -f as_user new_id resource backup_job run_mover
