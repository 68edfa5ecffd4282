"""Numbers as text (significant digits, ranges, percentages) and data frames as table blocks.

Doses and model outputs are printed with three significant digits; inputs as they were given (up to six). The
unrounded number goes with each cell and into the CSV file, so rounding never loses anything.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from .blocks import Cell, Head, ReportError, Table

if TYPE_CHECKING:
    import pandas as pd

DASH = "–"
GROUP = "\u202f"  # narrow no-break space between thousands (ISO 80000-1)
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def _grouped(digits: str) -> str:
    whole, point, decimals = digits.partition(".")
    sign, whole = ("−", whole[1:]) if whole.startswith("-") else ("", whole)
    if len(whole) > 4:
        whole = f"{int(whole):,}".replace(",", GROUP)
    return sign + whole + point + decimals


def _power(mantissa: str, exponent: int) -> str:
    return f"{mantissa.replace('-', '−')}\u00a0×\u00a010{str(exponent).translate(_SUPERSCRIPT)}"


def _not_a_number(value: Any) -> str | None:
    if value is None or not isinstance(value, Real) or math.isnan(value):
        return DASH
    if math.isinf(value):
        return "∞" if float(value) > 0 else "−∞"
    return None


def significant(value: Any, digits: int = 3) -> str:
    """`value` rounded to `digits` significant digits, trailing zeros kept: 0.0425, 5.00, 350, 1.20 × 10⁻⁴.

    Powers of ten are written below 10⁻³ and from 10⁶ on. None and NaN print as a dash.
    """
    if (special := _not_a_number(value)) is not None:
        return special
    if value == 0:
        return "0"
    mantissa, exponent_text = f"{float(value):.{digits - 1}e}".split("e")
    exponent = int(exponent_text)
    if exponent < -3 or exponent >= 6:
        return _power(mantissa, exponent)
    rounded = float(f"{mantissa}e{exponent}")
    return _grouped(f"{rounded:.{max(digits - 1 - exponent, 0)}f}")


def general(value: Any, digits: int = 6) -> str:
    """An input as it was given: up to `digits` significant digits, no trailing zeros; text passes unchanged."""
    if isinstance(value, str):
        return value
    if (special := _not_a_number(value)) is not None:
        return special
    mantissa, exponent_text = f"{float(value):.{digits - 1}e}".split("e")
    exponent = int(exponent_text)
    if value != 0 and (exponent < -3 or exponent >= 6):
        return _power(mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa, exponent)
    plain = f"{float(f'{mantissa}e{exponent}'):.{max(digits - 1 - exponent, 0)}f}"
    return _grouped(plain.rstrip("0").rstrip(".") if "." in plain else plain)


def count(value: Any) -> str:
    """A whole number with its thousands set apart."""
    special = _not_a_number(value)
    return special if special is not None else _grouped(str(int(value)))


def percent(share: Any) -> str:
    """A share in [0, 1] as a percentage with three significant digits."""
    special = _not_a_number(share)
    return special if special is not None else f"{significant(100 * share)}\u00a0%"


def fold(value: Any) -> str:
    """A ratio of doses, three significant digits and a multiplication sign."""
    special = _not_a_number(value)
    return special if special is not None else f"{significant(value)}×"


def spread(low: Any, high: Any) -> str:
    """A range "low – high"; a dash where either end is missing."""
    if _not_a_number(low) == DASH or _not_a_number(high) == DASH:
        return DASH
    return f"{significant(low)}\u00a0–\u00a0{significant(high)}"


def dose(value: Any) -> str:
    """A dose per body weight with its unit."""
    return f"{significant(value)}\u00a0µg/kg"


def prose(value: Any) -> str:
    """Text as given; empty, None and NaN print as a dash."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return DASH
    return str(value).strip() or DASH


def one_decimal(value: Any) -> str:
    """A number of steps: 6.8, −0.6."""
    special = _not_a_number(value)
    return special if special is not None else f"{round(float(value), 1) + 0.0:.1f}".replace("-", "−")


def unit_words(value: Any) -> str:
    """A unit with µ for u ("ug/kg"); a dash for a dimensionless quantity."""
    return re.sub(r"\bu(?=(?:g|L|M|mol)\b)", "µ", prose(value))


def signed(value: Any) -> str:
    """A number around zero with its sign and two decimals: +0.92, −0.31."""
    special = _not_a_number(value)
    return special if special is not None else f"{value:+.2f}".replace("-", "−")


def yes_no(value: Any) -> str:
    return "yes" if value else "no"


_NUMERIC = (significant, general, count, percent, fold, one_decimal)


@dataclass(frozen=True)
class Column:
    """How one column of a data frame is shown. Columns shown by a number formatter are aligned right."""

    key: str
    title: str
    show: Callable[[Any], str] = prose
    unit: str = ""
    monospace: bool = False
    width: float | None = None
    align_right: bool | None = None
    group: str = ""

    @property
    def numeric(self) -> bool:
        return self.align_right if self.align_right is not None else self.show in _NUMERIC


def _cell(column: Column, value: Any) -> Cell:
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    number = float(value) if column.numeric and is_number else None
    return Cell(column.show(value), number if number is not None and math.isfinite(number) else None)


def require_columns(frame: pd.DataFrame, keys: Sequence[str], what: str) -> None:
    """Raise ReportError when a non-empty `frame` lacks one of `keys`; an empty frame may have no columns at all."""
    lacking = [key for key in keys if key not in frame.columns]
    if len(frame) and lacking:
        raise ReportError(
            f"Argument `{what}` must have the columns {list(keys)}, but {lacking} are missing. "
            f"It has {list(map(str, frame.columns))}."
        )


def table_from(
    frame: pd.DataFrame,
    columns: Sequence[Column],
    *,
    name: str,
    caption: str,
    notes: Sequence[str] = (),
    muted: Sequence[int] = (),
    data: pd.DataFrame | None = None,
) -> Table:
    """A `Table` block from `frame`, one row per row in the given order.

    `data` replaces `frame` in the CSV file (for example to add columns that are not printed).
    """
    require_columns(frame, [column.key for column in columns], name)
    records = frame.to_dict("records")
    rows = tuple(tuple(_cell(column, record[column.key]) for column in columns) for record in records)
    heads = tuple(Head(c.title, c.unit, c.numeric, c.monospace, c.width, c.group) for c in columns)
    return Table(name, caption, heads, rows, frame if data is None else data, tuple(notes), frozenset(muted))


def csv_text(table: Table) -> str:
    """The CSV file of a table: unrounded numbers (shortest text that reads back the same), "\\n" line ends."""
    return table.data.to_csv(index=False, lineterminator="\n")


def check_sum(parts: Sequence[Any], total: Any, what: str) -> None:
    """Raise ReportError unless the whole numbers `parts` add up to `total`."""
    if not all(isinstance(part, Integral) or float(part).is_integer() for part in parts):
        raise ReportError(f"Argument `{what}` must hold whole numbers, but it holds {list(parts)}.")
    added = sum(int(part) for part in parts)
    if added != int(total):
        raise ReportError(
            f"Argument `{what}` must add up to its total {int(total)}, but its categories add up to {added}. "
            "Every subject belongs to exactly one category."
        )
