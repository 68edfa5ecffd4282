"""Plausibility: what the outputs of a patient must keep to."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from qspx._status import Status
from qspx.vpop.acceptance_table import read_bounds
from qspx.vpop.outputs import Outputs, PopulationError
from qspx.vpop.table_rows import Name

if TYPE_CHECKING:
    import pandas as pd


@dataclasses.dataclass(frozen=True, eq=False)
class Plausibility:
    """Bounds by output: (low, high), either may be infinite. States, observables and derived quantities, at whatever
    arm and time the outputs stand for.

    Args:
        bounds: (low, high) by output.
        units: of the bounds, by output, as far as they are known: checked against those of the outputs.
        left_out: rows of the table that they were read from which were left out.
    """

    bounds: Mapping[str, tuple[float, float]]
    units: Mapping[str, str] = dataclasses.field(default_factory=dict)
    left_out: tuple[str, ...] = ()

    def __post_init__(self):
        bounds = {k: (float(low), float(high)) for k, (low, high) in self.bounds.items()}
        for name, (low, high) in bounds.items():
            if not low < high:
                raise PopulationError(f"the bounds of `{name}` must increase, but ({low:g}, {high:g}) was given.")
        if unknown := [k for k in self.units if k not in bounds]:
            raise PopulationError(f"Argument `units` names {unknown}, which have no bounds; there are {[*bounds]}.")
        object.__setattr__(self, "bounds", bounds)

    @classmethod
    def from_table(cls, frame: pd.DataFrame, name: Name) -> Plausibility:
        """From an acceptance table of gQSPSim: columns Group, Time, Data, LB, UB, and Unit where there is one. A side
        that is empty has no bound. Rows that mean one output, of several groups say, all hold.

        Args:
            frame: the table.
            name: `name(group, time, data)` is the output that a row means, or `SKIP` to leave the row out; these are
                listed in `left_out`.

        Raises:
            PopulationError: naming row (the first is 1) and column: for what is no number, a row that `name` gives
                nothing, and rows that contradict each other.
        """
        return cls(*read_bounds(frame, name))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.bounds)

    @property
    def limits(self) -> np.ndarray:
        """Shape (bounds, 2)."""
        return np.array(list(self.bounds.values()), dtype=float).reshape(-1, 2)

    def inside(self, values: Any) -> np.ndarray:
        """Which rows of `values` (subjects, bounds) keep every bound; NaN does not."""
        low, high = self.limits.T
        return np.all((values >= low) & (values <= high), axis=-1)

    def violation(self, values: Any, margin: float = 0.0) -> Any:
        """How far each value is outside, in widths of its bounds (of the bound itself where one is infinite), shape
        (subjects, bounds); `margin` draws the bounds in by so many widths. A function of jax."""
        low, high = self.limits.T
        width = np.where(np.isfinite(high - low), high - low, np.where(np.isfinite(high), abs(high), abs(low)))
        width = np.where(np.isfinite(width) & (width > 0), width, 1.0)
        # infinite bounds are left out before anything is subtracted: an event that never comes is inf as well
        below_end, above_end = np.isfinite(low)[None], np.isfinite(high)[None]
        low, high = (np.where(np.isfinite(x), x, 0.0)[None] for x in (low, high))
        above = jnp.maximum((values - high) / width[None] + margin, 0.0)
        below = jnp.maximum((low - values) / width[None] + margin, 0.0)
        return jnp.where(above_end, above, 0.0) + jnp.where(below_end, below, 0.0)

    def apply(self, outputs: Outputs) -> Outputs:
        """The same patients, those outside marked IMPLAUSIBLE, with the bounds they break in the ledger. Their values
        are then NaN."""
        values = outputs.columns(self.names)
        ok = outputs.usable
        out = ok & ~self.inside(values)
        reasons = {k: dict(v) for k, v in outputs.cohort.reasons.items()}
        mine = reasons.setdefault(Status.IMPLAUSIBLE, {})
        for j, (name, (low, high)) in enumerate(self.bounds.items()):
            for text, broken in (
                (f"{name} below {low:g} {self.units.get(name, '')}".rstrip(), values[:, j] < low),
                (f"{name} above {high:g} {self.units.get(name, '')}".rstrip(), values[:, j] > high),
            ):
                if (n := int((ok & broken).sum())) > 0:
                    mine[text] = mine.get(text, 0) + n
        status = np.where(out, Status.IMPLAUSIBLE, outputs.cohort.status)
        cohort = dataclasses.replace(outputs.cohort, status=status, reasons=reasons)
        return dataclasses.replace(outputs, cohort=cohort)
