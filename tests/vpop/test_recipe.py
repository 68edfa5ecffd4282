"""The two steps of a recipe, and what they are charged for."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

import qspx
from qspx.vpop import (
    AbstractSampler,
    AbstractSimulator,
    AbstractWeighting,
    Independent,
    LogNormalLaw,
    MaximumEntropy,
    Metropolis,
    Plausibility,
    PopulationProblem,
    Recipe,
    Screening,
)
from qspx.vpop.designs import generator


@dataclasses.dataclass(frozen=True, eq=False)
class Itself(AbstractSimulator):
    model: qspx.AbstractModel
    names: tuple[str, ...] = ("x",)

    def traced(self, theta):
        return theta[:, :1], jnp.zeros(len(theta), int)


class Uniforms(AbstractSampler):
    """Patients are the first numbers of the stream."""

    def find(self, problem, n, key, evaluate):
        return problem.quantiles(generator(key).random((n, 1))), {}


class Next(AbstractWeighting):
    """So are weights."""

    def weigh(self, cloud, key):
        return generator(key).random(len(cloud)), {}


@pytest.fixture(scope="module")
def problem(plain):
    law = LogNormalLaw(("x",), np.array([0.0]), np.array([[1.0]]), n=100)
    prior = qspx.Joint({"a": qspx.Uniform(0.0, 1.0)})
    return PopulationProblem(Itself(plain), prior, Plausibility({"x": (0.2, 0.9)}), [law])


def test_patients_and_weights_have_streams_of_their_own(problem):
    """One stream for both makes the weight of a patient a function of the patient: correlation one."""
    recipe = Recipe("mine", Uniforms(), Next())
    vpop = recipe.make(problem, 2000, 5)
    usable = vpop.outputs.usable
    assert abs(np.corrcoef(vpop.outputs.values[usable, 0], vpop.weights[usable])[0, 1]) < 0.1  # 1/sqrt(n) is 0.03
    np.testing.assert_array_equal(recipe.make(problem, 2000, 5).weights, vpop.weights)
    assert not np.array_equal(recipe.make(problem, 2000, 6).weights, vpop.weights)


def test_streams_within_a_sampler_are_not_those_of_the_weights(problem):
    """Screening folds the numbers of its batches into its key; no batch may be the stream of the weights."""
    recipe = Recipe("mine", Screening(Independent(), batch=256), Next())
    vpop = recipe.make(problem, 150, 5)
    assert abs(np.corrcoef(vpop.outputs.values[:, 0], vpop.weights)[0, 1]) < 0.35  # four standard errors


def test_every_solve_is_charged(problem):
    """Those of the search, and one more of each patient that was found."""
    screened = Screening(batch=256).sample(problem, 100, key=0)
    assert screened.details["evaluations"] == screened.ledger.total + 100
    chain = Metropolis().sample(problem, 100, key=0)
    proposals = round(100 / chain.details["acceptance"])
    assert chain.details["needed_evaluations"] == proposals + 100
    assert chain.details["evaluations"] >= chain.details["needed_evaluations"]
    assert Uniforms().sample(problem, 70, key=0).details["evaluations"] == 70


def test_diagnostics_of_a_population_with_its_problem(problem):
    vpop = Recipe("mine", Screening(batch=256), MaximumEntropy()).make(problem, 100, 0)
    found = vpop.diagnostics(problem.targets[0], problem)
    assert 0.5 < found["sd_ratio"] < 1.0 and found["on_bound"] == 0.0
