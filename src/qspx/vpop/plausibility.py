"""Plausibility: what the outputs of a patient must keep to."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from qspx._status import Status
from qspx.vpop.outputs import Outputs, PopulationError

if TYPE_CHECKING:
    import pandas as pd


@dataclasses.dataclass(frozen=True, eq=False)
class Plausibility:
    """Bounds by output: (low, high), either may be infinite. States, observables and derived quantities, at whatever
    arm and time the outputs stand for."""

    bounds: Mapping[str, tuple[float, float]]

    def __post_init__(self):
        bounds = {k: (float(low), float(high)) for k, (low, high) in self.bounds.items()}
        for name, (low, high) in bounds.items():
            if not low < high:
                raise PopulationError(f"the bounds of `{name}` must increase, but ({low:g}, {high:g}) was given.")
        object.__setattr__(self, "bounds", bounds)

    @classmethod
    def from_table(cls, frame: pd.DataFrame, name: Callable[[Any, float, str], str | None]) -> Plausibility:
        """From an acceptance table of gQSPSim: columns Group, Time, Data, LB, UB. `name(group, time, data)` is the
        output that a row means; None leaves the row out."""
        missing = {"Group", "Time", "Data", "LB", "UB"} - set(frame.columns)
        if missing:
            raise PopulationError(
                f"the acceptance table lacks the columns {sorted(missing)}; it has {[*frame.columns]}."
            )
        bounds: dict[str, tuple[float, float]] = {}
        columns = (frame[c] for c in ("Group", "Time", "Data", "LB", "UB"))
        for group, time, data, low, high in zip(*columns, strict=True):
            output = name(group, float(time), str(data))
            if output is None:
                continue
            before = bounds.get(output, (-np.inf, np.inf))  # rows of several groups may mean one output
            bounds[output] = (max(before[0], float(low)), min(before[1], float(high)))
        return cls(bounds)

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
                (f"{name} below {low:g}", values[:, j] < low),
                (f"{name} above {high:g}", values[:, j] > high),
            ):
                if (n := int((ok & broken).sum())) > 0:
                    mine[text] = mine.get(text, 0) + n
        status = np.where(out, Status.IMPLAUSIBLE, outputs.cohort.status)
        cohort = dataclasses.replace(outputs.cohort, status=status, reasons=reasons)
        return dataclasses.replace(outputs, cohort=cohort)
