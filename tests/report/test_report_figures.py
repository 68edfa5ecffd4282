"""Figures show the numbers they are given, their labels do not overlap, and their SVG is stable and self-contained."""

import dataclasses
import re
from itertools import combinations
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from qspx.report import figures
from qspx.report.blocks import Equation
from qspx.report.drawing import new_figure, to_svg
from qspx.report.equations import WIDEST, typeset
from qspx.report.labels import push_apart

MARKS = {"first injection": 0.5, "target": 5.0}


def visible_texts(figure):
    """(text, box in pixels) of every text that is drawn; tick labels outside the axes exist but are not drawn."""
    drawn = []
    original = Text.draw

    def draw(self, renderer):
        drawn.append(self)
        original(self, renderer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Text, "draw", draw)
        FigureCanvasAgg(figure).draw()
    renderer = figure.canvas.get_renderer()
    return [(text.get_text(), Text.get_window_extent(text, renderer)) for text in drawn if text.get_text().strip()]


def assert_no_overlap(figure):
    found = visible_texts(figure)
    width, height = figure.canvas.get_width_height()
    for words, box in found:
        assert box.x0 > -1 and box.y0 > -1 and box.x1 < width + 1 and box.y1 < height + 1, f"`{words}` is cut off"
    for (a, box_a), (b, box_b) in combinations(found, 2):
        shared_x = min(box_a.x1, box_b.x1) - max(box_a.x0, box_b.x0)
        shared_y = min(box_a.y1, box_b.y1) - max(box_a.y0, box_b.y0)
        # A pixel of shared box is white space above the letters.
        assert shared_x < 1.5 or shared_y < 1.5, f"`{a}` and `{b}` overlap"


@pytest.mark.parametrize("wordy", [False, True])
def test_forest_of_fourteen_methods_has_no_overlapping_text(rationale, wordy):
    estimates = rationale.estimates
    if wordy:
        longer = "{}, geometric mean over donors and lines"
        estimates = [dataclasses.replace(e, method=longer.format(e.method)) for e in estimates]
    ax = figures.forest(estimates, marks=MARKS)
    assert_no_overlap(ax.figure)


def test_forest_puts_every_estimate_at_its_dose(rationale):
    ax = figures.forest(rationale.estimates)
    points = [line for line in ax.lines if line.get_marker() == "o"]
    ordered = sorted(rationale.estimates, key=lambda e: (e.dose_ug_per_kg, e.method))
    assert [line.get_xdata()[0] for line in points] == [e.dose_ug_per_kg for e in ordered]
    hollow = [line.get_markerfacecolor() == "white" for line in points]
    assert hollow == [not e.decision_relevant for e in ordered]
    assert ax.get_xscale() == "log"


def test_forest_draws_on_the_axes_it_is_given(rationale):
    _, mine = new_figure(3.0)
    assert figures.forest(rationale.estimates, ax=mine) is mine


@pytest.mark.parametrize("marks", [MARKS, {"first injection = target": 5.0}, {}])
def test_metric_by_dose_labels_are_apart(rationale, marks):
    curve = rationale.curves[rationale.curves["metric"] == "max(nACT)"]
    ax = figures.metric_by_dose(curve, thresholds=rationale.thresholds, marks=marks)
    assert_no_overlap(ax.figure)
    median = next(line for line in ax.lines if len(line.get_xdata()) == len(curve))
    np.testing.assert_array_equal(median.get_ydata(), curve["q50"])


def test_threshold_labels_keep_clear_of_curves_and_doses(rationale):
    curve = rationale.curves[rationale.curves["metric"] == "max(nACT)"].assign(
        metric="peak nACT, days 0 to 28, schedule"
    )
    rationale.thresholds[0].label = "MPAD / QSP: half of MPAD / QSP: EC10, 95th percentile, cycle 1"
    ax = figures.metric_by_dose(curve, thresholds=rationale.thresholds, marks=MARKS)
    assert ax.get_title(loc="left") == "Peak nACT, days 0 to 28, schedule"
    assert ax.get_ylabel() == "peak nACT (molecules/cell)"
    assert_no_overlap(ax.figure)
    labels = [box for words, box in visible_texts(ax.figure) if words.startswith(("MPAD", "EC17", "EC50"))]
    assert len(labels) == 3
    for box in labels:
        (x0, y0), (x1, y1) = ax.transData.inverted().transform([(box.x0, box.y0), (box.x1, box.y1)])
        assert not any(x0 < dose < x1 for dose in MARKS.values())
        log = [np.interp(np.log([x0, x1]), np.log(curve["dose_ug_per_kg"]), np.log(curve[q])) for q in ("q05", "q95")]
        assert np.log(y0) > log[1][1] or np.log(y1) < log[0][0]  # above the band's top, or below its bottom


