"""Pictures of sensitivity: every output has its panel, and failures are said."""

import pandas as pd
import pytest

from qspx.report import ReportError, local_figure, morris_figure, rank_figure, sobol_figure

ROWS = [["x", "k", 0.5, 0.1, 0.7], ["x", "l", -0.9, -1.0, -0.8], ["y", "k", 0.0, -0.1, 0.1], ["y", "l", 0.2, 0.1, 0.3]]


@pytest.mark.parametrize(
    ("draw", "names"),
    [
        (rank_figure, ["correlation", "low", "high"]),
        (local_figure, ["effect", "slope", "elasticity"]),
        (morris_figure, ["mean", "mean_absolute", "sd"]),
        (sobol_figure, ["first", "total", "first_width"]),
    ],
)
def test_figures(draw, names):
    table = pd.DataFrame(ROWS, columns=["output", "parameter", *names]).assign(failed=3, total_width=0.05)
    figure = draw(table)
    assert figure.svg.startswith("<svg") and "3 patients could not be solved" in figure.caption
    assert "could not" not in draw(table.drop(columns="failed")).caption
    assert draw(table).svg == figure.svg
    with pytest.raises(ReportError, match="columns"):
        draw(table[["output", "parameter"]])
