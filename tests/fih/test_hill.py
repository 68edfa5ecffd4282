"""Hill relation against the published ISB 2001 levels and its own limits."""

import math

import jax
import jax.numpy as jnp
import pytest

from qspx._errors import DoseError
from qspx.fih import Hill, ec_at, hill_effect, slope_between


def test_isb2001_slope_and_levels():
    # fih.md 3, `hill.isb2001`: digits as printed there
    curve = Hill.from_ec20_ec50(0.257, 0.585)
    assert curve.slope == pytest.approx(1.6854, abs=5e-5)
    assert curve.slope == pytest.approx(math.log(4) / math.log(0.585 / 0.257), rel=1e-12)
    assert curve.ec(0.1) == pytest.approx(0.1588, abs=5e-5)
    assert curve.ec(0.3) == pytest.approx(0.3539, abs=5e-5)
    # an independent level: the published EC30 is 0.350 pM, 1.1 % away
    assert curve.ec(0.3) == pytest.approx(0.350, rel=0.015)


def test_isb2001_active_complexes():
    # fih.md 3, `hill.isb2001_nact`: EC50 3.1 and EC90 28 give a slope of 0.998, and the levels are at slope 1
    assert slope_between(3.1, 0.5, 28, 0.9) == pytest.approx(0.998, abs=5e-4)
    curve = Hill(3.1)
    for level, expected in ((0.13, 0.4632), (0.17, 0.6349), (0.40, 2.0667)):
        assert curve.ec(level) == pytest.approx(expected, abs=5e-5)


def test_levels_at_slope_one():
    assert float(ec_at(0.1, 9.0)) == pytest.approx(1.0, rel=1e-14)
    assert float(ec_at(0.2, 4.0)) == pytest.approx(1.0, rel=1e-14)
    assert float(ec_at(0.3, 1.0)) == pytest.approx(0.4286, abs=5e-5)


@pytest.mark.parametrize("slope", [0.5, 1.0, 1.6854, 8.0])
def test_effect_inverts_level(slope):
    levels = jnp.array([1e-6, 0.1, 0.5, 0.9, 0.999])
    back = hill_effect(ec_at(levels, 3.0, slope), 3.0, slope)
    assert jnp.allclose(back, levels, rtol=1e-12, atol=0)


def test_effect_stays_finite_at_the_ends():
    concentration = jnp.array([0.0, 1e-300, 1.0, 1e300])
    assert hill_effect(concentration, 1.0, 5.0).tolist() == [0.0, 0.0, 0.5, 1.0]
    slope_at_zero = jax.grad(hill_effect)(0.0, 2.0, 1.0)
    assert slope_at_zero == pytest.approx(0.5, rel=1e-14)  # 1/EC50 at slope 1
    at_ec50 = jax.grad(hill_effect)(2.0, 2.0, 3.0)
    assert at_ec50 == pytest.approx(3.0 / (4 * 2.0), rel=1e-14)  # h / (4 EC50)


def test_through_any_two_levels():
    curve = Hill(2.0, 1.3)
    again = Hill.through(curve.ec(0.1), 0.1, curve.ec(0.7), 0.7)
    assert (again.ec50, again.slope) == pytest.approx((2.0, 1.3), rel=1e-12)


def test_refuses():
    with pytest.raises(DoseError, match="Write 0.2 for 20 %"):
        Hill(1.0).ec(20)
    with pytest.raises(DoseError, match="ec50"):
        Hill(-1.0)
    with pytest.raises(DoseError, match="slope"):
        Hill(1.0, 0.0)
    with pytest.raises(DoseError, match="other side"):
        Hill.from_ec20_ec50(0.585, 0.257)
