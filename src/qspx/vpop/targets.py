"""What a population should look like: targets, each with its uncertainty where the sample size is known.

A target turns the outputs of patients into features whose weighted means it knows: E_w[a(y)] = b, with S the covariance
of b. Features have no unit: shares, and powers of standardised outputs.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from qspx.vpop.comparisons import (
    AbstractComparison,
    BinsComparison,
    CorrelationComparison,
    FeaturesComparison,
    MeanComparison,
    SdComparison,
)
from qspx.vpop.outputs import Outputs, PopulationError

Numbers: TypeAlias = Sequence[float] | np.ndarray


class Features(NamedTuple):
    """Of patients: `matrix` (subjects, features); of the target: `target` (features,), its `covariance` (features,
    features; zero where the sample size is not known), and `labels`."""

    matrix: np.ndarray
    target: np.ndarray
    covariance: np.ndarray
    labels: tuple[str, ...]


class AbstractTarget(abc.ABC):
    """A piece of what is known of real patients. `names` are the outputs it speaks of."""

    names: tuple[str, ...]

    @abc.abstractmethod
    def features(self, values: np.ndarray) -> Features:
        """For outputs `values` (subjects, names), all finite, except that the time of an event may be inf."""

    @property
    def units(self) -> Mapping[str, str]:
        """Unit of what it says of each output, as far as it is known."""
        return {}

    def looks(self, values: np.ndarray) -> tuple[Features, ...]:
        """The same features in the same order, each of the patients that it speaks of, with its own target: what says
        whether these patients span the target."""
        return (self.features(values),)

    def comparisons(self, values: np.ndarray) -> tuple[AbstractComparison, ...]:
        """The tests of goodness of fit that fit this target, bound to outputs `values` (subjects, names), all finite:
        Wald's test of the features, unless a subclass knows a better one."""
        f = self.features(values)
        return (FeaturesComparison(", ".join(f.labels), f.matrix, f.target, f.covariance),)


class OneOutput(AbstractTarget):
    """A target that speaks of one output, `name`, in `unit` where that is said: fields of a subclass."""

    name: str
    unit: str | None

    @property
    def names(self) -> tuple[str, ...]:  # type: ignore[override]
        return (self.name,)

    @property
    def units(self):
        return {} if self.unit is None else {self.name: self.unit}


def stacked(targets: Sequence[AbstractTarget], outputs: Outputs) -> Features:
    """The features of all targets side by side, for the usable patients; targets count as independent."""
    if not targets:
        raise PopulationError("Argument `targets` must hold at least one target, but is empty.")
    usable = outputs.usable
    if not usable.any():
        raise PopulationError(f"no patient can be given a weight: {outputs.ledger}.")
    parts = [t.features(outputs.columns(t.names)[usable]) for t in targets]
    for target, part in zip(targets, parts, strict=True):
        if bad := int((~np.isfinite(part.matrix).all(axis=1)).sum()):
            raise PopulationError(
                f"{bad} patients cannot be compared with the {type(target).__name__} of {target.names}: an output is "
                "not positive, or too large, where its logarithm or its square is needed. Bound it in `plausibility`. "
                "An event that never comes (inf) has no mean: give a Survival, Bins or Quantiles of its time."
            )
    sizes = [len(p.target) for p in parts]
    covariance = np.zeros((sum(sizes), sum(sizes)))
    at = 0
    for part, size in zip(parts, sizes, strict=True):
        covariance[at : at + size, at : at + size] = part.covariance
        at += size
    return Features(
        np.concatenate([p.matrix for p in parts], axis=1),
        np.concatenate([p.target for p in parts]),
        covariance,
        tuple(label for p in parts for label in p.labels),
    )


def people(n: float | None) -> float:
    """Sample size, infinite where it is not known."""
    return np.inf if n is None else float(n)


def check_people(n: float | None, of: str) -> None:
    """Raises `PopulationError` unless `n` is a number of people."""
    if n is not None and not 1 < n < np.inf:
        raise PopulationError(
            f"Argument `n` of the target of {of} must be the number of people behind it (> 1), but is {n}. Leave it "
            "out where it is not known."
        )


def check_finite(value: float, argument: str, of: str, positive: bool = False) -> None:
    """Raises `PopulationError` unless `value` is finite (and > 0)."""
    if not np.isfinite(value) or (positive and not value > 0):
        raise PopulationError(
            f"Argument `{argument}` of the target of {of} must be {'finite and > 0' if positive else 'finite'}, but is "
            f"{value}."
        )


