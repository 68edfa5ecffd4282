"""Time above a threshold in both engines: closed forms, several crossings in a step, tangency, derivatives."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import systems
from test_diffrax_integrator import HEALTHY, ILL, TROUBLE, thetas, tile
from test_stepping import ARMS, MODEL, REGIMEN, T0, T1, WINDOWS

from qspx import (
    AUC,
    Arm,
    BatchIntegrator,
    Cohort,
    DiffraxIntegrator,
    FractionAbove,
    Max,
    Observable,
    Parameter,
    Protocol,
    Regimen,
    TimeAbove,
    TimeBelow,
    Tmax,
    simulate,
    simulate_cohort,
)
from qspx._errors import ModelError
from qspx._status import Status
from qspx.dose_events import DoseEvents, dose_events
from qspx.integrate import SolveRequest
from qspx.simulation import endpoint_function

ENGINES = {
    "traceable": DiffraxIntegrator(rtol=1e-11, atol=1e-13, lanes=4),
    "native": BatchIntegrator(rtol=1e-11, atol=1e-13),
}
# 40 is never reached, 0.5 is passed upwards only in some arms, -1 is always exceeded
LEVELS = (0.5, 9.0, 25.0, 40.0, -1.0)
LN = np.log


@pytest.fixture(scope="module", params=ENGINES)
def engine(request):
    return ENGINES[request.param]


# closed forms ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def result(engine):
    """One subject in every arm, with other endpoints between those of this file."""
    kinds = (TimeAbove, TimeBelow, FractionAbove)
    asked = [kind("C", x, *w) for w in WINDOWS for x in LEVELS for kind in kinds]
    arms = tuple(Arm(name, regimen, (T0, T1), ("C",)) for name, regimen in ARMS.items())
    cohort = Cohort(MODEL, MODEL.theta[None], np.zeros(1))
    asked = [AUC("depot"), *asked[:20], Tmax("C", 0, 3), *asked[20:]]
    return simulate_cohort(MODEL, cohort, Protocol(arms), summaries=asked, integrator=engine, progress=False)


@functools.cache
def exact_times(arm: str, a: float, b: float) -> np.ndarray:
    return systems.times_above(LEVELS, a, b, ARMS[arm].doses)


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("arm", ARMS)
def test_equal_to_the_closed_form(result, arm, window):
    """1e-8 day: the solver's error of 1e-10 nM and less, over slopes of 0.05 nM/day and more."""
    a, b = T0 if window[0] is None else window[0], T1 if window[1] is None else window[1]
    row = list(ARMS).index(arm)
    for level, exact in zip(LEVELS, exact_times(arm, a, b), strict=True):
        found = [
            result.metric(kind("C", level, *window).name)[row, 0] for kind in (TimeAbove, TimeBelow, FractionAbove)
        ]
        np.testing.assert_allclose(found, [exact, b - a - exact, exact / (b - a)], rtol=0, atol=1e-8)


def test_units_of_the_result(result):
    units = [result.units[kind("C", 9.0).name] for kind in (TimeAbove, TimeBelow, FractionAbove)]
    assert units == ["day", "day", ""]


def times(engine, regimen, *asked, model=MODEL, parameters=None):
    return list(simulate(model, regimen, summaries=asked, integrator=engine, parameters=parameters).summaries.values())


def test_textbook_times_above_a_concentration(engine):
    """A bolus is above c for ln(C0 / c) / k; an infusion crosses c while it runs and again after it has ended."""
    p = systems.TYPICAL
    k = p["CL"] / p["V"]
    (found,) = times(engine, ARMS["bolus"], TimeAbove("C", 9.0, 0, 21))
    assert found == pytest.approx(LN(100 / 3 / 9) / k, abs=1e-9)
    on = -LN(1 - 9 * p["CL"] / 200) / k  # 100 nmol in half a day
    top = 200 / p["CL"] * -np.expm1(-k * 0.5)
    (found,) = times(engine, ARMS["infusion"], TimeAbove("C", 9.0, 0, 21))
    assert found == pytest.approx(0.5 - on + LN(top / 9) / k, abs=1e-9)


