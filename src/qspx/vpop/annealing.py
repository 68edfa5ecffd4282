"""Plausible patients by simulated annealing: Allen 2016 (SA) and, in nested ellipses, Rieger 2018 (NSA).

Each patient starts from a draw of the prior (published: uniform in a box) and walks in log10 of its parameters, within
their range, until its score is small: Boltzmann temperature 0.5 / ln k, steps of length sqrt(T) in a random direction,
at most 400, stop at 0.005; it counts as plausible below 2, so that bounds may be violated a little. All walk at once.

Whose draw is plausible stays, so these have the law of the prior among the plausible. The others end wherever they
become plausible first: their law follows neither the prior nor its correlations.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.stats import chi2

from qspx.vpop.designs import generator
from qspx.vpop.laws import Rows, the_law
from qspx.vpop.outputs import PopulationError
from qspx.vpop.problem import PopulationProblem
from qspx.vpop.sampler import AbstractSampler, Evaluator, violation_score

TINY = 1e-6  # of the upper bound, where a lower bound of zero has no logarithm


def _box(problem: PopulationProblem) -> tuple[np.ndarray, np.ndarray]:
    low, high = problem.box.T
    if not (high > 0).all() or not (low >= 0).all():
        raise PopulationError("annealing walks in logarithms, and needs parameters that are not negative.")
    return np.log10(np.maximum(low, TINY * high)), np.log10(high)


def annealed(problem, evaluate: Evaluator, score, n: int, rng, temperature: float, steps: int, stop: float):
    """`n` walks at once: drawn parameters (n, drawn) and scores (n,), the best of each walk. `score(values, which)` of
    outputs and the numbers of the walks."""
    low, high = _box(problem)
    start = problem.quantiles(rng.random((n, problem.dimensions)))
    x = np.clip(np.log10(np.maximum(start, 1e-300)), low, high)
    value = score(evaluate(10.0**x)[0], np.arange(n))
    best, least = x.copy(), value.copy()
    for k in range(2, steps + 2):
        walking = np.flatnonzero(least > stop)
        if not len(walking):
            break
        t = temperature / np.log(k)
        direction = rng.standard_normal((len(walking), x.shape[1]))
        tried = x[walking] + np.sqrt(t) * direction / np.linalg.norm(direction, axis=1, keepdims=True)
        inside = np.clip(tried, low, high)
        share = rng.random((len(walking), 1))
        left = (inside != tried).any(axis=1, keepdims=True)
        tried = np.where(left, share * inside + (1 - share) * x[walking], tried)
        new = score(evaluate(10.0**tried)[0], walking)
        with np.errstate(over="ignore", invalid="ignore"):
            luck = rng.random(len(walking)) < 1 / (1 + np.exp((new - value[walking]) / t))
        moved = (new < value[walking]) | luck
        x[walking[moved]], value[walking[moved]] = tried[moved], new[moved]
        better = new < least[walking]
        best[walking[better]], least[walking[better]] = tried[better], new[better]
    return 10.0**best, least


@dataclasses.dataclass(frozen=True)
class Annealing(AbstractSampler):
    """SA of Allen 2016.

    Args:
        temperature, steps, stop, accept: as published: 0.5, 400, 0.005, and plausible below 2.
    """

    temperature: float = 0.5
    steps: int = 400
    stop: float = 0.005
    accept: float = 2.0

    def find(self, problem, n, key, evaluate):
        rng = generator(key)
        return self._until(problem, evaluate, lambda values, which: violation_score(problem, values), n, rng)

    def _until(self, problem, evaluate, score, n, rng):
        """Walks until `n` have ended below the acceptance score."""
        kept, have, walks = [], 0, 0
        while have < n:
            found, value = annealed(problem, evaluate, score, n - have, rng, self.temperature, self.steps, self.stop)
            walks += n - have
            kept.append(found[value < self.accept])
            have += len(kept[-1])
            if walks >= 100 * n:
                raise PopulationError(f"only {have} of {walks} walks ended plausible; the bounds may not be reachable.")
        return np.concatenate(kept), {"walks": walks}


@dataclasses.dataclass(frozen=True)
class NestedAnnealing(Annealing):
    """NSA of Rieger 2018: five ellipses that hold 19, 38, 57, 76 and 95 % of the people; patients per ellipse in
    proportion to that share; score of SA + 0.1 max(0, d² - c²), d the Mahalanobis distance.

    Args:
        squares: c² of each ellipse; None takes them from the target (its rows, or chi-squared for a law).
    """

    squares: tuple[float, ...] | None = None
    shares: tuple[float, ...] = (19.0, 38.0, 57.0, 76.0, 95.0)

    def find(self, problem, n, key, evaluate):
        rng = generator(key)
        one = the_law(problem.targets, "nested annealing needs")
        law, square = one.fitted, self.squares
        if square is None and isinstance(one, Rows):
            square = tuple(np.percentile(law.distances(one.data), self.shares))
        elif square is None:
            square = tuple(chi2.ppf(np.array(self.shares) / 100, len(law.names)))
        wanted = np.floor(n * np.cumsum(self.shares) / np.sum(self.shares) + 0.5).astype(int)
        counts = np.diff(np.concatenate([[0], wanted]))
        kept, walks = [], 0
        for count, c in zip(counts, square, strict=True):
            if count == 0:
                continue

            def score(values, which, c=c):
                d = law.distances(evaluate.columns(values, law.names))
                total = violation_score(problem, values) + 0.1 * np.maximum(0.0, d - c)
                return np.where(np.isfinite(total), total, np.inf)

            found, about = self._until(problem, evaluate, score, int(count), rng)
            kept.append(found)
            walks += about["walks"]
        drawn = np.concatenate(kept)
        return drawn[rng.permutation(len(drawn))], {"walks": walks}
