"""How different patients are, against draws of the prior, whatever the prior is."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

import qspx
from qspx.vpop import AbstractSimulator, Plausibility, PopulationProblem, Sobol
from qspx.vpop.diagnostics import diversity

PRIORS = {
    "box": qspx.Joint({"a": qspx.Uniform(1.0, 3.0), "b": qspx.Uniform(-5.0, 0.0), "c": qspx.Uniform(0.0, 1e4)}),
    "unbounded": qspx.Joint(
        {"a": qspx.LogNormal(10.0, 0.5), "b": qspx.Normal(0.0, 2.0), "c": qspx.LogNormal(1.0, 3.0)}
    ),
    "correlated": qspx.Joint(
        {"a": qspx.LogNormal(10.0, 0.5), "b": qspx.Uniform(0.0, 1.0), "c": qspx.LogUniform(1e-3, 1e3)},
        {("a", "b"): 0.95, ("b", "c"): -0.5, ("a", "c"): -0.4},
    ),
    "half bounded": qspx.Joint(
        {"a": qspx.TruncatedNormal(0.5, 1.0, low=0.0), "b": qspx.LogitNormal(0.2, 1.0), "c": qspx.Normal(0.0, 1.0)}
    ),
}


@dataclasses.dataclass(frozen=True, eq=False)
class Nothing(AbstractSimulator):
    model: qspx.AbstractModel
    names: tuple[str, ...] = ("x",)

    def traced(self, theta):
        return theta[:, :1], jnp.zeros(len(theta), int)


@pytest.fixture(scope="module")
def problems(plain):
    return {k: PopulationProblem(Nothing(plain), prior, Plausibility({})) for k, prior in PRIORS.items()}


@pytest.mark.parametrize("name", PRIORS)
def test_draws_of_the_prior_are_as_different_as_can_be(name, problems):
    """4,096 Sobol' points of three dimensions: what the cube itself has, by the same points."""
    u = Sobol().points(4096, 3, 0)
    found = diversity(problems[name], problems[name].quantiles(u), np.ones(4096))
    centred = u[np.arange(1000) * 4096 // 1000 + 2] - 0.5
    norm = np.linalg.norm(centred, axis=1)
    cosines = ((centred @ centred.T) / np.outer(norm, norm))[np.triu_indices(1000, 1)]
    assert found["cosine_median"] == pytest.approx(0.0, abs=0.02)
    assert found["cosine_95"] == pytest.approx(np.quantile(cosines, 0.95), abs=0.02)
    assert found["sd_ratio"] == pytest.approx(1.0, abs=5e-3)
    assert found["on_bound"] == 0.0


def test_a_box_has_the_numbers_of_the_box(problems):
    """(theta - low) / (high - low) - 1/2, computed here."""
    low, high = np.array([1.0, -5.0, 0.0]), np.array([3.0, 0.0, 1e4])
    unit = np.random.default_rng(0).beta(2.0, 3.0, (500, 3))
    unit[:50, 1], unit[100:150, 2] = 0.0, 1.0
    w = np.random.default_rng(1).random(500)
    found = diversity(problems["box"], low + (high - low) * unit, w)
    share = w / w.sum()
    sd = np.sqrt(share @ (unit - share @ unit) ** 2)
    assert found["sd_ratio"] == pytest.approx(sd.mean() * np.sqrt(12), rel=1e-12)
    assert found["on_bound"] == pytest.approx((share[:50].sum() + share[100:150].sum()) / 3, rel=1e-12)


def test_only_bounds_that_there_are_count(problems):
    drawn = np.array([[0.0, 0.5, -6.5], [1e-9, 0.5, 6.5], [1.0, 1 - 1e-9, 0.0], [2.0, 0.5, 0.1]])
    found = diversity(problems["half bounded"], drawn, np.ones(4))
    assert found["on_bound"] == pytest.approx(3 / 12)
    assert np.isfinite(list(found.values())).all()
