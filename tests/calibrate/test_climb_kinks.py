"""Profiles, bootstraps and first-order fits where residuals are those of Laplace: medians are the oracle."""

from __future__ import annotations

import math

import numpy as np
import optax
import pytest
from scipy.optimize import brentq
from test_kinks import least_absolute, regression
from uncertainty_systems import still

from qspx import Estimated, FirstOrder, FitStatus, LaplaceNoise, fit, profile
from qspx.calibrate import bootstrap
from qspx.calibrate.bootstrap import case_bootstrap, parametric_bootstrap

VALUE = np.array([1.0, 1.7, 0.8, 0.2, 2.6, 1.1, 0.55])
N, MEDIAN = len(VALUE), float(np.median(VALUE))


def absolute(m: float) -> float:
    return float(np.abs(VALUE - m).sum())


def sample(scale: bool = True):
    """Location, and perhaps scale, of a sample."""
    names = [Estimated("m", (-10.0, 10.0), scale="lin"), Estimated("s", (1e-2, 10.0))][: 1 + scale]
    return still(names, lambda v: v[0], VALUE, sd=(lambda v: v[1]) if scale else 0.5, noise=LaplaceNoise())


def test_profiles_are_those_of_the_closed_form():
    """With s = S(m)/n at its best, n log(S(m)/S(median)) is lost; with m the median, n (log(s/s0) + s0/s - 1)."""
    objective, s0 = sample(), absolute(MEDIAN) / N
    found = profile(objective, objective.coordinates([MEDIAN + 1e-9, s0]), progress=False)
    c = found["m"].threshold

    def of_location(m):
        return N * math.log(absolute(m) / absolute(MEDIAN))

    def of_scale(s):
        return N * (math.log(s / s0) + s0 / s - 1)

    # the ends are found to a thousandth of the threshold, a thousandth of their distance where the loss is straight
    ends = [brentq(lambda m: of_location(m) - c, *e) for e in ((-9.0, MEDIAN), (MEDIAN, 9.0))]
    np.testing.assert_allclose(found["m"].interval, ends, atol=2e-3 * (ends[1] - ends[0]))
    ends = [brentq(lambda s: of_scale(s) - c, *e) for e in ((1e-2, s0), (s0, 9.0))]
    np.testing.assert_allclose(found["s"].interval, ends, rtol=2e-3)
    for name, loss in (("m", of_location), ("s", of_scale)):
        p = found[name]
        assert p.verdict == "identifiable" and p.failed == 0
        # the last rounding of the kink is 1e-5 wide, for each value, at the start and at the point
        np.testing.assert_allclose(p.drop, [loss(v) for v in p.values], atol=2e-5 * N)
    assert found.improved == 0


@pytest.mark.parametrize("cases", [False, True])
def test_bootstraps_refit_medians(cases, monkeypatch):
    objective, kept = sample(scale=False), []
    real = bootstrap._refitted
    monkeypatch.setattr(
        bootstrap, "_refitted", lambda o, x, v, w, *rest: kept.append((v, w)) or real(o, x, v, w, *rest)
    )
    x = np.array([MEDIAN])
    if cases:
        found = case_bootstrap(objective, x, 30, key=1, unit=np.arange(N), progress=False)
    else:
        found = parametric_bootstrap(objective, x, 30, key=1, progress=False)
    assert found.ok.all()
    ((value, weight),) = kept
    medians = [np.median(np.repeat(v, w.astype(int))) for v, w in zip(value, weight, strict=True)]
    np.testing.assert_allclose(found.x[:, 0], medians, atol=1e-4)  # N is odd: each has one


def test_a_first_order_search_goes_on_across_kinks():
    """Adam circles around the kink and takes its patience for the end; linear programming is the oracle."""
    found = fit(regression(), key=2, starts=3, method=FirstOrder(optax.adam(0.02)), progress=False)
    assert set(found.search.status) == {FitStatus.AT_KINK}
    np.testing.assert_allclose(list(found.parameters.values()), least_absolute(), atol=1e-4)
