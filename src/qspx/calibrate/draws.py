"""Draws of the estimated parameters: what Laplace, NUTS and the bootstrap all return.

They say how well the parameters of one system are known. That is not how much patients differ: a cohort of these draws
is a cohort of guesses at the same typical patient. Spread between subjects comes from a population fit (`qspx.nlme`).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from qspx._errors import CalibrationError
from qspx._status import Status
from qspx.calibrate.information import z_of
from qspx.calibrate.objective import Objective
from qspx.cohort import Cohort

if TYPE_CHECKING:
    import pandas as pd


_MOST = 512  # draws that are predicted together


@dataclasses.dataclass(frozen=True, eq=False)
class Draws:
    """Draws of the estimated parameters.

    Args:
        objective: of which problem.
        x: on the estimation scale, shape (draws, estimated); a row of NaN is a draw that failed.
        origin: how they were made.
        reasons: why draws failed, with counts that add up to the number of such rows.
    """

    objective: Objective
    x: np.ndarray
    origin: str
    reasons: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.x)

    @property
    def names(self) -> tuple[str, ...]:
        return self.objective.names

    @functools.cached_property
    def ok(self) -> np.ndarray:
        """Which draws did not fail, shape (draws,)."""
        return np.asarray(np.isfinite(self.x).all(axis=1))

    @functools.cached_property
    def natural(self) -> np.ndarray:
        """The parameters themselves, shape (draws, estimated)."""
        return np.asarray(self.objective.natural(self.x))

    def column(self, name: str) -> np.ndarray:
        """One parameter, shape (draws,). Raises `CalibrationError` for one that was not estimated."""
        if name not in self.names:
            raise CalibrationError(f"`{name}` was not estimated; these were: {', '.join(self.names)}.")
        return self.natural[:, self.names.index(name)]

    @property
    def covariance(self) -> np.ndarray:
        """On the estimation scale, shape (estimated, estimated)."""
        return np.cov(self.x[self.ok], rowvar=False).reshape(len(self.names), -1)

    def interval(self, level: float = 0.95) -> np.ndarray:
        """Central intervals of the parameters themselves, shape (estimated, 2)."""
        z_of(level)
        return np.quantile(self.natural[self.ok], [0.5 - level / 2, 0.5 + level / 2], axis=0).T

    def to_dataframe(self, level: float = 0.95) -> pd.DataFrame:
        """One row per parameter: parameter, median, mean, sd, low, high, on the natural scale."""
        import pandas as pd

        good, ends = self.natural[self.ok], self.interval(level)
        frame = pd.DataFrame({"parameter": self.names, "median": np.median(good, axis=0), "mean": good.mean(axis=0)})
        frame["sd"], frame["low"], frame["high"] = good.std(axis=0, ddof=1), ends[:, 0], ends[:, 1]
        frame.attrs["level"] = level
        return frame

    def cohort(self, *, run: int | None = None, parameters: Mapping[str, float] | None = None) -> Cohort:
        """One subject per draw, of the model that was calibrated: for `simulate_cohort`, `compare_doses`, and any other
        prediction with its uncertainty.

        Estimated parameters of the model vary; those that every run of the calibration shares keep the value they have
        there, all others the model's. Estimated values that are no parameter of the model (noise, scaling) play no
        part. A draw that failed has status EXCLUDED.

        Args:
            run: the run of the calibration whose parameters are meant, where runs differ.
            parameters: values to replace, by name.

        Raises:
            CalibrationError: if an estimated parameter stands in some runs only, and `run` is not given; or if no
                parameter of the model was estimated.
        """
        model = self.objective.phases[-1].model
        row, fixed = of_model(self.objective, run)
        natural = np.where(self.ok[:, None], self.natural, np.nan)
        theta = np.where(row >= 0, natural[:, np.maximum(row, 0)], fixed)
        status = np.where(self.ok, Status.OK, Status.EXCLUDED)
        found = Cohort(model, theta, status, origin=self.origin, reasons={Status.EXCLUDED: dict(self.reasons)})
        return found.with_parameters(parameters) if parameters else found

    def predicted(self) -> np.ndarray:
        """What each draw predicts for the measurements, shape (draws, measurements); NaN where a draw or a run
        failed."""
        found = np.full((len(self), len(self.objective.value)), np.nan)
        rows = np.flatnonzero(self.ok)
        for first in range(0, len(rows), _MOST):
            part = rows[first : first + _MOST]
            filled = np.concatenate([part, np.repeat(part[:1], min(_MOST, len(rows)) - len(part))])
            predicted = self.objective.predictions(self.x[filled])
            solved = np.asarray(predicted.status == Status.OK)[:, self.objective.run]
            found[part] = np.where(solved, np.asarray(predicted.prediction), np.nan)[: len(part)]
        return found

    def __str__(self) -> str:
        failed = "".join(f", {n} failed ({why})" for why, n in self.reasons.items() if n)
        return f"{len(self)} draws: {self.origin}{failed}\n{self.to_dataframe().to_string(index=False)}"


def of_model(objective: Objective, run: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Of each parameter of the calibrated model: which estimated value stands for it, -1 for none, and its value
    otherwise; shape (parameters,). See `Draws.cohort` for `run` and errors."""
    phase = objective.phases[-1]
    model, constant, index = phase.model, phase.theta.constant, phase.theta.index
    if run is not None and not 0 <= run < len(constant):
        raise CalibrationError(f"Argument `run` must lie between 0 and {len(constant) - 1}, but {run} was given.")
    if run is None and (differ := (index != index[0]).any(axis=0)).any():
        name = list(model.parameters)[int(np.argmax(differ))]
        raise CalibrationError(
            f"the runs of this calibration have different estimated values for `{name}`. Name the one that is meant: "
            f"run=0 to run={len(constant) - 1}."
        )
    row = index[run or 0]
    if not (row >= 0).any():
        raise CalibrationError(
            f"no parameter of {model.name} was estimated, only {', '.join(objective.names)}: nothing of "
            "it is uncertain."
        )
    shared = (constant == constant[0]).all(axis=0) if run is None else np.ones(constant.shape[1], bool)
    return row, np.where(shared, constant[run or 0], model.theta)
