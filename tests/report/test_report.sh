# SPDX-License-Identifier: GPL-3.0-or-later
# The report of files with 3, 4 and 17 domains: well-formed, whole, self-contained, escaped; what it
# may replace; what it says of files that are none. Chromium, where it is there, must show every
# figure without a complaint.
command -v gnuplot >/dev/null || { echo "there is no gnuplot"; exit 77; }

# job K - a simulated sweep of K domains; one has a name that needs care
job() {
    local k law=transfer
    [ "$1" -le 4 ] || law=linear
    echo "job: of $1 & more"
    echo "file: k$1.h5"
    echo "domains:"
    for k in $(seq 2 "$1"); do echo "  - {name: domain_$k}"; done
    echo "  - {name: \"it's 50% & more\"}"
    cat <<END
design: {mixtures: 20}
scales:
  - {n_params: 1e7, n_tokens: 2e8}
  - {n_params: 1e8, n_tokens: 2e9}
sweep: {evaluator: simulate, simulate: {law: transfer, noise: 0.005, seed: 7}}
fit: {law: $law, starts: 1, holdout: $([ $law = transfer ] && echo mixture:0.3 || echo none)$([ $law = linear ] && echo ', where: n_params=1e8')}
bootstrap: {draws: 20}
optimum: {n_params: $([ $law = linear ] && echo 1e8 || echo 1e9), n_tokens: 2e9, caps: {domain_2: 0.2}, baseline: prior}
END
}

cat >check.py <<'END'
"""check.py DIR FIGURE... - the page is well-formed, needs nothing else, and has these figures."""
import html.parser
import os
import sys

VOID = {"meta", "link", "br", "img", "use", "path", "circle", "rect", "polygon", "polyline"}


class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.ids, self.links, self.figures, self.tags = [], [], [], {}, set()

    def handle_startendtag(self, tag, attributes):
        self.see(tag, dict(attributes))

    def handle_starttag(self, tag, attributes):
        self.see(tag, dict(attributes))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open and self.open.pop() == tag, (tag, self.getpos())

    def see(self, tag, attributes):
        self.tags.add(tag)
        assert not any(name.startswith("on") for name in attributes), attributes
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.links += [v for k, v in attributes.items() if k in ("href", "src", "xlink:href")]
        if tag == "figure":
            self.figures[attributes["id"][len("figure-") :]] = 0
        if tag == "svg":
            assert attributes["role"] == "img" and attributes["aria-labelledby"], attributes
            self.figures[attributes["aria-labelledby"][: -len("-title")]] += 1

    def handle_data(self, text):
        if self.open[-2:] == ["svg", "title"]:
            assert len(text) > 20, text


folder, wanted = sys.argv[1], set(sys.argv[2:])
text = open(f"{folder}/index.html", encoding="utf-8").read()
page = Page()
page.feed(text)
page.close()
assert not page.open, page.open
assert len(page.ids) == len(set(page.ids)), "an id is there twice"
assert set(page.figures) == wanted, set(page.figures) ^ wanted
assert all(n == 1 for n in page.figures.values()), page.figures
assert "script" not in page.tags and "://" not in text and "@import" not in text
for link in page.links:
    if link.startswith("#"):
        assert link[1:] in page.ids, link
    else:
        assert link == "data:," or os.path.getsize(f"{folder}/{link}") > 500, link
files = {f"{name}.{end}" for name in wanted for end in ("svg", "png")}
assert set(os.listdir(folder)) == files | {"index.html", ".mixsweep-report"}, os.listdir(folder)
assert os.path.getsize(f"{folder}/index.html") < 1e6
END
always="mixture-transfer gain-transfer observed-transfer residuals-transfer held-out-transfer
    held-out-losses-transfer transfer-transfer draws-transfer shares-transfer time-per-run runs-done design loss-size loss-tokens"
for k in 3 4 17; do
    job $k >k$k.yaml
    "$MIXSWEEP" run k$k.yaml >/dev/null 2>&1
    "$MIXSWEEP" report k$k.h5 -o r$k >said
    grep -q "^report     r$k/index.html   [0-9]* figures in [67] sections, 0\.[0-9] MB" said
