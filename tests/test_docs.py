"""The code on the pages of docs/ and in the README runs as printed."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess

import numpy as np
import pytest

import qspx


def blocks(path):
    return {name: code for name, code in re.findall(r"```python ?(\w*)\n(.*?)```", path.read_text(), flags=re.S)}


@pytest.fixture(scope="module")
def page(repo_root):
    return blocks(repo_root / "docs" / "extending.md")


def test_a_model_in_one_file_outside_the_package(page, tmp_path, monkeypatch, capsys):
    (tmp_path / "my_model.py").write_text(page["model"])
    monkeypatch.chdir(tmp_path)
    found: dict = {}
    exec(page["use"], found)
    assert 0.9 < found["solution"].summaries["max(occupancy)"] <= 1.0
    assert "occupancy" in capsys.readouterr().out


def test_a_dose_method_in_one_file_outside_the_package(page, tmp_path):
    from qspx.fih import Escalation, compare_doses

    (tmp_path / "my_model.py").write_text(page["model"])
    model = qspx.load_model(tmp_path / "my_model.py")
    own: dict = {"__name__": "__main__"}
    exec(page["method"], own)
    cohort = qspx.sample_cohort(model, qspx.Joint({"CL": qspx.LogNormal(0.25, 0.3)}), 8, key=0)
    escalation = Escalation(qspx.Regimen.single(1.0, "ug/kg", "C"), (1.0, 10.0, 100.0))
    method = own["TenthOfOccupancyDose"](0.1, "assay report")
    rationale = compare_doses(model, cohort, escalation, [method], key=0)
    assert rationale.estimates[0].dose_ug_per_kg == pytest.approx(0.1 * 3.0 * 150 / 70 / 10)
    assert np.isfinite(rationale.estimates_table()["dose_ug_per_kg"]).all()


def test_regimens_and_event_tables(repo_root, capsys):
    page, found = blocks(repo_root / "docs" / "dosing.md"), {}
    for name in ("model", "regimen", "varying", "table"):
        exec(page[name], found)
    np.testing.assert_allclose(found["found"]["CL_now"], [1.1, 1.1, 0.8, 0.4])
    cohort = qspx.Cohort(found["model"], found["model"].theta[None], np.zeros(1))
    result = qspx.simulate_cohort(found["model"], cohort, qspx.Protocol(tuple(found["arms"])), progress=False)
    falling, inhibited = result.trajectories["CP"][:, 0, 1]
    assert falling > inhibited and falling == pytest.approx(found["found"]["CP"][-1], rel=1e-5)
    shown = capsys.readouterr().out
    assert "event table for Oral: 2 subjects, 7 records (4 observation, 2 dose, 1 reset and dose)" in shown
    predicted = found["predicted"]
    assert list(predicted) == ["ID", "TIME", "EVID", "CP", "status"] and (predicted["status"] == "ok").all()
    kept = np.exp(-0.8 / 20 * np.array([6.0, 24.0]))  # subject 2: a steady state at 0, 4 h of 20 mg/h, then nothing
    assert predicted["CP"][6] / predicted["CP"][5] == pytest.approx(kept[1] / kept[0], rel=1e-5)
    exec(page["covariates"], found)
    np.testing.assert_allclose(found["predicted"]["CL_now"], [1.1, 0.9, 0.7])


def test_calibration_problems(repo_root, capsys):
    page, found = blocks(repo_root / "docs" / "calibration.md"), {}
    for name in ("model", "measurements", "events", "problem"):
        exec(page[name], found)
    shown = capsys.readouterr().out
    assert "8 measurements of CP in 2 arms; 2 below and 0 above" in shown
    assert "4 estimated (CL, V, KA, cv) from 8 measurements of CP in 2 arms" in shown
    predicted = found["problem"].predict({"CL": 3.0, "V": 30.0})
    expected = [100 / 30 * np.exp(-3 / 30 * t) for t in (0.5, 2, 8, 48)]
    np.testing.assert_allclose(predicted["prediction"][:4], expected, rtol=1e-6)
    exec(page["arms"], found)
    assert found["problem"].start["V_tablet"] == 40 and (found["problem"].curves({}, [0, 1])["status"] == "ok").all()


def test_a_fit_from_many_starts(repo_root, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    page, found = blocks(repo_root / "docs" / "calibration.md"), {}
    for name in ("model", "measurements", "problem", "fit", "figures"):
        exec(page[name], found)
    fit = found["fit"]
    assert fit.ledger["n"].sum() == 12 and fit.hits() > 1
    again = qspx.load_fit(tmp_path / "runs" / "oral", found["problem"])
    assert str(again) == str(fit) and "12 starts" in capsys.readouterr().out


def test_sbml_in_and_out(repo_root, tmp_path, monkeypatch, capsys):
    pytest.importorskip("libsbml", reason="needs the extra sbml")
    text = (repo_root / "docs" / "sbml.md").read_text()
    (xml,) = re.findall(r"```xml\n(.*?)```", text, flags=re.S)
    (tmp_path / "sawtooth.xml").write_text(xml)
    monkeypatch.chdir(tmp_path)
    found: dict = {}
    for name, code in blocks(repo_root / "docs" / "sbml.md").items():
        exec(code, found)
        assert name in ("load", "simulate", "write", "events")
    assert (
        capsys.readouterr().out.count("[2. 1. 2. 1.") == 2
    )  # S falls from 2 to 1 and is refilled, SBML and file alike
    assert found["courses"]["fills"][-1] == 2 and found["ball"]["hits"][-1] == 1


def test_uncertainty_of_a_calibration(repo_root, capsys):
    page, found = blocks(repo_root / "docs" / "uncertainty.md"), {"__name__": "docs"}
    for name in ("fit", "identifiability", "intervals", "posterior", "prediction", "dose"):
        exec(page[name], found)
    (combination,) = found["verdict"].combinations
    assert combination.determined == ("CL/V", "CL/gain")
    assert "only CL/V and CL/gain are: (CL·c, V·c, gain·c) fits alike" in capsys.readouterr().out
    assert all(p.verdict == "identifiable" for p in found["profiles"].of.values())
    assert found["refits"].ok.all() and np.isfinite(found["result"].quantiles("C", (0.05, 0.95))).all()
    assert found["rationale"].estimates[0].interval is not None


@pytest.mark.slow
def test_draws_from_the_posterior(repo_root, capsys):
    pytest.importorskip("blackjax", reason="needs the extra bayes")
    pytest.importorskip("arviz_stats", reason="needs the extra bayes")
    page, found = blocks(repo_root / "docs" / "uncertainty.md"), {"__name__": "docs"}
    for name in ("fit", "nuts"):
        exec(page[name], found)
    assert "NO PRIOR was given for CL, V, sd" in capsys.readouterr().out
    assert found["posterior"].tree["posterior"]["CL"].shape == (4, 200)


def test_virtual_populations(repo_root, capsys):
    page, found = blocks(repo_root / "docs" / "virtual_populations.md"), {"__name__": "page"}
    for name in ("problem", "population", "fit", "twins", "push", "posterior", "uncertainty", "compare", "own"):
        exec(page[name], found)
    assert found["guesses"].details["of_prior"] == ["r"] and len(found["guesses"]) == 300
    assert 0 < found["sure"].finest < 0.1 and len(found["sure"]) == 100
    assert not found["pushed_vpop"].unreached and found["pushed_vpop"].effective_size > 250
    assert not found["vpop"].unreached and found["vpop"].effective_size > 100
    assert found["fit"].composite_p > 0.9
    assert found["twins"].details["reached"] > 0.9
    assert list(found["table"]["method"]) == ["screening"] * 2 + ["twins"] * 2
    assert found["mine"].ledger.total == 512 and found["mine"].details["mean_distance"] > 0
    assert "virtual patients of Marker" in capsys.readouterr().out


@pytest.mark.slow
def test_hierarchical_populations(repo_root, capsys):
    pytest.importorskip("blackjax", reason="needs the extra bayes")
    page, found = blocks(repo_root / "docs" / "virtual_populations.md"), {"__name__": "page"}
    for name in ("problem", "twins", "hierarchical"):
        exec(page[name], found)
    assert found["law"].converged, found["law"].verdict
    assert found["new"].ledger.total == 500 and found["new"].ledger.ok > 250
    assert "law of patients from 6 people, 1600 draws: converged" in capsys.readouterr().out


def pages(repo_root):
    found = [*(repo_root / "docs").glob("*.md"), *(repo_root / "experiments").rglob("README.md")]
    return [repo_root / "README.md", *found]


def test_relative_links_and_images_lead_to_files_of_the_repository(repo_root):
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=repo_root, capture_output=True, text=True
    )
    known = {repo_root / line for line in listed.stdout.splitlines()} if listed.returncode == 0 else None
    checked = 0
    for path in pages(repo_root):
        words = re.sub(r"```.*?```", "", path.read_text(), flags=re.S)
        links = re.findall(r"\]\(([^)\s]+)", words) + re.findall(r'(?:src|href)="([^"]+)"', words)
        for link in links:
            file = link.split("#")[0]
            if not file or re.match(r"[a-z]+:", file):
                continue
            target, checked = (path.parent / file).resolve(), checked + 1
            assert target.exists(), f"{path.relative_to(repo_root)}: {link} leads nowhere"
            if known is not None:
                inside = any(target == k or target in k.parents for k in known)
                assert inside, f"{path.relative_to(repo_root)}: git ignores {link}, so that it is not published"
    assert checked


def test_the_readme_names_what_exists(repo_root):
    code = blocks(repo_root / "README.md")[""]
    names = {n.attr for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)
             and n.value.id == "qspx"}  # fmt: skip
    assert names
    for name in names:
        assert getattr(qspx, name)


def test_petab_problems(repo_root, tmp_path, monkeypatch, capsys):
    folder = repo_root / "tests" / "data" / "petab" / "Perelson_Science1996"
    for file in folder.iterdir():
        shutil.copy(file, tmp_path)
    monkeypatch.chdir(tmp_path)
    page, found = blocks(repo_root / "docs" / "petab.md"), {}
    for name in ("load", "gradient", "fit"):
        exec(page[name], found)
    assert "log-likelihood at the nominal values: -432.038550" in capsys.readouterr().out
    assert float(found["many"][0]) == pytest.approx(-432.03855, abs=1e-4)
    assert found["again"].log_likelihood() == pytest.approx(found["found"].value, rel=1e-9)
    assert -found["found"].value == pytest.approx(222.2808, abs=1e-3)  # the best of five starts of pyPESTO
