"""Rates that jump where a state passes a threshold: the time of the jump moves with the parameters, and the derivative
of the steps does not hold what that contributes. Such models are solved as they are, with a warning.

A `piecewise` is no jump where its branches meet, as in a bound. Whether they do is tried out: at random values of all
names, with one of the states placed on the threshold.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator

import numpy as np

from qspx.interchange.expression import Expr, plus
from qspx.interchange.sbml_parts import Document
from qspx.interchange.sbml_system import System
from qspx.petab.formula import compiled

_TRIES = 8


class GradientWarning(UserWarning):
    """A gradient may lack a term; the text names the formula."""


def warn_of_jumps(document: Document, prepared: Collection[str]) -> None:
    """Warn, once per model, where rates jump at a threshold of a state; not of the states `prepared`, which are set at
    given times."""
    system = System(document)
    rates = [r.rate for r in document.reactions.values() if r.rate is not None]
    for e in (*document.rated.values(), *document.assigned.values(), *rates):
        for piece in _pieces(e):
            if (difference := _jump(piece, system, prepared)) is not None:
                names = ", ".join(f"`{n}`" for n in sorted(difference.names()))
                warnings.warn(
                    f"{document.file}: a rate jumps where a comparison of {names} changes. The likelihood is right, "
                    "but its gradient leaves out that the time of this jump depends on the parameters.",
                    GradientWarning,
                    stacklevel=3,
                )
                return


def _pieces(e: Expr) -> Iterator[Expr]:
    if e.op == "piecewise":
        yield e
    for arg in e.args:
        yield from _pieces(arg)


def _jump(piece: Expr, system: System, prepared: Collection[str]) -> Expr | None:
    """The difference of the sides of a comparison at which a formula jumps, if there is one."""
    for condition in piece.args[1::2]:
        for c in _comparisons(condition):
            difference = _inlined(plus(c.args[0], Expr("minus", (c.args[1],))), system)
            states = sorted(
                n for n in difference.names() if n in system.kinds and system.is_state(n) and n not in prepared
            )
            if states and not _meets(_inlined(piece, system), difference, states[0]):
                return difference
    return None


def _comparisons(e: Expr) -> Iterator[Expr]:
    if e.op in ("lt", "leq", "gt", "geq") and len(e.args) == 2:
        yield e
    for arg in e.args:
        yield from _comparisons(arg)


def _inlined(e: Expr, system: System) -> Expr:
    """With assignment rules and rates of reactions written out."""
    d = system.document
    known = dict(d.assigned) | {key: r.rate for key, r in d.reactions.items() if r.rate is not None}
    while rules := {n: known[n] for n in e.names() & set(known)}:
        e = e.with_names(rules)
    return e


def _meets(piece: Expr, difference: Expr, state: str) -> bool:
    """Whether the formula is the same on both sides of the threshold, at all places that were found on it."""
    value, away = compiled(piece), compiled(difference)
    random = np.random.default_rng(0)
    for _ in range(_TRIES):
        v = {
            n: float(x)
            for n, x in zip(sorted(piece.names() | difference.names()), random.lognormal(size=99), strict=False)
        }
        t = float(random.lognormal())
        if (place := _root(lambda x, v=v, t=t: float(away(v | {state: x}, t)), v[state])) is None:
            continue
        far, near = (
            abs(float(value(v | {state: place + step}, t)) - float(value(v | {state: place - step}, t)))
            for step in (1e-3 * max(abs(place), 1e-3), 1e-6 * max(abs(place), 1e-3))
        )
        if near > 0.5 * far:  # the difference of a jump stays, that of a kink goes with the distance
            return False
    return True


def _root(function, start: float) -> float | None:
    """A zero near `start`, by secants; None where they find none."""
    a, b = start, start * 1.1
    fa, fb = function(a), function(b)
    for _ in range(50):
        if fa == fb or not np.isfinite([fa, fb]).all():
            return None
        a, b, fa = b, b - fb * (b - a) / (fb - fa), fb
        fb = function(b)
        if abs(b - a) <= 1e-12 * max(abs(b), 1e-12) or fb == 0:
            return b
    return None
