"""Laplace residuals: the optimum lies where residuals are zero."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from closed_form import closed_form, rosenbrock
from scipy.optimize import linprog

from qspx import Estimated, FitStatus, LaplaceNoise, fit, load_fit
from qspx.calibrate.kinks import has_kinks
from qspx.calibrate.noise import LogLaplaceNoise

N = 31
A = np.stack([np.ones(N), np.linspace(-1, 3, N), np.linspace(-1, 1, N) ** 2], axis=1)
Y = A @ [2.0, -0.7, 0.4] + 0.3 * np.random.default_rng(4).laplace(size=N)
ESTIMATED = (*(Estimated(k, (-10.0, 10.0), scale="lin") for k in "abc"), Estimated("s", (1e-3, 10.0)))


def least_absolute() -> np.ndarray:
    """Coefficients with the least sum of absolute residuals, by HiGHS, and their mean: the scale of most likelihood."""
    cost = np.concatenate([np.zeros(3), np.ones(2 * N)])
    bounds = [(None, None)] * 3 + [(0, None)] * 2 * N
    found = linprog(cost, A_eq=np.hstack([A, np.eye(N), -np.eye(N)]), b_eq=Y, bounds=bounds)
    return np.array([*found.x[:3], found.fun / N])


def regression(log: bool = False):
    def formula(v):
        place = A @ v[:3]
        return jnp.exp(place) if log else place, jnp.full(N, v[3]), True

    return closed_form(ESTIMATED, np.exp(Y) if log else Y, formula, LogLaplaceNoise() if log else LaplaceNoise())


@pytest.mark.parametrize("log", [False, True])
def test_the_optimum_of_least_absolute_deviations(log):
    """Linear programming is the oracle; the last rounding of the kink is 1e-5 wide in standardised residuals, so that
    the log-likelihood may lack 1e-5 for each of 31 values, and residuals that are zero there are some 1e-5 of s."""
    o, best = regression(log), least_absolute()
    found = fit(o, key=2, starts=6, progress=False)
    assert set(found.search.status) == {FitStatus.AT_KINK} and found.converged
    most = -N * (np.log(2 * best[3]) + 1) - (Y.sum() if log else 0.0)
    assert -1e-5 * N < found.value - most < 1e-9
    assert found.hits(1e-3) == 6
    np.testing.assert_allclose(list(found.parameters.values()), best, atol=1e-4)
    assert "lies at a kink" in str(found) and "tighten" not in str(found)
    # the asymptotic covariance of least absolute deviations is that of the expected information, s² (A'A)⁻¹
    se = found.parameters["s"] * np.sqrt(np.diag(np.linalg.inv(A.T @ A)))
    np.testing.assert_allclose(found.to_dataframe()["se"][:3], se, rtol=1e-9)


def test_a_fit_killed_at_a_kink_goes_on_to_the_same_numbers(tmp_path, monkeypatch):
    whole = fit(regression(), key=2, starts=3, progress=False)

    def killed(evaluator, search):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr("qspx.calibrate.fit.across_kinks", killed)
        with pytest.raises(MemoryError):
            fit(regression(), key=2, starts=3, out=tmp_path / "fit", progress=False)
    before = load_fit(tmp_path / "fit", regression())
    assert set(before.search.status) == {FitStatus.STALLED}
    assert not before.converged and str(before).startswith("NOT CONVERGED: of the best start, every step towards")
    assert " to " not in str(before).split("\n")[3]  # no interval
    for _ in range(2):
        found = fit(regression(), key=2, starts=3, out=tmp_path / "fit", progress=False)
        for name, array in whole.run.arrays().items():
            np.testing.assert_array_equal(found.run.arrays()[name], array, err_msg=name)


def test_smooth_densities_have_none():
    assert has_kinks(regression()) and not has_kinks(rosenbrock())
