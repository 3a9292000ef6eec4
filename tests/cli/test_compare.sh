# SPDX-License-Identifier: GPL-3.0-or-later
# The verb compare through the program: table, JSON, what h5py sees, ranks, refusals.
. "$MIXSWEEP_TESTS/lib.sh"
facts='def row(t, name): return next(r for r in j["holdouts"][t]["rows"] if r["name"] == name)'

# 16 mixtures of three domains at three sizes, by the law additive and a little noise
awk 'BEGIN {
    print "run,n_params,n_tokens,h_code,h_web,h_wiki,loss_code,loss_web,loss_wiki"
    for (i = 0; i < 16; i++) {
        a = 1 + (i * 7) % 12; b = 1 + (i * 5) % 11; c = 1 + (i * 3) % 7; s = a + b + c
        h[0] = a / s; h[1] = b / s; h[2] = 1 - h[0] - h[1]
        for (k = 0; k < 3; k++) {
            n = 10 * 3 ^ k
            line = sprintf("m%d-%d,%d,4e9,%.12f,%.12f,%.12f", i, n, n * 1000000, h[0], h[1], h[2])
            for (j = 0; j < 3; j++)
                line = line sprintf(",%.12f", 1.2 + 0.2 * j + 3 * n ^ -0.4 \
                    + 1 / (0.5 + 2 * h[j] ^ 0.5 + 0.3 * h[(j + 1) % 3]) + 0.001 * sin(100 * i + 10 * k + j))
            print line
        }
    }
}' >runs.csv
run import runs.csv -o s.h5

options='--laws additive,chinchilla,dml,linear --starts 3'
# shellcheck disable=SC2086
run compare s.h5 $options --format json
holds '[h["kind"] for h in j["holdouts"]] == ["scale 90M", "mixture, 4 folds", "scale 90M and mixture, 4 folds"]'
holds 'set("name laws holdout where targets checkpoints mask_below starts seed n_rows n_fitted n_mixtures n_targets holdouts units target_size scores".split()) == set(j)'
holds 'set("kind folds groups standard_errors_over trained_min trained_max best rows no_link".split()) == set(j["holdouts"][0])'
holds 'set("name kind n_params n mre mre_se worse worse_se mae rmse rho slope regret skill weight fit_s loses_mre loses_skill reason by_target".split()) == set(j["holdouts"][0]["rows"][0])'
holds 'all(h["best"] in ("additive", "stack") for h in j["holdouts"])'
holds 'all(row(t, "additive")["mre"] < 0.01 and not row(t, "additive")["loses_mre"] for t in range(3))'
holds 'all(row(t, "chinchilla")["rho"] is None for t in range(3))'
holds 'row(0, "chinchilla")["loses_skill"] == ["copy-scale"] and row(1, "chinchilla")["loses_mre"] == []'
holds 'all(row(t, "linear")["n"] == 0 and "knows nothing of N" in row(t, "linear")["reason"] for t in range(3))'
holds 'all(abs(sum(row(t, n)["weight"] for n in ("additive", "chinchilla", "dml")) - 1) < 1e-9 for t in range(3))'
holds 'row(0, "additive")["n_params"] == 3 * (2 * 3 + 3) and row(0, "mean")["n_params"] == 3'
holds 'j["holdouts"][0]["standard_errors_over"] == "mixtures" and j["holdouts"][0]["groups"] == 16'
holds 'j["holdouts"][1]["standard_errors_over"] == "folds" and j["holdouts"][1]["groups"] == 4'
holds 'all([r["mre"] for r in h["rows"] if r["n"]] == sorted(r["mre"] for r in h["rows"] if r["n"]) for h in j["holdouts"])'
holds 'row(1, "copy-scale")["n"] == 0 and row(0, "copy-scale")["n"] == 48'
holds 'j["n_rows"] == 48 and j["n_fitted"] == 144 and j["n_mixtures"] == 16'
holds 'all(t["n"] == 16 for t in row(0, "additive")["by_target"].values()) and j["scores"] == []'
cp out first.json

# the file gives back what was printed, and others can read it
run compare s.h5 --show --format json
cmp -s out first.json || die "--show prints something else"
run compare s.h5 --show
prints "^  chinchilla .*  skill: copy-scale$"
says 'compare    laws'
says 'held out: scale 90M; fitted on 10M to 30M, ± over 16 mixtures'
says 'not linear: law linear knows nothing of N'
says 'floor scale-only'
"$python" - <<'PY' || die "the file is not as h5py should see it"
import json
import h5py
j, g = json.load(open("first.json")), h5py.File("s.h5")["compare/laws"]
names = [n.decode() for n in g["predictor"][:]]
assert g["mre"].shape == (3, 8) and [d.keys()[0] for d in g["mre"].dims] == ["holdout", "predictor"]
assert "by_target/target_size" in str(g["mae"].attrs["description"])
assert g["holdout"][0] == b"scale 90M" and g["mre"].attrs["units"] in ("1", b"1")
for t, holdout in enumerate(j["holdouts"]):
    assert names[g["best"][t]] == holdout["best"]
    for row in holdout["rows"]:
        q = names.index(row["name"])
        assert g["n"][t, q] == row["n"]
        assert row["n"] == 0 or g["mre"][t, q] == row["mre"]
