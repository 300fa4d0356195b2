# run_as.sh: the environment in which prove runs a file of test/t; sourced after make_workspace.

pgxs_dir=$(dirname "$("$PG_CONFIG" --pgxs)")/..
export PERL5LIB="$pgxs_dir/test/perl:$workspace/source/test/lib${PERL5LIB:+:$PERL5LIB}"
export PG_REGRESS="$pgxs_dir/test/regress/pg_regress"
export CUSTBACKUP_BIN="${CUSTBACKUP_BIN:-$pg_bin/custbackup}"
export SOURCE_DIR="$workspace/source"
export TESTDIR="$workspace/run" TESTDATADIR="$workspace/run/data" TESTLOGDIR="$workspace/run/log"
export top_builddir="$workspace/run" PG_TEST_PORT_DIR="${PG_TEST_PORT_DIR:-/tmp/custbackup-ports-$(id -un)}"
export PG_TEST_TIMEOUT_DEFAULT="${PG_TEST_TIMEOUT_DEFAULT:-180}"
export LC_ALL=C.UTF-8
# Neither the language nor the servers and credentials of whoever runs the tests.
unset LANGUAGE CUSTBACKUP_SETTINGS $(env | sed -nE 's/^(PG[A-Z]+|AWS_[A-Z0-9_]+|SSL_CERT_[A-Z]+)=.*/\1/p')

mkdir -p "$workspace/run/data" "$workspace/run/log" "$workspace/source" "$PG_TEST_PORT_DIR"
tar -C "$source_dir" --exclude=./build --exclude=./.git --exclude='*.o' -cf - . | tar -C "$workspace/source" -xf -
mkdir -p "$workspace/unit" && cp -a "$source_dir"/build/unit/. "$workspace/unit/" 2>/dev/null || true
export UNIT_DIR="$workspace/unit"
# Servers that test/bin/build-tools has built.
CUSTBACKUP_TOOLS=${CUSTBACKUP_TOOLS:-$(dirname "$("$source_dir/test/bin/build-tools" --dir)")}
export CUSTBACKUP_TOOLS
# And those of the other Debian.
CUSTBACKUP_CHROOTS=$(dirname "$("$source_dir/test/bin/check-release" 17 --root)")
export CUSTBACKUP_CHROOTS
chown -R "$test_user" "$workspace" "$PG_TEST_PORT_DIR" 2>/dev/null || true
cd "$workspace/run" || exit 1