def test_repeated_boluses_cross_at_the_dose_and_between_doses(engine):
    """Upwards in the jump itself: every interval is above from its start, after the first as after the last dose."""
    k, c = 0.1, 15.0
    peaks = 50 / 3 * np.cumsum(np.exp(-7 * k * np.arange(3)))
    exact = np.minimum(LN(peaks / c) / k, 7.0)
    windows = [(7.0 * i, 7.0 * (i + 1)) for i in range(3)]
    found = times(engine, ARMS["repeated"], *(TimeAbove("C", c, *w) for w in windows))
    np.testing.assert_allclose(found, exact, rtol=0, atol=1e-9)
    below = times(engine, ARMS["repeated"], *(TimeBelow("C", c, *w) for w in windows))
    np.testing.assert_allclose(below, 7 - exact, rtol=0, atol=1e-9)


def test_before_and_after_any_drug_a_level_of_zero_is_neither_above_nor_below(engine):
    found = times(engine, ARMS["no drug"], TimeAbove("C", 0.0, 0, 9), TimeBelow("C", 0.0, 0, 9))
    assert found == [0.0, 0.0]


# steps with several crossings ---------------------------------------------------------------------------------------


class Polynomial(systems.AbstractModel):
    """Nothing happens to the state, so that the last step is most of the run; what is seen is a polynomial of time."""

    x = systems.Species("1")
    a = Parameter(4.0, "day")
    b = Parameter(5.0, "day")
    c = Parameter(6.0, "day")
    cubic = Observable("day^3")
    square = Observable("day^2")
    hill = Observable("day^2")

    def rates(self, t, y, p):
        return {"x": 0.0 * y.x / p.a}

    def observables(self, t, y, p):
        cubic = (t - p.a) * (t - p.b) * (t - p.c)
        return {"cubic": cubic, "square": (t - p.b) ** 2, "hill": -((t - p.b) ** 2)}


NOTHING = Regimen.single(0, "", "x")


def test_three_crossings_in_one_half_of_a_step(engine):
    solution = simulate(
        Polynomial(),
        NOTHING,
        summaries=[TimeAbove("cubic", 0.0, 0, 10), TimeBelow("cubic", 0.0, 0, 10), TimeAbove("cubic", 0.0, 0, 5.5)],
        integrator=engine,
    )
    assert solution.steps < 15  # the run ends with a step from 3.4 to 5.5, and one from there
    np.testing.assert_allclose(list(solution.summaries.values()), [5.0, 5.0, 1.0], rtol=0, atol=1e-10)


@pytest.mark.parametrize("excess", [1e-2, 1e-6, 1e-10, 0.0])
def test_a_level_that_is_touched_or_hardly_passed(engine, excess):
    """(t - 5)^2 is below e for 2 sqrt(e), and -(t - 5)^2 above -e for as long."""
    asked = [TimeBelow("square", excess, 0, 10), TimeAbove("hill", -excess, 0, 10), TimeAbove("square", excess, 0, 10)]
    found = times(engine, NOTHING, *asked, model=Polynomial())
    exact = 2 * np.sqrt(excess)
    np.testing.assert_allclose(found, [exact, exact, 10 - exact], rtol=0, atol=1e-6 * exact + 1e-12)


def test_derivatives_at_a_tangency_are_numbers():
    asked = [TimeBelow("square", 0.0, 0, 10), TimeAbove("hill", 0.0, 0, 10), TimeAbove("cubic", 0.0, 0, 10)]
    f = endpoint_function(Polynomial(), NOTHING, asked, ENGINES["traceable"])
    found = jax.jit(jax.jacfwd(f))(jnp.asarray(Polynomial().theta), 1.0)
    np.testing.assert_allclose(found, [[0, 0, 0], [0, 0, 0], [-1, 1, -1]], atol=1e-9)


