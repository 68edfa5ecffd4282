"""Minimum pharmacologically active dose: where the median virtual patient reaches a benchmark of activity.

The benchmark is a metric's level at the first clinically active dose of a reference drug of the class, or an effect
level translated from an animal model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .threshold_method import AbstractThresholdMethod


@dataclass(frozen=True, kw_only=True)
class Mpad(AbstractThresholdMethod):
    """Dose at which a QSP metric reaches the benchmark `threshold`; see `AbstractThresholdMethod`."""

    family: ClassVar[str] = "MPAD"
    quantile: float = 0.5

    def extra_notes(self) -> tuple[str, ...]:
        return ("a dose of expected activity: a starting dose lies below it",)
