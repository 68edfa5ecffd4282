"""`compare_doses`: every method on the same model and population, side by side."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .._errors import DoseError, ThresholdError
from ..cohort import Cohort
from ..cohort_run import simulate_cohort
from ..distributions import Joint
from ..dosing import Dose, Regimen
from ..integrate import AbstractIntegrator, DiffraxIntegrator
from ..model import AbstractModel
from ..protocol import Arm, Protocol
from ..provenance import environment, now
from ..sensitivity import elasticities, partial_rank_correlations, sensitivity_table
from ..units import conversion
from .advisory import advise
from .base import AbstractDoseMethod, DoseContext, DoseEstimate
from .dose_response import DoseResponses
from .escalation import Escalation, cohorts_avoided
from .rationale import Alternative, DoseRationale, ProfilePlan, Proposal, RationaleContext, Threshold
from .simulated_exposure import dose_for_metric
from .threshold_method import AbstractThresholdMethod
from .uncertainty import TypicalValueUncertainty

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


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
    integrator = integrator or DiffraxIntegrator()
    if not methods:
        raise DoseError("Argument `methods` must hold at least one dose method, but it is empty.")
    runs = Path(out) if out is not None else None
    responses = DoseResponses(model, population, escalation.levels, integrator, runs, progress)
    ctx = _context(model, population, escalation, modality, integrator, key, responses, uncertainty)
    _prepare(ctx, methods)
    estimates = tuple(_estimate(m, ctx) for m in methods)
    _check_unique(estimates)
    thresholds = [m for m in methods if isinstance(m, AbstractThresholdMethod)]
    plan = _schedule(escalation, proposal)
    ledger = responses.ledger()
    return DoseRationale(
        context=context or RationaleContext(),
        estimates=estimates,
        proposal=proposal,
        folds=_folds(estimates, proposal),
        curves=_curves(thresholds, ctx),
        thresholds=_thresholds(thresholds, ctx),
        exceedance=_exceedance(thresholds, ctx, proposal),
        profiles=_profiles(model, population, plan, profiles, integrator, runs, progress),
        profile_time_unit=model.time_unit,
        dose_times=[(d.at, d.amount) for d in plan.doses],
        sensitivity=_sensitivity(thresholds, ctx, estimates, methods),
        ledger=ledger.table().rename(columns={"status": "category"}),
        ledger_total=ledger.total,
        verification=model.published_table(),
        parameters=model.parameter_table(),
        species=model.species_table(),
        equations=model.equations(),
        population=_population_table(model, population, distribution, distribution_sources or {}),
        alternatives=_alternatives(alternatives, thresholds, ctx),
        advisories=_advisories(ctx) + _mrsd_above_pad(estimates),
        assumptions=_assumptions(estimates),
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


def _folds(estimates: Sequence[DoseEstimate], proposal: Proposal | None):
    import pandas as pd

    columns = [
        "method",
        "family",
        "dose_ug_per_kg",
        "fold_first_injection",
        "fold_target",
        "cohorts_saved_half_log",
        "cohorts_saved_doubling",
    ]
    if proposal is None:
        return pd.DataFrame(columns=columns)
    rows = []
    for e in estimates:
        saved = cohorts_avoided(proposal.target_ug_per_kg, e.dose_ug_per_kg)
        rows.append(
            [
                e.method,
                e.family,
                e.dose_ug_per_kg,
                proposal.first_injection_ug_per_kg / e.dose_ug_per_kg,
                proposal.target_ug_per_kg / e.dose_ug_per_kg,
                saved["half-log"],
                saved["doubling"],
            ]
        )
    return pd.DataFrame(rows, columns=columns)


def _title(method: AbstractThresholdMethod, ctx: DoseContext) -> str:
    """The endpoint in words: "peak nACT, days 0 to 28, single dose"."""
    words = {
        "max": "peak {}",
        "min": "lowest {}",
        "auc": "AUC of {}",
        "average": "average {}",
        "last": "{} at the end",
        "tmax": "time of the peak of {}",
    }
    m = method.metric
    schedule = "single dose" if len(_regimen(method, ctx).doses) == 1 else "schedule"
    return f"{words[m.kind].format(m.observable)}, {ctx.model.time_unit}s {m.start or 0:g} to {m.end:g}, {schedule}"


def _regimen(method: AbstractThresholdMethod, ctx: DoseContext) -> Regimen:
    return method.regimen or ctx.escalation.regimen


def _thresholds(methods: Sequence[AbstractThresholdMethod], ctx: DoseContext) -> list[Threshold]:
    """One entry per level of a metric; methods that share it share the label."""
    found: dict[tuple[str, float, float], list[str]] = {}
    for m in methods:
        found.setdefault((_title(m, ctx), m.threshold, m.quantile), []).append(m.label or m.family)
    return [Threshold(title, tau, " / ".join(labels), q) for (title, tau, q), labels in found.items()]


def _exceedance(methods: Sequence[AbstractThresholdMethod], ctx: DoseContext, proposal: Proposal | None):
    """Share of the population over each threshold at the proposed doses, simulated there, with a 90 % interval
    (Wilson score, on the effective number of virtual patients)."""
    import pandas as pd

    columns = ["metric", "threshold", "unit", "dose", "dose_ug_per_kg", "probability", "low_5", "high_95"]
    if proposal is None:
        return pd.DataFrame(columns=columns)
    doses = {"first injection": proposal.first_injection_ug_per_kg, "target": proposal.target_ug_per_kg}
    rows = []
    for title, m in {(_title(m, ctx), m.threshold): (_title(m, ctx), m) for m in methods}.values():
        single = len(_regimen(m, ctx).doses) == 1
        for name, dose in doses.items() if single else [("target", doses["target"])]:
            response = ctx.responses.level(_regimen(m, ctx), m.metric, dose)
            values = response.values[int(np.argmin(np.abs(response.levels - dose)))]
            usable = ~np.isnan(values)
            w = response.weights[usable] / response.weights[usable].sum()
            share = float(w @ (values[usable] > m.threshold))
            rows.append([title, m.threshold, response.unit, name, dose, share, *_wilson(share, 1 / float(w @ w))])
    return pd.DataFrame(rows, columns=columns)


def _wilson(share: float, n: float, z: float = 1.6449) -> tuple[float, float]:
    """Score interval of a proportion (Wilson 1927)."""
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return float(max(0.0, centre - half)), float(min(1.0, centre + half))


def _curves(methods: Sequence[AbstractThresholdMethod], ctx: DoseContext):
    import pandas as pd

    rows, seen = [], set()
    for m in methods:
        response = ctx.responses.get(_regimen(m, ctx), m.metric)
        name = _title(m, ctx)
        if name in seen:
            continue
        seen.add(name)
        bands = np.stack([response.quantile(q) for q in QUANTILES], axis=1)
        failed = np.isnan(response.values).sum(axis=1)
        n = response.values.shape[1]
        rows += [[name, response.unit, d, *b, n - f, f] for d, b, f in zip(response.levels, bands, failed, strict=True)]
    columns = ["metric", "unit", "dose_ug_per_kg", *(f"q{round(100 * q):02d}" for q in QUANTILES), "n_ok", "n_failed"]
    return pd.DataFrame(rows, columns=columns)


def _schedule(escalation: Escalation, proposal: Proposal | None) -> Regimen:
    """The schedule whose time courses are shown: the proposed one, continued as the escalation's is."""
    if proposal is None:
        return escalation.regimen.scaled_to(escalation.levels[0])
    shape = escalation.regimen.scaled_to(proposal.target_ug_per_kg)
    first = shape.doses[0]
    steps = [
        Dose(f * proposal.target_ug_per_kg, "ug/kg", first.into, day, first.duration, first.bioavailability, first.lag)
        for f, day in zip(proposal.fractions, proposal.days, strict=True)
    ]
    later = [d for d in shape.doses if d.at > proposal.days[-1]]
    return Regimen(tuple(steps + later), shape.time_unit)


