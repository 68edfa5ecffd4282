"""Human equivalent dose and maximum recommended starting dose (FDA 2005): NOAEL -> HED -> safety factor.

HED [mg/kg] = animal dose x km_animal / km_human, or by mg/kg for large intravascular proteins; the species with the
lowest HED sets the dose by default; MRSD = HED / safety factor, 10 by default. Fails for drugs whose toxicity is
exaggerated pharmacology that the animal does not show (TGN1412: MRSD more than a thousand times MABEL).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .._errors import DoseError
from ._checks import mg_per_kg, one_of, positive
from .advisory import animal_dose_notes
from .base import AbstractDoseMethod, DoseContext, DoseEstimate, Input
from .species import SPECIES, SURFACE_EXPONENT, SpeciesSize, species_size

HUMAN = SPECIES["human adult"]
FDA_2005 = "FDA 2005, starting dose in adult healthy volunteers"
SCALINGS = ("bsa", "mg_per_kg")
ROUNDINGS = ("fda_table", "exact")
LARGE_PROTEIN_G_PER_MOL = 100_000.0


@dataclass(frozen=True)
class AnimalDose:
    """A dose found in an animal study, per body weight of the animal.

    `unit` such as `"mg/kg"` or `"ug/kg"`; `weight_kg` only when the animals' weight is known, in which case weights
    outside the table's working range are scaled by the power form.
    """

    species: str
    value: float
    unit: str
    source: str = ""
    weight_kg: float | None = None

    def __post_init__(self) -> None:
        size = species_size(self.species)
        if size.is_human:
            raise DoseError(f"Argument `species` must be an animal, but is {self.species!r}.")
        object.__setattr__(self, "species", size.name)
        object.__setattr__(self, "value", positive("value", self.value))
        if self.weight_kg is not None:
            object.__setattr__(self, "weight_kg", positive("weight_kg", self.weight_kg))

    @property
    def size(self) -> SpeciesSize:
        return species_size(self.species)

    @property
    def mg_per_kg(self) -> float:
        """The dose in mg per kg animal. Raises `UnitError` when `unit` is not a mass per body weight."""
        return mg_per_kg(self.value, self.unit)

    @property
    def mg_per_m2(self) -> float:
        """The dose in mg per m2 animal body surface."""
        return self.mg_per_kg * self.size.km

    def as_input(self, name: str) -> Input:
        return Input(f"{name}, {self.species}", self.value, self.unit, self.source)


def mg_per_kg_to_mg_per_m2(dose_mg_per_kg: float, species: str = "human adult") -> float:
    """mg/kg -> mg/m2 by the km of the species (37 kg/m2 in adults)."""
    return dose_mg_per_kg * species_size(species).km


def default_scaling(molar_mass_g_per_mol: float | None, route: str) -> tuple[str, str]:
    """`("bsa" | "mg_per_kg", reason)`. Intravascular proteins above 100 kDa scale by body weight (FDA 2005)."""
    if molar_mass_g_per_mol is None:
        return "bsa", "scaled by body surface area: no molar mass given"
    if molar_mass_g_per_mol <= LARGE_PROTEIN_G_PER_MOL:
        return "bsa", f"scaled by body surface area: {molar_mass_g_per_mol / 1000:g} kDa is not above 100 kDa"
    if route.upper().startswith("IV"):
        return "mg_per_kg", f"scaled by mg/kg: {molar_mass_g_per_mol / 1000:g} kDa, intravascular"
    return "bsa", f"scaled by body surface area: large molecule, but route {route} is not intravascular"


def human_equivalent_dose(
    dose: AnimalDose, *, scaling: str = "bsa", rounding: str = "fda_table", human_weight_kg: float = HUMAN.weight_kg
) -> float:
    """Human equivalent dose in mg/kg.

    `rounding="fda_table"` divides by the rounded factor of the guidance, `"exact"` multiplies by km/37; they differ by
    up to 3 %. An animal outside the working weight range takes dose x (W_animal / W_human)^0.33 instead.
    """
    one_of("scaling", scaling, SCALINGS)
    one_of("rounding", rounding, ROUNDINGS)
    if scaling == "mg_per_kg":
        return dose.mg_per_kg
    size = dose.size
    if dose.weight_kg is not None and not size.in_working_range(dose.weight_kg):
        return dose.mg_per_kg * (dose.weight_kg / positive("human_weight_kg", human_weight_kg)) ** SURFACE_EXPONENT
    if rounding == "exact":
        return dose.mg_per_kg * size.km / HUMAN.km
    assert size.divide_by is not None  # animals all have one
    return dose.mg_per_kg / size.divide_by


def as_doses(name: str, doses: AnimalDose | Sequence[AnimalDose]) -> tuple[AnimalDose, ...]:
    """One or several animal doses as a tuple; `DoseError` when empty, of another type, or a species comes twice."""
    found = (doses,) if isinstance(doses, AnimalDose) else tuple(doses)
    if not found or not all(isinstance(dose, AnimalDose) for dose in found):
        raise DoseError(f"Argument `{name}` must hold one `AnimalDose` or more, but is {doses!r}.")
    names = [dose.species for dose in found]
    if len(set(names)) < len(names):
        raise DoseError(f"Argument `{name}` must hold each species once, but holds {', '.join(names)}.")
    return found


@dataclass(frozen=True, kw_only=True)
class Noael(AbstractDoseMethod):
    """MRSD from the no-observed-adverse-effect level in one or more species (FDA 2005).

    The species with the lowest human equivalent dose decides, unless `species` names the relevant one.
    `scaling=None` chooses by molar mass and route, and the choice is written into the assumptions.
    `human_weight_kg` is the table's 60 kg: PK methods usually take 70 kg, so compare doses per kg.
    """

    doses: AnimalDose | Sequence[AnimalDose]
    safety_factor: float = 10.0
    species: str | None = None
    scaling: str | None = None
    rounding: str = "fda_table"
    route: str = "IV"
    human_weight_kg: float = HUMAN.weight_kg
    label: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "doses", as_doses("doses", self.doses))
        object.__setattr__(self, "safety_factor", positive("safety_factor", self.safety_factor))
        object.__setattr__(self, "human_weight_kg", positive("human_weight_kg", self.human_weight_kg))
        if self.scaling is not None:
            one_of("scaling", self.scaling, SCALINGS)
        one_of("rounding", self.rounding, ROUNDINGS)
        if self.species is not None:
            object.__setattr__(self, "species", species_size(self.species).name)
            one_of("species", self.species, [dose.species for dose in as_doses("doses", self.doses)])

    def human_equivalent_doses(self, context: DoseContext | None = None) -> dict[str, float]:
        """Human equivalent dose in mg/kg per species, before the safety factor."""
        scaling, _ = self._scaling(context)
        return {
            dose.species: human_equivalent_dose(
                dose, scaling=scaling, rounding=self.rounding, human_weight_kg=self.human_weight_kg
            )
            for dose in as_doses("doses", self.doses)
        }

    def _scaling(self, context: DoseContext | None) -> tuple[str, str]:
        if self.scaling is not None:
            return self.scaling, f"scaled by {self.scaling}, as chosen by the user"
        return default_scaling(context.molar_mass_g_per_mol if context else None, self.route)

    def estimate(self, context: DoseContext | None = None) -> DoseEstimate:
        heds = self.human_equivalent_doses(context)
        deciding = self.species or min(heds, key=lambda name: heds[name])
        scaling, reason = self._scaling(context)
        why = "chosen as relevant species" if self.species else "lowest HED"
        unit = "mg/kg" if scaling == "mg_per_kg" else "BSA"
        assumptions = [reason, f"human reference weight {self.human_weight_kg:g} kg"]
        if scaling == "bsa":
            assumptions.append(f"conversion factors: {self.rounding}")
        for dose in as_doses("doses", self.doses):
            if scaling == "bsa" and dose.weight_kg is not None and not dose.size.in_working_range(dose.weight_kg):
                assumptions.append(
                    f"{dose.species} of {dose.weight_kg:g} kg lies outside the working range: power form, exponent 0.33"
                )
        notes = [f"HED, {name}: {hed:.4g} mg/kg" for name, hed in heds.items()]
        if self.safety_factor < 10.0:
            notes.append("safety factor below the default of 10: justify it")
        return DoseEstimate(
            method=self.label or f"MRSD: NOAEL, {deciding}, {unit}, /{self.safety_factor:g}",
            family="MRSD",
            dose_ug_per_kg=heds[deciding] * 1000.0 / self.safety_factor,
            body_weight_kg=self.human_weight_kg,
            route=self.route,
            regimen="single dose",
            applies_to="single dose",
            analyte="not applicable",
            target_level="NOAEL",
            pk_model="none (dose scaling)",
            limiting_criterion=f"NOAEL in {deciding} ({why})",
            safety_factor=self.safety_factor,
            molar_mass_g_per_mol=context.molar_mass_g_per_mol if context else None,
            inputs=tuple(dose.as_input("NOAEL") for dose in as_doses("doses", self.doses)),
            assumptions=tuple(assumptions),
            notes=(*notes, *animal_dose_notes(context)),
        )
