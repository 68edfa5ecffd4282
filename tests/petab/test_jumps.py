"""A warning where, and only where, a rate jumps at a threshold of a state."""

import warnings

import pytest
from made import parameter_table, problem, sbml

from qspx import load_petab
from qspx.petab.jumps import GradientWarning

ONE = [("observableId", "simulationConditionId", "time", "measurement"), ("obs_a", "c0", 1, 0.7)]


def made(tmp_path, rate, rules=None):
    model = sbml({"A": rate}, {"A": "2"}, {"k1": 1.0, "low": 0.5}, rules=rules)
    return problem(tmp_path, parameters=parameter_table(k1=1.0), measurements=ONE, model=model)


@pytest.mark.parametrize(
    "rate",
    [
        "piecewise(k1, A < low, -k1 * A)",
        "-k1 * piecewise(A, A * k1 > low && time > 1, 2)",
        "1 - piecewise(B, low > B, 0)",
    ],
)
def test_jumps_are_told(tmp_path, rate):
    with pytest.warns(GradientWarning, match="model.xml: a rate jumps where a comparison of `A`"):
        load_petab(made(tmp_path, rate, {"B": "2 * A"} if "B" in rate else None))


@pytest.mark.parametrize(
    "rate", ["piecewise(k1 * (low - A), A < low, 0)", "-max(A - low, 0)", "-piecewise(A, A >= 0, 0)"]
)
def test_kinks_and_bounds_are_none(tmp_path, rate):
    with warnings.catch_warnings():
        warnings.simplefilter("error", GradientWarning)
        load_petab(made(tmp_path, rate))


def test_switches_at_given_times_are_none(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error", GradientWarning)
        load_petab(made(tmp_path, "piecewise(k1, time < low, 0) - A"))
