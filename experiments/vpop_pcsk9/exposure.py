"""The antibody after single doses: people, the reference subject of gQSPSim, and how likely each dose group is.

    python experiments/vpop_pcsk9/exposure.py --model gadkar_apcsk9.xml --out runs/vpop_pcsk9

Needs the population that `run.py` has written into `--out`.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from run import DATA, DOSES, dosed, parameter, people
from scipy.stats import mannwhitneyu

import qspx
from qspx.steady_state import SteadyState
from qspx.vpop import VirtualPopulation

GRID = np.concatenate([np.arange(0.0, 10.0, 0.25), np.arange(10.0, 113.0, 1.0)])


def reference_subject(model):
    """Total antibody of the reference subject at `GRID`, by dose."""
    given = pd.read_csv(DATA / "optimised_reference_subject.csv")
    values = dict(zip(map(parameter, given["parameter"]), given["value"], strict=True))
    cohort = SteadyState(model, 1000.0).cohort(qspx.Cohort(model, model.theta_with(values)[None]))
    arms = [qspx.Arm(f"{d} mg", dosed(d), GRID, ("total_antipcsk9",)) for d in DOSES]
    run = qspx.simulate_cohort(cohort.model, cohort, qspx.Protocol(arms), progress=False)
    return dict(zip(DOSES, run.values("total_antipcsk9")[:, 0], strict=True))


def exposures(measured, reference):
    """One row per person with antibody: AUC to the last sample and highest concentration, per mg, and both over those
    of the reference subject at the same times."""
    rows = []
    for (dose, subject), one in measured[measured["data"] == "PK"].groupby(["Dose", "Subject"]):
        one = one[one["value"] > 0].sort_values("Time")
        t, c = one["Time"].to_numpy(), one["value"].to_numpy()
        same = np.interp(t, GRID, reference[dose])
        auc, expected = (float(np.sum(0.5 * (x[1:] + x[:-1]) * np.diff(t))) for x in (c, same))
        rows.append([dose, subject, auc / dose, c.max() / dose, auc / expected, c.max() / same.max()])
    return pd.DataFrame(rows, columns=["dose_mg", "subject", "auc_per_mg", "cmax_per_mg", "auc_ratio", "cmax_ratio"])


def chance(vpop, measured, day, draws=20_000):
    """By dose: the share of random groups drawn from the population, as large as the measured one, whose median is as
    high (two-sided)."""
    rng, found = np.random.default_rng(0), {}
    for dose in DOSES:
        near = measured[(measured["Dose"] == dose) & (measured["data"] == "PK")]
        near = near[(near["Time"] - day).abs() <= 1.5].groupby("Subject")["value"].first()
        x = vpop.outputs.columns([f"PK, {dose} mg, day {day:g}"])[:, 0]
        keep = vpop.weights > 0
        groups = rng.choice(x[keep], (draws, len(near)), p=vpop.weights[keep])
        above = float((np.median(groups, axis=1) >= near.median()).mean())
        found[dose] = min(1.0, 2 * min(above, 1 - above))
    return found


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--model", required=True, help="gadkar_apcsk9.xml")
    ask.add_argument("--out", type=Path, required=True)
    args = ask.parse_args()
    qspx.enable_x64()
    model, measured = qspx.load_sbml(args.model), people()
    reference = reference_subject(model)
    print("reference subject, day 7:", {d: round(float(np.interp(7.0, GRID, reference[d])), 3) for d in DOSES})
    table = exposures(measured, reference)
    table.to_csv(args.out / "exposure.csv", index=False)
    print(table.groupby("dose_mg").median().drop(columns="subject").round(4).to_string())
    for dose in DOSES:
        mine = table["dose_mg"] == dose
        p = mannwhitneyu(table["auc_ratio"][mine], table["auc_ratio"][~mine]).pvalue
        print(f"{dose} mg against the other doses, AUC over that of the reference subject: p = {p:.2g}")
    vpop = VirtualPopulation.load(args.out / "vpop", model, start=SteadyState(model, 1000.0))
    for day in (7.0, 28.0):
        print(f"chance of the median on day {day:g}:", chance(vpop, measured, day))


if __name__ == "__main__":
    main()
