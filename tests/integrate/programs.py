"""Functions of (t, y, theta) for the tests of scalar programs: one construct each."""

import jax
import jax.numpy as jnp
from jax import lax


def _hill(t, y, p):
    return jnp.stack([p[0] * y[0] ** p[1] / (p[2] ** p[1] + y[0] ** p[1]), y[1] ** 3 - y[0] ** -2.0, jnp.sqrt(y[2])])


def _choices(t, y, p):
    dosing = jnp.where((t > 0.5) & (y[0] < p[0]), y[0] * p[1], -y[1])
    clipped = jnp.clip(y[1], 0.2, p[2]) + jnp.maximum(y[0], y[2]) - jnp.minimum(y[1], 1.0)
    several = jnp.select([y[0] > 1.5, y[1] > 1.0, ~(y[2] > 0.7)], [y[0], y[1] * y[2], -y[2]], default=t)
    return jnp.stack([dosing, clipped, several])


def _smooth(t, y, p):
    first = jnp.exp(-y[0]) + jnp.log1p(y[1]) * jnp.expm1(0.1 * y[2]) + jnp.log(y[0])
    second = jnp.tanh(y[0]) + jnp.sin(t * y[1]) - jnp.cos(y[2]) + jax.nn.sigmoid(p[0] * (y[0] - 1))
    third = jnp.arctan(y[0]) + lax.erf(y[1]) + jnp.abs(y[2] - 1.1) + jnp.tan(0.3 * y[1]) + jax.nn.softplus(y[2])
    return jnp.stack([first, second, third])


def _more(t, y, p):
    first = jnp.sinh(y[0]) + jnp.cosh(y[1]) + jnp.arctanh(0.2 * y[2]) + jnp.cbrt(y[0]) + lax.rsqrt(y[1])
    second = jnp.arcsin(0.3 * y[0]) + jnp.arccos(0.3 * y[1]) + jnp.exp2(y[2]) + lax.erfc(y[0])
    third = jnp.sign(y[0] - y[1]) * y[2] + jnp.float_power(y[0], y[1]) + jnp.floor(3 * y[1]) * y[0] + lax.square(y[1])
    return jnp.stack([first, second, third])


def _periodic(t, y, p):
    hour = jnp.mod(24 * t * 7, 24.0)
    phase = jnp.remainder(y[0], 0.37) + jnp.round(4 * y[1]) * y[2] + jnp.ceil(2 * y[0]) * y[1]
    step = jnp.array([0.1, 0.7, 0.2])[1] * (y[2] * 10).astype(int)
    return jnp.stack([jnp.where(hour < 12, y[0], y[1]), phase, step * y[0]])


def _vectors(t, y, p):
    flux = jnp.stack([p[0] * y[0], p[1] * y[1], p[2] * y[2] * y[0]])
    matrix = jnp.array([[-1.0, 0.0, 2.0], [1.0, -1.0, 0.0], [0.0, 1.0, -1.0]])
    return (
        matrix @ flux / jnp.array([1.0, 3.0, 2.0]) + jnp.cumsum(y)[::-1] * jnp.prod(y) + jnp.max(y) * y.at[1].add(p[0])
    )


def _inner(t, y, p):
    @jax.jit
    def half(x):
        return 0.5 * x

    looped = lax.fori_loop(0, 3, lambda i, x: x * half(y[0]) + i, p[0])
    chosen = lax.cond(y[1] > y[2], lambda x: x * 2, lambda x: x / p[1], y[0])
    return jnp.stack([looped, chosen, lax.stop_gradient(1.0) * y[2]])


def _folded(t, y, p):
    zero = y[0] * 0.0 + (y[1] - y[1])
    return jnp.stack([zero + y[0] * 1.0, (y[2] ** 1) * -1.0 + 0.0, -(0.0 - y[1]) / 1.0 - (0.0 - y[0])])


def _by_parameters(t, y, p):
    """Truth values that depend on parameters alone."""
    slow = (p[0] > 1.5) & (2 * p[1] < 4.0)
    first = jnp.where(slow, y[0], y[1] * p[2])
    second = jnp.where(slow & (y[1] > 1.0), y[2], -y[2]) + jnp.where(~slow, p[0], 2.0 * p[1])
    return jnp.stack([first, second, jnp.where((p[2] > 2.0) | (y[0] < 0.7), y[0], 0.0)])


ZOO = {
    "powers": _hill,
    "choices": _choices,
    "smooth": _smooth,
    "more functions": _more,
    "periodic": _periodic,
    "vectors": _vectors,
    "functions inside": _inner,
    "folded": _folded,
    "choices by parameters": _by_parameters,
}
