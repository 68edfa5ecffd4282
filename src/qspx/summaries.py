"""Endpoints that are computed during the solve, to the accuracy of the solver: no trajectory needs to be stored."""

from __future__ import annotations

import abc
import dataclasses
import math
from typing import ClassVar

from qspx._errors import ProtocolError


@dataclasses.dataclass(frozen=True)
class AbstractSummary(abc.ABC):
    """One number per subject, of `observable` over the window from `start` to `end` (model time; None is the whole
    run). At a dose time the window that ends there sees the value before the dose, the one that starts there the value
    after it."""

    observable: str
    start: float | None = None
    end: float | None = None
    kind: ClassVar[str] = ""
    words: ClassVar[str] = "{}"

    def __post_init__(self):
        for role in ("start", "end"):
            edge = getattr(self, role)
            if edge is not None and not math.isfinite(edge):
                raise ProtocolError(
                    f"{type(self).__name__}({self.observable!r}): `{role}` must be finite, or None for the "
                    f"{role} of the run, but {edge} was given."
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
            return f"{self.kind}({self.observable})"
        edge = ["" if x is None else f"{x:g}" for x in (self.start, self.end)]
        return f"{self.kind}({self.observable}, {edge[0]}..{edge[1]})"

    def title(self, time_unit: str) -> str:
        """In words: "peak nACT, days 0 to 28"."""
        edges = "to the end" if self.end is None else f"{self.start or 0:g} to {self.end:g}"
        return f"{self.words.format(self.observable)}, {time_unit}s {edges}"


class Max(AbstractSummary):
    """Largest value, from the continuous output of the method."""

    kind = "max"
    words = "peak {}"


class Tmax(AbstractSummary):
    """Time of the largest value."""

    kind = "tmax"
    words = "time of the peak of {}"


class Min(AbstractSummary):
    """Smallest value."""

    kind = "min"
    words = "lowest {}"


class AUC(AbstractSummary):
    """Time integral (unit of the observable times the model's time unit)."""

    kind = "auc"
    words = "AUC of {}"


class Average(AbstractSummary):
    """AUC divided by the length of the window."""

    kind = "average"
    words = "average {}"


class Last(AbstractSummary):
    """Value at the end of the window, before any dose given there: the trough."""

    kind = "last"
    words = "{} at the end"
