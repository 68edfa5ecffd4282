"""What every method that gives weights must do. A new method gets a line in `METHODS`, or the first test fails."""

import inspect
from typing import NamedTuple

import numpy as np
import pytest
from scipy.special import ndtri

import qspx.vpop
from qspx.vpop import (
    AbstractWeighting,
    AcceptanceRejection,
    Bagged,
    DensityRatio,
    DirectWeights,
    LogNormalLaw,
    Mapel,
    MaximumEntropy,
    PopulationError,
    QuadraticProgramme,
    Rows,
)


class Expected(NamedTuple):
    """`near`: how near means, SDs and correlations come to the target, in SDs; `keeps`: share of patients that a cloud
    drawn from the target keeps as effective."""

    method: AbstractWeighting
    near: float
    keeps: float
    correlates: bool = True  # MAPEL's products over axes leave parameters as independent as they were
    order: float = 1e-3  # how much the order of patients may change weights, relative


METHODS = {
    "maximum entropy": Expected(MaximumEntropy(), 1e-3, 0.95),
    "acceptance/rejection": Expected(AcceptanceRejection(iterations=100), 0.25, 0.15, order=np.inf),
    "density ratio": Expected(DensityRatio(), 0.25, 0.7),
    "quadratic programme": Expected(QuadraticProgramme(), 0.1, 0.5),
    "direct weights": Expected(DirectWeights(floor=150), 0.05, 0.3),
    "bagging": Expected(Bagged(DirectWeights(floor=150), resamples=8), 0.05, 0.3, order=np.inf),
    "MAPEL": Expected(Mapel(bins=4, restarts=1, iterations=40), 0.2, 0.7, False, order=0.1),
}
every_method = pytest.mark.parametrize("name", METHODS)
NAMES = ("HDL", "LDL")
TARGET = LogNormalLaw(NAMES, np.array([0.3, -0.2]), np.array([[1.0, 0.3], [0.3, 1.0]]), n=500)
WIDE = np.array([[2.0, 0.0], [0.0, 2.0]])


def normal(n, mean=(0.0, 0.0), covariance=WIDE, seed=0):
    return np.exp(np.random.default_rng(seed).multivariate_normal(mean, covariance, n))


def moments(outputs, population):
    y, w = np.log(outputs.values), population.weights
    mean = w @ y
    covariance = ((y - mean) * w[:, None]).T @ (y - mean)
    return mean, np.sqrt(np.diag(covariance)), covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])


@pytest.fixture(scope="module")
def wide(outputs_of):
    return outputs_of(normal(800), NAMES)


@pytest.fixture(scope="module")
def fitted(wide):
    return {name: m.method.fit(wide, [TARGET], key=7) for name, m in METHODS.items()}


def test_every_method_is_here():
    found = [c for _, c in inspect.getmembers(qspx.vpop, inspect.isclass) if issubclass(c, AbstractWeighting)]
    assert {c for c in found if not inspect.isabstract(c)} == {type(m.method) for m in METHODS.values()}


@every_method
def test_weights_are_shares(name, fitted, wide):
    w = fitted[name].weights
    assert w.shape == (800,) and (w >= 0).all() and w.sum() == pytest.approx(1.0, abs=1e-12)
    assert fitted[name].cohort.weights == pytest.approx(w)
    assert fitted[name].details["method"] and fitted[name].details["seconds"] > 0


@every_method
def test_a_known_reweighting_is_recovered(name, fitted, wide):
    mean, sd, correlation = moments(wide, fitted[name])
    near = METHODS[name].near
    np.testing.assert_allclose(mean, TARGET.mean, atol=near)
    np.testing.assert_allclose(sd, 1.0, atol=near)
    assert correlation == pytest.approx(0.3 if METHODS[name].correlates else 0.0, abs=near)


@every_method
def test_what_cannot_be_reached_is_reported(name, outputs_of):
    """No patient is below the target's median of HDL."""
    values = normal(400, covariance=0.2 * np.eye(2))
    values[:, 0] = np.exp(1.0 + np.abs(np.log(values[:, 0])))
    found = METHODS[name].method.fit(outputs_of(values, NAMES), [TARGET], key=0)
    assert any(label.startswith("HDL: bin") for label in found.unreached)
    assert "HDL: mean" in found.unreached
    assert f"{len(found.unreached)} features of the target not reached" in str(found)


