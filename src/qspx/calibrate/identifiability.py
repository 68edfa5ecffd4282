"""Which parameters the data can tell, and which only in combination.

The eigenvectors of the Fisher information with eigenvalue zero are movements of the parameters that change no expected
measurement. Where such a movement keeps a product, ratio, sum or difference, the verdict names it.

This is a local statement about these measurements, with their times and noise, at this point; priors are left out. The
same is looked at in some points nearby, to tell a property of the model from a coincidence. A combination that is
unseen in all of them is unidentifiable for reasons of structure as far as numbers can tell: a proof needs algebra
(differential algebra, for instance StructuralIdentifiability.jl). A parameter may also be seen, but so faintly that its
interval is as wide as its bounds: practically unidentifiable, which better data would mend; see its profile.

Sloppiness and rank: Rothenberg, Econometrica 39:577 (1971), doi:10.2307/1913267. Structural against practical: Raue et
al., Bioinformatics 25:1923 (2009), doi:10.1093/bioinformatics/btp358.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import jax
import numpy as np

from qspx._errors import CalibrationError
from qspx._random import KeyLike, as_key
from qspx.calibrate.combinations import Combination, simplest, whole
from qspx.calibrate.information import Information, checked_point, fisher_information, slope, z_of
from qspx.calibrate.lanes import in_lanes
from qspx.calibrate.objective import Objective
from qspx.calibrate.priors import without_priors
from qspx.calibrate.spectrum import RANK_AT, Spectrum, spectrum

if TYPE_CHECKING:
    import pandas as pd


@dataclasses.dataclass(frozen=True, eq=False)
class Identifiability:
    """What the data can tell about the parameters.

    Args:
        information: of the data alone, at the point.
        combinations: of parameters that cannot be told apart.
        ranks: rank of the information at each point tried that could be evaluated, the point itself first.
        failed: number of points that could not be evaluated.
    """

    information: Information
    combinations: tuple[Combination, ...]
    ranks: tuple[int, ...]
    failed: int

    @property
    def rank(self) -> int:
        """Number of combinations that are determined."""
        return self.information.spectrum.rank

    @property
    def identifiable(self) -> bool:
        """Whether every parameter that is not at a bound is determined."""
        return not self.combinations

    @property
    def coincidences(self) -> int:
        """Directions that are unseen at the point but seen nearby."""
        return max(self.ranks) - self.rank

    @property
    def span(self) -> float:
        """Largest over smallest eigenvalue that is not zero: sloppiness, in orders of magnitude its logarithm."""
        s = self.information.spectrum
        seen = s.values[~s.null]
        return float(seen.max() / seen.min()) if seen.size else float("nan")

    @property
    def verdicts(self) -> dict[str, str]:
        """For each parameter: "identifiable", "weak", "combination", "none" or "bound"."""
        info = self.information
        wide = _wide(info)
        alone = {c.names[0] for c in self.combinations if c.kind == "none"}
        involved = {name for c in self.combinations for name in c.names}
        found = {}
        for i, name in enumerate(info.names):
            if not info.free[i]:
                found[name] = "bound"
            elif name in alone:
                found[name] = "none"
            elif name in involved or not info.determined[i]:
                found[name] = "combination"
            else:
                found[name] = "weak" if wide[i] else "identifiable"
        return found

    def to_dataframe(self) -> pd.DataFrame:
        """One row per parameter: parameter, verdict, se on the estimation scale, and what is said of it."""
        import pandas as pd

        said = [
            "; ".join(str(c) for c in self.combinations if name in c.names) or _SAID[verdict]
            for name, verdict in self.verdicts.items()
        ]
        return pd.DataFrame(
            {
                "parameter": list(self.verdicts),
                "verdict": list(self.verdicts.values()),
                "se": self.information.se,
                "said": said,
            }
        )

    def __str__(self) -> str:
        free = int(self.information.free.sum())
        lines = [f"{self.rank} of {free} combinations of parameters are determined by these data, at this point."]
        lines += [f"- {c}{self._reach(c)}" for c in self.combinations]
        for verdict, said in _SAID.items():
            names = [n for n, v in self.verdicts.items() if v == verdict]
            if names and verdict not in ("combination", "none"):
                lines.append(f"- {', '.join(names)}: {said}")
        points = len(self.ranks) - 1
        if points and self.coincidences:
            lines.append(
                f"At {points} points nearby up to {max(self.ranks)} are determined: {self.coincidences} of the "
                "combinations above may be a coincidence of this point."
            )
        elif points:
            lines.append(f"The rank is the same at {points} points nearby.")
        if self.failed:
            lines.append(f"{self.failed} points nearby could not be evaluated.")
        return "\n".join(lines)

    def _reach(self, c: Combination) -> str:
        if c.kind == "local":
            return " (at this point; the movement may turn from point to point)"
        if c.everywhere == len(self.ranks):
            return f" (at all {c.everywhere} points tried: structural, as far as numbers can tell)"
        return f" (at {c.everywhere} of {len(self.ranks)} points tried)"


_SAID = {
    "identifiable": "identifiable",
    "weak": "seen, but so faintly that the 95 % interval is as wide as the bounds (practically not identifiable)",
    "combination": "not identifiable alone",
    "none": "no influence",
    "bound": "at a bound, not judged",
}


def identifiability(
    objective: Objective,
    x: np.ndarray,
    *,
    points: int = 8,
    spread: float = 0.05,
    key: KeyLike = 0,
    rank_at: float = RANK_AT,
) -> Identifiability:
    """What the data can tell about the parameters near `x`, estimation scale, shape (estimated,).

    Args:
        objective: the likelihood; its priors do not count here.
        x: usually the optimum.
        points: number of points nearby at which the verdict is checked.
        spread: how far they lie from `x` in each coordinate, as a share of its range.
        key: of the points.
        rank_at: eigenvalues below this share of the largest count as zero.

    Raises:
        CalibrationError: if `x` has another shape, or a run fails there.
    """
    x = checked_point(objective, x)
    if points < 0 or not 0 < spread <= 1:
        raise CalibrationError(
            f"Arguments `points` and `spread` must be >= 0 and in (0, 1], but {points} and {spread} were given."
        )
    data_only = without_priors(objective)
    info = fisher_information(data_only, x, rank_at=rank_at)
    low, high = objective.box.T
    free = info.free
    moves = np.asarray(jax.random.uniform(as_key(key), (points, len(x)), minval=-1.0, maxval=1.0))
    near = np.clip(x + np.where(free, spread * moves * (high - low), 0.0), low, high)
    evaluated = in_lanes(data_only, near) if points else None
    ok = np.zeros(0, bool) if evaluated is None else evaluated.ok
    spectra = [info.spectrum]
    if evaluated is not None:
        width = (high - low)[free]
        spectra += [spectrum(f[np.ix_(free, free)], width, rank_at) for f in evaluated.information[ok]]
    places = np.concatenate([x[None], near[ok]]) if points else x[None]
    found = _named(objective, places, spectra, free)
    return Identifiability(info, found, tuple(s.rank for s in spectra), int(points - ok.sum()))


def _wide(info: Information) -> np.ndarray:
    """Which 95 % intervals are as wide as the bounds: wider on the estimation scale, or, on a logit, which has none
    there, over more than 95 % of the range, as one would be that is drawn from it uniformly. Shape (estimated,)."""
    box, estimated = info.objective.box, info.objective.estimated
    ends, bounds = info.interval(0.95), np.array([e.bounds for e in estimated])
    logit = np.array([e.scale == "logit" for e in estimated])
    share = (ends[:, 1] - ends[:, 0]) / (bounds[:, 1] - bounds[:, 0])
    return np.where(logit, share > 0.95, 2 * z_of(0.95) * info.se > box[:, 1] - box[:, 0])


def _named(
    objective: Objective, places: np.ndarray, spectra: Sequence[Spectrum], free: np.ndarray
) -> tuple[Combination, ...]:
    """Names for the directions that the first of `spectra` does not see; `places` (points, estimated)."""
    basis = spectra[0].unseen
    slopes, values = slope(objective, places)[:, free], np.asarray(objective.natural(places))[:, free]
    names = [n for n, f in zip(objective.names, free, strict=True) if f]
    found: list[Combination] = []
    taken = np.zeros((len(names), 0))

    def take(direction: np.ndarray, weights: np.ndarray, kind: str, everywhere: int) -> None:
        nonlocal taken
        wider = np.column_stack([taken, direction / np.linalg.norm(direction)])
        if np.linalg.matrix_rank(wider, tol=1e-3) == wider.shape[1]:
            taken = wider
            at = np.flatnonzero(weights)
            full = np.zeros(len(free))
            full[free] = direction
            found.append(
                Combination(tuple(names[i] for i in at), tuple(float(weights[i]) for i in at), kind, full, everywhere)
            )

    for i in np.flatnonzero(spectra[0].blind):
        alone = np.eye(len(names))[i]
        take(alone, alone, "none", sum(bool(s.blind[i]) for s in spectra))
    inner = basis * ~spectra[0].blind[:, None]
    kinds = [("product", values / slopes)] if (values > 0).all() else []
    tried: list[tuple[int, int, np.ndarray, np.ndarray, str]] = []
    for order, (kind, per_weight) in enumerate([*kinds, ("sum", 1 / slopes)]):
        for column in simplest(inner / per_weight[0][:, None]).T if inner.any() else []:
            weights = whole(column)
            if weights is None or np.count_nonzero(weights) < 2:
                continue
            unseen = [not s.sees(weights * per) for s, per in zip(spectra, per_weight, strict=True)]
            if unseen[0]:
                tried.append((-sum(unseen), order, weights * per_weight[0], weights, kind))
    for score, _, direction, weights, kind in sorted(tried, key=lambda entry: entry[:2]):
        if len(found) < basis.shape[1]:
            take(direction, weights, kind, -score)
    if len(found) < basis.shape[1]:
        for column in simplest(inner).T:
            if len(found) < basis.shape[1] and column.any():
                weights = np.where(np.abs(column) < 1e-3 * np.abs(column).max(), 0.0, column)
                take(column, weights, "local", sum(not s.sees(column) for s in spectra))
    return tuple(found)