def test_profiles_have_one_axes_per_panel_and_no_overlap(rationale):
    axes = figures.profiles(rationale.profiles, dose_times=rationale.dose_times)
    assert len(axes) == rationale.profiles["panel"].nunique()
    assert_no_overlap(axes[0].figure)
    three = rationale.profiles[rationale.profiles["panel"] != "IL-6, serum"]
    assert_no_overlap(figures.profiles(three)[0].figure)


def test_long_titles_are_wrapped_and_units_stand_on_the_axis(rationale):
    long = "active complexes per plasma cell, marrow, and of the plasma cells in blood (nACT)"
    frame = rationale.profiles.replace({"panel": {"active complexes per tumour cell": long}})
    axes = figures.profiles(frame, dose_times=rationale.dose_times)
    assert_no_overlap(axes[0].figure)
    ax = next(ax for ax in axes if " ".join(ax.get_title(loc="left").split()) == long)
    assert "\n" in ax.get_title(loc="left") and ax.get_ylabel() == "molecules/cell"
    assert [ax.get_ylabel() for ax in axes if "occupancy" in ax.get_title(loc="left")] == [""]
    longer = f"{long}, {long}, {long}"
    curve = rationale.curves[rationale.curves["metric"] == "max(nACT)"].assign(metric=longer)
    one = figures.metric_by_dose(curve, thresholds=rationale.thresholds, marks=MARKS)
    assert one.get_title(loc="left").count("\n") >= 1
    assert_no_overlap(one.figure)


def test_tornado_is_sorted_and_signed(rationale):
    ax = figures.tornado(rationale.sensitivity, most=5)
    widths = [bar.get_width() for bar in ax.patches]
    assert widths == [0.92, -0.88, -0.86, -0.81, 0.79]
    assert_no_overlap(ax.figure)
    assert_no_overlap(figures.tornado(rationale.sensitivity).figure)


def test_verification_and_population_figures(rationale):
    assert_no_overlap(figures.verification_ratios(rationale.verification).figure)
    assert_no_overlap(figures.population_spread(rationale.population).figure)


def test_svg_is_stable_unique_and_free_of_outside_references(rationale):
    first = to_svg(figures.forest(rationale.estimates).figure, "one", label='a "quoted" <label>')
    again = to_svg(figures.forest(rationale.estimates).figure, "one", label='a "quoted" <label>')
    assert first == again
    ids = re.findall(r'\bid="([^"]+)"', first)
    assert ids and all(name.startswith("one-") for name in ids)
    assert set(re.findall(r'href="#([^"]+)"', first)) <= set(ids)
    assert not re.search(r'(href|src)="(?!#)', first) and "<metadata" not in first and "DOCTYPE" not in first
    assert ElementTree.fromstring(first).get("aria-label") == 'a "quoted" <label>'


def test_labels_are_pushed_apart_in_order():
    placed = push_apart([0.5, 0.51, 0.1, 0.99, 1.0], 0.1, 0.0, 1.0)
    assert sorted(range(5), key=placed.__getitem__) == [2, 0, 1, 3, 4]
    assert min(np.diff(sorted(placed))) > 0.1 - 1e-12
    assert min(placed) >= 0 and max(placed) <= 1


def test_equations_become_pictures_or_source(rationale):
    rows = typeset(rationale.equations)
    assert {row.name: row.svg is not None for row in rows} == {"depot": True, "nACT": True, "unknown": False}
    assert rows[-1].plain == ""  # neither mathtext nor the plain form knows `cases`: the source is printed
    assert typeset([("x", "a\\, b - c"), ("y", "1")], most=1) == (
        Equation("x", "a\\, b - c", None, "a·b − c"),
        Equation("y", "1", None, "1"),
    )
    assert ElementTree.fromstring(rows[0].svg).get("aria-label") == rationale.equations[0][1]


@pytest.mark.parametrize("terms", [1, 12, 40])
def test_long_sums_are_broken_into_lines_that_fit(terms):
    latex = r"\frac{d\,C}{dt} = \frac{k_a F\,(D - C)}{V_p}" + r" - k_{on}\,C\,R_{4} + k_{off}\,D_4" * terms
    (row,) = typeset([("C", latex)])
    width, height = (float(re.search(rf'{side}="([\d.]+)pt"', row.svg)[1]) / 72 for side in ("width", "height"))
    assert 1.0 < width < WIDEST + 0.1
    assert terms == 1 or height > 0.3 + 0.15 * (terms * 1.1 // WIDEST)  # a pair of terms is about 1.1 in wide


def test_a_term_that_cannot_be_broken_is_printed_as_source():
    (row,) = typeset([("C", "x = " + r"k_{on}\,C\," * 60)])
    assert row.svg is None
