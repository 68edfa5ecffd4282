"""How the report draws: style sheet, figures without global state, SVG with the same bytes."""

from __future__ import annotations

import html
import io
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Any

from .tables import dose, unit_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 6.85  # in; the width of the text on an A4 page with 18 mm margins
BLUE, ORANGE, GREEN, GREY, INK = "#0072B2", "#D55E00", "#009E73", "#767676", "#222222"
PALETTE = (BLUE, ORANGE, GREEN, "#CC79A7", "#E69F00", "#56B4E9", INK)
SMALL = 6.5


@contextmanager
def style() -> Iterator[None]:
    """The report's matplotlib style sheet, for the duration of the block."""
    import matplotlib

    with (
        as_file(files("qspx.report").joinpath("qspx.mplstyle")) as path,
        matplotlib.rc_context(fname=str(path)),
    ):
        yield


def new_figure(height: float, rows: int = 1, columns: int = 1, **options: Any) -> tuple[Figure, Any]:
    """A figure of text width that no global pyplot state knows of, and its axes."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height))
    FigureCanvasSVG(figure)
    return figure, figure.subplots(rows, columns, **options)


def new_axes(height: float) -> Axes:
    """The one axes of a figure of text width and `height` in inches."""
    return new_figure(height)[1]


def axes_svg(ax: Axes, name: str, *, label: str = "") -> str:
    """The `<svg>` of the whole figure that `ax` is in."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    return to_svg(figure, name, label=label)


def to_svg(figure: Figure, name: str, *, label: str = "") -> str:
    """`figure` as an `<svg>` element: same bytes every time, no metadata, ids that are unique to `name`."""
    import matplotlib

    buffer = io.StringIO()
    with style(), matplotlib.rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]  # the XML prolog and the DOCTYPE (an external address) are not allowed inside HTML
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'href="#', f'href="#{name}-', svg)
    svg = svg.replace("url(#", f"url(#{name}-")
    if label:
        svg = svg.replace("<svg ", f'<svg role="img" aria-label="{html.escape(label, quote=True)}" ', 1)
    return svg.strip() + "\n"


def plain_log_ticks(axis: Any) -> None:
    """Ticks of a log axis as numbers (0.01, 0.1, 1, 10) as long as they are short, else as powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogFormatterMathtext, NullFormatter

    powers = LogFormatterMathtext()

    def show(value: float, position: int | None = None) -> str:
        return f"{value:g}" if 1e-4 < value < 1e5 else powers(value, position)

    axis.set_major_formatter(FuncFormatter(show))
    axis.set_minor_formatter(NullFormatter())


def place_log_ticks(axis: Any, low: float, high: float) -> None:
    """Major ticks of a log axis: decades when it spans many, finer steps the fewer it spans."""
    from matplotlib.ticker import LogLocator

    decades = math.log10(high / low) if low > 0 else 1.0
    steps = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0) if decades < 0.8 else (1.0, 2.0, 5.0) if decades < 2 else (1.0,)
    axis.set_major_locator(LogLocator(base=10, subs=steps, numticks=9))


def mark_doses(ax: Axes, marks: Mapping[str, float]) -> None:
    """Vertical lines at named doses, labelled above the axes; of two, the lower reads to the left."""
    from matplotlib.transforms import blended_transform_factory

    above = blended_transform_factory(ax.transData, ax.transAxes)
    ordered = sorted(marks.items(), key=lambda item: item[1])
    for i, (label, value) in enumerate(ordered):
        ax.axvline(value, color=ORANGE, linewidth=1.0, linestyle=(0, (4, 2)) if i == 0 and len(ordered) > 1 else "-")
        side = "center" if len(ordered) == 1 else ("right" if i == 0 else "left")
        ax.text(
            value, 1.0, f" {label} {dose(value)} ", transform=above, ha=side, va="bottom", color=ORANGE, fontsize=SMALL
        )


def with_unit(quantity: str, unit: str) -> str:
    """An axis label: "free drug (nM)", without brackets for a dimensionless quantity."""
    return f"{quantity} ({unit_words(unit)})" if unit not in ("", "1", "dimensionless") else quantity
