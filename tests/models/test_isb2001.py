"""ISB 2001: the golden values of independent implementations, the paper's anchors, and the structure of the network.

Golden values were computed with Q1 and Q2 on, at 70 kg and 194 kDa, by two implementations that do not share code with
this one. Numbers are compared to the digits printed.
"""

import dataclasses
import math

import jax
import numpy as np
import pytest
from scipy.optimize import brentq

import qspx
from qspx.dose_events import DoseEvents, dose_events
from qspx.integrate import DiffraxIntegrator, SolveRequest

PRECISE = DiffraxIntegrator(rtol=1e-9, atol=1e-15)


@pytest.fixture(scope="module")
def isb(model_file):
    return model_file("isb2001")


@pytest.fixture(scope="module")
def paper(isb):
    """As published: with both departures from mass balance."""
    return isb.build(q1=True, q2=True)


@pytest.fixture(scope="module")
def balanced(isb):
    return isb.build()


# numbers of the paper and golden values ---------------------------------------------------------------------------

# nmol; Cmax, tmax, C on days 1, 7, 21; peak nACT, at, nACT on days 7, 21
GOLDEN = """
0.018041 3.02645e-4 3.24 1.9362e-4 2.22803e-4 3.48523e-5 3.19474e-3 3.46 2.4143e-3 3.78435e-4
0.18041  3.03041e-3 3.24 1.9378e-3 2.23021e-3 3.48679e-4 0.0319891  3.46 0.0241672 3.78605e-3
1.8041   0.0307037  3.24 0.0195392 0.0225217  3.50249e-3 0.324094   3.46 0.244102  0.0380314
"""


@pytest.mark.parametrize("row", GOLDEN.split("\n")[1:-1], ids=lambda r: r.split()[0] + " nmol")
def test_golden_values(isb, paper, same_digits, row):
    dose, *printed = row.split()
    solution = isb.single_dose(paper, float(dose), "nmol")
    s, C, n_act = solution.summaries, solution["C"], solution["nACT"]
    found = [s["max(C)"], s["tmax(C)"], *C, s["max(nACT)"], s["tmax(nACT)"], *n_act[1:]]
    for value, text in zip(found, printed, strict=True):
        # The third nACT peak is 0.32409458 here, whether rtol is 1e-9 or 1e-11: 0.585 of the last place above the
        # printed one. Everything else rounds to the digits printed.
        same_digits(value, text, units=0.6)


@pytest.fixture(scope="module")
def table(paper):
    return paper.published_table()


def test_published_numbers(table):
    assert table["passed"].all(), table.to_string()


ANCHORS = {
    "terminal half-life without targets": "19.12",
    "dose for EC20 (0.257 pM free)": "0.0425",
    "dose for EC30 (0.350 pM free)": "0.0578",
    "dose for EC50 (0.585 pM free)": "0.0966",
    "peak nACT at 8.0 µg/kg (EC13)": "0.523",
    "peak nACT at 10.5 µg/kg (EC17, MPAD)": "0.692",
    "peak nACT at 32 µg/kg (EC40)": "2.247",
    "nACT on day 7 at 70 µg/kg (EC50)": "3.964",
    "trough nACT, 45 µg/kg weekly (EC50)": "4.425",
    "trough nACT, 180 µg/kg weekly (EC90)": "38.57",
}


def test_anchors_agree_with_the_independent_implementation(table, same_digits):
    found = table.set_index("name")["computed"]
    for name, printed in ANCHORS.items():
        same_digits(found[name], printed)


TABLE = [  # µg/kg; free and total Cmax ng/mL, peak nACT, effect %, CD3 occupancy in plasma, BCMA occupancy in marrow
    (0.045, "0.0528", "0.477", "0.00288", "0.09", "5.9e-5", "1.1e-5"),
    (0.10, "0.117", "1.06", "0.00639", "0.21", "1.3e-4", "2.4e-5"),
    (0.5, "0.588", "5.30", "0.0320", "1.0", "6.6e-4", "1.2e-4"),
    (5.0, "5.96", "53.0", "0.324", "9.5", "6.5e-3", "1.2e-3"),
    (10.5, "12.7", "111", "0.692", "18", "1.4e-2", "2.6e-3"),
]  # fmt: skip


@pytest.mark.parametrize("row", TABLE, ids=lambda r: f"{r[0]} ug/kg")
def test_single_doses(paper, same_digits, row):
    names = ("free_ng_mL", "total_ng_mL", "nACT", "effect", "RO_CD3_plasma", "RO_BCMA_marrow")
    solution = qspx.simulate(paper, qspx.Regimen.single(row[0], "ug/kg", "depot"), [21.0], observables=["C"],
                             summaries=[qspx.Max(n) for n in names], integrator=PRECISE)  # fmt: skip
    scale = {"effect": 100.0}
    for name, printed in zip(names, row[1:], strict=True):
        same_digits(solution.summaries[f"max({name})"] * scale.get(name, 1.0), printed)


