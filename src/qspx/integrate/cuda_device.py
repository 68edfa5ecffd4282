"""A CUDA C text on an NVIDIA GPU: compiled by NVRTC and launched on device buffers, through cupy, which is optional."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from qspx._errors import SolveError
from qspx.integrate.cuda_loop import KERNEL

THREADS = 128  # per block
BLOCKS = 16  # per multiprocessor at most: more than are at work at once; one that comes late finds the queue empty
_INSTEAD = "BatchIntegrator gives the same results without a GPU."

# arrays to read, arrays to write, numbers; the arrays to write are on the host and filled in place
Launch = Callable[[Sequence[np.ndarray], Sequence[np.ndarray], Sequence[np.generic]], None]


def found_cupy() -> Any:
    """cupy, where there is a GPU that it can use. Raises `SolveError` that says what is missing."""
    try:
        import cupy  # pyright: ignore[reportMissingImports]
    except ImportError as e:
        raise SolveError(
            f"CudaIntegrator needs cupy, which cannot be imported ({e}). Install it with `pip install qspx[cuda12]` or "
            f"`qspx[cuda13]`, whichever fits the driver. {_INSTEAD}"
        ) from e
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as e:
        raise SolveError(f"CudaIntegrator needs an NVIDIA GPU, and CUDA finds none: {e}. {_INSTEAD}") from e
    if not count:
        raise SolveError(f"CudaIntegrator needs an NVIDIA GPU, and CUDA finds none. {_INSTEAD}")
    return cupy


def compiled(text: str) -> Launch:
    """The kernel of a text of `qspx.integrate.cuda_loop`, for the current device. Raises `SolveError` without a GPU, or
    without NVRTC."""
    cupy = found_cupy()
    try:
        kernel = cupy.RawModule(code=text, options=("-std=c++17",), backend="nvrtc").get_function(KERNEL)
        kernel.compile()
    except (cupy.cuda.compiler.CompileException, RuntimeError, OSError) as e:
        raise SolveError(
            f"NVRTC, the compiler of the CUDA toolkit, did not compile the model or was not found: {e} {_INSTEAD}"
        ) from e
    processors = cupy.cuda.Device().attributes["MultiProcessorCount"]

    def launch(read: Sequence[np.ndarray], written: Sequence[np.ndarray], numbers: Sequence[np.generic]) -> None:
        rows = int(numbers[0])
        blocks = min(-(-rows // THREADS), BLOCKS * processors)
        try:
            inputs, outputs = [cupy.asarray(a) for a in read], [cupy.asarray(a) for a in written]
            queue = cupy.zeros(1, dtype=np.uint64)
            kernel((blocks,), (THREADS,), (*inputs, *outputs, queue, *numbers))
            for host, device in zip(written, outputs, strict=True):
                host[...] = device.get()  # waits for the kernel
        except (cupy.cuda.driver.CUDADriverError, cupy.cuda.runtime.CUDARuntimeError, MemoryError) as e:
            raise SolveError(f"the GPU did not run {rows} subjects: {e}. Fewer at a time may fit its memory.") from e

    return launch
