"""Programs that push tangents forward: directional derivatives of those of `Lowered` and `Observed`.

A tangent is a change of an input or of a result, in a group `..._dot`. What depends on the place alone (partial
derivatives) is computed once for all directions, into the group `points`; what is left per direction is linear.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from qspx.integrate.derivatives import pushforward
from qspx.integrate.graph import Graph
from qspx.integrate.lowering import Lowered
from qspx.integrate.observed import Observed
from qspx.integrate.operations import Op
from qspx.integrate.program import Program, copied, frontier, input_sizes

_WANTED = ("y", "dy", "theta", "fixed")  # input groups that have tangents


@dataclass(frozen=True)
class Push:
    """Tangents of results: `points` from the inputs, then `dots` from the inputs, `points` and the inputs' tangents."""

    points: Program
    dots: Program

    @property
    def size(self) -> int:
        """Numbers that directions share."""
        return len(self.points.outputs["points"])


@dataclass(frozen=True)
class Forward:
    """Tangents of a model. Input groups are those of `Lowered`, `more`, and `y_dot`, `theta_dot`, `fixed_dot`.

    Attributes:
        more: theta, fixed -> more. Once per subject, after the prologue.
        rates: -> rates_dot.
        system: -> jacobian_dot, drift_dot; the first holds the entries of the Jacobian's pattern named in `entries`.
        entries: positions in the pattern of entries that change.
        prologue: theta, theta_dot -> fixed_dot.
    """

    more: Program
    rates: Push
    system: Push
    entries: tuple[int, ...]
    prologue: Push


@dataclass(frozen=True)
class ObservedForward:
    """Tangents of what is looked at; `fixed` and `fixed_dot` are those of `Observed`.

    Attributes:
        samples, levels: t, y, theta, fixed and y_dot, theta_dot, fixed_dot -> samples_dot, levels_dot.
        slopes: the same with dy and dy_dot -> slopes_dot.
        initial: theta, fixed and their tangents -> initial_dot.
        prologue: theta, theta_dot -> fixed_dot.
    """

    samples: Push
    levels: Push
    slopes: Push
    initial: Push
    prologue: Push


@functools.lru_cache(maxsize=64)
def forward_tangents(low: Lowered) -> Forward:
    """Tangent programs of a model's rates, Jacobian and prologue."""
    g = Graph()
    rates = _pushed(g, low.rates, "rates")
    entries = _pushed(g, low.jacobian, "entries")
    drift = _pushed(g, low.drift, "drift") if low.drift is not None else []
    changing = tuple(i for i, node in enumerate(entries) if not g.is_constant(node, 0.0))
    groups = [{"rates_dot": rates}, {"jacobian_dot": [entries[i] for i in changing], "drift_dot": drift}]
    shared = [_shared(g, outputs) for outputs in groups]
    roots = [k for outputs in (*groups, *({"points": s} for s in shared)) for nodes in outputs.values() for k in nodes]
    once = frontier(g, roots)
    pushes = [_push(g, outputs, s, once) for outputs, s in zip(groups, shared, strict=True)]
    more = Program.of(g, input_sizes(g), {"more": once})
    return Forward(more, *pushes, entries=changing, prologue=_alone(low.prologue, "fixed", "fixed_dot"))


@functools.lru_cache(maxsize=64)
def observed_tangents(seen: Observed) -> ObservedForward:
    """Tangent programs of what is looked at."""
    return ObservedForward(
        samples=_alone(seen.samples, "samples", "samples_dot"),
        levels=_alone(seen.levels, "levels", "levels_dot"),
        slopes=_alone(seen.slopes, "slopes", "slopes_dot"),
        initial=_alone(seen.initial, "y", "initial_dot"),
        prologue=_alone(seen.prologue, "fixed", "fixed_dot"),
    )


def _alone(program: Program, output: str, dot: str) -> Push:
    g = Graph()
    outputs = {dot: _pushed(g, program, output)}
    return _push(g, outputs, _shared(g, outputs), [])


def _pushed(g: Graph, program: Program, output: str) -> list[int]:
    """Nodes of the tangents of an output group."""
    read: dict[tuple[str, int], int] = {}
    nodes = copied(g, program, read)[output]
    moving = {node: (f"{group}_dot", position) for (group, position), node in read.items() if group in _WANTED}
    return pushforward(g, nodes, list(moving), [g.input(*place) for place in moving.values()])


def _shared(g: Graph, outputs: dict[str, list[int]]) -> list[int]:
    """Nodes that do not depend on a tangent and are read by one that does."""
    known: list[bool] = []
    for k, op in enumerate(g.ops):
        own = not g.groups[g.operands[k][0]].endswith("_dot") if op is Op.INPUT else True
        known.append(own and all(known[j] for j in g.node_operands(k)))
    return frontier(g, (k for nodes in outputs.values() for k in nodes), known)


def _push(g: Graph, outputs: dict[str, list[int]], shared: Sequence[int], once: Sequence[int]) -> Push:
    """With the nodes `once` computed once per subject (`more`), and the rest of `shared` once per place."""
    given = {k: ("more", position) for position, k in enumerate(once)}
    points = [k for k in shared if k not in given]
    sizes = input_sizes(g) | {"more": len(once), "points": len(points)}
    read = given | {k: ("points", position) for position, k in enumerate(points)}
    return Push(Program.of(g, sizes, {"points": points}, given), Program.of(g, sizes, outputs, read))
