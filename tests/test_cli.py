"""The command line: what it prints, what it writes, and its exit codes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from qspx import __version__, cli

DATA = Path(__file__).resolve().parent / "data" / "experiment"
MODEL, EXPERIMENT = (DATA / "tiny.py").read_text(), (DATA / "tiny.toml").read_text()
COMMANDS = ("check", "simulate", "convert", "cohort", "fih", "report")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tiny.py").write_text(MODEL)
    (tmp_path / "tiny.toml").write_text(EXPERIMENT)
    return tmp_path


def qspx(*arguments: object):
    return CliRunner().invoke(cli.app, [str(a) for a in arguments])


def test_help_is_light_and_has_examples():
    code = (
        "import sys\nfrom qspx.cli import app\n"
        f"for command in ([], *[[c] for c in {COMMANDS!r}]):\n"
        "    app([*command, '--help'], standalone_mode=False)\n"
        "print('LOADED', *{name.split('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    text, loaded = done.stdout.rsplit("LOADED", 1)
    assert not set(loaded.split()) & {"jax", "pandas", "numpy", "scipy", "matplotlib"}
    assert text.count("Examples:") == len(COMMANDS) + 1
    assert "130 interrupted" in text


def test_the_package_runs_as_a_module():
    done = subprocess.run([sys.executable, "-m", "qspx", "--version"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, f"qspx {__version__}\n"), done.stderr


def test_version():
    assert qspx("--version").stdout == f"qspx {__version__}\n"


def test_check_passes(folder):
    done = qspx("check", folder / "tiny.py")
    assert done.exit_code == 0, done.output
    assert "units: consistent" in done.stdout
    assert re.search(r"ok +half-life +6\.931 +6\.93147 +day", done.stdout)
    assert "volume" in done.stdout  # the parameter table
    short = qspx("check", folder / "tiny.py", "--no-tables", "--no-published", "--switch", "slow=true")
    assert short.exit_code == 0
    assert "half-life" not in short.stdout


def test_a_note_does_not_fail_the_check(folder):
    (folder / "bare.py").write_text(
        "import qspx\n"
        'S = {"A": qspx.Species("nmol"), "B": qspx.Species("nmol")}\n'
        'R = (qspx.Reaction("turn", {"A": 1}, {"B": 1}, qspx.MassAction("k")),)\n'
        'model = qspx.Network("Bare", S, {"k": qspx.Parameter(1.0, "1/day")}, R)\n'
    )
    done = qspx("check", folder / "bare.py", "--no-tables")
    assert done.exit_code == 0, done.output
    assert "note: mass balance not checked: turn: species without `parts`: A, B" in done.stdout
    assert "structure:" not in done.stdout


def test_check_fails_for_a_published_number_that_is_not_met(folder):
    (folder / "tiny.py").write_text(MODEL.replace("6.931,", "7.5,"))
    done = qspx("check", folder / "tiny.py")
    assert done.exit_code == 1
    assert re.search(r"FAILED +half-life +7\.5 +6\.93", done.stdout)


def test_check_fails_for_a_structural_finding(folder):
    declared = '    EC50 = qspx.Parameter(2.0, "nM", "potency", source="made up")\n'
    (folder / "tiny.py").write_text(MODEL.replace(declared, declared + declared.replace("EC50", "Emax")))
    done = qspx("check", folder / "tiny.py", "--no-published")
    assert done.exit_code == 1
    assert "unused parameter: Emax" in done.stdout


def test_check_of_a_model_whose_units_do_not_fit(folder):
    (folder / "tiny.py").write_text(MODEL.replace("absorbed / p.V - ", "absorbed - "))
    done = qspx("check", folder / "tiny.py")
    assert done.exit_code == 2
    assert done.stderr.startswith("Error: rate of Tiny: in `C`: `nmol/day` and `nM/day` are subtracted")
    assert "Traceback" not in done.stderr


def test_simulate(folder):
    done = qspx(
        "simulate", folder / "tiny.py", "--dose", "2,20 ug/kg", "--at", "0,7", "--into", "depot", "--until", "14",
        "--observable", "C", "--set", "CL=10 mL/h", "--set", "ka=0.4", "--points", "15", "--out", folder / "c.csv",
        "--plot", folder / "c.svg")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "2, 20 ug/kg into depot at day 0, 7" in done.stdout
    frame = pd.read_csv(folder / "c.csv")
    assert list(frame.columns) == ["time (day)", "C (nM)"]
    assert frame["time (day)"].tolist() == list(range(15))
    # Bateman function on day 7, just at the second dose into the depot: 2 ug/kg, 70 kg, 150 kDa, F 0.7
    import numpy as np

    nmol, k = 2 * 70 / 150 * 0.7, 0.24 / 3
    expected = nmol / 3 * 0.4 / (0.4 - k) * (np.exp(-k * 7) - np.exp(-0.4 * 7))
    assert frame["C (nM)"][7] == pytest.approx(expected, rel=1e-4)
    assert "<svg" in (folder / "c.svg").read_text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--dose": "5"}, "--dose must be an amount with its unit, such as \"5 ug/kg\", but is '5'"),
        ({"--dose": "-5 ug/kg"}, "`amount` of a Dose must be a number >= 0"),
        ({"--dose": "1,2 ug/kg"}, "--dose holds 2 amounts, but --at 1 times"),
        ({"--dose": "5 ugg/kg"}, "Cannot read the unit"),
        ({"--into": "depo"}, "no species `depo`. Did you mean `depot`?"),
        ({"--observable": "Cc"}, "no observable or species `Cc`. Did you mean `C`?"),
        ({"--set": "CLR=1"}, "no parameter `CLR`. Did you mean `CL`?"),
        ({"--set": "CL"}, "--set must be written name=value, but is 'CL'"),
        ({"--set": "CL=1 nM"}, "--set CL=1 nM: must convert to L/day"),
        ({"--switch": "slo=1"}, "switches {'slo': 1} do not fit"),
        ({"--at": "0;3"}, "--at must be numbers and commas, such as 0,3,7, but is '0;3'"),
        ({"--until": "0"}, "--until must be after the start of the simulation (0), but is 0"),
    ],
    ids=lambda x: " ".join(*x.items()) if isinstance(x, dict) else "",
)
def test_simulate_tells_what_is_wrong(folder, change, message):
    given = {"--dose": "5 ug/kg", "--into": "depot", "--until": "7", "--observable": "C"} | change
    done = qspx("simulate", folder / "tiny.py", *[part for pair in given.items() for part in pair])
    assert done.exit_code == 2, done.output
    assert message in done.stderr
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.output


def test_debug_shows_the_traceback(folder):
    done = qspx("check", folder / "none.py", "--debug")
    assert done.exit_code == 2
    assert "Traceback" in done.stderr and "ModelError" in done.stderr


def test_usage_mistakes_exit_with_2(folder):
    assert qspx("fih", folder / "tiny.toml").exit_code == 2
    assert qspx("fihh").exit_code == 2


def test_mistakes_in_the_experiment_exit_with_2(folder):
    (folder / "tiny.toml").write_text(EXPERIMENT.replace("seed", "sead"))
    done = qspx("fih", folder / "tiny.toml", "--out", folder / "run")
    assert done.exit_code == 2
    assert "tiny.toml: `sead` is not a key here. Did you mean `seed`?" in done.stderr
    assert not (folder / "run").exists()


def test_cohort(folder):
    done = qspx("cohort", folder / "tiny.toml", "--out", folder / "run")
    assert done.exit_code == 0, done.output
    assert re.search(r"max\(C, \.\.28\), nM +5 % +50 % +95 %", done.stdout)
    assert re.search(r"12 virtual patients:\n +12  ok: solved", done.stdout)
    assert len(pd.read_parquet(folder / "run" / "metrics.parquet")) == 4 * 12
    again = qspx("cohort", folder / "tiny.toml", "--out", folder / "run")
    assert again.stdout == done.stdout


def test_fih_and_report(folder):
    done = qspx("fih", folder / "tiny.toml", "--out", folder / "run")
    assert done.exit_code == 0, done.output
    assert re.search(r"QSP +single dose +[\d.]+ +[\d.]+ +[\d.]+ +[\d.]+x +[\d.]+x", done.stdout)
    assert "the proposed first injection (2 ug/kg) and target dose (20 ug/kg)" in done.stdout
    assert "12  ok: solved" in done.stdout
    page = folder / "run" / "report" / "report.html"
    assert f"Report: {page}" in done.stdout
    before = page.read_bytes()
    page.unlink()
    again = qspx("report", folder / "run")
    assert again.exit_code == 0, again.output
    assert page.read_bytes() == before


def test_fih_without_report(folder):
    done = qspx("fih", folder / "tiny.toml", "--out", folder / "run", "--no-report")
    assert done.exit_code == 0, done.output
    assert not (folder / "run" / "report").exists()


def test_report_of_what_is_no_run(folder):
    done = qspx("report", folder)
    assert done.exit_code == 2
    assert "the run is not finished, or this is no folder of `qspx fih`" in done.stderr


def test_interruption(folder, monkeypatch):
    import qspx.experiment

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(qspx.experiment, "run_fih", interrupted)
    done = CliRunner().invoke(cli.app, ["fih", str(folder / "tiny.toml"), "--out", str(folder / "run")])
    assert done.exit_code == 130
    assert "Interrupted. The same command resumes where it stopped." in done.stderr


def test_settings_are_made_before_jax_and_the_users_stand(tmp_path):
    code = (
        "import os, qspx.cli as c\nc.prepare()\nimport jax\n"
        "print(jax.config.jax_enable_x64, jax.config.jax_compilation_cache_dir, os.environ['EQX_ON_ERROR'])"
    )
    unset = ("JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "EQX_ON_ERROR")
    clean = {k: v for k, v in os.environ.items() if k not in unset}

    def said(environment) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    assert said(clean) == ["True", str(cli.cache_folder()), "nan"]
    assert said(clean | {"JAX_COMPILATION_CACHE_DIR": str(tmp_path), "EQX_ON_ERROR": "raise"}) == [
        "True",
        str(tmp_path),
        "raise",
    ]


@pytest.mark.parametrize(
    ("platform", "variable", "tail"),
    [("linux", "XDG_CACHE_HOME", ("x", "qspx", "jax")), ("win32", "LOCALAPPDATA", ("x", "qspx", "jax")),
     ("darwin", None, ("Library", "Caches", "qspx", "jax"))],
)  # fmt: skip
def test_cache_folder_of_each_system(monkeypatch, platform, variable, tail):
    monkeypatch.setattr(sys, "platform", platform)
    if variable:
        monkeypatch.setenv(variable, os.sep + "x")
    assert cli.cache_folder().parts[-len(tail) :] == tail
