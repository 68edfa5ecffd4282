"""What every file in models/ must do."""

import ast
import functools
import sys
from pathlib import Path

import pytest

import qspx

MODELS = Path(__file__).parents[2] / "models"
FILES = sorted(MODELS.glob("*.py"))
load = functools.cache(qspx.load_model)
every_file = pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)


@every_file
def test_declarations_say_what_and_whence(path):
    model = load(path)
    assert model.citation
    for name, p in model.parameters.items():
        assert p.meaning, f"{name} has no meaning"
        assert p.source, f"{name} has no source"
    for name, s in {**model.species, **model.outputs}.items():
        assert s.meaning, f"{name} has no meaning"


@every_file
def test_no_lints(path):
    assert [str(x) for x in load(path).lints()] == []


@every_file
def test_equations_are_written_for_every_species(path):
    model = load(path)
    if len(model.species) > 20:
        pytest.skip("a network of this size is shown as reactions")
    equations = dict(model.equations())
    assert list(equations) == list(model.species)
    assert all(equations.values())


@every_file
def test_imports_are_jax_and_qspx_only(path):
    tree = ast.parse(path.read_text())
    roots = {a.name.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    roots |= {n.module.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module}
    assert roots - set(sys.stdlib_module_names) <= {"jax", "qspx"}


@every_file
def test_readme_lists_the_model(path):
    assert f"[{path.name}]({path.name})" in (MODELS / "README.md").read_text()


@pytest.mark.parametrize(
    "path",
    [pytest.param(p, marks=[pytest.mark.slow] if p.stem == "isb2001" else []) for p in FILES],
    ids=lambda p: p.stem,
)
def test_published_numbers(path):
    """With the default switches. isb2001 with the deviations of the listing is in test_isb2001.py."""
    table = load(path).published_table()
    assert len(table) > 0
    assert table["name"].is_unique
    assert table["passed"].all(), table.to_string()
