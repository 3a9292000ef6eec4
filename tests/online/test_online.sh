# SPDX-License-Identifier: GPL-3.0-or-later
# The verb online on simulated worlds: every method in every setting, Aioli no worse than stratified
# where some groups teach more, equal files on 1 and 3 ranks and after kill -9 and signals, refusals.
. "$MIXSWEEP_TESTS/lib.sh"
facts='by = {(m["method"], m["after"], m["restricted"]): m for m in j["methods"]}'

# One column of the gain is larger than the others: its group is worth more steps.
cat >job.yaml <<'END'
job: world
file: world.h5
seed: 3
domains: [{name: a}, {name: b}, {name: c}]
scales: [{n_params: 1e6, n_tokens: 1e6}]
sweep: {evaluator: simulate, simulate: {law: chinchilla}}
online:
  settings: [[a, b], [c, b], [a, b, c]]
  seeds: 2
  steps: 200
  trainer: simulate
  simulate:
    noise: 1e-5
    loss: [3, 3, 3]
    gain: [[0.5, 0.9, 0.1], [0.1, 0.9, 0.1], [0.1, 0.6, 0.4]]
  methods: [aioli, grid, dml, skillit, doremi, doge, aioli-diagonal, aioli-static, aioli-ema,
    aioli-released, aioli-raw]
  restricted: true
END

in_folder once "$MIXSWEEP" online ../job.yaml --format json >out 2>err || die "the job fails"
holds 'len(by) == 12 + 2 * 5 and j["trainer"] == "simulate" and j["n_steps"] == 200'
holds 'all(m["n_settings"] == 3 and m["mean"]["n_seeds"] == 6 for m in j["methods"])'
holds 'by["aioli", None, False]["n_better"] == 3'
holds 'by["aioli", None, False]["mean"]["mean_loss"]["difference"] < -0.02'
holds 'by["stratified", None, False]["mean"]["mean_loss"]["difference"] == 0'
holds 'by["grid", None, False]["mean"]["extra_runs"] == 9'
holds 'by["doremi", None, False]["mean"]["extra_runs"] == 2'
holds 'by["aioli", None, False]["mean"]["extra_runs"] == 0'
holds 'all(0 < m["mean"]["extra_runs"] <= 0.5 for m in j["methods"] if m["restricted"])'
holds 'all(m["n_better"] == 3 for m in j["methods"] if m["after"])'
holds 'j["restricted_pairs"]["n"] == 15'
holds 'j["settings"][2]["groups"] == ["a", "b", "c"] and j["resumed"] == 0'

# what others see in the file
"$python" - <<'END' || die "the file is not what it should be"
import h5py
import numpy as np

g = h5py.File("once/world.h5", "r")["online/world"]
text = {name: g[name].asstr()[:] for name in ("setting", "method", "after", "group")}
assert list(text["group"]) == ["a", "b", "c"] and g.attrs["trainer"] == b"simulate"
assert [d.label for d in g["matrix"].dims] == ["run", "round", "group", "group_trained"]
assert g["matrix"].dims[2][0].name == "/online/world/group" and g["test"].attrs["units"] == b"nats/token"
final = (g["role"][:] == 2) & (text["method"] == "aioli") & (g["restricted"][:] == 0)
row = np.nonzero(final & (text["setting"] == "a+b"))[0][0]
inside = [True, True, False]
assert np.array_equal(~np.isnan(g["test"][row]), inside)
steps = g["point_step"][row][~np.isnan(g["point_step"][row])]
assert steps[0] == 0 and steps[-1] == 200 and np.all(np.diff(steps) >= 0)
p = g["point_mixture"][row][: len(steps), :2]
assert np.allclose(p.sum(axis=1), 1) and p[-1, 1] > 0.6, p
rounds = np.count_nonzero(~np.isnan(g["round_step"][row]))
a = g["matrix"][row][:rounds, :2, :2]
# A is h times the gain of a step, but for the noise
true = 3 * np.array([[0.5, 0.9], [0.1, 0.9]]) / 200
assert rounds == 10 and np.allclose(a, true, rtol=0, atol=5e-4), a
END

# the same on three ranks, and with one killed on the way
in_folder three mpirun -n 3 --oversubscribe "$MIXSWEEP" online ../job.yaml --format json \
    >out 2>err || die "it fails on three ranks"
equal once/world.h5 three/world.h5

mkdir killed
(cd killed && exec mpirun -n 2 "$MIXSWEEP" online ../job.yaml >out 2>err) &
job=$!
for _ in $(seq 2000); do
    [ -s killed/world.h5.log/rank-0000 ] && break
    kill -0 $job 2>/dev/null || break
    sleep 0.002
