"""Constructs of PEtab that the ten cases of the test suite leave out, on a model whose solution is known."""

import jax
import numpy as np
import pytest
from made import CONSTANTS, HEAD, OBSERVABLES, converted, parameter_table, problem, sbml

from qspx import AutomaticIntegrator, load_petab

TIGHT = AutomaticIntegrator(1e-11, 1e-13)
ONE = [
    ("observableId", "simulationConditionId", "time", "measurement"),
    ("obs_a", "c0", 1, 0.7),
    ("obs_a", "c0", 10, 0.1),
]
BEFORE = [
    ("observableId", "preequilibrationConditionId", "simulationConditionId", "time", "measurement"),
    ("obs_a", "before", "c0", 1, 0.7),
    ("obs_a", "before", "c0", 10, 0.1),
]


def loaded(path, **kwargs):
    return load_petab(path, integrator=TIGHT, **kwargs)


def simulated(found):
    return found.simulate()["simulation"].to_numpy()


def check_gradient(found, x=None, step=1e-3, rtol=1e-6):
    """Reverse mode against central differences of fourth order; runs are solved to 1e-11."""
    x = found.nominal + 0.013 if x is None else x
    gradient = found.objective.values_and_gradients(x[None])[1][0]
    rows = np.array([x + k * step * e for e in np.eye(len(x)) for k in (-2, -1, 1, 2)])
    values = np.asarray(found.objective.values(rows)).reshape(len(x), 4)
    expected = values @ np.array([1, -8, 8, -1]) / (12 * step)
    assert np.isfinite(expected).all()
    np.testing.assert_allclose(gradient, expected, rtol=rtol, atol=1e-6 * np.abs(expected).max())


# what a condition may set ------------------------------------------------------------------------------------------


def test_a_condition_sets_species_compartments_and_estimated_values(repo_root, tmp_path):
    """As in the test suite: initial concentrations, some of them estimated, others left to the model."""
    source = repo_root / "tests" / "data" / "petab_test_suite" / "0001" / "_model.xml"
    path = problem(
        tmp_path,
        parameters=parameter_table(k1=0.8, k2=0.6, start=0.5),
        conditions=[
            ("conditionId", "A", "B", "compartment"),
            ("c0", 0.8, "", 3),
            ("c1", "start", 2, 1),
            ("c2", "", "", 2),
        ],
        measurements=[
            ("observableId", "simulationConditionId", "time", "measurement"),
            *(("obs_a", c, 2, 0.5) for c in ("c0", "c1", "c2")),
        ],
        model=source.read_text(),
    )
    found = loaded(path)
    # the file says a0 = b0 = 1; a compartment of another size changes no concentration
    starts = [(0.8, 1.0), (0.5, 2.0), (1.0, 1.0)]
    expected = [float(converted(2.0, a, b, 0.8, 0.6)) for a, b in starts]
    np.testing.assert_allclose(simulated(found), expected, rtol=1e-9)
    check_gradient(found)


def test_what_depends_on_an_initial_value_follows_it(tmp_path):
    model = sbml({"A": "-k1 * A", "B": "0 * A"}, {"A": "a0", "B": "3 * A"}, {"a0": 1.0, "k1": 0.5})
    path = problem(
        tmp_path,
        parameters=parameter_table(k1=0.5),
        conditions=[("conditionId", "A"), ("c0", 2.0), ("c1", "NaN")],
        measurements=[
            ("observableId", "simulationConditionId", "time", "measurement"),
            ("obs_b", "c0", 1, 1.0),
            ("obs_b", "c1", 1, 1.0),
        ],
        observables=[OBSERVABLES[0], ("obs_b", "B", 1.0)],
        model=model,
    )
    np.testing.assert_allclose(simulated(loaded(path)), [6.0, 3.0], rtol=1e-10)


