# SPDX-License-Identifier: GPL-3.0-or-later
# The verbs import and export: files, refusals, what is said and where.

fail() {
    echo "$*"
    exit 1
}
# refused STATUS PATTERN COMMAND... - fails so, with the pattern on stderr, and stdout stays empty
refused() {
    local status=$1 pattern=$2 got=0
    shift 2
    "$@" >out 2>err || got=$?
    [ "$got" = "$status" ] || fail "exit status $got, not $status: $*: $(cat err)"
    grep -q -- "$pattern" err || fail "no \"$pattern\" from: $*: $(cat err)"
    [ ! -s out ] || fail "stdout of a refusal: $*"
}

cat >runs.csv <<'END'
run,n_params,n_tokens,h_code,h_web,loss_code,loss_exam
10,1e6,1e9,0.25,0.75,1.5,3.1
10,1e6,2e9,0.25,0.75,1.25,3
9,1e6,2e9,0.3333,0.6666,1.125,
9,4e6,2e9,0.3333,0.6666,1,2.5
END

# The last checkpoints, what was done to them on stderr, the result on stdout.
"$MIXSWEEP" import runs.csv -o s.h5 >out 2>err
grep -qx 'imported 3 runs (2 mixtures, 2 sizes, 2 domains, 2 targets) into s.h5' out || fail "$(cat out)"
grep -q 'note: the proportions of 2 rows of 4 did not sum to 1 (off by up to 1.0e-04)' err || fail "$(cat err)"
grep -q 'note: 1 loss was not measured' err || fail "$(cat err)"
grep -qx 'note: of 4 rows 3 were taken: the last checkpoint of each run.' err || fail "$(cat err)"

# Likely slips of a whole table: millions and billions, percents, another separator, an empty column.
awk -F, -v OFS=, 'NR > 1 { $2 /= 1e6; $3 /= 1e9; $7 = "" } 1' runs.csv >units.csv
"$MIXSWEEP" import units.csv -o units.h5 --checkpoints all >out 2>err
grep -q 'note: no run has more than 4 parameters: in millions or billions? `factor` of --map' err || fail "$(cat err)"
grep -qx 'note: no run has a loss of target exam (1 of 2): laws are fitted without.' err || fail "$(cat err)"
sed 's/loss_exam/loss_web/' units.csv >web.csv # a law of all domains cannot be fitted on one without a loss
"$MIXSWEEP" import web.csv -o web.h5 --checkpoints all >out 2>err
[ "$(grep -c '^note:.*loss' err)" = 1 ] || fail "one empty column, several notes: $(cat err)"
grep -qx 'next: mixsweep fit web.h5 --law demand --targets all' out || fail "$(cat out)"
rm units.h5 web.h5
tr , ';' <runs.csv >semicolon.csv
refused 1 'are its columns separated by ;? They must be by commas' "$MIXSWEEP" import semicolon.csv -o no.h5
awk -F, -v OFS=, 'NR > 1 { $4 *= 100; $5 *= 100 } 1' runs.csv >percent.csv
refused 1 'proportion 25 is not in .*of percents `factor` of --map makes shares' "$MIXSWEEP" import percent.csv -o no.h5

# Nothing is overwritten.
cp s.h5 before.h5
refused 1 's.h5 exists already; --append adds rows to it' "$MIXSWEEP" import runs.csv -o s.h5
refused 1 '^  Nothing was written\.$' "$MIXSWEEP" import runs.csv -o s.h5
cmp s.h5 before.h5

# A refusal writes no file and ends so.
sed 's/0.75,1.5,/1.2,1.5,/' runs.csv >bad.csv
refused 1 '^mixsweep: bad.csv, line 2, column h_web: proportion 1.2 is not in \[0, 1\]\.$' \
    "$MIXSWEEP" import bad.csv -o bad.h5
refused 1 '^  Nothing was written\.$' "$MIXSWEEP" import bad.csv -o bad.h5
[ "$(echo bad.h5*)" = 'bad.h5*' ] || fail "a refusal left $(echo bad.h5*)"
sed 's/0.75,1.5,/0.75,-3,/' runs.csv >bad.csv
refused 1 '^mixsweep: bad.csv, line 2, column loss_code: loss -3 is not positive\.$' \
    "$MIXSWEEP" import bad.csv -o bad.h5
mkdir -p folder
refused 1 '^mixsweep: folder is a folder' "$MIXSWEEP" import runs.csv -o folder
refused 1 '^mixsweep: folder is a folder' "$MIXSWEEP" import runs.csv -o folder --append
refused 1 'cannot open none.csv' "$MIXSWEEP" import none.csv -o bad.h5

