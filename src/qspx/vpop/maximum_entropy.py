"""Maximum entropy: the weights nearest to equal ones (or to given ones) that match the target.

    minimise KL(w | w0) subject to A w = b;   w_i = w0_i exp(a_i . lambda) / sum
    dual: log sum_i w0_i exp(a_i . lambda) - b . lambda + 1/2 lambda' S lambda

S is the covariance of the target (a small sample is matched less closely) plus `ridge`. A multiplier says what a datum
pulls. Multipliers that grow without end say that the patients cannot look like the target: widen the prior then.
Jaynes 1957; for survey weights Deville and Särndal 1992 (doi 10.1080/01621459.1992.10475217).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from qspx.vpop.dual import DualSolution, solve_dual
from qspx.vpop.outputs import PopulationError
from qspx.vpop.weighting import AbstractWeighting, Cloud


@dataclasses.dataclass(frozen=True, eq=False)
class MaximumEntropy(AbstractWeighting):
    """Maximum-entropy weights.

    Args:
        ridge: added to the diagonal of the target's covariance; 0 matches a target without sample size exactly.
        uncertain: use the target's covariance (where its sample size is known).
        prior: w0, one number >= 0 for each row of the outputs (any scale): those of a survey, or of an earlier fit
            (`population.weights`). Who has none gets none. None: those of the outputs' cohort, which are equal ones
            unless it was given others.

    `details`: multipliers by feature, dual value, steps, whether converged, features `unsupported` by the patients (the
    target lies outside the range that they span).
    """

    ridge: float = 1e-6
    uncertain: bool = True
    prior: np.ndarray | Sequence[float] | None = None

    def __post_init__(self):
        if not 0 <= self.ridge < np.inf:
            raise PopulationError(f"Argument `ridge` must be finite and >= 0, but is {self.ridge}.")

    def weigh(self, cloud, key):
        f = cloud.features()
        matrix, target = f.matrix, f.target
        # features that no patient varies in carry no information on weights, and only their mismatch remains
        penalty = self.ridge * np.eye(len(target)) + (f.covariance if self.uncertain else 0.0)
        found = tilted(matrix, target, penalty, self._prior(cloud))
        outside = (target > matrix.max(axis=0) + 1e-12) | (target < matrix.min(axis=0) - 1e-12)
        return found.weights, {
            "multipliers": dict(zip(f.labels, found.multipliers.tolist(), strict=True)),
            "multiplier_norm": float(np.linalg.norm(found.multipliers)),
            "dual_value": found.value,
            "slope": found.slope,
            "steps": found.steps,
            "converged": found.converged,
            "unsupported": [label for label, out in zip(f.labels, outside, strict=True) if out],
        }

    def _prior(self, cloud: Cloud) -> np.ndarray | None:
        """Of the usable patients; None where they are equal."""
        given = cloud.outputs.cohort.weights if self.prior is None else np.asarray(self.prior, float)
        if given.shape != (len(cloud.outputs),):
            raise PopulationError(
                f"Argument `prior` must hold one number for each of {len(cloud.outputs)} patients, but has shape "
                f"{given.shape}."
            )
        mine = given[cloud.usable]
        if not (np.isfinite(mine).all() and (mine >= 0).all() and mine.sum() > 0):
            raise PopulationError(
                f"Argument `prior` must hold finite numbers >= 0, not all zero for the usable patients, but reaches "
                f"from {mine.min()} to {mine.max()}."
            )
        return mine if np.ptp(mine) > 0 else None


def tilted(
    matrix: np.ndarray, target: np.ndarray, penalty: np.ndarray, prior: np.ndarray | None = None
) -> DualSolution:
    """Weights nearest to `prior` ones (n,) (equal ones) under which features `matrix` (n, K) have the means `target`
    (K,); `penalty` (K, K) is the covariance of the target, S above."""
    w0 = 1.0 if prior is None else prior / prior.mean()

    def dual(x):
        scores = matrix @ x
        top = scores.max()
        w = w0 * np.exp(scores - top)
        total = w.sum()
        w = w / total
        mean = w @ matrix
        centred = matrix - mean
        curvature = (centred * w[:, None]).T @ centred + penalty
        value = np.log(total / len(w)) + top - x @ target + 0.5 * x @ penalty @ x
        return float(value), mean - target + penalty @ x, curvature, w

    return solve_dual(dual, np.zeros(len(target)))
