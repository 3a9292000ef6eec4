# SPDX-License-Identifier: GPL-3.0-or-later
# The verb optimum: recovers a known optimum from noise-free runs, answers in every format, equal on
# any number of ranks, and refuses what it must in a sentence.
. "$MIXSWEEP_TESTS/lib.sh"
optimum() { run optimum "$@"; }
no_optimum() { refuses "$1" "$2" optimum "${@:3}"; } # STATUS SENTENCE OPTIONS...

# The law of tests/optimum/toy.h without noise. Its optimum at 400M parameters and 10B tokens, by
# brute force over nested grids there: code 0.318046, web 0.264506, wiki 0.417447.
cat >job.yaml <<'YAML'
job: known
file: s.h5
domains: [{name: code, prior: 0.2}, {name: web, prior: 0.6}, {name: wiki, prior: 0.2}]
design: {mixtures: 16, strength: [0.5, 3], replicates: 1}
scales:
  - {n_params: 10e6, n_tokens: 1e9}
  - {n_params: 40e6, n_tokens: 2e9}
  - {n_params: 160e6, n_tokens: 8e9}
sweep:
  evaluator: simulate
  simulate:
    law: capacity
    noise: 0
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
fit: {law: capacity, starts: 32, holdout: none}
bootstrap: {draws: 50}
YAML
"$MIXSWEEP" run job.yaml >out 2>err || die "the job failed"

optimum s.h5 --params 400e6 --tokens 10e9 --format csv
cp out known.csv
awk -F, 'BEGIN { true["code"] = 0.318046; true["web"] = 0.264506; true["wiki"] = 0.417447 }
    NR > 1 { d = $2 - true[$1]; if (d < -1e-4 || d > 1e-4) exit 1; n++; sum += $2 }
    END { if (n != 3 || sum < 1 - 1e-12 || sum > 1 + 1e-12) exit 1 }' out ||
    die "the known optimum is not found"

# The same question again replaces its answer; another one wants a name.
optimum s.h5 --params 400e6 --tokens 10e9
says 'optimum    capacity at 400M parameters, 10B tokens, 50 draws'
says 'resampling only'
prints '^  target  weight .* 90%, resampling only  all known errors$'
prints '^  domain  prior  optimum .* seen up to .* tied at least  nearest tie$'
prints '^  uniform .* 1.00    no$'
says 'certificate: KKT residual'
says 'warning: only 50 draws'
says 'warning: the size is 2.5 times the largest fitted one'
no_optimum 1 'for another question (400M parameters, 10B tokens there, 800M and 10B asked for)' \
    s.h5 --params 800e6 --tokens 10e9
no_optimum 1 'for another question (the cap of wiki is 1 there, 0.2 asked for): give' \
    s.h5 --params 400e6 --tokens 10e9 --cap wiki=0.2
optimum s.h5 --params 800e6 --tokens 10e9 --no-save
optimum s.h5 --params 800e6 --tokens 10e9 --name large
refuses 2 '--fit "x": s.h5 has no optimum of x; it has capacity.' export s.h5 optimum --fit x
run export s.h5 optimum
cat >bca.py <<'PY'
import csv, h5py
of = h5py.File("s.h5")["optimum/large"]
rows = [r for r in csv.DictReader(open("out")) if r["optimum"] == "large"]
for k, row in enumerate(rows):
    for end in ("lo", "hi"):
        assert float(row["bca_" + end]) == of["mixture_bca_" + end][k]
PY
"$python" bca.py || die "export has other BCa ends than the file"
optimum s.h5 --params 400e6 --tokens 10e9 --cap wiki=0.2 --replace
says 'on the cap, the law asks for more: wiki (0.2)'

# Formats, weights, baselines: ours can be read back as a baseline.
optimum s.h5 --params 4e8 --tokens 1e10 --no-save --format json --baseline prior
for key in law n_params n_tokens mixture interval level objective loss gain p_better extrapolation \
    tied warnings uniform best_observed baseline baseline_name weights lower upper tied_range \
    not_worse interval_wide interval_bca bca_lo wide_hi; do
    says "\"$key\":"
done
cp out first.json
optimum s.h5 --params 4e8 --tokens 1e10 --no-save --format yaml --weight code=0 --floor 0.02 \
    --cap wiki=0.75
says 'mixture:'
tr -d '\n' <out >flat
for part in 'weights:  code: 0  web: 1  wiki: 1' 'upper:  code: 1  web: 1  wiki: 0.75' \
    'lower:  code: 0.02'; do
    grep -qF "$part" flat || die "no \"$part\""
done
grep -q '^  code: 0.02' out || die "a target without weight pulls its domain"
optimum s.h5 --params 4e8 --tokens 1e10 --no-save --weight code=2
says '  weighted mean loss  '
optimum s.h5 --params 4e8 --tokens 1e10 --no-save --weight code=2 --weight web=2 --weight wiki=2
says '  mean loss  '

# A mixture to compare with that was not allowed is marked.
printf 'code,0.3\nweb,0.1\nwiki,0.6\n' >broken.csv
optimum s.h5 --params 4e8 --tokens 1e10 --no-save --cap wiki=0.3 --floor 0.2 --baseline broken.csv
says 'uniform (not allowed by the caps)'
says 'baseline (broken.csv, not allowed by the floors and caps)'
says 'best observed (not allowed by the '
optimum s.h5 --params 4e8 --tokens 1e10 --no-save --floor 0
grep -q 'not allowed' out && die "an allowed mixture is marked"
optimum s.h5 --params 4e8 --tokens 1e10 --no-save --baseline known.csv
says 'baseline (known.csv)  0.0000'
optimum s.h5 --params 4e8 --tokens 1e10 --no-save --baseline first.json
says 'baseline (first.json)  0.0000'
printf '# mine\ncode: 0.5\n"web": 0.25\nwiki: 0.25\n' >mine.yaml
optimum s.h5 --params 4e8 --tokens 1e10 --no-save --baseline mine.yaml
says 'baseline (mine.yaml)'

