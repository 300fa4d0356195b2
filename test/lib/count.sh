# count.sh: runs suites and counts their tests; sourced by test/bin/check.
#
# Every number comes from what the runners say about themselves: prove's closing lines, or TAP.

passed=0 failed=0 skipped=0
broken=() skips=() failures=()
suite_log=$(mktemp)

# suite NAME COMMAND...: runs it, adds its tests to passed and failed, its skips (with their reasons) to skips.
suite() {
    local name=$1 status tests bad line begun=$SECONDS
    local -a left_out=() missed=()
    shift
    printf '\n== %s\n' "$name"
    "$@" 2>&1 | tee "$suite_log"
    status=${PIPESTATUS[0]}
    if grep -q '^subtotal: ' "$suite_log"; then
        read -r tests bad < <(sed -n 's/^subtotal: \([0-9]*\) tests, \([0-9]*\) failed.*/\1 \2/p' "$suite_log" | tail -1)
        mapfile -t left_out < <(sed -n 's/^  skipped: //p' "$suite_log")
    elif grep -q '^Files=' "$suite_log"; then
        # A file that died between two tests has failed once, too.
        tests=$(sed -n 's/^Files=[0-9]*, Tests=\([0-9]*\),.*/\1/p' "$suite_log" | awk '{ n += $1 } END { print n + 0 }')
        bad=$(sed -n 's/.*(Wstat: .*Tests: [0-9]* Failed: \([0-9]*\)).*/\1/p' "$suite_log" | awk '{ n += $1 > 0 ? $1 : 1 } END { print n + 0 }')
        mapfile -t left_out < <(skips_of_prove <"$suite_log")
        # The skipped tests of a file are among its tests; a file that was skipped whole is not.
        tests=$((tests - $(grep -cE '^ok [0-9]+.* # skip' "$suite_log")))
    else
        tests=$(grep -cE '^(ok|not ok) [0-9]+|^test .* \.\.\. (ok|FAILED)' "$suite_log")
        bad=$(grep -cE '^not ok [0-9]+|^test .* \.\.\. FAILED' "$suite_log")
    fi
    if [ "$status" != 0 ]; then
        broken+=("$name")
        mapfile -t missed < <(failures_of "$suite_log")
        for line in "${missed[@]}"; do failures+=("$name: $line"); done
        [ "$bad" != 0 ] || { bad=1 tests=$((tests + 1)); }
    fi
    passed=$((passed + tests - bad)) failed=$((failed + bad)) skipped=$((skipped + ${#left_out[@]}))
    for line in "${left_out[@]}"; do skips+=("$line"); done
    echo "-- $name: $((tests - bad)) passed, $bad failed, ${#left_out[@]} skipped, $((SECONDS - begun)) s"
}

# skip NAME REASON: a suite that cannot run here.
skip() {
    printf '\n== %s\n-- skipped: %s\n' "$1" "$2"
    skips+=("$1: $2")
    skipped=$((skipped + 1))
}

# "file: reason" for each: prove --directives names the tests, and the file on the line before.
skips_of_prove() {
    awk '
        match($0, /[^ \/]+\.(t|sql) \.+/) { file = substr($0, RSTART, RLENGTH); sub(/ \.+$/, "", file) }
        / skipped: / { sub(/.* skipped: /, ""); print file ": " $0 }
        /^ok [0-9]+.* # skip/ { sub(/.* # skip */, ""); print file ": " $0 }'
}

# "the test (file line n)" for each that failed, as Test::More and pg_prove say it, and each file that ended badly: a log's
# end is all that many a CI keeps.
failures_of() {
    awk '
        /^# +Failed test/ {
            sub(/^# +Failed test:? */, "")
            name = $0
            if (getline > 0 && /^# +at /) { sub(/^# +at (.*\/)?/, ""); name = name " (" $0 ")" }
            print name
        }
        / \(Wstat: / { sub(/.*\//, ""); print }
        /^not ok [0-9]+ / { print }
        /^test .* \.\.\. FAILED/ { print }' "$1"
}

# The last lines. For --core, in the form that suite() of the outer check reads.
report() {
    local line
    printf '\n'
    [ ${#broken[@]} = 0 ] || { printf 'failed:'; printf " '%s'" "${broken[@]}"; echo ' (KEEP=1 make check keeps the servers'\'' logs)'; }
    [ ${#failures[@]} = 0 ] || printf '  not ok: %s\n' "${failures[@]}"
    [ "$skipped" = 0 ] || echo "$skipped skipped:"
    [ "$skipped" = 0 ] || printf '%s\n' "${skips[@]}" | sort | uniq -c | while read -r count line; do
        for _ in $(seq "$count"); do echo "  skipped: $line"; done
    done
    echo "took $SECONDS s"
    if [ "${1:-}" = --core ]; then
        echo "subtotal: $((passed + failed)) tests, $failed failed, $skipped skipped"
    else
        echo "$passed passed, $failed failed"
    fi
    rm -f "$suite_log"
    [ ${#broken[@]} = 0 ] && [ "$failed" = 0 ]
}