done
# shellcheck disable=SC2086 # figures are words
"$MIXSWEEP_PYTHON" check.py r3 $always
# shellcheck disable=SC2086
"$MIXSWEEP_PYTHON" check.py r4 $always
"$MIXSWEEP_PYTHON" check.py r17 $(echo "$always" | tr ' ' '\n' |
    sed '/^$/d; /transfer-transfer/d; /held-out/d; s/-transfer/-linear/')
grep -q "<td>it's 50% &amp; more</td>" r4/index.html
grep -q "<h1>of 4 &amp; more</h1>" r4/index.html
grep -q "prefers-color-scheme:dark" r4/index.html
grep -q '<td>cap</td>' r4/index.html

# What other verbs add: a comparison of laws, the optimum along scale with what its bounds cost, online mixing.
cp k3.h5 more.h5
"$MIXSWEEP" compare more.h5 --laws linear,additive --holdout mixture:2-fold --starts 1 >/dev/null 2>&1
"$MIXSWEEP" optimum more.h5 --params 1e9 --tokens 2e9 --cap domain_2=0.2 --near baseline:tv=0.2 \
    --no-worse domain_3 --lattice 1/64 --path --name path >/dev/null
"$MIXSWEEP" report more.h5 -o more >/dev/null
# shellcheck disable=SC2086
"$MIXSWEEP_PYTHON" check.py more $always compare-laws-1 mixture-path gain-path shares-path \
    path-parameters-path path-tokens-path
grep -q 'near tv=0.2' more/index.html
grep -q '<th scope="col">on the lattice</th>' more/index.html
grep -q '<td>uniform (not allowed by the caps' more/index.html
# The question of the job comes before others, whatever their names.
[ "$(grep -o '<h3>[a-z]*</h3>' more/index.html | head -n 1)" = '<h3>transfer</h3>' ]
# The first figures are of the fit that predicts best what it has not seen, whatever its name.
cp k3.h5 tiles.h5
"$MIXSWEEP" fit tiles.h5 --law additive --name aaa --holdout mixture:0.3 --starts 1 >/dev/null 2>&1
"$MIXSWEEP" optimum tiles.h5 --fit aaa --params 2e9 --tokens 2e9 >/dev/null
"$MIXSWEEP" report tiles.h5 -o tiles >/dev/null
grep '<div class="card">' tiles/index.html >cards
grep -q 'law transfer, held-out mixture' cards
grep -q 'at 1B parameters' cards
# What was trained to confirm the optimum has a section of its own, with the terminal's figures, and
# is not among the design and the losses; neither is a run that somebody has left out.
cp k3.h5 claim.h5
"$MIXSWEEP" exclude claim.h5 "$("$MIXSWEEP_PYTHON" -c 'import h5py
print(h5py.File("claim.h5")["runs/run"].asstr()[0])')" --reason 'loss <spike>' >/dev/null
"$MIXSWEEP" report claim.h5 -o claim >/dev/null
grep -q '1 run left out of fits is not shown here' claim/index.html
grep -q '<td>loss &lt;spike&gt;</td>' claim/index.html
sed 's/^file:.*/file: claim.h5/' k3.yaml >claim.yaml
echo 'confirm: {seeds: 2, scales: [{n_params: 2e8, n_tokens: 4e9}]}' >>claim.yaml
cp k3.h5 claim.h5
"$MIXSWEEP" confirm claim.yaml --format json >claim.json 2>/dev/null
"$MIXSWEEP" report claim.h5 -o claim >/dev/null
# shellcheck disable=SC2086
"$MIXSWEEP_PYTHON" check.py claim $always confirmed-transfer-1 confirmed-gain-transfer-1
"$MIXSWEEP_PYTHON" - <<'END'
import json
import re

page = open("claim/index.html").read()
was = open("r3/index.html").read()


def section(text, name):
    text = re.search(f'<section id="{name}">.*?</section>', text, re.S).group()
    return re.sub("<svg.*?</svg>", "", text, flags=re.S)


shown = section(page, "confirmation")
for contest in json.load(open("claim.json"))["confirmation"]["scales"][0]["contests"]:
    row = re.search(f"<tr><td>{contest['mixture']}</td>"
                    "<td>([-0-9.]*) .*?</td><td>([-0-9.]*) ± ([-0-9.]*)</td>.*?</tr>", shown)
    told = [contest["predicted"]["value"], contest["measured"], contest["measured_se"]]
    assert row.groups() == tuple(f"{x:.4f}" for x in told), (row and row.group(), told)
    if contest["gain"] is not None:
        assert f"<td>{contest['gain']:.4f} ± {contest['gain_se']:.4f}</td><td>2</td>" in row.group()