def finite_numbers(values: Numbers, argument: str, of: str) -> np.ndarray:
    """As an array of one axis. Raises `PopulationError` where one is not finite, or there is none."""
    found = np.asarray(values, float)
    if found.ndim != 1 or not len(found) or not np.isfinite(found).all():
        raise PopulationError(
            f"Argument `{argument}` of the target of {of} must hold finite numbers, but is {found.tolist()}."
        )
    return found


def logarithm(x: np.ndarray, of: str) -> np.ndarray:
    """Of outputs of patients. Raises `PopulationError` where one is not positive."""
    if (wrong := int((x <= 0).sum())) > 0:
        raise PopulationError(
            f"the target of {of} is of logarithms, but {wrong} of {x.size} values of patients are <= 0 (least "
            f"{x.min():g}). Bound the output by `Plausibility` to more than zero, or give the target without `log`."
        )
    return np.log(x)


def _shares_covariance(shares: np.ndarray, n: float | None) -> np.ndarray:
    """Of shares of a multinomial sample."""
    return (np.diag(shares) - np.outer(shares, shares)) / people(n)


@dataclasses.dataclass(frozen=True, eq=False)
class MeanSd(OneOutput):
    """Mean and standard deviation of one output; both are matched. `log`: of its logarithm. `unit`, of the output, is
    checked against the simulator's where it is given.

    With sample size `n`: variance of the mean sd²/n, of the second moment about the mean 2 sd⁴/n (normal)."""

    name: str
    mean: float
    sd: float
    n: float | None = None
    log: bool = False
    unit: str | None = None

    def __post_init__(self):
        check_finite(self.mean, "mean", f"`{self.name}`")
        check_finite(self.sd, "sd", f"`{self.name}`", positive=True)
        check_people(self.n, f"`{self.name}`")

    def _x(self, values: np.ndarray) -> np.ndarray:
        return logarithm(values[:, 0], f"`{self.name}`") if self.log else values[:, 0]

    def comparisons(self, values):
        x, n = self._x(values), people(self.n)
        mean = MeanComparison(f"{self.name}: mean", x, self.mean, self.sd, n)
        return mean, SdComparison(f"{self.name}: SD", x, self.sd, n)

    def features(self, values):
        z = (self._x(values) - self.mean) / self.sd
        size = people(self.n)
        return Features(
            np.stack([z, z**2], axis=1),
            np.array([0.0, 1.0]),
            np.diag([1.0 / size, 2.0 / size]),
            (f"{self.name}: mean", f"{self.name}: second moment"),
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Mean(OneOutput):
    """Mean of one output where no standard deviation is known. `error`: its standard error, if that is. `log`: of its
    logarithm. The feature is in units of the standard deviation of the patients."""

    name: str
    mean: float
    error: float | None = None
    log: bool = False
    unit: str | None = None

    def __post_init__(self):
        check_finite(self.mean, "mean", f"`{self.name}`")
        if self.error is not None:
            check_finite(self.error, "error", f"`{self.name}`", positive=True)

    def features(self, values):
        x = logarithm(values[:, 0], f"`{self.name}`") if self.log else values[:, 0]
        scale = float(x.std()) or max(abs(self.mean), 1.0)
        variance = np.array([[((self.error or 0.0) / scale) ** 2]])
        return Features(((x - self.mean) / scale)[:, None], np.zeros(1), variance, (f"{self.name}: mean",))


@dataclasses.dataclass(frozen=True, eq=False)
class Bins(OneOutput):
    """Shares of people in the bins of one output: `edges` (bins + 1,), increasing, the outer ones may be infinite; a
    bin holds its lower edge. `shares` (bins,) sum to one."""

    name: str
    edges: Numbers
    shares: Numbers
    n: float | None = None
    unit: str | None = None

    def __post_init__(self):
        edges, shares = np.asarray(self.edges, float), finite_numbers(self.shares, "shares", f"`{self.name}`")
        check_people(self.n, f"`{self.name}`")
        if len(edges) != len(shares) + 1 or not np.all(np.diff(edges) > 0):
            raise PopulationError(
                f"the bins of `{self.name}` need increasing `edges`, one more than `shares`, but have {len(edges)} and "
                f"{len(shares)}. Edges that are tied must be merged, and their shares added."
            )
        if not (np.all(shares >= 0) and abs(shares.sum() - 1) < 1e-6):
            raise PopulationError(
                f"the shares of `{self.name}` must be >= 0 and sum to one, but sum to {shares.sum()}."
            )
        object.__setattr__(self, "edges", edges)
        object.__setattr__(self, "shares", shares / shares.sum())

    def comparisons(self, values):
        member = in_bins(values[:, 0], np.asarray(self.edges))
        return (BinsComparison(f"{self.name}: bins", member, np.asarray(self.shares), people(self.n)),)

    def features(self, values):
        edges, shares = np.asarray(self.edges), np.asarray(self.shares)
        labels = tuple(f"{self.name} in [{a:.6g}, {b:.6g})" for a, b in zip(edges, edges[1:], strict=False))
        return Features(in_bins(values[:, 0], edges), shares, _shares_covariance(shares, self.n), labels)


def in_bins(x: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """One column per bin, 1 where x is in it (lower edge included), shape (n, bins). An infinite x, an event that never
    comes, is in the bin that ends there."""
    return ((x[:, None] >= edges[:-1]) & ((x[:, None] < edges[1:]) | (edges[1:] == np.inf))).astype(float)


def Quantiles(name: str, levels: Numbers, values: Numbers, n: float | None = None, unit: str | None = None) -> Bins:
    """Quantiles of one output as bins: a share `levels[k]` of people lies below `values[k]`. Tied values are merged."""
    x, p = (finite_numbers(v, k, f"`{name}`") for k, v in (("values", values), ("levels", levels)))
    if len(x) != len(p):
        raise PopulationError(f"`{name}` needs as many `values` as `levels`, but has {len(x)} and {len(p)}.")
    x, last = np.unique(x[::-1], return_index=True)
    p = p[::-1][last]  # of tied values, the highest level
    if np.any(np.diff(p) <= 0) or np.any((p <= 0) | (p >= 1)):
        raise PopulationError(f"Argument `levels` of `{name}` must increase between 0 and 1, but is {list(levels)}.")
    return Bins(name, np.concatenate([[-np.inf], x, [np.inf]]), np.diff(np.concatenate([[0.0], p, [1.0]])), n, unit)


@dataclasses.dataclass(frozen=True, eq=False)
class Correlation(AbstractTarget):
    """Correlation of two outputs whose means and SDs are known (and matched by targets of their own)."""

    names: tuple[str, str]
    correlation: float
    means: tuple[float, float]
    sds: tuple[float, float]
    n: float | None = None
    log: bool = False

    def __post_init__(self):
        if not -1 < self.correlation < 1:
            raise PopulationError(f"Argument `correlation` must lie between -1 and 1, but is {self.correlation}.")
        for mean, sd in zip(self.means, self.sds, strict=True):
            check_finite(mean, "means", f"{self.names}")
            check_finite(sd, "sds", f"{self.names}", positive=True)
        check_people(self.n, f"{self.names}")

    @property
    def _label(self) -> str:
        return f"correlation of {self.names[0]} and {self.names[1]}"

    def _x(self, values: np.ndarray) -> np.ndarray:
        return logarithm(values, f"{self.names}") if self.log else values

    def comparisons(self, values):
        return (CorrelationComparison(self._label, self._x(values), self.correlation, people(self.n)),)

    def features(self, values):
        z = (self._x(values) - np.array(self.means)) / np.array(self.sds)
        variance = (1 + self.correlation**2) / people(self.n)
        return Features(z[:, :1] * z[:, 1:], np.array([self.correlation]), np.array([[variance]]), (self._label,))


@dataclasses.dataclass(frozen=True, eq=False)
class Density2D(AbstractTarget):
    """Shares of people in the cells of two outputs: `edges` of each, `shares` (bins of the first, of the second)."""

    names: tuple[str, str]
    edges: tuple[Numbers, Numbers]
    shares: np.ndarray
    n: float | None = None

    def __post_init__(self):
        # the checks are those of one-dimensional bins, on the margins
        shares = np.asarray(self.shares, float)
        if shares.ndim != 2:
            raise PopulationError(
                f"Argument `shares` of {self.names} must have two axes, but has shape {shares.shape}."
            )
        for axis in (0, 1):
            Bins(self.names[axis], self.edges[axis], shares.sum(axis=1 - axis))
        if not np.all(shares >= 0):
            raise PopulationError(f"Argument `shares` of {self.names} must be >= 0, but the least is {shares.min()}.")
        check_people(self.n, f"{self.names}")
        object.__setattr__(self, "shares", shares / shares.sum())

    def _cells(self, values: np.ndarray) -> np.ndarray:
        a, b = (in_bins(values[:, i], np.asarray(self.edges[i], float)) for i in (0, 1))
        return (a[:, :, None] * b[:, None, :]).reshape(len(values), -1)

    def comparisons(self, values):
        label = f"{self.names[0]} x {self.names[1]}: cells"
        return (BinsComparison(label, self._cells(values), self.shares.ravel(), people(self.n)),)

    def features(self, values):
        shares = self.shares.ravel()
        labels = tuple(f"{self.names[0]} bin {i}, {self.names[1]} bin {j}" for i, j in np.ndindex(*self.shares.shape))
        return Features(self._cells(values), shares, _shares_covariance(shares, self.n), labels)
