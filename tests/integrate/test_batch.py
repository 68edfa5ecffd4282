"""The native engine: closed forms, the other engine, failures, and independence of everything but the subject."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import systems
from test_diffrax_integrator import HEALTHY, ILL, REQUEST, TROUBLE, thetas, tile
from test_program import model_called
from test_stepping import ARMS, MODEL, T0, T1, TIMES, WINDOWS, summaries

from qspx import (
    AUC,
    Arm,
    Average,
    Cohort,
    Dose,
    FractionAbove,
    Last,
    Max,
    Min,
    Protocol,
    Regimen,
    TimeAbove,
    TimeBelow,
    Tmax,
    simulate,
    simulate_cohort,
)
from qspx._errors import SolveError
from qspx._status import Status
from qspx.dose_events import DoseEvents, dose_events, subject_doses
from qspx.integrate import BatchIntegrator, DiffraxIntegrator, SolveRequest, native_call

TIGHT = BatchIntegrator(rtol=1e-11, atol=1e-13)
INTEGRATOR = BatchIntegrator(rtol=1e-8, atol=1e-12, max_steps=2000, threads=1)


def rows_of(events: DoseEvents, n: int) -> DoseEvents:
    return DoseEvents(*(np.tile(field, (n, 1)) for field in events))


# closed forms ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def result():
    arms = tuple(Arm(name, regimen, TIMES, ("C", "depot")) for name, regimen in ARMS.items())
    cohort = Cohort(MODEL, MODEL.theta[None], np.zeros(1))
    return simulate_cohort(MODEL, cohort, Protocol(arms), summaries=summaries(), integrator=TIGHT, progress=False)


@pytest.mark.parametrize("arm", ARMS)
def test_trajectory_equals_the_closed_form(result, arm):
    exact = systems.concentration(np.array(TIMES), ARMS[arm].doses)
    found = result.values("C")[list(ARMS).index(arm), 0]
    np.testing.assert_allclose(found, exact, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("arm", ARMS)
def test_endpoints_equal_the_closed_form(result, arm, window):
    a, b = T0 if window[0] is None else window[0], T1 if window[1] is None else window[1]
    doses, row = ARMS[arm].doses, list(ARMS).index(arm)
    largest, at, smallest = systems.extremes(a, b, doses)
    whole = float(systems.area(a, b, doses))
    found = [result.metric(kind("C", *window).name)[row, 0] for kind in (Max, Min, AUC, Average, Last)]
    last = float(systems.concentration(b, doses, after=False))
    np.testing.assert_allclose(found, [largest, smallest, whole, whole / (b - a), last], rtol=1e-8, atol=1e-10)
    if largest > 0:
        assert result.metric(Tmax("C", *window).name)[row, 0] == pytest.approx(at, abs=1e-8)


def test_a_rate_that_depends_on_time_keeps_the_order():
    """y' = cos(t) y from 1 is exp(sin t): without the time derivative in the stages the error is 1e4 times larger."""

    class Driven(systems.AbstractModel):
        x = systems.Species("1")
        k = systems.Parameter(1.0, "1/day")

        def initial(self, p):
            return {"x": 1.0}

        def rates(self, t, y, p):
            return {"x": p.k * jnp.cos(p.k * t) * y.x}

    t = np.linspace(0, 10, 8)
    solution = simulate(Driven(), Regimen.single(0, "", "x"), t, observables=["x"], integrator=TIGHT)
    np.testing.assert_allclose(solution["x"], np.exp(np.sin(t)), rtol=1e-9)


# the other engine --------------------------------------------------------------------------------------------------

