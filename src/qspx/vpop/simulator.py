"""From parameters to the numbers that a population is judged by, as one function of jax."""

from __future__ import annotations

import abc
import dataclasses
import functools
from collections.abc import Mapping, Sequence
from types import MappingProxyType
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
from qspx.start_states import AbstractStart
from qspx.starting import starting_from
from qspx.steady_state import in_blocks
from qspx.vpop.outputs import Outputs, PopulationError


class AbstractSimulator(abc.ABC):
    """What becomes of patients. `model` and `names` (of the outputs) are attributes or properties of a subclass;
    `events`, where there are any, those of the names that are times of an event, inf for patients who never have it;
    `units`, unit by output, as far as they are known (`InUnits` converts them)."""

    model: AbstractModel
    names: tuple[str, ...]
    events: tuple[str, ...] = ()
    units: Mapping[str, str] = MappingProxyType({})

    @abc.abstractmethod
    def traced(self, theta: Any) -> tuple[Any, Any]:
        """Outputs (subjects, outputs) and status (subjects,) for `theta` (subjects, parameters). A function of jax,
        differentiable by theta; outputs of a subject that failed are NaN."""

    @property
    def begin(self) -> AbstractStart | None:
        """Where runs start, if not at the initial values of the model."""
        return None

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
        seen = dataclasses.replace(cohort, status=status)
        return Outputs(seen, self.names, values, events=self.events, units=self.units, start=self.begin)


@dataclasses.dataclass(frozen=True, eq=False)
class AtStart(AbstractSimulator):
    """Observables and species where patients start: at rest, when a condition is first met, or as the model says.

    Args:
        start: `SteadyState`, `TriggeredStart`, `InitialState`, or one of your own.
        outputs: observables or species.
        time: name of one more output, the time from the model's initial values to the start; "" for none. Zero for
            starts that take no time.
    """

    start: AbstractStart
    outputs: tuple[str, ...]
    time: str = ""

    def __post_init__(self):
        object.__setattr__(self, "outputs", self.start.model.require_outputs(self.outputs))
        if self.time in self.outputs:
            raise PopulationError(f"Argument `time` names an output of the model, `{self.time}`; give another name.")

    @property
    def model(self) -> AbstractModel:  # type: ignore[override]
        return self.start.model

    @property
    def begin(self) -> AbstractStart:
        return self.start

    @property
    def names(self) -> tuple[str, ...]:  # type: ignore[override]
        return (*self.outputs, self.time) if self.time else self.outputs

    @property
    def units(self) -> Mapping[str, str]:  # type: ignore[override]
        found = {k: self.model.outputs[k].unit for k in self.outputs}
        return {**found, self.time: self.model.time_unit} if self.time else found

    def traced(self, theta):
        at = self.start.started(theta)
        ok = (at.status == Status.OK)[:, None]
        look = lambda y, p: self.model.observables_vector(0.0, y, p, self.outputs)  # noqa: E731
        # NaN goes in at the end: a product with it would be NaN in a derivative, even times zero
        values = jax.vmap(look)(jnp.where(ok, at.states, 1.0), theta)
        if self.time:
            values = jnp.concatenate([values, jnp.where(ok, at.time[:, None], 0.0)], axis=1)
        return jnp.where(ok, values, jnp.nan), at.status


def AtRest(steady: AbstractStart, names: Sequence[str]) -> AtStart:
    """`AtStart` of a steady state."""
    return AtStart(steady, tuple(names))


@dataclasses.dataclass(frozen=True, eq=False)
class Treated(AbstractSimulator):
    """Observables at times after doses, one run per regimen, each starting from the patient's own start.

    Args:
        start: the state that patients are in before treatment: `SteadyState`, `TriggeredStart` (a tumour grown to its
            diameter), `InitialState`, or one of your own. A patient that has no start has its status and no outputs.
        regimens: what is given, by arm; the first dose must not be before time zero, which is the start.
        looks: what each output is: (arm, observable, time), or (observable,) at the start.
        integrator: of the treated runs.
    """

    start: AbstractStart
    regimens: Mapping[str, Regimen]
    looks: Mapping[str, tuple[str, str, float] | tuple[str]]
    integrator: AbstractIntegrator = dataclasses.field(default_factory=AutomaticIntegrator)

    def __post_init__(self):
        for name, look in self.looks.items():
            if isinstance(look, str) or len(look) not in (1, 3):
                raise PopulationError(
                    f"output `{name}` must be (arm, observable, time), or (observable,) at the start, but is {look!r}."
                )
            self.model.require_outputs([look[-2] if len(look) == 3 else look[0]])
            if len(look) == 3 and not 0 <= look[2] < np.inf:
                raise PopulationError(f"output `{name}` needs a time >= 0 (0 is the start), but has {look[2]}.")
            if len(look) == 3 and look[0] not in self.regimens:
                raise PopulationError(f"output `{name}` is of arm `{look[0]}`, which is not among {[*self.regimens]}.")

    @property
    def model(self) -> AbstractModel:  # type: ignore[override]
        return self.start.model

    @property
    def begin(self) -> AbstractStart:
        return self.start

    @property
    def names(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(self.looks)

    @property
    def units(self) -> Mapping[str, str]:  # type: ignore[override]
        return {k: self.model.outputs[look[-2] if len(look) == 3 else look[0]].unit for k, look in self.looks.items()}

    def course(self, arm: str, observable: str) -> tuple[tuple[str, ...], tuple[float, ...]]:
        """The outputs that are `observable` in `arm`, by time, and their times: what a band is drawn from. Those at the
        start come first, at time zero, unless there is a look at that time."""
        found = {
            float(look[2]): k for k, look in self.looks.items() if len(look) == 3 and look[:2] == (arm, observable)
        }
        for k, look in self.looks.items():
            if look == (observable,):
                found.setdefault(0.0, k)
        if not found:
            raise PopulationError(f"no output is `{observable}` of the arm `{arm}`.")
        times = tuple(sorted(found))
        return tuple(found[t] for t in times), times

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
        started, at = self.start.onward(theta)
        first, status = started[:, theta.shape[1] :], at.status
        columns: dict[str, Any] = {}
        for request, events, mine in self._runs:
            rows = DoseEvents(*(jnp.broadcast_to(jnp.asarray(f)[None], (len(theta), *np.shape(f))) for f in events))
            values, _, ended, _, _ = self.integrator.solve_traced(request, started, rows)
            status = jnp.where(status == Status.OK, ended, status)
            for k in mine:
                _, what, time = self.looks[k]  # type: ignore[misc]
                columns[k] = values[:, request.times.index(float(time)), request.observables.index(what)]
        at_start = [k for k, look in self.looks.items() if len(look) == 1]
        if at_start:
            seen = [self.looks[k][0] for k in at_start]
            values = jax.vmap(lambda y, p: self.model.observables_vector(0.0, y, p, seen))(first, theta)
            columns |= {k: values[:, i] for i, k in enumerate(at_start)}
        ok = (status == Status.OK)[:, None]
        return jnp.where(ok, jnp.stack([columns[k] for k in self.names], axis=1), jnp.nan), status


def free_columns(model: AbstractModel, names: Sequence[str]) -> np.ndarray:
    """Places of parameters in theta, shape (names,)."""
    return np.array([model.parameter_index(n) for n in names])
