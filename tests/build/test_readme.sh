# SPDX-License-Identifier: GPL-3.0-or-later
# What the documents say can be typed works: see readme.py.
"$MIXSWEEP_PYTHON" "$MIXSWEEP_TESTS/build/readme.py" "$MIXSWEEP_TESTS/.." "$MIXSWEEP" "$MIXSWEEP_BUILD"
