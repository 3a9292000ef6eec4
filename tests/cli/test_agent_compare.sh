# SPDX-License-Identifier: GPL-3.0-or-later
# mixsweep agent compare in a simulated world: one command does it all, every arm is there, equal
# files on 1 and 2 ranks and after kill -9, transfers take over the ratios, refusals, the report.
. "$MIXSWEEP_TESTS/lib.sh"
facts='own = {a["arm"]: a for a in j["settings"][0]["arms"]}
code = {a["arm"]: a for a in j["settings"][-1]["arms"]}'

cat >job.yaml <<'END'
job: mix
file: mix.h5
seed: 1
domains: [{name: web}, {name: books}, {name: math}, {name: code}]
agent:
  source: [web, books]
  target: [math]
  decisions: 6
  steps: 12
  trajectories: 20
  trainer: simulate
  simulate: {rate: 0.5, forgetting: 0.1, noise: 1e-3, spread: 0.2}
  training: {supervised: 20, updates: 10, width: 16}
  compare_seeds: 3
  transfers:
    - {name: code, target: [code]}
END

in_folder once "$MIXSWEEP" agent compare ../job.yaml --transfer all --format json >out 2>err ||
    die "the job fails"
holds 'len(j["settings"]) == 2 and j["settings"][0]["result"] == "mix-own"'
holds 'j["settings"][1]["result"] == "mix-code" and j["settings"][0]["seeds"] == 3'
holds 'sorted(own) == sorted(["base", "target-only", "uniform", "half", "oracle", "regmix",
    "loading", "hand", "best-of-data", "cloned", "agent", "blind", "time-mean", "shuffled",
    "replayed"] + ["grid-0.%d" % i for i in range(1, 10)]) and sorted(code) == sorted(own)'
# 20 runs for RegMix in the agent's own setting; 14 arms (the grid has the oracle) and 9 of the grid
holds '[s["runs"] for s in j["settings"]] == [20 + 3 * 22, 3 * 22]'
holds 'own["base"]["gain"]["mean"] == 0 and abs(own["target-only"]["balanced"]["mean"] - .5) < 1e-9'
holds 'own["half"]["utility"] == own["grid-0.5"]["utility"]'
holds 'own["oracle"]["utility"] == own["grid-%.1f" % j["settings"][0]["oracle"]]["utility"]'
holds 'all(own["oracle"]["utility"]["mean"] >= own["grid-0.%d" % i]["utility"]["mean"]
    for i in range(1, 10))' # in this world all texts are one
holds 'own["regmix"]["source_tokens"] == code["regmix"]["source_tokens"]'
holds 'own["loading"]["source_tokens"] != code["loading"]["source_tokens"]'
holds 'abs(own["time-mean"]["source_tokens"]["mean"] - own["agent"]["source_tokens"]["mean"]) < 1e-9'
holds 'own["agent"]["agent_less_balanced"]["mean"] == 0'
holds 'own["regmix"]["balanced_verdict"] in ("won", "tied", "lost")'
holds 'abs(own["regmix"]["agent_less_utility"]["mean"] -
    (own["agent"]["utility"]["mean"] - own["regmix"]["utility"]["mean"])) < 1e-9'
holds '[c["slot"] for c in j["settings"][0]["contrasts"]] == ["web", "books", "math"]'
holds 'j["settings"][0]["contrasts"][2]["expected"]'

# again: nothing is trained; the text; what the file has
in_folder once "$MIXSWEEP" agent compare ../job.yaml >out 2>err || die "it does not run again"
says 'mix-own: 86 runs of 6 decisions, 86 of them from before, 0 diverged'
says 'C1  better than RegMix and than dynamic batch loading: '
says 'of 3 slots'
"$MIXSWEEP" export once/mix.h5 online --name mix-own >out 2>err || die "no export"
[ "$(grep -c '^mix-own,own,agent,' out)" = 3 ] || die "the export lacks runs"
"$python" - <<'END' || die "the file lacks what the comparison is about"
import h5py, numpy as np
g = h5py.File("once/mix.h5")["/online/mix-own"]
agent = [i for i, m in enumerate(g["method"].asstr()[:]) if m == "agent"]
mixture, loss = g["point_mixture"][agent], g["point_loss"][agent]
assert mixture.shape == (3, 7, 3) and np.allclose(mixture[:, :-1].sum(2), 1), mixture
assert np.isfinite(loss).all() and np.isfinite(g["test"][agent]).all()
END

# the same file on two ranks, and where the first attempt is killed
in_folder two mpirun -n 2 "$MIXSWEEP" agent compare ../job.yaml --transfer all >out 2>err ||
    die "two ranks fail"
equal once/mix.h5 two/mix.h5
mkdir killed
(cd killed && exec "$MIXSWEEP" agent compare ../job.yaml --transfer code >out 2>err) &
job=$!
for _ in $(seq 2000); do
    [ -s killed/mix.h5.log/rank-0000 ] && break
    kill -0 $job 2>/dev/null || break
    sleep 0.002
done
kill -9 $job 2>/dev/null || true
wait $job 2>/dev/null || true
in_folder killed "$MIXSWEEP" agent compare ../job.yaml --transfer code --break-lock >out 2>err ||
    die "it does not resume"
equal once/mix.h5 killed/mix.h5

# other agents: their runs are not mixed with the old ones
sed 's/updates: 10/updates: 12/' job.yaml >other.yaml
cd killed
refuses 1 'the comparison mix-own that were made with other agents' agent compare ../other.yaml
"$MIXSWEEP" agent compare ../other.yaml --replace >out 2>err || die "--replace fails"
says '86 runs of 6 decisions, 0 of them from before'
refuses 2 '--transfer larger: agent.transfers of the job has no such name' \
    agent compare ../other.yaml --transfer larger
cd ..
# several agents of each kind: the one that steers and its like of the same seed
sed 's/width: 16}/width: 16, alpha: [0.01, 3], seeds: 2}/; s/compare_seeds: 3/compare_seeds: 1/' job.yaml >many.yaml
in_folder many "$MIXSWEEP" agent compare ../many.yaml --format json >out 2>err || die "many agents fail"
holds '{"cloned", "agent", "blind"} <= set(own)'
sed '/^agent:/,$d' job.yaml >none.yaml
cat >>none.yaml <<'END'
design: {mixtures: 3}
scales: [{n_params: 1e6, n_tokens: 1e6}]
sweep: {evaluator: simulate, simulate: {law: chinchilla}}
END
refuses 1 'the section agent is missing' agent compare none.yaml
"$MIXSWEEP" agent compare --help >out 2>err
says 'dynamic batch loading (arXiv 2310.06694)'

if command -v gnuplot >/dev/null; then
    "$MIXSWEEP" report once/mix.h5 -o page >out 2>err || die "no report"
    grep -q '<th scope="col">seeds</th>' page/index.html || die "the report does not say of how many seeds arms are"
    for figure in agent-mix-own agent-mix-code agent-mixture-mix-own; do
        [ -s page/$figure.svg ] || die "the report lacks $figure"
    done
    grep -q 'Online mixing' page/index.html && die "the comparison is shown as online mixing too"
fi
exit 0
