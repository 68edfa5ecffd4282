"""Names for directions that data do not see: "only kf/kr", "only a + b", or a list of weights."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

LARGEST = 6  # exponents and factors beyond this are not believed to be whole numbers
_ROUNDS = 0.02  # how far from a whole number one may lie before the rounded direction is tried


@dataclasses.dataclass(frozen=True, eq=False)
class Combination:
    """Parameters that cannot be told apart.

    Args:
        names: of the parameters involved.
        weights: movement of each that changes nothing: of its logarithm where `kind` is "product", of itself where it
            is "sum", of its coordinate on the estimation scale where it is "local"; whole numbers in the first two
            cases. "none" is one parameter without any influence.
        kind: see `weights`.
        direction: the movement on the estimation scale at the point of the verdict, shape (estimated,).
        everywhere: at how many of the points tried it changes nothing.
    """

    names: tuple[str, ...]
    weights: tuple[float, ...]
    kind: str
    direction: np.ndarray
    everywhere: int

    @property
    def determined(self) -> tuple[str, ...]:
        """What of these parameters the data do determine: `("kf/kr",)`; none where only weights are known."""
        if self.kind not in ("product", "sum"):
            return ()
        return invariants(self.names, [int(w) for w in self.weights], self.kind)

    def __str__(self) -> str:
        listed = " and ".join([", ".join(self.names[:-1]), self.names[-1]] if len(self.names) > 1 else self.names)
        if self.kind == "none":
            return f"{listed} has no influence on any measurement"
        if self.kind == "local":
            weights = ", ".join(f"{n} {w:+.3g}" for n, w in zip(self.names, self.weights, strict=True))
            return f"{listed} are not identifiable separately: moving their coordinates by ({weights}) changes nothing"
        moved = ", ".join(_moved(n, int(w), self.kind) for n, w in zip(self.names, self.weights, strict=True))
        only = " and ".join(self.determined)
        verb = "is" if len(self.determined) == 1 else "are"
        some = "c > 0" if self.kind == "product" else "c"
        return f"{listed} are not identifiable separately, only {only} {verb}: ({moved}) fits alike for any {some}"


def invariants(names: Sequence[str], weights: Sequence[int], kind: str) -> tuple[str, ...]:
    """Independent products (or sums) that the movement `weights` leaves as they are, one fewer than there are names."""
    pivot = min(range(len(weights)), key=lambda i: (abs(weights[i]), i))
    found = []
    for j in range(len(weights)):
        if j == pivot:
            continue
        ratio = Fraction(-weights[j], weights[pivot])
        powers = {j: ratio.denominator, pivot: ratio.numerator}
        first = min(powers)
        if powers[first] < 0:
            powers = {i: -p for i, p in powers.items()}
        terms = [(names[i], powers[i]) for i in sorted(powers)]
        found.append(_product(terms) if kind == "product" else _sum(terms))
    return tuple(found)


def whole(direction: np.ndarray) -> np.ndarray | None:
    """The direction as small whole numbers without a common factor, or None where it does not look like any."""
    largest = np.abs(direction).max()
    if largest == 0:
        return None
    kept = np.where(np.abs(direction) < _ROUNDS / LARGEST * largest, 0.0, direction)
    smallest = np.abs(kept[kept != 0]).min()
    for factor in range(1, LARGEST + 1):
        tried = kept / smallest * factor
        rounded = np.round(tried)
        if np.abs(rounded).max() <= LARGEST and np.all(np.abs(tried - rounded) <= _ROUNDS * np.abs(tried)):
            found = rounded / math.gcd(*(int(abs(r)) for r in rounded))
            return found * np.sign(found[np.flatnonzero(found)[0]])
    return None


def simplest(basis: np.ndarray) -> np.ndarray:
    """Another basis of the space that the columns of `basis` (n, k) span, with zeros in as many places as elimination
    with full pivoting gives, shape (n, dimension)."""
    rows = basis.T / np.maximum(np.linalg.norm(basis.T, axis=1, keepdims=True), 1e-300)
    left = list(range(len(rows)))
    while left:
        part = np.abs(rows[left])
        if part.max() < 1e-6:  # the others depend on those done
            return np.delete(rows, left, axis=0).T
        i, j = np.unravel_index(np.argmax(part), part.shape)
        i = left.pop(int(i))
        rows[i] /= rows[i, j]
        for other in range(len(rows)):
            if other != i:
                rows[other] -= rows[other, j] * rows[i]
    return rows.T


def _moved(name: str, weight: int, kind: str) -> str:
    size = abs(weight)
    if kind == "product":
        power = "c" if size == 1 else f"c^{size}"
        return f"{name}·{power}" if weight > 0 else f"{name}/{power}"
    step = "c" if size == 1 else f"{size}·c"
    return f"{name} + {step}" if weight > 0 else f"{name} - {step}"


def _product(terms: Sequence[tuple[str, int]]) -> str:
    above = [_power(n, p) for n, p in terms if p > 0]
    below = [_power(n, -p) for n, p in terms if p < 0]
    return "·".join(above) + ("/" + "/".join(below) if below else "")


def _power(name: str, power: int) -> str:
    return name if power == 1 else f"{name}^{power}"


def _sum(terms: Sequence[tuple[str, int]]) -> str:
    text = ""
    for n, p in terms:
        sign = "" if not text and p > 0 else "-" if not text else " + " if p > 0 else " - "
        text += f"{sign}{n}" if abs(p) == 1 else f"{sign}{abs(p)}·{n}"
    return text
