# SPDX-License-Identifier: GPL-3.0-or-later
# The verb agent: trajectories, agents and steered runs are the same on one rank and three and after
# kill -9; a frozen agent in a file of its own steers the embedded trainer and a program; what does
# not fit is refused.
. "$MIXSWEEP_TESTS/lib.sh"

# real text, little of it: each slot has its own letters
for d in a b c d; do
    awk -v d=$d 'BEGIN { srand(length(d) + index("abcd", d)); for (i = 0; i < 1500; i++) {
        w = ""; n = 2 + int(rand() * 5)
        for (j = 0; j < n; j++) w = w " " d substr("efghijkl", 1 + int(rand() * 7), 1 + int(rand() * 3))
        print w (i % 5 ? "" : "\n") } }' >$d.txt
done
cat >real.yaml <<'END'
job: real
file: real.h5
domains:
  - {name: a, paths: ../a.txt, document: paragraph}
  - {name: b, paths: ../b.txt, document: paragraph}
  - {name: c, paths: ../c.txt, document: paragraph}
  - {name: d, paths: ../d.txt, document: paragraph}
scales: [{width: 16, layers: 1, heads: 2, context: 16, n_tokens: 12800}]
sweep: {evaluator: embedded, embedded: {batch: 8}}
agent:
  source: [a, b]
  target: [c, d]
  base: {tokens: 6400, seeds: 2}
  decisions: 4
  tokens: 2560
  trajectories: 20
  feedback_bytes: 256
  test_bytes: 512
  training: {supervised: 3, updates: 2, width: 16}
END
in_folder once "$MIXSWEEP" agent collect ../real.yaml --format json >out 2>err || die "real.yaml fails"
holds 'j["n_trajectories"] == 20 and j["resumed"] == 0 and len(j["bases"]) == 2'
holds 'j["slots"] == ["a", "b", "c", "d"] and j["n_source"] == 2 and j["n_steps"] == 20'
holds 'all(b["curve"][-1] < b["curve"][0] - 1 for b in j["bases"])'

# what others see in the file
"$python" - <<'END' || die "the file is not what it should be"
import h5py
import numpy as np

g = h5py.File("once/real.h5", "r")["agent/real"]
assert g.attrs["trainer"] == b"embedded" and g.attrs["n_source"] == 2
assert [d.label for d in g["mixture"].dims] == ["trajectory", "decision", "slot"]
assert [d.label for d in g["feedback"].dims] == ["trajectory", "evaluation", "slot"]
assert g["mixture"].dims[2][0].name == "/agent/real/slot"
a, o, base = g["mixture"][:], g["feedback"][:], g["base"][:]
assert a.shape == (20, 4, 4) and o.shape == (20, 5, 4) and sorted(set(base)) == [0, 1]
assert np.all(a >= 0) and np.allclose(a.sum(axis=2), 1, rtol=0, atol=1e-6)  # I1
for b in (0, 1):  # every run begins with its base model, and the two differ
    assert len(np.unique(o[base == b, 0], axis=0)) == 1
assert not np.array_equal(o[base == 0, 0][0], o[base == 1, 0][0])
only = g["stratum"][:] == 3  # training on the target alone: that is learnt
assert only.any() and np.all(o[only, -1, 2:].sum(axis=1) > o[only, 0, 2:].sum(axis=1))
assert g["held_out"][:].sum() == 2 and list(g["number"][:]) == list(range(20))
assert g["bases/own-1/params"].dtype == np.float32 and g["bases/own-1"].attrs["number"] == 1
END

# the same on three ranks, and with one killed on the way; nothing is done twice
in_folder three mpirun -n 3 --oversubscribe "$MIXSWEEP" agent collect ../real.yaml >out 2>err ||
    die "it fails on three ranks"
equal once/real.h5 three/real.h5

mkdir killed
(cd killed && exec mpirun -n 2 "$MIXSWEEP" agent collect ../real.yaml >out 2>err) &
job=$!
for _ in $(seq 2000); do
    [ -s killed/real.h5 ] && [ -s killed/real.h5.log/rank-0000 ] && break
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
in_folder killed "$MIXSWEEP" agent collect ../real.yaml --format json >out 2>err || die "it does not resume"
equal once/real.h5 killed/real.h5
[ -z "$(ls -A killed/real.h5.log 2>/dev/null)" ] || die "logs are left over"
in_folder killed "$MIXSWEEP" agent collect ../real.yaml --format json >out 2>err || die "it fails again"
holds 'j["resumed"] == 20'
equal once/real.h5 killed/real.h5

"$MIXSWEEP" status killed/real.h5 >out 2>err || die "no status"
says 'agent      real: 20 trajectories, 0 agents, 0 steered runs, trainer embedded'