# Wrong use.
refused 2 'Give -o S.h5' "$MIXSWEEP" import runs.csv
refused 2 'give either a TABLE or' "$MIXSWEEP" import -o x.h5
refused 2 'give either a TABLE or' "$MIXSWEEP" import runs.csv --ratios a --metrics b -o x.h5
refused 2 'belong together' "$MIXSWEEP" import --ratios a -o x.h5
refused 2 'not last or all' "$MIXSWEEP" import runs.csv -o x.h5 --checkpoints first

# Likely slips are said, not refused; a domain without a loss leaves no law of domains.
awk 'BEGIN {
    print "run,n_params,n_tokens,h_cod,h_web,loss_code,loss_web"
    for (i = 1; i <= 8; i++)
        printf "%d,%s,1e9,0.%d,0.%d,%s,%.1f\n", i, i == 5 ? "60" : "6e7", i, 10 - i, \
            i == 3 ? "2300" : "2.3", 2 + i / 10
}' >slips.csv
"$MIXSWEEP" import slips.csv -o slips.h5 >out 2>err
cat >expected <<'END'
note: slips.csv, line 6: n_params 60 is of this run alone, a factor 1e+06 from the nearest other.
note: slips.csv, line 4: loss_code 2300 is 1000 times the median.
note: no loss is of domain cod (loss_code is a target that is no domain).
END
cmp err expected || fail "$(cat err)"
grep -qx 'next: mixsweep fit slips.h5 --law demand --targets all' out || fail "$(cat out)"
sed 's/h_cod/h_code/' slips.csv >fine.csv
"$MIXSWEEP" import fine.csv -o fine.h5 --where 'n_params>1e3' --where 'run!=3' >out 2>err
[ ! -s err ] || fail "rows that are left out are noted: $(cat err)"
grep -qx 'next: mixsweep fit fine.h5 --law transfer' out || fail "$(cat out)"

# Intermediate checkpoints are a choice that warns.
"$MIXSWEEP" import runs.csv -o all.h5 --checkpoints all >out 2>err
grep -q '^imported 4 runs' out
grep -q '^warning: 1 row kept is not the last checkpoint of its run' err || fail "$(cat err)"
"$MIXSWEEP" import runs.csv -o early.h5 --where 'n_tokens<=1e9' --where run=10 >out 2>err
grep -q '^imported 1 run (1 mixture × 1 size,' out || fail "$(cat out)"
grep -q '^warning: 1 row kept' err || fail "$(cat err)"

# import, export, import is the identity; a person's order, not that of the file.
"$MIXSWEEP" export all.h5 runs -o all.csv
[ "$(cut -d, -f1,3 all.csv | tr '\n' ' ')" = \
    'run,n_tokens 9,2000000000 10,1000000000 10,2000000000 9,2000000000 ' ] || fail "$(cat all.csv)"
"$MIXSWEEP" import all.csv -o again.h5 --checkpoints all >/dev/null 2>&1
"$MIXSWEEP" export again.h5 runs >again.csv
cmp all.csv again.csv
grep -q ',1.125,$' all.csv || fail 'not measured is an empty cell'
grep -q ',0.33333333333333331,\|,0.33333333333333337,\|,0.3333333333333333' all.csv || fail '17 digits'

# An export replaces nothing unless told to.
refused 1 'all.csv exists already; --force replaces it' "$MIXSWEEP" export all.h5 runs -o all.csv
"$MIXSWEEP" export s.h5 runs -o all.csv --force
[ "$(wc -l <all.csv)" = 4 ]
[ "$(echo all.csv*)" = all.csv ] || fail "left behind: $(echo all.csv*)"
refused 2 'no table "runns"; allowed are runs, fits, bootstrap, optimum, online and agent (did you mean runs?)' \
    "$MIXSWEEP" export s.h5 runns
refused 1 's.h5 has no fits' "$MIXSWEEP" export s.h5 fits
refused 1 's.h5 has no bootstrap' "$MIXSWEEP" export s.h5 bootstrap
refused 1 'cannot write none/x.csv' "$MIXSWEEP" export s.h5 runs -o none/x.csv
if [ -w /dev/full ]; then
    got=0
    "$MIXSWEEP" export s.h5 runs >/dev/full 2>err || got=$?
    [ $got = 1 ] && grep -q 'No space left' err || fail "a full disk: $got $(cat err)"
fi

# Not the sweep file itself, under any name; not a folder.
cp s.h5 before.h5
ln s.h5 same.csv
ln -s s.h5 link.csv
for name in s.h5 ./s.h5 same.csv link.csv; do
    said="$name is s.h5, which is read"
    [ $name != s.h5 ] || said='s.h5 is the file that is read'
    refused 1 "$said" "$MIXSWEEP" export s.h5 runs -o $name --force
    refused 1 "$said" "$MIXSWEEP" export s.h5 runs -o $name
