"""Every method against published numbers, closed forms, and its own differences."""

import numpy as np
import pytest
from population_systems import line_data, line_ofv, lines, theophylline, wang

from qspx._errors import CalibrationError
from qspx._status import Status
from qspx.nlme import (
    FO,
    FOCE,
    FOCEI,
    AbstractMethod,
    AdaptiveQuadrature,
    Laplace,
    PopulationObjective,
)

METHODS = [FO(), FOCE(), FOCEI(), Laplace(), AdaptiveQuadrature(9)]
every_method = pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)

# Objective function values by (method, proportional error), residual variance 0.1. FO, FOCE, FOCEI: NONMEM, Wang 2007
# as in the tests of nlmixr2est. Laplace and the exact marginal (AGQ): computed independently.
WANG = {
    "FO": (39.213, 0.026),
    "FOCE": (39.207, -2.059),
    "FOCEI": (39.458, -2.059),
    "Laplace": (39.2268, -1.9361),
    "AGQ": (39.35480, -1.98961),
}


def differences(objective, x, z, step=1e-3):
    """Central differences of fourth order."""

    def along(k, h):
        shift = h * np.eye(len(x))[k]
        return objective(x + shift, z).value - objective(x - shift, z).value

    return np.array([(8 * along(k, step) - along(k, 2 * step)) / (12 * step) for k in range(len(x))])


def test_every_method_is_in_the_suite():
    def below(cls):
        return {c for sub in cls.__subclasses__() for c in (sub, *below(sub))}

    assert below(AbstractMethod) == {type(m) for m in METHODS}


@pytest.mark.slow  # compiles five programs
@every_method
def test_wang_2007_and_gradient(reference_dir, method):
    problem = wang(reference_dir)
    objective = PopulationObjective(problem, method)
    for want, parts in zip(
        WANG[method.name], ({"sd": 1e-8, "cv": 0.1**0.5}, {"sd": 0.1**0.5, "cv": 1e-8}), strict=True
    ):
        found = objective(problem.coordinates(parts))
        assert found.value == pytest.approx(want, abs=1e-3)
        assert found.converged.all() and (found.status == Status.OK).all()
    # Second derivatives of predictions are differences of the solver's exact first ones: measured errors are below
    # 1e-6 of the gradient; 1e-5 leaves room for another machine's rounding.
    x = problem.coordinates({"ke": 0.6, "sd": 0.4, "cv": 0.15}, np.array([[0.09]]))
    found = objective(x)
    np.testing.assert_allclose(found.gradient, differences(objective, x, found.z), rtol=1e-5, atol=1e-5)
    assert found.gradients.shape == (10, 4)


@pytest.mark.slow  # compiles five programs
@every_method
def test_linear_models_are_exact(method):
    # Every approximation here is exact for a model that is linear in its random effects, with additive error.
    frame = line_data()
    problem = lines(frame)
    objective = PopulationObjective(problem, method)
    omega = np.array([[0.5, -0.15], [-0.15, 0.2]])
    x = problem.coordinates({"intercept": 1.7, "slope": 0.6, "sd": 0.5}, omega)
    found = objective(x)
    assert found.value == pytest.approx(line_ofv(frame, 1.7, 0.6, 0.5, omega), abs=1e-6)
    assert len(found.each) == 9 and found.each[-1] == pytest.approx(0.0, abs=1e-9)  # has no measurement
    np.testing.assert_array_equal(found.gradients[-1], 0.0)

    def closed(x):
        numbers, factor = np.asarray(problem.numbers(x)), np.asarray(problem.factor(x))
        return line_ofv(frame, *numbers, factor @ factor.T)

    steps = 1e-5 * np.eye(len(x))
    want = [(closed(x + h) - closed(x - h)) / 2e-5 for h in steps]
    np.testing.assert_allclose(found.gradient, want, rtol=1e-5, atol=1e-5)


def test_theophylline_at_a_fixed_point(reference_dir):
    problem = theophylline(reference_dir)
    found = PopulationObjective(problem, FOCEI())(problem.start)
    assert found.value == pytest.approx(133.565887, abs=1e-5)  # calculated independently, 6 decimals
    nodes = PopulationObjective(problem, AdaptiveQuadrature(9))(problem.start)
    assert nodes.value == pytest.approx(134.853047, abs=1e-5)


