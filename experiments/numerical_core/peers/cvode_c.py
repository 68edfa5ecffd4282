"""CVODE (SUNDIALS) from C: generated right-hand side and analytic Jacobian, dense or KLU factors. Stands for the best
that a CVODE-based tool can do, with no interpreter in the loop."""

from __future__ import annotations

import ctypes
import dataclasses
import functools
import hashlib
import importlib.util
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..printing import C, array_reader, assignments, compressed_columns, statements
from ..problems import HERE, Problem
from .base import AbstractPeer, Answer, Solve

SUITESPARSE = ("klu", "amd", "colamd", "btf", "suitesparseconfig")
LIBRARIES = {
    "dense": ("sundials_sunmatrixdense", "sundials_sunlinsoldense"),
    "KLU": ("sundials_sunmatrixsparse", "sundials_sunlinsolklu", *SUITESPARSE),
}
FLAGS = ("-O3", "-march=native", "-fPIC", "-shared")
READ = array_reader({"t": "t", "y": "y[{}]", "theta": "theta[{}]", "fixed": "fixed[{}]"})


class Sundials(NamedTuple):
    """An installation of SUNDIALS with KLU: name, gcc options for headers and libraries, libraries beside the usual."""

    name: str
    options: tuple[str, ...]
    more: tuple[str, ...]


def _installations() -> Iterator[Sundials]:
    """AMICI brings an optimised static build (SUNDIALS 7); distributions have a generic one, in most cases slower."""
    if (found := importlib.util.find_spec("amici")) and found.origin:
        place = Path(found.origin).parent / "_installation"
        options = (f"-I{place}/include", f"-I{place}/include/suitesparse", f"-L{place}/lib")
        yield Sundials("SUNDIALS as AMICI builds it", options, ("sundials_core",))
    yield Sundials("SUNDIALS of the system", ("-I/usr/include/suitesparse",), ())


@functools.cache
def _sundials(system: bool) -> Sundials | None:
    """The first installation that a trivial program compiles with; with `system`, that of the system alone."""
    source = "#include <cvodes/cvodes.h>\n#include <sunlinsol/sunlinsol_klu.h>\nvoid *f(void) { return CVodeCreate; }\n"
    for candidate in list(_installations())[-1 if system else 0 :]:
        with tempfile.TemporaryDirectory() as folder:
            if shutil.which("gcc") and _gcc(source, candidate, "KLU", Path(folder) / "probe.so").returncode == 0:
                return candidate
    return None


def _gcc(source: str, sundials: Sundials, factors: str, library: Path) -> subprocess.CompletedProcess:
    wanted = ("sundials_cvodes", "sundials_nvecserial", *LIBRARIES[factors], *sundials.more, "m")
    sparse = ["-DSPARSE"] if factors == "KLU" else []
    linked = [f"-l{name}" for name in wanted]
    command = ["gcc", *FLAGS, *sparse, *sundials.options[:2], "-x", "c", "-", "-o", str(library)]
    return subprocess.run(
        [*command, *sundials.options[2:], "-Wl,--start-group", *linked, "-Wl,--end-group", "-Wl,-z,defs"],
        input=source,
        text=True,
        capture_output=True,
    )


@dataclasses.dataclass(frozen=True)
class CvodeC(AbstractPeer):
    """`system`: with the libraries of the system, though there may be faster ones."""

    factors: str = "dense"
    system: bool = False

    @property
    def name(self) -> str:
        return f"CVODE in C, {self.factors}" + (", system's libraries" if self.system else "")

    @property
    def settings(self) -> str:
        found = _sundials(self.system)
        library = found.name if found else "no SUNDIALS"
        return f"{library}, BDF, generated C for f and J (gcc {' '.join(FLAGS[:2])}), restart at each dose"

    def missing(self) -> str | None:
        return None if _sundials(self.system) else "gcc, or SUNDIALS with KLU and their headers, not installed"

    def prepare(self, problem: Problem) -> Solve:
        run = self._compiled(self.source(problem))
        pointer = np.ctypeslib.ndpointer(float, flags="C_CONTIGUOUS")
        run.argtypes = [ctypes.c_int] * 6 + [pointer] * 6 + [ctypes.c_double] * 2 + [pointer, pointer]
        run.restype = ctypes.c_int
        edges = np.array([*problem.dose_times, problem.workload.days])

        def solve(n: int, rtol: float, atol: float) -> Answer:
            states, steps = np.full((n, len(problem.times), problem.states), np.nan), np.zeros(n)
            sizes = (n, problem.states, problem.theta.shape[1], problem.fixed.shape[1])
            sizes += (len(problem.dose_times), len(problem.times))
            arrays = (problem.theta, problem.fixed, problem.initial, problem.jumps, edges, problem.times)
            held = [np.ascontiguousarray(a, dtype=float) for a in arrays]
            run(*sizes, *held, rtol, atol, states, steps)
            return Answer(states, steps)

        return solve

    def source(self, problem: Problem) -> str:
        low, n = problem.lowered, problem.states
        rates, out = statements(low.rates, C, READ)
        body = "\n  ".join([*rates, *assignments("dy", out["rates"], ";")])
        jacobian, entries = statements(low.jacobian, C, READ)
        order, pointers, rows = compressed_columns(low.pattern, n)
        if self.factors == "dense":
            where = [f"J[{i + j * n}]" for i, j in low.pattern]  # column by column
            stored = [f"{place} = {value};" for place, value in zip(where, entries["entries"], strict=True)]
        else:
            stored = [f"J[{k}] = {entries['entries'][e]};" for k, e in enumerate(order)]
        template = (HERE / "peers" / "cvode_driver.c").read_text()
        filled = {
            "RATES": body,
            "JACOBIAN": "\n  ".join([*jacobian, *stored]),
            "POINTERS": ", ".join(map(str, pointers)),
            "ROWS": ", ".join(map(str, rows)),
        }
        for name, text in filled.items():
            template = template.replace(f"/*{name}*/", text)
        return template

    def _compiled(self, source: str):
        """The function `run` of a shared library, which stays in memory."""
        sundials = _sundials(self.system)
        assert sundials is not None
        with tempfile.TemporaryDirectory() as folder:
            library = Path(folder) / f"{hashlib.sha256((source + self.factors).encode()).hexdigest()[:16]}.so"
            done = _gcc(source, sundials, self.factors, library)
            if done.returncode:
                raise RuntimeError(f"gcc refuses the generated code: {done.stderr[:500]}")
            return ctypes.CDLL(str(library)).run
