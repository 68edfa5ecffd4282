"""The results as Markdown."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

from numerical_core.documents import environment
from numerical_core.peers.base import version
from numerical_core.tables import number, publishable, table

from .contest import Row
from .problems import Problem

HEAD = ("", "CPU ms", "wall ms", "inside C++, CPU ms", "CPU ms per start of {n}", "compile s", "error of value")
HEAD += ("error of gradient",)


def head(
    given: argparse.Namespace, loads: Sequence[float], others: float, notes: Mapping[str, str | None], seconds: float
) -> str:
    """Date, machine, tolerances, load, and who did not take part."""
    lines = [
        f"{environment()[:-1]}, petab {version('petab')}, pyPESTO {version('pypesto')}, Fides {version('fides')}.",
        f"rtol {given.rtol:g}, atol {given.atol:g}. The run took {seconds / 60:.1f} minutes.",
        f"Machine: load average per core at most {max(loads):.2f}, other processes used {others:.0%} of the cores.",
    ]
    if not publishable(loads, [others]):
        lines.append("**NOT PUBLISHABLE: the machine was busy with something else.**")
    lines += [f"{name}: {note}." for name, note in notes.items() if note]
    return "\n".join(lines)


def of_problem(problem: Problem, rows: Sequence[Row]) -> str:
    """One table: ways down, and for each its time alone and among many."""
    own = [r for r in rows if r.problem == problem.name]
    single = [r for r in own if r.places == 1]
    together = {(r.peer, r.way): r for r in own if r.places > 1}
    counts = sorted({r.places for r in own if r.places > 1})
    most = " or ".join(map(str, counts))
    lines = []
    for r in single:
        many = together[r.peer, r.way]
        lines.append(
            (
                f"{r.peer}: {r.way}",
                number(r.each(r.cpu)),
                number(r.each(r.wall)),
                number(r.each(r.inside)),
                number(many.each(many.cpu)),
                number(r.compile),
                number(r.value_error),
                number(r.gradient_error),
            )
        )
    finite = ", ".join(f"{r.finite} of {r.places}" for r in together.values())
    note = f"Likelihoods that are finite among those starts, by row: {finite}."
    return f"### {problem.name}\n\n{table([h.format(n=most) for h in HEAD], lines)}\n\n{note}"


def ratios(rows: Sequence[Row]) -> str:
    """AMICI over qspx: the faster gradient of each, CPU time."""

    def least(problem: str, peer: str, what: str, several: bool) -> float:
        found = [r.each(r.cpu) for r in rows if (r.problem, r.peer) == (problem, peer) and r.way.startswith(what)
                 and (r.places > 1) == several]  # fmt: skip
        return min(found, default=float("nan"))

    lines = []
    for problem in dict.fromkeys(r.problem for r in rows):
        cells = [
            number(least(problem, "AMICI", what, False) / least(problem, "qspx", what, several))
            for what in ("objective", "gradient")
            for several in (False, True)
        ]
        lines.append((problem, *cells))
    names = ("objective, one start", "objective, of many starts", "gradient, one start", "gradient, of many starts")
    said = "CPU time of AMICI, one start at a time as it takes them, over that of qspx; the faster gradient of each."
    return f"### Ratios\n\n{said}\n\n{table(('', *names), lines)}"


def of_searches(searches: Sequence[Mapping[str, object]]) -> str:
    """Hits of multi-starts."""
    names = ("problem", "search", "starts", "hits", "best", "CPU s", "wall s", "evaluations", "CPU s per hit")
    lines = [
        (
            str(s["problem"]),
            str(s["peer"]),
            str(s["starts"]),
            str(s["hits"]),
            f"{s['best']:.6f}",
            *(number(float(s[k])) for k in ("cpu", "wall", "evaluations")),  # type: ignore[arg-type]
            number(float(s["cpu"]) / s["hits"] if s["hits"] else float("nan")),  # type: ignore[operator,arg-type]
        )
        for s in searches
    ]
    return table(names, lines)
