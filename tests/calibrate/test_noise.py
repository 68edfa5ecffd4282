"""Noise models against SciPy; their information against numerical integrals."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from qspx.calibrate.noise import (
    LaplaceNoise,
    Log10LaplaceNoise,
    Log10NormalNoise,
    LogLaplaceNoise,
    LogNormalNoise,
    NormalNoise,
    StudentNoise,
)

CASES = [
    (NormalNoise(), stats.norm, 1.0),
    (LaplaceNoise(), stats.laplace, 1.0),
    (StudentNoise(5.0), stats.t(5.0), 1.0),
    (LogNormalNoise(), stats.norm, 1.0),
    (LogLaplaceNoise(), stats.laplace, 1.0),
    (Log10NormalNoise(), stats.norm, np.log(10.0)),
    (Log10LaplaceNoise(), stats.laplace, np.log(10.0)),
]
IDS = [type(c[0]).__name__ for c in CASES]
VALUES, PREDICTION, SD = np.array([0.2, 1.0, 3.0, 40.0]), 2.0, 0.7


@pytest.mark.parametrize(("noise", "law", "base"), CASES, ids=IDS)
def test_density_and_probability(noise, law, base):
    if noise.scale == "lin":
        z, slope = (VALUES - PREDICTION) / SD, 0.0
    else:
        z, slope = np.log(VALUES / PREDICTION) / base / SD, -np.log(VALUES * base)
    expected = law.logpdf(z) - np.log(SD) + slope
    np.testing.assert_allclose(noise.log_density(VALUES, PREDICTION, SD), expected, rtol=1e-12)
    np.testing.assert_allclose(noise.log_below(VALUES, PREDICTION, SD), law.logcdf(z), rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(noise.residual(VALUES, PREDICTION, SD), z, rtol=1e-12)


@pytest.mark.parametrize(("noise", "law", "base"), CASES, ids=IDS)
def test_density_integrates_to_one(noise, law, base):
    low = -np.inf if noise.scale == "lin" else 0.0
    parts = [low, PREDICTION, np.inf]
    total = sum(
        integrate.quad(lambda v: float(np.exp(noise.log_density(v, PREDICTION, SD))), a, b, limit=200)[0]
        for a, b in zip(parts, parts[1:], strict=False)
    )
    assert total == pytest.approx(1.0, rel=1e-6)


@pytest.mark.parametrize(("noise", "law", "base"), CASES[:3], ids=IDS[:3])
def test_information_is_the_expected_square_of_the_score(noise, law, base):
    """By location (times sd squared) and by log sd; the quadrature is good to 1e-6."""

    def score(z, which):
        def density(place, log_sd):
            return noise.log_standard((z - place) / jnp.exp(log_sd)) - log_sd

        return float(jax.grad(density, argnums=which)(0.0, 0.0))

    for which, expected in enumerate(noise.information):
        # symmetric, so half of it; away from the kink of Laplace's density
        half = integrate.quad(lambda z, w=which: score(z, w) ** 2 * law.pdf(z), 1e-9, 60.0, limit=200)[0]
        assert 2 * half == pytest.approx(expected, rel=2e-4)


def test_tails_keep_their_digits():
    far = np.array([-30.0, -8.0, 8.0, 30.0])
    np.testing.assert_allclose(NormalNoise().log_below_standard(far), stats.norm.logcdf(far), rtol=1e-10, atol=1e-15)
    np.testing.assert_allclose(LaplaceNoise().log_below_standard(far), stats.laplace.logcdf(far), rtol=1e-10)
    np.testing.assert_allclose(StudentNoise(4.0).log_below_standard(far), stats.t(4.0).logcdf(far), rtol=1e-8)
    slopes = jax.vmap(jax.grad(StudentNoise(4.0).log_below_standard))(jnp.array([-1.0, 0.0, 1.0]))
    law: Any = stats.t(4.0)
    np.testing.assert_allclose(slopes, law.pdf([-1, 0, 1]) / law.cdf([-1, 0, 1]), rtol=1e-9)
