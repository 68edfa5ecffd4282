"""Step-size control: one error norm, one factor, one first step."""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax


def error_norm(y_error, y0, y1, rtol: float, atol):
    """Root mean square of the error over atol + rtol max(|y0|, |y1|); `atol` is a number, or one per state."""
    scale = atol + rtol * jnp.maximum(jnp.abs(y0), jnp.abs(y1))
    return jnp.sqrt(jnp.mean((y_error / scale) ** 2))


def step_factor(norm, order: float):
    """0.9 norm**(-1/order), clipped to [0.2, 6]; a non-finite norm shrinks the step."""
    safe = jnp.where(jnp.isfinite(norm), jnp.maximum(norm, 1e-30), 1e30)
    return jnp.clip(0.9 * safe ** (-1.0 / order), 0.2, 6.0)


def first_step(y, dy, span, rtol: float, atol):
    """Hairer, Norsett & Wanner, Solving ODEs I, II.4: the step over which y changes by 1 % of itself."""
    scale = atol + rtol * jnp.abs(y)
    d0, d1 = jnp.sqrt(jnp.mean((y / scale) ** 2)), jnp.sqrt(jnp.mean((dy / scale) ** 2))
    usable = (d0 > 1e-5) & (d1 > 1e-5) & jnp.isfinite(d0) & jnp.isfinite(d1)
    guess = jnp.where(usable, 0.01 * d0 / jnp.where(usable, d1, 1.0), 1e-6 * span)
    return lax.stop_gradient(jnp.clip(guess, 1e-12 * span, 0.1 * span))