done
cmp s.h5 before.h5
refused 1 '^mixsweep: folder is a folder' "$MIXSWEEP" export s.h5 runs -o folder
refused 1 '^mixsweep: folder is a folder' "$MIXSWEEP" export s.h5 runs -o folder --force

# What a link names is replaced, the link stays, and so do the rights of the file.
echo old >real.csv
chmod 600 real.csv
ln -s ../real.csv folder/link.csv
"$MIXSWEEP" export s.h5 runs -o folder/link.csv --force
[ -L folder/link.csv ] || fail 'the link was replaced'
cmp real.csv all.csv
[ "$(stat -c %a real.csv)" = 600 ] || fail "the rights became $(stat -c %a real.csv)"
ln -s nowhere dangling.csv
refused 1 'dangling.csv is a link to what does not exist' \
    "$MIXSWEEP" export s.h5 runs -o dangling.csv --force

# Pipes, devices and our own stdout are written to as they are.
mkfifo pipe
cat pipe >piped.csv &
"$MIXSWEEP" export s.h5 runs -o pipe --force
wait $!
cmp piped.csv all.csv
[ -p pipe ] || fail 'the pipe was replaced'
"$MIXSWEEP" export s.h5 runs -o /dev/stdout | cmp - all.csv
(echo head && "$MIXSWEEP" export s.h5 runs -o /dev/stdout) >headed.csv
[ "$(wc -l <headed.csv)" = 5 ] || fail "stdout was replaced: $(cat headed.csv)"
if [ -c /dev/full ] && [ -w /dev/full ]; then
    refused 1 'cannot write .*: No space left' \
        "$MIXSWEEP" export s.h5 runs -o /dev/full --force
    [ -c /dev/full ] || fail 'a device was replaced'
fi
[ "$(find . /dev -maxdepth 1 -name '*.part-*' 2>/dev/null)" = '' ] || fail 'a part was left behind'

# Append: equal rows are skipped, new ones added, others refused.
cat >more.csv <<'END'
run,n_params,n_tokens,h_web,h_code,loss_exam,loss_code
9,4e6,2e9,0.6666,0.3333,2.5,1
10,1e6,3e9,0.75,0.25,2,1
END
"$MIXSWEEP" import more.csv -o s.h5 --append --format json >out 2>err
grep -q '"imported": 1,' out && grep -q '"skipped": 1,' out || fail "$(cat out)"
"$MIXSWEEP" export s.h5 runs >out
[ "$(wc -l <out)" = 5 ] || fail "$(cat out)"
sed 's/,2.5,1$/,2.6,1/' more.csv >conflict.csv
cp s.h5 before.h5
refused 1 'run "9" (n_params 4000000, n_tokens 2000000000) is in the file with loss 2.5 of exam, and the new row has 2.6' \
    "$MIXSWEEP" import conflict.csv -o s.h5 --append
cmp s.h5 before.h5
sed 's/web/books/' more.csv >other.csv
refused 1 'the file has no domain "books"' "$MIXSWEEP" import other.csv -o s.h5 --append
refused 1 'fresh.h5 does not exist; leave out --append to make it' \
    "$MIXSWEEP" import more.csv -o fresh.h5 --append
[ "$(echo fresh.h5*)" = 'fresh.h5*' ] || fail "a refusal left $(echo fresh.h5*)"

# Two files and a map.
printf 'run_id,p_code,p_web\nx,25,75\ny,50,50\n' >ratios.csv
printf 'run_id,code,exam\ny,1,0.5\nx,2,0.75\n' >metrics.csv
cat >map.yaml <<'END'
regex: [{match: 'p_(.*)', to: 'h_\1'}]
factor: {'h_.*': 0.01}
targets: [{name: exam, unit: accuracy, direction: higher}]
END
"$MIXSWEEP" import --ratios ratios.csv --metrics metrics.csv --params 1e6 --tokens 1e9 \
    --map map.yaml -o two.h5 >out
grep -q '^imported 2 runs (2 mixtures × 1 size, 2 domains, 2 targets) into two.h5' out || fail "$(cat out)"
"$MIXSWEEP" export two.h5 runs | grep -qx 'x,1000000,1000000000,0.25,0.75,2,0.75'
printf 'run_id,code,exam\ny,1,0.5\n' >metrics.csv
refused 1 'ratios.csv, line 2, column run_id: run "x" is not in metrics.csv' \
    "$MIXSWEEP" import --ratios ratios.csv --metrics metrics.csv --params 1e6 --tokens 1e9 \
    --map map.yaml -o two2.h5