# more trajectories are added to those there
sed 's/trajectories: 20/trajectories: 24/' real.yaml >more.yaml
in_folder three "$MIXSWEEP" agent collect ../more.yaml --format json >out 2>err || die "more fail"
holds 'j["resumed"] == 20 and j["n_trajectories"] == 24'
"$python" - <<'END' || die "the first trajectories have changed"
import h5py

a, b = (h5py.File(f + "/real.h5", "r")["agent/real"] for f in ("once", "three"))
assert (a["key"][:] == b["key"][:20]).all() and (a["feedback"][:] == b["feedback"][:20]).all()
assert (a["bases/own-0/params"][:] == b["bases/own-0/params"][:]).all()
END

# agents: the same on one rank and two; the frozen one alone steers another file's runs
in_folder once "$MIXSWEEP" agent run ../real.yaml >out 2>err && die "it steers without an agent"
says 'real.h5 has no agent real: mixsweep agent train makes one, or give --agent FILE.'
in_folder once "$MIXSWEEP" agent train ../real.yaml --blind -o frozen.h5 --format json >out 2>err ||
    die "no agents"
holds '[a["label"] for a in j["agents"]] == ["blind", "rl", "supervised"] and j["best"] == "rl"'
holds '[a["blind"] for a in j["agents"]] == [True, False, False]'
in_folder killed mpirun -n 2 "$MIXSWEEP" agent train ../real.yaml --blind >out 2>err || die "no agents on two ranks"
says 'rl *'
equal once/real.h5 killed/real.h5
(cd once && refuses 1 'frozen.h5 exists already; --force replaces it.' agent train ../real.yaml -o frozen.h5)
(cd once && refuses 1 'frozen.h5 is a frozen agent and holds no runs: give the sweep file that it comes from' \
    export frozen.h5 agent)
cp once/real.h5 before.h5
(cd once && refuses 1 'real.h5 is the file that is read' agent train ../real.yaml -o real.h5 --force)
(cd once && refuses 1 'real.yaml is the file that is read' agent train ../real.yaml -o ../real.yaml --force)
mkfifo pipe
(cd once && refuses 1 'pipe is not a file; give the name of one.' agent train ../real.yaml -o ../pipe --force)
cmp once/real.h5 before.h5 || die "a refused command has written the file"
"$python" - <<'END' || die "the frozen agent is not what it should be"
import h5py

f = h5py.File("once/frozen.h5", "r")
g = h5py.File("once/real.h5", "r")["agent/real/agents/rl"]
assert set(f) == {"slot", "sigma", "weights"} and f.attrs["label"] == b"rl"
assert (f["weights"][:] == g["weights"][:]).all() and f.attrs["hash"] == g.attrs["hash"]
assert f.attrs["feedback"] == b"minus validation loss, nats per token"
assert "value" not in f.attrs and "value" in g.attrs
END
in_folder once mpirun -n 2 "$MIXSWEEP" agent run ../real.yaml --format json >out 2>err || die "it does not steer"
holds 'len(j["runs"]) == 2 and [r["base"] for r in j["runs"]] == [0, 1]'
holds 'all(abs(sum(a) - 1) < 1e-6 and min(a) >= 0 for r in j["runs"] for a in r["mixture"])'
holds 'all(len(r["feedback"]) == 5 and len(r["test"]) == 4 and min(r["test"]) > 0 for r in j["runs"])'
status=0
(cd once && exec "$MIXSWEEP" agent run ../real.yaml --format json >/dev/full 2>../err) || status=$?
[ $status = 1 ] && grep -q '^mixsweep: cannot write to standard output: No space left' err ||
    die "a full disk behind the standard output: $status"
"$MIXSWEEP" export once/real.h5 agent >out 2>err || die "no export"
head -n 1 out | grep -q '^campaign,agent,number,base,.*,decision,step,h_a,h_b,h_c,h_d,feedback_a,' ||
    die "the export has other columns"
[ "$(wc -l <out)" = $((1 + 22 * 5)) ] || die "the export is not a row per decision and end"
"$python" - <<'END' || die "the export is not what the file has"
import csv
import h5py

