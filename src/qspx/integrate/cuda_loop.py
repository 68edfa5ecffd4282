"""The run of a model as one CUDA C text: its programs, its constants, and the files of `cuda/`, which are the same for
every model.

    prelude -> constants, arguments -> memory -> programs -> step -> look -> points -> crossings -> endpoints -> doses
    -> patient -> loop -> kernel

The text is C++17 as well: `prelude.cuh` says what a compiler for the host makes of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from qspx._status import Status
from qspx.dose_events import ADDED_STEADY, RESET, STEADY
from qspx.integrate.crossings import MOST_ITERATIONS
from qspx.integrate.cuda_program import Precision, printed
from qspx.integrate.elimination import SMALLEST_GUARD
from qspx.integrate.lowering import Lowered
from qspx.integrate.marks import CONVERGED
from qspx.integrate.native_crossings import CLOSEST
from qspx.integrate.native_endpoints import AREA, BEYOND, GAUSS, LARGEST, LARGEST_AT, LAST, SMALLEST
from qspx.integrate.observed import Observed, states_read
from qspx.integrate.program import Program
from qspx.integrate.tableaux import RosenbrockTableau
from qspx.summaries import OF_THRESHOLD

KERNEL = "run"
# arguments of the kernel, in order, with their types; the arrays of `qspx.integrate.loop_arrays`, with the patients
# last where they have a row for each
READ = {
    "theta": "real",
    "start": "instant",
    "end": "instant",
    "species": "whole",
    "jump": "real",
    "rate": "real",
    "mark": "instant",
    "kind": "whole",
    "interval": "instant",
    "turn": "instant",
    "whole": "real",
    "part": "instant",
    "stop": "instant",
    "time": "instant",
    "before": "real",
    "unsigned": "real",
    "atol": "real",
    "columns": "whole",
    "windows": "instant",
    "signs": "real",
    "thresholds": "real",
    "threshold_of": "whole",
}
WRITTEN = {"values": "real", "endpoints": "instant", "status": "whole", "steps": "whole", "end_time": "instant"}
NUMBERS = {
    "rows": "whole",
    "max_steps": "whole",
    "events": "whole",
    "summaries": "whole",
    "t0": "instant",
    "t1": "instant",
    "rtol": "real",
}
# of the running endpoints; those behind them are of the tape, and there is none
_SLOTS = {
    "LARGEST": LARGEST,
    "LARGEST_AT": LARGEST_AT,
    "SMALLEST": SMALLEST,
    "AREA": AREA,
    "LAST": LAST,
    "BEYOND": BEYOND,
}
SLOTS = len(_SLOTS)
_FIELDS = {"unsigned": "nonnegative", "whole": "times_over"}  # where the name of an argument is a word of the text
_PARTS = ("step", "look", "points", "crossings", "endpoints", "doses", "patient", "loop")
_SOURCES = Path(__file__).parent / "cuda"


def source(
    low: Lowered,
    seen: Observed,
    table: RosenbrockTableau,
    kinds: frozenset[str],
    parameters: int,
    precision: Precision,
    marks: bool,
) -> str:
    """The text; equal models and requests give equal texts. Its function `run` takes the arrays `READ`, the arrays
    `WRITTEN`, the queue (one unsigned 64-bit integer, zero) and the `NUMBERS`."""
    parts = [
        f"typedef {precision.real} real;\n#define R(x) x{'##f' if precision.suffix else ''}",
        f"#define F(name) name{'##f' if precision.suffix else ''}",
        _file("prelude"),
        "namespace qspx {",
        _sizes(low, seen, table, kinds, parameters, marks),
        _tables(seen, table, low.drift is not None, precision),
        _arguments(),
        _file("memory"),
        *_programs(low, seen, precision),
        *(_file(name) for name in _PARTS),
        "} // namespace qspx",
        _kernel(),
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _file(name: str) -> str:
    return (_SOURCES / f"{name}.cuh").read_text(encoding="utf-8")


# constants ----------------------------------------------------------------------------------------------------------


def _sizes(
    low: Lowered, seen: Observed, table: RosenbrockTableau, kinds: frozenset[str], parameters: int, marks: bool
) -> str:
    samples, levels = len(seen.samples.outputs["samples"]), len(seen.levels.outputs["levels"])
    numbers = {
        "N": len(low.rates.outputs["rates"]),
        "PARAMETERS": parameters,
        "STAGES": table.stages,
        "ROWS": len(table.H),
        "ORDER": table.order,
        "SAMPLES": samples,
        "LEVELS": levels,
        # sizes of arrays, none of them empty
        "SEEN": max(samples, levels, 1),
        "FIXED": max(len(low.prologue.outputs["fixed"]), 1),
        "SEEN_FIXED": max(len(seen.prologue.outputs["fixed"]), 1),
        "FACTORS": max(len(low.factor.outputs["factors"]), 1),
        # what is asked
        "EXTREMES": int(bool({"max", "tmax", "min"} & kinds)),
        "TIMES_OF": int("tmax" in kinds),
        "AREAS": int(bool({"auc", "average"} & kinds)),
        "LASTS": int("last" in kinds),
        "THRESHOLDS": int(bool(OF_THRESHOLD & kinds)),
        "MARKS": int(marks),
        # codes and places
        "RESET": RESET,
        "STEADY": STEADY,
        "ADDED_STEADY": ADDED_STEADY,
        **_SLOTS,
        "SLOTS": SLOTS,
        **{status.name: int(status) for status in (Status.OK, Status.MAX_STEPS, Status.DT_MIN, Status.NONFINITE)},
        "MOST_ITERATIONS": MOST_ITERATIONS,
    }
    drifts = f"#define QSPX_DRIFTS {int(low.drift is not None)}"
    return "\n".join([drifts, *(f"constexpr int {name} = {value};" for name, value in numbers.items())])


def _tables(seen: Observed, table: RosenbrockTableau, drifts: bool, precision: Precision) -> str:
    def listed(values: Iterable[float]) -> str:
        return "{" + ", ".join(precision.literal(v) for v in values) + "}"

    def row(name: str, size: str, values: Iterable[float]) -> str:
        return f"QSPX_TABLE real {name}[{size}] = {listed(values)};"

    def square(name: str, sizes: str, rows: Iterable[Iterable[float]]) -> str:
        inner = ",\n    ".join(listed(values) for values in rows)
        return f"QSPX_TABLE real {name}{sizes} = {{\n    {inner}}};"

    def states(name: str, program: Program) -> list[str]:
        read = states_read(program)
        values = ", ".join(map(str, read or (0,)))
        return [
            f"constexpr int {name}_READ_COUNT = {len(read)};",
            f"QSPX_TABLE int {name}_READ[] = {{{values}}};",
        ]

    nodes, weights = GAUSS
    return "\n".join(
        [
            f"constexpr real GAMMA = {precision.literal(table.gamma)};",
            f"constexpr real SMALLEST_GUARD = {precision.literal(_half_the_digits(precision))};",
            f"constexpr real CONVERGED = {precision.literal(CONVERGED)};",
            f"constexpr real CLOSEST = {precision.literal(CLOSEST)};",
            square("A", "[STAGES][STAGES]", table.square_A),
            square("C", "[STAGES][STAGES]", table.square_C),
            row("ALPHA", "STAGES", table.alpha),
            *([row("GAMMA_I", "STAGES", table.gamma_i)] if drifts else []),
            square("H", "[ROWS][STAGES]", table.H),
            row("NODES", "3", nodes),
            row("WEIGHTS", "3", weights),
            *states("SAMPLES", seen.samples),
            *states("LEVELS", seen.levels),
            *states("SLOPES", seen.slopes),
            *states("BENDS", seen.bends),
        ]
    )


def _half_the_digits(precision: Precision) -> float:
    """Below it, half of the digits of a pivot are gone."""
    return SMALLEST_GUARD * float(np.sqrt(np.finfo(precision.name).eps / np.finfo(float).eps))


# programs -----------------------------------------------------------------------------------------------------------


def _programs(low: Lowered, seen: Observed, precision: Precision) -> list[str]:
    known = ("theta", "fixed")
    functions: list[tuple[str, Program, Sequence[str]]] = [
        ("prologue", low.prologue, ("theta",)),
        ("rates", low.rates, ("t", "y", *known)),
        ("factor", low.factor, ("t", "y", *known, "shift")),
        ("solve", low.solve, ("factors", "b", *known)),
        ("seen_prologue", seen.prologue, ("theta",)),
        ("initial", seen.initial, known),
        ("samples", seen.samples, ("t", "y", *known)),
        ("levels", seen.levels, ("t", "y", *known)),
        ("slopes", seen.slopes, ("t", "y", "dy", *known)),
        ("bends", seen.bends, ("t", "y", "dy", "ddy", *known)),
    ]
    if low.drift is not None:
        functions.append(("drift", low.drift, ("t", "y", *known)))
    return [printed(name, program, groups, precision) for name, program, groups in functions]


# arguments ----------------------------------------------------------------------------------------------------------


def _declared() -> list[tuple[str, str]]:
    """Type and field of every argument of the kernel, in order."""
    arrays = [(f"const {kind}* __restrict__", name) for name, kind in READ.items()]
    arrays += [(f"{kind}* __restrict__", name) for name, kind in WRITTEN.items()]
    numbers = [(kind, name) for name, kind in NUMBERS.items()]
    return [(kind, _FIELDS.get(name, name)) for kind, name in [*arrays, ("counter*", "queue"), *numbers]]


def _arguments() -> str:
    fields = "\n".join(f"    {kind} {name};" for kind, name in _declared())
    return f"/// Arguments of the run.\nstruct Job {{\n{fields}\n}};"


def _kernel() -> str:
    given = ",\n    ".join(f"{kind} {name}" for kind, name in _declared())
    names = ", ".join(name for _, name in _declared())
    return (
        f"QSPX_KERNEL void {KERNEL}(\n    {given})\n{{\n    const qspx::Job job = {{{names}}};\n"
        "    qspx::solve_queue(job);\n}"
    )


def dtypes(precision: Precision) -> dict[str, np.dtype]:
    """Of the types of `READ`, `WRITTEN` and `NUMBERS`."""
    return {"real": np.dtype(precision.name), "instant": np.dtype("float64"), "whole": np.dtype("int64")}
