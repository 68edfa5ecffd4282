"""The Gaussian copula: correlated normal scores, and the check of the correlations that define it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qspx._errors import QspxError, closest

Correlations = Mapping[tuple[str, str], float]


def correlation_matrix(names: Sequence[str], correlations: Correlations) -> Float[np.ndarray, "p p"]:
    """Correlations of the normal scores as a matrix; pairs that are not named count as 0.

    Raises `QspxError` for an unknown name, a pair given twice, a value outside (-1, 1), or a matrix that is not
    positive definite (the message names the pair that hurts most and a factor that repairs it).
    """
    matrix = np.eye(len(names))
    for pair, rho in correlations.items():
        i, j = _places(names, pair)
        if matrix[i, j] != 0:
            raise QspxError(f"Argument `correlations` must name a pair once, but has {pair} in both orders.")
        if not -1 < rho < 1:
            raise QspxError(f"Argument `correlations` must hold values between -1 and 1, but {pair} has {rho!r}.")
        matrix[i, j] = matrix[j, i] = rho
    _check_positive_definite(names, matrix)
    return matrix


def _places(names: Sequence[str], pair: tuple[str, str]) -> tuple[int, int]:
    if not isinstance(pair, tuple) or len(pair) != 2 or pair[0] == pair[1]:
        raise QspxError(f"Argument `correlations` must be keyed by pairs of two parameters, but has the key {pair!r}.")
    for name in pair:
        if name not in names:
            raise QspxError(
                f"Argument `correlations` must name parameters of the joint distribution, but {pair} has `{name}`."
                f"{closest(name, names)}"
            )
    return names.index(pair[0]), names.index(pair[1])


def _check_positive_definite(names: Sequence[str], matrix: Float[np.ndarray, "p p"]) -> None:
    values, vectors = np.linalg.eigh(matrix)
    smallest, vector = values[0], vectors[:, 0]
    if smallest > 1e-10:
        return
    # vᵀCv = λ < 0: the pair with the most negative term is the one that pulls the eigenvalue down most.
    terms = np.triu(matrix * np.outer(vector, vector), 1)
    i, j = (int(place) for place in np.unravel_index(np.argmin(terms), terms.shape))
    # I + s (C - I) has the smallest eigenvalue 1 - s (1 - λ).
    factor = math.floor(99 / (1 - smallest)) / 100
    raise QspxError(
        f"Argument `correlations` must form a positive definite matrix, but its smallest eigenvalue is {smallest:.2g}. "
        f"The pair (`{names[i]}`, `{names[j]}`), at {matrix[i, j]:g}, contributes most. Pairs that are not named count "
        f"as 0: name them if they are correlated, change that pair, or multiply all correlations by {factor:g} or less."
    )


@jax.jit
def correlate(noise: list[Float[Array, " n"]], factor: Float[Array | np.ndarray, "c c"]) -> Float[Array, "c n"]:
    """`factor @ noise` by elementwise operations in a fixed order.

    A matrix product may sum a column in another order at another place of the array; here every subject's scores
    have the same bits wherever it stands.
    """

    def add(total, term):
        column, row = term
        return total + column[:, None] * row[None, :], None

    rows = jnp.stack(noise)
    return jax.lax.scan(add, jnp.zeros_like(rows), (jnp.asarray(factor).T, rows))[0]


def copula_log_density(scores: Float[Array, "n c"], factor: Float[Array, "c c"]) -> Float[Array, " n"]:
    """Log density of the Gaussian copula at normal scores: `-log|L| - (|L⁻¹z|² - |z|²) / 2` with `C = L Lᵀ`.

    Song, Scand J Stat 27:305 (2000), doi:10.1111/1467-9469.00191.
    """
    white = jax.scipy.linalg.solve_triangular(factor, scores.T, lower=True).T
    excess = jnp.sum(white**2, axis=1) - jnp.sum(scores**2, axis=1)
    return -0.5 * excess - jnp.sum(jnp.log(jnp.diagonal(factor)))
