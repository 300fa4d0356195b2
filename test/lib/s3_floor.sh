# s3_floor.sh: sourced by benchmarks, behind s3_servers.sh. What a client would need that computes nothing: the
# parts that custbackup sends, cut and hashed beforehand, by curl, four in flight, with the same signed payload and
# checksum for the store to verify. Who asks as much of the store is hardly faster, however good.
#
# prepare_floor FILE: the parts and their hashes. upload_parts_by_curl NAME: an object of them, also in a bash -c.

s3_part_bytes=$((8 * 1024 * 1024))

prepare_floor() {
    local part hex base64
    mkdir "$s3_place/parts"
    split -b $s3_part_bytes -a 4 --numeric-suffixes=1 "$1" "$s3_place/parts/"
    for part in "$s3_place"/parts/*; do
        hex=$(openssl dgst -sha256 -r "$part" | cut -c1-64)
        base64=$(openssl dgst -sha256 -binary "$part" | base64)
        echo "$((10#$(basename "$part"))) $part $hex $base64"
    done >"$s3_place/parts.list"
}

# What curl is told of each part: number, file, sha256 in hexadecimal and in base64.
floor_config() {
    local number part hex base64 next=
    while read -r number part hex base64; do
        [ -z "$next" ] || echo next
        next=yes
        printf '%s\n' fail silent "aws-sigv4 = aws:amz:us-east-1:s3" "user = bench:bench-secret" \
            "header = x-amz-content-sha256:$hex" "header = x-amz-checksum-sha256:$base64" "upload-file = $part" \
            "url = $1?partNumber=$number&uploadId=$2" 'output = /dev/null' "write-out = \"$number $base64 %header{etag}\\n\""
    done <"$s3_place/parts.list"
}

upload_parts_by_curl() {
    local url=$s3_endpoint/bucket/$1 sign="curl -sf --aws-sigv4 aws:amz:us-east-1:s3 --user bench:bench-secret"
    local id number base64 etag
    id=$($sign -X POST -H x-amz-checksum-algorithm:SHA256 -H "x-amz-content-sha256:$(printf '' | sha256sum | cut -c1-64)" "$url?uploads=" |
        sed -n 's/.*<UploadId>\(.*\)<.UploadId>.*/\1/p')
    [ -n "$id" ] || return 1
    floor_config "$url" "$id" | curl -Z --parallel-max 4 -K - 2>/dev/null | sort -n >"$s3_place/stored" || return 1
    # curl says of a part that failed nothing but that its ETag is not there.
    [ "$(awk 'NF == 3' "$s3_place/stored" | wc -l)" = "$(wc -l <"$s3_place/parts.list")" ] || return 1
    {
        echo '<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        while read -r number base64 etag; do
            echo "<Part><PartNumber>$number</PartNumber><ETag>$etag</ETag><ChecksumSHA256>$base64</ChecksumSHA256></Part>"
        done <"$s3_place/stored"
        echo '</CompleteMultipartUpload>'
    } >"$s3_place/complete"
    $sign -X POST -H "x-amz-content-sha256:$(sha256sum <"$s3_place/complete" | cut -c1-64)" -H 'Content-Type: application/xml' \
        --data-binary "@$s3_place/complete" "$url?uploadId=$id" >/dev/null
}
export -f floor_config upload_parts_by_curl
