"""Metric against dose over a population: simulated once per schedule, shared by every method that asks for it."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.interpolate import PchipInterpolator

from .._errors import DoseError
from .._status import Ledger, Status
from ..cohort import Cohort
from ..cohort_run import simulate_cohort
from ..dosing import Regimen
from ..integrate import AbstractIntegrator
from ..model import AbstractModel
from ..protocol import Protocol
from ..summaries import AbstractSummary
from ..weighted import weighted_quantile


@dataclasses.dataclass(frozen=True)
class DoseResponse:
    """One metric at several dose levels: `levels` (levels,) increasing, `values` (levels, subjects) with NaN where the
    solve failed, `weights` (subjects,)."""

    metric: str
    unit: str
    dose_unit: str
    levels: np.ndarray
    values: np.ndarray
    weights: np.ndarray

    def quantile(self, q: float) -> np.ndarray:
        """q-quantile over the population at each level, shape (levels,)."""
        return weighted_quantile(self.values, q, self.weights, axis=1)

    def with_level(self, level: float, values: np.ndarray) -> DoseResponse:
        """The same response with one more level."""
        order = np.argsort(np.append(self.levels, level))
        return dataclasses.replace(
            self, levels=np.append(self.levels, level)[order], values=np.vstack([self.values, values])[order]
        )

    def interpolated(self, dose: float) -> np.ndarray:
        """Metric of every subject at a dose between the levels: monotone cubic in log metric against log dose. A
        subject whose metric is not positive at some level is interpolated on a linear metric axis instead."""
        x, at = np.log(self.levels), np.log(dose)
        usable = ~np.isnan(self.values).any(axis=0)
        found = np.full(self.values.shape[1], np.nan)
        positive = usable & (self.values > 0).all(axis=0)
        if positive.any():
            found[positive] = np.exp(PchipInterpolator(x, np.log(self.values[:, positive]))(at))
        if (linear := usable & ~positive).any():
            found[linear] = PchipInterpolator(x, self.values[:, linear])(at)
        return found


class DoseResponses:
    """Runs the population over the dose levels of each schedule, once, and keeps what came out."""

    def __init__(
        self,
        model: AbstractModel,
        population: Cohort,
        levels: Sequence[float],
        integrator: AbstractIntegrator | None = None,
        out: Path | None = None,
        progress: bool | None = None,
    ):
        self.model, self.population, self.integrator = model, population, integrator
        self.levels = np.asarray(levels, dtype=float)
        if len(self.levels) < 3 or np.any(np.diff(self.levels) <= 0) or self.levels[0] <= 0:
            raise DoseError(f"Argument `levels` must hold at least three increasing doses > 0, but is {list(levels)}.")
        self.out, self.progress = out, progress
        self._found: dict[tuple[Regimen, str], DoseResponse] = {}
        self.status: list[np.ndarray] = []
        self.runs = 0
        self._around: dict[tuple[str, tuple[float, ...]], DoseResponses] = {}

    def get(self, regimen: Regimen, summary: AbstractSummary) -> DoseResponse:
        """The response of one endpoint under one schedule (simulated now if it was not yet)."""
        self.prepare(regimen, [summary])
        return self._found[regimen.scaled_to(1.0), summary.name]

    def prepare(self, regimen: Regimen, summaries: Sequence[AbstractSummary]) -> None:
        """Simulate the endpoints that are still missing under one schedule, in one run."""
        shape = regimen.scaled_to(1.0)
        missing = [s for s in dict.fromkeys(summaries) if (shape, s.name) not in self._found]
        if not missing:
            return
        result = self._simulate(shape, self.levels, missing, "levels")
        for s in missing:
            self._found[shape, s.name] = DoseResponse(
                s.name, result.units[s.name], regimen.unit, self.levels, result.metric(s.name), self.population.weights
            )

    def level(self, regimen: Regimen, summary: AbstractSummary, dose: float) -> DoseResponse:
        """The response with `dose` among its levels."""
        found = self.get(regimen, summary)
        return found if np.any(np.isclose(found.levels, dose, rtol=1e-9)) else self.add_level(regimen, summary, dose)

    def add_level(self, regimen: Regimen, summary: AbstractSummary, level: float) -> DoseResponse:
        """The response with one more simulated level."""
        shape = regimen.scaled_to(1.0)
        before = self.get(regimen, summary)
        result = self._simulate(shape, [level], [summary], "extra")
        self._found[shape, summary.name] = before.with_level(level, result.metric(summary.name)[0])
        return self._found[shape, summary.name]

    def _simulate(self, shape: Regimen, levels, summaries, kind: str):
        protocol = Protocol.escalation(shape, list(levels))
        out = None
        if self.out is not None:
            what = f"{shape}{[float(x) for x in levels]}{[s.name for s in summaries]}"
            out = self.out / f"{kind}-{hashlib.sha256(what.encode()).hexdigest()[:12]}"
        result = simulate_cohort(
            self.model,
            self.population,
            protocol,
            summaries=summaries,
            out=out,
            integrator=self.integrator,
            progress=self.progress,
        )
        self.status.append(result.status)
        self.runs += int((result.status != Status.NOT_RUN).sum())
        return result

    def around(self, population: Cohort, levels: tuple[float, ...]) -> DoseResponses:
        """Responses of another population at other levels, made once."""
        name = (population.digest, levels)
        if name not in self._around:
            self._around[name] = DoseResponses(self.model, population, levels, self.integrator, self.out, self.progress)
        return self._around[name]

    def take_runs(self) -> int:
        """Number of subject runs since the last call."""
        runs, self.runs = self.runs, 0
        return runs

    def ledger(self) -> Ledger:
        """Counts over the subjects: one that failed in any run counts once, under its first failure."""
        if not self.status:
            return self.population.ledger
        status = np.concatenate(self.status)
        failed = status != Status.OK
        first = np.take_along_axis(status, np.argmax(failed, axis=0)[None], axis=0)[0]
        return Ledger.of(np.where(failed.any(axis=0), first, Status.OK), self.population.reasons)
