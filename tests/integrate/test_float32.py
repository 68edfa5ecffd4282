"""The native engine in float32: closed forms, float64, a year of daily doses, failures, and independence of subjects.

The tolerance is 10 rtol of the largest value throughout: rtol bounds the error of one step, and float32 adds some
hundred roundings of 6e-8 to it.
"""

from __future__ import annotations

import warnings

import jax.numpy as jnp
import numpy as np
import pytest
import systems
from test_batch import assert_same, rows_of
from test_diffrax_integrator import HEALTHY, ILL, REQUEST, thetas, tile
from test_program import model_called
from test_stepping import ARMS, MODEL, T0, T1, TIMES, WINDOWS, summaries

from qspx import AUC, Arm, Average, Cohort, Dose, Last, Max, Min, Protocol, Regimen, Tmax, simulate, simulate_cohort
from qspx._errors import SolveError
from qspx._status import Status
from qspx.dose_events import DoseEvents, dose_events
from qspx.integrate import BatchIntegrator, PrecisionWarning, SolveRequest

pytestmark = pytest.mark.filterwarnings("ignore::qspx._precision.PrecisionWarning")
RTOL = 1e-4


def single(**more) -> BatchIntegrator:
    return BatchIntegrator(**{"rtol": RTOL, "atol": 1e-9, "precision": "float32"} | more)


def assert_near(found, exact, axis=None) -> None:
    """Within 10 rtol of the largest value."""
    scale = np.abs(exact).max(axis=axis, keepdims=True)
    np.testing.assert_allclose(found / scale, exact / scale, rtol=0, atol=10 * RTOL)


