"""What is usually wanted of a population fit, as files in one folder."""

from __future__ import annotations

from pathlib import Path

from qspx._checks import shown
from qspx._errors import CalibrationError
from qspx.nlme.checks import of_kind
from qspx.nlme.population_fit import PopulationFit
from qspx.nlme.predictive_check import VisualPredictiveCheck, visual_predictive_check


def write_results(
    fit: PopulationFit, folder: str | Path, *, replicates: int = 200, key: int = 0, stratify: str | None = None
) -> VisualPredictiveCheck:
    """Write `fit.txt` (as it prints), `fit.json` (for `PopulationFit.load`), `estimates.csv`, `individuals.csv`,
    `residuals.csv`, and of each observable `goodness_*.svg`, `individuals_*.svg` and `predictive_check_*.svg`, the
    latter of each group.

    Args:
        fit: the fit.
        folder: made if it is not there; files of these names are replaced.
        replicates, key, stratify: of the visual predictive check, which is returned.
    """
    import matplotlib.pyplot as plt

    of_kind(fit, PopulationFit, "fit", "Make one by fit_population(problem).")
    if not isinstance(folder, str | Path):
        raise CalibrationError(f"Argument `folder` must be a path, but {shown(folder)} was given.")
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    check = visual_predictive_check(fit, n=replicates, key=key, stratify=stratify)
    (place / "fit.txt").write_text(f"{fit}\n")
    fit.save(place / "fit.json")
    tables = {
        "estimates": fit.table(),
        "individuals": fit.individuals.parameters(),
        "residuals": fit.individuals.residuals,
    }
    for name, frame in tables.items():
        frame.to_csv(place / f"{name}.csv", index=False)
    for observable in fit.problem.data.endpoints:
        figures = {
            f"goodness_{observable}": fit.plot_goodness(observable),
            f"individuals_{observable}": fit.plot_individuals(observable),
        }
        for group in check.groups:
            name = "_".join(filter(None, ("predictive_check", observable, group)))
            figures[name] = check.plot(observable, group=group).figure
        for name, figure in figures.items():
            figure.savefig(place / f"{name}.svg")
            plt.close(figure)
    return check
