# SPDX-License-Identifier: GPL-3.0-or-later
# What is installed can be used: the program, and the library by pkg-config and by find_package, as
# a static and as a shared library.
root=$MIXSWEEP_TESTS/..

cat >consumer.c <<'END'
#include <mixsweep/fit.h>
#include <mixsweep/store.h>
#include <stdio.h>

int main(void)
{
    struct mix_error err = {.text = ""};
    struct mix_store *store = NULL;
    const enum mix_status status = mix_store_open("none.h5", MIX_STORE_READ, false, &store, &err);
    printf("%s: %s\n", mix_fit_options_default().law, mix_status_text(status));
    return status != MIX_ENOTFOUND;
}
END
cat >CMakeLists.txt <<'END'
cmake_minimum_required(VERSION 3.25)
project(consumer LANGUAGES C)
find_package(mixsweep 0.1 REQUIRED)
add_executable(consumer consumer.c)
target_link_libraries(consumer PRIVATE mixsweep::mixsweep)
END

# use_program PREFIX - the cheap parts of what the README does, in a folder of its own
use_program() {
    local mixsweep=$1/bin/mixsweep verb
    mkdir "$1/use"
    cd "$1/use"
    for verb in $("$mixsweep" --help | sed -n 's/^  \([a-z]*\)  *[a-z].*/\1/p' | grep -v '^mix\|^mpi'); do
        grep -q "^\.SS $verb\$" "$1/share/man/man1/mixsweep.1"
    done
    grep -q '^      \\-\\-watch ' "$1/share/man/man1/mixsweep.1"
    "$mixsweep" plan "$1/share/mixsweep/jobs/quickstart.yaml" | grep -q '60 runs'
    awk 'BEGIN {
        print "run,n_params,n_tokens,h_code,h_text,loss_code,loss_text"
        for (i = 1; i <= 24; i++) {
            h = (1 + i % 12) / 13
            n = i > 12 ? 2 : 1
            printf "m%d,%de6,1e9,%.6f,%.6f,%.6f,%.6f\n", i, 50 * n, h, 1 - h,
                1 + exp(-3 * h) / n, 2 + exp(-2 * (1 - h)) / n
        }
    }' >runs.csv
    "$mixsweep" import runs.csv -o sweep.h5
    "$mixsweep" fit sweep.h5 --starts 2 --holdout none >/dev/null
    "$mixsweep" bootstrap sweep.h5 --draws 3 >/dev/null
    "$mixsweep" optimum sweep.h5 --params 1e9 --tokens 2e10 >/dev/null
    "$mixsweep" status sweep.h5 | grep -q '24 done'
    "$mixsweep" export sweep.h5 runs -o again.csv
    ! command -v gnuplot >/dev/null || "$mixsweep" report sweep.h5 -o report
    "$MIXSWEEP_PYTHON" "$1/share/mixsweep/jobs/analyse.py" sweep.h5 >said
    grep -q "^optimum transfer at 1e+09" said
    cd - >/dev/null
}

# try_prefix PREFIX - use what is installed there in every way
try_prefix() {
    local prefix=$1 libdir
    libdir=$(dirname "$(dirname "$(find "$prefix" -name mixsweep.pc)")")
    "$prefix/bin/mixsweep" --version
    test -f "$prefix/share/mixsweep/jobs/quickstart.yaml"
    use_program "$prefix"
    # shellcheck disable=SC2046 # flags are words
    cc consumer.c -o "$prefix/by_pkg_config" -Wl,-rpath,"$libdir" \
        $(PKG_CONFIG_PATH="$libdir/pkgconfig" pkg-config --cflags --libs mixsweep)
    "$prefix/by_pkg_config"
    cmake -S . -B "$prefix/consumer" -G Ninja -DCMAKE_PREFIX_PATH="$prefix" >/dev/null
    cmake --build "$prefix/consumer" >/dev/null
    "$prefix/consumer/consumer"
}

cmake --install "$MIXSWEEP_BUILD" --prefix "$PWD/static" >/dev/null
try_prefix "$PWD/static"

cmake -S "$root" -B shared-build -G Ninja -DCMAKE_BUILD_TYPE=None -DBUILD_SHARED_LIBS=ON \
    -DBUILD_TESTING=OFF >/dev/null
cmake --build shared-build >/dev/null
cmake --install shared-build --prefix "$PWD/shared" >/dev/null
try_prefix "$PWD/shared"

# The Debian package has the program, and names the libraries that it needs.
for program in dpkg-shlibdeps file cpack; do command -v $program >/dev/null || exit 0; done
cpack -G DEB --config "$MIXSWEEP_BUILD/CPackConfig.cmake" -B deb >/dev/null 2>&1
dpkg-deb -f deb/mixsweep_*.deb Depends | grep -q 'libhdf5.*libopenmpi'
dpkg-deb -x deb/mixsweep_*.deb unpacked
unpacked/usr/bin/mixsweep --version
test -s unpacked/usr/share/man/man1/mixsweep.1
