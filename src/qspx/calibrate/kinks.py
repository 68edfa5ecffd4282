"""Searches that end at a kink: the log-posterior of Laplace residuals has one wherever a residual is zero.

At the optimum some residuals are zero: there is no gradient to follow, and a smooth search stalls before it. It goes on
with sqrt(z² + e²) in the place of |z|, the width e of the rounded kink falling from one to 1e-5. What is reported is
always the log-posterior itself; the rounded one is less by no more than e for each measurement, so that where the
last one has its maximum the true one is within 1e-5 per measurement of its own.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qspx.calibrate.fit_status import FitStatus
from qspx.calibrate.noise import LaplaceNoise
from qspx.calibrate.objective import Evaluation, Objective
from qspx.calibrate.search import Evaluator, Search
from qspx.calibrate.trust_region import TrustRegion

WIDTHS = (1.0, 0.3, 0.1, 0.03, 0.01, 1e-3, 1e-4, 1e-5)  # of the rounded kink, in standardised residuals


def has_kinks(objective: Objective) -> bool:
    """Whether some measurement has a density with a kink."""
    return any(isinstance(g.noise, LaplaceNoise) for g in objective.groups)


def across_kinks(evaluator: Evaluator, search: Search) -> Search:
    """Searches that stalled, gone on with. One whose rounded log-posterior comes to its maximum ends as `AT_KINK`; any
    other is returned as it was."""
    rounded, method = Rounded(evaluator.objective), TrustRegion()
    at = search
    for width in WIDTHS:
        rounded.width_of_kink = width
        at = _searched(rounded, method, at)
    true = evaluator.evaluations(at.place)
    found = dataclasses.replace(
        at,
        value=true.value,
        gradient=true.gradient,
        status=np.full(len(at.status), FitStatus.AT_KINK),
        evaluations=at.evaluations + 1,
        memory=search.memory,
    )
    converged = np.array([FitStatus(int(code)).converged for code in at.status], dtype=bool)
    better = np.flatnonzero(converged & true.ok & (true.value >= search.value))
    return search.merged(better, found.rows(better))


def _searched(rounded: Rounded, method: TrustRegion, search: Search) -> Search:
    """The maximum of the rounded log-posterior from where each search stands."""
    found = rounded.evaluations(search.place)
    at = dataclasses.replace(
        search,
        value=found.value,
        gradient=found.gradient,
        status=np.where(found.ok, FitStatus.RUNNING, FitStatus.STALLED),
        iterations=np.zeros_like(search.iterations),
        evaluations=search.evaluations + 1,
        memory=method.begin(rounded, search.place, found),
    )
    while at.running.any():
        rows = np.flatnonzero(at.running)
        at = at.merged(rows, method.advance(rounded, at.rows(rows)))
    return dataclasses.replace(at, iterations=search.iterations + at.iterations)


class Rounded(Evaluator):
    """Evaluates the log-posterior with rounded kinks."""

    def __init__(self, objective: Objective):
        super().__init__(objective)
        self.width_of_kink = WIDTHS[0]
        self._compiled = jax.jit(jax.vmap(self._one, in_axes=(0, None)))

    def _one(self, x: Any, width: Any) -> Evaluation:
        o = self.objective
        z = o.residuals(x)
        groups = [
            dataclasses.replace(g, noise=_Rounded(g.noise, width, z[g.rows]))
            if isinstance(g.noise, LaplaceNoise)
            else g
            for g in o.groups
        ]
        return dataclasses.replace(o, groups=tuple(groups)).evaluate(x)

    def _at(self, x: np.ndarray) -> Evaluation:
        return self._compiled(x, self.width_of_kink)


@dataclasses.dataclass(frozen=True, eq=False)
class _Rounded(LaplaceNoise):
    """Laplace residuals with sqrt(z² + width²) in the place of |z|, and for the information the curvature at the
    residuals `z` themselves."""

    of: LaplaceNoise
    width: Any
    z: Any

    def __post_init__(self):
        object.__setattr__(self, "scale", self.of.scale)

    def log_standard(self, z):
        return -jnp.sqrt(z**2 + self.width**2) - jnp.log(2.0)

    @property
    def information(self):
        square = self.z**2 + self.width**2
        return self.width**2 / square**1.5, self.z**2 * (square + self.width**2) / square**1.5
