#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The sweep file as others see it: h5py finds names, shapes, units and dimension scales.
set -eu
python=${MIXSWEEP_PYTHON:-python3}
"$python" -c 'import h5py' 2>/dev/null || { echo "skipped: no h5py"; exit 77; }

cat >runs.csv <<'END'
run,n_params,n_tokens,h_code,h_web,loss_code,loss_web,loss_books
a,1e6,2e7,0.25,0.75,2.5,3.25,3.5
b,1e6,2e7,0.5,0.5,2.25,3.5,
c,4e6,2e7,0.25,0.75,2.125,3,3.375
END
"$MIXSWEEP" import runs.csv -o S.h5 >import.txt
sed 1d runs.csv | tac | { head -1 runs.csv; cat; } >reversed.csv
"$MIXSWEEP" import reversed.csv -o reversed.h5 >/dev/null
sed s/2.125/2.126/ runs.csv >changed.csv
"$MIXSWEEP" import changed.csv -o changed.h5 >/dev/null

"$python" - <<'END'
import h5py
import numpy as np

f = h5py.File("S.h5", "r")
assert f.attrs["format_version"] == 1
assert f.attrs["mixsweep_version"].decode() and f.attrs["created"].decode().endswith("Z")
assert {"domains", "targets", "runs", "fits", "bootstrap", "optimum"} <= set(f), list(f)
assert [n.decode() for n in f["domains/name"]] == ["code", "web"]
assert [n.decode() for n in f["targets/name"]] == ["code", "web", "books"]
assert list(f["targets/domain"]) == [0, 1, -1]
runs = f["runs"]
order = np.argsort(runs["run"][...])
assert [n.decode() for n in runs["run"][...][order]] == ["a", "b", "c"]
assert list(runs["n_params"][...][order]) == [1e6, 1e6, 4e6]
assert runs["mixture"].shape == (3, 2) and runs["loss"].shape == (3, 3)
assert np.array_equal(runs["mixture"][...][order], [[0.25, 0.75], [0.5, 0.5], [0.25, 0.75]])
loss = [[2.5, 3.25, 3.5], [2.25, 3.5, np.nan], [2.125, 3, 3.375]]
assert np.array_equal(runs["loss"][...][order], loss, equal_nan=True)
assert all(len(key) == 32 for key in runs["key"]) and sorted(runs["key"]) == list(runs["key"])
units = {"n_params": "parameters", "n_tokens": "tokens", "flops": "FLOP", "wall_s": "s"}
for name, unit in units.items():
    assert runs[name].attrs["units"].decode() == unit, name
for name, dataset in runs.items():
    assert dataset.maxshape[0] is None and dataset.chunks[0] >= 64, name
    assert dataset.compression == "gzip" and dataset.shuffle, name
    if name not in ("key", "domain", "target"):
        assert dataset.dims[0][0].name == "/runs/key", name
for name in ("key", "domain", "target"):
    assert runs[name].attrs["CLASS"] == b"DIMENSION_SCALE", name
assert runs["mixture"].dims[1][0].name == "/runs/domain"
assert runs["loss"].dims[1][0].name == "/runs/target"
assert [d.label for d in runs["loss"].dims] == ["run", "target"]
assert [d.label for d in runs["mixture"].dims] == ["run", "domain"]
assert f["domains/prior"].dims[0].label == "domain" and f["targets/unit"].dims[0].label == "target"
assert f["targets/weight"].attrs["units"] == b"1"
meanings = {
    "runs/status": b"0 done, 1 failed, 2 interrupted",
    "targets/direction": b"-1 lower is better, +1 higher is better",
    "targets/domain": b"index into /domains, -1 = no training domain",
}
for name, meaning in meanings.items():
    assert f[name].attrs["meaning"] == meaning, name
for name in ("is_final", "excluded"):
    assert runs[name].attrs["meaning"], name
for name in ("asked", "attempts", "metadata", "loss"):
    assert runs[name].attrs["description"], name
END

