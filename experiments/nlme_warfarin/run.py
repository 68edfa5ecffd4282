"""Warfarin: pharmacokinetics with lag and prothrombin complex activity, fitted together: see README.md."""

import argparse
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
import qspx
from qspx import nlme

HERE = Path(__file__).parent
BOUNDS = {
    "tlag": (0.05, 5.0),
    "ka": (0.05, 20.0),
    "CL": (0.01, 5.0),
    "V": (0.5, 100.0),
    "PCA0": (20.0, 200.0),
    "kout": (0.002, 2.0),
    "IC50": (0.05, 20.0),
}
FAR = {  # from the estimates: about three times in V, else three to seven times
    "ka": 4.0,
    "CL": 0.6,
    "V": 25.0,
    "kout": 0.2,
    "IC50": 5.0,
    "cp_add": 2.0,
    "cp_prop": 0.5,
    "pca_add": 20.0,
}


def problem(path: Path) -> nlme.PopulationProblem:
    """Log-normal differences in all seven parameters; clearance and volume with body weight by allometry."""
    model = qspx.load_model(HERE / "warfarin_pca.py")
    endpoints = {"cp": nlme.Endpoint("CP", "mg/L"), "pca": nlme.Endpoint("PCA", "%")}
    data = nlme.PopulationData.read(path, model, endpoints, unit="mg", time_unit="h", covariates=["wt"])
    errors = {
        "CP": qspx.Combined("cp_add", "cp_prop"),
        "PCA": qspx.Additive("pca_add"),
    }
    allometry = [nlme.PowerEffect("CL", "wt", 0.75), nlme.PowerEffect("V", "wt", 1.0)]
    estimated = [qspx.Estimated(name, bounds) for name, bounds in BOUNDS.items()]
    estimated += [
        qspx.Estimated("cp_add", (0.01, 5.0), 0.4),
        qspx.Estimated("cp_prop", (0.005, 1.0), 0.1),
        qspx.Estimated("pca_add", (0.1, 50.0), 5.0),
    ]
    effects = [nlme.RandomEffect(name, 0.3) for name in BOUNDS]
    return nlme.PopulationProblem(data, estimated, effects, errors, covariate_effects=allometry)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="warfarin.csv")
    parser.add_argument("--out", type=Path, default=Path("runs/nlme_warfarin"))
    parser.add_argument("--replicates", type=int, default=200)
    parser.add_argument("--far", action="store_true", help="start far from the estimates")
    arguments = parser.parse_args()
    qspx.enable_x64()
    data = problem(arguments.data)
    x = data.coordinates(FAR, np.diag(np.full(len(BOUNDS), 0.09))) if arguments.far else None
    fit = nlme.fit_population(data, x=x, out=arguments.out / "search")
    check = nlme.write_results(fit, arguments.out, replicates=arguments.replicates)
    print(fit)
    print(f"{100 * check.share_inside:.0f} % of the observed percentiles lie inside their 95 % intervals")


if __name__ == "__main__":
    main()
