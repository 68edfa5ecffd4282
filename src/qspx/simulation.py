"""One subject, one regimen: `simulate`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from qspx._checks import names, numbers, require_kind
from qspx._dose_units import in_model_time
from qspx._errors import SolveError, closest
from qspx._input_events import require_same_start
from qspx._status import STATUS_ADVICE, Status
from qspx.cohort import impossible
from qspx.dose_events import DoseEvents, dose_events, impossible_doses
from qspx.dosing import Regimen
from qspx.inputs import Input
from qspx.integrate import AbstractIntegrator, SolveRequest, integrator_of
from qspx.model import AbstractModel
from qspx.summaries import AbstractSummary

if TYPE_CHECKING:
    import pandas as pd


@dataclasses.dataclass(frozen=True)
class Solution:
    """Result of one subject: `solution["C"]` is an array of shape (times,), `solution.summaries["max(C)"]` a number."""

    model: AbstractModel
    times: np.ndarray
    observables: tuple[str, ...]
    values: np.ndarray
    summaries: dict[str, float]
    status: Status
    steps: int

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.observables:
            raise SolveError(
                f"`{name}` was not asked for; the solution holds {list(self.observables)}."
                f"{closest(name, self.observables)}"
            )
        return self.values[:, self.observables.index(name)]

    def to_dataframe(self) -> pd.DataFrame:
        """One row per time; units in `df.attrs["units"]`."""
        import pandas as pd

        frame = pd.DataFrame(self.values, columns=list(self.observables))
        frame.insert(0, "time", self.times)
        units = {n: self.model.outputs[n].unit for n in self.observables}
        frame.attrs["units"] = {"time": self.model.time_unit} | units
        return frame

    def plot(self, name: str | None = None, ax: Any = None, **line):
        """One observable against time (the first by default). Returns the matplotlib Axes."""
        import matplotlib.pyplot as plt

        name = name or self.observables[0]
        ax = ax or plt.subplots()[1]
        ax.plot(self.times, self[name], **line)
        ax.set(xlabel=f"time ({self.model.time_unit})", ylabel=f"{name} ({self.model.outputs[name].unit or '1'})")
        return ax


def require_model(model: AbstractModel) -> None:
    require_kind(model, AbstractModel, "model", 'Files of models are read by load_model("path").')


def check_times(
    times: Sequence[float] | np.ndarray, before: bool | Sequence[bool] = False
) -> tuple[tuple[float, ...], tuple[bool, ...]]:
    """Sampling times and, for each, whether it means the value before a dose given then. Raises `SolveError` if they
    are not finite and increasing; a time may come twice, first before and then after its dose."""
    found = numbers(times, "times", SolveError)
    early = (before,) * len(found) if isinstance(before, bool) else tuple(bool(b) for b in before)
    if len(early) != len(found):
        raise SolveError(
            f"Argument `before` must be True, False, or one of them per time, but {len(early)} were given for "
            f"{len(found)} times."
        )
    order = [(t, not b) for t, b in zip(found, early, strict=True)]
    if any(b <= a for a, b in zip(order, order[1:], strict=False)) or not all(map(math.isfinite, found)):
        raise SolveError(
            f"Argument `times` must be finite and strictly increasing, but {found[:6]} … was given. A time may be "
            "repeated only with `before` True for the first and False for the second."
        )
    return found, early


def solve_request(
    model: AbstractModel,
    regimens: Sequence[Regimen],
    times: Sequence[float] | np.ndarray,
    observables: Sequence[str] | None,
    summaries: Sequence[AbstractSummary],
    before: bool | Sequence[bool] = False,
) -> SolveRequest:
    """The request that covers all regimens: from the first dose (or zero) to the last sample or window."""
    several = isinstance(summaries, Iterable) and not isinstance(summaries, str)
    if not several or not all(isinstance(s, AbstractSummary) for s in summaries):
        raise SolveError(
            f'Argument `summaries` must be a sequence of endpoints such as [Max("C")], but {summaries!r} was given.'
        )
    times, early = check_times(times, before)
    every = tuple(model.outputs) if times else ()
    asked = every if observables is None else names(observables, "observables", SolveError)
    starts = [float(dose_events(r, model).time.min()) for r in regimens]
    ends = [s.end for s in summaries if s.end is not None]
    t0 = min([0.0, *starts, *times[:1]])
    marks = any(r.has_marks for r in regimens)
    if not times and not ends:
        raise SolveError("nothing to simulate: give sampling `times`, or summaries with an `end`.")
    t1 = max([*times[-1:], *ends])
    for s in summaries:
        model.require_outputs([s.observable])
    return SolveRequest(
        model, times, model.require_outputs(asked), tuple(summaries), float(t0), float(t1), early, marks
    )


def simulate(
    model: AbstractModel,
    regimen: Regimen,
    times: Sequence[float] | np.ndarray = (),
    *,
    parameters: Mapping[str, float] | None = None,
    observables: Sequence[str] | None = None,
    summaries: Sequence[AbstractSummary] = (),
    before: bool | Sequence[bool] = False,
    inputs: Mapping[str, Input] | None = None,
    integrator: AbstractIntegrator | None = None,
) -> Solution:
    """Simulate one subject.

    Args:
        model: the model.
        regimen: what is given.
        times: sampling times, increasing, in the model's time unit, shape (times,). At a dose time the value is the one
            after the dose, as in NONMEM.
        parameters: values that replace the typical ones, by name.
        observables: what to return (default: every observable and species).
        summaries: endpoints such as `Max("C")`, computed during the solve.
        before: True for the values before the doses given at exactly the sampling times; or one truth value per time.
        inputs: values in time of parameters of a `time_varying` model, besides those of the regimen.
        integrator: default `AutomaticIntegrator()`: Rodas5P, rtol 1e-6, atol 1e-12.

    Raises:
        QspxError: before the solve, if an argument does not fit the model.
        SolveError: if the solve failed; the message names the reason.
    """
    require_model(model)
    require_kind(regimen, Regimen, "regimen", "Write Regimen((dose,)).")
    integrator = integrator_of(integrator)
    regimen = regimen.with_inputs(inputs or {})
    request = solve_request(model, [regimen], times, observables, summaries, before)
    events = DoseEvents(*(field[None] for field in dose_events(regimen, model)))
    theta = model.theta_with(parameters)
    require_same_start(regimen, model, theta[None], request.t0, "`parameters`")
    if wrong := [reason for reason, rows in impossible(model, theta[None]).items() if rows[0]]:
        name = wrong[0].split()[0]
        value = theta[model.parameter_index(name)]
        raise SolveError(f"parameter `{name}` is {wrong[0].removeprefix(name).strip()}: {value:g} was given.")
    batch = integrator.chosen(request).for_one().solve_batch(request, theta[None], events)
    status = Status(int(batch.status[0]))
    if status != Status.OK:
        raise SolveError(
            f"the solve of {model.name} stopped at {batch.end_time[0]:.6g} {model.time_unit} after "
            f"{batch.steps[0]} steps: {status.name}. {_advice(status, model, regimen, theta, events, request, batch)}"
        )
    found = {s.name: float(v) for s, v in zip(request.summaries, batch.summaries[0], strict=True)}
    return Solution(
        model, np.array(request.times), request.observables, batch.values[0], found, status, int(batch.steps[0])
    )


def _advice(status, model, regimen: Regimen, theta, events: DoseEvents, request: SolveRequest, batch) -> str:
    """What is likely to be wrong with one subject."""
    added = [d.at for d in regimen.doses if d.steady_state == 2]
    if status == Status.NONFINITE and (why := impossible_doses(model, theta[None], events, request.t0)):
        return f"{next(iter(why))}."
    here = [at for at in added if in_model_time(at, regimen.time_unit, model) == batch.end_time[0]]
    if status == Status.DT_MIN and here:
        return (
            f"the steady state of the dose at {here[0]:g} {regimen.time_unit} is added (steady_state=2) to what is "
            "there as a departure from the initial values; where those are used up already, a species becomes "
            "negative. States add up in linear models only: use steady_state=1, or give the past doses one by one."
        )
    return STATUS_ADVICE[status]


def endpoint_function(
    model: AbstractModel,
    regimen: Regimen,
    summaries: Sequence[AbstractSummary],
    integrator: AbstractIntegrator | None = None,
) -> Callable[[Any, Any], Any]:
    """(theta, scale) -> summaries (summaries,), traceable and differentiable; `scale` multiplies every dose amount.
    An input replaces its parameter, so that the summaries depend on that element of theta only through what comes
    before the input begins."""
    integrator = integrator_of(integrator)
    request = solve_request(model, [regimen], (), (), summaries)
    events = dose_events(regimen, model)

    def endpoints(theta, scale):
        return integrator.solve_one(request, theta, events.scaled(scale))[1]

    return endpoints
