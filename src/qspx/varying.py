"""Models some of whose parameters change in time.

Such a parameter becomes a state whose rate is zero: a step of its value is a bolus of the difference, a straight line
an infusion with the slope as its rate (`_input_events`). So every engine takes it, and reaches its steps exactly.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from qspx._errors import ModelError
from qspx.declarations import Lint, Observable, Published, Species
from qspx.model import AbstractModel
from qspx.values import Values

SUFFIX = "_now"
_FIXES = {
    "volume": "A dose into a concentration is divided by it once; declare the species as an amount, and divide in "
    "`rates` and `observables`.",
    "molar_mass": "It converts doses.",
    "threshold": "Declare an observable that compares with it, or give the threshold as a number.",
}
_OF_DOSE = "Let each dose say its own, Dose(..., {}=...); an event table needs no time_varying for it."


def time_varying(model: AbstractModel, *parameters: str) -> TimeVarying:
    """The model with parameters whose value may change during a run, as an `Input` of the regimen, arm or event table
    says. Without an input they are constants, and every number is that of `model`.

    Species, parameters and observables are those of `model`, with one species more for each named parameter: its value
    now, `WT_now` for `WT`. It comes last and can be asked for as any other. `rates` and `observables` see that value;
    `initial`, doses and thresholds of endpoints see the parameter itself. So a parameter that a species or dose names
    as volume, bioavailability, lag, duration or rate, the molar mass, and the threshold of an endpoint are refused. The
    body weight is taken: a dose per kg is given for the weight at its time.

    Args:
        model: any model, networks included.
        parameters: names of parameters.

    Raises:
        ModelError: for names that are unknown, given twice, not read by rates or observables, or in a role that cannot
            vary.
    """
    if model.has_events:
        raise ModelError(
            f"{model.name} has events, so its parameters cannot be made to change in time; declare an event, or a "
            "state of your own, for the change."
        )
    if isinstance(model, TimeVarying):
        return TimeVarying(model.base, (*model.varying, *parameters))
    return TimeVarying(model, tuple(parameters))


class TimeVarying(AbstractModel):
    """See `time_varying`. base: the model; varying: its parameters that may change."""

    base: AbstractModel
    varying: tuple[str, ...]

    def __post_init__(self):
        for role in ("time_unit", "molar_mass", "body_weight", "citation", "doi"):
            object.__setattr__(self, role, getattr(self.base, role))
        object.__setattr__(self, "published", tuple(_of_base(item) for item in self.base.published))
        self._check_varying()
        self._check_declarations()
        self._check_returned()

    @property
    def name(self) -> str:
        return self.base.name

    @functools.cached_property
    def states(self) -> dict[str, str]:
        """The species that is the value now, by parameter."""
        return {name: name + SUFFIX for name in self.varying}

    def _declared(self, kind: type) -> dict[str, Any]:
        found = self.base._declared(kind)
        if kind is not Species:
            return found
        parameters = self.base.parameters
        return found | {
            state: Species(parameters[name].unit, f"{parameters[name].meaning or name}, now", signed=True)
            for name, state in self.states.items()
        }

    # the functions ------------------------------------------------------------------------------------------------

    def _of_base(self, y: Values, p: Values, function: Callable[[Values, Values], Mapping[str, Any]]):
        """function(y, p) of the base, with the values now in the places of the parameters that vary."""
        own = Values({k: i for i, k in enumerate(self.base.species)}, y._elements(), "species")
        elements = list(p._elements())
        for name, state in self.states.items():
            elements[self.parameter_index(name)] = y[state]
        now = Values(self._index[1], elements, "parameter")
        found = function(own, now)
        p.accessed |= now.accessed - {*self.varying}
        y.accessed |= own.accessed
        return found

    def initial(self, p):
        return dict(self.base.initial(p)) | {state: p[name] for name, state in self.states.items()}

    def rates(self, t, y, p):
        return self._of_base(y, p, lambda own, now: self.base.rates(t, own, now))

    def observables(self, t, y, p):
        return self._of_base(y, p, lambda own, now: self.base.observables(t, own, now))

    @functools.cached_property
    def _places(self) -> np.ndarray:
        """Where each parameter's value stands in (theta, values now), shape (parameters,)."""
        places, parameters = np.arange(len(self.parameters)), len(self.parameters)
        for k, name in enumerate(self.varying):
            places[self.parameter_index(name)] = parameters + k
        return places

    def _split(self, y, theta):
        """(states of the base, parameters with the values now, values now)"""
        now = y[len(self.base.species) :]
        return y[: len(self.base.species)], jnp.concatenate([theta, now])[self._places], now

    def rates_vector(self, t, y, theta):
        own, parameters, now = self._split(y, theta)
        return jnp.concatenate([self.base.rates_vector(t, own, parameters), jnp.zeros_like(now)])

    def observables_vector(self, t, y, theta, names: Sequence[str]):
        states = list(self.states.values())
        own, parameters, now = self._split(y, theta)
        asked = [n for n in names if n not in states]
        found = self.base.observables_vector(t, own, parameters, asked)
        order = [len(asked) + states.index(n) if n in states else asked.index(n) for n in names]
        return jnp.concatenate([found, now])[np.array(order, dtype=int)]

    # what reads the values ----------------------------------------------------------------------------------------

    @functools.cached_property
    def read_at_start(self) -> frozenset[str]:
        """Varying parameters that initial values depend on."""
        p = self.base.values_of(self.theta)
        self.base.initial(p)
        return frozenset(p.accessed & set(self.varying))

    def may_jump(self, names: Sequence[str]) -> bool:
        """Whether one of the named outputs may jump with a value: it reads one, other than through the rates."""
        if any(n in self.states.values() for n in names):
            return True
        if all(n in self.species for n in names):
            return False
        y, p = self.base.states_of(np.ones(len(self.base.species))), self.base.values_of(self.theta)
        returned = self.base.observables(np.float64(1.0), y, p)
        known = all(n in returned or n in self.species for n in names)  # a network computes its own elsewhere
        return not known or bool(p.accessed & set(self.varying))

    # checks -------------------------------------------------------------------------------------------------------

    def _check_varying(self) -> None:
        if not self.varying:
            raise ModelError("Argument `parameters` of time_varying must name at least one parameter.")
        for name in self.varying:
            self.base.parameter_index(name)
            if self.varying.count(name) > 1:
                raise ModelError(f"Argument `parameters` of time_varying names `{name}` twice; name it once.")
            if self.states[name] in {**self.base.outputs, **self.base.parameters}:
                raise ModelError(
                    f"`{name}` of {self.name} cannot vary in time: its value would be the species `{name}{SUFFIX}`, "
                    "but the model has one of that name; rename it."
                )
        for name, role in ((self.molar_mass, "molar_mass"), *_dose_roles(self.base)):
            if name is not None:
                self.check_role(role, name, self.name)
        y, p = self.base.states_of(np.ones(len(self.base.species))), self.base.values_of(self.theta)
        self.base.rates(np.float64(1.0), y, p)
        self.base.observables(np.float64(1.0), y, p)
        unread = {lint.where for lint in self.base.lints() if lint.rule == "unused parameter"}
        for name in self.varying:
            if name in unread or name not in p.accessed:
                raise ModelError(f"`{name}` of {self.name} cannot vary in time: neither rates nor observables read it.")

    def check_role(self, role: str, name: str, where: str) -> None:
        """As for any model, and raise `ModelError` for a role in which the parameter must be constant."""
        if name in self.varying and role != "body_weight":
            fix = _FIXES.get(role) or _OF_DOSE.format(role)
            raise ModelError(f"{where}: parameter `{name}`, the {role.replace('_', ' ')}, cannot vary in time. {fix}")
        super().check_role(role, name, where)

    def check_units(self) -> None:
        """A value now has the unit of its parameter, so that what fits the base fits here."""
        self.base.check_units()

    def lints(self) -> list[Lint]:
        return self.base.lints()

    def __repr__(self) -> str:
        base = self.base
        n = (len(base.species), len(base.parameters), len(self._declared(Observable)))
        return (
            f"{self.name}({n[0]} species, {n[1]} parameters, {n[2]} observables; time in {self.time_unit}; varying in "
            f"time: {', '.join(self.varying)})"
        )


def _dose_roles(model: AbstractModel) -> list[tuple[str | None, str]]:
    roles = ("volume", "bioavailability", "lag", "duration", "rate")
    return [(getattr(s, role), role) for s in model.species.values() for role in roles]


def _of_base(item: Published) -> Published:
    """A published number is one of the model whose parameters are constant."""
    return dataclasses.replace(item, compute=lambda m: item.compute(m.base))
