"""Imports point down.

A unit is a module or a package directly under `qspx`. Each belongs to a layer. A unit may import units of lower
layers and single modules of its own layer; packages side by side do not import each other, nor does a module import
a package beside it. Imports inside functions count like all others.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[1] / "src" / "qspx"

LAYERS = [
    "_checks _errors _jaxpr _jaxpr_primitives _latex _precision _random _status _tracing _types _unit_check "
    "_unit_names progress provenance units weighted",
    "_dose_units _input_events _model_hash _network_plan _network_units binding declarations distributions dose_events "
    "dosing event_table inputs loading model network protocol reaction starting summaries values varying",
    "integrate",
    "calibrate cohort cohort_result cohort_run conservation event_run interchange measured_events measured_observables "
    "measured_summary measured_table measurements nca sensitivity simulation start_states steady_state "
    "store table_run triggered_start",
    "vpop",
    "exposure_response fih nlme petab trial",
    "experiment report",
    "__main__ cli",
]
LAYER_OF = {unit: level for level, units in enumerate(LAYERS) for unit in units.split()}

# A heavy or replaceable dependency and the only units that may know of it.
ONLY_IN = {
    "arviz_base": {"calibrate"},
    "arviz_stats": {"calibrate"},
    "blackjax": {"calibrate"},
    "diffrax": {"integrate"},
    "flowjax": {"vpop"},
    "libsbml": {"interchange"},
    "llvmlite": {"integrate"},
    "cupy": {"integrate"},
    "typer": {"cli"},
    "pydantic": {"experiment"},
    "pint": {"_unit_names"},
    "jinja2": {"report"},
}


def unit_of(path: Path) -> str:
    return path.relative_to(SRC).parts[0].removesuffix(".py")


def is_package(unit: str) -> bool:
    return (SRC / unit).is_dir()


def absolute(node: ast.ImportFrom, path: Path) -> str:
    """Dotted module of a `from … import`, relative ones resolved."""
    if not node.level:
        return node.module or ""
    package = ["qspx", *path.relative_to(SRC).parts[:-1]]
    return ".".join([*package[: len(package) - node.level + 1], *([node.module] if node.module else [])])


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imported_modules(path: Path, *, run_time_only: bool = False) -> Iterator[str]:
    tree = ast.parse(path.read_text())
    skipped: set[ast.AST] = set()
    if run_time_only:
        skipped = {inner for node in ast.walk(tree) if is_type_checking(node) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = absolute(node, path)
            # `from qspx import units` names a module, and each of the names counts as one.
            yield from (f"qspx.{alias.name}" for alias in node.names) if module == "qspx" else (module,)


FILES = sorted(path for path in SRC.rglob("*.py") if path != SRC / "__init__.py")


def internal(path: Path, *, run_time_only: bool = False) -> set[str]:
    """Units that a file imports, other than its own."""
    modules = imported_modules(path, run_time_only=run_time_only)
    return {module.split(".")[1] for module in modules if module.startswith("qspx.")} - {unit_of(path)}


def external(path: Path) -> set[str]:
    """Distributions outside qspx that a file imports."""
    return {module.split(".")[0] for module in imported_modules(path)}


def test_every_unit_has_a_layer():
    assert {unit_of(path) for path in FILES} <= set(LAYER_OF), "add the new unit to LAYERS"


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(SRC).as_posix())
def test_imports_point_down(path):
    unit = unit_of(path)
    for other in internal(path):
        assert other in LAYER_OF, f"`{other}` is no module; import a name from the module that defines it"
        assert LAYER_OF[other] <= LAYER_OF[unit], f"`{unit}` imports `{other}` of a higher layer"
        beside = LAYER_OF[other] == LAYER_OF[unit] and is_package(other)
        assert not beside, f"`{unit}` imports the package `{other}` beside it"


@pytest.mark.parametrize("dependency", ONLY_IN)
def test_only_one_place_knows(dependency):
    users = {unit_of(path) for path in FILES if dependency in external(path)}
    assert users <= ONLY_IN[dependency]


def test_no_import_cycle_between_units():
    # A name used only in an annotation makes no cycle.
    edges: dict[str, set[str]] = {}
    for path in FILES:
        edges.setdefault(unit_of(path), set()).update(internal(path, run_time_only=True))
    while leaves := {unit for unit, uses in edges.items() if not uses & set(edges)}:
        edges = {unit: uses for unit, uses in edges.items() if unit not in leaves}
    assert not edges, f"units in or above a cycle: {edges}"
