# s3.sh: SIZE_MB of incompressible bytes into a bucket and back, beside the plain tools: a sink, and two real servers.
# SERVERS names some of them. rclone and aws are installed for this where they are missing, for nothing else.
# Resident memory is measured, not computed.

size_mb=${SIZE_MB:-1000}
. "$source_dir/test/lib/s3_servers.sh"
. "$source_dir/test/lib/s3_floor.sh"
cleanup() { remove_s3; }
peers=
command -v rclone >/dev/null || peers=rclone
command -v aws >/dev/null || peers="$peers awscli"
[ -z "$peers" ] || EXTRA_PACKAGES=$peers "$source_dir/test/bin/install-missing"

input=$s3_place/input
head -c "$((size_mb * 1000000))" /dev/urandom >"$input"
prepare_floor "$input"
key=bench/018f0000-0000-4000-8000-000000000001.dump.gz

# What the last command has stored: each begins with an empty bucket, and the same memory to fill. MinIO would keep what it removes in a trash for minutes.
remove_objects() {
    local object
    for object in curl floor rclone aws; do $s3_curl -X DELETE "$s3_endpoint/bucket/$object" >/dev/null; done
    "$s3_tool" remove "$s3_url" $key >/dev/null
    rm -rf "$s3_place"/data/.minio.sys/tmp/.trash/*
}

# How many times as fast as each peer custbackup is, and the floor would be; of the pairs that compare had.
ratio_table() {
    local pairs=("$@") i
    printf '\n| %-30s | custbackup |  floor |\n|%s|-----------:|-------:|\n' 'times as fast as' "$(printf -- '-%.0s' $(seq 32))"
    for ((i = 5; i < ${#walls[@]}; i++)); do
        awk -v name="${pairs[2 * i]}" -v peer="${walls[$i]}" -v own="${walls[3]}" -v floor="${walls[4]}" \
            'BEGIN { printf "| %-30s | %10.2f | %6.2f |\n", name, peer / own, peer / floor }'
    done
}

upload_table() {
    # The peers may look at what they have stored, and a sink has nothing to show them.
    local judge=
    [ "$1" != sink ] || judge=' || :'
    set -- 'curl -T of the file' "$s3_curl -T $input $s3_endpoint/bucket/curl" \
        'sha256sum of the file' "sha256sum $input" \
        'openssl dgst -sha256 of the file' "openssl dgst -sha256 $input" \
        'custbackup, several parts in flight' "$s3_tool put '$s3_url' $key <$input" \
        'the floor: its parts, hashed beforehand, by curl' 'upload_parts_by_curl floor'
    if command -v rclone >/dev/null; then
        set -- "$@" 'rclone rcat' "rclone rcat --s3-provider Other --s3-env-auth --s3-endpoint $s3_endpoint :s3:bucket/rclone <$input$judge"
    fi
    if command -v aws >/dev/null; then
        set -- "$@" 'aws s3 cp -' "aws --endpoint-url $s3_endpoint s3 cp - s3://bucket/aws <$input$judge"
    fi
    export s3_place s3_endpoint
    before_each=remove_objects compare "$@" || return 1
    ratio_table "$@"
}

download_table() {
    # The last round of the uploads has removed them.
    $s3_curl -T "$input" "$s3_endpoint/bucket/curl"
    "$s3_tool" put "$s3_url" $key <"$input" >/dev/null 2>&1
    compare 'curl | sha256sum' "$s3_curl $s3_endpoint/bucket/curl | sha256sum" \
        'curl | openssl dgst -sha256' "$s3_curl $s3_endpoint/bucket/curl | openssl dgst -sha256" \
        'custbackup, ranges in flight, to a spool' "TMPDIR=$s3_place $s3_tool get '$s3_url' $key | grep -q sha256"
}

memory_table() {
    local mb rss='s/.*"max_rss_kib":\([0-9]*\).*/\1/p'
    printf '| resident memory at most, KiB | up | down |\n|---|---:|---:|\n'
    for mb in 1 100 1000 3000; do
        "$s3_tool" remove "$s3_url" $key >/dev/null
        printf '| %s MB | %s | %s |\n' $mb \
            "$(while cat "$input" 2>/dev/null; do :; done | head -c "${mb}000000" | "$s3_tool" put "$s3_url" $key 2>/dev/null | sed -n "$rss")" \
            "$(TMPDIR=$s3_place "$s3_tool" get "$s3_url" $key | sed -n "$rss")"
    done
}

for server in ${SERVERS:-sink versity minio}; do
    start_s3 $server || return 1
    printf '\n## %s MB into a bucket of %s\n' "$size_mb" $server
    upload_table $server || return 1
    printf '\n## and back, with its sha256\n'
    download_table || return 1
    printf '\n'
    memory_table
    stop_s3
done