# what is dosed, what is seen, and a level that it crosses
CASES = {
    "schropp2019": ("C", "nmol", 300.0, "RA", 0.01),
    "penney2025": ("C", "mg/kg", 0.01, "R3", 0.12),
    "miao2023": ("central", "mg", 10.0, "C", 1500.0),
    "isb2001": ("depot", "ug/kg", 30.0, "nACT", 3.0),
    "betts2018": ("C", "mg/kg", 1.0, "C", 20.0),
}


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_the_traceable_engine(name):
    into, unit, amount, seen, level = CASES[name]
    model, n = model_called(name), 11
    step_up = Regimen.step_up(amount, unit, into, n=4).doses
    regimen = Regimen((*step_up[:2], Dose(amount / 2, unit, into, 5.0, duration=0.3), *step_up[2:]))
    rng = np.random.default_rng(3)
    theta = model.theta * np.exp(0.1 * rng.standard_normal((n, len(model.theta))))
    bounded = [p.bounds is not None for p in model.parameters.values()]
    theta[:, bounded] = model.theta[bounded]
    endpoints = [k(seen, 3, 21) for k in (Max, Tmax, Min, AUC, Average, Last)]
    endpoints += [Max(into, 0, 7), AUC(into), Tmax(into, 7, 14), Last(seen)]
    endpoints += [TimeAbove(seen, level, 3, 21), TimeBelow(seen, level), FractionAbove(seen, level, 3, 21)]
    request = SolveRequest(model, (0.0, 1.0, 7.0, 20.0, 28.0), (seen, into), tuple(endpoints), 0.0, 28.0)
    events = rows_of(dose_events(regimen, model), n)
    found = BatchIntegrator().solve_batch(request, theta, events)
    expected = DiffraxIntegrator().solve_batch(request, theta, events)
    np.testing.assert_array_equal(found.status, Status.OK)
    np.testing.assert_allclose(found.steps, expected.steps, rtol=0.02)  # the same controller
    scale = np.abs(expected.values).max(axis=1, keepdims=True)
    np.testing.assert_allclose(found.values / scale, expected.values / scale, atol=1e-5)
    beyond = np.array([s.beyond is not None for s in endpoints])
    assert ((found.summaries[:, beyond] > 0) & (found.summaries[:, beyond] < 27)).any(axis=0).all()
    tmax = np.array([isinstance(s, Tmax) for s in endpoints])
    np.testing.assert_allclose(found.summaries[:, tmax], expected.summaries[:, tmax], rtol=1e-4)
    np.testing.assert_allclose(found.summaries[:, ~tmax], expected.summaries[:, ~tmax], rtol=1e-5)
    np.testing.assert_array_equal(found.end_time, 28.0)


def test_doses_are_those_of_the_subject():
    """Weight, molar mass, volume, bioavailability and lag."""
    model, n = model_called("isb2001"), 5
    rng = np.random.default_rng(0)
    theta = model.theta * np.exp(0.2 * rng.standard_normal((n, len(model.theta))))
    doses = Regimen(
        (Dose(3, "ug/kg", "depot"), Dose(5, "nmol", "C", 1.0, 0.2), Dose(5, "mg", "depot", 2, None, 0.4, 1))
    )
    events = rows_of(dose_events(doses, model), n)
    found = subject_doses(model, theta, events, np)
    expected = jax.vmap(lambda *a: subject_doses(model, *a, jnp))(theta, DoseEvents(*map(jnp.asarray, events)))
    for name, value in found._asdict().items():
        np.testing.assert_allclose(value, getattr(expected, name), rtol=1e-14)


def test_derivatives_are_those_of_the_traceable_engine():
    events = dose_events(Regimen.single(1.0, "nmol", "x"), TROUBLE)

    def last(integrator):
        return jax.jacfwd(lambda theta: integrator.solve_one(REQUEST, theta, events)[1])(jnp.asarray(TROUBLE.theta))

    plain = DiffraxIntegrator(rtol=1e-8, atol=1e-12, max_steps=2000)
    np.testing.assert_allclose(last(INTEGRATOR), last(plain), rtol=1e-6, atol=1e-8)


# subjects do not see each other --------------------------------------------------------------------------------------


def solve(theta: np.ndarray, integrator: BatchIntegrator = INTEGRATOR):
    return integrator.solve_batch(REQUEST, theta, tile(len(theta)))


@pytest.fixture(scope="module")
def alone():
    return [solve(thetas(change)) for change in HEALTHY]


def assert_same(together, row, single):
    for a, b in zip(together, single, strict=True):
        np.testing.assert_array_equal(a[row], b[0])


