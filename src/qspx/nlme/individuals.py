"""A population problem as arrays: one row per individual, measurements padded to the longest."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from qspx._errors import CalibrationError
from qspx._status import Status
from qspx.calibrate.runs import Runs
from qspx.integrate import AbstractIntegrator
from qspx.nlme.compiling import compiled
from qspx.nlme.problem import PopulationProblem

_LOG_OF_NOTHING = -1e3  # below the logarithm of every positive number in double precision, -745


class Row(NamedTuple):
    """What one individual brings; as fields of `Individuals.rows` with one axis more, the first.

    base: u before estimated typical values and covariates, (columns,). covariates: column of each covariate effect,
    (effects,). value: measurements on the scale of their noise, (m,). seen: False where padded, (m,). endpoint: place
    among the endpoints, (m,). censored: 0, -1 or 1, (m,); None where nothing is.
    """

    base: Any
    covariates: Any
    value: Any
    seen: Any
    endpoint: Any
    censored: Any


class Jets(NamedTuple):
    """Predictions on the scale of the noise (..., individuals, m), their derivatives by u (..., individuals, m,
    columns), and the status of the solve (..., individuals). Where that is not OK: zeros."""

    f: Any
    slope: Any
    status: Any


@dataclasses.dataclass(frozen=True, eq=False)
class Individuals:
    """The arrays, and predictions from them."""

    problem: PopulationProblem

    @functools.cached_property
    def place(self) -> tuple[np.ndarray, np.ndarray]:
        """(individual, number within it) of each measurement."""
        who = self.problem.data.individual
        first = np.searchsorted(who, np.arange(len(self.problem.data)))
        return who, np.arange(len(who)) - first[who]

    @property
    def shape(self) -> tuple[int, int]:
        """(individuals, measurements of the one with most)"""
        return len(self.problem.data), int(self.place[1].max()) + 1

    def padded(self, x: Any, fill: Any = 0) -> np.ndarray:
        """Numbers by measurement as (individuals, m)."""
        full = np.full(self.shape, fill, dtype=np.asarray(x).dtype)
        full[self.place] = x
        return full

    @functools.cached_property
    def rows(self) -> Row:
        problem, data = self.problem, self.problem.data
        logarithmic = problem.logarithmic[data.endpoint]
        value = np.where(logarithmic, np.log(np.where(logarithmic, data.value, 1.0)), data.value)
        columns = [e.column(data.covariates[e.covariate]) for e in problem.covariate_effects]
        covariates = np.stack(columns, axis=1) if columns else np.zeros((len(data), 0))
        base = problem.columns_of(data.theta[:, self._places])
        free = {name for _, name in problem.typical}
        for k, c in enumerate(problem.columns):
            if c not in free and not np.isfinite(base[:, k]).all():
                raise CalibrationError(f"the typical value of `{c}` does not lie on its scale in every individual.")
        return Row(
            np.where(np.isfinite(base), base, 0.0),
            covariates,
            self.padded(value),
            self.padded(np.ones(len(data.value), bool), False),
            self.padded(data.endpoint),
            self.padded(data.censored) if (data.censored != 0).any() else None,
        )

    @functools.cached_property
    def log_slope(self) -> np.ndarray:
        """What -2 log-density gains where values scatter on the logarithm, (individuals,)."""
        data = self.problem.data
        counts = self.problem.logarithmic[data.endpoint] & (data.censored == 0)
        each = 2 * np.log(np.where(counts, data.value, 1.0))
        return np.bincount(data.individual, each, len(data))

    @functools.cached_property
    def _places(self) -> list[int]:
        return [self.problem.model.parameter_index(c) for c in self.problem.columns]

    # u ----------------------------------------------------------------------------------------------------------------

    def mean(self, x: Any, row: Row) -> Any:
        """u of an individual without random effects, (columns,). Traceable."""
        problem, u = self.problem, jnp.asarray(row.base)
        for k, name in problem.typical:
            u = u.at[problem.columns.index(name)].set(x[k])
        numbers = problem.numbers(x)
        for k, e in enumerate(problem.covariate_effects):
            coefficient = problem.value_of(e.coefficient, numbers)
            u = u.at[problem.columns.index(e.parameter)].add(coefficient * row.covariates[k])
        return u

    def with_effects(self, mean: Any, factor: Any, z: Any) -> Any:
        """u of an individual with standardised random effects z (effects,). Traceable."""
        return mean.at[: len(self.problem.omega)].add(factor @ z)  # columns with random effects come first

    def variance(self, x: Any, f: Any, endpoint: Any) -> Any:
        """Residual variance for predictions f, both (m,). Traceable."""
        problem, found = self.problem, jnp.ones_like(f)
        numbers = problem.numbers(x)
        for k, name in enumerate(problem.data.endpoints):
            error = problem.residuals[name]
            parts = jnp.stack([jnp.asarray(problem.value_of(p, numbers), float) for p in error.numbers.values()])
            natural = jnp.exp(f) if problem.logarithmic[k] else f
            spread = error.spread(natural, parts, jnp.nan) + jnp.zeros_like(f)
            found = jnp.where(endpoint == k, spread**2, found)
        return found

    # predictions ------------------------------------------------------------------------------------------------------

    @functools.cached_property
    def _runs(self) -> tuple[Runs, AbstractIntegrator, np.ndarray, np.ndarray]:
        runs, column = self.problem.data.runs()
        integrator = self.problem.integrator.chosen(runs.request)
        return runs, integrator, self.padded(column), self.padded(self.problem.data.time)

    def predict(self, u: Any) -> tuple[Any, Any]:
        """Predictions on the scale of the noise (individuals, m), zero where padded or failed, and status, for u
        (individuals, columns). Traceable and differentiable once."""
        problem = self.problem
        runs, integrator, column, time = self._runs
        theta = jnp.asarray(problem.data.theta).at[:, np.array(self._places)].set(problem.natural_columns(u))
        states, status = runs.states(theta, integrator)
        states = jnp.where((status == Status.OK)[:, None, None], states, 1.0)
        at = states[np.arange(len(states))[:, None], column]
        endpoint, seen = self.rows.endpoint, self.rows.seen
        observed = jax.vmap(
            jax.vmap(
                lambda t, y, p: problem.model.observables_vector(t, y, p, problem.data.endpoints), in_axes=(0, 0, None)
            )
        )(jnp.asarray(time), at, theta)
        f = jnp.take_along_axis(observed, jnp.asarray(endpoint)[..., None], axis=-1)[..., 0]
        logarithmic = problem.logarithmic[endpoint]
        positive = jnp.where(logarithmic & seen & (f > 0), f, 1.0)
        below = self.padded(problem.data.censored) < 0  # nothing at all is below any limit
        none = jnp.where(below & (f <= 0), _LOG_OF_NOTHING, jnp.nan)
        f = jnp.where(logarithmic, jnp.where(f > 0, jnp.log(positive), none), f)
        usable = seen & (status == Status.OK)[:, None]
        finite = jnp.isfinite(jnp.where(usable, f, 0.0)).all(axis=1)
        status = jnp.where((status == Status.OK) & ~finite, Status.NONFINITE, status)
        return jnp.where(usable & finite[:, None], f, 0.0), status

    def _jets(self, u: Any) -> Jets:
        def along(k):
            return jax.jvp(self.predict, (u,), (jnp.zeros_like(u).at[:, k].set(1.0),), has_aux=True)

        f, slope, status = jax.vmap(along, out_axes=(None, -1, None))(jnp.arange(u.shape[1]))
        fine = (status == Status.OK) & jnp.isfinite(slope).all(axis=(1, 2))
        status = jnp.where((status == Status.OK) & ~fine, Status.NONFINITE, status)
        return Jets(jnp.where(fine[:, None], f, 0.0), jnp.where(fine[:, None, None], slope, 0.0), status)

    @functools.cached_property
    def jets(self) -> Any:
        """Compiled: u (individuals, columns) -> Jets."""
        _ = self._runs  # made outside of the trace
        return compiled(self._jets)

    @functools.cached_property
    def many_jets(self) -> Any:
        """Compiled: u (points, individuals, columns) -> Jets with one axis more, the first."""
        _ = self._runs
        return compiled(jax.vmap(self._jets))

    @functools.cached_property
    def many_predictions(self) -> Any:
        """Compiled: u (points, individuals, columns) -> `predict` with one axis more, the first."""
        _ = self._runs
        return compiled(jax.vmap(self.predict))
