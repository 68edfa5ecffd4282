"""Weights that others publish: floors that hold, and the equations of gQSPSim as they are."""

import numpy as np
import pytest
from scipy.optimize import minimize

from qspx.vpop import (
    Bins,
    DirectWeights,
    MaximumEntropy,
    Mean,
    MeanSd,
    PopulationError,
    QuadraticProgramme,
    Quantiles,
)

X = np.random.default_rng(0).normal(size=(400, 1))


@pytest.mark.parametrize(("floor", "mean"), [(300, 16.0), (300, 20.0), (100, 40.0), (399.9, 3.0), (400, 3.0)])
def test_a_floor_holds_however_far_the_target_is(outputs_of, floor, mean):
    """No weight of these patients comes near such means; the floor is what was asked for all the same."""
    found = DirectWeights(floor=floor).fit(outputs_of(X, ["x"]), [MeanSd("x", mean, 1.0)], key=0)
    assert found.effective_size == pytest.approx(floor, rel=2e-4) and found.effective_size >= floor * (1 - 1e-12)
    assert found.details["converged"] and found.unreached
    if floor < 400:
        assert found.weights @ X[:, 0] > X.mean()  # as far as the floor lets it


def objective(w, x, y, s):
    return 0.5 * ((x.T @ w - y) ** 2 / s).sum()


def test_the_equations_of_gqspsim(outputs_of):
    """One equation E[(x - mean)²] = SD² on the raw scale with S = 0.1 SD² + 1e-3, and shares within 5 %: against
    SciPy's constrained minimum of that very programme on few patients."""
    rng = np.random.default_rng(1)
    x = np.column_stack([rng.normal(130, 30, 60), rng.normal(50, 10, 60)])
    targets = [MeanSd("LDL", 165.0, 25.0), MeanSd("HDL", 45.0, 8.0), Quantiles("HDL", [0.6], [50.0])]
    method = QuadraticProgramme(least=10, published=True, epsilon=1e-9)
    found = method.fit(outputs_of(x, ["LDL", "HDL"]), targets, key=0)
    rows = (x - [165.0, 45.0]) ** 2
    y = np.array([25.0, 8.0]) ** 2
    s, member = 0.1 * y + 1e-3, (x[:, 1] < 50).astype(float)
    w = found.weights
    assert w.max() <= 0.1 + 1e-9 and w.sum() == pytest.approx(1.0)
    assert 0.57 - 1e-6 <= w @ member <= 0.63 + 1e-6 and w @ (1 - member) <= 0.42 + 1e-6
    best = minimize(
        objective,
        np.full(60, 1 / 60),
        (rows, y, s),
        jac=lambda w, x, y, s: x @ ((x.T @ w - y) / s),
        method="SLSQP",
        bounds=[(0, 0.1)] * 60,
        constraints=[
            {"type": "eq", "fun": lambda w: w.sum() - 1},
            {"type": "ineq", "fun": lambda w: w @ member - 0.57},
            {"type": "ineq", "fun": lambda w: 0.63 - w @ member},
            {"type": "ineq", "fun": lambda w: 0.42 - w @ (1 - member)},
            {"type": "ineq", "fun": lambda w: w @ (1 - member) - 0.38},
        ],
        options={"maxiter": 500, "ftol": 1e-12},
    )
    assert objective(w, rows, y, s) <= best.fun + 1e-4 * (1 + best.fun)
    assert found.details["converged"] and found.details["equations"] == ["LDL: second moment about the mean"] + [
        "HDL: second moment about the mean"
    ]


def test_the_published_equations_leave_the_mean_alone(outputs_of):
    """E[(x - 1)²] = 0.25 holds with a mean that is off by as much as the patients like; the default matches both."""
    target = [MeanSd("x", 1.0, 0.5)]
    published, both = (
        QuadraticProgramme(published=p).fit(outputs_of(X, ["x"]), target, key=0).weights for p in (True, False)
    )
    assert published @ (X[:, 0] - 1) ** 2 == pytest.approx(0.25, abs=0.02)
    assert abs(published @ X[:, 0] - 1) > 0.1 > 0.05 > abs(both @ X[:, 0] - 1)


def test_the_second_step_evens_out(outputs_of):
    outputs, target = outputs_of(X, ["x"]), [MeanSd("x", 1.0, 0.5), Mean("x", 0.9)]
    one, two = (
        QuadraticProgramme(published=True, second_step=second, epsilon=1e-12).fit(outputs, target, key=0)
        for second in (False, True)
    )
    rows = np.column_stack([(X[:, 0] - 1) ** 2, X[:, 0]])
    first, second = one.weights @ rows, two.weights @ rows
    assert (np.abs(second - first) <= 0.025 * np.array([0.25, 0.9]) + 1e-7).all()
    assert two.effective_size >= one.effective_size and two.details["converged"]


def test_bins_alone_are_least_squares(outputs_of):
    target = Bins("x", [-np.inf, 0.0, np.inf], [0.2, 0.8])
    found = QuadraticProgramme(published=True).fit(outputs_of(X, ["x"]), [target], key=0)
    assert found.weights @ (X[:, 0] < 0) == pytest.approx(0.2, abs=2e-3)


def test_what_the_published_equations_cannot_say(outputs_of):
    from qspx.vpop import LogNormalLaw

    law = LogNormalLaw(("x",), np.zeros(1), np.eye(1))
    with pytest.raises(PopulationError, match=r"gQSPSim.*LogNormalLaw.*MeanSd, Mean, Bins"):
        QuadraticProgramme(published=True).fit(outputs_of(X, ["x"]), [law], key=0)
    with pytest.raises(PopulationError, match="logarithm"):
        QuadraticProgramme(published=True).fit(outputs_of(X, ["x"]), [MeanSd("x", 0, 1, log=True)], key=0)
    with pytest.raises(PopulationError, match="`second_step`.*published=True"):
        QuadraticProgramme(second_step=True)


def test_shares_that_no_patient_has_are_not_met(outputs_of):
    """A bin without patients makes the bands contradictory: said, not hidden."""
    targets = [MeanSd("x", 0.0, 1.0), Bins("x", [-np.inf, 9.0, np.inf], [0.7, 0.3])]
    found = QuadraticProgramme(published=True).fit(outputs_of(X, ["x"]), targets, key=0)
    assert not found.details["converged"] and found.unreached


def test_prior_weights_of_maximum_entropy(outputs_of):
    """w = w0 exp(lambda . a): with prior weights that are a tilt of equal ones, the answer is that of another tilt."""
    x = X[:, 0]
    prior = np.exp(0.5 * x)
    found = MaximumEntropy(prior=prior, ridge=0.0).fit(outputs_of(X, ["x"]), [Mean("x", 0.2)], key=0)
    plain = MaximumEntropy(ridge=0.0).fit(outputs_of(X, ["x"]), [Mean("x", 0.2)], key=0)
    np.testing.assert_allclose(found.weights, plain.weights, rtol=1e-8)  # both are exponential in x with one mean
    tilted = MaximumEntropy(prior=prior, ridge=0.0).fit(outputs_of(X, ["x"]), [Quantiles("x", [0.5], [0.0])], key=0)
    w0 = prior / prior.sum()
    expected = np.where(x < 0, w0 / w0[x < 0].sum(), w0 / w0[x >= 0].sum()) / 2
    np.testing.assert_allclose(tilted.weights, expected, rtol=1e-8)
    with pytest.raises(PopulationError, match=r"`prior`.*400 patients, but.*\(3,\)"):
        MaximumEntropy(prior=np.ones(3)).fit(outputs_of(X, ["x"]), [Mean("x", 0.2)], key=0)
