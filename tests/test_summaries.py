"""Names and windows of endpoints; their values are tested with the stepping loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
import systems

from qspx import AUC, Average, FractionAbove, Last, Max, Min, Observable, Parameter, TimeAbove, TimeBelow, Tmax
from qspx._errors import ModelError, ProtocolError


def test_names():
    assert [kind("C").name for kind in (Max, Tmax, Min, AUC, Average, Last)] == [
        "max(C)", "tmax(C)", "min(C)", "auc(C)", "average(C)", "last(C)"]  # fmt: skip
    assert Max("nACT", 7, 14).name == "max(nACT, 7..14)"
    assert AUC("C", end=0.5).name == "auc(C, ..0.5)"
    assert Last("C", start=21).name == "last(C, 21..)"


def test_names_and_titles_with_a_threshold():
    assert TimeAbove("C", 2, 0, 28).name == "time_above(C > 2, 0..28)"
    assert TimeBelow("C", "EC50", end=7).name == "time_below(C < EC50, ..7)"
    assert FractionAbove("C", 0.25).name == "fraction_above(C > 0.25)"
    assert TimeAbove("C", 2, 0, 28).title("day") == "time with C above 2, days 0 to 28"
    assert TimeBelow("C", "EC50", 0, 7).title("day") == "time with C below EC50, days 0 to 7"
    assert FractionAbove("C", 2, 7, 14).title("day") == "fraction of the time with C above 2, days 7 to 14"


def test_thresholds_that_differ_in_the_last_digit_have_names_of_their_own():
    assert TimeAbove("C", 1 / 3).name != TimeAbove("C", np.nextafter(1 / 3, 1)).name
    assert TimeAbove("C", np.float64(2)) == TimeAbove("C", 2) and hash(TimeAbove("C", 2)) == hash(TimeAbove("C", 2.0))
    assert len({TimeAbove("C", 2), TimeBelow("C", 2), FractionAbove("C", 2), TimeAbove("C", 3)}) == 4


@pytest.mark.parametrize("threshold", [math.nan, math.inf, True])
def test_a_threshold_is_a_number_or_a_name(threshold):
    with pytest.raises(ProtocolError, match="`threshold` must be a finite number in the unit of the observable, or"):
        TimeAbove("C", threshold)


class Effect(systems.OneCompartment):
    EC50 = Parameter(2.0, "nM")
    EC50_pM = Parameter(2000.0, "pM")
    effect = Observable("", "share of the largest effect")

    def observables(self, t, y, p):
        return {"effect": y.C / (y.C + p.EC50)}


def test_units():
    m = Effect()
    units = [s.unit_in(m) for s in (Max("C"), Last("effect"), Tmax("C"), AUC("C"), Average("C"))]
    assert units[:3] == ["nM", "", "day"] and units[3].replace(" ", "") in ("nM*day", "nM·day") and units[4] == "nM"
    assert [s.unit_in(m) for s in (TimeAbove("C", 1), TimeBelow("C", 1), FractionAbove("C", 1))] == ["day", "day", ""]


def test_the_parameter_of_a_threshold_exists_and_has_the_unit_of_the_observable():
    m = Effect()
    TimeAbove("C", "EC50").check(m)
    with pytest.raises(ModelError, match=r"has no parameter `EC5`\. Did you mean `EC50`\?"):
        TimeAbove("C", "EC5").check(m)
    with pytest.raises(ModelError, match="parameter `EC50_pM` in pM, but `C` is in nM"):
        TimeAbove("C", "EC50_pM").check(m)
    with pytest.raises(ModelError, match="parameter `EC50` in nM, but `effect` is in no unit"):
        TimeBelow("effect", "EC50").check(m)
    with pytest.raises(ModelError, match="no observable or species `CC`"):
        TimeBelow("CC", 1.0).check(m)


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
