"""Models from data: the same numbers as equations written by hand, and every structural mistake named."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from qspx import (
    AbstractModel,
    Binding,
    BindingArm,
    MassAction,
    Max,
    Network,
    Observable,
    Parameter,
    Reaction,
    Regimen,
    Site,
    Species,
    simulate,
)
from qspx._errors import ModelError, UnitError
from qspx.integrate import DiffraxIntegrator
from qspx.units import unit

PARAMETERS = {
    "V": Parameter(3.0, "L"),
    "V2": Parameter(1.5, "L"),
    "CL": Parameter(0.3, "L/day"),
    "Q": Parameter(0.9, "L/day"),
    "kon": Parameter(2.0, "1/nM/day"),
    "koff_B": Parameter(1.0, "1/day"),
    "koff_T": Parameter(40.0, "1/day"),
    "kint": Parameter(0.7, "1/day"),
    "B_total": Parameter(5.0, "nM"),
    "T_total": Parameter(2.0, "nM"),
    "avidity": Parameter(3.0, ""),
    "dimer": Parameter(0.05, "1/nM"),
}
SPECIES = {
    "C": Species("nM", "drug in plasma", volume="V", parts={"drug": 1}),
    "C2": Species("nM", "drug in marrow", volume="V2", parts={"drug": 1}),
    "gone": Species("nmol", "eliminated drug", parts={"drug": 1}),
}
ARMS = (BindingArm("tumour", ("B",), "kon", "koff_B"), BindingArm("T cell", ("T",), lambda p: p.kon, "koff_T"))
BINDING = Binding(
    "bm",
    "C2",
    ARMS,
    (Site("B", lambda p: p.B_total), Site("T", lambda p: p.T_total)),
    loss={"B": "kint", "BT": lambda p: p.kint},
    cooperativity={("T", "B"): "avidity"},
)
REACTIONS = (
    Reaction("clearance", {"C": 1}, {"gone": 1}, lambda t, y, p: p.CL * y.C),
    Reaction("into marrow", {"C": 1}, {"C2": 1}, MassAction("Q")),
    Reaction("out of marrow", {"C2": 1}, {"C": 1}, MassAction("Q")),
)
TRIMER = (Observable("nM", "active trimer"), lambda t, y, p: 1.0 * y.bm_BT)
FREE = (Observable("", "share of B that is free"), lambda t, y, p: y.bm_free_B / p.B_total)
NETWORK = Network(
    "Engager",
    SPECIES,
    PARAMETERS,
    REACTIONS,
    (BINDING,),
    initial_functions={"C": lambda p: 0.1 * p.B_total},
    observable_functions={"trimer": TRIMER, "free": FREE},
    tracked=("drug",),
)


class ByHand(AbstractModel):
    """`NETWORK` written as equations."""

    C = Species("nM", volume="V")
    C2 = Species("nM", volume="V2")
    gone = Species("nmol")
    bm_B = Species("nM", volume="V2")
    bm_T = Species("nM", volume="V2")
    bm_BT = Species("nM", volume="V2")
    trimer = Observable("nM")
    V, V2, CL, Q, kon, koff_B, koff_T, kint, B_total, T_total, avidity, dimer = PARAMETERS.values()

    def initial(self, p):
        return {"C": 0.1 * p.B_total}

    def rates(self, t, y, p):
        B, T = p.B_total - y.bm_B - y.bm_BT, p.T_total - y.bm_T - y.bm_BT
        to_B = p.kon * y.C2 * B - p.koff_B * y.bm_B
        to_T = p.kon * y.C2 * T - p.koff_T * y.bm_T
        T_to_BT = p.kon * y.bm_T * B - p.koff_B * y.bm_BT
        B_to_BT = p.avidity * p.kon * y.bm_B * T - p.koff_T * y.bm_BT
        exchange = p.Q * (y.C - y.C2)
        return {
            "C": (-p.CL * y.C - exchange) / p.V,
            "C2": exchange / p.V2 - to_B - to_T,
            "gone": p.CL * y.C,
            "bm_B": to_B - B_to_BT - p.kint * y.bm_B,
            "bm_T": to_T - T_to_BT,
            "bm_BT": T_to_BT + B_to_BT - p.kint * y.bm_BT,
        }

    def observables(self, t, y, p):
        return {"trimer": 1.0 * y.bm_BT}


def test_a_network_equals_the_equations_written_by_hand():
    regimen, times = Regimen.repeated(40, "nmol", "C", every=2, n=2), np.linspace(0.0, 5.0, 11)
    integrator = DiffraxIntegrator(rtol=1e-9, atol=1e-13)
    names = [*ByHand().species, "trimer"]
    found, expected = (
        simulate(m, regimen, times, observables=names, summaries=[Max("trimer")], integrator=integrator)
        for m in (NETWORK, ByHand())
    )
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-7, atol=1e-10)
    assert found.summaries["max(trimer)"] == pytest.approx(expected.summaries["max(trimer)"], rel=1e-7)


def test_the_rates_are_equal_at_any_state():
    y = np.random.default_rng(0).uniform(0, 2, 6)
    m = ByHand()
    assert list(NETWORK.species) == list(m.species)
    np.testing.assert_allclose(
        NETWORK.rates_vector(0.0, jnp.asarray(y), jnp.asarray(NETWORK.theta)),
        m.rates_vector(0.0, jnp.asarray(y), jnp.asarray(m.theta)),
        rtol=1e-12,
    )


def test_observables_see_free_sites_and_tracked_parts():
    y, theta = jnp.array([2.0, 1.0, 4.0, 0.5, 0.25, 0.125]), jnp.asarray(NETWORK.theta)
    names = ["free", "trimer", "amount_drug", "elimination_drug", "C2"]
    found = NETWORK.observables_vector(0.0, y, theta, names)
    amount = 3.0 * 2.0 + 1.5 * (1 + 0.5 + 0.25 + 0.125) + 4.0
    lost = 1.5 * 0.7 * (0.5 + 0.125)  # internalised with the complexes; clearance goes to `gone`, which is a species
    np.testing.assert_allclose(found, [(5 - 0.625) / 5, 0.125, amount, lost, 1.0], rtol=1e-12)
    assert unit(NETWORK.outputs["amount_drug"].unit) == unit("nmol")
    assert unit(NETWORK.outputs["elimination_drug"].unit) == unit("nmol/day")


def test_a_third_order_reaction_goes_through_the_general_law():
    m = dataclasses.replace(NETWORK, reactions=(*REACTIONS, _cubed()))
    y, theta = jnp.array([2.0, 0, 0, 0, 0, 0]), jnp.asarray(m.theta)
    more = m.rates_vector(0.0, y, theta) - NETWORK.rates_vector(0.0, y, theta)
    np.testing.assert_allclose(more, [-3 * 0.05 * 2.0 * 2.0**3, 0, 0, 0, 0, 0], atol=1e-12)


def _cubed() -> Reaction:
    k = MassAction(("dimer", "kon"))  # 1/nM2/day
    return Reaction("triple loss", {"C": 3}, {}, k, per="concentration", elimination=True)


def with_reaction(r: Reaction, **more) -> Network:
    return dataclasses.replace(NETWORK, reactions=(*REACTIONS, r), **more)


def test_broken_mass_balance_names_the_reaction_and_the_part():
    with pytest.raises(ModelError, match=r"Engager: mass balance: leak: does not conserve its parts \(-1 drug\)"):
        with_reaction(Reaction("leak", {"C": 1}, {}, MassAction("CL")))


def test_elimination_and_documented_deviations_are_accepted():
    assert with_reaction(Reaction("leak", {"C": 1}, {}, MassAction("CL"), elimination=True)).lints() == NETWORK.lints()
    kept = with_reaction(Reaction("leak", {"C": 1}, {}, MassAction("CL"), deviation="as published"))
    (lint,) = [x for x in kept.lints() if x.rule == "mass balance"]
    assert (lint.where, lint.deviation) == ("leak", "as published")
    assert "accepted deviation: as published" in str(lint)


def test_one_arm_cannot_hold_two_sites():
    twice = Reaction("twice", {"bm_B": 1, "bm_free_B": 1}, {"bm_B": 1, "bm_free_B": 1}, MassAction("kon"),
                     per="concentration")  # fmt: skip
    with pytest.raises(ModelError, match="valency: twice: uses arm tumour 2 times"):
        with_reaction(twice)


def test_species_without_parts_are_noted_and_no_error():
    bare = {k: dataclasses.replace(s, parts={}) for k, s in SPECIES.items()}
    m = Network("Bare", bare, PARAMETERS, REACTIONS)
    (note,) = [x for x in m.lints() if x.note]
    assert note.rule == "mass balance not checked" and not note.deviation
    assert note.where == "clearance, into marrow, out of marrow"
    assert note.message == "species without `parts`: C, C2, gone"
    leak = Reaction("leak", {"C": 1}, {}, MassAction("CL"), elimination=True)
    assert not any(x.note for x in dataclasses.replace(m, reactions=(leak,)).lints())
    assert not any(x.note for x in NETWORK.lints())


def test_unused_parameters_are_reported():
    assert [(x.rule, x.where) for x in NETWORK.lints()] == [("unused parameter", "dimer")]
    assert with_reaction(_cubed()).lints() == []


@pytest.mark.parametrize(
    "make, words",
    [
        (
            lambda: with_reaction(Reaction("r", {"c2": 1}, {}, MassAction("CL"), elimination=True)),
            ("reaction `r`", "`c2`", "Did you mean `C2`?"),
        ),
        (
            lambda: with_reaction(Reaction("r", {"C": 1}, {}, MassAction("Cl"), elimination=True)),
            ("no parameter `Cl`", "Did you mean `CL`?"),
        ),
        (
            lambda: with_reaction(Reaction("r", {"C": 1}, {}, lambda t, y, p: p.CL * y.bm_free_b, elimination=True)),
            ("no species or free site `bm_free_b`", "Did you mean `bm_free_B`?"),
        ),
        (
            lambda: with_reaction(dataclasses.replace(REACTIONS[0])),
            ("two reactions", "`clearance`", "unique"),
        ),
        (
            lambda: dataclasses.replace(NETWORK, bindings=(dataclasses.replace(BINDING, ligand="c2"),)),
            ("ligand `c2`", "Did you mean `C2`?"),
        ),
        (
            lambda: dataclasses.replace(NETWORK, own_species=SPECIES | {"bm_BT": Species("nM")}),
            ("`bm_BT`", "there is one of that name"),
        ),
        (
            lambda: dataclasses.replace(NETWORK, own_species=SPECIES | {"bm_free_B": Species("nM")}),
            ("free site `bm_free_B`", "rename"),
        ),
        (
            lambda: dataclasses.replace(NETWORK, initial_functions={"c": lambda p: p.B_total}),
            ("`initial_functions`", "`c`", "Did you mean `C`?"),
        ),
        (
            lambda: dataclasses.replace(NETWORK, tracked=("drugs",)),
            ("`tracked`", "`drugs`", "Did you mean `drug`?"),
        ),
        (
            lambda: Reaction("r", {}, {}, MassAction("CL"), per="mole"),
            ("reaction `r`", "`per`", "'mole'"),
        ),
    ],
)
def test_names_that_do_not_fit(make, words):
    with pytest.raises(ModelError) as error:
        make()
    for word in words:
        assert word in str(error.value)


def test_a_wrong_unit_in_a_rate_law_names_reaction_units_and_line():
    def law(t, y, p):
        return p.kint * y.C  # nM/day, but amounts per day are needed

    with pytest.raises(UnitError) as error:
        with_reaction(Reaction("slip", {"C": 1}, {}, law, elimination=True))
    line = law.__code__.co_firstlineno + 1
    for word in ("reaction `slip` of Engager", "nM/day", "nM*L/day", f"test_network.py:{line}", "p.kint * y.C"):
        assert word.replace("*", "") in str(error.value).replace("*", "").replace("·", ""), str(error.value)


@pytest.mark.parametrize(
    ("reactants", "products", "hint"),
    [
        ({"C": 1}, {}, "; set per='concentration', or multiply by the volume"),
        ({"C": 1}, {"C2": 1}, "; multiply by the volume"),  # another volume: only amounts are conserved
    ],
)
def test_a_rate_that_misses_the_volume_is_told_so(reactants, products, hint):
    with pytest.raises(UnitError) as error:
        with_reaction(Reaction("decay", reactants, products, MassAction("kint"), elimination=True))
    assert str(error.value).endswith(hint)
    assert ("per=" in str(error.value)) == ("per=" in hint)


def test_a_rate_that_misses_something_else_gets_no_hint_on_the_volume():
    with pytest.raises(UnitError) as error:
        with_reaction(Reaction("decay", {"C": 1}, {}, MassAction("kon"), elimination=True))
    assert "multiply by the volume" not in str(error.value)


def test_species_of_one_reaction_need_one_unit():
    with pytest.raises(UnitError, match="reaction `mix`.*`C` needs a rate in .*`gone` needs .*per='concentration'"):
        with_reaction(Reaction("mix", {"C": 1}, {"gone": 1}, MassAction("kint"), per="concentration"))


def test_the_reaction_table_lists_what_was_generated():
    table = NETWORK.reaction_table().set_index("name")
    assert len(table) == 3 + 2 * 4 + 2
    assert table.loc["bm_B + bm_free_T -> bm_BT", "rate"] == "mass action, k(p) avidity"
    assert table.loc["loss of bm_BT", "reaction"] == "bm_BT → ∅"


def test_networks_print_and_compare():
    assert "Engager" in repr(NETWORK) and "6 species" in repr(NETWORK)
    assert "bm_BT" in str(NETWORK) and "<table" in NETWORK._repr_html_()
    assert r"\frac{d\,bm_BT}{dt}" in NETWORK._repr_latex_()
    other = PARAMETERS | {"CL": Parameter(0.3000000001, "L/day")}
    assert NETWORK == dataclasses.replace(NETWORK)
    assert NETWORK != dataclasses.replace(NETWORK, own_parameters=other)
