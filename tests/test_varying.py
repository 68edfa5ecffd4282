"""Parameters that change in time, against closed forms: with dA/dt = -k(t) A, A = A0 exp(-integral of k)."""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from superposition import ENGINES

import qspx
from qspx import (
    AUC,
    AbstractModel,
    Arm,
    Cohort,
    Dose,
    Input,
    Last,
    Observable,
    Parameter,
    Protocol,
    Published,
    Regimen,
    Species,
    simulate,
    simulate_cohort,
    time_varying,
)
from qspx._errors import DoseError, ModelError, QspxError, UnitError
from qspx._status import Status
from qspx.dose_events import dose_events
from qspx.simulation import endpoint_function

V = 20.0
TIGHT = {"rtol": 1e-10, "atol": 1e-12}
CLOSE = {"rtol": 1e-8}  # a hundred times the tolerance per step


class Body(AbstractModel):
    """One compartment; clearance grows with body weight, and the drug is held back by an inhibitor."""

    time_unit = "h"
    body_weight = "WT"
    citation = "none"
    A = Species("mg")
    given = Species("mg")
    CL = Parameter(1.0, "L/h", "clearance")
    V = Parameter(V, "L")
    WT = Parameter(70.0, "kg", "body weight")
    WT0 = Parameter(70.0, "kg", tag="constant")
    INH = Parameter(0.0, "", "inhibition", scale="lin")
    CP = Observable("mg/L")
    published = (Published("CL", 1.0, "L/h", lambda m: m.theta[m.parameter_index("CL")] * m.one(), 1e-9, "here"),)

    def one(self):
        return 1.0

    def rates(self, t, y, p):
        return {"A": -p.CL * p.WT / p.WT0 / p.V * (1 - p.INH) * y.A}

    def observables(self, t, y, p):
        return {"CP": y.A / p.V / (p.WT / p.WT0)}


class Turnover(AbstractModel):
    """Starts at the steady state of its production."""

    time_unit = "h"
    R = Species("nM")
    kin = Parameter(2.0, "nM/h")
    kout = Parameter(0.1, "1/h")

    def initial(self, p):
        return {"R": p.kin / p.kout}

    def rates(self, t, y, p):
        return {"R": p.kin - p.kout * y.R}


MODEL = time_varying(Body(), "CL", "WT", "INH")
ONE = Regimen((Dose(100, "mg", "A"),), "h")
STEPS = Input([0, 5, 10], [1.3, 2.0, 0.5], "L/h")
RAMP = Input([0, 10], [1.0, 3.0], "L/h", "linear")


@pytest.fixture(params=ENGINES)
def engine(request):
    return ENGINES[request.param](**TIGHT)


def steps(t):
    """Integral of the clearance of STEPS from 0 to t."""
    return np.interp(t, [0, 5, 10, 1000], np.cumsum([0, 1.3 * 5, 2.0 * 5, 0.5 * 990]))


def ramp(t):
    """Integral of the clearance of RAMP: t + t^2 / 10 up to 10, then 3 a unit of time."""
    t = np.asarray(t, float)
    return np.where(t < 10, t + t**2 / 10, 20 + 3 * (t - 10))


# numbers --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("given", "integral"), [(STEPS, steps), (RAMP, ramp)], ids=["steps", "ramp"])
def test_a_clearance_that_changes(engine, given, integral):
    times = [0, 2, 5, 7, 10, 15, 20]
    found = simulate(MODEL, ONE, times, inputs={"CL": given}, integrator=engine)
    np.testing.assert_allclose(found["A"], 100 * np.exp(-integral(np.array(times)) / V), **CLOSE)
    np.testing.assert_allclose(found["CL_now"], [given.at(t) for t in times], rtol=1e-14)


def test_infusion_while_the_clearance_grows(engine):
    # dA/dt = r - (1 + t/5) A / V: A(t) = r exp(-K(t)) integral of exp(K), an imaginary error function
    from scipy.special import dawsn

    t = np.array([3.0, 6.0, 10.0])
    regimen = Regimen((Dose(100, "mg", "A", duration=10),), "h")
    found = simulate(MODEL, regimen, t, inputs={"CL": RAMP}, integrator=engine)["A"]
    # K = (s^2 - 25) / (10 V) with s = t + 5; with u = s / sqrt(10 V) and Dawson's function D, exp(-K) times the
    # integral is sqrt(10 V) (D(u) - D(u0) exp(u0^2 - u^2))
    u, u0, root = (t + 5) / math.sqrt(10 * V), 5 / math.sqrt(10 * V), math.sqrt(10 * V)
    np.testing.assert_allclose(found, 10 * root * (dawsn(u) - dawsn(u0) * np.exp(u0**2 - u**2)), **CLOSE)


