"""Steady states: closed forms, exact derivatives, and a status where there is none."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qspx
import qspx.starting
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


class Binding(qspx.AbstractModel):
    """E + S <-> C in two volumes (amounts V E + V C and V S + V C are kept), and a bystander that never changes."""

    E = qspx.Species("nM", "enzyme")
    S = qspx.Species("nM", "substrate")
    C = qspx.Species("nM", "complex, in a volume of its own")
    X = qspx.Species("nM", "bystander")
    on = qspx.Parameter(2.0, "1/nM/day", "association")
    off = qspx.Parameter(1.0, "1/day", "dissociation")
    E0 = qspx.Parameter(3.0, "nM", "enzyme in all")
    S0 = qspx.Parameter(5.0, "nM", "substrate in all")
    v = qspx.Parameter(0.5, "", "volume of the complex over that of the others")
    X0 = qspx.Parameter(7.0, "nM", "bystander")

    def initial(self, p):
        return {"E": p.E0, "S": p.S0, "X": p.X0}

    def rates(self, t, y, p):
        flow = p.on * y.E * y.S - p.off * y.C
        return {"E": -flow, "S": -flow, "C": flow / p.v, "X": 0.0 * flow}


class Enzyme(qspx.AbstractModel):
    """E + S <-> C -> E + P: in the end all substrate is product."""

    E = qspx.Species("nM", "enzyme")
    S = qspx.Species("nM", "substrate")
    C = qspx.Species("nM", "complex")
    P = qspx.Species("nM", "product")
    on = qspx.Parameter(2.0, "1/nM/day", "association")
    off = qspx.Parameter(1.0, "1/day", "dissociation")
    cat = qspx.Parameter(3.0, "1/day", "turnover")
    E0 = qspx.Parameter(3.0, "nM", "enzyme in all")
    S0 = qspx.Parameter(5.0, "nM", "substrate in all")

    def initial(self, p):
        return {"E": p.E0, "S": p.S0}

    def rates(self, t, y, p):
        flow, made = p.on * y.E * y.S - p.off * y.C, p.cat * y.C
        return {"E": made - flow, "S": -flow, "C": flow - made, "P": made}


class Exposure(Turnover):
    AUC = qspx.Species("nM*day", "integral of A")

    def rates(self, t, y, p):
        return super().rates(t, y, p) | {"AUC": y.A}


def test_conserved_amounts_are_those_of_the_start():
    """A + B is kept: A = B = (A0 + B0)/2 whatever the rate. Starts at zero by default, so as parameters."""
    at = SteadyState(qspx.starting.starting_from(Exchange()), 50.0)
    assert at.conserved in (["A + B"], ["B + A"])
    theta = np.array([[1.0, 3.0, 0.0], [2.0, 1.0, 6.0]])
    states, status = at.states(theta)
    assert (status == Status.OK).all()
    np.testing.assert_allclose(states, [[1.5, 1.5], [3.5, 3.5]], rtol=1e-14)
    for mode in (jax.jacfwd, jax.jacrev):
        slope = mode(lambda p: at.traced(p[None])[0][0])(jnp.asarray(theta[0]))
        np.testing.assert_allclose(slope, [[0, 0.5, 0.5], [0, 0.5, 0.5]], atol=1e-14)


def test_reversible_binding_between_volumes():
    """C solves on (E0 - v C)(S0 - v C) = off C; what is kept depends on the parameter v."""
    at = SteadyState(Binding(), 50.0)
    assert len(at.conserved) == 3 and any("0.5 C" in law or "2 E" in law or "2 S" in law for law in at.conserved)

    def closed(theta):
        on, off, E0, S0, v, X0 = theta
        b = on * v * (E0 + S0) + off
        C = (b - jnp.sqrt(b**2 - 4 * on**2 * v**2 * E0 * S0)) / (2 * on * v**2)
        return jnp.stack([E0 - v * C, S0 - v * C, C, X0])

    theta = np.array([2.0, 1.0, 3.0, 5.0, 0.5, 7.0]) * np.random.default_rng(0).lognormal(0, 0.3, (20, 6))
    states, status = at.states(theta)
    assert (status == Status.OK).all()
    np.testing.assert_allclose(states, np.array([closed(p) for p in theta]), rtol=1e-10)
    row = jnp.asarray(theta[0])
    expected = jax.jacfwd(closed)(row)
    for mode in (jax.jacfwd, jax.jacrev):
        np.testing.assert_allclose(mode(lambda p: at.traced(p[None])[0][0])(row), expected, rtol=1e-9, atol=1e-11)


def test_enzyme_and_substrate():
    at = SteadyState(Enzyme(), 100.0)
    assert len(at.conserved) == 2
    states, status = at.states(np.array([[2.0, 1.0, 3.0, 3.0, 5.0], [1.0, 4.0, 2.0, 1.0, 2.0]]))
    assert (status == Status.OK).all()
    np.testing.assert_allclose(states, [[3, 0, 0, 5], [1, 0, 0, 2]], atol=1e-12)
    slope = jax.jacfwd(lambda p: at.traced(p[None])[0][0])(jnp.asarray(Enzyme().theta))
    np.testing.assert_allclose(slope, [[0, 0, 0, 1, 0], [0] * 5, [0] * 5, [0, 0, 0, 0, 1]], atol=1e-12)


def test_what_has_no_isolated_steady_state_is_refused():
    with pytest.raises(ModelError, match=r"`AUC` is not zero at rest.*nothing depends on"):
        SteadyState(Exposure(), 50.0)
    with pytest.raises(SolveError, match="within"):
        SteadyState(Turnover(), -1.0)


def test_a_failed_row_among_conserved_ones_has_no_derivative():
    at = SteadyState(qspx.starting.starting_from(Exchange()), 50.0)
    theta = jnp.array([[0.0, 3.0, 0.0], [1.0, 3.0, 0.0], [jnp.nan, 1.0, 1.0]])  # no exchange: nothing is at rest yet
    states, status = at.traced(theta)
    assert list(np.asarray(status != Status.OK)) == [True, False, True] and np.isnan(states[0]).all()
    slope = jax.jacrev(lambda x: jnp.where(jnp.isnan(at.traced(x)[0]), 0.0, at.traced(x)[0]))(theta)
    assert np.isfinite(slope).all()


def test_blocks_do_not_change_a_row():
    theta = np.arange(3 * BLOCK // 2 * 1.0)[:, None]
    doubled, first = in_blocks(lambda x: (2 * x, x[:, 0]), theta)
    np.testing.assert_array_equal(doubled, 2 * theta)
    np.testing.assert_array_equal(first, theta[:, 0])


def test_typical_subject():
    states, status = qspx.steady_states(Turnover(), within=50.0)
    assert states.shape == (1, 2) and list(status) == [0]
    np.testing.assert_allclose(states[0], [np.sqrt(4 / 3), np.sqrt(12)], rtol=1e-13)
