"""What became of each subject: stable codes, and the ledger that counts them.

A batch never raises for one subject. Each subject carries a `Status`; where it is not `OK` the subject's numbers
are NaN. A `Ledger` counts the codes and travels with the results, so that the totals of every later step add up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


class Status(IntEnum):
    """Outcome of one subject. The numbers are stored in files and never change their meaning."""

    OK = 0
    NOT_RUN = 1
    MAX_STEPS = 2
    DT_MIN = 3
    NONFINITE = 4
    IMPLAUSIBLE = 5
    EXCLUDED = 6
    NOT_STEADY = 7
    NOT_REACHED = 8


STATUS_ADVICE: Mapping[Status, str] = MappingProxyType(
    {
        Status.OK: "solved",
        Status.NOT_RUN: "not simulated yet; resume the run to fill it",
        Status.MAX_STEPS: "step limit reached; raise `max_steps`, loosen the tolerances, or look for a very stiff "
        "or oscillating subject",
        Status.DT_MIN: "step size fell below its minimum; look for a discontinuity or a blow-up in the rates, or for a "
        "steady state that is added (steady_state=2, SS 2) to a state where it makes a species negative",
        Status.NONFINITE: "a state or a parameter became NaN or infinite; look for a division by zero, a negative "
        "power or logarithm, or an absurd parameter",
        Status.IMPLAUSIBLE: "a parameter or an output is outside its physiological bounds",
        Status.EXCLUDED: "left out on request",
        Status.NOT_STEADY: "no steady state was reached before the run; raise its time limit, or look for a state that "
        "grows or oscillates for ever",
        Status.NOT_REACHED: "out of reach: the condition that a run should start at is never met, or no parameters "
        "give a twin the outputs of its patient; widen the prior or the bounds",
    }
)


@dataclass(frozen=True)
class Ledger:
    """Number of subjects per status, with optional reasons.

    `counts` maps every `Status` to a count (missing ones are 0). `reasons` maps a status to `{text: count}`, for
    instance which bound made subjects implausible; one subject may count under several reasons, so reasons need
    not add up to the count. `noun` says what is counted.
    """

    counts: Mapping[Status, int]
    reasons: Mapping[Status, Mapping[str, int]] = field(default_factory=dict)
    noun: str = "subjects"

    def __post_init__(self):
        counts = {status: int(self.counts.get(status, 0)) for status in Status}
        unknown = [key for key in self.counts if key not in counts]
        if unknown:
            raise ValueError(f"Argument `counts` must be keyed by Status, but has {unknown}.")
        if min(counts.values()) < 0:
            raise ValueError(f"Argument `counts` must not be negative, but is {counts}.")
        reasons = {Status(status): MappingProxyType(dict(texts)) for status, texts in self.reasons.items() if texts}
        object.__setattr__(self, "counts", MappingProxyType(counts))
        object.__setattr__(self, "reasons", MappingProxyType(reasons))

    @classmethod
    def of(cls, status, reasons: Mapping[Status, Mapping[str, int]] | None = None, noun: str = "subjects") -> Ledger:
        """Count an array of status codes (any shape). Raises `ValueError` for a code that is no `Status`."""
        codes, counts = np.unique(np.asarray(status, dtype=np.int64), return_counts=True)
        known = {int(item) for item in Status}
        unknown = [int(code) for code in codes if int(code) not in known]
        if unknown:
            raise ValueError(f"Argument `status` must hold codes of Status ({sorted(known)}), but has {unknown}.")
        return cls({Status(int(code)): int(n) for code, n in zip(codes, counts, strict=True)}, reasons or {}, noun)

    @property
    def total(self) -> int:
        """Number of subjects."""
        return sum(self.counts.values())

    @property
    def ok(self) -> int:
        """Number of subjects with status `OK`."""
        return self.counts[Status.OK]

    def __add__(self, other: Ledger) -> Ledger:
        if not isinstance(other, Ledger):
            return NotImplemented
        counts = {status: self.counts[status] + other.counts[status] for status in Status}
        reasons: dict[Status, dict[str, int]] = {}
        for ledger in (self, other):
            for status, texts in ledger.reasons.items():
                merged = reasons.setdefault(status, {})
                for text, n in texts.items():
                    merged[text] = merged.get(text, 0) + int(n)
        return Ledger(counts, reasons, self.noun)

    def __radd__(self, other) -> Ledger:
        return self if other == 0 else NotImplemented  # lets sum() start from 0

    def table(self) -> pd.DataFrame:
        """One row per status that occurs: `status`, `n`, `share` (of all subjects), `meaning`. The `n` add up to
        `total`."""
        import pandas as pd

        rows = [
            (status.name.lower(), n, n / self.total, self._meaning(status)) for status, n in self.counts.items() if n
        ]
        return pd.DataFrame(rows, columns=["status", "n", "share", "meaning"])

    def _meaning(self, status: Status) -> str:
        reasons = self.reasons.get(status, {})
        listed = ", ".join(f"{text}: {n}" for text, n in sorted(reasons.items(), key=lambda item: -item[1]))
        return STATUS_ADVICE[status] + (f" ({listed})" if listed else "")

    def __str__(self) -> str:
        parts = [f"{n} {status.name.lower()}" for status, n in self.counts.items() if n]
        return f"{self.total} {self.noun}: " + (", ".join(parts) or "none")

    def __getstate__(self):
        return {
            "counts": dict(self.counts),
            "reasons": {key: dict(value) for key, value in self.reasons.items()},
            "noun": self.noun,
        }

    def __setstate__(self, state):
        self.__init__(state["counts"], state["reasons"], state["noun"])
