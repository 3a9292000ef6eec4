# SPDX-License-Identifier: GPL-3.0-or-later
# What status says of a file with runs, a fit, draws and an optimum, in text and in JSON, and of one
# whose writer was stopped.

# 20 mixtures of two domains at two sizes; losses are smooth in the mixture and the size.
awk 'BEGIN {
    print "run,n_params,n_tokens,h_code,h_text,loss_code,loss_text"
    for (size = 1; size <= 2; size++)
        for (i = 1; i <= 20; i++) {
            h = i / 21
            printf "m%d,%de6,1e9,%.6f,%.6f,%.6f,%.6f\n", i, 50 * size, h, 1 - h,
                1 + exp(-3 * h) / size, 2 + exp(-2 * (1 - h)) / size
        }
}' >runs.csv
"$MIXSWEEP" import runs.csv -o s.h5 >/dev/null
"$MIXSWEEP" status s.h5 >text
grep -q '^runs  *40 done, 0 failed, 0 interrupted, 0 excluded; 20 mixtures$' text
grep -q '^domains  *code text$' text
grep -q '^  50M  *1B  *20$' text
if grep -q '^  fit' text; then exit 1; fi

"$MIXSWEEP" fit s.h5 --law transfer --starts 2 --holdout none >/dev/null
"$MIXSWEEP" bootstrap s.h5 --fit transfer --draws 3 >/dev/null
"$MIXSWEEP" optimum s.h5 --fit transfer --params 1e9 --tokens 2e10 >/dev/null
"$MIXSWEEP" status s.h5 >text
grep -q '^  transfer  *transfer  *80 ' text
grep -q '^bootstrap  *transfer: 3/3 draws$' text
grep -q '^optimum  *transfer: fit transfer at 1B parameters, 20B tokens, mean loss ' text

"$MIXSWEEP" status s.h5 --format json >json
"$MIXSWEEP_PYTHON" - <<'END'
import json

said = json.load(open("json"))
assert said["runs"] == dict(n=40, done=40, failed=0, interrupted=0, excluded=0, mixtures=20,
                            chosen=0, rounds=0), said
assert [s["n_params"] for s in said["sizes"]] == [50e6, 100e6]
assert [d["name"] for d in said["domains"]] == ["code", "text"]
assert said["fits"][0]["law"] == "transfer" and said["fits"][0]["n_fitted"] == 80
assert said["fits"][0]["holdout"] is None
assert said["fits"][0]["stale"] is False
assert 0 < said["fits"][0]["mse"] <= 1.001 * said["fits"][0]["objective"]
assert said["bootstrap"] == [dict(fit="transfer", draws=3, done=3)]
assert said["optimum"][0]["n_params"] == 1e9
assert said["logs"] == 0
END

# A bootstrap that was stopped on its way: draws done of draws asked for. What is not known is "-" in
# text and null in JSON.
cp s.h5 part.h5
"$MIXSWEEP_PYTHON" - <<'END'
import h5py
import numpy as np

with h5py.File("part.h5", "r+") as f:
    f["bootstrap/transfer/done"][1] = 0
    f["fits/transfer/train"].attrs.modify("mre", np.float64(np.nan))
    f["optimum/transfer"].attrs.modify("objective", np.float64(np.nan))
END
"$MIXSWEEP" status part.h5 >text
grep -q '^bootstrap  *transfer: 2/3 draws$' text
grep -q '^  transfer  *transfer  *80  *-  *-  *-  *-$' text
grep -q '^optimum .*, mean loss -$' text
if grep -qiw nan text || grep -q 'have changed' text; then exit 1; fi
"$MIXSWEEP" status part.h5 --format json >json
grep -q '"mre": null' json

# A fit whose law had other priors, or none that the file tells of, is made again.
"$MIXSWEEP_PYTHON" - <<'END'
import h5py

with h5py.File("part.h5", "r+") as f:
    del f["fits/transfer"].attrs["priors_key"]
END
"$MIXSWEEP" status part.h5 >text
grep -q '^  note: transfer: the priors of its law have changed since this fit; fit again' text
if "$MIXSWEEP" bootstrap part.h5 --fit transfer --draws 4 2>err; then exit 1; fi
grep -q 'the priors of its law have changed since fit transfer was made; fit again' err