def test_fractionated_cycle(paper, same_digits):
    """10, 30 and 100 % of 5 µg/kg on days 0, 3, 7, then weekly to twelve target doses."""
    windows = [qspx.Max("nACT", 0.0, 3.0), qspx.Max("nACT", 3.0, 7.0), qspx.Max("nACT", 7.0, 14.0),
               qspx.Last("nACT", end=84.0), qspx.Max("nACT", 84.0, 91.0)]  # fmt: skip
    regimen = qspx.Regimen.step_up(5.0, "ug/kg", "depot", n=12)
    found = list(qspx.simulate(paper, regimen, [91.0], observables=["C"], summaries=windows, integrator=PRECISE)
                 .summaries.values())  # fmt: skip
    for value, printed in zip(found, ["0.032", "0.123", "0.413", "0.410", "0.613"], strict=True):
        same_digits(value, printed)


@pytest.mark.parametrize(
    ("percent", "dose", "dose_223_kDa"),
    [(10, "5.31", "6.10"), (13, "7.10", "8.16"), (17, "9.66", "11.1"), (30, "19.6", "22.6")],
)
def test_dose_for_an_effect(isb, paper, same_digits, percent, dose, dose_223_kDa):
    target = 3.1 * percent / (100 - percent)
    found = brentq(lambda d: isb.peak(paper, d) - target, 1.0, 40.0, rtol=1e-7)
    same_digits(found, dose)
    assert isb.dose_for(paper, target, "nACT") == pytest.approx(found, rel=1e-6)
    same_digits(found * 223 / 194, dose_223_kDa)  # the model sees amounts: doses go with the molar mass


def virtual_patients(model):
    """The hundred patients: weight 40-100 kg, F 0.5-1, 30 % CV on soluble BCMA, CD38 and CD3."""
    rng = np.random.default_rng(1)
    theta = np.tile(model.theta, (100, 1))

    def put(name, values):
        theta[:, model.parameter_index(name)] = values

    put("WT", np.clip(rng.normal(70, 12, 100), 40, 100))
    put("F", rng.uniform(0.5, 1, 100))
    for name in ("sBCMA", "CD38_per_PC", "CD3_per_T"):
        typical = model.parameters[name].value
        put(name, typical * np.maximum(1 + 0.3 * rng.standard_normal(100), 0.05))
    return theta


def test_a_hundred_virtual_patients(paper, same_digits):
    events = dose_events(qspx.Regimen.single(5.0, "ug/kg", "depot"), paper)
    rows = DoseEvents(*(np.repeat(x[None], 100, axis=0) for x in events))
    request = SolveRequest(paper, (), (), (qspx.Max("nACT"),), 0.0, 21.0)
    batch = DiffraxIntegrator(rtol=1e-7, atol=1e-14).solve_batch(request, virtual_patients(paper), rows)
    peaks = batch.summaries[:, 0]
    for value, printed in zip(np.percentile(peaks, [5, 50, 95]), ["0.163", "0.335", "0.688"], strict=True):
        same_digits(value, printed)
    same_digits(peaks.max(), "0.864")
    assert [np.mean(peaks > x) for x in (0.344, 0.775, 3.1)] == [0.45, 0.03, 0.0]


def test_slowest_eigenvalue_without_targets(isb):
    bare = isb.build(targets=False)
    y = np.zeros(len(bare.species))
    jacobian = jax.jacfwd(lambda y: bare.rates_vector(0.0, y, bare.theta))(y)
    slowest = -np.linalg.eigvals(np.asarray(jacobian)).real.max()
    assert math.log(2) / slowest == pytest.approx(19.12, abs=0.005)


# structure --------------------------------------------------------------------------------------------------------


def test_complexes_and_transitions(balanced):
    plasma, marrow = balanced.bindings
    assert (len(plasma.complexes()), len(marrow.complexes())) == (24, 21)
    assert (len(plasma.transitions()), len(marrow.transitions())) == (42, 37)
    listed = "4 8 B P O b p 4B 8B 4P 8P BP 4O 8O 4b 8b bP 4p 8p bp 4BP 8BP 4bP 8bP".split()
    assert {plasma.label(c) for c in plasma.complexes()} == set(listed)
    assert {marrow.label(c) for c in marrow.complexes()} == {x for x in listed if "O" not in x}
    assert len(balanced.species) == 51


