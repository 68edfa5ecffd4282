"""SBML files as model files: the same numbers, and `qspx check` is content."""

import numpy as np
import pytest
from typer.testing import CliRunner

import qspx
from qspx import cli
from qspx.interchange.sbml import read_sbml, simulate_sbml

pytest.importorskip("libsbml", reason="needs the extra sbml")


def command(*arguments):
    return CliRunner().invoke(cli.app, [str(a) for a in arguments])


def source(reference_dir, name):
    if name.startswith("0"):
        return next((reference_dir / "sbml_semantic" / name).glob("*-l3v2.xml"))
    return reference_dir / "qsp" / f"{name}.xml"


@pytest.mark.parametrize("name", ["00862", "01121", "01000", "BIOMD0000000379", "BIOMD0000000788", "gadkar_apcsk9"])
def test_the_written_file_is_the_same_model(reference_dir, tmp_path, name):
    path, out = source(reference_dir, name), tmp_path / "made.py"
    done = command("convert", path, out)
    assert done.exit_code == 0, done.output
    checked = command("check", out, "--no-tables")
    assert checked.exit_code == 0, checked.output
    assert "units: consistent" in checked.stdout and "nothing to report" in checked.stdout
    model, times = qspx.load_model(out), np.linspace(0.0, 5.0, 11)
    written, loaded = qspx.simulate_events(model, times), simulate_sbml(path, times)
    outputs = read_sbml(path).outputs
    shared = [key for key, own in outputs.items() if own in model.outputs]
    assert len(shared) > 3
    for key in shared:  # another engine where the model has no events, so to the tolerance and not to the bit
        np.testing.assert_allclose(written[outputs[key]], loaded[key], rtol=1e-6, atol=1e-9, err_msg=key)


@pytest.mark.parametrize("name", ["gadkar_apcsk9", "BIOMD0000000613"])
def test_lines_do_not_reach_far_to_the_right(reference_dir, name):
    text = read_sbml(source(reference_dir, name)).source
    assert max(map(len, text.splitlines())) <= 120


def test_an_existing_file_is_kept(reference_dir, tmp_path):
    out = tmp_path / "made.py"
    out.write_text("mine")
    done = command("convert", source(reference_dir, "00862"), out)
    assert done.exit_code == 2 and "--overwrite" in done.output and out.read_text() == "mine"


def test_a_refusal_reaches_the_command_line(reference_dir, tmp_path):
    done = command("convert", source(reference_dir, "01083"), tmp_path / "made.py")
    assert done.exit_code == 2 and "line 48, algebraicRule" in done.output
