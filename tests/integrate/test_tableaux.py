"""Order conditions of the Rosenbrock tableaux, from the coefficients recovered from their transformed form.

With alpha = A Gamma, Gamma^-1 = diag(1/gamma) - C, b = m Gamma and beta = alpha + Gamma (Hairer & Wanner II, IV.7), a
rooted tree with subtrees t_1..t_m asks for sum_i b_i phi_i = 1/density, where phi multiplies sums over the children:
with beta below a vertex of one child and alpha below a vertex of several.
"""

from __future__ import annotations

import dataclasses
from itertools import combinations_with_replacement

import numpy as np
import pytest

from qspx.integrate.tableaux import RODAS4P, RODAS5P

TABLEAUX = [RODAS5P, RODAS4P]
# The published coefficients have about 16 digits and reach 165 in size, so cancellation leaves 1e-13 or so.
TOLERANCE = 2e-12


def untransformed(tableau):
    """alpha (s, s), Gamma (s, s), m (s,): the weights on K_i = Gamma^-1 U are recovered by m Gamma."""
    A, C = np.array(tableau.square_A), np.array(tableau.square_C)
    Gamma = np.linalg.inv(np.eye(tableau.stages) / tableau.gamma - C)
    m = np.append(A[-1, :-1], 1.0)
    return A @ Gamma, Gamma, m


def trees(order):
    """All rooted trees with `order` vertices, as sorted tuples of subtrees."""
    if order == 1:
        return [()]
    found = set()
    for partition in partitions(order - 1):
        forests = [()]
        for size in sorted(set(partition)):
            picks = combinations_with_replacement(trees(size), partition.count(size))
            forests = [forest + pick for pick in picks for forest in forests]
        found |= {tuple(sorted(forest)) for forest in forests}
    return sorted(found)


def partitions(n, largest=None):
    largest = largest or n
    if n == 0:
        return [()]
    return [(k, *rest) for k in range(min(n, largest), 0, -1) for rest in partitions(n - k, k)]


def vertices(tree):
    return 1 + sum(map(vertices, tree))


def density(tree):
    return vertices(tree) * int(np.prod([density(child) for child in tree], dtype=int))


def phi(tree, alpha, beta):
    weights = beta if len(tree) == 1 else alpha
    return np.prod([weights @ phi(child, alpha, beta) for child in tree], axis=0) if tree else np.ones(len(alpha))


def residuals(tableau, weights, order, theta=1.0):
    alpha, Gamma, _ = untransformed(tableau)
    beta = alpha + Gamma
    return np.array([weights @ phi(t, alpha, beta) - theta**order / density(t) for t in trees(order)])


def test_there_are_as_many_trees_as_published():
    assert [len(trees(n)) for n in range(1, 6)] == [1, 1, 2, 4, 9]


@pytest.mark.parametrize("tableau", TABLEAUX, ids=lambda t: t.name)
def test_solution_and_embedded_solution_have_the_stated_order(tableau):
    _, Gamma, m = untransformed(tableau)
    embedded = m - np.eye(tableau.stages)[-1]
    for weights, order in ((m @ Gamma, tableau.order), (embedded @ Gamma, tableau.embedded_order)):
        for k in range(1, order + 1):
            np.testing.assert_allclose(residuals(tableau, weights, k), 0.0, atol=TOLERANCE)
        assert np.abs(residuals(tableau, weights, order + 1)).max() > 1e-6


@pytest.mark.parametrize("tableau", TABLEAUX, ids=lambda t: t.name)
@pytest.mark.parametrize("theta", [0.1, 0.35, 0.8, 1.0])
def test_dense_output_has_the_stated_order(tableau, theta):
    _, Gamma, m = untransformed(tableau)
    K = np.zeros(tableau.stages)
    for row in reversed(tableau.H):
        K = np.array(row) + theta * K
    weights = theta * (m + (1 - theta) * K) @ Gamma
    for k in range(1, tableau.dense_order + 1):
        np.testing.assert_allclose(residuals(tableau, weights, k, theta), 0.0, atol=TOLERANCE)
    if theta < 1:
        assert np.abs(residuals(tableau, weights, tableau.dense_order + 1, theta)).max() > 1e-6


@pytest.mark.parametrize("tableau", TABLEAUX, ids=lambda t: t.name)
def test_stage_times_and_time_derivative_weights_are_row_sums(tableau):
    alpha, Gamma, _ = untransformed(tableau)
    np.testing.assert_allclose(alpha.sum(axis=1), tableau.alpha, atol=TOLERANCE)
    np.testing.assert_allclose(Gamma.sum(axis=1), tableau.gamma_i, atol=TOLERANCE)


@pytest.mark.parametrize("tableau", TABLEAUX, ids=lambda t: t.name)
def test_stiffly_accurate_and_L_stable(tableau):
    alpha, Gamma, m = untransformed(tableau)
    beta, b = alpha + Gamma, m @ Gamma
    np.testing.assert_allclose(beta[-1], b, atol=TOLERANCE)  # b_j = beta_sj
    np.testing.assert_allclose(beta[-2, :-1], alpha[-1, :-1], atol=TOLERANCE)  # so is the embedded solution
    one = np.ones(tableau.stages)

    def stability(z):
        return 1 + z * b @ np.linalg.solve(np.eye(tableau.stages) - z * beta, one)

    assert abs(stability(-1e9)) < 1e-6
    assert max(abs(stability(1j * w)) for w in np.logspace(-2, 4, 400)) <= 1 + 1e-10
    assert abs(stability(-0.1) - np.exp(-0.1)) < 0.1 ** (tableau.order + 1)


def test_ragged_table_is_refused():
    with pytest.raises(ValueError, match="rows of length"):
        dataclasses.replace(RODAS4P, A=RODAS4P.A[:-1])
    with pytest.raises(ValueError, match="length 6"):
        dataclasses.replace(RODAS4P, gamma_i=(0.25,))
