# s3.sh: SIZE_MB of incompressible bytes into a bucket and back, beside the plain tools, on each of two
# servers. rclone and aws take part where they are installed. Resident memory is measured, not computed.

size_mb=${SIZE_MB:-1000}
"$source_dir/test/bin/build-tools" versitygw minio || return 1
build unit-tests
tools=$("$source_dir/test/bin/build-tools" --dir)
tool=$source_dir/build/unit/store_tool
# In memory where there is room, so that the disk is not what is measured.
place=$(mktemp -d "$([ -w /dev/shm ] && echo /dev/shm || echo "$workspace/run")/custbackup-bench.XXXXXX")
export AWS_ACCESS_KEY_ID=bench AWS_SECRET_ACCESS_KEY=bench-secret AWS_REGION=us-east-1 AWS_EC2_METADATA_DISABLED=true
servers=

cleanup() {
    for pid in $servers; do kill "$pid" 2>/dev/null; done
    rm -rf "$place"
}

free_port() { perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport'; }

# start NAME PORT COMMAND...
start() {
    local name=$1 port=$2
    shift 2
    "$@" >"$place/$name.log" 2>&1 &
    servers="$servers $!"
    for _ in $(seq 100); do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && return 0
        sleep 0.1
    done
    cat "$place/$name.log" >&2
    return 1
}

head -c "$((size_mb * 1000000))" /dev/urandom >"$place/input"
key=bench/018f0000-0000-4000-8000-000000000001.dump.gz

for server in versity minio; do
    port=$(free_port)
    mkdir "$place/$server"
    if [ $server = versity ]; then
        start $server "$port" env ROOT_ACCESS_KEY=bench ROOT_SECRET_KEY=bench-secret \
            "$tools/versitygw" --port "127.0.0.1:$port" posix "$place/$server"
    else
        start $server "$port" env MINIO_ROOT_USER=bench MINIO_ROOT_PASSWORD=bench-secret \
            "$tools/minio" server --quiet --address "127.0.0.1:$port" "$place/$server"
        sleep 3
    fi || { cleanup; return 1; }
    endpoint=http://127.0.0.1:$port
    url="s3://bucket?endpoint=$endpoint"
    "$tool" request "$url" PUT </dev/null >/dev/null
    curl="curl -sf --aws-sigv4 aws:amz:us-east-1:s3 --user bench:bench-secret -H x-amz-content-sha256:UNSIGNED-PAYLOAD"

    echo
    echo "## $size_mb MB into a bucket of $server"
    set -- 'curl -T of the file' "$curl -T $place/input $endpoint/bucket/curl" \
        'sha256sum of the file' "sha256sum $place/input" \
        'custbackup, several parts in flight' "$tool put '$url' $key <$place/input"
    if command -v rclone >/dev/null; then
        set -- "$@" 'rclone rcat' "rclone rcat --s3-provider Other --s3-env-auth --s3-endpoint $endpoint :s3:bucket/rclone <$place/input"
    fi
    if command -v aws >/dev/null; then
        set -- "$@" 'aws s3 cp -' "aws --endpoint-url $endpoint s3 cp - s3://bucket/aws <$place/input"
    fi
    before_each="'$tool' remove '$url' $key >/dev/null" compare "$@" || { cleanup; return 1; }
    "$tool" remove "$url" $key >/dev/null
    "$tool" put "$url" $key <"$place/input" 2>/dev/null | sed 's/.*"max_rss_kib":\([0-9]*\).*/resident memory at most: \1 KiB (budget 65536 KiB)/'

    echo
    echo "## and back, with its sha256"
    compare 'curl | sha256sum' "$curl $endpoint/bucket/curl | sha256sum" \
        'custbackup, ranges in flight, to a spool' "TMPDIR=$place $tool get '$url' $key" || { cleanup; return 1; }
    TMPDIR=$place "$tool" get "$url" $key | sed 's/.*"max_rss_kib":\([0-9]*\).*/resident memory at most: \1 KiB/'
    kill "${servers##* }"
    rm -rf "${place:?}/$server"
done
cleanup
