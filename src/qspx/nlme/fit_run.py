"""A population fit under way or done: all that has to be saved of it."""

from __future__ import annotations

import dataclasses

import numpy as np

from qspx.nlme.search import Search
from qspx.nlme.uncertainty import Matrices


@dataclasses.dataclass(frozen=True, eq=False)
class PopulationRun:
    """Searches that have begun, in the order of starts, the last perhaps under way; and information matrices, once
    they are computed."""

    searches: tuple[Search, ...] = ()
    matrices: Matrices | None = None

    @property
    def running(self) -> bool:
        """Whether the last search goes on."""
        return bool(self.searches) and self.searches[-1].memory is not None

    @property
    def evaluations(self) -> int:
        return sum(s.evaluations for s in self.searches)

    @property
    def best(self) -> Search:
        return min(self.searches, key=lambda s: s.end.value)

    def moved(self, search: Search) -> PopulationRun:
        """With another place of the last search."""
        return dataclasses.replace(self, searches=(*self.searches[:-1], search))

    def arrays(self) -> dict[str, np.ndarray]:
        """Every array by name, for a file."""
        found = {f"{k}_{name}": a for k, s in enumerate(self.searches) for name, a in s.arrays().items()}
        return found if self.matrices is None else found | {f"matrix_{k}": a for k, a in vars(self.matrices).items()}

    @classmethod
    def of_arrays(cls, arrays: dict[str, np.ndarray]) -> PopulationRun:
        """Inverse of `arrays`."""

        def part(prefix: str) -> dict[str, np.ndarray]:
            return {k.removeprefix(prefix): a for k, a in arrays.items() if k.startswith(prefix)}

        n = sum(name.endswith("_promised") for name in arrays)
        matrices = part("matrix_")
        searches = tuple(Search.of_arrays(part(f"{k}_")) for k in range(n))
        return cls(searches, Matrices(**matrices) if matrices else None)
