"""Propagate units through a model's own functions and say where they do not fit.

The function is traced once and run on units (`_jaxpr`). A value is a `Unit`, or `ANY` for numbers whose unit cannot
matter (0, inf, nan). Every other number is a pure number. Sums, comparisons, `where`, `minimum` and the like need
equal units *including scale*: nM/h plus nM/day is an error, since nothing in the compiled function would convert it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from ._errors import UnitError
from ._jaxpr import Domain, Fault, Interpreter, is_number, trace
from .units import Unit, unit

MAX_SHOWN = 10
ONE = Unit(1.0)


class _Any:
    """The unit of 0, inf and nan: fits everywhere."""

    def __repr__(self) -> str:
        return "ANY"


ANY = _Any()
_Value = Unit | _Any

_ALIKE = {"add": "added to", "add_any": "added to", "sub": "subtracted from", "max": "compared with"}
_ALIKE |= {
    "min": "compared with",
    "hypot": "added to",
    "rem": "divided with remainder by",
    "nextafter": "compared with",
}
_COMPARE = {"eq", "ne", "lt", "le", "gt", "ge", "eq_to", "lt_to", "le_to"}
_KEEP = {"neg", "abs", "real", "convert_element_type"}
_LOGIC = {"and", "or", "not", "xor", "is_finite", "sign"}
_ROUND = {"floor", "ceil", "round"}


class UnitDomain(Domain):
    """Meaning of the primitives on units."""

    poison = ANY
    whole = frozenset({"hypot"})

    def __init__(self):
        self._products: dict[tuple[int, int, str], tuple[Unit, Unit, Unit]] = {}

    def apply(self, name: str, params: dict, args: Sequence[Any], dtypes: Sequence[np.dtype]) -> _Value:
        units = [_of(arg) for arg in args]
        if name in _ALIKE:
            return _same(units, args, f"are {_ALIKE[name]} each other")
        if name in _COMPARE or name in ("argmax", "argmin"):
            _same(units, args, "are compared with each other")
            return ONE
        if name in _KEEP:
            return units[0]
        if name in ("mul", "div"):
            return self._product(name, units[0], units[1])
        if name == "select_n":
            return _same(units[1:], args[1:], "are the two branches of one choice")
        if name == "clamp":
            return _same(units, args, "are limits and value of one `clip`")
        if name == "atan2":
            _same(units, args, "form one ratio")
            return ONE
        if name in _LOGIC:
            return ONE
        if name in ("integer_pow", "square", "sqrt", "cbrt", "rsqrt"):
            power = {"square": 2, "sqrt": 0.5, "rsqrt": -0.5, "cbrt": 1 / 3}
            return _power(units[0], params["y"] if name == "integer_pow" else power[name])
        if name == "pow":
            return _pow(units[0], units[1], args[1])
        return _pure(name, units[0])  # exp, log, tanh, floor and every other function of a number

    def pick(self, elements: Sequence[Any]) -> _Value:
        return _same([_of(item) for item in elements], elements, "are elements of one array with a computed index")

    def _product(self, name: str, left: _Value, right: _Value) -> _Value:
        if isinstance(left, _Any) or isinstance(right, _Any):
            return ANY
        key = (id(left), id(right), name)
        if key not in self._products:  # the operands are kept, so that an id is not used again
            self._products[key] = (left, right, left * right if name == "mul" else left / right)
        return self._products[key][2]


def _of(value: Any) -> _Value:
    if is_number(value):
        return ANY if value == 0 or not math.isfinite(value) else ONE
    return value


def _name(value: Any) -> str:
    """How a value is called in a message."""
    if is_number(value):
        return f"the number {value:g}"
    return f"`{value}`" if str(value) != "dimensionless" else "a pure number"


def _same(units: Sequence[_Value], values: Sequence[Any], relation: str) -> _Value:
    first: tuple[Unit, Any] | None = None
    for item, value in zip(units, values, strict=True):
        if isinstance(item, _Any):
            continue
        if first is None:
            first = (item, value)
        elif item != first[0]:
            raise UnitError(f"{_name(first[1])} and {_name(value)} {relation}{_hint(item, first[0], first[1], value)}")
    return ANY if first is None else first[0]


def _hint(got: Unit, needed: Unit, *values: Any) -> str:
    """How to get from `got` to `needed`, as a sentence that starts with its separator."""
    if any(map(is_number, values)):
        return "; a number that has a unit must be a Parameter"
    if got.same_dimension(needed):
        ratio = got.factor / needed.factor
        return (
            f"; they differ by the factor {ratio:.6g}: multiply by a Parameter of {ratio:.6g} `{_simple(needed / got)}`"
        )
    return ""


def _simple(ratio: Unit) -> Unit:
    """The same ratio of units with as few units as possible: `nmol*h/day/L/nM` is `h/day`."""
    factors = [unit(name) ** exponent for name, exponent in ratio.atoms]
    for size in range(1, len(factors)):
        for some in itertools.combinations(factors, size):
            if (product := math.prod(some, start=ONE)) == ratio:
                return product
    return ratio


def _power(base: _Value, exponent: float) -> _Value:
    if exponent == 0:
        return ONE
    return base if isinstance(base, _Any) else base**exponent


def _pow(base: _Value, exponent: _Value, value: Any) -> _Value:
    if isinstance(exponent, Unit) and not exponent.is_one:
        raise UnitError(f"an exponent has unit `{exponent}`, but must be a pure number")
    if is_number(value):
        return _power(base, value) if math.isfinite(value) else ANY
    if isinstance(base, Unit) and not base.is_one:
        raise UnitError(
            f"`{base}` is raised to a power that is not a fixed number; divide by a reference first, as in "
            "(C / EC50)**hill"
        )
    return base


def _pure(name: str, argument: _Value) -> _Value:
    if isinstance(argument, Unit) and not argument.is_one:
        shown = {"logistic": "sigmoid"}.get(name, name)
        why = f" (it is {argument.factor:.6g} times a pure number)" if argument.dimensionless else ""
        how = "its result depends on the unit" if name in _ROUND else "its argument must be a pure number"
        raise UnitError(f"`{shown}` of a quantity in `{argument}`{why}; {how}, so divide by a reference first")
    return ONE


# --------------------------------------------------------------------------------------------------------------
# Public


def _run(function: Callable, in_units: Sequence[Any]) -> tuple[dict[str, tuple[_Value, Any, str]], list[Fault]]:
    """Per output: its unit, its value (a number, or its unit), its source line; and what went wrong inside."""
    closed, arrays, structure = trace(function, in_units)
    units = [np.vectorize(unit, otypes=[object])(array) for array in arrays]
    interpreter = Interpreter(UnitDomain())
    flat = interpreter.run(closed, units)
    cells = [(array.reshape(-1).tolist(), place, i) for i, (array, place) in enumerate(flat)]
    found = jax.tree_util.tree_unflatten(structure, cells)
    if not isinstance(found, Mapping):
        raise UnitError(f"The function must return a dict of name to value, but returns {type(found).__name__}.")
    names = {i: name for name, (_, _, i) in found.items()}
    faults = [_attributed(fault, [names[i] for i in fault.outputs]) for fault in interpreter.faults]
    outputs = {}
    for name, (elements, place, _) in found.items():
        try:
            common = _same([_of(item) for item in elements], elements, f"are elements of `{name}`")
        except UnitError as error:
            faults.append(Fault(str(error), place))
            common = ANY
        outputs[name] = (common, elements[0] if elements else 0.0, place)
    return outputs, faults


def _attributed(fault: Fault, names: Sequence[str]) -> Fault:
    """The fault with the outputs that it spoils at the head of its message: at most two by name."""
    if not names:
        return fault
    shown = [f"`{name}`" for name in names[:2]] + ([f"{len(names) - 2} more"] if len(names) > 2 else [])
    return Fault(f"in {', '.join(shown)}: {fault.message}", fault.place)


def infer_units(function: Callable, in_units: Sequence[Any]) -> dict[str, Unit]:
    """Units of the dict that `function(*args)` returns.

    `in_units` has the structure of `args`, with a unit (text or `Unit`) in place of every number, or an object array
    of them in place of an array. An output that is a constant 0 is reported as dimensionless. Raises `UnitError` for
    the faults inside `function` and `NotTraceable` for constructs that are not followed.
    """
    outputs, faults = _run(function, in_units)
    if faults:
        raise UnitError(_report("units", [str(fault) for fault in faults]))
    return {name: ONE if isinstance(value, _Any) else value for name, (value, _, _) in outputs.items()}


def check_units(
    function: Callable,
    in_units: Sequence[Any],
    out_units: Mapping[str, Unit | str],
    what: str,
    *,
    because: Mapping[str, str] | None = None,
) -> None:
    """Raise one `UnitError` that lists (up to 10) what does not fit in the units of `function`.

    `in_units` as in [`infer_units`][qspx._unit_check.infer_units]; `out_units` is the unit that each output must have
    (outputs not named there are not compared). `what` opens the message, e.g. `"rate of TMDD"`. `because` may give,
    per output, the reason for its unit, e.g. ``"species `C` is declared in nM and time in day"``.
    """
    outputs, faults = _run(function, in_units)
    problems = [str(fault) for fault in faults]
    for name, expected in out_units.items():
        if name not in outputs:
            continue
        found, value, place = outputs[name]
        needed = unit(expected)
        if isinstance(found, _Any) or found == needed:
            continue
        reason = f"{because[name]}, so " if because and name in because else ""
        shown = f"is {_name(value)}" if is_number(value) else f"has unit {_name(found)}"
        text = f"`{name}` {shown}, but {reason}`{needed}` is needed{_hint(found, needed, value)}"
        problems.append(f"{text} ({place})" if place else text)
    if problems:
        raise UnitError(_report(what, problems))


def _report(what: str, problems: Sequence[str]) -> str:
    if len(problems) == 1:
        return f"{what}: {problems[0]}"
    more = f"\n  ... and {len(problems) - MAX_SHOWN} more" if len(problems) > MAX_SHOWN else ""
    return f"{what}: {len(problems)} problems\n  - " + "\n  - ".join(problems[:MAX_SHOWN]) + more