for name in ("design", "losses"):
    assert section(page, name) == section(was, name), name
assert "<td>confirmation</td>" in section(page, "sweep") and "confirm the optimum" in page
END
# A seed that a merged file has twice is one run; a run of another mixture confirms nothing shown.
"$MIXSWEEP_PYTHON" - <<'END'
import h5py

with h5py.File("claim.h5", "r+") as f:
    n = len(f["runs/run"])
    last = list(f["runs/reason"]).index(b"confirmation")
    for values in f["runs"].values():
        if len(values) == n:
            values.resize(n + 2, axis=0)
            values[n:] = values[last]
    for row in n, n + 1:
        f["runs/key"][row] = b"%032x" % row
    f["runs/mixture"][n + 1] = [1] + [0] * (f["runs/mixture"].shape[1] - 1)
END
"$MIXSWEEP" report claim.h5 -o claim >/dev/null
grep -q '1 run confirms an optimum that is not in the file any more, or whose own runs have no loss yet' \
    claim/index.html
if grep -q 'runs have no loss\.' claim/index.html; then exit 1; fi
cat >world.yaml <<'END'
job: world
file: world.h5
domains: [{name: a}, {name: b}, {name: c}]
scales: [{n_params: 1e6, n_tokens: 1e6}]
sweep: {evaluator: simulate, simulate: {law: chinchilla}}
online:
  settings: [[a, b], [a, b, c]]
  seeds: 2
  steps: 50
  trainer: simulate
  simulate: {noise: 1e-5, loss: [3, 3, 3], gain: [[0.5, 0.9, 0.1], [0.1, 0.9, 0.1], [0.1, 0.6, 0.4]]}
  methods: [stratified, aioli]
END
"$MIXSWEEP" online world.yaml >/dev/null 2>&1
"$MIXSWEEP" report world.h5 -o world >/dev/null
"$MIXSWEEP_PYTHON" check.py world methods-world-a-b methods-world-a-b-c online-world-aioli-a-b \
    online-world-aioli-a-b-c

# A figure that gnuplot cannot draw costs no other.
"$MIXSWEEP_PYTHON" -c 'import h5py
h5py.File("world.h5", "r+")["online/world/test"][...] = float("nan")'
"$MIXSWEEP" report world.h5 -o world >/dev/null
grep -q 'It could not be drawn: .*range is invalid' world/index.html
test ! -e world/methods-world-a-b.svg
test -s world/online-world-aioli-a-b-c.png

# A file is somebody's: names that are markup, formats, commands of gnuplot, or no UTF-8 at all.
cp k4.h5 evil.h5
"$MIXSWEEP_PYTHON" - <<'END'
import h5py
import numpy as np

evil = [b"<script>alert(1)</script>", b"'; system('touch pwned'); '", b"%s%n%d `touch pwned`",
        b"\xff\xfe\"><b \xe2\x82"]
with h5py.File("evil.h5", "r+") as f:
    for name in ("domains/name", "targets/name", "runs/domain", "runs/target"):
        f[name][:] = evil
    for group in ("fits", "optimum"):
        for part in ("domain", "target"):
            f[f"{group}/transfer/{part}"][:] = evil
    for part in ("train", "holdout", "predictions"):
        f[f"fits/transfer/{part}/target"][:] = evil
    f["runs/reason"][0] = b"<img src=x>"
    n = len(f["runs/reason"])
    del f["runs/metadata"]  # more than the row has room for
    f["runs"].create_dataset("metadata", data=np.array([
        b'{"reason": "<img src=x> ' + 9 * b"and more " + b'end"}'] + (n - 1) * [b""]), maxshape=(None,), chunks=(64,))
    status = f["runs/status"][:]
    status[0] = 1
    f["runs/status"][:] = status
    f["optimum/transfer"].attrs.modify("warnings", "<b>&amp;\n'second'")
    f.attrs.modify("job", "<u>")
    for group in ("fits", "optimum", "bootstrap"):
        f[group].move("transfer", "<i>x&'")
    f["optimum/<i>x&'"].attrs.modify("fit", "<i>x&'")
    f["optimum/<i>x&'"].attrs.modify("baseline_name", "<u>%s")
