"""From a target concentration to a dose: which human exposure is matched, and by which PK model.

Closed forms of linear one-compartment PK. They know no target binding and do not tell free from total drug;
where that matters, match by simulation (a root search over a model). Units throughout:
concentration nM, amount nmol, volume L, clearance L/day, times day. All are linear in the concentration.
"""

from __future__ import annotations

import abc
import math
from dataclasses import dataclass

from ._checks import fraction, positive
from .base import DoseContext, Input

LINEAR_PK = "the exposure model is linear and has no target binding: it does not tell free from total drug"


class AbstractExposureMatch(abc.ABC):
    """What a concentration is matched to, and the dose that reaches it.

    `exposure` ("Cmax", "Cavg", "Css"), `route`, `regimen` and `applies_to` go into the estimate. `analyte` is "free" or
    "total" when the exposure model tells them apart, else `None`.
    """

    exposure: str = "Cmax"
    route: str = "IV"
    regimen: str = "single dose"
    applies_to: str = "single dose"
    analyte: str | None = None

    @abc.abstractmethod
    def dose(self, target_concentration_nM: float, context: DoseContext | None = None) -> float:
        """Amount in nmol (nmol/day for a continuous infusion) whose matched exposure is the target, in nM."""

    def route_in(self, context: DoseContext | None) -> str:
        """The route, which a simulated match reads off the dosed species of the model."""
        return self.route

    @abc.abstractmethod
    def describe(self) -> str:
        """One line naming the exposure model and its parameters."""

    def inputs(self) -> tuple[Input, ...]:
        """Parameters of the exposure model, for the record."""
        return ()

    def assumptions(self) -> tuple[str, ...]:
        """What the exposure model takes for granted."""
        return ()


@dataclass(frozen=True)
class BolusCmax(AbstractExposureMatch):
    """Peak after an intravenous bolus: D = C V, V in L (plasma or central volume)."""

    volume_L: float
    source: str = ""

    def __post_init__(self) -> None:
        positive("volume_L", self.volume_L)

    def dose(self, target_concentration_nM: float, context: DoseContext | None = None) -> float:
        return positive("target_concentration_nM", target_concentration_nM) * self.volume_L

    def describe(self) -> str:
        return f"IV bolus into {self.volume_L:g} L"

    def inputs(self) -> tuple[Input, ...]:
        return (Input("volume", self.volume_L, "L", self.source),)

    def assumptions(self) -> tuple[str, ...]:
        return (LINEAR_PK,)


@dataclass(frozen=True)
class InfusionCmax(AbstractExposureMatch):
    """Peak at the end of an infusion, one compartment: D = C CL T / (1 - exp(-k T)), k = CL/V."""

    clearance_L_per_day: float
    volume_L: float
    duration_day: float
    source: str = ""
    regimen = "single infusion"

    def __post_init__(self) -> None:
        for name in ("clearance_L_per_day", "volume_L", "duration_day"):
            positive(name, getattr(self, name))

    def dose(self, target_concentration_nM: float, context: DoseContext | None = None) -> float:
        target = positive("target_concentration_nM", target_concentration_nM)
        k = self.clearance_L_per_day / self.volume_L
        return target * self.clearance_L_per_day * self.duration_day / -math.expm1(-k * self.duration_day)

    def describe(self) -> str:
        return (
            f"IV infusion over {self.duration_day:g} day, one compartment, CL {self.clearance_L_per_day:g} L/day, "
            f"V {self.volume_L:g} L"
        )

    def inputs(self) -> tuple[Input, ...]:
        return (
            Input("clearance", self.clearance_L_per_day, "L/day", self.source),
            Input("volume", self.volume_L, "L", self.source),
            Input("infusion duration", self.duration_day, "day", ""),
        )

    def assumptions(self) -> tuple[str, ...]:
        return (LINEAR_PK,)


