# SPDX-License-Identifier: GPL-3.0-or-later
# The verb plan: cost, time, coverage and warnings, as text and as JSON.
. "$MIXSWEEP_TESTS/lib.sh"
keeps_quiet() { ! grep -qE -- "$1" out || die "something says \"$1\""; }
plan() { "$MIXSWEEP" plan "$@" >out 2>err || die "mixsweep plan $* failed"; }
# figures EXPRESSION: true of the plan p as JSON
figures() {
    "$python" -c 'import json, sys
p = json.load(open("out"))
s = {x["n_params"]: x for x in p["scales"]}
d = {x["name"]: x for x in p["domains"]}
sys.exit(not eval(sys.argv[1]))' "$1" || die "not so: $1"
}

cat >job.yaml <<'YAML'
job: tiny
file: s.h5
domains:
  - {name: web, prior: 0.5}
  - {name: code, prior: 0.3, supply_tokens: 5e8}
  - {name: wiki, prior: 0.2}
design: {mixtures: 12, strength: [0.5, 3]}
scales:
  - {n_params: 40e6, n_tokens: 1e9, checkpoints: 2, resources: {wall: 1h}}
  - {n_params: 100e6, n_tokens: 2e9, mixtures: 6, resources: {wall: 2h}}
  - {n_params: 250e6, n_tokens: 5e9, replicates: 2, resources: {wall: 4h}}
sweep:
  evaluator: command
  command: {argv: ./train, keep: all, slots: 2}
fit: {law: capacity}
optimum: {n_params: 1e9, n_tokens: 2e10}
YAML
plan job.yaml
[ ! -e s.h5 ] || die "plan wrote a file"
prints '^job tiny · 12 mixtures × 3 scales × 3 domains, 50 runs · file s.h5$'
prints '^  40M *1B *2 *12 *20 *4.8e+18$'
prints '^  3 seeds of the first 4 mixtures at 40M$'
prints '^  2 seeds of every mixture at 250M$'
prints '^the runs tell apart 16 of the 16 parameters of the law capacity$'
prints '^folders of all runs in s.h5.runs: about 251 files and folders$'
prints 'warning: code is repeated up to [0-9.]* times at 250M, 5B tokens'
plan job.yaml --format json
figures 'p["n_runs"] == 50 and s[40e6]["n_runs"] == 20 and s[250e6]["n_runs"] == 24'
figures 'p["flops"] == 6 * (40e6 * 1e9 * 20 + 100e6 * 2e9 * 6 + 250e6 * 5e9 * 24)'
figures 'abs(p["gpu_hours"] / (p["flops"] / 4e14 / 3600) - 1) < 1e-12'
figures 'p["wall_s"] == 3600 * (20 + 2 * 6 + 4 * 24) and p["slots"] == 2'
figures 'p["makespan_s"] == p["wall_s"] / 2' # all of it divides by two
figures 's[40e6]["checkpoints"] == [5e8, 1e9] and s[100e6]["n_mixtures"] == 6'
figures 'd["web"]["epochs_max"] is None'
figures 'abs(d["code"]["epochs_max"] - 10 * d["code"]["share_max"]) < 1e-9'
figures 'all(x["share_min"] <= x["share_mean"] <= x["share_max"] for x in p["domains"])'
figures 'p["coverage"]["rank"] == p["coverage"]["n_free"] == 16'
figures '0 < p["coverage"]["nearest"] < 1 < p["coverage"]["n_effective"] <= 12'
figures 'any("code is repeated" in w for w in p["warnings"])'

# Longest first on 7 slots: 24 runs of 4 h take 12 h on 7 and leave 4 slots free after 12 h of 16 ...
plan job.yaml --format json --slots 7 --flops-rate 1e15
figures 'abs(p["gpu_hours"] / (p["flops"] / 1e15 / 3600) - 1) < 1e-12'
"$python" -c 'import heapq, json
heap = [0] * 7
for wall in [4] * 24 + [2] * 6 + [1] * 20:
    heapq.heappush(heap, heapq.heappop(heap) + wall)
