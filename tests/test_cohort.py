"""Cohorts: subject i is the same whatever the size; what is outside the bounds is kept and named."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from systems import OneCompartment, Trouble

from qspx import Cohort, Joint, LogNormal, Normal, sample_cohort
from qspx._errors import ModelError, SolveError
from qspx._status import Status

MODEL = OneCompartment()
SPREAD = Joint({"CL": LogNormal(0.3, cv=0.4), "V": LogNormal(3.0, cv=0.2)}, correlations={("CL", "V"): 0.5})


def test_the_same_seed_gives_the_same_patient_in_ten_and_in_ten_thousand():
    small, large = (sample_cohort(MODEL, SPREAD, n, key=7) for n in (10, 10_000))
    np.testing.assert_array_equal(small.theta, large.theta[:10])
    tail = sample_cohort(MODEL, SPREAD, 5, key=7, first=9_995)
    np.testing.assert_array_equal(tail.theta, large.theta[-5:])
    assert not np.array_equal(sample_cohort(MODEL, SPREAD, 10, key=8).theta, small.theta)


def test_parameters_that_are_not_sampled_keep_their_value():
    cohort = sample_cohort(MODEL, SPREAD, 4, key=0, parameters={"ka": 9.0})
    np.testing.assert_array_equal(cohort.column("ka"), 9.0)
    np.testing.assert_array_equal(cohort.column("F"), 0.7)
    assert len(set(cohort.column("CL"))) == 4
    assert (cohort.seed, cohort.origin) == ("0", "4 sampled from CL, V")
    np.testing.assert_array_equal(cohort.with_parameters({"F": 0.1}).column("F"), 0.1)
    np.testing.assert_array_equal(cohort.column("F"), 0.7)


def test_subjects_outside_the_bounds_are_implausible_and_the_ledger_names_the_parameter():
    cohort = sample_cohort(Trouble(), Joint({"k": Normal(0.5, sd=0.5)}), 500, key=1)
    outside = cohort.column("k") < 0
    assert 30 < outside.sum() < 150  # 16 % of a normal distribution lie below one standard deviation
    np.testing.assert_array_equal(cohort.status == Status.IMPLAUSIBLE, outside)
    np.testing.assert_array_equal(cohort.weights, np.where(outside, 0.0, 1 / (~outside).sum()))
    table = cohort.ledger.table().set_index("status")
    assert table["n"].sum() == 500 == cohort.ledger.total
    assert f"k outside 0 to 10: {outside.sum()}" in table.loc["implausible", "meaning"]


def test_weights_sum_to_one_over_the_usable():
    theta = np.tile(MODEL.theta, (4, 1))
    cohort = Cohort(MODEL, theta, np.array([0, 5, 0, 0]), weights=np.array([1.0, 9.0, 2.0, 1.0]))
    np.testing.assert_allclose(cohort.weights, [0.25, 0.0, 0.5, 0.25])


def test_a_cohort_survives_a_file(tmp_path):
    cohort = sample_cohort(Trouble(), Joint({"k": Normal(0.5, sd=0.5)}), 40, key=1)
    cohort.save(tmp_path / "c.parquet")
    again = Cohort.load(tmp_path / "c.parquet", Trouble())
    assert again.digest == cohort.digest
    np.testing.assert_array_equal(again.weights, cohort.weights)
    with pytest.raises(ModelError, match="parameter `CL` of OneCompartment is missing"):
        Cohort.load(tmp_path / "c.parquet", MODEL)


def test_tables():
    cohort = sample_cohort(MODEL, SPREAD, 3, key=0)
    frame = cohort.to_dataframe()
    assert list(frame) == ["subject", "status", "weight", *MODEL.parameters]
    assert frame.attrs["units"]["CL"] == "L/day"
    assert str(cohort) == "cohort of OneCompartment: 3 subjects: 3 ok (3 sampled from CL, V)"


def test_what_the_numbers_depend_on_changes_the_digest():
    cohort = sample_cohort(MODEL, SPREAD, 3, key=0)
    assert cohort.digest == sample_cohort(MODEL, SPREAD, 3, key=0).digest
    assert cohort.digest != cohort.with_parameters({"ka": 0.500001}).digest
    assert cohort.digest != Cohort(MODEL, cohort.theta, np.array([0, 0, 5])).digest


@pytest.mark.parametrize(
    "make, kind, words",
    [
        (lambda: sample_cohort(MODEL, SPREAD, 0, key=0), SolveError, ("`n`", ">= 1", "empty")),
        (lambda: Cohort(MODEL, np.zeros((0, 5)), np.zeros(0)), SolveError, ("empty",)),
        (lambda: Cohort(MODEL, np.zeros((2, 3)), np.zeros(2)), SolveError, ("`theta`", "(subjects, 5)", "(2, 3)")),
        (lambda: Cohort(MODEL, np.zeros((2, 5)), np.zeros(3)), SolveError, ("`status`", "(2,)", "(3,)")),
        (
            lambda: Cohort(MODEL, np.zeros((2, 5)), np.zeros(2), np.array([1.0, -1.0])),
            SolveError,
            ("`weights`", ">= 0"),
        ),
        (
            lambda: sample_cohort(MODEL, Joint({"Cl": LogNormal(1.0, cv=0.1)}), 2, key=0),
            ModelError,
            ("`Cl`", "Did you mean `CL`?"),
        ),
        (lambda: sample_cohort(MODEL, SPREAD, 2, key=0).column("v"), ModelError, ("`v`", "Did you mean `V`?")),
    ],
)
def test_mistakes(make, kind, words):
    with pytest.raises(kind) as error:
        make()
    for word in words:
        assert word in str(error.value)


def test_a_parameter_may_not_take_the_name_of_a_column():
    from qspx import AbstractModel, Parameter, Species

    class Clash(AbstractModel):
        C = Species("nM")
        weight = Parameter(70.0, "kg")

        def rates(self, t, y, p):
            return {}

    with pytest.raises(SolveError, match="`weight` is a column of every cohort.*rename"):
        Cohort(Clash(), Clash().theta[None], np.zeros(1))


def test_a_cohort_without_status_is_ok_but_for_what_cannot_be():
    theta = np.tile(Trouble().theta, (3, 1))
    theta[1, list(Trouble().parameters).index("k")] = 11.0  # the bounds end at 10
    cohort = Cohort(Trouble(), theta)
    assert cohort.status.tolist() == [Status.OK, Status.IMPLAUSIBLE, Status.OK]


def test_traced_parameters_are_taken_as_they_are_and_numbers_beside_them_are_checked():
    model, seen = Trouble(), []
    cohort = Cohort(model, np.tile(model.theta, (3, 1)))

    def f(x):
        traced = cohort.with_parameters({"w": x, "k": [0.5, -1.0, 11.0]})
        seen.append((traced.is_traced, traced.status.tolist(), traced.reasons))
        return traced.theta.sum()

    jax.grad(f)(1.0)
    outside = {Status.IMPLAUSIBLE: {"k outside 0 to 10": 2}}
    assert seen == [(True, [Status.OK, Status.IMPLAUSIBLE, Status.IMPLAUSIBLE], outside)]
    # what is traced itself is not looked at, and what was found before it was replaced stays
    bad = cohort.with_parameters({"k": [0.5, -1.0, 0.5]})
    jax.grad(lambda x: seen.append(bad.with_parameters({"w": x}).status.tolist()) or x)(1.0)
    assert seen[1] == [Status.OK, Status.IMPLAUSIBLE, Status.OK]
