"""Labels inside and beside the axes, placed so that they overlap neither each other nor the curves."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from .drawing import INK, SMALL
from .tables import significant

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDEST = 52  # letters in a line of a threshold's label


def push_apart(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions in [low, high] close to `wanted`, in the same order, at least `gap` apart (as far as there is room)."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    placed: list[float] = []
    for i in order:
        placed.append(max(wanted[i], placed[-1] + gap) if placed else max(wanted[i], low))
    ceiling = high
    for k in reversed(range(len(placed))):
        placed[k] = min(placed[k], ceiling)
        ceiling = placed[k] - gap
    result = [0.0] * len(wanted)
    for k, i in enumerate(order):
        result[i] = placed[k]
    return result


def _fraction(ax: Axes, value: float) -> float:
    """Where `value` lies on the y axis: 0 bottom, 1 top."""
    low, high = ax.get_ylim()
    if ax.get_yscale() == "log":
        return (math.log(max(value, low)) - math.log(low)) / (math.log(high) - math.log(low))
    return (value - low) / (high - low)


def _line_height(ax: Axes) -> float:
    """The height of a line of small text as a fraction of the axes' height (before layout: of about 3/4 of it)."""
    figure, place = ax.get_figure(root=True), ax.get_subplotspec()
    rows = place.get_gridspec().nrows if place is not None else 1
    inches = (figure.get_figheight() if figure is not None else 3.0) / rows * 0.74
    return SMALL * 1.25 / 72 / inches


def label_ends(ax: Axes, ends: Mapping[str, float], colour: str | Mapping[str, str]) -> None:
    """Labels just right of the axes, at the curves' last values, moved apart where they would overlap."""
    names = [name for name, value in ends.items() if math.isfinite(value)]
    places = push_apart([_fraction(ax, ends[name]) for name in names], _line_height(ax), 0.0, 1.0)
    for name, place in zip(names, places, strict=True):
        ax.annotate(name, (1.012, place), xycoords="axes fraction", va="center", fontsize=SMALL,
                    color=colour if isinstance(colour, str) else colour[name])  # fmt: skip


@dataclass(frozen=True)
class _Box:
    """A rectangle in fractions of the axes."""

    x0: float
    y0: float
    x1: float
    y1: float

    def shares(self, other: _Box) -> bool:
        return bool(self.x0 < other.x1 and other.x0 < self.x1 and self.y0 < other.y1 and other.y0 < self.y1)


@lru_cache(maxsize=512)
def _text_width(words: str, size: float = SMALL, weight: str = "normal") -> float:
    """Width of text in inches."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    font = FontProperties(family="DejaVu Sans", weight=weight)
    return TextPath((0, 0), words, size=size, prop=font).get_extents().width / 72


def wrap_titles(axes: Sequence[Axes], *, grow: bool = True) -> None:
    """Break each title (left, as in our style) into lines no wider than its axes; a longer word stays whole. The width
    of a title does not move the axes, so that one layout serves for all. `grow` makes the figure higher by the added
    lines, so that the axes keep their height."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.text import Text

    added: dict[int, float] = {}
    for ax, (width, _) in [(ax, _axes_inches(ax)) for ax in axes]:
        words, place = ax.get_title(loc="left"), ax.get_subplotspec()
        for title in ax.get_children():
            if words and isinstance(title, Text) and title.get_text() == words:
                font: FontProperties = title.get_fontproperties()
                fitted = _fitted(words, width, font.get_size_in_points(), str(font.get_weight()))
                title.set_text(fitted)
                row = place.rowspan.start if place is not None else 0
                more = fitted.count("\n") * font.get_size_in_points() * 1.25 / 72
                added[row] = max(added.get(row, 0.0), more)
    figure = axes[0].get_figure(root=True) if axes else None
    if grow and figure is not None:
        figure.set_figheight(figure.get_figheight() + sum(added.values()))


def _fitted(words: str, width: float, size: float, weight: str) -> str:
    lines: list[str] = []
    for word in words.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and _text_width(longer, size, weight) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return "\n".join(lines)


