# s3_servers.sh: sourced by benchmarks. Real object stores on loopback, one at a time, in memory where there is room.
#
# start_s3 versity|minio|sink: sets $s3_endpoint, $s3_url (a bucket is there) and $s3_curl, a curl that signs.
# stop_s3: ends it and forgets its data. $s3_place is a directory beside the data, for inputs and spools.
# The sink (test/support/s3_sink.c) keeps nothing: what is measured against it is the client.

"$source_dir/test/bin/build-tools" versitygw minio || exit 1
build unit-tests
s3_tools=$("$source_dir/test/bin/build-tools" --dir)
s3_tool=$source_dir/build/unit/store_tool
s3_place=$(mktemp -d "$([ -w /dev/shm ] && echo /dev/shm || echo "$workspace/run")/custbackup-bench.XXXXXX")
s3_pid=
chmod 1777 "$s3_place"
# rclone fails over it, and there is no TLS here.
unset AWS_CA_BUNDLE
export AWS_ACCESS_KEY_ID=bench AWS_SECRET_ACCESS_KEY=bench-secret AWS_REGION=us-east-1 AWS_EC2_METADATA_DISABLED=true

start_s3() {
    local port
    port=$(free_port)
    mkdir -p "$s3_place/data"
    case $1 in
        sink) set -- "$source_dir/build/unit/s3_sink" "$port" ;;
        versity)
            set -- env ROOT_ACCESS_KEY=bench ROOT_SECRET_KEY=bench-secret \
                "$s3_tools/versitygw" --port "127.0.0.1:$port" posix "$s3_place/data"
            ;;
        minio)
            set -- env MINIO_ROOT_USER=bench MINIO_ROOT_PASSWORD=bench-secret \
                "$s3_tools/minio" server --quiet --address "127.0.0.1:$port" "$s3_place/data"
            ;;
    esac
    "$@" >"$s3_place/log" 2>&1 &
    s3_pid=$!
    s3_endpoint=http://127.0.0.1:$port
    s3_url="s3://bucket?endpoint=$s3_endpoint"
    s3_curl="curl -sf --aws-sigv4 aws:amz:us-east-1:s3 --user bench:bench-secret -H x-amz-content-sha256:UNSIGNED-PAYLOAD"
    # A server that listens may not be ready yet.
    for _ in $(seq 100); do
        $s3_curl -X PUT "$s3_endpoint/bucket" >/dev/null && return 0
        sleep 0.1
    done
    cat "$s3_place/log" >&2
    return 1
}

stop_s3() {
    [ -z "$s3_pid" ] || { kill "$s3_pid"; wait "$s3_pid" 2>/dev/null; }
    s3_pid=
    rm -rf "${s3_place:?}/data"
}

remove_s3() {
    stop_s3
    rm -rf "$s3_place"
}
