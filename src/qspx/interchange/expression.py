"""Formulas as trees: what the reader of MathML makes and the printer of Python takes.

Operators have the names of MathML (`plus`, `piecewise`, ...). Leaves are `number` (value: float), `boolean` (value:
bool), `name` (value: an id), `time`, and `rateOf` (value: the id whose time derivative is meant).
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Mapping

COMPARISONS = frozenset({"eq", "neq", "gt", "lt", "geq", "leq"})
LOGIC = frozenset({"and", "or", "xor", "not", "implies"})


@dataclasses.dataclass(frozen=True)
class Expr:
    """One node of a formula."""

    op: str
    args: tuple[Expr, ...] = ()
    value: float | bool | str = 0.0

    def leaves(self) -> Iterator[Expr]:
        if not self.args:
            yield self
        for arg in self.args:
            yield from arg.leaves()

    def names(self) -> set[str]:
        """Ids that are read, those whose rate is asked for included."""
        return {str(leaf.value) for leaf in self.leaves() if leaf.op in ("name", "rateOf")}

    def replaced(self, change: Callable[[Expr], Expr | None]) -> Expr:
        """The same formula with every leaf for which `change` gives something replaced by it."""
        if not self.args:
            return change(self) or self
        return dataclasses.replace(self, args=tuple(arg.replaced(change) for arg in self.args))

    def with_names(self, given: Mapping[str, Expr]) -> Expr:
        """The same formula with names replaced by formulas; the argument of a `rateOf` only by another name."""

        def change(leaf: Expr) -> Expr | None:
            if leaf.op == "name":
                return given.get(str(leaf.value))
            new = given.get(str(leaf.value)) if leaf.op == "rateOf" else None
            if new is None:
                return None
            return Expr("rateOf", value=new.value) if new.op == "name" else number(0.0)

        return self.replaced(change)

    @property
    def is_boolean(self) -> bool:
        """Whether the formula gives a truth value."""
        if self.op == "piecewise":
            return all(arg.is_boolean for arg in self.args[::2])
        return self.op == "boolean" or self.op in COMPARISONS or self.op in LOGIC

    @property
    def known(self) -> float | None:
        """The number that the formula is, where it is one."""
        return float(self.value) if self.op in ("number", "boolean") else None


def number(value: float) -> Expr:
    return Expr("number", value=float(value))


def name(value: str) -> Expr:
    return Expr("name", value=value)


def plus(*terms: Expr) -> Expr:
    left = tuple(term for term in terms if term.known != 0)
    return left[0] if len(left) == 1 else Expr("plus", left) if left else number(0.0)


def times(*factors: Expr) -> Expr:
    signs = math.prod(-1 for f in factors if f.op == "minus" and len(f.args) == 1)
    bare = [f.args[0] if f.op == "minus" and len(f.args) == 1 else f for f in factors]
    left = [f for f in bare if f.known not in (1.0, -1.0)]
    sign = signs * math.prod(-1 for f in bare if f.known == -1.0)
    product = left[0] if len(left) == 1 else Expr("times", tuple(left)) if left else number(1.0)
    return product if sign == 1 else number(-product.known) if product.known is not None else Expr("minus", (product,))


def divide(above: Expr, below: Expr) -> Expr:
    if below.known == 1.0 or above.known == 0:
        return above
    return Expr("divide", (above, below))


# constants ------------------------------------------------------------------------------------------------------


def refolded(e: Expr) -> Expr:
    return folded(Expr(e.op, tuple(map(refolded, e.args)), e.value)) if e.args else e


def folded(e: Expr) -> Expr:
    """A sum, product, quotient or sign of known numbers as one number: Python would divide by zero with an error."""
    if e.op not in _FOLDS or not e.args or any(arg.op != "number" for arg in e.args):
        return e
    try:
        found = _FOLDS[e.op](*(float(arg.value) for arg in e.args))
    except (ArithmeticError, ValueError):
        return e
    return number(found) if math.isfinite(found) else e


def _minus(*args: float) -> float:
    return -args[0] if len(args) == 1 else args[0] - args[1]


_FOLDS: dict[str, Callable[..., float]] = {
    "minus": _minus,
    "plus": lambda *args: functools.reduce(lambda a, b: a + b, args),
    "times": lambda *args: functools.reduce(lambda a, b: a * b, args),
    "divide": lambda a, b: a / b,
}
