"""First-order methods of optax, in the box, by projection.

The step that the optimiser proposes is cut off at the bounds. A place where the objective fails is not entered: the
step is halved until it does not. For many parameters, where the information of a trust region costs too much; with few,
`TrustRegion` needs a small part of the evaluations. It fails by being slow: a search that ends by its iteration limit
with a gradient that is not small wants another rate.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qspx._errors import CalibrationError
from qspx._model_hash import program_bytes
from qspx.calibrate.fit_status import FitStatus
from qspx.calibrate.objective import Evaluation
from qspx.calibrate.search import AbstractMethod, Evaluator, Search, padded

LEAST = 1e-8  # share of a proposed step below which a search has stalled


@dataclasses.dataclass(frozen=True, eq=False)
class FirstOrder(AbstractMethod):
    """An optimiser of optax, such as `FirstOrder(optax.adam(0.02))`. Its rate is in widths of the box.

    Args:
        optimiser: gradient transformation with `init` and `update`.
        max_iterations: steps per start.
        value_tolerance: a search ends when the best log-posterior gains less than this share of it (or of one)
        patience: in so many steps.
        gradient_tolerance: so it does when every component of the gradient is less than this, per width of the box.
    """

    optimiser: Any
    max_iterations: int = 1000
    value_tolerance: float = 1e-8
    patience: int = 50
    gradient_tolerance: float = 1e-6

    def __post_init__(self):
        if not (hasattr(self.optimiser, "init") and hasattr(self.optimiser, "update")):
            raise CalibrationError(
                f"Argument `optimiser` of FirstOrder must be one of optax, such as optax.adam(0.02), but is "
                f"{self.optimiser!r}."
            )
        for name in ("max_iterations", "value_tolerance", "patience", "gradient_tolerance"):
            if not getattr(self, name) > 0:
                raise CalibrationError(
                    f"Argument `{name}` of FirstOrder must be positive, but is {getattr(self, name)!r}."
                )

    @property
    def settings(self) -> dict[str, object]:
        one = jnp.ones(1)
        traced = jax.make_jaxpr(self.optimiser.update)(one, self.optimiser.init(one), one)
        digest = hashlib.sha256(program_bytes(traced)).hexdigest()
        return super().settings | {"optimiser": digest}

    @functools.cached_property
    def _proposed(self) -> Any:
        """(gradient of what is minimised, state, place) of every row -> (step, state)."""
        return jax.jit(jax.vmap(self.optimiser.update))

    def begin(self, evaluator: Evaluator, place: np.ndarray, found: Evaluation) -> dict[str, np.ndarray]:
        state = jax.tree.leaves(jax.vmap(self.optimiser.init)(jnp.asarray(place)))
        own = {
            "at": place.copy(),
            "at_gradient": found.gradient.copy(),
            "share": np.ones(len(place)),
            "since": np.zeros(len(place), dtype=np.int64),
            "milestone": found.value.copy(),
        }
        return own | {f"state_{k}": np.asarray(leaf) for k, leaf in enumerate(state)}

    def advance(self, evaluator: Evaluator, search: Search) -> Search:
        m = search.memory
        step, state = self._step(m)
        place = np.clip(m["at"] + m["share"][:, None] * step, 0.0, 1.0)
        value, gradient = evaluator.values_and_gradients(place)
        ok = np.isfinite(value)
        better = value > search.value
        best = np.where(better, value, search.value)
        gained = best - m["milestone"] > self.value_tolerance * np.maximum(np.abs(best), 1.0)
        memory = {
            "at": np.where(ok[:, None], place, m["at"]),
            "at_gradient": np.where(ok[:, None], gradient, m["at_gradient"]),
            "share": np.where(ok, np.minimum(1.0, 1.5 * m["share"]), 0.5 * m["share"]),
            "since": np.where(gained, 0, m["since"] + 1),
            "milestone": np.where(gained, best, m["milestone"]),
        }
        memory |= {k: np.where(ok.reshape(-1, *[1] * (a.ndim - 1)), a, m[k]) for k, a in state.items()}
        moved = dataclasses.replace(
            search,
            place=np.where(better[:, None], place, search.place),
            value=best,
            gradient=np.where(better[:, None], gradient, search.gradient),
            iterations=search.iterations + 1,
            evaluations=search.evaluations + 1,
            memory=memory,
        )
        return dataclasses.replace(moved, status=self._status(moved))

    def _step(self, m: dict[str, np.ndarray]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Proposed steps (starts, estimated), and the state of the optimiser after them."""
        n = len(m["at"])
        names = sorted((k for k in m if k.startswith("state_")), key=lambda k: int(k[6:]))
        shape = jax.tree.structure(self.optimiser.init(jnp.asarray(m["at"][0])))
        state = jax.tree.unflatten(shape, [padded(m[k]) for k in names])
        step, after = self._proposed(padded(-m["at_gradient"]), state, padded(m["at"]))
        leaves = [np.asarray(leaf)[:n] for leaf in jax.tree.leaves(after)]
        return np.asarray(step)[:n], dict(zip(names, leaves, strict=True))

    def _status(self, s: Search) -> np.ndarray:
        return np.select(
            [
                s.slope < self.gradient_tolerance,
                s.memory["since"] >= self.patience,
                s.memory["share"] < LEAST,
                s.iterations >= self.max_iterations,
            ],
            [FitStatus.GRADIENT, FitStatus.VALUE, FitStatus.STALLED, FitStatus.MAX_ITERATIONS],
            FitStatus.RUNNING,
        )
