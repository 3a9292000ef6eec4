# SPDX-License-Identifier: GPL-3.0-or-later
# Laws compared on published tables: all of them on slimpajama7 (three hold-outs), three where it has
# two sizes to learn from, on the largest size of two tables whose targets are no training domains,
# and on unseen mixtures of regmix17, where the order of laws is put beside the published one (MRE % on 1B runs of
# 17 domains: capacity and noise 1.53, capacity alone 2.06, additive 2.21, bimix 2.96, linear 6.48,
# exponential 6.99; arXiv 2606.08167). Errors that miss their goal are a failure; times are not.
#
# Why orders differ. The order of RegMix's published 64 runs is ours on 512 but for the exponential:
# 18 parameters a target are many for 64 runs and few for 384 (from 23 runs loglinear misses by 9 to
# 10% here too). Losses of 1M spread wider over mixtures, and what bends with them is missed by
# more: bimix, which knows a target's own domain alone, and linear. With few sizes the order on
# slimpajama7 is another than with four: product has 2.1% at 680M from 122M and 310M.
#
# Priors. Before, with pulls of fixed strength, transfer had 0.96%, rho .847 and skill .779 at 680M,
# and loglinear on 23 of RegMix's 512 runs missed the others by 15% to 10^16 %. They cost demand and
# product on redpajama (1.4 and 1.1% without). Without that of q transfer misses 937M by 0.41%
# instead of 0.60%, with q at its bound; but then 90% intervals of losses at larger scales held the
# truth in a third of simulated sweeps. One step of the origin misleads: additive fitted up to 310M
# misses 680M by 2.0% and 937M by 4.2%, fitted up to 680M it misses 937M by 0.3%.
#
# The stack's weights are drawn to each other as if each law had an error of its own beside those it
# shows in the hold-outs: as large as the best one's, times its mean square over the best one's.
# 29 other rules were tried on 22 hold-outs of slimpajama7, 5mix, redpajama, the first sizes of
# these, and pile4 (scale, mixtures, both; last and late; 3 starts): none is as good on all and
# better on average by more than 0.2%. Mean log of the MRE over the best law's is .14 now, .12 with
# half that own error (but redpajama +6%, skill and ranks less), .19 for 1/mse (redpajama -9%,
# slimpajama7 up to 680M +80%), .25 for equal weights, .27 for medians; weights for each target .14
# to .17; levels and differences weighed apart .14, up to +14% at 937M. What limits it is the
# judge: of three sizes the inner hold-out leaves one to fit, so all laws miss by the whole step
# (.3 nats), and product, 2.1% off at 680M from two sizes, is best at 937M. Weights averaged over
# folds would give unseen mixtures 1% less and .007 more rank correlation, but a fold's weights
# would then have seen its mixtures.
#
# Ranks and late checkpoints. At 305M of redpajama 20 mixtures are ranked: rho .71 of product from
# last checkpoints and .62 from late differ by .09 +- .07 (bootstrap over mixtures), demand's by
# .14 +- .08, additive's by .16 +- .09. What runs of one mixture lose from 80% of their tokens to
# the end is alike at all sizes (correlations .88 to .94; at 5mix .7 to .8): it belongs to the
# step, as if they read the same data in the same order. Last checkpoints of smaller sizes share it
# with those asked for, late ones average it out. Of the error of product's mean loss over 22
# targets a quarter is Ubuntu_IRC. Earlier rows of weight 1/5 or 1/20 give some ranks back (.64,
# .66) and lose levels (1.15 and 1.27% for 1.07; demand at 5mix 1.3% for 0.9); rows of weight 1
# over those of their run mend product at 680M (0.7% for 1.1) and spoil demand at 5mix (1.3% for
# 0.9). At 937M rho is known to .012; by how checkpoints scatter about the trend of their run,
# exact expected losses would have .987 (5%: .976), and copy-scale of seen mixtures has .983: the
# aim is at the ceiling.
python=${MIXSWEEP_PYTHON:-/usr/bin/python3}
data=$MIXSWEEP_SHARED/data
if [ ! -r "$data/slimpajama7.csv" ]; then
    echo "skipped: no $data/slimpajama7.csv"
    exit 0
