"""What came out of a cohort run: endpoints and trajectories by arm and subject, with a status for each."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jax.core import Tracer

from qspx._errors import SolveError, closest
from qspx._status import Ledger, Status
from qspx.cohort import Cohort
from qspx.model import AbstractModel
from qspx.protocol import Protocol
from qspx.summaries import AbstractSummary
from qspx.weighted import weighted_quantile

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


@dataclasses.dataclass(frozen=True)
class CohortResult:
    """Results of `simulate_cohort`.

    metrics: endpoints by name, arrays (arms, subjects); values: sampled observables by name, arrays (arms, subjects,
    times), read from disk when asked for; status, steps: (arms, subjects). Where status is not OK, numbers are NaN.
    """

    model: AbstractModel
    cohort: Cohort
    protocol: Protocol
    status: Any
    steps: Any
    metrics: dict[str, Any]
    trajectories: Any
    times: np.ndarray
    units: dict[str, str]
    manifest: dict[str, Any]
    path: Path | None = None

    @property
    def ledger(self) -> Ledger:
        """Counts over runs, i.e. arms x subjects (reasons are counted per subject)."""
        return Ledger.of(self.status, self.cohort.reasons, "runs")

    @property
    def subject_status(self) -> np.ndarray:
        """Per subject: the code of the first arm that failed, OK if none did, shape (subjects,)."""
        failed = self.status != Status.OK
        first = np.argmax(failed, axis=0)
        return np.where(failed.any(axis=0), np.take_along_axis(self.status, first[None], axis=0)[0], Status.OK)

    @property
    def subject_ledger(self) -> Ledger:
        """Counts over subjects; one that fails in any arm counts as failed."""
        return Ledger.of(self.subject_status, self.cohort.reasons)

    def metric(self, name: str | AbstractSummary) -> Any:
        """One endpoint, by name ("max(C)") or as it was asked for (`Max("C")`), shape (arms, subjects)."""
        name = name.name if isinstance(name, AbstractSummary) else name
        if name not in self.metrics:
            raise SolveError(
                f"`{name}` is not an endpoint of this run; it has {list(self.metrics)}.{closest(name, self.metrics)}"
            )
        return self.metrics[name]

    def values(self, name: str) -> Any:
        """One sampled observable, shape (arms, subjects, times)."""
        if name not in self.trajectories:
            raise SolveError(
                f"`{name}` was not kept by this run; it has {list(self.trajectories)}."
                f"{closest(name, list(self.trajectories))}"
            )
        found = self.trajectories[name][:]
        return found if isinstance(found, Tracer) else np.asarray(found)

    def quantiles(self, name: str | AbstractSummary, q: Sequence[float]) -> np.ndarray:
        """Weighted quantiles over the solved subjects: of an endpoint, shape (q, arms), or of a sampled observable,
        shape (q, arms, times)."""
        name = name.name if isinstance(name, AbstractSummary) else name
        if name in self.metrics:
            return weighted_quantile(self.metrics[name], q, self.cohort.weights, axis=1)
        return weighted_quantile(self.values(name), q, self.cohort.weights, axis=1)

    def to_dataframe(self) -> pd.DataFrame:
        """Endpoints, one row per arm and subject; units in `df.attrs["units"]`."""
        import pandas as pd

        arms, subjects = self.status.shape
        data = {
            "arm": np.repeat(self.protocol.names, subjects),
            "dose": np.repeat(self.protocol.doses, subjects),
            "subject": np.tile(np.arange(subjects), arms),
            "status": [Status(int(s)).name.lower() for s in self.status.ravel()],
            "steps": self.steps.ravel(),
        }
        frame = pd.DataFrame(data | {k: v.ravel() for k, v in self.metrics.items()})
        frame.attrs["units"] = self.units
        return frame

    def to_xarray(self) -> xr.Dataset:
        """Endpoints over (arm, subject) and sampled observables over (arm, subject, time), with units."""
        import xarray as xr

        coords = {
            "arm": list(self.protocol.names),
            "dose": ("arm", self.protocol.doses),
            "subject": np.arange(self.status.shape[1]),
            "time": self.times,
        }
        data: dict[str, Any] = {k: (("arm", "subject"), v, {"units": self.units[k]}) for k, v in self.metrics.items()}
        data |= {k: (("arm", "subject", "time"), self.values(k), {"units": self.units[k]}) for k in self.trajectories}
        data |= {"status": (("arm", "subject"), self.status), "steps": (("arm", "subject"), self.steps)}
        return xr.Dataset(data, coords=coords)

    def plot(self, name: str, ax: Any = None, q: tuple[float, float, float] = (0.05, 0.5, 0.95)):
        """Median and band of a sampled observable, one colour per arm. Returns the matplotlib Axes."""
        import matplotlib.pyplot as plt

        ax = ax or plt.subplots()[1]
        bands = self.quantiles(name, q)
        for i, arm in enumerate(self.protocol.names):
            (line,) = ax.plot(self.times, bands[1, i], label=arm)
            ax.fill_between(self.times, bands[0, i], bands[2, i], alpha=0.2, color=line.get_color())
        ax.set(xlabel=f"time ({self.model.time_unit})", ylabel=f"{name} ({self.units[name] or '1'})")
        ax.legend()
        return ax

    def __str__(self) -> str:
        where = f", in {self.path}" if self.path else ""
        return (
            f"{len(self.protocol.arms)} arms x {len(self.cohort)} subjects of {self.model.name}{where}: {self.ledger}"
        )