def test_the_parameter_holds_before_the_input_and_several_change_in_other_units(engine):
    inputs = {"CL": Input([3, 9], [2000, 500], "mL/h"), "WT": Input([6], [35000], "g"), "INH": Input([8], [1.0], "")}
    found = simulate(MODEL, ONE, [2, 5, 7, 30], inputs=inputs, integrator=engine, parameters={"CL": 1.5})
    lost = np.array([3.0, 8.5, 11.5, 12.5]) / V  # 1.5 to 3, 2 to 6, 1 to 8, nothing from there
    np.testing.assert_allclose(found["A"], 100 * np.exp(-lost), **CLOSE)
    np.testing.assert_allclose(found["CP"], found["A"] / V / [1, 1, 0.5, 0.5], rtol=1e-14)


def test_times_in_the_unit_of_the_regimen(engine):
    days = Input([0, 5 / 24, 10 / 24], STEPS.values, "L/h")
    regimen = Regimen((Dose(100, "mg", "A"),), "day", inputs={"CL": days})
    found = simulate(MODEL, regimen, [20.0], integrator=engine)
    np.testing.assert_allclose(found["A"], 100 * np.exp(-steps(20.0) / V), **CLOSE)


@pytest.mark.parametrize(("given", "integral"), [(STEPS, steps), (RAMP, ramp)], ids=["steps", "ramp"])
@pytest.mark.parametrize("at", [5.0, 7.0, 12.0])
def test_a_reset_puts_amounts_back_and_inputs_go_on(engine, given, integral, at):
    regimen = Regimen((Dose(100, "mg", "A"), Dose(50, "mg", "A", at)), "h", resets=(at,), inputs={"CL": given})
    times = np.array([3.0, at, 13.0, 20.0])
    found = simulate(MODEL, regimen, times, integrator=engine, parameters={"CL": 7.0})
    since = 50 * np.exp(-(integral(times) - integral(at)) / V)
    want = np.where(times < at, 100 * np.exp(-integral(times) / V), since)
    np.testing.assert_allclose(found["A"], want, **CLOSE)
    np.testing.assert_allclose(found["CL_now"], [given.at(t) for t in times], rtol=1e-13)


def test_a_step_to_zero_is_just_zero(engine):
    given = Input([0, 1, 2], [0.3, 0.1, 0.0], "L/h")
    for typical in (1.0, 0.7, 90.0):
        found = simulate(MODEL, ONE, [2, 3], inputs={"CL": given}, integrator=engine, parameters={"CL": typical})
        assert (found["CL_now"] == 0).all()


def test_a_steady_state_before_the_input_begins(engine):
    steady = Dose(100, "mg", "A", every=12, steady_state=1)
    found = simulate(
        MODEL, Regimen((steady,), "h"), [0, 4, 8], inputs={"CL": Input([4], [3.0], "L/h")}, integrator=engine
    )
    peak = 100 / (1 - np.exp(-12 / V))
    np.testing.assert_allclose(found["A"], peak * np.exp([0, -4 / V, -16 / V]), **CLOSE)
    added = dataclasses.replace(steady, steady_state=2, at=4.0)
    given = {"CL": Input([4, 6], [1.0, 3.0], "L/h")}
    found = simulate(MODEL, Regimen((*ONE.doses, added), "h"), [4, 8], inputs=given, integrator=engine)
    at_4 = peak + 100 * np.exp(-4 / V)
    np.testing.assert_allclose(found["A"], [at_4, at_4 * np.exp(-8 / V)], **CLOSE)


