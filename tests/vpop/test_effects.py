"""Partial rank correlations and local derivatives of functions where both are known."""

import dataclasses
import math

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import t

import qspx
from qspx._status import Status
from qspx.sensitivity import partial_rank_correlations
from qspx.vpop import (
    AbstractSimulator,
    Independent,
    Plausibility,
    PopulationError,
    PopulationProblem,
    local_effects,
    rank_effects,
    rank_effects_of,
)
from qspx.vpop.global_sensitivity import morris_effects, sobol_indices


@dataclasses.dataclass(frozen=True, eq=False)
class Known(AbstractSimulator):
    """exp(2 a - b), and a b c²; nobody with c above `top` can be solved."""

    model: qspx.AbstractModel
    top: float = math.inf
    names: tuple[str, ...] = ("rises", "product")

    def traced(self, theta):
        a, b, c = theta[:, 0], theta[:, 1], theta[:, 2]
        ok = c <= self.top
        values = jnp.stack([jnp.exp(2 * a - b), a * b * c**2], axis=1)
        return jnp.where(ok[:, None], values, jnp.nan), jnp.where(ok, int(Status.OK), int(Status.MAX_STEPS))


def problem(plain, **options):
    prior = qspx.Joint({k: qspx.Normal(1.0, 0.5) for k in "abc"})
    return PopulationProblem(Known(plain, **options), prior, Plausibility({"rises": (0.0, 1e9)}))


def test_closed_form_of_a_linear_gaussian_case(plain):
    """Ranks of normal variables with correlation r have correlation 6/pi asin(r/2) (Pearson 1907); the partial ones
    follow from its inverse. Tolerance: three standard errors of 20,000 draws of an estimator with spread ~(1 - r²)."""
    found = rank_effects(problem(plain), ["rises"], 8_000, key=0, design=Independent())
    s = 6 / math.pi * np.arcsin(np.array([2.0, -1.0, 0.0]) / math.sqrt(5) / 2)
    correlation = np.eye(4)
    correlation[3, :3] = correlation[:3, 3] = s
    precision = np.linalg.inv(correlation)
    expected = -precision[:3, 3] / np.sqrt(np.diag(precision)[:3] * precision[3, 3])
    np.testing.assert_allclose(found["correlation"], expected, atol=0.02)
    assert ((found["low"] < expected) & (expected < found["high"])).all()
    assert found["p"][0] == 0.0 and found["p"][2] > 0.001 and (found["used"] == 8_000).all()


def test_an_independent_computation(plain):
    """Correlation of the residuals of two regressions; p of the coefficient in one regression of all ranks."""
    p = problem(plain, top=1.5)
    drawn = p.quantiles(Independent().points(300, 3, 1))
    outputs = p.simulator(p.cohort(drawn, "drawn", 1))
    found = rank_effects_of(outputs, ("a", "b", "c"), ["product"], key=0)
    n = int(outputs.usable.sum())
    assert 230 < n < 270 and (found["used"] == n).all() and (found["failed"] == 300 - n).all()
    cohort = dataclasses.replace(outputs.cohort, status=np.where(outputs.usable, 0, Status.MAX_STEPS))
    other = partial_rank_correlations(cohort, outputs.values[:, 1])
    np.testing.assert_allclose(found["correlation"], [other[k] for k in "abc"], atol=1e-10)
    ranks = np.apply_along_axis(lambda v: v.argsort().argsort() + 1.0, 0, drawn[outputs.usable])
    y = outputs.values[outputs.usable, 1].argsort().argsort() + 1.0
    design = np.column_stack([np.ones(n), ranks])
    beta, (rss,), *_ = np.linalg.lstsq(design, y, rcond=None)
    error = np.sqrt(rss / (n - 4) * np.diag(np.linalg.inv(design.T @ design)))
    np.testing.assert_allclose(found["p"], 2 * t.sf(np.abs(beta / error)[1:], n - 4), rtol=1e-6)


