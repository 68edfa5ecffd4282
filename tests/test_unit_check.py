"""Units propagated through model functions: what fits passes, what does not is named with its source line."""

import math
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from unit_checks import fault, infer, line_of

from qspx._errors import ModelError, UnitError
from qspx._unit_check import check_units, infer_units
from qspx.units import unit

HERE = Path(__file__).name

# One-compartment target-mediated drug disposition: free drug C, target R, complex RC in nM; time in day.
TMDD_Y = {"C": "nM", "R": "nM", "RC": "nM"}
TMDD_P = {"CL": "L/day", "V": "L", "kon": "1/nM/day", "koff": "1/day"}
TMDD_P |= {"ksyn": "nM/day", "kdeg": "1/day", "kint": "1/day"}
PER_DAY = {name: unit("nM/day") for name in TMDD_Y}


def tmdd(t, y, p):
    bind = p["kon"] * y["C"] * y["R"] - p["koff"] * y["RC"]
    return {
        "C": -p["CL"] / p["V"] * y["C"] - bind,
        "R": p["ksyn"] - p["kdeg"] * y["R"] - bind,
        "RC": bind - p["kint"] * y["RC"],
    }


def test_tmdd_fits():
    check_units(tmdd, ("day", TMDD_Y, TMDD_P), PER_DAY, "rate of TMDD")
    assert infer_units(tmdd, ("day", TMDD_Y, TMDD_P)) == PER_DAY


def test_equal_units_written_differently_fit():
    check_units(tmdd, ("day", TMDD_Y | {"R": "nmol/L"}, TMDD_P | {"V": "mL", "CL": "mL/day"}), PER_DAY, "rate of TMDD")


def test_every_output_in_the_wrong_time_unit_is_named():
    hours = TMDD_P | {"CL": "L/h", "kon": "1/nM/h", "koff": "1/h", "ksyn": "nM/h", "kdeg": "1/h", "kint": "1/h"}
    with pytest.raises(UnitError) as error:
        check_units(tmdd, ("day", TMDD_Y, hours), PER_DAY, "rate of TMDD")
    message = str(error.value)
    assert message.startswith("rate of TMDD: 3 problems")
    for name in TMDD_Y:
        assert f"`{name}` has unit `nM/h`, but `nM/day` is needed" in message
    assert "multiply by a Parameter of 24 `h/day`" in message


def test_the_hint_repairs_the_model():
    def repaired(t, y, p):
        return {"C": -p["k"] * p["hours_per_day"] * y["C"]}

    check_units(repaired, ("day", {"C": "nM"}, {"k": "1/h", "hours_per_day": "h/day"}), {"C": "nM/day"}, "rate")


def test_one_rate_in_hours_is_cited_with_its_line():
    with pytest.raises(UnitError) as error:
        check_units(tmdd, ("day", TMDD_Y, TMDD_P | {"kdeg": "1/h"}), PER_DAY, "rate of TMDD")
    message = str(error.value)
    assert "`nM/day` and `nM/h` are subtracted from each other" in message
    assert "multiply by a Parameter of 24 `h/day`" in message
    assert line_of(tmdd, '"R": ') in message
    assert '"R": p["ksyn"] - p["kdeg"]' in message  # the text of the line


def test_a_fault_names_the_outputs_that_it_spoils():
    def rates(t, y, p):
        bind = p["kon"] * y["C"] + p["koff"]  # used by C and R
        return {"C": p["ksyn"] - p["CL"] / p["V"] * y["C"] - bind, "R": -bind, "A": p["ksyn"], "B": p["ksyn"]}

    units = {"kon": "1/day", "koff": "1/day", "ksyn": "nmol/day/L", "CL": "L/h", "V": "L"}
    with pytest.raises(UnitError) as error:
        check_units(rates, ("day", {"C": "nM"}, units), {}, "rate of M")
    shared, own = str(error.value).splitlines()[1:]
    assert shared.startswith("  - in `C`, `R`: `nM/day` and `1/day` are added to each other")
    assert own.startswith("  - in `C`: `nmol/day/L` and `nM/h` are subtracted from each other")
    assert "multiply by a Parameter of 24 `h/day`" in own


def test_a_fault_in_many_outputs_names_two():
    def rates(t, y, p):
        wrong = y["C"] + t
        return {name: wrong * i for i, name in enumerate("abcd", start=1)}

    with pytest.raises(UnitError, match="rate of M: in `a`, `b`, 2 more: `nM` and `day` are added"):
        check_units(rates, ("day", {"C": "nM"}, {}), {}, "rate of M")


