"""-2 log-likelihood of measurements, given predictions and residual variances; without the log 2π of each value."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from qspx.calibrate.noise import NormalNoise

_NORMAL = NormalNoise()


def deviance(value: Any, f: Any, variance: Any, censored: Any) -> Any:
    """-2 log-density of a value, log R + (y - f)² / R; of one below (-1) or above (1) a limit, -2 log-probability
    (Beal 2001, method M3; doi:10.1023/a:1012299115260). Without variance the probability of being beyond is one where
    the prediction is. Any shape. `censored` None: nothing is, which compiles sooner."""
    certain, variance = _certain(value, f, variance, censored)
    z = (value - f) / jnp.sqrt(variance)
    seen = jnp.log(variance) + z**2
    if censored is None:
        return seen
    beyond = _NORMAL.log_below_standard(jnp.where(censored == 0, 0.0, -censored * z))
    return jnp.where(censored == 0, seen, jnp.where(certain, 0.0, -2 * beyond))


def information(value: Any, f: Any, variance: Any, slope: Any, censored: Any) -> Any:
    """Expected information about f, 1/R + ½ (R'/R)² with R' = `slope`; of a censored value the observed one, with its
    variance taken as it is, which is positive. Any shape."""
    certain, variance = _certain(value, f, variance, censored)
    expected = 1 / variance + 0.5 * (slope / variance) ** 2
    if censored is None:
        return expected

    def beyond(f):
        return 0.5 * deviance(value, f, variance, censored).sum()

    observed = jax.jvp(jax.grad(beyond), (f,), (jnp.ones_like(f),))[1]
    return jnp.where(censored == 0, expected, jnp.where(certain, 0.0, jnp.maximum(observed, 0.0)))


def _certain(value: Any, f: Any, variance: Any, censored: Any) -> tuple[Any, Any]:
    """(where a censored value is beyond its limit for certain, the variances with a one there)."""
    if censored is None:
        return None, variance
    certain = (censored != 0) & (variance <= 0) & (censored * (f - value) > 0)
    return certain, jnp.where(certain, 1.0, variance)
