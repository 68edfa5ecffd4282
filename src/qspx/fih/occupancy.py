"""Receptor occupancy with and without depletion of drug by its target, and the dose for a wanted occupancy.

Without depletion RO = C / (C + Kd). With it, total drug D and total target R share one volume and the complex solves
X^2 - (D + R + Kd) X + D R = 0 (Muller and Brennan 2009). The inverse needs no root search:
D = Kd RO / (1 - RO) + RO R. Not a basis for CD3 engagers, which act at occupancies far below any usual target.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
from jax.typing import ArrayLike

from .._errors import DoseError
from ._checks import fraction, positive
from .advisory import advise, occupancy_notes
from .base import AbstractDoseMethod, DoseContext, DoseEstimate, Input
from .exposure import AbstractExposureMatch
from .mabel import check_match

AVOGADRO = 6.02214076e23  # 1/mol, SI definition


def receptor_density_nM(cells_per_L: float, receptors_per_cell: float) -> float:
    """Total receptor in nM from cells per litre and receptors per cell."""
    return positive("cells_per_L", cells_per_L) * positive("receptors_per_cell", receptors_per_cell) / AVOGADRO * 1e9


def occupancy_free(concentration: ArrayLike, kd: ArrayLike):
    """Occupied fraction at free drug `concentration`; both in one unit; broadcasts; differentiable."""
    concentration = jnp.asarray(concentration)
    return concentration / (concentration + kd)


def complex_with_depletion(drug_total: ArrayLike, target_total: ArrayLike, kd: ArrayLike):
    """Bound complex at equilibrium of total drug and total target, all in one unit.

    X = 2 D R / (b + sqrt((D - R)^2 + Kd (2 D + 2 R + Kd))), b = D + R + Kd: the root written without cancellation.
    """
    return jnp.asarray(target_total) * occupancy_with_depletion(drug_total, target_total, kd)


def occupancy_with_depletion(drug_total: ArrayLike, target_total: ArrayLike, kd: ArrayLike):
    """Occupied fraction at total drug `drug_total`, target depletion included; all in one unit."""
    drug, target, kd = jnp.asarray(drug_total), jnp.asarray(target_total), jnp.asarray(kd)
    root = jnp.sqrt((drug - target) ** 2 + kd * (2.0 * (drug + target) + kd))
    return 2.0 * drug / (drug + target + kd + root)


def free_for_occupancy(occupancy: ArrayLike, kd: ArrayLike):
    """Free drug at which the fraction `occupancy` is bound, in the unit of `kd`."""
    occupancy = jnp.asarray(occupancy)
    return kd * occupancy / (1.0 - occupancy)


def total_for_occupancy(occupancy: ArrayLike, target_total: ArrayLike, kd: ArrayLike):
    """Total drug, free and target-bound, at which the fraction `occupancy` is bound."""
    return free_for_occupancy(occupancy, kd) + jnp.asarray(occupancy) * target_total


@dataclass(frozen=True, kw_only=True)
class ReceptorOccupancy(AbstractDoseMethod):
    """Dose for a receptor occupancy.

    `analyte="free"` doses the free concentration only; `"total"` adds the drug that the target takes up and needs
    `receptor_nM`. `occupancy` is a fraction. For a CD3 engager the estimate is marked as not decision relevant.
    """

    kd_nM: float
    match: AbstractExposureMatch
    analyte: str | None = None
    occupancy: float = 0.1
    receptor_nM: float | None = None
    target: str = "target"
    source: str = ""
    label: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "kd_nM", positive("kd_nM", self.kd_nM))
        object.__setattr__(self, "occupancy", fraction("occupancy", self.occupancy))
        check_match(self.match, self.analyte)
        if self.receptor_nM is not None:
            object.__setattr__(self, "receptor_nM", positive("receptor_nM", self.receptor_nM))
        if self.analyte == "total" and self.receptor_nM is None:
            raise DoseError(
                "Argument `receptor_nM` must be given for analyte 'total': the bound drug is occupancy x receptor. "
                "Use `receptor_density_nM(cells_per_L, receptors_per_cell)`."
            )

    @property
    def target_concentration_nM(self) -> float:
        """Free or total drug, as chosen, at the wanted occupancy."""
        if self.analyte == "total":
            return float(total_for_occupancy(self.occupancy, self.receptor_nM or 0.0, self.kd_nM))
        return float(free_for_occupancy(self.occupancy, self.kd_nM))

    def estimate(self, context: DoseContext | None = None) -> DoseEstimate:
        context = context or DoseContext()
        concentration = self.target_concentration_nM
        percent = f"RO{100 * self.occupancy:g}"
        inputs = [Input(f"Kd, {self.target}", self.kd_nM, "nM", self.source)]
        if self.receptor_nM is not None:
            inputs.append(Input(f"total {self.target}", self.receptor_nM, "nM", self.source))
        bound = self.analyte == "total"
        depletion = "drug bound to the target counted, one well-mixed volume" if bound else "no target depletion"
        match = f"{self.match.exposure} {self.match.route_in(context)}"
        return DoseEstimate(
            method=self.label or f"RO: {percent}, {self.target}, {self.analyte} {match}",
            family="RO",
            dose_ug_per_kg=context.ug_per_kg(self.match.dose(concentration, context)),
            body_weight_kg=context.body_weight_kg,
            route=self.match.route_in(context),
            regimen=self.match.regimen,
            applies_to=self.match.applies_to,
            analyte=str(self.analyte),
            target_level=f"{percent} = {concentration:.4g} nM as {self.match.exposure}",
            pk_model=self.match.describe(),
            limiting_criterion=f"{100 * self.occupancy:g} % occupancy of {self.target}",
            molar_mass_g_per_mol=context.molar_mass_g_per_mol,
            decision_relevant=advise(context) is None,
            inputs=(*inputs, *self.match.inputs(), context.molar_mass_input()),
            assumptions=("binding at equilibrium", depletion, *self.match.assumptions()),
            notes=occupancy_notes(context),
        )