@pytest.mark.parametrize(
    ("got", "needed", "shown"),
    [
        ("nM/h", "nmol/day/L", "24 `h/day`"),
        ("L*nM/h", "nmol/day", "24 `h/day`"),
        ("1/pM/day", "1/nM/day", "1000 `pM/nM`"),
        ("nM^2/h", "nmol^2/L^2/day", "24 `h/day`"),
        ("nmol/mL", "nM", "1000 `nM*mL/nmol`"),  # no shorter ratio has this factor
    ],
)
def test_the_hint_shows_the_ratio_in_its_simplest_form(got, needed, shown):
    with pytest.raises(UnitError) as error:
        check_units(lambda x: {"x": 1.0 * x}, (got,), {"x": needed}, "rate")
    assert re.search(r"a Parameter of (.*`) ", str(error.value))[1] == shown  # pyright: ignore


def on_if(x, y):
    return x if x > y else y


def on_while(x, y):
    while x < y:
        x = 2 * x
    return x


def on_math(x, y):
    return math.exp(x / y)


def on_numpy(x, y):
    return np.exp(x / y)


def on_index(x, y):
    return [x, y][jnp.argmax(jnp.stack([x, y]))]


def on_attribute(x, y):
    return x.no_such + y


def on_zero(x, y):
    return x * (1 / 0)


BRANCH = "Python `if` and `while` cannot depend on states or parameters; use jnp.where"
NUMBER = "use jax.numpy, not `math`, `numpy` or `float`"