def test_doses_per_kg_are_for_the_weight_at_their_time(engine):
    weight = Input([0, 10], [50, 90], "kg", "linear")
    daily = Dose(2, "mg/kg", "given", at=-5, every=5, additional=4)
    times = [-5.0, 0.0, 5.0, 10.0, 20.0]
    found = simulate(MODEL, Regimen((daily,), "h"), times, inputs={"WT": weight}, integrator=engine)
    np.testing.assert_allclose(found["given"], 2 * np.cumsum([70, 50, 70, 90, 90])[[0, 1, 2, 3, 4]], rtol=1e-12)
    infused = Dose(2, "mg/kg", "given", at=5, rate=1.0)  # 2 h long
    found = simulate(MODEL, Regimen((infused,), "h"), [6.0, 9.0], inputs={"WT": weight}, integrator=engine)
    np.testing.assert_allclose(found["given"], [70, 140], rtol=1e-12)


def test_without_inputs_nothing_changes(engine):
    constant = simulate(Body(), ONE, [0, 5, 20], integrator=engine)
    varying = simulate(MODEL, ONE, [0, 5, 20], integrator=engine)
    np.testing.assert_allclose(varying["CP"], constant["CP"], **CLOSE)


def test_cohorts_with_arms_of_different_inputs(engine):
    theta = np.tile(MODEL.theta, (3, 1))
    theta[:, MODEL.parameter_index("V")] = [10, 20, 40]
    theta[:, MODEL.parameter_index("CL")] = [1, 2, 3]
    cohort = Cohort(MODEL, theta, np.full(3, Status.OK))
    times = (0.0, 5.0, 12.0)
    arms = [Arm("none", ONE, times, ("A",)), Arm("steps", ONE, times, ("A",), inputs={"CL": STEPS})]
    arms += [Arm("ramp", ONE.scaled_to(10), times, ("A",), inputs={"CL": RAMP}, covariates={"INH": 0.5})]
    result = simulate_cohort(MODEL, cohort, Protocol(tuple(arms)), integrator=engine, progress=False)
    found, volumes, t = result.trajectories["A"], np.array([[10], [20], [40]]), np.array(times)
    np.testing.assert_allclose(found[0], 100 * np.exp(-np.array([[1], [2], [3]]) * t / volumes), **CLOSE)
    np.testing.assert_allclose(found[1], 100 * np.exp(-steps(t) / volumes), **CLOSE)
    np.testing.assert_allclose(found[2], 10 * np.exp(-ramp(t) / 2 / volumes), **CLOSE)
    escalation = Protocol.escalation(arms[1].regimen, [1.0, 1000.0], times, ["A"])
    found = simulate_cohort(MODEL, cohort, escalation, integrator=engine, progress=False).trajectories["A"]
    np.testing.assert_allclose(found[1], 1000 * np.exp(-steps(t) / volumes), **CLOSE)


def test_numbers_of_inputs_compile_nothing_again():
    from qspx.integrate.native_call import _compiled

    def once(values):
        simulate(MODEL, ONE, [20.0], inputs={"CL": Input([0, 5], values, "L/h")}, integrator=ENGINES["native"](**TIGHT))
        return _compiled.cache_info().misses

    assert once([1.0, 2.0]) == once([3.0, 0.1])


def test_a_network_with_a_rate_constant_that_changes(engine):
    network = qspx.Network(
        "decay",
        {"X": Species("nM"), "Y": Species("nM")},
        {"k": Parameter(0.1, "1/h"), "other": Parameter(0.2, "1/h"), "X0": Parameter(8.0, "nM")},
        (
            qspx.Reaction("turn", {"X": 1}, {"Y": 1}, qspx.MassAction("k")),
            qspx.Reaction("loss", {"Y": 1}, {}, qspx.MassAction("other"), elimination=True),
        ),
        initial_functions={"X": lambda p: p.X0},
        observable_functions={"speed": (Observable("nM/h"), lambda t, y, p: p.k * y.X)},
        time="h",
    )
    model = time_varying(network, "k")
    regimen = Regimen((Dose(0, "nM", "X"),), "h")
    found = simulate(model, regimen, [5, 9], inputs={"k": Input([0, 5], [0.3, 0.5], "1/h")}, integrator=engine)
    np.testing.assert_allclose(found["X"], 8 * np.exp([-1.5, -3.5]), **CLOSE)
    np.testing.assert_allclose(found["speed"], 0.5 * found["X"], rtol=1e-12)
    assert [str(x) for x in model.lints()] == [str(x) for x in network.lints()]


