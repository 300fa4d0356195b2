# demo.sh: the demo's stage: servers by name, and SQL that is shown before it runs. Sourced by test/bin/demo.

servers=

heading() { printf '\n\033[1m── %s\033[0m\n' "$*"; }
say() { printf '   %s\n' "$*"; }
shell() {
    printf '   $ %s\n' "$1"
    shift
    "$@" | sed 's/^/     /'
}

port_of() { cat "$workspace/$1.port"; }

# start_server NAME [SETTINGS]: administrators by socket, customers by TCP with a password.
start_server() {
    local data=$workspace/$1 port
    as_user initdb -D "$data" -U postgres --auth=trust --no-sync -E UTF8 --locale=C.UTF-8 >"$data.initdb" 2>&1 || {
        cat "$data.initdb" >&2
        exit 1
    }
    port=$(free_port)
    echo "$port" >"$data.port"
    cat >>"$data/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1'
port = $port
unix_socket_directories = '$workspace'
password_encryption = 'scram-sha-256'
fsync = off
${2:-}
CONF
    printf 'local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n' >"$data/pg_hba.conf"
    as_user pg_ctl -D "$data" -l "$data.log" -w start >/dev/null || {
        tail -20 "$data.log" >&2
        exit 1
    }
    servers="$servers $1"
    say "$1: port $port"
}

stop_everything() {
    local status=$? server as=
    trap - EXIT
    if [ -n "${KEEP:-}" ]; then
        echo "kept, and running: $workspace"
        for server in $servers; do
            echo "  psql -h $workspace -p $(port_of "$server") -U postgres    # $server"
        done
        [ "$(id -u)" != 0 ] || as="runuser -u $test_user -- "
        echo "  to end: for d in$servers; do $as$pg_bin/pg_ctl -D $workspace/\$d stop; done; rm -r $workspace"
        exit $status
    fi
    for server in $servers; do
        as_user pg_ctl -D "$workspace/$server" -m fast -w stop >/dev/null 2>&1 || true
    done
    cd /
    remove_workspace
    exit $status
}

psql_on() {
    local server=$1 database=$2 user=$3
    shift 3
    psql -X -h "$workspace" -p "$(port_of "$server")" -U "$user" -d "$database" -v ON_ERROR_STOP=1 "$@"
}

# admin SERVER DATABASE STATEMENT...: the stage's own work, not shown.
admin() {
    local server=$1 database=$2 statement
    shift 2
    for statement in "$@"; do
        psql_on "$server" "$database" postgres -q -c "$statement"
    done
}

# customer SERVER DATABASE < SQL: as the customer's own role, not shown.
customer() {
    psql_on "$1" "$2" app -q
}

# sql SERVER DATABASE [ROLE] < SQL: shown, then run, then its answer.
sql() {
    local server=$1 database=$2 user=${3:-} text
    [ -n "$user" ] || { [ "$server" = control ] && user=postgres || user=app; }
    text=$(cat)
    # Ciphertext is long and teaches nothing.
    printf '%s\n' "$text" | sed -E "s/'([A-Za-z0-9_-]{24})[A-Za-z0-9_-]{60,}'/'\1…'/" |
        sed "1s/^/   $database=> /; 2,\$s/^/   $database-> /"
    printf '%s\n' "$text" | psql_on "$server" "$database" "$user" -q -P footer=off -P null=- | sed '/^ *$/d; s/^/     /'
}

# ask SERVER DATABASE ROLE QUERY: shown (on stderr, so that the value can be taken); prints the value.
ask() {
    printf '   %s=> %s;\n' "$2" "$4" >&2
    psql_on "$1" "$2" "$3" -qAt -c "$4"
}

encrypt() {
    printf '%s' "$1" | as_user custbackup encrypt-url --key-file "$workspace/custbackup.key"
}

# Tables, views, and a checksum over all rows of all tables of acme's shop, whatever their order.
checksum() {
    psql_on acme shop app -qAt <<'SQL' | sha256sum | cut -c 1-32
SELECT c.relkind, c.relname, CASE WHEN c.relkind = 'r' THEN query_to_xml(format(
         'SELECT count(*), sum((''x'' || left(md5(t::text), 15))::bit(60)::bigint) FROM %s t', c.oid::regclass), false, true, '')::text END
  FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v') ORDER BY 1, 2;
SQL
}

# watch_job ID: follows a job by the view that the API reads, one line for each change.
watch_job() {
    local line last='' end=$((SECONDS + 120))
    say "SELECT * FROM custbackup.progress;   -- again and again"
    while [ $SECONDS -lt $end ]; do
        line=$(psql_on control control postgres -qAt -F ' ' -c "
            SELECT kind, status, coalesce(phase::text, ''), coalesce(pg_size_pretty(bytes_read), ''),
                   coalesce('-> ' || pg_size_pretty(bytes_stored), '')
              FROM custbackup.progress ORDER BY kind")
        if [ -n "$line" ] && [ "$line" != "$last" ]; then
            printf '%s\n' "$line" | sed 's/^/     /'
            last=$line
        fi
        case $(psql_on control control postgres -qAt -c "SELECT status FROM custbackup.jobs WHERE id = '$1'") in
            ok | failed | cancelled | skipped) return 0 ;;
        esac
        sleep 0.2
    done
    echo "demo: the job did not end in time; the control plane's log says:" >&2
    tail -20 "$workspace/control.log" >&2
    exit 1
}