# closed forms ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def result():
    arms = tuple(Arm(name, regimen, TIMES, ("C", "depot")) for name, regimen in ARMS.items() if name != "no drug")
    cohort = Cohort(MODEL, MODEL.theta[None], np.zeros(1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PrecisionWarning)
        integrator = single()
    return simulate_cohort(
        MODEL, cohort, Protocol(arms), summaries=summaries(), integrator=integrator, progress=False
    ), [arm.name for arm in arms]


@pytest.mark.parametrize("arm", [arm for arm in ARMS if arm != "no drug"])
def test_trajectory_and_endpoints_equal_the_closed_form(result, arm):
    cohort, arms = result
    doses, row = ARMS[arm].doses, arms.index(arm)
    exact = np.asarray(systems.concentration(np.array(TIMES), doses))
    peak = exact.max() or 1.0
    np.testing.assert_allclose(cohort.values("C")[row, 0], exact, rtol=0, atol=10 * RTOL * peak)
    for window in WINDOWS:
        a, b = T0 if window[0] is None else window[0], T1 if window[1] is None else window[1]
        largest, at, smallest = systems.extremes(a, b, doses)
        average = float(systems.area(a, b, doses)) / (b - a)
        last = float(systems.concentration(b, doses, after=False))
        found = [cohort.metric(kind("C", *window).name)[row, 0] for kind in (Max, Min, AUC, Average, Last)]
        exact = [largest, smallest, average * (b - a), average, last]
        np.testing.assert_allclose(found, exact, rtol=10 * RTOL, atol=10 * RTOL * peak)
        if largest > 1e-3 * peak:
            assert cohort.metric(Tmax("C", *window).name)[row, 0] == pytest.approx(at, abs=0.02)  # the top is flat


def test_a_rate_that_depends_on_time():
    """y' = cos(t) y from 1 is exp(sin t)."""

    class Driven(systems.AbstractModel):
        x = systems.Species("1")
        k = systems.Parameter(1.0, "1/day")

        def initial(self, p):
            return {"x": 1.0}

        def rates(self, t, y, p):
            return {"x": p.k * jnp.cos(p.k * t) * y.x}

    t = np.linspace(0, 10, 8)
    solution = simulate(Driven(), Regimen.single(0, "", "x"), t, observables=["x"], integrator=single())
    assert_near(solution["x"], np.exp(np.sin(t)))


SECOND = 1 / 86400


def test_a_year_of_daily_doses_keeps_the_time():
    """Half lives of 5 hours, so that a dose is seen: samples a second before, at and after the last dose but one, which
    a clock in float32 (steps of 3 s at day 364) would take for one, and a window that starts and ends with a dose."""
    regimen = Regimen.repeated(100, "nmol", "C", every=1.0, n=365)
    p = systems.TYPICAL | {"CL": 10.0}
    times = np.array([0.5, 100 - SECOND, 100.0, 200.3, 364 - SECOND, 364.0, 364 + SECOND, 364.5, 365.0])
    windows = [k("C", 363.0, 364.0) for k in (Max, Tmax, Min, AUC, Last)]
    request = SolveRequest(MODEL, tuple(times), ("C",), tuple(windows), 0.0, 365.0)
    found = single().solve_batch(request, MODEL.theta_with({"CL": 10.0})[None], rows_of(dose_events(regimen, MODEL), 1))
    assert found.status[0] == Status.OK
    assert_near(found.values[0, :, 0], np.asarray(systems.concentration(times, regimen.doses, p)))
    largest, at, smallest = systems.extremes(363.0, 364.0, regimen.doses, p)
    area = float(systems.area(363.0, 364.0, regimen.doses, p))
    last = float(systems.concentration(364.0, regimen.doses, p, after=False))
    np.testing.assert_allclose(found.summaries[0], [largest, at, smallest, area, last], rtol=10 * RTOL)
    assert found.summaries[0, 1] == 363.0 and found.end_time[0] == 365.0


@pytest.mark.parametrize("rtol", [1e-5, 1e-4, 1e-3])
def test_a_steady_state_is_found(rtol):
    """Boluses every tau for ever: C = D / V e^(-k t) / (1 - e^(-k tau)), with k = CL / V = 0.1 per day."""
    regimen = Regimen((Dose(100.0, "nmol", "C", every=1.0, steady_state=1),))
    times = (0.0, 0.5, 0.9)
    request = SolveRequest(MODEL, times, ("C",), (), 0.0, 1.0, marks=True)
    events = rows_of(dose_events(regimen, MODEL), 1)
    found = single(rtol=rtol).solve_batch(request, MODEL.theta[None], events)
    assert found.status[0] == Status.OK
    exact = 100 / 3 * np.exp(-0.1 * np.array(times)) / -np.expm1(-0.1)
    np.testing.assert_allclose(found.values[0, :, 0], exact, rtol=10 * rtol)


# float64 -----------------------------------------------------------------------------------------------------------


class Cascade(systems.AbstractModel):
    """A drug that switches on a chain of kinases, each by a Hill function, which holds the drug's effect back."""

    C = systems.Species("nM", volume="V")
    a = systems.Species("1")
    b = systems.Species("1")
    c = systems.Species("1")
    V = systems.Parameter(3.0, "L")
    kel = systems.Parameter(0.2, "1/day")
    k = systems.Parameter(50.0, "1/day")
    half = systems.Parameter(0.3, "1")
    EC50 = systems.Parameter(5.0, "nM")
    n = systems.Parameter(3.0, "", bounds=(1.0, 6.0))

    def rates(self, t, y, p):
        def on(x, middle):
            return 1 - 1 / (1 + (x / middle) ** p.n)

        return {
            "C": -p.kel * y.C,
            "a": p.k * (on(y.C, p.EC50) * (1 - y.a) / (1 + y.c / p.half) - y.a),
            "b": 0.1 * p.k * (on(y.a, p.half) * (1 - y.b) - y.b),
            "c": 0.01 * p.k * (on(y.b, p.half) * (1 - y.c) - y.c),
        }


MODELS = {
    "TMDD": (systems.TMDD(), "C", "nmol", 30.0, "RC"),
    "cascade": (Cascade(), "C", "nmol", 60.0, "c"),
    "isb2001": (model_called("isb2001"), "depot", "ug/kg", 30.0, "nACT"),
    "schropp2019": (model_called("schropp2019"), "C", "nmol", 300.0, "RA"),
}


@pytest.mark.parametrize("name", MODELS)
def test_agrees_with_float64(name):
    model, into, unit, amount, seen = MODELS[name]
    n = 19
    doses = (*Regimen.step_up(amount, unit, into, n=3).doses, Dose(amount / 2, unit, into, 22.0, duration=0.3))
    theta = model.theta * np.exp(0.1 * np.random.default_rng(3).standard_normal((n, len(model.theta))))
    bounded = [p.bounds is not None for p in model.parameters.values()]
    theta[:, bounded] = model.theta[bounded]
    endpoints = tuple(k(seen, 3, 21) for k in (Max, Min, AUC, Average, Last))
    request = SolveRequest(model, (0.0, 1.0, 7.0, 20.0, 28.0), (seen, into), endpoints, 0.0, 28.0)
    events = rows_of(dose_events(Regimen(doses), model), n)
    found = single().solve_batch(request, theta, events)
    exact = BatchIntegrator(rtol=1e-9, atol=1e-14).solve_batch(request, theta, events)
    np.testing.assert_array_equal(found.status, Status.OK)
    assert_near(found.values, exact.values, axis=1)
    # a cascade that rests is small beside atol: 1e-9 in each of 130 steps
    np.testing.assert_allclose(found.summaries, exact.summaries, rtol=10 * RTOL, atol=130e-9)


def test_derivatives_are_in_float64():
    events = dose_events(Regimen.single(1.0, "nmol", "x"), REQUEST.model)
    theta = jnp.asarray(REQUEST.model.theta)
    plain = BatchIntegrator(rtol=RTOL, atol=1e-9)
    np.testing.assert_array_equal(
        single().solve_one(REQUEST, theta, events)[1], plain.solve_one(REQUEST, theta, events)[1]
    )


# subjects do not see each other --------------------------------------------------------------------------------------


def solve(theta: np.ndarray, **more):
    return single(max_steps=2000, **more).solve_batch(REQUEST, theta, tile(len(theta)))


@pytest.fixture(scope="module")
def alone():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PrecisionWarning)
        return [solve(thetas(change)) for change in HEALTHY]


