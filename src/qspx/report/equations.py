"""Model equations as pictures: LaTeX through matplotlib's mathtext, which needs no TeX installation.

mathtext knows a subset of LaTeX and does not break lines. Long sums are therefore broken before a top-level plus or
minus; what mathtext cannot parse, and what stays too wide, is printed as plain text or, failing that, as source. So is
a network with many equations: as pictures they would fill pages, and nobody reads them as pictures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

from .blocks import Equation
from .drawing import style, to_svg
from .plain_math import NotPlain, plain

MOST_PICTURES = 20  # of a model with more equations none is drawn
WIDEST = 5.6  # in; the equation column on an A4 page
_POINTS = 8.5
_SPACING = 0.06  # in; the space around a binary operator
_LEADING = 0.05  # in; white space per line


def _top_level_breaks(latex: str) -> list[str]:
    """`latex` cut before each plus or minus that stands outside braces, parentheses and `\\left … \\right`."""
    depth, start, pieces = 0, 0, []
    for i, letter in enumerate(latex):
        if letter in "{([":
            depth += 1
        elif letter in "})]":
            depth -= 1
        elif letter in "+-" and depth == 0 and latex[start:i].strip() and not latex[:i].rstrip().endswith(("=", "^")):
            pieces.append(latex[start:i])
            start = i
    return [*pieces, latex[start:]]


@lru_cache(maxsize=4096)  # in a reaction network every term occurs in several equations
def _size(latex: str) -> tuple[float, float, float]:
    """Width, height above and depth below the baseline in inches. Raises ValueError when mathtext cannot parse it."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.mathtext import MathTextParser

    with _math_style():
        parsed = MathTextParser("path").parse(f"${latex}$", 72, FontProperties(size=_POINTS))
    width, height, depth = (float(length) / 72 for length in parsed[:3])
    return width, height - depth, depth


@contextmanager
def _math_style() -> Iterator[None]:
    import matplotlib

    with style(), matplotlib.rc_context({"mathtext.fontset": "stix"}):
        yield


def _lines(latex: str) -> list[str]:
    """`latex` in lines that fit the column. Raises ValueError when one cannot be made to fit."""
    indent = r"\quad "
    lines, room = [""], WIDEST
    for piece in _top_level_breaks(latex):
        width = _size(piece)[0] + _SPACING  # widths of terms add up, but for the space around their sign
        if lines[-1] and width > room:
            lines.append(indent)
            room = WIDEST - _SPACING
        lines[-1] += piece
        room -= width
    if max(_size(line)[0] for line in lines) > WIDEST:
        raise ValueError("a term is wider than the column")
    return lines


def _picture(name: str, latex: str) -> str:
    """The `<svg>` of one equation, as large as its ink."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    lines = _lines(latex.replace(r"\frac", r"\dfrac"))  # display style: a fraction in text style is too small to read
    sizes = [_size(line) for line in lines]
    height = sum(up + down + _LEADING for _, up, down in sizes)
    with _math_style():
        figure = Figure(figsize=(max(width for width, _, _ in sizes) + 0.05, height))
        figure.set_layout_engine("none")
        FigureCanvasSVG(figure)
        figure.patch.set_alpha(0)
        top = height
        for line, (_, up, down) in zip(lines, sizes, strict=True):
            figure.text(0, (top - _LEADING / 2 - up) / height, f"${line}$", fontsize=_POINTS, va="baseline")
            top -= up + down + _LEADING
        return to_svg(figure, name, label=latex)


def _plain(latex: str) -> str:
    try:
        return plain(latex)
    except NotPlain:
        return ""


def _drawn(name: str, latex: str) -> str | None:
    try:
        return _picture(name, latex.strip().strip("$"))
    except ValueError:  # matplotlib raises ValueError for what mathtext does not know
        return None


def typeset(equations: Sequence[tuple[str, str]], *, most: int = MOST_PICTURES) -> tuple[Equation, ...]:
    """(name, LaTeX) pairs as `Equation`s: pictures when there are at most `most` of them, else plain text."""
    pictures = len(equations) <= most
    result: list[Equation] = []
    for i, (name, latex) in enumerate(equations):
        svg = _drawn(f"equation-{i + 1}", latex) if pictures else None
        result.append(Equation(str(name), str(latex), svg, "" if svg is not None else _plain(str(latex))))
    return tuple(result)
