"""Methods side by side on one problem: the same prior, bounds, target, sizes and seeds, the same numbers of each."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from qspx._errors import QspxError
from qspx._random import as_key
from qspx._status import Status
from qspx.progress import report
from qspx.vpop.comparison_store import ComparisonStore, digest
from qspx.vpop.cost import Cost
from qspx.vpop.diagnostics import diversity, ks_distances
from qspx.vpop.held_out import HeldOut, held_out_scores, held_out_targets, noise_levels
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
        """`n` patients, weighted by the problem's targets. The two steps draw from streams of their own."""
        return self.weigh(problem, self.find(problem, n, key), key)

    def find(self, problem: PopulationProblem, n: int, key: Any) -> Outputs:
        """The first step: `n` patients, those outside the bounds among them. The same for recipes that have the same
        sampler."""
        return self.sampler.sample(problem, n, key=key, strict=False)

    def weigh(self, problem: PopulationProblem, found: Outputs, key: Any) -> VirtualPopulation:
        """The second step, of patients that the first one has found. What is random in it draws from a stream of its
        own."""
        outputs = problem.plausibility.apply(found) if self.strict else found
        return self.weighting.fit(outputs, problem.targets, key=jax.random.fold_in(as_key(key), 1))


def compare(
    methods: Sequence[Recipe],
    problem: PopulationProblem,
    seeds: Sequence[int],
    *,
    sizes: Sequence[int] = (1000,),
    laws: Mapping[str, AbstractLaw],
    held_out: HeldOut | None = None,
    columns: Sequence[str] = (),
    out: str | Path | None = None,
    progress: bool | None = None,
) -> pd.DataFrame:
    """One row per method, size and seed.

    Columns: `patients` found and `with_weight`, `effective` (of the weights) and `independent` (of a chain),
    `ks_sum[...]` and the other distances to each of `laws`, correlation errors, the same of what was held out with the
    level that two halves of the people have (`ks_noise[...]`, `energy_noise[...]`), diversity, `evaluations` (gradients
    and Jacobians apart), `strictly_plausible`, how many were `implausible` and how many solves `failed`, and the cost
    of the whole (`Cost`). A selection that is the best of several has the median one beside it (`ks_median`). A method
    that raises has the reason in `error`, and the other methods go on.

    Patients are found once for the recipes that have the same sampler, and each is charged for it. `seconds` and
    `cpu_seconds` include compilation (`compile_seconds`) where a program is met for the first time: look at the median
    over seeds. `peak_memory_gb` is that of the process so far.

    Args:
        laws: what the populations are scored against, by name; the problem's targets are what they are made to match.
        held_out: targets (laws, rows, summaries) of outputs that no target of the problem speaks of, by name.
        columns: of the table, in this order (default: all).
        out: a directory that gets each row as it comes, and `table.csv` in the end. The same call goes on where an
            interrupted one stopped; more methods, sizes and seeds may be asked for.
        progress: None shows a bar on a terminal and a line every 30 s elsewhere; False is silent.

    Raises:
        PopulationError: if what is held out is not simulated, or is fitted.
        ConfigError: if `out` holds a comparison of another problem, or of another method of the same name.
    """
    import pandas as pd

    names = [m.name for m in methods]
    if twice := sorted({n for n in names if names.count(n) > 1}):
        raise PopulationError(f"Argument `methods` must name each method once, but has {twice} twice.")
    unseen = held_out_targets(problem, held_out or {})
    if twice := sorted({*laws} & {*unseen}):
        raise PopulationError(f"Arguments `laws` and `held_out` must not share the names {twice}: columns have them.")
    store = ComparisonStore(out, _identity(methods, problem, laws, unseen)) if out is not None else None
    asked = [(recipe, n, seed) for n in sizes for recipe in methods for seed in seeds]
    kept = {i: store.read(m.name, n, seed) for i, (m, n, seed) in enumerate(asked)} if store else {}
    rows = {i: row for i, row in kept.items() if row and "error" not in row}  # what failed is tried again
    if len(rows) < len(asked):
        finder, noise = _Finder(methods, problem), noise_levels({**laws, **unseen})
        try:
            with report("comparing methods", len(asked), len(rows), progress) as bar:
                for i, (recipe, n, seed) in enumerate(asked):
                    if i not in rows:
                        rows[i] = _row(recipe, finder, n, seed, laws, unseen) | noise
                        if store:
                            store.write(rows[i])
                        bar.advance()
        except KeyboardInterrupt:
            where = f"are in {store.path}; the same call goes on" if store else "are lost; `out` would have kept them"
            print(f"\ninterrupted: {len(rows)} of {len(asked)} rows {where}.")
            raise
    table = pd.DataFrame([rows[i] for i in range(len(asked))])
    if store:
        store.write_table(table)
    if unknown := [c for c in columns if c not in table]:
        warnings.warn(f"the comparison has no columns {unknown}; it has {[*table.columns]}.", stacklevel=2)
    return table.reindex(columns=[*columns]) if columns else table


