"""`CalibrationProblem` against SciPy and closed forms: error models, arms and studies, priors, many starts."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import numpy as np
import pandas as pd
import pytest
from scipy.stats import laplace, lognorm, multivariate_normal, norm, t

import qspx
from qspx import (
    AbstractModel,
    Additive,
    Arm,
    AutomaticIntegrator,
    CalibrationProblem,
    Combined,
    Dose,
    Estimated,
    EventTable,
    GivenSd,
    Joint,
    LaplaceNoise,
    LogAdditive,
    LogNormal,
    Measurements,
    Normal,
    Observable,
    Observed,
    Parameter,
    Proportional,
    Protocol,
    Regimen,
    Species,
    StudentNoise,
)
from qspx.calibrate.identity import identity

TIGHT = AutomaticIntegrator(rtol=1e-10, atol=1e-14)


class Oral(AbstractModel):
    """One compartment with first-order absorption."""

    time_unit = "h"
    depot = Species("mg")
    central = Species("mg")
    CL = Parameter(2.8, "L/h")
    V = Parameter(32.0, "L")
    KA = Parameter(1.5, "1/h")
    CP = Observable("mg/L", "drug in plasma")

    def rates(self, t, y, p):
        absorbed = p.KA * y.depot
        return {"depot": -absorbed, "central": absorbed - p.CL / p.V * y.central}

    def observables(self, t, y, p):
        return {"CP": y.central / p.V}


MODEL = Oral()
IV, ORAL = (Regimen((Dose(100.0, "mg", into),), "h") for into in ("central", "depot"))
ARMS = {"iv": IV, "oral": ORAL}


def after_iv(t, CL, V):
    return 100.0 / V * np.exp(-CL / V * t)


def after_oral(t, CL, V, KA):
    k = CL / V
    return 100.0 * KA / (V * (KA - k)) * (np.exp(-k * t) - np.exp(-KA * t))


def measured(frame: pd.DataFrame, **how: Any) -> Measurements:
    usual: dict[str, Any] = {"time_unit": "h", "units": "mg/L"}
    return Measurements.from_dataframe(frame, MODEL, **usual | how)


# error models -------------------------------------------------------------------------------------------------------

TIMES = np.array([0.5, 2.0, 6.0])
VALUES = np.array([2.7, 2.9, 1.6])
LIMIT = 1.9  # of the last value, where it is censored
BASE = 0.25  # offset
NUMBERS = {"CL": 2.5, "V": 30.0, "sd": 0.4, "cv": 0.2, "omega": 0.3, "base": BASE}
EXPECTED = after_iv(TIMES, 2.5, 30.0)
SD = np.array([0.3, 0.5, 0.7])  # in the table

CASES = {  # error model, log-density of the values, log-probability of less than the limit; f is the prediction
    "additive": (Additive("sd"), lambda y, f: norm.logpdf(y, f, 0.4), lambda y, f: norm.logcdf(y, f, 0.4)),
    "number": (Additive(0.7), lambda y, f: norm.logpdf(y, f, 0.7), None),
    "proportional": (
        Proportional("cv"),
        lambda y, f: norm.logpdf(y, f, 0.2 * f),
        lambda y, f: norm.logcdf(y, f, 0.2 * f),
    ),
    "combined": (Combined("sd", "cv"), lambda y, f: norm.logpdf(y, f, np.hypot(0.4, 0.2 * f)), None),
    "lognormal": (
        LogAdditive("omega"),
        lambda y, f: lognorm.logpdf(y, 0.3, scale=f),
        lambda y, f: lognorm.logcdf(y, 0.3, scale=f),
    ),
    "student": (
        Additive("sd", StudentNoise(5)),
        lambda y, f: t.logpdf(y, 5, f, 0.4),
        None,
    ),
    "laplace": (
        Combined("sd", "cv", LaplaceNoise()),
        lambda y, f: laplace.logpdf(y, f, np.hypot(0.4, 0.2 * f)),
        lambda y, f: laplace.logcdf(y, f, np.hypot(0.4, 0.2 * f)),
    ),
    "given": (GivenSd(), lambda y, f: norm.logpdf(y, f, SD), lambda y, f: norm.logcdf(y, f, SD)),
    "inflated": (GivenSd("cv"), lambda y, f: norm.logpdf(y, f, 0.2 * SD), None),
}  # fmt: skip
OBSERVED = {name: Observed("CP", offset="base" if name == "lognormal" else 0.0) for name in CASES}


def rows_of(name: str) -> pd.DataFrame:
    censored = ["", "", "below" if CASES[name][2] else ""]
    values = np.where(np.array(censored) == "below", LIMIT, VALUES)
    return pd.DataFrame(
        {"observable": name, "arm": "iv", "time": TIMES, "value": values, "sd": SD, "censored": censored}
    )


def by_hand(name: str) -> np.ndarray:
    _, density, below = CASES[name]
    f = EXPECTED + (BASE if name == "lognormal" else 0.0)
    found = density(VALUES, f)
    return found if below is None else np.where([False, False, True], below(LIMIT, f), found)


@pytest.fixture(scope="module")
def every_error_model():
    m = measured(pd.concat([rows_of(name) for name in CASES]), observables=OBSERVED)
    estimated = [
        Estimated("CL", (0.1, 100.0)),
        Estimated("V", (1.0, 1000.0), scale="log10"),
        Estimated("sd", (0.01, 10.0)),
        Estimated("cv", (0.01, 2.0), scale="logit"),
        Estimated("omega", (0.01, 2.0), scale="lin"),
        Estimated("base", (-100.0, 1.0), value=0.0, scale="lin"),
    ]
    noise = {name: case[0] for name, case in CASES.items()}
    return CalibrationProblem(MODEL, m, estimated, noise, {"iv": IV}, integrator=TIGHT)


@pytest.fixture(scope="module")
def each_measurement(every_error_model):
    return np.asarray(jax.jit(every_error_model.objective.log_likelihoods)(every_error_model.coordinates(NUMBERS)))


@pytest.mark.parametrize("name", CASES)
def test_log_likelihood_of_each_error_model(every_error_model, each_measurement, name):
    # The prediction is right to about 1e-9 (steps at 1e-10), and the log-likelihoods are no worse conditioned.
    mine = every_error_model.measurements.observable == name
    np.testing.assert_allclose(each_measurement[mine], by_hand(name), rtol=1e-7, atol=1e-9)


@pytest.fixture(scope="module")
def three_starts(every_error_model):
    """Coordinates of three starts, the second without a likelihood: values and gradients of all in one batch."""
    good = np.asarray(every_error_model.coordinates(NUMBERS))
    bad = np.asarray(every_error_model.coordinates(NUMBERS | {"base": -90.0}))  # the logarithm of a negative prediction
    x = np.stack([good, bad, good + 0.1])
    return x, *(np.asarray(a) for a in every_error_model.objective.values_and_gradients(x))


def test_their_sum_and_its_gradient(every_error_model, three_starts):
    (x, *_), values, gradients = three_starts
    total = sum(by_hand(name).sum() for name in CASES)
    np.testing.assert_allclose(values[0], total, rtol=1e-7)
    h = 1e-4
    steps = np.concatenate([x + h * np.eye(len(x)), x - h * np.eye(len(x))])
    up, down = np.split(np.asarray(every_error_model.log_likelihood(steps)), 2)
    # Central differences: error h² / 6 times a third derivative of order 100, and 1e-8 / h of the solver.
    np.testing.assert_allclose(gradients[0], (up - down) / (2 * h), rtol=1e-5, atol=2e-3)


def test_a_start_without_a_likelihood_leaves_the_others_alone(every_error_model, three_starts):
    p, (x, values, gradients) = every_error_model, three_starts
    assert values[1] == -np.inf and (gradients[1] == 0).all() and np.isfinite(gradients).all()
    np.testing.assert_allclose(values, [p.log_posterior(one) for one in x], rtol=1e-12)  # one at a time
    text = p.diagnose(x[1])
    assert "`lognormal` in arm `iv` at 0.5 h is 2.7, predicted -86.8" in text
    assert text.count("\n") == 1  # the value below the limit is no third: that is where the prediction says it is
    assert "nothing is wrong" in p.diagnose()


def test_table_of_predictions(every_error_model):
    found = every_error_model.predict(NUMBERS)
    rows = found[found["observable"] == "combined"]
    np.testing.assert_allclose(rows["prediction"], EXPECTED, rtol=1e-8)
    np.testing.assert_allclose(rows["sd"], np.hypot(0.4, 0.2 * EXPECTED), rtol=1e-8)
    np.testing.assert_allclose(rows["residual"], (VALUES - EXPECTED) / np.hypot(0.4, 0.2 * EXPECTED), rtol=1e-6)
    assert (found["status"] == "ok").all() and len(found) == 3 * len(CASES)


def test_proportional_noise_of_a_prediction_of_zero():
    """At time 0 of the tablet. Without a floor any value is impossible; with one the sd is cv times it."""
    m = measured(pd.DataFrame({"observable": "CP", "arm": "oral", "time": [0.0, 2.0], "value": [0.3, 2.0]}))
    for floor, expected in ((0.0, -np.inf), (0.5, norm.logpdf(0.3, 0.0, 0.1))):
        noise = Proportional(0.2, floor=floor)
        p = CalibrationProblem(MODEL, m, [Estimated("KA", (0.1, 10.0))], noise, {"oral": ORAL})
        f = after_oral(2.0, 2.8, 32.0, 1.5)
        x = p.coordinates({})
        value, gradient = p.objective.values_and_gradients(x[None])
        np.testing.assert_allclose(value[0], expected + norm.logpdf(2.0, f, 0.2 * f), rtol=1e-6)
        assert np.isfinite(gradient).all() and (gradient == 0).all() == (floor == 0)
    assert (
        "row 2: `CP` in arm `oral` at 0 h"
        in CalibrationProblem(MODEL, m, [Estimated("KA", (0.1, 10.0))], Proportional(0.2), {"oral": ORAL}).diagnose()
    )


def test_residuals_and_their_derivatives():
    m = measured(pd.DataFrame({"observable": "CP", "time": [1.0, 4.0], "value": [3.0, 2.0]}))
    estimated = [Estimated("CL", (0.1, 100.0)), Estimated("V", (1.0, 1000.0), scale="lin")]
    p = CalibrationProblem(MODEL, m, estimated, LogAdditive(0.2), IV, integrator=TIGHT)
    x, t = p.coordinates({"CL": 3.0, "V": 30.0}), np.array([1.0, 4.0])
    np.testing.assert_allclose(p.residuals(x), np.log(np.array([3.0, 2.0]) / after_iv(t, 3.0, 30.0)) / 0.2, rtol=1e-7)
    # log C = log(100 / V) - CL / V t: by log CL and by V
    by_hand = np.stack([3.0 / 30.0 * t, 1 / 30.0 - 3.0 / 30.0**2 * t], axis=1) / 0.2
    np.testing.assert_allclose(jax.jacfwd(p.residuals)(x), by_hand, rtol=1e-7)
    assert p.residuals(np.stack([x, x])).shape == (2, 2)


# summary data -------------------------------------------------------------------------------------------------------


def test_a_mean_says_as_much_about_the_prediction_as_its_values():
    """log L(values) - log L(mean) does not hold the prediction where the noise is additive and normal."""
    values = np.array([2.2, 3.1, 2.6, 2.9])
    raw = pd.DataFrame({"observable": "single", "arm": "iv", "time": 2.0, "value": values, "sd": 0.5})
    mean = pd.DataFrame({"observable": "CP", "arm": "iv", "time": 2.0, "value": [values.mean()], "sd": 0.5, "n": 4})
    estimated = [Estimated("CL", (0.1, 100.0)), Estimated("V", (1.0, 1000.0))]
    problems = [
        CalibrationProblem(MODEL, measured(frame, observables={"single": "CP"}), estimated, GivenSd(), {"iv": IV})
        for frame in (raw, mean)
    ]
    x = np.asarray(problems[0].coordinates({"CL": 2.5, "V": 30.0}))
    one, other = (jax.grad(p.log_likelihood)(x) for p in problems)
    np.testing.assert_allclose(one, other, rtol=1e-10)
    exact = norm.logpdf(values.mean(), after_iv(2.0, 2.5, 30.0), 0.5 / 2)
    np.testing.assert_allclose(problems[1].log_likelihood(x), exact, rtol=1e-6)
    np.testing.assert_allclose(problems[1].predict(x)["sd"], [0.25])


# arms, studies, scalings --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def two_studies():
    frame = pd.DataFrame(
        [
            ("CP", "iv", "new", 1.0, 3.0, "mg/L"),
            ("CP", "oral", "new", 2.0, 2.0, "mg/L"),
            ("CP", "oral", "old", 2.0, 2.1, "mg/L"),
            ("blot", "oral", "old", 2.0, 40.0, "AU"),
            ("blot", "heavy", "new", 2.0, 20.0, "AU"),
        ],
        columns=["observable", "arm", "study", "time", "value", "unit"],
    )
    m = measured(frame, units=None, observables={"blot": Observed("CP", scaling="gain", offset=5.0)})
    arms = [
        Arm("iv", IV),
        Arm("oral", ORAL, times=[1, 2], observables=("CP",)),
        Arm("heavy", IV, covariates={"V": 60.0}),
    ]
    estimated = [
        Estimated("CL", (0.1, 100.0)),
        Estimated("V", (1.0, 1000.0)),
        Estimated("KA_oral", (0.1, 10.0), value=0.8),
        Estimated("sd_old", (0.01, 10.0), value=0.9),
        Estimated("gain", (0.1, 1000.0), value=12.0),
    ]
    return CalibrationProblem(
        MODEL,
        m,
        estimated,
        {"CP": Additive("sd"), "blot": Proportional(0.3)},
        arms,
        fixed={"sd": 0.2},
        per_arm={"KA": {"oral": "KA_oral"}, "gain": {"heavy": 4.0}},
        per_study={"sd": {"old": "sd_old"}},
        integrator=TIGHT,
    )  # fmt: skip


def test_parameters_of_arms_and_studies(two_studies):
    found = two_studies.predict({"V": 30.0})
    iv, oral, heavy = after_iv(1.0, 2.8, 30.0), after_oral(2.0, 2.8, 30.0, 0.8), after_iv(2.0, 2.8, 60.0)
    expected = [iv, oral, oral, 5 + 12 * oral, 5 + 4 * heavy]
    np.testing.assert_allclose(found["prediction"], expected, rtol=1e-8)
    np.testing.assert_allclose(found["sd"], [0.2, 0.2, 0.9, 0.3 * expected[3], 0.3 * expected[4]], rtol=1e-8)
    assert len(two_studies.objective.phases[0].runs) == 4  # iv, oral of each study, heavy


def test_curves_pass_through_the_predictions(two_studies):
    curves, found = two_studies.curves({}, [0.0, 1.0, 2.0]), two_studies.predict({})
    assert len(curves) == 5 * 3 and set(curves["status"]) == {"ok"}
    keys = ["observable", "arm", "study", "time"]
    both = found.merge(curves, on=keys, suffixes=("", "_curve"))
    assert len(both) == len(found)
    np.testing.assert_allclose(both["prediction_curve"], both["prediction"], rtol=1e-8)


def test_other_measurements(two_studies):
    m = two_studies.measurements
    fewer = two_studies.with_measurements(m.rows(np.array([0, 1, 2, 3, 3])))
    np.testing.assert_allclose(fewer.predict({})["prediction"], two_studies.predict({})["prediction"][[0, 1, 2, 3, 3]])
    assert list(fewer.given) == ["iv", "oral"]


def test_what_is_printed(two_studies):
    assert "5 estimated (CL, V, KA_oral, sd_old, gain) from 5 measurements of CP, blot in 3 arms" in str(two_studies)
    table = two_studies.table().set_index("name")
    assert table.loc["CL", "unit"] == "L/h" and table.loc["gain", "start"] == 12.0
    assert two_studies.start["CL"] == 2.8


def test_a_protocol_and_a_single_regimen_are_arms_too(two_studies):
    m = measured(pd.DataFrame({"observable": "CP", "time": [1.0, 2.0], "value": [3.0, 2.0]}))
    estimated = [Estimated("CL", (0.1, 100.0)), Estimated("V", (1.0, 1000.0))]
    p = CalibrationProblem(MODEL, m, estimated, Additive(0.3), IV)
    q = CalibrationProblem(MODEL, m, estimated, Additive(0.3), Protocol((Arm("all", IV),)))
    x = p.coordinates({})
    assert p.log_likelihood(x) == q.log_likelihood(x)
    expected = norm.logpdf([3.0, 2.0], after_iv(np.array([1.0, 2.0]), 2.8, 32.0), 0.3).sum()
    np.testing.assert_allclose(p.log_likelihood(x), expected, rtol=1e-6)


# priors -------------------------------------------------------------------------------------------------------------


def test_priors_of_one_and_of_several(two_studies):
    joint = Joint({"CL": LogNormal(3.0, 0.4), "V": LogNormal(30.0, 0.3)}, correlations={("CL", "V"): 0.6})
    ka = dataclasses.replace(two_studies.estimated[2], prior=Normal(1.0, 0.5))
    gain = dataclasses.replace(two_studies.estimated[4], prior=Normal(2.0, 0.3), prior_on="estimation")
    estimated = [*two_studies.estimated[:2], ka, two_studies.estimated[3], gain]
    p = dataclasses.replace(two_studies, estimated=estimated, prior=joint)
    assert "together: Joint" in identity(p.objective)["prior"][-1]
    x = p.coordinates({"CL": 4.0, "V": 25.0, "gain": 8.0})
    sd = np.sqrt(np.log1p([0.4**2, 0.3**2]))  # of the logarithms
    cov = np.array([[1.0, 0.6], [0.6, 1.0]]) * np.outer(sd, sd)
    mean, at = np.log([joint.marginals[n].quantile(0.5) for n in ("CL", "V")]), np.log([4.0, 25.0])
    expected = multivariate_normal(mean, cov).logpdf(at) - at.sum()  # type: ignore[arg-type]
    expected += norm.logpdf(0.8, 1.0, 0.5) + norm.logpdf(np.log(8.0), 2.0, 0.3)
    np.testing.assert_allclose(p.log_posterior(x) - p.log_likelihood(x), expected, rtol=1e-10)
    gradient, h = jax.grad(p.objective.log_prior)(x), 1e-5
    for k, direction in enumerate(np.eye(5)):
        difference = (p.objective.log_prior(x + h * direction) - p.objective.log_prior(x - h * direction)) / (2 * h)
        np.testing.assert_allclose(gradient[k], difference, rtol=1e-7, atol=1e-7)


# event tables -------------------------------------------------------------------------------------------------------


def test_the_subjects_of_an_event_table_are_arms():
    frame = pd.DataFrame(
        [(1, 0, 1, 100, 0.0, 20.0), (1, 2, 0, 0, 3.0, 20.0), (2, 3, 1, 100, 0.0, 40.0), (2, 5, 0, 0, 2.0, 40.0)],
        columns=["ID", "TIME", "EVID", "AMT", "DV", "V"],
    ).assign(CMT=2)
    table = EventTable.read(frame, MODEL, unit="mg", time_unit="h")
    m = Measurements.from_events(table, "CP", units="mg/L")
    p = CalibrationProblem(MODEL, m, [Estimated("CL", (0.1, 100.0))], Additive(0.3), table)
    expected = [after_iv(2.0, 2.8, 20.0), after_iv(2.0, 2.8, 40.0)]  # V is a column of the table
    np.testing.assert_allclose(p.predict({})["prediction"], expected, rtol=1e-6)


def test_theophylline_by_hand(reference_dir):
    frame = pd.read_csv(reference_dir / "nlme" / "theo_sd.csv").replace({"EVID": {101: 1}})
    table = EventTable.read(frame, MODEL, unit="mg", time_unit="h")
    m = Measurements.from_events(table, "CP", units="mg/L")
    estimated = [
        Estimated(k, b) for k, b in {"CL": (0.1, 50), "V": (1, 500), "KA": (0.05, 50), "sd": (0.01, 10)}.items()
    ]
    p = CalibrationProblem(MODEL, m, estimated, Additive("sd"), table, integrator=TIGHT)
    time, seen, dose = (
        np.asarray(c) for c in (frame["TIME"], frame["DV"], frame.groupby("ID")["AMT"].transform("max"))
    )
    bateman = after_oral(time, 2.8, 32.0, 1.5) * dose / 100.0
    expected = norm.logpdf(seen, bateman, 0.7)[np.asarray(frame["EVID"] == 0)].sum()
    np.testing.assert_allclose(p.log_likelihood({"sd": 0.7}), expected, rtol=1e-8)


def test_the_public_names_are_there():
    for name in ("CalibrationProblem", "Measurements", "Estimated", "PreEquilibration", "Additive", "GivenSd"):
        assert name in dir(qspx)
