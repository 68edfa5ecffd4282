"""Profile likelihoods: how much worse the best fit gets as one parameter is moved.

    PL(p) = max over the other parameters of log-posterior,   interval {p: PL(best) - PL(p) <= ½ χ²₁(level)}

1.9207 at 95 %. The interval needs no parabola, follows curved valleys, and is open where the data allow any value: a
flat profile is a parameter that is not identifiable, one that stays below the threshold on one side only is
practically not identifiable. The ends are interpolated on the root of the loss, which is straight for a parabola.

Raue et al., Bioinformatics 25:1923 (2009), doi:10.1093/bioinformatics/btp358. It tells that something is wrong when a
profile rises above its start (a better fit was found: `improved`), or has gaps (`failed`).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from qspx._errors import CalibrationError, closest
from qspx.calibrate.climb import Climb
from qspx.calibrate.information import at_bound, checked_point, z_of
from qspx.calibrate.objective import Objective
from qspx.calibrate.refine import Refined
from qspx.progress import report

if TYPE_CHECKING:
    import pandas as pd

_STEPS = 4  # points between the optimum and the threshold, where the profile is a parabola
_LARGEST = 0.1  # step, as a share of the range
_SMALLEST = 1e-5
_ENDS = 1e-3  # accuracy of the ends, in units of the threshold
_MOST = 80  # points of one side
NOTEWORTHY = 1e-2  # log-likelihood by which another fit must be better to be called so

CLOSED, OPEN, UNRESOLVED = "closed", "open", "unresolved"


@dataclasses.dataclass(frozen=True, eq=False)
class Profile:
    """Profile of one parameter.

    Args:
        name: of the parameter.
        x: estimation coordinates of the points, ordered by the parameter, shape (points, estimated).
        values: the parameter itself, shape (points,).
        drop: log-posterior lost against the best point, shape (points,).
        threshold: at which the interval ends.
        interval: of the parameter itself; a bound of the search where it is open there, NaN where not resolved.
        ends: for each side, "closed", "open" (below the threshold up to the bound) or "unresolved" (fits failed).
        failed: number of points whose fit failed.
        leaning: for each closed side, other parameters that are at a bound at its end: without that bound the interval
            might be wider.
    """

    name: str
    x: np.ndarray
    values: np.ndarray
    drop: np.ndarray
    threshold: float
    interval: tuple[float, float]
    ends: tuple[str, str]
    failed: int
    leaning: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())

    @property
    def verdict(self) -> str:
        """In words: "identifiable", "flat: not identifiable", "open on the right", "not resolved on the left"."""
        if self.ends == (OPEN, OPEN):
            flat = self.drop.max() < 0.05 * self.threshold
            return "flat: not identifiable" if flat else "open on both sides: practically not identifiable"
        said = []
        for side, end, leaning in zip(("left", "right"), self.ends, self.leaning, strict=True):
            if end != CLOSED:
                said.append(f"{'open' if end == OPEN else 'not resolved'} on the {side}")
            elif leaning:
                said.append(f"closed on the {side} by the bounds of {', '.join(leaning)}, not by the data")
        return ", ".join(said) or "identifiable"

    @property
    def ends_in_words(self) -> tuple[str, str]:
        """Of the interval, with what else than the data closed it: "2.13", "<= 7.77 (bound of Q)", "<= 10 (its
        bound)", "not resolved"."""
        said = []
        for sign, at, end, leaning in zip((">=", "<="), self.interval, self.ends, self.leaning, strict=True):
            if end == UNRESOLVED:
                said.append("not resolved")
            elif end == OPEN:
                said.append(f"{sign} {at:.4g} (its bound)")
            else:
                said.append(f"{sign} {at:.4g} (bound of {', '.join(leaning)})" if leaning else f"{at:.4g}")
        return said[0], said[1]

    def plot(self, ax: Any = None):
        """Loss of log-posterior against the parameter, with the threshold. Returns the matplotlib Axes."""
        import matplotlib.pyplot as plt

        ax = ax or plt.subplots()[1]
        (line,) = ax.plot(self.values, self.drop, marker=".")
        ax.axhline(self.threshold, color="0.5", linestyle="--")
        for edge, end in zip(self.interval, self.ends, strict=True):
            if end == CLOSED:
                ax.axvline(edge, color=line.get_color(), linewidth=0.8, alpha=0.6)
        ax.set(xlabel=self.name, ylabel="loss of log-posterior", ylim=(0, 2 * self.threshold))
        ax.set_title(self.verdict, fontsize="small")
        return ax


