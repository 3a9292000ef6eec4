# SPDX-License-Identifier: GPL-3.0-or-later
# Children do not outlive a sweep that is killed: not one that left its process group, not one that is
# deaf to SIGTERM; one that listens may still write its checkpoint. A sweep that ends leaves no guard.
# Where the guard is killed too, the next sweep does not start a run beside the one that goes on.
die() {
    touch go
    echo "$*"
    for file in out err; do [ ! -f $file ] || cat $file; done
    exit 1
}
within() { # SECONDS COMMAND...
    local tenths=$(($1 * 10))
    shift
    until "$@"; do
        [ $((tenths -= 1)) -gt 0 ] || return 1
        sleep 0.1
    done
}
cat >job.yaml <<YAML
job: guarded
file: s.h5
domains: [{name: web}, {name: code}]
design: {mixtures: 3, replicates: 1}
scales: [{n_params: 1e6, n_tokens: 1e9}]
sweep:
  evaluator: command
  command: {argv: [sh, "$PWD/proxy"], environment: {WHERE: "$PWD"}, grace: 1s, slots: 3, result: none}
YAML
cat >proxy <<'SH'
cd "$WHERE"
if [ -e quick ]; then exit 0
elif mkdir first 2>/dev/null; then
    trap 'echo saved >saved; exit 0' TERM
    touch listens
    while :; do sleep 0.1; done
elif mkdir second 2>/dev/null; then
    trap '' TERM
    touch deaf
    while :; do sleep 0.1; done
else
    touch leaves
    setsid sleep 1000
fi
SH
marked() { grep -lszxF "WHERE=$PWD" /proc/[0-9]*/environ; }
began() { [ -e listens ] && [ -e deaf ] && [ -e leaves ] && [ "$(marked | wc -l)" -ge 4 ]; }
none_left() { [ -z "$(marked)" ]; }
guards() { grep -lszx 'mixsweep-guar[d]' /proc/[0-9]*/cmdline | while read -r file; do
    [ "$(readlink "${file%cmdline}cwd")" != "$PWD" ] || echo "$file"
done; }
no_guard() { [ -z "$(guards)" ]; }

"$MIXSWEEP" sweep job.yaml >out 2>err &
sweep=$!
within 20 began || die "three runs did not begin"
no_guard && die "nobody guards them"
kill -9 $sweep
within 20 none_left || die "these outlived the sweep: $(marked)"
[ -e saved ] || die "the run that listens to SIGTERM was not asked to end"
within 20 no_guard || die "the guard stayed"

touch quick
"$MIXSWEEP" sweep job.yaml >out 2>err || die "the sweep does not go on"
no_guard || die "a sweep that ended well left a guard"

sed 's/mixtures: 3/mixtures: 1/; s/s\.h5/one.h5/; s/proxy/lasting/' job.yaml >one.yaml
cat >lasting <<'SH'
cd "$WHERE"
echo begins >>events
until [ -e go ]; do sleep 0.1; done
echo ends >>events
SH
"$MIXSWEEP" sweep one.yaml >out 2>err &
sweep=$!
within 20 [ -e events ] || die "the run did not begin"
guards | cut -d/ -f3 | xargs kill -9
kill -9 $sweep
wait $sweep || true
rm one.h5.runs/*/run.json
"$MIXSWEEP" sweep one.yaml >out 2>err &
sweep=$!
within 20 grep -q '^design' out || die "the sweep does not begin again"
sleep 1 # time to do it wrong
if cat one.h5.runs/*/run.json >/dev/null 2>&1; then die "the folder of a run that lives was written"; fi
touch go
wait $sweep || die "the sweep does not go on after the run of a killed one"
[ "$(tr '\n' ' ' <events)" = "begins ends begins ends " ] || die "two in one folder: $(cat events)"
