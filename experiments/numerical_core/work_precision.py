"""Error against tolerance, steps and time of both engines of qspx on stiff problems with known solutions.

    python experiments/numerical_core/work_precision.py            # about five minutes on two cores
    python experiments/numerical_core/work_precision.py --quick    # half a minute: does everything run?

Writes `work_precision.md` and `.json` into `results/` and puts the tables into the README between its markers.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import math
import os
import sys
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import numpy as np  # noqa: E402

import qspx  # noqa: E402
from numerical_core import measure, tables  # noqa: E402
from numerical_core.documents import environment, insert, write_json  # noqa: E402
from numerical_core.problems import HERE as FOLDER  # noqa: E402
from numerical_core.problems import PUBLISHED, WORKLOADS, Problem, Workload, problem, weekly  # noqa: E402
from numerical_core.reference import errors, reference, second_reference  # noqa: E402

NATIVE_TOLERANCES = tuple(10.0**-k for k in range(3, 11))
DIFFRAX_TOLERANCES = (1e-4, 1e-6, 1e-8, 1e-10)  # each compiles anew
PATIENTS, COMPARED, GROUP = 64, 4, 16
AGREEMENT = 10  # the engines are to agree to this many rtol
LAST_PLACES = 32  # of the largest state: differences up to here are rounding


@dataclasses.dataclass(frozen=True)
class Case:
    """A problem and what its solution is known from. `published`: states at the end, of the typical parameters."""

    title: str
    workload: Workload
    published: Mapping[str, float] | None = None


def undosed(name: str, species: str, end: float, samples: tuple[float, ...], atol: float, cv: float) -> Workload:
    nothing = qspx.Regimen.single(0.0, "", species)
    return Workload(name, FOLDER / "models" / f"{name}.py", nothing, end, samples, cv, atol=atol)


def published_in(name: str, attribute: str) -> Mapping[str, float]:
    """A constant of a model file."""
    module = sys.modules[type(undosed(name, "", 1.0, (1.0,), 1.0, 0.0).model).__module__]
    return getattr(module, attribute)


def cases() -> list[Case]:
    decades = tuple(float(x) for x in np.logspace(-3, 4, 15))
    schropp = qspx.Regimen.repeated(335.0, "nmol", "AD", every=7.0, n=4)  # 50 mg
    penney = qspx.Regimen.repeated(0.01, "mg/kg", "C", every=7.0, n=4)
    return [
        Case("Robertson to t = 1e4", undosed("robertson", "A", 1e4, decades, 1e-12, 0.3)),
        Case(
            "Robertson to t = 1e11",
            undosed("robertson", "A", 1e11, (1e11,), 1e-18, 0.0),
            published_in("robertson", "AT_1E11"),
        ),
        Case(
            "HIRES to t = 321.8122",
            undosed("hires", "y1", 321.8122, (321.8122,), 1e-10, 0.0),
            published_in("hires", "AT_THE_END"),
        ),
        Case("Cascade of 48 states", WORKLOADS["casc48"]),
        Case("Hill terms and circadian input", WORKLOADS["hill_input"]),
        Case("ISB 2001, 51 states", WORKLOADS["isb2001"]),
        Case(
            "Schropp 2019, 50 mg weekly",
            Workload("schropp2019", PUBLISHED / "schropp2019.py", schropp, 28.0, weekly(28), 0.4, ("MW",), atol=1e-10),
        ),
        Case(
            "Penney 2025, 0.01 mg/kg weekly",
            Workload("penney2025", PUBLISHED / "penney2025.py", penney, 28.0, weekly(28), 0.4, ("MW",), atol=1e-12),
        ),
    ]


@dataclasses.dataclass(frozen=True)
class Line:
    """One tolerance. Times in CPU µs per patient, errors as in `reference.errors`; NaN where tier 3 was not run.
    `apart`: the engines' difference in rtol; `rounding`: it is more than one rtol, and it is rounding."""

    rtol: float
    worst: float
    median: float
    steps: float
    cost: float
    worst_diffrax: float = math.nan
    steps_diffrax: float = math.nan
    cost_diffrax: float = math.nan
    apart: float = math.nan
    rounding: bool = False


@dataclasses.dataclass(frozen=True)
class Curve:
    title: str
    source: str
    doubt: float
    lines: list[Line]


def known_solution(case: Case, p: Problem) -> tuple[np.ndarray, str, float]:
    """(states of the first patients at the samples, where they are from, how much they can be trusted)."""
    if case.published:
        ends = np.array([case.published[name] for name in p.model.species])
        return np.broadcast_to(ends, (1, 1, len(ends))), "published reference solution at the end", 1e-15
    atol = 1e-6 * case.workload.atol
    expected = reference(p, COMPARED, rtol=1e-13, atol=atol)
    other = second_reference(p, 1, rtol=1e-12, atol=atol)
    doubt, _ = errors(other, expected, case.workload.atol)
    return expected, "LSODA at rtol 1e-13; SciPy's Radau at 1e-12 differs from it", doubt


