"""Equilibrium ternary complex (trimer) of a bispecific drug, its hook effect, and the dose for a trimer level.

At free drug C with totals A, B, dissociation constants K1, K2 and cooperativity a (Schropp 2019, CPT PSP 8:177,
Eqs 20-30; a < 1 favours the trimer), T = C R_A R_B / (a K1 K2). With u = R_A (1 + C/K1), v = R_B (1 + C/K2) these
equations collapse to one binding equilibrium,

    T = g u v,  u = A - T,  v = B - T,  g(C) = C / [a (K1 + C)(K2 + C)].

So T rises and falls with g, whose only maximum lies at C = sqrt(K1 K2) whatever a, A and B are, and the dose for a
trimer level on the rising limb is the smaller root of a quadratic. Fails where the binding is not at equilibrium, or
the human range lies beyond the peak: then a concentration match must be used as well.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from .._errors import DoseError, ThresholdError
from ._checks import positive
from .base import AbstractDoseMethod, DoseContext, DoseEstimate, Input
from .exposure import AbstractExposureMatch
from .mabel import check_match
from .occupancy import AVOGADRO


class TrimerEquilibrium(NamedTuple):
    """All species at equilibrium, each in the unit of the inputs; `drug_total` counts free, dimers and trimer."""

    free_a: jax.Array
    free_b: jax.Array
    dimer_a: jax.Array
    dimer_b: jax.Array
    trimer: jax.Array
    drug_total: jax.Array


def _not_in_trimer(own: jax.Array, other: jax.Array, g: jax.Array) -> jax.Array:
    """u = A - T from g u^2 + (1 + g (B - A)) u - A = 0, by the root form that does not cancel."""
    e = 1.0 + g * (other - own)
    root = jnp.sqrt(e * e + 4.0 * g * own)
    safe_g = jnp.where(e > 0.0, 1.0, g)
    denominator = jnp.where(e > 0.0, e + root, 1.0)
    return jnp.where(e > 0.0, 2.0 * own / denominator, (root - e) / (2.0 * safe_g))


def equilibrium_trimer(
    drug_free: ArrayLike, total_a: ArrayLike, total_b: ArrayLike, kd_a: ArrayLike, kd_b: ArrayLike, cooperativity=1.0
) -> TrimerEquilibrium:
    """Equilibrium at free drug `drug_free`; everything in one concentration unit; broadcasts; differentiable."""
    c, a, b, k1, k2 = (jnp.asarray(x, dtype=float) for x in (drug_free, total_a, total_b, kd_a, kd_b))
    g = c / (jnp.asarray(cooperativity) * (k1 + c) * (k2 + c))
    u, v = _not_in_trimer(a, b, g), _not_in_trimer(b, a, g)
    trimer, dimer_a, dimer_b = g * u * v, u * c / (k1 + c), v * c / (k2 + c)
    return TrimerEquilibrium(
        free_a=u * k1 / (k1 + c),
        free_b=v * k2 / (k2 + c),
        dimer_a=dimer_a,
        dimer_b=dimer_b,
        trimer=trimer,
        drug_total=c + dimer_a + dimer_b + trimer,
    )


def hook_position(kd_a: float, kd_b: float) -> float:
    """Free drug with the most trimer, sqrt(Kd_A Kd_B), in the unit of the two constants."""
    return math.sqrt(positive("kd_a", kd_a) * positive("kd_b", kd_b))


def free_drug_for_trimer(
    trimer: float, total_a: float, total_b: float, kd_a: float, kd_b: float, cooperativity: float = 1.0
) -> float:
    """Smallest free drug with this much trimer (rising limb), all in one unit.

    Raises `ThresholdError` when the peak of the bell is below `trimer`.
    """
    trimer = positive("trimer", trimer)
    peak_at = hook_position(kd_a, kd_b)
    peak = float(equilibrium_trimer(peak_at, total_a, total_b, kd_a, kd_b, cooperativity).trimer)
    if trimer > peak:
        raise ThresholdError(
            f"Argument `trimer` must not exceed the peak of the bell, but {trimer:.4g} is above {peak:.4g}, which is "
            f"reached at free drug {peak_at:.4g}. No dose gives that much trimer: lower the threshold, or check the "
            "receptor totals and cell counts."
        )
    # 1/g = (A - T)(B - T)/T; then C^2 - b C + K1 K2 = 0 with b = 1/(a g) - K1 - K2, smaller root
    b = (total_a - trimer) * (total_b - trimer) / (trimer * cooperativity) - kd_a - kd_b
    return 2.0 * kd_a * kd_b / (b + math.sqrt(max(b * b - 4.0 * kd_a * kd_b, 0.0)))


@dataclass(frozen=True, kw_only=True)
class TrimerMabel(AbstractDoseMethod):
    """Smallest dose whose equilibrium trimer reaches a threshold, in one compartment.

    Threshold: `trimer_nM`, or `trimer_per_target_cell` (molecules) with `target_cells_per_L`. `analyte="free"` matches
    the free drug of that equilibrium, `"total"` the drug with its dimers and trimer. Works on the rising limb only;
    the peak is reported.
    """

    kd_a_nM: float
    kd_b_nM: float
    total_a_nM: float
    total_b_nM: float
    match: AbstractExposureMatch
    analyte: str | None = None
    trimer_nM: float | None = None
    trimer_per_target_cell: float | None = None
    target_cells_per_L: float | None = None
    cooperativity: float = 1.0
    compartment: str = "plasma"
    threshold_source: str = ""
    source: str = ""
    label: str | None = None

    def __post_init__(self) -> None:
        for name in ("kd_a_nM", "kd_b_nM", "total_a_nM", "total_b_nM", "cooperativity"):
            object.__setattr__(self, name, positive(name, getattr(self, name)))
        if (self.trimer_nM is None) == (self.trimer_per_target_cell is None):
            raise DoseError("Exactly one of `trimer_nM` and `trimer_per_target_cell` must be given.")
        if self.trimer_per_target_cell is not None and self.target_cells_per_L is None:
            raise DoseError(
                "Argument `target_cells_per_L` must be given with `trimer_per_target_cell`: it turns molecules per "
                "cell into a concentration. Use the count that belongs to the volume of this compartment."
            )
        check_match(self.match, self.analyte)
        self.free_drug_nM  # noqa: B018  a threshold above the peak is told at construction

    @property
    def threshold_nM(self) -> float:
        """The trimer concentration asked for, nM."""
        if self.trimer_nM is not None:
            return positive("trimer_nM", self.trimer_nM)
        per_cell = positive("trimer_per_target_cell", self.trimer_per_target_cell)
        return per_cell * positive("target_cells_per_L", self.target_cells_per_L) / AVOGADRO * 1e9

    @property
    def free_drug_nM(self) -> float:
        """Free drug at the threshold on the rising limb, nM."""
        return free_drug_for_trimer(
            self.threshold_nM, self.total_a_nM, self.total_b_nM, self.kd_a_nM, self.kd_b_nM, self.cooperativity
        )

    def _at(self, free_nM: float) -> TrimerEquilibrium:
        return equilibrium_trimer(
            free_nM, self.total_a_nM, self.total_b_nM, self.kd_a_nM, self.kd_b_nM, self.cooperativity
        )

    def estimate(self, context: DoseContext | None = None) -> DoseEstimate:
        context = context or DoseContext()
        free, hook = self.free_drug_nM, hook_position(self.kd_a_nM, self.kd_b_nM)
        peak = self._at(hook)
        target, hook_target = free, hook
        if self.analyte == "total":
            target, hook_target = float(self._at(free).drug_total), float(peak.drug_total)
        hook_dose = context.ug_per_kg(self.match.dose(hook_target, context))
        per_cell = self.trimer_per_target_cell
        wanted = f"{self.threshold_nM:.4g} nM trimer"
        if per_cell is not None:
            wanted += f" ({per_cell:.4g} per target cell)"
        inputs = [
            Input("Kd, effector arm A", self.kd_a_nM, "nM", self.source),
            Input("Kd, target arm B", self.kd_b_nM, "nM", self.source),
            Input("total receptor A", self.total_a_nM, "nM", self.source),
            Input("total receptor B", self.total_b_nM, "nM", self.source),
            Input("cooperativity", self.cooperativity, "", self.source),
            Input("trimer threshold", self.threshold_nM, "nM", self.threshold_source),
        ]
        if per_cell is not None:
            inputs.append(Input("target cells", float(self.target_cells_per_L or 0.0), "cell/L", self.source))
        return DoseEstimate(
            method=self.label or f"trimer: {wanted}, {self.compartment}, {self.analyte} {self.match.exposure}",
            family="trimer",
            dose_ug_per_kg=context.ug_per_kg(self.match.dose(target, context)),
            body_weight_kg=context.body_weight_kg,
            route=self.match.route_in(context),
            regimen=self.match.regimen,
            applies_to=self.match.applies_to,
            analyte=str(self.analyte),
            target_level=f"{wanted} at {target:.4g} nM {self.analyte} drug",
            pk_model=self.match.describe(),
            limiting_criterion=f"trimer in {self.compartment}, rising limb",
            molar_mass_g_per_mol=context.molar_mass_g_per_mol,
            inputs=(*inputs, *self.match.inputs(), context.molar_mass_input()),
            assumptions=("binding at equilibrium, constant receptor totals", *self.match.assumptions()),
            notes=(
                f"hook: the trimer peaks at {float(peak.trimer):.4g} nM (free drug {hook:.4g} nM, {hook_dose:.4g} "
                "µg/kg); above that more drug gives less trimer",
            ),
        )