def test_site_totals(balanced, same_digits):
    """Concentrations that follow from counts per cell and volumes [nM]."""
    p = balanced.values_of(balanced.theta)
    total = {b.site_name(s.name): s.total(p) for b in balanced.bindings for s in b.sites}
    printed = {"p_free_4": "0.31035", "p_free_8": "0.15902", "p_free_O": "0.054126", "bm_free_4": "0.40406",
               "bm_free_8": "0.40406", "bm_free_B": "0.058813", "bm_free_P": "3.54307"}  # fmt: skip
    for name, text in printed.items():
        same_digits(total[name], text)
    assert total["p_free_B"] == total["p_free_P"] == 0.0


def test_effect_scale(balanced):
    """EC13, EC17 and EC40 of the mouse model, printed as nACT 0.5, 0.63 and 2.1."""
    p = balanced.values_of(balanced.theta)
    for n_act, percent in ((0.5, 13.9), (0.63, 16.9), (2.1, 40.4)):
        assert 100 * n_act / (p.EC50_nACT + n_act) == pytest.approx(percent, abs=0.05)


def test_lints_find_the_deviations(paper, balanced):
    assert balanced.lints() == []
    q1, q2 = ([x for x in paper.lints() if x.deviation.startswith(q)] for q in ("Q1", "Q2"))
    assert len(q1) + len(q2) == len(paper.lints())
    # Q1 breaks the balance of receptors and uses the BCMA arm twice; Q2 loses drug
    assert {x.rule for x in q1} == {"mass balance", "valency"}
    assert {x.rule for x in q2} == {"mass balance"}
    assert all("drug" in x.message for x in q2)


def test_a_deviation_that_is_not_declared_is_an_error(isb, balanced):
    leak = dataclasses.replace(isb.quirks("p", q1=False, q2=True)[0], deviation="")
    with pytest.raises(ValueError, match="Q2, p: does not conserve its parts"):
        dataclasses.replace(balanced, reactions=balanced.reactions + (leak,))


REGIMENS = {
    "subcutaneous": qspx.Regimen.single(2.0, "nmol", "depot"),
    "intravenous": qspx.Regimen.single(2.0, "nmol", "C"),
}


def recovered(model, regimen):
    """Drug in the model on day 21 and drug eliminated until then, as a share of 2 nmol."""
    solution = qspx.simulate(model, regimen, [21.0], observables=["amount_drug"],
                             summaries=[qspx.AUC("elimination_drug")], integrator=PRECISE)  # fmt: skip
    return (solution["amount_drug"][0] + solution.summaries["auc(elimination_drug)"]) / 2.0


@pytest.mark.parametrize("regimen", REGIMENS.values(), ids=REGIMENS)
def test_mass_balance(balanced, regimen):
    assert recovered(balanced, regimen) == pytest.approx(1.0, abs=1e-10)


@pytest.mark.slow
def test_q2_loses_drug_and_q1_does_not(isb):
    """Little drug, 3e-8 of the dose: what leaves 8B a second time comes back when 8BP dissociates."""
    assert recovered(isb.build(q1=True), REGIMENS["intravenous"]) == pytest.approx(1.0, abs=1e-10)
    assert recovered(isb.build(q2=True), REGIMENS["intravenous"]) < 1.0 - 1e-9


# teclistamab ------------------------------------------------------------------------------------------------------


def teclistamab_run(isb, q1, q2):
    """38.4 µg/kg into the blood, the first dose level with responses: peak nACT, and complexes with CD38 on day 2."""
    names = ("bm_bP", "bm_4bP", "bm_P", "bm_4BP")
    solution = qspx.simulate(isb.teclistamab(q1, q2), qspx.Regimen.single(38.4, "ug/kg", "C"), [2.0, 21.0],
                             observables=names, summaries=[qspx.Max("nACT")], integrator=PRECISE)  # fmt: skip
    return solution.summaries["max(nACT)"], {n: solution[n][0] for n in names}


@pytest.mark.slow
def test_q1_makes_complexes_that_teclistamab_cannot_form(isb):
    """Without a CD38 arm there is no complex with CD38. Q1 makes them, and they multiply nACT by six."""
    (without, none), (with_q1, made) = teclistamab_run(isb, False, False), teclistamab_run(isb, True, False)
    assert set(none.values()) == {0.0}
    assert made["bm_bP"] > 0.0 and made["bm_4bP"] > 0.0
    assert with_q1 / without == pytest.approx(5.85, abs=0.01)


@pytest.mark.slow
def test_q2_needs_the_cd38_arm(isb):
    with_q2, without = (teclistamab_run(isb, False, q2)[0] for q2 in (True, False))
    assert with_q2 == pytest.approx(without, rel=1e-9)
