# SPDX-License-Identifier: GPL-3.0-or-later
# Figures on published tables: best objectives, extrapolation to an unseen size, hold-outs, time and
# memory of the bootstrap, speed on two ranks. Objectives and errors that miss their goal are a
# failure; times are printed beside theirs, as they depend on the machine and on its load.
python=${MIXSWEEP_PYTHON:-/usr/bin/python3}
data=$MIXSWEEP_SHARED/data
if [ ! -r "$data/slimpajama7.csv" ]; then
    echo "skipped: no $data/slimpajama7.csv"
    exit 0
fi
export OPENBLAS_NUM_THREADS=1
failures=0
# value EXPRESSION FILE: of the JSON, called j
value() { "$python" -c 'import json, sys; j = json.load(open(sys.argv[2])); print(eval(sys.argv[1]))' "$@"; }
# at_most NAME VALUE GOAL, at_least NAME VALUE GOAL
compare() {
    local ok=missed
    if "$python" -c "import sys; sys.exit(not ($3 $2 $4))"; then ok=met; else failures=$((failures + 1)); fi
    printf '  %-44s %-12.6g goal %s %s: %s\n' "$1" "$3" "$2" "$4" $ok
}
at_most() { compare "$1" '<=' "$2" "$3"; }
at_least() { compare "$1" '>=' "$2" "$3"; }
seconds() { date +%s.%N; }
since() { "$python" -c "import time; print(f'{time.time() - $1:.2f}')"; }

echo "machine: $(nproc) cores, load $(cut -d' ' -f1-3 /proc/loadavg)"
echo "best objective of law capacity, 64 starts on 1 process:"
# objective NAME FILE WHERE GOAL [OPTIONS]
objective() {
    local name=$1 file=$2 where=$3 goal=$4 start
    shift 4
    "$MIXSWEEP" import "$data/$file" --where "$where" -o "$name.h5" >import.out 2>&1
    start=$(seconds)
    "$MIXSWEEP" fit "$name.h5" --law capacity --holdout none --starts 64 --format json "$@" \
        >"$name.json" 2>"$name.err"
    at_most "$name, $(value 'j["starts_at_best"]' "$name.json") of 64 at best, $(since "$start") s" \
        "$(value 'j["objective"]' "$name.json")" "$goal"
}
objective pile4-200M pile4.csv n_params=200e6,n_tokens=8e9 1.773e-4
objective slim-122M slimpajama7.csv n_params=122e6,n_tokens=9.998e9 5.34e-4 --mask-below 0.1
objective slim-937M slimpajama7.csv n_params=937e6 3.03e-4 --mask-below 0.1

echo "law transfer on slimpajama7, n_params <= 680e6, last checkpoints:"
"$MIXSWEEP" import "$data/slimpajama7.csv" -o slim.h5 >import.out 2>&1
start=$(seconds)
"$MIXSWEEP" fit slim.h5 --law transfer --where 'n_params<=680e6' --holdout none --format json \
    >transfer.json 2>transfer.err
echo "  fitted in $(since "$start") s, $(value 'j["starts_at_best"]' transfer.json) of 64 starts at the best," \
    "MSE $(value 'j["objective"]' transfer.json)"
"$MIXSWEEP" predict slim.h5 --fit transfer "$data/slimpajama7.csv" --where n_params=937e6 \
    --format json >predict.json 2>predict.err
at_most "MRE at 937M" "$(value 'j["mre"]' predict.json)" 0.0046
at_least "rho at 937M" "$(value 'j["rho"]' predict.json)" 0.965
echo "  skill $(value 'round(j["skill"], 3)' predict.json), regret $(value 'round(j["regret"], 4)' predict.json)"

echo "unseen mixtures at the unseen 937M, 4 folds (additive .73%, .981, .84; joint .67%, .977, .885):"
start=$(seconds)
"$MIXSWEEP" fit slim.h5 --law transfer --name both --holdout both --format json >both.json 2>both.err
value '"  transfer    MRE %.2f%%, rho %.3f, skill %.3f" % (100 * j["holdout"]["mre"], j["holdout"]["rho"], j["holdout"]["skill"])' both.json
value '"\n".join("  %-11s MRE %.2f%%, skill %.3f" % (k, 100 * v["mre"], v["skill"]) for k, v in j["holdout"]["floors"].items())' both.json
echo "  in $(since "$start") s"

echo "bootstrap of capacity on 60 runs of slimpajama7 at 122M, no mask:"
"$MIXSWEEP" fit slim-122M.h5 --law capacity --name plain --holdout none >plain.out 2>&1
# draw RANKS: 1000 fresh draws; the seconds that the program took (without the launcher's) into wall,
# the largest memory of a process in MB into memory
draw() {
    cp slim-122M.h5 draws.h5
    "$python" - "$1" "$MIXSWEEP" <<'PY' >draw.out
import json, resource, subprocess, sys
out = subprocess.run(["mpirun", "-n", sys.argv[1], sys.argv[2], "bootstrap", "draws.h5", "--fit",
                      "plain", "--draws", "1000", "--format", "json"],
                     check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
print(json.loads(out)["wall_s"], resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
PY
    read -r wall memory <draw.out
}
for pair in 1 2 3 4 5; do
    draw 1
    one=$wall
    draw 2
    echo "$one $wall $memory"
done >pairs
"$python" - <<'PY'
import statistics
pairs = [[float(x) for x in line.split()] for line in open("pairs")]
print(f"  1000 draws on 2 ranks: {statistics.median(p[1] for p in pairs):.2f} s (goal 10 s), "
      f"largest process {max(p[2] for p in pairs):.0f} MB (goal 100 MB)")
print(f"  1 rank / 2 ranks: median {statistics.median(p[0] / p[1] for p in pairs):.2f} of 5 pairs "
      f"(goal 1.9): " + ", ".join(f"{p[0]:.2f}/{p[1]:.2f}" for p in pairs))
PY
echo "load at the end $(cut -d' ' -f1-3 /proc/loadavg); $failures goals missed"
[ $failures = 0 ]