def test_an_individual_that_cannot_be_solved_makes_the_objective_infinite(reference_dir):
    problem = theophylline(reference_dir)
    objective = PopulationObjective(problem, FOCEI())
    good = objective(problem.start)
    broken = problem.start.copy()
    broken[2] = np.nan  # no volume
    found = objective(broken)
    assert found.value == np.inf and (found.status != Status.OK).all()
    np.testing.assert_array_equal(found.gradients, 0.0)
    assert np.isfinite(good.value)


def test_methods_refuse_what_they_cannot_approximate():
    frame = line_data().assign(CENS=0)
    frame.loc[0, "CENS"] = 1
    problem = lines(frame)
    for method in (FO(), FOCE(), FOCEI()):
        said = r"^1 of 28 measurements are censored.*for FO.*LAPLACE where F_FLAG is 1\. Use Laplace\(\), or.*MDV 1"
        with pytest.raises(CalibrationError, match=said):
            PopulationObjective(problem, method)
    with pytest.raises(CalibrationError, match="more than 20000"):
        PopulationObjective(problem, AdaptiveQuadrature(40)).method.grid(4)
    with pytest.raises(CalibrationError, match="nodes"):
        AdaptiveQuadrature(0)
    with pytest.raises(CalibrationError, match="shape"):
        PopulationObjective(lines(line_data()), FO())(np.zeros(2))


@pytest.mark.slow
def test_values_below_a_limit():
    # Against a sum over a fine grid of the two random effects of each individual; for Laplace, scipy's minimum and
    # second differences.
    from scipy.optimize import minimize
    from scipy.stats import norm

    frame = line_data(4).assign(CENS=0).dropna()
    low = frame.index[frame["DV"] < 2.3]
    frame.loc[low, "CENS"], frame.loc[low, "DV"] = 1, 2.3
    assert 0 < len(low) < len(frame)
    problem = lines(frame)
    omega = np.array([[0.5, -0.15], [-0.15, 0.2]])
    x = problem.coordinates({"intercept": 1.7, "slope": 0.6, "sd": 0.5}, omega)
    objective = PopulationObjective(problem, AdaptiveQuadrature(25))
    found = objective(x)
    line = np.linspace(-9.0, 9.0, 361)
    z = np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1)
    weight = np.exp(-0.5 * (z**2).sum(axis=-1)) / (2 * np.pi) * (line[1] - line[0]) ** 2
    laplace = PopulationObjective(problem, Laplace())
    near = laplace(x)
    for k, (_, one) in enumerate(frame.groupby("ID")):

        def joint(z0, z1, one=one):
            e = np.stack([z0, z1], axis=-1) @ np.linalg.cholesky(omega).T
            total = z0**2 + z1**2
            for _, row in one.iterrows():
                f = 1.7 + e[..., 0] + (0.6 + e[..., 1]) * row["TIME"]
                seen = norm.logpdf(row["DV"], f, 0.5) + 0.5 * np.log(2 * np.pi)
                total = total - 2 * (norm.logcdf(row["DV"], f, 0.5) if row["CENS"] else seen)
            return total

        exact = -2 * np.log((weight * np.exp(-0.5 * (joint(z[..., 0], z[..., 1]) - (z**2).sum(axis=-1)))).sum())
        assert found.each[k] == pytest.approx(exact, abs=1e-5)  # measured: below 1e-7
        mode = minimize(lambda v, joint=joint: float(joint(*v)), np.zeros(2), tol=1e-12).x
        h, (a, b) = 1e-3, np.eye(2) * 1e-3
        second = [[joint(*(mode + p + q)) - joint(*(mode + p - q)) - joint(*(mode - p + q)) + joint(*(mode - p - q))
                   for p in (a, b)] for q in (a, b)]  # fmt: skip
        want = joint(*mode) + np.linalg.slogdet(0.5 * np.array(second) / (4 * h**2))[1]
        assert near.each[k] == pytest.approx(want, abs=1e-4)
    np.testing.assert_allclose(near.gradient, differences(laplace, x, near.z), rtol=1e-5, atol=1e-5)