assert json.load(open("out"))["makespan_s"] == 3600 * max(heap)' || die "another makespan"

# By GPUs and nodes: 4 runs on two nodes whole take 2 h each, then 16 runs on a GPU an hour together.
sed '/^  - {n_params/d; /^fit:/,$d; s/^scales:/&\n  - {n_params: 1e6, n_tokens: 1e8, mixtures: 8, replicates: 2, resources: {gpus: 1, wall: 1h}}\n  - {n_params: 1e9, n_tokens: 1e8, mixtures: 4, replicates: 1, resources: {nodes: 2, gpus: 8, wall: 2h}}/
    s/slots: 2/launcher: [srun], gpus: 8/' job.yaml >wide.yaml
plan wide.yaml --format json
figures 'p["makespan_s"] == 9 * 3600 and p["nodes"] == 2 and p["slots"] == 0'
plan wide.yaml --nodes 4
prints '^wall time as declared: 1d00h one run after the other, 5h00m on 4 nodes$'
sed -i 's/gpus: 8}/gpus: 4}/' wide.yaml
plan wide.yaml --format json
figures 'p["makespan_s"] is None and any("need 2 nodes with 0 CPUs, 8 GPUs" in w for w in p["warnings"])'

# A launcher and no resources: as many at once as ranks, whose number only --slots tells.
sed 's/slots: 2/launcher: [env]/' job.yaml >ranks.yaml
plan ranks.yaml
prints '^warning: as many runs go at once as there are ranks: --slots says how many$'
keeps_quiet 'at once$|[0-9] node'
plan ranks.yaml --slots 4
prints ' on 1 node, 4 runs at once$'
keeps_quiet 'as there are ranks'

# Without wall times there is no makespan, and GPU-hours of proxies trained here only when asked for.
sed 's/, resources: {wall: .h}//' job.yaml >no_wall.yaml
plan no_wall.yaml --format json
figures 'p["wall_s"] is None and p["makespan_s"] is None'
plan no_wall.yaml
keeps_quiet 'wall time'

# Caps, and passes matched to the target run's.
sed 's/strength:/max_epochs: 2, match_epochs: {n_tokens: 2e10}, strength:/' job.yaml >match.yaml
plan match.yaml
prints 'at 40M domains of known supply are cut to 0.05 of it, so that they pass as often as in 20B tokens'
keeps_quiet 'is repeated'
plan match.yaml --format json
figures 's[40e6]["subsample"] == {"web": 1, "code": 0.05, "wiki": 1}'
figures 'd["code"]["share_max"] <= 0.05 and abs(d["code"]["epochs_max"] - 40 * d["code"]["share_max"]) < 1e-9'

# warned SED PATTERN: the job changed by SED makes plan say PATTERN
warned() {
    sed "$1" job.yaml >warned.yaml
    plan warned.yaml
    prints "^warning: $2"
}
warned '/100e6/d; /250e6/d' 'one model size: nothing says how the loss changes on the way to 1B$'
warned '/250e6/d; s/100e6/60e6/' '2 model sizes: with three or more the largest can be held out'
warned '/250e6/d; s/100e6/60e6/' 'the sizes 40M … 60M differ by a factor of 1.5 only'
warned 's/optimum: {n_params: 1e9/optimum: {n_params: 1e12/' '1T is 4000 times the largest size'
warned 's/n_tokens: 2e10/n_tokens: 2e12/' '2T tokens are 400 times the most of the sweep, 5B$'
warned 's/prior: 0.5/prior: 0.798/; s/prior: 0.2}/prior: 0.0005}/; s/prior: 0.3/prior: 0.2015/;
    s/strength: .*]/strength: [500, 500], include_uniform: no/' \
    'no mixture has more than 0.00[0-9]* of wiki: its effect will not show$'
warned 's/strength: .*]/strength: [500, 500], include_uniform: no/' \
    'web hardly varies, from 0.4[0-9] to 0.5[0-9]: its effect will not show$'
