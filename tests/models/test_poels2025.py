"""Poels 2025: the published listing to all printed digits, conservation of drug without its deviation, teclistamab."""

import numpy as np
import pytest

import qspx

SOLVER = qspx.BatchIntegrator(rtol=1e-8, atol=1e-10)
DRUG = {"depot": None, "A": "Vc", "Ap": "Vp", "As": "Vc", "A3": "Vc", "Ab": "Vb", "Asb": "Vb", "AB": "Vb", "A3b": "Vb",
        "X": "Vb"}  # fmt: skip


@pytest.fixture(scope="module")
def module(model_file):
    return model_file("poels2025")


def drug(model, solution):
    """pmol of drug in all species, at every time."""
    volume = {None: 1.0} | {k: model.parameters[k].value for k in ("Vc", "Vp", "Vb")}
    return sum(solution[species] * volume[v] for species, v in DRUG.items())


def test_published_listing_meets_its_numbers(module):
    table = module.build(balanced=False).published_table()
    assert table["passed"].all(), table.to_string()
    assert (table["tolerance"] <= 5e-3).all()


@pytest.mark.parametrize(("balanced", "gained"), [(True, 0.0), (False, 0.1)])
def test_drug_is_conserved_without_the_deviation_of_the_listing(module, balanced, gained):
    """Without elimination a balanced system keeps what it is given; the listing makes more of it."""
    model = module.build(balanced=balanced)
    solution = qspx.simulate(model, qspx.Regimen.single(1e5, "pmol", "A"), [1.0, 200.0, 1000.0],
                             observables=list(DRUG), parameters={"CL": 0.0}, integrator=SOLVER)  # fmt: skip
    change = drug(model, solution) / 1e5 - 1
    if balanced:
        np.testing.assert_allclose(change, 0.0, atol=1e-6)
    else:
        assert change[-1] > gained


def test_baseline_is_a_steady_state_but_for_the_tumour(module):
    """Cytokine goes to production over degradation, which the assumed start is not."""
    model = module.build()
    solution = qspx.simulate(model, qspx.Regimen.single(0.0, "mg", "A"), [100.0], parameters={"kg0": 0.0},
                             observables=["s", "sb", "T_c", "T_m", "M1", "cyt"], integrator=SOLVER)  # fmt: skip
    start = model.states_of(np.asarray(model.initial_vector(model.theta)))
    for name in ("s", "sb", "T_c", "T_m", "M1"):
        assert solution[name][0] == pytest.approx(start[name], rel=1e-7)
    assert solution["cyt"][0] == pytest.approx(2.0, rel=1e-6)


def test_doses_that_are_counted_release_less(module):
    """The factors of doses 1 to 5 as printed: 0.67337, 1.26509, 2.09349, 3.15858, 4.46036."""
    model = module.build()
    y, p = model.states_of(np.zeros(len(model.species))), model.values_of(model.theta)
    products = []
    for n in range(6):
        vector = np.zeros(len(model.species))
        vector[model.species_index("doses")] = n
        products.append(float(model.dose_factor(model.states_of(vector), p)))
    np.testing.assert_allclose(np.divide(products[1:], products[:-1]), [0.67337, 1.26509, 2.09349, 3.15858, 4.46036],
                               rtol=1e-5)  # fmt: skip
    assert float(model.dose_factor(y, p)) == 1.0


def test_teclistamab_at_equilibrium_of_blood(module):
    """Total over free drug in blood is 1 + free soluble BCMA over the affinity, soon after a dose without CD3."""
    model = module.teclistamab()
    no_uptake = {"kcb": 0.0, "CL": 0.0, "CL2": 0.0, "Q": 0.0, "CD3_per_T": 0.0, "kdegs": 1e-9, "ktrs": 0.1}
    solution = qspx.simulate(model, qspx.Regimen.single(0.3, "ug/kg", "A"), [48.0], parameters=no_uptake,
                             observables=["A", "s", "C_total", "C_free"], integrator=SOLVER)  # fmt: skip
    ratio = solution["C_total"][0] / solution["C_free"][0]
    assert ratio == pytest.approx(1 + solution["s"][0] / 500.0, rel=1e-4)


def test_signal_is_trimers_over_the_reference(module):
    model = module.teclistamab()
    solution = qspx.simulate(model, qspx.Regimen.single(10.0, "ug/kg", "A"), [24.0], observables=["trimers", "signal"],
                             parameters={"X_vitro": 7.0}, integrator=SOLVER)  # fmt: skip
    assert solution["signal"][0] == pytest.approx(solution["trimers"][0] / 7.0, rel=1e-12)
