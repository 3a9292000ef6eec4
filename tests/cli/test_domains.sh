# SPDX-License-Identifier: GPL-3.0-or-later
# The verb domains: runs carried over to other domains, what is not valid any more out of the way, the
# runs to add, and every sentence of what cannot be.
. "$MIXSWEEP_TESTS/lib.sh"
asked() { expect "$1" "$2" "$MIXSWEEP" "${@:3}"; } # STATUS PATTERN ARGUMENTS...
python() { "${MIXSWEEP_PYTHON:-/usr/bin/python3}" -; }
equal="${MIXSWEEP_PYTHON:-/usr/bin/python3} $MIXSWEEP_TESTS/h5equal.py"

job() { # FILE DOMAINS TARGETS DESIGN
    cat <<YAML
job: world
file: $1
seed: 3
domains: [$2]
targets: [$3]
design: {$4, replicates: 1}
scales: [{n_params: 20e6, n_tokens: 1e9}]
sweep: {evaluator: simulate, simulate: {law: demand, noise: 0.002, seed: 5}}
fit: {law: loglinear, targets: all, starts: 4, holdout: none}
bootstrap: {draws: 40}
optimum: {n_params: 20e6, n_tokens: 1e9}
YAML
}
job s.h5 '{name: web, supply_tokens: 9e11}, {name: code, content: v1, supply_tokens: 1e11}, {name: wiki}' \
    '{name: chat}, {name: exams}' 'mixtures: 8' >job.yaml
"$MIXSWEEP" run job.yaml >out 2>&1 || { cat out; exit 1; }
cp s.h5 before.h5

# ---- what cannot be, and then nothing is written
asked 2 '"ad" is not add, split, merge, revise, drop, plan, expand or bound' domains ad s.h5 math -o n.h5
asked 2 'add which domain?' domains add s.h5 -o n.h5
asked 2 'where to? Give -o NEW.h5' domains add s.h5 math
asked 2 'add takes one domain; "x" is one word too many' domains add s.h5 math x -o n.h5
asked 2 'plan takes a file only; "x" is one word too many' domains plan s.h5 x
asked 2 'bound takes two files' domains bound s.h5
asked 2 'bound takes two files only; "x" is one word too many' domains bound s.h5 s.h5 x
asked 2 'apart says what --collapse leaves out' domains drop s.h5 wiki --apart 1 -o n.h5
asked 1 's.h5: no domains of the file have been collapsed\.' domains bound s.h5 s.h5
asked 1 'add leaves 1 domains alone and changes 3: there is nothing to collapse' \
    domains add s.h5 math --collapse rest --apart 5 -o n.h5
