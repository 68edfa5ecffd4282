"""Anti-PCSK9: weight a cohort on its baseline, then predict single doses that the weights have not seen.

    python experiments/vpop_pcsk9/run.py --model gadkar_apcsk9.xml --out runs/vpop_pcsk9

`--model` is the anti-PCSK9 model of Gadkar 2014 as SBML, with the parameter names of gQSPSim.
"""

import argparse
import json
import time
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import qspx
from qspx.report import Course, population_report
from qspx.steady_state import SteadyState
from qspx.vpop import (
    AbstractWeighting,
    MaximumEntropy,
    MeanSd,
    Plausibility,
    PopulationProblem,
    QuadraticProgramme,
    Recipe,
    Rows,
    Screening,
    Treated,
    compare,
)
from qspx.weighted import weighted_quantile

DATA = Path(__file__).resolve().parent / "data"
DOSES = (10, 40, 150, 300, 600, 800)  # mg, subcutaneous
DAYS = (3.0, 7.0, 14.0, 21.0, 28.0, 42.0, 56.0, 84.0, 112.0)
# observable of the model, and column of the individual data
SEEN = {"LDL": ("LDLch", "LDL"), "TotalPCSK9": ("total_pcsk9", "Totalpcsk9"), "PK": ("total_antipcsk9", "PK")}
UNITS = {"LDL": "LDL cholesterol (mg/dL)", "TotalPCSK9": "total PCSK9 (ng/mL)", "PK": "total antibody (µg/mL)"}


def parameter(name):
    """The model's name of a parameter of gQSPSim."""
    renamed = {"pcsk9_synthesis.Vm_up": "pcsk9_Vm_up", "LDLr_expression.Vm_up": "LDLr_Vm_up"}
    return renamed.get(name, name.rpartition(".")[2])


def prior(model):
    """As in the cohort's table: uniform, or normal with a coefficient of variation and cut at the range."""
    marginals = {}
    for row in pd.read_csv(DATA / "cohort_parameter_ranges.csv").itertuples():
        name = parameter(row.Name)
        if row.Include != "Yes" or name not in model.parameters:  # StatinEffectMultiplier: no statin here
            continue
        normal = qspx.TruncatedNormal(row.P0_1, row.P0_1 * row.CV, row.LB, row.UB) if row.Dist == "norm" else None
        marginals[name] = normal or qspx.Uniform(row.LB, row.UB)
    return qspx.Joint(marginals)


def output(group, day, data):
    """Name of the output that a row of the acceptance table means; at day 0 all groups share the baseline. Group 9999
    is not defined upstream."""
    if group not in DOSES or data not in SEEN:
        return None
    return f"{data} at baseline" if day == 0 else f"{data}, {group} mg, day {day:g}"


def looks():
    """Every output: what is accepted, and the courses that are predicted."""
    found = {f"{data} at baseline": (SEEN[data][0],) for data in ("LDL", "TotalPCSK9")}
    for dose in DOSES:
        for data, (observable, _) in SEEN.items():
            found |= {f"{data}, {dose} mg, day {d:g}": (f"{dose} mg", observable, d) for d in DAYS}
    return found


def dosed(mg):
    """A single dose; the model counts the antibody under the skin in µg."""
    return qspx.Regimen((qspx.Dose(mg * 1000.0, "", "antipcsk9_dose", 0.0),), time_unit="1")


def problem(path):
    model = qspx.load_sbml(path)
    simulator = Treated(SteadyState(model, 1000.0), {f"{dose} mg": dosed(dose) for dose in DOSES}, looks())
    accepted = Plausibility.from_table(pd.read_csv(DATA / "acceptance_criteria.csv"), output)
    means = pd.read_csv(DATA / "vpop_target_statistics.csv").set_index("Species")
    targets = [
        MeanSd("LDL at baseline", *means.loc["LDLch", ["Value1", "Value2"]]),
        MeanSd("TotalPCSK9 at baseline", *means.loc["total_pcsk9", ["Value1", "Value2"]]),
    ]
    return PopulationProblem(simulator, prior(model), accepted, targets)


