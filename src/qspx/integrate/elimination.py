"""Sparse LU of a matrix of nodes, written out as straight-line code.

The pivots stay on the diagonal, in an order that is chosen once from the pattern so as to create few new entries
(Markowitz 1957, Management Science 3:255: fewest (row - 1)(column - 1) first). Which pivot to use can then not depend
on the numbers, and the `guard` says when that went wrong:

    guard = min_k min(|p_k|, |w_kk|) / (|w_kk| + sum_j |l_kj u_jk|),        p_k = w_kk - sum_j l_kj u_jk,

is small where pivot k lost its digits by cancellation, or where what is subtracted is so large that the digits of w_kk
are lost in it. It is 1 when nothing is subtracted, and 1e-8 when half of the digits are gone. It does not change with
the units of the states (rows and columns scaled inversely). For W = shift I - J it tends to 1 as the step shrinks, so
a step whose guard is below `SMALLEST_GUARD` is to be rejected like one whose error is too large.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from qspx.integrate.derivatives import Entries
from qspx.integrate.graph import Graph
from qspx.integrate.operations import Op

SMALLEST_GUARD = 1e-8
SOLVES_PER_STEP = 8  # stages of Rodas5P


@dataclass(frozen=True)
class Factors:
    """L U of a matrix, with unit diagonal in L and rows and columns in the original numbering.

    Attributes:
        order: pivots, first to last.
        lower: multipliers, {(row, pivot): node}.
        upper: rows of U without the diagonal, {(pivot, column): node}.
        inverse: node of 1 / pivot, by row.
        guard: node of the guard.
    """

    order: tuple[int, ...]
    lower: Entries
    upper: Entries
    inverse: tuple[int, ...]
    guard: int

    @property
    def nodes(self) -> list[int]:
        """All entries in a fixed order: lower, upper, inverse pivots."""
        return [*self.lower.values(), *self.upper.values(), *self.inverse]

    def replaced(self, nodes: Sequence[int]) -> Factors:
        """The same with other `nodes`, in the order of `nodes` above (e.g. inputs that hold their values)."""
        first, second = len(self.lower), len(self.lower) + len(self.upper)
        lower = dict(zip(self.lower, nodes[:first], strict=True))
        upper = dict(zip(self.upper, nodes[first:second], strict=True))
        return Factors(self.order, lower, upper, tuple(nodes[second:]), self.guard)


def pivots(n: int, pattern: Collection[tuple[int, int]]) -> Iterator[tuple[int, int, int]]:
    """(pivot, other entries in its column, in its row) in order of elimination of an n by n matrix on its diagonal:
    smallest Markowitz count first, ties by number."""
    rows: list[set[int]] = [{i} for i in range(n)]
    columns: list[set[int]] = [{i} for i in range(n)]
    for i, j in pattern:
        rows[i].add(j)
        columns[j].add(i)
    left = set(range(n))
    while left:
        k = min(left, key=lambda i: ((len(rows[i]) - 1) * (len(columns[i]) - 1), i))
        left.discard(k)
        yield k, len(columns[k]) - 1, len(rows[k]) - 1
        for i in columns[k] - {k}:
            rows[i] = (rows[i] | rows[k]) - {k}
        for j in rows[k] - {k}:
            columns[j] = (columns[j] | columns[k]) - {k}


def pivot_order(n: int, pattern: Collection[tuple[int, int]]) -> tuple[int, ...]:
    """Order of the diagonal pivots of an n by n matrix."""
    return tuple(k for k, _, _ in pivots(n, pattern))


def elimination_cost(n: int, pattern: Collection[tuple[int, int]]) -> int:
    """Multiplications and additions of one factorisation and of the solves of one step with it."""
    counts = [(below, right) for _, below, right in pivots(n, pattern)]
    return sum(2 * c * r + c + SOLVES_PER_STEP * 2 * (c + r) for c, r in counts)


def factorise(g: Graph, n: int, entries: Entries) -> Factors:
    """Factors of the n by n matrix of nodes; entries that are not there are zero, the diagonal must be there."""
    order = pivot_order(n, entries)
    place = {k: q for q, k in enumerate(order)}
    matrix, lower, inverse = dict(entries), {}, [0] * n
    rows = {i: {j for (r, j) in entries if r == i} for i in range(n)}
    columns = {j: {i for (i, c) in entries if c == j} for j in range(n)}
    size = {k: [g.node(Op.ABS, entries[k, k])] for k in range(n)}
    for k in order:
        inverse[k] = g.node(Op.DIV, g.constant(1.0), matrix[k, k])
        right = sorted((j for j in rows[k] if place[j] > place[k]), key=place.__getitem__)
        for i in sorted((i for i in columns[k] if place[i] > place[k]), key=place.__getitem__):
            lower[i, k] = g.node(Op.MUL, matrix[i, k], inverse[k])
            for j in right:
                change = g.node(Op.MUL, lower[i, k], matrix[k, j])
                before = matrix.get((i, j))
                matrix[i, j] = g.node(Op.NEG, change) if before is None else g.node(Op.SUB, before, change)
                rows[i].add(j)
                columns[j].add(i)
                if i == j:
                    size[i].append(g.node(Op.ABS, change))
    upper = {(i, j): node for (i, j), node in matrix.items() if place[j] > place[i]}
    return Factors(order, lower, upper, tuple(inverse), _guard(g, matrix, size))


def _guard(g: Graph, matrix: Entries, size: dict[int, list[int]]) -> int:
    smallest = g.constant(1.0)
    for k, terms in size.items():
        if len(terms) > 1:
            least = g.node(Op.MIN, g.node(Op.ABS, matrix[k, k]), terms[0])
            share = g.node(Op.DIV, least, g.sum(terms))
            smallest = g.node(Op.MIN, smallest, share)
    return smallest


def _minus_products(g: Graph, start: int, factors: Entries, terms: Sequence[tuple[tuple[int, int], int]]) -> int:
    for key, x in terms:
        start = g.node(Op.SUB, start, g.node(Op.MUL, factors[key], x))
    return start


def solve(g: Graph, f: Factors, b: Sequence[int]) -> list[int]:
    """Nodes of x with L U x = b."""
    place = {k: q for q, k in enumerate(f.order)}
    x = list(b)
    for i in f.order:
        before = sorted((k for (r, k) in f.lower if r == i), key=place.__getitem__)
        x[i] = _minus_products(g, x[i], f.lower, [((i, k), x[k]) for k in before])
    for i in reversed(f.order):
        after = sorted((j for (r, j) in f.upper if r == i), key=place.__getitem__)
        x[i] = g.node(Op.MUL, _minus_products(g, x[i], f.upper, [((i, j), x[j]) for j in after]), f.inverse[i])
    return x


def solve_transposed(g: Graph, f: Factors, b: Sequence[int]) -> list[int]:
    """Nodes of x with (L U)^T x = b."""
    place = {k: q for q, k in enumerate(f.order)}
    x = list(b)
    for i in f.order:
        before = sorted((k for (k, c) in f.upper if c == i), key=place.__getitem__)
        x[i] = g.node(Op.MUL, _minus_products(g, x[i], f.upper, [((k, i), x[k]) for k in before]), f.inverse[i])
    for i in reversed(f.order):
        after = sorted((r for (r, c) in f.lower if c == i), key=place.__getitem__)
        x[i] = _minus_products(g, x[i], f.lower, [((j, i), x[j]) for j in after])
    return x
