"""What single sections say: ratios on page one, exceedance, sensitivity, advisories, assumptions, left-over files."""

import dataclasses
import re

import numpy as np
import pandas as pd
import pytest

from qspx.report import ReportError, write_report
from qspx.report.blocks import Decision, Items, Table, Text
from qspx.report.common import capital, short_metric, with_numbered_sources
from qspx.report.credibility import credibility
from qspx.report.headline import proposed_route, ratio_lines
from qspx.report.layout import layout
from qspx.report.sensitivity import pivot, sensitivity
from qspx.report.simulations import escalation, simulations
from qspx.report.tables import csv_text, significant
from qspx.report.uncertainty import grouped_advisories, uncertainty


def words(block) -> str:
    return "".join(part for part in block.parts if isinstance(part, str))


def table(blocks, name) -> Table:
    return next(block for block in blocks if isinstance(block, Table) and block.name == name)


def printed(block: Table, title: str) -> list[str]:
    at = [head.title for head in block.heads].index(title)
    return [row[at].text for row in block.rows]


def test_ratios_follow_from_the_estimates_of_the_route(rationale):
    first, target, basis = ratio_lines(rationale)
    mabel = [e.dose_ug_per_kg for e in rationale.estimates if "MABEL" in e.family and e.route == "SC"]
    assert (min(mabel), max(mabel)) == (0.0047, 0.0966)  # the IV estimates (0.0012, 0.0020) are of another route
    for sentence, dose in ((first, 0.5), (target, 5.0)):
        assert f"{significant(dose / 0.0966)}–{significant(dose / 0.0047)}× the MABEL" in sentence
        assert f"{significant(dose / 9.66)}× the MPAD" in sentence
        assert f"{significant(dose / 5.31)}–{significant(dose / 2.61)}× the QSP estimates" in sentence
    assert basis == (
        "Decision-relevant estimates for the SC route: 4 MABEL, 0.00470–0.0966\u00a0µg/kg; MPAD 9.66\u00a0µg/kg; "
        "2 QSP, 2.61–5.31\u00a0µg/kg."
    )


def test_ratios_stand_with_the_proposal_and_only_there(rationale):
    decision = next(block for block in layout(rationale) if isinstance(block, Decision))
    assert decision.body[:3] == ratio_lines(rationale)
    rationale.proposal, rationale.exceedance, rationale.folds = None, pd.DataFrame(), pd.DataFrame()
    assert ratio_lines(rationale) == ()


def test_estimates_that_are_context_only_have_no_ratio(rationale):
    rationale.estimates = tuple(
        dataclasses.replace(e, decision_relevant=e.family != "MPAD") for e in rationale.estimates
    )
    assert "MPAD" not in "".join(ratio_lines(rationale))


@pytest.mark.parametrize(("said", "route"), [("intravenous infusion", "IV"), ("", "SC"), ("oral", "")])
def test_the_route_is_the_stated_one_or_that_of_the_simulations(rationale, said, route):
    rationale.context.route = said
    assert proposed_route(rationale) == route
    if not route:
        assert "0.00120–0.0966" in ratio_lines(rationale)[2] and "route" not in ratio_lines(rationale)[2]


def test_exceedance_is_printed_with_its_interval(rationale):
    blocks = list(simulations(rationale))
    found = table(blocks, "exceedance")
    assert [row[4].value for row in found.rows] == list(rationale.exceedance["probability"])
    assert printed(found, "Dose") == ["first injection, 0.500\u00a0µg/kg", *["target, 5.00\u00a0µg/kg"] * 2]
    assert printed(found, "5–95\u00a0%")[1] == "44.6\u00a0% – 49.8\u00a0%"
    assert any("0\u00a0% to 47.2\u00a0%" in words(block) for block in blocks if isinstance(block, Text))


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("probability", 0.6, "within their intervals, but that of `max\\(nACT\\)` is 0.6"),
        ("high_95", 1.2, "between 0 and 1"),
        ("dose_ug_per_kg", 6.0, "the target is 6.0 µg/kg there and 5.0 µg/kg in the proposal"),
        ("dose", "maximum", "at the proposed doses .* but it names `maximum`"),
    ],
)
def test_exceedance_that_contradicts_itself_is_refused(rationale, column, value, message):
    rationale.exceedance.loc[1, column] = value
    with pytest.raises(ReportError, match=message):
        layout(rationale)


def two_metrics(data: pd.DataFrame) -> pd.DataFrame:
    other = data.assign(metric="max(IL6)", elasticity_dose=data["elasticity_dose"] / 2)
    other.loc[other["parameter"] == "sCD38", "elasticity_dose"] = -3.0
    return pd.concat([data, other[other["parameter"] != "ka"]], ignore_index=True)


def test_sensitivity_has_one_row_per_parameter(rationale):
    long = two_metrics(rationale.sensitivity)
    wide = pivot(long)
    assert len(wide) == rationale.sensitivity["parameter"].nunique()
    assert wide["parameter"].iloc[0] == "sCD38" and wide["size"].is_monotonic_decreasing
    for k, metric in enumerate(("max(nACT)", "max(IL6)")):
        one = long[long["metric"] == metric].set_index("parameter")["elasticity_dose"]
        np.testing.assert_array_equal(
            wide.set_index("parameter")[f"elasticity_{k}"].dropna().sort_index(), one.sort_index()
        )
    assert np.isnan(wide.set_index("parameter").loc["ka", "elasticity_1"])


