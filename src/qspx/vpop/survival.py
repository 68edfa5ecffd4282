"""Time to an event: shares without it up to some times, as Kaplan and Meier estimate them."""

from __future__ import annotations

import dataclasses

import numpy as np

from qspx.vpop.outputs import PopulationError
from qspx.vpop.targets import Features, Numbers, OneOutput, check_people, finite_numbers


@dataclasses.dataclass(frozen=True, eq=False)
class Survival(OneOutput):
    """Share of people without the event up to and at each time (a Kaplan-Meier curve, say).

    The covariance is Greenwood's, S(s) S(t) G(min(s, t)), with G from whichever of these is given; nothing: exact.

    Args:
        name: the output that is the time of the event, inf (or beyond the last time) where there is none.
            Name such an output among the `events` of the simulator or of `Outputs`, so that survivors are kept.
        times: increasing, shape (k,).
        surviving: share without the event beyond each, shape (k,), not increasing, between 0 and 1.
        n: people, all followed up (none censored before the last time).
        errors: standard error of each share, shape (k,).
        at_risk: people under observation at the start of each interval, shape (k,): the first at time zero, the last at
            the last time but one. With every event's time among `times` and the numbers at risk just before, this is
            Greenwood's formula itself; else people censored within an interval count as observed through it.
        unit: of the times, where it is to be checked against the simulator's.
    """

    name: str
    times: Numbers
    surviving: Numbers
    n: float | None = None
    errors: Numbers | None = None
    at_risk: Numbers | None = None
    unit: str | None = None

    def __post_init__(self):
        of = f"`{self.name}`"
        check_people(self.n, of)
        given = {"times": self.times, "surviving": self.surviving, "errors": self.errors, "at_risk": self.at_risk}
        found = {k: finite_numbers(v, k, of) for k, v in given.items() if v is not None}
        for k, v in found.items():
            if len(v) != len(found["times"]):
                raise PopulationError(
                    f"Argument `{k}` of the target of {of} must hold one number for each of {len(found['times'])} "
                    f"times, but holds {len(v)}."
                )
            object.__setattr__(self, k, v)
        s = np.concatenate([[1.0], found["surviving"]])
        if np.any(np.diff(found["times"]) <= 0) or np.any(np.diff(s) > 0) or s[-1] < 0:
            raise PopulationError(
                f"the target of {of} needs increasing `times` and `surviving` that falls from 1 and stays >= 0, but "
                f"they are {found['times'].tolist()} and {found['surviving'].tolist()}."
            )
        if sum(x is not None for x in (self.n, self.errors, self.at_risk)) > 1:
            raise PopulationError(f"give one of `n`, `errors` and `at_risk` of the target of {of}, not several.")
        for k in ("errors", "at_risk"):
            if k in found and not np.all(found[k] >= (0 if k == "errors" else 1)):
                raise PopulationError(f"Argument `{k}` of the target of {of} is too small: {found[k].tolist()}.")

    @classmethod
    def kaplan_meier(cls, name: str, durations: Numbers, observed: Numbers, times: Numbers) -> Survival:
        """Estimated from individuals, with Greenwood's standard errors.

        Args:
            durations: time of the event, or of the last look, shape (people,).
            observed: 1 where it was the event, 0 where the person was censored, shape (people,).
            times: where the curve is to be matched, increasing.
        """
        t, event = finite_numbers(durations, "durations", f"`{name}`"), np.asarray(observed)
        if event.shape != t.shape or not np.all((event == 0) | (event == 1)):
            raise PopulationError(f"Argument `observed` of `{name}` must be 0 or 1 for each of {len(t)} people.")
        at = np.unique(t[event == 1])
        died = np.array([((t == x) & (event == 1)).sum() for x in at], dtype=float)
        risk = np.array([(t >= x).sum() for x in at], dtype=float)
        s = np.cumprod(1 - died / risk)
        with np.errstate(divide="ignore", invalid="ignore"):
            g = np.cumsum(np.where(died < risk, died / (risk * (risk - died)), 0.0))
        looks = finite_numbers(times, "times", f"`{name}`")
        if looks[-1] > t.max() and not event[t == t.max()].all():
            raise PopulationError(
                f"Argument `times` of `{name}` reaches {looks[-1]:g}, but nobody was followed up beyond {t.max():g}."
            )
        place = np.searchsorted(at, looks, side="right")
        s, g = (np.concatenate([[first], x])[place] for first, x in ((1.0, s), (0.0, g)))
        return cls(name, looks, s, errors=s * np.sqrt(g))

    @property
    def covariance(self) -> np.ndarray:
        """Of the shares, shape (k, k)."""
        s = np.asarray(self.surviving)
        alive = np.where(s > 0, s, 1.0)
        if self.errors is not None:
            g = (np.asarray(self.errors) / alive) ** 2
        elif self.n is not None or self.at_risk is not None:
            risk = self.n * np.concatenate([[1.0], s[:-1]]) if self.n is not None else np.asarray(self.at_risk)
            before = np.concatenate([[1.0], s[:-1]])
            q = np.where(s > 0, 1 - s / np.where(before > 0, before, 1.0), 0.0)
            g = np.cumsum(q / ((1 - q) * np.where(risk > 0, risk, 1.0)))
        else:
            g = np.zeros(len(s))
        at = np.minimum.outer(np.arange(len(s)), np.arange(len(s)))
        return np.outer(s, s) * np.maximum.accumulate(g)[at]

    def features(self, values):
        beyond = (values[:, :1] > np.asarray(self.times)).astype(float)
        labels = tuple(f"{self.name}: beyond {t:.6g}" for t in np.asarray(self.times))
        return Features(beyond, np.asarray(self.surviving), self.covariance, labels)
