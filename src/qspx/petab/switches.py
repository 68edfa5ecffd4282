"""Switches at given times: `piecewise(..., time < t_1, ...)`.

An integrator that controls its steps by the error alone may step over a pulse, and a step that straddles a jump has no
derivative by the time of the jump. So a comparison of time with constants becomes a species that is 0 until then and
1 afterwards: a dose of 1 into it is given at that time, where the integrator stops, and whose time is a parameter like
that of any other dose where it is estimated.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from qspx.dose_events import PADDING, DoseEvents
from qspx.interchange.errors import NotSupported
from qspx.interchange.expression import COMPARISONS, Expr, divide, name, number, plus, refolded
from qspx.interchange.sbml_parts import Document, Parameter
from qspx.interchange.sbml_system import System
from qspx.petab.conditions import Conditions
from qspx.petab.formula import compiled

_ORDERED = ("lt", "leq", "gt", "geq")
_BY_SIGN = {"lt": False, "leq": False, "gt": True, "geq": True}


@dataclasses.dataclass(frozen=True)
class Switch:
    """When slope * time + rest passes zero, upwards where `rises`; both are formulas of constants. `key` is the id of
    the species that says whether it has."""

    key: str
    slope: Expr
    rest: Expr
    rises: bool


@dataclasses.dataclass(frozen=True)
class Switches:
    """The switches of a model; `left` are comparisons with time that are none: the integrator meets them unprepared."""

    file: str
    found: tuple[Switch, ...]
    left: tuple[Expr, ...]

    @property
    def states(self) -> tuple[str, ...]:
        return tuple(s.key for s in self.found)

    def events(self, runs: Sequence[str], conditions: Conditions) -> DoseEvents:
        """What sets the species, for runs under conditions; every field (runs, switches).

        Raises `NotSupported` for a time that estimated parameters move otherwise than by adding one of them."""
        for e in self.left:
            for run in runs:
                if moved := [n for n in e.names() if isinstance(conditions.value(n, run), str)]:
                    raise NotSupported(
                        f"{self.file}: a formula compares an expression that is not linear in time with one in which "
                        f"the estimated parameter `{moved[0]}` stands; the gradient of such a switch is not formed."
                    )
        rows = [[self._event(s, run, conditions) for s in self.found] or [PADDING] for run in runs]
        fields = zip(*(zip(*row, strict=True) for row in rows), strict=True)
        return DoseEvents(
            *(np.array(field, dtype=np.asarray(p).dtype) for field, p in zip(fields, PADDING, strict=True))
        )

    def _event(self, s: Switch, run: str, conditions: Conditions) -> DoseEvents:
        slope, rest = (_linear(e, run, conditions) for e in (s.slope, s.rest))
        model, outputs = conditions.sbml.model, conditions.sbml.outputs
        where = f"{self.file}, condition `{run}`: a switch in time"
        if slope is None or rest is None or set(slope) - {""}:
            raise NotSupported(f"{where} depends on estimated parameters in a way that is not supported.")
        a = slope.pop("", 0.0)
        if a == 0 or (a > 0) != s.rises:
            raise NotSupported(
                f"{where} is at slope * time + rest = 0 with a slope {a:g}, whose sign must be the same in all."
            )
        at = -rest.pop("", 0.0) / a
        event = PADDING._replace(time=max(at, 0.0), species=model.species_index(outputs[s.key]), amount=1.0)
        moving = {key: -factor / a for key, factor in rest.items() if factor != 0}
        if not moving:
            return event
        (key, factor), *more = moving.items()
        if more or factor != 1.0 or at < 0:
            raise NotSupported(
                f"{where} is at a time that is computed from the estimated {', '.join(f'`{k}`' for k in moving)}; only "
                "a time that is one parameter, or one parameter later than a number, is supported."
            )
        return event._replace(time=at, lag_index=model.parameter_index(outputs[key]))


def with_switches(document: Document) -> tuple[Document, Switches]:
    """The model with the comparisons of time in its rules and reactions made by species, and what those are."""
    finder = _Finder(document)
    assigned = {key: finder.replaced(e) for key, e in document.assigned.items()}
    rated = {key: finder.replaced(e) for key, e in document.rated.items()}
    reactions = {
        key: r if r.rate is None else dataclasses.replace(r, rate=finder.replaced(r.rate))
        for key, r in document.reactions.items()
    }
    initial = dict(document.initial)
    for s in finder.found.values():
        rated[s.key] = number(0.0)
        # what has passed at time 0 counts for initial values; and this reads the constants, which so stay parameters
        before = Expr("lt" if s.rises else "gt", (s.rest, number(0.0)))
        initial[s.key] = Expr("piecewise", (number(0.0), before, number(1.0)))
    parameters = dict(document.parameters) | {s.key: Parameter(s.key, "", 0.0, "") for s in finder.found.values()}
    changed = dataclasses.replace(
        document, assigned=assigned, rated=rated, initial=initial, reactions=reactions, parameters=parameters
    )
    return changed, Switches(document.file, tuple(finder.found.values()), tuple(finder.left))


class _Finder:
    def __init__(self, document: Document):
        self.document, self.system = document, System(document)
        self.found: dict[str, Switch] = {}
        self.left: list[Expr] = []

    def replaced(self, e: Expr) -> Expr:
        """The formula with its comparisons of time made by species."""
        if e.op in COMPARISONS and len(e.args) > 2:
            return self.replaced(Expr("and", tuple(Expr(e.op, p) for p in zip(e.args, e.args[1:], strict=False))))
        if e.op in _ORDERED and len(e.args) == 2:
            return self._compared(e)
        return dataclasses.replace(e, args=tuple(map(self.replaced, e.args))) if e.args else e

    def _compared(self, e: Expr) -> Expr:
        difference = self._inlined(plus(e.args[0], Expr("minus", (e.args[1],))))
        if not _has_time(difference) or any(
            self.system.is_state(n) for n in difference.names() & set(self.system.kinds)
        ):
            return e
        if (parts := _split(difference)) is None:
            self.left.append(difference)
            return e
        slope, rest = map(refolded, parts)
        rises = float(compiled(slope)(dict.fromkeys(slope.names(), 1.0), 0.0)) > 0
        key = str(divide(rest, slope))
        if key not in self.found:
            self.found[key] = Switch(self._fresh(), slope, rest, rises)
        passed = Expr("gt", (name(self.found[key].key), number(0.5)))
        rises = self.found[key].rises
        return passed if _BY_SIGN[e.op] == rises else Expr("not", (passed,))

    def _inlined(self, e: Expr) -> Expr:
        """The formula with assignment rules written out."""
        while rules := {n: self.document.assigned[n] for n in e.names() & set(self.document.assigned)}:
            e = e.with_names(rules)
        return e

    def _fresh(self) -> str:
        key = f"time_passed_{len(self.found) + 1}"
        while key in self.system.kinds:
            key += "_"
        return key


def _has_time(e: Expr) -> bool:
    return any(leaf.op == "time" for leaf in e.leaves())


def _split(e: Expr) -> tuple[Expr, Expr] | None:
    """Slope and rest of a formula that is linear in time, None for another."""
    if not _has_time(e):
        return number(0.0), e
    if e.op == "time":
        return number(1.0), number(0.0)
    if e.op not in ("plus", "minus", "times", "divide"):
        return None
    parts = [_split(arg) for arg in e.args]
    split = [p for p in parts if p is not None]
    if len(split) < len(parts):
        return None
    if e.op in ("plus", "minus"):
        return Expr(e.op, tuple(a for a, _ in split)), Expr(e.op, tuple(b for _, b in split))
    moving = [i for i, arg in enumerate(e.args) if _has_time(arg)]
    if len(moving) != 1 or (e.op == "divide" and moving != [0]):
        return None
    (k,) = moving
    with_k: Callable[[Expr], Expr] = lambda x: Expr(e.op, (*e.args[:k], x, *e.args[k + 1 :]))  # noqa: E731
    return with_k(split[k][0]), with_k(split[k][1])


def _linear(e: Expr, run: str, conditions: Conditions) -> dict[str, float] | None:
    """The formula under a condition as a sum: factors by id of the constants that are estimated there, and "" for the
    number; None where it is no such sum."""
    if e.op == "number":
        return {"": float(e.value)}
    if e.op == "name":
        return _constant(str(e.value), run, conditions)
    parts = [_linear(arg, run, conditions) for arg in e.args]
    sums = [p for p in parts if p is not None]
    if len(sums) < len(parts):
        return None
    if e.op in ("plus", "minus"):
        total: dict[str, float] = {}
        for i, part in enumerate(sums):
            sign = -1.0 if e.op == "minus" and (i > 0 or len(sums) == 1) else 1.0
            for key, factor in part.items():
                total[key] = total.get(key, 0.0) + sign * factor
        return total
    plain = [not set(p) - {""} for p in sums]
    if all(plain):
        values = [number(p.get("", 0.0)) for p in sums]
        return {"": float(compiled(Expr(e.op, tuple(values), e.value))({}, 0.0))}
    if e.op == "times" and plain.count(False) == 1:
        factor = float(np.prod([p.get("", 0.0) for p, known in zip(sums, plain, strict=True) if known]))
        return _scaled(sums[plain.index(False)], factor)
    if e.op == "divide" and plain[1]:
        return _scaled(sums[0], 1.0 / sums[1].get("", 0.0))
    return None


def _scaled(part: Mapping[str, float], factor: float) -> dict[str, float]:
    return {key: factor * value for key, value in part.items()}


def _constant(key: str, run: str, conditions: Conditions) -> dict[str, float] | None:
    value = conditions.value(key, run)
    if isinstance(value, str):
        return {key: 1.0}
    if value is not None:
        return {"": value}
    start = conditions.overridden.document.initial.get(key)
    if key in conditions.overridden.flags and start is not None:
        start = start.args[2]  # its own formula, since the condition does not set it
    return None if start is None else _linear(start, run, conditions)
