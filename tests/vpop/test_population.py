"""The object: files, cohorts, acceptance tables, failed patients."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import qspx
from qspx._status import Status
from qspx.steady_state import SteadyState
from qspx.vpop import (
    SKIP,
    AtRest,
    LogNormalLaw,
    MaximumEntropy,
    MeanSd,
    Outputs,
    Plausibility,
    PopulationError,
    PopulationProblem,
    Recipe,
    Rows,
    Screening,
    Treated,
    VirtualPopulation,
    compare,
    summary,
)


class Turnover(qspx.AbstractModel):
    """A marker M made at rate k and lost at rate l; a drug D speeds up its loss."""

    body_weight, molar_mass = "WT", "MW"
    D = qspx.Species("mg/L", "drug", volume="V")
    M = qspx.Species("mg/L", "marker")
    V = qspx.Parameter(3.0, "L", "volume")
    WT = qspx.Parameter(70.0, "kg", "weight")
    MW = qspx.Parameter(1e5, "g/mol", "molar mass")
    ke = qspx.Parameter(0.3, "1/day", "elimination")
    k = qspx.Parameter(4.0, "mg/L/day", "synthesis")
    l = qspx.Parameter(0.5, "1/day", "loss")
    s = qspx.Parameter(0.2, "L/mg/day", "loss by drug")

    def initial(self, p):
        return {"M": p.k / p.l}

    def rates(self, t, y, p):
        return {"D": -p.ke * y.D, "M": p.k - (p.l + p.s * y.D) * y.M}


class Other(Turnover):
    def rates(self, t, y, p):
        return {"D": -p.ke * y.D, "M": p.k - p.l * y.M + 0.0 * p.s * y.D * y.M}


@pytest.fixture(scope="module")
def model():
    return Turnover()


@pytest.fixture(scope="module")
def cohort(model):
    prior = qspx.Joint({"k": qspx.LogNormal(4.0, 0.4), "l": qspx.LogNormal(0.5, 0.3), "s": qspx.LogNormal(0.2, 0.5)})
    return qspx.sample_cohort(model, prior, 200, key=0)


@pytest.fixture(scope="module")
def simulator(model):
    regimen = qspx.Regimen.single(30.0, "mg", "D")
    looks = {"M at rest": ("M",), "M, day 1": ("30 mg", "M", 1.0), "M, day 7": ("30 mg", "M", 7.0)}
    return Treated(SteadyState(model, 100.0), {"30 mg": regimen}, looks)


@pytest.fixture(scope="module")
def vpop(cohort, simulator):
    return MaximumEntropy().fit(simulator(cohort), [MeanSd("M at rest", 9.0, 2.0, n=50)], key=0)


def test_treated_patients_are_those_of_a_cohort_run(model, cohort, simulator):
    found = simulator(cohort)
    arm = qspx.Arm("30 mg", qspx.Regimen.single(30.0, "mg", "D"), [1.0, 7.0], ("M",))
    run = qspx.simulate_cohort(model, cohort, qspx.Protocol((arm,)), progress=False)
    np.testing.assert_allclose(found.values[:, 0], cohort.column("k") / cohort.column("l"), rtol=1e-12)
    np.testing.assert_allclose(found.values[:, 1:], run.values("M")[0], rtol=1e-4)
    named = Outputs.of(run, {"one": ("30 mg", "M", 1.0), "seven": ("30 mg", "M", 7.0)})
    np.testing.assert_array_equal(named.values, run.values("M")[0])
    with pytest.raises(PopulationError, match="2 is not among the sampling times"):
        Outputs.of(run, {"two": ("30 mg", "M", 2.0)})
    with pytest.raises(PopulationError, match="no arm `30mg`.*Did you mean `30 mg`"):
        Outputs.of(run, {"one": ("30mg", "M", 1.0)})


@pytest.mark.slow  # compiles the derivative of the native engine
def test_derivatives_reach_through_rest_and_treatment(cohort, simulator):
    theta = jnp.asarray(cohort.theta[:3])
    column = cohort.model.parameter_index("k")

    def at_seven(k):
        return simulator.traced(theta.at[:, column].set(k))[0][:, 2]

    k = theta[:, column]
    slope = jax.jvp(at_seven, (k,), (jnp.ones(3),))[1]
    h = 1e-4
    np.testing.assert_allclose(slope, (at_seven(k + h) - at_seven(k - h)) / (2 * h), rtol=1e-4)


def test_it_goes_where_a_cohort_goes(model, vpop, cohort):
    arm = qspx.Arm("30 mg", qspx.Regimen.single(30.0, "mg", "D"), [0.0, 1.0], ("M",))
    patients = vpop.started()
    run = qspx.simulate_cohort(patients.model, patients, qspx.Protocol((arm,)), progress=False)
    np.testing.assert_allclose(run.cohort.weights, vpop.weights, rtol=1e-12)
    # the outputs that the weights were fitted to are those of the run
    np.testing.assert_allclose(run.values("M")[0], vpop.outputs.columns(["M at rest", "M, day 1"]), rtol=1e-4)


def test_files(vpop, model, tmp_path):
    vpop.save(tmp_path / "vpop")
    again = VirtualPopulation.load(tmp_path / "vpop", model, vpop.targets, SteadyState(model, 100.0))
    np.testing.assert_array_equal(again.weights, vpop.weights)
    np.testing.assert_array_equal(again.outputs.values, vpop.outputs.values)
    np.testing.assert_array_equal(again.cohort.theta, vpop.cohort.theta)
    assert again.details["method"] == "MaximumEntropy" and str(again) == str(vpop)
    assert again.ledger.counts == vpop.ledger.counts
    np.testing.assert_allclose(again.started().theta, vpop.started().theta, rtol=1e-12)
    with pytest.raises(PopulationError, match="`start` is None, but the patients of vpop started at SteadyState"):
        VirtualPopulation.load(tmp_path / "vpop", model)
    with pytest.raises(PopulationError, match="another version"):
        VirtualPopulation.load(tmp_path / "vpop", Other())


def test_selection(vpop):
    some = vpop.select(50, key=0)
    assert len(some.outputs) == 50 and np.ptp(some.weights) == 0
    assert some.outputs.columns(["M at rest"]).mean() == pytest.approx(9.0, abs=0.5)


def test_acceptance_table_and_reasons(cohort, simulator):
    rows = [[30, 0, "M", 5.0, 12.0], [30, 7, "M", 1.0, 9.0], [9999, 7, "M", 0.0, 0.1]]
    table = pd.DataFrame(rows, columns=["Group", "Time", "Data", "LB", "UB"])
    names = {(30, 0.0): "M at rest", (30, 7.0): "M, day 7"}
    accepted = Plausibility.from_table(table, lambda group, time, data: names.get((group, time), SKIP))
    assert accepted.left_out == ("row 3 (Group 9999, Time 7, Data M)",)
    assert accepted.bounds == {"M at rest": (5.0, 12.0), "M, day 7": (1.0, 9.0)}
    outputs = simulator(cohort)
    kept = accepted.apply(outputs)
    values = outputs.columns(["M at rest", "M, day 7"])
    assert kept.usable.sum() == ((values >= [5, 1]) & (values <= [12, 9])).all(axis=1).sum() < 200
    reasons = kept.ledger.reasons[Status.IMPLAUSIBLE]
    assert reasons["M at rest below 5"] == (values[:, 0] < 5).sum()
    assert kept.ledger.total == 200
    with pytest.raises(PopulationError, match="lacks the columns"):
        Plausibility.from_table(table[["Group"]], lambda *_: None)


def test_failed_patients_get_no_weight(cohort, simulator):
    status = np.array(cohort.status)
    status[:5] = Status.DT_MIN
    outputs = simulator(dataclasses.replace(cohort, status=status))
    assert np.isnan(outputs.values[:5]).all()
    vpop = MaximumEntropy().fit(outputs, [MeanSd("M at rest", 9.0, 2.0)], key=0)
    assert (vpop.weights[:5] == 0).all() and vpop.ledger.counts[Status.DT_MIN] == 5
    with pytest.raises(PopulationError, match="not OK was given a weight"):
        VirtualPopulation(outputs, np.ones(200))


def test_comparison_of_methods(model):
    law = LogNormalLaw(("M",), np.log([9.0]), np.array([[0.05]]), n=100)
    prior = qspx.Joint({"k": qspx.Uniform(2.0, 7.0), "l": qspx.Uniform(0.3, 0.8)})
    problem = PopulationProblem(AtRest(SteadyState(model, 100.0), ("M",)), prior, Plausibility({"M": (3, 20)}), [law])

    class Equal(qspx.vpop.AbstractWeighting):
        """A method of one's own: no weights at all."""

        def weigh(self, cloud, key):
            return np.ones(len(cloud)), {}

    methods = [
        Recipe("max-ent", Screening(batch=256), MaximumEntropy()),
        Recipe("equal", Screening(batch=256), Equal()),
    ]
    rows = Rows(("M",), np.exp(np.random.default_rng(0).normal(np.log(9.0), 0.22, (80, 1))))
    table = compare(methods, problem, [0, 1], sizes=(100,), laws={"law": law, "rows": rows})
    assert len(table) == 4 and (table["strictly_plausible"] == 1).all()
    best = table.groupby("method")["ks_sum[law]"].mean()
    assert best["max-ent"] < 0.1 < best["equal"]
    assert (table["ks_sum_unweighted[law]"] > table["ks_sum[law]"] - 1e-12).all()
    assert list(summary(table, ["ks_sum[law]"])["method"]) == ["max-ent", "equal"]
    np.testing.assert_allclose(table.loc[table["method"] == "equal", "effective_share"], 1.0)


def test_rounded_rows():
    """Whole numbers, measured to people spread over the interval: the distance of the unrounded people is small."""
    x = np.exp(np.random.default_rng(0).normal(3.0, 0.3, (4000, 1)))
    plain, spread = Rows(("x",), np.round(x)), Rows(("x",), np.round(x), rounding=1.0)
    from qspx.vpop.diagnostics import ks_distances

    far, near = (ks_distances(r, r.scores(x), np.ones(4000))[0] for r in (plain, spread))
    assert near < 0.01 < 0.03 < far
    share, _ = spread.shares_below(spread.scores(np.array([[20.0]]))[:, 0], 0)
    people = np.round(x)
    assert share[0] == pytest.approx((people < 20).mean() + 0.5 * (people == 20).mean(), abs=1e-12)
