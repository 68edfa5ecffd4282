"""Fisher information of the estimated parameters, and what follows from it: covariance, standard errors, intervals.

    information F = Σ J' R⁻¹ J + ½ Σ ∂R ∂R'/R² - ∂² log prior,   covariance = F⁻¹

on the estimation scale. It is a local statement: how sharply the log-likelihood falls off near the optimum if it falls
off like a parabola. Profiles and draws from the posterior do not assume that; where they disagree, believe them.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import expit, ndtri

from qspx._errors import CalibrationError
from qspx.calibrate.lanes import in_lanes
from qspx.calibrate.objective import Objective
from qspx.calibrate.spectrum import RANK_AT, Spectrum, spectrum

if TYPE_CHECKING:
    import pandas as pd

_NEAR = 1e-6  # of the range between the bounds: nearer than this to one is at it
_INVOLVED = 1e-6  # squared share of a parameter in the unseen directions above which its own value is not determined


@dataclasses.dataclass(frozen=True, eq=False)
class Information:
    """Fisher information at a point.

    Args:
        objective: whose.
        x: the point, estimation scale, shape (estimated,).
        value: log-posterior there.
        gradient: its gradient, shape (estimated,).
        matrix: the information, negative curvature of the prior included, shape (estimated, estimated).
        rank_at: eigenvalues below this share of the largest count as zero.
    """

    objective: Objective
    x: np.ndarray
    value: float
    gradient: np.ndarray
    matrix: np.ndarray
    rank_at: float = RANK_AT

    @property
    def names(self) -> tuple[str, ...]:
        return self.objective.names

    @functools.cached_property
    def free(self) -> np.ndarray:
        """Which parameters are not at a bound, shape (estimated,). Those at one are left out: their interval is
        one-sided, and the others' is what it is with them held there."""
        return ~at_bound(self.objective, self.x)

    @functools.cached_property
    def spectrum(self) -> Spectrum:
        """Of the free parameters, shape (free, free)."""
        box = self.objective.box[self.free]
        return spectrum(self.matrix[np.ix_(self.free, self.free)], box[:, 1] - box[:, 0], self.rank_at)

    @functools.cached_property
    def determined(self) -> np.ndarray:
        """Which parameters are free and have a value of their own: no unseen direction changes them, shape
        (estimated,)."""
        found = np.zeros(len(self.names), bool)
        found[self.free] = (self.spectrum.turned[:, self.spectrum.null] ** 2).sum(axis=1) <= _INVOLVED
        return found

    @functools.cached_property
    def covariance(self) -> np.ndarray:
        """On the estimation scale, shape (estimated, estimated): infinite variance for parameters that are not
        determined, NaN for those at a bound and for covariances with either."""
        found = np.full((len(self.names),) * 2, np.nan)
        found[np.ix_(self.free, self.free)] = self.spectrum.inverse
        out = ~self.determined
        found[out, :] = np.nan
        found[:, out] = np.nan
        found[np.diag_indices_from(found)] = np.where(self.free & out, np.inf, np.diag(found))
        return found

    @property
    def se(self) -> np.ndarray:
        """Standard errors on the estimation scale, shape (estimated,): infinite where not determined, NaN at a
        bound."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def se_natural(self) -> np.ndarray:
        """Standard errors of the parameters themselves, by the delta method, shape (estimated,)."""
        return self.se * slope(self.objective, self.x)

    @property
    def correlation(self) -> np.ndarray:
        """Of the estimates on the estimation scale, shape (estimated, estimated)."""
        with np.errstate(invalid="ignore"):
            found = self.covariance / np.outer(self.se, self.se)
        return np.where(np.eye(len(self.names), dtype=bool) & self.determined, 1.0, found)

    def interval(self, level: float = 0.95) -> np.ndarray:
        """Of the parameters themselves, shape (estimated, 2): the normal interval on the estimation scale, transformed,
        so that it lies where the parameter can. (0, inf) and the like where not determined, NaN at a bound.

        Raises:
            CalibrationError: unless `level` lies between 0 and 1.
        """
        half = z_of(level) * self.se
        with np.errstate(over="ignore"):
            ends = np.stack([self.x - half, self.x + half])
            return np.asarray(self.objective.natural(ends)).T

    def to_dataframe(self, level: float = 0.95) -> pd.DataFrame:
        """One row per parameter: estimate, se, rse (se over estimate), low, high, on the natural scale, and a note."""
        import pandas as pd

        value, ends = np.asarray(self.objective.natural(self.x)), self.interval(level)
        notes = [
            "at a bound: held there" if not free else "" if known else "not identifiable alone"
            for free, known in zip(self.free, self.determined, strict=True)
        ]
        with np.errstate(divide="ignore", invalid="ignore"):
            rse = self.se_natural / np.abs(value)
        columns = {"parameter": list(self.names), "estimate": value, "se": self.se_natural, "rse": rse}
        frame = pd.DataFrame(columns | {"low": ends[:, 0], "high": ends[:, 1], "note": notes})
        frame.attrs["level"] = level
        return frame

    def __str__(self) -> str:
        head = f"Fisher information at log-posterior {self.value:.6g}: rank {self.spectrum.rank} of {self.free.sum()}"
        return f"{head}\n{self.to_dataframe().to_string(index=False)}"


def fisher_information(objective: Objective, x: np.ndarray, *, rank_at: float = RANK_AT) -> Information:
    """Fisher information at `x`, estimation scale, shape (estimated,), most useful at the optimum.

    Raises:
        CalibrationError: if `x` has another shape, or a run fails there.
    """
    x = checked_point(objective, x)
    found = in_lanes(objective, x[None])
    if not bool(found.ok[0]):
        raise CalibrationError(
            f"Argument `x` must be a point where every run is solved, but at {named_values(objective, x)} the "
            "log-posterior is not finite. Take the best point of a fit."
        )
    value, gradient, matrix = (np.asarray(a[0]) for a in (found.value, found.gradient, found.information))
    return Information(objective, x, float(value), gradient, 0.5 * (matrix + matrix.T), rank_at)


def checked_point(objective: Objective, x: np.ndarray) -> np.ndarray:
    """`x` as an array. Raises `CalibrationError` unless it is finite, of shape (estimated,) and inside the box."""
    given = np.asarray(x, dtype=float)
    n = len(objective.estimated)
    if given.shape != (n,) or not np.isfinite(given).all():
        raise CalibrationError(
            f"Argument `x` must be {n} finite numbers on the estimation scale, one for each of "
            f"{', '.join(objective.names)}, but {x!r} was given."
        )
    box = objective.box
    slack = 1e-9 * (box[:, 1] - box[:, 0])
    if (out := (given < box[:, 0] - slack) | (given > box[:, 1] + slack)).any():
        raise CalibrationError(
            f"Argument `x` must lie within the bounds, but {objective.names[int(np.argmax(out))]} does not. It is "
            "on the estimation scale: use `objective.coordinates(values)`."
        )
    return np.clip(given, box[:, 0], box[:, 1])


def at_bound(objective: Objective, x: np.ndarray) -> np.ndarray:
    """Which coordinates lie at a bound, shape of `x` (..., estimated)."""
    return side_of_bound(objective, x) != 0


def side_of_bound(objective: Objective, x: np.ndarray) -> np.ndarray:
    """-1 where a coordinate lies at its lower bound, 1 at its upper, else 0, shape of `x` (..., estimated).

    A search on a logit only comes closer and closer to a bound, ever flatter: there the parameter itself counts, which
    would else look as if it had no influence.
    """
    low, high = objective.box.T
    logit = np.array([e.scale == "logit" for e in objective.estimated])
    above = np.where(logit, expit(x), (x - low) / (high - low))
    below = np.where(logit, expit(-x), (high - x) / (high - low))
    return np.where(above <= _NEAR, -1, np.where(below <= _NEAR, 1, 0))


def slope(objective: Objective, x: np.ndarray) -> np.ndarray:
    """Derivative of each parameter by its coordinate, shape of `x` (..., estimated)."""
    given = jnp.asarray(x, float)
    return np.asarray(jax.jvp(objective.natural, (given,), (jnp.ones_like(given),))[1])


def named_values(objective: Objective, x: np.ndarray) -> str:
    """`k = 0.3, V = 12`."""
    values = np.asarray(objective.natural(x))
    return ", ".join(f"{name} = {v:.4g}" for name, v in zip(objective.names, values, strict=True))


def z_of(level: float) -> float:
    """Half width of a central normal interval. Raises `CalibrationError` unless `level` is between 0 and 1."""
    if not 0 < level < 1:
        raise CalibrationError(f"Argument `level` must lie between 0 and 1, but {level!r} was given; 0.95 is common.")
    return float(ndtri(0.5 + level / 2))
