"""Population fits that are killed go on, bit for bit."""

import dataclasses
import json

import numpy as np
import pytest
from population_systems import line_data, lines

from qspx._errors import ConfigError
from qspx.nlme import FO, FOCEI, PopulationObjective, fit_population
from qspx.nlme.fit_run import PopulationRun

PROBLEM = lines(line_data(6, seed=2), correlated=False)


def fitted(out=None, problem=PROBLEM, **changed):
    return fit_population(problem, FO(), **{"starts": 2, "out": out, "progress": False} | changed)


@pytest.fixture(scope="module")
def whole():
    return fitted()


def same(found, whole):
    one, other = (PopulationRun(f.searches, f.matrices).arrays() for f in (found, whole))
    assert set(one) == set(other)
    for name, array in other.items():
        np.testing.assert_array_equal(one[name], array, err_msg=name)
    assert str(found) == str(whole)


def killed_after(monkeypatch, evaluations, error):
    """Every process may evaluate so often, and then dies."""
    true, count = PopulationObjective.__call__, iter(range(evaluations))

    def call(self, x, z=None):
        if next(count, None) is None:
            raise error
        return true(self, x, z)

    monkeypatch.setattr(PopulationObjective, "__call__", call)


def test_a_fit_killed_again_and_again_comes_to_the_same_numbers(tmp_path, whole):
    """Deaths fall into the first search, the second, and the standard errors, which begin anew."""
    first, second = (s.evaluations for s in whole.searches)
    for evaluations, searches, going in ((first // 2, 1, 0), (first, 2, 1), (second - first // 2 + 6, 2, None)):
        with pytest.MonkeyPatch.context() as patch:
            killed_after(patch, evaluations, MemoryError())
            with pytest.raises(MemoryError):
                fitted(tmp_path / "fit")
        with np.load(tmp_path / "fit" / "state.npz") as state:
            assert sum(name.endswith("_start") for name in state) == searches
            assert [name for name in state if "memory_fresh" in name] == [f"{going}_memory_fresh"] * (going is not None)
    same(fitted(tmp_path / "fit"), whole)


def test_what_is_done_is_only_read(tmp_path, whole, monkeypatch):
    same(fitted(tmp_path / "fit"), whole)
    assert json.loads((tmp_path / "fit" / "manifest.json").read_text())["finished"]
    killed_after(monkeypatch, 0, AssertionError("evaluated again"))
    same(fitted(tmp_path / "fit"), whole)
    assert fitted(tmp_path / "fit", uncertainty=False).matrices is None


def test_an_interrupt_says_where_it_stands(tmp_path, monkeypatch, capsys):
    killed_after(monkeypatch, 5, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        fitted(tmp_path / "fit")
    said = capsys.readouterr().err
    assert "0 of 2 searches are done, best objective value" in said and "the same call resumes" in said


def test_another_fit_is_refused(tmp_path, whole):
    fitted(tmp_path / "fit", starts=1, uncertainty=False)
    other = lines(line_data(6, seed=3), correlated=False)
    for changed, what in (
        ({"problem": other}, "`measurements` was"),
        ({"most": 7}, "`most` was 500 and is now 7"),
        ({"starts": 3}, "`points` was"),
        ({"problem": dataclasses.replace(PROBLEM, integrator=type(PROBLEM.integrator)(rtol=1e-7))}, "`integrator` was"),
    ):
        with pytest.raises(ConfigError, match=f"holds another run: {what}"):
            fitted(tmp_path / "fit", **{"starts": 1} | changed)
    with pytest.raises(ConfigError, match="`method` was"):
        fit_population(PROBLEM, FOCEI(), out=tmp_path / "fit", progress=False)


def test_damaged_and_foreign_files_are_named(tmp_path):
    out = tmp_path / "fit"
    fitted(out, starts=1, uncertainty=False)
    state, manifest = (out / "state.npz").read_bytes(), (out / "manifest.json").read_text()
    middle = len(state) // 2
    flipped = state[:middle] + bytes(255 - b for b in state[middle : middle + 40]) + state[middle + 40 :]
    for broken in (b"", state[:60], state[:-30], flipped):
        (out / "state.npz").write_bytes(broken)
        with pytest.raises(ConfigError, match="state.npz' is damaged"):
            fitted(out, starts=1)
    fitted(tmp_path / "other", starts=1, uncertainty=False, most=20)
    (out / "state.npz").write_bytes((tmp_path / "other" / "state.npz").read_bytes())
    with pytest.raises(ConfigError, match="state.npz' is not of the fit that manifest.json beside it describes"):
        fitted(out, starts=1)
    for broken, said in (
        (manifest[:40], "manifest.json' is damaged"),
        ("{}", "holds a run, not a population fit"),
        (manifest.replace('"population fit"', '"fit"'), "holds a fit, not a population fit"),
        ('{"kind": "population fit"}', "manifest.json' is damaged"),
    ):
        (out / "manifest.json").write_text(broken)
        with pytest.raises(ConfigError, match=said):
            fitted(out, starts=1)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="holds other files"):
        fitted(tmp_path / "mine")


def test_a_fit_that_did_not_converge_withholds_errors(whole):
    found = fitted(starts=1, most=4)
    assert not found.converged and {"se", "low"} <= set(found.table())
    lines = str(found).splitlines()
    assert lines[0].startswith("NOT CONVERGED: the best search ended before an optimum; raise `most`")
    assert not any(word in str(found) for word in (" se ", " rse", " low", " high", "condition number"))
    assert " se " in str(whole) and "NOT" not in str(whole)


def test_progress_counts_evaluations_and_coordinates(capsys, whole, monkeypatch):
    monkeypatch.setattr("qspx.progress.WORTH_A_LINE", 0.0)
    fitted(starts=1, progress=True)
    said = capsys.readouterr().err
    assert "FO, evaluations (at most 500)" in said
    assert f"standard errors, coordinates: {len(whole.x)} in" in said
