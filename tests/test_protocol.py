"""Arms and protocols."""

from __future__ import annotations

import numpy as np
import pytest

from qspx import Arm, Protocol, Regimen
from qspx._errors import DoseError, ProtocolError

STEPS = Regimen.step_up(1, "ug/kg", "C")


def test_escalation_has_one_arm_a_level():
    p = Protocol.escalation(STEPS, [0.5, 5, 50], times=[0, 7], observables=["C"])
    assert p.names == ("0.5 ug/kg", "5 ug/kg", "50 ug/kg")
    np.testing.assert_array_equal(p.doses, [0.5, 5, 50])
    assert [a.regimen.first for a in p.arms] == pytest.approx([0.05, 0.5, 5])
    assert all(a.times == (0.0, 7.0) and a.observables == ("C",) for a in p.arms)


def test_an_arm_stands_for_its_target_dose_unless_told_otherwise():
    assert Arm("a", STEPS).dose == 1
    assert Arm("a", STEPS, dose=70.0).dose == 70.0
    assert Arm("a", STEPS, np.array([0, 1])).times == (0.0, 1.0)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: Arm("low", STEPS, (0, 2, 2)), ("`low`", "`times`", "increasing")),
        (lambda: Arm("low", STEPS, (0, np.nan)), ("`low`", "finite")),
        (lambda: Protocol(()), ("`arms`", "at least one")),
        (lambda: Protocol((Arm("a", STEPS), Arm("a", STEPS))), ("unique", "['a']")),
        (lambda: Protocol((Arm("a", STEPS), Arm("b", STEPS, (1.0,)))), ("`b`", "`a`", "`times`", "union")),
        (lambda: Protocol.escalation(STEPS, []), ("`levels`", "at least one")),
    ],
)
def test_mistakes(make, words):
    with pytest.raises(ProtocolError) as error:
        make()
    for word in words:
        assert word in str(error.value)


def test_a_level_must_be_a_dose():
    with pytest.raises(DoseError, match="`target` must be > 0"):
        Protocol.escalation(STEPS, [0.0])
