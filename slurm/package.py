# SPDX-License-Identifier: GPL-3.0-or-later
"""Spack recipe. Put it into packages/mixsweep/ of a repository of your own (spack repo create),
then, in the folder of the sources: spack dev-build mixsweep@0.1.0"""

from spack.package import *


class Mixsweep(CMakePackage):
    """Training-data mixtures for large language models by many small ones."""

    license("GPL-3.0-or-later")
    version("0.1.0")
    variant("report", default=True, description="Figures and the HTML report")

    depends_on("c", type="build")
    depends_on("cmake@3.25:", type="build")
    depends_on("pkgconfig", type="build")
    depends_on("openmpi")
    depends_on("hdf5+hl~mpi")
    depends_on("gsl")
    depends_on("libcyaml")
    depends_on("libyaml")
    depends_on("jansson")
    depends_on("zlib-api")
    depends_on("openblas")
    depends_on("gnuplot+cairo", type="run", when="+report")

    def cmake_args(self):
        return [self.define("BUILD_TESTING", False)]
