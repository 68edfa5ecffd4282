"""Random regimens, and what they do to a model according to LSODA (Petzold 1983, through scipy).

`integrate` reads the regimen as a person would: in the order of time, restarting the integration at every arrival of a
dose, end of an infusion and sample, and finding a steady state by giving the dose again and again from the initial
values. It shares nothing with `qspx.dose_events`.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from hypothesis import strategies as hs
from random_models import Case, decades
from scipy.integrate import solve_ivp

from qspx import Dose, Regimen
from qspx.dose_events import DoseEvents, stacked_events

END = 10.0  # of the run
RTOL, ATOL = 1e-10, 1e-13  # of LSODA
MOST_PERIODS = 400


def grid(low: float, high: float) -> hs.SearchStrategy[float]:
    """Multiples of a quarter, so that things coincide exactly."""
    return hs.integers(round(4 * low), round(4 * high)).map(lambda i: i / 4)


@hs.composite
def doses(draw, case: Case, steady: bool) -> Dose:
    """Any dose; `steady` allows those at steady state."""
    # a complex holds sites whose total is constant: a dose of it would leave less than none of them free
    names = [s for s in case.model.species if s not in ("x", "u", "v") and not s.startswith("b_")]
    into = draw(hs.sampled_from([names[0], names[0], *names]))
    amount = draw(decades(0, 2)) if case.dose_unit else draw(decades(-1, 0.5))
    at, every = draw(grid(0, 7)), draw(hs.sampled_from([1.0, 1.5, 2.0, 0.7]))
    kind = draw(hs.sampled_from(["bolus", "bolus", "duration", "rate", "D1", "R1", "constant"]))
    if kind in ("R1", "D1") and into != names[0]:
        kind = "bolus"
    words: dict = {}
    states = [0, 1, 2] if steady and case.adds else [0, 1] if steady else [0]
    if kind in ("duration", "D1"):
        words["duration"] = "D1" if kind == "D1" else draw(hs.sampled_from([0.25, 0.6, 2.5]))
    if kind in ("rate", "R1"):
        words["rate"] = "R1" if kind == "R1" else amount / draw(hs.sampled_from([0.25, 0.6, 2.5]))
    if kind == "constant" and steady:
        rate = draw(hs.sampled_from([amount, "R1"])) if into == names[0] else amount
        return Dose(0.0, case.dose_unit, into, at, rate=rate, steady_state=draw(hs.sampled_from(states[1:])))
    words["bioavailability"] = draw(hs.sampled_from([None, None, 0.5, "F"]))
    words["lag"] = draw(hs.sampled_from([None, None, 0.25, 1.75, "LAG"]))
    state = draw(hs.sampled_from(states))
    more = draw(hs.integers(0, 3))
    return Dose(
        amount, case.dose_unit, into, at, additional=more, every=every if more or state else None, steady_state=state,
        **words,
    )  # fmt: skip


@hs.composite
def regimens(draw, case: Case, steady: bool = False, most: int = 4) -> Regimen:
    found = draw(hs.lists(doses(case, steady), min_size=1, max_size=most))
    resets = draw(hs.lists(grid(1, 8), max_size=1)) if steady else []
    return Regimen(tuple(sorted(found, key=lambda d: d.at)), "day", tuple(resets))


def events_of(case: Case, given: list[Regimen], theta: np.ndarray) -> DoseEvents:
    """One regimen per row."""
    stacked = stacked_events(given, case.model, list(theta))
    return DoseEvents(*(np.stack(field) for field in zip(*stacked, strict=True)))


# the reference -----------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Delivery:
    """One arrival: an amount at once, or `rate` from `start` to `end`; in the unit of the species."""

    species: int
    start: float
    end: float
    jump: float
    rate: float


class Reference:
    """LSODA for one subject; `p` are its parameters by name. States are followed by their integrals."""

    def __init__(self, case: Case, p: dict[str, float]):
        self.case, self.p = case, p
        self.n = len(case.model.species)
        self.origin = np.concatenate([case.initial(p), np.zeros(self.n)])

    def _number(self, x: float | str | None, declared: str | None, default: float) -> float:
        x = declared if x is None else x
        return default if x is None else float(self.p[x]) if isinstance(x, str) else float(x)

    def _lag(self, dose: Dose) -> float:
        return self._number(dose.lag, self.case.model.species[dose.into].lag, 0.0)

    def delivery(self, dose: Dose, arrives: float) -> _Delivery:
        declared = self.case.model.species[dose.into]
        volume = self.p[declared.volume] if declared.volume else 1.0
        amount = dose.amount * self._number(dose.bioavailability, declared.bioavailability, 1.0)
        i = list(self.case.model.species).index(dose.into)
        if dose.rate is not None:
            rate = self._number(dose.rate, None, 0.0)
            return _Delivery(i, arrives, arrives + amount / rate, 0.0, rate / volume)
        if dose.duration is not None:
            lasts = self._number(dose.duration, None, 0.0)
            return _Delivery(i, arrives, arrives + lasts, 0.0, amount / lasts / volume)
        return _Delivery(i, arrives, arrives, amount / volume, 0.0)

    def flow(self, y: np.ndarray, a: float, b: float, infused: np.ndarray) -> np.ndarray:
        """From a to b with a constant infusion, restarted where the rates jump."""
        n = self.n
        edges = [a, *sorted(x for x in self.case.jumps(self.p) if a < x < b), b]
        for left, right in zip(edges, edges[1:], strict=False):
            # at a jump of the rates, those of the inside of the interval hold
            inside = lambda t, left=left, right=right: min(max(t, np.nextafter(left, right)), np.nextafter(right, left))  # noqa: E731

            def rates(t, z, inside=inside):
                return np.concatenate([self.case.rates(inside(t), z[:n], self.p) + infused, z[:n]])

            found = solve_ivp(rates, (left, right), y, method="LSODA", rtol=RTOL, atol=ATOL, t_eval=[right])
            assert found.success, found.message
            y = found.y[:, -1]
        return y

    def advance(self, y, a: float, b: float, given: list[_Delivery]) -> np.ndarray:
        """From a to b: what arrives at a has been given, what arrives at b is given."""
        edges = {x for d in given for x in (d.start, d.end) if a < x < b}
        edges = [a, *sorted(edges), b]
        for left, right in zip(edges, edges[1:], strict=False):
            infused = np.zeros(self.n)
            for d in given:
                infused[d.species] += d.rate * (d.start <= left < d.end)
            y = self.flow(y, left, right, infused)
            for d in given:
                y[d.species] += d.jump * (d.start == right)
        return y

    def steady_state(self, dose: Dose) -> np.ndarray:
        """At the time of the dose, just before what it gives then."""
        if dose.every is None:
            always, infused = self.delivery(dose, 0.0), np.zeros(self.n)
            infused[always.species] = always.rate
            step, y = 5.0, self.origin
            return self._settled(lambda y, k: self.flow(y, k * step, (k + 1) * step, infused), y)
        every, lasts = dose.every, self.delivery(dose, 0.0)
        behind = int(np.ceil((lasts.end - lasts.start) / every)) + 1

        def period(y, k):
            """From the k-th dose to just before the next; the first one is number 0."""
            begin = k * every
            running = [self.delivery(dose, j * every) for j in range(max(0, k - behind), k + 1)]
            y = y.copy()
            y[running[-1].species] += running[-1].jump
            return self.advance(y, begin, begin + every, running)

        y = self._settled(period, self.origin)
        # on from the dose before the one that is still to come, to `at`
        lag = self._lag(dose)
        past = int(np.floor(lag / every))
        last = dose.at + lag - (past + 1) * every
        running = [self.delivery(dose, last - j * every) for j in range(behind + 1)]
        y = y.copy()
        if last + every > dose.at:
            y[running[0].species] += running[0].jump
            y = self.advance(y, last, dose.at, running)
        return y

    def _settled(self, period, y: np.ndarray) -> np.ndarray:
        for k in range(MOST_PERIODS):
            new = period(y, k)
            new[self.n :] = 0.0
            gap = np.abs(new - y)[: self.n]
            y = new
            if k > 2 and (gap <= 1e-9 * np.abs(y[: self.n]) + 1e-12).all():
                return y
        raise AssertionError("LSODA finds no steady state")

    def integrate(self, regimen: Regimen, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """States and their integrals at `times`, before and after what is given then, each (times, 2 species)."""
        acts = [(t, -1, None) for t in regimen.resets] + [(d.at, i, d) for i, d in enumerate(regimen.doses)]
        acts = sorted(acts, key=lambda x: x[:2])
        y, now, given = self.origin.copy(), 0.0, []
        before, after = np.zeros((2, len(times), 2 * self.n))
        for t in sorted({0.0, *times, *(x[0] for x in acts)}):
            if t > now:
                y = self.advance(y, now, t, [d for d in given if d.start != t])
                now = t
            before[times == t] = y
            arriving = [d for d in given if d.start == t]
            for _, _, dose in (x for x in acts if x[0] == t):
                y, given, arriving = self._act(y, given, arriving, dose, t)
            for d in arriving:
                y = y.copy()
                y[d.species] += d.jump
            after[times == t] = y
        return before, after

    def _act(self, y, given, arriving, dose: Dose | None, t: float):
        """State, deliveries from now on, and those that arrive now, after a reset (None) or a dose record."""
        n, y = self.n, y.copy()
        if dose is None or dose.steady_state == 1:
            y[:n], given, arriving = self.origin[:n], [], []
        if dose is None:
            return y, given, arriving
        if dose.steady_state:
            y[:n] += self.steady_state(dose)[:n] - self.origin[:n]
        first = t + self._lag(dose)
        if dose.every is None and dose.steady_state:
            return y, given, arriving
        new = [self.delivery(dose, first + k * (dose.every or 0.0)) for k in range(dose.additional + 1)]
        if dose.steady_state:
            lasts = new[0].end - new[0].start
            past = int(np.ceil((self._lag(dose) + lasts) / dose.every)) + 1
            old = [self.delivery(dose, first - k * dose.every) for k in range(1, past + 1)]
            new += [d for d in old if d.start >= t or d.end > t]
        return y, given + new, arriving + [d for d in new if d.start == t]
