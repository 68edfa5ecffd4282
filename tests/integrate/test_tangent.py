"""Tangents of accepted steps: against their transpose, against differences of runs, and against closed forms.

The transpose, <w, J v> = <J^T w, v>, must hold to rounding in every scenario: both sweeps differentiate the same steps.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from programs import ZOO
from sweeps import ALL, EVERYTHING, OF_DOSES, OFTEN, RESET, SCENARIOS, Clock, Modelled, Solved, asked, doses_of
from systems import TMDD, TYPICAL, OneCompartment, concentration, extremes

import qspx
from qspx import Dose, Regimen
from qspx.dose_events import dose_events
from qspx.integrate import sweep_call, tangent_call
from qspx.integrate.backward import backward
from qspx.integrate.base import Samples
from qspx.integrate.forward_tangents import forward_tangents
from qspx.integrate.loop_arrays import solution
from qspx.integrate.lowering import lower_functions
from qspx.integrate.native_call import NativeSettings
from qspx.summaries import AUC, Max, Min, TimeAbove, Tmax


def require_transpose(run: Solved, seed=0, count=3, tolerance=1e-11):
    """<w, J v> = <J^T w, v> for random v and w, relative to the sum of the sizes of the terms."""
    rng = np.random.default_rng(seed)
    rows = len(run.theta)
    assert (run.written["status"] == 0).all()
    theta_dot, dose_dots = run.directions(count, rng)
    values, summaries = run.push(theta_dot, dose_dots)
    w = rng.standard_normal(values[:, 0].shape), rng.standard_normal(summaries[:, 0].shape)
    bars = run.pull(*w)
    pairs = [(bars["theta_bar"], theta_dot)] + [(bars[f"{k}_bar"], dose_dots[f"{k}_dot"]) for k in OF_DOSES]
    left = np.einsum("rto,rdto->rd", w[0], values) + np.einsum("rs,rds->rd", w[1], summaries)
    right = np.sum([np.einsum("rk,rdk->rd", bar, dot) for bar, dot in pairs], axis=0)
    size = np.sum([np.einsum("rk,rdk->rd", np.abs(bar), np.abs(dot)) for bar, dot in pairs], axis=0)
    assert size.shape == (rows, count) and (size > 0).all()
    assert (np.abs(left - right) <= tolerance * size).all()


def along(model, regimen, request, theta, theta_dot):
    """Values, summaries and their derivatives along `theta_dot` (rows, directions, parameters), doses included."""
    run = Solved(model, regimen, request, theta)

    def given(theta):
        doses = doses_of(model, dose_events(regimen, model), theta, jnp)
        return [getattr(doses, k) for k in OF_DOSES]

    pushed = [jax.jvp(given, (jnp.asarray(run.theta),), (jnp.asarray(v),))[1] for v in np.moveaxis(theta_dot, 1, 0)]
    dots = {f"{k}_dot": np.stack([np.asarray(p[i]) for p in pushed], axis=1) for i, k in enumerate(OF_DOSES)}
    found = solution(request, run.samples, run.written)
    assert (found.status == 0).all()
    return found.values, found.summaries, *run.push(theta_dot, dots)


def differences(model, regimen, request, theta, theta_dot, step=1e-5):
    """The same derivatives from runs on both sides."""
    found = []
    for v in np.moveaxis(theta_dot, 1, 0):
        ends = []
        for sign in (1, -1):
            run = Solved(model, regimen, request, theta + sign * step * v)
            ends.append(solution(request, run.samples, run.written))
        found.append([(getattr(ends[0], k) - getattr(ends[1], k)) / (2 * step) for k in ("values", "summaries")])
    return [np.stack(x, axis=1) for x in zip(*found, strict=True)]


# programs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ZOO)
def test_programs_are_directional_derivatives(name):
    low = lower_functions(ZOO[name], None, 3, 3)
    ahead = forward_tangents(low)
    rng = np.random.default_rng(2)
    t, y, theta = 0.31, rng.uniform(0.3, 2, 3), rng.uniform(0.5, 3, 3)
    y_dot, theta_dot = rng.standard_normal(3), rng.standard_normal(3)

    def evaluated(program, **inputs):
        wanted = {k: inputs[k] for k in program.inputs}
        return program.evaluate_numpy(**wanted) if wanted else program.evaluate_numpy(t=[t])

    def pushed(push, **inputs):
        return evaluated(push.dots, **inputs, **evaluated(push.points, **inputs))

    at = {"t": [t], "y": y, "theta": theta, "y_dot": y_dot, "theta_dot": theta_dot}
    at |= evaluated(low.prologue, **at)
    at |= evaluated(ahead.more, **at)
    at["fixed_dot"] = pushed(ahead.prologue, **at)["fixed_dot"]

    def rates(y, theta):
        return ZOO[name](t, y, theta)

    def jacobian(y, theta):
        return jax.jacfwd(rates)(y, theta)

    expected = jax.jvp(rates, (y, theta), (y_dot, theta_dot))[1]
    np.testing.assert_allclose(pushed(ahead.rates, **at)["rates_dot"], expected, rtol=1e-12, atol=1e-12)
    entries = np.zeros((3, 3))
    for k, value in zip(ahead.entries, pushed(ahead.system, **at)["jacobian_dot"], strict=True):
        entries[low.pattern[k]] = value
    expected = jax.jvp(jacobian, (y, theta), (y_dot, theta_dot))[1]
    np.testing.assert_allclose(entries, expected, rtol=1e-12, atol=1e-12)


def test_a_branch_that_is_not_taken_does_no_harm():
    """The square root has no derivative at -1; in the branch that is taken the derivative by y is p, 2."""
    low = lower_functions(lambda t, y, p: jnp.where(y > 1.0, jnp.sqrt(y - 1.0), p * y), None, 1, 1)
    at = {
        "y": [0.0],
        "theta": [2.0],
        "y_dot": [1.0],
        "theta_dot": [0.0],
        "b": [1.0],
        "y_bar": [0.0],
        "theta_bar": [0.0],
    }

    def evaluated(program):
        return program.evaluate_numpy(**{k: at[k] for k in program.inputs})

    push = forward_tangents(low).rates
    at |= evaluated(push.points)
    assert evaluated(push.dots)["rates_dot"] == [2.0]
    assert evaluated(backward(low).rates.program)["y_bar"] == [2.0]


# the transpose --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCENARIOS)
def test_transpose_of_the_reverse_sweep(name):
    model = Modelled()
    require_transpose(Solved(model, Regimen(SCENARIOS[name], "h"), EVERYTHING, model.theta))


@pytest.mark.parametrize("times, summaries", [(OFTEN, ()), ((), ALL[:1]), ((), ALL[2:3])])
def test_transpose_of_little(times, summaries):
    model = Modelled()
    request = asked(model, times, ("CP", "depot"), summaries)
    require_transpose(Solved(model, Regimen(SCENARIOS["boluses"], "h"), request, model.theta))


def test_transpose_with_a_lag_longer_than_the_interval():
    model, regimen = Modelled(), Regimen(SCENARIOS["steady state, infusion"], "h")
    theta = model.theta.copy()
    theta[model.parameter_index("lag")] = 14.0
    events = dose_events(regimen, model, theta=theta)
    require_transpose(Solved(model, regimen, EVERYTHING, theta, events=events))


def test_transpose_with_a_reset_and_samples_before_doses():
    model = Modelled()
    samples = Samples(np.array([[0.0, 8.0, 8.0, 11.0, 11.0]]), np.array([[True, True, False, True, False]]))
    require_transpose(Solved(model, RESET, EVERYTHING, model.theta, samples=samples))


def test_transpose_of_a_binding_model():
    model = TMDD()
    regimen = Regimen((Dose(40, "nmol", "C", every=7, additional=2),), "day")
    name = next(iter(model.outputs))
    summaries = (Max(name), Min(name), AUC(name), Tmax(name), TimeAbove(name, 0.5))
    request = asked(model, (0.5, 3.0, 7.0, 20.0), (name,), summaries, t1=28.0)
    theta = model.theta * np.exp(0.2 * np.random.default_rng(4).standard_normal((21, len(model.theta))))
    require_transpose(Solved(model, regimen, request, theta))


@pytest.mark.parametrize("steady", [0, 1])
def test_transpose_of_rates_that_depend_on_time(steady):
    model = Clock()
    regimen = Regimen((Dose(6, "1", "C", every=9, additional=2, steady_state=steady),), "h")
    summaries = (Max("C"), Min("C"), AUC("C"), Tmax("E"), TimeAbove("C", 2.0))
    theta = model.theta * np.exp(0.2 * np.random.default_rng(4).standard_normal((11, len(model.theta))))
    require_transpose(Solved(model, regimen, asked(model, OFTEN, ("C", "E"), summaries, t1=30.0), theta))


@pytest.mark.slow
def test_transpose_of_a_large_network(repo_root):
    model = qspx.load_model(repo_root / "models" / "isb2001.py")
    regimen = Regimen((Dose(1.8, "nmol", "depot", every=7, additional=1),), "day")
    summaries = (Max("nACT"), AUC("C"), Tmax("C"))
    request = asked(model, (1.0, 7.0, 14.0), ("C", "nACT"), summaries, t1=14.0)
    theta = model.theta * np.random.default_rng(5).uniform(0.97, 1.03, (3, len(model.theta)))
    settings = NativeSettings(1e-6, 1e-12, 100_000, None, 1)
    # the condition of the factors is in both: a few digits more are lost
    require_transpose(Solved(model, regimen, request, theta, settings), tolerance=1e-10)


# other people's numbers -----------------------------------------------------------------------------------------------


def test_concentrations_and_peaks_in_closed_form():
    model = OneCompartment()
    given = (Dose(90, "nmol", "depot"), Dose(60, "nmol", "C", 6.0, duration=0.5))
    names, times = tuple(model.parameters), (0.7, 2.0, 6.2, 9.0)
    directions = np.eye(len(names))[None]
    request = asked(model, times, ("C",), (AUC("C", 0, 20), Max("C", 0, 6), Tmax("C", 0, 6)), t1=20.0)
    theta = np.array([[TYPICAL[k] for k in names]])
    values, summaries, values_dot, summaries_dot = along(model, Regimen(given, "day"), request, theta, directions)

    def level(theta, t):
        return concentration(t, given, dict(zip(names, theta, strict=True)))

    exact = jax.jacfwd(level)(theta[0], jnp.array(times))
    np.testing.assert_allclose(values[0, :, 0], level(theta[0], jnp.array(times)), rtol=1e-7)
    np.testing.assert_allclose(values_dot[0, :, :, 0].T, exact, rtol=1e-6, atol=1e-7)  # of runs to 1e-9
    _, peak_time, _ = extremes(0.0, 6.0, given)
    slope = jax.grad(level, argnums=1)
    of_slope = jax.jacfwd(slope)(theta[0], peak_time)
    bend = jax.grad(slope, argnums=1)(theta[0], peak_time)
    np.testing.assert_allclose(summaries[0, 2], peak_time, rtol=1e-5)
    np.testing.assert_allclose(summaries_dot[0, :, 1], jax.jacfwd(level)(theta[0], peak_time), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(summaries_dot[0, :, 2], -of_slope / bend, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["boluses", "modelled duration", "three steady states"])
def test_differences_of_runs(name):
    model, regimen, request = Modelled(), Regimen(SCENARIOS[name], "h"), EVERYTHING
    theta, rng = model.theta[None], np.random.default_rng(3)
    theta_dot = rng.standard_normal((1, 2, len(model.theta))) * theta[:, None]
    _, _, *found = along(model, regimen, request, theta, theta_dot)
    # errors of the runs, some 1e-9 of the values, over twice the step, are allowed for
    for x, expected in zip(found, differences(model, regimen, request, theta, theta_dot), strict=True):
        np.testing.assert_allclose(x, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max(initial=0.0))


@pytest.mark.parametrize("steady", [0, 1])
def test_differences_of_runs_whose_rates_depend_on_time(steady):
    model, rng = Clock(), np.random.default_rng(3)
    regimen = Regimen((Dose(6, "1", "C", every=9, additional=2, steady_state=steady),), "h")
    request = asked(model, OFTEN, ("C", "E"), (Max("C"), AUC("E"), TimeAbove("C", 2.0)), t1=30.0)
    theta_dot = rng.standard_normal((1, 2, len(model.theta))) * model.theta
    _, _, *found = along(model, regimen, request, model.theta[None], theta_dot)
    # what drives E has a kink where C = 1, which no step meets exactly
    for x, expected in zip(found, differences(model, regimen, request, model.theta[None], theta_dot), strict=True):
        np.testing.assert_allclose(x, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


# rows and directions --------------------------------------------------------------------------------------------------


@pytest.fixture
def many():
    model, regimen = OneCompartment(), Regimen((Dose(90, "nmol", "depot", every=3, additional=1),), "day")
    theta = model.theta * np.exp(0.2 * np.random.default_rng(6).standard_normal((21, len(model.theta))))
    theta[4, model.parameter_index("lag")] = -1.0
    request = asked(model, (1.0, 5.0, 8.0), ("C",), (Max("C"), AUC("C")), t1=8.0)
    samples = Samples(np.tile([1.0, 5.0, 8.0], (21, 1)), np.zeros((21, 3), bool))
    samples.time[7] = [2.0, np.inf, np.inf]
    return Solved(model, regimen, request, theta, samples=samples)


def test_failed_subjects_and_padding(many):
    theta_dot, dose_dots = many.directions(4, np.random.default_rng(7))
    for dots in (theta_dot, *dose_dots.values()):
        dots[4, 1] = 0.0
        dots[9, 2] = 0.0
    values, summaries = many.push(theta_dot, dose_dots)
    assert list(np.flatnonzero(many.written["status"])) == [4]
    assert np.isnan(values[4, [0, 2, 3]]).all() and np.isnan(summaries[4, [0, 2, 3]]).all()
    assert (values[4, 1] == 0).all() and (summaries[4, 1] == 0).all()
    assert (values[9, 2] == 0).all() and (summaries[9, 2] == 0).all()
    assert (values[7, :, 1:] == 0).all() and (values[7, :, 0] != 0).all()
    others = np.delete(np.arange(21), 4)
    assert np.isfinite(values[others]).all() and np.isfinite(summaries[others]).all()


def test_numbers_depend_on_nothing_but_the_subject_and_the_direction(many, monkeypatch):
    theta_dot, dose_dots = many.directions(5, np.random.default_rng(8))
    together = many.push(theta_dot, dose_dots)
    monkeypatch.setattr(tangent_call, "_MOST_DIRECTIONS", 2)
    monkeypatch.setattr(sweep_call, "LARGEST_TAPE", 10_000)
    for one, other in zip(together, many.push(theta_dot, dose_dots), strict=True):
        np.testing.assert_array_equal(one, other)


def test_no_direction(many):
    theta_dot, dose_dots = many.directions(0, np.random.default_rng(8))
    values, summaries = many.push(theta_dot, dose_dots)
    assert values.shape == (21, 0, 3, 1) and summaries.shape == (21, 0, 2)
