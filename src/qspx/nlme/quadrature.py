"""Adaptive Gauss-Hermite quadrature: the integral over random effects itself, exact as the number of nodes grows.

With C Cᵀ = H⁻¹ at the most probable ẑ (H as in FOCEI), nodes x_q of the normal distribution and weights W_q:

    OFV_i = -2 log Σ_q exp{-½ J(ẑ + C x_q) + log W_q + ½ |x_q|²} - 2 log |C|

Pinheiro & Bates, J Comput Graph Stat 1995;4:12-35 (doi:10.1080/10618600.1995.10474663). One node is FOCEI. Every node
is a solve of every individual, and there are nodes to the power of random effects: for three or four effects at most.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from qspx._errors import CalibrationError
from qspx.nlme.base import AbstractMethod
from qspx.nlme.compiling import compiled
from qspx.nlme.expansion import Expansion, expand, flat
from qspx.nlme.individuals import Jets

MOST_NODES = 20_000


@dataclasses.dataclass(frozen=True)
class AdaptiveQuadrature(AbstractMethod):
    """See the top of the file. `nodes` per random effect."""

    nodes: int = 5
    name: ClassVar[str] = "AGQ"
    takes_censored: ClassVar[bool] = True

    def __post_init__(self):
        if not 1 <= self.nodes <= 40:
            raise CalibrationError(f"Argument `nodes` must lie between 1 and 40, but {self.nodes} was given.")

    def grid(self, effects: int) -> tuple[np.ndarray, np.ndarray]:
        """Nodes (points, effects) and logarithms of their weights (points,), which sum to one."""
        if self.nodes**effects > MOST_NODES:
            raise CalibrationError(
                f"{self.nodes} nodes for each of {effects} random effects are {self.nodes**effects} points per "
                f"individual, more than {MOST_NODES}; use fewer nodes, or Laplace()."
            )
        x, w = np.polynomial.hermite_e.hermegauss(self.nodes)
        points = np.array(list(itertools.product(x, repeat=effects)))
        weights = np.array(list(itertools.product(np.log(w / w.sum()), repeat=effects)))
        return points, weights.sum(axis=1)

    def local(self, individuals):
        points, log_weight = self.grid(len(individuals.problem.omega))

        def contribution(x, z, near, at_nodes, row):
            z, spread = _place(Expansion(individuals, row, near, None), x, z)

            def joint(point, at_node):
                return Expansion(individuals, row, at_node, None).joint(x, z + spread @ point)

            each = -0.5 * jax.vmap(joint)(points, at_nodes) + log_weight + 0.5 * (points**2).sum(axis=1)
            return -2 * jax.nn.logsumexp(each) - 2 * jnp.log(jnp.abs(jnp.diagonal(spread))).sum()

        return contribution

    def evaluate(self, objective, x, z):
        points, _ = self.grid(len(objective.problem.omega))
        found, _, (near, _), status = expand(objective, x, z)
        individuals = objective.individuals
        centre, spread = (np.asarray(a) for a in _places(individuals)(x, found.z, near, individuals.rows))
        at = centre + np.einsum("iab,qb->qia", spread, points)  # points, individuals, effects
        u = objective.u(x, at)
        jets = Jets(*map(np.asarray, individuals.many_jets(u)))
        at_nodes = flat(u, jets)
        status = np.maximum(status, jets.status.max(axis=0))
        return objective.evaluated(x, found, status, (found.z, near, at_nodes, individuals.rows))


def _place(e, x, z):
    """Where nodes are centred, and the lower triangle C."""
    z = e.implicit(x, z)
    return z, jnp.linalg.cholesky(jnp.linalg.inv(e.expected_curvature(x, z)))


@functools.lru_cache(maxsize=8)
def _places(individuals):
    def one(x, z, near, row):
        return _place(Expansion(individuals, row, near, None), x, z)

    return compiled(jax.vmap(one, in_axes=(None, 0, 0, 0)))
