"""Estimates go back into PEtab files, which read as they were but for the nominal values."""

import dataclasses

import numpy as np
import pytest
from made import parameter_table, problem

from qspx import load_petab
from qspx.interchange import InterchangeError
from qspx.petab import write_petab, write_petab_parameters

ONE = [("observableId", "simulationConditionId", "time", "measurement"), ("obs_a", "c0", 1, 0.7)]


@dataclasses.dataclass
class Found:
    """What is used of a Fit."""

    parameters: dict[str, float]


@pytest.fixture
def found(tmp_path):
    head, *rows = parameter_table(k1=0.8, k2=0.6)
    table = [
        (*head, "parameterName"),
        *((*row, f"rate {row[0]}") for row in rows),
        ("a0", "lin", 0, 2, 1.5, 0, "start"),
    ]
    (tmp_path / "in").mkdir()
    return load_petab(problem(tmp_path / "in", parameters=table, measurements=ONE))


@pytest.mark.parametrize("values", [Found({"k1": 0.1 + 0.2, "k2": 3.0}), {"k1": 0.1 + 0.2, "k2": 3.0}])
def test_parameter_table(found, tmp_path, values):
    path = write_petab_parameters(found, values, tmp_path / "new.tsv")
    lines = [line.split("\t") for line in path.read_text().splitlines()]
    assert lines[0] == list(found.tables.columns["parameter"])
    assert [line[0] for line in lines[1:]] == ["k1", "k2", "a0"]
    assert [float(line[4]) for line in lines[1:]] == pytest.approx([0.1 + 0.2, 3.0, 1.5], rel=1e-15)
    assert [line[5:] for line in lines[1:]] == [["1", "rate k1"], ["1", "rate k2"], ["0", "start"]]


def test_whole_problem(found, tmp_path):
    x = found.nominal + 0.1
    again = load_petab(write_petab(found, x, tmp_path / "out"))
    np.testing.assert_allclose(again.nominal, x, rtol=1e-14)
    assert again.table.fixed == {"a0": 1.5}
    assert again.simulate().drop(columns="simulation").equals(found.simulate().drop(columns="simulation"))
    with pytest.raises(InterchangeError, match="must be another one"):
        write_petab(found, x, tmp_path / "in")
