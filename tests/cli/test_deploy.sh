# SPDX-License-Identifier: GPL-3.0-or-later
# The verb optimum and the section optimum of a job, asked for a mixture that one can deploy: supply
# and epochs, guards, distance, worst case, support, lattice, scale path, and the forms of trainers.
. "$MIXSWEEP_TESTS/lib.sh"
facts='o = j'
optimum() { run optimum "$@"; }
no_optimum() { refuses "$1" "$2" optimum "${@:3}"; } # STATUS SENTENCE OPTIONS...

# The law of tests/optimum/toy.h; a job that asks for all of it.
cat >job.yaml <<'YAML'
job: deploy
file: s.h5
domains:
  - {name: code, prior: 0.2}
  - {name: web, prior: 0.6}
  - {name: wiki, prior: 0.2, supply_tokens: 1e9}
design: {mixtures: 16, strength: [0.5, 3], replicates: 1}
scales:
  - {n_params: 10e6, n_tokens: 1e9}
  - {n_params: 40e6, n_tokens: 2e9}
  - {n_params: 160e6, n_tokens: 8e9}
sweep:
  evaluator: simulate
  simulate:
    law: capacity
    noise: 0.003
    params:
      "b[code]": 0.35
      "b[web]": 0.25
      "b[wiki]": 0.30
      "c[code]": 2.2
      "c[web]": 4.1
      "c[wiki]": 3.0
      "A[code]": 0.9
      "A[web]": 0.6
      "A[wiki]": 1.4
      "a[code]": 0.30
      "a[web]": 0.25
      "a[wiki]": 0.35
      "E[code]": 0.4
      "E[web]": 1.3
      "E[wiki]": 0.8
      "H": 0.5
fit: {law: capacity, starts: 16, holdout: none}
bootstrap: {draws: 40}
optimum:
  n_params: 400e6
  n_tokens: 10e9
  baseline: prior
  max_epochs: 3
  no_worse: web
  near: "baseline:tv=0.3"
  lattice: 1/2048
  path: true
  level: 0.8
YAML
"$MIXSWEEP" run job.yaml >out 2>err || die "the job failed"
says 'no worse web; near tv=0.3; epochs at most 3; lattice 1/2048; path'
says 'n of 2048'
says '--params 4e9 --tokens 1e10 --name larger --baseline prior --max-epochs 3 --level 0.8 --no-worse web --near baseline:tv=0.3 --lattice 1/2048'
says 'on the lattice 1/2048'
says "winner's curse"
says 'price: a loss of web 0.01 above'
grep -q '^  *400M  *10B ' out || die "the path does not end at the target"
# the same question, asked by the verb, is the one that the job has answered, and the other way round
optimum s.h5 --params 400e6 --tokens 10e9 --baseline prior --max-epochs 3 --no-worse web \
    --near tv=0.3 --lattice 2048 --path --level 0.8
"$MIXSWEEP" run job.yaml >out 2>err || die "the job failed"
grep -q 'made anew' out err && die "the answer of the verb is not that of the job"
sed 's/max_epochs: 3/max_epochs: 2/' job.yaml >other.yaml
"$MIXSWEEP" run other.yaml >out 2>err || die "the other job failed"
says 'is made anew: what is asked has changed'
for bad in 's|near: .*|near: l2=1|;optimum.near: "l2=1" is not baseline:tv=X' \
    's|no_worse: web|no_worse: wbe|;optimum.no_worse: "wbe" is not a target' \
    's|lattice: 1/2048|lattice: 1/1|;optimum.lattice' \
    's|max_epochs: 3|max_epochs: 0|;optimum.max_epochs' \
    's|, supply_tokens: 1e9||;optimum.max_epochs: no domain has supply_tokens' \
    's|max_epochs: 3|max_epochs: 2\n  floor: 0.21|;0.21 is above what the supply of wiki allows' \
    's|path: true|caps: {code: 0.3, web: 0.3}|;are 9e+09 tokens, and n_tokens is 1e+10; 4 epochs' \
    's|path: true|objective: best|;optimum.objective: "best" is not one of mean, worst, mean-gain'; do
    sed "${bad%%;*}" job.yaml >bad.yaml
    "$MIXSWEEP" run bad.yaml >out 2>err && die "a bad job passes: $bad"
    tr -d '\n' <err >flat
    grep -qF "${bad#*;}" flat || grep -qF "${bad#*;}" err || die "nothing says ${bad#*;}"
