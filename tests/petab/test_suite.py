"""Cases 0001 to 0010 of the PEtab test suite: numbers of others for what each construct of the format means."""

import jax
import numpy as np
import pandas as pd
import pytest
import yaml

from qspx import AutomaticIntegrator, load_petab

CASES = [f"{i:04d}" for i in range(1, 11)]


def case(repo_root, number, **kwargs):
    folder = repo_root / "tests" / "data" / "petab_test_suite" / number
    return folder, load_petab(folder / f"_{number}.yaml", **kwargs)


@pytest.mark.parametrize("number", CASES)
def test_likelihood_chi2_and_simulation(repo_root, number):
    folder, problem = case(repo_root, number)
    expected = yaml.safe_load((folder / f"_{number}_solution.yaml").read_text())
    # the suite's tolerance is 1e-3; its numbers have at least 8 digits, and ours come from rtol 1e-8
    assert float(problem.log_likelihood()) == pytest.approx(expected["llh"], abs=1e-6)
    assert problem.chi2() == pytest.approx(expected["chi2"], abs=1e-6)
    simulations = pd.read_csv(folder / "_simulations.tsv", sep="\t")
    found = problem.simulate()
    np.testing.assert_allclose(found["simulation"], simulations["simulation"], atol=1e-6, rtol=1e-6)
    assert list(found["time"]) == list(simulations["time"])
    assert set(simulations.columns) <= set(found.columns)


def differences(function, x, step=1e-3):
    """Central differences of fourth order."""
    rows = [x + k * step * e for e in np.eye(len(x)) for k in (-2, -1, 1, 2)]
    values = np.asarray(jax.jit(jax.vmap(function))(np.array(rows))).reshape(len(x), 4)
    return values @ np.array([1, -8, 8, -1]) / (12 * step)


@pytest.mark.parametrize(
    "number", [pytest.param(n, marks=() if n in ("0005", "0010") else pytest.mark.slow) for n in CASES]
)
def test_gradient_is_that_of_differences(repo_root, number):
    _, problem = case(repo_root, number, integrator=AutomaticIntegrator(1e-11, 1e-12))
    x = problem.nominal + 0.05 * np.random.default_rng(1).uniform(0.2, 1.0, len(problem.nominal))
    value, gradient = problem.objective.values_and_gradients(x[None])
    expected = differences(problem.objective.log_posterior, x)
    # differences of fourth order with step 1e-3 are exact to about 1e-11 / 1e-3
    np.testing.assert_allclose(gradient[0], expected, rtol=1e-6, atol=1e-6)
    again = problem.objective.evaluations(x[None])  # by forward sensitivities
    np.testing.assert_allclose(again.gradient, gradient, rtol=1e-7, atol=1e-8)
    assert float(again.value[0]) == pytest.approx(float(value[0]), rel=1e-9)
