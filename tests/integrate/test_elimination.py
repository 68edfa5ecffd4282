"""Unrolled sparse LU against LAPACK, and the guard that watches over it."""

import numpy as np
import pytest
from test_derivatives import dense
from test_program import MODELS, model_called, points, run

from qspx.integrate.elimination import SMALLEST_GUARD, factorise, pivot_order, solve
from qspx.integrate.graph import Graph
from qspx.integrate.lowering import lower, lower_functions
from qspx.integrate.program import Program


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("h", [1e-3, 1.0])
def test_solves_with_shifted_jacobian_of_a_model(name, h):
    model = model_called(name)
    lowered, (t, y, theta) = lower(model), points(model, 4)
    n, rng = y.shape[1], np.random.default_rng(5)
    W = np.eye(n) / h - dense(lowered, n, t, y, theta)
    x = np.exp(rng.standard_normal((4, n))) * np.abs(y)
    fixed = lowered.prologue.evaluate_numpy(theta=theta.T)["fixed"]
    found = run(lowered, lowered.factor, t, y, theta, shift=np.full((1, 4), 1 / h))
    assert (found["guard"] > SMALLEST_GUARD).all()
    known = {"factors": found["factors"], "theta": theta.T, "fixed": fixed}
    for program, matrix in ((lowered.solve, W), (lowered.solve_transposed, W.transpose(0, 2, 1))):
        b = np.einsum("sij,sj->si", matrix, x)
        solution = program.evaluate_numpy(b=b.T, **known)["x"].T
        reference = np.linalg.solve(matrix, b[..., None])[..., 0]
        # error of each against the numbers that b was made from: as LAPACK with pivoting, up to a factor
        scale = np.abs(x).max(axis=1, keepdims=True)
        error, allowed = np.abs(solution - x) / scale, np.abs(reference - x) / scale
        assert error.max() <= max(100 * allowed.max(), 1e-12)


def two_by_two(values):
    g = Graph()
    a = g.inputs("a", 4)
    factors = factorise(g, 2, {(0, 0): a[0], (0, 1): a[1], (1, 0): a[2], (1, 1): a[3]})
    program = Program.of(g, {"a": 4, "b": 2}, {"x": solve(g, factors, g.inputs("b", 2)), "guard": [factors.guard]})
    return program.evaluate_numpy(a=np.array(values), b=np.array([1.0, 2.0]))


def test_guard_of_two_by_two_by_hand():
    # p_2 = 4 - 3 * 1 / 2 = 2.5; 2.5 / (4 + 1.5)
    found = two_by_two([2.0, 1.0, 3.0, 4.0])
    np.testing.assert_allclose(found["guard"], 2.5 / 5.5)
    np.testing.assert_allclose(found["x"], np.linalg.solve([[2.0, 1.0], [3.0, 4.0]], [1.0, 2.0]))


def test_guard_sees_growth_and_cancellation():
    matrix = [1e-17, 1.0, 1.0, 1.0]  # regular and well conditioned, but it needs its rows exchanged
    found = two_by_two(matrix)
    assert np.abs(found["x"] - np.linalg.solve(np.reshape(matrix, (2, 2)), [1.0, 2.0])).max() > 0.5
    assert found["guard"] < SMALLEST_GUARD
    assert two_by_two([1.0, 1.0, 1.0, 1.0 + 1e-12])["guard"] < SMALLEST_GUARD


def test_guard_does_not_depend_on_units():
    values = np.array([2.0, 1.0, 3.0, 4.0])
    np.testing.assert_allclose(two_by_two(values * [1, 1e6, 1e-6, 1])["guard"], two_by_two(values)["guard"])


def test_an_arrow_is_eliminated_without_fill():
    n = 20
    arrow = {(i, i) for i in range(n)} | {(0, j) for j in range(n)} | {(j, 0) for j in range(n)}
    order = pivot_order(n, arrow)
    assert 0 in order[-2:]
    g = Graph()
    entries = {key: g.input("a", k) for k, key in enumerate(sorted(arrow))}
    factors = factorise(g, n, entries)
    assert len(factors.lower) + len(factors.upper) + n == len(arrow)


def test_free_receptors_become_unknowns_and_keep_the_system_sparse():
    n = 12  # a ligand in n forms, all of which take from one receptor that every binding reads

    def rates(t, y, p):
        free = p[0] - y.sum()
        return p[1] * free * y[::-1] - p[2] * y

    lowered = lower_functions(rates, None, n, 3)
    assert len(lowered.pattern) == n * n
    assert lowered.statistics()["shared sums"] == 1
    assert lowered.lu_entries < 6 * n
