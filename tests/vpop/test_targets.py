"""Targets: within subgroups, of times to an event, read from tables; and what is said of wrong ones."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from qspx.vpop import (
    SKIP,
    Bagged,
    Bins,
    Correlation,
    Density2D,
    DirectWeights,
    Expansion,
    Given,
    LogNormalLaw,
    Mapel,
    MaximumEntropy,
    Mean,
    MeanSd,
    Plausibility,
    PopulationError,
    QuadraticProgramme,
    Quantiles,
    Rows,
    Survival,
    VirtualPopulation,
    systematic,
    targets_from_table,
)
from qspx.vpop.outputs import Outputs
from qspx.vpop.resampling import misfit
from qspx.vpop.targets import stacked


@pytest.fixture(scope="module")
def cohort_with_sex(plain, outputs_of):
    """LDL of 1,200 patients; their first parameter is 1 for women, 0 for men."""
    import qspx

    rng = np.random.default_rng(0)
    woman = (rng.random(1200) < 0.4).astype(float)
    ldl = rng.normal(130, 30, 1200)
    theta = np.tile(plain.theta, (1200, 1))
    theta[:, 0] = woman
    return Outputs(qspx.Cohort(plain, theta, np.zeros(1200)), ("LDL",), ldl[:, None])


def test_a_target_within_a_subgroup_of_a_covariate(cohort_with_sex):
    """Women 120, men 135, half each: conditional means, SDs and the share itself, with the covariate a parameter."""
    women = Given(MeanSd("LDL", 120.0, 25.0), "a", (0.5, 1.5), share=0.5)
    men = Given([MeanSd("LDL", 135.0, 30.0), Quantiles("LDL", [0.5], [134.0])], "a", (-0.5, 0.5), share=0.5)
    found = MaximumEntropy().fit(cohort_with_sex, [women, men], key=0)
    w, x, is_woman = found.weights, cohort_with_sex.values[:, 0], cohort_with_sex.cohort.column("a") == 1
    assert not found.unreached
    assert w[is_woman].sum() == pytest.approx(0.5, abs=1e-4)
    for inside, mean, sd in ((is_woman, 120.0, 25.0), (~is_woman, 135.0, 30.0)):
        mine = w[inside] / w[inside].sum()
        assert mine @ x[inside] == pytest.approx(mean, abs=0.02)
        assert np.sqrt(mine @ (x[inside] - mean) ** 2) == pytest.approx(sd, abs=0.02)
    table = found.target_table().set_index("feature")
    assert table.loc["LDL: mean | a in [0.5, 1.5)", "achieved"] == pytest.approx(0.0, abs=1e-3)
    assert table.loc["share of a in [0.5, 1.5)", "target"] == 0.5
    assert found.goodness_of_fit().composite_p > 0.99


def test_sample_size_of_a_subgroup(cohort_with_sex):
    """The dual with S / share² of E[(a - b) 1(g)] is that of the conditional mean with S: ten women pull little."""
    few, many = (
        MaximumEntropy().fit(cohort_with_sex, [Given(MeanSd("LDL", 100.0, 30.0, n=n), "a", (1, 2), share=0.4)], key=0)
        for n in (10, 10_000)
    )
    x, is_woman = cohort_with_sex.values[:, 0], cohort_with_sex.cohort.column("a") == 1
    means = [p.weights[is_woman] @ x[is_woman] / p.weights[is_woman].sum() for p in (few, many)]
    assert 100.5 < means[0] < 125 and means[1] == pytest.approx(100, abs=0.5)
    f = stacked(few.targets, cohort_with_sex)
    assert np.sqrt(np.diag(f.covariance))[1] == pytest.approx(1 / np.sqrt(10))
    np.testing.assert_allclose(few.weights[~is_woman], few.weights[~is_woman][0], rtol=1e-9)


def test_a_subgroup_without_patients(cohort_with_sex):
    with pytest.raises(PopulationError, match=r"none of 1200 patients has a in \[3, 4\); they reach from 0 to 1"):
        MaximumEntropy().fit(cohort_with_sex, [Given(MeanSd("LDL", 1, 1), "a", (3, 4), share=0.1)], key=0)
    with pytest.raises(PopulationError, match="no output `LDK`.*Did you mean `LDL`"):
        MaximumEntropy().fit(cohort_with_sex, [Given(MeanSd("LDL", 1, 1), "LDK", (3, 4), share=0.1)], key=0)


def test_survival_is_that_of_kaplan_and_meier():
    """Against SciPy's estimate and Greenwood errors of censored data; with numbers at risk, Greenwood's sum itself."""
    rng = np.random.default_rng(0)
    event, censored = rng.exponential(10.0, 80), rng.uniform(2, 25, 80)
    time, observed = np.minimum(event, censored), (event <= censored).astype(int)
    looks = [2.0, 5.0, 9.0, 14.0]
    target = Survival.kaplan_meier("event", time, observed, looks)
    sample = stats.CensoredData(uncensored=time[observed == 1], right=time[observed == 0])
    curve = stats.ecdf(sample).sf
    np.testing.assert_allclose(target.surviving, curve.evaluate(looks), atol=1e-12)
    interval = curve.confidence_interval(0.95, method="linear")
    half = interval.high.evaluate(looks) - curve.evaluate(looks)
    np.testing.assert_allclose(np.sqrt(np.diag(target.covariance)), half / stats.norm.ppf(0.975), rtol=1e-9)
    # every event time with the number at risk just before it
    at = np.unique(time[observed == 1])
    s, risk = curve.evaluate(at), np.array([(time >= t).sum() for t in at])
    every = Survival("event", at, np.minimum(s, 1.0), at_risk=risk)
    keep = [int(np.searchsorted(at, t, side="right")) - 1 for t in looks]
    np.testing.assert_allclose(every.covariance[np.ix_(keep, keep)], target.covariance, rtol=1e-9)


def test_survival_without_censoring_is_binomial(outputs_of):
    s, n = np.array([0.7, 0.4, 0.1, 0.0]), 50
    target = Survival("event", [1.0, 2.0, 3.0, 4.0], s, n=n)
    expected = np.minimum.outer(s, s) - np.outer(s, s)
    np.testing.assert_allclose(target.covariance, expected / n, atol=1e-12)
    # an event at a time is before "beyond" it
    np.testing.assert_array_equal(target.features(np.array([[1.0], [np.inf]])).matrix, [[0, 0, 0, 0], [1, 1, 1, 1]])
    t = np.random.default_rng(0).uniform(0, 5, (2000, 1))
    found = MaximumEntropy().fit(outputs_of(t, ["event"]), [Survival("event", [1, 2, 4], [0.6, 0.5, 0.05])], key=0)
    np.testing.assert_allclose([found.weights @ (t[:, 0] > x) for x in (1, 2, 4)], [0.6, 0.5, 0.05], atol=1e-4)
    assert np.isclose(found.goodness_of_fit().composite_p, 1.0, atol=1e-3)


TABLE = [
    # Arm, Time, Observable, Type, Value1, Value2, Value3, N, Data2, Time2
    ["placebo", 0, "LDL", "MEAN_STD", 165, 25, None, 40, None, None],
    ["placebo", 14, "LDL", "MEAN", 160, None, None, 40, None, None],
    ["placebo", 14, "LDL", "STD", 24, None, None, 40, None, None],
    ["drug", 14, "LDL", "MEAN", 90, 6, None, None, None, None],
    ["drug", 14, "TG", "QUANTILE", 0.25, 80, None, 38, None, None],
    ["drug", 14, "TG", "QUANTILE", 0.5, 110, None, 38, None, None],
    ["drug", 14, "HDL", "BIN", "-inf", 40, 0.3, 38, None, None],
    ["drug", 14, "HDL", "bin", 40, "inf", 0.7, 38, None, None],
    ["placebo", 0, "LDL", "CORR", 0.8, None, None, 40, "LDL", 14],
    ["drug", 0, "relapse", "SURVIVAL", 100, 0.8, 0.05, 38, None, None],
    ["drug", 0, "relapse", "SURVIVAL", 200, 0.5, 0.07, 38, None, None],
    ["unused", 0, "LDL", "MEAN", 1, None, None, None, None, None],
]
COLUMNS = ["Arm", "Time", "Observable", "Type", "Value1", "Value2", "Value3", "N", "Data2", "Time2"]


def named(group, time, data):
    return SKIP if group == "unused" else f"{data}, {group}, {time:g}"


def table(**changes):
    """The table, with changes as `Value2_3=...`: column and row (the first is 1)."""
    frame = pd.DataFrame(TABLE, columns=COLUMNS, dtype=object)
    for place, value in changes.items():
        column, row = place.split("_")
        frame.loc[int(row) - 1, column] = value
    return frame


def test_targets_from_a_table():
    found = targets_from_table(table(), named)
    first, second, third, tg, hdl, pair, relapse = found
    assert isinstance(first, MeanSd) and (first.name, first.mean, first.sd, first.n) == ("LDL, placebo, 0", 165, 25, 40)
    assert isinstance(second, MeanSd) and (second.name, second.mean, second.sd) == ("LDL, placebo, 14", 160, 24)
    assert isinstance(third, Mean) and (third.mean, third.error) == (90, 6)
    assert isinstance(tg, Bins) and tg.n == 38
    np.testing.assert_allclose(tg.shares, [0.25, 0.25, 0.5])
    assert isinstance(hdl, Bins) and list(hdl.edges) == [-np.inf, 40, np.inf] and list(hdl.shares) == [0.3, 0.7]
    assert isinstance(pair, Correlation) and pair.names == ("LDL, placebo, 0", "LDL, placebo, 14")
    assert (pair.means, pair.sds, pair.n) == ((165, 160), (25, 24), 40)
    assert isinstance(relapse, Survival) and relapse.name == "relapse, drug, 0"
    np.testing.assert_allclose(relapse.errors, [0.05, 0.07])


def test_the_table_of_gqspsim(repo_root):
    frame = pd.read_csv(repo_root / "tests" / "data" / "vpop_pcsk9" / "vpop_target_statistics.csv")
    ldl, pcsk9 = targets_from_table(frame, lambda group, time, data: f"{data} at baseline")
    assert (ldl.name, ldl.mean, ldl.sd, ldl.n) == ("LDLch at baseline", 165, 25, None)
    assert (pcsk9.name, pcsk9.mean, pcsk9.sd) == ("total_pcsk9 at baseline", 280, 50)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"Value2_1": None}, r"row 1 \(Arm placebo, Time 0, Observable LDL\), column Value2: a number.*None"),
        ({"Value1_4": "ninety"}, "row 4 .*column Value1: a number is expected, but 'ninety'"),
        ({"Value2_1": -3}, "row 1 .*`sd`.*> 0, but is -3"),
        ({"N_1": 0}, "row 1 .*`n`.*people.*but is 0"),
        ({"Type_4": "MEDIAN"}, "row 4 .*column Type: one of .*expected, but `MEDIAN`"),
        ({"Type_2": "STD"}, "row 2 .*column Type: .*STD and STD"),
        ({"Value1_8": 50}, "row 7 .*others.*column Value1: every bin starts where"),
        ({"Value3_8": 0.9}, "row 7 .*sum to one"),
        ({"N_6": 12}, "row 5 .*column N: the rows of one target have one number of people"),
        ({"Data2_9": None}, "row 9 .*column Data2"),
        ({"Data2_9": "HDL"}, "row 9 .*mean and SD of both"),
        ({"Value2_11": 0.9}, "row 10 .*`surviving` that falls"),
        ({"Time_4": None}, "row 4 .*column Time: a number"),
    ],
)
def test_mistakes_in_a_table_are_placed(changes, says):
    with pytest.raises(PopulationError, match=says):
        targets_from_table(table(**changes), named)


def test_columns_of_a_table():
    with pytest.raises(PopulationError, match="needs a column Group or Arm"):
        targets_from_table(table().drop(columns="Arm"), named)
    with pytest.raises(PopulationError, match=r"lacks the columns \['Type'\]"):
        targets_from_table(table().drop(columns="Type"), named)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: MeanSd("x", NAN, 1.0), "`mean`.*`x`.*finite, but is nan"),
        (lambda: MeanSd("x", 1.0, INF), "`sd`.*finite and > 0, but is inf"),
        (lambda: MeanSd("x", 1.0, -1.0), "`sd`.*but is -1"),
        (lambda: MeanSd("x", 1.0, 1.0, n=NAN), "`n`.*number of people.*nan.*Leave it out"),
        (lambda: Mean("x", INF), "`mean`.*inf"),
        (lambda: Mean("x", 1.0, error=0.0), "`error`.*but is 0"),
        (lambda: Bins("x", [0, 1, 2], [NAN, 1.0]), "`shares`.*finite"),
        (lambda: Bins("x", [0, NAN, 2], [0.5, 0.5]), "increasing `edges`"),
        (lambda: Bins("x", [0, 1, 2], [-0.5, 1.5]), "must be >= 0"),
        (lambda: Bins("x", [0, 1, 2], [0.5, 0.5], n=1), "`n`.*but is 1"),
        (lambda: Quantiles("x", [0.5], [NAN]), "`values`.*finite"),
        (lambda: Quantiles("x", [0.5, 0.7], [1.0]), "as many `values` as `levels`"),
        (lambda: Quantiles("x", [0.0], [1.0]), "`levels`.*between 0 and 1"),
        (lambda: Correlation(("x", "y"), NAN, (0, 0), (1, 1)), "`correlation`.*nan"),
        (lambda: Correlation(("x", "y"), 0.1, (0, NAN), (1, 1)), "`means`.*nan"),
        (lambda: Correlation(("x", "y"), 0.1, (0, 0), (1, 0)), "`sds`.*but is 0"),
        (lambda: Density2D(("x", "y"), ([0, 1], [0, 1]), np.array([1.0])), "`shares`.*two axes"),
        (lambda: Density2D(("x", "y"), ([0, 1], [0, 1]), np.array([[NAN]])), "`shares`.*finite"),
        (lambda: Density2D(("x", "y"), ([0, 1], [0, 1, 2]), np.array([[-1.0, 2.0]])), "must be >= 0"),
        (lambda: Survival("x", [2, 1], [0.9, 0.8]), "increasing `times`"),
        (lambda: Survival("x", [1, 2], [0.9]), "`surviving`.*each of 2 times, but holds 1"),
        (lambda: Survival("x", [1], [1.2]), "falls from 1"),
        (lambda: Survival("x", [1], [0.5], errors=[-1]), "`errors`.*too small"),
        (lambda: Survival("x", [1], [0.5], n=9, at_risk=[9]), "one of `n`, `errors` and `at_risk`"),
        (lambda: Survival.kaplan_meier("x", [1, 2], [1, 2], [1]), "`observed`.*0 or 1"),
        (lambda: Survival.kaplan_meier("x", [1, 2], [1, 0], [3]), "nobody was followed up beyond 2"),
        (lambda: Given(MeanSd("x", 0, 1), "y", (2, 1), share=0.5), "`within`.*low < high"),
        (lambda: Given(MeanSd("x", 0, 1), "y", (NAN, 1), share=0.5), "`within`.*low < high"),
        (lambda: Given(MeanSd("x", 0, 1), "y", (0, 1), share=1.0), "`share`.*between 0 and 1, but is 1"),
        (lambda: Given([], "y", (0, 1), share=0.5), "`target`.*one target or more, but is"),
        (lambda: Plausibility({"x": (NAN, 1.0)}), "bounds of `x`"),
        (lambda: systematic(np.array([0.5, NAN]), 3, 0), "`weights`.*finite"),
        (lambda: systematic(np.array([0.5]), 0, 0), "`n`.*one patient, but is 0"),
        (lambda: QuadraticProgramme(least=0), "`least`.*but is 0"),
        (lambda: QuadraticProgramme(epsilon=NAN), "`epsilon`.*nan"),
        (lambda: DirectWeights(floor=NAN), "`floor`.*nan"),
        (lambda: MaximumEntropy(ridge=-1.0), "`ridge`.*-1"),
        (lambda: Mapel(patients=NAN), "`patients`.*nan"),
        (lambda: Bagged(MaximumEntropy(), patients=NAN), "`patients`.*nan"),
        (lambda: Expansion(floor=NAN), "`floor`.*nan"),
    ],
)
def test_numbers_that_cannot_be(make, says):
    with pytest.raises(PopulationError, match=says):
        make()


def test_logarithms_of_what_is_not_positive(outputs_of):
    outputs = outputs_of(np.array([[1.0, 2.0], [-1.0, 3.0], [0.0, 1.0]]), ["x", "y"])
    law = LogNormalLaw(("x", "y"), np.zeros(2), np.eye(2))
    for target in (
        MeanSd("x", 0.0, 1.0, log=True),
        Mean("x", 0.0, log=True),
        Correlation(("x", "y"), 0.1, (0, 0), (1, 1), log=True),
        law,
        Rows(("x", "y"), np.exp(np.random.default_rng(0).normal(size=(20, 2)))),
    ):
        with pytest.raises(PopulationError, match="logarithms, but 2 of . values of patients are <= 0.*Plausibility"):
            MaximumEntropy().fit(outputs, [target], key=0)


def test_what_a_selection_costs(outputs_of):
    """Exactly K patients against the weights: their misfit is above that of the weights, and falls with K."""
    x = np.random.default_rng(0).normal(size=(600, 1))
    targets = [MeanSd("x", 0.4, 0.8), Quantiles("x", [0.25, 0.5, 0.75], [-0.1, 0.4, 0.9])]
    vpop = MaximumEntropy().fit(outputs_of(x, ["x"]), targets, key=0)
    costs = []
    for n in (20, 200):
        about = vpop.select(n, key=0).details["selection"]
        assert about["n"] == n >= about["different"]
        assert about["misfit_of_weights"] < 0.02 < about["misfit"]
        costs.append(about["misfit"])
    assert costs[1] < costs[0]
    f = stacked(targets, vpop.outputs)
    picked = vpop.select(200, key=0)
    assert costs[1] == pytest.approx(misfit(stacked(targets, picked.outputs), picked.weights), rel=1e-9)
    np.testing.assert_allclose(
        misfit(f, vpop.weights), vpop.select(20, key=1).details["selection"]["misfit_of_weights"]
    )


def test_bagging_evens_out_and_reports_the_spread(outputs_of):
    x = np.random.default_rng(0).normal(size=(200, 2))
    targets = [MeanSd("x", 0.4, 0.9), MeanSd("y", -0.3, 1.0)]
    plain = MaximumEntropy().fit(outputs_of(x, ["x", "y"]), targets, key=0)
    bagged = Bagged(MaximumEntropy(), resamples=20).fit(outputs_of(x, ["x", "y"]), targets, key=0)
    assert bagged.effective_size > plain.effective_size and 0 < bagged.details["relative_spread"] < 2
    # resamples that see one of two targets move half as far, in the mean
    assert 0.1 < bagged.weights @ x[:, 0] < 0.4


def test_a_method_that_returns_nonsense(outputs_of):
    class Nonsense(MaximumEntropy):
        def weigh(self, cloud, key):
            return np.full(len(cloud), np.nan), {}

    with pytest.raises(PopulationError, match=r"Nonsense.weigh must return 3 finite weights >= 0"):
        Nonsense().fit(outputs_of(np.ones((3, 1)), ["x"]), [MeanSd("x", 1, 1)], key=0)
    with pytest.raises(PopulationError, match="weights"):
        VirtualPopulation(outputs_of(np.ones((3, 1)), ["x"]), np.array([1.0, np.nan, 0.0]))


def test_a_standard_error_beside_mean_and_sd_counts_people():
    rows = [("A", "x", 0, "MEAN", 5.0, 0.15, None), ("A", "x", 0, "STD", 1.5, None, None)]
    frame = pd.DataFrame(rows, columns=["Group", "Data", "Time", "Type", "Value1", "Value2", "Data2"])
    (found,) = targets_from_table(frame, lambda group, time, data: data)
    assert found.n == pytest.approx(100.0)
    own = pd.concat([frame, pd.DataFrame([("A", "x", 0, "CORR", 0.4, None, "x")], columns=frame.columns)])
    with pytest.raises(PopulationError, match="cannot be correlated with itself"):
        targets_from_table(own, lambda group, time, data: data)
    alone = frame[:1].assign(Value2=np.nan, N=40)
    with pytest.raises(PopulationError, match="column N: 40 people say how sure a mean is only with their SD"):
        targets_from_table(alone, lambda group, time, data: data)


def test_targets_may_be_one_or_an_iterator(outputs_of):
    outputs, target = outputs_of(np.linspace(0.0, 10.0, 50)[:, None], ("x",)), MeanSd("x", 5.0, 2.0)
    for given in (target, iter([target])):
        assert MaximumEntropy().fit(outputs, given, key=0).targets == (target,)
