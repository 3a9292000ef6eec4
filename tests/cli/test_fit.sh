# SPDX-License-Identifier: GPL-3.0-or-later
# The verb fit through the program: what it prints, what is in the JSON, and when it refuses.
. "$MIXSWEEP_TESTS/lib.sh"

# 12 mixtures of three domains at three sizes; losses fall with size, with tokens of the domain, and
# rise with the largest other share; the same on every machine to the digits printed.
awk 'BEGIN {
    print "run,n_params,n_tokens,h_code,h_web,h_wiki,loss_code,loss_web,loss_wiki"
    for (i = 0; i < 12; i++) {
        a = 1 + (i * 7) % 12; b = 1 + (i * 5) % 11; c = 1 + (i * 3) % 7; s = a + b + c
        h[0] = a / s; h[1] = b / s; h[2] = 1 - h[0] - h[1]
        for (k = 0; k < 3; k++) {
            n = 10 * 3 ^ k
            line = sprintf("m%d,%d,4e9,%.12f,%.12f,%.12f", i, n * 1000000, h[0], h[1], h[2])
            for (j = 0; j < 3; j++)
                line = line sprintf(",%.12f", 1.2 + 0.2 * j + (2 + 0.3 * j) * (n * (0.2 + h[j])) ^ -0.3 \
                    + 0.3 * (4 * h[j]) ^ -0.4 + 0.001 * sin(100 * i + 10 * k + j))
            print line
        }
    }
}' >runs.csv
run import runs.csv -o s.h5

# JSON: the keys that design.md promises, and numbers in them
run fit s.h5 --law capacity --starts 8 --format json
holds 'set("law n_fitted objective starts starts_at_best train holdout params".split()) <= set(j)'
holds 'j["law"] == "capacity" and j["name"] == "capacity" and j["n_fitted"] == 12 * 3 * 3'
holds 'j["starts"] == 8 and 1 <= j["starts_at_best"] <= 8 and 0 < j["objective"] < 1e-3'
metrics='"n mse mre mae rmse rho regret slope skill".split()'
holds "set($metrics) <= set(j['train'])"
holds "set($metrics) | {'kind'} <= set(j['holdout']) and j['holdout']['kind'] == 'scale 90M'"
"${MIXSWEEP_PYTHON:-/usr/bin/python3}" - <<'END' # the held-out predictions are those that were scored
import h5py, json, numpy
file = h5py.File("s.h5")
part = file["fits"][json.load(open("out"))["name"]]["predictions"]
loss, predicted = part["loss"][:], part["predicted"][:]
there = numpy.isfinite(loss) & numpy.isfinite(predicted) & (part["holdout"][:] == 0)[:, None]
mre = abs(predicted / loss - 1)[there].mean()
assert abs(mre / json.load(open("out"))["holdout"]["mre"] - 1) < 1e-9, mre
assert set(part["key"][:]) <= set(file["runs/key"][:])
END
holds 'j["holdout"]["n"] == 36 and j["holdout"]["mre"] < j["holdout"]["floors"]["mean"]["mre"]'
holds 'j["train"]["n"] == 108 and abs(j["train"]["mse"] / j["objective"] - 1) < 1e-9'
holds 'j["mse"] == j["train"]["mse"]'
holds 'abs(j["train"]["rmse"] ** 2 / j["train"]["mse"] - 1) < 1e-9 and j["train"]["rho"] > 0.8'
holds 'len(j["params"]) == 16 and j["params"]["H"] < 10 and j["params"]["b[code]"] > 0'
holds 'all(isinstance(v, float) or v == 0 for v in j["params"].values())'
holds 'set(j["std_errors"]) == set(j["params"]) and isinstance(j["warnings"], list)'
cp out first.json

# the same options again: nothing is done; without --format json it is said
cp s.h5 before.h5
run fit s.h5 --law capacity --starts 8 --format json
cmp -s out first.json || die "the second time the JSON differs"
run fit s.h5 --law capacity --starts 8
says "in the file already"
says "fit        capacity"
says "next: mixsweep bootstrap s.h5 --fit capacity"
cmp -s s.h5 before.h5 || die "a fit that was there is written again"

# other options under the same name
for change in '--starts 9' '--seed 2' '--holdout none' '--mask-below 0.2' '--form eq3' \
    '--checkpoints all' '--where n_params<=30e6'; do
    # shellcheck disable=SC2086
    refuses 1 '--replace' fit s.h5 --law capacity --starts 8 $change
done
cmp -s s.h5 before.h5 || die "a refusal changed the file"
run fit s.h5 --law capacity --starts 4 --holdout none --name other --format json
holds 'j["holdout"] is None and j["name"] == "other" and j["law"] == "capacity"'

# what is misspelt is named, before and after --replace, and nothing is dropped
cp s.h5 before.h5
for option in '' --replace; do
    refuses 2 'there is no column "n_parms"' \
        fit s.h5 --law capacity --starts 8 --where 'n_parms<=6e7' $option
    refuses 2 'there is no target "cod"' fit s.h5 --law capacity --starts 8 --targets cod $option
    ! grep -q 'dropped' err || die "a refusal says that something is dropped"
done
cmp -s s.h5 before.h5 || die "a refusal changed the file"

