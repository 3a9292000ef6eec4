# SPDX-License-Identifier: GPL-3.0-or-later
# Every public header compiles alone, as C11 and as C++17, and its documentation names what is there.
include=$MIXSWEEP_TESTS/../include
generated=$MIXSWEEP_BUILD/include
gsl=$(pkg-config --cflags gsl)
warnings="-Wall -Wextra -Wpedantic -Werror -fsyntax-only"
for header in "$include"/mixsweep/*.h "$generated"/mixsweep/*.h; do
    line="#include \"mixsweep/$(basename "$header")\"
int a_unit_must_not_be_empty;"
    # shellcheck disable=SC2086 # flags are words
    {
        echo "$line" | cc -std=c11 -x c $warnings -I"$include" -I"$generated" $gsl -
        echo "$line" | c++ -std=c++17 -x c++ $warnings -I"$include" -I"$generated" $gsl -
        ! command -v clang >/dev/null ||
            echo "$line" | clang -std=c11 -x c $warnings -Wdocumentation -I"$include" \
                -I"$generated" $gsl -
    }
done
