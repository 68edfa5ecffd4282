"""Sobol' indices and elementary effects of functions whose indices are known."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

import qspx
from qspx.vpop import AbstractSimulator, Plausibility, PopulationError, PopulationProblem
from qspx.vpop.global_sensitivity import morris_effects, sobol_indices

pytest.importorskip("SALib", reason="needs the extra gsa")
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


@dataclasses.dataclass(frozen=True, eq=False)
class Known(AbstractSimulator):
    """Ishigami's function (a 7, b 0.1) and a linear one."""

    model: qspx.AbstractModel
    names: tuple[str, ...] = ("ishigami", "linear")

    def traced(self, theta):
        a, b, c = theta[:, 0], theta[:, 1], theta[:, 2]
        y = jnp.sin(a) + 7 * jnp.sin(b) ** 2 + 0.1 * c**4 * jnp.sin(a)
        return jnp.stack([y, 3 * a - 2 * b], axis=1), jnp.zeros(len(theta), dtype=int)


@pytest.fixture(scope="module")
def problem(plain):
    prior = qspx.Joint({k: qspx.Uniform(-np.pi, np.pi) for k in "abc"})
    return PopulationProblem(Known(plain), prior, Plausibility({"linear": (-100, 100)}))


def test_sobol_indices_of_ishigami(problem):
    """Closed form (Ishigami and Homma 1990): with a = 7, b = 0.1."""
    a, b, pi = 7.0, 0.1, np.pi
    total = a**2 / 8 + b * pi**4 / 5 + b**2 * pi**8 / 18 + 0.5
    first = np.array([0.5 * (1 + b * pi**4 / 5) ** 2, a**2 / 8, 0.0]) / total
    both = b**2 * pi**8 * (1 / 18 - 1 / 50) / total
    found = sobol_indices(problem, ["ishigami", "linear"], 4096, key=0)
    mine = found[found["output"] == "ishigami"]
    np.testing.assert_allclose(mine["first"], first, atol=0.02)
    np.testing.assert_allclose(mine["total"], first + [both, 0, both], atol=0.02)
    linear = found[found["output"] == "linear"]
    np.testing.assert_allclose(linear["first"], np.array([9, 4, 0]) / 13, atol=0.02)


def test_effects_of_a_linear_function(problem):
    """Three quarters of the range, for the levels that are asked at."""
    found = morris_effects(problem, ["linear"], 20, key=0)
    np.testing.assert_allclose(found["mean"], 0.75 * 2 * np.pi * np.array([3, -2, 0]), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found["mean_absolute"], np.abs(found["mean"]), atol=1e-12)
    np.testing.assert_allclose(found["sd"], 0.0, atol=1e-9)


def test_correlated_priors_are_refused(plain):
    prior = qspx.Joint({"a": qspx.Uniform(0, 1), "b": qspx.Uniform(0, 1)}, {("a", "b"): 0.5})
    with pytest.raises(PopulationError, match="independent"):
        sobol_indices(PopulationProblem(Known(plain), prior, Plausibility({"linear": (-9, 9)})), ["linear"], 8, key=0)
