# SPDX-License-Identifier: GPL-3.0-or-later
# Models trained by a sweep: equal on 1 to 3 ranks, and after kill -9 and a resumption.
. "$MIXSWEEP_TESTS/lib.sh"

# job TOKENS: 4 mixtures and seeds at 2 sizes, on the same text from wherever it is run
for i in $(seq 400); do echo "line $i: $((i * i % 101)) follows $((i * i % 89))"; done >a.txt
for i in $(seq 400); do echo "$((i % 7)) and $((i % 11)) are not $i"; done >b.txt
job() {
    cat <<YAML
job: trained
file: s.h5
domains:
  - {name: a, prior: 0.5, paths: ../a.txt, document: line}
  - {name: b, prior: 0.5, paths: ../b.txt, document: line}
design: {mixtures: 4, strength: [0.5, 3], replicates: {mixtures: 2, seeds: 2}}
scales:
  - {width: 16, layers: 1, heads: 2, context: 16, n_tokens: $1, checkpoints: 2}
  - {width: 32, layers: 1, heads: 2, context: 16, n_tokens: $1}
sweep: {evaluator: embedded, embedded: {batch: 4, validation_bytes: 512}}
YAML
}

for n in 1 2 3; do
    mkdir ranks$n
    job 6400 >ranks$n/job.yaml
    (cd ranks$n && mpirun -n $n --oversubscribe "$MIXSWEEP" run job.yaml) >out 2>err ||
        die "the sweep on $n ranks failed"
    equal ranks1/s.h5 ranks$n/s.h5
done

# The file knows its text, also after it was opened again; other text is another job.
"$python" - <<'PY' || die "the file has no hash of the text"
import h5py, sys
content = [c.decode() for c in h5py.File("ranks2/s.h5")["domains/content"]]
sys.exit(not all(c.startswith("text:") and len(c) == 37 for c in content))
PY
cp -r ranks1 changed
sed -i 's/mixtures: 4/mixtures: 5/' changed/job.yaml
cp a.txt kept.txt
echo "one line more" >>a.txt
status=0
(cd changed && mpirun -n 2 --oversubscribe "$MIXSWEEP" run job.yaml) >out 2>err || status=$?
mv kept.txt a.txt
[ $status = 1 ] || die "changed text: status $status"
grep -q '^mixsweep: the text of a is not that of the runs in s.h5: ' err ||
    die "changed text is not refused"
(cd changed && "$MIXSWEEP" run job.yaml) >out 2>err || die "the same text is refused"
# A complete file stays good and says so; it needs no text.
cp a.txt kept.txt
echo "one line more" >>a.txt
(cd changed && "$MIXSWEEP" run job.yaml) >out 2>err || die "a complete file is refused"
says "note: the text of a is not that of the runs in s.h5: put it back"
rm a.txt
(cd changed && "$MIXSWEEP" run job.yaml) >out 2>err || die "a complete file needs its text"
! grep note: out || die "text that is not there is no matter"
mv kept.txt a.txt
# Without runs to make it is not read again while names, sizes and times stay as they were.
(cd changed && "$MIXSWEEP" run job.yaml) >out 2>err || die "a complete file is refused"
cp -p a.txt kept.txt
tr 0 1 <kept.txt >a.txt
touch -r kept.txt a.txt
(cd changed && "$MIXSWEEP" run job.yaml) >out 2>err || die "a complete file is refused"
! grep note: out || die "a complete file reads its text"
touch a.txt
(cd changed && "$MIXSWEEP" run job.yaml) >out 2>err || die "a complete file is refused"
says "note: the text of a is not that of the runs in s.h5: put it back"
mv kept.txt a.txt
cp changed/job.yaml ranks3
(cd ranks3 && rm s.h5 && "$MIXSWEEP" run job.yaml) >out 2>err || die "five mixtures failed"
equal ranks3/s.h5 changed/s.h5

# kill -9 of everything in the middle: what was in the logs counts, the rest comes out the same.
mkdir kill
job 64000 >kill/job.yaml
cp -r kill whole
cd kill
mpirun -n 2 --oversubscribe "$MIXSWEEP" run job.yaml >out 2>err &
pid=$!
while [ ! -s s.h5.log/rank-0000 ] && [ ! -s s.h5.log/rank-0001 ]; do
    kill -0 $pid 2>/dev/null || die "the sweep ended before it was killed"
    sleep 0.02
done
ranks=$(cat /proc/$pid/task/*/children)
kill -9 $pid $ranks
wait $pid 2>/dev/null || true
for rank in $ranks; do
    while kill -0 "$rank" 2>/dev/null; do sleep 0.02; done
done
"$MIXSWEEP" run job.yaml >out 2>err || die "the resumed sweep failed"
grep -q 'resuming s.h5: [1-9][0-9]* of 12 runs done' out || die "nothing was kept"
cd ../whole
"$MIXSWEEP" run job.yaml >out 2>err || die "the undisturbed sweep failed"
cd ..
equal whole/s.h5 kill/s.h5
