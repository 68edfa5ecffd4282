"""Models whose initial values are parameters: to start a run where another one ended, with derivatives."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from qspx._errors import ModelError
from qspx.declarations import Lint, Parameter, Species
from qspx.model import AbstractModel
from qspx.values import Values

SUFFIX = "_at_start"


def starting_from(model: AbstractModel) -> StartingFrom:
    """The model with one parameter more for each species, its initial value: `central_at_start` for `central`. They
    come last, in the order of the species; `initial` of the model is not used.

    Raises:
        ModelError: if the model has events, or a parameter of such a name.
    """
    if isinstance(model, StartingFrom):
        return model
    if model.has_events:
        raise ModelError(f"{model.name} has events, so its runs cannot start from a given state.")
    return StartingFrom(model)


class StartingFrom(AbstractModel):
    """See `starting_from`. base: the model."""

    base: AbstractModel

    def __post_init__(self):
        for role in ("time_unit", "molar_mass", "body_weight", "citation", "doi"):
            object.__setattr__(self, role, getattr(self.base, role))
        object.__setattr__(self, "published", ())
        if taken := [s for s in self.starts if s in {**self.base.parameters, **self.base.outputs}]:
            raise ModelError(f"`{taken[0]}` of {self.name} would name the initial value of a species; rename it.")
        self._check_declarations()

    @property
    def name(self) -> str:
        return self.base.name

    @functools.cached_property
    def starts(self) -> tuple[str, ...]:
        """The parameters that are initial values."""
        return tuple(name + SUFFIX for name in self.base.species)

    def _declared(self, kind: type) -> dict[str, Any]:
        found = self.base._declared(kind)
        if kind is not Parameter:
            return found
        species: dict[str, Species] = self.base.species
        return found | {
            start: Parameter(0.0, s.unit, f"{s.meaning or name} at the start of the run", scale="lin")
            for start, (name, s) in zip(self.starts, species.items(), strict=True)
        }

    def _own(self, p: Values) -> Values:
        return self.base.values_of(jnp.stack([p[name] for name in self.base.parameters]))

    def initial(self, p):
        return {name: p[start] for name, start in zip(self.base.species, self.starts, strict=True)}

    def rates(self, t, y, p):
        return self.base.rates(t, y, self._own(p))

    def observables(self, t, y, p):
        return self.base.observables(t, y, self._own(p))

    def initial_vector(self, theta):
        return theta[len(self.base.parameters) :]

    def rates_vector(self, t, y, theta):
        return self.base.rates_vector(t, y, theta[: len(self.base.parameters)])

    def observables_vector(self, t, y, theta, names: Sequence[str]):
        return self.base.observables_vector(t, y, theta[: len(self.base.parameters)], names)

    def check_units(self) -> None:
        """Units are those of the base, which were checked."""
        self.base.check_units()

    def lints(self) -> list[Lint]:
        return self.base.lints()

    def __repr__(self) -> str:
        return f"{self.base!r} started from a given state"
