"""The teclistamab experiment: its data as they are in the files, its populations, and the whole of it, small."""

import sys

import numpy as np
import pytest

import qspx

FOLDER = "experiments/teclistamab_fih"


@pytest.fixture(scope="module")
def modules(repo_root):
    qspx.enable_x64()
    sys.path.insert(0, str(repo_root / FOLDER))
    yield lambda name: __import__(name)
    sys.path.remove(str(repo_root / FOLDER))


def test_data_are_read_as_they_are(modules):
    reading = modules("reading")
    iv, sc, il6, killing = reading.iv_pk(everything=True), reading.sc_pk(), reading.il6(), reading.killing()
    assert [len(f) for f in (iv, sc, il6, killing)] == [41, 23, 24, 11]
    assert len(reading.iv_pk()) == 39  # two points lie after day 15
    assert iv["value"].iloc[0] == 0.00444 and sc["value"].iloc[-1] == 13.622
    assert sc["time"].iloc[0] == pytest.approx(7 - 0.911 * 7)
    assert killing["value"].iloc[0] == pytest.approx(0.2845)


def test_digitisation_adds_to_the_scatter(modules):
    noise = modules("reading").Digitised("sd", 0.1)
    assert float(noise.spread(5.0, np.array([0.3]), np.nan)) == pytest.approx(np.hypot(0.3, 0.1))


def test_prior_system_knows_nothing_of_teclistamab_in_man(modules):
    populations = modules("populations")
    before = populations.before_the_first_patient(3.0)
    assert before.parameters["Vc"].value == pytest.approx(46.31 * 70 / 1000)
    assert before.parameters["CL"].value == pytest.approx(0.15 * 70 / 1000)
    clinical = [k for k, p in before.parameters.items() if "Miao" in p.source]
    # of absorption and of a loss of clearance that is switched off; intravenous doses do not see them
    assert set(clinical) == {"ka", "F", "kdes"}


def test_populations_are_centred_on_their_systems(modules):
    populations = modules("populations")
    joint, sources = populations.prior_population()
    before = populations.before_the_first_patient(3.0)
    for name in ("CL", "Vc"):
        assert float(joint.marginals[name].quantile(0.5)) == pytest.approx(before.parameters[name].value, rel=1e-9)
    assert set(sources) == set(joint.names)


@pytest.mark.slow
def test_the_whole_of_it(modules, tmp_path, capsys):
    page = modules("run").main(tmp_path, quick=True).read_text()
    for words in ("What happened, beside every method", "Where the model is wrong", "not identifiable"):
        assert words in page
    assert "QSP: trimers of EC20, 95 % of patients below" in capsys.readouterr().out
