"""Pharmacologically active dose: the lowest animal dose (or exposure) with the intended pharmacology, put to man.

By human equivalent dose, by exposure, or by exposure corrected for potency: C_human = C_animal x EC50_human/EC50_animal
from one assay. In healthy volunteers the starting dose normally lies below the PAD; patients with severe disease may
start at or near it.
"""

from __future__ import annotations

from dataclasses import dataclass

from .._errors import DoseError
from ._checks import concentration, one_of, positive
from .base import AbstractDoseMethod, DoseContext, DoseEstimate, Input
from .exposure import AbstractExposureMatch
from .hed import HUMAN, ROUNDINGS, SCALINGS, AnimalDose, default_scaling, human_equivalent_dose
from .mabel import check_match


@dataclass(frozen=True, kw_only=True)
class PadByHed(AbstractDoseMethod):
    """PAD as a human equivalent dose; `scaling=None` follows molar mass and route as for the NOAEL."""

    dose: AnimalDose
    scaling: str | None = None
    rounding: str = "fda_table"
    safety_factor: float = 1.0
    route: str = "IV"
    human_weight_kg: float = HUMAN.weight_kg
    label: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.dose, AnimalDose):
            raise DoseError(f"Argument `dose` must be an `AnimalDose`, but is {self.dose!r}.")
        if self.scaling is not None:
            one_of("scaling", self.scaling, SCALINGS)
        one_of("rounding", self.rounding, ROUNDINGS)
        positive("safety_factor", self.safety_factor)
        positive("human_weight_kg", self.human_weight_kg)

    def estimate(self, context: DoseContext | None = None) -> DoseEstimate:
        molar_mass = context.molar_mass_g_per_mol if context else None
        scaling, reason = default_scaling(molar_mass, self.route)
        if self.scaling is not None:
            scaling, reason = self.scaling, f"scaled by {self.scaling}, as chosen by the user"
        hed = human_equivalent_dose(
            self.dose, scaling=scaling, rounding=self.rounding, human_weight_kg=self.human_weight_kg
        )
        return DoseEstimate(
            method=self.label or f"PAD: HED, {self.dose.species}, {'mg/kg' if scaling == 'mg_per_kg' else 'BSA'}",
            family="PAD",
            dose_ug_per_kg=hed * 1000.0 / self.safety_factor,
            body_weight_kg=self.human_weight_kg,
            route=self.route,
            regimen="single dose",
            applies_to="single dose",
            analyte="not applicable",
            target_level="lowest pharmacologically active animal dose",
            pk_model="none (dose scaling)",
            limiting_criterion=f"PAD in {self.dose.species}",
            safety_factor=self.safety_factor,
            molar_mass_g_per_mol=molar_mass,
            inputs=(self.dose.as_input("PAD"),),
            assumptions=(reason, f"human reference weight {self.human_weight_kg:g} kg"),
        )


@dataclass(frozen=True, kw_only=True)
class PadByExposure(AbstractDoseMethod):
    """PAD by matching the active animal exposure.

    `concentration` is an `Input` (e.g. `Input("Cavg at PAD, monkey", 12, "ng/mL")`). `potency_ratio` is
    EC50_human / EC50_animal from one assay: below 1 when human cells are the more sensitive.
    """

    concentration: Input
    match: AbstractExposureMatch
    analyte: str | None = None
    potency_ratio: float = 1.0
    potency_source: str = ""
    safety_factor: float = 1.0
    label: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.concentration, Input):
            raise DoseError(f"Argument `concentration` must be an `Input` with a unit, but is {self.concentration!r}.")
        positive("concentration.value", self.concentration.value)
        check_match(self.match, self.analyte)
        for name in ("potency_ratio", "safety_factor"):
            object.__setattr__(self, name, positive(name, getattr(self, name)))

    def estimate(self, context: DoseContext | None = None) -> DoseEstimate:
        context = context or DoseContext()
        animal = float(self.concentration.value)
        active = concentration(animal, self.concentration.unit, "nM", context.molar_mass_g_per_mol)
        target = active * self.potency_ratio
        corrected = self.potency_ratio != 1.0
        dose = self.match.dose(target / self.safety_factor, context)
        inputs = [self.concentration, *self.match.inputs(), context.molar_mass_input()]
        if corrected:
            inputs.append(Input("EC50 human / EC50 animal", self.potency_ratio, "", self.potency_source))
        how = "potency-corrected exposure" if corrected else "exposure"
        return DoseEstimate(
            method=self.label or f"PAD: {how}, {self.analyte} {self.match.exposure} {self.match.route_in(context)}",
            family="PAD",
            dose_ug_per_kg=context.ug_per_kg(dose),
            body_weight_kg=context.body_weight_kg,
            route=self.match.route_in(context),
            regimen=self.match.regimen,
            applies_to=self.match.applies_to,
            analyte=str(self.analyte),
            target_level=f"active animal exposure = {target:.4g} nM as {self.match.exposure}",
            pk_model=self.match.describe(),
            limiting_criterion=f"{self.concentration.name}, {how}",
            safety_factor=self.safety_factor,
            molar_mass_g_per_mol=context.molar_mass_g_per_mol,
            inputs=tuple(inputs),
            assumptions=(*self.match.assumptions(), *(() if corrected else ("equal potency in animal and human",))),
        )
