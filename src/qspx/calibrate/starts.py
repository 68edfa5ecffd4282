"""Where the searches of a fit begin.

Candidates are places in the box of the bounds on the estimation scale, as shares (0 to 1) of its width. The first `n`
are the starts; a candidate at which the log-posterior is not finite is replaced by the next one, and counted. What is
drawn depends on the seed, the kind of draw and `n`, and on nothing else.
"""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import qmc

from qspx._checks import mapping, number, shown
from qspx._errors import CalibrationError, closest
from qspx.calibrate.objective import Objective


class AbstractStarts(abc.ABC):
    """How starts are drawn."""

    n: int

    @property
    def settings(self) -> dict[str, object]:
        """What is drawn, of a dataclass."""
        return {"starts": type(self).__name__} | {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}  # type: ignore[arg-type]

    @abc.abstractmethod
    def candidates(self, objective: Objective, seed: tuple[int, ...]) -> np.ndarray:
        """Places in the unit box, shape (candidates, estimated), at least `n` of them."""


@dataclasses.dataclass(frozen=True)
class LatinHypercubeStarts(AbstractStarts):
    """A Latin hypercube of `n` places (McKay 1979, doi:10.1080/00401706.1979.10489755); failed ones are replaced from
    further hypercubes, up to `oversample` times `n` candidates."""

    n: int
    oversample: int = 10

    def __post_init__(self):
        _check_counts(self)

    def candidates(self, objective: Objective, seed: tuple[int, ...]) -> np.ndarray:
        draw = qmc.LatinHypercube(d=len(objective.estimated), rng=np.random.default_rng(seed))
        return _placed(objective, np.concatenate([draw.random(self.n) for _ in range(self.oversample)]))


@dataclasses.dataclass(frozen=True)
class SobolStarts(AbstractStarts):
    """The first places of a scrambled Sobol' sequence (Owen 1998, doi:10.1006/jcom.1998.0487); failed ones are replaced
    by the next of the sequence, up to `oversample` times `n` candidates. Start i does not depend on `n`."""

    n: int
    oversample: int = 10

    def __post_init__(self):
        _check_counts(self)

    def candidates(self, objective: Objective, seed: tuple[int, ...]) -> np.ndarray:
        draw = qmc.Sobol(d=len(objective.estimated), scramble=True, rng=np.random.default_rng(seed))
        most = self.n * self.oversample
        return _placed(objective, draw.random_base2(math.ceil(math.log2(max(most, 2))))[:most])


@dataclasses.dataclass(frozen=True)
class StartsAround(AbstractStarts):
    """The `value`s of the estimated parameters themselves, then places around them, normal with standard deviation
    `spread` on the estimation scale, cut at the bounds. `StartsAround(1)` is a single search from the values."""

    n: int
    spread: float = 0.3
    oversample: int = 10

    def __post_init__(self):
        _check_counts(self)
        if not self.spread > 0:
            raise CalibrationError(f"Argument `spread` of StartsAround must be positive, but is {self.spread!r}.")

    def candidates(self, objective: Objective, seed: tuple[int, ...]) -> np.ndarray:
        without = [e.name for e in objective.estimated if e.value is None]
        if without:
            raise CalibrationError(
                f"`StartsAround` starts from the values of the estimated parameters, but {without} have none. Give "
                "Estimated(..., value=...), or use LatinHypercubeStarts."
            )
        low, high = objective.box.T
        centre = objective.coordinates(np.array([e.value for e in objective.estimated], dtype=float))
        normal = np.random.default_rng(seed).standard_normal((self.n * self.oversample, len(centre)))
        normal[0] = 0.0
        return (np.clip(centre + self.spread * normal, low, high) - low) / (high - low)