equal="$python $MIXSWEEP_TESTS/h5equal.py"
$equal S.h5 S.h5
$equal S.h5 reversed.h5
status=0
$equal S.h5 changed.h5 >difference.txt || status=$?
[ $status = 1 ]
grep -q '/runs/loss: entry' difference.txt
status=0
$equal S.h5 runs.csv 2>/dev/null || status=$?
[ $status = 2 ]

# A later commit copies /runs from the old file: its scales are still attached.
awk 'BEGIN {
  print "run,n_params,n_tokens,h_code,h_web,loss_code,loss_web"
  for (n = 1; n <= 4; n *= 2)
    for (i = 1; i <= 9; i++) {
      h = i / 10
      printf "m%d,%de6,2e7,%.17g,%.17g,%.17g,%.17g\n", i, n, h, 1 - h,
        2 + 0.5 * h ^ -0.3 + 0.4 / n, 2.5 + 0.4 * (1 - h) ^ -0.2 + 0.3 / n
    }
}' >many.csv
"$MIXSWEEP" import many.csv -o many.h5 >/dev/null
cp many.h5 before.h5
"$MIXSWEEP" fit many.h5 --law transfer --starts 2 --holdout none >/dev/null
"$MIXSWEEP" fit many.h5 --law transfer --name again --starts 2 --holdout none >/dev/null
"$MIXSWEEP" bootstrap many.h5 --fit again --draws 2 >/dev/null
"$MIXSWEEP" optimum many.h5 --fit again --params 1e9 --tokens 2e10 >/dev/null
"$python" - <<'END'
import h5py
import numpy as np

before, f = h5py.File("before.h5", "r"), h5py.File("many.h5", "r")
for name, dataset in f["runs"].items():
    if name not in ("key", "domain", "target"):
        assert dataset.dims[0][0].name == "/runs/key", name
    assert dataset[...].tobytes() == before["runs"][name][...].tobytes(), name
assert f["runs/mixture"].dims[1][0].name == "/runs/domain"
assert [d.label for d in f["runs/mixture"].dims] == ["run", "domain"]  # copied with the rest
for fit in f["fits"].values():
    assert fit.attrs["law"] == b"transfer"
    assert fit["params"].shape == fit["param"].shape == fit["param_unit"].shape
    assert fit["covariance"].shape == 2 * fit["params"].shape
    for name in ("params", "std_error", "covariance", "param_unit"):
        assert fit[name].dims[0][0].name == fit.name + "/param", name
    assert fit["covariance"].dims[1][0].name == fit.name + "/param_other"
    assert fit["start_objective"].dims[0][0].name == fit.name + "/start"
    assert [d.label for d in fit["covariance"].dims] == ["parameter", "parameter"]
    assert fit["param_state"].attrs["meaning"].startswith(b"0 free, 1 on its bound, 2 not")
    assert fit["target_domain"].attrs["meaning"].startswith(b"index into domain")
    assert fit.attrs["checkpoints"] == b"last"
    for name in ("form_meaning", "has_size_term_meaning", "h_min_description"):
        assert fit.attrs[name], name
    assert b"1e6 parameters" in fit.attrs["n_min_millions_description"]
draws, optimum = f["bootstrap/again"], f["optimum/again"]
assert [d.label for d in draws["params"].dims] == ["draw", "parameter"]
assert optimum["binding"].attrs["meaning"].startswith(b"0 interior, 1 on its floor, on its largest share by 2 cap")
assert [d.label for d in optimum["draw_mixture"].dims] == ["draw", "domain"]

units = []
f.visititems(lambda _, o: units.append(o.attrs.get("units", b"1")))
assert not any(unit.startswith(b"see") for unit in units), units
f.close()

# Files of the first versions have a number there.
with h5py.File("many.h5", "r+") as f:
    for name, old in (("transfer", 1), ("again", 2)):
        del f["fits"][name].attrs["checkpoints"]
        f["fits"][name].attrs["checkpoints"] = np.int32(old)
