"""Minimum anticipated biological effect level: the dose whose human exposure equals a low in-vitro effect level.

C_target = ECx of a relevant assay, x usually 10 to 50 %; dose = the match of that concentration. The answer moves more
with the assay, the aggregate over donors, the matched analyte and the PK model than with x, so all four are explicit.
Fails when the assay's cell density, antigen or soluble target differ from the body's: compare with a trimer match.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .._errors import DoseError
from ._checks import fraction, free_or_total, one_of
from .base import AbstractDoseMethod, DoseContext, DoseEstimate
from .exposure import AbstractExposureMatch
from .potency import AGGREGATES, Potency, aggregate_donors

MIN_DONORS_FOR_INTERVAL = 3


def check_match(match: AbstractExposureMatch, analyte: str | None) -> None:
    """Match is one, the analyte is chosen, and the two agree; `DoseError` otherwise."""
    if not isinstance(match, AbstractExposureMatch):
        raise DoseError(
            f"Argument `match` must be an exposure match such as `BolusCmax(volume_L=2.8)`, but is {match!r}."
        )
    free_or_total(analyte)
    if match.analyte not in (None, analyte):
        raise DoseError(f"Argument `analyte` must be {match.analyte!r}, which `match` computes, but is {analyte!r}.")


def _percent(level: float) -> str:
    return f"EC{100 * level:g}"


def _estimate(
    context: DoseContext | None,
    potency: Potency,
    *,
    level: float,
    aggregate: str,
    match: AbstractExposureMatch,
    analyte: str,
    family: str,
    label: str | None,
) -> tuple[DoseEstimate, float]:
    """The estimate and the matched concentration in nM."""
    context = context or DoseContext()
    per_donor = potency.at_nM(level, context.molar_mass_g_per_mol)
    target = aggregate_donors(per_donor, aggregate)
    interval, assumptions = None, [*match.assumptions()]
    if potency.donors >= MIN_DONORS_FOR_INTERVAL:
        points = [float(np.quantile(per_donor, q)) for q in (0.05, 0.5, 0.95)]
        low, mid, high = (context.ug_per_kg(match.dose(point, context)) for point in points)
        interval = (low, mid, high)
        assumptions.append(f"interval: spread of {potency.donors} donors only, no PK uncertainty")
    over = f"{aggregate} of {potency.donors} donors" if potency.donors > 1 else "one value"
    assay = f"{potency.assay} ({aggregate})" if potency.donors > 1 else potency.assay
    estimate = DoseEstimate(
        method=label or f"{family}: {_percent(level)}, {assay}, {analyte} {match.exposure} {match.route_in(context)}",
        family=family,
        dose_ug_per_kg=context.ug_per_kg(match.dose(target, context)),
        body_weight_kg=context.body_weight_kg,
        route=match.route_in(context),
        regimen=match.regimen,
        applies_to=match.applies_to,
        analyte=analyte,
        target_level=f"{_percent(level)} = {target:.4g} nM as {match.exposure}",
        pk_model=match.describe(),
        limiting_criterion=f"{_percent(level)} of {potency.assay} ({over})",
        molar_mass_g_per_mol=context.molar_mass_g_per_mol,
        interval=interval,
        inputs=(*potency.as_inputs(), *match.inputs(), context.molar_mass_input()),
        assumptions=tuple(assumptions),
    )
    return estimate, target


@dataclass(frozen=True, kw_only=True)
class Mabel(AbstractDoseMethod):
    """MABEL by in-vitro activity.

    `level` is the effect matched (0.2 for EC20), `aggregate` over donors one of "min", "p05", "median", "geomean".
    `analyte` ("free" or "total") has no default: choosing is part of the method.
    """

    potency: Potency
    match: AbstractExposureMatch
    analyte: str | None = None
    level: float = 0.2
    aggregate: str = "min"
    label: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.potency, Potency):
            raise DoseError(f"Argument `potency` must be a `Potency`, but is {self.potency!r}.")
        check_match(self.match, self.analyte)
        one_of("aggregate", self.aggregate, AGGREGATES)
        fraction("level", self.level)
        self.potency.at(self.level)  # a missing slope is told here, not when the dose is asked for

    def estimate(self, context: DoseContext | None = None) -> DoseEstimate:
        estimate, _ = _estimate(
            context,
            self.potency,
            level=self.level,
            aggregate=self.aggregate,
            match=self.match,
            analyte=str(self.analyte),
            family="MABEL",
            label=self.label,
        )
        return estimate


@dataclass(frozen=True, kw_only=True)
class ModifiedMabel(AbstractDoseMethod):
    """Median EC50 of the most relevant assay, usually killing of primary cells, in place of the most sensitive one.

    `cytokines`: potencies (with slopes) of cytokine release. Killing and release differ in potency, so the release
    reached at the matched concentration is reported for the most sensitive donor of each, or its absence is noted.
    """

    potency: Potency
    match: AbstractExposureMatch
    analyte: str | None = None
    cytokines: Sequence[Potency] = ()
    level: float = 0.5
    aggregate: str = "median"
    label: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.potency, Potency):
            raise DoseError(f"Argument `potency` must be a `Potency`, but is {self.potency!r}.")
        check_match(self.match, self.analyte)
        one_of("aggregate", self.aggregate, AGGREGATES)
        fraction("level", self.level)
        self.potency.at(self.level)
        object.__setattr__(self, "cytokines", tuple(self.cytokines))
        for cytokine in self.cytokines:
            if not isinstance(cytokine, Potency) or cytokine.slope is None:
                raise DoseError(f"Argument `cytokines` must hold `Potency` objects with `slope`, but has {cytokine!r}.")

    def estimate(self, context: DoseContext | None = None) -> DoseEstimate:
        estimate, target = _estimate(
            context,
            self.potency,
            level=self.level,
            aggregate=self.aggregate,
            match=self.match,
            analyte=str(self.analyte),
            family="modified MABEL",
            label=self.label,
        )
        notes = [*estimate.notes, *self._release(target, estimate.molar_mass_g_per_mol)]
        if not self.potency.system.lower().startswith("primary"):
            notes.append(f"assay system is {self.potency.system!r}; modified MABEL asks for primary (patient) cells")
        inputs = [*estimate.inputs, *(item for cytokine in self.cytokines for item in cytokine.as_inputs())]
        return dataclasses.replace(estimate, notes=tuple(notes), inputs=tuple(inputs))

    def _release(self, target_nM: float, molar_mass_g_per_mol: float | None) -> list[str]:
        if not self.cytokines:
            return ["cytokine release at this exposure was not assessed: no release potency given"]
        return [
            f"at {target_nM:.4g} nM, {item.assay} reaches EC"
            f"{100 * float(np.max(item.effect(target_nM, molar_mass_g_per_mol))):.3g} (most sensitive of {item.donors})"
            for item in self.cytokines
        ]
