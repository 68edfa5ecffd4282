"""Cases of the SBML semantic test suite, within their own tolerances.

The files are read where QSPX_REFERENCE says (LGPL: they are not copied). Four cases hold what qspx refuses.
"""

import importlib.util
import sys

import pytest

pytest.importorskip("libsbml", reason="needs the extra sbml")

PLAIN = """00001 00002 00004 00010 00048 00097 00159 00168 00173 00196 00213 00258 00483 00510 00727 00862 00864 00960
01027 01061 01121 01208 01216 01273 01274 01282 01289 01338 01461 01667 01735 01775 01805 01814""".split()
EVENTS = """00026 00041 00348 00364 00406 00421 00425 00461 00647 00759 00776 00935 00936 00978 00995 01000 01510
01526 01587 01601 01663 01664 01703 01710 01772""".split()
QUICK = {"00026", "00978", "00995", "01510"}
REFUSED = {
    "01083": "line 48, algebraicRule: algebraic rules",
    "01140": "the package `comp`, which the file requires",
    "01535": "line 26, assignmentRule `P0`: the csymbol `delay`",
    "01558": "line 23, reaction `J0`: fast reactions",
}


@pytest.fixture(scope="module")
def suite(repo_root):
    spec = importlib.util.spec_from_file_location("sbml_semantic", repo_root / "scripts" / "sbml_semantic.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_list_is_whole(reference_dir):
    rows = (reference_dir / "sbml_semantic" / "index.csv").read_text().splitlines()
    must = {row.split(",")[0] for row in rows if ",supported," in row}
    assert must == {*PLAIN, *EVENTS} and len(must) == 59


@pytest.mark.parametrize("case", PLAIN)
def test_case(suite, reference_dir, case):
    assert suite.run_case(reference_dir / "sbml_semantic" / case) == ("pass", "")


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=[] if case in QUICK else [pytest.mark.slow]) for case in EVENTS]
)
def test_case_with_events(suite, reference_dir, case):
    assert suite.run_case(reference_dir / "sbml_semantic" / case) == ("pass", "")


@pytest.mark.parametrize("case", REFUSED)
def test_refused_case(suite, reference_dir, case):
    outcome, why = suite.run_case(reference_dir / "sbml_semantic" / case)
    assert outcome == "refused" and REFUSED[case] in why


@pytest.mark.parametrize("case", ["00001", "00004", "00159", "00213", "00406", "00727", "00862", "01208", "01703"])
def test_older_level(suite, reference_dir, case):
    folder = reference_dir / "sbml_semantic" / case
    assert suite.run_case(folder, folder / f"{case}-sbml-l2v4.xml") == ("pass", "")
