"""From the file to the rationale, against the closed form of the model; storage; the cohort run."""

import dataclasses
import json
import math
import shutil

import numpy as np
import pandas as pd
import pytest

from qspx._errors import ConfigError
from qspx.experiment import RESULT, build, load_experiment, load_rationale, run_cohort, run_fih, save_rationale
from qspx.report import write_report
from qspx.weighted import weighted_quantile


@pytest.fixture(scope="module")
def made(tmp_path_factory, repo_root):
    """(experiment file, run folder, rationale) of the tiny experiment, made once."""
    folder = tmp_path_factory.mktemp("tiny")
    for name in ("tiny.py", "tiny.toml"):
        shutil.copy(repo_root / "tests" / "data" / "experiment" / name, folder)
    file = load_experiment(folder / "tiny.toml")
    return file, folder / "run", run_fih(file, folder / "run", progress=False)


def cmax_per_ug_per_kg(plan, theta):
    """Peak of C [nM] after 1 ug/kg: Bateman function at its maximum."""
    at = plan.model.parameter_index
    v, ka, cl, f = (theta[..., at(name)] for name in ("V", "ka", "CL", "F"))
    k = cl / v
    tmax = np.log(ka / k) / (ka - k)
    nmol = 1.0 * 70.0 * 1000 / 150_000
    return f * nmol / v * np.exp(-k * tmax)


def test_doses_follow_the_closed_form(made):
    file, _, rationale = made
    plan = build(file)
    typical = cmax_per_ug_per_kg(plan, plan.model.theta)
    # C is matched on the typical subject; the tolerance is that of the root search and of the solver
    assert rationale.estimate("MABEL").dose_ug_per_kg == pytest.approx(0.1 / typical, rel=2e-3)
    peaks = cmax_per_ug_per_kg(plan, plan.sample().theta)
    quantile = float(weighted_quantile(peaks[None], 0.9, np.full(12, 1 / 12), axis=1)[0])
    # the search for the threshold dose stops within 1e-3
    assert rationale.estimate("QSP").dose_ug_per_kg == pytest.approx(3.0 / quantile, rel=2e-3)
    # RO10 at Kd 1.9 nM is Kd/9; an IV bolus into 3 L, 70 kg, 150 kDa
    assert rationale.estimate("RO").dose_ug_per_kg == pytest.approx(1.9 / 9 * 3 * 150 / 70, rel=1e-9)


def test_folds_are_those_of_first_injection_and_target(made):
    rationale = made[2]
    folds = rationale.folds.set_index("method")
    dose = rationale.estimate("QSP").dose_ug_per_kg
    assert folds.loc["QSP", "fold_first_injection"] == pytest.approx(2.0 / dose)
    assert folds.loc["QSP", "fold_target"] == pytest.approx(20.0 / dose)


def test_alternatives(made):
    table = made[2].alternatives.set_index("scenario")
    assert table.loc["heavier", "fold_to_base"] == pytest.approx(2.0, rel=1e-3)  # linear: dose by mass follows the mass
    assert table.loc["slow absorption", "fold_to_base"] > 1.1


def test_what_lies_in_the_run_folder(made):
    file, out, rationale = made
    assert (out / "experiment.toml").read_text() == file.text
    assert (out / "tiny.py").read_text() == file.model_path.read_text()
    assert rationale.provenance["experiment"]["seed"] == 1
    assert json.loads((out / RESULT).read_text())["title"] == "Tiny"  # plain JSON: null, not NaN


def test_a_second_run_resumes_and_gives_the_same(made):
    file, out, rationale = made
    markers = {p: p.stat().st_mtime_ns for p in (out / "simulations").rglob("metrics/*.parquet")}
    again = run_fih(file, out, progress=False)
    assert again.estimates == rationale.estimates
    assert markers
    assert {p: p.stat().st_mtime_ns for p in (out / "simulations").rglob("metrics/*.parquet")} == markers


def test_other_words_keep_the_simulations_but_another_seed_does_not(made, tmp_path):
    file, _, rationale = made
    out = shutil.copytree(made[1], tmp_path / "run")
    words = dataclasses.replace(file, content=file.content.model_copy(update={"title": "Other"}))
    assert run_fih(words, out, progress=False).estimates == rationale.estimates
    assert load_rationale(out / RESULT)[1] == "Other"
    seed = dataclasses.replace(file, content=file.content.model_copy(update={"seed": 2}))
    with pytest.raises(ConfigError, match="holds another run"):
        run_fih(seed, out, progress=False)


def test_a_folder_with_other_files_is_left_alone(made, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match="must be a new or an empty folder"):
        run_fih(made[0], tmp_path, progress=False)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_the_stored_rationale_gives_the_same_report(made, tmp_path):
    rationale = made[2]
    save_rationale(rationale, tmp_path / "r.json", "Tiny")
    stored, title = load_rationale(tmp_path / "r.json")
    assert title == "Tiny"
    assert stored.estimates == rationale.estimates
    write_report(rationale, tmp_path / "a", title=title)
    write_report(stored, tmp_path / "b", title=title)
    names = [p.relative_to(tmp_path / "a") for p in sorted((tmp_path / "a").rglob("*.*"))]
    assert len(names) > 5
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_gaps_and_empty_tables_survive_storage(made, tmp_path):
    empty = pd.DataFrame({"a": pd.Series(dtype=float)})
    gaps = pd.DataFrame({"x": [1.0, math.nan], "n": [1, 2], "ok": [True, False], "text": ["a", "b"]})
    rationale = dataclasses.replace(made[2], profiles=empty, sensitivity=gaps, proposal=None)
    save_rationale(rationale, tmp_path / "r.json")
    back, _ = load_rationale(tmp_path / "r.json")
    pd.testing.assert_frame_equal(back.profiles, empty)
    pd.testing.assert_frame_equal(back.sensitivity, gaps)
    assert back.proposal is None


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "is not a stored rationale"), ("[]", "is not a stored rationale"), ('{"schema": 99}', "has format 99"),
     ('{"schema": 1, "title": "", "rationale": {}}', "another version of qspx")],
)  # fmt: skip
def test_a_file_that_is_no_rationale(tmp_path, content, message):
    (tmp_path / "r.json").write_text(content)
    with pytest.raises(ConfigError, match=message):
        load_rationale(tmp_path / "r.json")


def test_cohort_run(made, tmp_path):
    file, plan = made[0], build(made[0])
    result = run_cohort(file, tmp_path / "run", trajectories=True, progress=False)
    frame = pd.read_parquet(tmp_path / "run" / "metrics.parquet")
    assert len(frame) == 4 * 12
    assert (frame["status"] == "ok").all()
    assert result.values("C").shape == (4, 12, 5)
    # linear in the dose, and the metric is the one that the method asks for
    peaks = result.metric("max(C, ..28)")
    assert peaks[2] / peaks[0] == pytest.approx(np.full(12, 100.0), rel=1e-4)
    assert np.array_equal(result.cohort.theta, plan.sample().theta)