# derivatives ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["reverse", "forward", "native"])
def test_derivatives_by_parameters(how):
    diffrax = qspx.DiffraxIntegrator(**TIGHT, reverse=how == "reverse")
    integrator = qspx.BatchIntegrator(**TIGHT) if how == "native" else diffrax
    f = endpoint_function(MODEL, ONE.with_inputs({"CL": STEPS}), [Last("A", end=20.0)], integrator)
    derive = jax.jacfwd if how == "forward" else jax.jacrev
    by_theta, by_scale = derive(f, argnums=(0, 1))(jnp.asarray(MODEL.theta), 1.0)
    lost = steps(20.0) / V
    level = 100 * math.exp(-lost)
    want = dict.fromkeys(MODEL.parameters, 0.0) | {"V": level * lost / V, "WT": -level * lost / 70}
    want |= {"WT0": level * lost / 70, "INH": level * lost}
    np.testing.assert_allclose(by_theta[0], list(want.values()), rtol=1e-7, atol=1e-9)  # CL: replaced, so just zero
    np.testing.assert_allclose(by_scale, [level], rtol=1e-8)


def test_elasticities_move_doses_and_not_inputs():
    from qspx.sensitivity import elasticities

    found = elasticities(MODEL, ONE.with_inputs({"CL": STEPS}), AUC("A", end=20.0), integrator=qspx.DiffraxIntegrator())
    assert found.dose == pytest.approx(1.0, abs=1e-6) and found.parameters["CL"] == pytest.approx(0.0, abs=1e-6)


# what the model says --------------------------------------------------------------------------------------------------


def test_the_model_is_that_of_the_base_with_states():
    base = Body()
    assert list(MODEL.species) == ["A", "given", "CL_now", "WT_now", "INH_now"]
    assert MODEL.parameters == base.parameters and list(MODEL.observable_table()["name"]) == ["CP"]
    assert MODEL.species["WT_now"].unit == "kg" and MODEL.species["WT_now"].signed
    assert repr(MODEL) == "Body(2 species, 5 parameters, 1 observables; time in h; varying in time: CL, WT, INH)"
    assert MODEL == time_varying(Body(), "CL", "WT", "INH") == time_varying(time_varying(Body(), "CL", "WT"), "INH")
    assert len({base, MODEL, time_varying(Body(), "CL")}) == 3
    assert MODEL.lints() == base.lints() == [] and MODEL.citation == "none" and MODEL.body_weight == "WT"
    assert MODEL.published_table()["passed"].all()
    equations = dict(MODEL.equations())
    assert list(equations) == ["A"] and r"\mathrm{CL}_{\mathrm{now}}" in equations["A"]
    assert MODEL.read_at_start == set() and time_varying(Turnover(), "kin").read_at_start == {"kin"}


@pytest.mark.parametrize(
    ("names", "species", "message"),
    [
        (("WTT",), {}, "no parameter `WTT`. Did you mean `WT`"),
        (("CL", "CL"), {}, "`CL` twice"),
        ((), {}, "at least one parameter"),
        (("F1",), {}, "neither rates nor observables read it"),
        (("V",), {"unit": "mg/L", "volume": "V"}, "`V`, the volume, cannot vary in time"),
        (
            ("F1",),
            {"bioavailability": "F1"},
            "`F1`, the bioavailability, cannot vary.*Dose\\(..., bioavailability=...\\)",
        ),
    ],
)
def test_what_cannot_vary_is_refused(names, species, message):
    declared = Species(**{"unit": "mg"} | species)

    class Plain(AbstractModel):
        time_unit = "h"
        A = declared
        CL, V, WT, F1 = Parameter(1.0, "L/h"), Parameter(1.0, "L"), Parameter(70.0, "kg"), Parameter(1.0, "")

        def rates(self, t, y, p):
            return {"A": -p.CL / p.V * (p.WT / p.WT) * y.A}

    with pytest.raises(ModelError, match=message):
        time_varying(Plain(), *names)


