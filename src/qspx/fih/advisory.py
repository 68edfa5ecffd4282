"""Advice shown beside dose estimates: CD3 engagers, and which methods to consider for whom.

The conclusions about CD3 engagers are recalled from Saber 2017 (Regul Toxicol Pharmacol; retrospective of
17 CD3 bispecific constructs); its design and comparators were checked, its conclusions were not. Every row says so,
and the source must be read before a row is quoted as a fact.
"""

from __future__ import annotations

import html
from dataclasses import dataclass

from ._checks import one_of
from .base import MODALITIES, DoseContext

CHECKED = "checked against the source"
RECALLED = "recalled: check the source before quoting"

SUBJECTS = ("patients", "healthy volunteers")


@dataclass(frozen=True)
class AdvisoryRow:
    """One approach, what is concluded about it, and how far that is evidenced."""

    approach: str
    conclusion: str
    evidence: str = RECALLED


@dataclass(frozen=True)
class Advisory:
    """A block of advice for a report."""

    title: str
    rows: tuple[AdvisoryRow, ...]
    statement: str
    source: str

    def __str__(self) -> str:
        lines = [f"{row.approach}: {row.conclusion} [{row.evidence}]" for row in self.rows]
        return "\n".join([self.title, *lines, self.statement, f"Source: {self.source}"])

    def _repr_html_(self) -> str:
        cells = "".join(
            "<tr>"
            + "".join(f"<td>{html.escape(text)}</td>" for text in (row.approach, row.conclusion, row.evidence))
            + "</tr>"
            for row in self.rows
        )
        return (
            f"<b>{html.escape(self.title)}</b><table><tr><th>approach</th><th>conclusion</th><th>evidence</th></tr>"
            f"{cells}</table><p>{html.escape(self.statement)}</p><p>{html.escape(self.source)}</p>"
        )


CD3_ENGAGER_ADVISORY = Advisory(
    title="CD3 engager: how starting-dose methods fared for this class",
    rows=(
        AdvisoryRow(
            "basis",
            "nonclinical data of 17 CD3 bispecifics; doses recomputed and compared with the MTD, the highest human "
            "dose or the recommended dose",
            CHECKED,
        ),
        AdvisoryRow("receptor occupancy", "not acceptable: doses close to or above the MTD or highest dose"),
        AdvisoryRow("HNSTD", "not acceptable: doses close to or above the MTD or highest dose"),
        AdvisoryRow("NOAEL", "not acceptable: doses close to or above the MTD or highest dose"),
        AdvisoryRow("10-30 % pharmacologic activity, most relevant in-vitro assay", "acceptable"),
        AdvisoryRow("50 % pharmacologic activity", "acceptable for all but one construct"),
        AdvisoryRow(
            "escalation",
            "toxicity is mainly cytokine-driven; intra-patient escalation is better tolerated; an MTD reached that way "
            "may be unsafe in naive patients",
        ),
    ),
    statement="Conclusions marked as recalled must be checked against the publication before they are relied on.",
    source="Saber et al. 2017, Regul Toxicol Pharmacol (17 CD3 bispecific constructs)",
)


def advise(context: DoseContext | None) -> Advisory | None:
    """The advisory block for the modality of the context, or `None`."""
    return CD3_ENGAGER_ADVISORY if context is not None and context.modality == "CD3_engager" else None


def animal_dose_notes(context: DoseContext | None) -> tuple[str, ...]:
    """Notes for estimates that rest on a tolerated animal dose."""
    if advise(context) is None:
        return ()
    return (f"CD3 engager: a tolerated animal dose gave unacceptable starting doses for this class [{RECALLED}]",)


def occupancy_notes(context: DoseContext | None) -> tuple[str, ...]:
    """Notes for estimates that rest on receptor occupancy."""
    if advise(context) is None:
        return ()
    return (
        "CD3 engager: receptor occupancy is shown for context only and must neither set nor raise the dose: it gave "
        f"doses close to or above the MTD for this class [{RECALLED}]",
    )


@dataclass(frozen=True)
class MethodSelection:
    """`candidates` to compute and weigh, `context_only` to show without weight, `flags` to report with each."""

    candidates: tuple[str, ...]
    context_only: tuple[str, ...]
    flags: tuple[str, ...]
    rule: str


FLAGS = (
    "matched analyte (free or total)",
    "assay and aggregate over donors",
    "source of the human PK",
    "basis of the molar mass",
    "first injection against target dose",
)
_RULE = (
    "Report all methods; never take the largest automatically. The recommended dose is the user's decision, with its "
    "reason recorded."
)


def select_methods(
    modality: str,
    subjects: str = "patients",
    *,
    oncology: bool = True,
    immune_agonist: bool = False,
    novel_target: bool = False,
    high_risk: bool = False,
) -> MethodSelection:
    """Which families of methods to compute. Our own reading of the guidances (an assumption, not a requirement).

    A CD3 engager counts as an immune agonist whatever `immune_agonist` says, and before anything else.
    """
    one_of("modality", modality, MODALITIES)
    one_of("subjects", subjects, SUBJECTS)
    engager = modality == "CD3_engager"
    if (engager or immune_agonist) and subjects == "patients":
        candidates = ("MABEL", "modified MABEL", "PAD", "MPAD", "QSP")
        context_only = ("RO",) if engager else ()
        return MethodSelection(candidates, context_only, FLAGS, _RULE)
    if subjects == "patients" and oncology:
        return MethodSelection(("ICH S9",), (), FLAGS, _RULE)
    mabel = ("MABEL",) if engager or immune_agonist or novel_target or high_risk else ()
    return MethodSelection(("MRSD", "PAD", *mabel), ("RO",) if engager else (), FLAGS, _RULE)
