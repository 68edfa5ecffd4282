"""Units of outputs: converted from those of the model, and checked against those of targets and bounds."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from qspx._errors import UnitError, closest
from qspx.units import conversion, unit
from qspx.vpop.outputs import PopulationError
from qspx.vpop.plausibility import Plausibility
from qspx.vpop.simulator import AbstractSimulator
from qspx.vpop.targets import AbstractTarget


@dataclasses.dataclass(frozen=True, eq=False)
class InUnits(AbstractSimulator):
    """A simulator whose outputs are in units of your choice; targets and bounds are then in these.

    Args:
        simulator: whose outputs are in the units of its model.
        wanted: unit by output; the others keep theirs.
        molar_masses: in g/mol, by output, where mass becomes amount or back.

    Raises:
        PopulationError: for an output that there is not, or that says no unit, and where no factor converts it.
    """

    simulator: AbstractSimulator
    wanted: Mapping[str, str]
    molar_masses: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        for k in (*self.wanted, *self.molar_masses):
            if k not in self.names:
                raise PopulationError(
                    f"the simulator does not compute `{k}`; it computes {self.names}.{closest(k, self.names)}"
                )
        for k in self.wanted:
            if k not in self.simulator.units:
                raise PopulationError(
                    f"the simulator {type(self.simulator).__name__} does not say in which unit `{k}` is; give it an "
                    "attribute `units`, unit by output."
                )
        _ = self._factors  # raises where they do not fit

    @property
    def model(self):  # type: ignore[override]
        return self.simulator.model

    @property
    def names(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.simulator.names

    @property
    def begin(self):
        return self.simulator.begin

    @property
    def events(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.simulator.events

    @property
    def units(self) -> Mapping[str, str]:  # type: ignore[override]
        return {**self.simulator.units, **self.wanted}

    @functools.cached_property
    def _factors(self) -> np.ndarray:
        return np.array([self._factor(k) if k in self.wanted else 1.0 for k in self.names])

    def _factor(self, name: str) -> float:
        try:
            return conversion(self.simulator.units[name], self.wanted[name], molar_mass=self.molar_masses.get(name))
        except UnitError as error:
            raise PopulationError(f"output `{name}`: {error}") from None

    def traced(self, theta: Any) -> tuple[Any, Any]:
        values, status = self.simulator.traced(theta)
        return values * jnp.asarray(self._factors)[None], status


def check_units(units: Mapping[str, str], targets: Sequence[AbstractTarget], plausibility: Plausibility) -> None:
    """Raises `PopulationError` where a target or a bound is in another unit than its output; what says no unit passes.

    Args:
        units: of outputs (and parameters), as far as they are known.
    """
    said = [(f"the {type(t).__name__} of `{k}`", k, u) for t in targets for k, u in t.units.items()]
    said += [(f"the bound of `{k}`", k, u) for k, u in plausibility.units.items()]
    for what, name, given in said:
        have = units.get(name)
        try:
            fits = have is None or unit(given) == unit(have)
        except UnitError as error:
            raise PopulationError(f"{what}: {error}") from None
        if not fits:
            raise PopulationError(
                f"{what} is in {given}, but the output is in {have}. Give it in {have}, or convert the output: "
                f'`InUnits(simulator, {{"{name}": "{given}"}})`.'
            )
