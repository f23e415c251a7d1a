"""The one compiled module of `pumas`; everything else about the package stands in `pyproject.toml`.

PUMAS_CHECKED=1 builds it with bounds checks on, for `make test-checked`.
"""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

IS_CHECKED = os.environ.get("PUMAS_CHECKED") == "1"
IS_LIMITED = not sysconfig.get_config_var("Py_GIL_DISABLED")  # a free-threaded Python has no stable ABI

ranking = Extension(
    "pumas.search._ranking",
    ["pumas/search/_ranking.pyx"],
    depends=sorted(map(str, Path("pumas/search").glob("_*.pxi"))),  # what it includes
    # The scores are FTS5's to the last bit: no operation may be fused with another or be reordered.
    extra_compile_args=[] if os.name == "nt" else ["-O3", "-g0", "-ffp-contract=off"],
    define_macros=[("Py_LIMITED_API", "0x030B0000")] if IS_LIMITED else [],
    py_limited_api=IS_LIMITED,
)

setup(
    ext_modules=cythonize(
        [ranking],
        build_dir="build",
        force=True,  # the two forms have the same source
        compiler_directives={
            "boundscheck": IS_CHECKED,
            "wraparound": False,
            "initializedcheck": IS_CHECKED,
            "cdivision": True,
            "autotestdict": False,
            "auto_pickle": False,
        },
    ),
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if IS_LIMITED else {},
)
