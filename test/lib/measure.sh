# measure.sh: sourced by benchmarks. Wall time, and CPU of client and server, of a command.
#
# compare NAME_A 'command a' NAME_B 'command b' ...: runs them in turn, ROUNDS times each, so that a machine
# whose speed drifts drifts for all; prints a table with medians and the ratio to the first. The medians of wall time
# stand in walls[] afterwards.
#
# $servers: process ids of the servers that work for the commands. Where they are named, CPU is theirs and the
# command's alone, whatever else runs; else it is the whole machine's.

rounds=${ROUNDS:-3}
servers=

# Hundredths of a second: of the servers, their children, and those of these that have ended; or of all cores since boot.
busy_ticks() {
    local server pid
    if [ -z "$servers" ]; then
        awk '/^cpu / { print $2 + $3 + $4 + $7 + $8 }' /proc/stat
        return
    fi
    for server in $servers; do
        # Behind the last parenthesis, which ends the name.
        for pid in "$server" $(pgrep -P "$server"); do sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null; done
    done | awk '{ sum += $12 + $13 + $14 + $15 } END { print sum }'
}

# measure_once COMMAND: prints "wall_seconds cpu_seconds".
measure_once() {
    local ticks wall user system TIMEFORMAT='%R %U %S'
    ticks=$(busy_ticks)
    { time bash -c "$1" >/dev/null 2>"$workspace/run/measure.err"; } 2>"$workspace/run/measure.time" || {
        echo "benchmark command failed: $1" >&2
        tail -5 "$workspace/run/measure.err" >&2
        return 1
    }
    read -r wall user system <"$workspace/run/measure.time"
    [ -n "$servers" ] || user=0 system=0
    awk -v wall="$wall" -v own="$user $system" -v t="$ticks" -v u="$(busy_ticks)" -v hz="$(getconf CLK_TCK)" \
        'BEGIN { split(own, o, " "); printf "%.3f %.3f\n", wall, o[1] + o[2] + (u - t) / hz }'
}

median() {
    sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

compare() {
    local results=$workspace/run/measure.$RANDOM round i name
    local names=() commands=()
    while [ $# -gt 0 ]; do
        names+=("$1")
        commands+=("$2")
        shift 2
    done
    for round in $(seq "$rounds"); do
        for i in "${!names[@]}"; do
            [ -z "${before_each:-}" ] || eval "$before_each"
            measure_once "${commands[$i]}" >>"$results.$i" || return 1
        done
    done
    local wall cpu first_wall first_cpu
    printf '| %-58s | %8s | %8s | %6s | %6s |\n' "median of $rounds" 'wall s' 'CPU s' 'wall x' 'CPU x'
    printf '|%s|---------:|---------:|-------:|-------:|\n' "$(printf -- '-%.0s' $(seq 60))"
    walls=()
    for i in "${!names[@]}"; do
        wall=$(cut -d' ' -f1 "$results.$i" | median)
        cpu=$(cut -d' ' -f2 "$results.$i" | median)
        walls+=("$wall")
        first_wall=${first_wall:-$wall} first_cpu=${first_cpu:-$cpu}
        name=${names[$i]}
        printf '| %-58s | %8.2f | %8.2f | %6s | %6s |\n' "$name" "$wall" "$cpu" \
            "$(awk -v a="$wall" -v b="$first_wall" 'BEGIN { printf "%.2f", a / b }')" \
            "$(awk -v a="$cpu" -v b="$first_cpu" 'BEGIN { printf "%.2f", a / b }')"
    done
    rm -f "$results".*
}
