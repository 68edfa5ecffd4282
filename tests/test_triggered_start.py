"""Starts at a condition: exponential growth, where time and derivatives are known."""

import jax
import jax.numpy as jnp
import numpy as np

import qspx
from qspx._status import Status
from qspx.triggered_start import TriggeredStart


class Tumour(qspx.AbstractModel):
    """dx/dt = r x from x0; a marker is shed and lost: m = s x / (r + l) once the start is forgotten."""

    x = qspx.Species("mm", "diameter")
    m = qspx.Species("ng/mL", "marker")
    r = qspx.Parameter(0.02, "1/day", "growth")
    x0 = qspx.Parameter(1.0, "mm", "diameter at the start")
    s = qspx.Parameter(0.5, "ng/mL/mm/day", "shedding")
    l = qspx.Parameter(0.3, "1/day", "loss of the marker")
    D = qspx.Parameter(10.0, "mm", "diameter at diagnosis")

    def initial(self, p):
        return {"x": p.x0}

    def rates(self, t, y, p):
        return {"x": p.r * y.x, "m": p.s * y.x - p.l * y.m}


def start():
    return TriggeredStart(Tumour(), lambda y, p: y.x - p.D, within=400.0)


THETA = np.array([[0.02, 1.0, 0.5, 0.3, 10.0], [0.03, 0.5, 0.5, 0.3, 10.0], [0.001, 1.0, 0.5, 0.3, 10.0],
                  [0.02, 12.0, 0.5, 0.3, 10.0]])  # fmt: skip


def test_time_and_state():
    time, states, status = start().states(THETA)
    r, x0, s, l, D = THETA[:2].T
    t = np.log(D / x0) / r
    assert list(status) == [Status.OK, Status.OK, Status.NOT_REACHED, Status.NOT_REACHED]
    np.testing.assert_allclose(time[:2], t, rtol=1e-7)
    np.testing.assert_allclose(states[:2, 0], D, rtol=1e-12)
    np.testing.assert_allclose(states[:2, 1], s * (D - x0 * np.exp(-l * t)) / (r + l), rtol=1e-6)
    assert np.isnan(time[2:]).all() and np.isnan(states[2:]).all()


def test_derivatives():
    """dt*/dr = -t*/r, dt*/dx0 = -1/(r x0), dt*/dD = 1/(r D); x is D whatever the other parameters are."""
    at, theta = start(), jnp.asarray(THETA[:1])
    times, states = jax.jacfwd(lambda p: tuple(z[0] for z in at.traced(p[None])[:2]))(theta[0])
    r, x0, _, _, D = THETA[0]
    t = np.log(D / x0) / r
    np.testing.assert_allclose(times, [-t / r, -1 / (r * x0), 0, 0, 1 / (r * D)], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(states[0], [0, 0, 0, 0, 1], atol=1e-6)
    step = 1e-4

    def marker(growth):
        return start().states(THETA[:1] * [growth, 1, 1, 1, 1])[1][0, 1]

    expected = (marker(1 + step) - marker(1 - step)) / (2 * step * r)
    np.testing.assert_allclose(states[1, 0], expected, rtol=1e-4)
