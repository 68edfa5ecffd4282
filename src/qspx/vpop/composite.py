"""Goodness of fit of a population: a table of tests and one composite p-value.

As in MAPEL (Schmidt 2013, doi 10.1186/1471-2105-14-221) and QSPToolbox (Cheng 2017, doi 10.1208/s12248-017-0100-x). The
composite takes the tests for independent, which those of one data set are not: use it to accept and to compare, as they
do, not as a probability.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from qspx._errors import closest
from qspx.vpop.comparisons import AbstractComparison, Count, Statistic
from qspx.vpop.outputs import Outputs, PopulationError
from qspx.vpop.targets import AbstractTarget, stacked

if TYPE_CHECKING:
    import pandas as pd


def composite_p(p: np.ndarray, importance: np.ndarray | None = None) -> float:
    """Fisher's method: -2 Σ ln p is chi-squared with 2 K degrees of freedom. With `importance` c (K,), the upper tail
    of Σ c χ²_2 at -2 Σ c ln p by Hall, Buckley and Eagleson, which is Fisher's where all c are equal."""
    p = np.asarray(p, float)
    c = np.ones(len(p)) if importance is None else np.asarray(importance, float)
    if not len(p) or p.shape != c.shape or not (np.all(c >= 0) and c.sum() > 0 and np.all(np.isfinite(c))):
        raise PopulationError(
            f"Argument `importance` must be one finite number >= 0 for each of {len(p)} p-values, not all zero, but is "
            f"{c.tolist()}."
        )
    if not np.all((p >= 0) & (p <= 1)):
        raise PopulationError(f"Argument `p` must lie between 0 and 1, but is {p.tolist()}.")
    used = c > 0
    return hall_buckley_eagleson(float(-2 * c[used] @ np.log(np.maximum(p[used], 1e-300))), c[used])


def hall_buckley_eagleson(x: float, c: np.ndarray) -> float:
    """P(Σ c χ²_2 > x) by matching three cumulants with a chi-squared law (Buckley and Eagleson 1988, doi
    10.1111/j.1467-842X.1988.tb00447.x)."""
    one, two, three = 2 * c.sum(), 4 * (c**2).sum(), 16 * (c**3).sum()
    df = 8 * two**3 / three**2
    return float(special.chdtrc(df, max(df + np.sqrt(2 * df / two) * (x - one), 0.0)))


def comparisons(targets: Sequence[AbstractTarget], outputs: Outputs) -> tuple[AbstractComparison, ...]:
    """Every test of every target, bound to the usable patients."""
    if not targets:
        raise PopulationError("Argument `targets` must hold at least one target, but is empty.")
    if not outputs.usable.any():
        raise PopulationError(f"no patient can be compared with people: {outputs.ledger}.")
    stacked(targets, outputs)  # raises where an output has no logarithm or no square
    return tuple(c for t in targets for c in t.comparisons(outputs.columns(t.names)[outputs.usable]))


def importances(labels: Sequence[str], importance: Mapping[str, float]) -> np.ndarray:
    """One number per label, one where `importance` says nothing. Raises `PopulationError` for a label there is not."""
    for name, c in importance.items():
        if name not in labels:
            raise PopulationError(
                f"Argument `importance` speaks of `{name}`, but the tests are {[*labels]}.{closest(name, labels)}"
            )
        if not (np.isfinite(c) and c >= 0):
            raise PopulationError(f"Argument `importance` must hold finite numbers >= 0, but `{name}` has {c}.")
    return np.array([float(importance.get(label, 1.0)) for label in labels])


@dataclasses.dataclass(frozen=True, eq=False)
class GoodnessOfFit:
    """Tests of a population, and how much each counts (shape (tests,))."""

    statistics: tuple[Statistic, ...]
    importance: np.ndarray

    @classmethod
    def of(
        cls,
        tests: Sequence[AbstractComparison],
        weights: np.ndarray,
        count: Count,
        importance: Mapping[str, float],
    ) -> GoodnessOfFit:
        """For `weights` of the patients that the tests are bound to."""
        labels = [t.label for t in tests]
        w = weights / weights.sum()
        return cls(tuple(t(w, count) for t in tests), importances(labels, importance))

    @property
    def p_values(self) -> np.ndarray:
        """Shape (tests,)."""
        return np.array([s.p for s in self.statistics])

    @property
    def composite_p(self) -> float:
        """Of all tests together."""
        return composite_p(self.p_values, self.importance)

    def table(self) -> pd.DataFrame:
        """One row per test: label, test, achieved, expected, patients, people, p, importance."""
        import pandas as pd

        return pd.DataFrame(self.statistics, columns=list(Statistic._fields)).assign(importance=self.importance)

    def __str__(self) -> str:
        worst = min(self.statistics, key=lambda s: s.p)
        return (
            f"composite p {self.composite_p:.3g} of {len(self.statistics)} tests, least {worst.p:.3g} ({worst.label})"
        )
