"""Tests of a weighted population against what is known of people, one p-value each.

As in QSPToolbox (Cheng 2017, doi 10.1208/s12248-017-0100-x): means by the pooled t test, standard deviations by the F
ratio, bins by the chi-squared of a contingency table, correlations by Fisher's z; distributions are in `ks_tests`.
Every test has two samples: `people`, infinite where their number is not known and the target is taken as exact, and
`patients`, the number that the weighted population counts for.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
from scipy import special

# How many patients weights (n,) stand for, whatever their scale: `effective_size`, `CountedAbove`, or one's own.
Count: TypeAlias = Callable[[np.ndarray], float]


class Statistic(NamedTuple):
    """A line of the table: what was compared and by which test, what the population has and what people have, how many
    patients and people that stands for, and the p-value."""

    label: str
    test: str
    achieved: float
    expected: float
    patients: float
    people: float
    p: float


class AbstractComparison(abc.ABC):
    """One test, bound to the outputs of `n` patients."""

    label: str

    @abc.abstractmethod
    def __call__(self, weights: np.ndarray, count: Count) -> Statistic:
        """For weights (n,) >= 0, not all zero, in any scale."""


@dataclasses.dataclass(frozen=True)
class CountedAbove:
    """Patients with more than a share `share` of all weight (QSPToolbox counts those above a threshold)."""

    share: float = 1e-4

    def __call__(self, weights: np.ndarray) -> float:
        return float((weights > self.share * weights.sum()).sum())


@dataclasses.dataclass(frozen=True)
class FixedCount:
    """A number that weights do not change, while they are being searched for; a subgroup has its part of it.

    `weights` that are looked at must be on the scale of the whole population, which sums to one."""

    patients: float

    def __call__(self, weights: np.ndarray) -> float:
        return self.patients * float(weights.sum())


def mean_and_variance(x: np.ndarray, w: np.ndarray, patients: float) -> tuple[float, float]:
    """Of values (n,) with shares `w`; the variance with divisor `patients` - 1, without bias where they are the
    effective number."""
    mean = float(w @ x)
    return mean, float(w @ (x - mean) ** 2) * patients / max(patients - 1, 1e-12)


def weighted_correlation_of(x: np.ndarray, w: np.ndarray) -> float:
    """Of two columns (n, 2) with shares `w`; zero where one does not vary."""
    c = x - w @ x
    square = np.sqrt(float(w @ c[:, 0] ** 2) * float(w @ c[:, 1] ** 2))
    return float(w @ (c[:, 0] * c[:, 1])) / square if square > 0 else 0.0


@dataclasses.dataclass(frozen=True, eq=False)
class MeanComparison(AbstractComparison):
    """Two-sample t test with pooled variance; against people without number, the standard deviation is theirs."""

    label: str
    x: np.ndarray
    mean: float
    sd: float
    people: float

    def __call__(self, weights, count):
        patients = count(weights)
        mean, variance = mean_and_variance(self.x, weights / weights.sum(), patients)
        df = max(self.people + patients - 2, 1e-6)
        pooled = self.sd**2
        if np.isfinite(self.people):
            pooled = ((self.people - 1) * self.sd**2 + (patients - 1) * variance) / df
        t = abs(mean - self.mean) / np.sqrt(pooled * (1 / self.people + 1 / max(patients, 1e-12)))
        p = 2 * float(special.ndtr(-t) if np.isinf(df) else special.stdtr(df, -t))
        return Statistic(self.label, "t", mean, self.mean, patients, self.people, p)


@dataclasses.dataclass(frozen=True, eq=False)
class SdComparison(AbstractComparison):
    """F ratio of variances, two-sided; chi-squared against people without number."""

    label: str
    x: np.ndarray
    sd: float
    people: float

    def __call__(self, weights, count):
        patients = count(weights)
        _, variance = mean_and_variance(self.x, weights / weights.sum(), patients)
        ratio, df = variance / self.sd**2, max(patients - 1, 1e-6)
        if np.isinf(self.people):
            below, above = special.chdtr(df, df * ratio), special.chdtrc(df, df * ratio)
        else:
            below, above = special.fdtr(df, self.people - 1, ratio), special.fdtrc(df, self.people - 1, ratio)
        p = float(min(2 * min(below, above), 1.0))
        return Statistic(self.label, "F", float(np.sqrt(variance)), self.sd, patients, self.people, p)


@dataclasses.dataclass(frozen=True, eq=False)
class BinsComparison(AbstractComparison):
    """Chi-squared of the 2 x bins table of people and patients; `member` (n, bins) says who is in which bin. `achieved`
    is chi-squared, `expected` its degrees of freedom. Patients in no bin are one bin more, which holds no person."""

    label: str
    member: np.ndarray
    shares: np.ndarray
    people: float

    def __call__(self, weights, count):
        patients = count(weights)
        mine = weights @ self.member / weights.sum()
        mine, theirs = np.append(mine, max(1.0 - mine.sum(), 0.0)), np.append(self.shares, 0.0)
        used = (mine > 1e-12) | (theirs > 0)
        mine, theirs = mine[used], theirs[used]
        share = 0.0 if np.isinf(self.people) else patients / (self.people + patients)
        pooled = (1 - share) * theirs + share * mine
        # people and patients around the pooled shares; without a number of people, patients around theirs
        with np.errstate(divide="ignore"):
            square = float(patients * (1 - share) * ((mine - theirs) ** 2 / pooled).sum())
        df = len(mine) - 1
        p = float(special.chdtrc(df, square)) if df else 1.0
        return Statistic(self.label, "chi-squared", square, float(df), patients, self.people, p)


@dataclasses.dataclass(frozen=True, eq=False)
class CorrelationComparison(AbstractComparison):
    """Fisher's z of two correlation coefficients; `x` (n, 2)."""

    label: str
    x: np.ndarray
    correlation: float
    people: float

    def __call__(self, weights, count):
        patients = count(weights)
        found = weighted_correlation_of(self.x, weights / weights.sum())
        far = np.arctanh(np.clip(found, -1 + 1e-12, 1 - 1e-12)) - np.arctanh(self.correlation)
        error = np.sqrt(1 / max(self.people - 3, 1) + 1 / max(patients - 3, 1))
        p = 2 * float(special.ndtr(-abs(far) / error))
        return Statistic(self.label, "Fisher z", found, self.correlation, patients, self.people, p)


