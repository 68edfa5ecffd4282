"""Standard errors and intervals of a maximum, from the information there."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from qspx.calibrate.objective import Objective
from qspx.calibrate.search import Evaluator

NORMAL = 1.959963984540054  # 97.5 % quantile of the standard normal
RANK = 1e-10  # eigenvalues of the scaled information below this share of the largest count as zero


class Uncertainty(NamedTuple):
    """Covariance on the estimation scale (estimated, estimated); standard errors `se` in the parameters' own units by
    the delta method, and the 95 % interval `low` to `high`, normal on the estimation scale, all (estimated,). NaN for
    what is held at a bound; infinite where the measurements do not tell."""

    covariance: np.ndarray
    se: np.ndarray
    low: np.ndarray
    high: np.ndarray


def uncertainty(objective: Objective, x: np.ndarray, held: np.ndarray) -> Uncertainty:
    """At `x` (estimated,), given the parameters `held` (bool, estimated) at their values."""
    low, high = objective.box.T
    found = Evaluator(objective).evaluations(((x - low) / (high - low))[None])
    information = found.information[0] / np.outer(high - low, high - low)
    covariance = np.full_like(information, np.nan)
    free = np.flatnonzero(~held)
    covariance[np.ix_(free, free)] = guarded_inverse(information[np.ix_(free, free)])
    se = np.sqrt(np.diag(covariance))
    slope = np.diag(np.asarray(jax.jacfwd(objective.natural)(jnp.asarray(x))))
    with np.errstate(invalid="ignore", over="ignore"):
        ends = [np.asarray(objective.natural(x + side * NORMAL * se)) for side in (-1, 1)]
    return Uncertainty(covariance, np.abs(slope) * se, *ends)


def guarded_inverse(information: np.ndarray) -> np.ndarray:
    """Inverse of a symmetric matrix with non-negative diagonal, by its eigenvalues after scaling the diagonal to one;
    infinite variance for every parameter with a part in a direction of no information."""
    scale = np.sqrt(np.maximum(np.diag(information), 0.0))
    blind = scale == 0
    scale = np.where(blind, 1.0, scale)
    values, vectors = np.linalg.eigh(information / np.outer(scale, scale))
    null = values <= RANK * max(values[-1], 0.0) if len(values) else np.zeros(0, dtype=bool)
    inverse = (vectors[:, ~null] / values[~null]) @ vectors[:, ~null].T / np.outer(scale, scale)
    unknown = blind | (np.abs(vectors[:, null]) > 1e-3).any(axis=1)
    inverse[unknown, :], inverse[:, unknown] = np.nan, np.nan
    inverse[unknown, unknown] = np.inf
    return inverse