END
at="--mixture web=0.5,code=0.5 --params 1e9 --tokens 2e10"
"$MIXSWEEP" predict many.h5 --fit transfer $at >/dev/null
status=0
"$MIXSWEEP" predict many.h5 --fit again $at >/dev/null 2>again.txt || status=$?
[ $status != 0 ]
grep -q 'checkpoints (attribute) is not last, late or all' again.txt

# What others note on the file and its groups stays through commits that write them anew.
cp S.h5 noted.h5
"$python" - <<'END'
import h5py
import numpy as np

with h5py.File("noted.h5", "r+") as f:
    f.attrs["comment"] = "for the März report"
    f.attrs["list"] = np.array(["a", "bb", ""], dtype=h5py.string_dtype())
    f.attrs["numbers"] = np.arange(6.0).reshape(2, 3)
    f.attrs["pair"] = np.array((1, 2.5), dtype=[("n", "i4"), ("x", "f8")])
    f.attrs["nothing"] = h5py.Empty("f8")
    f.attrs["reference"] = f["runs"].ref
    f.attrs["named"] = np.arange(3)
    f["a_type"] = np.dtype("i8")
    f["fits"].attrs["seen"] = True
    f["runs"].attrs["owner"] = np.bytes_("group 7")
    f["domains"].attrs["owner"] = "us"
    notes = f.create_group("notes")
    notes.attrs["text"] = "mine"
    notes["gone"] = h5py.SoftLink("/nowhere")
    notes["key"] = h5py.SoftLink("/runs/key")
    notes["out"] = h5py.ExternalLink("elsewhere.h5", "/a")
    notes["words"] = np.array(["a", "bb"], dtype=h5py.string_dtype())
    notes["pairs"] = np.array([(1, 2.5)], dtype=[("n", "i4"), ("x", "f8")])
    deep = notes.create_group("deep/deeper")
    deep.create_dataset("x", data=np.arange(1000.0), chunks=(64,), compression="gzip", fillvalue=7)
    deep["x"].make_scale("x")
    deep.create_dataset("y", data=np.arange(2000).reshape(1000, 2), chunks=(100, 2))
    deep["y"].dims[0].attach_scale(deep["x"])
    deep["y"].attrs["units"] = "m"
END
echo "d,1e6,2e7,0.75,0.25,2.5,3.0,3.5" | cat <(head -1 runs.csv) - >more.csv
"$MIXSWEEP" import more.csv -o noted.h5 --append >/dev/null
"$MIXSWEEP" import changed.csv -o noted.h5 --append >/dev/null 2>&1 && exit 1
"$python" - <<'END'
import h5py
import numpy as np

with h5py.File("noted.h5", "r") as f:
    assert f["runs/key"].shape == (4,)
    assert f.attrs["comment"] == "for the März report"
    assert list(f.attrs["list"]) == ["a", "bb", ""]
    assert np.array_equal(f.attrs["numbers"], np.arange(6.0).reshape(2, 3))
    assert f.attrs["pair"]["n"] == 1 and f.attrs["pair"]["x"] == 2.5
    assert isinstance(f.attrs["nothing"], h5py.Empty)
    assert "reference" not in f.attrs  # it pointed into the old file
    assert f["fits"].attrs["seen"] and f["runs"].attrs["owner"] == b"group 7"
    assert f["domains"].attrs["owner"] == "us" and f["notes"].attrs["text"] == "mine"
    notes = f["notes"]
    assert notes.get("gone", getlink=True).path == "/nowhere" and len(notes["key"]) == 4
    assert notes.get("out", getlink=True).filename == "elsewhere.h5"
    assert list(notes["words"].asstr()) == ["a", "bb"] and notes["pairs"][0]["x"] == 2.5
    x, y = notes["deep/deeper/x"], notes["deep/deeper/y"]
    assert np.array_equal(x[:], np.arange(1000.0)) and x.compression == "gzip" and x.fillvalue == 7
    assert np.array_equal(y[:], np.arange(2000).reshape(1000, 2)) and y.attrs["units"] == "m"
    assert y.dims[0][0] == x
END
