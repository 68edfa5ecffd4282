"""What a hierarchical fit knows of a population: draws of its law and of the individuals."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from qspx._random import KeyLike
from qspx.calibrate.nuts import verdict
from qspx.vpop.designs import generator
from qspx.vpop.hierarchical_density import HierarchicalDensity

if TYPE_CHECKING:
    import pandas as pd


@dataclasses.dataclass(frozen=True, eq=False)
class PopulationPosterior:
    """Draws of the law of patients, chain after chain, with their diagnostics. Scores are normal scores of parameters
    under the prior of the problem.

    Args:
        density: problem, data and priors.
        mean: mean scores, shape (draws, P).
        sd: SDs of the scores between patients, shape (draws, P).
        factor: Cholesky factors of their correlations, shape (draws, P, P).
        scores: of the individuals, shape (draws, people, P).
        noise: SDs of the measurement, shape (draws, outputs).
        tree: ArviZ DataTree with the groups `posterior` and `sample_stats`.
        diagnostics: one row per quantity, every score of every individual included: parameter, rhat, ess_bulk,
            ess_tail.
        divergences: number of draws whose trajectory diverged.
        steps: gradients of the density, each of which simulates everybody.
    """

    density: HierarchicalDensity
    mean: np.ndarray
    sd: np.ndarray
    factor: np.ndarray
    scores: np.ndarray
    noise: np.ndarray
    tree: Any
    diagnostics: pd.DataFrame
    divergences: int
    steps: int

    def __len__(self) -> int:
        """Draws of all chains."""
        return len(self.mean)

    @property
    def verdict(self) -> str:
        """ "converged", or "not converged: " and why."""
        return verdict(self.diagnostics, len(self), self.divergences)

    @property
    def converged(self) -> bool:
        return self.verdict == "converged"

    @property
    def correlation(self) -> np.ndarray:
        """Of the scores between patients, shape (draws, P, P)."""
        return self.factor @ np.swapaxes(self.factor, 1, 2)

    @property
    def covariance(self) -> np.ndarray:
        """Omega: of the scores between patients, shape (draws, P, P)."""
        return self.correlation * self.sd[:, :, None] * self.sd[:, None, :]

    def new_patients(self, n: int, key: KeyLike) -> np.ndarray:
        """Parameters (n, P) of people who were not measured: each of the law of one draw, so that what is not known
        of the law widens the population."""
        rng = generator(key)
        of = self._picked(n, rng)
        root = self.sd[of][:, :, None] * self.factor[of]
        scores = self.mean[of] + (root @ rng.standard_normal((n, self.mean.shape[1], 1)))[..., 0]
        return np.asarray(self.density.drawn(jnp.asarray(scores)))

    def individuals(self, n: int, key: KeyLike) -> tuple[np.ndarray, np.ndarray]:
        """Parameters (n, P) of the people who were measured, and who each is (n,): draws of their own posteriors, all
        people equally often (up to one)."""
        rng = generator(key)
        who = np.arange(n) % self.scores.shape[1]
        scores = self.scores[self._picked(n, rng), who]
        return np.asarray(self.density.drawn(jnp.asarray(scores))), who

    def _picked(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draws in an order drawn at random, each once before any comes twice, shape (n,)."""
        rounds = [rng.permutation(len(self)) for _ in range(-(-n // len(self)))]
        return np.concatenate([*rounds, np.empty(0, int)])[:n]

    def to_dataframe(self, level: float = 0.95) -> pd.DataFrame:
        """One row per quantity of the law: quantity (typical value in the parameter's unit, SD of scores in SDs of the
        prior, correlation of scores, SD of noise), median, low, high, rhat, ess_bulk, ess_tail."""
        import pandas as pd

        columns = quantities(self.density, self.mean, self.sd, self.correlation, self.noise)
        ends = [0.5, 0.5 - level / 2, 0.5 + level / 2]
        rows = [(k, *np.quantile(v, ends)) for k, v in columns.items()]
        return pd.DataFrame(rows, columns=["parameter", "median", "low", "high"]).merge(
            self.diagnostics, on="parameter"
        )

    def __str__(self) -> str:
        people = len(self.density.individuals)
        return f"law of patients from {people} people, {len(self)} draws: {self.verdict}\n{self.to_dataframe()}"


def quantities(
    density: HierarchicalDensity, mean: np.ndarray, sd: np.ndarray, correlation: np.ndarray, noise: np.ndarray
) -> dict[str, np.ndarray]:
    """What there is to say about a law, by name, each (draws,); arguments as in `PopulationPosterior`."""
    names = density.problem.prior.names
    typical = np.asarray(density.drawn(jnp.asarray(mean)))
    found = {f"{n}: typical": typical[:, j] for j, n in enumerate(names)}
    found |= {f"{n}: SD": sd[:, j] for j, n in enumerate(names)}
    for i, a in enumerate(names):
        found |= {f"{a}, {b}: correlation": correlation[:, i, j] for j, b in enumerate(names) if j > i}
    if not density.individuals.noise_known:
        found |= {f"{n}: noise": noise[:, k] for k, n in enumerate(density.individuals.names)}
    return found
