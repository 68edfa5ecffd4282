"""What the samplers of publications make of a prior that is no box, and of bounds that are no intervals."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

import qspx
from qspx.vpop import (
    AbstractSimulator,
    Annealing,
    Genetic,
    LogNormalLaw,
    Metropolis,
    NestedAnnealing,
    Plausibility,
    PopulationError,
    PopulationProblem,
    Screening,
)
from qspx.vpop.genetic import _Cube
from qspx.vpop.sampler import back_inside, violation_score

NAMES = ("x", "y")
BROAD = LogNormalLaw(NAMES, np.log([10.0, 3.0]), 25.0 * np.eye(2))
PRIOR = qspx.Joint({"a": qspx.LogNormal(10.0, 0.5), "b": qspx.LogNormal(3.0, 0.3)}, {("a", "b"): 0.9})
SAMPLERS = {
    "SA": Annealing(steps=50),
    "NSA": NestedAnnealing(steps=50),
    "MH": Metropolis(step=0.6),
    "GA": Genetic(population=2000, generations=5),
}


@dataclasses.dataclass(frozen=True, eq=False)
class Itself(AbstractSimulator):
    """Outputs are the first two parameters."""

    model: qspx.AbstractModel
    names: tuple[str, ...] = NAMES

    def traced(self, theta):
        return theta[:, :2], jnp.zeros(len(theta), int)


def problem(plain, bounds, prior=PRIOR, law=BROAD):
    return PopulationProblem(Itself(plain), prior, Plausibility(bounds), [law])


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_law_of_the_prior_is_kept(name, plain):
    """Nearly everyone is plausible and the target asks for nothing: patients have the prior's means, SDs and
    correlation, as those of screening have. 0.15 SD is three standard errors of a chain of 2,000 that is worth 400."""
    wide = problem(plain, {"x": (0.5, 60.0), "y": (0.5, 15.0)})
    found, screened = (
        np.log(s.sample(wide, 2000, key=1).cohort.theta[:, wide.columns]) for s in (SAMPLERS[name], Screening())
    )
    sd = screened.std(axis=0)
    np.testing.assert_allclose((found.mean(axis=0) - screened.mean(axis=0)) / sd, 0.0, atol=0.15)
    np.testing.assert_allclose(found.std(axis=0) / sd, 1.0, atol=0.1)
    assert np.corrcoef(found.T)[0, 1] == pytest.approx(0.9, abs=0.03)


def test_moves_in_the_cube_keep_it_uniform(plain):
    """Reflected steps and mutations of uniform points are uniform: shares of 20 slices within four standard errors."""
    rng = np.random.default_rng(0)
    points = rng.random((40_000, 2))
    walls = np.zeros(2, bool)
    space = _Cube(problem(plain, {}))
    for moved in (
        back_inside(points + rng.uniform(-0.4, 0.4, points.shape), walls),
        space.mutants(points, 1.0, rng),
        space.mutants(points, 1 / 16, rng),
    ):
        assert (moved > 0).all() and (moved < 1).all() and (np.abs(moved - points).max(axis=1) > 0).all()
        for j in range(2):
            shares = np.histogram(moved[:, j], 20, (0, 1))[0] / len(moved)
            np.testing.assert_allclose(shares, 0.05, atol=4 * np.sqrt(0.05 * 0.95 / len(moved)))
    np.testing.assert_array_equal(back_inside(np.array([[-0.3, 1.2]]), ~walls), [[0.0, 1.0]])


def test_places_are_the_inverse_of_quantiles(plain):
    marginals = {
        "a": qspx.LogNormal(10.0, 0.5),
        "b": qspx.TruncatedNormal(0.0, 1.0, low=0.0),
        "c": qspx.Uniform(1.0, 3.0),
    }
    one = PopulationProblem(Itself(plain), qspx.Joint(marginals, {("a", "b"): 0.7}), Plausibility({}))
    u = np.random.default_rng(0).uniform(0.01, 0.99, (50, 3))
    np.testing.assert_allclose(one.places(one.quantiles(u)), u, atol=1e-10)
    np.testing.assert_array_equal(one.boxed, [False, False, True])
    np.testing.assert_array_equal(one.ends, [[-np.inf, np.inf], [0, np.inf], [1, 3]])
    assert np.isfinite(one.box).all() and one.box[1, 0] == 0.0
    alone = dataclasses.replace(one, prior=qspx.Joint({"c": marginals["c"]}))
    np.testing.assert_allclose(alone.places(np.array([[1.0], [2.5], [4.0]])), [[0], [0.75], [1]], atol=1e-15)


def test_scores_of_bounds_without_a_middle(plain):
    """One-sided bounds in sizes of the bound, bounds around zero in half-widths; with d in them, d² + 2 d each."""
    cases = [
        ((-np.inf, 4.0), 6.0, 0.5),
        ((4.0, np.inf), 1.0, 0.75),
        ((0.0, np.inf), -0.5, 0.5),
        ((-20.0, 20.0), 30, 0.5),
    ]
    for bound, value, d in cases:
        one = problem(plain, {"x": bound})
        found = violation_score(one, np.array([[value, 1.0], [3.9 if bound[0] != 4.0 else 4.1, 1.0]]))
        np.testing.assert_allclose(found, [d**2 + 2 * d, 0.0], atol=1e-14, err_msg=str(bound))
    # nearly symmetric ones are nearly the same
    near = violation_score(problem(plain, {"x": (-20.0, 20.001)}), np.array([[30.0, 1.0]]))
    assert near[0] == pytest.approx(1.25, rel=1e-3)


@pytest.mark.parametrize("name", ["SA", "NSA", "GA"])
def test_one_sided_and_symmetric_bounds(name, plain):
    """Bounds that a half of the prior's patients break."""
    prior = qspx.Joint({"a": qspx.LogNormal(10.0, 0.5), "b": qspx.Uniform(0.5, 40.0)})
    one = problem(plain, {"x": (10.0, np.inf), "y": (-20.0, 20.0)}, prior)
    outputs = SAMPLERS[name].sample(one, 100, key=0, strict=False)
    assert len(outputs) >= 100
    values = outputs.columns(NAMES)
    assert (violation_score(one, values) < 2).all()
    assert (values[:, 0] > 5.0).all() and (values[:, 1] < 35.0).all()


def test_annealing_says_what_it_cannot_walk_in(plain):
    prior = qspx.Joint({"a": qspx.Normal(0.0, 1.0), "b": qspx.Uniform(0.5, 40.0)})
    with pytest.raises(PopulationError, match="not negative"):
        Annealing().sample(problem(plain, {"y": (0.6, 30.0)}, prior), 10, key=0)
