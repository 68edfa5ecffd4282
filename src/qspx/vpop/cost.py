"""What a piece of work costs: wall and CPU seconds, seconds of compilation, memory."""

from __future__ import annotations

import functools
import sys
import time

import jax.monitoring

COMPILING = ("jaxpr_trace", "jaxpr_to_mlir_module", "backend_compile")  # what jax reports the durations of


class Cost:
    """`with Cost() as cost: ...`, then `cost.row`:

    `seconds` of the clock; `cpu_seconds` of this process, all threads (other work on the machine does not count);
    `compile_seconds`, the part of `seconds` in which jax traced and compiled; `peak_memory_gb`, the most that the
    process has held in memory since it began (NaN on Windows)."""

    def __enter__(self) -> Cost:
        self._from = time.perf_counter(), time.process_time(), _compiled()[0]
        return self

    def __exit__(self, *_: object) -> None:
        wall, cpu, compiled = self._from
        self.row = {
            "seconds": time.perf_counter() - wall,
            "cpu_seconds": time.process_time() - cpu,
            "compile_seconds": _compiled()[0] - compiled,
            "peak_memory_gb": _peak_memory(),
        }

    def plus(self, other: Cost) -> dict[str, float]:
        """The row of both pieces of work."""
        both = {k: v + other.row[k] for k, v in self.row.items()}
        return both | {"peak_memory_gb": max(self.row["peak_memory_gb"], other.row["peak_memory_gb"])}


@functools.cache
def _compiled() -> list[float]:
    """Seconds that jax has spent on compilation since the first call; one listener per process."""
    total = [0.0]

    def listen(event: str, duration_secs: float, **kwargs: str | int) -> None:
        if any(kind in event for kind in COMPILING):
            total[0] += duration_secs

    jax.monitoring.register_event_duration_secs_listener(listen)
    return total


def _peak_memory() -> float:
    if sys.platform == "win32":
        return float("nan")
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
