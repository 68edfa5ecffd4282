"""Gradients of the native engine: the reverse sweep over the accepted steps.

Closed forms at rtol 1e-10 hold to 1e-6 (the issue's bound; found: about 1e-9). Central differences of the same solves
have an error of their own of about 1e-8 of the largest component, so they are compared to 1e-6 of it.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qspx import AUC, Average, Dose, FractionAbove, Last, Max, Min, Regimen, TimeAbove, TimeBelow, Tmax
from qspx._errors import SolveError
from qspx._status import Status
from qspx.declarations import Observable, Parameter, Species
from qspx.dose_events import DoseEvents, dose_events
from qspx.integrate import BatchIntegrator, DiffraxIntegrator, SolveRequest
from qspx.model import AbstractModel


class OneCompartment(AbstractModel):
    time_unit = "h"
    depot = Species("mg")
    central = Species("mg", bioavailability="F2", lag="ALAG2", duration="D2", rate="R2")
    CL = Parameter(1.1, "L/h")
    V = Parameter(20.0, "L")
    KA = Parameter(1.5, "1/h")
    F2 = Parameter(0.7, "1")
    ALAG2 = Parameter(1.3, "h", scale="lin")
    D2 = Parameter(2.5, "h")
    R2 = Parameter(10.0, "mg/h")
    CP = Observable("mg/L")

    def rates(self, t, y, p):
        return {"depot": -p.KA * y.depot, "central": p.KA * y.depot - p.CL / p.V * y.central}

    def observables(self, t, y, p):
        return {"CP": y.central / p.V}


class Target(AbstractModel):
    """Target-mediated disposition with a Hill term, a square root, and a rate that depends on time."""

    C = Species("nmol/L", volume="V")
    R = Species("nmol/L")
    B = Species("nmol/L")
    V = Parameter(3.0, "L")
    kel = Parameter(0.3, "1/day")
    kon = Parameter(2.0, "L/nmol/day")
    koff = Parameter(0.5, "1/day")
    ksyn = Parameter(1.0, "nmol/L/day")
    kdeg = Parameter(0.4, "1/day")
    K = Parameter(1.5, "nmol/L")
    h = Parameter(1.7, "1")
    w = Parameter(0.8, "1/day")
    effect = Observable("1")

    def initial(self, p):
        return {"R": p.ksyn / p.kdeg}

    def rates(self, t, y, p):
        bind = p.kon * y.C * y.R - p.koff * y.B
        hill = (y.B / p.K) ** p.h / (1 + (y.B / p.K) ** p.h)
        swing = 1 + 0.3 * jnp.sin(p.w * t)
        return {
            "C": -p.kel * y.C - bind,
            "R": p.ksyn * swing - p.kdeg * (1 + hill) * y.R - bind,
            "B": bind - p.kdeg * y.B,
        }

    def observables(self, t, y, p):
        return {"effect": jnp.sqrt(y.B / p.K + 0.1) * jnp.exp(-0.1 * p.w * t)}


ONE, TARGET = OneCompartment(), Target()
TIGHT = BatchIntegrator(rtol=1e-10, atol=1e-13, threads=1)


def request(model, regimen, times=(), names=(), summaries=(), end=40.0):
    return SolveRequest(model, times, names, tuple(summaries), 0.0, end, marks=regimen.has_marks)


def single(into="central", unit="mg", **dose):
    return Regimen((Dose(100, unit, into, **dose),), "h")


def weights(shape):
    return np.random.default_rng(1).standard_normal(shape)


def loss_of(asked, regimen, integrator=TIGHT):
    """A weighted sum of all results, by parameters and a factor on all amounts."""
    events = dose_events(regimen, asked.model)

    def loss(theta, scale=1.0):
        scaled = events._replace(amount=events.amount * scale)
        values, summaries, *_ = integrator.solve_one(asked, theta, scaled)
        return jnp.sum(weights(values.shape) * values) + jnp.sum(weights(summaries.shape) * summaries)

    return loss


def assert_gradient(asked, regimen, theta, h=1e-5, tolerance=1e-6):
    loss = loss_of(asked, regimen)
    by_theta, by_scale = jax.grad(loss, argnums=(0, 1))(jnp.asarray(theta), 1.0)
    found = np.append(by_theta, by_scale)
    point = np.append(theta, 1.0)

    def at(i, sign):
        moved = point.copy()
        moved[i] += sign * h * max(abs(point[i]), 1.0)
        return float(loss(moved[:-1], moved[-1]))

    expected = [(at(i, 1) - at(i, -1)) / (2 * h * max(abs(x), 1.0)) for i, x in enumerate(point)]
    np.testing.assert_allclose(found, expected, atol=tolerance * np.abs(expected).max())
    assert np.count_nonzero(found) > 2


# closed forms -----------------------------------------------------------------------------------------------------


def exponential(theta):
    CL, V, KA, F, lag, D, R = theta
    return CL / V, V, KA, F, lag, D


TIMES = (2.0, 5.0, 13.0, 30.0)


def bolus(theta, t):
    k, V, _, F, lag, _ = exponential(theta)
    return F * 100 / V * jnp.exp(-k * (t - lag))


def oral(theta, t):
    k, V, KA, *_ = exponential(theta)
    return 100 * KA / (KA - k) / V * (jnp.exp(-k * t) - jnp.exp(-KA * t))


def infused(theta, t, D=None):
    k, V, _, F, lag, own = exponential(theta)
    D = own if D is None else D
    on = 1 - jnp.exp(-k * jnp.minimum(t - lag, D))
    return F * 100 / D / k / V * on * jnp.exp(-k * jnp.maximum(t - lag - D, 0))


def by_rate(theta, t):
    return infused(theta, t, theta[3] * 100 / theta[6])


def steady_bolus(theta, t):
    k, V, _, F, lag, _ = exponential(theta)
    since = jnp.where(t >= lag, t - lag, t - lag + 12)
    after = jnp.exp(-k * since) / (1 - jnp.exp(-12 * k))
    return F * 100 / V * after


def steady_infusion(theta, t):
    """Duration below the interval: what one infusion leaves, summed over all that came before."""
    k, V, _, F, lag, D = exponential(theta)
    whole = F * 100 / D / k / V * (jnp.exp(k * D) - 1)  # as if given at once at the start
    since = t - lag
    past = whole * jnp.exp(-k * (since + 12)) / (1 - jnp.exp(-12 * k))
    return past + infused(theta, t)


CLOSED = {
    "bolus": (bolus, single()),
    "oral": (oral, single("depot")),
    "infusion by duration": (infused, single(duration="D2")),
    "infusion by rate": (by_rate, single(rate="R2")),
    "steady bolus": (steady_bolus, single(every=12.0, steady_state=1)),
    "steady infusion": (steady_infusion, single(duration="D2", every=12.0, steady_state=1)),
}


@pytest.mark.parametrize("name", CLOSED)
def test_gradients_of_samples_equal_closed_forms(name):
    """By CL, V, KA, F, lag, duration and rate, also at steady state."""
    form, regimen = CLOSED[name]
    theta = jnp.asarray(ONE.theta)
    t = jnp.array(TIMES)
    asked, events = request(ONE, regimen, TIMES, ("CP",)), dose_events(regimen, ONE)
    value, pull = jax.vjp(lambda th: TIGHT.solve_one(asked, th, events)[0][:, 0], theta)
    expected, exact = jax.vjp(lambda th: form(th, t), theta)
    np.testing.assert_allclose(value, expected, rtol=1e-8)
    for row in np.eye(len(TIMES)):
        found, wanted = pull(jnp.asarray(row))[0], exact(jnp.asarray(row))[0]
        np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6 * np.abs(wanted).max())


def test_gradients_of_endpoints_equal_closed_forms():
    """Cmax, tmax, AUC, trough and time above a threshold of an oral dose."""
    regimen = single("depot")
    kinds = (Max("CP"), Tmax("CP"), AUC("CP", 0, 40), Last("CP", 0, 24), TimeAbove("CP", 2.0))
    asked, events = request(ONE, regimen, (), (), kinds), dose_events(regimen, ONE)

    def forms(theta):
        k, V, KA, *_ = exponential(theta)
        peak = jnp.log(KA / k) / (KA - k)
        area = 100 * KA / (KA - k) / V * ((1 - jnp.exp(-40 * k)) / k - (1 - jnp.exp(-40 * KA)) / KA)
        return jnp.stack([oral(theta, peak), peak, area, oral(theta, 24.0)])

    theta = jnp.asarray(ONE.theta)
    found = jax.jacrev(lambda th: TIGHT.solve_one(asked, th, events)[1])(theta)
    exact = jax.jacfwd(forms)(theta)
    np.testing.assert_allclose(found[:4], exact, rtol=2e-6, atol=1e-6)
    # where the concentration crosses 2: dt = -(dC/dtheta) / (dC/dt); the time above is their distance
    crossings = np.array([x for x in _crossings(np.asarray(theta))])
    by_theta = jax.jacfwd(lambda th: oral(th, jnp.asarray(crossings)))(theta)
    slopes = jax.vmap(jax.grad(lambda t: oral(theta, t)))(jnp.asarray(crossings))
    moved = -by_theta / slopes[:, None]
    np.testing.assert_allclose(found[4], moved[1] - moved[0], rtol=1e-6, atol=1e-6)


def _crossings(theta):
    from scipy.optimize import brentq

    level = lambda t: float(oral(theta, t)) - 2.0  # noqa: E731
    return brentq(level, 1e-6, 1.5, xtol=1e-14), brentq(level, 1.5, 40.0, xtol=1e-14)


# central differences ------------------------------------------------------------------------------------------------

ALL = (Max("CP"), Min("CP", 2, 30), AUC("CP"), Average("CP", 3, 20), Last("CP", 0, 24), Tmax("CP"))
ABOVE = (TimeAbove("CP", 1.2, 2.0, 30.0), TimeBelow("CP", 2.0), FractionAbove("CP", 0.9))
REGIMENS = {
    "repeated oral": single("depot", additional=2, every=12.0),
    "repeated bolus": single(additional=2, every=12.0),
    "modelled duration": single(duration="D2", additional=1, every=12.0),
    "modelled rate": single(rate="R2", additional=1, every=12.0),
    "steady oral": single("depot", every=12.0, steady_state=1, additional=1),
    "steady bolus": single(every=12.0, steady_state=1, additional=1),
    "steady long infusion": single(duration=30.0, every=12.0, steady_state=1, additional=1),
    "steady, added twice": Regimen(
        (
            Dose(50, "mg", "depot", every=8, steady_state=1, additional=3),
            Dose(100, "mg", "central", 3.0, duration="D2", every=12, steady_state=2, additional=1),
            Dose(30, "mg", "depot", 3.0, every=12, steady_state=2),
        ),
        "h",
    ),
    "constant infusion": Regimen((Dose(0, "mg", "central", rate="R2", steady_state=1),), "h"),
    "reset": Regimen(
        (Dose(50, "mg", "depot", every=8, additional=3), Dose(100, "mg", "central", 11.0, duration="D2")), "h", (11.0,)
    ),
}


@pytest.mark.parametrize("name", REGIMENS)
def test_gradients_equal_central_differences(name):
    regimen = REGIMENS[name]
    asked = request(ONE, regimen, (4.0, 9.0, 12.0, 20.0), ("CP", "depot"), ALL)
    assert_gradient(asked, regimen, ONE.theta)


@pytest.mark.parametrize("name", ["repeated bolus", "repeated oral", "modelled duration", "steady bolus"])
def test_gradients_of_times_above_equal_central_differences(name):
    regimen = REGIMENS[name]
    assert_gradient(request(ONE, regimen, (), (), ABOVE), regimen, ONE.theta)


def test_a_lag_above_the_interval_at_steady_state():
    regimen = single(duration="D2", every=12.0, steady_state=1, additional=1)
    theta = ONE.theta_with({"ALAG2": 13.7})  # the first dose to come arrives at 1.7
    assert_gradient(request(ONE, regimen, TIMES, ("CP",)), regimen, theta)


def test_a_model_that_is_not_linear_and_depends_on_time():
    regimen = Regimen((Dose(20, "nmol", "C", every=4, additional=3), Dose(30, "nmol", "C", 5.5, duration=0.7)))
    kinds = tuple(k(name, 1, 12) for k in (Max, Min, AUC, Last) for name in ("effect", "B")) + (Tmax("B", 0, 4),)
    asked = request(TARGET, regimen, (0.3, 4.0, 11.0, 14.0), ("effect", "R"), kinds, end=14.0)
    assert_gradient(asked, regimen, TARGET.theta)


def test_the_traceable_engine_gives_the_same_gradient():
    """The other way to the same derivative: reverse mode through the steps by jax, of the same method."""
    regimen = Regimen((Dose(20, "nmol", "C", every=7, additional=1),))
    asked = request(TARGET, regimen, (3.0, 9.0), ("effect",), (AUC("C"),), end=14.0)
    theta = TARGET.theta_with({"h": 2.3})  # below 2, jax multiplies an infinite second derivative by zero at B = 0
    native = jax.grad(loss_of(asked, regimen))(jnp.asarray(theta))
    traced = DiffraxIntegrator(rtol=1e-10, atol=1e-13, reverse=True)
    expected = jax.grad(loss_of(asked, regimen, traced))(jnp.asarray(theta))
    np.testing.assert_allclose(native, expected, rtol=1e-6, atol=1e-7 * np.abs(expected).max())


# jax ----------------------------------------------------------------------------------------------------------------


def rows(n, seed=0):
    return np.asarray(TARGET.theta * np.exp(0.2 * np.random.default_rng(seed).standard_normal((n, len(TARGET.theta)))))


REGIMEN = Regimen((Dose(20, "nmol", "C", every=7, additional=1),))
ASKED = request(TARGET, REGIMEN, (3.0, 9.0), ("effect",), (AUC("C"),), end=14.0)


def test_vmap_jit_and_rows_agree_bit_for_bit():
    loss = loss_of(ASKED, REGIMEN)
    theta = jnp.asarray(rows(5))
    one_by_one = np.stack([jax.grad(loss)(row) for row in theta])
    np.testing.assert_array_equal(jax.vmap(jax.grad(loss))(theta), one_by_one)
    np.testing.assert_array_equal(jax.jit(jax.vmap(jax.grad(loss)))(theta), one_by_one)
    many = BatchIntegrator(rtol=1e-10, atol=1e-13, threads=2)
    np.testing.assert_array_equal(jax.vmap(jax.grad(loss_of(ASKED, REGIMEN, many)))(theta), one_by_one)


def test_failed_subjects_are_nan_and_change_no_other():
    """Unless nothing is asked of them: then they count as zero."""
    theta = rows(6)
    theta[2, 1] = np.nan
    theta[4, 2] = -1e6  # negative association: grows without bound
    events = dose_events(REGIMEN, TARGET)
    tiled = DoseEvents(*(np.tile(x, (6, 1)) for x in events))

    def loss(th, mask):
        values, summaries, status, *_ = TIGHT.solve_traced(ASKED, th, tiled)
        return jnp.sum(jnp.where(mask, values[:, 0, 0] + summaries[:, 0], 0.0)), status

    (_, status), everyone = jax.value_and_grad(loss, has_aux=True)(jnp.asarray(theta), np.ones(6, bool))
    bad = np.isin(np.arange(6), [2, 4])
    assert (np.asarray(status) != Status.OK).tolist() == bad.tolist()
    assert np.isnan(everyone[bad]).all()
    healthy = np.asarray(jax.grad(lambda th: loss(th, np.asarray(status) == 0)[0])(jnp.asarray(theta)))
    assert (healthy[bad] == 0).all()
    np.testing.assert_array_equal(healthy[~bad], everyone[~bad])


def test_second_derivatives_are_refused():
    with pytest.raises(SolveError, match="DiffraxIntegrator"):
        jax.grad(lambda th: jax.grad(loss_of(ASKED, REGIMEN))(th).sum())(jnp.asarray(TARGET.theta))


def test_groups_of_tapes_change_no_bit(monkeypatch):
    from qspx.integrate import sweep_call
    from qspx.integrate.kept_tapes import KeptTapes

    monkeypatch.setattr(KeptTapes, "take", lambda self, key: None)  # so that subjects are run again, in groups
    loss = jax.vmap(jax.grad(loss_of(ASKED, REGIMEN)))
    together = loss(jnp.asarray(rows(20)))
    monkeypatch.setattr(sweep_call, "LARGEST_TAPE", 20_000)
    np.testing.assert_array_equal(loss(jnp.asarray(rows(20))), together)


def test_what_is_data_at_a_steady_state_is_refused():
    regimen = single(every=12.0, steady_state=1)
    asked, events = request(ONE, regimen, TIMES, ("CP",)), dose_events(regimen, ONE)
    moved = {
        "intervals": lambda d: events._replace(interval=events.interval + d),
        "times": lambda d: events._replace(time=events.time + d),
    }
    for what, change in moved.items():
        with pytest.raises(SolveError, match=what):
            jax.grad(lambda d, change=change: TIGHT.solve_one(asked, ONE.theta, change(d))[0].sum())(0.0)
