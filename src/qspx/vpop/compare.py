"""Methods side by side on one problem: the same prior, bounds, target, sizes and seeds, the same numbers of each."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from qspx.vpop.cost import Cost
from qspx.vpop.diagnostics import diversity, ks_distances
from qspx.vpop.laws import AbstractLaw
from qspx.vpop.outputs import Outputs, PopulationError
from qspx.vpop.population import VirtualPopulation
from qspx.vpop.problem import PopulationProblem
from qspx.vpop.sampler import AbstractSampler
from qspx.vpop.weighting import AbstractWeighting

if TYPE_CHECKING:
    import pandas as pd


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A way to a virtual population: who finds patients, who weights them.

    Args:
        name: in the table.
        sampler, weighting: the two steps.
        strict: patients outside the bounds are rejected before weighting. False for publications whose score tolerates
            violations; the share that is strictly plausible is in the table either way.
    """

    name: str
    sampler: AbstractSampler
    weighting: AbstractWeighting
    strict: bool = True

    def make(self, problem: PopulationProblem, n: int, key: Any) -> VirtualPopulation:
        """`n` patients, weighted by the problem's targets."""
        return self.weigh(problem, self.sampler.sample(problem, n, key=key, strict=False), key)

    def weigh(self, problem: PopulationProblem, found: Outputs, key: Any) -> VirtualPopulation:
        """The same, of patients that the sampler has found, those outside the bounds among them."""
        outputs = problem.plausibility.apply(found) if self.strict else found
        return self.weighting.fit(outputs, problem.targets, key=key)


def compare(
    methods: Sequence[Recipe],
    problem: PopulationProblem,
    seeds: Sequence[int],
    *,
    sizes: Sequence[int] = (1000,),
    laws: Mapping[str, AbstractLaw],
    columns: Sequence[str] = (),
) -> pd.DataFrame:
    """One row per method, size and seed.

    Columns: `patients` found and `with_weight`, `effective` (of the weights) and `independent` (of a chain),
    `ks_sum[...]` and the other distances to each of `laws`, correlation errors, diversity, `evaluations` (gradients and
    Jacobians apart), `strictly_plausible`, `failed` solves, and the cost of the whole (`Cost`). A selection that is the
    best of several has the median one beside it (`ks_median`). A method that raises `PopulationError` has it in
    `error`.

    Patients are found once for the recipes that have the same sampler, and each is charged for it. `seconds` and
    `cpu_seconds` include compilation (`compile_seconds`) where a program is met for the first time: look
    at the median over seeds. `peak_memory_gb` is that of the process so far.

    Args:
        laws: what the populations are scored against, by name; the problem's targets are what they are made to match.
        columns: of the table, in this order (default: all).
    """
    import pandas as pd

    rows = []
    for n in sizes:
        of_seeds = [_rows(methods, problem, n, seed, laws) for seed in seeds]
        rows += [row for of_method in zip(*of_seeds, strict=True) for row in of_method]
    table = pd.DataFrame(rows)
    return pd.DataFrame({c: table[c] for c in columns}) if columns else table


def _rows(methods: Sequence[Recipe], problem: PopulationProblem, n: int, seed: int, laws: Mapping[str, AbstractLaw]):
    """The row of every method for one size and seed."""
    rows, found = [], {}
    for recipe in methods:
        row: dict[str, Any] = {"method": recipe.name, "size": n, "seed": seed}
        who = recipe.sampler if isinstance(recipe.sampler, Hashable) else id(recipe.sampler)
        try:
            if who not in found:
                with Cost() as finding:
                    outputs = recipe.sampler.sample(problem, n, key=seed, strict=False)
                found[who] = outputs, finding
            outputs, finding = found[who]
            with Cost() as weighing:
                population = recipe.weigh(problem, outputs, seed)
            row |= finding.plus(weighing) | _numbers(problem, population, laws)
        except PopulationError as error:
            row["error"] = str(error)
        rows.append(row)
    return rows


def _numbers(problem: PopulationProblem, vpop: VirtualPopulation, laws: Mapping[str, AbstractLaw]) -> dict[str, Any]:
    found, details = vpop.outputs.details, vpop.details
    usable = vpop.outputs.usable
    row: dict[str, Any] = {
        "patients": int(usable.sum()),
        "with_weight": len(vpop),
        "effective": vpop.effective_size,
        "effective_share": vpop.effective_size / max(int((vpop.weights > 1e-12 * vpop.weights.max()).sum()), 1),
        "independent": found.get("autocorrelation_size", np.nan),
        "evaluations": found.get("needed_evaluations", found.get("evaluations", np.nan)),
        "gradients": found.get("gradients", found.get("jacobians", 0)),
        "strictly_plausible": found.get("strictly_plausible", np.nan),
        "failed": int(vpop.outputs.ledger.total - vpop.outputs.ledger.ok),
        "reached": found.get("reached", np.nan),
        "ks_median": details.get("ks_median", np.nan),
        "unreached_features": len(vpop.unreached),
        "weighting_seconds": details["seconds"],
    }
    for name, law in laws.items():
        numbers = vpop.diagnostics(law)
        keys = ("ks_sum", "ks_over_noise", "energy", "energy_white", "correlation_error", "spearman_error")
        row |= {f"{key}[{name}]": numbers[key] for key in keys}
        z = law.scores(vpop.outputs.columns(law.names)[usable])
        row[f"ks_sum_unweighted[{name}]"] = float(ks_distances(law, z, np.ones(len(z))).sum())
    return row | diversity(vpop.outputs.cohort.theta[:, problem.columns], problem.box, vpop.weights)


def summary(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Mean and standard deviation over seeds of some columns, as text, by size and method in the order of the table."""
    import pandas as pd

    rows = []
    for size, method in dict.fromkeys(zip(table["size"], table["method"], strict=True)):
        group = table[(table["size"] == size) & (table["method"] == method)]
        row: dict[str, Any] = {"size": size, "method": method, "seeds": len(group)}
        for c in columns:
            x = np.asarray(group[c], float) if c in group else np.zeros(0)
            x = x[np.isfinite(x)]
            row[c] = "" if not len(x) else f"{_short(x.mean())} ± {_short(x.std(ddof=1) if len(x) > 1 else 0.0)}"
        rows.append(row)
    return pd.DataFrame(rows)


def _short(x: float) -> str:
    return f"{x:.0f}" if abs(x) >= 100 else f"{x:.3g}"