g = h5py.File("once/real.h5", "r")["agent/real"]
rows = list(csv.DictReader(open("out")))
for i, row in enumerate(rows[:100]):
    t = i % 5
    assert (int(row["number"]), int(row["decision"]), int(row["step"])) == (i // 5, t, 5 * t), row
    assert [float(row["feedback_" + s]) for s in "abcd"] == list(g["feedback"][i // 5, t])
    h = [row["h_" + s] for s in "abcd"]
    assert h == [""] * 4 if t == 4 else [float(x) for x in h] == list(g["mixture"][i // 5, t])
assert {row["agent"] for row in rows[100:]} == {"rl"} and rows[100]["stratum"] == ""
END
cp once/frozen.h5 frozen.h5
in_folder killed "$MIXSWEEP" agent run ../real.yaml --agent ../frozen.h5 >out 2>err || die "the file does not steer"
says 'base model 1, seed 0'
says 'test loss'
equal once/real.h5 killed/real.h5

# it steers a program, too
cat >outside.yaml <<END
job: outside
file: outside.h5
domains: [{name: web}, {name: code}, {name: math}, {name: talk}]
agent:
  source: [web, code]
  target: [math, talk]
  decisions: 4
  steps: 20
  trainer: command
  command: {argv: [$python, $MIXSWEEP_TESTS/../jobs/steer.py]}
END
"$MIXSWEEP" agent run outside.yaml --agent frozen.h5 --format json >out 2>err || die "outside.yaml fails"
holds 'j["trainer"] == "command" and len(j["runs"]) == 2 and not any(r["diverged"] for r in j["runs"])'
holds 'all(r["feedback"][-1] != r["feedback"][0] for r in j["runs"])'

# what does not fit, and what is damaged
wrong() { # SED SENTENCE
    sed "$1; s/outside.h5/wrong.h5/" outside.yaml >wrong.yaml
    refuses 1 "$2" agent run wrong.yaml --agent frozen.h5
}
wrong 's/source: \[web, code\]/source: [web]/' 'frozen.h5 is an agent of 4 domains; the job has 3'
wrong 's/, code\]$/]/; s/\[math, talk\]/[math, talk, code]/' 'is an agent of 2 source and 2 target domains; the job has 1 and 3'
wrong 's/decisions: 4/decisions: 5/' 'frozen.h5 is an agent of 4 decisions in a run; the job has 5'
refuses 1 'none.h5: no such file, nor the label of an agent in outside.h5' agent run outside.yaml --agent none.h5
refuses 1 'but not a frozen agent; mixsweep agent train JOB.yaml -o FILE writes one' agent run outside.yaml --agent once/real.h5
head -c 3000 frozen.h5 >torn.h5
refuses 1 'torn.h5' agent run outside.yaml --agent torn.h5
(cd once && sed 's/context: 16, /context: 32, /' ../real.yaml >../wide.yaml &&
    refuses 1 'give another agent.name, or collect with --replace' agent train ../wide.yaml)
sed -i '$d' a.txt
(cd once && refuses 1 'the text behind the slots of the agent real is not what its 20 trajectories' agent collect ../real.yaml)

# refusals of the section name line and key
bad() { # SED SENTENCE
    sed "$1" real.yaml >wrong.yaml
    refuses 1 "$2" agent collect wrong.yaml
}
bad 's/source: \[a, b\]/source: [a, e]/' 'line 11, key agent.source[1]: there is no domain "e"'
bad 's/target: \[c, d\]/target: [c, a]/' 'key agent.target[1]: a is a slot already.'
bad 's/target: \[c, d\]/target: []/' 'key agent.target: is empty; at least one domain is wanted.'
bad '/  target:/d' 'key agent: the key target is missing'
bad 's/seeds: 2/seeds: 1/' 'key agent.base.seeds: 1 is not in 2'
bad 's/tokens: 2560/tokens: 64/' 'key agent.tokens: 64 tokens are less than one step of 128.'
bad 's/decisions: 4/decisions: 40/' 'key agent.decisions: 40 decisions of a run of 20 steps.'
bad 's/tokens: 2560/steps: 20/' 'key agent.steps: is for the trainers simulate and command; give tokens.'
bad 's/trajectories: 20/trajectories: 20\n  trainer: simulate/' 'is for the trainer embedded; a run of the others has steps.'
bad 's/feedback_bytes: 256/test_share: 0.45/' 'key agent.test_share: twice 0.45'
bad 's/width: 16}/width: 24}/' 'key agent.training.width: 24 is no multiple of 16.'
bad 's/width: 16}/alpha: [2e4]}/' 'key agent.training.alpha[0]: 2e4 is not in 0'
bad 's/width: 16}/alpha: [0.1, 0.3, 0.1]}/' 'key agent.training.alpha[2]: 0.1 is in the list already.'
bad 's/training: .*/transfers: [{name: x, target: [b, c]}]/' 'key agent.transfers[0]: b would be in two slots.'
bad 's/training: .*/transfers: [{name: x, target: [c]}]/' 'key agent.transfers[0].target: 1 domains for 2 slots.'
bad 's/training: .*/transfers: [{name: x, scale: 1}]/' 'key agent.transfers[0].scale: 1 is not in 0'
bad 's/training: {/trianing: {/' 'key agent.trianing: unknown key; did you mean training?'
sed '/^agent:/,$d' real.yaml >none.yaml
echo 'design: {mixtures: 3}' >>none.yaml
refuses 1 'none.yaml: the section agent is missing.' agent collect none.yaml
refuses 2 'agent "colect": did you mean collect?' agent colect real.yaml
refuses 2 'mixsweep agent --help' agent