# thresholds of the subject -------------------------------------------------------------------------------------------


class WithPotency(systems.OneCompartment):
    EC50 = Parameter(9.0, "nM")


def test_the_threshold_may_be_a_parameter_of_the_subject(engine):
    model, potencies = WithPotency(), np.array([9.0, 2.0, 40.0, 20.0, 10.0])
    theta = np.stack([model.theta_with({"EC50": e}) for e in potencies])
    request = SolveRequest(
        model, (), (), (TimeAbove("C", "EC50"), Max("C"), TimeBelow("C", "EC50"), TimeAbove("C", 9.0)), 0.0, 10.0
    )
    one = dose_events(ARMS["bolus"], model)
    found = engine.solve_batch(request, theta, DoseEvents(*(np.tile(x, (len(theta), 1)) for x in one)))
    above = np.clip(LN(100 / 3 / potencies) / 0.1, 0, 10)
    np.testing.assert_allclose(found.summaries[:, 0], above, rtol=0, atol=1e-9)
    np.testing.assert_allclose(found.summaries[:, 2], 10 - above, rtol=0, atol=1e-9)
    np.testing.assert_allclose(found.summaries[:, 3], 10.0, rtol=0, atol=1e-9)


def test_a_threshold_that_the_model_does_not_know_is_told_before_the_solve():
    with pytest.raises(ModelError, match="no parameter `EC5`"):
        simulate(WithPotency(), ARMS["bolus"], summaries=[TimeAbove("C", "EC5", 0, 1)])


# derivatives ---------------------------------------------------------------------------------------------------------


def closed_times(p, scale=1.0):
    """Of a bolus of 100 nmol: above 9 nM, above EC50, share of ten days below 20 nM; of an infusion of 30 nmol in a
    day: above 4 nM."""
    k, c0 = p["CL"] / p["V"], 100 * scale / p["V"]
    rate = 30 * scale
    top = -rate / p["CL"] * jnp.expm1(-k)
    infused = jnp.log(top / 4) / k + 1 + jnp.log(1 - 4 * p["CL"] / rate) / k
    return jnp.stack([jnp.log(c0 / 9) / k, jnp.log(c0 / p["EC50"]) / k, 10 - jnp.log(c0 / 20) / k, infused])


