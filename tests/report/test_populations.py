"""The report on virtual populations: one file, everything accounted for, the same bytes twice."""

import numpy as np
import pandas as pd
import pytest

import qspx
from qspx.report import ReportError
from qspx.report.populations import write_population_report
from qspx.vpop import LogNormalLaw, MaximumEntropy, Outputs, VirtualPopulation


class Plain(qspx.AbstractModel):
    A = qspx.Species("1", "anything")
    k = qspx.Parameter(1.0, "1/day", "rate")

    def rates(self, t, y, p):
        return {"A": -p.k * y.A}


@pytest.fixture(scope="module")
def populations():
    rng = np.random.default_rng(0)
    values = np.exp(rng.normal(0, 1.3, (300, 2)))
    model = Plain()
    status = np.zeros(300)
    status[:3] = 5
    outputs = Outputs(qspx.Cohort(model, np.ones((300, 1)), status), ("x", "y"), values)
    law = LogNormalLaw(("x", "y"), np.zeros(2), np.eye(2), n=200)
    weighted = MaximumEntropy().fit(outputs, [law], key=0)
    return {"weighted": weighted, "equal": VirtualPopulation(outputs, outputs.usable.astype(float))}, law


def test_report(populations, tmp_path):
    some, law = populations
    bands = {"x then y": (["x", "y"], [0.0, 1.0])}
    path = write_population_report(some, law, tmp_path / "a", bands=bands, measured={"x then y": ([0, 1], [1, 2])})
    page = path.read_text()
    for words in ("Marginals", "Pairs", "Weights", "x then y", "300 subjects: 297 ok, 3 implausible", "effective"):
        assert words in page
    assert page.count("<svg") == 4 and "http" not in page.split("<style")[0]
    fit = pd.read_csv(tmp_path / "a" / "tables" / "fit.csv")
    assert fit.loc[0, "ks_sum"] < fit.loc[1, "ks_sum"]
    assert fit.loc[0, "effective_size"] == pytest.approx(some["weighted"].effective_size)
    again = write_population_report(some, law, tmp_path / "b", bands=bands, measured={"x then y": ([0, 1], [1, 2])})
    assert again.read_bytes() == path.read_bytes()


def test_without_a_population(populations, tmp_path):
    with pytest.raises(ReportError, match="populations"):
        write_population_report({}, populations[1], tmp_path)
