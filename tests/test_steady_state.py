"""Steady states: closed forms, exact derivatives, and a status where there is none."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qspx
from qspx._errors import ModelError, SolveError
from qspx._status import Status
from qspx.steady_state import BLOCK, SteadyState, in_blocks


class Turnover(qspx.AbstractModel):
    """Synthesis and loss; B feeds back on the synthesis of A. At rest A = sqrt(k / (l m)), B = A m."""

    A = qspx.Species("nM", "product")
    B = qspx.Species("nM", "signal")
    k = qspx.Parameter(2.0, "nM^2/day", "synthesis")
    l = qspx.Parameter(0.5, "1/day", "loss")
    m = qspx.Parameter(3.0, "", "signal per product")
    d = qspx.Parameter(1.0, "1/day", "turnover of the signal")
    A0 = qspx.Parameter(1.0, "nM", "start")

    def initial(self, p):
        return {"A": p.A0, "B": p.A0}

    def rates(self, t, y, p):
        return {"A": p.k / y.B - p.l * y.A, "B": p.d * (p.m * y.A - y.B)}


class Growth(qspx.AbstractModel):
    A = qspx.Species("nM", "what grows or dies out around its threshold")
    r = qspx.Parameter(1.0, "1/nM/day", "rate")
    c = qspx.Parameter(1.0, "nM", "threshold")
    A0 = qspx.Parameter(0.5, "nM", "start")

    def initial(self, p):
        return {"A": p.A0}

    def rates(self, t, y, p):
        return {"A": p.r * y.A * (y.A - p.c)}


class Exchange(qspx.AbstractModel):
    A = qspx.Species("nM", "one form")
    B = qspx.Species("nM", "the other form")
    k = qspx.Parameter(1.0, "1/day", "exchange")

    def rates(self, t, y, p):
        flow = p.k * (y.A - y.B)
        return {"A": -flow, "B": flow}


@pytest.fixture(scope="module")
def turnover():
    return SteadyState(Turnover(), 50.0)


def rows(n):
    rng = np.random.default_rng(0)
    return np.array([2.0, 0.5, 3.0, 1.0, 1.0]) * rng.lognormal(0, 0.3, (n, 5))


def test_closed_form(turnover):
    theta = rows(50)
    states, status = turnover.states(theta)
    k, l, m = theta[:, :3].T
    assert (status == Status.OK).all()
    np.testing.assert_allclose(states, np.stack([np.sqrt(k / (l * m)), np.sqrt(k * m / l)], axis=1), rtol=1e-13)


def test_derivatives_of_the_closed_form(turnover):
    theta = rows(5)
    found = jax.jacfwd(lambda x: turnover.traced(x)[0][:, 0])(jnp.asarray(theta))
    backward = jax.jacrev(lambda x: turnover.traced(x)[0][:, 0])(jnp.asarray(theta))
    k, l, m = theta[:, :3].T
    A = np.sqrt(k / (l * m))
    expected = np.zeros((5, 5, 5))
    for j, x in enumerate((k, l, m)):
        expected[np.arange(5), np.arange(5), j] = 0.5 * A / x * (1 if j == 0 else -1)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(backward, expected, rtol=1e-12, atol=1e-14)


def test_who_never_rests_has_a_status_and_no_derivative():
    """Above its threshold it grows without end; below it dies out. The Newton steps would find a root for both."""
    at = SteadyState(Growth(), 0.3)
    theta = jnp.array([[1.0, 1.0, 0.5], [1.0, 1.0, 1.5], [1.0, 1.0, 1e-10]])
    states, status = at.traced(theta)
    assert list(np.asarray(status)) == [Status.NOT_STEADY, Status.NOT_STEADY, Status.OK]
    assert np.isnan(states[:2]).all() and abs(float(states[2, 0])) < 1e-12
    slope = jax.jacfwd(lambda x: jnp.nan_to_num(at.traced(x)[0]))(theta)
    assert np.isfinite(slope).all()


def test_what_has_no_isolated_steady_state_is_refused():
    with pytest.raises(ModelError, match="conserved"):
        SteadyState(Exchange(), 10.0)
    with pytest.raises(SolveError, match="within"):
        SteadyState(Turnover(), -1.0)


def test_blocks_do_not_change_a_row():
    theta = np.arange(3 * BLOCK // 2 * 1.0)[:, None]
    doubled, first = in_blocks(lambda x: (2 * x, x[:, 0]), theta)
    np.testing.assert_array_equal(doubled, 2 * theta)
    np.testing.assert_array_equal(first, theta[:, 0])


def test_typical_subject():
    states, status = qspx.steady_states(Turnover(), within=50.0)
    assert states.shape == (1, 2) and list(status) == [0]
    np.testing.assert_allclose(states[0], [np.sqrt(4 / 3), np.sqrt(12)], rtol=1e-13)
