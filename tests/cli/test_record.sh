# SPDX-License-Identifier: GPL-3.0-or-later
# Runs made outside: plan --emit writes what is to be done, record takes the results, from many
# processes at once, before the file is there and while a sweep writes it.
. "$MIXSWEEP_TESTS/lib.sh"
equal="$MIXSWEEP_PYTHON $MIXSWEEP_TESTS/h5equal.py"

cat >job.yaml <<'END'
job: outside
file: o.h5
seed: 4
domains:
  - {name: code, prior: 0.5}
  - {name: web, prior: 0.3}
  - {name: books, prior: 0.2}
design: {mixtures: 8, replicates: 1}
scales:
  - n_params: 1e6
    n_tokens: 2e7
    checkpoints: [1e7, 2e7]
  - {n_params: 2e6, n_tokens: 4e7}
sweep:
  evaluator: command
  command:
    argv: [bash, train.sh, "{run_dir}/run.json", "{result_file}"]
END
# The same program serves as the command of the sweep and outside.
cat >train.sh <<'END'
"$MIXSWEEP_PYTHON" - "$1" "$2" <<'PY'
import json
import sys
asked = json.load(open(sys.argv[1]))
loss = {d: 2 + s + 1e6 / asked["params"] for d, s in asked["mixture"].items()}
rows = [{"tokens": t, "loss": {d: v + 1e7 / t for d, v in loss.items()}} for t in asked["checkpoints"]]
json.dump({"checkpoints": rows}, open(sys.argv[2], "w"))
PY
END
chmod +x train.sh
export MIXSWEEP_TRAIN="bash $PWD/train.sh"

"$MIXSWEEP" sweep job.yaml >/dev/null 2>&1
mv o.h5 undisturbed.h5
"$MIXSWEEP" plan job.yaml --emit "it's tasks" >out 2>err
grep -q "^16 runs are in it's tasks" err
cd "it's tasks"
[ "$(ls | wc -l)" = 32 ]
"$MIXSWEEP_PYTHON" - <<'END'
import glob
import json
import os

import h5py

with h5py.File("../undisturbed.h5") as f:
    keys = {n.decode(): k.decode() for n, k, last in
            zip(f["runs/run"][:], f["runs/key"][:], f["runs/is_final"][:]) if last}
    seeds = {n.decode(): int(s) for n, s in zip(f["runs/run"][:], f["runs/seed"][:])}
names = sorted(glob.glob("*.json"))
assert names == sorted(n + ".json" for n in keys), names
for name in names:
    task = json.load(open(name))
    assert task["key"] == keys[task["run_id"]] and task["seed"] == seeds[task["run_id"]]
    assert list(task["mixture"]) == ["code", "web", "books"] and task["attempt"] == 1
    assert abs(sum(task["mixture"].values()) - 1) < 1e-9
    assert task["checkpoints"] == ([10**7, 2 * 10**7] if task["params"] == 10**6 else [4 * 10**7])
    assert task["targets"] == ["code", "web", "books"] and task["tokens"] == task["checkpoints"][-1]
    assert task["file"] == os.path.realpath("../o.h5") and task["job"] == os.path.realpath("../job.yaml")
END
cd ..
fails 1 'exists already: give --emit a new folder. Nothing was written' \
    "$MIXSWEEP" plan job.yaml --emit "it's tasks"
mkdir half
cp "it's tasks/$(ls "it's tasks" | tail -1)" half/
fails 1 'exists already' "$MIXSWEEP" plan job.yaml --emit half
[ "$(ls half | wc -l)" = 1 ]
fails 1 'cannot make the folder job.yaml' "$MIXSWEEP" plan job.yaml --emit job.yaml
fails 1 'cannot make the folder no/such' "$MIXSWEEP" plan job.yaml --emit no/such

