"""Measurements of individual people, as hierarchical methods take them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from qspx.vpop.outputs import PopulationError


@dataclasses.dataclass(frozen=True, eq=False)
class Individuals:
    """Outputs measured in people, one row per person.

    Args:
        names: outputs.
        data: shape (people, names), in the units of the outputs; NaN where a person was not measured.
        noise: standard deviation of the measurement of each output: of the logarithm, or of the value itself for
            those in `additive`. Normal.
        additive: outputs whose noise is added to the value; all others are positive.
        noise_known: False to estimate the noise as well; `noise` then holds the scales of its half-normal priors.

    Raises:
        PopulationError: if these do not fit each other.
    """

    names: Sequence[str]
    data: np.ndarray
    noise: Mapping[str, float]
    additive: Sequence[str] = ()
    noise_known: bool = True

    def __post_init__(self):
        object.__setattr__(self, "names", tuple(self.names))
        object.__setattr__(self, "additive", tuple(self.additive))
        object.__setattr__(self, "data", np.asarray(self.data, float))
        if self.data.ndim != 2 or self.data.shape[1] != len(self.names) or len(self.data) < 2:
            raise PopulationError(
                f"Argument `data` must have shape (people, {len(self.names)}) with at least two people, but has shape "
                f"{self.data.shape}."
            )
        if unknown := sorted(set(self.additive) - set(self.names)):
            raise PopulationError(f"Argument `additive` must name outputs among {self.names}, but has {unknown}.")
        if set(self.noise) != set(self.names) or not all(0 < s < np.inf for s in self.noise.values()):
            raise PopulationError(
                f"Argument `noise` must hold a standard deviation > 0 for each of {self.names}, but is "
                f"{dict(self.noise)}."
            )
        if not self.known.any(axis=1).all():
            rows = np.flatnonzero(~self.known.any(axis=1)).tolist()
            raise PopulationError(f"Argument `data` has no measurement of the people {rows}; leave them out.")
        broken = np.isinf(self.data) | (self.known & self.logarithmic & ~(self.data > 0))
        if broken.any():
            i, j = (int(k) for k in np.argwhere(broken)[0])
            raise PopulationError(
                f"Argument `data` must be finite, and positive where noise is of the logarithm, but person {i} has "
                f"{self.names[j]} = {self.data[i, j]:g}. Name the output in `additive`, or give NaN for not measured."
            )

    def __len__(self) -> int:
        return len(self.data)

    @property
    def known(self) -> np.ndarray:
        """What was measured, shape (people, names)."""
        return ~np.isnan(self.data)

    @property
    def logarithmic(self) -> np.ndarray:
        """Outputs whose noise is of the logarithm, shape (1, names)."""
        return np.array([[n not in self.additive for n in self.names]])

    @property
    def scores(self) -> np.ndarray:
        """Data on the scale of the noise (logarithm, or the value), zero where not known, shape (people, names)."""
        safe = np.where(self.known, self.data, 1.0)
        logs = np.log(np.where(self.logarithmic, safe, 1.0))
        return np.where(self.known, np.where(self.logarithmic, logs, safe), 0.0)

    @property
    def sds(self) -> np.ndarray:
        """Of the noise, shape (names,)."""
        return np.array([float(self.noise[n]) for n in self.names])
