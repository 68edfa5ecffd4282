"""Names and windows of endpoints; their values are tested with the stepping loop."""

from __future__ import annotations

import math

import pytest

from qspx import AUC, Average, Last, Max, Min, Tmax
from qspx._errors import ProtocolError


def test_names():
    assert [kind("C").name for kind in (Max, Tmax, Min, AUC, Average, Last)] == [
        "max(C)", "tmax(C)", "min(C)", "auc(C)", "average(C)", "last(C)"]  # fmt: skip
    assert Max("nACT", 7, 14).name == "max(nACT, 7..14)"
    assert AUC("C", end=0.5).name == "auc(C, ..0.5)"
    assert Last("C", start=21).name == "last(C, 21..)"


def test_kinds_differ_and_equal_ones_are_equal():
    assert Max("C") != Min("C")
    assert Max("C", 0, 1) == Max("C", 0, 1) and hash(Max("C")) == hash(Max("C"))


@pytest.mark.parametrize("window", [(2, 2), (3, 1)])
def test_a_window_has_a_length(window):
    with pytest.raises(ProtocolError, match="`start` must be before `end`"):
        AUC("C", *window)


@pytest.mark.parametrize("window", [(0, math.inf), (-math.inf, None), (math.nan, 3)])
def test_a_window_is_finite(window):
    with pytest.raises(ProtocolError, match="must be finite, or None for the"):
        AUC("C", *window)