END
"$MIXSWEEP" report evil.h5 -o evil >/dev/null
"$MIXSWEEP_PYTHON" check.py evil $(echo "$always" | sed 's/-transfer/-i-x/g')
if grep -q '<img\|<script\|<b>\|<i>\|<u>' evil/index.html; then exit 1; fi
grep -q '&lt;script&gt;alert(1)' evil/index.html
grep -q '&lt;img src=x&gt; \(and more \)\{9\}end' evil/index.html
test -z "$(find . -name pwned)"

# A report is replaced, figures that the new one has not go, other files stay; a folder of other
# things is not touched.
echo mine >r4/notes.txt
"$MIXSWEEP_PYTHON" -c 'import h5py
with h5py.File("k4.h5", "r+") as f:
    for group in ("optimum", "bootstrap", "fits"):
        del f[group]["transfer"]'
"$MIXSWEEP" report k4.h5 -o r4/ >/dev/null
grep -q mine r4/notes.txt
rm r4/notes.txt
"$MIXSWEEP_PYTHON" check.py r4 time-per-run runs-done design loss-size loss-tokens

# refuses TEXT COMMAND... - one sentence, exit status 1, and nothing changed here
refuses() {
    local text=$1 before got=0
    shift
    before=$(find . -mindepth 1 ! -name 'said' | sort | xargs ls -ld --time-style=full-iso)
    "$@" >said 2>&1 || got=$?
    if [ $got != 1 ] || [ "$(wc -l <said)" != 1 ] || ! grep -q -- "$text" said ||
        [ "$before" != "$(find . -mindepth 1 ! -name 'said' | sort | xargs ls -ld --time-style=full-iso)" ]; then
        echo "not refused as it should be ($got): $*"
        cat said
        exit 1
    fi
}
mkdir other
echo mine >other/notes.txt
head -c 20000 k3.h5 >cut.h5
echo text >foreign.h5
cp k3.h5 newer.h5
"$MIXSWEEP_PYTHON" -c 'import h5py
with h5py.File("newer.h5", "r+") as f:
    name = [n for n in f.attrs if "version" in n and f.attrs[n].dtype.kind in "iu"][0]
    f.attrs.modify(name, f.attrs[name] + 1)'
for file in cut foreign newer none; do refuses "$file.h5" "$MIXSWEEP" report $file.h5 -o new; done
refuses 'has other things in it and no report of mixsweep' "$MIXSWEEP" report k3.h5 -o other
refuses 'said is no folder' "$MIXSWEEP" report k3.h5 -o said
refuses 'cannot make the folder' "$MIXSWEEP" report k3.h5 -o no/where
mkdir empty
refuses 'needs gnuplot, which is not in the PATH' env PATH="$PWD/empty" "$MIXSWEEP" report k3.h5 -o new
printf '#!/bin/sh\necho "line 3: no such terminal" >&2\nexit 1\n' >empty/gnuplot
chmod +x empty/gnuplot
refuses 'gnuplot failed with exit code 1: line 3: no such terminal' \
    env PATH="$PWD/empty:$PATH" "$MIXSWEEP" report k3.h5 -o new
"$MIXSWEEP" report k3.h5 -o other --force >/dev/null
grep -q mine other/notes.txt
test -s other/index.html
got=0
"$MIXSWEEP" report k3.h5 2>said || got=$?
[ $got = 2 ] && grep -q 'say where to: mixsweep report k3.h5 -o DIR' said

command -v chromium >/dev/null || exit 0
# browse DIR ARGUMENTS... - what the browser says of a page
browse() {
    local folder=$1
    shift
    timeout 60 chromium --headless=new --no-sandbox --disable-gpu --user-data-dir="$PWD/profile" \
        --enable-logging=stderr --virtual-time-budget=1000 "$@" "file://$PWD/$folder/index.html"
}
browse r17 --window-size=400,900 --dump-dom >dom 2>complaints
if grep -i 'CONSOLE' complaints; then exit 1; fi
test "$(grep -o '<svg ' dom | wc -l)" = "$(find r17 -name '*.svg' | wc -l)"
