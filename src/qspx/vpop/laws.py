"""Targets that are a whole distribution: a law of the logarithms, or the rows of a data set."""

from __future__ import annotations

import abc
import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np
from scipy.special import ndtr, ndtri
from scipy.stats import qmc

from qspx.vpop.comparisons import CorrelationComparison, MeanComparison, SdComparison
from qspx.vpop.ks_tests import DistributionComparison, PlaneComparison, Quadrants, of_normal, of_people
from qspx.vpop.outputs import PopulationError
from qspx.vpop.targets import AbstractTarget, Features, in_bins, logarithm, people


class AbstractLaw(AbstractTarget):
    """A target with individuals, or a density: what Kolmogorov-Smirnov and energy distances are measured against."""

    @abc.abstractmethod
    def scores(self, values: np.ndarray) -> np.ndarray:
        """Standardised logarithms z of outputs (subjects, names)."""

    def positive_scores(self, values: np.ndarray) -> np.ndarray:
        """`scores`. Raises `PopulationError` for a value that has no logarithm."""
        logarithm(values, f"{self.names}")
        return self.scores(values)

    @abc.abstractmethod
    def shares_below(self, z: np.ndarray, j: int) -> tuple[np.ndarray, np.ndarray]:
        """Share of people below, and at or below, scores `z` of output j."""

    @property
    def size(self) -> int:
        """People behind it; 3000 are drawn from a law that does not say."""
        return 3000

    @property
    @abc.abstractmethod
    def correlation(self) -> np.ndarray:
        """Of the logarithms, shape (names, names)."""

    @property
    @abc.abstractmethod
    def fitted(self) -> LogNormalLaw:
        """The normal law of the logarithms, for methods that need a density."""

    @abc.abstractmethod
    def draws(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """`n` people, scores (n, names)."""

    @abc.abstractmethod
    def plane(self, i: int, j: int) -> tuple[np.ndarray, Quadrants]:
        """Of the scores of outputs i and j: points (m, 2), and the shares of people in quadrants around others."""

    def comparisons(self, values):
        """Means, standard deviations and distributions of each output's logarithm; correlations and planes of pairs."""
        z, n, found = self.positive_scores(values), people(self.fitted.n), []
        for j, name in enumerate(self.names):
            x = np.ascontiguousarray(z[:, j])
            found += [
                MeanComparison(f"{name}: mean", x, 0.0, 1.0, n),
                SdComparison(f"{name}: SD", x, 1.0, n),
                DistributionComparison(f"{name}: distribution", x, lambda at, j=j: self.shares_below(at, j), n),
            ]
        for i, j in zip(*(k.tolist() for k in np.triu_indices(len(self.names), 1)), strict=True):
            pair, rho, x = f"{self.names[i]} x {self.names[j]}", float(self.correlation[i, j]), z[:, [i, j]]
            found.append(CorrelationComparison(f"{pair}: correlation", x, rho, n))
            found.append(PlaneComparison(f"{pair}: distribution", x, *self.plane(i, j), rho, n))
        return tuple(found)


def _moments(z: np.ndarray) -> np.ndarray:
    """z_i and z_i z_j for i <= j, shape (n, M + M(M+1)/2)."""
    i, j = np.triu_indices(z.shape[1])
    return np.concatenate([z, z[:, i] * z[:, j]], axis=1)


def _labels(names: Sequence[str], bins: Sequence[int]) -> tuple[str, ...]:
    shares = [f"{n}: bin {b + 1} of {k}" for n, k in zip(names, bins, strict=True) for b in range(k)]
    i, j = (x.tolist() for x in np.triu_indices(len(names)))
    second = [f"{names[a]}: second moment" if a == b else f"{names[a]} x {names[b]}" for a, b in zip(i, j, strict=True)]
    return (*shares, *(f"{n}: mean" for n in names), *second)


def the_law(targets: Sequence[AbstractTarget], who: str) -> AbstractLaw:
    """The only target that is a whole distribution. Raises `PopulationError` that `who` ("twins need") needs one."""
    laws = [t for t in targets if isinstance(t, AbstractLaw)]
    if len(laws) != 1:
        raise PopulationError(f"{who} one target that is a law.")
    return laws[0]


@dataclasses.dataclass(frozen=True, eq=False)
class LogNormalLaw(AbstractLaw):
    """The logarithms of outputs are normal.

    Args:
        names: outputs, all positive.
        mean, covariance: of the natural logarithms, shapes (M,) and (M, M).
        n: people behind it; gives the target its uncertainty.
        bins: equally probable bins per output among the features; 0 for moments alone.
    """

    names: tuple[str, ...]
    mean: np.ndarray
    covariance: np.ndarray
    n: int | None = None
    bins: int = 10

    def __post_init__(self):
        object.__setattr__(self, "names", tuple(self.names))
        object.__setattr__(self, "mean", np.asarray(self.mean, float))
        object.__setattr__(self, "covariance", np.asarray(self.covariance, float))
        m = len(self.names)
        if self.mean.shape != (m,) or self.covariance.shape != (m, m):
            raise PopulationError(
                f"a law of {m} outputs needs `mean` ({m},) and `covariance` ({m}, {m}), but has {self.mean.shape} and "
                f"{self.covariance.shape}."
            )
        if np.linalg.eigvalsh(self.covariance)[0] <= 0:
            raise PopulationError("Argument `covariance` must be positive definite, but it is not.")

    @property
    def sd(self) -> np.ndarray:
        return np.sqrt(np.diag(self.covariance))

    @property
    def correlation(self):
        return self.covariance / np.outer(self.sd, self.sd)

    @property
    def fitted(self):
        return self

    @property
    def size(self):
        return self.n or super().size

    def scores(self, values):
        # nothing below zero has a logarithm; it is less than all that have
        with np.errstate(divide="ignore"):
            return (np.log(np.where(values < 0, 0.0, values)) - self.mean) / self.sd

    def shares_below(self, z, j):
        p = ndtr(z)
        return p, p

    def draws(self, n, rng):
        return rng.standard_normal((n, len(self.names))) @ np.linalg.cholesky(self.correlation).T

    def plane(self, i, j):
        u = qmc.Sobol(2, rng=np.random.default_rng(0)).random_base2(8)
        rho = float(self.correlation[i, j])
        return ndtri(u) @ np.linalg.cholesky(np.array([[1.0, rho], [rho, 1.0]])).T, of_normal(rho)

    def log_density(self, values: np.ndarray) -> np.ndarray:
        """Of the logarithms, shape (subjects,); -inf for an output that is not positive."""
        z = self.scores(values)
        ok = np.all(np.isfinite(z), axis=1)
        white = np.linalg.solve(np.linalg.cholesky(self.correlation), np.where(ok[:, None], z, 0.0).T)
        logdet = 2 * float(np.log(np.diag(np.linalg.cholesky(self.covariance))).sum())
        found = -0.5 * (white**2).sum(axis=0) - 0.5 * logdet - 0.5 * len(self.names) * math.log(2 * math.pi)
        return np.where(ok, found, -np.inf)

    def distances(self, values: np.ndarray) -> np.ndarray:
        """Squared Mahalanobis distance, shape (subjects,)."""
        z = self.scores(values)
        return np.einsum("ni,ij,nj->n", z, np.linalg.inv(self.correlation), z)

    @property
    def peak(self) -> float:
        """Largest log density."""
        return float(self.log_density(np.exp(self.mean).reshape(1, -1))[0])

    def features(self, values):
        z = self.positive_scores(values)
        edges = ndtri(np.linspace(0, 1, self.bins + 1)) if self.bins else None
        m = len(self.names)
        i, j = np.triu_indices(m)
        parts = [in_bins(z[:, k], edges) for k in range(m)] if edges is not None else []
        target = np.concatenate([np.full(m * self.bins, 1 / max(self.bins, 1)), np.zeros(m), self.correlation[i, j]])
        covariance = self._covariance if self.n is not None else np.zeros((len(target), len(target)))
        labels = _labels(self.names, (self.bins,) * m)
        return Features(np.concatenate([*parts, _moments(z)], axis=1), target, covariance, labels)

    @functools.cached_property
    def _covariance(self) -> np.ndarray:
        """Of the features of `n` people, by 2^15 points of a Sobol' sequence (relative error below 1e-2)."""
        m = len(self.names)
        u = qmc.Sobol(m, rng=np.random.default_rng(0)).random_base2(15)
        z = ndtri(np.clip(u, 1e-12, 1 - 1e-12)) @ np.linalg.cholesky(self.correlation).T
        certain = dataclasses.replace(self, n=None)
        matrix = certain.features(np.exp(self.mean + z * self.sd)).matrix
        return np.asarray(np.cov(matrix.T)) / float(self.n or 1)


@dataclasses.dataclass(frozen=True, eq=False)
class Rows(AbstractLaw):
    """Individuals: one row per real person.

    Args:
        names: outputs, all positive.
        data: shape (people, M).
        bins: bins per output among the features, at quantiles of the rows; people who share a value share a bin.
        rounding: values are known to multiples of this only. Distances are then measured to people spread evenly over
            the interval that was rounded; otherwise a smooth population is as far from the rows as their steps.
    """

    names: tuple[str, ...]
    data: np.ndarray
    bins: int = 10
    rounding: float = 0.0

    def __post_init__(self):
        object.__setattr__(self, "names", tuple(self.names))
        data = np.asarray(self.data, float)
        if data.ndim != 2 or data.shape[1] != len(self.names) or len(data) < 2 or not np.all(data > 0):
            raise PopulationError(
                f"Argument `data` must hold positive numbers, shape (people, {len(self.names)}), but has shape "
                f"{data.shape} and smallest value {data.min() if data.size else math.nan:g}."
            )
        object.__setattr__(self, "data", data)

    @functools.cached_property
    def fitted(self) -> LogNormalLaw:  # type: ignore[override]
        """Maximum likelihood (divisor n)."""
        logs = np.log(self.data)
        return LogNormalLaw(self.names, logs.mean(0), np.cov(logs.T, bias=True).reshape(len(self.names), -1), len(logs))

    @property
    def size(self):
        return len(self.data)

    @property
    def correlation(self):
        return self.fitted.correlation

    def scores(self, values):
        return self.fitted.scores(values)

    @functools.cached_property
    def people(self) -> np.ndarray:
        """Scores of the rows, shape (people, M)."""
        return self.scores(self.data)

    @functools.cached_property
    def _sorted(self) -> list[np.ndarray]:
        return [np.sort(self.people[:, j]) for j in range(len(self.names))]

    def shares_below(self, z, j):
        if self.rounding > 0:
            values = np.sort(self.data[:, j])
            y, half = np.exp(self.fitted.mean[j] + z * self.fitted.sd[j]), self.rounding / 2
            below, upto = (np.searchsorted(values, y + s, side="right") for s in (-half, half))
            # whoever is within half a step of y counts in part
            total = np.concatenate([[0.0], np.cumsum(values)])
            part = ((y + half) * (upto - below) - (total[upto] - total[below])) / self.rounding
            share = (below + part) / len(values)
            return share, share
        x = self._sorted[j]
        return np.searchsorted(x, z, side="left") / len(x), np.searchsorted(x, z, side="right") / len(x)

    def draws(self, n, rng):
        data = self.data[rng.choice(len(self.data), n, replace=n > len(self.data))]
        return self.scores(data + self.rounding * (rng.random(data.shape) - 0.5))

    def plane(self, i, j):
        rows = self.people[:, [i, j]]
        return rows, of_people(rows)

    @functools.cached_property
    def _edges(self) -> list[np.ndarray]:
        """At midpoints between the values of different people next to the quantiles, so that no person and no patient
        is on an edge by rounding, and tied people are in one bin."""
        found = []
        for x in self._sorted:
            cuts = np.unique(np.quantile(x, np.arange(1, self.bins) / max(self.bins, 1), method="inverted_cdf"))
            values = np.unique(x)
            after = np.searchsorted(values, cuts, side="right")
            cuts = (values[after - 1] + values[np.minimum(after, len(values) - 1)]) / 2
            inner = np.asarray(cuts)[after < len(values)]
            found.append(np.concatenate([[-np.inf], np.unique(inner), [np.inf]]))
        return found

    def features(self, values):
        z = self.positive_scores(values)
        own, theirs = self._matrix(self.people), self._matrix(z)
        labels = _labels(self.names, [len(e) - 1 for e in self._edges] if self.bins else [0] * len(self.names))
        return Features(theirs, own.mean(axis=0), np.cov(own.T) / len(own), labels)

    def _matrix(self, z: np.ndarray) -> np.ndarray:
        parts = [in_bins(z[:, k], e) for k, e in enumerate(self._edges)] if self.bins else []
        return np.concatenate([*parts, _moments(z)], axis=1)
