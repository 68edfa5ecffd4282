"""Scales on which parameters are estimated: from a number that may be anything to the parameter itself, and back."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np

SCALES = ("lin", "log", "log10", "logit")


def to_natural(x: Any, scale: np.ndarray, low: np.ndarray, high: np.ndarray) -> Any:
    """Parameters at estimation coordinates `x` (..., parameters). `scale` holds places in `SCALES`; `low` and `high`
    are what a logit lies between (elsewhere they are not used)."""
    scale, low, high = (np.broadcast_to(a, jnp.shape(x)) for a in (scale, low, high))
    base = jnp.where(scale == 2, math.log(10.0), 1.0)
    is_log, is_logit = (scale == 1) | (scale == 2), scale == 3
    exponential = jnp.exp(jnp.where(is_log, x * base, 0.0))
    low, width = np.where(is_logit, low, 0.0), np.where(is_logit, high - low, 1.0)
    inside = low + width / (1.0 + jnp.exp(-jnp.where(is_logit, x, 0.0)))
    return jnp.where(is_log, exponential, jnp.where(is_logit, inside, x))


def to_estimation(value: Any, scale: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Estimation coordinates of parameters (..., parameters): the inverse of `to_natural`."""
    value = np.asarray(value, dtype=float)
    is_log, is_logit = (scale == 1) | (scale == 2), scale == 3
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithm = np.log(np.where(is_log, value, 1.0)) / np.where(scale == 2, math.log(10.0), 1.0)
        share = (np.where(is_logit, value, 0.5) - np.where(is_logit, low, 0.0)) / np.where(is_logit, high - low, 1.0)
        logit = np.log(share) - np.log1p(-share)
    return np.where(is_log, logarithm, np.where(is_logit, logit, value))
