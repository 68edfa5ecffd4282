"""Tables of virtual populations: fit, patients, targets, methods side by side, the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .._status import STATUS_ADVICE, Status
from .blocks import Block, Table, text
from .common import capital, joined, slug
from .tables import Column, count, percent, significant, table_from, yes_no

if TYPE_CHECKING:
    from .._status import Ledger
    from ..vpop import PopulationProblem, VirtualPopulation
    from ..vpop.laws import AbstractLaw

Populations = Mapping[str, "VirtualPopulation"]
Frame = Any  # a pandas.DataFrame; its stubs make a Series of every selection
MOST_REASONS = 15
DISTANCES = {
    "ks_sum": "sum of KS",
    "ks_over_noise": "KS over noise",
    "energy": "energy distance",
    "energy_white": "energy, whitened",
    "mean_error": "mean error",
    "sd_error": "SD error",
    "correlation_error": "correl. error",
    "spearman_error": "rank corr. error",
}
_FIT = (
    "Distances of weighted patients to people, on standardised logarithms. “KS over noise” is the sum of "
    "Kolmogorov-Smirnov distances over that of an independent sample of the effective size: below one the fit is "
    "closer than chance, as it is for weights fitted to the same data. Mean and SD errors are in standard deviations; "
    "of these and of the errors of correlations the worst is shown."
)


def fit_table(populations: Populations, law: AbstractLaw, name: str, label: str) -> Iterator[Block]:
    """Distances to one law."""
    import pandas as pd

    from ..vpop.diagnostics import split_noise

    noise = split_noise(law)
    rows = [{"name": key, **v.diagnostics(law)} for key, v in populations.items()]
    columns = [Column("name", "population"), *(Column(k, v, significant) for k, v in DISTANCES.items())]
    note = (
        f"Two halves of the {law.size} people are {significant(noise['ks_noise'])} (sum of KS), "
        f"{significant(noise['energy_noise'])} and {significant(noise['energy_white_noise'])} (energy, whitened) apart."
    )
    yield text(_FIT)
    yield table_from(pd.DataFrame(rows), columns, name=name, caption=f"Distances to {label}.", notes=[note])


def patients_table(populations: Populations, problem: PopulationProblem | None) -> Table:
    """How many patients, what they are worth and what they cost; with a problem, how different they are."""
    import pandas as pd

    from ..vpop.diagnostics import diversity

    rows = []
    for name, v in populations.items():
        found = v.outputs.details
        row: dict[str, Any] = {
            "name": name,
            "looked_at": v.ledger.total,
            "usable": int(v.outputs.usable.sum()),
            "patients": len(v),
            "effective": v.effective_size,
            "share": v.effective_size / max(len(v), 1),
            "largest": float(v.weights.max()),
            "evaluations": found.get("needed_evaluations", found.get("evaluations", np.nan)),
        }
        if problem is not None:
            theta = v.outputs.cohort.theta[:, problem.columns]
            row |= diversity(problem, theta, v.weights)
        rows.append(row)
    columns = [
        Column("name", "population"),
        Column("looked_at", "looked at", count),
        Column("usable", "usable", count),
        Column("patients", "with weight", count),
        Column("effective", "effective", significant),
        Column("share", "share", percent, align_right=True),
        Column("largest", "largest weight", significant),
        Column("evaluations", "model runs", count),
    ]
    notes = ["Effective: 1 / sum of squared weights."]
    if problem is not None:
        columns += [
            Column("cosine_median", "cosine", significant),
            Column("sd_ratio", "SD ratio", significant),
            Column("near_bound", "near a bound", percent, align_right=True),
        ]
        notes.append(
            "Cosine: median over pairs of patients in the unit cube of the prior, 0 for its own draws; SD ratio: of "
            "their places there, over that of its own draws; near a bound: share of coordinates within 0.1 %."
        )
    return table_from(pd.DataFrame(rows), columns, name="patients", caption="Patients and weights.", notes=notes)


def target_tables(populations: Populations) -> Iterator[Block]:
    """What the weights were made to match, for each population."""
    for name, v in populations.items():
        if not v.targets:
            continue
        shown = [
            Column("feature", "feature"),
            Column("target", "target", _three, align_right=True),
            Column("error", "standard error", _three, align_right=True),
            Column("achieved", "achieved", _three, align_right=True),
            Column("reached", "reached", yes_no),
        ]
        table = v.target_table()
        caption = f"{name}: {len(table) - len(v.unreached)} of {len(table)} features of the target reached."
        notes = ["Shares of people, and means and second moments of standardised values."]
        yield table_from(table, shown, name=f"targets-{slug(name)}", caption=caption, notes=notes)


def comparison_blocks(table: Frame) -> Iterator[Block]:
    """What `compare` found: per size a table of numbers by method, mean ± standard deviation over seeds, and errors."""
    import pandas as pd

    from ..vpop.compare import summary

    skipped = {"method", "size", "seed", "error", "compile"}
    numbers = [c for c in table.columns if c not in skipped and table[c].dtype.kind in "fiu" and table[c].notna().any()]
    short: Frame = summary(table, numbers)
    for size in dict.fromkeys(table["size"]):
        mine = short[short["size"] == size]
        kept = [c for c in ("seeds", "errors", *numbers) if c in mine and (mine[c].astype(str) != "").any()]
        wide = pd.DataFrame({"number": [capital(c.replace("_", " ")) for c in kept]})
        for record in mine.to_dict("records"):
            wide[str(record["method"])] = [str(record[c]) or "–" for c in kept]
        columns = [Column("number", ""), *(Column(m, m, align_right=True) for m in wide.columns[1:])]
        caption = f"Methods at {size} patients: mean ± standard deviation over seeds."
        yield table_from(wide, columns, name=f"methods-{size}", caption=caption, data=table[table["size"] == size])
    if "error" in table and table["error"].notna().any():
        failed = table[table["error"].notna()][["method", "size", "seed", "error"]]
        columns = [
            Column("method", "method"),
            Column("size", "size", count),
            Column("seed", "seed"),
            Column("error", ""),
        ]
        yield table_from(failed, columns, name="errors", caption="Methods that failed; they have no numbers above.")


def _three(x: float) -> str:
    """Shares and standardised moments, all of the order of one: three decimals."""
    return f"{round(x, 3) + 0.0:.3f}".replace("-", "−")


def ledgers(populations: Populations) -> dict[str, Ledger]:
    """Each ledger once, by the names of the populations that share it."""
    groups: list[tuple[list[str], Ledger]] = []
    for name, v in populations.items():
        mine = next((names for names, ledger in groups if ledger == v.ledger), None)
        if mine is None:
            groups.append(([name], v.ledger))
        else:
            mine.append(name)
    return {joined(names): ledger for names, ledger in groups}


def ledger_tables(name: str, ledger: Ledger) -> Iterator[Table]:
    """Everyone by status, and the most frequent reasons; all of them are in the CSV file."""
    import pandas as pd

    frame: Frame = ledger.table().assign(meaning=lambda f: [STATUS_ADVICE[Status[s.upper()]] for s in f["status"]])
    columns = [Column("status", "status"), Column("n", "patients", count),
               Column("share", "share", percent, align_right=True), Column("meaning", "meaning")]  # fmt: skip
    yield table_from(frame, columns, name=f"ledger-{slug(name)}", caption=f"{name}: {ledger}.")
    rows = [(s.name.lower(), t, n, n / ledger.total) for s, texts in ledger.reasons.items() for t, n in texts.items()]
    if rows:
        reasons: Frame = pd.DataFrame(rows, columns=["status", "reason", "n", "share"]).sort_values(
            "n", ascending=False
        )
        columns = [Column("status", "status"), Column("reason", "reason"), Column("n", "patients", count),
                   Column("share", "share", percent, align_right=True)]  # fmt: skip
        caption = f"{name}: reasons of rejection; one patient may have several."
        left = len(reasons) - MOST_REASONS
        notes = [f"{left} less frequent ones are in the CSV file of this table."] if left > 0 else []
        shown = reasons.head(MOST_REASONS)
        name = f"reasons-{slug(name)}"
        yield table_from(shown, columns, name=name, caption=caption, notes=notes, data=reasons)
