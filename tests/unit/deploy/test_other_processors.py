"""What the image compiles where there is no x86 processor."""

import ctypes
import os
import subprocess

from aurum.paths import CHECKOUT


def test_the_library_for_other_processors_has_no_kernels(tmp_path):
    """With this machine's compiler, which says that it compiles for arm64."""
    compiler = tmp_path / "compiler"
    compiler.write_text(
        '#!/bin/sh\n[ "$1" = -dumpmachine ] && echo aarch64-linux-gnu && exit\nexec g++ "$@"\n'
    )
    compiler.chmod(0o755)
    subprocess.run(
        [CHECKOUT / "backends/ops/build.sh", "library", tmp_path],
        env={**os.environ, "CXX": str(compiler)},
        check=True,
    )
    library = ctypes.CDLL(str(tmp_path / "libaurum_ops.so"))
    library.aurum_kernels.restype = ctypes.c_char_p
    assert library.aurum_kernels() == b""
