"""Draws of starts: their design, and what they depend on."""

import dataclasses

import numpy as np
import pytest
from closed_form import closed_form, linear

from qspx import GivenStarts, LatinHypercubeStarts, SobolStarts, StartsAround
from qspx._errors import CalibrationError
from qspx.calibrate.estimated import Estimated

OBJECTIVE = linear()[0]
SEED = (0, 7)
DRAWN = [LatinHypercubeStarts(12), SobolStarts(12), StartsAround(12), GivenStarts([[0.0, 1.0], [2.0, 3.0]])]


@pytest.mark.parametrize("starts", DRAWN, ids=lambda s: type(s).__name__)
def test_contract(starts):
    """Inside the box, at least `n`, the same for the same seed, settings that can be written down."""
    first, again = (starts.candidates(OBJECTIVE, SEED) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert first.shape[1] == 2 and len(first) >= starts.n
    assert ((first >= 0) & (first <= 1)).all()
    assert starts.settings["starts"] == type(starts).__name__


@pytest.mark.parametrize("starts", DRAWN[:3], ids=lambda s: type(s).__name__)
def test_another_seed_draws_others(starts):
    assert (starts.candidates(OBJECTIVE, SEED) != starts.candidates(OBJECTIVE, (0, 8)))[1:].any(axis=1).all()


def test_a_latin_hypercube_has_one_start_in_every_slice():
    drawn = LatinHypercubeStarts(12).candidates(OBJECTIVE, SEED)[:12]
    for axis in drawn.T:
        assert sorted((axis * 12).astype(int)) == list(range(12))


def test_a_sobol_start_does_not_depend_on_how_many():
    few, many = (SobolStarts(n).candidates(OBJECTIVE, SEED) for n in (5, 50))
    np.testing.assert_array_equal(few, many[: len(few)])


def test_starts_around_begin_with_the_values_and_scatter_by_spread():
    drawn = StartsAround(400, spread=0.5, oversample=1).candidates(OBJECTIVE, SEED)
    x = -10.0 + 20.0 * drawn
    np.testing.assert_allclose(x[0], [0.5, -0.5], atol=1e-12)
    # 800 normal numbers: the standard error of their standard deviation is 2.5 %
    assert np.std((x - x[0])[1:]) == pytest.approx(0.5, rel=0.1)


def test_a_logit_is_drawn_uniformly_between_its_bounds():
    """On the logit itself most of the draws would lie on the bounds."""
    o = closed_form((Estimated("F", (0.2, 0.9), scale="logit"),), [0.5], lambda v: (v, v, True))
    low, high = o.box.T
    drawn = np.asarray(o.natural(low + (high - low) * LatinHypercubeStarts(70).candidates(o, SEED)[:70]))[:, 0]
    assert sorted(((drawn - 0.2) / 0.7 * 70).astype(int)) == list(range(70))


def test_given_starts_are_the_given_values():
    drawn = DRAWN[3].candidates(OBJECTIVE, SEED)
    np.testing.assert_allclose(OBJECTIVE.natural(-10.0 + 20.0 * drawn), [[0.0, 1.0], [2.0, 3.0]], atol=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LatinHypercubeStarts(0), "`n` of LatinHypercubeStarts must be a positive whole number"),
        (lambda: SobolStarts(3, oversample=0), "`oversample` of SobolStarts"),
        (lambda: StartsAround(3, spread=-1.0), "`spread` of StartsAround must be positive"),
        (lambda: GivenStarts([[np.nan, 1.0]]), "must hold finite numbers"),
        (lambda: GivenStarts([[1.0]]).candidates(OBJECTIVE, SEED), "one column per estimated parameter \\(a, b\\)"),
        (lambda: GivenStarts([[1.0, 11.0]]).candidates(OBJECTIVE, SEED), "start 0 has b = 11, outside -10 to 10"),
    ],
)
def test_mistakes(make, message):
    with pytest.raises(CalibrationError, match=message):
        make()


def test_starts_around_need_values():
    o = linear(values=False)[0]
    assert o.estimated[0] == Estimated("a", (-10.0, 10.0), scale="lin")
    with pytest.raises(CalibrationError, match=r"\['a', 'b'\] have none"):
        StartsAround(3).candidates(o, SEED)


def test_starts_by_name_take_the_rest_from_the_problem():
    some = (Estimated("a", (-10.0, 10.0), 2.5, scale="lin"), Estimated("b", (-10.0, 10.0), scale="lin"))
    o = dataclasses.replace(OBJECTIVE, estimated=some)
    by_name = GivenStarts([{"b": 1.0}, {"b": 3.0, "a": 2.0}])
    assert by_name.n == 2 and by_name.settings["values"] == ({"b": 1.0}, {"b": 3.0, "a": 2.0})
    np.testing.assert_array_equal(
        by_name.candidates(o, SEED), GivenStarts([[2.5, 1.0], [2.0, 3.0]]).candidates(o, SEED)
    )
    assert GivenStarts({"b": 1.0}).n == 1
    with pytest.raises(CalibrationError, match="start 0 names `c`, which is not estimated"):
        GivenStarts({"c": 1.0}).candidates(o, SEED)
    with pytest.raises(CalibrationError, match="start 0 does not say `b`, and its Estimated has no value"):
        GivenStarts({"a": 1.0}).candidates(o, SEED)
