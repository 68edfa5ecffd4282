"""Model files as modules, and the comparison with a printed number."""

import importlib.util
from decimal import Decimal

import pytest


@pytest.fixture(scope="session")
def model_file(repo_root):
    """`model_file("isb2001")` runs the file and returns its module."""

    def run(name):
        spec = importlib.util.spec_from_file_location(f"tested_{name}", repo_root / "models" / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return run


@pytest.fixture(scope="session")
def same_digits():
    """`same_digits(value, "0.0528")`: the value is within `units` of the last place of the printed text (half of one is
    rounding; the default leaves a hundredth for numbers at the border)."""

    def check(value, printed, units=0.51):
        last_place = float(Decimal(1).scaleb(Decimal(printed).as_tuple().exponent))
        assert abs(value - float(printed)) <= units * last_place, f"{value:.8g} is not {printed}"

    return check
