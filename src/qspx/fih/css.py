"""Continuous infusion to a steady concentration: rate = Css x CL, per m2 when wanted (the blinatumomab route).

Holds for linear clearance; the time to steady state is a few half-lives and is not part of the estimate.
"""

from __future__ import annotations

from dataclasses import dataclass

from .._errors import DoseError
from ._checks import concentration, free_or_total, positive
from .base import AbstractDoseMethod, DoseContext, DoseEstimate, Input

DEFAULT_BSA_M2 = 1.8


@dataclass(frozen=True, kw_only=True)
class Css(AbstractDoseMethod):
    """Daily dose of a continuous infusion whose steady state is `concentration`.

    Clearance either as `clearance_L_per_h` or as `clearance_L_per_m2_day`. Without `bsa_m2`, 1.8 m2 is assumed and the
    assumption is recorded. The estimate is the amount per day.
    """

    concentration: Input
    analyte: str | None = None
    clearance_L_per_h: float | None = None
    clearance_L_per_m2_day: float | None = None
    bsa_m2: float | None = None
    clearance_source: str = ""
    label: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.concentration, Input):
            raise DoseError(f"Argument `concentration` must be an `Input` with a unit, but is {self.concentration!r}.")
        positive("concentration.value", self.concentration.value)
        if (self.clearance_L_per_h is None) == (self.clearance_L_per_m2_day is None):
            raise DoseError("Exactly one of `clearance_L_per_h` and `clearance_L_per_m2_day` must be given.")
        for name in ("clearance_L_per_h", "clearance_L_per_m2_day", "bsa_m2"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, positive(name, getattr(self, name)))
        free_or_total(self.analyte)

    @property
    def _bsa(self) -> float:
        return DEFAULT_BSA_M2 if self.bsa_m2 is None else self.bsa_m2

    @property
    def _clearance_L_per_day(self) -> float:
        if self.clearance_L_per_h is not None:
            return self.clearance_L_per_h * 24.0
        return (self.clearance_L_per_m2_day or 0.0) * self._bsa

    def ug_per_day(self, molar_mass_g_per_mol: float | None = None) -> float:
        """Rate in ug/day; a molar concentration needs the molar mass."""
        value = float(self.concentration.value)
        return concentration(value, self.concentration.unit, "ug/L", molar_mass_g_per_mol) * self._clearance_L_per_day

    def ug_per_m2_day(self, molar_mass_g_per_mol: float | None = None) -> float:
        """Rate in ug/m2/day."""
        return self.ug_per_day(molar_mass_g_per_mol) / self._bsa

    def estimate(self, context: DoseContext | None = None) -> DoseEstimate:
        context = context or DoseContext()
        molar_mass = context.molar_mass_g_per_mol
        per_hour = self.clearance_L_per_h is not None
        given = Input(
            "clearance",
            float((self.clearance_L_per_h if per_hour else self.clearance_L_per_m2_day) or 0.0),
            "L/h" if per_hour else "L/m^2/day",
            self.clearance_source,
        )
        assumptions = ["linear clearance, amount per day at steady state"]
        if self.bsa_m2 is None:
            assumptions.append(f"body surface area {DEFAULT_BSA_M2:g} m², none given")
        return DoseEstimate(
            method=self.label or f"Css: {self.concentration.name}",
            family="Css",
            dose_ug_per_kg=self.ug_per_day(molar_mass) / context.body_weight_kg,
            body_weight_kg=context.body_weight_kg,
            route="IV",
            regimen="continuous infusion, amount per day",
            applies_to="target dose",
            analyte=str(self.analyte),
            target_level=f"Css = {float(self.concentration.value):.4g} {self.concentration.unit}",
            pk_model=f"steady state, CL {self._clearance_L_per_day:g} L/day",
            limiting_criterion=self.concentration.name,
            molar_mass_g_per_mol=molar_mass,
            inputs=(self.concentration, given, Input("body surface area", self._bsa, "m^2", "")),
            assumptions=tuple(assumptions),
            notes=(f"{self.ug_per_m2_day(molar_mass):.4g} µg/m²/day = {self.ug_per_day(molar_mass):.4g} µg/day",),
        )
