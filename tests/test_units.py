"""Units: every spelling that PK and QSP models use, the traps, and conversions with known answers."""

import pickle
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

from qspx._errors import UnitError
from qspx.units import Unit, conversion, split_per_kg, unit

# text, factor to SI, dimensions (worked out by hand)
LENGTH_3 = {"length": -3}
SPELLINGS = [
    ("", 1.0, {}),
    ("1", 1.0, {}),
    ("-", 1.0, {}),
    ("%", 0.01, {}),
    ("M", 1e3, {"substance": 1} | LENGTH_3),
    ("nM", 1e-6, {"substance": 1} | LENGTH_3),
    ("pM", 1e-9, {"substance": 1} | LENGTH_3),
    ("fM", 1e-12, {"substance": 1} | LENGTH_3),
    ("uM", 1e-3, {"substance": 1} | LENGTH_3),
    ("nmol/L", 1e-6, {"substance": 1} | LENGTH_3),
    ("nmol", 1e-9, {"substance": 1}),
    ("ug/mL", 1e-3, {"mass": 1} | LENGTH_3),
    ("ng/mL", 1e-6, {"mass": 1} | LENGTH_3),
    ("pg/mL", 1e-9, {"mass": 1} | LENGTH_3),
    ("mcg", 1e-9, {"mass": 1}),
    ("µg", 1e-9, {"mass": 1}),  # U+00B5
    ("μg", 1e-9, {"mass": 1}),  # U+03BC
    ("mg", 1e-6, {"mass": 1}),
    ("mg/m^2", 1e-6, {"mass": 1, "length": -2}),
    ("mg/m2", 1e-6, {"mass": 1, "length": -2}),
    ("mg/m²", 1e-6, {"mass": 1, "length": -2}),
    ("ug/kg", 1e-9, {}),
    ("1/day", 1 / 86400, {"time": -1}),
    ("1/d", 1 / 86400, {"time": -1}),
    ("1/h", 1 / 3600, {"time": -1}),
    ("h^-1", 1 / 3600, {"time": -1}),
    ("h⁻¹", 1 / 3600, {"time": -1}),
    ("1/nM/day", 1e6 / 86400, {"substance": -1, "length": 3, "time": -1}),
    ("1/(nM*day)", 1e6 / 86400, {"substance": -1, "length": 3, "time": -1}),
    ("nM^-1*s^-1", 1e6, {"substance": -1, "length": 3, "time": -1}),
    ("nM^-1 s^-1", 1e6, {"substance": -1, "length": 3, "time": -1}),
    ("1/M/s", 1e-3, {"substance": -1, "length": 3, "time": -1}),
    ("nM/day", 1e-6 / 86400, {"substance": 1, "time": -1} | LENGTH_3),
    ("L/day", 1e-3 / 86400, {"length": 3, "time": -1}),
    ("mL/day/kg", 1e-6 / 86400, {"length": 3, "time": -1, "mass": -1}),
    ("mL/h/kg", 1e-6 / 3600, {"length": 3, "time": -1, "mass": -1}),
    ("mL/min/1.73m^2", 1e-6 / 60 / 1.73, {"length": 1, "time": -1}),
    ("mL/min/1.73 m²", 1e-6 / 60 / 1.73, {"length": 1, "time": -1}),
    ("ng*h/mL", 1e-6 * 3600, {"mass": 1, "time": 1} | LENGTH_3),
    ("ng·h/mL", 1e-6 * 3600, {"mass": 1, "time": 1} | LENGTH_3),
    ("g/mol", 1e-3, {"mass": 1, "substance": -1}),
    ("kDa", 1.0, {"mass": 1, "substance": -1}),
    ("molecule/cell", 1.0, {"molecule": 1, "cell": -1}),
    ("molecules/cell", 1.0, {"molecule": 1, "cell": -1}),
    ("molecule/nmol", 1e9, {"molecule": 1, "substance": -1}),
    ("cell/L", 1e3, {"cell": 1} | LENGTH_3),
    ("1e6 cells/mL", 1e12, {"cell": 1} | LENGTH_3),
    ("10^9/L", 1e12, LENGTH_3),
    ("copies/mL", 1e6, {"copy": 1} | LENGTH_3),
    ("IU/mL", 1e6, {"IU": 1} | LENGTH_3),
    ("EU/kg", 1.0, {"EU": 1, "mass": -1}),
    ("mEq/L", 1.0, {"Eq": 1} | LENGTH_3),
    ("week", 604800.0, {"time": 1}),
    ("wk", 604800.0, {"time": 1}),
    ("mo", 2629800.0, {"time": 1}),
    ("mmHg", 133.322387415, {"mass": 1, "length": -1, "time": -2}),
    ("L^(1/2)", 1e-3**0.5, {"length": Fraction(3, 2)}),
]


