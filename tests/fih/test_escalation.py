"""Dose steps and ladders."""

import pytest

from qspx import Regimen
from qspx._errors import DoseError
from qspx.fih import DOUBLING, HALF_LOG, Escalation, cohorts_avoided, escalation_ladder, steps_between


def test_cohorts_avoided_by_isb2001():
    # 5 instead of 0.1 and 0.045 ug/kg; printed to one decimal
    saved = cohorts_avoided(5.0, 0.1)
    assert (saved["half-log"], saved["doubling"]) == pytest.approx((3.4, 5.6), abs=0.05)
    saved = cohorts_avoided(5.0, 0.045)
    assert (saved["half-log"], saved["doubling"]) == pytest.approx((4.1, 6.8), abs=0.05)


def test_steps_count_both_ways():
    assert steps_between(1.0, 10.0) == pytest.approx(2.0, rel=1e-12)
    assert steps_between(8.0, 1.0, DOUBLING) == pytest.approx(-3.0, rel=1e-12)


def test_ladder():
    assert escalation_ladder(0.5, 4.0, DOUBLING) == (0.5, 1.0, 2.0, 4.0)
    assert escalation_ladder(0.5, 5.0, DOUBLING) == (0.5, 1.0, 2.0, 4.0, 5.0)
    assert escalation_ladder(1.0, 100.0) == pytest.approx((1.0, HALF_LOG, 10.0, 10 * HALF_LOG, 100.0), rel=1e-12)
    assert escalation_ladder(3.0, 3.0) == (3.0,)


def test_refuses():
    with pytest.raises(DoseError, match="factor"):
        escalation_ladder(1.0, 2.0, 1.0)
    with pytest.raises(DoseError, match="top"):
        escalation_ladder(2.0, 1.0)
    with pytest.raises(DoseError, match="low"):
        steps_between(0.0, 1.0)


def test_flat_doses_are_told_how_to_go_in():
    """10 mg / 70 kg = 143 ug/kg."""
    with pytest.raises(DoseError, match=r"must be in ug/kg, but is in mg.*10 mg at 70 kg is 143 ug/kg.*`body_weight`"):
        Escalation(Regimen.single(10.0, "mg", "C"), (1.0, 10.0, 100.0))
