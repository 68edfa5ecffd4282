"""Effects of covariates on parameters: coefficient times a column of numbers, added on the scale of the parameter.

On "log" that multiplies the parameter: by (x / centre)^b for `PowerEffect`, by exp(b (x - centre)) for `LinearEffect`,
and by exp(b) in the individuals of a `CategoryEffect`. A new one is a class with `column`.
"""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from qspx._checks import number
from qspx._errors import CalibrationError
from qspx.nlme.checks import number_or_name, of_kind, positive


@dataclasses.dataclass(frozen=True)
class AbstractCovariateEffect(abc.ABC):
    """Effect of a covariate on a parameter.

    Args:
        parameter: of the model.
        covariate: column of the data.
        coefficient: a number, or the name of one that is estimated (on scale "lin", if it may be negative).
    """

    parameter: str
    covariate: str
    coefficient: float | str

    needs: ClassVar[str] = "a finite number"

    def __post_init__(self):
        for name in ("parameter", "covariate"):
            of_kind(getattr(self, name), str, f"{name}` of `{type(self).__name__}")
        number_or_name(self.coefficient, f"coefficient` of `{type(self).__name__}")

    @abc.abstractmethod
    def column(self, values: np.ndarray) -> np.ndarray:
        """What the coefficient is multiplied by, for covariate values (individuals,) that are `usable`."""

    def usable(self, values: np.ndarray) -> np.ndarray:
        """Which covariate values are what the effect `needs`, (individuals,)."""
        return np.array([isinstance(x, int | float) and math.isfinite(x) for x in values.tolist()], dtype=bool)

    def check(self, values: np.ndarray, ids: Sequence[int | float | str]) -> None:
        """Raise `CalibrationError`, naming the individual, for covariate values (individuals,) that are not usable."""
        usable = self.usable(values)
        if not usable.all():
            i = int(np.argmin(usable))
            raise CalibrationError(
                f"covariate `{self.covariate}` must be {self.needs} in every individual for {type(self).__name__}, but "
                f"is {values.tolist()[i]!r} in individual {ids[i]}, one of {int((~usable).sum())} of {len(ids)}. "
                "Correct or fill in the values, or leave these individuals out; for text use CategoryEffect."
            )


@dataclasses.dataclass(frozen=True)
class PowerEffect(AbstractCovariateEffect):
    """(x / centre)^coefficient: allometry with a coefficient of 0.75 on clearances and 1 on volumes."""

    centre: float = 70.0
    needs: ClassVar[str] = "a number > 0"

    def __post_init__(self):
        super().__post_init__()
        positive(self.centre, "centre` of `PowerEffect")

    def usable(self, values):
        numeric = super().usable(values)
        return numeric & (np.where(numeric, values, 0.0).astype(float) > 0)

    def column(self, values):
        return np.log(values.astype(float) / self.centre)


@dataclasses.dataclass(frozen=True)
class LinearEffect(AbstractCovariateEffect):
    """coefficient · (x - centre), on the scale of the parameter."""

    centre: float = 0.0

    def __post_init__(self):
        super().__post_init__()
        number(self.centre, "centre` of `LinearEffect", CalibrationError)

    def column(self, values):
        return values.astype(float) - self.centre


@dataclasses.dataclass(frozen=True)
class CategoryEffect(AbstractCovariateEffect):
    """coefficient in the individuals whose covariate is `level`, nothing in the others."""

    level: float | str = 1.0

    def usable(self, values):
        return np.ones(len(values), dtype=bool)

    def check(self, values, ids):
        levels = sorted(set(values.tolist()), key=str)
        if self.level not in levels:
            raise CalibrationError(
                f"Argument `level` of CategoryEffect({self.parameter!r}, {self.covariate!r}) is {self.level!r}, which "
                f"no individual has; they have {', '.join(map(repr, levels[:12]))}"
                f"{', ...' if len(levels) > 12 else ''}."
            )

    def column(self, values):
        return np.array([x == self.level for x in values.tolist()], dtype=float)
