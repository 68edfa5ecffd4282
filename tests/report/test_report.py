"""The written report: self-contained, escaped, true to the rationale's numbers, the same bytes every time."""

import dataclasses
import json
import re
from html.parser import HTMLParser

import pandas as pd
import pytest

from qspx.report import ReportError, write_report
from qspx.report.html import css_string, jsonable
from qspx.report.layout import layout
from qspx.report.tables import significant

LONG = ("peak nACT, days 0 to 28, single dose", "peak nACT, days 0 to 28, schedule")
SECTIONS = (
    "summary product nonclinical human-pk estimates model credibility population simulations escalation uncertainty "
    "conclusion parameters species equations inputs quantiles provenance"
).split()


class Page(HTMLParser):
    """Tables as lists of rows of (text, data-value), ids, links, and the tags and addresses that occur."""

    def __init__(self, source: str):
        super().__init__(convert_charrefs=True)
        self.tables, self.ids, self.links, self.addresses, self.tags = {}, [], [], [], []
        self._table, self._cell, self._section, self.words = None, None, "", []
        self.groups, self._name, self._row = {}, "", []
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append(tag)
        if "id" in attributes:
            self.ids.append(attributes["id"])
        for key in ("href", "src", "xlink:href", "action", "data", "srcset", "poster"):
            if key in attributes:
                (self.links if attributes[key].startswith("#") else self.addresses).append(attributes[key])
        if tag == "table":
            self._name = attributes["id"].removeprefix("table-")
            self._table = self.tables.setdefault(self._name, [])
        elif tag == "tr" and self._table is not None:
            self._row = []
            if attributes.get("class") == "groups":
                self.groups[self._name] = self._row
            else:
                self._table.append(self._row)
        elif tag in ("td", "th") and self._table is not None:
            self._cell = ["", attributes.get("data-value")]
            self._row.append(self._cell)

    def handle_endtag(self, tag):
        if tag == "table":
            self._table = None
        elif tag in ("td", "th"):
            self._cell = None

    def handle_data(self, data):
        self.words.append(data)
        if self._cell is not None:
            self._cell[0] += data

    def column(self, table: str, title: str) -> list[tuple[str, float | None]]:
        head, *body = self.tables[table]
        at = next(i for i, (words, _) in enumerate(head) if words.split(" µ")[0].strip() == title)
        rows = [row for row in body if len(row) == len(head)]
        return [(row[at][0], None if row[at][1] is None else float(row[at][1])) for row in rows]


@pytest.fixture(scope="module")
def written(tmp_path_factory, build):
    path = write_report(build(), tmp_path_factory.mktemp("report"))
    return path, Page(path.read_text(encoding="utf-8"))


def test_files_are_where_they_should_be(written):
    path, page = written
    assert path.name == "report.html"
    tables = {file.stem for file in (path.parent / "tables").glob("*.csv")}
    assert tables == set(page.tables)
    assert {"comparison", "estimates", "ledger", "verification", "parameters", "sensitivity"} <= tables
    svgs = {file.stem for file in (path.parent / "figures").glob("*.svg")}
    assert {"forest", "profiles", "metric-max-nact", "tornado-max-nact"} <= svgs
    assert {f"figure-{name}" for name in svgs} <= set(page.ids)


def test_the_page_is_self_contained(written):
    path, page = written
    assert page.addresses == []
    assert not {"script", "link", "img", "iframe", "object", "embed", "base"} & set(page.tags)
    assert not re.search(r"@import|url\((?!#)", path.read_text(encoding="utf-8"))


def test_every_link_leads_somewhere_and_ids_are_unique(written):
    _, page = written
    assert {link[1:] for link in page.links} <= set(page.ids)
    assert len(set(page.ids)) == len(page.ids)


def test_all_sections_appear_in_order(written):
    _, page = written
    headings = [name.removeprefix("section-") for name in page.ids if name.startswith("section-")]
    assert [name for name in headings if name in SECTIONS] == SECTIONS


def test_the_estimates_table_has_the_numbers_of_the_rationale(written, build):
    _, page = written
    ordered = sorted(build().estimates, key=lambda e: e.dose_ug_per_kg)
    for title, get in (("Dose", lambda e: e.dose_ug_per_kg), ("Flat dose", lambda e: e.dose_flat_ug)):
        shown = page.column("estimates", title)
        assert [value for _, value in shown] == [get(e) for e in ordered]
        assert [words for words, _ in shown] == [significant(get(e)) for e in ordered]
    assert [value for _, value in page.column("estimates", "Safety factor")] == [e.safety_factor for e in ordered]
    methods = [words.removesuffix("\u00a0†") for words, _ in page.column("estimates", "Method")]
    assert methods == [e.method for e in ordered]
    marked = [words.endswith("†") for words, _ in page.column("estimates", "Method")]
    assert marked == [not e.decision_relevant for e in ordered]


def test_folds_are_shown_for_first_injection_and_target(written, build):
    _, page = written
    folds = build().folds.set_index("method").sort_values("dose_ug_per_kg")
    for title, key in (("First injection ÷ dose", "fold_first_injection"), ("Target ÷ dose", "fold_target")):
        assert [value for _, value in page.column("comparison", title)] == list(folds[key])


def test_csv_files_hold_unrounded_numbers(written, build):
    path, _ = written
    table = pd.read_csv(path.parent / "tables" / "estimates.csv").set_index("method")
    for estimate in build().estimates:
        assert table.loc[estimate.method, "dose_ug_per_kg"] == estimate.dose_ug_per_kg
    curves = pd.read_csv(path.parent / "tables" / "curves.csv")
    pd.testing.assert_frame_equal(curves, build().curves, check_exact=True)


