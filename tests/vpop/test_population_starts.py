"""Patients that start when a condition is met, or as the model says: closed forms of growth under treatment."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qspx
from qspx._errors import ModelError
from qspx._status import Status
from qspx.start_states import InitialState
from qspx.starting import starting_from
from qspx.triggered_start import TriggeredStart
from qspx.vpop import (
    AtStart,
    MaximumEntropy,
    MeanSd,
    Plausibility,
    PopulationError,
    PopulationProblem,
    Screening,
    Treated,
)


class Tumour(qspx.AbstractModel):
    """dx/dt = (r - e c) x, a drug c that stays: after a dose x = D exp((r - e c) t)."""

    x = qspx.Species("mm", "diameter")
    c = qspx.Species("mg/L", "drug")
    r = qspx.Parameter(0.02, "1/day", "growth")
    x0 = qspx.Parameter(1.0, "mm", "diameter at first")
    D = qspx.Parameter(10.0, "mm", "diameter at diagnosis")
    e = qspx.Parameter(0.01, "L/mg/day", "effect")

    def initial(self, p):
        return {"x": p.x0}

    def rates(self, t, y, p):
        return {"x": (p.r - p.e * y.c) * y.x, "c": 0.0 * p.r * y.c}


THETA = np.array([[0.02, 1.0, 10.0, 0.01], [0.03, 0.5, 8.0, 0.02], [0.001, 1.0, 10.0, 0.01], [0.02, 12.0, 10.0, 0.01]])
REACHED = [Status.OK, Status.OK, Status.NOT_REACHED, Status.NOT_REACHED]
DOSE = qspx.Regimen((qspx.Dose(5.0, "mg/L", "c", 0.0),))
LOOKS = {"at diagnosis": ("x",), "untreated": ("none", "x", 10.0), "treated": ("drug", "x", 10.0)}
NONE = qspx.Regimen((qspx.Dose(0.0, "mg/L", "c", 0.0),))


@pytest.fixture(scope="module")
def grown():
    return TriggeredStart(Tumour(), lambda y, p: y.x - p.D, within=400.0, looks=17)


@pytest.fixture(scope="module")
def treated(grown):
    return Treated(grown, {"none": NONE, "drug": DOSE}, LOOKS)


def test_grown_then_treated(treated):
    outputs = treated(qspx.Cohort(Tumour(), THETA))
    assert list(outputs.cohort.status) == REACHED
    r, _, D, e = THETA[:2].T
    expected = np.stack([D, D * np.exp(10 * r), D * np.exp(10 * (r - 5 * e))], axis=1)
    np.testing.assert_allclose(outputs.values[:2], expected, rtol=1e-4)  # tolerance of the treated runs
    assert np.isnan(outputs.values[2:]).all() and outputs.ledger.counts[Status.NOT_REACHED] == 2
    assert treated.course("drug", "x") == (("at diagnosis", "treated"), (0.0, 10.0))
    with pytest.raises(PopulationError, match="no output is `c` of the arm `drug`"):
        treated.course("drug", "c")


def test_time_of_diagnosis_and_its_derivatives(grown):
    """t* = ln(D/x0)/r, dt*/dr = -t*/r; the state there does not depend on r."""
    simulator = AtStart(grown, ("x",), time="age")
    assert simulator.names == ("x", "age")
    row = jnp.asarray(THETA[0])
    values, slope = simulator.traced(row[None])[0][0], jax.jacfwd(lambda p: simulator.traced(p[None])[0][0])(row)
    r, x0, D, _ = THETA[0]
    t = np.log(D / x0) / r
    np.testing.assert_allclose(values, [D, t], rtol=1e-7)
    np.testing.assert_allclose(slope, [[0, 0, 1, 0], [-t / r, -1 / (r * x0), 1 / (r * D), 0]], rtol=1e-5, atol=1e-5)
    with pytest.raises(PopulationError, match="names an output of the model"):
        AtStart(grown, ("x",), time="x")


@pytest.mark.slow  # compiles the derivative of the native engine
def test_derivatives_through_the_start_and_the_treatment(treated):
    """x after treatment is D exp(10 (r - 5 e)), also where rows beside it never get there."""
    theta = jnp.asarray(THETA)
    slope = jax.jacfwd(lambda p: jnp.where(jnp.isnan(v := treated.traced(theta.at[0].set(p))[0]), 0.0, v))(theta[0])
    r, _, D, e = THETA[0]
    x = D * np.exp(10 * (r - 5 * e))
    np.testing.assert_allclose(slope[0, 2], [10 * x, 0, x / D, -50 * x], rtol=1e-3, atol=1e-3)
    assert np.isfinite(slope).all() and (slope[2:] == 0).all()


def test_the_same_starts_for_a_cohort_run(grown, treated):
    cohort = qspx.Cohort(Tumour(), THETA, np.array([0, 0, 0, Status.EXCLUDED]))
    started = grown.cohort(cohort)
    assert list(started.status) == [*REACHED[:3], Status.EXCLUDED] and started.model == starting_from(Tumour())
    arm = qspx.Arm("drug", DOSE, [10.0], ("x",))
    run = qspx.simulate_cohort(started.model, started, qspx.Protocol((arm,)), progress=False)
    np.testing.assert_allclose(run.values("x")[0, :2, 0], treated(cohort).columns(["treated"])[:2, 0], rtol=1e-6)
    assert run.ledger.counts[Status.NOT_REACHED] == 1 and run.ledger.total == 4


def test_initial_values_as_they_are():
    start = InitialState(Tumour())
    simulator = Treated(start, {"drug": DOSE}, {"first": ("x",), "later": ("drug", "x", 10.0)})
    r, x0, _, e = THETA.T
    found = simulator(qspx.Cohort(Tumour(), THETA))
    np.testing.assert_allclose(found.values, np.stack([x0, x0 * np.exp(10 * (r - 5 * e))], axis=1), rtol=1e-4)
    np.testing.assert_array_equal(start.ledger(THETA).ok, 4)
    np.testing.assert_array_equal(start.cohort(qspx.Cohort(Tumour(), THETA)).theta[:, 4], x0)


def test_who_never_gets_there_is_in_the_ledger_of_a_population(grown):
    prior = qspx.Joint({"r": qspx.Uniform(0.001, 0.02), "D": qspx.Uniform(5.0, 15.0)})
    simulator = AtStart(grown, ("x",), time="age")
    problem = PopulationProblem(simulator, prior, Plausibility({"age": (100, 400)}), [MeanSd("x", 10.0, 2.0)])
    found = Screening(batch=256).sample(problem, 100, key=0)
    counts = found.ledger.counts
    assert counts[Status.NOT_REACHED] > 20 and counts[Status.IMPLAUSIBLE] > 0 and found.ledger.total % 256 == 0
    vpop = MaximumEntropy().fit(found, problem.targets, key=0)
    assert not vpop.unreached


def test_looks_that_cannot_be_taken(grown):
    regimens = {"drug": DOSE}
    with pytest.raises(PopulationError, match="output `before` needs a time >= 0"):
        Treated(grown, regimens, {"before": ("drug", "x", -1.0)})


def test_models_with_events_are_refused():
    class Switched(Tumour):
        def events(self, t, y, p):
            return {"cut": qspx.model.Event(t >= 5.0, {"x": 0.5 * y.x})}

    with pytest.raises(ModelError, match="events"):
        InitialState(Switched())