asked 2 'split web: give its parts as NAME=SHARE' domains split s.h5 web -o n.h5
asked 2 '"a=x" is not NAME=SHARE' domains split s.h5 web a=x b=0.5 -o n.h5
asked 2 'give each part of web its share, as NAME=SHARE' domains split s.h5 web a b=0.5 -o n.h5
asked 2 'the supply of wiki is not known: give proportions as wiki=0.5' domains merge s.h5 x web wiki -o n.h5
asked 2 'split takes no --prior' domains split s.h5 web a=0.5 b=0.5 -o n.h5 --prior 0.1
asked 2 'drop takes no --supply' domains drop s.h5 wiki -o n.h5 --supply 1e9
asked 2 'add takes no --new-validation' domains add s.h5 math -o n.h5 --new-validation
asked 1 's.h5: the content of code is v1 already; give another label' domains revise s.h5 code --content v1 -o n.h5
asked 1 's.h5: there is no domain "x"; there are web, code, wiki' domains drop s.h5 x -o n.h5
asked 1 's.h5: the proportions in web sum to 0.9; they must sum to 1' domains split s.h5 web a=0.5 b=0.4 -o n.h5
asked 1 's.h5: there is a domain "wiki" already' domains split s.h5 web a=0.5 wiki=0.5 -o n.h5
asked 1 's.h5: there is a domain "code" already' domains add s.h5 code -o n.h5
asked 1 's.h5: there is no domain "x"; there are' domains merge s.h5 y x=0.5 web=0.5 -o n.h5
asked 1 's.h5: there is no domain "x"; there are' domains merge s.h5 y x web -o n.h5
asked 1 'split of web: give 2 to 256 parts, not 1' domains split s.h5 web a=1 -o n.h5
asked 1 'a name has none of , = < > ! \[ \] " and /, but "a,b" has ,' domains add s.h5 a,b -o n.h5
asked 1 '"b ": a name neither begins nor ends with a space' domains split s.h5 web a=0.5 'b =0.5' -o n.h5
asked 2 '-o and --runs are both n.h5: give two names' domains add s.h5 math -o n.h5 --runs n.h5
asked 2 'plan takes no --output' domains plan s.h5 -o n.h5
asked 2 'expand takes no --runs' domains expand s.h5 --runs n.csv
asked 1 's.h5 is the file that is read' domains add s.h5 math -o s.h5 --force
asked 1 'is a folder' domains add s.h5 math -o .
asked 1 'none.h5: no such file\|none.h5' domains add none.h5 math -o n.h5
asked 2 '--optimum "other": s.h5 has no optimum other' domains add s.h5 math -o n.h5 --optimum other
asked 1 'drop leaves 2 domains alone and changes 0: there is nothing to collapse' domains drop s.h5 wiki --collapse rest -o n.h5
asked 1 's.h5: no domain of the file has changed' domains plan s.h5
: >there
asked 1 'there exists already; --force replaces it' domains add s.h5 math -o there
asked 1 'there exists already; --force replaces it' domains add s.h5 math -o n.h5 --runs there
[ ! -e n.h5 ]

# ---- a new domain: its runs join the old ones by a job of their own
asked 0 'rows      8 valid' domains add s.h5 math --supply 5e10 -o add.h5 --runs math.csv
grep -q 'to add    9 mixtures of math and the other 3 in fixed proportions (optimum loglinear of s.h5)' out
cmp s.h5 before.h5
mpirun -n 2 --oversubscribe "$MIXSWEEP" domains add s.h5 math --supply 5e10 -o add2.h5 --runs math2.csv >out
$equal add.h5 add2.h5
cmp math.csv math2.csv
job add.h5 '{name: web}, {name: code}, {name: wiki}, {name: math}' '{name: chat}, {name: exams}' \
    'file: math.csv' >math.yaml
"$MIXSWEEP" sweep math.yaml >out 2>&1 || { cat out; exit 1; }
"$MIXSWEEP" fit add.h5 --law loglinear --targets all --starts 4 --holdout none >out
"$MIXSWEEP" bootstrap add.h5 --draws 120 >out 2>&1
"$MIXSWEEP" optimum add.h5 --params 20e6 --tokens 1e9 >out
asked 0 'plan add.h5, by the draws of its fit' domains plan add.h5 --mixtures 3 --runs next.csv
head -1 next.csv | grep -q '^n_params,n_tokens,h_web,h_code,h_wiki,h_math$'

# ---- another order of the same names is said to be one, with the order that it has to be
job add.h5 '{name: web}, {name: math}, {name: code}, {name: wiki}' '{name: chat}, {name: exams}' \
    'file: math.csv' >swapped.yaml
asked 1 'in another order; list them in the job as they are in the file: domains web, code, wiki, math; targets chat, exams' \
    sweep swapped.yaml

# ---- a silent change of data is refused, and revise is the way out
sed 's/content: v1/content: v2/; s/mixtures: 8/mixtures: 9/' job.yaml >changed.yaml
asked 1 'mixsweep domains revise s.h5 code --content v2 -o NEW.h5 keeps what is still valid' sweep changed.yaml
asked 0 'not any more: trained on the former content of code' domains revise s.h5 code --content v2 \
    -o revised.h5 --tolerance 0.02
asked 1 'the content of domain "code" is v1 in the file and v2 in the new rows: mixsweep domains revise' \
    merge s.h5 revised.h5 -o n.h5
sed 's/s.h5/revised.h5/; s/content: v1/content: v2/' job.yaml >remade.yaml
"$MIXSWEEP" sweep remade.yaml >out 2>&1 || { cat out; exit 1; }