# A batch script asks for what a run needs.
sed 's/checkpoints: .*/resources: {nodes: 2, gpus: 4, cpus: 8, mem: 16GiB, wall: 90m}/
    s/^    argv: /    launcher: [srun]\n&/; s/o.h5/cluster.h5/' job.yaml >cluster.yaml
"$MIXSWEEP" plan cluster.yaml --emit cluster >out 2>err
for script in cluster/*-1M-*.sbatch; do
    bash -n "$script"
    for line in --nodes=2 --gpus-per-node=4 --cpus-per-task=8 --mem=16384M --time=90; do
        grep -qx "#SBATCH $line" "$script"
    done
done

# Before the file is there: by the batch scripts, by the command in the task file, all at once.
scripts=("it's tasks"/*.sbatch)
for i in 0 1 2 3; do
    (cd half && bash "../${scripts[$i]}") >record.$i 2>&1 &
done
wait
cat record.[0-3] >out
[ "$(grep -c '^recorded .* for .*/o.h5$' out)" = 4 ]
[ "$(ls o.h5.log | wc -l)" = 4 ]
"$MIXSWEEP" status o.h5 >out
grep -q '^job        outside: 4 of 16 runs done, 0 failed, 12 missing$' out
"$MIXSWEEP" plan job.yaml --emit again >out 2>err
grep -q '^12 runs are in again' err
# Results that were recorded for a file that is gone wait for the next.
rm o.h5
fails 1 '4 logs in o.h5.log wait for it' "$MIXSWEEP" status o.h5
json=${scripts[4]%.sbatch}.json
bash train.sh "$json" here.json
bash -c "$("$MIXSWEEP_PYTHON" -c 'import json, sys; print(json.load(open(sys.argv[1]))["record"])' "$json" |
    sed "s|$PWD/it'\\\\''s tasks/[^/]*.result.json|$PWD/here.json|")" >out
grep -q '^recorded' out
name=$(basename "${scripts[5]}" .sbatch)
fails 1 "o.h5 is not there yet, so it is not known what was run: give --task" \
    "$MIXSWEEP" record o.h5 --run "$name" here.json

# While a sweep writes the file: what it lacks is recorded meanwhile; the sweep may do it too.
(mpirun -n 2 "$MIXSWEEP" sweep job.yaml) >sweep.out 2>&1 &
for i in 5 6 7 8 9; do
    task=${scripts[$i]%.sbatch}.json
    bash train.sh "$task" "${task%.json}.result.json"
    "$MIXSWEEP" record o.h5 --task "$task" >record.$i # the task file names the result
done
wait
grep -q '^recorded\|^known' record.9
"$MIXSWEEP" sweep job.yaml >out 2>&1
"$MIXSWEEP" status o.h5 >out
grep -q '^job        outside: 16 of 16 runs done, 0 failed, 0 missing$' out
$equal undisturbed.h5 o.h5
"$MIXSWEEP" plan job.yaml --emit none >out 2>err
grep -q '^0 runs are in none: all are done$' err
if grep -q '^next' out; then exit 1; fi