# --replace drops what was made from the former fit, and says so; other fits stay
run bootstrap s.h5 --fit capacity --draws 3
run bootstrap s.h5 --fit other --draws 3
run optimum s.h5 --fit capacity --params 1e9 --tokens 2e10
refuses 2 '--holdout "sideways"' fit s.h5 --law capacity --starts 4 --holdout sideways --replace
! grep -q 'dropped' err || die "a refusal says that something is dropped"
run fit s.h5 --law capacity --starts 4 --holdout mixture:0.25 --replace
says "former fit capacity and dropped: bootstrap capacity, optimum "
says "held out: mixture 25%"
"$python" - <<'PY' || die "what is left in the file is not right"
import h5py
f = h5py.File("s.h5")
assert sorted(f["fits"]) == ["capacity", "other"], list(f["fits"])
assert list(f["bootstrap"]) == ["other"], list(f["bootstrap"])
assert not list(f.get("optimum", {})), list(f["optimum"])
PY
run fit s.h5 --law capacity --starts 4 --holdout mixture:0.25
says "in the file already"

# the tables have every parameter of a law, and the foot names no other
run fit s.h5 --law product --starts 2 --holdout none
prints '^  parameters ± standard error  *E  *gamma  *a  *kappa  *A  *alpha$'
prints '^  C: target, domain  *code  *web  *wiki$'
prints '^  E, A in units of loss; N in 1e6 parameters$'
prints '^  ?: the design does not identify it, or its standard error exceeds it$'
! grep -q 'Q in\|bound:' out || die "the foot names what is not there"
marked=$(grep -o '±[^ ]* ?' out | wc -l)
run fit s.h5 --law product --starts 2 --holdout none --format json
errors='[(e, abs(j["params"][k])) for k, e in j["std_errors"].items() if e is not None]'
holds "0 < $marked < len($errors) and sum(e > value for e, value in $errors) == $marked"
run fit s.h5 --law additive --starts 2 --holdout none
prints '^  parameters ± standard error  *E  *A  *alpha$'
prints '^  gamma: target, domain  *code  *web  *wiki$'
prints '^  E, A in units of loss; C in 1/loss; N in 1e6 parameters$'

# equal files on 1 to 4 ranks
run import runs.csv -o np0.h5
run fit np0.h5 --law transfer --starts 2
for n in 1 2 3 4; do
    run import runs.csv -o np$n.h5
    mpirun -n $n "$MIXSWEEP" fit np$n.h5 --law transfer --starts 2 >out 2>err || die "$n ranks failed"
    [ "$(grep -c '^fit  ' out)" = 1 ] || die "on $n ranks not one rank speaks"
    "$python" "$MIXSWEEP_TESTS/h5equal.py" np0.h5 np$n.h5 || die "on $n ranks the file differs"
done

# late checkpoints are fitted beside the ends, and judged on are the ends alone; those of a longer run
# are no seeds of a shorter one
awk 'BEGIN {
    print "run,n_params,n_tokens,h_web,h_code,loss_web,loss_code"
    for (i = 0; i < 36; i++)
        for (u = 1; u <= 5; u++) {
            h = 0.1 + 0.8 * (i % 12) / 11; k = int(i / 12); n = 20 * 3 ^ k; d = 5 * u
            t = 2 * n ^ -0.3 + d ^ -0.4 + (u < 5 ? 0.01 : 0.001 * sin(9 * i))
            printf "m%d,%.0f,%.0f,%.9f,%.9f,%.9f,%.9f\n", i, n * 1e6, d * 1e9, h, 1 - h, \
                1.2 + 0.5 * h ^ -0.3 + t, 0.9 + 0.4 * (1 - h) ^ -0.3 + t
            if (u == 4) printf "short%d,%.0f,%.0f,%.9f,%.9f,%.9f,%.9f\n", i, n * 1e6, d * 1e9, h, 1 - h, \
                1.19 + 0.5 * h ^ -0.3 + t, 0.89 + 0.4 * (1 - h) ^ -0.3 + t
        }
}' >steps.csv
run import steps.csv --checkpoints all -o late0.h5
run fit late0.h5 --law additive --starts 2 --format json
holds 'any("72 late checkpoints of these runs are left out" in w for w in j["warnings"])'
run fit late0.h5 --law additive --starts 2 --checkpoints late --name late --format json
holds 'j["n_fitted"] == 2 * (36 * 3 + 36) and j["holdout"]["n"] == 48'
holds 'any("72 of 144 rows are earlier checkpoints; they are fitted, and not judged on" in w for w in j["warnings"])'
run import steps.csv --checkpoints all -o late1.h5
run fit late1.h5 --law additive --starts 2
mpirun -n 2 --oversubscribe "$MIXSWEEP" fit late1.h5 --law additive --starts 2 --checkpoints late --name late >out
"$python" "$MIXSWEEP_TESTS/h5equal.py" late0.h5 late1.h5 || die "late checkpoints: the files differ"
run bootstrap late0.h5 --fit late --draws 6
run predict late0.h5 --fit late --mixture web=.5,code=.5 --params 1e9 --tokens 3e10 --format json
holds 'j["error"]["seed"] is None and j["error"]["fit"] < 0.02'

# refusals
refuses 2 'law nonesuch is unknown; the laws are capacity' fit s.h5 --law nonesuch
refuses 2 '--form eq2' fit s.h5 --law capacity --form eq2
refuses 2 '--checkpoints "some": not last, late or all' fit s.h5 --checkpoints some
refuses 2 '--starts' fit s.h5 --starts 0
refuses 2 '--mask-below' fit s.h5 --mask-below 1.5
refuses 2 '--name "a/b": not 1 to 63 bytes of text without / and control' fit s.h5 --name a/b
refuses 2 '--holdout "sideways"' fit s.h5 --holdout sideways --name x
refuses 1 'n_params>1e12' fit s.h5 --where 'n_params>1e12' --name x
refuses 1 'none.h5' fit none.h5
refuses 1 'runs.csv' fit runs.csv
