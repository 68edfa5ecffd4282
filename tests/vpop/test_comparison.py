"""Comparisons: what was held out, rows that are kept, methods that fail."""

import dataclasses
import math

import jax.numpy as jnp
import numpy as np
import pytest

import qspx
from qspx._errors import ConfigError
from qspx._status import Status
from qspx.vpop import (
    AbstractSimulator,
    AbstractWeighting,
    Given,
    LogNormalLaw,
    MaximumEntropy,
    MeanSd,
    Plausibility,
    PopulationError,
    PopulationProblem,
    Quantiles,
    Recipe,
    Rows,
    Screening,
    compare,
    summary,
)
from qspx.vpop.diagnostics import law_distances, split_noise


@dataclasses.dataclass(frozen=True, eq=False)
class Known(AbstractSimulator):
    """Outputs exp(a) and exp(a + b); nobody above b = 1.5 can be solved."""

    model: qspx.AbstractModel
    names: tuple[str, ...] = ("x", "y")

    def traced(self, theta):
        a, b = theta[:, 0], theta[:, 1]
        ok = b <= 1.5
        values = jnp.where(ok[:, None], jnp.exp(jnp.stack([a, a + b], axis=1)), jnp.nan)
        return values, jnp.where(ok, int(Status.OK), int(Status.DT_MIN))


class Broken(AbstractWeighting):
    def weigh(self, cloud, key):
        raise ZeroDivisionError("nothing to divide by")


class Counted(AbstractWeighting):
    """Equal weights; counts its calls, and stops everything at the third if it is told to."""

    calls = 0
    stop = False

    def weigh(self, cloud, key):
        Counted.calls += 1
        if Counted.stop and Counted.calls == 3:
            raise KeyboardInterrupt
        return np.ones(len(cloud)), {}


LAW = LogNormalLaw(("x",), np.array([0.5]), np.array([[0.25]]), n=400)
UNSEEN = LogNormalLaw(("y",), np.array([0.5]), np.array([[1.25]]), n=400)


@pytest.fixture(scope="module")
def problem(plain):
    prior = qspx.Joint({"a": qspx.Normal(0.0, 1.0), "b": qspx.Normal(0.0, 1.0)})
    return PopulationProblem(Known(plain), prior, Plausibility({"x": (0.0, 1000.0)}), [LAW])


def test_held_out(problem):
    """a is weighted to N(0.5, 0.5²) and b is left as drawn, N(0, 1) cut at 1.5: log y is what the two make."""
    people = np.exp(np.random.default_rng(1).normal(0.5, math.sqrt(1.25), (300, 1)))
    unseen = {"y": UNSEEN, "people": Rows(("y",), people), "summary": [MeanSd("y", 0.5, 1.2, log=True),
              Quantiles("y", [0.5], [math.exp(2.0)])]}  # fmt: skip
    methods = [Recipe("weights", Screening(batch=4096), MaximumEntropy())]
    table = compare(methods, problem, [0], sizes=[4000], laws={"law": LAW}, held_out=unseen, progress=False)
    row = table.iloc[0]
    drawn = np.random.default_rng(0).normal(size=(2, 1_000_000))
    b = drawn[1][drawn[1] <= 1.5]
    log_y = 0.5 + 0.5 * drawn[0][: len(b)] + b
    mean, sd = log_y.mean(), log_y.std()
    # tolerances: three standard errors of about 3000 effective patients
    assert row["mean_error[law]"] == pytest.approx(0.0, abs=0.02)  # of the fitted x, not of what was held out
    assert row["ks_sum[law]"] < 0.02
    assert table.columns.is_unique
    assert row["feature_error[summary]"] == pytest.approx((log_y < 2.0).mean() - 0.5, abs=0.01)
    assert row["missed[summary]"] == 4
    scored = law_distances(UNSEEN, np.exp(log_y[:20_000, None]), np.ones(20_000))
    assert row["mean_error[people]"] == pytest.approx(
        abs(mean - np.log(people).mean()) / np.log(people).std(), abs=0.06
    )
    assert row["sd_error[people]"] == pytest.approx(abs(sd / np.log(people).std() - 1), abs=0.06)
    assert row["energy[people]"] == pytest.approx(scored["energy"], abs=0.05)
    assert 0.04 < row["ks_noise[people]"] < 0.2 and 0 < row["energy_noise[people]"] < 0.03
    assert row["failed"] > 100 and row["implausible"] == 0


