"""What is wrong or not supported is said with file, line or element, and reason."""

import libsbml
import pytest
from made import CONSTANTS, CONVERSION, HEAD, OBSERVABLES, parameter_table, problem, sbml

from qspx import load_petab
from qspx._errors import CalibrationError
from qspx.interchange import InterchangeError, NotSupported
from qspx.petab.parameters import PetabWarning

ONE = [("observableId", "simulationConditionId", "time", "measurement"), ("obs_a", "c0", 1, 0.7)]


def refused(tmp_path, error, match, change=None, **tables):
    given = {"parameters": parameter_table(k1=0.8), "measurements": ONE} | tables
    path = problem(tmp_path, **given)
    if change:
        path.write_text(path.read_text().replace(*change))
    with pytest.raises(error, match=match):
        load_petab(path)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        (("format_version: 1", "format_version: 2.0.0"), NotSupported, "format_version.*2.0.0"),
        (("[model.xml]", "[model.xml, other.xml]"), NotSupported, "sbml_files.*2 are named"),
        (("[measurements.tsv]", "[nothing.tsv]"), InterchangeError, "'nothing.tsv', which does not exist"),
        (("parameter_file: parameters.tsv\n", ""), InterchangeError, "names no parameter file"),
        (("problems:", "problem:"), InterchangeError, "`problems`: it must be a list"),
        (("problems:", "problems: ["), InterchangeError, "cannot be read as YAML"),
    ],
)
def test_yaml(tmp_path, change, error, match):
    refused(tmp_path, error, match, change)


@pytest.mark.parametrize(
    ("row", "match"),
    [
        (("k1", "log10", 0, 10, 1, 1), r"parameters.tsv, line 2, `parameterId`: k1: .*`bounds`.*positive"),
        (("k1", "log2", 0.1, 10, 1, 1), "line 2, `parameterScale`.*'log2'"),
        (("k1", "log10", 0, 10, 1, 1), r'use scale="lin"\.$'),  # one full stop
        (("k1", "lin", "", 10, 1, 1), "line 2, `lowerBound`: it is missing"),
        (("k1", "lin", 0, 10, 1, 2), "line 2, `estimate`: it must be 0 or 1"),
        (("k1", "lin", 0, 10, "", 0), "line 2, `nominalValue`: it is missing"),
        (("A", "lin", 0, 10, 1, 1), "`A` changes over time in model.xml"),
    ],
)
def test_parameter_table(tmp_path, row, match):
    refused(tmp_path, InterchangeError, match, parameters=[HEAD, row])


@pytest.mark.parametrize(
    ("row", "match"),
    [
        (("obs_b", "c0", 1, 0.7), "measurements.tsv, line 2, `observableId`: there is no observable `obs_b`. Did you"),
        (("obs_a", "c1", 1, 0.7), "line 2, `simulationConditionId`: the condition table has no `c1`"),
        (("obs_a", "c0", -1, 0.7), "line 2, `time`: it must not be below 0"),
        (("obs_a", "c0", 1, "high"), "line 2, `measurement`: it must be a number, but is 'high'"),
    ],
)
def test_measurement_table(tmp_path, row, match):
    refused(tmp_path, InterchangeError, match, measurements=[ONE[0], row])


@pytest.mark.parametrize(
    ("formula", "noise", "match"),
    [
        ("A +", "1", "observables.tsv, line 2, `observableFormula`: the formula 'A [+]': it cannot be read"),
        ("gamma(A)", "1", "no function `gamma` with 1 arguments"),
        ("A * scaling", "1", "neither the model nor a table has the name `scaling`"),
        ("A", "noiseParameter1_obs_a", "measurements.tsv, line 2, `noiseParameters`.*1 placeholders.*but 0 are given"),
        ("observableParameter1_obs_a * A", "1", "line 2, `observableParameters`.*1 placeholders"),
        ("A", "-0.5", "observables.tsv, line 2, `noiseFormula`: the standard deviation must be > 0, but is -0.5"),
        ("A", "2 - 2", "observables.tsv, line 2, `noiseFormula`: the standard deviation must be > 0, but is 0"),
    ],
)
def test_observable_table(tmp_path, formula, noise, match):
    refused(tmp_path, InterchangeError, match, observables=[OBSERVABLES[0], ("obs_a", formula, noise)])


def test_conditions(tmp_path):
    conditions = [("conditionId", "k1"), ("c0", "unknown")]
    parameters = parameter_table(k2=0.6)
    match = "conditions.tsv, line 2, `k1`: `unknown` is no number and no parameter"
    refused(tmp_path, InterchangeError, match, conditions=conditions, parameters=parameters)
    match = "conditions.tsv, line 2, `K1`: neither the model nor a table has `K1`. Did you mean `k1`"
    refused(tmp_path, InterchangeError, match, conditions=[("conditionId", "K1"), ("c0", 2)])
    model = sbml(**CONVERSION, constants=CONSTANTS, rules={"total": "A + B"})
    conditions = [("conditionId", "total"), ("c0", 2)]
    match = "conditions.tsv, line 2, `total`: it sets `total`.*computed at all times"
    refused(tmp_path, NotSupported, match, conditions=conditions, model=model)


