"""Teclistamab, real data, end to end: calibrate, make virtual patients, compute starting doses, compare with the trial.

    python experiments/teclistamab_fih/run.py --out runs/teclistamab

One report: runs/teclistamab/report.html.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from pathlib import Path
from typing import Any

import calibrations
import doses
import killing
import numpy as np
import pandas as pd
import populations
import sections

import qspx
from qspx import fih

SEED = 20_26
LIMITS_IL6 = (20.0, 50.0, 100.0)  # pg/mL


@dataclasses.dataclass(frozen=True)
class Size:
    """How much is computed."""

    patients: int
    levels: int
    draws: int
    subjects: int

    @classmethod
    def of(cls, quick: bool) -> Size:
        return cls(80, 8, 4, 20) if quick else cls(1000, 16, 40, 80)


def in_vitro(fits: dict[str, calibrations.Calibration], draws: int) -> tuple[doses.Curve, pd.DataFrame]:
    """The sigmoid for MABEL, and trimers per cell at each level of effect: best (draw 0) and draws."""
    of_curve, rising = fits["sigmoid"], fits["rising"]
    curve = doses.Curve(of_curve.values["EC50"], of_curve.values["hill"],
                        calibrations.draws_of(of_curve, ("EC50", "hill"), draws))  # fmt: skip
    names = rising.problem.names
    best = np.array([[rising.values[n] for n in names]])
    return curve, killing.at_levels(np.vstack([best, calibrations.draws_of(rising, names, draws)]), names)


def at_level(found: pd.DataFrame, level: float) -> tuple[float, float]:
    """Trimers per cell at a level of effect, and the sd of their logarithm."""
    rows = found[found["level"] == level]
    return float(rows[rows["draw"] == 0]["trimers"].iloc[0]), float(np.log(rows[rows["draw"] > 0]["trimers"]).std())


def rationale(model, population, methods, size: Size, known, out: Path, **more) -> fih.DoseRationale:
    """`compare_doses` over virtual patients of `population`."""
    joint, sources = population
    cohort = qspx.sample_cohort(model, joint, size.patients, key=SEED)
    escalation = fih.Escalation(doses.IV, tuple(np.geomspace(0.01, 3000.0, size.levels)))
    return fih.compare_doses(
        model, cohort, escalation, methods, key=SEED + 1, modality="CD3_engager", distribution=joint,
        distribution_sources=sources, uncertainty=populations.uncertainty(model, known, size.draws, size.subjects),
        proposal=fih.Proposal(doses.STARTED, (1.0,), (0.0,), "the dose that the trial began with, recorded to compare "
                              "with; this analysis does not propose it"),
        integrator=qspx.AutomaticIntegrator(rtol=1e-6, atol=1e-9), out=out, progress=False, **more,
    )  # fmt: skip


def predicted(label: str, model: Any, population: Any, size: Size) -> pd.DataFrame:
    """What the system predicts at the doses that were given."""
    cohort = qspx.sample_cohort(model, population[0], size.patients, key=SEED)
    given = [doses.STARTED, 2.4, 19.2, doses.RESPONDED, 270.0, 720.0]
    wanted = [qspx.Max(o, end=doses.HOURS) for o in ("signal", "RO_BCMA", "cyt")]
    result = qspx.simulate_cohort(model, cohort, qspx.Protocol.escalation(doses.IV, given), summaries=wanted,
                                  progress=False)  # fmt: skip
    rows = []
    for k, dose in enumerate(given):
        signal, occupied, il6 = (result.metric(w.name)[k] for w in wanted)
        rows.append([label, dose, *np.nanquantile(signal, [0.05, 0.5, 0.95]), np.nanmean(signal > 1.0),
                     np.nanmedian(occupied), np.nanmedian(il6)])  # fmt: skip
    columns = ["system", "dose", "signal_5", "signal_50", "signal_95", "share_above_EC20", "occupied", "IL6"]
    return pd.DataFrame(rows, columns=columns)


def other_marrow(trimers: float) -> float:
    """Dose [µg/kg IV] of the typical patient for the trimers of EC20 in the marrow of Menon 2026, whose receptor
    numbers are others (2,000 BCMA and 100,000 CD3 per cell): the curve in vitro tells their product only."""
    model = populations.ISB.teclistamab()
    numbers = [(model.parameters[a].value, killing.ASSAY.parameters[b].value)
               for a, b in (("BCMA_per_PC", "BCMA_per_cell"), ("CD3_per_T", "CD3_per_T"))]  # fmt: skip
    target = trimers * float(np.prod([a / b for a, b in numbers]))
    return fih.dose_for_metric(model, qspx.Regimen.single(1.0, "ug/kg", "C"), qspx.Max("nACT", end=14.0), target)


def alternatives(affinity: float, without_hook: float) -> list[fih.Alternative]:
    return [
        fih.Alternative(f"affinity for CD3 {affinity:.3g} nM", "what the flat top of the killing curve asks for",
                        parameters={"KD_CD3": 1000 * affinity, "X_vitro": without_hook}),
        fih.Alternative("BCMA 2,000 per myeloma cell", "Menon 2026; H929 as it was", parameters={"BCMA_per_MM": 2e3}),
        fih.Alternative("affinity for BCMA 0.18 nM", "a public model of teclistamab", parameters={"KD_BCMA": 180.0}),
        fih.Alternative("soluble BCMA 20 nM", "a public model of teclistamab", parameters={"s0": 20_000.0}),
        fih.Alternative("soluble BCMA 1 nM", "little disease", parameters={"s0": 1000.0}),
        fih.Alternative("myeloma cells 22,500 per µL", "a tenth", parameters={"MM0": 2.25e4}),
        fih.Alternative("T cells 1,000 per µL", "healthy counts", parameters={"T0": 1000.0}),
    ]  # fmt: skip


def main(out: Path, quick: bool) -> Path:
    began = time.monotonic()
    qspx.enable_x64()
    size = Size.of(quick)
    pharmacokinetics = calibrations.of_pharmacokinetics(quick)
    killed = calibrations.of_killing(quick)
    in_man = {k: pharmacokinetics["system"].values[k] for k in ("CL", "Vc", "ka", "F")}
    released = calibrations.of_cytokine(quick, in_man)
    curve, levels = in_vitro(killed, max(size.draws, 12))
    reference, sd = at_level(levels, 0.2)
    ratios = {x: at_level(levels, x)[0] / reference for x in killing.LEVELS}

    before = populations.before_the_first_patient(reference)
    population_before = populations.prior_population()
    central = before.parameters["Vc"].value
    methods = [*doses.mabel(curve, before, central, populations.BETTS_SOURCE, len(curve.draws)),
               *doses.modified_mabel(curve, before, central, populations.BETTS_SOURCE),
               *doses.occupancy(central, populations.BETTS_SOURCE), *doses.criteria(ratios)]  # fmt: skip
    affinity = np.array([[killed["affinity"].values[n] for n in killed["affinity"].problem.names]])
    names = killed["affinity"].problem.names
    without_hook = float(killing.at_levels(affinity, names, (0.2,))["trimers"].iloc[0])
    first = rationale(before, population_before, methods, size, {"X_vitro": sd}, out / "before",
                      context=sections.CONTEXT, limitations=sections.LIMITATIONS,
                      alternatives=alternatives(killed["affinity"].values["KD_CD3"], without_hook))  # fmt: skip

    release = {k: released["fitted"].values[k] for k in ("Emax", "EC50", "IC50", "bprod")}
    after = populations.calibrated(reference, in_man, release)
    population_after = populations.calibrated_population(after)
    known = {"X_vitro": sd, **calibrations.log_sd(pharmacokinetics["system"], ("CL", "Vc"))}
    volume = after.parameters["Vc"].value
    again = [*doses.mabel(curve, after, volume, populations.FITTED, len(curve.draws)),
             *doses.modified_mabel(curve, after, volume, populations.FITTED), *doses.criteria(ratios)]  # fmt: skip
    second = rationale(after, population_after, again, size, known, out / "after")
    as_published = populations.calibrated(reference, in_man, {})
    third = rationale(as_published, populations.calibrated_population(as_published),
                      doses.cytokine(LIMITS_IL6, "swept: no accepted limit exists"), size, known,
                      out / "il6")  # fmt: skip

    blocks = sections.sections(
        before=before, pharmacokinetics=pharmacokinetics, killed=killed, released=released, levels=levels,
        affinities=calibrations.by_affinity(quick), choices=calibrations.pk_under_other_choices(quick),
        rationales=(first, second, third),
        predictions=pd.concat([predicted("before the first patient", before, population_before, size),
                               predicted("calibrated", after, population_after, size)]),
        menon=other_marrow(reference), populations=(population_before[0], population_after[0]),
    )  # fmt: skip
    title = "Teclistamab: starting dose from public data, and what happened"
    page = qspx.write_report(first, out, title=title, sections=blocks)
    print(sections.outcome_table((first, second, third)).to_string(index=False, float_format=lambda x: f"{x:.3g}"))
    print(f"{page}, {time.monotonic() - began:.0f} s")
    return page


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/teclistamab"))
    parser.add_argument("--quick", action="store_true", help="few patients and starts: whether it runs, not the result")
    given = parser.parse_args()
    main(given.out, given.quick)