def people():
    """Individual measurements, one row each: dose, subject, day, data, value."""
    frame = pd.read_csv(DATA / "single_dose_individual_data.csv", na_values=[" "], skipinitialspace=True)
    parts = []
    for data, (_, column) in SEEN.items():
        some = frame[["Dose", "Subject", "Time"]].assign(data=data, value=pd.to_numeric(frame[column], errors="coerce"))
        parts.append(some.dropna())
    return pd.concat(parts)


def compared(vpop, measured):
    """Prediction against people at each dose, day (nearest measurement within 1.5 days) and kind of data."""
    rows = []
    for dose in DOSES:
        for data in SEEN:
            for day in DAYS:
                near = measured[(measured["Dose"] == dose) & (measured["data"] == data)]
                near = near.assign(gap=(near["Time"] - day).abs())
                near = near[near["gap"] <= 1.5].sort_values("gap").groupby("Subject").first()
                if len(near) < 3:
                    continue
                x = vpop.outputs.columns([f"{data}, {dose} mg, day {day:g}"])[:, 0]
                low, median, high = weighted_quantile(x, [0.05, 0.5, 0.95], vpop.weights)
                value = near["value"].to_numpy()
                inside = int(((value >= low) & (value <= high)).sum())
                rows.append([dose, data, day, len(value), np.median(value), median, low, high, inside])
    names = ["dose_mg", "data", "day", "people", "median_people", "median_vpop", "p05", "p95", "people_inside"]
    return pd.DataFrame(rows, columns=names)


def unseen(measured):
    """What no target speaks of: the people of each dose, day and kind of data, where there are five or more."""
    found = {}
    for dose in DOSES:
        for data in SEEN:
            for day in (14.0, 28.0):
                near = measured[(measured["Dose"] == dose) & (measured["data"] == data)]
                near = near[(near["Time"] - day).abs() <= 1.5].groupby("Subject")["value"].first()
                name = f"{data}, {dose} mg, day {day:g}"
                if len(near) >= 5:
                    found[f"people, {name}"] = Rows((name,), near.to_numpy()[:, None])
    return found


class Equal(AbstractWeighting):
    """The cohort as it was accepted."""

    def weigh(self, cloud, key):
        return np.ones(len(cloud)), {}


def held_out_table(table):
    """Mean over seeds of each distance, by kind of data, day, dose and method."""
    rows = []
    for column in table.columns:
        if column.startswith("mean_error[people"):
            name = column.removeprefix("mean_error[").removesuffix("]")
            data, dose, day = name.removeprefix("people, ").split(", ")
            keys = ("ks_sum", "ks_noise", "energy", "energy_noise", "mean_error", "sd_error")
            means = table.groupby("method")[[f"{k}[{name}]" for k in keys]].mean()
            rows += [
                [data, dose, day, method, *values] for method, values in zip(means.index, means.to_numpy(), strict=True)
            ]
    return pd.DataFrame(rows, columns=["data", "dose", "day", "method", *keys])


def courses(simulator, measured):
    """Every kind of data at every dose, with what was measured."""
    found = []
    for data, (observable, _) in SEEN.items():
        what, unit = UNITS[data].rstrip(")").split(" (")
        for dose in DOSES:
            mine = measured[(measured["Dose"] == dose) & (measured["data"] == data)]
            outputs, times = simulator.course(f"{dose} mg", observable)
            points = (mine["Time"], mine["value"])
            found.append(Course(f"{dose} mg", what, outputs, times, points, unit=unit, log=data != "LDL"))
    return found


