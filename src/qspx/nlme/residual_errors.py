"""Scatter of measurements around an individual's prediction f: a variance R(f).

Each is normal, on the value or on its logarithm. A new one is a class with `variance`.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

from qspx.calibrate.estimated import Estimated


@dataclasses.dataclass(frozen=True)
class AbstractResidualError(abc.ABC):
    """Residual error of one observable; its fields are numbers, or what is estimated."""

    logarithmic: ClassVar[bool] = False  # whether values scatter on the logarithm

    @property
    def parts(self) -> tuple[float | Estimated, ...]:
        return tuple(getattr(self, f.name) for f in dataclasses.fields(self))

    @abc.abstractmethod
    def variance(self, f: Any, parts: Sequence[Any]) -> Any:
        """R for predictions `f` (on the logarithm where `logarithmic`), any shape, with `parts` as numbers."""


@dataclasses.dataclass(frozen=True)
class AdditiveError(AbstractResidualError):
    """sd²: the same everywhere."""

    sd: float | Estimated

    def variance(self, f, parts):
        return parts[0] ** 2 + 0.0 * f


@dataclasses.dataclass(frozen=True)
class ProportionalError(AbstractResidualError):
    """(cv · f)²."""

    cv: float | Estimated

    def variance(self, f, parts):
        return (parts[0] * f) ** 2


@dataclasses.dataclass(frozen=True)
class CombinedError(AbstractResidualError):
    """sd² + (cv · f)²."""

    sd: float | Estimated
    cv: float | Estimated

    def variance(self, f, parts):
        return parts[0] ** 2 + (parts[1] * f) ** 2


@dataclasses.dataclass(frozen=True)
class LogNormalError(AbstractResidualError):
    """sd² on the natural logarithm of value and prediction."""

    sd: float | Estimated
    logarithmic: ClassVar[bool] = True

    def variance(self, f, parts):
        return parts[0] ** 2 + 0.0 * f
