"""The likelihood of measurements, as a function of estimated parameters.

    x ──scales──► values ──assigned──► theta of each run ──integrator──► states at the times of measurements
                     └──────assigned──► local parameters ──formulas────► prediction and sd ──noise──► log-likelihood

Everything is a function of jax: differentiable in both modes, and vmapped over starts. Where a run fails, or a
prediction has no likelihood, the log-likelihood is -inf, and never a NaN.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from qspx._status import Status
from qspx.calibrate.assigned import Assigned
from qspx.calibrate.estimated import Estimated
from qspx.calibrate.noise import AbstractNoise
from qspx.calibrate.phases import Phase, run_phases
from qspx.calibrate.scales import SCALES, to_estimation, to_natural
from qspx.distributions import Joint
from qspx.integrate import AbstractIntegrator

# (time, states (species,), parameters (parameters,), local parameters (locals,)) -> prediction and sd
Formula = Callable[[Any, Any, Any, Any], tuple[Any, Any]]


@dataclasses.dataclass(frozen=True, eq=False)
class Group:
    """Measurements that share formula and noise model.

    Args:
        rows: numbers of the measurements, shape (k,).
        formula: prediction, in the unit of the measurement, and sd, on the scale of the noise.
        local: parameters of the formula that may differ between measurements, shape (k, locals).
        noise: family of the residuals.
    """

    rows: np.ndarray
    formula: Formula
    local: Assigned
    noise: AbstractNoise


class Predictions(NamedTuple):
    """Of every measurement: prediction and sd, shape (measurements,); and the status of every run, shape (runs,)."""

    prediction: Any
    sd: Any
    status: Any


class Evaluation(NamedTuple):
    """Log-posterior, its gradient (estimated,), and the Fisher information (estimated, estimated) plus the negative
    second derivative of the log-prior; on the estimation scale. `ok` says whether every run was solved."""

    value: Any
    gradient: Any
    information: Any
    ok: Any


@dataclasses.dataclass(frozen=True, eq=False)
class Objective:
    """Log-likelihood, log-prior and log-posterior on the estimation scale, shape (estimated,).

    Args:
        estimated: what is estimated; the coordinates of `x`.
        phases: runs one after the other: before the last one, run-ins to a steady state. Measurements are taken in the
            last.
        run, column: of each measurement, which run and which of its samples, shape (measurements,).
        time: of each measurement, in the model's time unit.
        value: what was measured; where `censored` is not 0, the limit.
        censored: 0 for a value, -1 for less than the limit, 1 for more.
        groups: every measurement is in one of them.
        integrator: whose tolerances the likelihood is computed to.
        joint: prior of several estimated parameters together, of the parameters themselves, beside those of each.
    """

    estimated: tuple[Estimated, ...]
    phases: tuple[Phase, ...]
    run: np.ndarray
    column: np.ndarray
    time: np.ndarray
    value: np.ndarray
    censored: np.ndarray
    groups: tuple[Group, ...]
    integrator: AbstractIntegrator
    joint: Joint | None = None

    # coordinates ----------------------------------------------------------------------------------------------------

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(e.name for e in self.estimated)

    @functools.cached_property
    def _scale(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        codes = np.array([SCALES.index(e.scale) for e in self.estimated], dtype=int)
        low, high = (np.array([e.bounds[i] for e in self.estimated], dtype=float) for i in (0, 1))
        return codes, low, high

    @functools.cached_property
    def box(self) -> np.ndarray:
        """Bounds on the estimation scale, shape (estimated, 2)."""
        return np.array([e.box for e in self.estimated], dtype=float).reshape(-1, 2)

    def natural(self, x: Any) -> Any:
        """Estimated values in their own units for coordinates `x` (..., estimated)."""
        return to_natural(x, *self._scale)

    def coordinates(self, values: Any) -> np.ndarray:
        """Inverse of `natural`."""
        return to_estimation(values, *self._scale)

    # prediction -----------------------------------------------------------------------------------------------------

    def predict(self, x: Any) -> Predictions:
        """What is expected of every measurement."""
        values = self.natural(jnp.asarray(x, float))
        states, theta, status = run_phases(self.phases, values, self.integrator)
        solved = (status == Status.OK)[:, None, None]
        states = jnp.where(solved, states, 1.0)  # of a failed run: no NaN goes into the formulas, nor out of them
        y, p = states[self.run, self.column], theta[self.run]
        prediction, sd = jnp.ones(len(self.value)), jnp.ones(len(self.value))
        for group in self.groups:
            found = jax.vmap(group.formula)(self.time[group.rows], y[group.rows], p[group.rows], group.local(values))
            prediction, sd = (a.at[group.rows].set(b) for a, b in zip((prediction, sd), found, strict=True))
        return Predictions(prediction, sd, status)

    # likelihood -----------------------------------------------------------------------------------------------------

    def _log_likelihoods(self, prediction: Any, sd: Any) -> Any:
        total = jnp.zeros(len(self.value))
        for group in self.groups:
            total = total.at[group.rows].set(_log_likelihood(group, self, prediction, sd))
        return total

    def log_likelihoods(self, x: Any) -> Any:
        """Of every measurement, shape (measurements,); NaN where its run failed."""
        found = self.predict(x)
        each = self._log_likelihoods(found.prediction, found.sd)
        return jnp.where((found.status == Status.OK)[self.run], each, jnp.nan)

    def log_likelihood(self, x: Any) -> Any:
        """Sum over the measurements; -inf where a run failed or the sum is not a number."""
        found = self.predict(x)
        return _total(self._log_likelihoods(found.prediction, found.sd).sum(), found.status)

    def log_prior(self, x: Any) -> Any:
        """Sum of the log-densities of the priors, at coordinates `x`."""
        x = jnp.asarray(x, float)
        values, total = self.natural(x), jnp.zeros(())
        for k, e in enumerate(self.estimated):
            if e.prior is not None:
                total = total + e.prior.log_prob(x[k] if e.prior_on == "estimation" else values[k])
        if self.joint is not None:
            columns = np.array([self.names.index(name) for name in self.joint.names])
            total = total + self.joint.log_prob(values[columns][None])[0]
        return total

    def log_posterior(self, x: Any) -> Any:
        """Log-likelihood plus log-prior."""
        return self.log_likelihood(x) + self.log_prior(x)

    def residuals(self, x: Any) -> Any:
        """Standardised residuals, shape (measurements,); of a censored measurement, of its limit. NaN where the run
        failed."""
        found, total = self.predict(x), jnp.zeros(len(self.value))
        for g in self.groups:
            z = g.noise.residual(self.value[g.rows], found.prediction[g.rows], found.sd[g.rows])
            total = total.at[g.rows].set(z)
        return jnp.where((found.status == Status.OK)[self.run], total, jnp.nan)

    # derivatives ----------------------------------------------------------------------------------------------------

    def evaluate(self, x: Any, value: Any = None, weight: Any = None) -> Evaluation:
        """Log-posterior with gradient and information, by one sweep of forward sensitivities; for other measured
        `value`s (measurements,) where they are given, each counted `weight` (measurements,) times."""
        x = jnp.asarray(x, float)
        value = self.value if value is None else value
        weight = jnp.ones(len(self.value)) if weight is None else weight

        def located(x):
            found = self.predict(x)
            place, log_sd = jnp.zeros_like(found.prediction), jnp.zeros_like(found.sd)
            for g in self.groups:
                at, sd, _ = _scatter(g, found.prediction, found.sd)
                place, log_sd = place.at[g.rows].set(at), log_sd.at[g.rows].set(jnp.log(sd))
            return (place, log_sd), found

        (of_place, of_log_sd), found = jax.jacfwd(located, has_aux=True)(x)
        zeros = jnp.zeros_like(found.prediction)

        def shifted(place, log_sd):
            """The log-likelihood with every location and log-sd moved."""
            total = jnp.zeros(())
            for g in self.groups:
                each = _log_likelihood(g, self, found.prediction, found.sd, place, log_sd, value)
                total = total + (weight[g.rows] * each).sum()
            return total

        likelihood, (by_place, by_log_sd) = jax.value_and_grad(shifted, argnums=(0, 1))(zeros, zeros)
        prior, of_prior = jax.value_and_grad(self.log_prior)(x)
        gradient = by_place @ of_place + by_log_sd @ of_log_sd + of_prior
        information = self._information(found, of_place, of_log_sd, value, weight) - jax.hessian(self.log_prior)(x)
        total = _total(likelihood, found.status) + prior
        ok = jnp.isfinite(total) & jnp.isfinite(gradient).all() & jnp.isfinite(information).all()
        return Evaluation(total, jnp.where(ok, gradient, 0.0), jnp.where(ok, information, 0.0), ok)

    def _information(self, found: Predictions, of_place: Any, of_log_sd: Any, value: Any, weight: Any) -> Any:
        """Expected information; of a censored measurement, that of the event of being so."""
        total = jnp.zeros((len(self.estimated),) * 2)
        for g in self.groups:
            at, sd, fine = _scatter(g, found.prediction, found.sd)
            place, log_sd = of_place[g.rows], of_log_sd[g.rows]
            location, scale = g.noise.information
            seen = self.censored[g.rows] == 0
            by_place = weight[g.rows] * jnp.where(seen, location / sd**2, 0.0)
            by_scale = weight[g.rows] * jnp.where(seen, scale, 0.0)
            total = total + place.T @ (by_place[:, None] * place) + log_sd.T @ (by_scale[:, None] * log_sd)
            if not seen.all():
                hidden = ~seen & fine
                z = jnp.where(hidden, (g.noise.on_scale(value[g.rows]) - at) / sd, 0.0)
                density = jnp.exp(2 * g.noise.log_standard(z) - g.noise.log_below_standard(z) - _log_above(g.noise, z))
                moved = -place / sd[:, None] - z[:, None] * log_sd
                total = total + moved.T @ (jnp.where(hidden, density, 0.0)[:, None] * moved)
        return total

    # many starts ----------------------------------------------------------------------------------------------------

    @functools.cached_property
    def values(self) -> Callable[[Any], Any]:
        """Log-posterior of each row of coordinates (starts, estimated); compiled once per number of starts."""
        return jax.jit(jax.vmap(self.log_posterior))

    @functools.cached_property
    def values_and_gradients(self) -> Callable[[Any], Any]:
        """The same with gradients, in reverse mode: zero where the value is not finite."""

        def one(x):
            value, gradient = jax.value_and_grad(self.log_posterior)(x)
            return value, jnp.where(jnp.isfinite(value), gradient, 0.0)

        return jax.jit(jax.vmap(one))

    @functools.cached_property
    def evaluations(self) -> Callable[[Any], Evaluation]:
        """`evaluate` of each row."""
        return jax.jit(jax.vmap(self.evaluate))

    @functools.cached_property
    def resampled(self) -> Callable[[Any, Any, Any], Evaluation]:
        """`evaluate` of each row, with measured values and weights of its own (starts, measurements)."""
        return jax.jit(jax.vmap(self.evaluate))

    @functools.cached_property
    def predictions(self) -> Callable[[Any], Predictions]:
        """`predict` of each row."""
        return jax.jit(jax.vmap(self.predict))


def _total(value: Any, status: Any) -> Any:
    ok = (status == Status.OK).all() & jnp.isfinite(value)
    return jnp.where(ok, jnp.where(ok, value, 0.0), -jnp.inf)


def _log_above(noise: AbstractNoise, z: Any) -> Any:
    """Log of the probability of more: the densities are symmetric."""
    return noise.log_below_standard(-z)


def _scatter(group: Group, prediction: Any, sd: Any) -> tuple[Any, Any, Any]:
    """Location and sd on the scale of the noise of the measurements of a group, each (k,), and where they are any: in
    other places both are replaced by what harms no derivative."""
    at, sd = prediction[group.rows], sd[group.rows]
    fine = jnp.isfinite(at) & jnp.isfinite(sd) & (sd > 0)
    fine = fine if group.noise.scale == "lin" else fine & (at > 0)
    return group.noise.on_scale(jnp.where(fine, at, 1.0)), jnp.where(fine, sd, 1.0), fine


def _log_likelihood(
    group: Group, o: Objective, prediction: Any, sd: Any, place: Any = None, log_sd: Any = None, value: Any = None
) -> Any:
    """Of the measurements of a group, shape (k,); -inf where prediction or sd are none. `place` and `log_sd`
    (measurements,) move location and log-sd; `value` (measurements,) stands for what was measured."""
    rows, noise = group.rows, group.noise
    value, censored = (o.value if value is None else value)[rows], o.censored[rows]
    at, spread, fine = _scatter(group, prediction, sd)
    if place is not None:
        at, spread = at + place[rows], spread * jnp.exp(log_sd[rows])
    z = (noise.on_scale(value) - at) / spread
    each = noise.log_standard(z) - jnp.log(spread) + noise.log_slope(value)
    found = jnp.where(fine, each, -jnp.inf)
    if censored.any():
        beyond = noise.log_below_standard(jnp.where(censored == 0, 0.0, -censored * z))
        # without scatter (nothing is there yet, so nothing scatters) a prediction below the limit is sure to be
        still = jnp.isfinite(prediction[rows]) & (prediction[rows] < value) & (censored < 0)
        found = jnp.where(censored == 0, found, jnp.where(fine, beyond, jnp.where(still, 0.0, -jnp.inf)))
    return found
