"""`CalibrationProblem`: model, measurements and what is estimated."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Container, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from qspx._checks import number
from qspx._errors import CalibrationError, closest
from qspx._status import STATUS_ADVICE, Status
from qspx.calibrate.arms import Arms, Given, arms_by_name
from qspx.calibrate.building import Builder
from qspx.calibrate.checks import (
    check_every_arm_is_measured,
    check_kinds,
    check_problem,
    checked_estimated,
    noise_by_observable,
    runs_in,
)
from qspx.calibrate.error_models import AbstractErrorModel
from qspx.calibrate.estimated import Estimated
from qspx.calibrate.names import Names, PerGroup
from qspx.calibrate.objective import Objective
from qspx.calibrate.preequilibration import PreEquilibration
from qspx.distributions import Joint
from qspx.event_table import EventTable
from qspx.integrate import AbstractIntegrator, AutomaticIntegrator
from qspx.measurements import Measurements
from qspx.model import AbstractModel

if TYPE_CHECKING:
    import pandas as pd

Values = Mapping[str, float] | Any  # by name in natural units, or coordinates on the estimation scale


@dataclasses.dataclass(frozen=True, eq=False)
class CalibrationProblem:
    """Which parameters explain the measurements.

    A parameter of the model has, in a run of an arm, the value that is said for that arm (`per_arm`), else for its
    study (`per_study`), else the arm's own covariate, else its estimate, else what is `fixed`, else the model's.

    Args:
        model: the model.
        measurements: read for this model.
        arms: what is given in each arm: by name a Regimen, an Arm (with covariates), or None for nothing; or a
            Protocol; or the EventTable whose subjects are the arms; or one Regimen for measurements of a single arm.
            Sampling times and observables of an Arm play no part. Default: nothing is given.
        estimated: what is estimated: parameters of the model, and names that `noise`, scalings, offsets, `per_arm` and
            `per_study` refer to.
        noise: error model of each observable, or one for all.
        fixed: numbers by name that stay as they are.
        per_arm, per_study: names that stand for something else in some arms or studies, a number or another name:
            per_arm={"KA": {"sc": "KA_sc"}}, per_study={"sd": {"old assay": 0.3}}.
        prior: joint distribution of estimated parameters, beside the priors of each.
        preequilibration: the steady state from which all arms begin, or by name those that do.
        integrator: default `AutomaticIntegrator(rtol=1e-8, atol=1e-12)`.

    Raises:
        CalibrationError: if the parts do not fit each other, naming what does not, and the repair.
    """

    model: AbstractModel
    measurements: Measurements
    estimated: Sequence[Estimated]
    noise: Mapping[str, AbstractErrorModel] | AbstractErrorModel
    arms: Arms | None = None
    _: dataclasses.KW_ONLY
    fixed: Mapping[str, float] = dataclasses.field(default_factory=dict)
    per_arm: PerGroup = dataclasses.field(default_factory=dict)
    per_study: PerGroup = dataclasses.field(default_factory=dict)
    prior: Joint | None = None
    preequilibration: PreEquilibration | Mapping[str, PreEquilibration] | None = None
    integrator: AbstractIntegrator = AutomaticIntegrator(rtol=1e-8, atol=1e-12)

    def __post_init__(self):
        given = (self.fixed, self.per_arm, self.per_study)
        check_kinds(self.model, self.measurements, *given, self.prior, self.integrator)
        object.__setattr__(self, "estimated", checked_estimated(self.estimated, self.model))
        check_problem(self._builder, self.measurements)
        if not isinstance(self.arms, EventTable):  # whose subjects without a measurement are no mistake
            check_every_arm_is_measured(tuple(self.given), self.measurements)
        _ = self.objective

    # what it becomes ------------------------------------------------------------------------------------------------

    @functools.cached_property
    def given(self) -> dict[str, Given]:
        """Regimen and covariates of each arm."""
        if self.arms is None:
            return {name: Given(None, {}) for name in self.measurements.arms}
        return arms_by_name(self.arms, self.model)

    @functools.cached_property
    def _builder(self) -> Builder:
        names = Names(self.names, self.fixed, self.per_arm, self.per_study)
        noise = noise_by_observable(self.noise, self.measurements)
        before = runs_in(self.preequilibration, self.given)
        return Builder(self.model, self.given, tuple(self.estimated), names, noise, self.prior, before, self.integrator)

    @functools.cached_property
    def objective(self) -> Objective:
        """Likelihood and posterior as functions of the coordinates."""
        return self._builder.objective(self.measurements)

    def with_measurements(self, measurements: Measurements) -> CalibrationProblem:
        """The same problem for other measurements, of all arms and studies or some. Raises `CalibrationError` where
        nothing tells about an estimated parameter any more."""
        measured = set(measurements.arms)
        arms = {name: each for name, each in self.given.items() if name in measured}
        before = self.preequilibration
        if isinstance(before, Mapping):
            before = {name: each for name, each in before.items() if name in arms}
        return dataclasses.replace(
            self,
            measurements=measurements,
            arms=arms,
            per_arm=_only(self.per_arm, arms),
            per_study=_only(self.per_study, set(measurements.study)),
            preequilibration=before,
        )

    # coordinates ----------------------------------------------------------------------------------------------------

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(e.name for e in self.estimated)

    @property
    def start(self) -> dict[str, float]:
        """Where a single search starts: what each `Estimated` says, or the model, or the middle of its bounds."""
        return {e.name: float(e.value) for e in self.estimated if e.value is not None}

    def coordinates(self, values: Values) -> Any:
        """Coordinates on the estimation scale, shape (estimated,), of values by name in natural units; what is left out
        is as in `start`. An array (..., estimated) is taken for coordinates already."""
        if not isinstance(values, Mapping):
            if np.shape(values)[-1:] != (len(self.names),):
                raise CalibrationError(
                    f"coordinates must have shape (..., {len(self.names)}), for {', '.join(self.names)}, but have "
                    f"{np.shape(values)}."
                )
            return values
        for name, value in values.items():
            if name not in self.names:
                raise CalibrationError(f"`{name}` is not estimated.{closest(name, self.names)}")
            low, high = self.estimated[self.names.index(name)].bounds
            value = number(value, f"values` for `{name}", CalibrationError)
            if not low <= value <= high:
                raise CalibrationError(f"`{name}` must lie inside its bounds {low:g} to {high:g}, but is {value:g}.")
        return self.objective.coordinates([{**self.start, **values}[name] for name in self.names])

    @functools.cached_property
    def _compiled(self) -> dict[str, Any]:
        """Functions of coordinates (estimated,), or of rows of them."""
        o = self.objective
        names = ("log_likelihood", "log_likelihoods", "log_posterior", "residuals", "predict")
        return {name: _of_rows(getattr(o, name)) for name in names}

    # functions ------------------------------------------------------------------------------------------------------

    def log_likelihood(self, values: Values) -> jax.Array:
        """Of values by name, or of coordinates (estimated,), or of each row of coordinates (starts, estimated); -inf
        where a run fails. Differentiable by coordinates."""
        return self._compiled["log_likelihood"](self.coordinates(values))

    def log_posterior(self, values: Values) -> jax.Array:
        """The same with the priors."""
        return self._compiled["log_posterior"](self.coordinates(values))

    def residuals(self, values: Values) -> jax.Array:
        """Standardised residuals (measurements,), or (starts, measurements); see `Objective.residuals`."""
        return self._compiled["residuals"](self.coordinates(values))

    def predict(self, values: Values) -> pd.DataFrame:
        """The measurements with prediction, sd (on the scale of the noise; of the mean, where one was measured),
        standardised residual, and status of the run; NaN where it failed."""
        x = np.asarray(self.coordinates(values))
        found = self._compiled["predict"](x)
        status = np.asarray(found.status)[self.objective.run]
        solved, frame = status == Status.OK, self.measurements.to_dataframe()
        frame = frame.rename(columns={"sd": "given_sd"})
        frame["prediction"] = np.where(solved, found.prediction, np.nan)
        frame["sd"] = np.where(solved, found.sd, np.nan)
        frame["residual"] = np.asarray(self.residuals(x))
        frame["status"] = [Status(int(s)).name.lower() for s in status]
        return frame

    def curves(self, values: Values, times: Sequence[float] | np.ndarray) -> pd.DataFrame:
        """Every observable in the arms where it was measured, at common `times` in the model's unit: observable,
        arm, study, time, unit, prediction, status."""
        m = self.measurements
        everything = list(zip(m.observable, m.arm, m.study, strict=True))
        kinds = list(dict.fromkeys(everything))
        first = [everything.index(kind) for kind in kinds]
        times = np.asarray(times, dtype=float)
        size = len(kinds) * len(times)
        dense = dataclasses.replace(
            m.rows(np.repeat(first, len(times))),
            time=np.tile(times, len(kinds)),
            before=np.zeros(size, bool),
            censored=np.zeros(size, int),
        )
        objective = self._builder.objective(dense)
        found = jax.jit(objective.predict)(np.asarray(self.coordinates(values)))
        frame = dense.to_dataframe().drop(columns=["subject", "value", "sd", "n", "censored", "before", "replicate"])
        status = np.asarray(found.status)[objective.run]
        frame["prediction"] = np.where(status == Status.OK, found.prediction, np.nan)
        frame["status"] = [Status(int(s)).name.lower() for s in status]
        return frame

    def diagnose(self, values: Values | None = None) -> str:
        """Why the log-posterior is not finite, in words: runs that fail, measurements without a likelihood, priors."""
        x = np.asarray(self.coordinates(self.start if values is None else values))
        found = self._compiled["predict"](x)
        status, each = np.asarray(found.status), np.asarray(self._compiled["log_likelihoods"](x))
        lines, m, run = [], self.measurements, self.objective.run
        for r in np.flatnonzero(status != Status.OK):
            i, code = int(np.flatnonzero(run == r)[0]), Status(int(status[r]))
            study = f" of study `{m.study[i]}`" if m.study[i] else ""
            lines.append(f"arm `{m.arm[i]}`{study}: {code.name.lower()}; {STATUS_ADVICE[code]}")
        for i in np.flatnonzero((status == Status.OK)[run] & ~np.isfinite(each)):
            lines.append(
                f"row {m.row[i]}: `{m.observable[i]}` in arm `{m.arm[i]}` at {m.time[i]:g} {m.time_unit} is "
                f"{m.value[i]:g}, predicted {float(found.prediction[i]):g} with sd {float(found.sd[i]):g}; its "
                "likelihood is not a number"
            )
        if not np.isfinite(prior := float(self.objective.log_prior(x))):
            lines.append(f"the log-prior is {prior:g}: a value lies outside the support of its prior")
        return "\n".join(lines) or f"log-posterior {float(self.log_posterior(x)):g}: nothing is wrong"

    def table(self) -> pd.DataFrame:
        """What is estimated: unit, start, bounds, scale and prior of each."""
        import pandas as pd

        units = {name: p.unit for name, p in self.model.parameters.items()}
        rows = [
            (e.name, units.get(e.name, ""), e.value, *e.bounds, e.scale, "" if e.prior is None else str(e.prior))
            for e in self.estimated
        ]
        return pd.DataFrame(rows, columns=["name", "unit", "start", "lower", "upper", "scale", "prior"])

    def __repr__(self) -> str:
        return f"CalibrationProblem({self})"

    def __str__(self) -> str:
        m = self.measurements
        return (
            f"calibration of {self.model.name}: {len(self.names)} estimated ({', '.join(self.names)}) from {len(m)} "
            f"measurements of {', '.join(m.observables)} in {len(m.arms)} arms, solved by {self.integrator!r}"
        )


def _of_rows(function: Any) -> Any:
    one, many = jax.jit(function), jax.jit(jax.vmap(function))
    return lambda x: many(x) if np.ndim(x) == 2 else one(x)


def _only(said: PerGroup, known: Container[str]) -> PerGroup:
    return {name: {k: v for k, v in groups.items() if k in known} for name, groups in said.items()}
