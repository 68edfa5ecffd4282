"""A virtual population: patients, weights, and what they were made to match."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from qspx._random import KeyLike
from qspx._status import Ledger, Status
from qspx.cohort import Cohort
from qspx.start_states import AbstractStart
from qspx.store import to_json, write_atomic
from qspx.vpop import diagnostics
from qspx.vpop.comparisons import Count
from qspx.vpop.composite import GoodnessOfFit, comparisons
from qspx.vpop.laws import AbstractLaw
from qspx.vpop.outputs import Outputs, PopulationError
from qspx.vpop.reach import judged
from qspx.vpop.resampling import misfit, systematic
from qspx.vpop.targets import AbstractTarget, stacked

if TYPE_CHECKING:
    import pandas as pd

    from qspx.vpop.problem import PopulationProblem


@dataclasses.dataclass(frozen=True, eq=False)
class VirtualPopulation:
    """Patients with weights. `started()` goes into `simulate_cohort` and `compare_doses`, with its own `model`.

    Args:
        outputs: the patients and their numbers.
        weights: shape (subjects,), >= 0, summing to one; zero where the status is not OK.
        targets: what the weights were made to match.
        details: what the method says: duals, iterations, seconds.
    """

    outputs: Outputs
    weights: np.ndarray
    targets: tuple[AbstractTarget, ...] = ()
    details: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        weights = np.asarray(self.weights, float)
        if weights.shape != (len(self.outputs),) or not np.all(weights >= 0) or not weights.sum() > 0:
            raise PopulationError(
                f"Argument `weights` must hold one number >= 0 for each of {len(self.outputs)} patients, and not only "
                f"zeros; shape {weights.shape}, sum {weights.sum():g} was given."
            )
        if np.any(weights[~self.outputs.usable] > 0):
            raise PopulationError("a patient whose status is not OK was given a weight.")
        object.__setattr__(self, "weights", weights / weights.sum())

    @property
    def cohort(self) -> Cohort:
        """The patients with their weights."""
        return dataclasses.replace(self.outputs.cohort, weights=self.weights)

    def started(self) -> Cohort:
        """The patients with their weights, each at the state in which its outputs were looked at first: the steady
        state, the diagnosis. Simulate them with the `model` of the cohort, which begins there; where the outputs began
        at the model's initial values this is `cohort`. A patient that cannot be brought there has its status."""
        start = self.outputs.start
        return self.cohort if start is None else start.cohort(self.cohort)

    @property
    def ledger(self) -> Ledger:
        """Of all patients that were looked at, with the reasons of those that were rejected."""
        return self.outputs.ledger

    @property
    def effective_size(self) -> float:
        """1 / sum w²; of a selection, at most that of the weights that it was selected by."""
        selected = self.details.get("selection", {}).get("effective_size_of_weights", np.inf)
        return min(diagnostics.effective_size(self.weights), selected)

    def __len__(self) -> int:
        """Patients with a weight."""
        return int((self.weights > 0).sum())

    # how well it fits -----------------------------------------------------------------------------------------------

    def target_table(self) -> pd.DataFrame:
        """One row per feature of the targets: target, its standard error, what the weights achieve, whether the target
        is `supported` (within the range that the patients with a weight span), and whether it is `reached`: supported,
        and no further away than three standard errors and a tolerance, which is a tenth of a share (between 0.001 and
        0.02) or 0.02 standard deviations. Where targets have a unit, that of the output stands beside it.

        A target of very few people is near anything: its standard errors are large."""
        import pandas as pd

        f = stacked(self.targets, self.outputs)
        achieved = self.weights[self.outputs.usable] @ f.matrix
        error = np.sqrt(np.maximum(np.diag(f.covariance), 0.0))
        some = self.weights > 1e-12 * self.weights.max()
        tolerance, supported = judged(self.targets, [self.outputs.columns(t.names)[some] for t in self.targets])
        reached = supported & (np.abs(achieved - f.target) <= 3 * error + tolerance)
        columns = {"target": f.target, "error": error, "achieved": achieved, "supported": supported, "reached": reached}
        if any(t.units for t in self.targets):
            columns["unit"] = [", ".join(t.units.values()) for t in self.targets for _ in range(self._features(t))]
        return pd.DataFrame({"feature": f.labels, **columns})

    def _features(self, target: AbstractTarget) -> int:
        """How many features a target has."""
        return len(target.features(self.outputs.columns(target.names)[self.outputs.usable]).labels)

    @property
    def unreached(self) -> list[str]:
        """Features of the targets that the population does not have."""
        table = self.target_table()
        return table["feature"][~table["reached"]].tolist()

    @property
    def unsupported(self) -> list[str]:
        """Those of them that no weights of these patients would reach: find others, with a wider prior."""
        table = self.target_table()
        return table["feature"][~table["supported"]].tolist()

    def goodness_of_fit(
        self,
        targets: Sequence[AbstractTarget] = (),
        *,
        count: Count = diagnostics.effective_size,
        importance: Mapping[str, float] = MappingProxyType({}),
    ) -> GoodnessOfFit:
        """Tests of the population against targets, as in QSPToolbox: a p-value each (`.table()`), and a composite one
        (`.composite_p`).

        Args:
            targets: what to compare with (default: what the weights were made to match).
            count: how many patients weights stand for: `effective_size`, or `CountedAbove(share)`.
            importance: how much a test counts in the composite p-value, by its label (default: 1 each).
        """
        tests = comparisons(tuple(targets) or self.targets, self.outputs)
        return GoodnessOfFit.of(tests, self.weights[self.outputs.usable], count, importance)

    def diagnostics(self, law: AbstractLaw, problem: PopulationProblem | None = None) -> dict:
        """Fit to `law`, effective size; and with the `problem` that patients were drawn for, their diversity."""
        found: dict[str, float] = {"patients": len(self), "effective_size": self.effective_size}
        found["effective_share"] = self.effective_size / max(len(self), 1)
        found |= diagnostics.scores_of(law, np.nan_to_num(self.outputs.columns(law.names), nan=1.0), self.weights)
        if problem is not None:
            found |= diagnostics.diversity(problem, self.outputs.cohort.theta[:, problem.columns], self.weights)
        return found

    # use ------------------------------------------------------------------------------------------------------------

    def select(self, n: int, key: KeyLike) -> VirtualPopulation:
        """`n` patients of equal weight, by systematic resampling; without repetition while n max(w) < 1. Who is picked
        several times is one patient with so many times the weight: copies are no further patients, and the effective
        size is never above that of the weights. What the selection costs is in `details["selection"]`: its misfit
        beside that of the weights."""
        picked = systematic(self.weights, n, key)
        different, copies = np.unique(picked, return_counts=True)
        about = {"n": n, "different": len(different), "effective_size_of_weights": self.effective_size}
        if self.targets:
            f, usable = stacked(self.targets, self.outputs), self.outputs.usable
            times = np.bincount(picked, minlength=len(usable))[usable]
            about |= {"misfit": misfit(f, times / n), "misfit_of_weights": misfit(f, self.weights[usable])}
        about = {**self.details, "selected": n, "selection": about}
        return VirtualPopulation(self.outputs.rows(different), copies.astype(float), self.targets, about)

    # files ----------------------------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Write a directory: patients.parquet (parameters, weights, outputs), population.json. Targets are written as
        the table of what was achieved; give them again to `load`."""
        import pandas as pd

        place = Path(path)
        place.mkdir(parents=True, exist_ok=True)
        frame = self.cohort.to_dataframe()
        values = pd.DataFrame(self.outputs.values, columns=[f"output:{n}" for n in self.outputs.names])
        pd.concat([frame, values], axis=1).to_parquet(place / "patients.parquet", index=False)
        ledger = self.ledger
        about = {
            "model": self.cohort.model.name,
            "model_hash": self.cohort.model.hash,
            "start": _named(self.outputs.start),
            "origin": self.cohort.origin,
            "seed": self.cohort.seed,
            "ledger": {s.name.lower(): n for s, n in ledger.counts.items()},
            "reasons": {s.name.lower(): dict(r) for s, r in ledger.reasons.items()},
            "details": dict(self.details),
            "found": dict(self.outputs.details),
            "events": list(self.outputs.events),
            "units": dict(self.outputs.units),
            "targets": self.target_table().to_dict("list") if self.targets else {},
        }
        write_atomic(place / "population.json", to_json(about))

    @classmethod
    def load(
        cls, path: str | Path, model: Any, targets: Sequence[AbstractTarget] = (), start: AbstractStart | None = None
    ) -> VirtualPopulation:
        """Read what `save` wrote; `start` is that of the simulator, if it had one.

        Raises:
            PopulationError: if there is none, or it was made with another model or from another kind of start.
        """
        import pandas as pd

        place = Path(path)
        if lacking := [f for f in ("population.json", "patients.parquet") if not (place / f).is_file()]:
            raise PopulationError(
                f"Argument `path` must be a directory that `VirtualPopulation.save` wrote, but {place} has no "
                f"{' and no '.join(lacking)}."
            )
        about = json.loads((place / "population.json").read_text())
        if about["model_hash"] != model.hash:
            raise PopulationError(f"{place.name} was made with {about['model']} in another version than the one given.")
        if (before := about.get("start")) != _named(start):
            raise PopulationError(
                f"Argument `start` is {_named(start)}, but the patients of {place.name} started at {before}; give what "
                "the simulator had."
            )
        frame = pd.read_parquet(place / "patients.parquet")
        names = [c.removeprefix("output:") for c in frame if c.startswith("output:")]
        status = np.array([Status[s.upper()] for s in frame["status"]])
        theta = frame[list(model.parameters)].to_numpy(float)
        cohort = Cohort(model, theta, status, seed=about["seed"], origin=about["origin"])
        ledger = Ledger(
            {Status[k.upper()]: n for k, n in about["ledger"].items()},
            {Status[k.upper()]: r for k, r in about["reasons"].items()},
        )
        values = frame[[f"output:{n}" for n in names]].to_numpy(float)
        outputs = Outputs(
            cohort,
            tuple(names),
            values,
            ledger,
            about["found"],
            events=tuple(about.get("events", ())),
            units=about.get("units", {}),
            start=start,
        )
        return cls(outputs, frame["weight"].to_numpy(float), tuple(targets), about["details"])

    def __str__(self) -> str:
        missed = f", {len(self.unreached)} features of the target not reached" if self.targets else ""
        lost = f"; of {self.ledger}" if self.ledger.total > self.ledger.ok else ""
        name = self.cohort.model.name
        return f"{len(self)} virtual patients of {name}, effective {self.effective_size:.0f}{missed}{lost}"


def _named(start: AbstractStart | None) -> str | None:
    return None if start is None else type(start).__name__