assert g.attrs["laws"] in ("additive,chinchilla,dml,linear", b"additive,chinchilla,dml,linear")
PY

# equal output on 1 and 3 ranks but for the time
run import runs.csv -o three.h5
# shellcheck disable=SC2086
mpirun -n 3 "$MIXSWEEP" compare three.h5 $options --format json >out 2>err || die "3 ranks failed"
"$python" - <<'PY' || die "on 3 ranks the comparison differs"
import json
a, b = (json.load(open(name)) for name in ("first.json", "out"))
for j in (a, b):
    for h in j["holdouts"]:
        for row in h["rows"]:
            del row["fit_s"]
assert a == b
PY
"$python" "$MIXSWEEP_TESTS/h5equal.py" s.h5 three.h5 || die "on 3 ranks the file differs"

# a comparison takes the place of one of its name; others stay; a changed table is told
run compare s.h5 --laws chinchilla --holdout scale --name other --where 'n_params<=30e6' --starts 1
says 'held out: scale 30M; fitted on 10M to 10M'
run compare s.h5 --laws chinchilla --holdout mixture:3-fold --starts 1
says 'not stack: a stack needs two laws'
run compare s.h5 --show --format json
holds 'j["laws"] == "chinchilla" and len(j["holdouts"]) == 1 and j["holdouts"][0]["folds"] == 3'
run compare s.h5 --show --name other --format json
holds 'j["where"] == "n_params<=30e6" and j["name"] == "other"'
run exclude s.h5 m3-90 --reason test
run compare s.h5 --show
says 'the runs have changed since'

# the choice of law in an error budget goes by the weights of the stack, where the runs are compared
cp three.h5 stacked.h5
run fit stacked.h5 --law additive --starts 2 --holdout none
run fit stacked.h5 --law dml --starts 2 --holdout none
run predict stacked.h5 --fit additive --mixture code=.5,web=.5 --params 1e9 --tokens 4e9 --format json
holds 'j["error"]["law_weights"] == "stack" and j["error"]["laws"] == 2'
"$python" -c 'import h5py; g = h5py.File("stacked.h5", "r+")["compare"]; del g["laws"]'
run predict stacked.h5 --fit additive --mixture code=.5,web=.5 --params 1e9 --tokens 4e9 --format json
holds 'j["error"]["law_weights"] == "mse" and j["error"]["laws"] == 2'

# a damaged file
for change in predictor_kind=7 best=200; do
    cp three.h5 damaged.h5
    "$python" -c 'import h5py, sys
name, value = sys.argv[1].split("=")
h5py.File("damaged.h5", "r+")["compare/laws"][name][0] = int(value)' $change
    refuses 1 "compare/laws/${change%=*}, entry 0: ${change#*=}" compare damaged.h5 --show
done

cp three.h5 damaged.h5
"$python" -c 'import h5py, numpy
h5py.File("damaged.h5", "r+")["compare/laws"].attrs["checkpoints"] = numpy.bytes_("some")'
refuses 1 'compare/laws/checkpoints (attribute) is "some", not last, late or all' compare damaged.h5 --show
# one that was made before figures by target were kept
cp three.h5 old.h5
"$python" -c 'import h5py; del h5py.File("old.h5", "r+")["compare/laws/by_target"]'
run compare old.h5 --show --format json
holds 'j["n_targets"] == 3 and j["holdouts"][0]["rows"][0]["by_target"] is None and j["units"] == {}'

# refusals
refuses 2 'no law "nonesuch"; the laws are capacity' compare s.h5 --laws nonesuch
refuses 2 '--holdout "sideways" is unknown' compare s.h5 --holdout sideways
refuses 2 'a comparison holds out' compare s.h5 --holdout none
refuses 1 'needs as many mixtures' compare s.h5 --holdout mixture:99-fold
refuses 2 '--starts' compare s.h5 --starts 0
for name in a/b .a "a$(printf '\nb')" "$(printf '\377')"; do
    refuses 2 'not 1 to 63 bytes of text without / and control characters' compare s.h5 --name "$name"
done
refuses 2 '--checkpoints "some": not last, late or all' compare s.h5 --checkpoints some
refuses 2 '--mask-below' compare s.h5 --mask-below 1.5
refuses 2 '--name "none": s.h5 has no comparison none; it has laws, other' compare s.h5 --show --name none
refuses 1 'nothing.h5' compare nothing.h5
refuses 1 'runs.csv' compare runs.csv
