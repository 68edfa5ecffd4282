"""Joint distribution of named parameters over subjects."""

from __future__ import annotations

import dataclasses
import functools
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, UInt32
from numpy.typing import ArrayLike

from qspx._errors import QspxError
from qspx._precision import require_x64
from qspx._random import KeyLike, as_key
from qspx.distributions.base import AbstractDistribution, value
from qspx.distributions.copula import copula_log_density, correlate, correlation_matrix

if TYPE_CHECKING:
    import pandas as pd

# Subjects drawn by one call of a compiled function. Its shape never changes, so that a subject goes through the same
# instructions whether it is drawn alone or with a million others; short enough that XLA does not split it over threads.
BLOCK = 1024


@dataclasses.dataclass(frozen=True)
class Joint:
    """Marginal distributions of named parameters, joined by a Gaussian copula.

        Joint({"CL": LogNormal(0.3, cv=0.4), "V": LogNormal(3.0, cv=0.2)}, correlations={("CL", "V"): 0.5})

    `correlations` are those of the normal scores (for two log-normal parameters: of their logarithms, which is the
    correlation of NONMEM's OMEGA block); pairs that are not named are uncorrelated. Raises `QspxError` unless they
    form a positive definite matrix.
    """

    marginals: Mapping[str, AbstractDistribution]
    correlations: Mapping[tuple[str, str], float] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if not self.marginals:
            raise QspxError("Argument `marginals` must name at least one parameter, but is empty.")
        for name, marginal in self.marginals.items():
            if not isinstance(marginal, AbstractDistribution):
                raise QspxError(
                    f"Argument `marginals` must map names to distributions, but `{name}` has {marginal!r}. A constant? "
                    "Set it in the model's parameters."
                )
        object.__setattr__(self, "marginals", dict(self.marginals))
        object.__setattr__(self, "correlations", dict(self.correlations))
        correlation_matrix(self.names, self.correlations)

    @property
    def names(self) -> tuple[str, ...]:
        """Parameters, in the order of the columns."""
        return tuple(self.marginals)

    def sample(self, key: KeyLike, ids: ArrayLike) -> Float[np.ndarray, "subjects parameters"]:
        """Parameters of the subjects `ids` (whole numbers from 0), one row each; columns as in `names`.

        `key` is an int seed or a jax key. A row depends on `key` and the subject's id only, bit for bit on one
        machine, whatever other ids are asked for and in what order. Each parameter has a stream of random numbers of
        its own, so that adding one leaves the others' values as they are (unless it is correlated with them).
        Raises `SolveError` in float32, `QspxError` for ids that are not whole numbers in [0, 2³²).
        """
        require_x64()
        ids = _check_ids(ids)
        streams = _streams(as_key(key), self.names)
        blocks = np.append(ids, np.zeros(-len(ids) % BLOCK, ids.dtype)).reshape(-1, BLOCK)
        # All blocks are started before the first is waited for.
        drawn = [self._draw(streams, jnp.asarray(block)) for block in blocks]
        rows = [np.stack([np.asarray(column) for column in columns], axis=1) for columns in drawn]
        return np.concatenate([np.empty((0, len(self.names))), *rows])[: len(ids)]

    def _draw(self, streams: list[Key[Array, ""]], ids: UInt32[Array, " block"]) -> list[Float[Array, " block"]]:
        """Columns of one block. Each goes through programs that know nothing of the others, hence keeps its bits."""
        scores = [_noise(stream, ids) for stream in streams]
        if self._factor is not None:
            mixed = correlate([scores[i] for i in self._correlated], self._factor)
            for i, column in zip(self._correlated, mixed, strict=True):
                scores[i] = column
        return [value(marginal, z) for marginal, z in zip(self.marginals.values(), scores, strict=True)]

    def log_prob(self, values: ArrayLike) -> Float[Array, " n"]:
        """Log density of each row of `values`, shape (n, parameters), columns as in `names`; -inf outside the support.

        For a parameter with an empirical distribution its part is the log of a probability; with a correlation on
        such a parameter there is no density, and `QspxError` is raised.
        """
        rows = jnp.asarray(values, dtype=float)
        if rows.ndim != 2 or rows.shape[1] != len(self.names):
            raise QspxError(
                f"Argument `values` must have shape (n, {len(self.names)}), one column for each of {self.names}, but "
                f"has shape {rows.shape}."
            )
        for pair in self.correlations:
            if any(self.marginals[name].discrete for name in pair):
                raise QspxError(
                    f"`log_prob` needs continuous distributions where parameters are correlated, but the pair {pair} "
                    "has one made of single values. Leave out this correlation, or fit a continuous distribution."
                )
        return _log_prob(rows, tuple(self.marginals.values()), self._correlated, self._factor)

    def describe(self) -> pd.DataFrame:
        """One row a parameter: distribution, median, mean, coefficient of variation, 5 and 95 % quantiles, partners."""
        import pandas as pd

        return pd.DataFrame([self._row(name, marginal) for name, marginal in self.marginals.items()])

    def _row(self, name: str, marginal: AbstractDistribution) -> dict[str, object]:
        low, median, high = (float(x) for x in marginal.quantile([0.05, 0.5, 0.95]))
        mean, sd = marginal.moments()
        partners = {pair[pair[0] == name]: rho for pair, rho in self.correlations.items() if name in pair}
        return {
            "parameter": name,
            "distribution": type(marginal).__name__,
            "median": median,
            "mean": mean,
            "cv": sd / abs(mean) if mean else float("nan"),
            "p05": low,
            "p95": high,
            "correlations": ", ".join(f"{partner}: {rho:g}" for partner, rho in partners.items()),
        }

    @functools.cached_property
    def _correlated(self) -> tuple[int, ...]:
        """Columns that have a correlation."""
        named = {name for pair in self.correlations for name in pair}
        return tuple(i for i, name in enumerate(self.names) if name in named)

    @functools.cached_property
    def _factor(self) -> Float[np.ndarray, "c c"] | None:
        """Lower Cholesky factor of the correlations between these columns; None where there are none."""
        if not self.correlations:
            return None
        names = [self.names[i] for i in self._correlated]
        return np.linalg.cholesky(correlation_matrix(names, self.correlations))


