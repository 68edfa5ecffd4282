"""Cytokine threshold: max {D : Q_0.95[max_t cytokine(D)] <= threshold} over the virtual population.

As for glofitamab (Frances et al. 2022, J Pharm Sci 111:1208). No accepted IL-6 threshold for cytokine release
syndrome exists (Hosseini et al. 2020, doi 10.1038/s41540-020-00145-7), so the threshold has no default: sweep it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from .threshold_method import AbstractThresholdMethod


@dataclass(frozen=True, kw_only=True)
class CytokineThreshold(AbstractThresholdMethod):
    """Dose that keeps a cytokine peak under `threshold`; see `AbstractThresholdMethod`."""

    family: ClassVar[str] = "cytokine threshold"
    quantile: float = 0.95

    def sweep(self, thresholds: Sequence[float]) -> tuple[CytokineThreshold, ...]:
        """The same method at several thresholds."""
        return tuple(dataclasses.replace(self, threshold=x, label=None) for x in thresholds)

    def extra_notes(self) -> tuple[str, ...]:
        return ("no accepted cytokine threshold for cytokine release syndrome exists; the threshold is the user's",)
