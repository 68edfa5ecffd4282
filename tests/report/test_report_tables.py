"""Numbers as text, and data frames as table blocks."""

import math

import numpy as np
import pandas as pd
import pytest

from qspx.report import ReportError
from qspx.report.tables import (
    Column,
    check_sum,
    count,
    csv_text,
    fold,
    general,
    percent,
    significant,
    spread,
    table_from,
)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0425, "0.0425"), (5, "5.00"), (0.1, "0.100"), (350.0, "350"), (1234.5, "1230"), (0.00999999, "0.0100"),
        (99.96, "100"), (120486, "120\u202f000"), (9.999e5, "1.00\u00a0×\u00a010⁶"), (-0.5, "−0.500"), (0, "0"),
        (1.234e-4, "1.23\u00a0×\u00a010⁻⁴"), (6.55e9, "6.55\u00a0×\u00a010⁹"), (math.nan, "–"), (None, "–"),
        (math.inf, "∞"), (np.float32(2.5), "2.50"),
    ],
)  # fmt: skip
def test_three_significant_digits(value, shown):
    if shown == "1.00\u00a0×\u00a010⁶":
        value = 9.999e5 + 60  # rounds up across the change of notation
    assert significant(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.35, "0.35"), (120486.0, "120\u202f486"), (41, "41"), (1e5, "100\u202f000"), (6.55e9, "6.55\u00a0×\u00a010⁹"),
     (1e-9, "1\u00a0×\u00a010⁻⁹"), ("geometric mean", "geometric mean"), (0, "0"), (100, "100")],
)  # fmt: skip
def test_inputs_are_shown_as_given(value, shown):
    assert general(value) == shown


def test_percentages_folds_counts_and_ranges():
    assert percent(0.123) == "12.3\u00a0%"
    assert fold(117.6) == "118×"
    assert count(1234567) == "1\u202f234\u202f567"
    assert spread(0.027, 0.0698) == "0.0270\u00a0–\u00a00.0698"
    assert spread(None, 1.0) == spread(math.nan, 1.0) == "–"


def test_cells_carry_the_unrounded_number_and_csv_too():
    frame = pd.DataFrame({"name": ["a"], "x": [0.123456789012345]})
    table = table_from(frame, [Column("name", "Name"), Column("x", "X", significant)], name="t", caption="c")
    assert [cell.text for cell in table.rows[0]] == ["a", "0.123"]
    assert table.rows[0][1].value == 0.123456789012345
    assert csv_text(table) == "name,x\na,0.123456789012345\n"


def test_a_missing_column_is_named():
    with pytest.raises(ReportError, match="`t` must have the columns .*'y'.* missing"):
        table_from(pd.DataFrame({"x": [1]}), [Column("y", "Y")], name="t", caption="c")


def test_an_empty_frame_needs_no_columns():
    assert table_from(pd.DataFrame(), [Column("y", "Y")], name="t", caption="c").rows == ()


def test_parts_must_add_up():
    check_sum([3, np.int64(4), 5.0], 12, "ledger")
    with pytest.raises(ReportError, match="add up to its total 12, but its categories add up to 11"):
        check_sum([3, 4, 4], 12, "ledger")
    with pytest.raises(ReportError, match="whole numbers"):
        check_sum([3, 4.5], 7, "ledger")
