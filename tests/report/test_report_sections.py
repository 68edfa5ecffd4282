"""What single sections say: ratios on page one, exceedance, sensitivity, advisories, assumptions, left-over files."""

import dataclasses
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from qspx.fih.base import Input
from qspx.report import ReportError, write_report
from qspx.report.blocks import Callout, Decision, Facts, Items, Table, Text
from qspx.report.common import capital, short_metric, with_numbered_sources
from qspx.report.credibility import credibility, passed_words
from qspx.report.criteria import criterion_lines, thin_tails
from qspx.report.estimates import product
from qspx.report.headline import proposed_route, ratio_lines
from qspx.report.layout import layout
from qspx.report.sensitivity import pivot, sensitivity
from qspx.report.simulations import escalation, simulations
from qspx.report.summary import conclusion, summary
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
    # the IV estimates (0.0012, 0.0020) are of another route, and that of total drug (0.0047) is no match of free drug
    for sentence, dose in ((first, 0.5), (target, 5.0)):
        assert f"{significant(dose / 0.0966)}–{significant(dose / 0.0425)}× free-drug MABEL" in sentence
        assert f"{significant(dose / 0.0047)}× total-drug MABEL" in sentence
        assert f"{significant(dose / 9.66)}× MPAD" in sentence
        assert f"{significant(dose / 5.31)}–{significant(dose / 2.61)}× QSP." in sentence
    assert basis == (
        "Decision-relevant estimates for the SC route: total-drug MABEL 0.00470\u00a0µg/kg; 3 free-drug MABEL, "
        "0.0425–0.0966\u00a0µg/kg; MPAD 9.66\u00a0µg/kg; 2 QSP, 2.61–5.31\u00a0µg/kg."
    )


def test_the_conclusion_repeats_the_lines_of_the_summary(rationale):
    listed = next(block for block in conclusion(rationale) if isinstance(block, Items))
    assert listed.items == (*ratio_lines(rationale), *criterion_lines(rationale))


def own_criterion(rationale, *, target: float):
    """The median QSP criterion (5.31 µg/kg, target dose) as the only one, and the proposal at `target`."""
    method = "QSP: EC10, peak complexes, median"
    rationale.estimates = tuple(e for e in rationale.estimates if e.family != "QSP" or e.method == method)
    rationale.thresholds[0].label = f"another / {method}"
    rationale.proposal.target_ug_per_kg = target


def test_a_criterion_that_the_target_exceeds_is_named_with_the_share_of_patients(rationale):
    method = "QSP: EC10, peak complexes, 95th percentile"
    assert criterion_lines(rationale) == (  # the other, 5.31 µg/kg, lies above the target of 5
        f"The proposed target is 1.92 times the dose of the criterion “{method}” (2.61\u00a0µg/kg).",
    )
    rationale.thresholds[0].label = method
    assert criterion_lines(rationale)[0].endswith(
        "(2.61\u00a0µg/kg); with the target as a single dose 47.2\u00a0% of the virtual patients exceed its threshold."
    )
    own_criterion(rationale, target=6.0)
    (line,) = criterion_lines(rationale)
    assert line.startswith("The proposed target is 1.13 times")
    assert line.endswith("; at the target 47.2\u00a0% of the virtual patients exceed its threshold.")


def test_a_proposal_below_all_criteria_is_told_so(rationale):
    own_criterion(rationale, target=5.0)
    assert criterion_lines(rationale) == (
        "The proposed target exceeds no criterion of the user’s: QSP: EC10, peak complexes, median (5.31\u00a0µg/kg).",
    )
    for changes in ({"decision_relevant": False}, {"applies_to": "first injection"}, {"family": "RO"}):
        changed = SimpleNamespace(**vars(rationale))
        changed.estimates = tuple(dataclasses.replace(e, **changes) for e in rationale.estimates)
        assert criterion_lines(changed) == ()


def test_what_the_intervals_contain_is_noted(rationale):
    def noted(**texts):
        rationale.estimates = tuple(
            dataclasses.replace(e, assumptions=(f"interval: {texts[e.family]}",) if e.family in texts else ())
            for e in rationale.estimates if e.family in ("QSP", "MPAD")
        )  # fmt: skip
        return table(summary(rationale), "comparison").notes

    assert noted(QSP="40 draws of KD", MPAD="40 draws of KD") == ("5–95 % intervals: 40 draws of KD.",)
    resampled, unknown = noted(QSP="resampling only")
    assert resampled.endswith("QSP: EC10, peak complexes, median: resampling only.")
    assert unknown == "5–95 % intervals of MPAD: teclistamab benchmark, EC17: what they contain was not recorded."


@pytest.mark.parametrize(("n", "quantile", "said"), [
    (20, 0.95, "The 95 % quantile of 20 virtual patients rests on the upper one: "),
    (99, 0.95, "The 95 % quantile of 99 virtual patients rests on the upper five: "),
    (100, 0.95, ""), (20, 0.5, ""), (30, 0.1, "The 10 % quantile of 30 virtual patients rests on the lower three: "),
])  # fmt: skip
def test_quantiles_in_thin_tails_are_warned_about(rationale, n, quantile, said):
    own = rationale.estimates[8]
    given = Input("quantile over the population", quantile, "", "choice")
    rationale.estimates = (dataclasses.replace(own, inputs=(*own.inputs, given)),)
    rationale.ledger_total = n
    assert thin_tails(rationale) == ((f"{said}{own.method}.",) if said else ())
    assert any(isinstance(b, Callout) and b.label == "Warning" for b in summary(rationale)) == bool(said)


def test_tight_reference_values_and_published_anchors_are_told_apart():
    checks = pd.DataFrame({
        "tolerance": [0.5, 0.5, 0.005], "relative_difference": [0.43, -0.6, 0.0034], "passed": [True, False, True],
    })  # fmt: skip
    assert passed_words(checks) == (
        "1 of 1 reference value within 0.500\u00a0% (largest deviation +0.3\u00a0%), "
        "1 of 2 published anchors within 1.5-fold (largest deviation −60.0\u00a0%)"
    )
    assert passed_words(checks.assign(tolerance=[0.1, 0.25, 0.25])).startswith("2 of 3 reference values within 10.0")


def test_the_number_of_patients_is_that_of_the_ledger(rationale):
    facts = next(block for block in product(rationale) if isinstance(block, Facts))
    assert dict(facts.rows)["Population"] == "Adults, 40–100 kg. Virtual patients in this analysis: 1000."
    rationale.context.population_description = ""
    facts = next(block for block in product(rationale) if isinstance(block, Facts))
    assert dict(facts.rows)["Population"] == "Virtual patients in this analysis: 1000."


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
        basis = ratio_lines(rationale)[2]
        assert "2 free-drug IV MABEL, 0.00120–0.00200" in basis and "3 free-drug SC MABEL, 0.0425–0.0966" in basis
        assert "route" not in basis


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
