# SPDX-License-Identifier: GPL-3.0-or-later
# The verb predict: scores runs that the file has never seen, predicts runs without losses and single
# mixtures, matches columns by name.
. "$MIXSWEEP_TESTS/lib.sh"
predict() { run predict "$@"; }
no_prediction() { refuses "$1" "$2" predict "${@:3}"; } # STATUS SENTENCE OPTIONS...
# number KEY: its first value in the JSON of the last run
number() { sed -n "s/^ *\"$1\": \([-0-9.e]*\),*$/\1/p" out | head -n 1; }
holds() { awk "BEGIN { exit !($1) }" || die "not so: $1"; }

cat >job.yaml <<'YAML'
job: known
file: s.h5
domains: [{name: code, prior: 0.3}, {name: web, prior: 0.4}, {name: wiki, prior: 0.3}]
design: {mixtures: 14, strength: [0.5, 3], replicates: 1}
scales:
  - {n_params: 10e6, n_tokens: 1e9}
  - {n_params: 40e6, n_tokens: 2e9}
  - {n_params: 160e6, n_tokens: 8e9}
sweep: {evaluator: simulate, simulate: {law: capacity, noise: 0, seed: 3}}
fit: {law: capacity, starts: 32, holdout: none, where: n_params<=40e6}
bootstrap: {draws: 20}
YAML
"$MIXSWEEP" run job.yaml >out 2>err || die "the job failed"
"$MIXSWEEP" export s.h5 runs -o runs.csv >out 2>err || die "export failed"

# The large size was not fitted; without noise the law is exact there too.
predict s.h5 runs.csv --where n_params=160e6 --format json
holds "$(number n) == 42 && $(number mre) < 1e-4 && $(number rho) > 0.999"
holds "$(number regret) < 1e-6 && $(number skill) > 0.99 && $(number slope) > 0.99"
for key in law n left_out mse mre mae rmse rho regret slope skill by_target by_scale; do
    says "\"$key\":"
done
predict s.h5 runs.csv
says 'predict    fit capacity (capacity) on runs.csv: 42 runs, 126 losses'
grep -Eq '^ *160M +8B +42 +0\.00%' out || die "no line for the large size"

# How many of them the interval of the mean loss holds.
says '90% interval of the mean loss (draws and residual noise) covers '
predict s.h5 runs.csv --level 0.99 --format json
grep -q '"covered": [0-9]' out || die "no coverage"

# Columns in another order, a target more, one target less, and none at all.
columns() { # NAMES: of the rows of runs.csv
    awk -F, -v names="$1" 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; n = split(names, name, ",") }
        { for (i = 1; i <= n; i++)
              printf "%s%s", (name[i] in at) ? $at[name[i]] : (NR == 1 ? name[i] : "2.5"),
                  i < n ? "," : "\n" }' runs.csv
}
columns run,loss_wiki,loss_other,h_wiki,h_web,h_code,n_tokens,n_params,loss_web >other.csv
predict s.h5 other.csv --format json
holds "$(number n) == 84 && $(number mre) < 1e-4 && $(number ignored_targets) == 1"
predict s.h5 other.csv
says "1 of the fit's 3 targets are not measured here"
says '1 target of the table ignored: unknown to the fit'
columns run,n_params,n_tokens,h_web,h_code,h_wiki >bare.csv
predict s.h5 bare.csv
[ "$(wc -l <out)" = 43 ] || die "not every run is predicted"
cp out bare.out
predict s.h5 runs.csv -o scored.csv
# Rows are those of the file, in the order of the table; measured losses are copied; ends hold what
# they are of, the wide ones the others.
cat >check.py <<'PY'
import csv, h5py
runs, bare, scored = (list(csv.DictReader(open(f))) for f in ("runs.csv", "bare.out", "scored.csv"))
ends = ["loss", "pred", "lo", "hi", "wide_lo", "wide_hi"]
assert list(scored[0]) == ["run", "n_params", "n_tokens", "key"] + [
    f"{e}_{t}" for t in ("code", "web", "wiki") for e in ends], list(scored[0])
for run, b, s in zip(runs, bare, scored, strict=True):
    assert run["run"] == s["run"] == b["run"] and run["n_params"] == s["n_params"]
    for t in ("code", "web", "wiki"):
        assert s["loss_" + t] == run["loss_" + t] and b["loss_" + t] == ""
        v = {e: float(s[f"{e}_{t}"]) for e in ends}
        assert abs(v["pred"] / v["loss"] - 1) < 1e-4
        assert v["wide_lo"] <= v["lo"] <= v["pred"] <= v["hi"] <= v["wide_hi"], v
        assert all(s[f"{e}_{t}"] == b[f"{e}_{t}"] for e in ends[1:])
keys = {k.decode() for k in h5py.File("s.h5")["runs/key"][:]}
assert keys == {s["key"] for s in scored}
PY
"$python" check.py || die "not what the CSV of predictions has to be"
predict s.h5 bare.csv --format json
holds "$(number wide_lo) <= $(number lo) && $(number lo) <= $(number hi)"
cp scored.csv scored.out

