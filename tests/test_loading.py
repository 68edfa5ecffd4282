"""Model files outside the package."""

from __future__ import annotations

from pathlib import Path

import pytest

from qspx import Regimen, load_model, simulate
from qspx._errors import ModelError, UnitError
from qspx.integrate import diffrax_integrator

MODEL = '''
"""One compartment."""
import qspx


class Decay(qspx.AbstractModel):
    double: bool = False
    C = qspx.Species("nM", volume="V")
    V = qspx.Parameter(2.0, "L")
    k = qspx.Parameter(0.5, "1/day")

    def rates(self, t, y, p):
        return {"C": -(2.0 if self.double else 1.0) * p.k * y.C}
'''


def write(tmp_path: Path, text: str, name: str = "decay.py") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def test_a_model_in_one_file_is_simulated(tmp_path):
    m = load_model(write(tmp_path, MODEL))
    assert m.name == "Decay"
    found = simulate(m, Regimen.single(4, "nmol", "C"), [0.0, 2.0])
    assert found["C"] == pytest.approx([2.0, 2.0 / 2.718281828], rel=1e-5)
    assert [p.name for p in tmp_path.iterdir()] == ["decay.py"]  # nothing is written beside it


def test_loaded_twice_it_is_equal_and_nothing_is_compiled_again(tmp_path):
    path = write(tmp_path, MODEL)
    regimen = Regimen.single(4, "nmol", "C")
    simulate(load_model(path), regimen, [0.0, 2.0])
    before = diffrax_integrator._compiled.cache_info().misses
    again = load_model(str(path))
    assert again == load_model(path) and hash(again) == hash(load_model(path))
    simulate(again, regimen, [0.0, 2.0])
    assert diffrax_integrator._compiled.cache_info().misses == before


def test_a_constant_changed_within_a_second_is_seen(tmp_path):
    """The file keeps its length and, to the second, its time, which is what Python's bytecode cache looks at."""
    first = load_model(write(tmp_path, MODEL))
    second = load_model(write(tmp_path, MODEL.replace("1.0) * p.k", "1.5) * p.k")))
    third = load_model(write(tmp_path, MODEL.replace('0.5, "1/day"', '0.6, "1/day"')))
    assert len({first.hash, second.hash, third.hash}) == 3
    assert third.theta.tolist() == [2.0, 0.6]


def test_switches_reach_the_class_or_the_build_function(tmp_path):
    path = write(tmp_path, MODEL)
    assert load_model(path, double=True) != load_model(path)
    built = write(tmp_path, MODEL + "\n\ndef build(twice=False):\n    return Decay(double=twice)\n", "built.py")
    assert load_model(built, twice=True) == load_model(path, double=True)
    ready = write(tmp_path, MODEL + "\n\nmodel = Decay(double=True)\n", "ready.py")
    assert load_model(ready) == load_model(path, double=True)


def test_an_imported_base_class_is_not_taken_for_the_model(tmp_path):
    text = MODEL.replace("import qspx\n", "import qspx\nfrom systems import OneCompartment\n")
    assert load_model(write(tmp_path, text)).name == "Decay"


TWO = MODEL + "\n\nclass Other(Decay):\n    pass\n"


@pytest.mark.parametrize(
    "text, switches, words",
    [
        ("x = (\n", {}, ("decay.py", "cannot be run", "SyntaxError", "line 1")),
        ("import not_there_at_all\n", {}, ("decay.py", "ModuleNotFoundError", "not_there_at_all")),
        ("x = 1\n", {}, ("decay.py", "one model class", "0 model classes")),
        (TWO, {}, ("decay.py", "one model class", "2 model classes")),
        (MODEL, {"triple": True}, ("decay.py", "triple", "Decay", "double")),
        (MODEL + "\nmodel = Decay()\n", {"double": True}, ("finished `model`", "no switches", "double")),
        ("def build():\n    return 3\n", {}, ("`build` must return a model", "int")),
        (MODEL.replace('"L")', '"LL")'), {}, ("LL",)),
    ],
)
def test_mistakes_in_a_file(tmp_path, text, switches, words):
    with pytest.raises((ModelError, UnitError)) as error:
        load_model(write(tmp_path, text), **switches)
    for word in words:
        assert word in str(error.value)


def test_a_wrong_switch_shows_the_switches_and_their_defaults(tmp_path):
    text = MODEL + "\n\ndef build(n: int, q1: 'bool' = False, mode: str = 'a', **more_is_not_shown):\n    return n\n"
    with pytest.raises(ModelError) as error:
        load_model(write(tmp_path, text), q1=True)
    assert str(error.value) == (
        "decay.py: switches {'q1': True} do not fit `build`: missing a required argument: 'n'; "
        "it has n (no default), q1 = False, mode = 'a'."
    )
    none = write(tmp_path, MODEL.replace("    double: bool = False\n", "").replace("self.double", "False"))
    with pytest.raises(ModelError, match="do not fit `Decay`: .*'double'; it has no switches.$"):
        load_model(none, double=True)


def test_a_missing_file(tmp_path):
    with pytest.raises(ModelError, match="`path` must name a model file.*gone.py.*does not exist"):
        load_model(tmp_path / "gone.py")


def test_an_error_of_the_model_itself_keeps_its_kind(tmp_path):
    """A unit error at import is not wrapped, so that its place in the file stays visible."""
    path = write(tmp_path, MODEL.replace("p.k * y.C", "p.k") + "\n\nmodel = Decay()\n")
    with pytest.raises(UnitError, match=r"rate of Decay.*decay.py:13"):
        load_model(path)
