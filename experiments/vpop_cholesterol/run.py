"""van de Pas cholesterol model against NHANES: published virtual-population methods and others, one yardstick.

python experiments/vpop_cholesterol/run.py --out runs/vpop_cholesterol            # the protocol of the README
python experiments/vpop_cholesterol/run.py --quick --out runs/vpop_quick          # a minute or two
"""

import argparse
import importlib.util
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd

import qspx
from qspx.steady_state import SteadyState
from qspx.vpop import (
    AcceptanceRejection,
    Annealing,
    AtRest,
    Genetic,
    LogNormalLaw,
    MaximumEntropy,
    Metropolis,
    NestedAnnealing,
    Plausibility,
    PopulationProblem,
    PushForward,
    Recipe,
    Rows,
    Screening,
    Twins,
    compare,
    summary,
)

HERE = Path(__file__).resolve().parent
LIPIDS = ("HDL", "LDL", "TC")
# c² of the ellipses of Rieger 2018: percentiles 19, 38, 57, 76, 95 of the NHANES rows
SQUARES = (0.8708, 1.4376, 2.1762, 3.4224, 8.5565)
SHOWN = [
    "patients",
    "with_weight",
    "effective",
    "independent",
    "ks_sum[normal]",
    "ks_sum[rows]",
    "ks_sum[rounded]",
    "ks_median",
    "ks_sum_unweighted[normal]",
    "correlation_error[rows]",
    "energy[rows]",
    "cosine_median",
    "cosine_95",
    "sd_ratio",
    "on_bound",
    "strictly_plausible",
    "evaluations",
    "gradients",
    "seconds",
]


def model_file():
    """The module models/vandepas2012.py."""
    path = HERE.parents[1] / "models" / "vandepas2012.py"
    spec = importlib.util.spec_from_file_location("vandepas2012", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def published_law():
    about = json.loads((HERE / "data" / "target_lognormal.json").read_text())
    return LogNormalLaw(LIPIDS, np.array(about["mean"]), np.array(about["covariance"]), n=2942)


def nhanes(**settings):
    frame = pd.read_csv(HERE / "data" / "nhanes_hdl_ldl_tc.csv")
    return Rows(LIPIDS, frame[["hdl_mg_dl", "ldl_mg_dl", "tc_mg_dl"]].to_numpy(float), **settings)


def problem(*targets):
    module = model_file()
    simulator = AtRest(SteadyState(module.VanDePas2012(), 2000.0), (*module.STATE_BOUNDS, *LIPIDS))
    return PopulationProblem(simulator, module.prior(), Plausibility(module.STATE_BOUNDS), targets)


def published_methods():
    """As in Rieger 2018: patients may violate bounds as far as the score of the method lets them."""
    weighting = AcceptanceRejection()
    return [
        Recipe("SA + A/R", Annealing(), weighting, strict=False),
        Recipe("NSA + A/R", NestedAnnealing(squares=SQUARES), weighting, strict=False),
        Recipe("MH + A/R", Metropolis(), weighting, strict=False),
        Recipe("GA + A/R", Genetic(), weighting, strict=False),
    ]


def our_methods():
    """Strictly plausible patients, maximum-entropy weights."""
    weighting = MaximumEntropy()
    return [
        Recipe("uniform + max-ent", Screening(), weighting),
        Recipe("NSA + max-ent", NestedAnnealing(squares=SQUARES), weighting),
        Recipe("MH + max-ent", Metropolis(), weighting),
        Recipe("push-forward + max-ent", PushForward(), weighting),
        Recipe("twins + max-ent", Twins(), weighting),
    ]


def screen(n):
    """Share of uniform draws that is plausible, and the time that it takes."""
    p = problem()
    p.simulator(p.cohort(p.quantiles(np.full((8192, p.dimensions), 0.5)), "to compile", 0))
    started = time.perf_counter()
    from qspx.vpop import Independent

    found = p.sampled(n, 0, Independent())
    seconds = time.perf_counter() - started
    share = found.ledger.ok / found.ledger.total
    return {"drawn": n, "plausible_share": share, "se": np.sqrt(share * (1 - share) / n), "seconds": seconds,
            "ledger": found.ledger.table().to_dict("records")}  # fmt: skip


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--out", type=Path, required=True)
    ask.add_argument("--sizes", type=int, nargs="+", default=[100, 1000, 7500])
    ask.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    ask.add_argument("--targets", nargs="+", default=["normal", "rows"], help="what the populations are made to match")
    ask.add_argument("--methods", nargs="+", help="first words of the methods to run, such as `twins` (default: all)")
    ask.add_argument("--quick", action="store_true", help="100 patients, two seeds")
    args = ask.parse_args()
    if args.quick:
        args.sizes, args.seeds = [100], [0, 1]
    qspx.enable_x64()
    args.out.mkdir(parents=True, exist_ok=True)
    screened = screen(20_000 if args.quick else 100_000)
    (args.out / "screening.json").write_text(json.dumps(screened, indent=1))
    print({k: v for k, v in screened.items() if k != "ledger"}, flush=True)
    laws = {"normal": published_law(), "rows": nhanes(), "rounded": nhanes(rounding=1.0)}
    for name, target, methods in (
        ("normal", published_law(), [*published_methods(), *our_methods()]),
        ("rows", nhanes(rounding=1.0), our_methods()),
    ):
        if name not in args.targets:
            continue
        tables, asked = [], problem(target)
        for n in args.sizes:
            for recipe in methods:
                if args.methods and recipe.name.split()[0] not in args.methods:
                    continue
                tables.append(compare([recipe], asked, args.seeds, sizes=[n], laws=laws))
                table = pd.concat(tables)
                table.to_csv(args.out / f"target_{name}.csv", index=False)
                print(name, summary(tables[-1], SHOWN).to_dict("records")[0], flush=True)
        (args.out / f"target_{name}.md").write_text(_markdown(summary(pd.concat(tables), SHOWN)))


def _markdown(frame):
    lines = ["| " + " | ".join(frame.columns) + " |", "|" + " --- |" * len(frame.columns)]
    return "\n".join([*lines, *("| " + " | ".join(map(str, row)) + " |" for row in frame.to_numpy())]) + "\n"


if __name__ == "__main__":
    main()