def test_a_parameter_with_an_initial_assignment_can_be_estimated(tmp_path):
    model = sbml({"A": "-k * A"}, {"A": "1", "k": "2 * k0"}, {"k0": 0.5, "k": 9.0})
    parameters = parameter_table(k=0.25)
    found = loaded(problem(tmp_path, parameters=parameters, measurements=ONE, model=model))
    np.testing.assert_allclose(simulated(found), np.exp([-0.25, -2.5]), rtol=1e-9)


# pre-equilibration -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reset", [None, 1.0])
def test_preequilibration_keeps_what_the_condition_leaves_out(tmp_path, reset):
    path = problem(
        tmp_path,
        parameters=parameter_table(k2=0.6, a0=1.0),
        conditions=[("conditionId", "k1", "B"), ("before", 0.3, 0.5), ("c0", 0.8, "" if reset is None else reset)],
        measurements=BEFORE,
    )
    found = loaded(path)
    a = 0.6 / 0.9 * 1.5  # at rest with k1 = 0.3, from A = 1 and B = 0.5
    b = 1.5 - a if reset is None else reset
    np.testing.assert_allclose(simulated(found), converted(np.array([1.0, 10.0]), a, b, 0.8, 0.6), rtol=1e-8)
    check_gradient(found)


def test_measurements_at_infinite_time_are_taken_at_rest(tmp_path):
    """With a pre-equilibration (of A and B in other proportions) and without, beside ones at finite times."""
    path = problem(
        tmp_path,
        parameters=parameter_table(k2=0.6, b0=0.4),
        conditions=[("conditionId", "k1", "B"), ("before", 0.3, ""), ("c0", 0.8, 2.0), ("c1", 0.5, "")],
        measurements=[
            ("observableId", "preequilibrationConditionId", "simulationConditionId", "time", "measurement"),
            ("obs_a", "", "c1", "inf", 0.7),
            ("obs_a", "before", "c0", 1, 0.7),
            ("obs_a", "before", "c0", "inf", 0.1),
            ("obs_a", "", "c1", 2, 0.1),
        ],
    )
    found = loaded(path)
    a = 0.6 / 0.9 * 1.4
    expected = [
        0.6 / 1.1 * 1.4,
        converted(1.0, a, 2.0, 0.8, 0.6),
        0.6 / 1.4 * (a + 2.0),
        converted(2.0, 1.0, 0.4, 0.5, 0.6),
    ]
    np.testing.assert_allclose(simulated(found), np.array(expected, float), rtol=1e-8)
    assert list(found.simulate()["time"]) == [np.inf, 1, np.inf, 2]
    check_gradient(found)


def test_a_run_that_does_not_come_to_rest_has_failed(tmp_path):
    model = sbml({"A": "k1"}, {"A": "a0"}, {"k1": 0.8, "a0": 1.0})
    path = problem(
        tmp_path,
        parameters=parameter_table(k1=0.8),
        conditions=[("conditionId",), ("before",), ("c0",)],
        measurements=BEFORE,
        model=model,
    )
    found = loaded(path)
    assert float(found.log_likelihood()) == -np.inf
    assert set(found.predict()["status"]) == {"not_steady"} and np.isnan(simulated(found)).all()


# switches in time --------------------------------------------------------------------------------------------------

PULSE = sbml({"A": "piecewise(dose, time >= t_on && time - t_off < 0, 0) - k1 * A"}, {"A": "0"},
             {"dose": 2.0, "t_on": 1.0, "t_off": 1.5, "k1": 0.8})  # fmt: skip


def pulsed(t, on, off, dose, k):
    during = dose / k * (1 - np.exp(-k * (np.clip(t, on, off) - on)))
    return np.where(t < on, 0.0, during * np.exp(-k * np.maximum(t - off, 0.0)))


@pytest.mark.parametrize("on", [0.0, 1.0, 40.0])
def test_a_short_pulse_after_a_long_rest(tmp_path, on):
    """The time of the switch is a number of the condition; the integrator stops there, however long its steps are."""
    times = np.array([0.5, 1.2, 41.0, 50.0])
    path = problem(
        tmp_path,
        parameters=parameter_table(k1=0.8, dose=2.0),
        conditions=[("conditionId", "t_on", "t_off"), ("c0", on, on + 0.25)],
        measurements=[ONE[0], *(("obs_a", "c0", t, 0.1) for t in times)],
        model=PULSE,
    )
    found = loaded(path)
    np.testing.assert_allclose(simulated(found), pulsed(times, on, on + 0.25, 2.0, 0.8), rtol=1e-8, atol=1e-12)
    check_gradient(found)


