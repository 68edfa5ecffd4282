"""What an SBML file may hold: refusals by element and line, and constructs with answers known by hand."""

import builtins

import numpy as np
import pytest
from sbml_text import TIME, apply, ci, cn, level_2, level_3, math, parameter, parameters_and_rules, rule

import qspx
from qspx.interchange import InterchangeError, NotSupported

pytest.importorskip("libsbml", reason="needs the extra sbml")


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "m.xml"
        path.write_text(text)
        return path

    return write


def test_a_missing_extra_is_named(monkeypatch, file):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "libsbml":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InterchangeError, match=r'pip install "qspx\[sbml\]"'):
        qspx.load_sbml(file(level_3("")))


def test_a_file_that_is_not_there_or_no_sbml(tmp_path, file):
    with pytest.raises(InterchangeError, match="does not exist"):
        qspx.load_sbml(tmp_path / "none.xml")
    with pytest.raises(InterchangeError, match=r"m.xml cannot be read as SBML: line \d+"):
        qspx.load_sbml(file("<sbml>"))


def test_a_required_package_counts_only_where_it_is_used(file):
    comp = "http://www.sbml.org/sbml/level3/version1/comp/version1"
    head = f' xmlns:comp="{comp}" comp:required="true"'
    body = f"<listOfParameters>{parameter('k', 1.0)}</listOfParameters>"
    assert qspx.load_sbml(file(level_3(body, head))).name == "m"
    used = body + '<comp:listOfSubmodels><comp:submodel comp:id="inner" comp:modelRef="x"/></comp:listOfSubmodels>'
    with pytest.raises(NotSupported, match="line 4: listOfSubmodels: the package `comp`"):
        qspx.load_sbml(file(level_3(used, head)))


def test_a_formula_that_reads_what_is_not_there(file):
    text = parameters_and_rules([parameter("x", None)], [rule("assignmentRule", "x", ci("nothing"))])
    with pytest.raises(InterchangeError, match="`nothing`"):
        qspx.load_sbml(file(text))


def test_formulas_in_a_circle(file):
    rules = [rule("assignmentRule", "a", ci("b")), rule("assignmentRule", "b", apply("minus", ci("a")))]
    with pytest.raises(InterchangeError, match="a -> b -> a|b -> a -> b"):
        qspx.load_sbml(file(parameters_and_rules([parameter("a", None), parameter("b", None)], rules)))


def test_a_function_with_a_delay_counts_only_where_it_is_called(file):
    delay = '<csymbol encoding="text" definitionURL="http://www.sbml.org/sbml/symbols/delay">delay</csymbol>'
    body = f"<apply>{delay}{ci('z')}{cn(1)}</apply>"
    formula = math(f"<lambda><bvar>{ci('z')}</bvar>{body}</lambda>")
    definition = f'<functionDefinition id="f">{formula}'
    functions = f"<listOfFunctionDefinitions>{definition}</functionDefinition></listOfFunctionDefinitions>"
    given = f"<listOfParameters>{parameter('x', 2.0)}</listOfParameters>"
    assert qspx.load_sbml(file(level_3(functions + given))) is not None
    call = f"<apply>{ci('f')}{ci('x')}</apply>"
    called = f"<listOfRules>{rule('rateRule', 'x', call)}</listOfRules>"
    with pytest.raises(NotSupported, match="functionDefinition `f`: the csymbol `delay`"):
        qspx.load_sbml(file(level_3(functions + given + called)))


def test_names_that_python_or_a_model_has_already(file):
    names = ["lambda", "t", "y", "p", "rates", "jnp", "start", "events", "_x", "species"]
    rules = [rule("rateRule", "z", apply("plus", *map(ci, names)))]
    text = parameters_and_rules([parameter("z", 0.0), *(parameter(n, 1.0, constant=True) for n in names)], rules)
    found = qspx.simulate_sbml(file(text), [0.0, 2.0])
    np.testing.assert_allclose(found["z"], [0.0, 20.0], rtol=1e-9)
    assert set(names) < set(found)


def test_values_that_are_not_finite(file):
    rules = [rule("assignmentRule", "x", apply("divide", cn(1), cn(0))), rule("rateRule", "z", cn(1))]
    values = [parameter("x", None), parameter("n", None), parameter("i", float("inf")), parameter("z", 0.0)]
    found = qspx.simulate_sbml(file(parameters_and_rules(values, rules).replace('"inf"', '"INF"')), [0.0, 1.0])
    assert np.isinf(found["x"]).all() and np.isnan(found["n"]).all() and np.isinf(found["i"]).all()
    np.testing.assert_allclose(found["z"], [0.0, 1.0], rtol=1e-9)