@dataclasses.dataclass(frozen=True, eq=False)
class Profiles:
    """Profiles of several parameters, by name: `profiles["k"]`.

    Args:
        objective: whose.
        of: the profiles.
        best: coordinates of the best point of all, shape (estimated,).
        improved: log-posterior that this is above where the profiles began, 0 where that was as good.
        level: confidence level.
        evaluations: number of evaluations of the log-posterior.
    """

    objective: Objective
    of: Mapping[str, Profile]
    best: np.ndarray
    improved: float
    level: float
    evaluations: int

    def __getitem__(self, name: str) -> Profile:
        if name not in self.of:
            raise CalibrationError(f"there is no profile of `{name}`; there are {list(self.of)}.")
        return self.of[name]

    def to_dataframe(self) -> pd.DataFrame:
        """One row per parameter: parameter, estimate, low, high, verdict, points, failed."""
        import pandas as pd

        value = dict(zip(self.objective.names, np.asarray(self.objective.natural(self.best)), strict=True))
        rows = [
            (n, value[n], *p.interval, p.verdict, len(p.values), p.failed) for n, p in self.of.items()
        ]  # fmt: skip
        return pd.DataFrame(rows, columns=["parameter", "estimate", "low", "high", "verdict", "points", "failed"])

    def plot(self, axes: Any = None):
        """One panel per parameter. Returns the matplotlib Axes."""
        import matplotlib.pyplot as plt

        if axes is None:
            across = min(3, len(self.of))
            down = math.ceil(len(self.of) / across)
            size = (3.4 * across, 2.8 * down)
            axes = plt.subplots(down, across, figsize=size, squeeze=False, layout="constrained")[1]
        axes = np.asarray(axes).ravel()
        for p, ax in zip(self.of.values(), axes, strict=False):
            p.plot(ax)
            if self.objective.estimated[self.objective.names.index(p.name)].scale in ("log", "log10"):
                ax.set_xscale("log")
        for ax in axes[len(self.of) :]:
            ax.set_axis_off()
        return axes

    def __str__(self) -> str:
        frame = self.to_dataframe()
        frame["low"], frame["high"] = zip(*(p.ends_in_words for p in self.of.values()), strict=True)
        text = f"profile likelihoods, {100 * self.level:g} % intervals\n{frame.to_string(index=False)}"
        if self.improved:
            text += f"\nA better fit was found on the way: log-posterior {self.improved:.3g} higher. Fit again from it."
        return text


def profile(
    objective: Objective,
    x: np.ndarray,
    parameters: Sequence[str] | None = None,
    *,
    level: float = 0.95,
    progress: bool | None = None,
) -> Profiles:
    """Profile likelihoods of some parameters (default: all). Both sides of all are followed together, in lanes.

    Args:
        objective: the log-posterior.
        x: the optimum, estimation scale, shape (estimated,). It is refined first.
        parameters: names.
        level: confidence level of the intervals.
        progress: None shows a bar on a terminal and a line every 30 s elsewhere; False is silent.

    Raises:
        CalibrationError: for an unknown parameter, a point outside the box, or one where a run fails.
    """
    x = checked_point(objective, x)
    names = list(objective.names if parameters is None else parameters)
    for name in names:
        if name not in objective.names:
            raise CalibrationError(
                f"Argument `parameters` must name estimated parameters, but has `{name}`."
                f"{closest(name, objective.names)}"
            )
    threshold = 0.5 * z_of(level) ** 2

    climb = Climb(objective)
    start = climb(x[None])
    if not np.isfinite(start.value[0]):
        raise CalibrationError("Argument `x` must be a point where every run is solved; take the best point of a fit.")
    walks = {
        (name, side): _Walk(objective.box, objective.names.index(name), side, threshold, start)
        for name in names
        for side in (-1, 1)
    }
    count = start.evaluations
    asked = {key: next(walk.steps) for key, walk in walks.items()}
    with report("profiles: sides done", len(walks), show=progress) as bar:
        while asked:
            keys = list(asked)
            held = np.zeros((len(keys), len(x)), bool)
            held[np.arange(len(keys)), [walks[k].i for k in keys]] = True
            found = climb(np.stack([asked[k] for k in keys]), held)
            count += found.evaluations
            asked = {}
            for row, key in enumerate(keys):
                try:
                    asked[key] = walks[key].steps.send(_row(found, row))
                except StopIteration:
                    bar.advance()
    profiles, best = _collected(objective, names, walks, start, threshold), start
    points = [point for walk in walks.values() for point in walk.points]
    better = min(points, key=lambda p: p[1], default=(start.x[0], 0.0))
    if better[1] < -NOTEWORTHY:
        best = climb(better[0][None])
        count += best.evaluations
    improved = float(best.value[0] - start.value[0])
    return Profiles(objective, profiles, best.x[0], improved, level, count)


def _row(found: Refined, i: int) -> Refined:
    x, value, gradient, information, outcome, count = found
    one = slice(i, i + 1)
    return Refined(x[one], value[one], gradient[one], information[one], outcome[one], count)


