"""The dose rationale: every estimate beside the proposed dose, with what it rests on."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .._errors import DoseError
from ..model import AbstractModel
from ._checks import positive
from .base import DoseEstimate

if TYPE_CHECKING:
    import pandas as pd


@dataclasses.dataclass(frozen=True)
class RationaleContext:
    """What the dose is for, in the words of ICH M15; what is left empty prints as "not stated"."""

    product: str = ""
    mechanism: str = ""
    indication: str = ""
    question_of_interest: str = ""
    context_of_use: str = ""
    model_influence: str = ""
    decision_consequence: str = ""
    model_risk: str = ""
    model_impact: str = ""
    route: str = ""
    population_description: str = ""


@dataclasses.dataclass(frozen=True)
class Proposal:
    """The dose that the user proposes, with the reason. The first injection is `fractions[0] * target_ug_per_kg`."""

    target_ug_per_kg: float
    fractions: tuple[float, ...]
    days: tuple[float, ...]
    reason: str

    def __post_init__(self):
        positive("target_ug_per_kg", self.target_ug_per_kg)
        if len(self.fractions) != len(self.days) or not self.fractions or min(self.fractions) <= 0:
            raise DoseError(
                f"Arguments `fractions` (> 0) and `days` must have the same length, but are {self.fractions} and "
                f"{self.days}."
            )
        if not self.reason.strip():
            raise DoseError("Argument `reason` must say why this dose is proposed, but is empty.")

    @property
    def first_injection_ug_per_kg(self) -> float:
        return self.fractions[0] * self.target_ug_per_kg


@dataclasses.dataclass(frozen=True)
class Alternative:
    """Another assumption to try: another model (a structural switch) or other typical values."""

    name: str
    note: str = ""
    model: AbstractModel | None = None
    parameters: Mapping[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class ProfilePlan:
    """Time courses to show for the proposed schedule: {observable: panel title} at `times`."""

    times: tuple[float, ...]
    panels: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Threshold:
    """A level to draw on a metric-against-dose curve."""

    metric: str
    value: float
    label: str
    quantile: float


@dataclasses.dataclass(frozen=True)
class DoseRationale:
    """Result of `compare_doses`. Tables are DataFrames (columns are named in the report's contract); `to_dict()` is the
    whole of it as plain data. No field holds a recommendation: that is `proposal`, given by the user with a reason."""

    context: RationaleContext
    estimates: tuple[DoseEstimate, ...]
    proposal: Proposal | None
    folds: pd.DataFrame
    curves: pd.DataFrame
    thresholds: list[Threshold]
    exceedance: pd.DataFrame
    profiles: pd.DataFrame
    profile_time_unit: str
    dose_times: list[tuple[float, float]]
    sensitivity: pd.DataFrame
    ledger: pd.DataFrame
    ledger_total: int
    verification: pd.DataFrame
    parameters: pd.DataFrame
    species: pd.DataFrame
    equations: list[tuple[str, str]]
    population: pd.DataFrame
    alternatives: pd.DataFrame
    advisories: list[str]
    assumptions: list[str]
    limitations: list[str]
    lints: list[str]
    provenance: dict[str, Any]

    def estimate(self, method: str) -> DoseEstimate:
        """One estimate by the name of its method. Raises `DoseError` listing the names."""
        for e in self.estimates:
            if e.method == method:
                return e
        raise DoseError(f"no estimate is called {method!r}; there are {[e.method for e in self.estimates]}.")

    def estimates_table(self) -> pd.DataFrame:
        """One row per estimate, lowest dose first, with the folds of the proposal over it."""
        import pandas as pd

        rows = []
        for e in sorted(self.estimates, key=lambda e: e.dose_ug_per_kg):
            low, _, high = e.interval or (float("nan"),) * 3
            rows.append([e.method, e.family, e.dose_ug_per_kg, low, high, e.applies_to, e.analyte, e.decision_relevant])
        columns = [
            "method",
            "family",
            "dose_ug_per_kg",
            "low_5",
            "high_95",
            "applies_to",
            "analyte",
            "decision_relevant",
        ]
        table = pd.DataFrame(rows, columns=columns)
        extra = ["method", "fold_first_injection", "fold_target"]
        return table.merge(self.folds[extra], on="method", how="left") if len(self.folds) else table

    def insensitive(self, limit: float = 0.05) -> list[str]:
        """Parameters on which no threshold dose depends: |elasticity| under `limit` for every metric."""
        if not len(self.sensitivity):
            return []
        worst: dict[str, float] = {}
        for name, e in zip(self.sensitivity["parameter"], self.sensitivity["elasticity_dose"], strict=True):
            worst[name] = max(worst.get(name, 0.0), abs(e))
        return sorted(name for name, e in worst.items() if e < limit)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; tables as lists of rows."""
        found: dict[str, Any] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if hasattr(value, "to_dict") and hasattr(value, "columns"):
                value = value.to_dict(orient="records")
            elif field.name == "estimates":
                value = [e.to_dict() for e in value]
            elif field.name == "thresholds":
                value = [dataclasses.asdict(x) for x in value]
            elif dataclasses.is_dataclass(value) and not isinstance(value, type):
                value = dataclasses.asdict(value)
            found[field.name] = value
        return found

    def __str__(self) -> str:
        lines = [self.estimates_table().to_string(index=False, float_format=lambda x: f"{x:.4g}")]
        if self.proposal:
            p = self.proposal
            lines.append(
                f"proposed: first injection {p.first_injection_ug_per_kg:g} ug/kg, target {p.target_ug_per_kg:g} "
                f"ug/kg ({p.reason})"
            )
        return "\n".join(lines)
