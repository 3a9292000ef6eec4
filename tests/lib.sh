# SPDX-License-Identifier: GPL-3.0-or-later
# lib.sh - sourced by shell tests: what mixsweep is asked, what it has to say. The last answer is in
# the files out (its stdout) and err (its stderr).
python=${MIXSWEEP_PYTHON:-/usr/bin/python3}
TMPDIR=$(mktemp -d) # what mpirun leaves behind
export TMPDIR OMPI_MCA_btl_vader_backing_directory=$TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT

die() {
    echo "$*"
    for file in out err; do [ ! -f $file ] || tail -n 60 $file; done
    exit 1
}

# run ARGUMENTS... - mixsweep succeeds
run() { "$MIXSWEEP" "$@" >out 2>err || die "mixsweep $* failed"; }

says() { grep -qF -- "$1" out err || die "nothing says \"$1\""; }
matches() { grep -q -- "$1" out err || die "nothing is like \"$1\""; }
prints() { grep -q -- "$1" out || die "no output is like \"$1\""; } # stdout alone

# refuses STATUS SENTENCE ARGUMENTS... - mixsweep does not do that
refuses() {
    local expected=$1 sentence=$2 status=0
    shift 2
    "$MIXSWEEP" "$@" >out 2>err || status=$?
    [ $status = "$expected" ] || die "mixsweep $* ended with $status, not $expected"
    says "$sentence"
}

# fails STATUS PATTERN COMMAND... - the exit status, and what stderr is like
fails() {
    local expected=$1 pattern=$2 status=0
    shift 2
    "$@" >out 2>err || status=$?
    [ $status = "$expected" ] || die "$* ended with $status, not $expected"
    grep -q -- "$pattern" err || die "stderr is not like \"$pattern\": $*"
}

# expect STATUS PATTERN COMMAND... - the same, of stdout and stderr together, both in out
expect() {
    local expected=$1 pattern=$2 status=0
    shift 2
    rm -f err
    "$@" >out 2>&1 || status=$?
    [ $status = "$expected" ] || die "$* ended with $status, not $expected"
    grep -q -- "$pattern" out || die "nothing is like \"$pattern\": $*"
}

# holds EXPRESSION - Python, of the JSON j in out; $facts may define more
holds() {
    "$python" -c 'import json, math, sys
j = json.load(open("out"))
exec(sys.argv[2])
sys.exit(not eval(sys.argv[1], globals()))' "$1" "${facts:-}" || die "in the JSON this does not hold: $1"
}

# equal A.h5 B.h5 - but for times and places
equal() { "$python" "$MIXSWEEP_TESTS/h5equal.py" "$1" "$2" || die "$1 and $2 differ"; }

# in_folder NAME COMMAND...
in_folder() {
    mkdir -p "$1"
    (cd "$1" && shift && exec "$@")
}
