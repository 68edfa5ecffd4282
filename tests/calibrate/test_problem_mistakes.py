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
