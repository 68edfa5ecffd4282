"""Work of unknown length promises no time left."""

from qspx import progress


def test_work_of_unknown_length_promises_nothing(capsys):
    lines = progress._Lines("search", None, 0, every=0.0)
    lines.advance(3)
    assert capsys.readouterr().err.startswith("search: 3 in 0 s")
    with progress.report("search", None, show=True) as reporter:
        reporter.advance(2)
        reporter.advance()
    assert "left" not in capsys.readouterr().err and reporter.done == 3
    known = progress._Lines("search", 10, 0, every=0.0)
    known.advance(5)
    assert "search: 5 of 10 (" in capsys.readouterr().err
