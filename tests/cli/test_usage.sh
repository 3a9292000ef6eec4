# SPDX-License-Identifier: GPL-3.0-or-later
# What the program says to help, versions and wrong use, and with which exit status.
. "$MIXSWEEP_TESTS/lib.sh"

expect 0 '^  status ' "$MIXSWEEP" --help
expect 0 '^  mixsweep optimum' "$MIXSWEEP" --help
expect 0 '^mixsweep [0-9]*\.[0-9]*\.[0-9]* (commit ' "$MIXSWEEP" --version
expect 2 '^mixsweep: which verb?' "$MIXSWEEP"
expect 2 '^See mixsweep --help\.$' "$MIXSWEEP"
expect 2 'there is no verb "statsu"; did you mean status?' "$MIXSWEEP" statsu
expect 2 'there is no verb "xyzzyxyzzy"\.$' "$MIXSWEEP" xyzzyxyzzy
expect 2 'there is no option --frobnicate before a verb' "$MIXSWEEP" --frobnicate

expect 0 '^Use: mixsweep status S.h5' "$MIXSWEEP" status --help
expect 0 '^Use: mixsweep status S.h5' "$MIXSWEEP" status nothing.h5 --no-such-option -h
expect 2 'there is no option --fromat; did you mean --format?' "$MIXSWEEP" status s.h5 --fromat=json
expect 2 '^See mixsweep status --help\.$' "$MIXSWEEP" status s.h5 --fromat=json
expect 2 '--format "yaml": not text or json' "$MIXSWEEP" status s.h5 --format yaml
expect 2 '--format needs a value' "$MIXSWEEP" status s.h5 --format
expect 2 'something is missing: mixsweep status S.h5' "$MIXSWEEP" status
expect 2 'one word too many, "b.h5"' "$MIXSWEEP" status a.h5 b.h5
expect 2 '--output "": FILE is empty' "$MIXSWEEP" import runs.csv -o ''
expect 2 '--fit "x" goes with fits, bootstrap and optimum, not with runs' "$MIXSWEEP" export none.h5 runs --fit x
expect 2 'add takes no --flops' "$MIXSWEEP" domains add none.h5 d -o new.h5 --flops 1e9
expect 2 'plan takes no --prior' "$MIXSWEEP" domains plan none.h5 --prior 0.5
expect 2 '--stop-before "0x10": not a time like 300s' "$MIXSWEEP" sweep none.yaml --stop-before 0x10
expect 1 'mixsweep: .*none\.h5' "$MIXSWEEP" status none.h5
expect 1 'mixsweep: .*--none' "$MIXSWEEP" status -- --none

# Every verb explains itself, and --help wins whatever else is on the line.
for verb in $("$MIXSWEEP" --help | sed -n 's/^  \([a-z]*\)  *[a-z].*/\1/p' | grep -v '^mix\|^mpi'); do
    expect 0 "^Use: mixsweep $verb " "$MIXSWEEP" "$verb" --help
    ! LC_ALL=C.UTF-8 grep -E '.{97}| $' out || die "lines of $verb --help are too long, or end in blanks"
    expect 2 "^See mixsweep $verb --help\.$" "$MIXSWEEP" "$verb" --no-such-option
done

# A result that cannot be written is a failure.
expect 1 'cannot write to standard output: No space left on device' \
    bash -c "'$MIXSWEEP' --help >/dev/full"
expect 1 'cannot write to standard output' bash -c "'$MIXSWEEP' --help >&-"
# Nor is a file beyond the limit on its size the end of the program.
expect 1 'File too large' \
    bash -c "set -o pipefail; (ulimit -f 0; '$MIXSWEEP' --help 2>&1 >big) | cat"
# A reader that has seen enough (`| head`) needs no word about it.
expect 1 '^silent$' \
    bash -c "exec 3> >(exit); wait \$!; '$MIXSWEEP' --help >&3 2>err && exit; [ -s err ] || echo silent; exit 1"

# Under mpirun one process speaks.
test "$(mpirun -n 3 "$MIXSWEEP" --version | wc -l)" = 1
test "$(mpirun -n 3 "$MIXSWEEP" fit --help | grep -c '^Use:')" = 1
got=0
mpirun -n 3 "$MIXSWEEP" fit --no-such-option >out 2>&1 || got=$?
test $got = 2
test "$(grep -c '^mixsweep: there is no option --no-such-option' out)" = 1

# A second after the first process failed the launcher ends all the others: the one that speaks,
# here a slow one, still comes to say why.
cat >slow <<'END'
#!/bin/sh
test "$OMPI_COMM_WORLD_RANK" != 0 || sleep 3
exec "$@"
END
chmod +x slow
got=0
mpirun -n 2 ./slow "$MIXSWEEP" statsu >out 2>&1 || got=$?
if [ $got != 2 ] || [ "$(grep -c '^mixsweep: there is no verb' out)" != 1 ]; then
    echo "exit status $got, not one sentence, from two ranks"
    cat out
    exit 1
fi

# A file of the other kind.
printf '\211HDF\r\n\032\n' >s.h5
expect 1 'mixsweep: s.h5 is a sweep file; a job file is wanted' "$MIXSWEEP" sweep s.h5
expect 1 'mixsweep: s.h5 is an HDF5 file; a table in CSV is wanted' "$MIXSWEEP" import s.h5 -o new.h5
echo "job: x" >job.yaml
expect 1 'mixsweep: job.yaml is not an HDF5 file (7 bytes); a sweep file is wanted' "$MIXSWEEP" status job.yaml
printf 'run,n_params,n_tokens,h_a,loss_a\nm,1e6,1e8,1,2\n' >runs.csv
expect 1 'mixsweep: the folder none does not exist\.$' "$MIXSWEEP" import runs.csv -o none/s.h5
