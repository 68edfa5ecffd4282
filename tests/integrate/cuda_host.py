"""The CUDA C text as C++ on the host: the same text, one or a few threads, all subjects from one queue."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from qspx.integrate import cuda_batch
from qspx.integrate.cuda_device import Launch
from qspx.integrate.cuda_loop import KERNEL

# every warning is an error, but for unused functions and arguments: what a model does not need is printed all the same
STRICT = ["-std=c++17", "-Wall", "-Werror", "-Wno-unused-function", "-Wno-unused-variable", "-Wdouble-promotion"]


def compiler() -> str:
    """A C++ compiler, or the test is skipped."""
    found = next((path for name in ("g++", "clang++", "c++") if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no C++ compiler (g++, clang++) on PATH: the CUDA text cannot be run on the host")
    return found


def library(text: str) -> ctypes.CDLL:
    """The text, compiled and loaded."""
    with tempfile.TemporaryDirectory(prefix="qspx-cuda-host-") as name:
        folder = Path(name)
        (folder / "run.cpp").write_text(text)
        files = ["-o", str(folder / "run.so"), str(folder / "run.cpp")]
        done = subprocess.run([compiler(), *STRICT, "-O1", "-shared", "-fPIC", *files], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[:4000]
        return ctypes.CDLL(str(folder / "run.so"))


def called(text: str, t: np.ndarray, *arrays: np.ndarray, size: int) -> np.ndarray:
    """Result of the function `run(t, arrays..., out)` of a text; `t` is one number, `out` has the given size."""
    out = np.zeros(size, dtype=t.dtype)
    pointers = [ctypes.c_void_p(a.ctypes.data) for a in (*arrays, out)]
    library(text).run(_SCALARS[t.dtype.name](t.item()), *pointers)
    return out


_SCALARS = {"float32": ctypes.c_float, "float64": ctypes.c_double, "int64": ctypes.c_longlong}


@functools.cache
def compiled(text: str, threads: int = 1) -> Launch:
    """What `qspx.integrate.cuda_device.compiled` gives, without a GPU; `threads` take subjects from one queue."""
    kernel = getattr(library(text), KERNEL)

    def launch(read: Sequence[np.ndarray], written: Sequence[np.ndarray], numbers: Sequence[np.generic]) -> None:
        queue = np.zeros(1, dtype=np.uint64)
        arrays = [*read, *written, queue]
        assert all(a.flags.c_contiguous for a in arrays)
        given = [ctypes.c_void_p(a.ctypes.data) for a in arrays]
        given += [_SCALARS[x.dtype.name](x.item()) for x in numbers]
        with ThreadPoolExecutor(threads) as pool:
            for done in [pool.submit(kernel, *given) for _ in range(threads)]:
                done.result()
        assert queue[0] == int(numbers[0]) + threads  # every subject taken, and a last look at the queue by each

    return launch


@contextlib.contextmanager
def instead_of_a_gpu(threads: int = 1) -> Iterator[None]:
    """`CudaIntegrator` runs its text as C++."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cuda_batch.cuda_device, "compiled", functools.partial(compiled, threads=threads))
        cuda_batch._launch.cache_clear()
        yield
    cuda_batch._launch.cache_clear()
