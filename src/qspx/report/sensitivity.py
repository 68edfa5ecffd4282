"""Section 7.4: what the dose depends on, one row per input with the numbers of every metric beside each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from . import figures
from .blocks import Block, Figure, Table, missing, text
from .common import capital, slug
from .drawing import axes_svg
from .tables import Column, require_columns, signed, table_from

Frame = Any  # a pandas.DataFrame; its stubs make a Series of every selection
HARDLY = 0.05  # |d log D* / d log p| below which an input is listed as one that the dose hardly depends on
_MOST_CORRELATED = 3  # metrics; with more, the correlations no longer fit on the page
_KEYS = ("parameter", "meaning", "metric", "elasticity_dose", "rank_correlation", "tag", "source")


def sensitivity(rationale: Any) -> Iterator[Block]:
    """Tornado of each metric, the table, and the inputs that hardly matter."""
    data = rationale.sensitivity
    require_columns(data, _KEYS, "rationale.sensitivity")
    if not len(data):
        yield missing("A sensitivity analysis of the dose was not supplied.")
        return
    for metric in dict.fromkeys(data["metric"]):
        yield _tornado(data[data["metric"] == metric], str(metric))
    wide = pivot(data)
    yield _table(wide[wide["size"] >= HARDLY].reset_index(drop=True), data)
    hardly = [str(row["meaning"] or row["parameter"]) for row in wide[wide["size"] < HARDLY].to_dict("records")]
    if hardly:
        yield text(f"The dose hardly depends on {len(hardly)} further inputs (elasticity below {HARDLY} in size for "
                   f"every metric): {', '.join(hardly)}.")  # fmt: skip


def pivot(data: Frame) -> Frame:
    """One row per parameter, largest |elasticity| of any metric first.

    Columns: parameter, meaning, tag, size (that largest elasticity, unsigned), and for the k-th metric `elasticity_k`
    and `rank_correlation_k` (NaN where the metric has no such row).
    """
    wide = data.drop_duplicates("parameter")[["parameter", "meaning", "tag"]].reset_index(drop=True)
    largest = data["elasticity_dose"].abs().groupby(data["parameter"]).max()
    wide["size"] = wide["parameter"].map(largest).fillna(0.0)
    for k, metric in enumerate(dict.fromkeys(data["metric"])):
        one = data[data["metric"] == metric].drop_duplicates("parameter").set_index("parameter")
        wide[f"elasticity_{k}"] = wide["parameter"].map(one["elasticity_dose"])
        wide[f"rank_correlation_{k}"] = wide["parameter"].map(one["rank_correlation"])
    return wide.sort_values(["size", "parameter"], ascending=[False, True]).reset_index(drop=True)


def _table(wide: Frame, data: Frame) -> Table:
    metrics = list(dict.fromkeys(data["metric"]))
    share = 44 / len(metrics) / 2  # percent of the width per column of numbers
    columns = [Column("meaning", "Input", width=30), Column("parameter", "Symbol", monospace=True, width=14)]
    for k, metric in enumerate(metrics):
        group = capital(str(metric)) if len(metrics) > 1 else ""
        columns.append(Column(f"elasticity_{k}", "Elasticity", signed, width=share, align_right=True, group=group))
        if len(metrics) <= _MOST_CORRELATED:
            key, title = f"rank_correlation_{k}", "Partial rank correlation"
            columns.append(Column(key, title, signed, width=share, align_right=True, group=group))
    columns.append(Column("tag", "Evidence"))
    notes = [
        "Elasticity: d log D* / d log p of the dose D* that meets the criterion, for the typical subject.",
        "Partial rank correlation: of an input that varies between virtual subjects with the metric, the other varied "
        "inputs held; since a higher metric means a lower dose, its sign is opposite to that of the elasticity.",
        f"Inputs with an elasticity below {HARDLY} in size are named in the text.",
    ]
    if len(metrics) > _MOST_CORRELATED:
        notes[1] = "Partial rank correlations with each metric are in the CSV file of this table."
    what = f"the metric {metrics[0]}" if len(metrics) == 1 else "each metric"
    return table_from(
        wide,
        columns,
        name="sensitivity",
        caption=f"Sensitivity of the dose to its inputs, for {what}; largest elasticity first.",
        notes=notes,
        data=data,
    )


def _tornado(data: Frame, metric: str) -> Figure:
    name = f"tornado-{slug(metric)}"
    alt = f"Bars of the elasticity of the dose with respect to each input, largest first, for {metric}."
    ax = figures.tornado(data)
    return Figure(
        name,
        f"Sensitivity of the dose that meets the criterion on {metric}. +1: the dose "
        "doubles when the input doubles. In brackets: the evidence behind the input.",
        axes_svg(ax, name, label=alt),
        alt,
    )