# One more run, and the fit is not of these runs.
{ head -1 runs.csv; echo 'm21,150e6,1e9,0.5,0.5,1.3,2.4'; } >more.csv
"$MIXSWEEP" import more.csv -o s.h5 --append >/dev/null
"$MIXSWEEP" status s.h5 >text
grep -q '^  note: transfer: the runs have changed since this fit' text
"$MIXSWEEP" status s.h5 --format json >json
grep -q '"stale": true' json

mkdir -p s.h5.log
: >s.h5.log/rank-0000
"$MIXSWEEP" status s.h5 >text
grep -q '^1 log beside the file (s.h5.log/)' text

# A sweep: what is missing of the job in the file, what failed and what it said, who writes and how
# fast, which hosts.
cat >job.yaml <<'END'
job: half
file: half.h5
domains:
  - {name: code, prior: 0.5}
  - {name: web, prior: 0.5}
design: {mixtures: 10, replicates: 1}
scales:
  - {n_params: 1e6, n_tokens: 2e7}
  - {n_params: 2e6, n_tokens: 4e7}
sweep:
  evaluator: simulate
  simulate: {law: transfer, noise: 0.01, seed: 7}
END
"$MIXSWEEP" sweep job.yaml >/dev/null
"$MIXSWEEP" status half.h5 >text
grep -q '^job        half: 20 of 20 runs done, 0 failed, 0 missing$' text
if grep -q '^writer\|^failed\|missing [0-9]* of' text; then exit 1; fi
"$MIXSWEEP_PYTHON" - <<'END'
import json
import time

import h5py
import numpy as np

with h5py.File("half.h5", "r+") as f:
    runs, now = f["runs"], time.time()
    size = runs["n_params"][:]
    large, small = np.flatnonzero(size == 2e6), np.flatnonzero(size == 1e6)
    failed, gone = large[:2], large[2:6]
    status, host = runs["status"][:], runs["host"][:]
    status[failed] = 1
    runs["status"][:] = status
    host[:], host[failed] = b"n1", b"n2"
    runs["host"][:] = host
    for name, value in (("attempts", 3), ("exit_code", 7), ("reason", b"exit code 7"), ("loss", np.nan)):
        values = runs[name][:]
        values[failed] = value
        runs[name][:] = values
    runs["ended"][:] = now - 100  # 15 runs in the 1000 s of the writer; the others ended before
    runs["ended"][failed[0]] = now - 5000
    runs["flops"][:] = 6 * size * runs["n_tokens"][:]
    said = np.array([b""] * 20, dtype="S4096")
    said[failed[1]] = json.dumps({"stderr": "one\ntwo\nthree\n\x1b[31mfour\n\n"}).encode()
    said[failed[0]] = json.dumps({"reason": "exit code 7" + 9 * " and more" + "\nline 2"}).encode()
    attributes = dict(runs["metadata"].attrs)
    del runs["metadata"]
    runs.create_dataset("metadata", data=said, maxshape=(None,), chunks=(64,))
    keep = np.setdiff1d(np.arange(20), gone)
    for name in list(runs):
        if runs[name].shape[0] == 20:
            values, runs[name].attrs["x"] = runs[name][:][keep], 0
            runs[name].resize(16, axis=0)
            runs[name][...] = values
    runs["mixture_id"][:] = 0
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - 1000))
    with open("half.h5.lock", "w") as lock:
        lock.write(f"host=elsewhere\npid=12\njob=7\nsince={stamp}\n")
END
"$MIXSWEEP" status half.h5 >text
grep -q '^writer     process 12 on elsewhere, Slurm job 7 since 20.*, heartbeat .* s ago; 5[0-9]\(\.[0-9]\)* runs/h, about [0-9a-z]* left$' text
grep -q '^job        half: 14 of 20 runs done, 2 failed, 4 missing$' text
grep -q '^           missing 4 of 10 at 2M parameters, 40M tokens$' text
grep -q '^hosts      n1 14, n2 2 (2 failed)$' text
grep -A4 '^  .*: exit code 7 (attempt 3 on n2)$' text | tr '\n' '|' | grep -q '|      two|      three|      ?\[31mfour|'
grep -q '^  .*: exit code 7\( and more\)\{9\} (attempt 3 on n2)$' text # the row has 63 bytes of it
"$MIXSWEEP" status half.h5 --format json >json
"$MIXSWEEP_PYTHON" - <<'END'
import json

