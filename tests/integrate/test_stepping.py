"""The stepping loop against closed forms: doses, edges of windows, endpoints, derivatives."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import systems

from qspx import AUC, Arm, Average, Cohort, Dose, Last, Max, Min, Protocol, Regimen, Tmax, simulate_cohort
from qspx._status import Status
from qspx.dose_events import dose_events
from qspx.integrate import DiffraxIntegrator, SolveRequest, stepping
from qspx.integrate.zero_safe import plain_step, zero_safe
from qspx.simulation import endpoint_function, simulate

MODEL = systems.OneCompartment()
TIGHT = DiffraxIntegrator(rtol=1e-11, atol=1e-13, lanes=4)
T0, T1 = -2.0, 21.0
TIMES = (-1.5, 0.0, 0.5, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 3.5, 5.0, 7.0, 7.2, 8.0, 10.0, 14.0, 17.0, 20.0, 21.0)
WINDOWS = ((None, None), (7.0, 14.0), (0.0, 3.0))
ARMS = {
    "bolus": Regimen.single(100, "nmol", "C"),
    "infusion": Regimen.single(100, "nmol", "C", at=1.0, duration=0.5),
    "depot": Regimen.single(100, "nmol", "depot"),
    "repeated": Regimen.repeated(50, "nmol", "C", every=7, n=3),
    "step-up": Regimen.step_up(100, "nmol", "depot", n=2),
    "infusions back to back": Regimen.repeated(10, "nmol", "C", every=0.3, n=5, duration=0.3),
    "all at once": Regimen(
        (
            Dose(30, "nmol", "C"),
            Dose(20, "nmol", "C"),
            Dose(60, "nmol", "depot"),
            Dose(40, "nmol", "C", at=2.0, duration=1.0),
            Dose(10, "nmol", "C", at=3.0),
        )
    ),
    "before zero": Regimen.single(100, "nmol", "C", at=T0),
    "infusion across zero": Regimen.single(100, "nmol", "C", at=-1.0, duration=3.0),
    "no drug": Regimen.single(0, "nmol", "C", at=5.0),
    "lag ends after the run": Regimen.single(100, "nmol", "depot", at=T1 - 0.1),
    "at the end": Regimen.single(100, "nmol", "C", at=T1),
}


def summaries():
    return [kind("C", a, b) for a, b in WINDOWS for kind in (Max, Tmax, Min, AUC, Average, Last)]


@pytest.fixture(scope="module")
def result():
    """One subject in every arm: one compilation, doses padded to the longest regimen."""
    arms = tuple(Arm(name, regimen, TIMES, ("C", "depot")) for name, regimen in ARMS.items())
    cohort = Cohort(MODEL, MODEL.theta[None], np.zeros(1))
    return simulate_cohort(MODEL, cohort, Protocol(arms), summaries=summaries(), integrator=TIGHT, progress=False)


@pytest.mark.parametrize("arm", ARMS)
def test_trajectory_equals_the_closed_form(result, arm):
    """At a dose time the value is the one after the dose, at the start and at the end of the run as well."""
    exact = systems.concentration(np.array(TIMES), ARMS[arm].doses)
    found = result.values("C")[list(ARMS).index(arm), 0]
    np.testing.assert_allclose(found, exact, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("arm", ARMS)
def test_endpoints_equal_the_closed_form(result, arm, window):
    """A window sees the value after a dose at its start and before a dose at its end."""
    a, b = T0 if window[0] is None else window[0], T1 if window[1] is None else window[1]
    doses = ARMS[arm].doses
    largest, at, smallest = systems.extremes(a, b, doses)
    whole = float(systems.area(a, b, doses))
    found = [result.metric(kind("C", *window).name)[list(ARMS).index(arm), 0]
             for kind in (Max, Min, AUC, Average, Last)]  # fmt: skip
    last = float(systems.concentration(b, doses, after=False))
    np.testing.assert_allclose(found, [largest, smallest, whole, whole / (b - a), last], rtol=1e-8, atol=1e-10)
    if largest > 0:
        # found where the slope of the continuous output is zero, whose error is one order larger than its own
        assert result.metric(Tmax("C", *window).name)[list(ARMS).index(arm), 0] == pytest.approx(at, abs=1e-8)


def test_textbook_endpoints():
    """The oracle itself: Bateman's tmax, AUC = F D / CL, Cmax of a bolus, steady infusion."""
    depot, k = ARMS["depot"].doses, 0.1
    assert systems.extremes(0, 50, depot)[1] == pytest.approx(0.2 + np.log(0.5 / k) / (0.5 - k), abs=1e-12)
    assert systems.area(0, 1e4, depot) == pytest.approx(0.7 * 100 / 0.3, rel=1e-12)
    assert systems.extremes(0, 50, ARMS["bolus"].doses)[0] == pytest.approx(100 / 3)
    long = Regimen.single(1e4, "nmol", "C", duration=1e3).doses
    assert systems.concentration(999.0, long) == pytest.approx(10 / 0.3, rel=1e-12)


