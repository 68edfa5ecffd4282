"""A growing graph of scalar operations in which equal nodes are one node.

A node is a number: its position in `ops`, `operands` and `constants`. Operands come before what uses them, so the order
of the numbers is an order of evaluation.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np

from qspx.integrate.operations import BOOLEAN, COMMUTATIVE, NUMPY, TAME, Op
from qspx.integrate.simplify import RULES

THETA = "theta"  # the parameters
LASTING = {THETA, "fixed"}  # input groups whose values last for a whole run: `fixed` is made of parameters


class Graph:
    """Scalar operations, shared where equal, folded where known.

    Attributes:
        ops: operation per node.
        operands: operand nodes; of an INPUT (group number, position).
        constants: value of a CONST, else 0.
        tame: finite wherever the inputs are (see `qspx.integrate.simplify`).
        fixed: depends on parameters and constants only.
        groups: names of the input groups.
    """

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self.operands: list[tuple[int, ...]] = []
        self.constants: list[float] = []
        self.tame: list[bool] = []
        self.fixed: list[bool] = []
        self.groups: list[str] = []
        self._known: dict[tuple, int] = {}

    def __len__(self) -> int:
        return len(self.ops)

    # making nodes -------------------------------------------------------------------------------------------------

    def _append(self, key: tuple, op: Op, operands: tuple[int, ...], constant: float, tame: bool, fixed: bool) -> int:
        if key not in self._known:
            self._known[key] = len(self.ops)
            self.ops.append(op)
            self.operands.append(operands)
            self.constants.append(constant)
            self.tame.append(tame)
            self.fixed.append(fixed)
        return self._known[key]

    def constant(self, value: float) -> int:
        """A known number; a truth value is 0 or 1."""
        value = float(value)
        return self._append((Op.CONST, repr(value)), Op.CONST, (), value, math.isfinite(value), True)

    def input(self, group: str, position: int) -> int:
        """Element `position` of the input group."""
        if group not in self.groups:
            self.groups.append(group)
        place = (self.groups.index(group), position)
        return self._append((Op.INPUT, *place), Op.INPUT, place, 0.0, True, group in LASTING)

    def inputs(self, group: str, size: int) -> list[int]:
        return [self.input(group, k) for k in range(size)]

    def node(self, op: Op, *operands: int) -> int:
        """The node of `op` on `operands`: simplified, and found again if it exists."""
        if all(self.ops[k] is Op.CONST for k in operands):
            with np.errstate(all="ignore"):
                return self.constant(float(NUMPY[op](*(self.constants[k] for k in operands))))
        found = RULES[op](self, *operands) if op in RULES else None
        if found is not None:
            return found
        if op in COMMUTATIVE:
            operands = tuple(sorted(operands))
        tame = op in TAME and all(self.tame[k] for k in operands)
        return self._append((op, *operands), op, operands, 0.0, tame, all(self.fixed[k] for k in operands))

    def sum(self, terms: Iterable[int]) -> int:
        total = self.constant(0.0)
        for term in terms:
            total = self.node(Op.ADD, total, term)
        return total

    # asking ---------------------------------------------------------------------------------------------------------

    def constant_of(self, k: int) -> float | None:
        return self.constants[k] if self.ops[k] is Op.CONST else None

    def is_constant(self, k: int, value: float) -> bool:
        return self.ops[k] is Op.CONST and self.constants[k] == value

    def is_boolean(self, k: int) -> bool:
        return self.ops[k] in BOOLEAN

    def node_operands(self, k: int) -> tuple[int, ...]:
        """The nodes that node `k` reads."""
        return () if self.ops[k] is Op.INPUT else self.operands[k]

    def reachable(self, roots: Iterable[int], stop: Mapping[int, object] | frozenset[int] = frozenset()) -> list[int]:
        """Nodes that the roots need, in order of evaluation; nodes in `stop` are kept and not entered."""
        seen: set[int] = set()
        left = list(roots)
        while left:
            k = left.pop()
            if k not in seen:
                seen.add(k)
                if k not in stop:
                    left.extend(self.node_operands(k))
        return sorted(seen)