@every_method
def test_a_small_share_that_nobody_has_is_not_reached(name, outputs_of):
    """Bins of 8 % of 50 people, whose standard errors alone forgive an empty one; nobody is in the upper one of HDL,
    and a hole of the cloud takes another. The weights must not say that they reach these."""
    target = LogNormalLaw(NAMES, TARGET.mean, TARGET.covariance, n=50, bins=12)
    values = normal(400, TARGET.mean, 1.2 * TARGET.covariance)
    z = target.scores(values)[:, 0]
    hole = ndtri([2 / 12, 3 / 12])
    outputs = outputs_of(values[(z < ndtri(11 / 12)) & ~((z >= hole[0]) & (z < hole[1]))], NAMES)
    found = METHODS[name].method.fit(outputs, [target], key=0)
    empty = {f"HDL: bin {k} of 12" for k in (3, 12)}
    assert empty <= set(found.unsupported) <= set(found.unreached)
    table = found.target_table()
    assert (table["reached"] & ~table["supported"]).sum() == 0
    assert "features of the target not reached" in str(found)


@every_method
def test_order_of_patients_does_not_matter(name, fitted, wide):
    order = np.random.default_rng(3).permutation(800)
    again = METHODS[name].method.fit(wide.rows(order), [TARGET], key=7)
    assert again.effective_size == pytest.approx(fitted[name].effective_size, rel=0.3)
    if np.isfinite(METHODS[name].order):  # of the others it changes who a random number is for
        np.testing.assert_allclose(again.weights, fitted[name].weights[order], rtol=METHODS[name].order, atol=1e-6)


@every_method
def test_same_key_same_answer(name, fitted, wide):
    again = METHODS[name].method.fit(wide, [TARGET], key=7)
    np.testing.assert_array_equal(again.weights, fitted[name].weights)


@every_method
def test_a_cloud_that_is_the_target_keeps_its_patients(name, outputs_of):
    outputs = outputs_of(normal(800, TARGET.mean, TARGET.covariance, seed=5), NAMES)
    found = METHODS[name].method.fit(outputs, [TARGET], key=0)
    assert found.effective_size > METHODS[name].keeps * 800


@every_method
def test_tied_data(name, outputs_of):
    """People whose values are whole numbers, and patients with the very same values: every bin edge is tied."""
    people = np.round(normal(600, [4.0, 4.5], 0.05 * np.eye(2), seed=1))
    target = Rows(NAMES, people)
    outputs = outputs_of(np.round(normal(600, [4.0, 4.5], 0.1 * np.eye(2), seed=2)), NAMES)
    found = METHODS[name].method.fit(outputs, [target], key=0)
    y, w = np.log(outputs.values), found.weights
    np.testing.assert_allclose(w @ y, np.log(people).mean(axis=0), atol=0.3 * np.sqrt(0.05))
    if name == "maximum entropy":
        assert not found.unreached


@every_method
def test_near_duplicate_outputs(name, outputs_of):
    """The second output is the first up to 1e-3: targets that agree must be met, as if there were one."""
    x = np.random.default_rng(0).normal(0, 1.4, (600, 1))
    noise = 1e-3 * np.random.default_rng(1).normal(size=(600, 2))
    values = np.exp(x + np.array([[0.0, 1.0]]) * noise)
    rho = 1 / np.sqrt(1 + 1e-6)
    target = LogNormalLaw(NAMES, np.zeros(2), np.array([[1.0, rho], [rho, 1.0]]), n=500)
    found = METHODS[name].method.fit(outputs_of(values, NAMES), [target], key=0)
    assert found.effective_size > 20
    assert np.log(values[:, 0]) @ found.weights == pytest.approx(0.0, abs=0.3)


def test_no_patient_is_an_error(outputs_of):
    outputs = outputs_of(np.full((3, 2), np.nan), NAMES)
    with pytest.raises(PopulationError, match="no patient"):
        MaximumEntropy().fit(outputs, [TARGET], key=0)
    with pytest.raises(PopulationError, match="targets"):
        MaximumEntropy().fit(outputs_of(normal(3), NAMES), [], key=0)