for n in 2 3; do
    mpirun -n $n --oversubscribe "$MIXSWEEP" optimum s.h5 --params 4e8 --tokens 1e10 --no-save \
        --format json --baseline prior >out 2>err || die "failed on $n ranks"
    cmp out first.json || die "$n ranks answer otherwise"
done
status=0
mpirun -n 2 --oversubscribe "$MIXSWEEP" optimum s.h5 --params 4e8 --tokens 1e10 --no-save \
    --baseline none.csv >out 2>err || status=$?
[ $status = 1 ] || die "a missing file ends 2 ranks with $status"
[ "$(grep -c -- '--baseline "none.csv": not uniform or prior, and there is no such file' err)" = 1 ] || die "not one sentence from 2 ranks"

at="s.h5 --params 4e8 --tokens 1e10 --no-save"
no_optimum 1 'the floor 0.4 exceeds the cap of wiki (0.01).' $at --floor 0.4 --cap wiki=0.01
says '  Lower --floor to 0.01 or less, or raise the cap.'
no_optimum 1 'sum to 1.2, more than 1.' $at --floor 0.4
no_optimum 1 'Raise caps by 0.7 in all.' $at --cap code=0.1 --cap web=0.1 --cap wiki=0.1
no_optimum 2 'the fit has no domain wikis; did you mean wiki?' $at --cap wikis=0.1
no_optimum 2 'the fit has no target coda; did you mean code? It has code, web, wiki.' $at --weight coda=1
no_optimum 2 'the fit has no target foo; it has code, web, wiki.' $at --weight foo=2
no_optimum 2 '--cap "wiki=0.5": wiki is given twice' $at --cap wiki=0.4 --cap web=0.4 --cap wiki=0.5
no_optimum 2 '--weight "web=2": web is given twice' $at --weight web=2 --weight web=2
no_optimum 2 '--cap "wiki=1.5": not a number from 0 to 1' $at --cap wiki=1.5
no_optimum 2 '--weight "wiki=-1": not a number from 0' $at --weight wiki=-1
no_optimum 2 '--weight: all weights are 0' $at --weight code=0,web=0,wiki=0
no_optimum 2 '--no-worse "web,wik": the fit has no target wik; did you mean wiki? It has code, web, wiki.' \
    $at --no-worse web,wik
no_optimum 2 '--near "tv=1.5": not baseline:tv=X or baseline:kl=X with X above 0, of tv at most 1' $at --near tv=1.5
for name in a/b . .a "$(printf 'a\nb')" "$(printf '\377')"; do
    no_optimum 2 'not 1 to 63 bytes of text' s.h5 --params 4e8 --tokens 1e10 --name "$name"
done
no_optimum 2 '--format "xml": not text, json, yaml or csv' $at --format xml
no_optimum 2 '--params and --tokens say which model' s.h5 --params 1e9
no_optimum 1 'below H = 0.5' s.h5 --params 1e5 --tokens 1e9 --no-save
no_optimum 2 '--fit "nofit": s.h5 has no fit nofit; it has capacity.' s.h5 --fit nofit --params 1e9 --tokens 1e9
no_optimum 1 'none.h5' none.h5 --params 1e9 --tokens 1e9
printf 'domain,share\ncode,0.5\nweb,0.2\n' >short.csv
no_optimum 1 'short.csv: the shares sum to 0.7; they must sum to 1' $at --baseline short.csv
printf 'code,0.5\nweb,half\n' >bad.csv
no_optimum 1 'bad.csv, line 2: "web,half" is not DOMAIN,SHARE' $at --baseline bad.csv
printf 'code,0.5\ncode,0.5\n' >bad.csv
no_optimum 1 'bad.csv, line 2: domain code is given twice' $at --baseline bad.csv
printf '{"code": 0.5, "web": "x"}' >bad.json
no_optimum 1 'bad.json: the share of web is not a number' $at --baseline bad.json
printf '{"code": 0.5,' >bad.json
no_optimum 1 'bad.json, line 1:' $at --baseline bad.json

# Several fits: one must be named. A table that knows no prior has none as baseline.
"$MIXSWEEP" export s.h5 runs -o runs.csv >out 2>err || die "export failed"
"$MIXSWEEP" import runs.csv -o t.h5 >out 2>err || die "import failed"
no_optimum 1 'has no fit yet' t.h5 --params 4e8 --tokens 1e10
"$MIXSWEEP" fit t.h5 --law capacity --starts 8 --holdout none >out 2>err || die "fit failed"
optimum t.h5 --params 4e8 --tokens 1e10 --no-save
says 'warning: no bootstrap of capacity, so no intervals'
prints '^  mixsweep bootstrap [^ ]*\.h5 --fit capacity makes the draws for intervals$'
no_optimum 1 'does not know the prior of code' t.h5 --params 4e8 --tokens 1e10 --baseline prior
"$MIXSWEEP" fit t.h5 --law capacity --name again --starts 8 --holdout none >out 2>err ||
    die "fit failed"
no_optimum 2 'has 2 fits: say which by --fit (' t.h5 --params 4e8 --tokens 1e10
