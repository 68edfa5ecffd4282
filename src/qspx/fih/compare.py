"""`compare_doses`: every method on the same model and population, side by side."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .._errors import DoseError, ThresholdError
from ..cohort import Cohort
from ..distributions import Joint
from ..dosing import Regimen
from ..integrate import AbstractIntegrator, integrator_of
from ..model import AbstractModel
from ..provenance import environment, now
from ..units import conversion
from . import rationale_tables as tables
from .base import AbstractDoseMethod, DoseContext, DoseEstimate
from .dose_response import DoseResponses
from .escalation import Escalation
from .rationale import Alternative, DoseRationale, ProfilePlan, Proposal, RationaleContext
from .threshold_method import AbstractThresholdMethod
from .uncertainty import TypicalValueUncertainty


def compare_doses(
    model: AbstractModel,
    population: Cohort,
    escalation: Escalation,
    methods: Sequence[AbstractDoseMethod],
    *,
    key: Any,
    proposal: Proposal | None = None,
    context: RationaleContext | None = None,
    modality: str = "other",
    uncertainty: TypicalValueUncertainty | None = None,
    distribution: Joint | None = None,
    distribution_sources: Mapping[str, str] | None = None,
    alternatives: Sequence[Alternative] = (),
    profiles: ProfilePlan | None = None,
    limitations: Sequence[str] = (),
    integrator: AbstractIntegrator | None = None,
    out: str | Path | None = None,
    progress: bool | None = None,
) -> DoseRationale:
    """Estimate the starting dose by every method, and compare the proposed dose with each.

    Args:
        model, population: the model and the virtual patients (weights are used).
        escalation: schedule and dose levels to simulate.
        methods: any `AbstractDoseMethod`, also your own.
        key: for resampling and for the draws of `uncertainty`.
        proposal: the dose that the user proposes; without it no folds are computed. Nothing is ever recommended here.
        modality: "CD3_engager" adds the advisory on that class.
        uncertainty: of typical parameter values, carried to the dose intervals.
        distribution, distribution_sources: what the population was sampled from, for the report.
        alternatives: other assumptions under which the first threshold method's dose is found again (typical subject).
        profiles: time courses of the proposed schedule (of the escalation's schedule at its first level, without one).
        out: run directory for every simulation; an interrupted comparison resumes there.

    Raises:
        DoseError, ThresholdError: naming the method, if one cannot be evaluated.
    """
    started = time.monotonic()
    integrator = integrator_of(integrator)
    if not methods:
        raise DoseError("Argument `methods` must hold at least one dose method, but it is empty.")
    for m in methods:
        if not isinstance(m, AbstractDoseMethod):
            raise DoseError(f"Argument `methods` must hold dose methods, but holds {m!r}. Pass objects, not classes.")
    runs = Path(out) if out is not None else None
    responses = DoseResponses(model, population, escalation.levels, integrator, runs, progress)
    ctx = _context(model, population, escalation, modality, integrator, key, responses, uncertainty)
    _prepare(ctx, methods)
    estimates = tuple(_estimate(m, ctx) for m in methods)
    _check_unique(estimates)
    simulated = [m for m in methods if isinstance(m, AbstractThresholdMethod)]
    plan = tables.schedule(escalation, proposal)
    ledger = responses.ledger()
    return DoseRationale(
        context=context or RationaleContext(),
        estimates=estimates,
        proposal=proposal,
        folds=tables.folds(estimates, proposal),
        curves=tables.curves(simulated, ctx),
        thresholds=tables.thresholds(simulated, ctx),
        exceedance=tables.exceedance(simulated, ctx, proposal),
        profiles=tables.profiles(model, population, plan, profiles, integrator, runs, progress),
        profile_time_unit=model.time_unit,
        dose_times=[(d.at, d.amount) for d in plan.doses],
        sensitivity=tables.sensitivity(simulated, ctx, estimates, methods),
        ledger=ledger.table().rename(columns={"status": "category"}),
        ledger_total=ledger.total,
        verification=model.published_table(),
        parameters=model.parameter_table(),
        species=model.species_table(),
        equations=model.equations(),
        population=tables.population_table(model, population, distribution, distribution_sources or {}),
        alternatives=tables.alternatives(alternatives, simulated, ctx),
        advisories=tables.advisories(ctx) + tables.mrsd_above_pad(estimates),
        assumptions=tables.assumptions(estimates),
        limitations=list(limitations),
        lints=[str(x) for x in model.lints()],
        provenance={
            "made": now(),
            "seconds": round(time.monotonic() - started, 1),
            "simulated_runs": responses.runs,
            "model": {"name": model.name, "sha256": model.hash, "citation": model.citation},
            "population": {"origin": population.origin, "seed": population.seed, "sha256": population.digest},
            "key": str(key),
            "integrator": integrator.settings,
            "escalation": {"schedule": str(escalation.regimen), "levels_ug_per_kg": list(escalation.levels)},
            "environment": environment(),
        },
    )


def _context(model, population, escalation, modality, integrator, key, responses, uncertainty) -> DoseContext:
    weight, mass = model.body_weight, model.molar_mass
    kg = (
        model.theta[model.parameter_index(weight)] * conversion(model.parameters[weight].unit, "kg") if weight else 70.0
    )
    grams = (
        model.theta[model.parameter_index(mass)] * conversion(model.parameters[mass].unit, "g/mol") if mass else None
    )
    source = f"{model.parameters[mass].source} ({model.parameters[mass].tag})" if mass else ""
    return DoseContext(
        body_weight_kg=kg,
        molar_mass_g_per_mol=grams,
        molar_mass_source=source,
        modality=modality,
        model=model,
        population=population,
        escalation=escalation,
        integrator=integrator,
        key=key,
        responses=responses,
        uncertainty=uncertainty,
    )


def _prepare(ctx: DoseContext, methods: Sequence[AbstractDoseMethod]) -> None:
    """One run per schedule for the endpoints of all methods."""
    wanted: dict[Regimen, list] = {}
    for method in methods:
        for regimen, summary in method.endpoints(ctx):
            wanted.setdefault(regimen.scaled_to(1.0), []).append(summary)
    for regimen, summaries in wanted.items():
        ctx.responses.prepare(regimen, summaries)


def _estimate(method: AbstractDoseMethod, ctx: DoseContext) -> DoseEstimate:
    try:
        return method.estimate(ctx)
    except (DoseError, ThresholdError) as error:
        label = getattr(method, "label", None) or type(method).__name__
        raise type(error)(f"method {label!r}: {error}") from error


def _check_unique(estimates: Sequence[DoseEstimate]) -> None:
    names = [e.method for e in estimates]
    if twice := sorted({n for n in names if names.count(n) > 1}):
        raise DoseError(f"two methods are called {twice[0]!r}; give them different `label`s.")
