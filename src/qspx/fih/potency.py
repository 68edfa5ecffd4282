"""An in-vitro potency with what it depends on: donors, readout, effector ratio, incubation, antigen density, serum.

Choice of assay dominates a MABEL, so the conditions are part of the number. One value per donor; the aggregate over
donors is taken after each donor's value has been moved to the wanted effect level.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .._errors import DoseError
from ._checks import concentration, fraction, one_of, positive
from .base import Input
from .hill import Hill, ec_at, hill_effect

AGGREGATES = ("min", "p05", "median", "geomean")


@dataclass(frozen=True, kw_only=True)
class Potency:
    """Concentrations that reach `level` of the maximal effect in one assay.

    `values`: one per donor (a single number is one donor or a value already aggregated), in `unit` (molar or mass
    concentration). `level` is the effect they reach: 0.5 for EC50, 0.2 for EC20. `slope` is the Hill slope, needed for
    any other level. `system` tells primary (patient) cells from cell lines.
    """

    assay: str
    values: float | Sequence[float]
    unit: str
    level: float = 0.5
    slope: float | None = None
    readout: str = ""
    system: str = "cell line"
    effector_to_target: str = ""
    incubation_h: float | None = None
    antigen_per_cell: float | None = None
    serum: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        from ..units import unit

        unit(self.unit)
        values = np.atleast_1d(np.asarray(self.values, dtype=float)).ravel()
        if values.size == 0:
            raise DoseError("Argument `values` must hold one concentration per donor, but is empty.")
        object.__setattr__(self, "values", tuple(positive("values", value) for value in values))
        object.__setattr__(self, "level", fraction("level", self.level))
        if self.slope is not None:
            object.__setattr__(self, "slope", positive("slope", self.slope))

    @classmethod
    def from_ec20_ec50(cls, *, assay: str, ec20: float, ec50: float, unit: str, **conditions) -> Potency:
        """A potency whose slope goes through one EC20 and one EC50."""
        slope = Hill.from_ec20_ec50(ec20, ec50).slope
        return cls(assay=assay, values=ec50, unit=unit, level=0.5, slope=slope, **conditions)

    @property
    def donors(self) -> int:
        return len(self._values())

    def _values(self) -> np.ndarray:
        return np.asarray(self.values, dtype=float)

    def at(self, level: float) -> np.ndarray:
        """Concentration per donor, in `unit`, that reaches `level`; shape (donors,)."""
        level = fraction("level", level)
        if level == self.level:
            return self._values()
        if self.slope is None:
            raise DoseError(
                f"Argument `slope` must be given to get EC{100 * level:g} from EC{100 * self.level:g} of {self.assay}. "
                "Give the Hill slope, two levels with `Potency.from_ec20_ec50`, or the wanted level itself."
            )
        ec50 = self._values() / float(ec_at(self.level, 1.0, self.slope))
        return np.asarray(ec_at(level, ec50, self.slope), dtype=float)

    def at_nM(self, level: float, molar_mass_g_per_mol: float | None) -> np.ndarray:
        """Concentration per donor in nM that reaches `level`."""
        return self.at(level) * concentration(1.0, self.unit, "nM", molar_mass_g_per_mol)

    def effect(self, concentration_nM: float, molar_mass_g_per_mol: float | None) -> np.ndarray:
        """Fraction of the maximal effect per donor at a concentration in nM; shape (donors,)."""
        return np.asarray(hill_effect(concentration_nM, self.at_nM(0.5, molar_mass_g_per_mol), self._slope()))

    def _slope(self) -> float:
        if self.slope is None:
            raise DoseError(f"Argument `slope` must be given to read effects off {self.assay} at any concentration.")
        return self.slope

    def as_inputs(self) -> tuple[Input, ...]:
        """The values and the conditions, for the record."""
        head = f"EC{100 * self.level:g}, {self.assay}"
        values = self._values()
        named = [(head, value) for value in values]
        if len(values) > 1:
            named = [(f"{head}, donor {index + 1}", value) for index, value in enumerate(values)]
        inputs = [Input(name, float(value), self.unit, self.source) for name, value in named]
        if self.slope is not None:
            inputs.append(Input(f"Hill slope, {self.assay}", self.slope, "", self.source))
        conditions = (
            ("readout", self.readout, ""),
            ("system", self.system, ""),
            ("effector to target", self.effector_to_target, ""),
            ("incubation", self.incubation_h, "h"),
            ("antigen", self.antigen_per_cell, "molecule/cell"),
            ("serum", self.serum, ""),
        )
        for name, value, unit in conditions:
            if value:
                inputs.append(Input(f"{name}, {self.assay}", value, unit, self.source))
        return tuple(inputs)


def aggregate_donors(values: np.ndarray, aggregate: str) -> float:
    """One number from one per donor: `"min"`, `"p05"` (linear between donors), `"median"` or `"geomean"`."""
    one_of("aggregate", aggregate, AGGREGATES)
    if aggregate == "min":
        return float(np.min(values))
    if aggregate == "p05":
        return float(np.quantile(values, 0.05))
    if aggregate == "median":
        return float(np.median(values))
    return float(np.exp(np.mean(np.log(values))))
