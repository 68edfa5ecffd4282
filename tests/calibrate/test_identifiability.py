"""Verdicts on problems whose unidentifiable combinations are known."""

import numpy as np
import pytest
from uncertainty_systems import line, ratio, scaled_decay, still

from qspx import LogNormal
from qspx._errors import CalibrationError
from qspx.calibrate.combinations import invariants, simplest, whole
from qspx.calibrate.estimated import Estimated
from qspx.calibrate.identifiability import identifiability
from qspx.calibrate.information import side_of_bound

WIDE = (1e-2, 1e2)
SEEN = [1.0, 2.0, 1.5, 0.7]


def on(scale, *names):
    return [Estimated(n, WIDE, scale=scale) for n in names]


def judged(estimated, expected, values, **options):
    objective = still(estimated, expected, SEEN, **options)
    return identifiability(objective, objective.coordinates(values), points=4)


def test_what_is_identifiable_is_called_so():
    objective, mean, _ = line()
    found = identifiability(objective, mean)
    assert found.identifiable and found.rank == 2 and found.ranks == (2,) * 9
    assert found.verdicts == {"intercept": "identifiable", "slope": "identifiable"}
    assert "intercept, slope: identifiable" in str(found)


def test_only_the_ratio_of_a_reversible_reaction():
    found = identifiability(ratio(), np.log([2.0, 1.0]))
    (combination,) = found.combinations
    assert combination.kind == "product" and combination.determined == ("kf/kr",) and combination.weights == (1.0, 1.0)
    assert "kf and kr are not identifiable separately, only kf/kr is: (kf·c, kr·c) fits alike" in str(found)
    assert combination.everywhere == 9 and "structural, as far as numbers can tell" in str(found)
    assert found.verdicts == {"kf": "combination", "kr": "combination"}


def test_a_product_over_two_scales_beside_what_is_identifiable():
    """dose on the natural logarithm, gain on the decimal one."""
    objective = scaled_decay()
    found = identifiability(objective, objective.coordinates([10.0, 0.3, 2.0]))
    assert [c.determined for c in found.combinations] == [("dose·gain",)]
    assert found.verdicts == {"dose": "combination", "k": "identifiable", "gain": "combination"}
    assert "(dose·c, gain/c)" in str(found)


def test_a_product_on_the_plain_scale_is_told_from_a_sum():
    """At (1, 1) both leave alike at first order; nearby only one does."""
    product = judged(on("lin", "a", "b"), lambda v: v[0] * v[1], [1.0, 1.0])
    assert [c.determined for c in product.combinations] == [("a·b",)]
    total = judged(on("lin", "a", "b"), lambda v: v[0] + 2 * v[1], [2.0, 1.0])
    assert [(c.kind, c.determined) for c in total.combinations] == [("sum", ("a + 2·b",))]


def test_powers_and_several_combinations_at_once():
    found = judged(on("log", "k", "V", "s", "n"), lambda v: v[0] * v[1] / v[2] ** 2, [0.5, 4.0, 1.3, 2.0])
    assert found.rank == 1 and len(found.combinations) == 3
    assert found.verdicts == dict.fromkeys("kVs", "combination") | {"n": "none"}
    assert {str(c) for c in found.combinations if c.kind == "none"} == {"n has no influence on any measurement"}
    pairs = {c.determined for c in found.combinations if c.kind == "product"}
    assert len(pairs) == 2 and all(len(c.names) == 2 for c in found.combinations if c.kind == "product")
    assert pairs <= {("k·V",), ("k/s^2",), ("V/s^2",)}


def test_a_direction_without_a_name_is_listed_by_its_weights():
    found = judged(on("log", "a", "b"), lambda v: v[0] + v[1] ** 1.37, [1.0, 2.0])
    (combination,) = found.combinations
    assert combination.kind == "local" and combination.determined == ()
    a, b = combination.weights
    assert a / b == pytest.approx(-1.37 * 2.0**1.37 / 1.0, rel=1e-4)  # d(a + b^1.37) = 0 on logarithms
    assert "at this point" in str(found)


def test_a_coincidence_of_the_point_is_said_to_be_one():
    objective = still([Estimated("a", (-5.0, 5.0), scale="lin"), Estimated("b", WIDE)], lambda v: v[0] * v[1], SEEN)
    alone = identifiability(objective, np.array([0.0, 0.0]), points=4)
    assert alone.verdicts["b"] == "none"  # what multiplies zero has no influence, here
    assert "(at 1 of 5 points tried)" in str(alone)
    assert alone.combinations[0].everywhere == 1


def test_what_is_seen_faintly_is_weak():
    found = judged([Estimated("a", (0.9, 1.1)), Estimated("b", (0.5, 2.0))], lambda v: v[0] + 0 * v[1], [1.0, 1.0])
    assert found.verdicts == {"a": "weak", "b": "none"}  # sd 0.25 of a mean of four, against a range of 0.2
    assert "practically not identifiable" in str(found)


def test_priors_do_not_count():
    estimated = [Estimated("a", WIDE, prior=LogNormal(1.0, 0.1)), Estimated("b", WIDE)]
    assert [c.determined for c in judged(estimated, lambda v: v[0] * v[1], [1.0, 1.0]).combinations] == [("a·b",)]


def test_mistakes_are_named():
    objective, mean, _ = line()
    with pytest.raises(CalibrationError, match="`points` and `spread`"):
        identifiability(objective, mean, spread=0.0)


def test_names_of_combinations():
    assert invariants(("k", "V", "s"), (1, -1, 2), "product") == ("k·V", "k^2/s")
    assert invariants(("a", "b"), (2, -3), "product") == ("a^3·b^2",)
    assert invariants(("a", "b"), (1, 1), "sum") == ("a - b",)
    np.testing.assert_array_equal(whole(np.array([-0.5001, 0.0, 1.0])), [1, 0, -2])
    np.testing.assert_array_equal(whole(np.array([2 / 3, 1.0])), [2, 3])
    assert whole(np.array([1.0, 0.5**0.5])) is None and whole(np.zeros(2)) is None
    mixed = np.array([[1, 1, 0, 0], [0, 0, 1, -1]]).T @ np.array([[0.6, 0.8], [-0.8, 0.6]])
    found = simplest(mixed)
    assert sorted(np.count_nonzero(np.abs(found) > 1e-12, axis=0)) == [2, 2]


def test_a_logit_at_its_bound_is_at_a_bound_and_not_without_influence():
    """The flat end of the logistic curve says nothing about what is measured."""
    objective = still(on("log", "a") + [Estimated("F", (0.05, 1.0), scale="logit")], lambda v: v[0] * v[1], SEEN)
    for x in (20.0, -20.0):
        found = identifiability(objective, np.array([0.0, x]), points=4)
        assert found.verdicts["F"] == "bound" and not found.combinations
        assert "no influence" not in str(found) and np.isnan(found.information.interval()[1]).all()
    np.testing.assert_array_equal(side_of_bound(objective, np.array([[0.0, 20.0], [0.0, -20.0], [0.0, 5.0]])).T,
                                  [[0, 0, 0], [1, -1, 0]])  # fmt: skip


def test_a_logit_whose_interval_covers_its_range_is_weak():
    """Four values with sd 0.5 have a mean with sd 0.25: an interval of 1 against ranges of 0.45 and of 9."""
    for bounds, verdict in (((0.8, 1.25), "weak"), ((0.1, 9.1), "identifiable")):
        assert judged([Estimated("F", bounds, scale="logit")], lambda v: v[0], [1.0]).verdicts == {"F": verdict}