@pytest.mark.parametrize("kind", ILL)
def test_a_failing_neighbour_is_told_and_changes_no_bit(alone, kind):
    change, expected = ILL[kind]
    for i, healthy in enumerate(HEALTHY):
        found = solve(thetas(change, healthy, change))
        assert found.status[0] in expected and found.status[2] in expected
        assert np.isnan(found.values[[0, 2]]).all() and np.isnan(found.summaries[[0, 2]]).all()
        assert_same(found, 1, alone[i])


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("n", [1, 7, 16, 17, 100])
def test_neither_number_nor_order_nor_threads_change_a_bit(alone, n, threads):
    order = np.random.default_rng(n).integers(0, len(HEALTHY), n)
    found = solve(thetas(*(HEALTHY[i] for i in order)), threads=threads)
    for row, i in enumerate(order):
        assert_same(found, row, alone[i])


def test_a_stiff_model_with_doses_is_solved_alike_in_every_place():
    model, n = model_called("isb2001"), 35
    doses = Regimen((Dose(9, "ug/kg", "depot"), Dose(9, "ug/kg", "C", 2.0, 0.5), Dose(30, "ug/kg", "depot", 3.0)))
    theta = model.theta * np.exp(0.1 * np.random.default_rng(1).standard_normal((n, len(model.theta))))
    kinds = (Max, Tmax, Min, AUC, Average, Last)
    request = SolveRequest(model, (1.0, 3.0, 5.5), ("nACT", "C"), tuple(k("nACT", 2, 6) for k in kinds), 0.0, 6.0)
    events = rows_of(dose_events(doses, model), n)
    together = single(threads=1).solve_batch(request, theta, events)
    order = np.random.default_rng(2).permutation(n)
    shuffled = single(threads=2).solve_batch(request, theta[order], events)
    for a, b in zip(together, shuffled, strict=True):
        np.testing.assert_array_equal(a[order], b)
    one = DoseEvents(*(field[:1] for field in events))
    for row in (0, 17, 34):
        assert_same(together, row, single().solve_batch(request, theta[[row]], one))


@pytest.mark.parametrize("lanes", [2, 4, 8, 16])
def test_every_width_of_the_vectors_gives_the_solution(lanes):
    found = solve(thetas(*HEALTHY), lanes=lanes)
    x = np.stack([systems.healthy(np.array(REQUEST.times), 1.0, change["k"]) for change in HEALTHY])
    np.testing.assert_allclose(found.values[:, :, 0], x, atol=10 * RTOL)


# loud --------------------------------------------------------------------------------------------------------------


def test_it_warns_where_it_is_asked_for_and_says_so_in_the_settings():
    with pytest.warns(PrecisionWarning, match="float64") as caught:
        integrator = single()
    assert len(caught) == 1
    assert integrator.settings["precision"] == "float32"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        BatchIntegrator()


@pytest.mark.parametrize("argument, value", [("rtol", 1e-6), ("atol", 1e-20)])
def test_a_tolerance_that_float32_cannot_hold_raises(argument, value):
    with pytest.raises(SolveError, match=f'`{argument}` must be >= .* use precision="float64"'):
        single(**{argument: value})
