#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# fit.sh BUILD [PYTHON] - how the time of a fit grows, and the same fits by SciPy from the same
# starts, one thread each; without SciPy that part is skipped.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
export OPENBLAS_NUM_THREADS=1
"$1/tests/bench.fit.bench"
"$1/tests/bench.fit.bench" starts | "${2:-/usr/bin/python3}" "$here/fit_scipy.py"
