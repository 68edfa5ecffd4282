"""Tumour growth with and without erlotinib, one population: see README.md."""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import pandas as pd

import qspx
from qspx import nlme

HERE = Path(__file__).parent


def read(folder: Path, model: qspx.AbstractModel) -> nlme.PopulationData:
    """Both groups as one table: measurements before doses of the same time."""
    treated = pd.read_csv(folder / "lxf_medium_erlotinib_dose.csv")
    frame = pd.concat([pd.read_csv(folder / "lxf_control_growth.csv"), treated], ignore_index=True)
    frame = frame.assign(EVID=frame["Dose"].notna().astype(int))
    volume = (frame["Observable"] == "Tumour volume") & frame["Value"].notna()
    frame = frame[(frame["EVID"] == 1) | volume]
    frame = frame.sort_values(["ID", "Time", "EVID"])
    table = pd.DataFrame({"ID": frame["ID"], "TIME": frame["Time"], "EVID": frame["EVID"], "DV": frame["Value"]})
    table["AMT"] = frame["Dose"].fillna(0.0)
    table["GROUP"] = table["ID"].map(table.groupby("ID")["EVID"].max()).map({0: "control", 1: "erlotinib"})
    return nlme.PopulationData.read(
        table, model, nlme.Endpoint("V", "cm^3"), unit="mg", time_unit="day", covariates=["GROUP"],
        compartments={1: "A"},
    )  # fmt: skip


def problem(folder: Path) -> nlme.PopulationProblem:
    model = qspx.load_model(HERE / "koch2009.py")
    bounds = {
        "V0": (0.02, 1.0),
        "lambda0": (0.005, 1.0),
        "lambda1": (0.005, 2.0),
        "kappa": (0.005, 5.0),
        "ke": (0.05, 5.0),
    }
    estimated = [*(qspx.Estimated(name, b) for name, b in bounds.items()), qspx.Estimated("sd", (0.01, 1.0), 0.2)]
    effects = [nlme.RandomEffect(name) for name in ("V0", "lambda0", "lambda1", "kappa")]
    return nlme.PopulationProblem(read(folder, model), estimated, effects, {"V": qspx.LogAdditive("sd")})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with the two lxf_*.csv")
    parser.add_argument("--out", type=Path, default=Path("runs/nlme_tgi"))
    parser.add_argument("--replicates", type=int, default=200)
    arguments = parser.parse_args()
    qspx.enable_x64()
    fit = nlme.fit_population(problem(arguments.data), out=arguments.out / "search")
    check = nlme.write_results(fit, arguments.out, replicates=arguments.replicates, stratify="GROUP")
    print(fit)
    print(f"{100 * check.share_inside:.0f} % of the observed percentiles lie inside their 95 % intervals")


if __name__ == "__main__":
    main()
