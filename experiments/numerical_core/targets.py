"""The targets that the numerical core set itself, and whether this run reached them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

from .contest import SPREAD, Contest
from .gradients import GradientCost
from .tables import number, table, thread_scaling


@dataclasses.dataclass(frozen=True)
class Target:
    """`found` is to be at most (or at least) `limit`."""

    what: str
    limit: float
    found: float
    at_most: bool = False

    @property
    def verdict(self) -> str:
        if math.isnan(self.found):
            return "not measured"
        reached = self.found <= self.limit if self.at_most else self.found >= self.limit
        return "reached" if reached else "**not reached**"

    def row(self) -> list[str]:
        relation = "≤" if self.at_most else "≥"
        return [self.what, f"{relation} {number(self.limit)}", number(self.found), self.verdict]


def targets(contests: Mapping[str, Contest], gradients: Sequence[GradientCost] = ()) -> list[Target]:
    found: list[Target] = []
    if tce := contests.get("tce12"):
        found += [
            Target("tce12, rtol 1e-6: native, CPU µs/patient", 60, own(tce), at_most=True),
            Target("tce12: numbalsoda over native", 12, tce.ratio("numbalsoda")),
            Target("tce12: CVODE in C, dense, over native", 40, tce.ratio("cvode")),
            Target("tce12: libroadrunner over native", 25, tce.ratio("roadrunner")),
            Target("tce12: vmapped Kvaerno5 over native", 1000, tce.ratio("kvaerno5")),
            Target("tce12: vmapped Kvaerno5 over tier 3", 30, tce.ratio("kvaerno5", "tier3")),
            Target("tce12: seconds to compile, native", 2, compilation(tce), at_most=True),
            Target("tce12: 2 threads over 1", 1.9, thread_scaling(tce)),
            Target("tce12: use of the lanes at CV 50 %", 0.98, tce.lanes.get(f"queue, CV {SPREAD:.0%}", math.nan)),
        ]
    if casc := contests.get("casc48"):
        found += [
            Target("casc48: native, CPU µs/patient", 350, own(casc), at_most=True),
            Target("casc48: CVODE in C, KLU, over native", 20, casc.ratio("cvode-klu")),
            Target("casc48: seconds to compile, native", 5, compilation(casc), at_most=True),
        ]
    found += [Target(f"{g.workload}: gradient over its own run", 4.5, g.ratio, at_most=True) for g in gradients]
    return found


def own(contest: Contest) -> float:
    return contest.rows["native"].cpu_median if "native" in contest.rows else math.nan


def compilation(contest: Contest) -> float:
    return contest.lowering + contest.rows["native"].compile if "native" in contest.rows else math.nan


def target_table(contests: Mapping[str, Contest], gradients: Sequence[GradientCost] = ()) -> str:
    return table(["target", "limit", "found", ""], [t.row() for t in targets(contests, gradients)])


def gradient_table(gradients: Sequence[GradientCost]) -> str:
    rows = [
        [g.workload, str(g.derivatives), number(g.forward), number(g.gradient), number(g.ratio), number(g.compile)]
        for g in gradients
    ]
    return table(["workload", "derivatives", "run, µs", "gradient, µs", "ratio", "first call, s"], rows)