class _Walk:
    """One side of one profile: `steps` asks for fits (coordinates to start from, the parameter in its place) and is
    sent what was found."""

    def __init__(self, box: np.ndarray, i: int, side: int, threshold: float, start: Refined):
        self.box, self.i, self.side, self.threshold = box, i, side, threshold
        self.points: list[tuple[np.ndarray, float]] = []  # coordinates, loss
        self.end, self.edge, self.failed = UNRESOLVED, math.nan, 0
        self.steps = self._steps(start)

    def _steps(self, start: Refined) -> Generator[np.ndarray, Refined, None]:
        i, side, c = self.i, self.side, self.threshold
        bound, width = self.box[i, 1 if side > 0 else 0], self.box[i, 1] - self.box[i, 0]
        before, at, root = start, start.x[0], 0.0
        size = self._first_size(start, width)
        while len(self.points) < _MOST and size > _SMALLEST * width:
            place = at[i] + side * min(size, side * (bound - at[i]))
            found = yield self._predicted(before, place)
            if not found.ok[0]:
                self.failed += 1
                size *= 0.25
                continue
            loss = float(start.value[0] - found.value[0])
            new = math.sqrt(max(loss, 0.0))
            if new - root > math.sqrt(c) and size > 1e-3 * width:
                size *= 0.4  # it rose faster than foreseen
                continue
            self.points.append((found.x[0], loss))
            if loss >= c:
                yield from self._end((before, at[i], root), (found, place, new), start)
                return
            if place == bound:
                self.end, self.edge = OPEN, bound
                return
            rise = max(new - root, 1e-12)
            size = min(size * min(max(math.sqrt(c) / _STEPS / rise, 0.3), 2.5), _LARGEST * width)
            before, at, root = found, found.x[0], new

    def _first_size(self, start: Refined, width: float) -> float:
        """A step that costs a sixteenth of the threshold, by the parabola."""
        i = self.i
        rest = np.arange(len(self.box)) != i
        f = start.information[0]
        with np.errstate(all="ignore"):
            cross = f[rest, i]
            left = f[i, i] - cross @ np.linalg.lstsq(f[np.ix_(rest, rest)], cross, rcond=1e-10)[0]
        if not left > 1e-10 * max(f[i, i], 1e-300):
            return _LARGEST * width
        return min(math.sqrt(2 * self.threshold / left) / _STEPS, _LARGEST * width)

    def _predicted(self, at: Refined, place: float) -> np.ndarray:
        """The parameter in its place, the others moved along the valley."""
        i, x, f = self.i, at.x[0].copy(), at.information[0]
        low, high = self.box.T
        rest = (np.arange(len(x)) != i) & (x > low) & (x < high)
        if rest.any():
            turn = np.linalg.lstsq(f[np.ix_(rest, rest)], -f[rest, i], rcond=1e-10)[0]
            x[rest] = np.clip(x[rest] + turn * (place - x[i]), low[rest], high[rest])
        x[i] = place
        return x

    def _end(self, inside: tuple, outside: tuple, start: Refined) -> Generator[np.ndarray, Refined, None]:
        """Close in on where the threshold is crossed, between two points (fit, place, root of loss)."""
        target = math.sqrt(self.threshold)
        for _ in range(12):
            (_, a, ra), (_, b, rb) = inside, outside
            if abs(rb**2 - self.threshold) <= _ENDS * self.threshold:
                break
            share = min(max((target - ra) / (rb - ra), 0.05), 0.95)
            found = yield self._predicted(inside[0], a + share * (b - a))
            if not found.ok[0]:
                self.failed += 1
                return
            loss = float(start.value[0] - found.value[0])
            self.points.append((found.x[0], loss))
            entry = (found, float(found.x[0][self.i]), math.sqrt(max(loss, 0.0)))
            if abs(loss - self.threshold) <= _ENDS * self.threshold:
                outside = entry
                break
            inside, outside = (entry, outside) if loss < self.threshold else (inside, entry)
        (_, a, ra), (_, b, rb) = inside, outside
        # the threshold is within _ENDS of the last point, on whichever side of it
        self.edge = a + (target - ra) / (rb - ra) * (b - a)
        self.end = CLOSED


def _collected(
    objective: Objective,
    names: Sequence[str],
    walks: Mapping[tuple[str, int], _Walk],
    start: Refined,
    threshold: float,
) -> dict[str, Profile]:
    profiles = {}
    for name in names:
        left, right = walks[name, -1], walks[name, 1]
        i = left.i
        points = sorted([*left.points, (start.x[0], 0.0), *right.points], key=lambda p: p[0][i])
        x, drop = np.stack([p[0] for p in points]), np.array([p[1] for p in points])
        edges = []
        for walk in (left, right):
            at = start.x[0].copy()
            at[i] = walk.edge
            edges.append(float(np.asarray(objective.natural(at))[i]))
        values = np.asarray(objective.natural(x))[:, i]
        ends = (left.end, right.end)
        leaning = tuple(_at_bounds(objective, x[row], i) if walk.end == CLOSED else () for row, walk in
                        ((0, left), (-1, right)))  # fmt: skip
        interval, failed = (edges[0], edges[1]), left.failed + right.failed
        profiles[name] = Profile(name, x, values, drop, threshold, interval, ends, failed, leaning)  # type: ignore[arg-type]
    return profiles


def _at_bounds(objective: Objective, x: np.ndarray, but: int) -> tuple[str, ...]:
    near = at_bound(objective, x)
    return tuple(name for k, name in enumerate(objective.names) if near[k] and k != but)
