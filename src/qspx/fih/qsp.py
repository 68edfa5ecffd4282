"""QSP-based starting dose: the largest dose that keeps a model metric of (most of) the population under a level.

D*(q, tau) = sup {D : quantile_q over virtual patients of metric(D) <= tau}, q = 0.95 for safety metrics. Draft FDA
guidance on QSP-based dose selection for MABEL (June 2026) names the approach; check its text before citing it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .threshold_method import AbstractThresholdMethod


@dataclass(frozen=True, kw_only=True)
class Qsp(AbstractThresholdMethod):
    """Dose by a safety or activity level of a QSP metric; see `AbstractThresholdMethod`."""

    family: ClassVar[str] = "QSP"
    quantile: float = 0.95
