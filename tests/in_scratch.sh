#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# in_scratch.sh FOLDER COMMAND... - run a test in a folder of its own that starts empty.
set -eu
folder=$1
shift
rm -rf "$folder"
mkdir -p "$folder"
cd "$folder"
exec "$@"
