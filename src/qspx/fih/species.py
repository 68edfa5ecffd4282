"""Body sizes of the FDA 2005 dose-conversion table, and what makes them a human equivalent dose.

Source: FDA guidance for industry, "Estimating the Maximum Safe Starting Dose in Initial Clinical Trials for
Therapeutics in Adult Healthy Volunteers", July 2005, Tables 1 and 3. `km` is body weight over body surface, kg/m2.
"""

from __future__ import annotations

from dataclasses import dataclass

from .._errors import DoseError, closest

SURFACE_EXPONENT = 0.33  # 1 - b with b = 0.67: HED = dose (W_animal / W_human)^(1 - b)


@dataclass(frozen=True)
class SpeciesSize:
    """One row: weights kg, surface m2, `km` kg/m2; `divide_by` and `multiply_by` turn animal into human mg/kg."""

    name: str
    weight_kg: float
    working_range_kg: tuple[float, float] | None
    surface_m2: float
    km: float
    divide_by: float | None = None
    multiply_by: float | None = None

    @property
    def is_human(self) -> bool:
        return self.name.startswith("human")

    def in_working_range(self, weight_kg: float) -> bool:
        """Whether the tabulated factor may be used for an animal of this weight."""
        if self.working_range_kg is None:
            return True
        low, high = self.working_range_kg
        return low <= weight_kg <= high


SPECIES: dict[str, SpeciesSize] = {
    row.name: row
    for row in (
        SpeciesSize("human adult", 60.0, None, 1.62, 37.0),
        SpeciesSize("human child", 20.0, None, 0.80, 25.0),
        SpeciesSize("mouse", 0.020, (0.011, 0.034), 0.007, 3.0, 12.3, 0.08),
        SpeciesSize("hamster", 0.080, (0.047, 0.157), 0.016, 5.0, 7.4, 0.13),
        SpeciesSize("rat", 0.150, (0.080, 0.270), 0.025, 6.0, 6.2, 0.16),
        SpeciesSize("ferret", 0.300, (0.160, 0.540), 0.043, 7.0, 5.3, 0.19),
        SpeciesSize("guinea pig", 0.400, (0.208, 0.700), 0.05, 8.0, 4.6, 0.22),
        SpeciesSize("rabbit", 1.8, (0.90, 3.0), 0.15, 12.0, 3.1, 0.32),
        SpeciesSize("dog", 10.0, (5.0, 17.0), 0.50, 20.0, 1.8, 0.54),
        SpeciesSize("monkey", 3.0, (1.4, 4.9), 0.25, 12.0, 3.1, 0.32),
        SpeciesSize("marmoset", 0.350, (0.140, 0.720), 0.06, 6.0, 6.2, 0.16),
        SpeciesSize("squirrel monkey", 0.600, (0.290, 0.970), 0.09, 7.0, 5.3, 0.19),
        SpeciesSize("baboon", 12.0, (7.0, 23.0), 0.60, 20.0, 1.8, 0.54),
        SpeciesSize("micro-pig", 20.0, (10.0, 33.0), 0.74, 27.0, 1.4, 0.73),
        SpeciesSize("mini-pig", 40.0, (25.0, 64.0), 1.14, 35.0, 1.1, 0.95),
    )
}

RODENTS = ("mouse", "hamster", "rat", "guinea pig")

_OTHER_NAMES = {
    "human": "human adult",
    "cynomolgus": "monkey",
    "cynomolgus monkey": "monkey",
    "cyno": "monkey",
    "rhesus": "monkey",
    "rhesus monkey": "monkey",
    "stump tail monkey": "monkey",
    "cynomolgus/rhesus monkey": "monkey",
    "micro pig": "micro-pig",
    "micropig": "micro-pig",
    "mini pig": "mini-pig",
    "minipig": "mini-pig",
}


def species_size(name: str) -> SpeciesSize:
    """The table row of a species. Case, `_`, `-` and usual other names (cynomolgus, minipig) are understood."""
    plain = " ".join(str(name).lower().replace("_", " ").replace("-", " ").split())
    known = _OTHER_NAMES.get(plain, plain)
    if known not in SPECIES:
        raise DoseError(
            f"Argument `species` must be a species of the FDA 2005 table ({', '.join(SPECIES)}), but is {name!r}."
            f"{closest(plain, [*SPECIES, *_OTHER_NAMES])}"
        )
    return SPECIES[known]