# ---- chains: split, merge in the same proportions, and what is one domain for a time
asked 0 'rows      8 valid' domains split s.h5 web news=0.7 forum=0.3 -o split.h5
asked 0 'rows      8 valid' domains merge split.h5 web news=0.7 forum=0.3 -o back.h5
"$MIXSWEEP" merge split.h5 -o joined.h5 >out # joined files keep what was done to the first
asked 0 'rows      [0-9]* valid, [0-9]* not any more: parts in other proportions than in text' \
    domains merge s.h5 text web code -o merged.h5 --format text
asked 0 'mixsweep optimum s.h5 --cap wiki=0' domains drop s.h5 wiki -o dropped.h5
asked 0 'kept      today no other proportions are better by more than [-.e0-9]* ([-+.e0-9]* by 95 in 100 draws);' \
    domains add s.h5 math --collapse rest --apart 1 -o apart.h5 --format text
grep -q ' where the change makes a difference of 10% in what targets gain from data: most by' out
! grep -q 'no bound' out
# a law that need not be convex in the mixture gives no bound, and says so
cp s.h5 joint.h5
"$MIXSWEEP" fit joint.h5 --law joint --targets all --starts 1 --holdout none >out 2>&1
asked 0 'no bound: that is what slopes promise, and the law need not be convex in the mixture' \
    domains add joint.h5 math --collapse rest --fit joint -o unbound.h5
"$MIXSWEEP" domains revise s.h5 code --collapse rest -o rest.h5 --runs rest.csv --format json >rest.json
job rest.h5 '{name: rest}, {name: code}' '{name: chat}, {name: exams}' 'file: rest.csv' >rest.yaml
"$MIXSWEEP" run rest.yaml >out 2>&1 || { cat out; exit 1; }
"$MIXSWEEP" domains expand rest.h5 --format json >expanded.json
"$MIXSWEEP" domains bound rest.h5 s.h5 --format json >bound.json
asked 0 'kept      no other proportions are better by more than' domains bound rest.h5 s.h5
# a fit that knows not all of them says nothing of the cost, and keeps nothing but --apart from its work
cp s.h5 bent.h5
python <<'PY'
import h5py
with h5py.File("bent.h5", "a") as file:
    file["fits/loglinear/domain"][0] = b"net"
PY
asked 1 'bent.h5: fit loglinear knows no domain "web"\.' domains add bent.h5 math --collapse rest --apart 1 -o note.h5
asked 0 'note: what the kept proportions cost is not known: fit loglinear knows no domain "web"' \
    domains add bent.h5 math --collapse rest -o note.h5
asked 1 'bound rest.h5 rest.h5: fit loglinear knows no domain "web"\.' domains bound rest.h5 rest.h5
"$MIXSWEEP" domains expand rest.h5 -o expanded.csv
python <<'PY'
import csv, h5py, json
import numpy as np

for name in "math.csv", "next.csv", "expanded.csv": # no more digits than bring a number back
    for row in list(csv.reader(open(name)))[1:]:
        assert all(len(cell) <= len(repr(float(cell))) for cell in row[1:]), row

def read(name):
    file = h5py.File(name)
    changes = [json.loads(line) for line in file.attrs["domain_changes"].decode().split("\n")] \
        if "domain_changes" in file.attrs else []
    text = lambda array: [item.decode() for item in array]
    runs = {key: file["runs"][key][...] for key in ("mixture", "loss", "excluded", "status", "n_params")}
    for key in "run", "recipe", "reason", "metadata":
        runs[key] = text(file["runs"][key])
    return changes, text(file["domains/name"]), text(file["targets/name"]), runs

_, domains, targets, old = read("s.h5")
assert len(old["run"]) == 8
old["domains"] = domains

