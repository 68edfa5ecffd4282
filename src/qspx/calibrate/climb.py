"""The maximum near a point, of many points at once: what profiles and bootstraps do thousands of times.

Where residuals are those of Laplace, the maximum lies at kinks: then the climb is one of rounded kinks whose width
falls, as in `kinks`, and what comes back is the log-posterior itself where that ends.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import numpy as np

from qspx.calibrate.kinks import WIDTHS, has_kinks, rounded_evaluations
from qspx.calibrate.lanes import in_lanes
from qspx.calibrate.objective import Evaluation, Objective
from qspx.calibrate.refine import Outcome, Refined, refine


@dataclasses.dataclass(frozen=True, eq=False)
class Climb:
    """Climbs of one objective; programs are compiled once."""

    objective: Objective

    @functools.cached_property
    def _rounded(self) -> Callable[..., Evaluation]:
        return rounded_evaluations(self.objective)

    def __call__(
        self,
        x: np.ndarray,
        held: np.ndarray | None = None,
        value: np.ndarray | None = None,
        weight: np.ndarray | None = None,
    ) -> Refined:
        """From each row of `x` (n, estimated), the coordinates `held` (n, estimated) staying; with measured values and
        weights of its own, both (n, measurements), where these are given."""
        held = np.zeros(x.shape, bool) if held is None else held

        def at(x: np.ndarray, rows: np.ndarray, evaluate: Callable[..., Evaluation] | None = None) -> Evaluation:
            own = (None, None) if value is None or weight is None else (value[rows], weight[rows])
            return in_lanes(self.objective, x, *own, evaluate)

        if not has_kinks(self.objective):
            return refine(at, x, self.objective.box, held)
        count, outcome = 0, np.full(len(x), Outcome.CONVERGED)
        for width in WIDTHS:
            near = functools.partial(at, evaluate=functools.partial(self._rounded, width))
            found = refine(near, x, self.objective.box, held)
            x, outcome, count = found.x, found.outcome, count + found.evaluations
        true = at(x, np.arange(len(x)))
        outcome = np.where(true.ok, outcome, Outcome.NOT_EVALUATED)
        return Refined(x, true.value, true.gradient, true.information, outcome, count + len(x))
