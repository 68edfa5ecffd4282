"""Draw from the prior and keep who is plausible."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np

from qspx._random import as_key
from qspx._status import Ledger
from qspx.vpop.designs import AbstractDesign, Independent
from qspx.vpop.outputs import PopulationError
from qspx.vpop.sampler import AbstractSampler, ledger_of, plausible_rows


@dataclasses.dataclass(frozen=True)
class Screening(AbstractSampler):
    """Draws in batches until enough are plausible. The ledger counts everyone who was drawn, with reasons.

    Args:
        design: where to draw; Latin hypercube and Sobol' points hold within one batch.
        batch: patients per batch.
        at_most: patients drawn in all, after which an error says how many were plausible.
    """

    design: AbstractDesign = Independent()
    batch: int = 8192
    at_most: int = 20_000_000

    def find(self, problem, n, key, evaluate):
        kept, ledger, have = [], Ledger({}), 0
        streams = iter(range(2**31))
        while have < n:
            if ledger.total >= self.at_most:
                raise PopulationError(f"{have} of {ledger.total} draws were plausible, and {n} are wanted: {ledger}.")
            stream = jax.random.fold_in(as_key(key), next(streams))
            drawn = problem.quantiles(self.design.points(self.batch, problem.dimensions, stream))
            evaluate.evaluations += len(drawn)
            found = problem.plausibility.apply(problem.simulator(problem.cohort(drawn, "drawn", key)))
            ledger = ledger + ledger_of(found)
            kept.append(drawn[plausible_rows(found)])
            have += len(kept[-1])
        return np.concatenate(kept)[:n], {"ledger": ledger, "plausible_share": ledger.ok / ledger.total}
