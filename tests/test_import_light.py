"""What an import pulls in: nothing heavy for `import qspx` and the command line, no edge package to compute."""

import ast
import subprocess
import sys

import pytest

import qspx

HEAVY = "jax pandas sympy pint zarr matplotlib pyarrow xarray scipy pydantic"
# Packages that a bare GPU machine may lack, or that cost a second to import.
EDGE = "pint zarr pydantic sympy matplotlib pandas xarray pyarrow"
COMPUTE_PATH = "model network dosing protocol distributions integrate summaries simulation cohort"


def loaded_after(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("statement", ["import qspx", "import qspx.cli"])
def test_the_front_door_is_light(statement):
    assert not loaded_after(statement) & set(HEAVY.split())


def test_the_compute_path_needs_no_edge_package():
    statement = "import " + ", ".join(f"qspx.{module}" for module in COMPUTE_PATH.split())
    assert not loaded_after(statement) & set(EDGE.split())


@pytest.mark.parametrize("name", sorted(qspx._MODULE_OF))
def test_every_export_is_found(name):
    assert getattr(qspx, name).__name__ == name
    assert name in dir(qspx)


def test_no_export_is_hidden_by_a_module():
    # Importing qspx.x binds the module as qspx.x, over an exported function of that name.
    assert not set(qspx._MODULE_OF) & set(qspx._NAMES)


def test_type_checkers_see_the_same_names(repo_root):
    tree = ast.parse((repo_root / "src/qspx/__init__.py").read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    seen = {alias.asname: node.module for node in imports for alias in node.names}
    assert seen == qspx._MODULE_OF


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="simulat"):
        qspx.simulat  # noqa: B018
