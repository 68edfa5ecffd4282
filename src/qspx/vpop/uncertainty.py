"""How sure a virtual population is of what it predicts: the target drawn again, the weights fitted again.

The target comes from a sample of people; another sample would have given other weights. So the target is drawn anew,
rows with replacement (`Rows`), or the means of the features from their normal law N(b, S) (summaries with a sample
size), the weights are fitted to each, and every number is computed with every vector of weights:

    statistic_k = statistic(x, w_k),   w_k = weights fitted to target k;   interval: quantiles of statistic_k

x is any number by patient: an output, an endpoint of a simulated trial, a dose that is enough. Patients are simulated
once. The intervals hold the uncertainty of the data, not that of the model or of who is in the cloud: repeat with
patients of another prior for that. A percentile far out rests on few patients whatever the data; it is refused where
fewer than ten effective patients lie beyond it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from qspx._random import KeyLike
from qspx.vpop.designs import generator
from qspx.vpop.diagnostics import effective_size
from qspx.vpop.laws import Rows
from qspx.vpop.outputs import PopulationError
from qspx.vpop.population import VirtualPopulation
from qspx.vpop.targets import AbstractTarget
from qspx.vpop.weighting import AbstractWeighting
from qspx.weighted import weighted_quantile

if TYPE_CHECKING:
    import pandas as pd

IN_TAIL = 10.0  # effective patients beyond a percentile


@dataclasses.dataclass(frozen=True, eq=False)
class Redrawn(AbstractTarget):
    """A target whose feature means were drawn again: `scores` (features,) standard normal."""

    target: AbstractTarget
    scores: np.ndarray

    @property
    def names(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.target.names

    def features(self, values):
        found = self.target.features(values)
        size, vectors = np.linalg.eigh(found.covariance)
        shift = vectors @ (np.sqrt(np.maximum(size, 0.0)) * self.scores)
        return found._replace(target=found.target + shift)


class Interval(NamedTuple):
    """A statistic with the given weights, and the ends of the interval of those fitted again."""

    value: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True, eq=False)
class Ensemble:
    """A population and the weights it might as well have had.

    Args:
        population: the one with weights fitted to the target as it is.
        weights: shape (replicates, subjects), each summing to one.
        failed: why replicates are missing, with counts.
    """

    population: VirtualPopulation
    weights: np.ndarray
    failed: dict[str, int]

    def __len__(self) -> int:
        """Replicates."""
        return len(self.weights)

    @property
    def effective_sizes(self) -> np.ndarray:
        """Of every replicate, shape (replicates,)."""
        return np.array([effective_size(w) for w in self.weights])

    @property
    def finest(self) -> float:
        """The smallest p such that the p and 1 - p quantiles have ten effective patients beyond them: from the
        effective number of patients of the population or, where it is less, of the median replicate."""
        return IN_TAIL / min(self.population.effective_size, float(np.median(self.effective_sizes)))

    def mean(self, x: np.ndarray, level: float = 0.9) -> Interval:
        """Of a number by patient (subjects,); of a truth value it is the share of patients. See `statistic`."""
        return self.statistic(x, lambda x, w: float(w @ x), level)

    def percentile(self, x: np.ndarray, p: float, level: float = 0.9) -> Interval:
        """The value below which a share `p` of patients lies.

        Raises:
            PopulationError: where fewer than ten effective patients lie beyond it.
        """
        if not 0 < p < 1:
            raise PopulationError(f"Argument `p` must lie between 0 and 1, but is {p}; 0.95 is the 95th percentile.")
        if min(p, 1 - p) < self.finest * (1 - 1e-9):
            raise PopulationError(
                f"the {100 * p:g} % percentile is finer than {IN_TAIL / self.finest:.0f} effective patients support: "
                f"at least {IN_TAIL:g} must lie beyond it, so between {100 * self.finest:.3g} % and "
                f"{100 * (1 - self.finest):.3g} %. Find more patients, or ask for a coarser one."
            )
        return self.statistic(x, lambda x, w: _quantile(x, p, w), level)

    def statistic(self, x: np.ndarray, of: Callable[[np.ndarray, np.ndarray], float], level: float = 0.9) -> Interval:
        """`of(x, weights)` for a number by patient, shape (subjects,).

        Raises:
            PopulationError: if a patient with a weight has no number (NaN): its share of the population would be lost
                in silence. Fit weights without those who fail in the trial.
        """
        x = np.asarray(x, float)
        if x.shape != self.population.weights.shape or not 0 < level < 1:
            raise PopulationError(
                f"Argument `x` must hold a number for each of {len(self.population.weights)} patients, and `level` lie "
                f"between 0 and 1, but shape {x.shape} and {level} were given."
            )
        weighted = (self.population.weights > 0) | (self.weights > 0).any(axis=0)
        if (lost := weighted & np.isnan(x)).any():
            raise PopulationError(
                f"{int(lost.sum())} patients with a weight ({self.population.weights[lost].sum():.2%} of the "
                "population) have no number. Mark them as not usable before weights are fitted."
            )
        drawn = np.sort([of(x[w > 0], w[w > 0]) for w in self.weights])
        tail = (0.5 - level / 2) * (len(drawn) - 1)
        # order statistics, since an endpoint may be infinite (a dose that is never enough)
        low, high = float(drawn[math.floor(tail)]), float(drawn[math.ceil(len(drawn) - 1 - tail)])
        w = self.population.weights
        return Interval(of(x[w > 0], w[w > 0]), low, high)

    def table(self, x: np.ndarray, ps: Sequence[float], level: float = 0.9) -> pd.DataFrame:
        """One row per percentile: p, value, low, high, supported; those that are too fine are NaN and not
        supported."""
        import pandas as pd

        rows: list[dict[str, Any]] = []
        for p in ps:
            fine = min(p, 1 - p) < self.finest * (1 - 1e-9)
            found = Interval(math.nan, math.nan, math.nan) if fine else self.percentile(x, p, level)
            rows.append({"p": p, **found._asdict(), "supported": not fine})
        return pd.DataFrame(rows)


def _quantile(x: np.ndarray, p: float, weights: np.ndarray) -> float:
    """Weighted quantile of numbers that may be infinite: whatever lies beyond the last finite number is infinite."""
    finite = x[np.isfinite(x)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)
    beyond = 1.0 + high - low
    found = float(weighted_quantile(np.clip(x, low - beyond, high + beyond), p, weights))
    return math.inf if found > high else -math.inf if found < low else found


def ensemble(population: VirtualPopulation, weighting: AbstractWeighting, *, key: KeyLike, n: int = 200) -> Ensemble:
    """Weights fitted to `n` draws of the population's target.

    Args:
        population: with its targets.
        weighting: the method that gave its weights.
        n: draws; 200 for standard errors, 1000 for intervals.

    Raises:
        PopulationError: if a target has no sample size, so that nothing is known of its uncertainty; or if no
            replicate converges.
    """
    if n < 2:
        raise PopulationError(f"Argument `n` must be >= 2, but is {n}.")
    if not population.targets:
        raise PopulationError("the population has no targets that could be drawn again; give them to `load`.")
    rng, outputs, found, failed = generator(key), population.outputs, [], 0
    sizes = [_size(t, outputs.columns(t.names)[outputs.usable]) for t in population.targets]
    for _ in range(n):
        targets = [_again(t, size, rng) for t, size in zip(population.targets, sizes, strict=True)]
        fitted = weighting.fit(outputs, targets, key=int(rng.integers(2**31)))
        if fitted.details.get("converged", True):
            found.append(fitted.weights)
        else:
            failed += 1
    if not found:
        raise PopulationError(f"not one of {n} replicates converged: the target is out of reach of these patients.")
    return Ensemble(population, np.stack(found), {"not converged": failed} if failed else {})


def _size(target: AbstractTarget, values: np.ndarray) -> int:
    """Number of features. Raises `PopulationError` for a target that knows nothing of its uncertainty."""
    covariance = target.features(values).covariance
    if not isinstance(target, Rows) and not covariance.any():
        raise PopulationError(
            f"the target {type(target).__name__} of {target.names} has no sample size, so that nothing is known of its "
            "uncertainty; give its `n`."
        )
    return len(covariance)


def _again(target: AbstractTarget, size: int, rng: np.random.Generator) -> AbstractTarget:
    if isinstance(target, Rows):
        return dataclasses.replace(target, data=target.data[rng.integers(len(target.data), size=len(target.data))])
    return Redrawn(target, rng.standard_normal(size))