@pytest.mark.parametrize(
    ("function", "line", "words"),
    [
        (on_if, "x if x > y", BRANCH),
        (on_while, "while x < y", BRANCH),
        (on_math, "math.exp", NUMBER),
        (on_numpy, "np.exp", NUMBER),
        (on_index, "[x, y][jnp", NUMBER),
        (on_attribute, "x.no_such", "AttributeError: "),
        (on_zero, "1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_an_exception_in_the_users_code_is_a_model_error_with_its_line(function, line, words):
    with pytest.raises(ModelError) as error:
        infer(lambda x, y: function(x, y), x="nM", y="nM")
    assert words in str(error.value)
    assert line_of(function, line) in str(error.value)
    assert "\n" not in str(error.value)
    kept = error.value.__cause__
    assert (kept is None) if words in (BRANCH, NUMBER) else type(kept).__name__ in words


def test_an_error_of_qspx_inside_the_users_code_passes():
    raised = UnitError("as it is")

    def refuse(x):
        raise raised

    with pytest.raises(UnitError) as error:
        infer(refuse, x="nM")
    assert error.value is raised


def test_output_mismatch_cites_line_and_reason():
    def rates(t, y, p):
        return {"C": -p["k"] * y["C"]}

    reason = "species `C` is declared in nM and time in day"
    with pytest.raises(UnitError) as error:
        check_units(
            rates, ("day", {"C": "nM"}, {"k": "1/h"}), {"C": unit("nM/day")}, "rate of M", because={"C": reason}
        )
    message = str(error.value)
    assert f"rate of M: `C` has unit `nM/h`, but {reason}, so `nM/day` is needed" in message
    assert line_of(rates, '-p["k"]') in message


def test_adding_a_number_to_a_concentration():
    def bad(C):
        return C + 1.0

    message = fault(bad, C="nM")
    assert "`nM` and the number 1 are added to each other" in message
    assert "must be a Parameter" in message
    assert line_of(bad, "C + 1.0") in message


def test_zero_inf_and_nan_fit_everywhere():
    assert infer(lambda C: C + 0.0, C="nM") == unit("nM")
    assert infer(lambda C: jnp.where(C > 0, C, jnp.nan) + jnp.minimum(C, jnp.inf), C="nM") == unit("nM")
    check_units(lambda p: {"C": 0.0, "R": p["R0"]}, ({"R0": "nM"},), {"C": "nM", "R": "nM"}, "initial")


def test_a_number_as_an_initial_state_is_refused():
    with pytest.raises(UnitError, match=r"`C` is the number 10, but `nM` is needed.*must be a Parameter"):
        check_units(lambda p: {"C": 10.0}, ({"R0": "nM"},), {"C": "nM"}, "initial")


@pytest.mark.parametrize("function", [jnp.exp, jnp.log, jnp.tanh, jnp.sin, jax.nn.sigmoid, jnp.log1p, jnp.expm1])
def test_functions_of_numbers(function):
    assert infer(lambda C, K: function(C / K), C="nM", K="nM").is_one
    assert "must be a pure number" in fault(lambda C: function(C), C="nM")
    # nM/pM has no dimension but is not a pure number: the result would be off by a factor 1000 inside the function
    assert "1000 times a pure number" in fault(lambda C, K: function(C / K), C="nM", K="pM")


def test_exp_of_a_rate_without_time_is_cited():
    def bad(k):
        return jnp.exp(-k)

    message = fault(bad, k="1/day")
    assert "`exp` of a quantity in `1/day`" in message
    assert line_of(bad, "jnp.exp(-k)") in message
    assert infer(lambda k, t: jnp.exp(-k * t), k="1/day", t="day").is_one


def test_hill():
    assert infer(lambda C, K, n: (C / K) ** n / (1 + (C / K) ** n), C="nM", K="nM", n="").is_one
    assert infer(lambda C, K, E: E * C / (K + C), C="nM", K="nM", E="1/day") == unit("1/day")
    message = fault(lambda C, K, n: C**n / (K**n + C**n), C="nM", K="nM", n="")
    assert "divide by a reference first" in message
    assert "an exponent has unit `nM`" in fault(lambda x, C: x**C, x="", C="nM")


def test_powers_and_roots():
    assert infer(lambda C: C**2, C="nM") == unit("nM^2")
    assert infer(lambda C: C**0.75, C="kg") == unit("kg^(3/4)")
    assert infer(lambda C: C**-1, C="nM") == unit("1/nM")
    assert infer(lambda C: jnp.sqrt(C * C), C="nM") == unit("nM")
    assert infer(lambda C: jnp.square(C) * lax.rsqrt(C) ** 2, C="nM") == unit("nM")
    assert infer(lambda C: jnp.cbrt(C) ** 3, C="nM") == unit("nM")
    assert infer(lambda W, W0: (W / W0) ** 0.75, W="kg", W0="kg").is_one


def test_choices_and_limits():
    assert infer(lambda C, K: jnp.where(C > K, C, K), C="nM", K="nM") == unit("nM")
    assert infer(lambda C: jnp.maximum(C, 0.0), C="nM") == unit("nM")
    assert infer(lambda C, K: jnp.clip(C, 0.0, K), C="nM", K="nM") == unit("nM")
    assert infer(lambda C: jnp.abs(C) * jnp.sign(C), C="nM") == unit("nM")
    assert infer(lambda C: jax.nn.relu(C), C="nM") == unit("nM")
    assert "two branches" in fault(lambda C, R: jnp.where(C > 0, C, R), C="nM", R="day")
    assert "compared with each other" in fault(lambda C, K: jnp.where(C > K, 1.0, 2.0), C="nM", K="pM")
    assert "the number 1e-12" in fault(lambda C: jnp.maximum(C, 1e-12), C="nM")


def test_a_line_inside_a_jax_function_is_the_callers_line():
    def first(C, K):
        return jnp.where(C > K, C, K)

    def second(C, K):
        return jnp.where(C > 0, C, K)  # jax has traced `where` already, for `first`

    infer(first, C="nM", K="nM")
    message = fault(second, C="nM", K="day")
    assert line_of(second, "jnp.where") in message


def test_faults_are_collected_up_to_ten():
    def many(C, t):
        total = C * 0.0
        for i in range(1, 14):
            total = total + (C + i * t) * 0.0
        return total

    with pytest.raises(UnitError) as error:
        check_units(lambda v: {"a": many(**v)}, ({"C": "nM", "t": "day"},), {"a": "nM"}, "rate")
    assert str(error.value).count("are added") == 1  # one line, one fault

    def lines(C, t, k, V):
        return {"a": C + t, "b": C + k, "c": C + V, "d": t + k, "e": t + V, "f": k + V, "g": C - t, "h": C - k,
                "i": C - V, "j": t - k, "k": t - V, "l": k - V}  # fmt: skip

    with pytest.raises(UnitError) as error:
        infer_units(lambda v: lines(**v), ({"C": "nM", "t": "day", "k": "1/day", "V": "L"},))
    assert "12 problems" in str(error.value)
    assert len(re.findall(r"^  - ", str(error.value), flags=re.M)) == 10
    assert "and 2 more" in str(error.value)


def test_registered_namespaces_are_arguments():
    class Box:
        def __init__(self, **values):
            self.__dict__.update(values)

    jax.tree_util.register_pytree_node(
        Box,
        lambda box: (tuple(box.__dict__.values()), tuple(box.__dict__)),
        lambda names, leaves: Box(**dict(zip(names, leaves, strict=True))),
    )
    found = infer_units(lambda t, y, p: {"C": -p.k * y.C}, ("day", Box(C="nM"), Box(k="1/day")))
    assert found == {"C": unit("nM/day")}


def test_the_check_leaves_jax_config_alone():
    before = jax.config.read("jax_enable_x64")
    with jax.enable_x64(False):
        infer(lambda C: C * 2, C="nM")
        assert not jax.config.read("jax_enable_x64")
    assert jax.config.read("jax_enable_x64") == before


def test_result_must_be_a_dict():
    with pytest.raises(UnitError, match="must return a dict"):
        infer_units(lambda C: C, ("nM",))
    with pytest.raises(UnitError, match="Cannot read the unit `nm0l`"):
        infer(lambda C: C, C="nm0l")
