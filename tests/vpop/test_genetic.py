"""The genetic algorithm of Rieger 2018: its operators, and what is known of the published patients."""

import numpy as np
import pytest

from qspx.vpop import AcceptanceRejection, Genetic
from qspx.vpop.diagnostics import diversity
from qspx.vpop.genetic import _distinct, mutants

BOUNDS = (np.array([-0.5, -0.5, -np.inf, 0.0]), np.array([0.9, 0.9, 0.0, 0.3]))


def test_mutants_move_one_parameter_by_a_decade():
    rng = np.random.default_rng(0)
    x = np.tile([0.2, -0.4, -7.0, 0.1], (4000, 1))
    moved = mutants(x, BOUNDS, 1.0, rng) - x
    assert (np.abs(moved).sum(axis=1) == pytest.approx(1.0)) and (np.count_nonzero(moved, axis=1) == 1).all()
    # the first can go nowhere within its bounds, the second up, the third both ways, the fourth nowhere
    up, down = (moved > 0.5).mean(axis=0), (moved < -0.5).mean(axis=0)
    np.testing.assert_allclose(up, [0, 1 / 3, 1 / 3, 0], atol=0.03)
    np.testing.assert_allclose(down, [0, 0, 1 / 3, 0], atol=0.03)


def test_mutants_of_a_finer_mesh():
    """Step 1/16: multiples of 1/16, the largest 1/4 and the others below; bounds kept."""
    rng = np.random.default_rng(0)
    x = np.tile([0.2, 0.1, -7.0, 0.1], (4000, 1))
    new = mutants(x, BOUNDS, 1 / 16, rng)
    moved = 16 * (new - x)
    np.testing.assert_allclose(moved, np.round(moved), atol=1e-9)
    some = np.abs(moved).max(axis=1) > 0.5
    assert some.mean() > 0.95 and (np.abs(moved[some]).max(axis=1) == pytest.approx(4.0))
    assert ((np.abs(moved) > 3.5).sum(axis=1) <= 1).all() and (np.abs(moved) > 0.5).sum(axis=1).max() == 4
    assert ((new >= BOUNDS[0]) & (new <= BOUNDS[1])).all()


def test_nobody_moves_who_cannot():
    x = np.full((3, 1), 0.5)
    np.testing.assert_array_equal(mutants(x, (np.zeros(1), np.ones(1)), 1.0, np.random.default_rng(0)), x)


def test_near_duplicates_go():
    """Of 100 the tolerance is 1; the chain 10, 10.9, 11.8 loses its middle only."""
    rows = np.array([[10.9, 1.0], [100.0, 1.0], [10.0, 1.0], [11.8, 1.0], [10.0, 1.005], [10.0, 2.0]])
    np.testing.assert_array_equal(_distinct(rows, 0.01), [[10, 1], [10, 2], [11.8, 1], [100, 1]])


@pytest.mark.slow
def test_published_patients(cholesterol_problem, law):
    """Rieger 2018 at 1,000: sum of KS distances 0.166 +- 0.071 over five runs, 1,167 to 1,773 rows (the largest row
    stored of five runs), 5.5 % strictly plausible, median cosine 0.66 to 0.73, 95 % 0.85 to 0.90, SD of the coordinates
    0.17 to 0.20, about 50,000 solves by its times."""
    outputs = Genetic().sample(cholesterol_problem, 1000, key=0, strict=False)
    vpop = AcceptanceRejection().fit(outputs, [law], key=0)
    different = diversity(cholesterol_problem, outputs.cohort.theta[:, cholesterol_problem.columns], vpop.weights)
    assert abs(vpop.details["ks_best"] - 0.166) < 2 * 0.071
    assert 1000 <= len(outputs) < 2000 and 40_000 <= outputs.details["evaluations"] <= 80_000
    assert 0.01 < outputs.details["strictly_plausible"] < 0.1
    assert 0.60 < different["cosine_median"] < 0.78 and 0.84 < different["cosine_95"] < 0.93
    assert 0.17 < different["sd_ratio"] / np.sqrt(12) < 0.21
    assert 0.07 < different["on_bound"] < 0.14