fi
failures=0
# value HOLD-OUT ROW KEY FILE
value() {
    "$python" -c 'import json, sys
rows = json.load(open(sys.argv[4]))["holdouts"][int(sys.argv[1])]["rows"]
print(next(row for row in rows if row["name"] == sys.argv[2])[sys.argv[3]])' "$@"
}
# goal NAME VALUE COMPARISON GOAL
goal() {
    local ok=missed
    if "$python" -c "import sys; sys.exit(not ($2 $3 $4))"; then ok=met; else failures=$((failures + 1)); fi
    printf '  %-52s %-9.4g goal %s %.4g: %s\n' "$1" "$2" "$3" "$4" $ok
}
# aim: as goal, but what we are still after; a miss is said, no failure
aim() {
    local before=$failures
    goal "$@"
    failures=$before
}
# compare NAME FILE OPTIONS...: on 2 ranks, printed, its JSON in NAME.json
compare() {
    local name=$1 file=$2
    shift 2
    "$MIXSWEEP" import "$data/$file" -o "$name.h5" >import.out 2>&1
    mpirun -n 2 "$MIXSWEEP" compare "$name.h5" "$@" 2>"$name.err"
    "$MIXSWEEP" compare "$name.h5" --show --format json >"$name.json"
}

echo "machine: $(nproc) cores, load $(cut -d' ' -f1-3 /proc/loadavg)"
compare slim slimpajama7.csv --where 'n_params<=937e6'
# Without a prior on q it is .0038, q at its bound, and intervals do not hold (bench_coverage.c).
goal "transfer, unseen 937M: MRE" "$(value 0 transfer mre slim.json)" '<=' 0.006
aim "aim, transfer, unseen 937M: MRE" "$(value 0 transfer mre slim.json)" '<=' 0.0045
goal "additive, unseen 937M: MRE" "$(value 0 additive mre slim.json)" '<=' 0.009
goal "transfer, unseen mixtures at 937M: MRE" "$(value 2 transfer mre slim.json)" '<=' 0.006
goal "product, unseen mixtures at 937M: MRE" "$(value 2 product mre slim.json)" '<=' 0.006
goal "product, unseen mixtures at 937M: skill" "$(value 2 product skill slim.json)" '>=' 0.90
goal "product, unseen mixtures at 937M: rank correlation" "$(value 2 product rho slim.json)" '>=' 0.97
goal "stack, unseen mixtures at 937M: MRE" "$(value 2 stack mre slim.json)" '<=' 0.006
goal "stack, unseen mixtures at 937M: skill" "$(value 2 stack skill slim.json)" '>=' 0.905
for law in transfer product stack; do
    aim "aim, $law, unseen mixtures at 937M: skill" "$(value 2 $law skill slim.json)" '>=' 0.92
    aim "aim, $law, unseen mixtures at 937M: rank correlation" "$(value 2 $law rho slim.json)" '>=' 0.985
done
goal "stack, unseen mixtures: MRE" "$(value 1 stack mre slim.json)" '<=' "$(value 1 transfer mre slim.json)"

# Two sizes say little of exponents: here priors decide (skill .78 without).
compare few slimpajama7.csv --where 'n_params<=680e6' --holdout both --starts 6 --laws transfer,demand,product
goal "transfer, unseen mixtures, 310M to 680M: MRE" "$(value 0 transfer mre few.json)" '<=' 0.0075
goal "transfer, unseen mixtures, 310M to 680M: skill" "$(value 0 transfer skill few.json)" '>=' 0.87
goal "demand, unseen mixtures, 310M to 680M: skill" "$(value 0 demand skill few.json)" '>=' 0.85

for table in mixlaws_5mix mixlaws_redpajama; do
    compare $table $table.csv --targets all --holdout scale --starts 4 --laws product,additive,joint
    for law in additive joint; do
        aim "aim, product, unseen 305M of $table: MRE" "$(value 0 product mre $table.json)" '<' \
            "$(value 0 $law mre $table.json)"
    done
done

# The laws of the competition need a loss for each domain, which regmix17 has for 13 of 17: demand
# stands for them. A share of 0 tells a power of the share nothing, so losses of domains that a run
# has not seen are left out the second time, as published comparisons do on the Pile.
for mask in 0 1e-6; do
    compare "regmix-$mask" regmix17.csv --holdout mixture:0.25 --starts 2 --mask-below $mask --laws \
        demand,product,additive,bimix,dml,loglinear,linear,capacity,capacity:eq1
    for law in demand product additive bimix dml loglinear; do
        goal "$law, unseen mixtures of regmix17: MRE" "$(value 0 $law mre "regmix-$mask.json")" '<' \
            "$(value 0 linear mre "regmix-$mask.json")"
    done
    goal "stack, unseen mixtures of regmix17: MRE above the best" \
        "$(value 0 stack worse "regmix-$mask.json")" '<=' \
        "$("$python" -c "print(2 * $(value 0 stack worse_se "regmix-$mask.json"))")"
done
echo "load at the end $(cut -d' ' -f1-3 /proc/loadavg); $failures goals missed"
[ $failures = 0 ]