# Nothing is replaced unasked, and never what is read.
cp runs.csv runs.before
cp s.h5 before.h5
echo mine >scored.csv
no_prediction 1 'scored.csv exists already; --force replaces it' s.h5 runs.csv -o scored.csv
[ "$(cat scored.csv)" = mine ] || die "a refusal wrote"
for force in '' --force; do
    no_prediction 1 './runs.csv is runs.csv, which is read' s.h5 runs.csv -o ./runs.csv $force
    no_prediction 1 's.h5 is the file that is read' s.h5 runs.csv -o s.h5 $force
done
cmp runs.csv runs.before
cmp s.h5 before.h5
predict s.h5 runs.csv -o scored.csv --force
cmp scored.csv scored.out

predict s.h5 runs.csv -o /dev/stdout
[ "$(grep -c ,pred_code, out)" = 1 ] || die "not written to stdout"

# One mixture, with an interval over the draws.
predict s.h5 --mixture code=.3,web=.3,wiki=.4 --params 1e9 --tokens 2e10
says 'fit capacity (capacity) at 1B parameters, 20B tokens'
says 'resampling only'
says '  90%, resampling only'
says '  mean loss '
says '25 times the largest fitted size'
says 'resampled mixtures'
says 'not measured: no mixture was run twice at one scale'
says 'not known: one fit'
predict s.h5 --mixture web=.6,code=.4 --params 1e9 --tokens 2e10 --format json
holds "$(number laws) == 1 && $(number total) >= $(number resampling)"
holds "$(number wiki) == 0 && $(number draws) == 20 && $(number lo) <= $(number hi)"

at="--params 1e9 --tokens 2e10"
no_prediction 2 'give either a table of runs or --mixture' s.h5
no_prediction 2 'give either a table of runs or --mixture' s.h5 runs.csv --mixture web=1 $at
no_prediction 2 '--mixture needs --params and --tokens' s.h5 --mixture web=1
no_prediction 2 'the table gives its own sizes' s.h5 runs.csv $at
no_prediction 2 '--where, --checkpoints and -o go with a table' s.h5 --mixture web=1 $at -o x.csv
no_prediction 2 '--checkpoints "first": not last or all' s.h5 runs.csv --checkpoints first
no_prediction 2 '--mixture: there is no domain wikki; did you mean wiki?' s.h5 --mixture wikki=1 $at
no_prediction 2 '--mixture: the shares sum to 0.9' s.h5 --mixture web=.5,code=.4 $at
no_prediction 2 '--mixture "web": not NAME=NUMBER' s.h5 --mixture web,code=1 $at
columns run,n_params,n_tokens,h_code,h_web,loss_code >less.csv
sed -e '2,$s/^\([^,]*,[^,]*,[^,]*\),[^,]*,[^,]*/\1,0.5,0.5/' less.csv >two.csv
no_prediction 1 'domain wiki of fit capacity is missing in the table' s.h5 two.csv
sed -e '1s/$/,h_math/' -e '2,$s/$/,0/' runs.csv >more.csv
no_prediction 1 'domain math of the table is unknown to fit capacity' s.h5 more.csv
no_prediction 1 'none.csv' s.h5 none.csv
no_prediction 2 '--fit "capcity": s.h5 has no fit capcity; did you mean capacity? It has capacity.' \
    s.h5 runs.csv --fit capcity
no_prediction 1 'no/such/folder/p.csv' s.h5 runs.csv -o no/such/folder/p.csv

# A law that does not look at size and tokens says so, and is not said to be tested.
# Without a bootstrap there are no ends.
run fit s.h5 --law loglinear --where 'n_params<=10e6' --starts 4 --holdout none
run predict s.h5 --fit loglinear bare.csv
prints '^run,n_params,n_tokens,key,loss_code,pred_code,loss_web,pred_web,loss_wiki,pred_wiki$'
run predict s.h5 --fit loglinear --mixture web=1 $at
says 'caution: no run had so much of web: 1, and at most 0.'
run predict s.h5 --fit loglinear --mixture web=.4,code=.3,wiki=.3 $at
grep -q 'no run had so much' out && die "a warning of what was seen"
says 'extrapolation          not known: the law does not depend on size or tokens'
says 'all that is known      nothing'
run optimum s.h5 --fit loglinear $at --no-save
grep -q 'known errors' out && die "an interval of nothing"
says 'caution: law loglinear does not depend on size or tokens: these are its losses for the fitted 1e+07 parameters and 1e+09 tokens, whatever the target'

# Nor is it another opinion on another scale to a law that does look at size.
run fit s.h5 --law capacity --name one --where 'n_params<=10e6' --starts 4 --holdout none
run predict s.h5 --fit one --mixture web=.4,code=.3,wiki=.3 $at --format json
holds "$(number laws) == 1"
run predict s.h5 --fit loglinear --mixture web=.4,code=.3,wiki=.3 $at --format json
holds "$(number laws) == 2"
