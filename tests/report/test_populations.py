"""The report on virtual populations: one file, everything accounted for, the same bytes twice."""

import dataclasses
import re

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import qspx
from qspx._status import Status
from qspx.report import Course, ReportError, population_report
from qspx.report.courses import coverage_table
from qspx.vpop import (
    AbstractSimulator,
    LogNormalLaw,
    MaximumEntropy,
    Outputs,
    Plausibility,
    PopulationError,
    PopulationProblem,
    VirtualPopulation,
)


class Plain(qspx.AbstractModel):
    A = qspx.Species("1", "anything")
    k = qspx.Parameter(1.0, "1/day", "rate")

    def rates(self, t, y, p):
        return {"A": -p.k * y.A}


LAW = LogNormalLaw(("x", "y", "z"), np.zeros(3), np.eye(3), n=200)


@pytest.fixture(scope="module")
def populations():
    values = np.exp(np.random.default_rng(0).normal(0, 1.3, (300, 3)))
    status = np.zeros(300)
    status[:3] = Status.IMPLAUSIBLE
    reasons = {Status.IMPLAUSIBLE: {"x above 9": 2, "<y> below 1": 3}}
    cohort = qspx.Cohort(Plain(), np.ones((300, 1)), status, reasons=reasons)
    outputs = Outputs(cohort, ("x", "y", "z"), values)
    weighted = MaximumEntropy().fit(outputs, [LAW], key=0)
    return {"weighted": weighted, "equal": VirtualPopulation(outputs, outputs.usable.astype(float))}


@pytest.fixture(scope="module")
def courses():
    people = (np.array([0.0, 0.0, 0.0, 1.0, 1.5, 9.0, np.nan]), np.array([1.0, 2.0, 3.0, 1e6, 1.0, 1.0, 1.0]))
    return [
        Course("10 mg", "drug", ["x", "y", "z"], [0.0, 1.0, 2.0], people, unit="ug/mL", log=True),
        Course("20 mg", "drug", ["y", "x"], [0.0, 1.0]),
        Course("10 mg", "cells", ["z", "x"], [0.0, 1.0]),
    ]


def test_report(populations, courses, tmp_path):
    table = pd.DataFrame(
        [["a", 10, 0, 0.5, None], ["a", 10, 1, 0.7, None], ["b", 10, 0, np.nan, "no weights"]],
        columns=["method", "size", "seed", "ks_sum[law]", "error"],
    )
    ask = {"laws": {"the law": LAW}, "courses": courses, "comparison": table}
    path = population_report(populations, tmp_path / "a", **ask)
    page = path.read_text()
    told = ["Against the law", "300 subjects: 297 ok, 3 implausible", "effective", "&lt;y&gt; below 1", "no weights"]
    for words in (*told, "0.6 ± 0.141", "Virtual populations", "µg/mL", "1 measurements before"):
        assert words in page, words
    # weights, marginals, pairs of each, two quantities, reasons of both
    assert page.count("<svg") == 7
    assert "Dose rationale" not in page and "record" not in page.split("</header>")[0].split("<body")[-1]
    outside = re.findall(r"""(?:src|href)=["'](?!#)[^"']*|url\((?!#)[^)]*|@import[^;]*""", page)
    assert not [x for x in outside if "w3.org" not in x]  # opens offline: namespaces are names, not addresses
    fit = pd.read_csv(tmp_path / "a" / "tables" / "fit-the-law.csv")
    assert fit.loc[0, "ks_sum"] < fit.loc[1, "ks_sum"]
    patients = pd.read_csv(tmp_path / "a" / "tables" / "patients.csv")
    assert patients["effective"][0] == pytest.approx(populations["weighted"].effective_size)
    reasons = pd.read_csv(tmp_path / "a" / "tables" / "reasons-weighted-and-equal.csv")
    assert reasons["n"].tolist() == [3, 2] and reasons["share"].tolist() == [0.01, 2 / 300]
    assert population_report(populations, tmp_path / "b", **ask).read_bytes() == path.read_bytes()


def test_measurements_inside_bands(populations, courses):
    """At day 0 the three values are inside, 10⁶ is not, day 9 cannot be compared, and NaN was not measured."""
    row = coverage_table({"equal": populations["equal"]}, courses).iloc[0]
    assert (row["measured"], row["inside"], row["outside_times"]) == (5, 4, 1)
    median = np.nanmedian(populations["equal"].outputs.columns(["x"]))
    assert row["ratio"] == pytest.approx(median / 2.0, rel=1e-12)


def test_without_laws_courses_or_reasons(populations, tmp_path):
    usable = {"plain": populations["equal"].select(20, 0)}
    page = population_report(usable, tmp_path).read_text()
    assert "Courses" not in page and "Against" not in page and page.count("<svg") == 2


@dataclasses.dataclass(frozen=True, eq=False)
class Rate(AbstractSimulator):
    model: qspx.AbstractModel
    names: tuple[str, ...] = ("x",)

    def traced(self, theta):
        return theta, jnp.zeros(len(theta), int)


def test_diversity_where_the_problem_is_known(tmp_path):
    problem = PopulationProblem(
        Rate(Plain()), qspx.Joint({"k": qspx.Uniform(1.0, 2.0)}), Plausibility({"x": (0.0, 9.0)})
    )
    drawn = problem.simulator(problem.cohort(np.linspace(1.0, 2.0, 101)[:, None], "even", 0))
    population_report({"even": VirtualPopulation(drawn, np.ones(101))}, tmp_path, problem=problem)
    row = pd.read_csv(tmp_path / "tables" / "patients.csv").iloc[0]
    assert row["sd_ratio"] == pytest.approx(1.0, abs=0.02) and row["near_bound"] == pytest.approx(2 / 101)


def test_what_is_refused(populations, tmp_path):
    with pytest.raises(ReportError, match="populations"):
        population_report({}, tmp_path)
    with pytest.raises(PopulationError, match="no output `w`"):
        population_report(populations, tmp_path, courses=[Course("a", "b", ["x", "w"], [0.0, 1.0])])
    with pytest.raises(ReportError, match="increasing `times`"):
        Course("a", "b", ["x", "y"], [1.0, 1.0])
    with pytest.raises(ReportError, match="one length"):
        Course("a", "b", ["x", "y"], [0.0, 1.0], ([0.0], [1.0, 2.0]))