def test_json_round_trip(written, build):
    path, _ = written
    found = json.loads((path.parent / "rationale.json").read_text(encoding="utf-8"))
    assert found == jsonable(build().to_dict())
    assert found["estimates"][3]["dose_ug_per_kg"] == 0.0425
    assert found["sensitivity"][2]["rank_correlation"] is None  # NaN is not JSON


def test_the_same_rationale_gives_the_same_bytes(written, tmp_path, build):
    path, _ = written
    write_report(build(), tmp_path)
    files = sorted(file.relative_to(path.parent) for file in path.parent.rglob("*") if file.is_file())
    assert files == sorted(file.relative_to(tmp_path) for file in tmp_path.rglob("*") if file.is_file())
    for file in files:
        assert (path.parent / file).read_bytes() == (tmp_path / file).read_bytes(), file


def test_user_text_is_escaped(hostile, tmp_path):
    words_in = hostile.context.product
    path = write_report(hostile, tmp_path, title=words_in)
    source = path.read_text(encoding="utf-8")
    page = Page(source)
    assert "<b>bold" not in source and "<script" not in source and source.count("</style>") == 1 + source.count("<svg ")
    assert page.addresses == []
    assert words_in in [words.removesuffix("\u00a0†") for words, _ in page.column("estimates", "Method")]
    assert "49" not in [words.strip() for words in page.words]


def test_css_strings_cannot_be_closed():
    assert css_string('a: "') == '"a\\00003a  \\000022 "'
    assert not set('<>"\n') & set(css_string('"</style>\n')[1:-1])


def test_nothing_supplied_still_names_every_section(empty_rationale, tmp_path):
    page = Page(write_report(empty_rationale, tmp_path).read_text(encoding="utf-8"))
    headings = [name.removeprefix("section-") for name in page.ids if name.startswith("section-")]
    assert [name for name in headings if name in SECTIONS] == SECTIONS
    words = " ".join(" ".join(page.words).split())
    assert "No recommendation was recorded" in words
    assert "Nonclinical data were not supplied." in words
    assert "not stated" in words
    assert not list((tmp_path / "figures").iterdir())


@pytest.mark.parametrize(
    "name", ["curves", "profiles", "sensitivity", "ledger", "verification", "parameters", "species", "equations",
             "population", "alternatives", "thresholds", "advisories", "assumptions", "limitations", "lints", "folds",
             "exceedance"]
)  # fmt: skip
def test_each_part_may_be_empty(rationale, name):
    # One metric and one panel: this is about what is absent, and drawing takes time.
    rationale.curves = rationale.curves[rationale.curves["metric"] == "max(nACT)"]
    rationale.profiles = rationale.profiles[rationale.profiles["panel"] == "free drug, plasma"]
    setattr(rationale, name, [] if isinstance(getattr(rationale, name), list) else pd.DataFrame())
    if name == "ledger":
        rationale.ledger_total = 0
    assert layout(rationale)


def test_without_a_proposal_no_dose_is_proposed(rationale, tmp_path):
    rationale.proposal, rationale.folds, rationale.exceedance = None, pd.DataFrame(), pd.DataFrame()
    page = Page(write_report(rationale, tmp_path).read_text(encoding="utf-8"))
    words = " ".join(" ".join(page.words).split())
    assert "None was recorded" in words and "Proposed by the user" not in words and "The user proposes" not in words
    assert "first injection" not in words.split("Contents", 1)[0].lower().replace(
        rationale.context.question_of_interest.lower(), ""
    )
    assert "cohorts" not in page.tables and "schedule" not in page.tables


def test_a_ledger_that_does_not_add_up_is_refused(rationale, tmp_path):
    rationale.ledger_total = 1001
    with pytest.raises(ReportError, match="add up to its total 1001, but its categories add up to 1000"):
        write_report(rationale, tmp_path)
    assert not list(tmp_path.iterdir())


def test_wrong_shares_are_refused(rationale):
    rationale.ledger.loc[1, "share"] = 0.5
    with pytest.raises(ReportError, match="`implausible` has share 0.5 for 11 of 1000"):
        layout(rationale)


def test_an_empty_ledger_must_have_no_total(rationale):
    rationale.ledger = pd.DataFrame()
    with pytest.raises(ReportError, match="account for all 1000 subjects"):
        layout(rationale)


def test_folds_that_contradict_the_proposal_are_refused(rationale):
    rationale.folds.loc[0, "fold_target"] *= 1.01
    with pytest.raises(ReportError, match="`fold_target` of `PA10"):
        layout(rationale)


def test_two_estimates_of_one_name_are_refused(rationale):
    copy = dataclasses.replace(rationale.estimates[1], method=rationale.estimates[0].method)
    rationale.estimates = (rationale.estimates[0], copy)
    with pytest.raises(ReportError, match="name every method once"):
        layout(rationale)


def test_failed_solves_are_told(rationale, tmp_path):
    rationale.curves.loc[0, ["n_ok", "n_failed"]] = [979, 3]
    page = Page(write_report(rationale, tmp_path).read_text(encoding="utf-8"))
    assert "979 to 982; 3 solves failed" in " ".join(" ".join(page.words).split())


def test_a_failed_check_is_a_warning(written):
    _, page = written
    assert "1 of 7 reference values are not reproduced within tolerance" in page.words
