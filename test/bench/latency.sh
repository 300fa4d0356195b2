# latency.sh: what everything but the tools costs, for an empty database: from the commit of request_backup to
# pg_dump's start, and the whole job less pg_dump's own time. A wrapper around pg_dump writes the times down.

jobs=${JOBS:-21}
control=$workspace/run/latency-control
customer=$workspace/run/latency-customer
wrapper=$workspace/run/latency-tools
times=$workspace/run/latency-times

cleanup() {
    as_user pg_ctl -D "$control" -m immediate stop >/dev/null 2>&1
    as_user pg_ctl -D "$customer" -m immediate stop >/dev/null 2>&1
    rm -rf "$control" "$customer" "$wrapper"
}

free_port() { perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport'; }

# The tools' own seconds stand in the wrapper's file: begun and ended, in nanoseconds.
mkdir -p "$wrapper" "$workspace/run/latency-store"
chmod 700 "$workspace/run/latency-store"
for tool in pg_dump psql pg_restore; do
    cat >"$wrapper/$tool" <<SH
#!/bin/sh
[ "\$1" = --version ] && exec "$pg_bin/$tool" "\$@"
begun=\$(date +%s%N)
"$pg_bin/$tool" "\$@"
status=\$?
echo "\$begun \$(date +%s%N)" >>"$times"
exit \$status
SH
    chmod 755 "$wrapper/$tool"
done
: >"$times"
custbackup keygen >"$workspace/run/latency-key" && chmod 600 "$workspace/run/latency-key"
chown -R "$test_user" "$wrapper" "$times" "$workspace/run/latency-store" "$workspace/run/latency-key" 2>/dev/null

customer_port=$(free_port)
as_user initdb -D "$customer" -U postgres -A trust --no-sync >/dev/null
printf "listen_addresses = '127.0.0.1'\nport = %s\nunix_socket_directories = '%s'\n" "$customer_port" "$workspace/run" >>"$customer/postgresql.conf"
as_user pg_ctl -D "$customer" -l "$workspace/run/latency.log" -w start >/dev/null
control_port=$(free_port)
as_user initdb -D "$control" -U postgres -A trust --no-sync >/dev/null
cat >>"$control/postgresql.conf" <<CONF
listen_addresses = ''
port = $control_port
unix_socket_directories = '$workspace/run'
shared_preload_libraries = 'custbackup'
custbackup.database = 'postgres'
custbackup.mover = '$pg_bin/custbackup'
custbackup.key_file = '$workspace/run/latency-key'
custbackup.tool_path = '$wrapper'
custbackup.allow_local_targets = on
CONF
as_user pg_ctl -D "$control" -l "$workspace/run/latency.log" -w start >/dev/null
query() { psql -X -q -At -h "$workspace/run" -p "$control_port" -U postgres -d postgres -v ON_ERROR_STOP=1 "$@"; }

resource=11111111-1111-4111-8111-111111111111
url=$(printf 'postgresql://postgres@127.0.0.1:%s/postgres' "$customer_port" | as_user custbackup encrypt-url --key-file "$workspace/run/latency-key")
query -c 'CREATE EXTENSION custbackup' \
    -c "INSERT INTO custbackup.stores (name, url, is_default) VALUES ('default', 'file://$workspace/run/latency-store', true)" \
    -c "INSERT INTO custbackup.resources (id, token, tier, resource_type, connection_url) VALUES ('$resource', 'bench', 'pro', 'postgres', '$url')"

for round in $(seq "$jobs"); do
    : >"$times"
    job=$(query -c "SELECT custbackup.request_backup('$resource')")
    committed=$(date +%s%N)
    while [ "$(query -c "SELECT count(*) FROM custbackup.jobs WHERE id = '$job' AND status IN ('pending', 'running')")" != 0 ]; do sleep 0.02; done
    # The job's own account of its life, less what pg_dump took.
    query -F ' ' -c "SELECT status, extract(epoch FROM finished_at - requested_at) * 1000 FROM custbackup.jobs WHERE id = '$job'" |
        awk -v begun="$(cut -d' ' -f1 "$times" | head -1)" -v ended="$(cut -d' ' -f2 "$times" | tail -1)" -v committed="$committed" \
            '{ printf "%s %.1f %.1f %.1f\n", $1, (begun - committed) / 1e6, $2, $2 - (ended - begun) / 1e6 }'
done >"$workspace/run/latency-results"

echo "an empty database, $(grep -c '^ok' "$workspace/run/latency-results") of $jobs backups ok; medians:"
printf '| %-62s | %8.1f ms |\n' \
    'commit of request_backup (as psql saw it) to the start of pg_dump' "$(cut -d' ' -f2 "$workspace/run/latency-results" | median)" \
    'request to ok, all in all' "$(cut -d' ' -f3 "$workspace/run/latency-results" | median)" \
    'the same, less pg_dump (its wrapper included)' "$(cut -d' ' -f4 "$workspace/run/latency-results" | median)"