def timed(integrator: qspx.BatchIntegrator | qspx.DiffraxIntegrator, p: Problem, n: int):
    """(solution, least CPU µs per patient of three runs, or of one that takes more than two seconds)."""
    theta, events = p.theta[:n], p.events(n)
    integrator.solve_batch(p.request, theta, events)  # compiles
    found, least, _ = measure.clocked(lambda: integrator.solve_batch(p.request, theta, events))
    for _ in range(2 if least < 2 else 0):
        _, cpu, _ = measure.clocked(lambda: integrator.solve_batch(p.request, theta, events))
        least = min(least, cpu)
    return found, least / n * 1e6


def is_rounding(a: np.ndarray, b: np.ndarray, allowed: float) -> bool:
    """Whether every difference above `allowed`, relative, is within a few last places of the patient's largest state: a
    small state that is left over from a large one (Robertson's A from 1 - C) has no more digits."""
    difference, largest = np.abs(a - b), np.abs(a).max(axis=2, keepdims=True)
    beyond = difference > allowed * np.abs(b)
    return bool((difference <= LAST_PLACES * np.finfo(float).eps * largest)[beyond].all())


def curve(case: Case, tolerances: tuple[float, ...], also: tuple[float, ...]) -> Curve:
    w = case.workload
    p = problem(w, PATIENTS)
    expected, source, doubt = known_solution(case, p)
    lines = []
    for rtol in tolerances:
        atol = w.atol * rtol / w.rtol
        native, cost = timed(qspx.BatchIntegrator(rtol, atol, threads=1), p, PATIENTS)
        worst, median = errors(native.values, expected, 0.0 if case.published else w.atol)
        line = Line(rtol, worst, median, float(native.steps.mean()), cost)
        if rtol in also:
            portable, more = timed(qspx.DiffraxIntegrator(rtol=rtol, atol=atol, lanes=GROUP), p, GROUP)
            apart, _ = errors(native.values[:GROUP], portable.values, w.atol)
            line = dataclasses.replace(
                line,
                worst_diffrax=errors(portable.values, expected, 0.0 if case.published else w.atol)[0],
                steps_diffrax=float(portable.steps.mean()),
                cost_diffrax=more,
                apart=apart / rtol,
                rounding=apart > rtol and is_rounding(native.values[:GROUP], portable.values, rtol),
            )
        lines.append(line)
    return Curve(case.title, source, doubt, lines)


def shown(found: Curve) -> str:
    def scientific(x: float) -> str:
        return "–" if math.isnan(x) else f"{x:.1e}"

    head = ["rtol", "largest error", "median error", "steps", "CPU µs", "tier 3: largest error", "steps", "CPU µs"]
    head += ["tiers apart, in rtol"]
    rows = [
        [
            f"{line.rtol:.0e}",
            scientific(line.worst),
            scientific(line.median),
            tables.number(line.steps, 4),
            tables.number(line.cost),
            scientific(line.worst_diffrax),
            tables.number(line.steps_diffrax, 4),
            tables.number(line.cost_diffrax),
            tables.number(line.apart, 2) + (" (rounding)" if line.rounding else ""),
        ]
        for line in found.lines
    ]
    doubt = "." if found.doubt <= 1e-15 else f" by at most {found.doubt:.0e}."
    return f"### {found.title}\n\nReference: {found.source}{doubt}\n\n{tables.table(head, rows)}"


def agreement(curves: list[Curve]) -> str:
    """How far the two engines are apart, and whether that is allowed."""
    compared = [line for c in curves for line in c.lines if not math.isnan(line.apart)]
    furthest = max((line.apart for line in compared if not line.rounding), default=math.nan)
    verdict = "met" if furthest <= AGREEMENT else "**not met**"
    marked = sum(line.rounding for line in compared)
    but = (
        f" The {marked} marked lines are left out: there the difference is rounding, at most {LAST_PLACES} units in "
        "the last place of the largest state."
        if marked
        else ""
    )
    return (
        f"The two engines differ by at most {tables.number(furthest, 2)} rtol in these tables (the requirement of "
        f"{AGREEMENT} rtol is {verdict}).{but}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="two tolerances, nothing written")
    given = parser.parse_args()
    qspx.enable_x64()
    tolerances, also = ((1e-4, 1e-6), (1e-6,)) if given.quick else (NATIVE_TOLERANCES, DIFFRAX_TOLERANCES)
    loads, blocks, curves = [measure.load_per_core()], [], []
    others = measure.Others()
    for case in cases():
        curves.append(curve(case, tolerances, also))
        blocks.append(shown(curves[-1]))
        loads.append(measure.load_per_core())
        print(f"{blocks[-1]}\n", flush=True)
    summary = agreement(curves)
    circumstances = tables.banner(loads, [others.share()])
    text = "\n\n".join([environment(), circumstances, summary, *blocks])
    print(f"{summary}\n{circumstances}")
    if given.quick:
        return
    results = HERE / "results"
    results.mkdir(exist_ok=True)
    (results / "work_precision.md").write_text(f"# Error, steps and time against tolerance\n\n{text}\n")
    data = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": measure.machine(),
        "loads": loads,
        "others": others.share(),
        "curves": [dataclasses.asdict(c) for c in curves],
    }
    write_json(results / "work_precision.json", data)
    insert(HERE / "README.md", "work_precision", text)


if __name__ == "__main__":
    main()
