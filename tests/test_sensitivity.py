"""Elasticities and partial rank correlations against closed form."""

from __future__ import annotations

import numpy as np
import pytest

import qspx
from qspx._errors import SolveError
from qspx.sensitivity import elasticities, partial_rank_correlations, sensitivity_table


class Linear(qspx.AbstractModel):
    C = qspx.Species("nM", volume="V")
    V = qspx.Parameter(3.0, "L", "volume", source="made up")
    CL = qspx.Parameter(0.3, "L/day")
    unit = qspx.Parameter(1.0, "", tag="constant")
    off = qspx.Parameter(0.0, "1/day", scale="lin")

    def rates(self, t, y, p):
        return {"C": -p.CL / p.V * y.C * p.unit - p.off * y.C}


@pytest.fixture(scope="module")
def model():
    return Linear()


@pytest.fixture(scope="module")
def local(model):
    return elasticities(model, qspx.Regimen.single(6.0, "nmol", "C"), qspx.Last("C", end=5.0))


def test_elasticities_equal_the_closed_form(model, local):
    # C(5) = D / V exp(-CL 5 / V): d ln C / d ln CL = -CL 5 / V = -0.5, d ln C / d ln V = -1 + 0.5, dose 1
    assert local.parameters["CL"] == pytest.approx(-0.5, rel=1e-5)
    assert local.parameters["V"] == pytest.approx(-0.5, rel=1e-5)
    assert local.dose == pytest.approx(1.0, rel=1e-6)
    assert local.metric == pytest.approx(2.0 * np.exp(-0.5), rel=1e-6)


def test_elasticity_of_the_dose_is_the_implicit_derivative(local):
    # D* = tau V exp(CL 5 / V)
    assert local.of_dose() == pytest.approx({"CL": 0.5, "V": 0.5}, rel=1e-5)


def test_constants_and_zeros_are_left_out(local):
    assert set(local.parameters) == {"V", "CL"}


def test_a_metric_that_is_zero_is_an_error(model):
    with pytest.raises(SolveError, match="cannot be computed"):
        elasticities(model, qspx.Regimen.single(0.0, "nmol", "C"), qspx.Last("C", end=5.0))


def test_partial_rank_correlation_sees_through_a_correlated_bystander(model):
    joint = qspx.Joint({"V": qspx.LogNormal(3.0, 0.3), "CL": qspx.LogNormal(0.3, 0.3)}, correlations={("V", "CL"): 0.8})
    cohort = qspx.sample_cohort(model, joint, 400, key=0)
    noise = np.random.default_rng(0).normal(0, 0.05, 400)
    metric = -np.log(cohort.column("CL")) + noise  # V matters only through its correlation with CL
    metric[:3] = np.nan
    found = partial_rank_correlations(cohort, metric)
    assert found["CL"] < -0.95
    assert abs(found["V"]) < 0.15
    table = sensitivity_table(
        model, elasticities(model, qspx.Regimen.single(6.0, "nmol", "C"), qspx.Max("C", end=5.0)), found, "max(C)"
    )
    assert list(table["parameter"])[0] == "V"
    assert table.set_index("parameter").loc["CL", "rank_correlation"] == found["CL"]
    assert table.set_index("parameter").loc["V", "source"] == "made up"


def test_too_few_subjects_give_nan(model):
    cohort = qspx.sample_cohort(model, qspx.Joint({"V": qspx.LogNormal(3.0, 0.3)}), 4, key=0)
    assert np.isnan(partial_rank_correlations(cohort, np.arange(4.0))["V"])
