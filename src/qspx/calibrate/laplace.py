"""Laplace's approximation: the posterior as a normal distribution around its maximum, on the estimation scale.

    x ~ N(x̂, F⁻¹) within the box,   log evidence ≈ log posterior(x̂) + ½ d log 2π - ½ log |F| + log P(inside the box)

Exact where the log-posterior is a parabola; it knows nothing of curved valleys, other modes or flat directions. It
tells that something is wrong by a large share of draws outside the box.
"""

from __future__ import annotations

import dataclasses
import math

import jax
import numpy as np

from qspx._errors import CalibrationError
from qspx._random import KeyLike, as_key
from qspx.calibrate.draws import Draws
from qspx.calibrate.information import Information, fisher_information
from qspx.calibrate.objective import Objective
from qspx.calibrate.priors import has_prior

_PROBES = 20_000  # draws for the share inside the box


@dataclasses.dataclass(frozen=True, eq=False)
class Laplace:
    """A normal distribution of the estimated parameters, cut off at the bounds. Parameters at a bound stay there.

    Args:
        information: at the maximum.
        inside: share of the normal distribution that lies within the bounds.
    """

    information: Information
    inside: float

    @property
    def covariance(self) -> np.ndarray:
        """On the estimation scale, before it is cut off, shape (estimated, estimated); NaN for those at a bound."""
        return self.information.covariance

    @property
    def log_evidence(self) -> float:
        """Log of the integral of likelihood times prior over the box. Parameters without a prior count as uniform on
        the estimation scale within their bounds; those at a bound as known."""
        info = self.information
        box, free = info.objective.box, info.free
        flat = ~has_prior(info.objective) & free
        d = int(free.sum())
        curvature = info.matrix[np.ix_(free, free)]
        value = info.value - float(np.log(box[flat, 1] - box[flat, 0]).sum())
        normal = 0.5 * d * math.log(2 * math.pi) - 0.5 * float(np.linalg.slogdet(curvature)[1])
        return value + normal + math.log(self.inside)

    def sample(self, key: KeyLike, n: int) -> Draws:
        """`n` draws within the bounds.

        Raises:
            CalibrationError: if less than one in a thousand lies within the bounds.
        """
        if n < 1:
            raise CalibrationError(f"Argument `n` must be >= 1, but {n} was given.")
        info, kept, tried, found = self.information, 0, 0, []
        now: jax.Array = as_key(key)
        while kept < n:
            now, this = jax.random.split(now)
            x = _normal(info, this, max(1024, 2 * (n - kept)))
            good = _within(info, x)
            tried, kept = tried + len(x), kept + int(good.sum())
            found.append(x[good])
            if kept < 1e-3 * tried:
                raise CalibrationError(
                    f"of {tried} draws of the normal approximation only {kept} lie within the bounds. It does not "
                    "describe this posterior: use `sample_posterior`, or wider bounds."
                )
        origin = f"Laplace approximation, {100 * self.inside:.3g} % of it within the bounds"
        return Draws(info.objective, np.concatenate(found)[:n], origin)

    def __str__(self) -> str:
        return (
            f"Laplace approximation, {100 * self.inside:.3g} % within the bounds, log evidence "
            f"{self.log_evidence:.6g}\n{self.information.to_dataframe().to_string(index=False)}"
        )


def laplace(objective: Objective, x: np.ndarray, *, key: KeyLike = 0) -> Laplace:
    """Laplace's approximation at the maximum `x`, estimation scale, shape (estimated,). `key` is for the share within
    the bounds, a Monte Carlo number.

    Raises:
        CalibrationError: where a parameter is not identifiable, so that there is no such approximation.
    """
    info = fisher_information(objective, x)
    if lost := [n for n, free, ok in zip(info.names, info.free, info.determined, strict=True) if free and not ok]:
        raise CalibrationError(
            f"there is no normal approximation: {', '.join(lost)} are not identifiable from these data (see "
            "`identifiability`). Fix one of them, give it a prior, or use `sample_posterior`, where the bounds decide."
        )
    if not info.free.any():
        raise CalibrationError("there is no normal approximation: every parameter is at a bound.")
    inside = float(_within(info, _normal(info, as_key(key), _PROBES)).mean())
    if inside == 0:
        raise CalibrationError(f"none of {_PROBES} draws of the normal approximation lie within the bounds.")
    return Laplace(info, inside)


def _normal(info: Information, key: jax.Array, n: int) -> np.ndarray:
    """Draws before they are cut off, shape (n, estimated)."""
    free = info.free
    factor = np.linalg.cholesky(info.covariance[np.ix_(free, free)])
    z = np.asarray(jax.random.normal(key, (n, int(free.sum())), dtype=float))
    x = np.tile(info.x, (n, 1))
    x[:, free] += z @ factor.T
    return x


def _within(info: Information, x: np.ndarray) -> np.ndarray:
    low, high = info.objective.box.T
    return ((x >= low) & (x <= high)).all(axis=1)
