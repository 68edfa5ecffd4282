"""What a method of approximating the likelihood of an individual offers. One method, one file."""

from __future__ import annotations

import abc
import dataclasses
import functools
from typing import Any, ClassVar

import jax
import numpy as np

from qspx._errors import CalibrationError
from qspx._status import Status
from qspx.nlme.compiling import compiled
from qspx.nlme.conditional import Estimates, estimate, joint_function, mean_function
from qspx.nlme.individuals import Individuals, Jets
from qspx.nlme.problem import PopulationProblem


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluated:
    """The objective at one point.

    Args:
        x: the point, (coordinates,).
        each: contributions, -2 log-likelihood without N log 2π, (individuals,); inf where the model was not solved.
        gradients: their derivatives, (individuals, coordinates); 0 where the model was not solved.
        z: empirical Bayes estimates of the standardised random effects, (individuals, effects).
        status: of each individual's solves, (individuals,).
        converged: whether the search for `z` ended, (individuals,).
    """

    x: np.ndarray
    each: np.ndarray
    gradients: np.ndarray
    z: np.ndarray
    status: np.ndarray
    converged: np.ndarray

    @property
    def value(self) -> float:
        """The objective function value."""
        return float(self.each.sum())

    @property
    def gradient(self) -> np.ndarray:
        """Its derivative by the coordinates, (coordinates,)."""
        return self.gradients.sum(axis=0)


class AbstractMethod(abc.ABC):
    """Approximates -2 log ∫ p(y | z) p(z) dz for each individual. A new one is a frozen
    dataclass with `evaluate`."""

    name: ClassVar[str]
    takes_censored: ClassVar[bool] = False
    interaction: ClassVar[bool] = True  # whether residual variances are those at the random effects, or at none

    @abc.abstractmethod
    def evaluate(self, objective: PopulationObjective, x: np.ndarray, z: np.ndarray) -> Evaluated:
        """At coordinates x, with searches for random effects that start at z (individuals, effects)."""

    @property
    def settings(self) -> dict[str, object]:
        """What the numbers depend on, by name, of a dataclass."""
        return {"method": type(self).__name__} | {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}  # type: ignore[arg-type]

    def local(self, individuals: Individuals) -> Any:
        """The function of one individual (x, what the method needs of it) -> contribution; it is differentiated by x
        and compiled once."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True, eq=False)
class PopulationObjective:
    """-2 log-likelihood of a population problem by a method, with gradient.

    Args:
        problem: the problem.
        method: how an individual's likelihood is approximated.

    Raises:
        CalibrationError: if the data have censored values, which the method does not take.
    """

    problem: PopulationProblem
    method: AbstractMethod

    def __post_init__(self):
        n = int((self.problem.data.censored != 0).sum())
        if n and not self.method.takes_censored:
            raise CalibrationError(
                f"{n} of {len(self.problem.data.censored)} measurements are censored (CENS, LLOQ). Their likelihood, "
                f"the probability of being beyond the limit (M3), has no residual for {self.method.name} to expand; "
                "NONMEM, too, asks for LAPLACE where F_FLAG is 1. Use Laplace(), or AdaptiveQuadrature(nodes) for up "
                "to four random effects; or leave these records out, with MDV 1 (M1), which is biased where many are."
            )

    def __call__(self, x: np.ndarray, z: np.ndarray | None = None) -> Evaluated:
        """At coordinates x (coordinates,). `z` is where the search for random effects starts, e.g. those at a point
        nearby."""
        x = np.asarray(x, dtype=float)
        if x.shape != (len(self.problem.names),):
            raise CalibrationError(
                f"Argument `x` must have shape ({len(self.problem.names)},), one number for each of "
                f"{self.problem.names}, but has {x.shape}."
            )
        start = np.zeros((len(self.problem.data), len(self.problem.omega))) if z is None else np.asarray(z)
        return self.method.evaluate(self, x, start)

    @functools.cached_property
    def individuals(self) -> Individuals:
        return Individuals(self.problem)

    @functools.cached_property
    def _mean(self) -> Any:
        return mean_function(self.individuals)

    def u(self, x: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Parameters on their scales (..., individuals, columns) for standardised random effects z (..., individuals,
        effects)."""
        found = np.broadcast_to(np.asarray(self._mean(x)), (*z.shape[:-1], len(self.problem.columns))).copy()
        found[..., : z.shape[-1]] += z @ np.asarray(self.problem.factor(x)).T  # they come first
        return found

    @functools.cached_property
    def joint(self) -> Any:
        return joint_function(self.individuals, self.method.interaction)

    @functools.cached_property
    def compiled(self) -> Any:
        """The method's `local` with gradient, over individuals: (x, each argument with individuals first)."""
        one = jax.value_and_grad(self.method.local(self.individuals))
        return compiled(lambda x, *each: jax.vmap(lambda *args: one(x, *args))(*each))

    def typical(self, x: np.ndarray) -> tuple[np.ndarray, Jets]:
        """u (individuals, columns) without random effects, and predictions there."""
        zeros = np.zeros((len(self.problem.data), len(self.problem.omega)))
        u = self.u(x, zeros)
        return u, Jets(*map(np.asarray, self.individuals.jets(u)))

    def estimates(self, x: np.ndarray, z: np.ndarray, typical: Jets | None) -> Estimates:
        """Empirical Bayes estimates; `typical` is needed where the method has no interaction."""
        m = self.individuals.shape[1]
        f_typical = np.zeros((len(z), m)) if typical is None else typical.f
        return estimate(self.individuals, self.joint, lambda z: self.u(x, z), x, z, f_typical)

    def best_of_several(self, x: np.ndarray, z: np.ndarray, tries: int, key: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Random effects (individuals, effects) with the lowest joint function among searches from `z`, from zero and
        from `tries` - 1 random points, and which individuals' are not those from `z`, (individuals,). A model with a
        lag, or one whose parameters compensate each other, may have several modes."""
        typical = None if self.method.interaction else self.typical(x)[1]
        rng = np.random.default_rng(key)
        best, lowest, moved = z, np.full(len(z), np.inf), np.zeros(len(z), bool)
        for k in range(tries + 1):
            start = z if k == 0 else (rng.normal(size=z.shape) if k > 1 else np.zeros_like(z))
            found = self.estimates(x, start, typical)
            f_typical = np.zeros_like(found.jets.f) if typical is None else typical.f
            value = np.asarray(self.joint(x, found.z, found.jets, f_typical).value)
            better = value < np.where(np.isfinite(lowest), lowest - 1e-4, np.inf)
            best = np.where(better[:, None], found.z, best)
            lowest, moved = np.where(better, value, lowest), moved | (better if k else False)
        return best, moved

    def evaluated(self, x: np.ndarray, found: Estimates, status: np.ndarray, args: tuple) -> Evaluated:
        """Contributions and gradients from the compiled function, with individuals that failed marked as such."""
        each, gradients = (np.array(a) for a in self.compiled(x, *args))
        failed = (status != Status.OK) | ~np.isfinite(each) | ~np.isfinite(gradients).all(axis=1)
        status = np.where((status == Status.OK) & failed, int(Status.NONFINITE), status)
        each = np.where(failed, np.inf, each + self.individuals.log_slope)
        return Evaluated(x, each, np.where(failed[:, None], 0.0, gradients), found.z, status, found.converged)