@pytest.mark.parametrize(("text", "factor", "dims"), SPELLINGS)
def test_spelling(text, factor, dims):
    found = unit(text)
    assert found.factor == pytest.approx(factor, rel=1e-12)
    assert dict(found.dims) == dims
    assert str(found) == (text if text not in ("", "1", "-") else "dimensionless")


PINT_AGREES = "nM uM mcg mg ug/mL 1/nM/day mL/h/kg g/mol nM^-1*s^-1 week month year minute mm cm dL mmol kg ug/kg"


@pytest.mark.parametrize("text", PINT_AGREES.split())
def test_own_table_agrees_with_pint(text):
    pint = pytest.importorskip("pint")
    base = pint.UnitRegistry(cache_folder=None).Quantity(1.0, text).to_base_units()
    assert unit(text).factor == pytest.approx(base.magnitude, rel=1e-12)
    assert dict(unit(text).dims) == {k.strip("[]"): v for k, v in base.dimensionality.items()}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("U/mL", "IU"),
        ("mU", "IU"),
        ("degC", "offset"),
        ("foo", "`foo` is not a unit"),
        ("mg/kg day", "above or below the line"),
        ("1/2 h", "above or below the line"),
        ("mg//kg", "a unit is missing"),
        ("mg/", "it ends"),
        ("(mg", "not closed"),
        ("mg)", "out of place"),
        ("0 mg", "not positive"),
        ("mg^x", "not an exponent"),
        ("mg$", "not understood"),
        ("nm0l", "an exponent is 0"),
        ("L2mg", "before `mg`"),
        ("hous", "Did you mean `hours`?"),
    ],
)
def test_refused(text, says):
    with pytest.raises(UnitError) as error:
        unit(text)
    assert f"`{text}`" in str(error.value)
    assert says in str(error.value)


def test_not_text():
    with pytest.raises((UnitError, TypeError), match="text"):  # the type checker of the tests may come first
        unit(3)  # type: ignore[arg-type]


def test_equality_includes_scale_but_not_spelling():
    assert unit("nmol/L") == unit("nM") == unit("pmol/mL")
    assert hash(unit("nmol/L")) == hash(unit("nM"))
    assert unit("nM/h") != unit("nM/day")
    assert unit("nM/h").same_dimension(unit("nM/day"))
    assert unit("molecule/cell") != unit("")
    assert unit("%").dimensionless and not unit("%").is_one and unit("").is_one
    assert unit("nM") != "nM"


def test_arithmetic_prints_readably():
    assert str(unit("nM") / unit("day")) == "nM/day"
    assert str(unit("1/nM/h") * unit("nM") * unit("nM")) == "nM/h"
    assert str((unit("nM") / unit("day")) / (unit("nM") / unit("h"))) == "h/day"
    assert str(unit("mg/hr") * unit("h")) == "mg"
    assert str(unit("L") / unit("L")) == "dimensionless"
    assert str(unit("nM") ** 0.5) == "nM^(1/2)"
    assert (unit("nM") ** 2 / unit("nM")) == unit("nM")
    assert unit(".5 mg") * unit("1/h") == unit("0.5 mg/h")
    for text in ("nM/day", "1/nM/h", "mg*h/mL", "L^2/mg", "nM^(1/2)/h"):
        again = unit(str(unit(text) * unit("")))
        assert again == unit(text)