warned 's/mixtures: 12/mixtures: 5/; s/, mixtures: 6//' '5 mixtures of 3 domains: at least 6 are wise$'
warned '/40e6/d; /100e6/d; s/mixtures: 12/mixtures: 10/' \
    '30 losses for the 16 parameters of the law capacity: at least 32 are wise$'
warned 's/law: capacity/law: chinchilla/' 'the runs tell apart only 9 of the 15 parameters of the law'
warned 's/strength:/replicates: 1, strength:/; s/replicates: 2, //' \
    'every run has one seed: nothing tells noise from the mixture (design.replicates)$'
warned 's/2e10}/2e10, floor: 0.3}/; s/strength: .*]/strength: [500, 500], include_uniform: no/' \
    "no mixture has as much of wiki as the optimum's floor, 0.3$"
warned 's/mixtures: 12/mixtures: 10000/; s/, mixtures: 6//; s/, replicates: 2//' \
    '150081 files and folders in s.h5.runs; keep: failed leaves few$'

# What the file has is not planned again: two scales are done, the third is left.
sed '/250e6/d; s/evaluator: command/evaluator: simulate/; s/  command: .*/  simulate: {law: capacity}/; /^fit:/,$d' job.yaml >part.yaml
"$MIXSWEEP" sweep part.yaml >out 2>&1 || die "the sweep failed"
plan job.yaml
prints '^s.h5 has 26 of 50 runs done, 24 left$'
prints '^  size *tokens *checkpoints *mixtures *runs *left *FLOP$'
prints '^  40M *1B *2 *12 *20 *0 '
prints '^the 24 runs left: 1.8e+20 FLOP$'
prints '^wall time as declared: 4d00h one run after the other, 2d00h on 1 node, 2 runs at once$'
plan job.yaml --format json
figures 'p["left"]["n_done"] == 26 and p["left"]["n_runs"] == 24 and s[250e6]["n_left"] == 24'
figures 'p["left"]["makespan_s"] == 48 * 3600 and p["makespan_s"] == 64 * 3600'
# Runs of other designs in the file count too: mixtures, losses, sizes, seeds.
sed '/40e6/d; /100e6/d; s/replicates: 2/replicates: 1/; s/mixtures: 12/mixtures: 4/
    s/^design:/seed: 7\n&/' job.yaml >more.yaml
sed 's/s.h5/none.h5/' more.yaml >alone.yaml
plan alone.yaml
prints '^warning: one model size'
prints '^warning: every run has one seed'
prints '^warning: 4 mixtures of 3 domains'
prints '^warning: 12 losses for the 16 parameters'
plan more.yaml
prints '^s.h5 has 34 other valid runs, which fits see too'
keeps_quiet '^warning: .*(model size|one seed|mixtures of|losses for|tell apart)'
prints '^the runs tell apart 16 of the 16 parameters'
sed 's/^  - {name: wiki, .*/  - {name: wikis, prior: 0.2}/' job.yaml >other.yaml
plan other.yaml
prints '^warning: s.h5 holds runs of other domains or targets than the job tiny (domains wiki only in the file; domains wikis only in the job; '
rm s.h5

# What every run would fail by: a placeholder, a program.
prints '^warning: sweep.command.argv: there is no program ./train here$'
sed 's|argv: ./train|argv: [sh, "{h:wikis}", "{n_prams}"]|' job.yaml >slips.yaml
plan slips.yaml
prints '^warning: .*{h:wikis} names no domain of the job'
prints '^warning: .*there is no placeholder {n_prams}'
keeps_quiet 'there is no program'

# Refused: 1, and the sentence on stderr; wrong use: 2.
sed 's/keep: all/kep: all/' job.yaml >bad.yaml
fails 1 '^mixsweep: bad.yaml, line 14, key sweep.command.kep: unknown key; did you mean keep?$' "$MIXSWEEP" plan bad.yaml
sed 's/evaluator: command/evaluator: simulate\n  simulate: {law: additive}/' job.yaml >bad.yaml
fails 1 'sweep.simulate.params: .* is missing; for the law additive all' "$MIXSWEEP" plan bad.yaml
fails 2 'slots' "$MIXSWEEP" plan job.yaml --slots 0
