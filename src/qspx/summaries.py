"""Endpoints that are computed during the solve, to the accuracy of the solver: no trajectory needs to be stored."""

from __future__ import annotations

import abc
import dataclasses
import math
import numbers
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from qspx._errors import ModelError, ProtocolError, closest
from qspx.units import unit

if TYPE_CHECKING:
    from qspx.model import AbstractModel


PLURAL = {"h": "hours", "min": "minutes", "s": "seconds"}  # of units whose name takes no s


class AbstractSummary(abc.ABC):
    """One number per subject, of `observable` over the window from `start` to `end` (model time; None is the whole
    run). At a dose time the window that ends there sees the value before the dose, the one that starts there the value
    after it."""

    observable: str
    start: float | None
    end: float | None
    kind: ClassVar[str] = ""
    words: ClassVar[str] = "{}"
    per_window: ClassVar[bool] = False  # divided by the length of the window

    def __post_init__(self):
        for role in ("start", "end"):
            edge = getattr(self, role)
            if edge is not None and not (isinstance(edge, int | float | np.number) and math.isfinite(edge)):
                raise ProtocolError(
                    f"{type(self).__name__}({self.observable!r}): `{role}` must be finite, or None for the "
                    f"{role} of the run, but {edge!r} was given."
                )
        if self.start is not None and self.end is not None and not self.start < self.end:
            raise ProtocolError(
                f"{type(self).__name__}({self.observable!r}): `start` must be before `end`, but "
                f"{self.start:g} and {self.end:g} were given."
            )

    @property
    def name(self) -> str:
        """`max(nACT)`, or `max(nACT, 7..14)` with a window."""
        if self.start is None and self.end is None:
            return f"{self.kind}({self._subject})"
        edge = ["" if x is None else f"{x:g}" for x in (self.start, self.end)]
        return f"{self.kind}({self._subject}, {edge[0]}..{edge[1]})"

    @property
    def _subject(self) -> str:
        return self.observable

    def title(self, time_unit: str) -> str:
        """In words: "peak nACT, days 0 to 28"."""
        edges = "to the end" if self.end is None else f"{self.start or 0:g} to {self.end:g}"
        return f"{self._in_words()}, {PLURAL.get(time_unit, time_unit + 's')} {edges}"

    def _in_words(self) -> str:
        return self.words.format(self.observable)

    def unit_in(self, model: AbstractModel) -> str:
        """Unit of the endpoint: that of the observable, unless the class says otherwise."""
        return model.outputs[self.observable].unit

    @property
    def beyond(self) -> tuple[float, float | str] | None:
        """Sign and threshold where the time counts for which sign times the observable is above sign times the
        threshold, a number or the name of a parameter; None for other summaries."""
        return None

    def check(self, model: AbstractModel) -> None:
        """Raise `ModelError` unless the model has what the summary names."""
        model.require_outputs([self.observable])


@dataclasses.dataclass(frozen=True)
class _OfLevel(AbstractSummary):
    observable: str
    start: float | None = None
    end: float | None = None


class Max(_OfLevel):
    """Largest value, from the continuous output of the method; Cmax where the observable is a concentration."""

    kind = "max"
    words = "peak {}"


class Tmax(_OfLevel):
    """Time of the largest value."""

    kind = "tmax"
    words = "time of the peak of {}"

    def unit_in(self, model: AbstractModel) -> str:
        return model.time_unit


class Min(_OfLevel):
    """Smallest value."""

    kind = "min"
    words = "lowest {}"


class AUC(_OfLevel):
    """Time integral (unit of the observable times the model's time unit)."""

    kind = "auc"
    words = "AUC of {}"

    def unit_in(self, model: AbstractModel) -> str:
        return (unit(model.outputs[self.observable].unit) * unit(model.time_unit)).text


class Average(_OfLevel):
    """AUC divided by the length of the window; Cavg where the observable is a concentration and the window a dosing
    interval."""

    kind = "average"
    words = "average {}"
    per_window = True


class Last(_OfLevel):
    """Value at the end of the window, before any dose given there: the trough (Ctrough) where the window ends at the
    time of the next dose."""

    kind = "last"
    words = "{} at the end"


@dataclasses.dataclass(frozen=True)
class _OfThreshold(AbstractSummary):
    observable: str
    threshold: float | str
    start: float | None = None
    end: float | None = None

    sign: ClassVar[float] = 1.0  # -1 where the time below the threshold counts
    relation: ClassVar[str] = ">"

    def __post_init__(self):
        super().__post_init__()
        if isinstance(self.threshold, str):
            return
        number = isinstance(self.threshold, numbers.Real) and not isinstance(self.threshold, bool)
        if not number or not math.isfinite(self.threshold):
            raise ProtocolError(
                f"{type(self).__name__}({self.observable!r}): `threshold` must be a finite number in the unit of the "
                f"observable, or the name of a parameter of the model, but {self.threshold!r} was given."
            )
        object.__setattr__(self, "threshold", float(self.threshold))

    @property
    def shown(self) -> str:
        """The threshold with all its digits, or the name of its parameter."""
        return self.threshold if isinstance(self.threshold, str) else repr(self.threshold).removesuffix(".0")

    @property
    def _subject(self) -> str:
        return f"{self.observable} {self.relation} {self.shown}"

    def _in_words(self) -> str:
        return self.words.format(self.observable, self.shown)

    @property
    def beyond(self) -> tuple[float, float | str]:
        return self.sign, self.threshold

    def unit_in(self, model: AbstractModel) -> str:
        return "" if self.per_window else model.time_unit

    def check(self, model: AbstractModel) -> None:
        super().check(model)
        if not isinstance(self.threshold, str):
            return
        if self.threshold not in model.parameters:
            raise ModelError(
                f"{type(self).__name__}({self.observable!r}): `threshold` must be a number or name a parameter, but "
                f"{model.name} has no parameter `{self.threshold}`.{closest(self.threshold, model.parameters)}"
            )
        model.check_role("threshold", self.threshold, f"{type(self).__name__}({self.observable!r})")
        own, given = model.outputs[self.observable].unit, model.parameters[self.threshold].unit
        if unit(own) != unit(given):
            raise ModelError(
                f"{type(self).__name__}({self.observable!r}): `threshold` names the parameter `{self.threshold}` in "
                f"{given or 'no unit'}, but `{self.observable}` is in {own or 'no unit'}. Give a number in the unit of "
                f"the observable, or declare an observable in that of the parameter."
            )


class TimeAbove(_OfThreshold):
    """Time that the observable spends strictly above a threshold, in the model's time unit: time above MIC, or time
    over a target concentration.

    The crossings are found on the method's continuous output, so the time is as accurate as the solution. An excursion
    is missed only if it is so small that the solver's error decides whether there is one.

    Args:
        observable: an observable or species.
        threshold: a number in the unit of the observable, or the name of a parameter in that unit: then every subject
            has its own (time above the subject's EC50).
        start, end: the window.
    """

    kind = "time_above"
    words = "time with {} above {}"


class TimeBelow(_OfThreshold):
    """As `TimeAbove`, for the time strictly below the threshold."""

    kind = "time_below"
    words = "time with {} below {}"
    sign = -1.0
    relation = "<"


class FractionAbove(_OfThreshold):
    """`TimeAbove` divided by the length of the window, from 0 to 1: %T > MIC over 100 where the window is a dosing
    interval."""

    kind = "fraction_above"
    words = "fraction of the time with {} above {}"
    per_window = True


OF_THRESHOLD = frozenset(c.kind for c in (TimeAbove, TimeBelow, FractionAbove))