def test_the_time_of_a_switch_can_be_estimated(tmp_path):
    times = np.array([0.5, 1.2, 2.0, 5.0])
    path = problem(
        tmp_path,
        parameters=parameter_table(k1=0.8, begin=1.0, t_off=1.5),
        conditions=[("conditionId", "t_on"), ("c0", "begin")],
        measurements=[ONE[0], *(("obs_a", "c0", t, 0.1) for t in times)],
        model=PULSE,
    )
    found = loaded(path)
    np.testing.assert_allclose(simulated(found), pulsed(times, 1.0, 1.5, 2.0, 0.8), rtol=1e-9, atol=1e-12)
    check_gradient(found)


def test_switches_start_anew_after_a_preequilibration(tmp_path):
    path = problem(
        tmp_path,
        parameters=parameter_table(k1=0.8),
        conditions=[("conditionId", "dose"), ("before", 0), ("c0", 2.0)],
        measurements=BEFORE[:1] + [("obs_a", "before", "c0", t, 0.1) for t in (0.5, 1.2, 5.0)],
        model=PULSE,
    )
    np.testing.assert_allclose(
        simulated(loaded(path)), pulsed(np.array([0.5, 1.2, 5.0]), 1.0, 1.5, 2.0, 0.8), atol=1e-9
    )


# likelihood --------------------------------------------------------------------------------------------------------


def noisy(tmp_path, transformation, distribution, noise="noiseParameter1_obs_a", entries="0.5"):
    return problem(
        tmp_path,
        parameters=parameter_table(k1=0.8, sd=0.5),
        measurements=[(*ONE[0], "noiseParameters"), *((*row, entries) for row in ONE[1:])],
        observables=[
            (*OBSERVABLES[0], "observableTransformation", "noiseDistribution"),
            ("obs_a", "A", noise, transformation, distribution),
        ],
    )


@pytest.mark.parametrize("scale", ["lin", "log", "log10"])
@pytest.mark.parametrize("family", ["normal", "laplace"])
def test_noise(tmp_path, scale, family):
    """Densities of a measurement m, written out (PEtab documentation, "Noise distributions")."""
    found = loaded(noisy(tmp_path, scale, family, entries="sd"))
    m, y, sd = np.array([0.7, 0.1]), converted(np.array([1.0, 10.0]), 1.0, 0.0, 0.8, 0.6), 0.5
    to = {"lin": lambda x: x, "log": np.log, "log10": np.log10}[scale]
    slope = {"lin": 1.0, "log": m, "log10": m * np.log(10)}[scale]
    r = (to(m) - to(y)) / sd
    density = np.exp(-0.5 * r**2) / np.sqrt(2 * np.pi) if family == "normal" else 0.5 * np.exp(-np.abs(r))
    assert float(found.log_likelihood()) == pytest.approx(np.log(density / (sd * slope)).sum(), rel=1e-9)
    assert found.chi2() == pytest.approx((r**2).sum(), rel=1e-9)
    check_gradient(found)


def test_noise_that_grows_with_the_observable(tmp_path):
    found = loaded(noisy(tmp_path, "lin", "normal", "noiseParameter1_obs_a + 0.1 * obs_a + 0.2 * A^2", "sd"))
    a = converted(np.array([1.0, 10.0]), 1.0, 0.0, 0.8, 0.6)
    np.testing.assert_allclose(found.predict()["sd"], 0.5 + 0.1 * a + 0.2 * a**2, rtol=1e-9)