def _axes_inches(ax: Axes) -> tuple[float, float]:
    """Width and height of the axes after layout."""
    figure: Any = ax.get_figure(root=True)
    figure.draw_without_rendering()
    place = ax.get_position()
    return place.width * figure.get_figwidth(), place.height * figure.get_figheight()


def _x_fraction(ax: Axes, x: np.ndarray) -> np.ndarray:
    low, high = ax.get_xlim()
    if ax.get_xscale() == "log":
        return (np.log(x) - math.log(low)) / (math.log(high) - math.log(low))
    return (x - low) / (high - low)


def _band_boxes(ax: Axes, x: np.ndarray, low: np.ndarray, high: np.ndarray) -> list[_Box]:
    """The band between `low` and `high` as a row of narrow boxes."""
    fine = np.linspace(0, 1, 81)
    at = _x_fraction(ax, x)
    bottom = np.interp(fine, at, [_fraction(ax, value) for value in low])
    top = np.interp(fine, at, [_fraction(ax, value) for value in high])
    pairs = zip(fine[:-1], fine[1:], strict=True)
    return [
        _Box(a, min(bottom[i], bottom[i + 1]), b, max(top[i], top[i + 1]))
        for i, (a, b) in enumerate(pairs)
    ]  # fmt: skip


def label_thresholds(
    ax: Axes,
    thresholds: Sequence[Any],
    *,
    band: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
    verticals: Sequence[float] = (),
) -> None:
    """Dotted lines, each labelled just above or below it, where the label is clear of everything else.

    `band` is (x, low, high) of the curves and `verticals` the x of vertical lines to keep clear of. Where no place is
    free, the label goes where it hides least. Call it last: it needs the final limits of the axes.
    """
    shown = sorted((t for t in thresholds if math.isfinite(t.value)), key=lambda t: t.value)
    for threshold in shown:
        ax.axhline(threshold.value, color=INK, linewidth=0.7, linestyle=(0, (2, 2)))
    if not shown:
        return
    width, height = _axes_inches(ax)
    lines = [_fraction(ax, threshold.value) for threshold in shown]
    curves = _band_boxes(ax, *band) if band is not None else []
    walls = [_Box(at - 0.004, 0.0, at + 0.004, 1.0) for at in _x_fraction(ax, np.asarray(verticals, float))]
    walls += [_Box(0.0, line - 0.002, 1.0, line + 0.002) for line in lines]
    placed: list[_Box] = []
    for threshold, line in zip(shown, lines, strict=True):
        words = "\n".join(textwrap.wrap(f"{threshold.label} ({significant(threshold.value)})", _WIDEST))
        rows = words.split("\n")
        size = (max(map(_text_width, rows)) / width + 0.012, SMALL * (1.4 * len(rows) + 0.1) / 72 / height)
        box = min(_places(line, *size), key=lambda b: _cost(b, placed, curves, walls))
        placed.append(box)
        paper = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 0.2}
        ax.annotate(words, (box.x0 + 0.006, box.y0), xycoords="axes fraction", va="bottom", fontsize=SMALL, color=INK,
                    linespacing=1.1, bbox=paper)  # fmt: skip


def _places(line: float, width: float, height: float) -> list[_Box]:
    """Boxes of that size along a horizontal line, left to right, above it first; those within the axes."""
    gap = 0.012
    starts = np.linspace(0.006, max(0.994 - width, 0.006), 40)
    boxes = [_Box(float(x), y, float(x) + width, y + height) for y in (line + gap, line - gap - height) for x in starts]
    inside = [box for box in boxes if box.y0 >= 0 and box.y1 <= 1]
    return inside or [_Box(box.x0, 1 - height, box.x1, 1.0) for box in boxes]


def _cost(box: _Box, placed: Sequence[_Box], curves: Sequence[_Box], walls: Sequence[_Box]) -> float:
    """What `box` hides, other labels counting most; ties go to the first place tried."""
    return 1000.0 * sum(map(box.shares, placed)) + 20.0 * sum(map(box.shares, walls)) + sum(map(box.shares, curves))
