"""van de Pas cholesterol model against NHANES: published virtual-population methods and others, one yardstick.

python experiments/vpop_cholesterol/run.py --out runs/vpop_cholesterol            # the protocol of the README
python experiments/vpop_cholesterol/run.py --quick --out runs/vpop_quick          # a minute or two

Each row is written when it is there (rows.csv), and a run that was killed goes on with the rows that are missing.
tables.py makes the tables of the README from rows.csv and screening.json.
"""

import argparse
import importlib.util
import json
from pathlib import Path

import numpy as np
import pandas as pd

import qspx
from qspx.steady_state import SteadyState
from qspx.vpop import (
    AcceptanceRejection,
    Annealing,
    AtRest,
    Cost,
    Genetic,
    Independent,
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
)

HERE = Path(__file__).resolve().parent
LIPIDS = ("HDL", "LDL", "TC")
# c² of the ellipses of Rieger 2018: percentiles 19, 38, 57, 76, 95 of the NHANES rows
SQUARES = (0.8708, 1.4376, 2.1762, 3.4224, 8.5565)


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


def screen(draws, plausible):
    """Uniform draws: the share of `draws` that is plausible, and `plausible` patients found, with what that costs."""
    p = problem()
    p.simulator(p.cohort(p.quantiles(np.full((8192, p.dimensions), 0.5)), "to compile", 0))
    with Cost() as cost:
        ledger = p.sampled(draws, 0, Independent()).ledger
    yield {"what": "draws", **cost.row, **_counted(ledger)}
    with Cost() as cost:
        found = Screening().sample(p, plausible, key=0)
    yield {"what": "plausible patients", "found": int(found.usable.sum()), **cost.row, **_counted(found.ledger)}


def _counted(ledger):
    share = ledger.ok / ledger.total
    se = np.sqrt(share * (1 - share) / ledger.total)
    return {"drawn": ledger.total, "plausible_share": share, "se": se, "ledger": ledger.table().to_dict("records")}


def jobs(args):
    """(size, seed, target's name, recipes with one sampler), in an order that leaves most in the tables if the run is
    stopped: all seeds of the first size, the first seed of the others, then the rest, small sizes first."""
    first, *others = args.sizes
    cells = [(first, seed) for seed in args.seeds] + [(n, args.seeds[0]) for n in others]
    for n, seed in [*cells, *((n, seed) for n in sorted(others) for seed in args.seeds[1:])]:
        for name in args.targets:
            recipes = [*(published_methods() if name == "normal" else []), *our_methods()]
            if n == 2942:  # a twin for each of the people; every other method has its sizes
                recipes = [r for r in recipes if name == "rows" and isinstance(r.sampler, Twins)]
            if args.methods:
                recipes = [r for r in recipes if r.name.split()[0] in args.methods]
            for sampler in dict.fromkeys(r.sampler for r in recipes):
                yield n, seed, name, [r for r in recipes if r.sampler == sampler]


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--out", type=Path, required=True)
    ask.add_argument("--sizes", type=int, nargs="+", default=[1000, 7500, 2942, 100])
    ask.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    ask.add_argument("--targets", nargs="+", default=["normal", "rows"], help="what the populations are made to match")
    ask.add_argument("--methods", nargs="+", help="first words of the methods to run, such as `twins` (default: all)")
    ask.add_argument("--quick", action="store_true", help="100 patients, two seeds")
    args = ask.parse_args()
    if args.quick:
        args.sizes, args.seeds = [100], [0, 1]
    size_of_screening = (20_000, 1000) if args.quick else (100_000, 100_000)
    qspx.enable_x64()
    args.out.mkdir(parents=True, exist_ok=True)
    laws = {"normal": published_law(), "rows": nhanes(), "rounded": nhanes(rounding=1.0)}
    asked = {"normal": problem(published_law()), "rows": problem(nhanes(rounding=1.0))}
    path = args.out / "rows.csv"
    table = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=["target", "size", "seed", "method"])
    for n, seed, name, recipes in jobs(args):
        if seed != args.seeds[0] and n != args.sizes[0] and not (args.out / "screening.json").exists():
            screened(args.out, *size_of_screening)
        mine = (table["target"] == name) & (table["size"] == n) & (table["seed"] == seed)
        if {r.name for r in recipes} <= set(table["method"][mine]):
            continue
        rows = compare(recipes, asked[name], [seed], sizes=[n], laws=laws).assign(target=name)
        table = pd.concat([table, rows]) if len(table) else rows
        # whole or not at all: a run killed while it writes must find the rows of before
        table.to_csv(path.with_suffix(".part"), index=False)
        path.with_suffix(".part").replace(path)
        shown = ["method", "ks_sum[normal]", "ks_sum[rounded]", "effective", "with_weight", "seconds", "cpu_seconds"]
        print(n, seed, name, rows.reindex(columns=shown).round(4).to_dict("records"), flush=True)
    if not (args.out / "screening.json").exists():
        screened(args.out, *size_of_screening)


def screened(out, draws, plausible):
    rows = []
    for row in screen(draws, plausible):
        print({k: v for k, v in row.items() if k != "ledger"}, flush=True)
        rows.append(row)
    (out / "screening.json").write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
