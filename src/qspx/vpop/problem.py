"""A population problem: who may be drawn, what becomes of them, what is plausible, what they should look like."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from scipy.special import ndtr, ndtri

from qspx._random import KeyLike, described
from qspx._status import Status
from qspx.cohort import Cohort
from qspx.distributions import Joint, Uniform
from qspx.distributions.copula import correlation_matrix
from qspx.vpop.designs import AbstractDesign
from qspx.vpop.output_units import check_units
from qspx.vpop.outputs import Outputs, PopulationError
from qspx.vpop.plausibility import Plausibility
from qspx.vpop.simulator import AbstractSimulator, free_columns
from qspx.vpop.targets import AbstractTarget

FARTHEST = 8.2  # normal scores beyond which a share of the prior is below rounding, 2^-53


@dataclasses.dataclass(frozen=True, eq=False)
class PopulationProblem:
    """What every sampler and every method is given.

    Args:
        simulator: from parameters to outputs.
        prior: over some parameters of the model; the others keep their typical value.
        plausibility: bounds on outputs.
        targets: what the population should look like.
    """

    simulator: AbstractSimulator
    prior: Joint
    plausibility: Plausibility
    targets: Sequence[AbstractTarget] = ()  # one alone will do

    def __post_init__(self):
        targets = (self.targets,) if isinstance(self.targets, AbstractTarget) else tuple(self.targets)
        object.__setattr__(self, "targets", targets)
        asked = {n for t in targets for n in t.names} - set(self.simulator.model.parameters)  # or covariates
        if missing := sorted({*self.plausibility.names, *asked} - set(self.simulator.names)):
            raise PopulationError(f"the simulator does not compute {missing}; it computes {self.simulator.names}.")
        declared = {k: p.unit for k, p in self.simulator.model.parameters.items()}
        check_units({**declared, **self.simulator.units}, self.targets, self.plausibility)

    # coordinates ----------------------------------------------------------------------------------------------------

    @functools.cached_property
    def columns(self) -> np.ndarray:
        """Places of the drawn parameters in theta, shape (drawn,)."""
        return free_columns(self.simulator.model, self.prior.names)

    @property
    def dimensions(self) -> int:
        return len(self.prior.names)

    @functools.cached_property
    def _factor(self) -> np.ndarray:
        return np.linalg.cholesky(correlation_matrix(self.prior.names, self.prior.correlations))

    def drawn(self, z: Any) -> Any:
        """Parameters (subjects, drawn) at normal scores `z` (subjects, drawn): standard normal scores have the prior's
        distribution. A function of jax."""
        mixed = z @ jnp.asarray(self._factor).T if self.prior.correlations else z
        marginals = self.prior.marginals.values()
        return jnp.stack([m.from_normal(mixed[:, j]) for j, m in enumerate(marginals)], axis=1)

    def theta(self, z: Any) -> Any:
        """All parameters (subjects, parameters) at normal scores."""
        return self.filled(self.drawn(z))

    def filled(self, drawn: Any) -> Any:
        """All parameters (subjects, parameters) for drawn ones. A function of jax."""
        typical = jnp.broadcast_to(jnp.asarray(self.simulator.model.theta)[None], (len(drawn), len(self.model_theta)))
        return typical.at[:, self.columns].set(drawn)

    @property
    def model_theta(self) -> np.ndarray:
        return self.simulator.model.theta

    def quantiles(self, u: np.ndarray) -> np.ndarray:
        """Parameters (n, drawn) at points of the unit cube (n, drawn)."""
        return np.asarray(self.drawn(jnp.asarray(ndtri(u))))

    def places(self, drawn: np.ndarray) -> np.ndarray:
        """Where parameters (n, drawn) are in the unit cube of the prior, shape (n, drawn): the inverse of `quantiles`.
        Whatever the prior's laws and correlations, its patients are uniform there. Within a box of uniform parameters,
        the share of each range. Parameters out of reach of the prior are taken for the nearest that it reaches."""
        z = self._scores(drawn)
        return ndtr(
            np.linalg.solve(self._factor, np.clip(z, -FARTHEST, FARTHEST).T).T if self.prior.correlations else z
        )

    def margins(self, drawn: np.ndarray) -> np.ndarray:
        """Share of the prior's patients below each parameter (n, drawn), on its own, shape (n, drawn)."""
        return ndtr(self._scores(drawn))

    def _scores(self, drawn: np.ndarray) -> np.ndarray:
        """Normal score of each parameter on its own, shape (n, drawn); infinite at and beyond its ends."""
        low, high = self.ends.T
        inside, marginals = np.clip(drawn, low, high), self.prior.marginals.values()
        z = np.stack([np.asarray(m.to_normal(jnp.asarray(inside[:, j]))) for j, m in enumerate(marginals)], axis=1)
        middle = np.array([float(m.quantile(0.5)) for m in marginals])
        return np.where(np.isnan(z), np.where(inside < middle, -np.inf, np.inf), z)

    @functools.cached_property
    def boxed(self) -> np.ndarray:
        """Which drawn parameters are uniform between two ends whatever the others are, shape (drawn,): the box that
        published samplers know."""
        tied = {name for pair in self.prior.correlations for name in pair}
        return np.array([isinstance(m, Uniform) and k not in tied for k, m in self.prior.marginals.items()])

    @functools.cached_property
    def ends(self) -> np.ndarray:
        """Least and largest value of each drawn parameter, shape (drawn, 2); infinite where there is none."""
        marginals = self.prior.marginals.values()
        return np.array(
            [(float(getattr(m, "low", -np.inf)), float(getattr(m, "high", np.inf))) for m in marginals]
        ).reshape(-1, 2)

    @functools.cached_property
    def box(self) -> np.ndarray:
        """Range of each drawn parameter, shape (drawn, 2): its ends, or the quantiles 1e-9 and 1 - 1e-9 where it has
        none."""
        marginals = self.prior.marginals.values()
        far = np.array([np.asarray(m.quantile(np.array([1e-9, 1 - 1e-9]))) for m in marginals]).reshape(-1, 2)
        return np.where(np.isfinite(self.ends), self.ends, far)

    # patients -------------------------------------------------------------------------------------------------------

    def cohort(self, drawn: np.ndarray, origin: str, key: KeyLike) -> Cohort:
        """A cohort of drawn parameters (n, drawn)."""
        theta = np.asarray(self.filled(jnp.asarray(drawn)))
        return Cohort(self.simulator.model, theta, np.full(len(theta), Status.OK), seed=described(key), origin=origin)

    def simulate(self, drawn: np.ndarray, origin: str, key: KeyLike) -> Outputs:
        """Outputs of patients with drawn parameters (n, drawn), with those outside the bounds marked."""
        return self.plausibility.apply(self.simulator(self.cohort(drawn, origin, key)))

    def sampled(self, n: int, key: KeyLike, design: AbstractDesign) -> Outputs:
        """`n` patients of the prior, plausible or not."""
        return self.simulate(self.quantiles(design.points(n, self.dimensions, key)), f"{n} of the prior", key)