def test_intervals_hold_the_truth(plain):
    """b is not among the parameters and makes noise: r = 6/pi asin(1/sqrt(5)) = 0.88. 60 samples of 150, 95 % less
    three binomial standard errors."""
    p, inside = problem(plain), 0
    truth = 6 / math.pi * math.asin(1 / math.sqrt(5))
    theta = p.quantiles(Independent().points(60 * 150, 3, 3)).reshape(60, 150, 3)
    for key, drawn in enumerate(theta):
        found = rank_effects_of(p.simulator(p.cohort(drawn, "", key)), ("a", "c"), ["rises"], key=key)
        inside += found["low"][0] < truth < found["high"][0]
    assert inside / 60 > 0.86


def test_what_has_no_rank_correlation(plain):
    p = problem(plain, top=-5.0)
    with pytest.raises(PopulationError, match="0 usable patients are too few.*50 max_steps"):
        rank_effects(p, ["rises"], 50, key=0)
    p = problem(plain)
    same = p.simulator(p.cohort(np.repeat([[1.0, 2.0, 3.0]], 20, axis=0), "", 0))
    with pytest.raises(PopulationError, match="`a` is the same in all 20"):
        rank_effects_of(same, ("a", "b"), ["rises"], key=0)
    tied = np.random.default_rng(0).random((20, 1)) * np.array([[1.0, 3.0, 2.0]])
    with pytest.raises(PopulationError, match="determine each other"):
        rank_effects_of(p.simulator(p.cohort(tied, "", 0)), ("a", "b"), ["product"], key=0)


def test_local_effects(plain):
    """At the medians (1, 1, 1): d exp(2a - b) = e (2, -1, 0); d a b c² = (1, 1, 2); a standard deviation is 0.5."""
    found = local_effects(problem(plain), ["product", "rises"])
    slopes = np.array([1, 1, 2, 2 * math.e, -math.e, 0.0])
    np.testing.assert_allclose(found["slope"], slopes, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found["effect"], 0.5 * slopes, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found["elasticity"], [1, 1, 2, 2, -1, 0], rtol=1e-12, atol=1e-12)
    several = np.array([[1.0, 1.0, 1.0], [3.0, -1.0, 2.0], [1.0, 1.0, 9.0]])
    found = local_effects(problem(plain, top=5.0), ["product"], several)
    np.testing.assert_allclose(found["slope"], [(1 - 4) / 2, (1 + 12) / 2, (2 - 12) / 2], rtol=1e-12)
    np.testing.assert_allclose(found["effect_absolute"], [0.5 * 2.5, 0.5 * 6.5, 0.5 * 7], rtol=1e-9)
    assert (found["used"] == 2).all() and (found["failed"] == 1).all()
    with pytest.raises(PopulationError, match="not one of 1"):
        local_effects(problem(plain, top=0.0), ["product"])
    with pytest.raises(PopulationError, match="does not compute"):
        local_effects(problem(plain), ["nothing"])


def test_designs_with_failed_patients(plain):
    """They are an error, or counted with the blocks that hold them; the indices are those of what is solved."""
    pytest.importorskip("SALib", reason="needs the extra gsa")
    p = problem(plain, top=2.0)  # 2.3 % of patients fail
    with pytest.raises(PopulationError, match=r"could not be solved.*allow a larger share by `failing`"):
        sobol_indices(p, ["rises"], 256, key=0)
    found = sobol_indices(p, ["rises"], 1024, key=0, failing=0.05)
    whole = sobol_indices(problem(plain), ["rises"], 1024, key=0)
    assert 50 < found["failed"][0] < 250 and 20 < found["left_out"][0] < 150 and (whole["failed"] == 0).all()
    np.testing.assert_allclose(found["total"], whole["total"], atol=0.1)  # `rises` does not depend on c
    effects = morris_effects(p, ["product"], 40, key=0, failing=0.5)
    assert effects["failed"][0] == 0  # no level is beyond the quantile 7/8, 1.58
    assert morris_effects(problem(plain, top=1.5), ["product"], 40, key=0, failing=0.5)["left_out"][0] > 10