def _check_ids(ids: ArrayLike) -> np.ndarray:
    numbers = np.asarray(ids)
    whole = numbers.ndim == 1 and (numbers.size == 0 or np.issubdtype(numbers.dtype, np.integer))
    if not whole or (numbers.size and (numbers.min() < 0 or numbers.max() >= 2**32)):
        raise QspxError(
            "Argument `ids` must be a list of whole numbers from 0 to 2³² - 1, but is "
            f"{numbers if numbers.ndim else numbers.item()!r}. For the first n subjects write `range(n)`."
        )
    return numbers.astype(np.uint32)


def _streams(key: Key[Array, ""], names: tuple[str, ...]) -> list[Key[Array, ""]]:
    """A key for each parameter, made from its name."""
    codes = [zlib.crc32(name.encode()) for name in names]
    if len(set(codes)) < len(codes):
        raise QspxError(f"Two of the names {names} have the same checksum and would get equal numbers. Rename one.")
    return [jax.random.fold_in(key, code) for code in codes]


@jax.jit
def _noise(stream: Key[Array, ""], ids: UInt32[Array, " block"]) -> Float[Array, " block"]:
    """One standard normal number for each subject."""
    return jax.vmap(lambda subject: jax.random.normal(jax.random.fold_in(stream, subject), dtype=jnp.float64))(ids)


@functools.partial(jax.jit, static_argnames="correlated")
def _log_prob(
    rows: Float[Array, "n p"],
    marginals: tuple[AbstractDistribution, ...],
    correlated: tuple[int, ...],
    factor: Float[Array | np.ndarray, "c c"] | None,
) -> Float[Array, " n"]:
    columns = list(zip(marginals, rows.T, strict=True))
    total = jnp.sum(jnp.stack([marginal.log_prob(x) for marginal, x in columns]), axis=0)
    if factor is None:
        return total
    scores = jnp.stack([columns[i][0].to_normal(columns[i][1]) for i in correlated], axis=1)
    inside = jnp.isfinite(total) & jnp.all(jnp.isfinite(scores), axis=1)
    copula = copula_log_density(jnp.where(inside[:, None], scores, 0.0), jnp.asarray(factor))
    return jnp.where(inside, total + copula, -jnp.inf)