def test_sensitivity_table_leaves_out_the_insensitive_and_keeps_the_long_csv(rationale):
    rationale.sensitivity = two_metrics(rationale.sensitivity)
    blocks = list(sensitivity(rationale))
    found = table(blocks, "sensitivity")
    assert printed(found, "Symbol")[0] == "sCD38" and not {"N_NK", "kint_CD38"} & set(printed(found, "Symbol"))
    assert [name for name, _ in found.groups] == ["", "Max(nACT)", "Max(IL6)", ""]
    assert csv_text(found).count("\n") == len(rationale.sensitivity) + 1
    last = blocks[-1]
    assert isinstance(last, Text) and "2 further inputs" in words(last)
    assert words(last).endswith(": internalisation of CD38 complexes, natural killer cells in blood.")
    assert not any(isinstance(block, Items) for block in blocks)


def test_group_headings_span_their_columns(rationale, tmp_path):
    rationale.sensitivity = two_metrics(rationale.sensitivity)
    source = write_report(rationale, tmp_path).read_text(encoding="utf-8")
    row = re.search(r'<table id="table-sensitivity".*?<tr class="groups">(.*?)</tr>', source, re.DOTALL)
    assert row is not None
    assert [int(n) for n in re.findall(r'colspan="(\d+)"', row[1])] == [2, 2, 2, 1]


def test_advisory_lines_become_one_callout():
    lines = ["CD3 engager: how methods fared. Source: S 2017 (17 constructs).",
             "occupancy: not acceptable: close to the MTD [recalled: check the source]",
             "10-30 % activity, assay: acceptable [checked]", "Check before use.", "Another remark."]  # fmt: skip
    first, second = grouped_advisories(lines)
    assert first.title == lines[0]
    assert first.rows == (("Occupancy", "Not acceptable: close to the MTD", "recalled"),
                          ("10-30 % activity, assay", "Acceptable", "checked"))  # fmt: skip
    assert first.body == ("[recalled]: check the source.", "Check before use.")
    assert second.body == ("Another remark.",) and not second.rows


def test_assumptions_of_methods_are_not_repeated(rationale):
    own = [f"{e.method}: {said}" for e in rationale.estimates for said in e.assumptions]
    assert len(own) > 2
    rationale.assumptions = [*own, "RO10, CD3, plasma volume: no depletion", "RO10, BCMA, plasma volume: no depletion"]
    blocks = list(uncertainty(rationale))
    listed = [item for block in blocks if isinstance(block, Items) for item in block.items]
    assert "No depletion (RO10, CD3, plasma volume; RO10, BCMA, plasma volume)" in listed
    assert not any("most sensitive cell line" in item for item in listed)
    assert any("The assumptions of each method are in" in words(block) for block in blocks if isinstance(block, Text))


def test_escalation_steps_are_for_decision_relevant_methods(rationale):
    found = table(escalation(rationale), "cohorts")
    relevant = {e.method for e in rationale.estimates if e.decision_relevant}
    assert set(printed(found, "Escalation started at")) == relevant and len(found.rows) == len(relevant)
    assert "MRSD: NOAEL / 10, cynomolgus\u00a0†" in found.notes[1]
    assert len(found.data) == len(rationale.estimates) and not found.data["decision_relevant"].all()


def test_repeated_sources_are_numbered_once(rationale):
    shown, notes = with_numbered_sources(rationale.verification)
    assert set(shown["source"]) == {"[1]"} and notes == (f"[1] {rationale.verification['source'][0]}.",)
    found = table(credibility(rationale), "verification")
    assert notes[0] in found.notes and rationale.verification["source"][0] in csv_text(found)
    same, none = with_numbered_sources(pd.DataFrame({"source": ["a long source of one row only", ""]}))
    assert list(same["source"]) == ["a long source of one row only", ""] and none == ()


def test_metric_names_are_shortened_outside_brackets():
    assert short_metric("peak nACT, days 0 to 28, single dose") == "peak nACT"
    assert short_metric("max(nACT, ..28), schedule") == "max(nACT, ..28)"
    assert capital("peak nACT") == "Peak nACT"


def test_files_of_an_earlier_report_are_removed_and_others_kept(rationale, tmp_path):
    write_report(rationale, tmp_path)
    (tmp_path / "figures" / "mine.svg").write_text("<svg/>")
    (tmp_path / "tables" / "notes.csv").write_text("a\n")
    rationale.curves = rationale.curves[rationale.curves["metric"] == "max(nACT)"]
    rationale.alternatives = pd.DataFrame()
    write_report(rationale, tmp_path)
    figures = {file.stem for file in (tmp_path / "figures").iterdir()}
    assert "metric-max-il6" not in figures and {"metric-max-nact", "mine"} <= figures
    tables = {file.stem for file in (tmp_path / "tables").iterdir()}
    assert "alternatives" not in tables and {"comparison", "notes"} <= tables