done

at="s.h5 --params 4e8 --tokens 1e10 --no-save --baseline prior"
optimum $at --supply wiki=1e9,code=5e8 --max-epochs 2 --format json
holds 'o["binding"]["wiki"] == "supply" and o["binding"]["code"] == "supply"'
holds 'abs(o["mixture"]["wiki"] - 0.2) < 1e-12 and abs(o["mixture"]["code"] - 0.1) < 1e-12'
holds 'o["prices"]["domains"]["wiki"]["per_1e9_tokens"] > 0 and o["max_epochs"] == 2'
holds 'o["limit"]["web"] == 1 and o["supply"]["web"] is None and o["upper"]["wiki"] == 1'
cp out tight.json
optimum $at --supply wiki=1.01e9,code=5e8 --max-epochs 2 --format json
holds 'abs((json.load(open("tight.json"))["objective"]["value"] - o["objective"]["value"]) / 0.01 /
    o["prices"]["domains"]["wiki"]["per_1e9_tokens"] - 1) < 0.02'
optimum $at --supply code=1e9 --format json # one epoch of code; that of the file limits nothing
holds 'o["limit"]["code"] == 0.1 and o["limit"]["wiki"] == 1 and o["supply"]["wiki"] is None'
optimum $at --supply wiki=1e9 # one epoch
says 'price: 100M more tokens of wiki would lower the objective by'
says 'all that the supply allows, the law asks for more: wiki (0.1)'
optimum $at --format json
holds 'o["binding"] == {} and o["question"] == "" and o["lattice"] is None and o["path"] == []'
holds 'abs(o["gain_corrected"] + o["gain_bias"] - o["gain"]["baseline"]["value"]) < 1e-12'
holds 'o["objective_kind"] == "mean" and o["max_epochs"] is None'

optimum $at --no-worse all --format json
holds 'all(o["loss"][t]["value"] <= g["baseline_loss"] * 1.000002 for t, g in o["prices"]["guards"].items())'
holds 'len(o["prices"]["guards"]) == 3'
optimum $at --near kl=0.05 --format json
holds 'o["prices"]["near"] > 0'
optimum $at --objective worst-gain
says "worst loss relative to the baseline's"
optimum $at --objective worst
says 'worst loss  '
"$MIXSWEEP" optimum $at --no-worse web --near tv=0.3 --objective mean-gain --path --format json >one 2>err ||
    die "mean-gain failed"
mpirun -n 2 --oversubscribe "$MIXSWEEP" optimum $at --no-worse web --near tv=0.3 \
    --objective mean-gain --path --format json >out 2>err || die "failed on 2 ranks"
cmp out one || die "2 ranks answer otherwise"

# For trainers: decimals that sum to 1 as printed, within the caps.
optimum s.h5 --params 4e8 --tokens 1e10 --name hand --cap wiki=0.3333333 --supply web=1e9 \
    --max-epochs 3.5 --lattice 1/2048 --export nanotron -o mix.yaml
