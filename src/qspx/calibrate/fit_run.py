"""A fit under way or done: all that has to be saved of it."""

from __future__ import annotations

import dataclasses

import numpy as np

from qspx.calibrate.search import Search


@dataclasses.dataclass(frozen=True, eq=False)
class FitRun:
    """Every start of a fit.

    Args:
        search: where every start stands.
        start_value: log-posterior of every start at its beginning, shape (starts,).
        history: best log-posterior of every start after every step, shape (steps + 1, starts).
        discarded: candidates for a start at which the log-posterior was not finite and which were replaced.
    """

    search: Search
    start_value: np.ndarray
    history: np.ndarray
    discarded: int

    def arrays(self) -> dict[str, np.ndarray]:
        """Every array by name, for a file."""
        own = {"start_value": self.start_value, "history": self.history, "discarded": np.array(self.discarded)}
        return own | self.search.arrays()

    @classmethod
    def of_arrays(cls, arrays: dict[str, np.ndarray]) -> FitRun:
        """Inverse of `arrays`."""
        rest = {name: a for name, a in arrays.items() if name not in ("start_value", "history", "discarded")}
        return cls(Search.of_arrays(rest), arrays["start_value"], arrays["history"], int(arrays["discarded"]))
