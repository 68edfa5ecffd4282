"""Bagging: a weighting fitted to many resamples of targets and patients, and averaged.

QSPToolbox does this with its linear calibration (Cheng 2022): 1,000 resamples of the groups of data, 90 % of patients.
Weights that hang on one datum or one patient are evened out, and their spread over resamples is reported.
"""

from __future__ import annotations

import dataclasses

import jax
import numpy as np

from qspx._random import as_key
from qspx.vpop.designs import generator
from qspx.vpop.outputs import PopulationError
from qspx.vpop.weighting import AbstractWeighting, cloud_of


@dataclasses.dataclass(frozen=True)
class Bagged(AbstractWeighting):
    """The average of `weighting` over resamples.

    Args:
        weighting: any.
        resamples: how many (1,000 in QSPToolbox).
        patients: share of the usable patients in each, drawn without replacement.

    Targets are drawn with replacement where there are several; one drawn twice counts twice.
    """

    weighting: AbstractWeighting
    resamples: int = 1000
    patients: float = 0.9

    def __post_init__(self):
        if self.resamples < 1 or not 0 < self.patients <= 1:
            raise PopulationError(
                f"bagging needs `resamples` >= 1 and `patients` between 0 and 1, but they are {self.resamples} and "
                f"{self.patients}."
            )

    def weigh(self, cloud, key):
        rng, n = generator(key), len(cloud)
        many = max(1, round(self.patients * n))
        total, square = np.zeros(n), np.zeros(n)
        for k in range(self.resamples):
            picked = np.sort(rng.permutation(n)[:many])
            drawn = rng.integers(len(cloud.targets), size=len(cloud.targets))
            part = cloud_of(cloud.outputs.rows(cloud.usable[picked]), [cloud.targets[i] for i in np.sort(drawn)])
            found, _ = self.weighting.weigh(part, jax.random.fold_in(as_key(key), k))
            w = np.zeros(n)
            w[picked] = found / found.sum()
            total, square = total + w, square + w**2
        mean = total / self.resamples
        spread = np.sqrt(np.maximum(square / self.resamples - mean**2, 0.0))
        return mean, {"resamples": self.resamples, "relative_spread": float(spread.sum())}