# By name and by key; what is there is known, other losses are refused.
"$MIXSWEEP" retry o.h5 --run "$name" --force >/dev/null
"$MIXSWEEP" plan job.yaml --emit one >out 2>err
[ "$(ls one)" = "$name.json
$name.sbatch" ]
bash train.sh "one/$name.json" result.json
key=$("$MIXSWEEP_PYTHON" -c 'import json, sys; print(json.load(open(sys.argv[1]))["key"])' "one/$name.json")
"$MIXSWEEP" record o.h5 --run "$key" result.json --format json >out
grep -q '"known": false' out && grep -q "\"run\": \"$name\"" out
"$MIXSWEEP" record o.h5 --run "$name" result.json >out # in the logs by now
grep -q "^known $name" out
sed 's/2\./3./g' result.json >other.json
fails 1 "run $name is in o.h5 already, with loss .* of [a-z]*; the result has loss .* --force. drops it" \
    "$MIXSWEEP" record o.h5 --run "$name" other.json
sed 's/"books": [0-9.]*/"books": null/g' result.json >other.json
fails 1 'with loss .* of books; the result has books not measured; ' \
    "$MIXSWEEP" record o.h5 --run "$name" other.json
"$MIXSWEEP" retry o.h5 --failed >/dev/null
$equal undisturbed.h5 o.h5

# Nothing is recorded of what is wrong.

"$MIXSWEEP" retry o.h5 --run "$name" --force >/dev/null
refused() { # SENTENCE JSON
    printf '%s' "$2" >bad.json
    fails 1 "bad.json: $1.*; nothing was recorded" "$MIXSWEEP" record o.h5 --run "$name" bad.json
}
refused 'it is not JSON' '{"loss": {"code": 1.2'
refused 'it is JSON but not an object' '[1, 2]'
refused 'it has neither' '{"other": 1}'
refused 'no target is called "bokks"; books has no loss' '{"loss": {"code": 1, "web": 2, "bokks": 3}}'
refused 'books has no share in "mixture"' '{"loss": {"code": 1}, "mixture": {"code": 0.5, "web": 0.5}}'
refused 'it has no loss' '{"loss": {"code": null}}'
refused 'the loss of code is not finite' '{"loss": {"code": NaN, "web": 1, "books": 1}}'
refused 'the loss of code is not a number' '{"loss": {"code": "1.2", "web": 1, "books": 1}}'
refused 'it ends at' '{"checkpoints": [{"tokens": 1e6, "loss": {"code": 1}}]}'
refused 'it is not JSON' ''
refused 'it is not JSON' "$(printf '{"loss": {"code": \xff\xfe}}')"
head -c 1100000 /dev/zero | tr '\0' ' ' >bad.json
fails 1 'it has more than 1048576 bytes' "$MIXSWEEP" record o.h5 --run "$name" bad.json
fails 1 'none.json: cannot be read' "$MIXSWEEP" record o.h5 --run "$name" none.json
fails 1 'cannot be read: Is a directory' "$MIXSWEEP" record o.h5 --run "$name" half
fails 1 'o.h5: the job has no run "nobody"' "$MIXSWEEP" record o.h5 --run nobody result.json
for text in '{}' '[]' '{' '{"key": "0", "job": "j", "result_file": "r"}' '{"key": 3}' \
    '{"key": "00000000000000000000000000000000"}'; do
    echo "$text" >bad.task
    fails 1 'bad.task is not a task file' "$MIXSWEEP" record o.h5 --task bad.task result.json
done
fails 1 'none.task: cannot be read' "$MIXSWEEP" record o.h5 --task none.task result.json
sed "s/$key/00000000000000000000000000000000/" "one/$name.json" >bad.task
fails 1 'the job has no run "0000' "$MIXSWEEP" record o.h5 --task bad.task result.json
fails 1 'job.yaml is not an HDF5 file' "$MIXSWEEP" record job.yaml --task "one/$name.json" result.json
sed 's/books/poems/' job.yaml >poems.yaml
sed "s/job.yaml/poems.yaml/" "one/$name.json" >poems.task
sed -i 's/"key": "[0-9a-f]*"/"key": "'"$key"'"/' poems.task
fails 1 'o.h5 holds runs of other domains or targets than the job outside (domains books only in the file; domains poems only' \
    "$MIXSWEEP" record o.h5 --task poems.task result.json
fails 2 'either --run RUN or --task' "$MIXSWEEP" record o.h5 result.json
fails 2 'either --run RUN or --task' "$MIXSWEEP" record o.h5 result.json --run a --task b
fails 2 'name the file that has it' "$MIXSWEEP" record o.h5 --run "$name"
[ ! -e o.h5.log ]
"$MIXSWEEP" record o.h5 --task "one/$name.json" result.json >/dev/null
"$MIXSWEEP" retry o.h5 --failed >/dev/null
[ ! -e o.h5.log ]
$equal undisturbed.h5 o.h5
