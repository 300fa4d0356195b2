# mongodb.sh: a database of MONGODB_MB of documents in a FerretDB, backed up to a local directory and put back,
# beside bare mongodump and mongorestore. The server's files are in memory where there is room.

mongodb_mb=${MONGODB_MB:-60}
"$source_dir/test/bin/build-tools" ferretdb mongodump mongorestore || return 1
build unit-tests
tool_path=$("$source_dir/test/bin/build-tools" --dir)
. "$source_dir/test/lib/bench_mover.sh"
place=$(mktemp -d "$([ -w /dev/shm ] && echo /dev/shm || echo "$workspace/run")/custbackup-bench.XXXXXX")
mongodb_port=$(free_port)

cleanup() {
    kill -9 "$ferretdb" 2>/dev/null
    wait "$ferretdb" 2>/dev/null
    rm -rf "$place"
}

"$tool_path/ferretdb" --handler=sqlite "--sqlite-url=file:$place/" "--listen-addr=127.0.0.1:$mongodb_port" --telemetry=disable "--state-dir=$place" \
    --debug-addr=- --log-level=error >"$place/log" 2>&1 &
ferretdb=$!
until (exec 3<>"/dev/tcp/127.0.0.1/$mongodb_port") 2>/dev/null; do
    kill -0 $ferretdb || return 1
    sleep 0.1
done

# Documents of about a kilobyte, half of each hard to compress, a hundred to a request.
server_url=mongodb://127.0.0.1:$mongodb_port
perl -MDigest::SHA=sha256_hex -e '
    my $number = 0;
    for (1 .. $ARGV[0] * 10)
    {
        print "shop {\"insert\":\"orders\",\"documents\":[", join(",", map {
            my $n = $number++;
            sprintf q({"_id":%d,"token":"%s","note":"%s","amount":%d,"at":{"$date":{"$numberLong":"%d"}},"lines":[{"article":"a%d","count":%d}]}), $n,
              join("", map { sha256_hex("$n $_") } 1 .. 7), "some words of the usual kind " x 15, $n * 7919 % 100003, 1700000000000 + $n, $n % 500, $n % 9
        } 1 .. 100), "]}\n";
    }' "$mongodb_mb" | "$source_dir/build/unit/mongodb_tool" "$server_url/" >/dev/null

make_mover "$place/store"
chmod 755 "$place"
source_url=$(cipher "$server_url/shop")
target_url=$(cipher "$server_url/copy")
export server_url source_url tool_path place
drop_copies() { printf '%s {"dropDatabase":1}\n' copy bare | "$source_dir/build/unit/mongodb_tool" "$server_url/" >/dev/null; }

before_each='rm -rf "$store"/bench; sync'
echo 'backup to a local directory'
compare \
    'mongodump --archive >/dev/null (bare: the floor)' '$tool_path/mongodump --quiet --uri=$server_url/shop --archive >/dev/null' \
    'custbackup: mongodump, proof, gzip, sha256, fsync, manifest' 'backup_job mongodb "$source_url" >$workspace/run/job; run_mover $workspace/run/job $workspace/run/events' \
    'mongodump --archive --gzip >file (as people do)' '$tool_path/mongodump --quiet --uri=$server_url/shop --archive --gzip >$place/people.gz'

backup_job mongodb "$source_url" >"$workspace/run/job"
run_mover "$workspace/run/job" "$workspace/run/events"
echo "raw $(event_field raw_bytes "$workspace/run/events") bytes, stored $(event_field stored_bytes "$workspace/run/events")"
restore_job mongodb "$target_url" >"$workspace/run/restore"
"$tool_path/mongodump" --quiet --uri="$server_url/shop" --archive="$place/archive"

before_each=drop_copies
printf '\nrestore of it into an empty database\n'
compare \
    'mongorestore --archive of the uncompressed file (the floor)' '$tool_path/mongorestore --quiet --uri=$server_url --archive=$place/archive --nsFrom="shop.*" --nsTo="bare.*"' \
    'custbackup: sha256 first, proof, beside, renamed' 'run_mover $workspace/run/restore $workspace/run/restore-events'

printf '\npeak resident memory of the mover: '
backup_job mongodb "$source_url" >"$workspace/run/job"
peak_of "$workspace/run/job"
echo -n ' during the backup, '
drop_copies
peak_of "$workspace/run/restore"
echo ' during the restore'
before_each=
