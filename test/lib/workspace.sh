# workspace.sh: sourced by check, demo and bench.
#
# Owns: a temporary directory that belongs to an ordinary user, a private copy of
# the Postgres installation with this build installed into it (the system's own is
# never written to), and the way to run a command as that user when we are root.
#
# Postgres finds its files relative to its executable, so a copy of bin, lib and
# share in the same relation is a complete installation.

source_dir=$(cd "$(dirname "$0")/../.." && pwd)
PG_CONFIG=${PG_CONFIG:-pg_config}
case $source_dir${TMPDIR:-} in
    *[[:space:]]*)
        echo "custbackup: the tests cannot stand a blank in a path: '$source_dir', TMPDIR '${TMPDIR:-/tmp}'" >&2
        exit 1
        ;;
esac
# Each make below counts its own jobs: of `make -j check` it would warn instead, and warnings are counted.
MAKEFLAGS=$(printf '%s' "${MAKEFLAGS:-}" | sed -E 's/(^| )-j *[0-9]*( |$)/\1/g; s/ ?--jobserver-[a-z]+=[^ ]*//g')
export MAKEFLAGS

# The user that servers and tests run as: never root.
if [ "$(id -u)" = 0 ]; then
    test_user=${TEST_USER:-postgres}
else
    test_user=$(id -un)
fi

as_user() {
    if [ "$(id -u)" = 0 ]; then
        # Not su: no PAM session, and the environment stays as it was made here.
        HOME=$workspace setpriv --reuid="$test_user" --regid="$(id -g "$test_user")" --init-groups --inh-caps=-all -- "$@"
    else
        "$@"
    fi
}

# A port of loopback that nobody listens on.
free_port() {
    perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport'
}

# build [--in DIRECTORY] TARGETS...: in the source tree, or in another directory below it.
build() {
    local place="-C $source_dir"
    if [ "$1" = --in ]; then
        mkdir -p "$source_dir/$2"
        place="-C $source_dir/$2 -f $source_dir/Makefile"
        shift 2
    fi
    make $place -s -j"$(nproc)" PG_CONFIG="$PG_CONFIG" "$@" || exit 1
}

# make_workspace NAME: sets $workspace, $pg_bin and PATH.
make_workspace() {
    workspace=$(mktemp -d "${TMPDIR:-/tmp}/custbackup-$1.XXXXXX")
    chmod 755 "$workspace"
    pg_root=$workspace/pg
    bindir=$("$PG_CONFIG" --bindir)
    # libpq-dev's pg_config and the server's agree on everything that we ask.
    for dir in "$bindir" "$("$PG_CONFIG" --pkglibdir)" "$("$PG_CONFIG" --sharedir)"; do
        mkdir -p "$pg_root$dir"
        # pgxs/src/test and the like are read from the system; hard links where the file system allows.
        cp -a "$dir/." "$pg_root$dir/"
    done
    make -C "$source_dir" -s PG_CONFIG="$PG_CONFIG" DESTDIR="$pg_root" install >/dev/null || exit 1
    pg_bin=$pg_root$bindir
    export INSTALLED_ROOT=$pg_root
    PATH=$pg_bin:$PATH
    export PATH
    chown -R "$test_user" "$workspace" 2>/dev/null || true
}

remove_workspace() {
    [ -n "${workspace:-}" ] && [ -d "$workspace" ] || return 0
    if [ -n "${KEEP:-}" ]; then
        echo "kept: $workspace"
    else
        rm -rf "$workspace"
    fi
}