def test_a_window_that_starts_with_a_bolus_has_the_peak_and_one_that_ends_there_the_trough(result):
    arm, p = list(ARMS).index("repeated"), systems.TYPICAL
    decay = np.exp(-7 * p["CL"] / p["V"])
    trough = 50 / 3 * (decay + decay**2)
    assert result.metric("max(C, 7..14)")[arm, 0] == pytest.approx(50 / 3 * (1 + decay), rel=1e-10)
    assert result.metric("tmax(C, 7..14)")[arm, 0] == 7.0
    assert result.metric("last(C, 7..14)")[arm, 0] == pytest.approx(trough, rel=1e-10)
    assert result.values("C")[arm, 0, TIMES.index(14.0)] == pytest.approx(trough + 50 / 3, rel=1e-10)


def test_a_negative_lag_is_an_absurd_parameter_and_loses_no_dose_silently():
    batch = _batch(MODEL.theta_with({"lag": -0.5}), ARMS["depot"])
    assert batch.status[0] == Status.NONFINITE
    assert np.isnan(batch.summaries).all()


def _batch(theta, regimen, integrator=TIGHT):
    request = SolveRequest(MODEL, (), (), (Max("C"),), 0.0, 10.0)
    events = dose_events(regimen, MODEL)
    return integrator.solve_batch(request, theta[None], type(events)(*(field[None] for field in events)))


def test_a_dose_in_hours_falls_on_the_sample_in_days():
    """168 h is day 7: the sample there is after the dose, whatever the rounding of 1/24."""
    at = [24.0 * day for day in (1, 3, 5, 6, 7)]
    doses = tuple(Dose(30, "nmol", "C", t) for t in at)
    events = dose_events(Regimen(doses, "h"), MODEL)
    np.testing.assert_array_equal(events.time, [1, 3, 5, 6, 7])


# derivatives -----------------------------------------------------------------------------------------------------

REGIMEN = Regimen((Dose(100, "nmol", "depot"), Dose(30, "nmol", "C", at=4.0, duration=1.0)))
ENDPOINTS = (
    Max("C", 0, 3.9),
    Tmax("C", 0, 3.9),
    AUC("C", 0, 10),
    Average("C", 2, 10),
    Last("C", 0, 8),
    Min("C", 5, 10),
)


def closed_endpoints(p, scale=1.0):
    """`ENDPOINTS` in closed form, with Tmax = lag + log(ka / k) / (ka - k) for the depot alone."""
    k = p["CL"] / p["V"]
    top = p["lag"] + jnp.log(p["ka"] / k) / (p["ka"] - k)
    doses = REGIMEN.doses
    values = [
        systems.concentration(top, doses[:1], p),
        top / scale,
        systems.area(0.0, 10.0, doses, p),
        systems.area(2.0, 10.0, doses, p) / 8,
        systems.concentration(8.0, doses, p),
        systems.concentration(10.0, doses, p),
    ]
    return scale * jnp.stack(values)


# absorption is fast here, so that the peak lies inside the first window
POINT = systems.TYPICAL | {"ka": 1.5}


def test_forward_derivatives_of_endpoints_by_parameters_and_dose():
    f = endpoint_function(MODEL, REGIMEN, ENDPOINTS, DiffraxIntegrator(rtol=1e-10, atol=1e-12))
    theta = jnp.asarray(MODEL.theta_with({"ka": 1.5}))
    values = jax.jit(f)(theta, 1.0)
    np.testing.assert_allclose(values, closed_endpoints(POINT), rtol=1e-8)
    by_theta, by_scale = jax.jit(jax.jacfwd(f, (0, 1)))(theta, 1.0)
    # the derivative of the largest value has the error of its time, times the curvature: 2e-7 beside values up to 27
    np.testing.assert_allclose(by_theta, systems.gradient(closed_endpoints, POINT), rtol=1e-6, atol=1e-6)
    expected = np.array(values)
    expected[1] = 0.0  # the time of the peak does not depend on the dose
    np.testing.assert_allclose(by_scale, expected, rtol=1e-6, atol=1e-8)


def test_derivative_of_a_concentration_by_lag_is_the_closed_form():
    """C(t) depends on t - lag only, so dC/dlag = -dC/dt; before the lag has passed it is zero."""
    times = (0.1, 0.5, 1.0, 3.0, 9.0)
    request = SolveRequest(MODEL, times, ("C",), (), 0.0, 10.0)
    events = dose_events(ARMS["depot"], MODEL)
    integrator = DiffraxIntegrator(rtol=1e-10, atol=1e-12)

    def values(lag):
        return integrator.solve_one(
            request, jnp.asarray(MODEL.theta).at[MODEL.parameter_index("lag")].set(lag), events
        )[0]

    slopes = [float(jax.grad(lambda t: systems.concentration(t, ARMS["depot"].doses))(t)) for t in times]
    found = jax.jit(jax.jacfwd(values))(0.2)[:, 0]
    np.testing.assert_allclose(found, -np.array(slopes), rtol=1e-6, atol=1e-12)


