"""`simulate_cohort`: every subject gets its own answer, whoever its neighbours are and however often the run is
interrupted."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from systems import OneCompartment, Trouble, healthy

from qspx import (
    AUC,
    Arm,
    Cohort,
    Dose,
    Joint,
    LogNormal,
    Max,
    Normal,
    Protocol,
    Regimen,
    Tmax,
    sample_cohort,
    simulate_cohort,
)
from qspx._errors import ConfigError, ModelError, ProtocolError, SolveError
from qspx._status import Status
from qspx.integrate import DiffraxIntegrator, diffrax_integrator

MODEL = Trouble()
TIMES = (0.0, 1.0, 4.0)
PROTOCOL = Protocol.escalation(Regimen.single(1, "nmol", "x"), [1.0, 3.0], TIMES, ["x", "u"])
SUMMARIES = (Max("x"), AUC("x"), Tmax("u", 5.5, 7))
FAST = DiffraxIntegrator(rtol=1e-6, atol=1e-12, max_steps=1500, lanes=8)


def run(cohort: Cohort, protocol: Protocol = PROTOCOL, **options):
    options = {"summaries": SUMMARIES, "integrator": FAST, "progress": False} | options
    return simulate_cohort(MODEL, cohort, protocol, **options)


def mixed() -> Cohort:
    """Thirty subjects: every third is ill, each in one of four ways."""
    sampled = sample_cohort(MODEL, Joint({"k": LogNormal(0.5, cv=0.5)}), 30, key=3)
    theta, status = sampled.theta.copy(), sampled.status.copy()
    column = MODEL.parameter_index
    theta[0::12, column("b")] = 100.0
    theta[3::12, column("k")] = np.nan
    theta[6::12, column("w")] = 1e5
    status[9::12] = Status.IMPLAUSIBLE
    return Cohort(MODEL, theta, status)


EXPECTED = {0: "blow-up", 3: Status.NONFINITE, 6: Status.MAX_STEPS, 9: Status.IMPLAUSIBLE}
SOLVED = np.array([i for i in range(30) if i % 3])


@pytest.fixture(scope="module")
def result():
    return run(mixed())


def test_the_healthy_are_right_and_the_failed_are_nan(result):
    k = mixed().column("k")[SOLVED]
    for arm, amount in enumerate((1.0, 3.0)):
        exact = healthy(np.array(TIMES), amount, k[:, None])
        np.testing.assert_allclose(result.values("x")[arm, SOLVED], exact, rtol=1e-5)
        np.testing.assert_array_equal(result.metric(AUC("x")), result.metric("auc(x)"))
        np.testing.assert_allclose(result.metric("auc(x)")[arm, SOLVED], amount / k * -np.expm1(-7 * k), rtol=1e-5)
        np.testing.assert_allclose(result.metric("max(x)")[arm, SOLVED], amount, rtol=1e-12)
        # cos(t) is largest at 2 pi; at rtol 1e-6 the time of a flat top is less sure than its value
        np.testing.assert_allclose(result.metric("tmax(u, 5.5..7)")[arm, SOLVED], 2 * np.pi, atol=1e-3)
    failed = np.setdiff1d(np.arange(30), SOLVED)
    for name in ("x", "u"):
        assert np.isnan(result.values(name)[:, failed]).all()
    for metric in result.metrics.values():
        assert np.isnan(metric[:, failed]).all() and not np.isnan(metric[:, SOLVED]).any()


def test_every_failure_has_its_status(result):
    for i in range(30):
        for code in result.status[:, i]:
            if i % 3:
                assert code == Status.OK
            elif i % 12 == 0:
                assert code in (Status.DT_MIN, Status.NONFINITE)
            else:
                assert code == EXPECTED[i % 12]
    assert (result.steps[result.status == Status.MAX_STEPS] == 1500).all()
    assert (result.steps[result.status == Status.IMPLAUSIBLE] == 0).all()


def test_the_ledger_adds_up(result):
    table = result.ledger.table().set_index("status")
    assert table["n"].sum() == result.ledger.total == 60
    assert table.loc["ok", "n"] == 2 * len(SOLVED)
    assert table["share"].sum() == pytest.approx(1.0)
    assert result.subject_ledger.total == 30 and result.subject_ledger.ok == len(SOLVED)
    assert sum(result.manifest["status"].values()) == 60
    assert result.manifest["finished"] is True


def same(a, b, rows_a, rows_b) -> None:
    np.testing.assert_array_equal(a.status[:, rows_a], b.status[:, rows_b])
    np.testing.assert_array_equal(a.steps[:, rows_a], b.steps[:, rows_b])
    for name in a.metrics:
        np.testing.assert_array_equal(a.metrics[name][:, rows_a], b.metrics[name][:, rows_b])
    for name in a.trajectories:
        np.testing.assert_array_equal(a.values(name)[:, rows_a], b.values(name)[:, rows_b])


def some(cohort: Cohort, rows) -> Cohort:
    rows = np.atleast_1d(rows)
    return Cohort(cohort.model, cohort.theta[rows], cohort.status[rows])


@pytest.mark.parametrize("subject", [1, 4, 29])
def test_a_subject_alone_has_the_same_bits_as_among_failing_ones(result, subject):
    same(run(some(mixed(), subject)), result, [0], [subject])
    one_arm = run(some(mixed(), subject), Protocol(PROTOCOL.arms[1:]))
    np.testing.assert_array_equal(one_arm.metric("auc(x)")[0, 0], result.metric("auc(x)")[1, subject])


def test_order_and_shards_change_no_bit(result):
    order = np.random.default_rng(0).permutation(30)
    same(run(some(mixed(), order), shard=7), result, slice(None), order)


def test_ten_and_ten_thousand_give_the_same_patient_the_same_result():
    """The large cohort is sampled whole; of it, the subject and some of its neighbours are simulated."""
    spread = Joint({"k": LogNormal(0.5, cv=0.5), "w": LogNormal(1.0, cv=0.2)})
    small, large = (sample_cohort(MODEL, spread, n, key=11) for n in (10, 10_000))
    assert small.theta[7].tobytes() == large.theta[7].tobytes()
    status = np.where((np.arange(10_000) % 400 == 7) | (np.arange(10_000) > 9_990), Status.OK, Status.EXCLUDED)
    picked = run(Cohort(MODEL, large.theta, status), shard=2_000)
    same(picked, run(small), [7], [7])
    assert picked.ledger.counts[Status.EXCLUDED] == 2 * (status == Status.EXCLUDED).sum()


def test_sizes_and_dose_levels_share_one_program(monkeypatch):
    diffrax_integrator._compiled.cache_clear()
    programs, solve_group = [], diffrax_integrator._solve_group

    def counted(compiled, *rest):
        programs.append(compiled)
        return solve_group(compiled, *rest)

    monkeypatch.setattr(diffrax_integrator, "_solve_group", counted)
    for n, levels in ((3, [1.0]), (20, [0.1, 2.0, 5.0]), (1, [7.0])):
        cohort = sample_cohort(Trouble(), Joint({"k": LogNormal(0.5, cv=0.5)}), n, key=0)
        protocol = Protocol.escalation(Regimen.single(1, "nmol", "x"), levels, TIMES, ["x", "u"])
        simulate_cohort(Trouble(), cohort, protocol, summaries=SUMMARIES, integrator=FAST, progress=False)
    assert len(programs) == 1 + 8 + 1  # groups of 8 lanes
    assert len(set(map(id, programs))) == 1
    assert programs[0]._cache_size() == 1  # traced and compiled once


def test_if_all_fail_the_error_comes_after_the_run_and_counts(tmp_path):
    theta = np.tile(MODEL.theta_with({"w": 1e5}), (5, 1))
    theta[:2] = MODEL.theta_with({"k": np.nan})
    with pytest.raises(SolveError, match=r"not one of 10 runs was solved: .*6 max_steps, 4 nonfinite") as error:
        run(Cohort(MODEL, theta, np.zeros(5)), out=tmp_path / "run")
    assert "NaN or infinite" in str(error.value)
    assert (tmp_path / "run" / "shards" / "00000.json").exists()


def test_covariates_of_an_arm_replace_the_subjects_own():
    arms = tuple(Arm(name, Regimen.single(1, "nmol", "x"), TIMES, ("x", "u"), {"V": v})
                 for name, v in (("one", 1.0), ("two", 2.0)))  # fmt: skip
    found = run(some(mixed(), [1, 2]), Protocol(arms))
    np.testing.assert_allclose(found.metric("max(x)"), [[1.0, 1.0], [0.5, 0.5]], rtol=1e-12)


def test_arms_with_different_numbers_of_doses():
    m = OneCompartment()
    arms = (
        Arm("one", Regimen.single(30, "nmol", "C"), (1.0,), ("C",)),
        Arm("three", Regimen(tuple(Dose(10, "nmol", "C") for _ in range(3))), (1.0,), ("C",)),
    )
    found = simulate_cohort(m, Cohort(m, m.theta[None], np.zeros(1)), Protocol(arms), integrator=FAST, progress=False)
    one, three = found.values("C")[:, 0, 0]
    assert one == pytest.approx(three, rel=1e-12)
    assert found.metrics == {} and found.to_dataframe().shape == (2, 5)


@pytest.mark.parametrize(
    "change, kind, words",
    [
        (dict(summaries=[Max("x"), Max("x")]), ProtocolError, ("two `summaries` are the same",)),
        (dict(summaries=[Max("X")]), ModelError, ("`X`", "Did you mean `x`?")),
        (dict(shard=0), SolveError, ("`shard`", ">= 1")),
        (
            dict(protocol=Protocol((Arm("a", PROTOCOL.arms[0].regimen, TIMES, ("x",), {"v": 1.0}),))),
            ModelError,
            ("`v`",),
        ),
    ],
)
def test_mistakes_are_found_before_the_run(change, kind, words):
    with pytest.raises(kind) as error:
        run(mixed(), **change)
    for word in words:
        assert word in str(error.value)


def test_a_cohort_of_another_model():
    with pytest.raises(SolveError, match="made for Trouble.*not for OneCompartment"):
        simulate_cohort(OneCompartment(), mixed(), PROTOCOL, progress=False)


# tables ------------------------------------------------------------------------------------------------------------


def test_as_a_table(result):
    frame = result.to_dataframe()
    assert list(frame) == ["arm", "dose", "subject", "status", "steps", "max(x)", "auc(x)", "tmax(u, 5.5..7)"]
    assert len(frame) == 60
    assert frame.attrs["units"]["max(x)"] == "nM" and frame.attrs["units"]["tmax(u, 5.5..7)"] == "day"
    row = frame[(frame.arm == "3 nmol") & (frame.subject == 4)].iloc[0]
    assert row["dose"] == 3.0 and row["auc(x)"] == result.metric("auc(x)")[1, 4] and row["status"] == "ok"


def test_as_xarray(result):
    data = result.to_xarray()
    assert dict(data.sizes) == {"arm": 2, "subject": 30, "time": 3}
    assert data["x"].dims == ("arm", "subject", "time") and data["x"].attrs["units"] == "nM"
    assert data["auc(x)"].dims == ("arm", "subject")
    assert data["auc(x)"].attrs["units"].replace(" ", "") in ("nM*day", "nM·day", "day*nM")
    picked = data["x"].sel(arm="3 nmol", subject=4, time=4.0)
    assert float(picked) == result.values("x")[1, 4, 2]
    assert data["dose"].sel(arm="1 nmol") == 1.0


def test_quantiles_are_over_the_solved_subjects(result):
    levels = (0.05, 0.5, 0.95)
    np.testing.assert_allclose(
        result.quantiles("auc(x)", levels), np.nanquantile(result.metric("auc(x)"), levels, axis=1), rtol=1e-12
    )
    assert result.quantiles("x", levels).shape == (3, 2, 3)
    with pytest.raises(SolveError, match=r"`auc\(X\)` is not an endpoint.*Did you mean `auc\(x\)`"):
        result.metric("auc(X)")
    with pytest.raises(SolveError, match="`v` was not kept by this run"):
        result.values("v")


def test_results_print_and_plot(result):
    assert str(result).startswith("2 arms x 30 subjects of Trouble: 60 runs: 40 ok")
    axes = result.plot("x")
    assert axes.get_ylabel() == "x (nM)"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["1 nmol", "3 nmol"]


# interruption ------------------------------------------------------------------------------------------------------

LONG = sample_cohort(MODEL, Joint({"k": Normal(0.6, sd=0.3)}), 240, key=5)

KILLED = """
import sys
import qspx
qspx.enable_x64()
import test_cohort_run as t
t.run(t.LONG, shard=4, out=sys.argv[1])
"""


@pytest.fixture(scope="module")
def whole():
    """The uninterrupted run, in memory."""
    return run(LONG, shard=4)


def markers(path) -> dict[str, int]:
    return {f.name: f.stat().st_mtime_ns for f in (path / "shards").glob("*.json")}


def test_a_run_that_was_killed_resumes_and_gives_the_same_bits(tmp_path, repo_root, whole):
    out = tmp_path / "run"
    env = {**os.environ, "PYTHONPATH": str(repo_root / "tests")}
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(out)], env=env, stderr=subprocess.PIPE)
    try:
        end = time.monotonic() + 120
        while len(markers(out)) < 2 and child.poll() is None and time.monotonic() < end:
            time.sleep(0.002)
    finally:
        child.kill()  # SIGKILL: nothing of the child can tidy up
        error = child.communicate()[1].decode()
    before = markers(out)
    assert 2 <= len(before) < 60, f"killed too late or never started: {error}"
    resumed = run(LONG, shard=4, out=out)
    after = markers(out)
    assert len(after) == 60
    assert {name: after[name] for name in before} == before  # finished shards were not touched
    assert resumed.manifest["shards_solved_last"] == 60 - len(before)
    same(resumed, whole, slice(None), slice(None))
    assert resumed.ledger.total == 480 == sum(resumed.manifest["status"].values())
    assert resumed.ledger.counts == whole.ledger.counts
    again = run(LONG, shard=4, out=out)  # a finished run is read, not computed
    assert again.manifest["shards_solved_last"] == 0 and markers(out) == after
    same(again, whole, slice(None), slice(None))


def test_a_run_without_endpoints_and_one_without_samples_resume(tmp_path):
    few = some(mixed(), [1, 2, 3])
    trajectories = [run(few, summaries=(), out=tmp_path / "a", shard=2) for _ in range(2)]
    same(*trajectories, slice(None), slice(None))
    bare = Protocol.escalation(Regimen.single(1, "nmol", "x"), [1.0])
    metrics = [run(few, bare, summaries=(Max("x", 0, 4),), out=tmp_path / "b", shard=2) for _ in range(2)]
    same(*metrics, slice(None), slice(None))
    assert metrics[1].trajectories == {}


OTHER_DOSES = Protocol.escalation(Regimen.single(1, "nmol", "x"), [1.0, 3.1], TIMES, ["x", "u"])


@pytest.mark.parametrize(
    "change, words",
    [
        (dict(integrator=dataclasses.replace(FAST, rtol=1e-7)), ("`integrator`",)),
        (dict(protocol=OTHER_DOSES), ("`arms`",)),
        (dict(summaries=(Max("x"),)), ("`summaries`",)),
        (dict(shard=3), ("`shard`",)),
        (dict(cohort=mixed().with_parameters({"V": 2.0})), ("`cohort_sha256`",)),
    ],
)  # fmt: skip
def test_a_changed_run_is_refused_with_the_name_of_the_difference(tmp_path, finished, change, words):
    with pytest.raises(ConfigError) as error:
        run(**({"cohort": some(mixed(), [1, 2])} | _few(change) | {"out": finished}))
    for word in (*words, "holds another run", "Choose another `out`"):
        assert word in str(error.value)


def _few(change: dict) -> dict:
    return change | ({"cohort": some(change["cohort"], [1, 2])} if "cohort" in change else {})


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "done"
    run(some(mixed(), [1, 2]), out=out)
    return out


def test_a_changed_model_is_refused(finished):
    class Trouble2(Trouble):
        def rates(self, t, y, p):
            return super().rates(t, y, p) | {"x": -1.1 * p.k * y.x}

    m = Trouble2()
    few = Cohort(m, mixed().theta[[1, 2]], np.zeros(2))
    with pytest.raises(ConfigError, match="`model` was Trouble and is now Trouble2 .*model_hash"):
        simulate_cohort(m, few, PROTOCOL, summaries=SUMMARIES, integrator=FAST, out=finished, progress=False)


def test_other_files_are_not_overwritten(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match="`out` must be a new or an empty directory"):
        run(some(mixed(), [1, 2]), out=tmp_path)


def test_a_cohort_of_impossible_subjects_is_refused_before_compute():
    model = Trouble()
    cohort = Cohort(model, np.tile(model.theta_with({"k": -1.0}), (3, 1)), np.zeros(3))
    protocol = Protocol((Arm("a", Regimen.single(1.0, "nmol", next(iter(model.species))), (1.0,)),))
    with pytest.raises(SolveError, match="no subject of the cohort can be simulated.*k outside 0 to 10: 3"):
        simulate_cohort(model, cohort, protocol)
