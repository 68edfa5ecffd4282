"""A population as the image of a normal law, z = T(e), e ~ N(0, I), fitted by gradients through the model.

    minimise  sum over targets of distance(g(z), target) + c1 mean(violation² + 0.2 violation) + c2 KL(law of z | prior)

z are the normal scores of the parameters under the prior, g the outputs: those of all arms come from the same patients.
Distributions count by the energy distance of the standardised logarithms, numbers by their squared mismatch. Failed
solves have no gradient.

The fit finds where plausible patients are that look like the target, but not all of them: a law that matches the
outputs is free to be narrow in all else (on the cholesterol yardstick a spread of 0.7 of the prior's). `moves` widen
the population to what the prior leaves open; `moves=None` draws from the fitted law. Finish with maximum-entropy
weights.
"""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
from scipy.special import ndtri

from qspx._random import KeyLike, as_key
from qspx._status import Ledger
from qspx.vpop.designs import Sobol, generator
from qspx.vpop.distances import AbstractDistance, EnergyDistance, SummaryDistance
from qspx.vpop.latent_moves import LatentMoves, Patients, look
from qspx.vpop.outputs import PopulationError
from qspx.vpop.parameter_laws import AbstractParameterLaw, GaussianLaw
from qspx.vpop.problem import PopulationProblem
from qspx.vpop.push_forward_fit import Image, Training
from qspx.vpop.sampler import AbstractSampler

ROUNDS = 200  # of draws from the fitted law
BATCH = 1024


@dataclasses.dataclass(frozen=True)
class PushForward(AbstractSampler):
    """Push-forward population.

    Args:
        law: the family of laws: `GaussianLaw`, `CouplingFlow`.
        distance: from targets that are distributions: `EnergyDistance`, `SlicedWasserstein`.
        summaries: the distance from all others.
        steps, batch: of the fit: gradient steps, and patients per step.
        rate: of Adam, with cosine decay.
        plausible, prior: c1 and c2 above. Without moves, a smaller c2 (0.002) fits better and is narrower.
        moves: after the fit; None leaves the patients as the law has them.
    """

    law: AbstractParameterLaw = GaussianLaw()
    distance: AbstractDistance = EnergyDistance()
    summaries: SummaryDistance = SummaryDistance()
    steps: int = 350
    batch: int = 256
    rate: float = 0.04
    plausible: float = 3.0
    prior: float = 0.05
    moves: LatentMoves | None = LatentMoves()

    def fit(self, problem: PopulationProblem, key: KeyLike) -> tuple[Image, np.ndarray]:
        """The fitted law, and the loss at every step, shape (steps,)."""
        settings = {f.name: getattr(self, f.name) for f in dataclasses.fields(Training)}
        return Training(**settings).fit(problem, key)

    def find(self, problem, n, key, evaluate):
        image, losses = self.fit(problem, key)
        wanted = n if self.moves is None else max(n, self.moves.chains)
        people, ledger = _plausible(problem, image, wanted, key)
        about = {
            "plausible_share": ledger.ok / ledger.total,
            "gradients": self.steps * self.batch,
            "loss": float(losses[-1]),
            "divergence": image.divergence(people.e),
        }
        evaluate.evaluations += self.steps * self.batch + ledger.total
        if self.moves is None:
            return people.drawn[:n], {**about, "ledger": ledger}
        # too few to start from: several chains start at a patient
        at = people.rows(np.resize(np.arange(len(people.e)), wanted))
        drawn, said = self.moves.spread(problem, image, at, n, jax.random.fold_in(as_key(key), 1))
        evaluate.evaluations += said["moves_ledger"].total
        total = ledger + said["moves_ledger"]
        return drawn, {**about, **{k: v for k, v in said.items() if k != "moves_ledger"}, "ledger": total}


def _plausible(problem: PopulationProblem, image: Image, n: int, key: KeyLike) -> tuple[Patients, Ledger]:
    """About `n` plausible patients of the fitted law, in an order drawn at random; and the count of all drawn.
    Raises `PopulationError` if there is none."""
    kept, have, ledger = [], 0, Ledger({})
    for i in range(ROUNDS):
        stream = jax.random.fold_in(as_key(key), 10_000 + i)
        e = ndtri(Sobol().points(max(BATCH, n), problem.dimensions, stream))
        found, fine, counts = look(problem, image, e, key)
        ledger = ledger + counts
        kept.append(found.rows(fine))
        have += int(fine.sum())
        if have >= n:
            break
    if not have:
        raise PopulationError(f"no patient of the fitted law is plausible: {ledger}.")
    people = Patients(*(np.concatenate(parts) for parts in zip(*kept, strict=True)))
    return people.rows(generator(key).permutation(have)[:n]), ledger
