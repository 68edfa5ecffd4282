"""Programs for what is looked at: initial states, samples, and endpoints with their slopes along the solution."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from qspx.integrate.derivatives import jacobian
from qspx.integrate.graph import THETA, Graph
from qspx.integrate.operations import Op
from qspx.integrate.program import Program, frontier
from qspx.integrate.scalar_domain import trace_scalars
from qspx.model import AbstractModel


@dataclass(frozen=True)
class Observed:
    """Programs beside those of `Lowered`, with a prologue of their own.

    Input groups: `t` (1), `y`, `dy`, `ddy` (n, derivatives of y by time along the solution), `theta`, `fixed`.

    Attributes:
        prologue: theta -> fixed. Once per subject.
        initial: theta, fixed -> y.
        samples: t, y, theta, fixed -> values of the observables to sample.
        levels: the same for those that endpoints ask for.
        slopes: t, y, dy, theta, fixed -> levels and slopes, their derivatives by time.
        bends: t, y, dy, ddy, theta, fixed -> slopes and bends, the second derivatives.
    """

    prologue: Program
    initial: Program
    samples: Program
    levels: Program
    slopes: Program
    bends: Program


@functools.lru_cache(maxsize=64)
def observed(model: AbstractModel, samples: tuple[str, ...], endpoints: tuple[str, ...]) -> Observed:
    """The programs. Raises `NotTraceable` where a function of the model has no scalar program."""
    n, P = len(model.species), len(model.parameters)
    g = Graph()
    (t,), y, theta = g.inputs("t", 1), g.inputs("y", n), g.inputs(THETA, P)
    dy, ddy = g.inputs("dy", n), g.inputs("ddy", n)
    one = g.constant(1.0)

    def seen(names: tuple[str, ...]) -> list[int]:
        if not names:
            return []
        return trace_scalars(g, functools.partial(model.observables_vector, names=names), t, y, theta)

    start = trace_scalars(g, lambda t, y, theta: model.initial_vector(theta), t, y, theta)
    sampled, levels = seen(samples), seen(endpoints)
    slopes = _along(g, levels, [t, *y], [one, *dy])
    bends = _along(g, slopes, [t, *y, *dy], [one, *dy, *ddy])
    outputs = {
        "initial": {"y": start},
        "samples": {"samples": sampled},
        "levels": {"levels": levels},
        "slopes": {"levels": levels, "slopes": slopes},
        "bends": {"slopes": slopes, "bends": bends},
    }
    once = frontier(g, (k for groups in outputs.values() for group in groups.values() for k in group))
    given = {k: ("fixed", position) for position, k in enumerate(once)}
    sizes = {"t": 1, "y": n, "dy": n, "ddy": n, THETA: P, "fixed": len(once)}
    programs = {name: Program.of(g, sizes, groups, given) for name, groups in outputs.items()}
    return Observed(Program.of(g, sizes, {"fixed": once}), **programs)


def _along(g: Graph, outputs: Sequence[int], inputs: Sequence[int], tangents: Sequence[int]) -> list[int]:
    """Derivatives of `outputs` when the inputs change at the rates `tangents`."""
    totals = [g.constant(0.0)] * len(outputs)
    for (i, j), node in jacobian(g, outputs, inputs).items():
        totals[i] = g.node(Op.ADD, totals[i], g.node(Op.MUL, node, tangents[j]))
    return totals


def states_read(program: Program) -> tuple[int, ...]:
    """Positions of the states that a program reads, by y, dy or ddy."""
    groups = [number for number, name in enumerate(program.inputs) if name in ("y", "dy", "ddy")]
    reads = program.operands[(program.ops == Op.INPUT)]
    return tuple(sorted({int(position) for group, position, _ in reads if group in groups}))
