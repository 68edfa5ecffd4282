"""From parameters to the numbers that a population is judged by, as one function of jax."""

from __future__ import annotations

import abc
import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qspx._status import Status
from qspx.cohort import Cohort
from qspx.dose_events import DoseEvents, dose_events
from qspx.dosing import Regimen
from qspx.integrate import AbstractIntegrator, AutomaticIntegrator, SolveRequest
from qspx.model import AbstractModel
from qspx.starting import starting_from
from qspx.steady_state import SteadyState, in_blocks
from qspx.vpop.outputs import Outputs, PopulationError


class AbstractSimulator(abc.ABC):
    """What becomes of patients. `model` and `names` (of the outputs) are attributes or properties of a subclass."""

    model: AbstractModel
    names: tuple[str, ...]

    @abc.abstractmethod
    def traced(self, theta: Any) -> tuple[Any, Any]:
        """Outputs (subjects, outputs) and status (subjects,) for `theta` (subjects, parameters). A function of jax,
        differentiable by theta; outputs of a subject that failed are NaN."""

    @functools.cached_property
    def compiled(self) -> Any:
        """`traced`, compiled once per number of subjects."""
        return jax.jit(self.traced)

    def __call__(self, cohort: Cohort) -> Outputs:
        """The outputs of a cohort; subjects whose status is not OK are not simulated and keep it."""
        todo = cohort.status == Status.OK
        status = cohort.status.copy()
        values = np.full((len(cohort), len(self.names)), np.nan)
        if todo.any():
            values[todo], status[todo] = in_blocks(self.compiled, cohort.theta[todo])
        return Outputs(dataclasses.replace(cohort, status=status), self.names, values)


@dataclasses.dataclass(frozen=True, eq=False)
class AtRest(AbstractSimulator):
    """Observables and species at the steady state.

    Args:
        steady: the steady state.
        names: observables or species.
    """

    steady: SteadyState
    names: tuple[str, ...]

    def __post_init__(self):
        object.__setattr__(self, "names", self.steady.model.require_outputs(self.names))

    @property
    def model(self) -> AbstractModel:  # type: ignore[override]
        return self.steady.model

    def traced(self, theta):
        states, status = self.steady.traced(theta)
        ok = (status == Status.OK)[:, None]
        look = lambda y, p: self.model.observables_vector(0.0, y, p, self.names)  # noqa: E731
        # NaN goes in at the end: a product with it would be NaN in a derivative, even times zero
        values = jax.vmap(look)(jnp.where(ok, states, 1.0), theta)
        return jnp.where(ok, values, jnp.nan), status


@dataclasses.dataclass(frozen=True, eq=False)
class Treated(AbstractSimulator):
    """Observables at times after doses, one run per regimen, each starting from the patient's own steady state.

    Args:
        steady: the steady state that the patients are in before treatment.
        regimens: what is given, by arm; the first dose must not be before time zero.
        looks: what each output is: (arm, observable, time), or (observable,) at the steady state.
        integrator: of the treated runs.
    """

    steady: SteadyState
    regimens: Mapping[str, Regimen]
    looks: Mapping[str, tuple[str, str, float] | tuple[str]]
    integrator: AbstractIntegrator = dataclasses.field(default_factory=AutomaticIntegrator)

    def __post_init__(self):
        for name, look in self.looks.items():
            self.model.require_outputs([look[-2] if len(look) == 3 else look[0]])
            if len(look) == 3 and look[0] not in self.regimens:
                raise PopulationError(f"output `{name}` is of arm `{look[0]}`, which is not among {[*self.regimens]}.")

    @property
    def model(self) -> AbstractModel:  # type: ignore[override]
        return self.steady.model

    @property
    def names(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(self.looks)

    @functools.cached_property
    def _runs(self) -> list[tuple[SolveRequest, DoseEvents, list[str]]]:
        """Per arm: request, doses, and the outputs looked at there."""
        found, started = [], starting_from(self.model)
        for arm, regimen in self.regimens.items():
            mine = [k for k, look in self.looks.items() if len(look) == 3 and look[0] == arm]
            if not mine:
                continue
            times = tuple(sorted({float(self.looks[k][2]) for k in mine}))  # type: ignore[misc]
            seen = tuple(dict.fromkeys(self.looks[k][1] for k in mine))  # type: ignore[misc]
            end = max(times[-1], 1e-3)
            found.append((SolveRequest(started, times, seen, (), 0.0, end), dose_events(regimen, started), mine))
        return found

    def traced(self, theta):
        rest, status = self.steady.traced(theta)
        rest = jnp.where((status == Status.OK)[:, None], rest, 1.0)
        started = jnp.concatenate([theta, rest], axis=1)
        columns: dict[str, Any] = {}
        for request, events, mine in self._runs:
            rows = DoseEvents(*(jnp.broadcast_to(jnp.asarray(f)[None], (len(theta), *np.shape(f))) for f in events))
            values, _, ended, _, _ = self.integrator.solve_traced(request, started, rows)
            status = jnp.where(status == Status.OK, ended, status)
            for k in mine:
                _, what, time = self.looks[k]  # type: ignore[misc]
                columns[k] = values[:, request.times.index(float(time)), request.observables.index(what)]
        at_rest = [k for k, look in self.looks.items() if len(look) == 1]
        if at_rest:
            seen = [self.looks[k][0] for k in at_rest]
            values = jax.vmap(lambda y, p: self.model.observables_vector(0.0, y, p, seen))(rest, theta)
            columns |= {k: values[:, i] for i, k in enumerate(at_rest)}
        ok = (status == Status.OK)[:, None]
        return jnp.where(ok, jnp.stack([columns[k] for k in self.names], axis=1), jnp.nan), status


def free_columns(model: AbstractModel, names: Sequence[str]) -> np.ndarray:
    """Places of parameters in theta, shape (names,)."""
    return np.array([model.parameter_index(n) for n in names])
