"""Which intermediate results become unknowns of their own, to keep a linear system sparse.

A free receptor is its total less all its complexes, and every binding rate reads it: differentiated, each of these
rates depends on each complex, and the Jacobian is nearly full. With the free receptors z = Z(y, z) as unknowns,

    [ shift I - F_y    -F_z  ] [ x ]   [ b ]
    [     -Z_y        I - Z_z ] [ w ] = [ 0 ]          has the same x as          (shift I - J) x = b,

and stays as sparse as the model was written (the free receptors are found, not declared).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qspx.integrate.elimination import elimination_cost
from qspx.integrate.graph import Graph

LARGEST_TRIED = 48  # candidates, in order of what they might save


def shared_sums(g: Graph, outputs: Sequence[int], inputs: Sequence[int]) -> list[int]:
    """Nodes (mostly sums) that several others read and that are cheaper as unknowns, in order of evaluation."""
    chosen: list[int] = []
    least = elimination_cost(len(outputs), _pattern(g, outputs, inputs, chosen))
    for candidate in _candidates(g, outputs, inputs):
        tried = sorted([*chosen, candidate])
        cost = elimination_cost(len(outputs) + len(tried), _pattern(g, outputs, inputs, tried))
        if cost < least:
            chosen, least = tried, cost
    return chosen


def _candidates(g: Graph, outputs: Sequence[int], inputs: Sequence[int]) -> list[int]:
    kept = g.reachable(outputs)
    depends = _dependencies(g, kept, {k: j for j, k in enumerate(inputs)})
    readers: dict[int, int] = {}
    for k in kept:
        for j in set(g.node_operands(k)):
            readers[j] = readers.get(j, 0) + 1
    saves = {k: (len(depends[k]) - 1) * (readers.get(k, 0) - 1) for k in kept if g.node_operands(k)}
    return sorted((k for k, saving in saves.items() if saving > 1), key=lambda k: (-saves[k], k))[:LARGEST_TRIED]


def _dependencies(g: Graph, kept: Sequence[int], column: Mapping[int, int]) -> dict[int, frozenset[int]]:
    """Columns that each node depends on; a node with a column of its own depends on that one."""
    depends: dict[int, frozenset[int]] = {}
    for k in kept:
        depends[k] = frozenset({column[k]}) if k in column else _union(g, k, depends)
    return depends


def _union(g: Graph, k: int, depends: Mapping[int, frozenset[int]]) -> frozenset[int]:
    return frozenset().union(*(depends[j] for j in g.node_operands(k)))


def _pattern(g: Graph, outputs: Sequence[int], inputs: Sequence[int], cut: Sequence[int]) -> set[tuple[int, int]]:
    n = len(outputs)
    depends = _dependencies(g, g.reachable(outputs), {k: j for j, k in enumerate([*inputs, *cut])})
    rows = [depends[k] for k in outputs] + [_union(g, k, depends) for k in cut]
    return {(i, j) for i, row in enumerate(rows) for j in row} | {(i, i) for i in range(n + len(cut))}
