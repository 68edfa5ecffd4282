"""The bootstrap: how much the estimates scatter when the data are drawn again.

- `parametric_bootstrap`: new measurements from the noise model around the predictions at the estimate.
- `residual_bootstrap`: predictions plus standardised residuals drawn with replacement within each noise model, centred
  and widened by the root of n / (n - p); no family of the noise is assumed, but that residuals are exchangeable.
- `case_bootstrap`: whole runs (animals, arms) drawn with replacement; holds for any noise, needs many of them.

Every replicate is fitted again, from the estimate; all fits climb together in lanes. A fit that does not converge is a
row of NaN, and counted. Priors stay as they are. Efron & Tibshirani, An Introduction to the Bootstrap (1993).
"""

from __future__ import annotations

import math

import jax
import numpy as np

from qspx._errors import CalibrationError
from qspx._random import KeyLike, as_key
from qspx._status import Status
from qspx.calibrate.climb import Climb
from qspx.calibrate.draws import Draws
from qspx.calibrate.information import at_bound, checked_point
from qspx.calibrate.noise import AbstractNoise
from qspx.calibrate.objective import Objective
from qspx.calibrate.refine import WORDS, Outcome
from qspx.progress import report

_PART = 256  # replicates that are fitted together


def parametric_bootstrap(
    objective: Objective, x: np.ndarray, n: int, *, key: KeyLike, progress: bool | None = None
) -> Draws:
    """`n` fits to measurements simulated from the noise model at `x`, estimation scale, shape (estimated,).

    Raises:
        CalibrationError: if a run fails at `x`, or measurements are censored: how those that were seen would have been
            censored is not known.
    """
    x, rng = _checked(objective, x, n), _generator(key)
    _refuse_censored(objective, "parametric_bootstrap")
    scores = np.empty((n, len(objective.value)))
    for g in objective.groups:
        scores[:, g.rows] = standard_draws(g.noise, rng, (n, len(g.rows)))
    value = _measured(objective, x, scores)
    return _refitted(objective, x, value, np.ones_like(value), "parametric bootstrap", progress)


def residual_bootstrap(
    objective: Objective, x: np.ndarray, n: int, *, key: KeyLike, progress: bool | None = None
) -> Draws:
    """`n` fits to predictions at `x` plus resampled residuals.

    Raises:
        CalibrationError: if a run fails at `x`, measurements are censored, or a noise model has fewer than four of
            them.
    """
    x, rng = _checked(objective, x, n), _generator(key)
    _refuse_censored(objective, "residual_bootstrap")
    residuals = np.asarray(objective.residuals(x))
    free, total = int((~at_bound(objective, x)).sum()), len(objective.value)
    if total <= free:
        raise CalibrationError(f"{total} measurements leave no residuals for {free} estimated parameters.")
    scores = np.empty((n, total))
    for g in objective.groups:
        if len(g.rows) < 4:
            raise CalibrationError(
                f"a noise model with {len(g.rows)} measurements has too few residuals to draw from; use "
                "`parametric_bootstrap`."
            )
        own = residuals[g.rows] - residuals[g.rows].mean()
        scores[:, g.rows] = math.sqrt(total / (total - free)) * rng.choice(own, (n, len(g.rows)))
    value = _measured(objective, x, scores)
    return _refitted(objective, x, value, np.ones_like(value), "residual bootstrap", progress)


def case_bootstrap(
    objective: Objective,
    x: np.ndarray,
    n: int,
    *,
    key: KeyLike,
    unit: np.ndarray | None = None,
    progress: bool | None = None,
) -> Draws:
    """`n` fits to units drawn with replacement. `unit` is the one that each measurement belongs to, shape
    (measurements,): by default its run.

    Raises:
        CalibrationError: if a run fails at `x`, or there is one unit only.
    """
    x, rng = _checked(objective, x, n), _generator(key)
    units, of = np.unique(objective.run if unit is None else np.asarray(unit), return_inverse=True)
    if of.shape != objective.value.shape:
        raise CalibrationError(
            f"Argument `unit` must name a unit for each of {len(objective.value)} measurements, "
            f"but has shape {of.shape}."
        )
    if len(units) < 2:
        raise CalibrationError("all measurements belong to one unit, so that none can be drawn; name them by `unit`.")
    counts = rng.multinomial(len(units), np.full(len(units), 1 / len(units)), size=n)
    value = np.tile(objective.value, (n, 1))
    return _refitted(objective, x, value, counts[:, of].astype(float), f"bootstrap of {len(units)} units", progress)


def standard_draws(noise: AbstractNoise, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Standardised residuals of a noise model: its distribution function, inverted by bisection. Densities are
    symmetric, so that only the left half is needed."""
    sign = rng.choice([-1.0, 1.0], shape)
    target = np.log(rng.uniform(0.0, 0.5, shape).clip(1e-300))
    low, high = np.full(shape, -1.0), np.zeros(shape)
    while (outside := np.asarray(noise.log_below_standard(low)) > target).any():
        low = np.where(outside, 2 * low, low)
    for _ in range(60):
        middle = 0.5 * (low + high)
        below = np.asarray(noise.log_below_standard(middle)) < target
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return sign * 0.5 * (low + high)


def _measured(objective: Objective, x: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Values with standardised residuals `scores` (n, measurements) around the predictions at `x`."""
    found = objective.predict(x)
    prediction, sd = np.asarray(found.prediction), np.asarray(found.sd)
    value = np.empty_like(scores)
    for g in objective.groups:
        at = np.asarray(g.noise.on_scale(prediction[g.rows])) + sd[g.rows] * scores[:, g.rows]
        value[:, g.rows] = np.asarray(g.noise.from_scale(at))
    return value


def _refitted(
    objective: Objective, x: np.ndarray, value: np.ndarray, weight: np.ndarray, origin: str, progress: bool | None
) -> Draws:
    fits, outcomes, climb = [], [], Climb(objective)
    with report(origin, len(value), show=progress) as bar:
        for first in range(0, len(value), _PART):
            values, weights = value[first : first + _PART], weight[first : first + _PART]
            found = climb(np.tile(x, (len(values), 1)), None, values, weights)
            fits.append(np.where(found.ok[:, None], found.x, np.nan))
            outcomes.append(found.outcome)
            bar.advance(len(values))
    outcome = np.concatenate(outcomes)
    reasons = {words: int((outcome == code).sum()) for code, words in WORDS.items() if (outcome == code).any()}
    if (outcome != Outcome.CONVERGED).all():
        raise CalibrationError(f"not one fit of the {origin} converged: {reasons}. Is `x` the optimum?")
    return Draws(objective, np.concatenate(fits), origin, reasons)


def _checked(objective: Objective, x: np.ndarray, n: int) -> np.ndarray:
    x = checked_point(objective, x)
    if n < 2:
        raise CalibrationError(f"Argument `n` must be >= 2, but {n} was given; use 200 for errors, 1000 for intervals.")
    if not (np.asarray(objective.predict(x).status) == Status.OK).all():
        raise CalibrationError("Argument `x` must be a point where every run is solved; take the best point of a fit.")
    return x


def _refuse_censored(objective: Objective, name: str) -> None:
    if (count := int((objective.censored != 0).sum())) > 0:
        raise CalibrationError(
            f"`{name}` cannot draw measurements again where some are censored ({count} here): the limits of the others "
            "are not known. Use `case_bootstrap`, `profile` or `sample_posterior`."
        )


def _generator(key: KeyLike) -> np.random.Generator:
    return np.random.default_rng(np.asarray(jax.random.key_data(as_key(key))).ravel())