def test_what_cannot_be_held_out(problem):
    methods = [Recipe("weights", Screening(batch=64), MaximumEntropy())]
    for unseen, words in (({"a": LAW}, "is fitted, not held out"), ({"a": MeanSd("z", 1, 1)}, "does not compute"),
                          ({"a": []}, "must be a target")):  # fmt: skip
        with pytest.raises(PopulationError, match=words):
            compare(methods, problem, [0], laws={"law": LAW}, held_out=unseen, progress=False)
    with pytest.raises(PopulationError, match="each method once"):
        compare(methods * 2, problem, [0], laws={"law": LAW}, progress=False)


def test_rows_are_kept_and_failures_do_not_end_a_run(problem, tmp_path, capsys):
    counted = Recipe("counted", Screening(batch=256), Counted())
    methods = [Recipe("broken", Screening(batch=256), Broken()), counted]
    ask = {"laws": {"law": LAW}, "held_out": {"unseen": UNSEEN}, "sizes": [50], "progress": False, "out": tmp_path}
    Counted.calls, Counted.stop = 0, True
    with pytest.raises(KeyboardInterrupt):
        compare(methods, problem, [0, 1, 2, 3], **ask)
    assert "6 of 8 rows are in" in capsys.readouterr().out
    Counted.stop = False
    table = compare(methods, problem, [0, 1, 2, 3], **ask)
    assert Counted.calls == 5  # two that were kept, the one that was stopped, and two more
    whole = compare(methods, problem, [0, 1, 2, 3], **{**ask, "out": None})
    same = [c for c in whole if "seconds" not in c and "memory" not in c]
    assert table[same].equals(whole[same])
    assert (table["error"].dropna() == "ZeroDivisionError: nothing to divide by").all() and len(table) == 8
    assert (tmp_path / "table.csv").exists()
    short = summary(table, ["effective", "ks_sum[unseen]"])
    assert short["errors"].tolist() == [4, 0] and short["effective"][0] == ""
    before = Counted.calls
    assert len(compare([counted], problem, [0, 1], **ask)) == 2 and Counted.calls == before
    with pytest.raises(ConfigError, match="method counted"):
        compare([dataclasses.replace(counted, strict=False)], problem, [0], **ask)
    with pytest.raises(ConfigError, match="held_out"):
        compare([counted], problem, [0], **{**ask, "held_out": {}})


def test_noise_of_two_halves():
    """Mean of the Kolmogorov distribution over sqrt(n/4), and nothing else: 5 % of 200 splits."""
    people = Rows(("y",), np.exp(np.random.default_rng(2).normal(0, 1, (600, 1))))
    found = split_noise(people, splits=200)
    assert found["ks_noise"] == pytest.approx(0.8687 / math.sqrt(150), rel=0.08)


def test_outputs_without_a_logarithm():
    law = LogNormalLaw(("y",), np.zeros(1), np.ones((1, 1)))
    found = law_distances(law, np.array([[-1.0], [0.0], [1.0], [2.0]]), np.ones(4))
    assert found["ks_sum"] == pytest.approx(0.5) and found["energy"] == math.inf


def test_targets_of_patients_without_a_logarithm(outputs_of):
    outputs = outputs_of(np.array([[1.0], [2.0], [-1.0]]), ["y"])
    with pytest.raises(PopulationError, match="1 .*"):
        MaximumEntropy().fit(outputs, [LogNormalLaw(("y",), np.zeros(1), np.ones((1, 1)))], key=0)


def test_a_subgroup_may_be_held_out(problem):
    """By a parameter, and by what fitted targets were grouped by; what is said within it must not be fitted."""
    grouped = dataclasses.replace(problem, targets=[Given(MeanSd("x", 1.5, 1.0), "b", (-9.0, 0.0), share=0.5)])
    unseen = {"low": Given(MeanSd("y", 1.5, 1.0), "b", (-9.0, 0.0), share=0.5)}
    methods = [Recipe("weights", Screening(batch=64), MaximumEntropy())]
    table = compare(methods, grouped, [0], sizes=[200], laws={}, held_out=unseen, progress=False)
    assert np.isfinite(table["feature_error[low]"]).all() and "error" not in table
    fitted = {"low": Given(MeanSd("x", 1.5, 1.0), "b", (0.0, 9.0), share=0.5)}
    with pytest.raises(PopulationError, match="is fitted"):
        compare(methods, grouped, [0], laws={}, held_out=fitted, progress=False)


def test_a_column_there_is_not_does_not_lose_the_table(problem):
    methods = [Recipe("weights", Screening(batch=64), MaximumEntropy())]
    with pytest.warns(UserWarning, match="no columns \\['typo'\\]"):
        table = compare(methods, problem, [0], sizes=[50], laws={}, columns=["effective", "typo"], progress=False)
    assert [*table] == ["effective", "typo"] and table["effective"][0] > 1 and np.isnan(table["typo"][0])
