"""How far a measurement scatters around its prediction: what a problem is told per observable.

An error model gives the standard deviation; its `family` (`qspx.calibrate.noise`) gives the shape. Every number of an
error model is positive, or the name of one: of an `Estimated`, of a `fixed` number, or of one that differs between arms
or studies.
"""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Mapping
from typing import Any, ClassVar

import jax.numpy as jnp

from qspx._checks import number
from qspx._errors import CalibrationError
from qspx.calibrate.noise import AbstractNoise, LogNormalNoise, NormalNoise


class AbstractErrorModel(abc.ABC):
    """A new one is a frozen dataclass with a `family`, its numbers, and `spread`."""

    family: AbstractNoise
    reads_table: ClassVar[bool] = False  # whether it takes the standard deviation from the table

    def __post_init__(self):
        if not isinstance(self.family, AbstractNoise):
            raise CalibrationError(
                f"Argument `family` of {type(self).__name__} must be a family of residuals such as StudentNoise(4), "
                f"but {self.family!r} was given."
            )
        for role, given in self.numbers.items():
            if not isinstance(given, str):
                require_positive(f"Argument `{role}` of {type(self).__name__}", given)

    @property
    def vanishes(self) -> bool:
        """Whether the standard deviation is zero where the prediction is: then a measured zero is refused."""
        return False

    @property
    @abc.abstractmethod
    def numbers(self) -> Mapping[str, float | str]:
        """What may be estimated, by argument."""

    @abc.abstractmethod
    def spread(self, prediction: Any, numbers: Any, given: Any) -> Any:
        """Standard deviation of a single value, on the scale of `family`. `numbers` has shape (len(self.numbers),);
        `given` is the standard deviation in the table, or NaN."""


def require_positive(what: str, given: Any) -> None:
    """Raise `CalibrationError` unless it is a finite number > 0."""
    try:
        fine = not isinstance(given, bool) and math.isfinite(given) and given > 0
    except TypeError:
        fine = False
    if not fine:
        raise CalibrationError(f"{what} must be a number > 0, or the name of one, but {given!r} was given.")


@dataclasses.dataclass(frozen=True)
class Additive(AbstractErrorModel):
    """The same standard deviation whatever is measured.

    Args:
        sd: in the unit of the observable.
        family: shape of the residuals; for `StudentNoise` and `LaplaceNoise`, `sd` stands for their scale.
    """

    sd: float | str
    family: AbstractNoise = NormalNoise()

    @property
    def numbers(self):
        return {"sd": self.sd}

    def spread(self, prediction, numbers, given):
        return numbers[0]


@dataclasses.dataclass(frozen=True)
class Proportional(AbstractErrorModel):
    """A standard deviation of `cv` times the prediction.

    Where the prediction is zero it vanishes: a measured zero would make the likelihood unbounded and is refused, and
    any other value is impossible: its log-likelihood is -inf. Where that happens (before the first dose, say)
    `Combined` is the better model; or leave such values out.

    Args:
        cv: coefficient of variation.
        floor: >= 0, the least size of the prediction (in the unit of the observable) that the standard deviation is
            computed from.
        family: shape of the residuals.
    """

    cv: float | str
    floor: float = 0.0
    family: AbstractNoise = NormalNoise()

    def __post_init__(self):
        super().__post_init__()
        number(self.floor, "floor` of `Proportional", CalibrationError)
        if not (self.floor >= 0 and math.isfinite(self.floor)):
            raise CalibrationError(f"Argument `floor` of Proportional must be >= 0, but {self.floor} was given.")

    @property
    def vanishes(self):
        return self.floor == 0

    @property
    def numbers(self):
        return {"cv": self.cv}

    def spread(self, prediction, numbers, given):
        return numbers[0] * jnp.maximum(jnp.abs(prediction), self.floor)


@dataclasses.dataclass(frozen=True)
class Combined(AbstractErrorModel):
    """Both: the variance is sd² + (cv * prediction)². (Monolix calls this combined2; NONMEM's usual form, too.)

    Args:
        sd: in the unit of the observable.
        cv: coefficient of variation.
        family: shape of the residuals.
    """

    sd: float | str
    cv: float | str
    family: AbstractNoise = NormalNoise()

    @property
    def numbers(self):
        return {"sd": self.sd, "cv": self.cv}

    def spread(self, prediction, numbers, given):
        return jnp.sqrt(numbers[0] ** 2 + (numbers[1] * prediction) ** 2)


@dataclasses.dataclass(frozen=True)
class LogAdditive(AbstractErrorModel):
    """The same standard deviation on the logarithm: log-normal values whose median is the prediction.

    Args:
        sd: on the natural logarithm (about the coefficient of variation where it is small), or on the decimal one if
            the family says so. The mean of a group must be its geometric mean.
        family: `LogNormalNoise()`, or another one on a logarithm.
    """

    sd: float | str
    family: AbstractNoise = LogNormalNoise()

    def __post_init__(self):
        super().__post_init__()
        if self.family.scale == "lin":
            raise CalibrationError(
                f"Argument `family` of LogAdditive must be one on a logarithm such as LogNormalNoise(), but "
                f"{self.family!r} was given; with it, use Additive."
            )

    @property
    def numbers(self):
        return {"sd": self.sd}

    def spread(self, prediction, numbers, given):
        return numbers[0]


@dataclasses.dataclass(frozen=True)
class GivenSd(AbstractErrorModel):
    """The standard deviation that the table gives for each value.

    Args:
        factor: by which all of them are multiplied; estimated where they are known but for a factor.
        family: shape of the residuals, in the unit of the measurement.
    """

    reads_table: ClassVar[bool] = True

    factor: float | str = 1.0
    family: AbstractNoise = NormalNoise()

    def __post_init__(self):
        super().__post_init__()
        if self.family.scale != "lin":
            raise CalibrationError(
                "Argument `family` of GivenSd must not be on a logarithm: the standard deviations of the table are in "
                "the unit of the measurement. Use LogAdditive(sd)."
            )

    @property
    def numbers(self):
        return {"factor": self.factor}

    def spread(self, prediction, numbers, given):
        return numbers[0] * given
