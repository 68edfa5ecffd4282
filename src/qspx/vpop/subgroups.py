"""Targets that hold within a subgroup: mean LDL in women, clearance at low eGFR."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from qspx.vpop.comparisons import BinsComparison, Within
from qspx.vpop.outputs import PopulationError
from qspx.vpop.targets import AbstractTarget, Features, check_people, people


@dataclasses.dataclass(frozen=True, eq=False)
class Given(AbstractTarget):
    """What is known of the people whose `name` lies in `within`, and the share of all people that they are.

    E[a | g] = b is the linear feature E[(a - b) 1(g)] = 0, here written as b + (a - b) 1(g)/share, so that it reads
    like the feature itself. The share is matched too: otherwise weights could meet the target by emptying the subgroup.

    Args:
        target: one target, or several; their sample sizes are those of the subgroup.
        name: an output, or a parameter of the model (a covariate that the cohort carries).
        within: (low, high): low <= value < high; either may be infinite. A class that is coded by a number: (1, 2).
        share: of all people that the population stands for who are in the subgroup.
        n: people among whom that share was counted.
    """

    target: AbstractTarget | Sequence[AbstractTarget]
    name: str
    within: tuple[float, float]
    share: float
    n: float | None = None

    def __post_init__(self):
        several = [self.target] if isinstance(self.target, AbstractTarget) else list(self.target)
        if not several or not all(isinstance(t, AbstractTarget) for t in several):
            raise PopulationError(
                f"Argument `target` given `{self.name}` must be one target or more, but is {several}."
            )
        low, high = self.within
        if not low < high:
            raise PopulationError(
                f"Argument `within` of `{self.name}` must be (low, high) with low < high, but is ({low}, {high})."
            )
        if not 0 < self.share < 1:
            raise PopulationError(
                f"Argument `share` of the subgroup `{self.group}` must lie between 0 and 1, but is {self.share}. Where "
                "everyone belongs to it, give the target without `Given`."
            )
        check_people(self.n, f"`{self.name}`")
        object.__setattr__(self, "target", tuple(several))

    @property
    def targets(self) -> tuple[AbstractTarget, ...]:
        return tuple(self.target)  # type: ignore[arg-type]

    @property
    def group(self) -> str:
        """What the subgroup is called in tables."""
        return f"{self.name} in [{self.within[0]:g}, {self.within[1]:g})"

    @property
    def names(self) -> tuple[str, ...]:  # type: ignore[override]
        return (self.name, *dict.fromkeys(n for t in self.targets for n in t.names if n != self.name))

    def _inside(self, x: np.ndarray) -> np.ndarray:
        # the time of an event that never comes is inf, and within a range that ends there
        return (x >= self.within[0]) & ((x < self.within[1]) | (self.within[1] == np.inf))

    def _parts(self, values: np.ndarray) -> tuple[np.ndarray, list[tuple[AbstractTarget, np.ndarray]]]:
        """Who is inside, and each target with the outputs of those inside."""
        x = values[:, 0]
        inside = self._inside(x)
        if not inside.any():
            raise PopulationError(
                f"none of {len(x)} patients has {self.group}; they reach from {x.min():g} to {x.max():g}. Draw from a "
                "prior that has such patients."
            )
        place = {n: k for k, n in enumerate(self.names)}
        return inside, [(t, values[inside][:, [place[n] for n in t.names]]) for t in self.targets]

    def comparisons(self, values):
        inside, parts = self._parts(values)
        both, shares = np.stack([inside, ~inside], axis=1).astype(float), np.array([self.share, 1 - self.share])
        found = [
            Within(f"{test.label} | {self.group}", test, inside) for t, mine in parts for test in t.comparisons(mine)
        ]
        return BinsComparison(f"share of {self.group}", both, shares, people(self.n)), *found

    def looks(self, values):
        x = values[:, 0]
        inside = self._inside(x)
        share = Features(inside[:, None].astype(float), np.array([self.share]), np.zeros((1, 1)), (self.group,))
        if inside.any():
            return share, *(look for t, mine in self._parts(values)[1] for look in t.looks(mine))
        # nobody is there to span anything
        place = {n: k for k, n in enumerate(self.names)}
        asked = [t.features(values[:1, [place[n] for n in t.names]]) for t in self.targets]
        return share, *(f._replace(matrix=np.full_like(f.matrix, np.nan)) for f in asked)

    def features(self, values):
        inside, parts = self._parts(values)
        found = [t.features(mine) for t, mine in parts]
        sizes = [1, *(len(f.target) for f in found)]
        ends = np.cumsum(sizes)
        target = np.concatenate([[self.share], *(f.target for f in found)])
        matrix = np.tile(target, (len(values), 1))
        matrix[:, 0] = inside
        matrix[inside, 1:] += np.concatenate([f.matrix - f.target for f in found], axis=1) / self.share
        covariance = np.zeros((ends[-1], ends[-1]))
        covariance[0, 0] = self.share * (1 - self.share) / people(self.n)
        for f, start, end in zip(found, ends[:-1], ends[1:], strict=True):
            covariance[start:end, start:end] = f.covariance
        labels = [f"{label} | {self.group}" for f in found for label in f.labels]
        return Features(matrix, target, covariance, (f"share of {self.group}", *labels))
