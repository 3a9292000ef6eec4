# SPDX-License-Identifier: GPL-3.0-or-later
# The Spack recipe, with stand-ins for Spack's words: its version, its dependencies and its options are those
# of CMakeLists.txt.
"${MIXSWEEP_PYTHON:-/usr/bin/python3}" - "$MIXSWEEP_TESTS/.." <<'PY'
import re
import sys
import types

root = sys.argv[1]
said = {"depends_on": [], "version": [], "license": [], "variant": []}
spack = types.ModuleType("spack.package")
for word, calls in said.items():
    setattr(spack, word, lambda *words, calls=calls, **options: calls.append((words[0], options)))
spack.CMakePackage = type("CMakePackage", (), {"define": staticmethod(lambda name, value: (name, value))})
sys.modules["spack"], sys.modules["spack.package"] = types.ModuleType("spack"), spack
recipe = {}
with open(f"{root}/slurm/package.py", encoding="utf-8") as file:
    exec(compile(file.read(), file.name, "exec"), recipe)

with open(f"{root}/CMakeLists.txt", encoding="utf-8") as file:
    cmake = file.read()
name = lambda spec: re.match(r"[\w-]+", spec).group()
needed = {name(spec) for spec in re.findall(r'^need\(\S+ "[^"]*" "[^"]*" "([^"]*)"', cmake, re.M)}
assert len(needed) == cmake.count("\nneed("), needed
virtual = {"pkgconf": "pkgconfig", "zlib": "zlib-api"}  # what several packages of Spack provide
given = {name(spec) for spec, _ in said["depends_on"]}
assert given - {"c", "cmake", "gnuplot"} == {virtual.get(n, n) for n in needed}, given
assert f"cmake@{re.search(r'cmake_minimum_required.VERSION ([0-9.]+)', cmake).group(1)}:" in [s for s, _ in said["depends_on"]]
assert [v for v, _ in said["version"]] == re.findall(r"project\(mixsweep VERSION ([0-9.]+)", cmake)
assert said["license"] == [("GPL-3.0-or-later", {})]
variants = {v for v, _ in said["variant"]}
assert {w for _, o in said["depends_on"] if "when" in o for w in re.findall(r"[+~](\w+)", o["when"])} <= variants
options = set(re.findall(r"^option\((\w+)", cmake, re.M))
arguments = recipe["Mixsweep"]().cmake_args()
assert arguments and {option for option, _ in arguments} <= options, arguments
PY
