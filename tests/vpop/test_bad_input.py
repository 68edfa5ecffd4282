"""Bad input is a PopulationError that says what was wrong, never a raw error of a library."""

import numpy as np
import pytest

import qspx
from qspx.steady_state import SteadyState
from qspx.vpop import (
    AbstractSampler,
    AbstractWeighting,
    AcceptanceRejection,
    AtRest,
    DensityRatio,
    DirectWeights,
    LogNormalLaw,
    Mapel,
    MaximumEntropy,
    MeanSd,
    Plausibility,
    PopulationError,
    PopulationProblem,
    QuadraticProgramme,
    Quantiles,
    Rows,
    Screening,
    VirtualPopulation,
    morris_effects,
    sobol_indices,
)


@pytest.fixture(scope="module")
def problem(plain):
    prior = qspx.Joint({"a": qspx.Uniform(0.0, 1.0), "b": qspx.Uniform(0.0, 1.0)})
    return PopulationProblem(AtRest(SteadyState(plain, 100.0), ("A",)), prior, Plausibility({"A": (0.0, 5.0)}))


def returning(base, method, found):
    return type("Mine", (base,), {method: lambda self, *_: found})()


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (np.ones(4), r"Mine.weigh must return two things.*details.*a ndarray"),
        ((np.ones(4), None), r"Mine.weigh must return two things.*a tuple of 2"),
        ((np.ones(3), {}), r"Mine.weigh must return 4 finite weights.*\(3,\)"),
        ((["a"] * 4, {}), r"Mine.weigh must return an array of numbers"),
    ],
)
def test_weightings_of_ones_own(outputs_of, found, says):
    with pytest.raises(PopulationError, match=says):
        returning(AbstractWeighting, "weigh", found).fit(outputs_of(np.ones((4, 1)), ["x"]), [MeanSd("x", 1, 1)], key=0)


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (np.ones((4, 2)), r"Mine.find must return two things.*drawn parameters"),
        ((np.ones((4, 3)), {}), r"Mine.find.*\('a', 'b'\).*\(patients, 2\), but returned shape \(4, 3\)"),
        ((np.ones((0, 2)), {}), r"Mine.find.*at least one patient.*\(0, 2\)"),
        (("x", {}), r"Mine.find must return an array of numbers"),
    ],
)
def test_samplers_of_ones_own(problem, found, says):
    with pytest.raises(PopulationError, match=says):
        returning(AbstractSampler, "find", found).sample(problem, 4, key=0)


def test_nobody_is_not_a_number_of_patients(problem):
    with pytest.raises(PopulationError, match="`n` must be at least one patient, but is 0"):
        Screening().sample(problem, 0, key=0)


def test_outputs_that_there_are_not(problem):
    for effects in (sobol_indices, morris_effects):
        with pytest.raises(PopulationError, match=r"does not compute `X`; it computes \('A',\)"):
            effects(problem, ["X"], 4, key=0)


def test_files_that_there_are_not(plain, tmp_path):
    with pytest.raises(PopulationError, match=r"`path`.*nope has no population.json and no patients.parquet"):
        VirtualPopulation.load(tmp_path / "nope", plain)


LAW = LogNormalLaw(("x", "y"), np.zeros(2), np.eye(2))
METHODS = [
    MaximumEntropy(),
    DirectWeights(floor=10),
    QuadraticProgramme(),
    DensityRatio(),
    AcceptanceRejection(iterations=5),
    Mapel(restarts=1),
]


@pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)
def test_an_output_without_a_logarithm(outputs_of, method):
    values = np.exp(np.random.default_rng(0).normal(size=(60, 2)))
    values[7, 1] = -0.5
    with pytest.raises(PopulationError, match=r"\('x', 'y'\).*logarithms, but 1 of 120 values.*least -0.5"):
        method.fit(outputs_of(values, ["x", "y"]), [LAW], key=0)


def test_laws_that_are_none():
    for data in ([[1.0], [np.inf]], [[1.0], [np.nan]], [[1.0], [0.0]]):
        with pytest.raises(PopulationError, match="`data` must hold finite positive numbers"):
            Rows(("x",), np.array(data))
    with pytest.raises(PopulationError, match="`mean` and `covariance` of a law must hold finite"):
        LogNormalLaw(("x",), np.array([np.nan]), np.eye(1))
    with pytest.raises(PopulationError, match="as many"):
        Quantiles("x", [0.1, 0.5], [1.0])


@pytest.mark.parametrize("rows", [True, False])
def test_two_identical_outputs_have_a_density(outputs_of, rows):
    """The ratio is that of one of them: the copy says nothing."""
    x = np.exp(np.random.default_rng(0).normal(0.0, 1.4, (500, 1)))
    people = np.exp(np.random.default_rng(1).normal(0.0, 1.0, (300, 1)))
    both, rho = np.repeat(x, 2, axis=1), 1 - 1e-9
    if rows:
        one, two = Rows(("x",), people), Rows(("x", "y"), np.repeat(people, 2, axis=1))
    else:
        one = LogNormalLaw(("x",), np.zeros(1), np.eye(1))
        two = LogNormalLaw(("x", "y"), np.zeros(2), np.array([[1, rho], [rho, 1]]))
    a = DensityRatio().fit(outputs_of(x, ["x"]), [one], key=0)
    b = DensityRatio().fit(outputs_of(both, ["x", "y"]), [two], key=0)
    np.testing.assert_allclose(b.weights, a.weights, rtol=1e-4)
    assert (a.details["directions"], b.details["directions"]) == (1, 1)
    with pytest.raises(PopulationError, match="all the same"):
        DensityRatio().fit(outputs_of(np.ones((9, 1)), ["x"]), [one], key=0)