def test_priors(tmp_path):
    """Log-densities of the table's priors, as PEtab defines them."""
    head = (*HEAD, "objectivePriorType", "objectivePriorParameters")
    rows = [
        ("k1", "log10", 0.01, 10, 0.8, 1, "parameterScaleNormal", "0.1;0.5"),
        ("k2", "log10", 0.01, 10, 0.6, 1, "logNormal", "0.2;0.3"),
        ("a0", "lin", 0.01, 10, 1.0, 1, "laplace", "0.9;0.2"),
        ("b0", "log", 0.01, 10, 0.5, 1, "logLaplace", "0.2;0.3"),
        ("s1", "lin", 0, 10, 1.0, 1, "normal", "0.8;2"),
        ("s2", "log10", 0.1, 10, 1.0, 1, "parameterScaleUniform", ""),
        ("s3", "lin", 0, 10, 1.0, 1, "uniform", "0;4"),
        ("s4", "log10", 0.1, 10, 2.0, 1, "parameterScaleLaplace", "0.1;0.2"),
    ]
    found = loaded(problem(tmp_path, parameters=[head, *rows], measurements=ONE))

    def normal(x, m, s):
        return -0.5 * ((x - m) / s) ** 2 - np.log(s * np.sqrt(2 * np.pi))

    def laplace(x, m, b):
        return -abs(x - m) / b - np.log(2 * b)

    expected = normal(np.log10(0.8), 0.1, 0.5) + normal(np.log(0.6), 0.2, 0.3) - np.log(0.6) + laplace(1.0, 0.9, 0.2)
    expected += laplace(np.log(0.5), 0.2, 0.3) - np.log(0.5) + normal(1.0, 0.8, 2.0) - np.log(2.0) - np.log(4.0)
    expected += laplace(np.log10(2.0), 0.1, 0.2)
    assert float(found.objective.log_prior(found.nominal)) == pytest.approx(expected, rel=1e-12)
    assert float(found.objective.log_posterior(found.nominal)) == pytest.approx(
        float(found.log_likelihood()) + expected, rel=1e-12
    )


# surface -----------------------------------------------------------------------------------------------------------


def test_values_by_id_and_coordinates_agree(tmp_path):
    found = loaded(problem(tmp_path, parameters=parameter_table(k1=0.8, k2=0.6), measurements=ONE))
    x = found.coordinates({"k1": 0.7})
    np.testing.assert_allclose(x, np.log10([0.7, 0.6]))
    by_id, rows = found.log_likelihood({"k1": 0.7}), found.log_likelihood(np.stack([x, found.nominal]))
    assert float(by_id) == pytest.approx(float(rows[0])) != pytest.approx(float(rows[1]))
    assert float(jax.grad(found.log_likelihood)(x)[0]) == pytest.approx(
        float(jax.grad(found.objective.log_likelihood)(x)[0])
    )
    np.testing.assert_allclose(simulated(found), converted(np.array([1.0, 10.0]), 1.0, 0.0, 0.8, 0.6), rtol=1e-8)
    assert "2 estimated parameters, 2 measurements of 1 observables in 1 runs" in repr(found)
    assert set(CONSTANTS) >= set(found.objective.names)


def test_a_switch_at_time_zero_counts_for_initial_values(tmp_path):
    """The initial value is that of a rule that has switched on at time 0."""
    model = sbml({"A": "-k1 * A"}, {"A": "input"}, {"k1": 0.8, "t_on": 0.0}, {"input": "piecewise(3, time >= t_on, 1)"})
    path = problem(
        tmp_path,
        parameters=parameter_table(k1=0.8),
        conditions=[("conditionId", "t_on"), ("c0", 0), ("c1", 2)],
        measurements=[ONE[0], *((o, c, 1, 0.1) for o in ("obs_a", "obs_in") for c in ("c0", "c1"))],
        observables=[*OBSERVABLES, ("obs_in", "input", 1)],
        model=model,
    )
    expected = [3 * np.exp(-0.8), np.exp(-0.8), 3.0, 1.0]
    np.testing.assert_allclose(simulated(loaded(path)), expected, rtol=1e-9)
