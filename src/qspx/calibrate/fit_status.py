"""What became of each start of a fit: stable codes, each with advice, and the table that counts them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


class FitStatus(IntEnum):
    """Outcome of one start. The numbers are stored in files and never change their meaning."""

    GRADIENT = 0
    VALUE = 1
    STEP = 2
    MAX_ITERATIONS = 3
    FAILED_START = 4
    STALLED = 5
    RUNNING = 6
    AT_KINK = 7

    @property
    def converged(self) -> bool:
        """Whether a criterion of convergence was met."""
        return self <= FitStatus.STEP or self == FitStatus.AT_KINK


FIT_STATUS_ADVICE: Mapping[FitStatus, str] = MappingProxyType(
    {
        FitStatus.GRADIENT: "converged: no slope is left inside the bounds",
        FitStatus.VALUE: "converged: the log-posterior no longer changes",
        FitStatus.STEP: "converged: the steps are as small as asked for",
        FitStatus.MAX_ITERATIONS: "iteration limit reached; raise `max_iterations` of the method",
        FitStatus.FAILED_START: "the log-posterior is not finite at the start; narrow the bounds, or draw more "
        "candidates (`oversample`)",
        FitStatus.STALLED: "every step towards a better value fails or gives less than its slope says; tighten the "
        "tolerances of the integrator, or look for runs that fail near this place",
        FitStatus.AT_KINK: "converged: at a kink of the density, where residuals are zero",
        FitStatus.RUNNING: "not finished; the same call with the same `out` goes on",
    }
)


def fit_ledger(status: np.ndarray) -> pd.DataFrame:
    """One row per status that occurs: `status`, `n`, `share`, `meaning`. The `n` add up to the number of starts."""
    import pandas as pd

    codes = np.asarray(status, dtype=int)
    counts = {s: int((codes == s).sum()) for s in FitStatus}
    rows = [(s.name.lower(), n, n / len(codes), FIT_STATUS_ADVICE[s]) for s, n in counts.items() if n]
    return pd.DataFrame(rows, columns=["status", "n", "share", "meaning"])
