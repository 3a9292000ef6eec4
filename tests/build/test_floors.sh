# SPDX-License-Identifier: GPL-3.0-or-later
# The rules of the house that a compiler does not check: who may include what, and licence lines.
root=$(cd "$MIXSWEEP_TESTS/.." && pwd)
cd "$root"
bad=0
complain() {
    echo "$*"
    bad=1
}

# A module may include those that stand before it, or on its own floor.
declare -A floor=([core]=1 [task]=2 [law]=2 [proxy]=2 [fit]=3 [optimum]=3 [job]=4 [online]=4 [store]=4 [sweep]=5
    [pipeline]=6 [report]=6 [cli]=7)
declare -A module=([status]=core [random]=core [table]=core [csv]=core [log]=core [child]=core
    [isa]=core [farm]=task [corpus]=proxy [share]=fit [predict]=fit [interval]=fit [compare]=fit [next]=optimum
    [confirm]=sweep [domains]=pipeline
    [online_analysis]=online [online_campaign]=online [agent_compare]=online
    [agent]=online [agent_campaign]=online)

module_of() { # of a header mixsweep/NAME.h
    echo "${module[$1]:-$1}"
}

for file in $(find src -name '*.[ch]'); do
    here=$(echo "$file" | cut -d/ -f2)
    if [ -z "${floor[$here]:-}" ]; then
        complain "$file: src/$here has no floor in this test"
        continue
    fi
    for name in $(sed -n 's|^ *# *include "mixsweep/\(.*\)\.h".*|\1|p' "$file"); do
        [ "$name" = version ] && continue
        there=$(module_of "$name")
        if [ "${floor[$there]:-9}" -gt "${floor[$here]}" ]; then
            complain "$file includes mixsweep/$name.h, which is on a floor above"
        fi
    done
    for there in $(sed -n 's|^ *# *include "\([a-z_]*\)/.*\.h".*|\1|p' "$file"); do
        [ "$there" = mixsweep ] && continue
        if [ "${floor[$there]:-9}" -gt "${floor[$here]}" ]; then
            complain "$file includes a header of src/$there, which is on a floor above"
        fi
    done
done
for file in include/mixsweep/*.h; do
    here=$(module_of "$(basename "$file" .h)")
    for name in $(sed -n 's|^ *# *include "mixsweep/\(.*\)\.h".*|\1|p' "$file"); do
        there=$(module_of "$name")
        if [ "${floor[$there]:-9}" -gt "${floor[$here]:-0}" ]; then
            complain "$file includes mixsweep/$name.h, which is on a floor above"
        fi
    done
done

# only PATTERN FOLDER... - headers that match are included in these folders of src/ only
only() {
    local pattern=$1 file
    shift
    for file in $(grep -rlE "^ *# *include <$pattern" include src || true); do
        case " $* " in
        *" $(echo "$file" | cut -d/ -f2) "*) ;;
        *) complain "$file includes <$pattern..., which is for $* only" ;;
        esac
    done
}
only 'mpi\.h' task
only 'hdf5' store
only '(cyaml|yaml)' job
only 'gsl/gsl_multi' fit
only '(cblas|zlib)' proxy

for file in $(find include src tests jobs slurm .ci -type f ! -path 'tests/fuzz/corpus/*' \
    \( -name '*.[ch]' -o -name '*.in' -o -name '*.sh' -o -name '*.py' -o -name '*.cmake' \
    -o -name CMakeLists.txt -o -name '*.yaml' -o -name '*.sbatch' \)) .ci/run CMakeLists.txt; do
    head -n 2 "$file" | grep -q 'SPDX-License-Identifier: GPL-3.0-or-later' ||
        complain "$file: no SPDX line"
done
exit $bad