@dataclass(frozen=True)
class SubcutaneousCmax(AbstractExposureMatch):
    """Peak after a subcutaneous dose, one compartment, first-order absorption.

    tmax = ln(ka/k) / (ka - k) and Cmax = F D / V exp(-k tmax), the reduced form of the Bateman function at its maximum;
    at ka = k, tmax = 1/k.
    """

    clearance_L_per_day: float
    volume_L: float
    ka_per_day: float
    bioavailability: float
    source: str = ""
    route = "SC"

    def __post_init__(self) -> None:
        for name in ("clearance_L_per_day", "volume_L", "ka_per_day"):
            positive(name, getattr(self, name))
        fraction("bioavailability", self.bioavailability, one_allowed=True)

    @property
    def tmax_day(self) -> float:
        """Time of the peak, day."""
        k = self.clearance_L_per_day / self.volume_L
        excess = self.ka_per_day / k - 1.0
        # log1p(x)/x -> 1 - x/2 for ka -> k, where the ratio itself is 0/0
        return (1.0 - excess / 2.0 if abs(excess) < 1e-8 else math.log1p(excess) / excess) / k

    def dose(self, target_concentration_nM: float, context: DoseContext | None = None) -> float:
        target = positive("target_concentration_nM", target_concentration_nM)
        k = self.clearance_L_per_day / self.volume_L
        return target * self.volume_L * math.exp(k * self.tmax_day) / self.bioavailability

    def describe(self) -> str:
        return (
            f"SC, one compartment, ka {self.ka_per_day:g} /day, F {self.bioavailability:g}, "
            f"CL {self.clearance_L_per_day:g} L/day, V {self.volume_L:g} L"
        )

    def inputs(self) -> tuple[Input, ...]:
        return (
            Input("clearance", self.clearance_L_per_day, "L/day", self.source),
            Input("volume", self.volume_L, "L", self.source),
            Input("absorption rate constant", self.ka_per_day, "1/day", self.source),
            Input("bioavailability", self.bioavailability, "", self.source),
        )

    def assumptions(self) -> tuple[str, ...]:
        return (LINEAR_PK,)


@dataclass(frozen=True)
class AverageConcentration(AbstractExposureMatch):
    """Average over a dosing interval at steady state (or AUC/tau of one dose): D = C CL tau / F."""

    clearance_L_per_day: float
    tau_day: float
    bioavailability: float = 1.0
    route: str = "IV"
    source: str = ""
    exposure = "Cavg"
    applies_to = "target dose"

    def __post_init__(self) -> None:
        for name in ("clearance_L_per_day", "tau_day"):
            positive(name, getattr(self, name))
        fraction("bioavailability", self.bioavailability, one_allowed=True)

    @property
    def regimen(self) -> str:  # type: ignore[override]
        return f"every {self.tau_day:g} day"

    def dose(self, target_concentration_nM: float, context: DoseContext | None = None) -> float:
        target = positive("target_concentration_nM", target_concentration_nM)
        return target * self.clearance_L_per_day * self.tau_day / self.bioavailability

    def describe(self) -> str:
        return (
            f"average over {self.tau_day:g} day, {self.route}, CL {self.clearance_L_per_day:g} L/day, "
            f"F {self.bioavailability:g}"
        )

    def inputs(self) -> tuple[Input, ...]:
        return (
            Input("clearance", self.clearance_L_per_day, "L/day", self.source),
            Input("dosing interval", self.tau_day, "day", ""),
            Input("bioavailability", self.bioavailability, "", self.source),
        )

    def assumptions(self) -> tuple[str, ...]:
        return (LINEAR_PK,)


@dataclass(frozen=True)
class SteadyInfusion(AbstractExposureMatch):
    """Steady state of a continuous infusion: rate = C CL, in nmol per day."""

    clearance_L_per_day: float
    source: str = ""
    exposure = "Css"
    regimen = "continuous infusion, amount per day"
    applies_to = "target dose"

    def __post_init__(self) -> None:
        positive("clearance_L_per_day", self.clearance_L_per_day)

    def dose(self, target_concentration_nM: float, context: DoseContext | None = None) -> float:
        return positive("target_concentration_nM", target_concentration_nM) * self.clearance_L_per_day

    def describe(self) -> str:
        return f"continuous IV infusion, CL {self.clearance_L_per_day:g} L/day"

    def inputs(self) -> tuple[Input, ...]:
        return (Input("clearance", self.clearance_L_per_day, "L/day", self.source),)

    def assumptions(self) -> tuple[str, ...]:
        return (LINEAR_PK,)
