# SPDX-License-Identifier: GPL-3.0-or-later
# The verb merge: runs of several files by what they are, whatever the order of columns; what cannot
# be joined is named, and then nothing is written.
. "$MIXSWEEP_TESTS/lib.sh"
equal="$MIXSWEEP_PYTHON $MIXSWEEP_TESTS/h5equal.py"

cat >all.csv <<'END'
run,n_params,n_tokens,h_code,h_web,loss_code,loss_web,status,attempts,excluded,reason
a,1e6,2e7,0.25,0.75,2.5,3.25,0,1,0,
b,1e6,2e7,0.5,0.5,2.25,3.5,0,1,0,
c,4e6,2e7,0.25,0.75,2.125,3,0,2,1,spike
d,4e6,4e7,0.5,0.5,2.0,3.1,0,1,0,
END
cat >one.csv <<'END'
run,n_params,n_tokens,h_code,h_web,loss_code,loss_web,status,attempts,excluded,reason
a,1e6,2e7,0.25,0.75,2.5,3.25,0,1,0,
c,4e6,2e7,0.25,0.75,2.125,3,0,2,0,
d,4e6,4e7,0.5,0.5,,,1,3,0,exit code 1
END
cat >two.csv <<'END'
run,n_params,n_tokens,h_web,h_code,loss_web,loss_code,status,attempts,excluded,reason
d,4e6,4e7,0.5,0.5,3.1,2.0,0,1,0,
c,4e6,2e7,0.75,0.25,3,2.125,0,2,1,spike
b,1e6,2e7,0.5,0.5,3.5,2.25,0,1,0,
END
for name in all one two; do
    "$MIXSWEEP" import $name.csv -o $name.h5 >/dev/null 2>&1
done
"$MIXSWEEP" merge one.h5 -o only.h5 >out
grep -q '^merged 1 file into only.h5: ' out
"$MIXSWEEP" merge one.h5 two.h5 -o joined.h5 >out
grep -q 'merged 2 files into joined.h5: 4 rows, 1 of them in more than one file' out
$equal all.h5 joined.h5
"$MIXSWEEP" merge all.h5 one.h5 all.h5 -o again.h5 --format json >out
grep -q '"rows": 4' out
grep -q '"same": 7' out
$equal all.h5 again.h5
"$MIXSWEEP" merge all.h5 -o copy.h5 >/dev/null
$equal all.h5 copy.h5

# What is in the logs of a file counts, and its job's text comes along.
cat >job.yaml <<'END'
job: merged
file: swept.h5
seed: 3
domains:
  - {name: code, prior: 0.5}
  - {name: web, prior: 0.5}
design: {mixtures: 4, replicates: 1}
scales:
  - {n_params: 1e6, n_tokens: 2e7}
sweep:
  evaluator: simulate
  simulate: {law: transfer, noise: 0.01, seed: 7}
END
"$MIXSWEEP" sweep job.yaml >/dev/null
"$MIXSWEEP" merge swept.h5 all.h5 -o both.h5 >out 2>err
grep -q 'prior or supply of code is another one in all.h5' err
"$MIXSWEEP_PYTHON" - <<'END'
import h5py
with h5py.File("both.h5") as f:
    assert f["runs/key"].shape == (8,)
    assert b"job: merged" in f.attrs["job"] and f.attrs["seed"] == 3
END

# Losses that differ: all of it is named, nothing is written, nothing is changed.
sed 's/2.25,3.5/2.25,3.6/; s/2.5,3.25/2.6,3.25/' all.csv >other.csv
"$MIXSWEEP" import other.csv -o other.h5 >/dev/null 2>&1
fails 1 'other.h5: run "[ab]" .* with loss .*; so do 1 more rows' \
    "$MIXSWEEP" merge all.h5 other.h5 -o never.h5
[ ! -e never.h5 ] && [ ! -e never.h5.lock ]
sed 's/h_web/h_books/' all.csv >books.csv
"$MIXSWEEP" import books.csv -o books.h5 >/dev/null 2>&1
fails 1 'books.h5: the file has no domain "books"' "$MIXSWEEP" merge all.h5 books.h5 -o never.h5
fails 1 'all.h5 is the file that is read' "$MIXSWEEP" merge all.h5 one.h5 -o all.h5
fails 1 './one.h5 is one.h5, which is read' "$MIXSWEEP" merge all.h5 one.h5 -o ./one.h5
ln -s all.h5 link.h5
fails 1 'which is read' "$MIXSWEEP" merge all.h5 one.h5 -o link.h5 --force
fails 1 'again.h5 exists already; --force' "$MIXSWEEP" merge one.h5 -o again.h5
"$MIXSWEEP" merge one.h5 -o again.h5 --force >/dev/null
$equal one.h5 again.h5
mkdir again.h5.log
echo torn >again.h5.log/rank-0000
fails 1 'has results of a job in its logs' "$MIXSWEEP" merge all.h5 -o again.h5 --force
$equal one.h5 again.h5
rm -r again.h5.log
: >again.h5 # force takes whatever is there for gone
"$MIXSWEEP" merge one.h5 -o again.h5 --force >/dev/null
$equal one.h5 again.h5
fails 1 'none.h5: no such file' "$MIXSWEEP" merge all.h5 none.h5 -o never.h5
fails 1 'all.csv is not an HDF5 file' "$MIXSWEEP" merge all.csv -o never.h5
fails 1 'is a folder' "$MIXSWEEP" merge all.h5 -o .
fails 2 'where to' "$MIXSWEEP" merge all.h5
fails 2 '' "$MIXSWEEP" merge -o never.h5
[ ! -e never.h5 ]

# What was done to the domains of any of them is the history of all; nothing is done in two ways.
"$MIXSWEEP" domains split all.h5 web new=0.25 old=0.75 -o split.h5 >/dev/null
"$MIXSWEEP" domains split one.h5 web new=0.25 old=0.75 -o same.h5 >/dev/null
"$MIXSWEEP" domains split two.h5 web new=0.5 old=0.5 -o otherwise.h5 >/dev/null
cat >fresh.csv <<'END'
run,n_params,n_tokens,h_code,h_new,h_old,loss_code,loss_web,loss_new,loss_old
e,1e6,2e7,0.25,0.5,0.25,2.5,3.25,3,3
END
"$MIXSWEEP" import fresh.csv -o fresh.h5 >/dev/null 2>&1
"$MIXSWEEP" merge fresh.h5 same.h5 split.h5 -o changed.h5 >/dev/null 2>&1
"$MIXSWEEP_PYTHON" - <<'END'
import json

import h5py
with h5py.File("changed.h5") as f:
    lines = f.attrs["domain_changes"].decode().split("\n")
assert [json.loads(line)["from"] for line in lines] == ["one.h5"], lines
END
fails 1 'otherwise.h5: "split web" has other parts, proportions or content in it than in the files before it' \
    "$MIXSWEEP" merge split.h5 otherwise.h5 -o never.h5
[ ! -e never.h5 ]
