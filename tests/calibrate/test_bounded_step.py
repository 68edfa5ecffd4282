"""Steps of the trust region against scipy's solvers and closed forms."""

import numpy as np
import pytest
from scipy.optimize import minimize

from qspx.calibrate.bounded_step import bounded_step, quadratic


def random_problem(seed: int, n: int, d: int, definite: bool):
    rng = np.random.default_rng(seed)
    J = rng.standard_normal((n, d, d))
    B = J @ J.transpose(0, 2, 1) + 0.1 * np.eye(d) if definite else J + J.transpose(0, 2, 1)
    return rng.standard_normal((n, d)), B


def wide(n, d):
    return np.full((n, d), -1e6), np.full((n, d), 1e6)


def test_a_step_inside_is_newtons():
    g, B = random_problem(0, 5, 4, True)
    found = bounded_step(g, B, *wide(5, 4), np.full(5, 1e5))
    np.testing.assert_allclose(found.step, -np.linalg.solve(B, g[..., None])[..., 0], rtol=1e-8)
    assert not found.limited.any()


@pytest.mark.parametrize("definite", [True, False])
def test_a_step_to_the_radius_satisfies_the_conditions_of_more_and_sorensen(definite):
    """(B + λI) s = -g with λ >= 0, B + λI positive semidefinite, |s| = radius: necessary and sufficient for the global
    minimum (1983, theorem 3.2)."""
    g, B = random_problem(1, 20, 5, definite)
    radius = np.full(20, 0.05)
    found = bounded_step(g, B, *wide(20, 5), radius)
    np.testing.assert_allclose(np.linalg.norm(found.step, axis=1), radius, rtol=1e-8)
    residual = -(g + np.einsum("nij,nj->ni", B, found.step))
    shift = np.einsum("ni,ni->n", residual, found.step) / radius**2
    np.testing.assert_allclose(residual, shift[:, None] * found.step, atol=1e-6)
    assert (shift >= np.maximum(0.0, -np.linalg.eigvalsh(B)[:, 0]) - 1e-8).all()


def test_the_hard_case_goes_along_the_lowest_eigenvector():
    g, B = np.array([[0.0, 1.0]]), np.diag([-2.0, 3.0])[None]
    found = bounded_step(g, B, *wide(1, 2), np.array([1.0]))
    along = -1.0 / 5.0  # (3 + 2) s1 = -1, the rest of the radius along the first axis
    np.testing.assert_allclose(np.abs(found.step[0]), [np.sqrt(1 - along**2), -along], rtol=1e-6)


def test_bounds_hold_and_the_step_is_near_the_best_there_is():
    """Against scipy's SLSQP on the convex problem with bounds alone. The step fixes coordinates one by one, which is
    not exact: it gets at least 70 % of the best decrease in every case, and all of it in most."""
    n, d = 30, 4
    g, B = random_problem(2, n, d, True)
    rng = np.random.default_rng(3)
    lower, upper = -rng.random((n, d)), rng.random((n, d))
    found = bounded_step(g, B, lower, upper, np.full(n, 1e3))
    assert ((found.step >= lower) & (found.step <= upper)).all()
    share = []
    for k in range(n):
        box = list(zip(lower[k], upper[k], strict=True))
        best = minimize(
            lambda s, k=k: s @ g[k] + 0.5 * s @ B[k] @ s,
            np.zeros(d),
            jac=lambda s, k=k: g[k] + B[k] @ s,
            bounds=box,
            method="SLSQP",
            options={"ftol": 1e-14},
        )
        share.append(found.change[k] / best.fun)
    assert min(share) > 0.7 and np.mean(np.array(share) > 1 - 1e-6) > 0.6


def test_a_coordinate_at_its_bound_that_is_pushed_out_stays():
    g, B = np.array([[1.0, -1.0]]), np.eye(2)[None]
    found = bounded_step(g, B, np.array([[0.0, -5.0]]), np.array([[5.0, 5.0]]), np.array([10.0]))
    np.testing.assert_allclose(found.step, [[0.0, 1.0]], atol=1e-12)


def test_a_row_does_not_depend_on_the_others():
    g, B = random_problem(4, 6, 3, False)
    lower, upper = np.full((6, 3), -0.3), np.full((6, 3), 0.2)
    radius = np.linspace(0.01, 2.0, 6)
    together = bounded_step(g, B, lower, upper, radius)
    for k in range(6):
        alone = bounded_step(g[[k]], B[[k]], lower[[k]], upper[[k]], radius[[k]])
        np.testing.assert_array_equal(alone.step[0], together.step[k])
    np.testing.assert_allclose(together.change, quadratic(together.step, g, B), rtol=1e-12)
    assert (together.change < 0).all()