says 'optimum    capacity at 400M parameters'
no_optimum 1 'mix.yaml exists already' s.h5 --name hand --export nanotron -o mix.yaml
# What cannot be written is said before anything is searched for, or kept.
no_optimum 1 'mix.yaml exists already' s.h5 --params 4e8 --tokens 2e10 --name late --export json -o mix.yaml
no_optimum 1 'cannot write none/mix.yaml' s.h5 --params 4e8 --tokens 2e10 --name late --export json -o none/mix.yaml
[ ! -s out ] || die "an optimum that was not to be"
no_optimum 2 '--name "late": s.h5 has no optimum late; it has ' s.h5 --name late --export json
no_optimum 1 's.h5' s.h5 --name hand --export nanotron -o s.h5 --force
optimum s.h5 --name hand --export nanotron -o mix.yaml --force
for form in megatron olmo-yaml nanotron json; do
    optimum s.h5 --name hand --export $form
    mv out hand.$form
done
optimum $at --cap wiki=0.3333333 --floor 0.1111111 --export json
mv out free.json
"$python" - <<'PYTHON' || die "an export is not what a trainer reads"
import json
from decimal import Decimal
text = open("hand.megatron").read().split()
blend = dict(zip(text[1::2], map(Decimal, text[::2])))
assert sum(blend.values()) == 1 and all(w * 2048 % 1 == 0 for w in blend.values()), blend
assert blend["wiki"] <= Decimal("0.3333333") and blend["web"] <= Decimal("0.35"), blend
read = json.load(open("hand.json"), parse_float=Decimal)
assert read["mixture"] == blend and read["lattice"] == 2048, read
free = json.load(open("free.json"), parse_float=Decimal)["mixture"]
assert sum(free.values()) == 1 and free["wiki"] <= Decimal("0.3333333"), free
assert min(free.values()) >= Decimal("0.1111111"), free
try:
    import yaml
except ImportError:
    raise SystemExit
olmo = yaml.safe_load(open("hand.olmo-yaml"))["sources"]
assert {s["source_name"]: s["target_ratio"] for s in olmo} == {k: float(v) for k, v in blend.items()}
assert all(s["paths"] and s["max_repetition_ratio"] == 3.5 for s in olmo), olmo
nano = yaml.safe_load(open("hand.nanotron"))
assert dict(zip(nano["dataset_folder"], nano["dataset_weights"])) == {k: float(v) for k, v in blend.items()}
PYTHON

# An optimum of an earlier version, which had none of this, is read as it was.
if "$python" -c 'import h5py' 2>/dev/null; then
    cp s.h5 old.h5
    "$python" - <<'PYTHON' || die "h5py does not see the path, or the fields of this version"
import h5py
with h5py.File("s.h5") as f:
    g = f["optimum/capacity"]
    assert g["path_mixture"].shape == (16, 3) and g["path_mixture"].dims[1][0][0] == b"code"
    assert g["path_mixture"].dims[0].label == "path" and "lattice 1/2048" in str(g.attrs["question"])
with h5py.File("old.h5", "a") as f:
    g = f["optimum/hand"]
    for name in ("supply", "limit", "price", "guard", "guard_price", "baseline_loss",
                 "lattice_mixture"):
        del g[name]
    for name in ("question", "goal", "max_epochs", "near", "near_radius", "near_price",
                 "gain_bias", "lattice", "lattice_value"):
        del g.attrs[name]
PYTHON
    "$MIXSWEEP" status old.h5 >out 2>err || die "status of an old file"
    says 'hand'
    optimum old.h5 --name hand --export json
    holds 'abs(sum(o["mixture"].values()) - 1) < 1e-12'

    # One of fewer domains than its fit is another question, and no reason to read beyond its end.
    cp s.h5 bent.h5
    "$python" - <<'PYTHON' || die "the optimum could not be bent"
import h5py
with h5py.File("bent.h5", "a") as f:
    for d in list(f["optimum/capacity"].values()):
        if d.name.endswith("/domain") or d.dims[0].label == "domain":
            d.resize(2, axis=0)
        elif d.ndim > 1 and d.dims[1].label == "domain":
            name, kept, unit = d.name, d[:, :2], d.attrs["units"]
            del f[name]
            f.create_dataset(name, data=kept, maxshape=(None, 2)).attrs["units"] = unit
