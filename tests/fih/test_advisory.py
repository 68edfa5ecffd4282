"""The CD3 advisory appears for CD3 engagers only, with its evidence; method selection follows the indication."""

import pytest

from qspx._errors import DoseError
from qspx.fih import CD3_ENGAGER_ADVISORY, DoseContext, advise, select_methods


def test_only_for_cd3_engagers():
    assert advise(DoseContext(modality="CD3_engager")) is CD3_ENGAGER_ADVISORY
    assert advise(DoseContext(modality="mab")) is None
    assert advise(None) is None


def test_conclusions_are_marked_as_recalled():
    rows = {row.approach: row for row in CD3_ENGAGER_ADVISORY.rows}
    assert rows["basis"].evidence == "checked against the source"
    for approach, row in rows.items():
        if approach != "basis":
            assert "check the source" in row.evidence
    for approach in ("receptor occupancy", "HNSTD", "NOAEL"):
        assert "not acceptable" in rows[approach].conclusion
    assert "must be checked" in str(CD3_ENGAGER_ADVISORY)
    assert "recalled" in CD3_ENGAGER_ADVISORY._repr_html_()


def test_selection():
    engager = select_methods("CD3_engager")
    assert engager.candidates == ("MABEL", "modified MABEL", "PAD", "MPAD", "QSP")
    assert engager.context_only == ("RO",)
    assert "never take the largest" in engager.rule
    assert len(engager.flags) == 5
    assert select_methods("small_molecule").candidates == ("ICH S9",)
    assert select_methods("small_molecule", "healthy volunteers").candidates == ("MRSD", "PAD")
    assert select_methods("mab", "healthy volunteers", novel_target=True).candidates == ("MRSD", "PAD", "MABEL")
    agonist = select_methods("mab", immune_agonist=True)
    assert "MABEL" in agonist.candidates and agonist.context_only == ()


def test_refuses():
    with pytest.raises(DoseError, match="modality"):
        select_methods("antibody")
    with pytest.raises(DoseError, match="subjects"):
        select_methods("mab", "volunteers")