COMPARTMENT = """<listOfCompartments><compartment id="C" size="2" spatialDimensions="3" constant="false"/>
</listOfCompartments><listOfSpecies><species id="S" compartment="C" initialConcentration="3" constant="false"
hasOnlySubstanceUnits="{only}" boundaryCondition="{fixed}"/></listOfSpecies>"""


def test_a_compartment_that_grows_dilutes(file):
    """2 + t litres, 6 in it: the amount stays, the concentration is 6 / (2 + t)."""
    growing = f"<listOfRules>{rule('rateRule', 'C', cn(1))}</listOfRules>"
    times = np.array([0.0, 1.0, 4.0])
    path = file(level_3(COMPARTMENT.format(only="false", fixed="false") + growing))
    found = qspx.simulate_sbml(path, times, variables=["S"])
    np.testing.assert_allclose(found["S"], 6 / (2 + times), rtol=1e-9)
    amounts = qspx.simulate_sbml(path, times, variables=["S"], amounts=["S"])
    np.testing.assert_allclose(amounts["S"], 6.0, rtol=1e-9)


def test_a_concentration_with_a_rule_in_a_compartment_that_grows(file):
    rules = f"<listOfRules>{rule('rateRule', 'C', cn(1))}{rule('rateRule', 'S', cn(0.5))}</listOfRules>"
    times = np.array([0.0, 1.0, 4.0])
    path = file(level_3(COMPARTMENT.format(only="false", fixed="true") + rules))
    found = qspx.simulate_sbml(path, times, variables=["S"])
    np.testing.assert_allclose(found["S"], 3 + 0.5 * times, rtol=1e-8)
    amounts = qspx.simulate_sbml(path, times, variables=["S"], amounts=["S"])
    np.testing.assert_allclose(amounts["S"], (3 + 0.5 * times) * (2 + times), rtol=1e-8)


def test_an_event_sets_a_concentration_and_the_size_together(file):
    """Both at once: afterwards S is 4 and C is 1, so the amount is 4."""
    set_s, set_c = (f'<eventAssignment variable="{k}">{math(cn(v))}</eventAssignment>' for k, v in (("S", 4), ("C", 1)))
    trigger = f'<trigger initialValue="true" persistent="true">{math(apply("geq", TIME, cn(1)))}</trigger>'
    event = f'<event id="E" useValuesFromTriggerTime="true">{trigger}<listOfEventAssignments>{set_s}{set_c}'
    events = f"<listOfEvents>{event}</listOfEventAssignments></event></listOfEvents>"
    path = file(level_3(COMPARTMENT.format(only="false", fixed="false") + events))
    found = qspx.simulate_sbml(path, [0.0, 0.5, 1.0, 2.0], variables=["S", "C"])
    np.testing.assert_allclose(found["S"], [3, 3, 4, 4], rtol=1e-12)
    np.testing.assert_allclose(found["C"], [2, 2, 1, 1], rtol=1e-12)
    amounts = qspx.simulate_sbml(path, [0.0, 2.0], variables=["S"], amounts=["S"])
    np.testing.assert_allclose(amounts["S"], [6, 4], rtol=1e-12)


def test_units_of_level_2_and_of_definitions(file):
    kinds = '<unit kind="mole" scale="-9"/><unit kind="metre" multiplier="0.1" exponent="-3"/>'
    per_hour = '<unit kind="second" multiplier="3600" exponent="-1"/>'
    text = level_2(
        f'<listOfUnitDefinitions><unitDefinition id="c"><listOfUnits>{kinds}</listOfUnits></unitDefinition>'
        f'<unitDefinition id="r"><listOfUnits>{per_hour}</listOfUnits></unitDefinition>'
        '<unitDefinition id="time"><listOfUnits><unit kind="second" multiplier="3600"/></listOfUnits></unitDefinition>'
        "</listOfUnitDefinitions>"
        f"<listOfParameters>{parameter('x', 1.0, units='c')}{parameter('k', 2.0, constant=True, units='r')}"
        f"</listOfParameters><listOfRules>{rule('rateRule', 'x', apply('times', ci('k'), ci('x')))}</listOfRules>"
    )
    model = qspx.load_sbml(file(text))
    assert model.time_unit == "h"
    assert model.parameters["k"].unit == "1/h" and model.species["x"].unit == "nmol/dm^3"


def test_units_that_do_not_fit_are_left_out_and_said(file):
    from qspx.interchange.sbml import read_sbml

    values = [parameter("x", 1.0, units="litre"), parameter("k", 2.0, constant=True, units="second")]
    found = read_sbml(file(parameters_and_rules(values, [rule("rateRule", "x", apply("times", ci("k"), ci("x")))])))
    assert found.model.species["x"].unit == "" and found.model.species["x"].meaning == "in L"
    assert "s*L" in found.dimensionless and "every unit is left out" in " ".join(found.source.split()).lower()