def _identity(methods: Sequence[Recipe], problem: PopulationProblem, laws: Any, unseen: Any) -> dict[str, str]:
    """What must be the same for rows to stand in one table."""
    shared = {"problem": digest(problem), "laws": digest(laws), "held_out": digest(unseen)}
    return shared | {f"method {m.name}": digest(m) for m in methods}


class _Finder:
    """Finds patients, once for all recipes that have the same sampler; each is charged for it."""

    def __init__(self, methods: Sequence[Recipe], problem: PopulationProblem):
        self.problem, self.samplers = problem, [digest(m.sampler) for m in methods]
        self.kept: dict[Any, tuple[Outputs, Cost]] = {}

    def __call__(self, recipe: Recipe, n: int, seed: int) -> tuple[Outputs, Cost]:
        who = (digest(recipe.sampler), n, seed)
        if who in self.kept:
            return self.kept[who]
        with Cost() as cost:
            found = recipe.find(self.problem, n, seed), cost
        if self.samplers.count(who[0]) > 1:
            self.kept[who] = found
        return found


def _row(recipe: Recipe, finder: _Finder, n: int, seed: int, laws: Any, unseen: Any) -> dict[str, Any]:
    row: dict[str, Any] = {"method": recipe.name, "size": n, "seed": seed}
    try:
        outputs, finding = finder(recipe, n, seed)
        with Cost() as weighing:
            population = recipe.weigh(finder.problem, outputs, seed)
        row |= finding.plus(weighing) | _numbers(finder.problem, population, laws)
        for name, targets in unseen.items():
            row |= held_out_scores(population, name, targets)
    except Exception as error:  # a method of anyone's may fail in any way, and the others are to go on
        row["error"] = str(error) if isinstance(error, QspxError) else f"{type(error).__name__}: {error}"
    return row


def _numbers(problem: PopulationProblem, vpop: VirtualPopulation, laws: Mapping[str, AbstractLaw]) -> dict[str, Any]:
    found, details = vpop.outputs.details, vpop.details
    usable, ledger = vpop.outputs.usable, vpop.outputs.ledger
    row: dict[str, Any] = {
        "patients": int(usable.sum()),
        "with_weight": len(vpop),
        "effective": vpop.effective_size,
        "effective_share": vpop.effective_size / max(int((vpop.weights > 1e-12 * vpop.weights.max()).sum()), 1),
        "independent": found.get("autocorrelation_size", np.nan),
        "evaluations": found.get("needed_evaluations", found.get("evaluations", np.nan)),
        "gradients": found.get("gradients", found.get("jacobians", 0)),
        "strictly_plausible": found.get("strictly_plausible", np.nan),
        "implausible": ledger.counts[Status.IMPLAUSIBLE],
        "failed": ledger.total - sum(ledger.counts[s] for s in (Status.OK, Status.IMPLAUSIBLE, Status.EXCLUDED)),
        "reached": found.get("reached", np.nan),
        "ks_median": details.get("ks_median", np.nan),
        "unreached_features": len(vpop.unreached),
        "weighting_seconds": details["seconds"],
    }
    for name, law in laws.items():
        numbers = vpop.diagnostics(law)
        keys = ("ks_sum", "ks_over_noise", "energy", "energy_white", "correlation_error", "spearman_error")
        keys += ("energy_over_noise", "energy_white_over_noise")
        keys += ("mean_error", "sd_error")
        row |= {f"{key}[{name}]": numbers[key] for key in keys}
        z = law.scores(vpop.outputs.columns(law.names)[usable])
        row[f"ks_sum_unweighted[{name}]"] = float(ks_distances(law, z, np.ones(len(z))).sum())
    return row | diversity(problem, vpop.outputs.cohort.theta[:, problem.columns], vpop.weights)


def summary(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Mean and standard deviation over seeds of some columns, as text, by size and method in the order of the table."""
    import pandas as pd

    rows = []
    for size, method in dict.fromkeys(zip(table["size"], table["method"], strict=True)):
        group = table[(table["size"] == size) & (table["method"] == method)]
        row: dict[str, Any] = {"size": size, "method": method, "seeds": len(group)}
        if "error" in table:
            row["errors"] = sum(isinstance(e, str) for e in group["error"])  # these seeds have no numbers below
        for c in columns:
            x = np.asarray(group[c], float) if c in group else np.zeros(0)
            x = x[np.isfinite(x)]
            row[c] = "" if not len(x) else f"{_short(x.mean())} ± {_short(x.std(ddof=1) if len(x) > 1 else 0.0)}"
        rows.append(row)
    return pd.DataFrame(rows)


def _short(x: float) -> str:
    return f"{x:.0f}" if abs(x) >= 100 else f"{x:.3g}"