PYTHON
    no_optimum 1 'for another question (2 domains there, 3 asked for)' bent.h5 --fit capacity \
        --params 400e6 --tokens 10e9
fi

no_optimum 2 '--objective "best": not mean, worst, mean-gain or worst-gain.' $at --objective best
no_optimum 2 '--near "tv": not baseline:tv=X or baseline:kl=X' $at --near tv
no_optimum 2 '--lattice "1/0": not one of 1/2 to' $at --lattice 1/0
no_optimum 2 '--export "yaml": not olmo-yaml, megatron, nanotron or json' $at --export yaml
no_optimum 2 '-o is for --export' $at -o x
no_optimum 2 '--supply "wiki=1e9": wiki is given twice' $at --supply wiki=1e9,wiki=1e9
no_optimum 2 '--supply "wik=1": the fit has no domain wik; did you mean wiki?' $at --supply wik=1
no_optimum 2 '--no-worse "wbe": the fit has no target wbe; did you mean web?' $at --no-worse wbe
no_optimum 1 'allow 3e+09 tokens in 1 epoch, and the target is trained on 1e+10.' $at --supply \
    wiki=1e9,web=1e9,code=1e9 --max-epochs 1
no_optimum 1 'none is nearer to the baseline than tv=0.4, and --near asks for 0.1' $at \
    --cap web=0.2 --near baseline:tv=0.1
no_optimum 1 'the loss of web is at best' $at --cap web=0.2 --no-worse web
no_optimum 1 'the lattice 1/2 is too coarse' $at --cap web=0.4 --cap wiki=0.4 --cap code=0.4 --lattice 1/2

no_optimum 1 'too coarse: it has no share between the floor 0.0001 and the limit 0.2 of wiki' $at \
    --cap wiki=0.2 --lattice 1/4

# Every loss falls steeply with a domain that no run has more than 2.5% of: a law that goes on so puts
# all on it. That is said, and can be kept from.
awk 'BEGIN { print "run,n_params,n_tokens,h_web,h_code,h_rare,loss_web,loss_code,loss_rare"
    for (i = 0; i < 24; i++) {
        rare = 0.025 * (i % 4) / 3; code = (1 - rare) * (0.1 + 0.8 * (i % 7) / 6)
        printf "%d,1e6,1e9,%.9f,%.9f,%.9f,%.9f,%.9f,%.9f\n", i, 1 - rare - code, code, rare,
            2 + exp(0.5 + code - 6 * rare), 2 + exp(1 - code - 6 * rare), 2 + exp(1 - 9 * rare) } }' >rare.csv
run import rare.csv -o rare.h5
run fit rare.h5 --law loglinear --holdout none --starts 4
at="rare.h5 --params 1e6 --tokens 1e9 --no-save"
optimum $at
says '  caution: do not trust this optimum, its shares lie far beyond all runs (in brackets: times the largest share seen): rare (40); --within-support keeps'
optimum $at --format json
holds 'o["mixture"]["rare"] > 0.99 and o["hull_distance"] > 0.9'
optimum $at --within-support --format json
holds 'abs(o["mixture"]["rare"] - 0.025) < 1e-9 and o["seen_max"]["rare"] == 0.025'
holds 'o["binding"]["rare"] == "support"'
holds 'not any("beyond all runs" in w for w in o["warnings"])'

# A log-linear law without priors puts 30% on a domain that none of the 512 runs of RegMix had more
# than 2.6% of; with them its answer is of shares that were seen.
data=${MIXSWEEP_SHARED:-}/data/regmix17.csv
if [ -f "$data" ]; then
    run import "$data" -o r.h5
    run fit r.h5 --law loglinear --targets all --holdout none --starts 1
    optimum r.h5 --params 1e6 --tokens 1e9 --no-save --format json
    holds 'all(share <= o["seen_max"][d] for d, share in o["mixture"].items())'
    holds 'not any("beyond all runs" in w for w in o["warnings"])'
fi