done
read -ra ranks < <(cat /proc/$job/task/*/children 2>/dev/null | tr '\n' ' ') || true
{
    kill -9 $job "${ranks[@]}" || true
    wait $job || true
} 2>/dev/null
for pid in "${ranks[@]}"; do
    while kill -0 "$pid" 2>/dev/null; do sleep 0.01; done
done
in_folder killed "$MIXSWEEP" online ../job.yaml --format json >out 2>err || die "it does not resume"
equal once/world.h5 killed/world.h5
[ -z "$(ls -A killed/world.h5.log 2>/dev/null)" ] || die "logs are left over"

# again: nothing is done twice
in_folder once "$MIXSWEEP" online ../job.yaml --format json >out 2>err || die "it fails again"
holds 'j["resumed"] == j["n_runs"]'
equal once/world.h5 three/world.h5

# analysis: on top of what is there; in a linear world the linear law holds, and Aioli's A is the optimal
sed 's/restricted: true/analysis: true/' job.yaml >analysis.yaml
in_folder once "$MIXSWEEP" online ../analysis.yaml --format json >out 2>err || die "no analysis"
holds 'j["n_runs"] - j["resumed"] == 3 * 2 * (1 + 9) and j["loglinear_r2"]["n"] == 6'
holds 'set(by["aioli", None, False]["analysis"]) == {"a+b", "c+b", "a+b+c"}'
holds 'all(a["linear_r2"]["mean"] > 0.98 and a["similarity"]["mean"] > 0.98
    for a in by["aioli", None, False]["analysis"].values())'
holds 'by["grid", None, False]["analysis"] == {}'
in_folder three mpirun -n 3 --oversubscribe "$MIXSWEEP" online ../analysis.yaml >out 2>err ||
    die "no analysis on three ranks"
says 'R2 of the log-linear law over static runs'
"$python" - <<'END' || die "the analysis in the file is not what it should be"
import h5py
import numpy as np

g = h5py.File("once/world.h5", "r")["online/world"]
method, setting = g["method"].asstr()[:], g["setting"].asstr()[:]
rows = np.nonzero((g["role"][:] == 3) & (method == "aioli") & (setting == "a+b"))[0]
assert len(rows) == 2 and np.all(g["similarity"][:][rows] > 0.98)
assert np.all(np.isnan(g["similarity"][:][g["role"][:] != 3]))
steps = g["round_step"][rows[0]]
assert list(steps[~np.isnan(steps)]) == [40, 100, 160]
# 9 steps of a sweep
true = 9 * 3 * np.array([[0.5, 0.9], [0.1, 0.9]]) / 200 / 3
assert np.allclose(g["matrix"][rows[0]][0, :2, :2] / true, 1, atol=0.02), g["matrix"][rows[0]][0, :2, :2] / true
END
equal once/world.h5 three/world.h5

# more seeds, added to those that are there
sed 's/seeds: 2/seeds: 3/' job.yaml >more.yaml
in_folder three "$MIXSWEEP" online ../more.yaml --format json >out 2>err || die "more seeds fail"
holds 'j["resumed"] < j["n_runs"] and by["aioli", None, False]["mean"]["n_seeds"] == 9'

# other options: refused, or replaced
sed 's/steps: 200/steps: 100/' job.yaml >other.yaml
(cd once && refuses 1 'give another online.name, or --replace them' online ../other.yaml)
in_folder once "$MIXSWEEP" online ../other.yaml --replace >out 2>err || die "--replace fails"
says 'mean test loss minus that of stratified'
says 'aioli after grid (S/2)'

# real trainings: told to stop they end with 75, and what was finished is there; equal at the end
for d in x y z; do
    awk -v d=$d 'BEGIN { srand(length(d) + index("xyz", d)); for (i = 0; i < 3000; i++) {
        w = d == "z" ? "0 1" : ""; n = 1 + int(rand() * 5)
        for (j = 0; j < n; j++) w = w " " d substr("abcdefgh", 1 + int(rand() * 7), 1 + int(rand() * 3))
        print w (i % 7 ? "" : "\n") } }' >$d.txt
done
cat >real.yaml <<'END'
job: real
file: real.h5
domains:
  - {name: x, paths: ../x.txt}
  - {name: y, paths: ../y.txt}
  - {name: z, paths: ../z.txt}
scales: [{width: 16, layers: 1, heads: 2, context: 16, n_tokens: 5120}]
sweep: {evaluator: embedded, embedded: {batch: 8}}
online:
  settings: [[x, y], [x, y, z]]
  seeds: 2
  validation_bytes: 512
  test_bytes: 1024
END
in_folder once "$MIXSWEEP" online ../real.yaml --format json >out 2>err || die "real.yaml fails"
holds 'j["n_steps"] == 40 and len(by) == 7 and all(m["n_settings"] == 2 for m in j["methods"])'
(cd killed && exec mpirun -n 2 "$MIXSWEEP" online ../real.yaml >out 2>err) &
job=$!
for _ in $(seq 2000); do
    [ -s killed/real.h5.log/rank-0000 ] && break
    kill -0 $job 2>/dev/null || break
    sleep 0.002
done
for pid in $(cat /proc/$job/task/*/children 2>/dev/null); do kill -TERM "$pid"; done
status=0
wait $job || status=$?
[ $status = 75 ] || [ $status = 0 ] || die "told to stop it ends with $status: $(cat killed/err)"
"$MIXSWEEP" status killed/real.h5 >out 2>err || die "no status"
says "online     real: "
if grep -q missing out; then die "it misses proxy runs that nobody asked for"; fi
in_folder killed "$MIXSWEEP" online ../real.yaml --format json >out 2>err || die "it does not resume"
equal once/real.h5 killed/real.h5
"$MIXSWEEP" export once/real.h5 online >out 2>err || die "no export"
says 'online,setting,method,after,role'
[ "$(grep -c '^real,x+y,aioli,' out)" = 2 ] || die "the export lacks runs"

