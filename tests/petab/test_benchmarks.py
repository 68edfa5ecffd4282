"""Four problems of the PEtab benchmark collection against numbers by AMICI, libRoadRunner and SciPy."""

import numpy as np
import pandas as pd
import pytest

from qspx import AutomaticIntegrator, load_petab

NAMES = ["Boehm_JProteomeRes2014", "Brannmark_JBC2010", "Crauste_CellSystems2017", "Perelson_Science1996"]
# Crauste's pathogen nearly blows up in finite time: its gradient is right to 6 % at rtol 1e-10, to 0.06 % at 1e-12.
TOLERANCES = dict.fromkeys(NAMES, (1e-10, 1e-10)) | {"Crauste_CellSystems2017": (1e-12, 1e-14)}


@pytest.fixture(scope="module")
def folder(repo_root):
    return repo_root / "tests" / "data" / "petab"


def loaded(folder, name, rtol, atol):
    return load_petab(folder / name / f"{name}.yaml", integrator=AutomaticIntegrator(rtol, atol))


@pytest.mark.parametrize("name", [NAMES[0], *(pytest.param(n, marks=pytest.mark.slow) for n in NAMES[1:])])
def test_objective_and_gradient_at_nominal_parameters(folder, name):
    problem = loaded(folder, name, *TOLERANCES[name])
    objectives = pd.read_csv(folder / "reference_objective.csv", index_col="problem")
    expected = -objectives.loc[name, "nllh_tight_rtol1e-12_atol1e-16"]
    table = pd.read_csv(folder / "reference_gradient.csv")
    table = table[table["problem"] == name].set_index("parameterId").loc[list(problem.objective.names)]
    tight = table["dnllh_dx_forward_tight"]
    gradient = -table["dnllh_dx_variational_scipy_radau"].where(
        table["dnllh_dx_variational_scipy_radau"].notna(), tight
    )
    by_reverse = problem.objective.values_and_gradients(problem.nominal[None])
    by_forward = problem.objective.evaluations(problem.nominal[None])
    for value, found in (by_reverse, (by_forward.value, by_forward.gradient)):
        assert float(value[0]) == pytest.approx(expected, rel=1e-8)  # asked for: 1e-6
        np.testing.assert_allclose(found[0], gradient, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_objective_at_usual_tolerances(folder, name):
    expected = -pd.read_csv(folder / "reference_objective.csv", index_col="problem").loc[name].iloc[3]
    assert float(loaded(folder, name, 1e-8, 1e-8).log_likelihood()) == pytest.approx(expected, rel=1e-6)  # asked: 1e-3


@pytest.mark.parametrize(
    ("name", "expected"), [("Brannmark_JBC2010", 141.888937), ("Crauste_CellSystems2017", 190.963978)]
)
def test_likelihood_of_the_shipped_simulation(folder, name, expected):
    """The likelihood alone, without a simulator: predictions as the collection ships them."""
    problem = loaded(folder, name, 1e-8, 1e-8)
    shipped = pd.read_csv(next((folder / name).glob("simulatedData*")), sep="\t")
    assert list(shipped["observableId"]) == list(problem.measurements["observableId"])
    sd, total, o = problem.predict()["sd"].to_numpy(), 0.0, problem.objective
    for g in o.groups:
        prediction = shipped["simulation"].to_numpy()[g.rows]
        total += float(np.sum(g.noise.log_density(o.value[g.rows], prediction, sd[g.rows])))
    assert -total == pytest.approx(expected, abs=2e-6)