def _profiles(model, population, regimen, plan: ProfilePlan | None, integrator, runs: Path | None, progress):
    import pandas as pd

    columns = ["panel", "unit", "time", "q05", "q50", "q95", "arm"]
    if plan is None:
        return pd.DataFrame(columns=columns)
    name = f"target {regimen.target:g} {regimen.unit}"
    protocol = Protocol((Arm(name, regimen, plan.times, tuple(plan.panels)),))
    result = simulate_cohort(
        model, population, protocol, integrator=integrator, progress=progress, out=runs / "profiles" if runs else None
    )
    rows = []
    for observable, panel in plan.panels.items():
        bands = result.quantiles(observable, (0.05, 0.5, 0.95))[:, 0]
        rows += [[panel, result.units[observable], t, *b, name] for t, b in zip(result.times, bands.T, strict=True)]
    return pd.DataFrame(rows, columns=columns)


def _sensitivity(thresholds, ctx: DoseContext, estimates, methods):
    """Elasticity of each threshold dose for the typical subject, and partial rank correlations at the nearest level."""
    import pandas as pd

    tables, seen = [], set()
    for method, e in zip(methods, estimates, strict=True):
        if method not in thresholds or (name := _title(method, ctx)) in seen:
            continue
        seen.add(name)
        regimen = _regimen(method, ctx)
        local = elasticities(
            ctx.model, regimen.scaled_to(e.dose_ug_per_kg * e.safety_factor), method.metric, integrator=ctx.integrator
        )
        response = ctx.responses.get(regimen, method.metric)
        at = int(np.argmin(np.abs(np.log(response.levels / (e.dose_ug_per_kg * e.safety_factor)))))
        ranks = partial_rank_correlations(ctx.population, response.values[at])
        tables.append(sensitivity_table(ctx.model, local, ranks, name))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _population_table(model, population: Cohort, distribution: Joint | None, sources: Mapping[str, str]):
    import pandas as pd

    described = (
        {}
        if distribution is None
        else {r["parameter"]: r["distribution"] for r in distribution.describe().to_dict("records")}
    )
    rows = []
    for i, (name, p) in enumerate(model.parameters.items()):
        x = population.theta[:, i]
        if name in described or np.ptp(x) > 0:
            rows.append(
                [
                    name,
                    described.get(name, "as given"),
                    p.unit,
                    sources.get(name, ""),
                    *np.quantile(x, (0.05, 0.5, 0.95)),
                ]
            )
    columns = ["parameter", "distribution", "unit", "source", "sample_q05", "sample_q50", "sample_q95"]
    return pd.DataFrame(rows, columns=columns)


