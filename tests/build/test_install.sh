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

# try_prefix PREFIX - use what is installed there in every way
try_prefix() {
    local prefix=$1 libdir
    libdir=$(dirname "$(dirname "$(find "$prefix" -name mixsweep.pc)")")
    "$prefix/bin/mixsweep" --version
    test -f "$prefix/share/mixsweep/jobs/quickstart.yaml"
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

cmake -S "$root" -B shared-build -G Ninja -DCMAKE_BUILD_TYPE=Debug -DBUILD_SHARED_LIBS=ON \
    -DBUILD_TESTING=OFF >/dev/null
cmake --build shared-build >/dev/null
cmake --install shared-build --prefix "$PWD/shared" >/dev/null
try_prefix "$PWD/shared"
