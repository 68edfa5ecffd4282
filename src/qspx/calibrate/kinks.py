"""Searches that end at a kink: the log-posterior of Laplace residuals has one wherever a residual is zero.

At the optimum some residuals are zero: there is no gradient to follow, and a smooth search stalls before it. It goes on
with sqrt(z² + e²) in the place of |z|, the width e of the rounded kink falling from one to 1e-5. What is reported is
always the log-posterior itself; the rounded one is less by no more than e for each measurement, so that where the
last one has its maximum the true one is within 1e-5 per measurement of its own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qspx.calibrate.fit_status import FitStatus
from qspx.calibrate.noise import LaplaceNoise
from qspx.calibrate.objective import Evaluation, Group, Objective
from qspx.calibrate.search import Evaluator, Search
from qspx.calibrate.trust_region import TrustRegion

WIDTHS = (1.0, 0.3, 0.1, 0.03, 0.01, 1e-3, 1e-4, 1e-5)  # of the rounded kink, in standardised residuals


def has_kinks(objective: Objective) -> bool:
    """Whether some measurement has a density with a kink."""
    return any(isinstance(g.noise, LaplaceNoise) for g in objective.groups)


def across_kinks(evaluator: Evaluator, search: Search) -> Search:
    """Searches that ended, gone on with. One whose rounded log-posterior comes to its maximum ends as `AT_KINK`; any
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
        self._compiled = rounded_evaluations(objective)

    def _at(self, x: np.ndarray) -> Evaluation:
        return self._compiled(self.width_of_kink, x)


def rounded_evaluations(objective: Objective) -> Callable[..., Evaluation]:
    """Compiled: (width of the rounded kinks, coordinates (points, estimated)) -> `Objective.evaluations` with them; or
    with measured values and weights of every point's own, as `Objective.resampled` has them, both (points,
    measurements)."""
    o = objective

    def one(width: Any, x: Any, value: Any = None, weight: Any = None) -> Evaluation:
        found, measured = o.predict(x), o.value if value is None else value

        def rounded(g: Group) -> Group:
            if not isinstance(g.noise, LaplaceNoise):
                return g
            z = g.noise.residual(measured[g.rows], found.prediction[g.rows], found.sd[g.rows])
            return dataclasses.replace(g, noise=_Rounded(g.noise, width, z))

        return dataclasses.replace(o, groups=tuple(rounded(g) for g in o.groups)).evaluate(x, value, weight)

    @jax.jit
    def every(width: Any, *rows: Any) -> Evaluation:
        return jax.vmap(lambda *row: one(width, *row))(*rows)

    return every


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
