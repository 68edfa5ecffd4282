"""Float64, a compilation cache that survives between runs, and where the numbers of other people's work lie."""

import gc
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# Both are read when jax and equinox are imported. The cache speeds up the second run several times; equinox's
# run-time checks would defeat it (jax does not cache a program with a host callback), so they give NaN instead.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".cache" / "jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")
os.environ.setdefault("EQX_ON_ERROR", "nan")
os.environ.setdefault("MPLBACKEND", "Agg")

import jaxtyping  # noqa: E402

# Annotations are checked at run time, but for the inner functions of the code generator: they are called a million
# times for one model. An int is welcome where a float is annotated (the numeric tower).
UNCHECKED = {f"qspx.integrate.{name}" for name in ("graph", "native_code", "program", "simplify")}
CHECKER = "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
MODULES = {".".join(path.relative_to(ROOT / "src").with_suffix("").parts) for path in ROOT.glob("src/qspx/**/*.py")}
jaxtyping.install_import_hook(sorted(m for m in MODULES - UNCHECKED if not m.endswith("__init__")), CHECKER)

import jax  # noqa: E402
import pytest  # noqa: E402

import qspx  # noqa: E402

qspx.enable_x64()
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(scope="module", autouse=True)
def forgets_programs():
    """Compiled programs of one file are of no use to the next, and together they fill the memory."""
    yield
    from qspx.integrate import diffrax_integrator, native_call, reverse_call, tangent_call

    for module in (diffrax_integrator, native_call, reverse_call, tangent_call):
        module._compiled.cache_clear()
    for cached in (native_call.compiled, reverse_call._run, tangent_call._run):
        cached.cache_clear()
    jax.clear_caches()
    gc.collect()


@pytest.fixture(scope="session")
def repo_root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def reference_dir() -> Path:
    """Folder with published data sets and reference results, named by QSPX_REFERENCE."""
    place = os.environ.get("QSPX_REFERENCE")
    if not place:
        pytest.skip("QSPX_REFERENCE is not set: name the folder with the reference data to run this test")
    path = Path(place)
    if not path.is_dir():
        pytest.fail(f"QSPX_REFERENCE names `{path}`, which is not a folder")
    return path
