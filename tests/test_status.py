"""Status codes are stable, and ledgers add up."""

import pickle

import numpy as np
import pytest

from qspx._errors import QspxError, UnitError, closest
from qspx._status import STATUS_ADVICE, Ledger, Status


def test_codes_never_change():
    names = ["OK", "NOT_RUN", "MAX_STEPS", "DT_MIN", "NONFINITE", "IMPLAUSIBLE", "EXCLUDED", "NOT_STEADY"]
    names += ["NOT_REACHED"]
    assert [(s.name, int(s)) for s in Status] == [(name, i) for i, name in enumerate(names)]
    assert set(STATUS_ADVICE) == set(Status)


def test_ledger_counts_and_adds_up():
    ledger = Ledger.of(np.array([[0, 0, 2], [4, 0, 5]]), {Status.IMPLAUSIBLE: {"T cells > 1e4": 1}})
    assert ledger.total == 6
    assert ledger.ok == 3
    assert dict(ledger.counts) == {s: {0: 3, 2: 1, 4: 1, 5: 1}.get(int(s), 0) for s in Status}
    table = ledger.table()
    assert list(table.columns) == ["status", "n", "share", "meaning"]
    assert table["n"].sum() == 6
    assert table["share"].sum() == pytest.approx(1.0)
    assert "T cells > 1e4: 1" in table.set_index("status").loc["implausible", "meaning"]
    assert str(ledger) == "6 subjects: 3 ok, 1 max_steps, 1 nonfinite, 1 implausible"


def test_ledgers_of_shards_sum_to_the_ledger_of_all():
    status = np.random.default_rng(0).integers(0, 7, 1000)
    shards = [Ledger.of(part, {Status.EXCLUDED: {"asked": int((part == 6).sum())}}) for part in np.split(status, 10)]
    whole = Ledger.of(status, {Status.EXCLUDED: {"asked": int((status == 6).sum())}})
    assert sum(shards) == whole
    assert pickle.loads(pickle.dumps(whole)) == whole


def test_empty_ledger():
    ledger = Ledger.of([])
    assert ledger.total == 0
    assert len(ledger.table()) == 0


def test_wrong_codes_are_refused():
    with pytest.raises(ValueError, match="99"):
        Ledger.of([0, 99])
    with pytest.raises(ValueError, match="negative"):
        Ledger({Status.OK: -1})


def test_closest_names_a_near_miss_only():
    assert closest("clearence", ["clearance", "volume"]) == " Did you mean `clearance`?"
    assert closest("cl", ["CL", "V"]) == " Did you mean `CL`?"
    assert closest("xyz", ["CL", "V"]) == ""


def test_errors_are_value_errors():
    assert issubclass(UnitError, QspxError) and issubclass(QspxError, ValueError)