changes, domains4, targets4, added = read("add.h5")
assert domains4 == domains + ["math"] and targets4 == targets
assert [c["action"] for c in changes] == ["add"] and changes[0]["from"] == "s.h5"
assert changes[0]["rows"] == {"valid": 8, "near": 0, "void": 0, "excluded_before": 0, "left_out": 0}
is_old = np.isin(added["run"], old["run"])
assert is_old.sum() == 8 and len(is_old) == 8 + 9
assert (added["mixture"][is_old, 3] == 0).all()
assert not np.isnan(added["loss"][~is_old]).any()
rows = list(csv.reader(open("math.csv")))
shares = np.array([row[1:] for row in rows[1:]], float)
best = h5py.File("s.h5")["optimum/loglinear/mixture"][...]
assert rows[0][1:] == ["h_" + name for name in domains4]
assert np.allclose(shares.sum(1), 1) and np.allclose(shares[:, :3], shares[:, :3].sum(1)[:, None] * best)

# of every run with code there are two now: the void one and the one made anew
_, _, _, revised = read("revised.h5")
n_void = int((old["mixture"][:, 1] > 0.02).sum())
assert 0 < n_void == int(revised["excluded"].sum()) and len(revised["run"]) == 8 + n_void
for r in range(len(revised["run"])):
    assert revised["excluded"][r] == (revised["recipe"][r] == "before revise code")
    assert not revised["excluded"][r] or "former content of code" in revised["reason"][r]

changes, domains2, targets2, back = read("back.h5")
assert [c["action"] for c in changes] == ["split", "merge"] and domains2 == domains and targets2 == targets
assert read("joined.h5")[0] == changes[:1]
for key in "mixture", "loss", "run", "recipe", "excluded":
    assert np.array_equal(back[key], old[key]), key

changes, _, targets3, merged = read("merged.h5")
assert abs(changes[0]["parts"]["web"] - 0.9) < 1e-12
for r in range(8):
    if merged["excluded"][r]:
        was = json.loads(merged["metadata"][r])["before merge text"]
        assert abs(0.9 * was["code"] - 0.1 * was["web"]) > 1e-5

changes, domains, _, _ = read("apart.h5") # one domain stays apart, the other two keep their proportions
kept = changes[1]["parts"]
assert len(kept) == 2 and len(domains) == 3 and set(kept) < {"web", "code", "wiki"}
first, second = (old["domains"].index(name) for name in kept)
assert abs(kept[old["domains"][first]] / kept[old["domains"][second]] * best[second] / best[first] - 1) < 1e-9
reuse = changes[1]["reuse"]
assert reuse["is_bound"] and read("unbound.h5")[0][1]["reuse"]["is_bound"] is False
assert 0 <= reuse["loss"] <= reuse["loss_high"] and min(reuse["coupling"].values()) > 0
bound = json.load(open("bound.json"))
assert 0 <= bound["loss"] <= bound["loss_high"] and bound["unknown_targets"] == 0 and bound["is_bound"]
assert bound["towards"] in ("web", "wiki")

answer = json.load(open("rest.json"))
assert answer["domains"] == ["rest", "code"] and answer["changes"][1]["virtual"]
assert len(answer["plan"]["mixtures"]) == 9 and answer["plan"]["explores"] == ["code"]
parts = answer["changes"][1]["parts"]
assert abs(parts["web"] / parts["wiki"] - best[0] / best[2]) < 1e-9 * best[0] / best[2]
optimum = h5py.File("rest.h5")["optimum/loglinear/mixture"][...]
expanded = json.load(open("expanded.json"))
assert set(expanded) == {"web", "wiki", "code"} and abs(sum(expanded.values()) - 1) < 1e-12
assert abs(expanded["web"] - optimum[0] * parts["web"]) < 1e-12 and expanded["code"] == optimum[1]
assert {row["domain"]: float(row["share"]) for row in csv.DictReader(open("expanded.csv"))} == expanded
PY

# ---- the bound of a tolerance: by the fit, by the steepest pair without one
asked 0 'bound     [0-9]* of the valid rows only within the tolerance: .*' domains drop s.h5 wiki \
    --tolerance 0.3 -o near.h5
grep -q 'by the fit, whose residuals are' out
"$MIXSWEEP" merge s.h5 -o bare.h5 >out
asked 0 'if none changes faster than between the steepest pair of runs' domains drop bare.h5 wiki \
    --tolerance 0.3 -o near.h5 --force
