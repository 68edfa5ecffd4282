"""Reading data sets of population fits, and what is refused."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from population_systems import Decay, Line, Oral, line_data, lines

import qspx
from qspx import Additive, Estimated, LogAdditive, StudentNoise
from qspx._errors import CalibrationError, ModelError
from qspx.nlme import (
    CategoryEffect,
    Endpoint,
    LinearEffect,
    PopulationData,
    PopulationProblem,
    PowerEffect,
    RandomEffect,
)
from qspx.nlme.random_effects import Omega


def frame():
    return pd.DataFrame(
        {
            "id": [1, 1, 1, 1, 2, 2, 3],
            "time": [0.0, 0.0, 60.0, 120.0, 0.0, 60.0, 30.0],
            "amt": [0, 100, 0, 0, 50, 0, 0],
            "evid": [0, 1, 0, 0, 1, 0, 2],
            "dv": [0.5, ".", 1000.0, 2.0, ".", 3000.0, "."],
            "what": ["a", "a", "a", "b", "a", "a", "a"],
            "sex": ["f", "f", "f", "f", "m", "m", "m"],
            "cens": [0, 0, 0, 1, 0, 0, 0],
        }
    )


def read(f=None, **more):
    endpoints = {"a": Endpoint("CP", "ug/L"), "b": Endpoint("central", "mg")}
    options = dict(unit="mg", time_unit="min", covariates=["sex"], columns={"what": "DVID"}) | more
    return PopulationData.read(frame() if f is None else f, Oral(), endpoints, **options)


def test_doses_measurements_units_and_order():
    data = read()
    assert str(data) == (
        "3 individuals, 4 measurements (3 of CP, 1 of central; 1 censored); 1 individuals without a measurement"
    )
    np.testing.assert_array_equal(data.individual, [0, 0, 0, 1])
    np.testing.assert_allclose(data.time, [0.0, 1.0, 2.0, 1.0])  # in hours
    np.testing.assert_allclose(data.value, [0.0005, 1.0, 2.0, 3.0])  # CP in mg/L
    np.testing.assert_array_equal(data.censored, [0, 0, -1, 0])
    assert data.before.tolist() == [True, False, False, False]  # above the dose of its time
    assert data.endpoints == ("CP", "central") and data.covariates["sex"].tolist() == ["f", "m", "m"]
    runs, column = data.runs()
    assert len(runs) == 3 and column.tolist() == [0, 1, 2, 0]
    back = data.to_frame()
    assert back["DV"].tolist() == data.value.tolist() and back["CENS"].tolist() == [0, 0, 1, 0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.assign(what="c"), "no entry for DVID 'c'"),
        (lambda f: f.drop(columns="what").assign(other=1), "no such column"),
        (lambda f: f.drop(columns="dv"), "no column DV"),
        (lambda f: f.assign(evid=2, amt=0), "holds no observation"),
        (lambda f: f.assign(dv="."), "row 2, column `DV`: a number was expected, but `.` was given.*MDV 1"),
        (lambda f: f.assign(dv="<0.25"), "row 2, column `DV`: a finite number was.*`<0.25` was given.*LLOQ|lloq"),
        (lambda f: f.assign(cens=[0, 0, 2, 0, 0, 0, 0]), "row 4, column `CENS`:.*1 .below., -1"),
        (lambda f: f.assign(BLQ=0), "columns `CENS` and `BLQ`.*columns={'BLQ': None}"),
        (lambda f: f.assign(sex=["f", "m", "f", "f", "m", "m", "m"]), "row 3, column `sex`: 'f' was expected"),
        (
            lambda f: f.assign(sex=["f"] * 4 + [np.nan] * 3),
            "row 6, column `sex`: the covariate is missing for indi.* 2",
        ),
        (lambda f: f.drop(columns="sex"), "names column `sex`"),
    ],
)
def test_faults_of_data_are_named(change, message):
    f = change(frame())
    columns = {"what": "DVID"} if "what" in f else {}
    with pytest.raises(CalibrationError, match=message):
        read(f, columns=columns)


def test_values_below_a_limit_are_read_as_measurements_are():
    # By hand: LLOQ is the limit, of a value below it, a missing one, and one that is marked; CENS -1 is above.
    f = pd.DataFrame(
        {
            "ID": [1, 1, 1, 1, 2, 2, 2],
            "TIME": [0.0, 1.0, 2.0, 3.0, 1.0, 2.0, 3.0],
            "AMT": [100, 0, 0, 0, 0, 0, 0],
            "DV": [".", 0.1, ".", 0.0, 5.0, 0.3, "."],
            "BLQ": [0, 0, 0, 1, -1, 0, 0],
            "lloq": [".", 0.25, 0.25, 0.25, ".", 0.25, "."],
            "MDV": [1, 0, 0, 0, 0, 0, 1],
        }
    )
    given = dict(unit="mg", time_unit="h")
    data = PopulationData.read(f, Oral(), Endpoint("CP", "ug/L"), **given)
    np.testing.assert_allclose(data.value, [0.00025, 0.00025, 0.00025, 0.005, 0.0003])
    assert data.censored.tolist() == [-1, -1, -1, 1, 0] and data.left_out == 1
    assert str(data) == "2 individuals, 5 measurements (5 of CP; 4 censored); 1 records with MDV 1 left out"
    same = qspx.Measurements.from_events(qspx.EventTable.read(f, Oral(), **given), "CP", units="ug/L")
    np.testing.assert_array_equal(data.value, same.value)
    np.testing.assert_array_equal(data.censored, same.censored)
    other = PopulationData.read(
        f.rename(columns={"BLQ": "LIM", "lloq": "QL"}),
        Oral(),
        Endpoint("CP", "ug/L"),
        columns={"LIM": "CENS", "QL": "LLOQ"},
        **given,
    )
    np.testing.assert_array_equal(data.value, other.value)
    with pytest.raises(CalibrationError, match=r"row 4, column `DV`: a number was expected, but `\.` was given"):
        PopulationData.read(f, Oral(), Endpoint("CP"), columns={"lloq": None}, **given)


def test_zero_beside_the_code_for_below_is_no_limit():
    f = pd.DataFrame({"ID": [1, 1, 2], "TIME": [0.0, 1.0, 1.0], "DV": [0.3, 2.0, 0.0], "CENS": [0, 0, 1]})
    given = dict(unit="mg", time_unit="h")
    said = "row 4, column `DV`: the limit was expected that the value lies below, a number > 0, but `0.0` was given"
    with pytest.raises(CalibrationError, match=said + ".*column `LLOQ`; there it may be 0"):
        PopulationData.read(f, Oral(), Endpoint("CP"), **given)
    with pytest.raises(CalibrationError, match="row 4, column `LLOQ`: a limit of quantification >= 0"):
        PopulationData.read(f.assign(LLOQ=[0.2, 0.2, -0.2]), Oral(), Endpoint("CP"), **given)
    # of a logarithm, said as a limit; and of what is itself seen below zero
    for fine in (f.assign(LLOQ=[".", ".", 0.0]), f.assign(DV=[-0.3, 2.0, 0.0])):
        data = PopulationData.read(fine, Oral(), Endpoint("CP"), **given)
        assert data.value.tolist()[-1] == 0.0 and data.censored.tolist() == [0, 0, -1]


def test_a_file_is_read_as_its_frame_is(tmp_path):
    frame().to_csv(tmp_path / "data.csv", index=False)
    here, there = read(), read(tmp_path / "data.csv")
    for name in ("individual", "time", "before", "endpoint", "value", "censored"):
        np.testing.assert_array_equal(getattr(here, name), getattr(there, name))
    assert str(here) == str(there) and here.ids == there.ids
    assert here.covariates["sex"].tolist() == there.covariates["sex"].tolist()


def test_a_measurement_between_two_doses_of_its_time_is_refused():
    f = pd.DataFrame({"ID": 1, "TIME": 0.0, "AMT": [1, 0, 1], "EVID": [1, 0, 1], "DV": [None, 1.0, None]})
    with pytest.raises(CalibrationError, match="row 3: the observation stands between"):
        PopulationData.read(f, Oral(), Endpoint("CP"), unit="mg", time_unit="h")


PROBLEM_FAULTS = {
    "is neither a parameter": dict(estimated=[Estimated(n, (0.1, 1.0), 0.5) for n in ("sd", "typo")]),
    "is named by a residual error": dict(residuals={"Y": Additive("sx")}),
    "has `sd` twice": dict(estimated=[Estimated("sd", (0.1, 1.0), 0.5)] * 2),
    "lacks `Y`": dict(residuals={}),
    "names `Z`, which was not measured": dict(residuals={"Z": Additive("sd"), "Y": Additive("sd")}),
    "normal or log-normal errors": dict(residuals={"Y": Additive("sd", StudentNoise(4.0))}),
    "have no logarithm": dict(residuals={"Y": LogAdditive("sd")}),
    "is empty": dict(random_effects=[]),
    "has two effects": dict(random_effects=[RandomEffect("slope")] * 2),
    "has no random effect": dict(correlated=[("slope", "other")]),
    "must hold groups": dict(correlated=["slope"]),
    "covariate `W` was not read": dict(covariate_effects=[LinearEffect("slope", "W", 1.0)]),
}


@pytest.mark.parametrize("message", PROBLEM_FAULTS)
def test_faults_of_problems_are_named(message):
    f = line_data(3).dropna()
    f.loc[0, "DV"] = -1.0
    good = lines(f, correlated=False)
    with pytest.raises(CalibrationError, match=message):
        dataclasses.replace(good, **PROBLEM_FAULTS[message])


def test_faults_of_parameters_are_named():
    good = lines(line_data(3), correlated=False)
    with pytest.raises(ModelError, match="no parameter `slop`"):
        dataclasses.replace(good, random_effects=[RandomEffect("slop")])
    with pytest.raises(CalibrationError, match="Take its square root"):
        RandomEffect("slope", 50.0)
    data = PopulationData.read(
        pd.DataFrame({"ID": [1, 2], "TIME": 1.0, "DV": 2.0}), Decay(), Endpoint("C"), unit="mg", time_unit="h"
    )
    with pytest.raises(CalibrationError, match='use "log"'):
        PopulationProblem(
            data, [Estimated("ke", (0.1, 1.0), scale="log10")], [RandomEffect("ke")], {"C": Additive(0.1)}
        )
    with pytest.raises(CalibrationError, match="lies outside its bounds"):
        good.coordinates({"slope": 99.0})


def test_covariate_columns():
    x = np.array([35.0, 70.0, 140.0])
    np.testing.assert_allclose(PowerEffect("CL", "WT", 0.75).column(x), [-np.log(2), 0.0, np.log(2)])
    np.testing.assert_allclose(LinearEffect("CL", "WT", 0.1, centre=70.0).column(x), [-35.0, 0.0, 70.0])
    sexes = np.array(["f", "m", "f"], dtype=object)
    np.testing.assert_allclose(CategoryEffect("CL", "SEX", 0.1, level="f").column(sexes), [1.0, 0.0, 1.0])
    ids = (7, 8, 9)
    with pytest.raises(CalibrationError, match="is 'x', which no individual has; they have 'f', 'm'"):
        CategoryEffect("CL", "SEX", 0.1, level="x").check(sexes, ids)
    with pytest.raises(CalibrationError, match="is 'f' in individual 7, one of 3 of 3.*use CategoryEffect"):
        LinearEffect("CL", "SEX", 0.1).check(sexes, ids)
    with pytest.raises(CalibrationError, match="`WT` must be a number > 0 .* but is -35.0 in individual 7, one of 2"):
        PowerEffect("CL", "WT", 0.1).check(x - 70.0, ids)
    PowerEffect("CL", "WT", 0.1).check(x, ids)


def test_covariates_are_looked_at_when_the_problem_is_made():
    f = line_data(3).assign(SEX=lambda d: d["ID"] % 2, WT=lambda d: d["ID"] - 2.0)
    data = PopulationData.read(
        f, Line(), Endpoint("Y"), unit="mg", time_unit="h", covariates=["X", "SEX", "WT"], columns={"X": None}
    )
    good = dataclasses.replace(lines(line_data(3), correlated=False), data=data)
    for effect, message in {
        CategoryEffect("slope", "SEX", 0.3, level=7): "is 7, which no individual has; they have 0.0, 1.0",
        PowerEffect("slope", "WT", 0.3): "is -1.0 in individual 1, one of 2 of 4",
    }.items():
        with pytest.raises(CalibrationError, match=message):
            dataclasses.replace(good, covariate_effects=[effect])


def test_a_residual_error_without_a_value_starts_in_the_middle_of_its_bounds():
    good = lines(line_data(3), correlated=False)
    estimated = [*good.estimated[:2], Estimated("sd", (0.01, 100.0))]
    assert dataclasses.replace(good, estimated=estimated).start[2] == pytest.approx(0.0, abs=1e-12)  # log 1


def test_omega_goes_back_and_forth():
    effects = tuple(RandomEffect(n, 0.2 + 0.1 * k, fixed=n == "d") for k, n in enumerate("abcd"))
    omega = Omega(effects, (("a", "c"),))
    assert omega.coordinate_names == ("omega(a)", "omega(b)", "omega(c)", "omega(c, a)")
    rng = np.random.default_rng(0)
    factor = np.asarray(omega.factor(omega.start + rng.normal(size=4)))
    matrix = factor @ factor.T
    assert matrix[3, 3] == pytest.approx(0.25) and matrix[0, 1] == matrix[1, 2] == matrix[0, 3] == 0.0
    again = np.asarray(omega.factor(omega.coordinates(matrix)))
    np.testing.assert_allclose(again @ again.T, matrix, rtol=1e-12)


def test_scales_of_parameters_and_log_values():
    from qspx.nlme.individuals import Individuals

    f = line_data(3).dropna().assign(DV=lambda d: d["DV"].abs() + 0.1)
    data = PopulationData.read(f, Line(), Endpoint("Y"), unit="mg", time_unit="h")
    problem = PopulationProblem(
        data,
        [Estimated("slope", (0.0, 2.0), 0.5, scale="logit"), Estimated("sd", (0.1, 1.0), 0.5)],
        [RandomEffect("slope", 0.5)],
        {"Y": LogAdditive("sd")},
    )
    assert problem.start[0] == pytest.approx(np.log(0.25 / 0.75))
    np.testing.assert_allclose(problem.natural_columns(np.array([[-50.0], [50.0]])), [[0.0], [2.0]], atol=1e-12)
    individuals = Individuals(problem)
    np.testing.assert_allclose(individuals.rows.value[individuals.place], np.log(data.value))
    assert individuals.log_slope.sum() == pytest.approx(2 * np.log(data.value).sum())
    assert qspx.nlme.FOCEI().name == "FOCEI"