def test_a_concentration_in_a_growing_compartment_after_a_preequilibration(tmp_path):
    document = libsbml.readSBMLFromString(sbml({"A": "-k1 * A", "c": "1 - c"}, {}, {"k1": 1.0}))
    model = document.getModel()
    model.removeParameter("c")
    compartment, species = model.createCompartment(), model.createSpecies()
    compartment.setId("c"), compartment.setConstant(False), compartment.setSize(1.0)
    species.setId("S"), species.setCompartment("c"), species.setInitialConcentration(1.0)
    species.setConstant(False), species.setBoundaryCondition(False), species.setHasOnlySubstanceUnits(False)
    rule = model.createRateRule()
    rule.setVariable("S"), rule.setMath(libsbml.parseL3Formula("1 - S"))
    head = ("observableId", "preequilibrationConditionId", "simulationConditionId", "time", "measurement")
    given = {
        "parameters": parameter_table(k1=0.8),
        "conditions": [("conditionId", "S"), ("before", ""), ("c0", 2)],
        "measurements": [head, ("obs_a", "before", "c0", 1, 0.7)],
        "model": libsbml.writeSBMLToString(document),
    }
    refused(tmp_path, NotSupported, "conditions.tsv, line 3, `S`: `S` lies in a compartment that changes", **given)


def test_events_and_switches_that_have_no_gradient(tmp_path):
    model = sbml(**CONVERSION, constants=CONSTANTS, event=True)
    refused(tmp_path, NotSupported, "model.xml, event `refill`", model=model)
    model = sbml({"A": "piecewise(1, k1 * time < 2, 0)"}, {}, {"k1": 1.0})
    refused(tmp_path, NotSupported, "model.xml, condition `c0`: a switch in time", model=model)
    model = sbml({"A": "piecewise(1, sin(k1 * time) < 0.2, 0)"}, {}, {"k1": 1.0})
    refused(tmp_path, NotSupported, "not linear in time.*`k1`", model=model)


def test_values(tmp_path):
    rows = [(*row[:4], "", row[5]) if row[0] == "k2" else row for row in parameter_table(k1=0.8, k2=0.6)]
    found = load_petab(problem(tmp_path, parameters=rows, measurements=ONE))
    with pytest.raises(CalibrationError, match="`k2` has no nominal value"):
        found.log_likelihood()
    with pytest.raises(CalibrationError, match="`k1x` is not estimated. Did you mean `k1`"):
        found.log_likelihood({"k1x": 1.0})
    with pytest.raises(CalibrationError, match="one per estimated parameter"):
        found.coordinates([1.0])


@pytest.mark.parametrize("scale", ["log", "log10"])
def test_a_measurement_without_a_logarithm(tmp_path, scale):
    head = (*OBSERVABLES[0], "observableTransformation")
    refused(
        tmp_path,
        InterchangeError,
        "measurements.tsv, line 3, `measurement`: it must be > 0, because `obs_a` is on a logarithm .*but is 0",
        observables=[head, (*OBSERVABLES[1], scale)],
        measurements=[*ONE, ("obs_a", "c0", 2, 0)],
    )


def test_a_nominal_value_outside_its_bounds(tmp_path):
    path = problem(tmp_path, parameters=[HEAD, ("k1", "lin", 1, 10, 0.5, 1)], measurements=ONE)
    with pytest.warns(PetabWarning, match="parameters.tsv, line 2, `nominalValue`: k1 = 0.5 lies outside its bounds"):
        found = load_petab(path)
    assert found.nominal == [0.5] and found.estimated[0].value is None


def test_a_standard_deviation_of_a_measurement_that_is_not_positive(tmp_path):
    head = (*ONE[0], "noiseParameters")
    refused(
        tmp_path,
        InterchangeError,
        "measurements.tsv, line 3, `noiseParameters`: the standard deviation must be > 0, but is -1",
        observables=[OBSERVABLES[0], ("obs_a", "A", "noiseParameter1_obs_a")],
        measurements=[head, (*ONE[1], 0.1), ("obs_a", "c0", 2, 0.6, -1)],
    )


def test_copied_measurements_are_said_and_kept(tmp_path):
    path = problem(tmp_path, parameters=parameter_table(k1=0.8), measurements=[*ONE, ("obs_a", "c0", 2, 0.6), ONE[1]])
    with pytest.warns(PetabWarning, match="measurements.tsv, line 4: it is a copy of line 2.*`replicateId`"):
        assert len(load_petab(path).measurements) == 3
