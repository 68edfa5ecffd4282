"""Effects of covariates on parameters: coefficient times a column of numbers, added on the scale of the parameter.

On "log" that multiplies the parameter: by (x / centre)^b for `PowerEffect`, by exp(b (x - centre)) for `LinearEffect`,
and by exp(b) in the individuals of a `CategoryEffect`. A new one is a class with `column`.
"""

from __future__ import annotations

import abc
import dataclasses

import numpy as np

from qspx._errors import CalibrationError


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

    @abc.abstractmethod
    def column(self, values: np.ndarray) -> np.ndarray:
        """What the coefficient is multiplied by, for covariate values (individuals,)."""

    def _numbers(self, values: np.ndarray) -> np.ndarray:
        if values.dtype == object or not np.isfinite(values).all():
            raise CalibrationError(
                f"covariate `{self.covariate}` must be a number in every individual for {type(self).__name__}, but "
                f"holds {values[0]!r}, ...; use CategoryEffect for text, and fill in missing values."
            )
        return values


@dataclasses.dataclass(frozen=True)
class PowerEffect(AbstractCovariateEffect):
    """(x / centre)^coefficient: allometry with a coefficient of 0.75 on clearances and 1 on volumes."""

    centre: float = 70.0

    def column(self, values):
        values = self._numbers(values)
        if not (values > 0).all() or not self.centre > 0:
            raise CalibrationError(
                f"covariate `{self.covariate}` and its centre must be positive for PowerEffect, but hold "
                f"{values.min():g} and {self.centre:g}."
            )
        return np.log(values / self.centre)


@dataclasses.dataclass(frozen=True)
class LinearEffect(AbstractCovariateEffect):
    """coefficient · (x - centre), on the scale of the parameter."""

    centre: float = 0.0

    def column(self, values):
        return self._numbers(values) - self.centre


@dataclasses.dataclass(frozen=True)
class CategoryEffect(AbstractCovariateEffect):
    """coefficient in the individuals whose covariate is `level`, nothing in the others."""

    level: float | str = 1.0

    def column(self, values):
        found = np.array([x == self.level for x in values], dtype=float)
        if not found.any():
            raise CalibrationError(
                f"Argument `level` of CategoryEffect({self.parameter!r}, {self.covariate!r}) is {self.level!r}, which "
                f"no individual has; they have {sorted(map(str, set(values.tolist())))}."
            )
        return found
