"""Events that are due: when triggers switch, what is put off, what is called off, and in which order things happen."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from qspx._errors import SolveError
from qspx.integrate.event_program import EventProgram

_MOST_AT_ONCE = 10_000  # events at one time: more are taken as a circle of events that set each other off


@dataclasses.dataclass(eq=False)
class _Due:
    """One event to happen at `time`; `values` are those of the trigger's time where the event takes them."""

    event: int
    time: float
    values: np.ndarray | None


class Queue:
    """The events of one run that wait to happen."""

    def __init__(self, program: EventProgram, theta: np.ndarray):
        self.program, self.theta = program, theta
        self.waiting: list[_Due] = []
        self.held = np.array([place.event.initially for place in program.places], dtype=bool)

    @property
    def next_time(self) -> float:
        return min((due.time for due in self.waiting), default=np.inf)

    def run(
        self,
        t: float,
        y: np.ndarray,
        signs: np.ndarray,
        changed: Callable[[np.ndarray], np.ndarray],
        snapped: Callable[[float], float],
    ) -> bool:
        """Everything that happens at `t`. `changed` takes the new state and gives the new signs of the comparisons;
        `snapped` gives the time that a time near it stands for. True where a state has been set."""
        any_change = False
        for _ in range(_MOST_AT_ONCE):
            self._switch(t, y, signs, snapped)
            due = [d for d in self.waiting if d.time <= t]
            if not due:
                return any_change
            chosen = self._first(t, y, due)
            self.waiting.remove(chosen)
            y = self._happen(t, y, chosen)
            signs = changed(y)
            any_change = True
        raise SolveError(f"events of {self.program.model.name} set each other off without end at {t:.6g}.")

    def _switch(self, t: float, y: np.ndarray, signs: np.ndarray, snapped: Callable[[float], float]) -> None:
        """Notes which triggers have become true, and calls off what no longer holds."""
        holds = self.program.triggers(t, y, self.theta, signs)
        fell, rose = self.held & ~holds, holds & ~self.held
        self.held = holds
        places = self.program.places
        self.waiting = [d for d in self.waiting if places[d.event].event.persistent or not fell[d.event]]
        if not rose.any():
            return
        flat = np.asarray(self.program.flat(t, y, self.theta))
        for k in np.flatnonzero(rose):
            place = places[k]
            delay = float(flat[place.delay])
            if not delay >= 0:
                raise SolveError(
                    f"event `{place.name}` of {self.program.model.name}: its delay must be >= 0, but is {delay:g} at "
                    f"{t:.6g}."
                )
            time = t if delay == 0 else max(snapped(t + delay), np.nextafter(t, np.inf))
            self.waiting.append(_Due(int(k), time, flat[place.values] if place.event.at_trigger else None))

    def _first(self, t: float, y: np.ndarray, due: list[_Due]) -> _Due:
        if len(due) == 1:
            return due[0]
        flat = np.asarray(self.program.flat(t, y, self.theta))
        priority = [flat[self.program.places[d.event].priority] for d in due]
        return due[int(np.argmax(np.where(np.isnan(priority), -np.inf, priority)))]

    def _happen(self, t: float, y: np.ndarray, due: _Due) -> np.ndarray:
        place = self.program.places[due.event]
        values = due.values
        if values is None:
            values = np.asarray(self.program.flat(t, y, self.theta))[place.values]
        new = np.array(y)
        new[list(place.states)] = values
        if place.scaled:
            factors = np.asarray(self.program.flat(t, new, self.theta))[place.factors]
            for state, factor in zip(place.scaled, factors, strict=True):
                new[state] *= factor
        return new