# an external trainer; what it cannot do is said before anything is trained
cat >outside.yaml <<END
job: outside
file: outside.h5
domains: [{name: web}, {name: code}]
online:
  methods: [aioli, skillit]
  seeds: 1
  steps: 60
  trainer: command
  command: {argv: [$python, $MIXSWEEP_TESTS/../jobs/steer.py]}
END
in_folder once "$MIXSWEEP" online ../outside.yaml --format json >out 2>err || die "outside.yaml fails"
holds 'j["trainer"] == "command" and all(m["mean"]["n_seeds"] == 1 for m in j["methods"])'
holds 'by["skillit", None, False]["mean"]["extra_runs"] == 2'
sed 's/\[aioli, skillit\]/[aioli, doremi]/; s/outside.h5/doremi.h5/' outside.yaml >doremi.yaml
refuses 1 'doremi needs a trainer that can give the losses of a reference model, and ' online doremi.yaml
grep -q 'loss' out && die "it has trained"
refuses 1 'job outside has no section sweep: there is nothing to evaluate.' sweep outside.yaml

# refusals name line and key
wrong() { # SED SENTENCE
    sed "$1" job.yaml >wrong.yaml
    refuses 1 "$2" online wrong.yaml
}
wrong 's/aioli-raw/aioli-row/' 'line 17, key online.methods[10]: there is no method "aioli-row"; did you mean aioli-raw?'
wrong 's/\[c, b\]/[c, bb]/' 'key online.settings[1][1]: there is no domain "bb"; did you mean b?'
wrong 's/\[c, b\]/[c]/' 'key online.settings[1]: a setting has at least two domains, not 1.'
wrong 's/\[c, b\]/[a, b]/' 'key online.settings[1]: a+b is in the list already.'
wrong 's/trainer: simulate/trainer: gpu/' 'key online.trainer: "gpu" is not one of embedded, simulate, command.'
wrong 's/trainer: simulate/trainer: command/' 'key online: the trainer command wants a section command.'
wrong 's/trainer: simulate/trainer: embedded/' 'key scales[0]: online.trainer embedded wants size'
wrong '/^scales/d; s/trainer: simulate/trainer: embedded/' 'line 1: the key scales is missing, which online.trainer embedded wants.'
wrong 's/  steps: 200//' 'key online: the key steps is missing.'
wrong 's/\[0.1, 0.9, 0.1\], //' 'key online.simulate.gain: fewer rows than the 3 domains.'
wrong 's/seeds: 2/seed: 2/' 'key online.seed: unknown key; did you mean seeds?'
wrong 's/restricted: true/options: {eta: -1}/' 'key online.options.eta: -1 is not in 0'
refuses 2 'mixsweep online --help' online
sed '/^online:/,$d' job.yaml >none.yaml
echo 'design: {mixtures: 3}' >>none.yaml
refuses 1 'the section online is missing' online none.yaml
"$MIXSWEEP" online --help >out 2>err
says 'aioli-diagonal'
