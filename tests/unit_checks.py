"""Units of small functions, and the messages about them."""

import inspect
from pathlib import Path

import pytest

from qspx._errors import UnitError
from qspx._unit_check import infer_units


def infer(function, **units):
    """Unit of `function(**units)`."""
    return infer_units(lambda values: {"out": function(**values)}, (units,))["out"]


def fault(function, **units):
    """The message about `function(**units)`."""
    with pytest.raises(UnitError) as error:
        infer(function, **units)
    return str(error.value)


def line_of(function, text):
    """File and line, as an error cites it, of the line of `function` that holds `text`."""
    lines, start = inspect.getsourcelines(function)
    return (
        f"{Path(inspect.getfile(function)).name}:{start + next(i for i, line in enumerate(lines) if text in line)}: `"
    )