@dataclasses.dataclass(frozen=True, eq=False)
class FeaturesComparison(AbstractComparison):
    """Wald's test of any features: d' V^-1 d of the differences d, V the covariance of the target plus that of a mean
    over patients. `achieved` is that, `expected` its degrees of freedom."""

    label: str
    matrix: np.ndarray
    target: np.ndarray
    covariance: np.ndarray

    def __call__(self, weights, count):
        patients = count(weights)
        w = weights / weights.sum()
        mean = w @ self.matrix
        centred = self.matrix - mean
        values, vectors = np.linalg.eigh(self.covariance + (centred * w[:, None]).T @ centred / max(patients, 1e-12))
        along = vectors.T @ (mean - self.target)
        varies = values > 1e-10 * max(values[-1], 1e-300)
        df = int(varies.sum())
        # what does not vary must be met as it is
        missed = bool((np.abs(along[~varies]) > 1e-6).any())
        square = np.inf if missed else float((along[varies] ** 2 / values[varies]).sum())
        p = 0.0 if missed else float(special.chdtrc(df, square)) if df else 1.0
        return Statistic(self.label, "Wald", square, float(df), patients, np.nan, p)


@dataclasses.dataclass(frozen=True, eq=False)
class Within(AbstractComparison):
    """A test within a subgroup: `inside` (n,) says who belongs to it, `test` is bound to those. A population with
    nobody in it fails the test."""

    label: str
    test: AbstractComparison
    inside: np.ndarray

    def __call__(self, weights, count):
        mine = weights[self.inside]
        if not mine.sum() > 0:
            return Statistic(self.label, "nobody", np.nan, np.nan, 0.0, np.nan, 0.0)
        return self.test(mine, count)._replace(label=self.label)
