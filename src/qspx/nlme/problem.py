"""`PopulationProblem`: a population model with its data, and the coordinates that a fit searches in.

    individual i:  u_i = typical values + covariate effects + L z_i,   z_i ~ N(0, I)      (scale of each parameter)
                   theta_i = parameters of the model with those named replaced by their natural values
                   y_ij = f(t_ij, theta_i) + e_ij,   e_ij ~ N(0, R(f))

The coordinates x are those of everything estimated, on the estimation scale, and then those of Omega = L Lᵀ.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from qspx._errors import CalibrationError, closest
from qspx.calibrate.checks import with_value
from qspx.calibrate.error_models import AbstractErrorModel
from qspx.calibrate.estimated import Estimated
from qspx.calibrate.noise import LogNormalNoise, NormalNoise
from qspx.calibrate.scales import SCALES, to_estimation, to_natural
from qspx.integrate import AbstractIntegrator, AutomaticIntegrator
from qspx.model import AbstractModel
from qspx.nlme.checks import mapping_of, of_kind, sequence_of
from qspx.nlme.covariate_effects import AbstractCovariateEffect
from qspx.nlme.data import PopulationData
from qspx.nlme.random_effects import Omega, RandomEffect, check_correlated

_SEQUENCES = (
    ("estimated", Estimated, 'Estimated("CL", (0.1, 10.0))'),
    ("random_effects", RandomEffect, 'RandomEffect("CL")'),
    ("covariate_effects", AbstractCovariateEffect, 'PowerEffect("CL", "WT", 0.75)'),
)


@dataclasses.dataclass(frozen=True, eq=False)
class PopulationProblem:
    """A population model with its data.

    Args:
        data: individuals with doses, measurements and covariates.
        estimated: every number that is estimated. One with the name of a parameter of the model is its typical value,
            and its `scale` that of its random effect; coefficients of covariates and the numbers of residual errors
            have names of their own, by which `covariate_effects` and `residuals` refer to them.
        random_effects: which parameters differ between individuals. A parameter that is not among `estimated` has the
            typical value of the data (else of the model) and the scale that the model declares.
        residuals: residual error by observable: `Additive`, `Proportional`, `Combined` or `LogAdditive`.
        covariate_effects: effects of covariates.
        correlated: groups of parameters whose random effects are correlated, e.g. [("CL", "V")].
        integrator: default `AutomaticIntegrator(rtol=1e-9)`. Gradients are as exact as the solve: with rtol 1e-6 a
            search ends early.

    Raises:
        CalibrationError: if these do not fit each other, or a prior is given (there is none in this likelihood).
    """

    data: PopulationData
    estimated: Sequence[Estimated]
    random_effects: Sequence[RandomEffect]
    residuals: Mapping[str, AbstractErrorModel]
    covariate_effects: Sequence[AbstractCovariateEffect] = ()
    correlated: Sequence[Sequence[str]] = ()
    integrator: AbstractIntegrator = dataclasses.field(default_factory=lambda: AutomaticIntegrator(rtol=1e-9))

    def __post_init__(self):
        of_kind(self.data, PopulationData, "data", "Data are read by PopulationData.read(...).")
        of_kind(self.integrator, AbstractIntegrator, "integrator", "For example AutomaticIntegrator(rtol=1e-9).")
        for name, kind, example in _SEQUENCES:
            object.__setattr__(self, name, sequence_of(getattr(self, name), kind, name, example))
        mapping_of(self.residuals, AbstractErrorModel, "residuals", '{"CP": Proportional("cv")}')
        object.__setattr__(self, "correlated", check_correlated(self.correlated))
        object.__setattr__(self, "residuals", {k: self.residuals[k] for k in self._checked_residuals()})
        self._check_names()
        _ = self.omega, self.start

    def _checked_residuals(self) -> tuple[str, ...]:
        for name in self.residuals:
            if name not in self.data.endpoints:
                raise CalibrationError(
                    f"Argument `residuals` names `{name}`, which was not measured; measured were "
                    f"{self.data.endpoints}.{closest(name, self.data.endpoints)}"
                )
        for k, name in enumerate(self.data.endpoints):
            if name not in self.residuals:
                raise CalibrationError(f"Argument `residuals` lacks `{name}`, which was measured.")
            given = self.residuals[name]
            if given.reads_table or given.family not in (NormalNoise(), LogNormalNoise()):
                raise CalibrationError(
                    f"Argument `residuals` must hold normal or log-normal errors that read no table, but {given!r} was "
                    f"given for `{name}`; the approximations of the likelihood are for these."
                )
            if given.family.scale == "log" and not (self.data.value[self.data.endpoint == k] > 0).all():
                raise CalibrationError(
                    f"measurements of `{name}` that are not positive have no logarithm; give another residual error, "
                    "or declare them as below a limit (CENS)."
                )
        return self.data.endpoints

    def _check_names(self) -> None:
        for e in self.random_effects:
            self.model.parameter_index(e.parameter)
        if not self.random_effects:
            raise CalibrationError(
                "Argument `random_effects` is empty: without differences between individuals use a CalibrationProblem."
            )
        for effect in self.covariate_effects:
            self.model.parameter_index(effect.parameter)
            if effect.covariate not in self.data.covariates:
                raise CalibrationError(
                    f"covariate `{effect.covariate}` was not read; read the data with "
                    f"covariates=[{effect.covariate!r}].{closest(effect.covariate, self.data.covariates)}"
                )
            effect.check(self.data.covariates[effect.covariate], self.data.ids)
        named = [e.name for e in self.estimated]
        used = [x for x in self._referred if isinstance(x, str)]
        for name in used:
            if name not in named:
                raise CalibrationError(
                    f"`{name}` is named by a residual error or a covariate effect, but is not among `estimated`."
                    f"{closest(name, named)}"
                )
            if name in self.model.parameters:
                raise CalibrationError(
                    f"`{name}` is a parameter of {self.model.name}, so a residual error or covariate effect cannot use "
                    "the name; rename the estimated number."
                )
        for e in self.estimated:
            if e.prior is not None:
                raise CalibrationError(f"Argument `prior` of Estimated({e.name!r}) has no place in a population fit.")
            if named.count(e.name) > 1:
                raise CalibrationError(f"Argument `estimated` has `{e.name}` twice; keep one.")
            if e.name not in self.model.parameters and e.name not in used:
                raise CalibrationError(
                    f"`{e.name}` is estimated, but is neither a parameter of {self.model.name} nor named by a residual "
                    f"error or a covariate effect.{closest(e.name, [*self.model.parameters, *used])}"
                )
        for name in self.omega.names:
            if self.scales[self.columns.index(name)] == SCALES.index("log10"):
                raise CalibrationError(f'`{name}` has a random effect, which scale "log10" does not take; use "log".')

    @property
    def _referred(self) -> list[float | str]:
        """Numbers and names in covariate effects and residual errors."""
        parts = [p for error in self.residuals.values() for p in error.numbers.values()]
        return [*(e.coefficient for e in self.covariate_effects), *parts]

    @property
    def typical(self) -> list[tuple[int, str]]:
        """(place among the estimated, parameter of the model) of typical values."""
        return [(k, e.name) for k, e in enumerate(self.estimated) if e.name in self.model.parameters]

    @property
    def logarithmic(self) -> np.ndarray:
        """Whether values scatter on the logarithm, by endpoint, (endpoints,)."""
        return np.array([self.residuals[e].family.scale == "log" for e in self.data.endpoints])

    @property
    def model(self) -> AbstractModel:
        return self.data.model

    @functools.cached_property
    def omega(self) -> Omega:
        return Omega(tuple(self.random_effects), tuple(self.correlated))  # type: ignore[arg-type]  # made so above

    # columns of u -----------------------------------------------------------------------------------------------------

    @functools.cached_property
    def columns(self) -> tuple[str, ...]:
        """Parameters of the model that u holds: those with random effects first."""
        given = [e.parameter for e in self.covariate_effects]
        return tuple(dict.fromkeys([*self.omega.names, *(name for _, name in self.typical), *given]))

    @functools.cached_property
    def scales(self) -> np.ndarray:
        """Scale of each column, as places in `SCALES`, shape (columns,)."""
        own = {e.name: e.scale for e in self.estimated}
        return np.array([SCALES.index(own.get(c) or self.model.parameters[c].scale) for c in self.columns])

    @functools.cached_property
    def limits(self) -> tuple[np.ndarray, np.ndarray]:
        """What a logit lies between, each (columns,)."""
        own = {e.name: e.bounds for e in self.estimated}
        found = []
        for c, scale in zip(self.columns, self.scales, strict=True):
            limits = own.get(c) or self.model.parameters[c].bounds
            if SCALES[scale] == "logit" and limits is None:
                raise CalibrationError(f"`{c}` is on scale logit, so the model must declare its bounds.")
            found.append(limits or (0.0, 1.0))
        return np.array([a for a, _ in found], dtype=float), np.array([b for _, b in found], dtype=float)

    def natural_columns(self, u: Any) -> Any:
        """Parameters in their own units for u (..., columns). Traceable."""
        return to_natural(u, *(np.broadcast_to(s, np.shape(u)) for s in (self.scales, *self.limits)))

    def columns_of(self, natural: Any) -> np.ndarray:
        """Inverse of `natural_columns`."""
        return to_estimation(natural, self.scales, *self.limits)

    # coordinates ------------------------------------------------------------------------------------------------------

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        """Of the coordinates: estimated numbers, then "omega(CL)", "omega(V, CL)"."""
        return (*(e.name for e in self.estimated), *self.omega.coordinate_names)

    @functools.cached_property
    def box(self) -> np.ndarray:
        """Bounds of the coordinates, shape (coordinates, 2)."""
        own = np.array([e.box for e in self.estimated], dtype=float).reshape(-1, 2)
        return np.concatenate([own, self.omega.box])

    @functools.cached_property
    def _own_scales(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        every = self.estimated
        low, high = (np.array([e.bounds[i] for e in every], dtype=float) for i in (0, 1))
        return np.array([SCALES.index(e.scale) for e in every], dtype=int), low, high

    @functools.cached_property
    def start(self) -> np.ndarray:
        """Coordinates where a search starts: `value` of everything estimated (default: of the model, else the middle
        between the bounds on the estimation scale), and `sd`s."""
        given = [with_value(e, self.model).value for e in self.estimated]
        return np.concatenate([to_estimation(np.array(given), *self._own_scales), self.omega.start])

    def coordinates(self, values: Mapping[str, float], omega: np.ndarray | None = None) -> np.ndarray:
        """`start` with some estimated numbers replaced, in their own units, and perhaps the covariance matrix `omega`
        of the random effects, shape (effects, effects)."""
        x = self.start.copy()
        for name, value in values.items():
            if name not in self.names[: len(self.estimated)]:
                raise CalibrationError(f"`{name}` is not estimated.{closest(name, self.names)}")
            k = self.names.index(name)
            x[k] = to_estimation(np.array([value]), *(s[[k]] for s in self._own_scales))[0]
        if omega is not None:
            x[len(self.estimated) :] = self.omega.coordinates(omega)
        if not (np.isfinite(x).all() and (x >= self.box[:, 0]).all() and (x <= self.box[:, 1]).all()):
            k = int(np.argmax(~((x >= self.box[:, 0]) & (x <= self.box[:, 1]))))
            raise CalibrationError(f"the value given for {self.names[k]} lies outside its bounds.")
        return x

    def numbers(self, x: Any) -> Any:
        """Estimated numbers in their own units, shape (estimated,), for coordinates x (coordinates,). Traceable."""
        return to_natural(x[: len(self.estimated)], *self._own_scales)

    def factor(self, x: Any) -> Any:
        """Lower triangle L of Omega, shape (effects, effects). Traceable."""
        return self.omega.factor(x[len(self.estimated) :])

    def value_of(self, given: float | str, numbers: Any) -> Any:
        """A number of the declaration: itself, or what is estimated under that name."""
        return numbers[self.names.index(given)] if isinstance(given, str) else given

    @property
    def likelihood_constant(self) -> float:
        """What is added to the objective value for -2 log-likelihood: N log 2π."""
        return float((self.data.censored == 0).sum()) * math.log(2 * math.pi)