def test_a_name_that_is_taken():
    class Taken(AbstractModel):
        A, k_now, k = Species("mg"), Species("mg"), Parameter(1.0, "1/day")

        def rates(self, t, y, p):
            return {"A": -p.k * y.A}

    with pytest.raises(ModelError, match="`k_now`, but the model has one"):
        time_varying(Taken(), "k")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (((0, 5, 5), (1, 2, 3), "L/h"), "5 follows 5"),
        (((0, math.inf), (1, 2), "L/h"), "`times` of an Input must be finite"),
        (((0, 1), (1, math.nan), "L/h"), "`values` of an Input must be finite"),
        (((0, 1), (1,), "L/h"), "same length"),
        (((), (), "L/h"), "at least 1"),
        (((0,), (1,), "L/h", "spline"), "'constant', 'linear'"),
        (((0,), (1,), "litre per fortnite"), "fortnite"),
    ],
)
def test_inputs_that_cannot_be(given, message):
    with pytest.raises(QspxError, match=message):
        Input(*given)


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        ({"V": Input([0], [1], "L")}, DoseError, r"`V`, which is a constant of Body.*time_varying\(model, 'V'\)"),
        ({"WWT": Input([0], [1], "kg")}, ModelError, "no parameter `WWT`"),
        ({"WT": Input([0], [1], "L")}, UnitError, "in `L`, but the parameter is in `kg`"),
    ],
)
def test_inputs_that_do_not_fit_the_model(inputs, error, message):
    with pytest.raises(error, match=message):
        simulate(MODEL, ONE, [1.0], inputs=inputs)


def test_what_does_not_go_with_inputs():
    steady = Regimen((Dose(100, "mg", "A", at=6, every=12, steady_state=1),), "h", inputs={"CL": STEPS})
    with pytest.raises(DoseError, match="a steady state at 6, after the input for `CL` begins at 0 h"):
        simulate(MODEL, steady, [7.0])
    at_once = Regimen((Dose(100, "mg", "A", every=12, steady_state=1),), "h", inputs={"CL": STEPS})
    with pytest.raises(DoseError, match="begins with 1.3, but the past of a steady state.*to 1.3 as well"):
        simulate(MODEL, at_once, [7.0])
    assert simulate(MODEL, at_once, [7.0], parameters={"CL": 1.3})
    with pytest.raises(ModelError, match="`WT`, the threshold, cannot vary"):
        simulate(MODEL, ONE, summaries=[qspx.TimeAbove("WT_now", "WT", end=9.0)])
    with pytest.raises(DoseError, match=r"the regimen has inputs \(CL\)"):
        qspx.events_frame(steady, MODEL)
    with pytest.raises(ModelError, match="`INH`, the bioavailability, cannot vary"):
        dose_events(Regimen((Dose(1, "mg", "A", bioavailability="INH"),), "h"), MODEL)


def test_initial_values_are_those_of_the_parameter():
    model, regimen = time_varying(Turnover(), "kin"), Regimen((Dose(0, "nM", "R"),), "h")
    given = {"kin": Input([0, 10], [3.0, 1.0], "nM/h")}
    with pytest.raises(DoseError, match="begins with 3, but initial values.*which is 2.*in `parameters`"):
        simulate(model, regimen, [5.0], inputs=given)
    found = simulate(model, regimen, [5.0, 20.0], inputs=given, parameters={"kin": 3.0})
    np.testing.assert_allclose(found["R"], [30, 10 + 20 * np.exp(-1)], rtol=1e-5)
    cohort = Cohort(model, model.theta[None], np.array([Status.OK]))
    arms = (Arm("a", regimen, [5.0], ("R",), inputs=given),)
    with pytest.raises(DoseError, match="in the `covariates` of arm `a`"):
        simulate_cohort(model, cohort, Protocol(arms), progress=False)
    arms = (dataclasses.replace(arms[0], covariates={"kin": 3.0}),)
    assert simulate_cohort(model, cohort, Protocol(arms), progress=False).trajectories["R"].item() == pytest.approx(30)


def test_regimens_with_inputs_as_values():
    one, other = ONE.with_inputs({"CL": STEPS}), ONE.with_inputs({"CL": RAMP})
    assert one != other and one == ONE.with_inputs({"CL": STEPS}) and len({one, other, ONE}) == 3
    assert str(one).endswith("CL 1.3, 2, 0.5 L/h at 0, 5, 10 (constant)")
    assert one.with_inputs({"CL": RAMP}) == other and one.scaled_to(5).inputs == one.inputs
    assert [RAMP.at(t) for t in (-1, 0, 5, 10, 11)] == [None, 1, 2, 3, 3] and STEPS.at(5) == 2.0
