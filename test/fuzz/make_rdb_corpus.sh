#!/bin/bash
# Makes the RDB files of test/fuzz/corpus/rdb with a real server:
#   make_rdb_corpus.sh NAME REDIS_SERVER [REDIS_CLI]
# Files: NAME-all.rdb (every type and encoding, two databases, expiries, a function), NAME-empty.rdb,
# NAME-lru.rdb, NAME-lfu.rdb (idle times, frequencies), NAME-plain.rdb (not compressed).
set -eu
name=$1 server=$2 cli=${3:-redis-cli}
corpus=$(cd "$(dirname "$0")" && pwd)/corpus/rdb
dir=$(mktemp -d)
port=$((20000 + RANDOM % 20000))
"$server" --port $port --bind 127.0.0.1 --dir "$dir" --save '' --daemonize no --logfile "$dir/log" --list-max-listpack-size 8 &
pid=$!
trap 'kill $pid; wait $pid 2>/dev/null || true; rm -rf "$dir"' EXIT
r() { "$cli" -h 127.0.0.1 -p $port "$@" >/dev/null; }
try() { "$cli" -e -h 127.0.0.1 -p $port "$@" >/dev/null 2>&1 || true; }
for _ in $(seq 100); do "$cli" -h 127.0.0.1 -p $port ping 2>/dev/null | grep -q PONG && break; sleep 0.05; done
keep() { r save; cp "$dir/dump.rdb" "$corpus/$name-$1.rdb"; }

keep empty
r set text hello; r set empty ''; r set tiny 7; r set short -300; r set int 70000; r set long 9223372036854775807
r set compressed "$(printf 'ab%.0s' $(seq 200))"
r set raw 'each byte of this one is different: 0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ'
r set 12345 'a key that is a number'
r set "$(printf 'key%.0s' $(seq 50))" 'a key that compresses'
r set expiring x EX 100000000
r rpush list $(seq 40); r rpush plain "$(printf 'x%.0s' $(seq 9000))" y
r sadd intset 1 2 3; r sadd listpackset a b c; r sadd hashset $(seq -f 'm%g' 30)
r zadd zset 1 a 2.5 b inf c; r zadd skiplist $(for i in $(seq 140); do echo "$i.25 m$i"; done)
r hset hash a 1 b 2; r hset table $(for i in $(seq 600); do echo "f$i v$i"; done)
for i in $(seq 120); do echo "xadd stream $i-1 field value$i other $((i * i))"; done | "$cli" -h 127.0.0.1 -p $port >/dev/null
r xgroup create stream group 0; r xgroup create stream idle '$'
r xreadgroup group group alice count 5 streams stream '>'
r xreadgroup group group bob count 3 streams stream '>'
r xdel stream 3-1; r xack stream group 1-1
try function load "$(printf '#!lua name=mylib\nredis.register_function("myfunc", function(keys, args) return args[1] end)')"
try hset fields a 1 b 2; try hexpire fields 100000000 FIELDS 1 a
try hset manyfields $(for i in $(seq 600); do echo "f$i v$i"; done); try hexpire manyfields 100000000 FIELDS 1 f7
r -n 3 set other 'in database 3'; r -n 9 set elsewhere 'in database 9'
keep all
r config set rdbcompression no
r flushall; r set text "$(printf 'ab%.0s' $(seq 50))"; r rpush list 1 2 3
keep plain
r flushall; r config set maxmemory-policy allkeys-lru; r set a 1; r rpush b 1 2 3; keep lru
r flushall; r config set maxmemory-policy allkeys-lfu; r set a 1; r set b 2 EX 100000000; keep lfu
ls -l "$corpus"/"$name"-*
