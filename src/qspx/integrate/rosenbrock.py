"""Rosenbrock-Wanner methods as diffrax solvers: linearly implicit, so stiff models need no Newton iteration.

Each step forms J = df/dy once, factors W = I/(h gamma) - J once, and solves with it once per stage (equations in
`qspx.integrate.tableaux`). Derivatives of a solve reuse the factors of that step, in forward and in reverse mode.

Diagnostic of failure: many rejected steps at a fixed tolerance mean that f is not smooth there (a dose or a switch
that the stepping loop does not stop at) or that the state left the region where f is defined.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jax.interpreters.partial_eval import dce_jaxpr
from jax.scipy.linalg import lu_factor, lu_solve
from jaxtyping import Array, Float

from qspx.integrate.lowered_term import LoweredTerm
from qspx.integrate.tableaux import RODAS4P, RODAS5P, RosenbrockTableau

# On a CPU each vmapped triangular solve is a LAPACK call per subject, so up to here one explicit inverse and products
# with it halve the time of a step, at the accuracy of LU on Robertson's problem; from about 30 states on LU is cheaper.
_LARGEST_INVERSE = 24


class RosenbrockInterpolation(diffrax.AbstractLocalInterpolation):
    """The method's own dense output over one step; `coefficients` are the rows K_l of the tableau's dense output.

    y(t + theta h) = (1 - theta) y0 + theta (y1 + (1 - theta) (K_1 + theta (K_2 + ...))).
    """

    t0: Any
    t1: Any
    y0: Float[Array, " n"]
    y1: Float[Array, " n"]
    coefficients: Float[Array, "rows n"]

    def evaluate(self, t0: Any, t1: Any = None, left: bool = True) -> Float[Array, " n"]:
        """State at time `t0`, shape `(n,)`; with `t1`, the increment from `t0` to `t1`. `left` has no effect."""
        del left
        if t1 is not None:
            return self.evaluate(t1) - self.evaluate(t0)
        width = jnp.asarray(self.t1 - self.t0)
        empty = width == 0  # a step of no length: answer y0, without dividing by zero
        theta = jnp.where(empty, 0.0, (t0 - self.t0) / jnp.where(empty, 1.0, width)).astype(self.y0.dtype)
        bend = jnp.zeros_like(self.y0)
        for row in range(self.coefficients.shape[0] - 1, -1, -1):
            bend = self.coefficients[row] + theta * bend
        return (1 - theta) * self.y0 + theta * (self.y1 + (1 - theta) * bend)


class AbstractRosenbrock(diffrax.AbstractAdaptiveSolver):
    """One step of a stiffly accurate Rosenbrock-Wanner method; a subclass names its tableau.

    `terms` must be one `diffrax.ODETerm` and the state a flat floating-point array of shape `(n,)`; otherwise
    TypeError. The vector field may depend on time: its time derivative enters the step, and is left out where
    the traced field does not use `t`. No state is carried between steps, so `made_jump` needs no special care.
    A step whose stages are not finite reports an infinite error, which a step size controller rejects; a step of no
    length returns its start and no error.
    """

    term_structure: ClassVar = diffrax.ODETerm
    interpolation_cls: ClassVar = RosenbrockInterpolation
    tableau: eqx.AbstractClassVar[RosenbrockTableau]

    def order(self, terms: Any) -> int:
        """Order of the solution; the local error estimate is of the same order."""
        del terms
        return self.tableau.order

    def init(self, terms: Any, t0: Any, t1: Any, y0: Any, args: Any) -> None:
        """Check the state; there is nothing to carry."""
        del terms, t0, t1, args
        _check_state(y0)

    def func(self, terms: Any, t0: Any, y0: Any, args: Any) -> Float[Array, " n"]:
        """The vector field at `(t0, y0)`, shape `(n,)`."""
        return terms.vf(t0, y0, args)

    def step(self, terms: Any, t0: Any, t1: Any, y0: Any, args: Any, solver_state: None, made_jump: Any):
        """One step from `t0` to `t1`: `(y1, error estimate, dense_info, None, RESULTS.successful)`.

        `dense_info` holds the keyword arguments of `interpolation_cls`, but for `t0` and `t1`.
        """
        del solver_state, made_jump
        _check_state(y0)
        tableau, dtype = self.tableau, y0.dtype
        h = jnp.asarray(terms.contr(t0, t1), dtype)
        # A step of no length returns its start, with finite derivatives: lanes that wait for others take such steps.
        empty = h == 0
        h = jnp.where(empty, jnp.finfo(dtype).tiny ** 0.25, h)
        solve = _stage_solver(terms, t0, y0, args, 1 / (h * tableau.gamma))
        drift = _time_drift(terms, t0, t1, y0, args)

        def stage(U, coefficients):
            i, a, c, alpha, gamma_i = coefficients
            time = t0 + alpha.astype(jnp.result_type(t0)) * (t1 - t0)
            right = terms.vf(time, y0 + a @ U, args) + (c @ U) / h
            if drift is not None:
                right = right + gamma_i * drift
            return jax.lax.dynamic_update_index_in_dim(U, solve(right), i, axis=0), None

        # A loop over the stages: unrolled, they compile 2 to 4 times longer and run no faster.
        columns = (tableau.square_A, tableau.square_C, tableau.alpha, tableau.gamma_i)
        rows = tuple(jnp.asarray(column, dtype) for column in columns)
        U = jnp.zeros((tableau.stages, y0.shape[0]), dtype)
        U, _ = jax.lax.scan(stage, U, (jnp.arange(tableau.stages), *rows))
        U = jnp.where(empty, 0.0, U)
        y1 = y0 + jnp.asarray((*tableau.A[-1], 1.0), dtype) @ U
        error = jnp.where(jnp.isfinite(y1).all(), U[-1], jnp.inf)
        dense_info = {"y0": y0, "y1": y1, "coefficients": jnp.asarray(tableau.H, dtype) @ U}
        return y1, error, dense_info, None, diffrax.RESULTS.successful


class Rodas5P(AbstractRosenbrock):
    """Order 5(4), 8 stages, dense output of order 4 (Steinebach 2023, doi:10.1007/s10543-023-00967-x)."""

    tableau: ClassVar[RosenbrockTableau] = RODAS5P


class Rodas4P(AbstractRosenbrock):
    """Order 4(3), 6 stages, dense output of order 3 (Steinebach 1995); for loose tolerances or many states."""

    tableau: ClassVar[RosenbrockTableau] = RODAS4P


def _check_state(y: Any) -> None:
    """Raise TypeError unless `y` is a flat floating-point array."""
    if not eqx.is_array(y) or y.ndim != 1 or not jnp.issubdtype(y.dtype, jnp.floating):
        found = f"shape {y.shape} and dtype {y.dtype}" if eqx.is_array(y) else f"type {type(y).__name__}"
        raise TypeError(
            f"Argument `y0` must be a flat floating-point array of shape (n,), but has {found}. "
            "Flatten it first, for instance with `jax.flatten_util.ravel_pytree`."
        )


def _time_drift(terms: Any, t0: Any, t1: Any, y0: Array, args: Any) -> Array | None:
    """h df/dt at `(t0, y0)`, or None where the traced vector field does not use `t`."""
    t0 = jnp.asarray(t0, jnp.result_type(t0, float(0)))
    closed = jax.make_jaxpr(lambda t: terms.vf(t, y0, args))(t0)
    _, (uses_time,) = dce_jaxpr(closed.jaxpr, [True] * len(closed.jaxpr.outvars))
    if not uses_time:
        return None
    # The tangent is the step in the solver's own time, so that integrating backwards gives the same product.
    return jax.jvp(lambda t: terms.vf(t, y0, args), (t0,), (jnp.asarray(t1 - t0, t0.dtype),))[1]


def _stage_solver(terms: Any, t0: Any, y0: Array, args: Any, shift: Array) -> Callable[[Array], Array]:
    """b -> W^-1 b with W = shift I - J(t0, y0); the Jacobian and its factors are computed once.

    Derivatives go through the equation shift x - J x = b with J x as a directional derivative, so they cost a few
    evaluations of the vector field per stage, and neither the Jacobian nor its factors are ever differentiated.
    """

    def product(x):
        return shift * x - jax.jvp(lambda y: terms.vf(t0, y, args), (y0,), (x,))[1]

    if isinstance(terms, LoweredTerm):
        solve, transposed = terms.linear_solves(t0, *_frozen((y0, args, shift)))
        return lambda b: jax.lax.custom_linear_solve(product, b, lambda _, r: solve(r), lambda _, r: transposed(r))
    J = jax.jacfwd(lambda y: _frozen(terms).vf(t0, y, _frozen(args)))(_frozen(y0))
    W = jax.lax.stop_gradient(shift * jnp.eye(y0.shape[0], dtype=y0.dtype) - J)
    if y0.shape[0] <= _LARGEST_INVERSE:
        inverse = jnp.linalg.inv(W)
        return lambda b: jax.lax.custom_linear_solve(product, b, lambda _, r: inverse @ r, lambda _, r: r @ inverse)
    lu = lu_factor(W)
    return lambda b: jax.lax.custom_linear_solve(
        product, b, lambda _, r: lu_solve(lu, r), lambda _, r: lu_solve(lu, r, trans=1)
    )


def _frozen(tree: Any) -> Any:
    """The same values, constant under differentiation."""
    return jax.tree.map(lambda x: jax.lax.stop_gradient(x) if eqx.is_inexact_array(x) else x, tree)
