"""Complexes and transitions of binding rules, counted by hand."""

from __future__ import annotations

import pytest

from qspx import Binding, BindingArm, Site
from qspx._errors import ModelError


def site(name: str) -> Site:
    return Site(name, lambda p: p.total)


TUMOUR = BindingArm("tumour", ("B",), "kon_B", "koff_B")
T_CELL = BindingArm("T cell", ("T",), "kon_T", "koff_T")
# as a trispecific: two tumour arms that each meet a membrane and a soluble target, one CD3 arm
BCMA = BindingArm("BCMA", ("B", "b"), "kon_B", "koff_B")
CD38 = BindingArm("CD38", ("8", "s"), "kon_8", "koff_8")


def binding(arms, present: str, **more) -> Binding:
    return Binding("bm", "C", tuple(arms), tuple(map(site, present)), **more)


def names(b: Binding) -> list[str]:
    return [b.species_name(c) for c in b.complexes()]


def moves(b: Binding) -> list[tuple[str, str, str]]:
    return [(b.species_name(x.smaller), x.site, b.species_name(x.larger)) for x in b.transitions()]


def test_two_arms_with_a_site_each():
    """Two dimers and one trimer; four reversible transitions, two ways into the trimer."""
    b = binding([TUMOUR, T_CELL], "BT")
    assert names(b) == ["bm_B", "bm_T", "bm_BT"]
    assert moves(b) == [("C", "B", "bm_B"), ("C", "T", "bm_T"), ("bm_T", "B", "bm_BT"), ("bm_B", "T", "bm_BT")]
    assert [x.arm.name for x in b.transitions()] == ["tumour", "T cell", "tumour", "T cell"]
    assert b.site_name("B") == "bm_free_B"


def test_three_arms_with_two_two_and_one_sites():
    """(2 + 1) (2 + 1) (1 + 1) - 1 complexes; a complex of n sites has n ways in: 5 + 2 * 8 + 3 * 4."""
    b = binding([T_CELL, BCMA, CD38], "TBb8s")
    assert len(names(b)) == 17
    assert len(moves(b)) == 5 + 2 * 8 + 3 * 4
    assert names(b)[-1] == "bm_Tbs"


def test_one_arm_holds_one_site():
    assert names(binding([BCMA], "Bb")) == ["bm_B", "bm_b"]


def test_sites_that_are_absent_are_skipped():
    """A compartment without T cells has only the tumour dimer."""
    b = binding([TUMOUR, T_CELL], "B")
    assert names(b) == ["bm_B"]
    assert moves(b) == [("C", "B", "bm_B")]
    assert names(binding([TUMOUR], "")) == []


def test_excluded_complexes_and_what_needs_them_are_gone():
    """Without {B, 8}: 17 complexes less BT8, B8; their 3 + 2 ways in go with them, and none leads out."""
    b = binding([T_CELL, BCMA, CD38], "TBb8s", exclude=(frozenset("B8"),))
    assert "bm_B8" not in names(b) and "bm_TB8" not in names(b)
    assert (len(names(b)), len(moves(b))) == (15, 33 - 5)


def test_an_excluded_transition_leaves_the_complex():
    b = binding([TUMOUR, T_CELL], "BT", exclude_transitions=((("B",), "T"),))
    assert names(b) == ["bm_B", "bm_T", "bm_BT"]
    assert moves(b) == [("C", "B", "bm_B"), ("C", "T", "bm_T"), ("bm_T", "B", "bm_BT")]


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: binding([TUMOUR, BCMA], "B"), ("`arms`", "one arm", "twice")),
        (lambda: binding([TUMOUR], "X"), ("`X`", "`bm`", "no arm")),
        (lambda: binding([TUMOUR, T_CELL], "BT", loss={"TB": "kint"}), ("`loss`", "`TB`", "`bm`")),
        (lambda: binding([TUMOUR], "B", exclude=(frozenset("BX"),)), ("`exclude`", "`X`", "no arm")),
        (lambda: binding([TUMOUR], "B", exclude_transitions=((("B",), "X"),)), ("`exclude_transitions`", "`X`")),
        (lambda: binding([TUMOUR], "B", cooperativity={("X", "B"): "a"}), ("`cooperativity`", "`X`")),
        (
            lambda: binding([BindingArm("1", ("A", "AB"), "k", "k"), BindingArm("2", ("B",), "k", "k")], "AB")
            and Binding("bm", "C", (BindingArm("1", ("A", "AB"), "k", "k"), BindingArm("2", ("B",), "k", "k")),
                        (site("A"), site("AB"), site("B"))),
            ("`AB`", "rename a site"),
        ),
    ],
)  # fmt: skip
def test_mistakes(make, words):
    with pytest.raises(ModelError) as error:
        make()
    for word in words:
        assert word in str(error.value)
