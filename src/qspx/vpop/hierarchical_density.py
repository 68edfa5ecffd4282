"""The joint density of a hierarchical population model, in coordinates that have no bounds.

    s_i = mu + diag(sigma) K zeta_i,   zeta_i ~ N(0, I),   K K' ~ LKJ(eta),   theta_i = prior transform of s_i
    mu ~ N(0, C),   sigma_j ~ half-normal(tau_j),   y_i = g(theta_i) + noise

s are normal scores of the parameters under the problem's prior, C the correlations of that prior: the typical patient
is anywhere that the prior allows, and no patient leaves its bounds. For a log-normal prior s is the logarithm, moved
and stretched. K is written by its canonical partial correlations tanh(r), which are independent under LKJ
(Lewandowski, Kurowicka & Joe 2009, doi:10.1016/j.jmva.2009.04.008).
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from qspx._status import Status
from qspx.distributions.copula import correlation_matrix
from qspx.vpop.individuals import Individuals
from qspx.vpop.outputs import PopulationError
from qspx.vpop.problem import PopulationProblem


class Law(NamedTuple):
    """A law of patients: mean scores (P,), their SDs (P,), Cholesky factor of their correlations (P, P); scores of the
    individuals (N, P); SD of the noise (M,)."""

    mean: Any
    sd: Any
    factor: Any
    scores: Any
    noise: Any


@dataclasses.dataclass(frozen=True, eq=False)
class HierarchicalDensity:
    """Log-density of everything that is not known, given the individuals.

    Args:
        problem: simulator and prior.
        individuals: the data.
        spread: scale of the half-normal prior of the SD between patients, of the logarithm of a parameter; see
            `sd_scales`.
        eta: of the LKJ prior of correlations; 1 is uniform, more is nearer to none.
    """

    problem: PopulationProblem
    individuals: Individuals
    spread: float = 0.5
    eta: float = 2.0

    def __post_init__(self):
        if missing := sorted(set(self.individuals.names) - set(self.problem.simulator.names)):
            raise PopulationError(
                f"individuals have {missing}, which the simulator does not compute; it computes "
                f"{self.problem.simulator.names}."
            )
        if not (0 < self.spread < math.inf and 0 < self.eta < math.inf):
            raise PopulationError(f"Arguments `spread` and `eta` must be > 0, but are {self.spread} and {self.eta}.")
        if discrete := [n for n, m in self.problem.prior.marginals.items() if m.discrete]:
            raise PopulationError(f"the prior of {discrete} is made of single values; give continuous ones.")
        _ = self.sd_scales  # numbers, found before anything is traced

    @property
    def dimensions(self) -> int:
        """Number of coordinates."""
        return sum(self._sizes)

    @functools.cached_property
    def _sizes(self) -> tuple[int, ...]:
        p, noise = self.problem.dimensions, 0 if self.individuals.noise_known else len(self.individuals.names)
        return p, p, p * (p - 1) // 2, len(self.individuals) * p, noise

    @functools.cached_property
    def _seen(self) -> np.ndarray:
        return np.array([self.problem.simulator.names.index(n) for n in self.individuals.names])

    @functools.cached_property
    def _prior_factor(self) -> np.ndarray:
        prior = self.problem.prior
        return np.linalg.cholesky(correlation_matrix(prior.names, prior.correlations))

    @functools.cached_property
    def sd_scales(self) -> np.ndarray:
        """tau, shape (P,): `spread` over the slope of log(theta) by its score at the prior's median, so that `spread`
        is of the logarithm (exactly so for a log-normal prior). Of the score itself, in SDs of the prior, where the
        prior's box has numbers that are not positive."""
        zero, one = jnp.zeros(1), jnp.ones(1)
        at = [jax.jvp(m.from_normal, (zero,), (one,)) for m in self.problem.prior.marginals.values()]
        positive = self.problem.box[:, 0] > 0
        slope = np.array([float(v[0] / x[0]) if ok else 1.0 for (x, v), ok in zip(at, positive, strict=True)])
        return self.spread / slope

    @functools.cached_property
    def _beta(self) -> np.ndarray:
        """Exponents of 1 - tanh² of the partial correlations, row by row of the lower triangle: the change of variable
        included."""
        p = self.problem.dimensions
        _, column = np.tril_indices(p, -1)
        return self.eta + (p - 2 - column) / 2

    def drawn(self, scores: Any) -> Any:
        """Parameters (n, P) at scores (n, P) of the prior's marginals. A function of jax."""
        marginals = self.problem.prior.marginals.values()
        return jnp.stack([m.from_normal(scores[:, j]) for j, m in enumerate(marginals)], axis=1)

    def law(self, x: Any) -> Law:
        """What coordinates (dimensions,) stand for. A function of jax."""
        p = self.problem.dimensions
        m, u, r, zeta, e = jnp.split(x, np.cumsum(self._sizes)[:-1])
        mean, sd = jnp.asarray(self._prior_factor) @ m, jnp.asarray(self.sd_scales) * jnp.exp(u)
        factor = _correlation_factor(r, p)
        scores = mean[None] + zeta.reshape(-1, p) @ (sd[:, None] * factor).T
        sds = jnp.asarray(self.individuals.sds)
        return Law(mean, sd, factor, scores, sds if self.individuals.noise_known else sds * jnp.exp(e))

    def __call__(self, x: Any) -> Any:
        """Log-density at coordinates (dimensions,), up to a constant; -inf where the run of an individual fails."""
        return self.given(x, self.individuals.scores)

    def given(self, x: Any, measured: Any) -> Any:
        """The same for other measurements (people, outputs) of the same people, on the scale of the noise."""
        _, u, r, _, e = jnp.split(x, np.cumsum(self._sizes)[:-1])
        law, people = self.law(x), self.individuals
        values, status = self.problem.simulator.traced(self.problem.filled(self.drawn(law.scores)))
        values, logs, known = values[:, self._seen], people.logarithmic, people.known
        good = jnp.isfinite(values) & (~logs | (values > 0))
        good = good & (status == Status.OK)[:, None]
        safe = jnp.where(good, values, 1.0)
        seen = jnp.where(logs, jnp.log(jnp.where(logs, safe, 1.0)), safe)
        residual = jnp.where(known, (seen - measured) / law.noise[None], 0.0)
        data = -0.5 * (residual**2).sum() - (known.sum(axis=0) * jnp.log(law.noise)).sum()
        # half-normal SDs, in their logarithms
        halves = sum((v - 0.5 * jnp.exp(2 * v)).sum() for v in (u, e))
        # log(1 - tanh²), written so that it keeps its digits far out
        partial = (self._beta * 2 * (math.log(2.0) - r - jax.nn.softplus(-2 * r))).sum()
        normal = -0.5 * (x[: len(u)] ** 2).sum() - 0.5 * (_zeta(x, self._sizes) ** 2).sum()
        return jnp.where((good | ~known).all(), data + halves + partial + normal, -jnp.inf)


def _zeta(x: Any, sizes: tuple[int, ...]) -> Any:
    first = sum(sizes[:3])
    return x[first : first + sizes[3]]


def _correlation_factor(r: Any, p: int) -> Any:
    """Cholesky factor of a correlation matrix with canonical partial correlations tanh(r), row by row."""
    row, column = np.tril_indices(p, -1)
    partial = jnp.zeros((p, p)).at[row, column].set(jnp.tanh(r))
    rest = jnp.ones((p, p)).at[row, column].set(1 / jnp.cosh(r))
    before = jnp.concatenate([jnp.ones((p, 1)), jnp.cumprod(rest, axis=1)[:, :-1]], axis=1)
    return jnp.where(np.eye(p, dtype=bool), before, partial * before)
