"""A parameter's value as a function of time: covariates that change, and other forcing functions."""

from __future__ import annotations

import dataclasses
import math
from bisect import bisect_right
from collections.abc import Sequence

from qspx._checks import numbers, require_kind
from qspx._errors import DoseError
from qspx.units import unit

INTERPOLATIONS = ("constant", "linear")
_TRACED = "An input holds plain numbers; derivatives come through parameters of the model, as factors of its inputs."


@dataclasses.dataclass(frozen=True)
class Input:
    """What one parameter of a `time_varying` model is from `times[0]` on. Until then the parameter's own value holds,
    also in initial values.

    Args:
        times: increasing, in the time unit of the regimen that the input goes with, shape (points,).
        values: at those times, in `unit`, shape (points,).
        unit: any unit of the parameter's dimension.
        interpolation: "constant" carries each value forward to the next time, "linear" joins them by straight lines;
            both keep the last value. A linear piece ends within rounding of its value, so a model that takes a
            fractional power of an input that reaches zero must guard it, as it must for a species.

    Raises `DoseError` for times or values that cannot be.
    """

    times: Sequence[float]
    values: Sequence[float]
    unit: str
    interpolation: str = "constant"

    def __post_init__(self):
        for name in ("times", "values"):
            given = numbers(getattr(self, name), f"{name}` of an `Input", DoseError, _TRACED)
            object.__setattr__(self, name, given)
        require_kind(self.unit, str, "unit` of an `Input", error=DoseError)
        if not self.times or len(self.times) != len(self.values):
            raise DoseError(
                "Arguments `times` and `values` of an Input must have the same length, at least 1, but have "
                f"{len(self.times)} and {len(self.values)}."
            )
        for name, given in (("times", self.times), ("values", self.values)):
            if not all(map(math.isfinite, given)):
                bad = next(x for x in given if not math.isfinite(x))
                raise DoseError(f"Argument `{name}` of an Input must be finite, but it holds {bad}.")
        for a, b in zip(self.times, self.times[1:], strict=False):
            if not a < b:
                raise DoseError(
                    f"Argument `times` of an Input must be increasing, but {b:g} follows {a:g}. Sort the points, and "
                    "give one value per time."
                )
        if self.interpolation not in INTERPOLATIONS:
            raise DoseError(
                f"Argument `interpolation` of an Input must be one of {INTERPOLATIONS}, but {self.interpolation!r} was "
                "given."
            )
        unit(self.unit)

    def at(self, t: float) -> float | None:
        """The value at time t, that of a step at just this time included; None before the first time."""
        i = bisect_right(self.times, t) - 1
        if i < 0:
            return None
        if self.interpolation == "constant" or i == len(self.times) - 1 or self.times[i] == t:
            return self.values[i]
        share = (t - self.times[i]) / (self.times[i + 1] - self.times[i])
        return self.values[i] + share * (self.values[i + 1] - self.values[i])

    def __str__(self) -> str:
        values, times = (", ".join(f"{x:.6g}" for x in given) for given in (self.values, self.times))
        return f"{values} {self.unit or '1'} at {times} ({self.interpolation})"
