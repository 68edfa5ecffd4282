"""Starting dose from the exposure at the NOAEL: D = AUC_NOAEL x CL_human / (F x safety factor).

Preferred over dose scaling when human clearance can be predicted. Fails when clearance is not linear between the
starting dose and the NOAEL, or when plasma binding differs by species and total concentrations are used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .._errors import DoseError
from ._checks import concentration, fraction, free_or_total, one_of, positive
from .advisory import animal_dose_notes
from .base import AbstractDoseMethod, DoseContext, DoseEstimate, Input
from .species import species_size


@dataclass(frozen=True, kw_only=True)
class NoaelExposure(AbstractDoseMethod):
    """MRSD by exposure: human AUC kept at the animal AUC at NOAEL over `safety_factor`.

    `auc` maps species to an `Input` whose unit is concentration x time (`"ug*h/mL"`, `"nM*day"`);
    `clearance_L_per_day` is the predicted human clearance; `analyte` says what the AUC counts. The lowest AUC decides
    unless `species` names the relevant one.
    """

    auc: Mapping[str, Input]
    clearance_L_per_day: float
    analyte: str | None = None
    bioavailability: float = 1.0
    safety_factor: float = 10.0
    species: str | None = None
    route: str = "IV"
    clearance_source: str = ""
    label: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.auc, Mapping) or not self.auc:
            raise DoseError(f"Argument `auc` must map species to an `Input`, but is {self.auc!r}.")
        object.__setattr__(self, "auc", {species_size(name).name: item for name, item in self.auc.items()})
        for name, item in self.auc.items():
            positive(f"auc[{name!r}]", item.value)
        free_or_total(self.analyte)
        for name in ("clearance_L_per_day", "safety_factor"):
            object.__setattr__(self, name, positive(name, getattr(self, name)))
        fraction("bioavailability", self.bioavailability, one_allowed=True)
        if self.species is not None:
            object.__setattr__(self, "species", one_of("species", species_size(self.species).name, self.auc))

    def estimate(self, context: DoseContext | None = None) -> DoseEstimate:
        context = context or DoseContext()
        molar_mass = context.molar_mass_g_per_mol
        aucs = {
            name: concentration(float(item.value), item.unit, "ug*day/L", molar_mass) for name, item in self.auc.items()
        }
        deciding = self.species or min(aucs, key=lambda name: aucs[name])
        dose_ug = aucs[deciding] * self.clearance_L_per_day / (self.bioavailability * self.safety_factor)
        why = "chosen as relevant species" if self.species else "lowest AUC"
        return DoseEstimate(
            method=self.label or f"MRSD: AUC at NOAEL, {deciding}, /{self.safety_factor:g}",
            family="MRSD",
            dose_ug_per_kg=dose_ug / context.body_weight_kg,
            body_weight_kg=context.body_weight_kg,
            route=self.route,
            regimen="single dose",
            applies_to="single dose",
            analyte=str(self.analyte),
            target_level="AUC at NOAEL",
            pk_model=f"linear, CL {self.clearance_L_per_day:g} L/day, F {self.bioavailability:g}",
            limiting_criterion=f"AUC at NOAEL in {deciding} ({why})",
            safety_factor=self.safety_factor,
            molar_mass_g_per_mol=molar_mass,
            inputs=(
                *self.auc.values(),
                Input("human clearance", self.clearance_L_per_day, "L/day", self.clearance_source),
                Input("bioavailability", self.bioavailability, "", ""),
            ),
            assumptions=("clearance is linear up to the exposure at NOAEL",),
            notes=animal_dose_notes(context),
        )
