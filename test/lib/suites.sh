# suites.sh: how each kind of test runs; sourced by check and prove after workspace.sh.
# Each function takes files relative to the source tree, runs them as the ordinary user, and
# returns non-zero when one failed.

run_unit_tests() {
    as_user prove --nocolor --directives ${PROVE_JOBS:+-j$PROVE_JOBS} "$@"
}

# prove is content with no test at all; we are not. What a test died of stands in its own log alone.
# --directives: skipped tests are named.
run_perl_tests() {
    [ $# -gt 0 ] || { echo 'no test was named' >&2; return 1; }
    # What an earlier suite's failure has left, where Postgres 15 keeps it and where newer ones do.
    rm -rf "$workspace/run/tmp_check" "$workspace"/run/data/* "$workspace"/run/log/*
    (cd "$workspace/run" && as_user prove --nocolor --timer --directives ${PROVE_JOBS:+-j$PROVE_JOBS} $(printf "$workspace/source/%s\n" "$@")) && return 0
    for log in $(grep -lE '^not ok|\.(t|pm) line [0-9]+\.?$' "$workspace"/run/tmp_check/log/regress_log_* "$workspace"/run/log/regress_log_* 2>/dev/null); do
        printf -- '-- the end of %s\n' "${log##*/}"
        tail -n 25 "$log"
    done
    return 1
}

# A server of its own, the extension preloaded but its worker pointed at a database that is not there:
# policy is tested by calling the functions, so nothing else may call them.
start_sql_server() {
    sql_data=$workspace/run/sql-server
    [ -d "$sql_data" ] && return 0
    as_user initdb -D "$sql_data" -U postgres -A trust --no-sync -E UTF8 --locale=C.UTF-8 >"$workspace/run/initdb.log" 2>&1 || {
        cat "$workspace/run/initdb.log" >&2
        return 1
    }
    sql_port=$(free_port)
    cat >>"$sql_data/postgresql.conf" <<CONF
listen_addresses = ''
port = $sql_port
unix_socket_directories = '$workspace/run'
fsync = off
max_prepared_transactions = 5
shared_preload_libraries = 'custbackup'
custbackup.database = 'nobody_has_this_database'
CONF
    as_user pg_ctl -D "$sql_data" -l "$workspace/run/sql-server.log" -w start >/dev/null || {
        cat "$workspace/run/sql-server.log" >&2
        return 1
    }
}

stop_sql_server() {
    [ -n "${sql_data:-}" ] && as_user pg_ctl -D "$sql_data" -m immediate stop >/dev/null 2>&1
    return 0
}

run_regress() {
    start_sql_server || return 1
    as_user "$PG_REGRESS" --host="$workspace/run" --port="$sql_port" --user=postgres --dbname=regress \
        --inputdir="$workspace/source/test" --outputdir="$workspace/run" --bindir="$pg_bin" "$@" ||
        { cat "$workspace/run/regression.diffs" 2>/dev/null; return 1; }
}

# Each file runs in the same new database, in a transaction of its own that it rolls back.
run_pgtap() {
    start_sql_server || return 1
    as_user psql -X -q -h "$workspace/run" -p "$sql_port" -U postgres -d postgres -v ON_ERROR_STOP=1 \
        -c 'DROP DATABASE IF EXISTS pgtap' -c 'CREATE DATABASE pgtap' >/dev/null 2>&1
    as_user psql -X -q -h "$workspace/run" -p "$sql_port" -U postgres -d pgtap -v ON_ERROR_STOP=1 \
        -c 'CREATE EXTENSION pgtap' -c 'CREATE EXTENSION custbackup' || return 1
    as_user pg_prove --nocolor -h "$workspace/run" -p "$sql_port" -U postgres -d pgtap $(printf "$workspace/source/%s\n" "$@")
}
