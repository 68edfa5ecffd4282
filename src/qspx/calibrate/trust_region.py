"""A trust region in the box, with the Fisher information as the Hessian and a correction where that predicts badly.

Two models of the log-posterior compete at every step: the information F, which is what Gauss–Newton is to least squares
and exact where the residuals are small; and F + S, where S learns from the gradients what F lacks, by the symmetric
rank-one update of its secant equation S s = (change of the gradient) - F s. The one that foresaw the last change better
makes the next step, as in NL2SOL (Dennis, Gay & Welsch 1981, doi:10.1145/355958.355965); that such hybrids find more
optima of models of this kind than either alone: Fröhlich & Sorger 2022, doi:10.1371/journal.pcbi.1010322. Unlike there,
F gives way only where it has promised too much. A gain beyond what F foresaw is no harm; and what S learns from it, say
where an sd is far too large and the log-posterior a straight line in its logarithm, sends the next step far away.

It fails where the log-posterior is noisy: then steps stall with a gradient that is not small, and the tolerances of the
integrator are what to tighten. At kinks of the log-posterior it stalls, too: see `kinks`.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from qspx._errors import CalibrationError
from qspx.calibrate.bounded_step import BoundedStep, bounded_step, quadratic
from qspx.calibrate.fit_status import FitStatus
from qspx.calibrate.objective import Evaluation
from qspx.calibrate.search import AbstractMethod, Evaluator, Search

GOOD = 0.75  # share of the foreseen change from which on a model is right: its radius may grow
ACCEPTED = 1e-4  # least share of the foreseen change that makes a step worth taking
WIDE = 1e-3  # a radius that is no reason for a small change, in widths of the box


@dataclasses.dataclass(frozen=True)
class TrustRegion(AbstractMethod):
    """Trust region with the Fisher information, corrected by secants.

    Args:
        max_iterations: steps tried per start.
        value_tolerance: a step that changes the log-posterior by less than this share of it (or of one) ends a search.
        gradient_tolerance: so does a gradient whose every component is less than this, per width of the box.
        step_tolerance: so does a radius of less than this, in widths of the box.
        radius: of the first step, in widths of the box.
    """

    max_iterations: int = 500
    value_tolerance: float = 1e-8
    gradient_tolerance: float = 1e-6
    step_tolerance: float = 1e-8
    radius: float = 0.3

    def __post_init__(self):
        for name in ("max_iterations", "value_tolerance", "gradient_tolerance", "step_tolerance", "radius"):
            if not getattr(self, name) > 0:
                raise CalibrationError(
                    f"Argument `{name}` of TrustRegion must be positive, but is {getattr(self, name)!r}."
                )

    def begin(self, evaluator: Evaluator, place: np.ndarray, found: Evaluation) -> dict[str, np.ndarray]:
        return {
            "information": found.information.copy(),
            "correction": np.zeros_like(found.information),
            "corrected": np.zeros(len(place), dtype=bool),
            "radius": np.full(len(place), float(self.radius)),
        }

    def advance(self, evaluator: Evaluator, search: Search) -> Search:
        m = search.memory
        model = m["information"] + np.where(m["corrected"][:, None, None], m["correction"], 0.0)
        step = bounded_step(-search.gradient, model, -search.place, 1.0 - search.place, m["radius"])
        place = np.clip(search.place + step.step, 0.0, 1.0)
        found = evaluator.evaluations(place)
        gain = np.where(found.ok, found.value, -np.inf) - search.value
        taken = (gain > 0) & (gain >= -ACCEPTED * step.change)
        moved = dataclasses.replace(
            search,
            place=np.where(taken[:, None], place, search.place),
            value=np.where(taken, found.value, search.value),
            gradient=np.where(taken[:, None], found.gradient, search.gradient),
            iterations=search.iterations + 1,
            evaluations=search.evaluations + 1,
            memory=_remembered(search, step, found, gain, taken),
        )
        return dataclasses.replace(moved, status=self._status(moved, step, gain, taken))

    def _status(self, s: Search, step: BoundedStep, gain: np.ndarray, taken: np.ndarray) -> np.ndarray:
        """Of each start, after a step that gave `gain`."""
        small = self.value_tolerance * np.maximum(np.abs(s.value), 1.0)
        radius = s.memory["radius"]
        still = (np.abs(gain) < small) & (-step.change < small) & (~step.limited | (radius > WIDE))
        shrunk = ~taken & (radius < self.step_tolerance)
        flat = s.slope * WIDE < np.sqrt(self.value_tolerance) * np.maximum(np.abs(s.value), 1.0)
        return np.select(
            [
                s.slope < self.gradient_tolerance,
                still,
                shrunk & flat,
                shrunk,
                s.iterations >= self.max_iterations,
            ],
            [FitStatus.GRADIENT, FitStatus.VALUE, FitStatus.STEP, FitStatus.STALLED, FitStatus.MAX_ITERATIONS],
            FitStatus.RUNNING,
        )


def _remembered(
    search: Search, step: BoundedStep, found: Evaluation, gain: np.ndarray, taken: np.ndarray
) -> dict[str, np.ndarray]:
    """Information, correction, choice of model and radius after a step."""
    m, s, ok = search.memory, step.step, found.ok
    information = np.where(taken[:, None, None], found.information, m["information"])
    plain = quadratic(s, -search.gradient, m["information"])
    corrected = quadratic(s, -search.gradient, m["information"] + m["correction"])
    seen = np.where(ok, gain, 0.0)
    error_plain, error_corrected = np.abs(seen + plain), np.abs(seen + corrected)
    ratio = np.where(ok & (step.change < 0), seen / np.minimum(step.change, -1e-300) * -1, -1.0)
    wanted = (ratio < GOOD) & (error_corrected < 0.5 * error_plain)
    switch = np.where(m["corrected"], error_plain < 0.5 * error_corrected, wanted)
    learns = ok & (gain > step.change)  # a step that goes far wrong tells nothing of the place where it began
    change = np.where(learns[:, None], search.gradient - found.gradient, 0.0)
    correction = _secant(m["correction"], s, change - np.einsum("nij,nj->ni", information, s))
    length = np.linalg.norm(s, axis=1)
    radius = np.where(ratio < 0.25, 0.25 * np.minimum(length, m["radius"]), m["radius"])
    radius = np.where((ratio > GOOD) & step.limited, 2 * m["radius"], radius)
    return {
        "information": information,
        "correction": np.where(learns[:, None, None], correction, m["correction"]),
        "corrected": m["corrected"] ^ (switch & ok),
        "radius": np.minimum(radius, np.sqrt(search.place.shape[1])),
    }


def _secant(S: np.ndarray, s: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Symmetric rank-one update to S s = wanted, of S first made no larger than it should be."""
    Ss = np.einsum("nij,nj->ni", S, s)
    curvature = np.abs(np.einsum("ni,ni->n", s, Ss))
    asked = np.abs(np.einsum("ni,ni->n", s, wanted))
    size = np.where(asked < curvature, asked / np.where(curvature > 0, curvature, 1.0), 1.0)
    lacking = wanted - size[:, None] * Ss
    along = np.einsum("ni,ni->n", lacking, s)
    usable = np.abs(along) > 1e-8 * np.linalg.norm(lacking, axis=1) * np.linalg.norm(s, axis=1)
    update = lacking[:, :, None] * lacking[:, None, :] / np.where(usable, along, 1.0)[:, None, None]
    return size[:, None, None] * S + np.where(usable[:, None, None], update, 0.0)
