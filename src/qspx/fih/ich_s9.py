"""Oncology starting dose (ICH S9): one tenth of the rodent STD10, or one sixth of the non-rodent HNSTD.

STD10 is the dose severely toxic to 10 % of rodents, HNSTD the highest non-severely toxic dose in non-rodents. One
sixth of the HNSTD is used when one tenth of the STD10 would be severely toxic in the non-rodent. For biologics with
immune-agonist properties a MABEL should be considered instead: one sixth of the HNSTD was unsafe for several
immune-activating antibodies (Saber et al. 2016, Regul Toxicol Pharmacol 81:448-456).
"""

from __future__ import annotations

from dataclasses import dataclass

from .._errors import DoseError
from ._checks import one_of, positive
from .advisory import animal_dose_notes
from .base import AbstractDoseMethod, DoseContext, DoseEstimate
from .hed import HUMAN, SCALINGS, AnimalDose, default_scaling
from .species import RODENTS

STD10_FACTOR = 10.0
HNSTD_FACTOR = 6.0


@dataclass(frozen=True, kw_only=True)
class IchS9(AbstractDoseMethod):
    """Starting dose from `std10` (rodent), `hnstd` (non-rodent) or both.

    With both, one tenth of the STD10 is used unless it is severely toxic in the non-rodent: say so with
    `tenth_std10_severely_toxic`, or leave `None` to take it as severely toxic when it exceeds the HNSTD on the scale
    used. `scaling`: `"bsa"` compares mg/m2, `"mg_per_kg"` is for large intravenous proteins, `None` decides by molar
    mass and route.
    """

    std10: AnimalDose | None = None
    hnstd: AnimalDose | None = None
    tenth_std10_severely_toxic: bool | None = None
    scaling: str | None = None
    route: str = "IV"
    human_weight_kg: float = HUMAN.weight_kg
    label: str | None = None

    def __post_init__(self) -> None:
        if self.std10 is None and self.hnstd is None:
            raise DoseError("Arguments `std10` and `hnstd` must not both be missing: give one `AnimalDose` at least.")
        if self.std10 is not None and self.std10.species not in RODENTS:
            raise DoseError(f"Argument `std10` must come from a rodent, but is from {self.std10.species}: use `hnstd`.")
        if self.hnstd is not None and self.hnstd.species in RODENTS:
            raise DoseError(
                f"Argument `hnstd` must not come from a rodent, but is from {self.hnstd.species}: use `std10`."
            )
        if self.tenth_std10_severely_toxic and self.hnstd is None:
            raise DoseError(
                "Argument `hnstd` must be given when `tenth_std10_severely_toxic` is true: the rule takes HNSTD / 6."
            )
        if self.scaling is not None:
            one_of("scaling", self.scaling, SCALINGS)
        positive("human_weight_kg", self.human_weight_kg)

    def _on_scale(self, dose: AnimalDose, scaling: str) -> float:
        return dose.mg_per_m2 if scaling == "bsa" else dose.mg_per_kg

    def _deciding(self, scaling: str) -> tuple[AnimalDose, float, str, str]:
        """The dose that decides, its divisor, its name and why."""
        if self.hnstd is None:
            assert self.std10 is not None
            return self.std10, STD10_FACTOR, "STD10", "only STD10 given"
        if self.std10 is None:
            return self.hnstd, HNSTD_FACTOR, "HNSTD", "only HNSTD given"
        toxic, how = self.tenth_std10_severely_toxic, "stated by the user"
        if toxic is None:
            toxic = self._on_scale(self.std10, scaling) / STD10_FACTOR > self._on_scale(self.hnstd, scaling)
            how = "inferred from whether STD10/10 exceeds the HNSTD"
        if toxic:
            return self.hnstd, HNSTD_FACTOR, "HNSTD", f"STD10/10 is severely toxic in {self.hnstd.species}; {how}"
        return self.std10, STD10_FACTOR, "STD10", f"STD10/10 is not severely toxic in {self.hnstd.species}; {how}"

    def estimate(self, context: DoseContext | None = None) -> DoseEstimate:
        molar_mass = context.molar_mass_g_per_mol if context else None
        scaling, reason = (
            (self.scaling, f"scaled by {self.scaling}, as chosen by the user")
            if self.scaling is not None
            else default_scaling(molar_mass, self.route)
        )
        deciding, factor, name, why = self._deciding(scaling)
        human = self._on_scale(deciding, scaling) / factor
        notes = [] if scaling != "bsa" else [f"{human:.4g} mg/m²"]
        per_kg = human / HUMAN.km if scaling == "bsa" else human
        if molar_mass is not None and molar_mass > 10_000.0:
            notes.append("biologic: with immune-agonist properties, a MABEL should be considered (ICH S9)")
        return DoseEstimate(
            method=self.label or f"ICH S9: {name}/{factor:g}, {deciding.species}",
            family="ICH S9",
            dose_ug_per_kg=per_kg * 1000.0,
            body_weight_kg=self.human_weight_kg,
            route=self.route,
            regimen="single dose",
            applies_to="single dose",
            analyte="not applicable",
            target_level=f"{name}/{factor:g}",
            pk_model="none (dose scaling)",
            limiting_criterion=f"{name} in {deciding.species}: {why}",
            safety_factor=factor,
            molar_mass_g_per_mol=molar_mass,
            inputs=tuple(
                dose.as_input(kind) for kind, dose in (("STD10", self.std10), ("HNSTD", self.hnstd)) if dose is not None
            ),
            assumptions=(reason, why),
            notes=(*notes, *animal_dose_notes(context)),
        )
