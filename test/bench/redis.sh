# redis.sh: a server of REDIS_MB of keys, backed up to a local directory and put back, beside the plain tools.
# The server sends without delay (repl-diskless-sync-delay 0): only what is ours is measured.
# REDIS_SHAKE: RedisShake's executable, where there is one, restores the same file beside us.

redis_mb=${REDIS_MB:-300}
redis_dir=$workspace/run/redis
. "$source_dir/test/lib/bench_mover.sh"
make_mover "$workspace/run/redis-store"
mkdir -p "$redis_dir" && chown "$test_user" "$redis_dir" 2>/dev/null
ln -sf "$(command -v redis-check-rdb)" "$redis_dir/redis-server"

start_redis() {
    as_user "$redis_dir/redis-server" --port "$1" --bind 127.0.0.1 --dir "$redis_dir" --save '' --daemonize yes \
        --repl-diskless-sync-delay 0 --logfile "$redis_dir/log.$1" --pidfile "$redis_dir/pid.$1" >/dev/null
    until redis-cli -p "$1" ping 2>/dev/null | grep -q PONG; do sleep 0.05; done
}

cleanup() {
    for pid in "$redis_dir"/pid.*; do [ -f "$pid" ] && kill -9 "$(cat "$pid")" 2>/dev/null; done
    rm -rf "$redis_dir" "$store"
}

source_port=$(free_port)
start_redis "$source_port"
target_port=$(free_port)
start_redis "$target_port"

# Nine strings of about 330 bytes, half of it hard to compress, to each hash of twenty fields.
rows=$((redis_mb * 1000000 / 3900))
redis-cli -p "$source_port" eval 'for i = 1, ARGV[1] do
    for j = 1, 9 do
        redis.call("SET", "session:" .. i .. ":" .. j,
            string.rep(redis.sha1hex(i * 10 + j), 1) .. redis.sha1hex(i) .. redis.sha1hex(j + i * 7) .. redis.sha1hex(i - j) .. string.rep("some words of the usual kind ", 6))
    end
    local h = {}
    for j = 1, 20 do h[2 * j - 1] = "field" .. j; h[2 * j] = "value " .. i * j end
    redis.call("HSET", "user:" .. i, unpack(h))
end' 0 "$rows" >/dev/null

source_url=$(cipher "redis://127.0.0.1:$source_port")
target_url=$(cipher "redis://127.0.0.1:$target_port")
export source_url target_url source_port target_port

backup_command='backup_job redis "$source_url" >$workspace/run/job; run_mover $workspace/run/job $workspace/run/events'
before_each='rm -rf "$store"/bench; sync'
echo "backup of $(redis-cli -p "$source_port" dbsize) keys, $(redis-cli -p "$source_port" info memory | tr -d '\r' | sed -n 's/^used_memory_human://p') of memory, to a local directory"
compare \
    'redis-cli --rdb - >/dev/null (bare: the floor)' 'redis-cli -p $source_port --rdb - >/dev/null' \
    'custbackup: proof, gzip, sha256, fsync, manifest' "$backup_command" \
    'redis-cli --rdb - | gzip >file (as people do)' 'redis-cli -p $source_port --rdb - 2>/dev/null | gzip >$workspace/run/people.gz; rm $workspace/run/people.gz'

rm -rf "$store"/bench
bash -c "$backup_command" >/dev/null
echo "raw $(event_field raw_bytes "$workspace/run/events") bytes, stored $(event_field stored_bytes "$workspace/run/events")"
restore_job redis "$target_url" >"$workspace/run/restore"

# The same RESTORE commands as a file for redis-cli --pipe, made from DUMP.
perl -MIO::Socket::INET -e '
    my ($port, $all, $some) = @ARGV;
    my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => $port) or die;
    open my $out, ">:raw", $all or die;
    open my $few, ">:raw", $some or die;
    sub line { my $l = readline $s; $l =~ s/\r\n\z//; return $l }
    sub bulk { my $l = substr line(), 1; read $s, my $t, $l + 2; return substr $t, 0, $l }
    my ($cursor, $count) = (0, 0);
    do {
        print $s "SCAN $cursor COUNT 500\r\n";
        line();
        $cursor = bulk();
        my $n = substr line(), 1;
        my @keys = map { bulk() } 1 .. $n;
        print $s join "", map { "DUMP $_\r\n" } @keys;
        for my $key (@keys)
        {
            my $payload = bulk();
            my $text = sprintf "*5\r\n\$7\r\nRESTORE\r\n\$%d\r\n%s\r\n\$1\r\n0\r\n\$%d\r\n%s\r\n\$7\r\nREPLACE\r\n", length $key, $key, length $payload, $payload;
            print $out $text;
            print $few "$key\n" if $count++ < 500;
        }
    } while ($cursor);' "$source_port" "$workspace/run/commands" "$workspace/run/keys"

# Nobody keeps payloads in shell variables: each key goes from one server to the other.
cat >"$workspace/run/loop" <<'LOOP'
while read -r key; do
    redis-cli -p "$source_port" dump "$key" | head -c -1 | redis-cli -p "$target_port" -x restore "$key" 0 >/dev/null
done <"$workspace/run/keys"
LOOP

redis_shake=()
if [ -x "${REDIS_SHAKE:-}" ]; then
    mkdir "$workspace/run/shake" && chown "$test_user" "$workspace/run/shake" 2>/dev/null
    gzip -dc "$store"/bench/*.dump.gz >"$workspace/run/shake/dump.rdb"
    printf '[rdb_reader]\nfilepath = "%s"\n[redis_writer]\naddress = "127.0.0.1:%s"\n[advanced]\ndir = "%s"\nlog_level = "warn"\n' \
        "$workspace/run/shake/dump.rdb" "$target_port" "$workspace/run/shake" >"$workspace/run/shake/shake.toml"
    redis_shake=('RedisShake, the same file' 'as_user "$REDIS_SHAKE" "$workspace/run/shake/shake.toml"')
fi

before_each='redis-cli -p $target_port flushall >/dev/null'
printf '\nrestore of it into an empty server\n'
compare \
    'redis-cli --pipe, the same RESTOREs from a file (the floor)' 'redis-cli -p $target_port --pipe <$workspace/run/commands' \
    "${redis_shake[@]}" \
    'custbackup: sha256 first, proof, spare database, swap' 'run_mover $workspace/run/restore $workspace/run/events'
[ "$(redis-cli -p "$source_port" --no-raw debug digest)" = "$(redis-cli -p "$target_port" --no-raw debug digest)" ] || echo 'THE TWO SERVERS DIFFER'
before_each=
usual_rounds=$rounds rounds=1
printf '\na loop of redis-cli RESTORE, %s keys of %s\n' "$(wc -l <"$workspace/run/keys")" "$(redis-cli -p "$source_port" dbsize)"
compare 'a loop of redis-cli DUMP and RESTORE' 'bash $workspace/run/loop'
rounds=$usual_rounds

printf '\npeak resident memory of the mover: '
backup_job redis "$source_url" >"$workspace/run/job"
peak_of "$workspace/run/job"
echo -n ' during the backup, '
peak_of "$workspace/run/restore"
echo ' during the restore'

printf '\nbackup of an empty server\n'
redis-cli -p "$target_port" flushall >/dev/null
before_each='rm -rf "$store"/bench'
compare \
    'redis-cli --rdb - >/dev/null' 'redis-cli -p $target_port --rdb - >/dev/null' \
    'custbackup' 'backup_job redis "$target_url" >$workspace/run/job; run_mover $workspace/run/job $workspace/run/events'
before_each=
