"""Profile likelihoods against closed forms."""

import math

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import brentq
from uncertainty_systems import line, ratio, scaled_decay, still

from qspx import Normal
from qspx._errors import CalibrationError
from qspx.calibrate.estimated import Estimated
from qspx.calibrate.profile import profile

HALF = 1.959963984540054  # 97.5 % quantile of the standard normal


def test_a_line_has_exact_intervals():
    objective, mean, covariance = line()
    found = profile(objective, mean + 0.1, progress=False)
    sd = np.sqrt(np.diag(covariance))
    for i, p in enumerate(found.of.values()):
        np.testing.assert_allclose(p.interval, [mean[i] - HALF * sd[i], mean[i] + HALF * sd[i]], rtol=1e-9)
        np.testing.assert_allclose(p.drop, 0.5 * ((p.values - mean[i]) / sd[i]) ** 2, atol=1e-6)
        assert p.verdict == "identifiable" and p.failed == 0 and p.threshold == pytest.approx(1.9207, abs=5e-5)
        other = mean[1 - i] + covariance[0, 1] / covariance[i, i] * (p.values - mean[i])
        np.testing.assert_allclose(p.x[:, 1 - i], other, atol=1e-6)
    assert found.improved == 0 and list(found.to_dataframe()["verdict"]) == ["identifiable"] * 2
    with pytest.raises(CalibrationError, match="no profile of `k`"):
        found["k"]


def test_mean_and_sd_of_a_normal_sample():
    """Neither profile is a parabola: n/2 log(1 + (m - mean)²/s²) and n/2 (s²/sd² - 1 - log(s²/sd²))."""
    value = np.array([1.0, 2.5, 2.0, 3.5, 1.5, 0.5])
    mean, s, n = value.mean(), value.std(), len(value)
    objective = still(
        [Estimated("m", (-20.0, 20.0), scale="lin"), Estimated("sd", (0.05, 50.0))], lambda v: v[0], value,
        sd=lambda v: v[1],
    )  # fmt: skip
    found = profile(objective, objective.coordinates([mean, s]), progress=False)
    half = s * math.sqrt(math.exp(2 * found["m"].threshold / n) - 1)
    # the ends are found to a thousandth of the threshold, a two-thousandth of their distance, and interpolated
    np.testing.assert_allclose(found["m"].interval, [mean - half, mean + half], atol=5e-4 * half)

    def excess(sd):
        return n / 2 * (s**2 / sd**2 - 1 - math.log(s**2 / sd**2)) - found["sd"].threshold

    ends = [brentq(excess, 0.05, s), brentq(excess, s, 50.0)]
    np.testing.assert_allclose(found["sd"].interval, ends, rtol=1e-3)


def test_a_ratio_gives_flat_profiles():
    found = profile(ratio(), np.log([2.0, 1.0]), progress=False)
    p = found["kf"]
    assert p.verdict == "flat: not identifiable" and p.ends == ("open", "open") and p.failed == 0
    assert np.abs(p.drop).max() < 1e-3 and p.interval == pytest.approx((0.02, 200.0))
    np.testing.assert_allclose(p.x[:, 0] - p.x[:, 1], p.x[0, 0] - p.x[0, 1], atol=1e-3)  # along the valley
    # its partner has the wider bounds, so that it ends where kf does
    by = "by the bounds of kf, not by the data"
    assert found["kr"].verdict == f"closed on the left {by}, closed on the right {by}"
    low, high = found["kr"].interval
    assert f">= {low:.4g} (bound of kf)" in str(found) and f"<= {high:.4g} (bound of kf)" in str(found)
    assert "<= 200 (its bound)" in str(found)


def test_ends_that_only_bounds_of_others_make_are_told():
    objective = scaled_decay()
    found = profile(objective, objective.coordinates([10.0, 0.3, 2.0]), ["dose"], progress=False)
    assert found["dose"].ends == ("closed", "open")
    assert found["dose"].verdict == "closed on the left by the bounds of gain, not by the data, open on the right"
    assert list(found.of) == ["dose"] and "open on the right" in str(found)
    assert len(found.plot()) == 1


def test_a_saturated_parameter_is_open_on_one_side():
    """1 - exp(-k) seen at its plateau: any large k fits."""
    objective = still([Estimated("k", (1e-2, 1e3))], lambda v: 1 - jnp.exp(-v[0]), [1.0, 1.01, 0.99], sd=0.1)
    found = profile(objective, np.log([50.0]), progress=False)["k"]
    assert found.ends == ("closed", "open") and found.verdict == "open on the right"
    drop = 3 * (math.exp(-found.interval[0]) / 0.1) ** 2 / 2  # the mean of the values is 1
    assert drop == pytest.approx(found.threshold, rel=5e-3)


def test_points_that_cannot_be_evaluated_are_counted():
    objective = still(
        [Estimated("a", (-10.0, 10.0), scale="lin"), Estimated("b", (-20.0, 20.0), scale="lin")],
        lambda v: jnp.where(v[0] > 1.2, jnp.nan, v[0] + v[1]), [1.0, 1.2, 0.8], sd=0.2,
    )  # fmt: skip
    found = profile(objective, np.array([1.0, 0.0]), ["a"], progress=False)["a"]
    assert found.ends == ("open", "unresolved") and found.failed > 3 and math.isnan(found.interval[1])
    assert found.verdict == "open on the left, not resolved on the right"


def test_a_better_fit_found_on_the_way_is_told():
    """a² = 1 has two valleys with a low ridge between them; the prior makes the right one deeper by about 0.5."""
    prior = Normal(1.0, 2.0)
    objective = still([Estimated("a", (-3.0, 3.0), scale="lin", prior=prior)], lambda v: v[0] ** 2, [1.0] * 2, sd=1.0)
    found = profile(objective, np.array([-0.9]), progress=False)
    assert found.improved == pytest.approx(0.5 - 0.5**2 / (2 * 8.25), rel=0.05)  # the prior moves the left one
    assert found.best[0] == pytest.approx(1.0, abs=0.01) and "A better fit was found" in str(found)


def test_mistakes_are_named():
    objective, mean, _ = line()
    with pytest.raises(CalibrationError, match="Did you mean `slope`"):
        profile(objective, mean, ["slop"])
