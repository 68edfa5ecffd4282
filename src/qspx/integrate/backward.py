"""Programs that pull cotangents back: the reverse of those of `Lowered` and `Observed`.

Each adds to what is in its `..._bar` groups, so that contributions of stages, samples and endpoints add up in place.
Where a program reads numbers that are computed once per subject (`fixed`), their cotangents are collected, and pulled
back to the parameters once per subject as well.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from qspx.integrate.derivatives import pullback
from qspx.integrate.graph import Graph
from qspx.integrate.lowering import Lowered
from qspx.integrate.observed import Observed
from qspx.integrate.operations import Op
from qspx.integrate.program import Program, frontier


@dataclass(frozen=True)
class Pull:
    """A program that adds cotangents of its inputs: `places` are the positions in each `..._bar` group it adds to."""

    program: Program
    places: Mapping[str, tuple[int, ...]]

    def __hash__(self) -> int:
        return hash(self.program)


@dataclass(frozen=True)
class Backward:
    """Reverse programs of a model. Input groups are those of `Lowered` and `Observed`, `more`, and cotangents.

    Attributes:
        more: theta, fixed -> more. Once per subject, after the prologue.
        rates: t, y, theta, fixed, more, b; y_bar, theta_bar, fixed_bar += those of b . rates.
        system: the same for jacobian_bar . entries + drift_bar . drift.
        prologue: theta, fixed, fixed_bar; theta_bar += that of fixed_bar . fixed.
    """

    more: Program
    rates: Pull
    system: Pull
    prologue: Pull


@dataclass(frozen=True)
class ObservedBackward:
    """Reverse programs of what is looked at; `fixed` and `fixed_bar` are those of `Observed`.

    Attributes:
        samples: t, y, theta, fixed, samples_bar; y_bar, theta_bar, fixed_bar += those of samples_bar . samples.
        levels: the same for levels_bar . levels.
        slopes: t, y, dy, theta, fixed, slopes_bar; y_bar, dy_bar, ... += those of slopes_bar . slopes.
        initial: theta, fixed, initial_bar; theta_bar, fixed_bar += those of initial_bar . initial.
        prologue: theta, fixed_bar; theta_bar += that of fixed_bar . fixed.
    """

    samples: Pull
    levels: Pull
    slopes: Pull
    initial: Pull
    prologue: Pull


@functools.lru_cache(maxsize=64)
def backward(low: Lowered) -> Backward:
    """Reverse programs of a model's rates, Jacobian and prologue."""
    system = [(low.jacobian, "entries", "jacobian_bar")]
    if low.drift is not None:
        system.append((low.drift, "drift", "drift_bar"))
    g = Graph()
    wanted = ("y", "theta", "fixed")
    pulls = [_pulled(g, [(low.rates, "rates", "b")], wanted), _pulled(g, system, wanted)]
    once = frontier(g, (k for groups in pulls for nodes in groups.values() for k in nodes.values()))
    given = {k: ("more", position) for position, k in enumerate(once)}
    return Backward(
        Program.of(g, _sizes(g), {"more": once}),
        *(_program(g, groups, given) for groups in pulls),
        prologue=_alone([(low.prologue, "fixed", "fixed_bar")], ("theta",)),
    )


@functools.lru_cache(maxsize=64)
def observed_backward(seen: Observed) -> ObservedBackward:
    """Reverse programs of what is looked at."""
    wanted = ("y", "theta", "fixed")
    return ObservedBackward(
        samples=_alone([(seen.samples, "samples", "samples_bar")], wanted),
        levels=_alone([(seen.levels, "levels", "levels_bar")], wanted),
        slopes=_alone([(seen.slopes, "slopes", "slopes_bar")], ("y", "dy", "theta", "fixed")),
        initial=_alone([(seen.initial, "y", "initial_bar")], ("theta", "fixed")),
        prologue=_alone([(seen.prologue, "fixed", "fixed_bar")], ("theta",)),
    )


def _alone(programs: Sequence[tuple[Program, str, str]], wanted: Sequence[str]) -> Pull:
    g = Graph()
    return _program(g, _pulled(g, programs, wanted), {})


Pulled = dict[str, dict[int, int]]  # by group of the cotangents: {position: node}


def _pulled(g: Graph, programs: Sequence[tuple[Program, str, str]], wanted: Sequence[str]) -> Pulled:
    """Nodes of the cotangents of the inputs in the groups `wanted`, for the sum of cotangent . output over programs,
    each with the name of its output and of the group of that output's cotangents."""
    outputs, bars = [], []
    read: dict[tuple[str, int], int] = {}
    for program, output, bar in programs:
        nodes = copied(g, program, read)[output]
        outputs += nodes
        bars += g.inputs(bar, len(nodes))
    inputs = [(place, node) for place, node in read.items() if place[0] in wanted]
    cotangents = pullback(g, outputs, bars, [node for _, node in inputs])
    found: Pulled = {f"{group}_bar": {} for group in wanted}
    for (group, position), _, bar in sorted(
        ((place, node, bar) for (place, node), bar in zip(inputs, cotangents, strict=True)), key=lambda x: x[0]
    ):
        if not g.is_constant(bar, 0.0):
            found[f"{group}_bar"][position] = bar
    return found


def copied(g: Graph, program: Program, read: dict[tuple[str, int], int]) -> dict[str, list[int]]:
    """The outputs of a program as nodes of `g`; `read` learns which inputs there are."""

    class Reader:
        def __init__(self, group: str):
            self.group = group

        def __getitem__(self, position: np.integer) -> int:
            place = (self.group, int(position))
            read[place] = g.input(*place)
            return read[place]

    def lifted(op: Op):
        return lambda *args: g.node(op, *(g.constant(a) if isinstance(a, float) else a for a in args))

    found = program.evaluate({name: Reader(name) for name in program.inputs}, {op: lifted(op) for op in Op})
    return {k: [g.constant(v) if isinstance(v, float) else v for v in nodes] for k, nodes in found.items()}


def _program(g: Graph, groups: Pulled, given: Mapping[int, tuple[str, int]]) -> Pull:
    """In place: what is in a group, plus the cotangent."""
    outputs = {
        group: [g.node(Op.ADD, g.input(group, position), node) for position, node in nodes.items()]
        for group, nodes in groups.items()
    }
    sizes = _sizes(g) | {"more": len(given)}
    return Pull(Program.of(g, sizes, outputs, given), {group: tuple(nodes) for group, nodes in groups.items()})


def _sizes(g: Graph) -> dict[str, int]:
    """Large enough for every input of the graph."""
    sizes: dict[str, int] = {}
    for op, operands in zip(g.ops, g.operands, strict=True):
        if op is Op.INPUT:
            name = g.groups[operands[0]]
            sizes[name] = max(sizes.get(name, 0), operands[1] + 1)
    return sizes
