"""What a user may get wrong in a calibration problem: each mistake has a message with its repair."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from test_problem import ARMS, MODEL, ORAL, measured

from qspx import (
    Additive,
    CalibrationProblem,
    Combined,
    Estimated,
    GivenSd,
    Joint,
    LogAdditive,
    LogNormal,
    Observed,
    PreEquilibration,
    Proportional,
    StudentNoise,
    Uniform,
)  # fmt: skip
from qspx._errors import CalibrationError, QspxError
from qspx.calibrate.arms import arms_by_name
from qspx.calibrate.checks import checked_estimated, noise_by_observable, runs_in

FRAME = pd.DataFrame(
    {"observable": "CP", "arm": ["iv", "oral"], "study": ["new", "old"], "time": [1.0, 2.0], "value": [3.0, 2.0]}
)
TWO = [Estimated("CL", (0.1, 100.0)), Estimated("V", (1.0, 1000.0))]
CV = Estimated("cv", (0.01, 1.0))


def build(frame: pd.DataFrame = FRAME, **how) -> CalibrationProblem:
    usual = {"measurements": measured(frame), "estimated": TWO, "noise": Additive(0.3), "arms": ARMS}
    return CalibrationProblem(MODEL, **usual | how)


MISTAKES = {
    "arm that is not described": ({"arms": {"oral": ORAL}}, r"row 2: arm `iv` is not among `arms` \(oral\)"),
    "arm without measurements": ({"arms": ARMS | {"sc": ORAL}}, r"arm `sc` has no measurement.*\(iv, oral\)"),
    "bounds without the model's value": ({"estimated": [Estimated("CL", (5.0, 9.0))]}, "`CL`, 2.8, lies outside"),
    "nothing estimated": ({"estimated": []}, "at least one Estimated"),
    "estimated twice": ({"estimated": [*TWO, TWO[0]]}, "`CL` is estimated twice"),
    "estimated for nothing": ({"estimated": [*TWO, Estimated("kcl", (0.1, 1))]}, r"`kcl` is estimated, but is neither"),
    "estimated and fixed": ({"fixed": {"CL": 2.0}}, "`CL` is both fixed and estimated"),
    "fixed for nothing": ({"fixed": {"ka": 2.0}}, r"`ka` is fixed, but.*Did you mean `KA`\?"),
    "replaced everywhere": (
        {"per_arm": {"CL": {"iv": 1.0, "oral": 2.0}}},
        "`CL` is estimated, but no measurement depends on it",
    ),
    "noise without a number": ({"noise": Proportional("cv")}, r"`cv` is neither estimated nor fixed.*Estimated\('cv'"),
    "noise of another observable": ({"noise": {"C": Additive(1.0)}}, r"`noise` names `C`, .* Did you mean `CP`\?"),
    "no noise": ({"noise": {}}, "`noise` says nothing about `CP`"),
    "noise that may vanish": (
        {"noise": Additive("sd"), "estimated": [*TWO, Estimated("sd", (0.0, 1.0), scale="lin")]},
        "`sd`, the `sd` of the noise of `CP`, must be > 0, but may be 0.*lower bound",
    ),
    "prior outside the bounds": (
        {"prior": Joint({"CL": Uniform(500.0, 600.0)})},
        r"the prior of `CL`, Uniform.*no density between its bounds 0.1 and 100 .*make bounds and prior agree",
    ),
    "negative noise of one arm": (
        {"noise": Additive("sd"), "fixed": {"sd": 1.0}, "per_arm": {"sd": {"oral": -2.0}}},
        "must be > 0, but is -2 in arm `oral`",
    ),
    "given sd that is not there": ({"noise": GivenSd()}, r"row 2, column `sd`: a standard deviation was expected"),
    "special arm that is none": ({"per_arm": {"V": {"po": 1.0}}}, "`per_arm` names `po`, which is no arm"),
    "special study that is none": ({"per_study": {"V": {"New": 1.0}}}, r"no study. Did you mean `new`\?"),
    "special name that is none": ({"per_arm": {"ka": {"iv": 1.0}}}, r"`ka`.*Did you mean `KA`\?"),
    "special value without estimate": ({"per_arm": {"V": {"iv": "V_iv"}}}, "`V_iv` in `iv`, which is neither"),
    "prior of something else": ({"prior": Joint({"KA": LogNormal(1.0, 0.3)})}, "`KA`, which is not estimated"),
    "two priors": (
        {"prior": Joint({"CL": LogNormal(1, 0.3)}), "estimated": [Estimated("CL", (0.1, 9), prior=LogNormal(1, 0.3))]},
        "`CL` has a prior of its own",
    ),
    "run-in of no arm": ({"preequilibration": {"po": PreEquilibration(10.0)}}, "names `po`, which is no arm"),
    "run-in of no parameter": ({"preequilibration": PreEquilibration(10.0, {"ka": 1.0})}, "`ka`.*no parameter of Oral"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_with_its_repair(name):
    how, message = MISTAKES[name]
    with pytest.raises(CalibrationError, match=message):
        build(**how)


WRONG_TYPES = {  # checked before the annotations, which the tests enforce and a user's Python does not
    "no Estimated": (lambda: checked_estimated(["CL"], MODEL), r"sequence of Estimated\(name, bounds\)"),
    "one Estimated": (lambda: checked_estimated(CV, MODEL), r"sequence of Estimated\(name, bounds\)"),
    "arm that is no regimen": (lambda: arms_by_name({"iv": 3.0}, MODEL), "Regimen, an Arm, or None.*`iv`.*3.0"),
    "arms that are none": (lambda: arms_by_name([ORAL], MODEL), "must hold Arm objects"),
    "noise that is a number": (lambda: noise_by_observable(0.3, measured(FRAME)), "must map observables to error"),
    "noise of one": (lambda: noise_by_observable({"CP": 0.3}, measured(FRAME)), "error model such as.*`CP`, but 0.3"),
    "run-in that is a time": (lambda: runs_in({"iv": 10.0}, ARMS), r"PreEquilibration\(within\), but 10.0"),
}


@pytest.mark.parametrize("name", WRONG_TYPES)
def test_something_of_another_kind_is_named(name):
    call, message = WRONG_TYPES[name]
    with pytest.raises(CalibrationError, match=message):
        call()


def test_values_that_an_error_model_cannot_take():
    zero = FRAME.assign(value=[3.0, 0.0])
    with pytest.raises(CalibrationError, match=r"row 3, column `value`: a value > 0.*logarithm.*below the limit"):
        build(zero, noise=LogAdditive(0.2))
    with pytest.raises(CalibrationError, match=r"row 3, column `value`: a value other than 0.*unbounded.*Combined"):
        build(zero, noise=Proportional(0.2))
    build(zero, noise=Combined(0.1, 0.2))
    build(zero, noise=Proportional(0.2, floor=0.1))
    with pytest.raises(CalibrationError, match=r"row 2, column `n`: 1 was expected.*StudentNoise"):
        build(FRAME.assign(n=3), noise=Additive(0.2, StudentNoise(4)))


def test_numbers_of_error_models():
    for wrong in (
        lambda: Additive(-0.1),
        lambda: Combined(0.1, 0.0),
        lambda: Proportional(np.nan),
        lambda: GivenSd(-1),
    ):
        with pytest.raises(CalibrationError, match="must be a number > 0, or the name of one"):
            wrong()
    with pytest.raises(CalibrationError, match="on a logarithm"):
        LogAdditive(0.1, StudentNoise(4))


def test_measurements_of_another_model():
    from systems import OneCompartment

    with pytest.raises(CalibrationError, match="`CP`, which is no observable or species of OneCompartment"):
        CalibrationProblem(OneCompartment(), measured(FRAME), [Estimated("CL", (0.1, 9.0))], Additive(1.0), ARMS)
    m = measured(FRAME)
    with pytest.raises(CalibrationError, match="no measurements left"):
        build(measurements=m.rows(m.time > 10))


def test_values_asked_for():
    p = build()
    with pytest.raises(CalibrationError, match=r"`cl` is not estimated. Did you mean `CL`\?"):
        p.log_likelihood({"cl": 1.0})
    with pytest.raises(CalibrationError, match="`CL` must lie inside its bounds 0.1 to 100, but is 500"):
        p.log_likelihood({"CL": 500.0})
    with pytest.raises(CalibrationError, match=r"shape \(..., 2\), for CL, V, but have \(3,\)"):
        p.log_likelihood(np.zeros(3))


def test_every_mistake_is_an_error_of_qspx():
    with pytest.raises(QspxError, match="`within`"):
        PreEquilibration(-1.0)
    with pytest.raises(CalibrationError, match="`gain` is neither estimated nor fixed"):
        observed = {"CP": Observed("CP", scaling="gain")}
        build(measurements=measured(FRAME, observables=observed), estimated=[*TWO, CV], noise=Proportional("cv"))


def test_a_prior_without_density_between_the_bounds():
    """Quantiles of a uniform prior in closed form: 95 % of (50, 60) lie between 50.3 and 59.7 by its percentiles."""
    with pytest.raises(CalibrationError, match=r"the prior of `k`.*bounds 0.01 and 10 \(.*50.3 and 59.7\)"):
        Estimated("k", (0.01, 10.0), prior=Uniform(50.0, 60.0))
    with pytest.raises(CalibrationError, match="the prior of `k`"):  # on the logarithm the bounds are -4.6 and 2.3
        Estimated("k", (0.01, 10.0), prior=Uniform(3.0, 4.0), prior_on="estimation")
    Estimated("k", (0.01, 10.0), prior=Uniform(3.0, 3.0001))  # narrow, but inside
    Estimated("k", (0.01, 10.0), prior=Uniform(9.99, 600.0))  # hardly any of it is inside
    Estimated("k", (0.01, 10.0), prior=LogNormal(1e3, cv=0.1))  # far away, but not impossible


def test_a_negative_limit_of_quantification():
    frame = FRAME.assign(lloq=[0.5, -1.0])
    with pytest.raises(CalibrationError, match="row 3, column `lloq`: a limit of quantification >= 0.*but `-1.0`"):
        measured(frame)
    signed = pd.concat([frame, FRAME.assign(time=3.0, value=-2.0)])
    assert len(measured(signed)) == 4  # seen below zero itself


def test_what_is_printed_of_a_problem():
    found = build()
    assert repr(found).startswith("CalibrationProblem(calibration of Oral: 2 estimated (CL, V)")
    assert len(repr(found)) < 300
    summary = found.measurements.summary()
    with pd.option_context("display.width", 40, "display.max_columns", 3):
        assert "largest" in repr(summary) and "..." not in str(summary) and str(summary).count("\n") == len(summary)
    assert list(summary["arm"]) == ["iv", "oral"]