def test_reverse_derivatives_equal_the_closed_form():
    """Through samples and endpoints at once."""
    integrator = DiffraxIntegrator(rtol=1e-10, atol=1e-12, max_steps=1000, reverse=True)
    request = SolveRequest(MODEL, (1.0, 6.0), ("C",), ENDPOINTS[2:], 0.0, 10.0)
    events = dose_events(REGIMEN, MODEL)

    def loss(theta):
        values, endpoints, *_ = integrator.solve_one(request, theta, events)
        return jnp.sum(values) + jnp.sum(endpoints)

    def closed(p):
        return sum(systems.concentration(t, REGIMEN.doses, p) for t in (1.0, 6.0)) + closed_endpoints(p)[2:].sum()

    value, found = jax.jit(jax.value_and_grad(loss))(jnp.asarray(MODEL.theta_with({"ka": 1.5})))
    assert value == pytest.approx(float(closed(POINT)), rel=1e-8)
    np.testing.assert_allclose(found, systems.gradient(closed, POINT), rtol=1e-6)


def test_both_directions_agree_where_fast_subjects_wait_for_slow_ones():
    """A subject that is done takes steps of no length until its group is; they must add nothing."""
    m = systems.TMDD()
    request = SolveRequest(m, (1.0, 5.0), ("C",), (AUC("C"),), 0.0, 6.0)
    events = dose_events(Regimen.repeated(20, "nmol", "C", every=3, n=2), m)
    theta = jnp.stack([jnp.asarray(m.theta_with({"kon": k})) for k in (20.0, 0.1, 500.0)])

    def derivatives(transform, **options):
        integrator = DiffraxIntegrator(rtol=1e-7, max_steps=500, **options)

        def loss(row):
            values, endpoints, *_ = integrator.solve_one(request, row, events)
            return values.sum() + endpoints.sum()

        return jax.jit(jax.vmap(transform(loss)))(theta)

    np.testing.assert_allclose(derivatives(jax.grad, reverse=True), derivatives(jax.jacfwd), rtol=1e-9)


def reverse_through_a_rejected_step(k: float):
    """d/dk of (1 - k t / 2)^2 at t = 1.99, close to where it ends, so that a step goes beyond and is rejected."""
    m = systems.SquareRoot()
    request = SolveRequest(m, (1.99,), ("y1",), (Min("y1"),), 0.0, 1.99)
    integrator = DiffraxIntegrator(rtol=1e-3, max_steps=300, reverse=True)
    events = dose_events(Regimen.single(0, "", "y1"), m)

    def final(k):
        values, endpoints, *_ = integrator.solve_one(request, jnp.array([k]), events)
        return values[0, 0] + endpoints[0]

    return jax.jit(jax.grad(final))(k)


def test_a_rejected_step_that_is_not_a_number_leaves_the_gradient_finite():
    assert reverse_through_a_rejected_step(1.0) == pytest.approx(-2 * 1.99 * (1 - 1.99 / 2), rel=2e-3)


def test_without_the_guard_the_gradient_is_not_a_number(monkeypatch):
    """Guards the test above: its solve must hold such a step."""
    monkeypatch.setattr(stepping, "zero_safe_step", plain_step)
    assert np.isnan(reverse_through_a_rejected_step(1.0))


def test_zero_safe_passes_cotangents_on_and_keeps_zeros():
    def root(x, scale):
        return {"a": scale * jnp.sqrt(x), "b": x**2}

    def picked(x, scale, keep):
        out = zero_safe(root, x, scale)
        return jnp.where(keep, out["a"], 0.0) + jnp.where(keep, out["b"], 0.0)

    found = jax.grad(picked, (0, 1))(4.0, 3.0, True)
    np.testing.assert_allclose(found, [3 / 4 + 8, 2.0])
    np.testing.assert_array_equal(jax.grad(picked, (0, 1))(-4.0, 3.0, False), [0.0, 0.0])


# failures ----------------------------------------------------------------------------------------------------------


def test_a_simulation_that_fails_says_when_and_why():
    m = systems.Trouble()
    with pytest.raises(Exception, match=r"stopped at 1\.3.* after \d+ steps: (DT_MIN|NONFINITE)"):
        simulate(m, Regimen.single(1, "nmol", "x"), [10.0], parameters={"b": 1.0, "k": 0.5}, observables=["x"])
