"""Tables of a dose rationale: folds, curves, exceedance, time courses, sensitivity, alternatives, population."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..cohort import Cohort
from ..cohort_run import simulate_cohort
from ..distributions import Joint
from ..dosing import Dose, Regimen
from ..protocol import Arm, Protocol
from ..sensitivity import elasticities, partial_rank_correlations, sensitivity_table
from .advisory import advise
from .base import DoseContext, DoseEstimate
from .escalation import Escalation, cohorts_avoided
from .rationale import Alternative, ProfilePlan, Proposal, Threshold
from .simulated_exposure import dose_for_metric
from .threshold_method import AbstractThresholdMethod

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def folds(estimates: Sequence[DoseEstimate], proposal: Proposal | None):
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
    schedule = "single dose" if len(_regimen(method, ctx).doses) == 1 else "schedule"
    return f"{method.metric.title(ctx.model.time_unit)}, {schedule}"


def _regimen(method: AbstractThresholdMethod, ctx: DoseContext) -> Regimen:
    return method.regimen or ctx.escalation.regimen


def thresholds(methods: Sequence[AbstractThresholdMethod], ctx: DoseContext) -> list[Threshold]:
    """One entry per level of a metric; methods that share it share the label."""
    found: dict[tuple[str, float, float], list[str]] = {}
    for m in methods:
        found.setdefault((_title(m, ctx), m.threshold, m.quantile), []).append(m.label or m.family)
    return [Threshold(title, tau, " / ".join(labels), q) for (title, tau, q), labels in found.items()]


def exceedance(methods: Sequence[AbstractThresholdMethod], ctx: DoseContext, proposal: Proposal | None):
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


def curves(methods: Sequence[AbstractThresholdMethod], ctx: DoseContext):
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


def schedule(escalation: Escalation, proposal: Proposal | None) -> Regimen:
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


def profiles(model, population, regimen, plan: ProfilePlan | None, integrator, runs: Path | None, progress):
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


def sensitivity(thresholds, ctx: DoseContext, estimates, methods):
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


def population_table(model, population: Cohort, distribution: Joint | None, sources: Mapping[str, str]):
    import pandas as pd

    found = [] if distribution is None else distribution.describe().to_dict("records")
    described = {r["parameter"]: f"{r['distribution']}, median {r['median']:.4g}, CV {r['cv']:.0%}" for r in found}
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


def alternatives(alternatives: Sequence[Alternative], thresholds, ctx: DoseContext):
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


def advisories(ctx: DoseContext) -> list[str]:
    advisory = advise(ctx)
    if advisory is None:
        return []
    rows = [f"{r.approach}: {r.conclusion} [{r.evidence}]" for r in advisory.rows]
    return [f"{advisory.title}. Source: {advisory.source}.", *rows, advisory.statement]


def mrsd_above_pad(estimates: Sequence[DoseEstimate]) -> list[str]:
    """Step 5 of the FDA 2005 guidance on starting doses: compare the MRSD with the pharmacologically active dose."""
    active = [e for e in estimates if e.family == "PAD"]
    return [
        f"{e.method} ({e.dose_ug_per_kg:.3g} µg/kg) lies above {p.method} ({p.dose_ug_per_kg:.3g} µg/kg): step 5 of "
        "the FDA 2005 guidance asks to consider a lower starting dose."
        for e in estimates
        if e.family == "MRSD"
        for p in active
        if p.dose_ug_per_kg < e.dose_ug_per_kg
    ]


def assumptions(estimates: Sequence[DoseEstimate]) -> list[str]:
    return [f"{e.method}: {text}" for e in estimates for text in e.assumptions]
