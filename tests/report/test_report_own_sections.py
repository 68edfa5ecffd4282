"""Sections of the user's own: where they come, what tables and figures say, and the section on a calibration."""

import numpy as np
import pandas as pd
import pytest

import qspx
from qspx.report import Heading, ReportError, axes_figure, calibration, frame_table, text, write_report
from qspx.report.blocks import Figure, Table, Text


class Decay(qspx.AbstractModel):
    k = qspx.Parameter(0.3, "1/day", "loss", source="made up")
    C = qspx.Species("mg/L", "drug")

    def rates(self, t, y, p):
        return {"C": -p.k * y.C}


@pytest.fixture(scope="module")
def fitted():
    qspx.enable_x64()
    times = np.arange(1.0, 6.0)
    frame = pd.DataFrame({"time": times, "value": 10 * np.exp(-0.2 * times) * (1 + 0.05 * (-1) ** times), "arm": "one"})
    model = Decay()
    data = qspx.Measurements.from_dataframe(frame, model, time_unit="day", units="mg/L", observables="C")
    problem = qspx.CalibrationProblem(model, data, [qspx.Estimated("k", (0.01, 5.0))], qspx.LogAdditive(0.1),
                                      {"one": qspx.Regimen.single(10.0, "mg/L", "C")})  # fmt: skip
    return problem, qspx.fit(problem, key=1, starts=2, progress=False)


def test_numbers_have_three_digits_and_text_stays():
    table = frame_table(
        pd.DataFrame({"arm": ["a"], "n": [1234], "mean_value": [1.23456]}), "t", "A table.", units={"mean_value": "nM"}
    )
    assert [cell.text for cell in table.rows[0]] == ["a", "1234", "1.23"]
    assert [(head.title, head.unit) for head in table.heads] == [("Arm", ""), ("N", ""), ("Mean value", "nM")]
    assert table.data["mean_value"][0] == 1.23456


def test_sections_come_before_the_conclusion_and_are_numbered(rationale, tmp_path):
    own = [Heading("What happened", "outcome"), text("Nothing."), frame_table(pd.DataFrame({"x": [1]}), "own", "Own.")]
    page = write_report(rationale, tmp_path, sections=own).read_text()
    assert page.index('id="section-uncertainty"') < page.index('id="section-outcome"')
    assert page.index('id="section-outcome"') < page.index('id="section-conclusion"')
    assert (tmp_path / "tables" / "own.csv").read_text() == "x\n1\n"


def test_a_name_that_the_report_has_already(rationale, tmp_path):
    with pytest.raises(ReportError, match="occurs twice"):
        write_report(rationale, tmp_path, sections=[frame_table(pd.DataFrame({"x": [1]}), "comparison", "Own.")])


def test_calibration_says_estimates_starts_verdicts_and_residuals(fitted):
    problem, fit = fitted
    verdict = qspx.identifiability(problem.objective, fit.x, points=2)
    blocks = list(calibration("Decay", problem, fit, note="A note.", identifiability=verdict))
    assert isinstance(blocks[0], Heading) and blocks[0].level == 2
    tables = {b.name: b for b in blocks if isinstance(b, Table)}
    assert tables["decay-estimates"].data["estimate"][0] == pytest.approx(fit.parameters["k"])
    assert tables["decay-estimates"].data["verdict"][0] == "identifiable"
    words = " ".join(str(part) for b in blocks if isinstance(b, Text) for part in b.parts)
    assert "A note." in words and "2 starts" in words
    assert "0 of 5 lie beyond" in next(b.caption for b in blocks if isinstance(b, Figure))


def test_a_calibration_that_did_not_converge_has_no_intervals(fitted):
    problem, _ = fitted
    stopped = qspx.fit(problem, key=1, starts=2, method=qspx.TrustRegion(max_iterations=1), progress=False)
    blocks = list(calibration("Decay", problem, stopped))
    words = " ".join(str(part) for b in blocks if isinstance(b, Text) for part in b.parts)
    assert "NOT CONVERGED: of the best start, iteration limit reached" in words
    table = next(b for b in blocks if isinstance(b, Table))
    assert list(table.data) == ["parameter", "unit", "estimate", "bound"]
    assert "NOT CONVERGED" in table.caption and "interval" not in table.caption


def test_calibration_of_another_problem(fitted):
    problem, fit = fitted
    given = {"one": qspx.Regimen.single(10.0, "mg/L", "C")}
    scatter = qspx.Estimated("sd", (0.01, 1.0), 0.1)
    other = qspx.CalibrationProblem(problem.model, problem.measurements, [scatter], qspx.LogAdditive("sd"), given)
    with pytest.raises(ReportError, match="`fit` must be one of `problem`"):
        list(calibration("Decay", other, fit))


def test_figure_of_axes():
    from qspx.report.drawing import new_figure

    _, ax = new_figure(2.0)
    ax.plot([0, 1], [0, 1])
    figure = axes_figure(ax, "line", "A line.")
    assert figure.svg.startswith("<svg") and figure.alt == "A line."
