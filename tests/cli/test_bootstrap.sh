# SPDX-License-Identifier: GPL-3.0-or-later
# The verb bootstrap through the program: it resumes, adds, and gives equal files on any number of
# ranks.
. "$MIXSWEEP_TESTS/lib.sh"

# 14 mixtures of three domains at two sizes, each mixture twice at the smaller one
awk 'BEGIN {
    print "run,n_params,n_tokens,h_code,h_web,h_wiki,loss_code,loss_web,loss_wiki"
    for (i = 0; i < 14; i++) {
        a = 1 + (i * 7) % 12; b = 1 + (i * 5) % 11; c = 1 + (i * 3) % 7; s = a + b + c
        h[0] = a / s; h[1] = b / s; h[2] = 1 - h[0] - h[1]
        for (k = 0; k < 3; k++) {
            n = k < 2 ? 10 : 40
            line = sprintf("m%d-%d,%d,4e9,%.12f,%.12f,%.12f", i, k, n * 1000000, h[0], h[1], h[2])
            for (j = 0; j < 3; j++)
                line = line sprintf(",%.12f", 1.2 + 0.2 * j + (2 + 0.3 * j) * (n * (0.2 + h[j])) ^ -0.3 \
                    + 0.3 * (4 * h[j]) ^ -0.4 + 0.002 * sin(100 * i + 10 * k + j))
            print line
        }
    }
}' >runs.csv
run import runs.csv -o fitted.h5
refuses 1 'no fit' bootstrap fitted.h5
run fit fitted.h5 --law capacity --starts 6 --holdout none

# at once, and in two goes
cp fitted.h5 once.h5
run bootstrap once.h5 --draws 40 --format json
holds 'j["fit"] == "capacity" and j["draws"] == 40 and j["done"] == 40 and j["resumed"] == 0'
holds 'j["failed"] == 0 and j["cluster"] == "mixture" and j["bayesian"] is False and j["seed"] == 1'
# with a jackknife over the 14 mixtures; two sizes are too few for a rolling origin
holds 'j["jackknife"] == 14 and j["level"] == 0.9 and j["origins"] == [] and 0 < j["residual"] < 0.1'
holds 'set(j["params"]["b[code]"]) == {"value", "lo", "hi", "bca_lo", "bca_hi"}'
holds 'all(p["lo"] <= p["hi"] and p["bca_lo"] <= p["bca_hi"] for p in j["params"].values())'
cp fitted.h5 twice.h5
run bootstrap twice.h5 --fit capacity --draws 20 --format json
holds 'j["done"] == 20 and j["resumed"] == 0'
run bootstrap twice.h5 --fit capacity --draws 40 --format json
holds 'j["done"] == 40 and j["resumed"] == 20'
equal once.h5 twice.h5
run bootstrap twice.h5 --draws 40
says "40/40 draws, 40 of them from before"
run bootstrap twice.h5 --draws 10 --format json # fewer than there are: all stay
holds 'j["draws"] == 40 and j["resumed"] == 40'
equal once.h5 twice.h5
[ -z "$(ls -A twice.h5.log 2>/dev/null)" ] || die "logs are left over"

# draws of earlier versions have no jackknife: it is made up for
cp once.h5 early.h5
"$python" - early.h5 <<'PY'
import sys
import h5py
with h5py.File(sys.argv[1], "r+") as f:
    draws = f["bootstrap/capacity"]
    for name in ("jackknife", "jackknife_done", "left_out"):
        del draws[name]
    del draws.attrs["residual"]
PY
run bootstrap early.h5 --draws 40
says "BCa, where it differs"
equal once.h5 early.h5

# equal files on 1 to 4 ranks, in one go and in two
for n in 1 2 3 4; do
    cp fitted.h5 np$n.h5
    for draws in 15 40; do
        mpirun -n $n "$MIXSWEEP" bootstrap np$n.h5 --draws $draws >out 2>err || die "$n ranks failed"
        [ "$(grep -c '^bootstrap  ' out)" = 1 ] || die "on $n ranks not one rank speaks"
    done
    equal once.h5 np$n.h5
done

# other questions: refused without --replace, and other answers with it
for change in '--seed 2' '--cluster run' '--bayesian'; do
    # shellcheck disable=SC2086
    refuses 1 '--replace' bootstrap twice.h5 --draws 40 $change
    equal once.h5 twice.h5
    cp once.h5 other.h5
    # shellcheck disable=SC2086
    run bootstrap other.h5 --draws 40 --replace --format json $change
    holds 'j["done"] == 40 and j["resumed"] == 0'
    "$python" - once.h5 other.h5 <<'PY' || die "$change changes nothing"
import sys
import h5py
a, b = (h5py.File(name)["bootstrap/capacity/params"][:] for name in sys.argv[1:])
assert a.shape == b.shape and (a != b).any(axis=1).all()
PY
done

# a fit that was replaced has no draws; runs that were added since are noticed
cp once.h5 refitted.h5
run fit refitted.h5 --law capacity --starts 5 --holdout none --replace
says "former fit capacity and dropped: bootstrap capacity"
run bootstrap refitted.h5 --draws 2 --format json
holds 'j["draws"] == 2 and j["resumed"] == 0'
sed -n '1p;$p' runs.csv | sed 's/^m13-2,/new,/' >new.csv
run import new.csv -o refitted.h5 --append
refuses 1 'have changed' bootstrap refitted.h5 --draws 4

refuses 2 '--fit "nonesuch": once.h5 has no fit nonesuch; it has ' bootstrap once.h5 --fit nonesuch
refuses 2 '--cluster domain' bootstrap once.h5 --cluster domain
refuses 2 '--draws' bootstrap once.h5 --draws 0
refuses 1 'none.h5' bootstrap none.h5

# A link stands for the file it names: that file is replaced, the link stays a link.
mkdir linked
cp fitted.h5 linked/real.h5
ln -s linked/real.h5 link.h5
"$MIXSWEEP" bootstrap link.h5 --fit capacity --seed 77 --draws 5 >out 2>err ||
    die "bootstrap through a link failed: $(cat err)"
[ -L link.h5 ] && [ ! -e link.h5.lock ] && [ ! -e linked/real.h5.lock ] || die "the link was replaced"
"$MIXSWEEP" status linked/real.h5 | grep -q '5/5 draws' || die "the file behind the link has no draws"

# More are added with the seed that is there; another one is named.
run bootstrap link.h5 --draws 6
says '6/6 draws, 5 of them from before'
refuses 1 'another bootstrap of fit capacity: --seed 77 there, 3 asked for; --replace' bootstrap \
    link.h5 --seed 3 --draws 7

# More draws make an optimum of fewer stale: it goes, and that is said.
cp fitted.h5 more.h5
run bootstrap more.h5 --draws 5
run optimum more.h5 --params 1e9 --tokens 2e10
run bootstrap more.h5 --draws 8
says 'made from fewer or other draws and dropped: optimum capacity'
run status more.h5 --format json
holds 'j["optimum"] == []'

# A holder that is stopped still lives: its lock stands, however old the heartbeat.
cp fitted.h5 held.h5
"$MIXSWEEP" bootstrap held.h5 --draws 100000 >held.out 2>&1 &
holder=$!
for _ in $(seq 500); do [ -s held.h5.log/rank-0000 ] && break; sleep 0.02; done
kill -STOP $holder
touch -d '5 minutes ago' held.h5.lock
refuses 1 "is being written by process $holder" bootstrap held.h5 --draws 3
kill -CONT $holder
kill -TERM $holder
status=0
wait $holder || status=$?
[ $status = 75 ] || die "the holder ended with $status: $(cat held.out)"