def test_healthy_subjects_equal_the_closed_form(alone):
    for change, found in zip(HEALTHY, alone, strict=True):
        assert found.status[0] == Status.OK
        x = systems.healthy(np.array(REQUEST.times), 1.0, change["k"])
        np.testing.assert_allclose(found.values[0], np.stack([x, np.cos(REQUEST.times)], axis=1), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("kind", ILL)
def test_a_failing_neighbour_changes_no_bit(alone, kind):
    change, expected = ILL[kind]
    for i, healthy in enumerate(HEALTHY):
        found = solve(thetas(change, healthy, change))
        assert found.status[0] in expected and found.status[2] in expected
        assert np.isnan(found.values[[0, 2]]).all() and np.isnan(found.summaries[[0, 2]]).all()
        assert_same(found, 1, alone[i])


def test_failures_are_those_of_the_traceable_engine():
    changes = [{}, *(change for change, _ in ILL.values()), {"k": 2.0}]
    theta = thetas(*changes)
    plain = DiffraxIntegrator(rtol=1e-8, atol=1e-12, max_steps=2000).solve_batch(REQUEST, theta, tile(len(theta)))
    np.testing.assert_array_equal(solve(theta).status, plain.status)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("n", [1, 7, 8, 9, 50])
def test_neither_number_nor_order_nor_threads_change_a_bit(alone, n, threads):
    order = np.random.default_rng(n).integers(0, len(HEALTHY), n)
    theta = thetas(*(HEALTHY[i] for i in order))
    found = solve(theta, dataclasses.replace(INTEGRATOR, threads=threads))
    for row, i in enumerate(order):
        assert_same(found, row, alone[i])


def test_a_stiff_model_with_doses_is_solved_alike_in_every_place():
    """Doses, an infusion, samples and endpoints of every kind at different times in every lane."""
    model, n = model_called("isb2001"), 19
    doses = Regimen((Dose(9, "ug/kg", "depot"), Dose(9, "ug/kg", "C", 2.0, 0.5), Dose(30, "ug/kg", "depot", 3.0)))
    theta = model.theta * np.exp(0.1 * np.random.default_rng(1).standard_normal((n, len(model.theta))))
    kinds = (Max, Tmax, Min, AUC, Average, Last)
    asked = [k("nACT", 2, 6) for k in kinds] + [TimeAbove("nACT", 0.3), TimeBelow("C", 0.1, 1, 5)]
    request = SolveRequest(model, (1.0, 3.0, 5.5), ("nACT", "C"), tuple(asked), 0.0, 6.0)
    events = rows_of(dose_events(doses, model), n)
    together = BatchIntegrator(threads=1).solve_batch(request, theta, events)
    solved = together.summaries[together.status == Status.OK]
    assert ((solved[:, -2:] > 0) & (solved[:, -2:] < [6, 4])).all()
    order = np.random.default_rng(2).permutation(n)
    shuffled = BatchIntegrator(threads=2).solve_batch(request, theta[order], events)
    for a, b in zip(together, shuffled, strict=True):
        np.testing.assert_array_equal(a[order], b)
    one = DoseEvents(*(field[:1] for field in events))
    for row in (0, 9, 18):
        assert_same(together, row, BatchIntegrator().solve_batch(request, theta[[row]], one))


def test_width_of_the_vectors_changes_no_more_than_rounding():
    theta = thetas(*HEALTHY)
    narrow, wide = (solve(theta, dataclasses.replace(INTEGRATOR, lanes=lanes)) for lanes in (2, 8))
    np.testing.assert_allclose(narrow.summaries, wide.summaries, rtol=1e-12)


def test_a_step_whose_factors_lost_their_digits_is_rejected():
    """u' = -w v, v' = w u from rest: the error is zero, but the guard of W is s^2 / (s^2 + w^2) with s = 1 / (h gamma),
    below 1e-8 for h > 1e4 / (w gamma) = 0.047."""

    class AtRest(systems.AbstractModel):
        u = systems.Species("1", signed=True)
        v = systems.Species("1", signed=True)
        w = systems.Parameter(1e6, "1/day")

        def rates(self, t, y, p):
            return {"u": -p.w * y.v, "v": p.w * y.u}

    request = SolveRequest(AtRest(), (10.0,), ("u",), (), 0.0, 10.0)
    events = rows_of(dose_events(Regimen.single(0, "", "u"), AtRest()), 2)
    theta = np.stack([AtRest().theta_with({"w": w}) for w in (1e6, 1e3)])
    found = BatchIntegrator().solve_batch(request, theta, events)
    np.testing.assert_array_equal(found.status, Status.OK)
    assert 10 / 0.0472 < found.steps[0] < 2000  # with those that were rejected
    assert found.steps[1] < 20


def test_a_negative_lag_is_an_absurd_parameter_and_loses_no_dose_silently():
    request = SolveRequest(MODEL, (), (), (Max("C"),), 0.0, 10.0)
    events = rows_of(dose_events(ARMS["depot"], MODEL), 2)
    theta = np.stack([MODEL.theta_with({"lag": lag}) for lag in (-0.5, 0.5)])
    found = TIGHT.solve_batch(request, theta, events)
    assert list(found.status) == [Status.NONFINITE, Status.OK]


def test_one_compilation_serves_all_sizes_doses_and_tolerances():
    native_call._compiled.cache_clear()
    for n, amount, rtol in ((2, 1.0, 1e-6), (9, 5.0, 1e-7), (1, 0.1, 1e-5)):
        found = BatchIntegrator(rtol=rtol).solve_batch(REQUEST, np.tile(TROUBLE.theta, (n, 1)), tile(n, amount))
        assert (found.status == Status.OK).all()
    assert native_call._compiled.cache_info().misses == 1


def test_nothing_asked_and_nobody_there():
    states_only = SolveRequest(TROUBLE, (), (), (), 0.0, 4.0)
    found = INTEGRATOR.solve_batch(states_only, thetas({}, {"k": np.nan}), tile(2))
    assert list(found.status) == [Status.OK, Status.NONFINITE]
    assert found.values.shape == (2, 0, 0) and found.summaries.shape == (2, 0)
    assert found.end_time[0] == 4.0 and found.steps[0] > 0
    nobody = solve(np.zeros((0, len(TROUBLE.theta))))
    assert nobody.values.shape == (0, 2, 2) and nobody.summaries.shape == (0, 3)


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("rows", [0, 1, 7, 8, 100, 4097])
def test_ranges_hold_every_row_once(rows, threads):
    ranges = native_call.ranges(rows, threads, 8)
    assert [row for a, b in ranges for row in range(a, b)] == list(range(rows))
    assert all(b - a >= min(8, rows) for a, b in ranges)


# what it refuses ----------------------------------------------------------------------------------------------------


def test_a_model_without_a_scalar_program_is_refused_with_the_way_out():
    class Angle(systems.AbstractModel):
        x = systems.Species("1")
        k = systems.Parameter(1.0, "1/day")

        def rates(self, t, y, p):
            return {"x": p.k * jnp.arctan2(y.x, 1.0)}

    request = SolveRequest(Angle(), (1.0,), ("x",), (), 0.0, 1.0)
    events = rows_of(dose_events(Regimen.single(0, "", "x"), Angle()), 1)
    with pytest.raises(SolveError, match=r"(?s)Angle cannot be compiled.*atan2.*DiffraxIntegrator"):
        BatchIntegrator().solve_batch(request, Angle().theta[None], events)


def test_settings_are_checked_and_named():
    for name in ("rtol", "max_steps", "lanes", "threads"):
        with pytest.raises(SolveError, match=f"`{name}` must be"):
            BatchIntegrator(**{name: 0})
    with pytest.raises(SolveError, match="`precision` must be"):
        BatchIntegrator(precision="float16")
    expected = {"integrator": "BatchIntegrator", "solver": "Rodas5P", "rtol": 1e-6, "atol": 1e-12}
    expected |= {"max_steps": 100_000, "lanes": 4, "precision": "float64"}
    assert BatchIntegrator(lanes=4).settings == expected
