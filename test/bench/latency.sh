# latency.sh: what everything but the tools costs, for an empty database: from the commit of request_backup to
# pg_dump's start, and from that commit to the commit of `ok` less pg_dump's own time.
#
# The commits' times are the server's own (track_commit_timestamp). pg_dump's are written down by a wrapper: a small
# static program, since a shell with two calls of date took longer than what is measured. From its own start to
# pg_dump's end is pg_dump's time; the wrapper's own loading and ending (about half a millisecond) counts as ours.
#
# Both servers, and with them mover and pg_dump, run at real-time priority where that is allowed (to root): else what
# is measured on a machine that does other things as well is those.

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

start_server() {
    (
        chrt -f -p 5 "$BASHPID" 2>/dev/null
        as_user pg_ctl -D "$1" -l "$workspace/run/latency.log" -w start >/dev/null
    )
}

mkdir -p "$wrapper" "$workspace/run/latency-store"
chmod 700 "$workspace/run/latency-store"
cat >"$workspace/run/wrapper.c" <<'C'
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int
main(int argc, char **argv)
{
	const char *name = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
	char path[4096];
	struct timespec begun, ended;
	int status = 0;
	pid_t tool;
	FILE *times;

	clock_gettime(CLOCK_REALTIME, &begun);
	snprintf(path, sizeof(path), "%s/%s", TOOLS, name);
	/* Only the dump itself is timed. */
	if (argc == 2 && strcmp(argv[1], "--version") == 0)
		return execv(path, argv);
	tool = vfork();
	if (tool == 0)
	{
		execv(path, argv);
		_exit(127);
	}
	waitpid(tool, &status, 0);
	clock_gettime(CLOCK_REALTIME, &ended);
	times = fopen(TIMES, "a");
	if (times != NULL)
		fprintf(times, "%lld.%06ld %lld.%06ld\n", (long long) begun.tv_sec, begun.tv_nsec / 1000, (long long) ended.tv_sec,
				ended.tv_nsec / 1000);
	return times != NULL && fclose(times) == 0 && WIFEXITED(status) ? WEXITSTATUS(status) : 126;
}
C
for tool in pg_dump psql pg_restore; do
    cc -O2 -static -DTOOLS="\"$pg_bin\"" -DTIMES="\"$times\"" -o "$wrapper/$tool" "$workspace/run/wrapper.c" || return 1
done
: >"$times"
custbackup keygen >"$workspace/run/latency-key" && chmod 600 "$workspace/run/latency-key"
chown -R "$test_user" "$wrapper" "$times" "$workspace/run/latency-store" "$workspace/run/latency-key" 2>/dev/null

customer_port=$(free_port)
as_user initdb -D "$customer" -U postgres -A trust --no-sync >/dev/null
printf "listen_addresses = '127.0.0.1'\nport = %s\nunix_socket_directories = '%s'\n" "$customer_port" "$workspace/run" >>"$customer/postgresql.conf"
start_server "$customer"
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
track_commit_timestamp = on
CONF
start_server "$control"
query() { psql -X -q -At -h "$workspace/run" -p "$control_port" -U postgres -d postgres -v ON_ERROR_STOP=1 "$@"; }

resource=11111111-1111-4111-8111-111111111111
url=$(printf 'postgresql://postgres@127.0.0.1:%s/postgres' "$customer_port" | as_user custbackup encrypt-url --key-file "$workspace/run/latency-key")
query -c 'CREATE EXTENSION custbackup' \
    -c "INSERT INTO custbackup.stores (name, url, is_default) VALUES ('default', 'file://$workspace/run/latency-store', true)" \
    -c "INSERT INTO custbackup.resources (id, token, tier, resource_type, connection_url) VALUES ('$resource', 'bench', 'pro', 'postgres', '$url')"

# Once, so that caches and plans are what they are on any other day.
for round in $(seq 0 "$jobs"); do
    : >"$times"
    job=$(query -c "SELECT custbackup.request_backup('$resource')")
    # Nothing else of ours runs meanwhile: there are two cores.
    sleep 0.5
    while [ "$(query -c "SELECT count(*) FROM custbackup.jobs WHERE id = '$job' AND status IN ('pending', 'running')")" != 0 ]; do sleep 0.2; done
    [ "$round" = 0 ] || query -F ' ' -c "SELECT event, extract(epoch FROM pg_xact_commit_timestamp(xmin)) FROM custbackup.events WHERE job_id = '$job' ORDER BY id" |
        awk -v begun="$(cut -d' ' -f1 "$times" | head -1)" -v ended="$(cut -d' ' -f2 "$times" | tail -1)" \
            '{ at[$1] = $2 } END { if ("ok" in at) { all = at["ok"] - at["requested"]
               printf "ok %.2f %.2f %.2f\n", 1000 * (begun - at["requested"]), 1000 * all, 1000 * (all - (ended - begun)) } }'
done >"$workspace/run/latency-results"

echo "an empty database, $(grep -c '^ok' "$workspace/run/latency-results") of $jobs backups ok; medians:"
printf '| %-62s | %8.1f ms |\n' \
    'commit of request_backup to the start of pg_dump' "$(cut -d' ' -f2 "$workspace/run/latency-results" | median)" \
    'commit of request_backup to the commit of ok' "$(cut -d' ' -f3 "$workspace/run/latency-results" | median)" \
    'the same, less pg_dump' "$(cut -d' ' -f4 "$workspace/run/latency-results" | median)"
