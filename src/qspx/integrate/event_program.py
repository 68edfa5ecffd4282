"""The comparisons in a model: where its events and its rates may switch, and what the triggers are, given how each
comparison stands.

A comparison `a < b`, `a <= b` or `a == b` is known by the sign of a - b. Between two switches the signs stay, so the
triggers stay; at a switch the sign of the comparison is set by rule (0, then the new one) and not by a difference of
two numbers that are equal up to rounding.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qspx._errors import NotTraceable, SolveError
from qspx.declarations import Event
from qspx.integrate.graph import THETA, Graph
from qspx.integrate.operations import NUMPY, Op
from qspx.integrate.print_jax import run_jax
from qspx.integrate.program import Program
from qspx.integrate.scalar_domain import trace_scalars
from qspx.model import AbstractModel

_COMPARISONS = (Op.LT, Op.LE, Op.EQ)
_ROUNDING = 8 * np.finfo(float).eps


@dataclasses.dataclass(frozen=True)
class Places:
    """Positions of one event in the flat vector of `AbstractModel.events_vector`."""

    name: str
    event: Event
    trigger: int
    states: tuple[int, ...]
    values: slice
    scaled: tuple[int, ...]
    factors: slice

    @property
    def delay(self) -> int:
        return self.trigger + 1

    @property
    def priority(self) -> int:
        return self.trigger + 2


class EventProgram:
    """The events of one model, and its comparisons.

    Attributes:
        places: the events, with flags that do not depend on anything.
        kinds: operation of each comparison, shape (comparisons,).
        of_events: number of comparisons, the first ones, that events read; the others are read by rates alone.
        in_rates: which of them rates read, shape (comparisons,).
        timed: whether rates switch at times that do not depend on states, which an integrator that does not look for
            them may step over.
        moving: positions of the states whose rates are not zero everywhere.
    """

    def __init__(self, model: AbstractModel):
        self.model = model
        n, P = len(model.species), len(model.parameters)
        self.places = _places(model)
        g = Graph()
        (t,), y, theta = g.inputs("t", 1), g.inputs("y", n), g.inputs(THETA, P)
        try:
            flat = trace_scalars(g, model.events_vector, t, y, theta) if self.places else []
        except NotTraceable as error:
            raise SolveError(f"the events of {model.name} cannot be located: {error}.") from error
        try:
            rates = trace_scalars(g, model.rates_vector, t, y, theta) if n else []
        except NotTraceable:  # their comparisons are left to the control of the step size
            rates = None
        triggers = [flat[place.trigger] for place in self.places]
        found = _comparisons(g, triggers)
        self.of_events = len(found)
        in_rates = _comparisons(g, rates or [])
        self.timed = any(set(g.reachable([k])) & {t} and not set(g.reachable([k])) & {*y} for k in in_rates)
        found += [k for k in in_rates if k not in found]
        sizes = {"t": 1, "y": n, THETA: P, "truth": len(found)}
        self.kinds = np.array([g.ops[k] for k in found], dtype=int)
        self.in_rates = np.array([k in in_rates for k in found], dtype=bool)
        sides = [[g.operands[k][i] for k in found] for i in (0, 1)]
        self._sides = Program.of(g, sizes, {"left": sides[0], "right": sides[1]})
        given = {k: ("truth", i) for i, k in enumerate(found[: self.of_events])}
        self._triggers = Program.of(g, sizes, {"triggers": triggers}, given)
        given = {k: ("truth", i) for i, k in enumerate(found)}
        self._rates = None if rates is None else Program.of(g, sizes, {"rates": rates}, given)
        moving = range(n) if rates is None else [i for i, k in enumerate(rates) if not g.is_constant(k, 0.0)]
        self.moving = np.array(moving, dtype=int)
        self.flat = jax.jit(model.events_vector)

    def differences(self, t: Any, y: Any, theta: Any) -> tuple[jax.Array, jax.Array]:
        """Both sides of every comparison, shape (comparisons,) each; traceable."""
        found = run_jax(self._sides, {"t": jnp.asarray(t, y.dtype)[None], "y": y, THETA: theta})
        return found["left"], found["right"]

    def rates(self, t: Any, y: Any, theta: Any, signs: Any) -> jax.Array:
        """Time derivatives, shape (species,), where the comparisons stand as `signs` says: smooth through a switch;
        traceable. Where the rates have no scalar program, their comparisons stand as they do."""
        if self._rates is None:
            return self.model.rates_vector(t, y, theta)
        inputs = {"t": jnp.asarray(t, y.dtype)[None], "y": y, THETA: theta, "truth": truths(self.kinds, signs, jnp)}
        return run_jax(self._rates, inputs)["rates"]

    def triggers(self, t: float, y: np.ndarray, theta: np.ndarray, signs: np.ndarray) -> np.ndarray:
        """Whether each trigger holds, where the comparisons stand as `signs` says, shape (events,)."""
        if not self.places:
            return np.zeros(0, bool)
        kinds, s = self.kinds[: self.of_events], signs[: self.of_events]
        inputs: Mapping[str, Any] = {"t": [t], "y": y, THETA: theta, "truth": truths(kinds, s, np).tolist()}
        with np.errstate(all="ignore"):
            found = self._triggers.evaluate(inputs, NUMPY)["triggers"]
        return np.array([bool(x) for x in found])


def truths(kinds: np.ndarray, signs: Any, xp: Any) -> Any:
    """Whether comparisons of these kinds hold, where their sides differ by these signs."""
    return xp.where(kinds == Op.LT, signs < 0, xp.where(kinds == Op.LE, signs <= 0, signs == 0))


def signs_of(left: Any, right: Any) -> np.ndarray:
    """Sign of left - right; 0 where they are equal up to rounding, nan where one of them is nan."""
    left, right = np.asarray(left), np.asarray(right)
    with np.errstate(invalid="ignore"):
        difference = left - right
        near = np.abs(difference) <= _ROUNDING * np.maximum(np.abs(left), np.abs(right))
    return np.where((left == right) | near, 0.0, np.sign(difference))


@functools.lru_cache(maxsize=64)
def event_program(model: AbstractModel) -> EventProgram:
    """The program of a model, made once. Raises `SolveError` where a trigger cannot be followed."""
    return EventProgram(model)


def _comparisons(g: Graph, roots: list[int]) -> list[int]:
    return [k for k in g.reachable(roots) if g.ops[k] in _COMPARISONS and not _truths(g, k)]


def _truths(g: Graph, k: int) -> bool:
    """Whether a comparison is one of truth values."""
    return any(g.is_boolean(j) for j in g.operands[k])


def _places(model: AbstractModel) -> list[Places]:
    theta, n = model.theta, len(model.species)
    if not model.has_events:
        return []
    found: list[Places] = []

    def look(theta, y):
        at = 0
        for name, event in model.events(0.0, model.states_of(y), model.values_of(theta)).items():
            for flag in ("persistent", "initially", "at_trigger"):
                if not isinstance(getattr(event, flag), bool):
                    raise SolveError(f"event `{name}` of {model.name}: `{flag}` must be True or False.")
            states = tuple(model.species_index(k) for k in event.assign)
            scaled = tuple(model.species_index(k) for k in event.factors)
            values = slice(at + 3, at + 3 + len(states))
            factors = slice(values.stop, values.stop + len(scaled))
            flags = Event(True, {}, 0.0, 0.0, event.persistent, event.initially, event.at_trigger)
            found.append(Places(name, flags, at, states, values, scaled, factors))
            at = factors.stop
        return 0.0

    jax.eval_shape(look, theta, np.ones(n))
    return found
