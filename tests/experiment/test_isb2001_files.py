"""The experiment files on ISB 2001 that the repository brings along."""

import functools
import tomllib

import numpy as np
import pytest

from qspx.experiment import build, load_experiment
from qspx.fih import BolusCmax, DoseContext, Mabel, ReceptorOccupancy
from qspx.loading import load_model

FILES = ("isb2001", "isb2001_wide", "demo")


@pytest.fixture(scope="module")
def plans(repo_root):
    folder = repo_root / "experiments" / "isb2001_fih"
    with pytest.MonkeyPatch.context() as patch:
        # All three files name the same model, which takes seconds to make.
        patch.setattr("qspx.experiment.plan.load_model", functools.cache(load_model))
        return {name: build(load_experiment(folder / f"{name}.toml")) for name in FILES}


@pytest.mark.parametrize("name", FILES)
def test_it_fits_the_model(plans, name):
    plan = plans[name]
    assert str(plan.escalation.regimen) == "0.1, 0.3, 1, 1, 1 ug/kg into depot at day 0, 3, 7, 14, 21"
    assert plan.proposal.first_injection_ug_per_kg == pytest.approx(0.5)
    assert not plan.model.lints()  # the mass-balanced model; the published listing is an alternative
    assert [lint.deviation[:2] for lint in plan.alternatives[0].model.lints()]
    assert plan.sample().ledger.ok == plan.size


def test_the_demonstration_is_the_main_file_in_small(repo_root):
    """Everything else must be the same, so that an edit of one file is not forgotten in the other."""
    folder = repo_root / "experiments" / "isb2001_fih"
    main, demo = (tomllib.loads((folder / f"{name}.toml").read_text()) for name in ("isb2001", "demo"))
    for document in (main, demo):
        del document["title"], document["population"]["size"], document["escalation"]["levels"]
        del document["profiles"]["times"]
        del document["uncertainty"]["draws"], document["uncertainty"]["subjects"]
    assert demo == main


def test_closed_form_doses(plans):
    """PA20 0.0020 and RO10 1.64, 2.34, 35.5 ug/kg: plasma volume 2.81 L, 70 kg, 194 kDa, worked by hand."""
    plan = plans["isb2001"]
    context = DoseContext(body_weight_kg=70.0, molar_mass_g_per_mol=194_000.0)
    into_plasma = [
        m
        for m in plan.methods
        if isinstance(m, ReceptorOccupancy) or isinstance(m, Mabel) and isinstance(m.match, BolusCmax)
    ]
    found = {m.label: m.estimate(context).dose_ug_per_kg for m in into_plasma}
    per_nM = 2.81 * 194 / 70
    assert found == pytest.approx(
        {
            "PA20: cytotoxicity, IV into plasma volume": 0.257e-3 * per_nM,
            "RO10: BCMA, IV into plasma volume": 1.9 / 9 * per_nM,
            "RO10: CD38, IV into plasma volume": 2.7 / 9 * per_nM,
            "RO10: CD3, IV into plasma volume": 41 / 9 * per_nM,
        }
    )
    assert found["PA20: cytotoxicity, IV into plasma volume"] == pytest.approx(0.0020, rel=0.01)


def test_thresholds_follow_from_the_mouse_model(plans):
    """EC50 of 3.1 molecules per cell, Hill slope 1: EC10, EC20 and (published as 0.63) EC17."""
    ec50 = 3.1
    by_label = {m.label: m.threshold for m in plans["isb2001"].methods if hasattr(m, "threshold")}
    assert by_label["QSP: EC10, median peak nACT, single dose"] == pytest.approx(ec50 / 9, rel=2e-3)
    assert by_label["QSP safety: EC20, 95 % of peak nACT, cycle 1"] == pytest.approx(ec50 / 4)
    assert by_label["MPAD: EC17, median peak nACT, single dose"] == pytest.approx(ec50 * 0.17 / 0.83, rel=0.01)


def test_the_wide_population_is_wider(plans):
    def spread(name: str, parameter: str) -> float:
        low, high = np.quantile(np.log(plans[name].sample().column(parameter)), [0.05, 0.95])
        return high - low

    for parameter in ("sBCMA", "CD3_per_T", "CD38_per_PC"):
        assert spread("isb2001_wide", parameter) > 1.2 * spread("isb2001", parameter)
    both = plans["isb2001_wide"].sample()
    assert np.corrcoef(np.log(both.column("n_CD4_bm")), np.log(both.column("n_CD8_bm")))[0, 1] > 0.7
