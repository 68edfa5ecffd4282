"""The page on population fits and the experiments run as printed, the latter cut short."""

import importlib.util
import re

import numpy as np
import pytest

from qspx.nlme import FOCEI, PopulationObjective


@pytest.mark.slow
def test_the_page(repo_root, capsys):
    text, found = (repo_root / "docs" / "population_fits.md").read_text(), {}
    for code in re.findall(r"```python \w*\n(.*?)```", text, flags=re.S):
        exec(code, found)
    fit = found["fit"]
    assert fit.converged
    assert "24 individuals, 192 measurements (192 of CP)" in capsys.readouterr().out
    truth = {"ka": 1.2, "CL": 3.0, "V": 30.0, "cv": 0.1}
    table = fit.table().set_index("parameter")
    for name, value in truth.items():
        assert abs(table.loc[name, "estimate"] - value) < 4 * table.loc[name, "se"]
    assert found["check"].share_inside > 0.7
    middle = np.median(found["cohort"].column("CL"))
    assert middle == pytest.approx(fit.parameters["CL"] * (80 / 70) ** 0.75, rel=0.1)


def script(repo_root, name):
    place = repo_root / "experiments" / name / "run.py"
    spec = importlib.util.spec_from_file_location(name, place)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_warfarin_at_the_estimates_of_the_experiment(repo_root, reference_dir):
    problem = script(repo_root, "nlme_warfarin").problem(reference_dir / "nlme" / "warfarin.csv")
    # the numbers of experiments/nlme_warfarin/README.md
    values = dict(tlag=0.92055, ka=1.2757, CL=0.13509, V=8.037, PCA0=96.557, kout=0.053396, IC50=1.1774)
    values |= dict(cp_add=0.34187, cp_prop=0.075434, pca_add=3.806)
    sds = [0.60035, 0.70718, 0.26564, 0.1407, 0.053251, 0.10728, 0.4459]
    objective = PopulationObjective(problem, FOCEI())
    x = problem.coordinates(values, np.diag(np.square(sds)))
    z, _ = objective.best_of_several(x, np.zeros((32, 7)), 4)
    found = objective(x, z)
    assert found.value == pytest.approx(1206.9737, abs=0.01) and found.converged.all()
    assert np.abs(found.gradient).max() < 0.2
    # derivatives by the lag, which is a time, and by all else, at a point that is no optimum
    x = problem.start
    found = objective(x)
    for k in range(len(x)):
        h = 1e-3 * np.eye(len(x))[k]
        near, far = (objective(x + s * h, found.z).value - objective(x - s * h, found.z).value for s in (1, 2))
        assert found.gradient[k] == pytest.approx((8 * near - far) / 12e-3, rel=2e-5, abs=1e-4)  # measured: 2e-6


@pytest.mark.slow
def test_tumour_growth_at_the_estimates_of_the_experiment(repo_root, reference_dir):
    problem = script(repo_root, "nlme_tgi").problem(reference_dir / "nlme")
    # the numbers of experiments/nlme_tgi/README.md
    values = dict(V0=0.11705, lambda0=0.090708, lambda1=0.09306, kappa=0.061167, ke=0.89673, sd=0.11317)
    x = problem.coordinates(values, np.diag(np.square([0.33012, 0.49313, 0.64564, 0.55709])))
    found = PopulationObjective(problem, FOCEI())(x)
    assert found.value == pytest.approx(-942.7854, abs=0.01) and found.converged.all()
    assert np.abs(found.gradient).max() < 0.2