def test_unit_survives_pickling():
    found = pickle.loads(pickle.dumps(unit("mL/day/kg")))
    assert found == unit("mL/day/kg") and str(found) == "mL/day/kg"
    assert unit(found) is found


@pytest.mark.parametrize(
    ("source", "target", "molar_mass", "factor"),
    [
        ("mg/kg", "ug/kg", None, 1000.0),
        ("1/h", "1/day", None, 24.0),
        ("nM", "pM", None, 1000.0),
        ("L/day", "mL/h", None, 1000 / 24),
        ("kDa", "g/mol", None, 1000.0),
        ("week", "day", None, 7.0),
        ("ug/mL", "nM", 150e3, 1e6 / 150e3),  # 1 mg/L over 150 g/mmol
        ("nM", "ng/mL", 150e3, 150.0),
        ("mg", "nmol", 150e3, 1e6 / 150e3),
        ("ug/kg", "nmol/kg", 50e3, 0.02),
        ("mg*h/L", "nM*day", 150e3, 1e6 / 150e3 / 24),
        ("1/nM", "mL/ug", 150e3, 1e6 / 150e3),
    ],
)
def test_conversion(source, target, molar_mass, factor):
    assert conversion(source, target, molar_mass=molar_mass) == pytest.approx(factor, rel=1e-13)
    assert conversion(target, source, molar_mass=molar_mass) == pytest.approx(1 / factor, rel=1e-13)


def test_conversion_by_powers_of_ten_is_exact():
    assert conversion("mg/kg", "ug/kg") == 1000.0
    assert conversion("nM", "M") == 1e-9
    assert conversion("mg", "kg") == 1e-6


def test_conversion_of_units_without_text():
    assert conversion(Unit(2.0, (("time", Fraction(1)),)), "s") == 2.0


@pytest.mark.parametrize(
    ("source", "target", "says"),
    [
        ("mg/kg", "", "body weight"),
        ("", "ug/kg", "body weight"),
        ("mg/kg", "mg", "body weight"),
        ("mg/kg", "nmol", "body weight"),
        ("mg", "nmol", "molar_mass"),
        ("molecule", "nmol", "6.02214076e14"),
        ("nM", "day", "dimension"),
    ],
)
def test_conversion_refused(source, target, says):
    with pytest.raises(UnitError) as error:
        conversion(source, target)
    assert f"`{source}` to `{target}`" in str(error.value)
    assert says in str(error.value)


@pytest.mark.parametrize("molar_mass", [0.0, -150e3, np.nan, np.inf])
def test_molar_mass_must_be_positive(molar_mass):
    with pytest.raises(UnitError, match="molar_mass"):
        conversion("mg", "nmol", molar_mass=molar_mass)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ug/kg", ("ug", True)),
        ("mg", ("mg", False)),
        ("", ("", False)),
        ("kg", ("kg", False)),
        ("mL/h/kg", ("mL/h", True)),
        ("mL/kg/h", ("mL/h", True)),
        ("mg/kg*day", ("mg*day", True)),
        ("ug*kg^-1", ("ug", True)),
        ("ug kg-1", ("ug", True)),
        ("1/kg", ("1", True)),
        ("mg/kg^2", ("mg/kg^2", False)),
    ],
)
def test_split_per_kg(text, expected):
    assert split_per_kg(text) == expected


def test_split_per_kg_refuses_a_parenthesis():
    with pytest.raises(UnitError, match="one slash per factor"):
        split_per_kg("mg/(kg*day)")


def test_the_usual_units_need_no_pint():
    code = "import sys; from qspx.units import unit; unit('mL/day/kg'); unit('cell/L'); print('pint' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert out.stdout.strip() == "False"