def _alternatives(alternatives: Sequence[Alternative], thresholds, ctx: DoseContext):
    """The first threshold method's dose for the typical subject, under each other assumption and as it stands."""
    import pandas as pd

    columns = ["scenario", "dose_ug_per_kg", "fold_to_base", "note"]
    if not alternatives or not thresholds:
        return pd.DataFrame(columns=columns)
    m = thresholds[0]
    regimen = _regimen(m, ctx)
    base = _typical_dose(ctx.model, {}, m, regimen, ctx)
    rows = [["as analysed, typical subject", base, 1.0, m.label or m.family]]
    for a in alternatives:
        dose = _typical_dose(a.model or ctx.model, a.parameters, m, regimen, ctx)
        rows.append([a.name, dose, dose / base, a.note])
    return pd.DataFrame(rows, columns=columns)


def _typical_dose(model, parameters, method: AbstractThresholdMethod, regimen: Regimen, ctx: DoseContext) -> float:
    dose = dose_for_metric(
        model,
        regimen,
        method.metric,
        method.threshold,
        theta=model.theta_with(parameters),
        dose_range=(ctx.escalation.levels[0] / 100, ctx.escalation.levels[-1] * 100),
        integrator=ctx.integrator,
    )
    return dose / method.safety_factor


def _advisories(ctx: DoseContext) -> list[str]:
    advisory = advise(ctx)
    if advisory is None:
        return []
    rows = [f"{r.approach}: {r.conclusion} [{r.evidence}]" for r in advisory.rows]
    return [f"{advisory.title}. Source: {advisory.source}.", *rows, advisory.statement]


def _mrsd_above_pad(estimates: Sequence[DoseEstimate]) -> list[str]:
    """Step 5 of the FDA 2005 guidance on starting doses: compare the MRSD with the pharmacologically active dose."""
    active = [e for e in estimates if e.family == "PAD"]
    return [
        f"{e.method} ({e.dose_ug_per_kg:.3g} µg/kg) lies above {p.method} ({p.dose_ug_per_kg:.3g} µg/kg): step 5 of the "
        "FDA 2005 guidance asks to consider a lower starting dose."
        for e in estimates
        if e.family == "MRSD"
        for p in active
        if p.dose_ug_per_kg < e.dose_ug_per_kg
    ]


def _assumptions(estimates: Sequence[DoseEstimate]) -> list[str]:
    return [f"{e.method}: {text}" for e in estimates for text in e.assumptions]
