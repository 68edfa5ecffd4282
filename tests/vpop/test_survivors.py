"""Patients who never have the event: an infinite time is a number, and they count as free of it."""

import jax.numpy as jnp
import numpy as np
import pytest

import qspx
from qspx.vpop import (
    AbstractSimulator,
    Given,
    MaximumEntropy,
    MeanSd,
    Outputs,
    Plausibility,
    PopulationError,
    PopulationProblem,
    Quantiles,
    Screening,
    Survival,
    VirtualPopulation,
)
from qspx.vpop.sampler import violation_score


class Relapse(AbstractSimulator):
    """Time of an event that patients with b > 0.5 never have; x is inf where c is large, which is no event."""

    names, events = ("relapse", "x"), ("relapse",)

    def __init__(self, model):
        self.model = model

    def traced(self, theta):
        a, b, c = theta[:, 0], theta[:, 1], theta[:, 2]
        values = jnp.stack([jnp.where(b > 0.5, jnp.inf, 10 * a), jnp.where(c > 0.9, jnp.inf, c)], axis=1)
        return values, jnp.zeros(len(theta), jnp.int32)


@pytest.fixture(scope="module")
def problem(plain):
    prior = qspx.Joint({k: qspx.Uniform(0.0, 1.0) for k in "abc"})
    return PopulationProblem(Relapse(plain), prior, Plausibility({"relapse": (1.0, np.inf)}))


@pytest.fixture(scope="module")
def patients(problem):
    return problem.sampled(600, 0, qspx.vpop.Sobol())


def test_survivors_are_kept_and_overflow_is_not(patients):
    b, c = patients.cohort.column("b"), patients.cohort.column("c")
    assert (patients.values[(b > 0.5) & (c <= 0.9), 0] == np.inf).all()
    assert (patients.usable == (c <= 0.9) & ((b > 0.5) | (patients.cohort.column("a") >= 0.1))).all()


def test_survival_counts_them(patients, tmp_path, plain):
    """Half never have it: S(60) = 0.6 is reached by weights of survivors, who were 0 of the patients before."""
    target = Survival("relapse", [3.0, 6.0, 60.0], [0.9, 0.8, 0.6], n=50)
    exact = Survival("relapse", [3.0, 6.0, 60.0], [0.9, 0.8, 0.6])
    found = MaximumEntropy().fit(patients, [target, Quantiles("relapse", [0.2], [6.0])], key=0)
    survived = found.outputs.values[:, 0] == np.inf
    exactly = MaximumEntropy().fit(patients, [exact], key=0).weights
    assert not found.unreached and exactly[survived].sum() == pytest.approx(0.6, abs=1e-4)
    assert found.goodness_of_fit().composite_p > 0.9
    assert np.isinf(found.select(50, key=0).outputs.values).sum() > 20
    found.save(tmp_path / "vpop")
    again = VirtualPopulation.load(tmp_path / "vpop", plain, found.targets)
    np.testing.assert_array_equal(again.outputs.values, found.outputs.values)
    assert again.outputs.usable.sum() == patients.usable.sum() and not again.unreached
    inside = Given(MeanSd("x", 0.5, 0.2), "relapse", (60.0, np.inf), share=0.6)
    assert MaximumEntropy().fit(patients, [inside], key=0).weights[survived].sum() == pytest.approx(0.6, abs=1e-3)


def test_samplers_take_them(problem):
    found = Screening(batch=256).sample(problem, 300, key=0)
    assert found.usable.all() and np.isinf(found.values[:, 0]).sum() > 100
    values = np.array([[np.inf, 0.5], [0.5, 0.5]])
    np.testing.assert_array_equal(violation_score(problem, values) > 0, [False, True])
    violation = problem.plausibility.violation(jnp.asarray(values[:, :1]), 3e-3)
    np.testing.assert_allclose(violation, [[0.0], [0.503]])


def test_means_of_survivors_are_refused(patients):
    with pytest.raises(PopulationError, match=r"MeanSd of \('relapse',\).*Survival, Bins or Quantiles"):
        MaximumEntropy().fit(patients, [MeanSd("relapse", 5.0, 2.0)], key=0)
    with pytest.raises(PopulationError, match=r"`events` names \['typo'\]"):
        Outputs(patients.cohort, ("relapse", "x"), patients.values, events=("typo",))