@pytest.mark.parametrize("reverse", [False, True])
def test_derivatives_by_parameters_and_dose_equal_the_closed_form(reverse):
    model = WithPotency()
    options = {"rtol": 1e-10, "atol": 1e-12, "max_steps": 1000, "reverse": reverse}
    asked = [TimeAbove("C", 9.0, 0, 30), TimeAbove("C", "EC50", 0, 30), TimeBelow("C", 20.0, 0, 10)]
    bolus = endpoint_function(model, ARMS["bolus"], asked, DiffraxIntegrator(**options))
    infusion = Regimen.single(30, "nmol", "C", duration=1.0)
    slow = endpoint_function(model, infusion, [TimeAbove("C", 4.0, 0, 30)], DiffraxIntegrator(**options))

    def f(theta, scale):
        return jnp.concatenate([bolus(theta, scale), slow(theta, scale)])

    point = {**systems.TYPICAL, "EC50": 9.0}
    theta = jnp.asarray(model.theta)
    np.testing.assert_allclose(jax.jit(f)(theta, 1.0), closed_times(point), rtol=1e-8)
    by_theta, by_scale = jax.jit((jax.jacrev if reverse else jax.jacfwd)(f, (0, 1)))(theta, 1.0)
    np.testing.assert_allclose(by_theta, systems.gradient(closed_times, point), rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(by_scale, jax.jacfwd(lambda x: closed_times(point, x))(1.0), rtol=1e-7)


def test_derivative_by_lag_moves_both_ends():
    """A window that holds the whole excursion does not see the lag; one that cuts its start or end does."""
    asked = [TimeAbove("C", 5.0, 0, 30), TimeAbove("C", 5.0, 0, 5), TimeAbove("C", 5.0, 5, 30)]
    f = endpoint_function(MODEL, ARMS["depot"], asked, DiffraxIntegrator(rtol=1e-10, atol=1e-12))
    lag = MODEL.parameter_index("lag")
    found = jax.jit(jax.jacfwd(f))(jnp.asarray(MODEL.theta), 1.0)[:, lag]
    np.testing.assert_allclose(found, [0.0, -1.0, 1.0], atol=1e-7)


def test_derivatives_pass_through_a_change_of_the_regimen():
    """A bolus and an infusion, several crossings: against differences of the solve itself."""
    asked = [TimeAbove("C", 14.0, 0, 12), FractionAbove("C", 14.0, 2, 6)]
    f = jax.jit(endpoint_function(MODEL, REGIMEN, asked, DiffraxIntegrator(rtol=1e-11, atol=1e-13)))
    theta, d = jnp.asarray(MODEL.theta), 1e-5
    steps = d * jnp.diag(theta)
    differences = jnp.stack([(f(theta + s, 1.0) - f(theta - s, 1.0)) / (2 * s.sum()) for s in steps], axis=1)
    np.testing.assert_allclose(jax.jacfwd(f)(theta, 1.0), differences, rtol=1e-5, atol=1e-5)


# subjects do not see each other --------------------------------------------------------------------------------------

ASKED = (TimeAbove("x", 0.3), TimeAbove("u", 0.5), TimeBelow("u", 0.9, 1.0, 4.0), FractionAbove("v", -0.2), Max("x"))
TROUBLED = SolveRequest(TROUBLE, (1.0,), ("x",), ASKED, 0.0, 8.0)


@pytest.mark.parametrize("name", ENGINES)
def test_neighbours_change_no_bit_and_failures_are_not_numbers(name):
    engine = dataclasses.replace(ENGINES[name], rtol=1e-8, max_steps=2000)
    alone = [engine.solve_batch(TROUBLED, thetas(change), tile(1)) for change in HEALTHY]
    together = engine.solve_batch(
        TROUBLED, thetas(*HEALTHY, *(change for change, _ in ILL.values())), tile(len(HEALTHY) + len(ILL))
    )
    for row, single in enumerate(alone):
        assert single.status[0] == Status.OK
        np.testing.assert_array_equal(together.summaries[row], single.summaries[0])
    assert (together.status[len(HEALTHY) :] != Status.OK).all()
    assert np.isnan(together.summaries[len(HEALTHY) :]).all()


def test_an_observable_that_is_not_a_number_is_a_failure_and_not_a_time_of_zero(engine):
    class Root(systems.OneCompartment):
        floor = Parameter(25.0, "nM^2")
        root = Observable("nM")

        def observables(self, t, y, p):
            return {"root": jnp.sqrt(y.C**2 - p.floor)}  # C falls below 5 nM in this subject after 19 days

    events = DoseEvents(*(field[None] for field in dose_events(ARMS["bolus"], Root())))
    for end, status in ((18.0, Status.OK), (21.0, Status.NONFINITE)):
        request = SolveRequest(Root(), (), (), (TimeAbove("root", 1.0), TimeAbove("C", 6.0)), 0.0, end)
        found = engine.solve_batch(request, Root().theta[None], events)
        assert found.status[0] == status
        assert np.isnan(found.summaries).all() == (status != Status.OK)


def test_a_rotation_spends_a_third_of_its_time_above_half(engine):
    """u = cos(w t) is above 1/2 for a third of every turn, with steps of any length against it."""
    angular = 2 * np.pi * np.array([0.5, 1.0, 4.0])
    request = SolveRequest(TROUBLE, (), (), (FractionAbove("u", 0.5), FractionAbove("v", 0.5, 2.0, 6.0)), 0.0, 8.0)
    found = engine.solve_batch(request, thetas(*({"w": w} for w in angular)), tile(3))
    np.testing.assert_allclose(found.summaries, 1 / 3, rtol=1e-8)