said = json.load(open("json"))
assert said["failures"][1]["reason"].endswith(" and more\nline 2"), said["failures"]
job = said["job"]
assert (job["planned"], job["done"], job["failed"], job["missing"]) == (20, 14, 2, 4), job
assert [(s["n_params"], s["done"]) for s in job["scales"]] == [(1e6, 10), (2e6, 4)], job
assert len(said["failures"]) == 2 and said["failures"][0]["stderr"].startswith("one\ntwo")
assert said["failures"][1]["stderr"] is None and len(said["failures"][0]["key"]) == 32
assert said["hosts"][1] == dict(host="n2", runs=2, failed=2)
# 15 runs in 1000 s: the pace in FLOPs says how long the 4 missing large ones take
pace = (10 * 1 + 5 * 4) / 1000
assert abs(said["writer"]["left_s"] - 4 * 4 / pace) < 0.03 * 4 * 4 / pace, said["writer"]
assert said["writer"]["host"] == "elsewhere" and said["warning"] == ""
END

# A command that failed once is to be tried again.
cp half.h5 again.h5
sed 's/evaluator: .*/evaluator: command/; s/simulate: .*/command: {argv: [train]}/' job.yaml >again.yaml
"$MIXSWEEP_PYTHON" - <<'END'
import h5py
import numpy as np

with h5py.File("again.h5", "r+") as f:
    f["runs/attempts"][:] = 1
    f.attrs["job"] = np.bytes_(open("again.yaml").read())
END
"$MIXSWEEP" status again.h5 >text
grep -q '^job        half: 14 of 20 runs done, 0 failed, 6 missing (2 of them to be tried again)$' text
"$MIXSWEEP" status again.h5 --format json >json
grep -q '"to_try_again": 2' json

# Those that failed alike are one entry.
"$MIXSWEEP_PYTHON" - <<'END'
import h5py

with h5py.File("half.h5", "r+") as f:
    for name, value in (("status", 1), ("reason", b"exit code 2"), ("metadata", b"")):
        values = f["runs"][name][:]
        values[:9] = value
        f["runs"][name][:] = values
    f["runs/reason"][0] = b"another"
END
"$MIXSWEEP" status half.h5 >text
grep -q '^  8 × exit code 2 (the last: [^ ]*, attempt ' text
grep -q '^      runs [^,]*\(, [^,]*\)\{7\}$' text
grep -q '^  [^ ]*: another (attempt ' text
grep -q '^  .*all of them: mixsweep status half.h5 --format json$' text

# A file that is not there yet, with results that wait for it; a text that is no job.
status=0
"$MIXSWEEP" status none.h5 >/dev/null 2>err || status=$?
[ $status = 1 ] && grep -q 'none.h5: no such file' err
mkdir none.h5.log
: >none.h5.log/rank-0000
status=0
"$MIXSWEEP" status none.h5 >/dev/null 2>err || status=$?
[ $status = 1 ] && grep -q '1 log in none.h5.log waits for it' err
"$MIXSWEEP_PYTHON" -c 'import h5py; h5py.File("half.h5", "r+").attrs.modify("job", "job: [")'
"$MIXSWEEP" status half.h5 >text
if grep -q '^job' text; then exit 1; fi

# On a terminal --watch draws until the writer is gone: here at once, as the process is none.
status=0
"$MIXSWEEP" status s.h5 --watch >/dev/null 2>err || status=$?
[ $status = 2 ] && grep -q 'standard output is none' err
status=0
"$MIXSWEEP" status s.h5 --watch --format json >/dev/null 2>err || status=$?
[ $status = 2 ] && grep -q 'not with --format json' err
if command -v script >/dev/null; then
    script -qec "'$MIXSWEEP' status s.h5 --watch" /dev/null </dev/null >screen
    grep -q 'runs .* 41 done' screen
    test "$(tr -cd '\033' <screen | wc -c)" = 2
fi
