# SPDX-License-Identifier: GPL-3.0-or-later
# An agent of full size in worlds of known dynamics (bench.losssim): with each seed, data and
# training anew, over the same 200 held-out episodes reinforcement is better than the supervised
# start by more than 2 standard errors, that is better than the data, and the agent no worse than
# the best static mixture, which is chosen on these episodes themselves, by more than 0.01. With
# feedback shuffled among trajectories there is nothing to gain. One minute of one core.
# Seen, 3 seeds: reinforcement gains .081 to .107 +- .003 to .006 of utility over the supervised
# start and ends level with the best static mixture of these episodes (+.003, +.002, -.000 +- .001).
bench=$MIXSWEEP_BUILD/tests/bench.losssim.bench
for seed in 1 2 3; do
    "$bench" 128 200 0 $seed alpha=0.03 | tee true.txt
    awk '/^data set/ { data = $3 }
        /^naive/ { naive = $4 }
        /^supervised/ { supervised = $2 }
        /^reinforced/ { end = $4; beyond_static = $5 }
        /against supervised/ { gain = $4; error = $6 }
        END { exit !(supervised > data && end > naive && gain > 2 * error && beyond_static > -0.01) }' true.txt
done
"$bench" 128 200 0 1 alpha=0.03 shuffle=1 | tee shuffled.txt
awk '/against supervised/ { gain = $4; error = $6 } END { exit !(gain <= 2 * error) }' shuffled.txt
