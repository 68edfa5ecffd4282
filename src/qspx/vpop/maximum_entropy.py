"""Maximum entropy: the weights nearest to equal ones (or to given ones) that match the target.

    minimise KL(w | w0) subject to A w = b;   w_i = w0_i exp(a_i . lambda) / sum
    dual: log sum_i w0_i exp(a_i . lambda) - b . lambda + 1/2 lambda' S lambda

S is the covariance of the target (a small sample is matched less closely) plus `ridge`. A multiplier says what a datum
pulls. Multipliers that grow without end say that the patients cannot look like the target: widen the prior then.
Jaynes 1957; for survey weights Deville and Särndal 1992 (doi 10.1080/01621459.1992.10475217).
"""

from __future__ import annotations

import dataclasses

import numpy as np

from qspx.vpop.dual import DualSolution, solve_dual
from qspx.vpop.outputs import PopulationError
from qspx.vpop.weighting import AbstractWeighting


@dataclasses.dataclass(frozen=True)
class MaximumEntropy(AbstractWeighting):
    """Maximum-entropy weights.

    Args:
        ridge: added to the diagonal of the target's covariance; 0 matches a target without sample size exactly.
        uncertain: use the target's covariance (where its sample size is known).

    `details`: multipliers by feature, dual value, steps, whether converged, features `unsupported` by the patients (the
    target lies outside the range that they span).
    """

    ridge: float = 1e-6
    uncertain: bool = True

    def __post_init__(self):
        if not 0 <= self.ridge < np.inf:
            raise PopulationError(f"Argument `ridge` must be finite and >= 0, but is {self.ridge}.")

    def weigh(self, cloud, key):
        f = cloud.features()
        matrix, target = f.matrix, f.target
        # features that no patient varies in carry no information on weights, and only their mismatch remains
        found = tilted(matrix, target, self.ridge * np.eye(len(target)) + (f.covariance if self.uncertain else 0.0))
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


def tilted(matrix: np.ndarray, target: np.ndarray, penalty: np.ndarray) -> DualSolution:
    """Weights nearest to equal ones under which features `matrix` (n, K) have the means `target` (K,); `penalty` (K, K)
    is the covariance of the target, S above."""

    def dual(x):
        scores = matrix @ x
        top = scores.max()
        w = np.exp(scores - top)
        total = w.sum()
        w = w / total
        mean = w @ matrix
        centred = matrix - mean
        curvature = (centred * w[:, None]).T @ centred + penalty
        value = np.log(total / len(w)) + top - x @ target + 0.5 * x @ penalty @ x
        return float(value), mean - target + penalty @ x, curvature, w

    return solve_dual(dual, np.zeros(len(target)))
