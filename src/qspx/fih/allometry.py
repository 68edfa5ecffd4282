"""Human PK from animal PK: theta_h = theta_a (W_h / W_a)^b, by published exponents, by regression, or by Dedrick time.

Holds for linear antibody PK with similar binding in both species. T-cell engagers break it, because CD3 binding adds
clearance that body weight does not scale; the class-typical values serve when no species is cross-reactive.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .._errors import DoseError
from ._checks import number, positive


@dataclass(frozen=True)
class Exponents:
    """Allometric exponents of clearance, central volume, intercompartmental clearance and peripheral volume.

    A source that gives no exponent for Q or V2 leaves them `None`; they then follow CL and V1.
    """

    name: str
    clearance: float
    v1: float
    q: float | None = None
    v2: float | None = None
    source: str = ""

    def __post_init__(self) -> None:
        for name in ("clearance", "v1", "q", "v2"):
            if getattr(self, name) is not None:
                number(name, getattr(self, name))

    def values(self) -> tuple[float, float, float, float]:
        """(CL, V1, Q, V2)."""
        q = self.clearance if self.q is None else self.q
        return self.clearance, self.v1, q, self.v1 if self.v2 is None else self.v2


DENG_2011 = Exponents("Deng 2011", 0.85, 1.0, source="13 linear mAbs, monkey; mAbs 3:61")
OITATE_2011_SOLUBLE = Exponents("Oitate 2011, soluble target", 0.79, 1.12, source="monkey; CL 0.69-0.89")
OITATE_2011_MEMBRANE = Exponents("Oitate 2011, membrane target", 0.96, 1.00, source="monkey; CL 0.83-1.09")
BETTS_2018 = Exponents("Betts 2018", 0.89, 0.98, 0.67, 0.95, source="27 mAbs, joint fit of man, monkey, Tg32 mouse")
ROWLAND_2024 = Exponents("Rowland 2024", 0.74, 1.12, 0.71, 0.99, source="59 IgG mAbs, monkey")
ROWLAND_2024_UNMODIFIED_FC = Exponents(
    "Rowland 2024, without modified Fc", 0.80, 1.12, 0.71, 0.99, source="IgG mAbs without modified Fc, monkey"
)
EXPONENTS = (
    DENG_2011,
    OITATE_2011_SOLUBLE,
    OITATE_2011_MEMBRANE,
    BETTS_2018,
    ROWLAND_2024,
    ROWLAND_2024_UNMODIFIED_FC,
)


@dataclass(frozen=True)
class TwoCompartmentPK:
    """Linear two-compartment PK of one subject: L/day, L, L/day, L, and the body weight they belong to, kg."""

    clearance_L_per_day: float
    v1_L: float
    q_L_per_day: float
    v2_L: float
    weight_kg: float
    source: str = ""

    def __post_init__(self) -> None:
        for name in ("clearance_L_per_day", "v1_L", "q_L_per_day", "v2_L", "weight_kg"):
            object.__setattr__(self, name, positive(name, getattr(self, name)))

    @classmethod
    def per_kg(
        cls,
        *,
        clearance_mL_per_h_kg: float,
        v1_mL_per_kg: float,
        q_mL_per_h_kg: float,
        v2_mL_per_kg: float,
        weight_kg: float,
        source: str = "",
    ) -> TwoCompartmentPK:
        """From values per kg body weight, as antibody papers print them."""
        rate, volume = weight_kg * 24.0 / 1000.0, weight_kg / 1000.0
        return cls(
            clearance_mL_per_h_kg * rate,
            v1_mL_per_kg * volume,
            q_mL_per_h_kg * rate,
            v2_mL_per_kg * volume,
            weight_kg,
            source,
        )

    @property
    def terminal_half_life_day(self) -> float:
        """ln 2 over the smaller eigenvalue, day."""
        k10, k12 = self.clearance_L_per_day / self.v1_L, self.q_L_per_day / self.v1_L
        k21 = self.q_L_per_day / self.v2_L
        total = k10 + k12 + k21
        # beta = [S - sqrt(S^2 - 4 k10 k21)]/2, written without cancellation
        return math.log(2.0) * (total + math.sqrt(total * total - 4.0 * k10 * k21)) / (2.0 * k10 * k21)

    def scaled(self, exponents: Exponents, weight_kg: float = 70.0) -> TwoCompartmentPK:
        """The same molecule in a body of `weight_kg`."""
        ratio = positive("weight_kg", weight_kg) / self.weight_kg
        cl, v1, q, v2 = (ratio**b for b in exponents.values())
        return TwoCompartmentPK(
            self.clearance_L_per_day * cl,
            self.v1_L * v1,
            self.q_L_per_day * q,
            self.v2_L * v2,
            weight_kg,
            f"{self.source or 'animal PK'} at {self.weight_kg:g} kg, scaled by {exponents.name}",
        )


# class-typical linear antibody PK, Betts 2018 Tables 2 and 4
def _typical(name: str, cl: float, v1: float, q: float, v2: float, weight_kg: float) -> TwoCompartmentPK:
    return TwoCompartmentPK.per_kg(
        clearance_mL_per_h_kg=cl,
        v1_mL_per_kg=v1,
        q_mL_per_h_kg=q,
        v2_mL_per_kg=v2,
        weight_kg=weight_kg,
        source=f"typical mAb, {name} (Betts 2018)",
    )


TYPICAL_MAB_HUMAN = _typical("human", 0.15, 46.31, 0.27, 31.47, 70.0)
TYPICAL_MAB_CYNOMOLGUS = _typical("cynomolgus monkey", 0.27, 39.29, 1.00, 27.56, 3.0)
TYPICAL_MAB_TG32_MOUSE = _typical("Tg32 mouse", 0.35, 59.28, 4.40, 60.54, 0.02)
TYPICAL_MAB_COMBINED = _typical("joint fit at 70 kg", 0.16, 45.19, 0.28, 30.81, 70.0)


@dataclass(frozen=True)
class AllometricFit:
    """theta = coefficient x W^exponent from several species; `residual_sd` on the natural-log scale."""

    coefficient: float
    exponent: float
    residual_sd: float
    r_squared: float
    species: int

    def at(self, weight_kg: float) -> float:
        """The fitted value at a body weight, kg."""
        return self.coefficient * positive("weight_kg", weight_kg) ** self.exponent


def fit_allometry(weights_kg: Sequence[float], values: Sequence[float]) -> AllometricFit:
    """Log-log regression over species (at least three different weights). Rarely right for antibodies."""
    weights = np.asarray([positive("weights_kg", w) for w in weights_kg])
    parameters = np.asarray([positive("values", v) for v in values])
    if len(weights) != len(parameters):
        raise DoseError(
            f"Arguments `weights_kg` and `values` must be of one length, but have {len(weights)} and {len(parameters)}."
        )
    if len(set(weights.tolist())) < 3:
        raise DoseError(
            f"Argument `weights_kg` must hold three different weights or more, but holds {len(set(weights.tolist()))}. "
            "With fewer species use a fixed exponent: `TwoCompartmentPK.scaled(BETTS_2018)`."
        )
    x, y = np.log(weights), np.log(parameters)
    exponent, intercept = np.polyfit(x, y, 1)
    residual = y - (intercept + exponent * x)
    spread = float(np.sum((y - y.mean()) ** 2))
    squares = float(np.sum(residual**2))
    return AllometricFit(
        coefficient=float(np.exp(intercept)),
        exponent=float(exponent),
        residual_sd=math.sqrt(squares / (len(x) - 2)),
        r_squared=1.0 if spread == 0.0 else 1.0 - squares / spread,
        species=len(x),
    )


def dedrick(
    times,
    concentrations,
    *,
    animal_weight_kg: float,
    human_weight_kg: float = 70.0,
    exponents: Exponents = DENG_2011,
    animal_dose: float,
    human_dose: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Human time and concentration from an animal curve by species-invariant time (Dedrick).

    t_h = t_a (W_h/W_a)^(bV - bCL), C_h = C_a (dose_h/dose_a) (W_a/W_h)^bV. Doses as amounts in one unit; times and
    concentrations keep theirs.
    """
    ratio = positive("human_weight_kg", human_weight_kg) / positive("animal_weight_kg", animal_weight_kg)
    dose_ratio = positive("human_dose", human_dose) / positive("animal_dose", animal_dose)
    time = np.asarray(times, dtype=float) * ratio ** (exponents.v1 - exponents.clearance)
    return time, np.asarray(concentrations, dtype=float) * dose_ratio * ratio**-exponents.v1