@dataclasses.dataclass(frozen=True, eq=False)
class GivenStarts(AbstractStarts):
    """Starts at given values, in the parameters' own units: one mapping from names per start, where what is left out
    has the value of its `Estimated`; or an array (starts, estimated) in the order of the objective's `names`. None is
    replaced."""

    values: Any

    def __post_init__(self):
        given = [self.values] if isinstance(self.values, Mapping) else self.values
        if isinstance(given, Sequence) and any(isinstance(each, Mapping) for each in given):
            object.__setattr__(self, "values", tuple(_by_name(each) for each in given))
            return
        try:
            values = np.atleast_2d(np.asarray(given, dtype=float))
        except (TypeError, ValueError):
            raise CalibrationError(
                'Argument `values` of GivenStarts must hold numbers, one row per start, or mappings such as {"CL": 0.2}'
                f", but {shown(given)} was given."
            ) from None
        if not (values.size and np.isfinite(values).all()):
            raise CalibrationError("Argument `values` of GivenStarts must hold finite numbers, one row per start.")
        object.__setattr__(self, "values", values)

    @property
    def n(self) -> int:  # type: ignore[override]
        return len(self.values)

    def candidates(self, objective: Objective, seed: tuple[int, ...]) -> np.ndarray:
        names = objective.names
        values = self._rows(objective)
        if values.shape[1] != len(names):
            raise CalibrationError(
                f"Argument `values` of GivenStarts must have one column per estimated parameter ({', '.join(names)}), "
                f"but has {values.shape[1]}."
            )
        bounds = np.array([e.bounds for e in objective.estimated])
        outside = (values < bounds[:, 0]) | (values > bounds[:, 1])
        if outside.any():
            i, k = np.argwhere(outside)[0]
            raise CalibrationError(
                f"Argument `values` of GivenStarts must lie inside the bounds, but start {i} has {names[k]} = "
                f"{values[i, k]:g}, outside {bounds[k, 0]:g} to {bounds[k, 1]:g}."
            )
        low, high = objective.box.T
        return (np.clip(objective.coordinates(values), low, high) - low) / (high - low)

    def _rows(self, objective: Objective) -> np.ndarray:
        if isinstance(self.values, np.ndarray):
            return self.values
        known = {e.name: e.value for e in objective.estimated}
        rows = []
        for i, each in enumerate(self.values):
            if unknown := [name for name in each if name not in known]:
                raise CalibrationError(
                    f"Argument `values` of GivenStarts: start {i} names `{unknown[0]}`, which is not estimated."
                    f"{closest(unknown[0], known)}"
                )
            row = known | each
            if missing := [name for name, value in row.items() if value is None]:
                raise CalibrationError(
                    f"Argument `values` of GivenStarts: start {i} does not say `{missing[0]}`, and its Estimated "
                    "has no value. Give one of them."
                )
            rows.append(list(row.values()))
        return np.array(rows, dtype=float)


def _by_name(start: Any) -> dict[str, float]:
    found = {}
    for name, value in mapping(start, "values` of `GivenStarts", CalibrationError).items():
        found[name] = number(value, f"values` of `GivenStarts` for `{name}", CalibrationError)
        if not math.isfinite(found[name]):
            raise CalibrationError(f"Argument `values` of `GivenStarts` for `{name}` must be finite, but is {value!r}.")
    return found


def _placed(objective: Objective, share: np.ndarray) -> np.ndarray:
    """Places of draws that are uniform in the box, but for a logit, which has hardly a bound: uniform in the parameter
    itself."""
    low, high = objective.box.T
    logit = np.array([e.scale == "logit" for e in objective.estimated])
    inside = np.clip(share, 1e-12, 1 - 1e-12)
    x = np.where(logit, np.log(inside) - np.log1p(-inside), low + (high - low) * share)
    return np.where(logit, (x - low) / (high - low), share)


def _check_counts(starts: Any) -> None:
    for name in ("n", "oversample"):
        given = getattr(starts, name)
        if isinstance(given, bool) or not isinstance(given, int | np.integer) or given < 1:
            raise CalibrationError(
                f"Argument `{name}` of {type(starts).__name__} must be a positive whole number, but is {given!r}."
            )
