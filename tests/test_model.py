"""Declarations, checks at definition, hash by value, tables and equations."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from systems import TMDD, OneCompartment

import qspx
from qspx import AbstractModel, Observable, Parameter, Published, Species
from qspx._errors import ModelError, UnitError
from qspx.values import Values


class Switched(AbstractModel):
    """`fast` is a switch: a field, not a parameter."""

    fast: bool = False
    C = Species("nM")
    k = Parameter(0.3, "1/day", "rate", "a paper", tag="measured")

    def rates(self, t, y, p):
        return {"C": -(2 if self.fast else 1) * p.k * y.C}


def define(rates=lambda self, t, y, p: {}, **attributes) -> AbstractModel:
    """A model class from attributes."""
    return type("Made", (AbstractModel,), {"rates": rates, **attributes})()


# values ------------------------------------------------------------------------------------------------------------


def test_values_read_by_attribute_item_and_iteration():
    y = Values(["C", "R"], jnp.array([1.0, 2.0]), "species")
    assert (y.C, y["R"], len(y), list(y), dict(y)) == (1.0, 2.0, 2, ["C", "R"], {"C": 1.0, "R": 2.0})
    with pytest.raises(ModelError, match="no species `c`.*Did you mean `C`"):
        y.c  # noqa: B018
    assert y.accessed == {"C", "R"}


def test_values_are_a_pytree_that_passes_through_transformations():
    y = Values(["C", "R"], jnp.array([1.0, 2.0]), "species")
    doubled = jax.tree.map(lambda x: 2 * x, y)
    assert (doubled.C, doubled.R) == (2.0, 4.0)
    assert jax.jit(lambda v: v.C + v.R)(y) == 3.0
    slope = jax.grad(lambda v: v.C**2 * v.R)(y)
    assert (slope.C, slope.R) == (4.0, 1.0)


# declarations ------------------------------------------------------------------------------------------------------


def test_declarations_in_order_and_by_kind():
    m = TMDD()
    assert list(m.species) == ["C", "R", "RC"]
    assert list(m.parameters) == ["V", "kel", "kon", "koff", "ksyn", "kdeg"]
    assert list(m.outputs) == ["occupancy", "C", "R", "RC"]
    np.testing.assert_array_equal(m.theta, [3.0, 0.1, 20.0, 2.0, 1.0, 0.5])
    np.testing.assert_array_equal(m.theta_with({"kon": 7.0}), [3.0, 0.1, 7.0, 2.0, 1.0, 0.5])
    assert m.theta[2] == 20.0  # a copy was changed
    assert m.initial_vector(m.theta).tolist() == [0.0, 2.0, 0.0]


def test_a_subclass_inherits_declarations():
    class More(OneCompartment):
        extra = Parameter(1.0, "1/day")

        def rates(self, t, y, p):
            return super().rates(t, y, p) | {"depot": -p.extra * y.depot}

    assert list(More().parameters) == ["CL", "V", "ka", "F", "lag", "extra"]
    assert More() != OneCompartment()


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: Parameter(np.nan, "1/day"), ("`value`", "finite", "nan")),
        (lambda: Parameter(1.0, "", tag="guessed"), ("`tag`", "'guessed'", "assumed")),
        (lambda: Parameter(1.0, "", scale="ln"), ("`scale`", "'ln'", "log")),
        (lambda: Parameter(2.0, "", bounds=(0.0, 1.0)), ("`value`", "`bounds`", "2.0")),
        (lambda: define(C=Species("nM", volume="v"), V=Parameter(1.0, "L")), ("`C`", "`volume`", "`v`", "`V`?")),
        (lambda: define(C=Species("nM", lag="tlag")), ("`C`", "`lag`", "`tlag`", "not declare")),
        (lambda: define(C=Species("nM"), molar_mass="MW"), ("`molar_mass`", "`MW`", "not declared")),
        (lambda: define(hash=Species("nM")), ("`hash`", "species", "attribute", "rename")),
        (lambda: define(time_unit=Parameter(1.0, "day")), ("`time_unit`", "parameter", "rename")),
        (lambda: define(keys=Species("nM")), ("`keys`", "cannot name")),
        (lambda: define(t=Parameter(1.0, "day")), ("`t`", "cannot name")),
        (lambda: define(lambda self, t, y, p: {"D": y.C}, C=Species("nM")), ("`rates`", "`D`", "not a species")),
        (lambda: define(lambda self, t, y, p: {"C": y.c}, C=Species("nM")), ("no species `c`", "Did you mean `C`?")),
        (
            lambda: define(C=Species("nM"), initial=lambda self, p: {"CC": 1.0}),
            ("`initial`", "`CC`", "not a species", "Did you mean `C`?"),
        ),
        (
            lambda: define(C=Species("nM"), total=Observable("nM"), observables=lambda self, t, y, p: {"Total": y.C}),
            ("`observables`", "does not return", "`total`", "Did you mean `Total`?"),
        ),
        (lambda: OneCompartment().theta_with({"Cl": 1.0}), ("no parameter `Cl`", "Did you mean `CL`?")),
        (lambda: OneCompartment().species_index("c"), ("no species `c`", "Did you mean `C`?")),
        (lambda: TMDD().require_outputs(["occupancies"]), ("`occupancies`", "Did you mean `occupancy`?")),
    ],
)
def test_mistakes_are_found_at_definition_and_named(make, words):
    with pytest.raises(ModelError) as error:
        make()
    for word in words:
        assert word in str(error.value)


def test_a_wrong_unit_in_a_rate_is_found_at_definition():
    def rates(self, t, y, p):
        return {"C": -p.k * y.C}

    with pytest.raises(UnitError) as error:
        define(rates, C=Species("nM"), k=Parameter(1.0, "1/h"))
    for word in ("rate of Made", "`C`", "nM/h", "nM/day", f"test_model.py:{rates.__code__.co_firstlineno + 1}"):
        assert word in str(error.value)
    with pytest.raises(UnitError, match="nMM"):
        define(C=Species("nMM"))


def test_a_branch_on_a_state_is_found_at_definition():
    def rates(self, t, y, p):
        if y.C > 1:
            return {"C": -p.k * y.C}
        return {"C": 0.0}

    with pytest.raises(ModelError) as error:
        define(rates, C=Species("nM"), k=Parameter(1.0, "1/day"))
    line = f"test_model.py:{rates.__code__.co_firstlineno + 1}: `if y.C > 1:`"
    for word in ("Python `if` and `while` cannot depend on states", "jnp.where", line):
        assert word in str(error.value)


def test_unused_parameters_are_reported():
    spare = define(lambda self, t, y, p: {"C": -p.k * y.C}, C=Species("nM"), k=Parameter(1.0, "1/day"),
                   spare=Parameter(1.0, "L"))  # fmt: skip
    assert [(x.rule, x.where) for x in spare.lints()] == [("unused parameter", "spare")]
    assert OneCompartment().lints() == []  # F and lag act on doses


# identity ----------------------------------------------------------------------------------------------------------


def test_equal_content_is_equal_and_a_switch_or_constant_is_not():
    assert Switched() == Switched() and hash(Switched()) == hash(Switched())
    assert Switched(fast=True) != Switched()
    assert dataclasses.replace(Switched(), fast=True) == Switched(fast=True)
    with pytest.raises(dataclasses.FrozenInstanceError):
        Switched().fast = True  # pyright: ignore


def decay(rate: float, **attributes) -> AbstractModel:
    def rates(self, t, y, p):
        return {"C": -rate * p.k * y.C}

    return define(rates, **({"C": Species("nM"), "k": Parameter(1.0, "1/day")} | attributes))


def test_the_last_bit_of_a_constant_counts():
    assert decay(0.1) == decay(0.1)
    assert decay(0.1) != decay(np.nextafter(0.1, 1))


def tabled(values: list[float]) -> AbstractModel:
    table = np.array(values)

    @jax.jit
    def look_up(x):  # an inner function keeps its arrays to itself
        return jnp.sum(jnp.asarray(table) * x)

    return define(lambda self, t, y, p: {"C": -look_up(p.k) * y.C}, C=Species("nM"), k=Parameter(1.0, "1/day"))


def test_a_table_inside_an_inner_function_counts():
    assert tabled([1.0, 2.0]) == tabled([1.0, 2.0])
    assert tabled([1.0, 2.0]) != tabled([1.0, 3.0])


def test_declarations_count():
    k = Parameter(1.0, "1/day")
    assert decay(0.1, C=Species("nM", signed=True)) != decay(0.1)
    assert decay(0.1, V=Parameter(1.0, "L")) != decay(0.1, V=Parameter(2.0, "L"))
    assert decay(0.1, a=k, b=k) != decay(0.1, b=k, a=k)


def test_functions_with_their_own_derivative_do_not_bring_in_memory_addresses():
    def make():
        return define(lambda self, t, y, p: {"C": -jax.nn.softplus(p.x) * jax.nn.relu(p.x) * y.C * p.k},
                      C=Species("nM"), k=Parameter(1.0, "1/day"), x=Parameter(1.0, ""))  # fmt: skip

    assert make() == make()


def test_the_hash_is_the_same_in_another_process_and_before_float64_is_switched_on(repo_root):
    code = "from systems import TMDD; print(TMDD().hash)"
    env = {**os.environ, "PYTHONPATH": str(repo_root / "tests"), "JAX_ENABLE_X64": "0", "PYTHONHASHSEED": "1"}
    found = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120, check=True
    )
    assert found.stdout.strip() == TMDD().hash


# views -------------------------------------------------------------------------------------------------------------


def test_tables():
    m = Switched()
    assert m.parameter_table().to_dict("records") == [
        {"name": "k", "value": 0.3, "unit": "1/day", "meaning": "rate", "tag": "measured", "source": "a paper"}
    ]
    assert list(TMDD().species_table()["name"]) == ["C", "R", "RC"]
    assert list(TMDD().observable_table()["name"]) == ["occupancy"]


def test_models_print_as_tables():
    m = OneCompartment()
    assert repr(m) == "OneCompartment(2 species, 5 parameters, 0 observables; time in day)"
    text, html = str(m), m._repr_html_()
    for word in ("depot", "nmol", "drug in plasma", "CL", "0.3", "L/day", "absorption lag"):
        assert word in text and word in html
    assert html.count("<table") == 2


def test_models_print_as_latex():
    m = TMDD()
    assert [name for name, _ in m.equations()] == ["C", "R", "RC"]
    latex = m._repr_latex_()
    assert latex.startswith("$$") and latex.endswith("$$")
    assert latex.count(r"\frac{d\,") == 3
    assert "ksyn" in latex or "k_{syn}" in latex


def test_published_numbers_are_set_beside_their_recomputation():
    class Reported(OneCompartment):
        published = (
            Published("half-life", 6.9, "day", lambda m: np.log(2) * m.theta[1] / m.theta[0], 0.01, "Table 2"),
            Published("volume", 4.0, "L", lambda m: m.theta[1], 0.01, "Table 2"),
        )

    table = Reported().published_table().set_index("name")
    assert table["passed"].tolist() == [True, False]
    assert table.loc["volume", "relative_difference"] == -0.25


def test_the_hash_ignores_words_and_sees_numbers():
    def define(meaning: str, value: float):
        class One(qspx.AbstractModel):
            C = qspx.Species("nM", meaning)
            k = qspx.Parameter(value, "1/day", meaning, source=meaning)

            def rates(self, t, y, p):
                return {"C": -p.k * y.C}

        return One()

    assert define("a", 1.0) == define("b", 1.0)
    assert define("a", 1.0) != define("a", 2.0)