def drawn(vpop, measured, path):
    fig, axes = plt.subplots(len(SEEN), len(DOSES), figsize=(15, 7), sharex=True, sharey="row")
    for i, data in enumerate(SEEN):
        for j, dose in enumerate(DOSES):
            ax, names = axes[i, j], [f"{data}, {dose} mg, day {d:g}" for d in DAYS]
            days = DAYS
            if data != "PK":
                names, days = [f"{data} at baseline", *names], (0.0, *DAYS)
            for weights, colour in ((vpop.outputs.usable.astype(float), "0.6"), (vpop.weights, "C0")):
                band = weighted_quantile(vpop.outputs.columns(names), [0.05, 0.5, 0.95], weights, axis=0)
                ax.fill_between(days, band[0], band[2], alpha=0.3, color=colour, lw=0)
                ax.plot(days, band[1], color=colour)
            mine = measured[(measured["Dose"] == dose) & (measured["data"] == data)]
            ax.plot(mine["Time"], mine["value"], ".", color="k", ms=3)
            if data != "LDL":
                ax.set_yscale("log")
                ax.set_ylim((0.01, 300) if data == "PK" else (50, 1e4))
            if i == 0:
                ax.set_title(f"{dose} mg")
            if j == 0:
                ax.set_ylabel(UNITS[data])
            if i == len(SEEN) - 1:
                ax.set_xlabel("day")
    fig.tight_layout()
    fig.savefig(path, metadata={"Date": None})
    plt.close(fig)


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--model", required=True, help="gadkar_apcsk9.xml")
    ask.add_argument("--out", type=Path, required=True)
    ask.add_argument("--patients", type=int, default=2000)
    ask.add_argument("--key", type=int, default=0)
    ask.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2], help="of the comparison; none for none")
    args = ask.parse_args()
    qspx.enable_x64()
    args.out.mkdir(parents=True, exist_ok=True)
    p = problem(args.model)
    started = time.perf_counter()
    cohort = Screening(batch=1024, at_most=200_000).sample(p, args.patients, key=args.key)
    seconds = time.perf_counter() - started
    measured = people()
    populations = {}
    about = {"screened": cohort.ledger.table().to_dict("records"), "seconds": seconds}
    for name, method in (("maximum entropy", MaximumEntropy()), ("gQSPSim", QuadraticProgramme())):
        vpop = populations[name] = method.fit(cohort, p.targets, key=args.key)
        table = compared(vpop, measured)
        by = table.groupby(["data", "dose_mg"])[["people", "people_inside"]].sum()
        by["median_ratio"] = np.exp(np.log(table["median_vpop"] / table["median_people"]).groupby(
            [table["data"], table["dose_mg"]]).mean())  # fmt: skip
        about[name] = {
            "effective": vpop.effective_size,
            "targets": vpop.target_table().to_dict("records"),
            "people_inside_90": int(table["people_inside"].sum()),
            "people": int(table["people"].sum()),
            "by_arm": by.reset_index().to_dict("records"),
        }
        table.to_csv(args.out / f"prediction_{name.replace(' ', '_')}.csv", index=False)
        if name == "maximum entropy":
            vpop.save(args.out / "vpop")
            drawn(vpop, measured, args.out / "single_doses.svg")
    side_by_side = None
    if args.seeds:
        screening = Screening(batch=1024, at_most=200_000)
        weightings = {"maximum entropy": MaximumEntropy(), "gQSPSim": QuadraticProgramme(), "equal": Equal()}
        recipes = [Recipe(name, screening, weighting) for name, weighting in weightings.items()]
        ask = {"sizes": [args.patients // 2], "laws": {}, "held_out": unseen(measured), "out": args.out / "comparison"}
        table = compare(recipes, p, args.seeds, **ask)
        held_out_table(table).to_csv(args.out / "held_out.csv", index=False)
        side_by_side = table[[c for c in table if "[" not in c]]
    population_report(
        populations,
        args.out / "report",
        courses=courses(p.simulator, measured),
        comparison=side_by_side,
        problem=p,
        title="Anti-PCSK9: weighted on the baseline, given single doses",
    )
    (args.out / "summary.json").write_text(json.dumps(about, indent=1, default=float))
    print(json.dumps(about, indent=1, default=float))


if __name__ == "__main__":
    main()
