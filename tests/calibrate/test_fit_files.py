"""Fits that are killed go on; fits that are saved come back."""

import json

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from closed_form import closed_form, linear, rosenbrock

from qspx import FirstOrder, TrustRegion, fit, load_fit
from qspx._errors import ConfigError

METHODS = {"trust region": TrustRegion(), "adam": FirstOrder(optax.adam(0.05), max_iterations=40)}


class Killer:
    """A method that stops the process at a step, as a kill would."""

    def __init__(self, method, at, error):
        self.method, self.at, self.error, self.steps = method, at, error, 0

    def __call__(self, monkeypatch):
        advance = type(self.method).advance

        def killed(method, evaluator, search):
            self.steps += 1
            if self.steps > self.at:
                raise self.error
            return advance(method, evaluator, search)

        monkeypatch.setattr(type(self.method), "advance", killed)


@pytest.mark.parametrize("method", METHODS.values(), ids=list(METHODS))
@pytest.mark.parametrize("at", [0, 3, 5])
def test_a_killed_fit_goes_on_to_the_same_numbers(tmp_path, method, at):
    """Bit for bit: a search depends on its own state alone."""
    o = rosenbrock()
    whole = fit(o, key=0, starts=9, method=method, progress=False)
    with pytest.MonkeyPatch.context() as patch:
        Killer(method, at, MemoryError())(patch)
        with pytest.raises(MemoryError):
            fit(o, key=0, starts=9, method=method, out=tmp_path / "fit", save_every=2, progress=False)
    saved = load_fit(tmp_path / "fit", rosenbrock())
    assert len(saved.run.history) == 1 + at // 2 * 2
    assert saved.search.running.any() and "running" in str(saved.ledger)
    resumed = fit(rosenbrock(), key=0, starts=9, method=method, out=tmp_path / "fit", save_every=2, progress=False)
    for name, array in whole.run.arrays().items():
        np.testing.assert_array_equal(resumed.run.arrays()[name], array, err_msg=name)


def test_an_interrupt_says_where_it_stands(tmp_path, capsys):
    with pytest.MonkeyPatch.context() as patch:
        Killer(TrustRegion(), 4, KeyboardInterrupt())(patch)
        with pytest.raises(KeyboardInterrupt):
            fit(rosenbrock(), key=0, starts=9, out=tmp_path / "fit", progress=False)
    said = capsys.readouterr().err
    assert "of 9 starts are done, best log-posterior" in said and "the same call resumes" in said
    assert len(load_fit(tmp_path / "fit", rosenbrock()).run.history) == 5  # nothing is lost


def test_a_finished_fit_is_read_not_repeated(tmp_path):
    o = rosenbrock()
    first = fit(o, key=0, starts=5, out=tmp_path / "fit", progress=False)
    with pytest.MonkeyPatch.context() as patch:
        Killer(TrustRegion(), 0, MemoryError())(patch)
        again = fit(o, key=0, starts=5, out=tmp_path / "fit", progress=False)
    np.testing.assert_array_equal(first.xs, again.xs)
    assert first.manifest == again.manifest
    assert json.loads((tmp_path / "fit" / "manifest.json").read_text())["finished"]


@pytest.mark.parametrize(
    ("other", "what"),
    [
        ({"key": 1}, "seed"),
        ({"starts": 6}, "starts"),
        ({"method": TrustRegion(radius=0.11)}, "method"),
        ({"method": METHODS["adam"]}, "method"),
        ({"problem": linear()[0]}, "estimated"),
    ],
)
def test_another_fit_in_the_same_place(tmp_path, other, what):
    asked = {"problem": rosenbrock(), "key": 0, "starts": 5, "progress": False, "out": tmp_path / "fit"}
    fit(**asked)
    with pytest.raises(ConfigError, match=f"holds another run: `{what}` was"):
        fit(**(asked | other))


def test_optimisers_with_other_rates_are_other_methods():
    one, other, same = (FirstOrder(optax.adam(rate)).settings["optimiser"] for rate in (0.1, 0.2, 0.1))
    assert one == same != other


def test_save_and_load(tmp_path):
    found = fit(rosenbrock(), key=0, starts=5, progress=False)
    found.save(tmp_path / "there")
    back = load_fit(tmp_path / "there", rosenbrock())
    np.testing.assert_array_equal(back.xs, found.xs)
    assert str(back) == str(found)
    with pytest.raises(ConfigError, match="another run"):
        load_fit(tmp_path / "there", linear()[0])


def test_other_measurements_are_another_problem(tmp_path):
    def problem(y):
        return closed_form(linear()[0].estimated, y, lambda v: (v, jnp.ones(2), True))

    fit(problem([1.0, 2.0]), key=0, starts=2, progress=False).save(tmp_path / "there")
    with pytest.raises(ConfigError, match="`measurements` was"):
        load_fit(tmp_path / "there", problem([1.0, 2.1]))


def test_a_directory_that_holds_no_fit(tmp_path):
    with pytest.raises(ConfigError, match="holds no fit"):
        load_fit(tmp_path, rosenbrock())
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="holds other files"):
        fit(rosenbrock(), key=0, starts=2, out=tmp_path, progress=False)


def test_a_fit_without_a_saved_state_says_how_to_go_on(tmp_path, monkeypatch):
    def killed(*_):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr("qspx.calibrate.fit._begin", killed)
        with pytest.raises(MemoryError):
            fit(rosenbrock(), key=0, starts=3, out=tmp_path / "fit", progress=False)
    with pytest.raises(ConfigError, match=r"has not saved anything yet; call fit\(\.\.\., out=.*to go on"):
        load_fit(tmp_path / "fit", rosenbrock())


@pytest.mark.parametrize("name", ["manifest.json", "state.npz"])
@pytest.mark.parametrize("kept", [0, 50])
def test_a_damaged_file_is_named(tmp_path, name, kept):
    fit(rosenbrock(), key=0, starts=3, out=tmp_path / "fit", progress=False)
    path = tmp_path / "fit" / name
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ConfigError, match=f"{name}' is damaged: it ends too early"):
        load_fit(tmp_path / "fit", rosenbrock())
