"""SBML models as models of qspx: load one, simulate it, write it as a model file."""

from __future__ import annotations

import dataclasses
import hashlib
import linecache
import re
import sys
import types
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np

from qspx._errors import UnitError, closest
from qspx._status import Status
from qspx.dose_events import PADDING, DoseEvents
from qspx.event_run import observed
from qspx.integrate import AutomaticIntegrator, EngineWarning, SolveRequest
from qspx.integrate.event_loop import run_events
from qspx.integrate.event_program import event_program
from qspx.interchange.errors import InterchangeError
from qspx.model import AbstractModel
from qspx.simulation import check_times

if TYPE_CHECKING:
    from qspx.interchange.sbml_parts import Document


@dataclasses.dataclass(frozen=True)
class SbmlModel:
    """An SBML file as a model of qspx.

    Attributes:
        model: the model; its species are the states, its observables what assignment rules and reactions give.
        source: the same as the text of a model file.
        outputs: species, parameter or observable of the model by SBML id.
        numbers: values by SBML id of the few constants that are written out.
        compartments: compartment by SBML id of a species.
        concentrations: ids of the species that stand for a concentration.
        dimensionless: why no units are declared, "" where they are.
    """

    model: AbstractModel
    source: str
    outputs: Mapping[str, str]
    numbers: Mapping[str, float]
    compartments: Mapping[str, str]
    concentrations: frozenset[str]
    dimensionless: str

    def values(self, courses: Mapping[str, np.ndarray], name: str, kind: str = "") -> np.ndarray:
        """Time course of an SBML id, shape (times,); of a species as its `kind`: "amount" or "concentration", by
        default what its id stands for. `courses` are the time, as "", and the courses of the model's species,
        observables and parameters."""
        if name not in self.outputs and name not in self.numbers:
            raise InterchangeError(f"the SBML model has no `{name}`.{closest(name, [*self.outputs, *self.numbers])}")
        found = self._plain(courses, name)
        if not kind or name not in self.compartments or (kind == "concentration") == (name in self.concentrations):
            return found
        size = self._plain(courses, self.compartments[name])
        with np.errstate(all="ignore"):
            return found * size if kind == "amount" else found / size

    def _plain(self, courses: Mapping[str, np.ndarray], name: str) -> np.ndarray:
        if name in self.numbers:
            return np.full_like(courses[""], self.numbers[name])
        return courses[self.outputs[name]]


def require_libsbml() -> None:
    """Raise `InterchangeError` naming the extra where libSBML is not installed."""
    try:
        import libsbml  # noqa: F401
    except ImportError as error:
        raise InterchangeError(
            'Reading SBML needs libSBML, which is not installed; install the extra: pip install "qspx[sbml]"'
        ) from error


def read_sbml(path: str | Path, *, ordinary_fast: bool = False) -> SbmlModel:
    """The SBML file with what relates its ids to the model; arguments and errors as in `load_sbml`."""
    require_libsbml()
    from qspx.interchange.sbml_reader import read_document
    from qspx.interchange.sbml_source import write_source

    document = read_document(path, ordinary_fast=ordinary_fast)
    written = write_source(document, units=True)
    try:
        return _related(document, _run(written.text, Path(path).stem), written, "")
    except UnitError as error:
        why = re.sub(r" \(\S+\.py:\d+: `.*?`\)", "", " ".join(str(error).split()))  # lines of a text that is not kept
        note = f"every unit is left out, since those of the file do not fit its formulas ({_short(why)})"
        return dimensionless_model(document, note=note, why=why)


def dimensionless_model(document: Document, *, note: str = "", why: str = "") -> SbmlModel:
    """The model of an SBML document in pure numbers; `note` is for its text, `why` says the reason."""
    from qspx.interchange.sbml_source import write_source

    written = write_source(document, units=False, note=note)
    return _related(document, _run(written.text, Path(document.file).stem), written, why)


def _related(document: Document, model: AbstractModel, written, why: str) -> SbmlModel:
    homes = {key: s.compartment for key, s in document.species.items()}
    concentrations = frozenset(key for key, s in document.species.items() if not s.is_amount)
    return SbmlModel(model, written.text, written.outputs, written.numbers, homes, concentrations, why)


def _short(why: str) -> str:
    first = why.split(" - ")[1] if " - " in why else why
    return first if len(first) < 300 else f"{first[:297]}..."


def _run(source: str, stem: str) -> AbstractModel:
    """The model that the text of a model file defines. Its lines can be shown in messages."""
    digest = hashlib.sha256(source.encode()).hexdigest()[:8]
    module = types.ModuleType(f"qspx_sbml_{digest}")
    file = f"{stem}_{digest}.py"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    sys.modules[module.__name__] = module
    exec(compile(source, file, "exec"), module.__dict__)
    (made,) = [c for c in vars(module).values() if isinstance(c, type) and issubclass(c, AbstractModel)]
    return made()


def load_sbml(path: str | Path, *, ordinary_fast: bool = False) -> AbstractModel:
    """The model of an SBML file (Level 2 or 3 core, by libSBML).

    Species that reactions, rate rules or events change are species of the model, and keep their SBML ids; a species
    in a compartment that changes its size is held as an amount, `S_amount`. What is constant is a parameter, numbers at
    the start are parameters `S_0`. Assignment rules and reaction rates are observables. Units are declared where the
    file has them and they fit its formulas; otherwise every unit is left out.

    Args:
        path: the file.
        ordinary_fast: treat reactions marked `fast` as ordinary ones.

    Raises:
        InterchangeError: if the file cannot be read, or libSBML is not installed.
        NotSupported: naming element and line, for algebraic rules, `delay`, fast reactions, and packages that change
            the meaning of the model.
    """
    return read_sbml(path, ordinary_fast=ordinary_fast).model


def simulate_sbml(
    path: str | Path | SbmlModel,
    times: Sequence[float] | np.ndarray,
    *,
    variables: Sequence[str] | None = None,
    amounts: Sequence[str] = (),
    concentrations: Sequence[str] = (),
    parameters: Mapping[str, float] | None = None,
    rtol: float = 1e-8,
    atol: float = 1e-14,
    ordinary_fast: bool = False,
) -> dict[str, np.ndarray]:
    """Time courses of SBML ids from time 0 on.

    Args:
        path: an SBML file, or what `read_sbml` gave.
        times: increasing, none below 0, in the file's time unit, shape (times,).
        variables: ids to return; by default everything.
        amounts, concentrations: ids of species to return as such, whatever the id stands for in formulas.
        parameters: values that replace those of the file, by the model's parameter names.
        rtol, atol: tolerances per step.
        ordinary_fast: treat reactions marked `fast` as ordinary ones.

    Returns:
        Values by id, shape (times,) each. A value may be inf or nan, where the model says so.

    Raises:
        QspxError: for a file that is refused (see `load_sbml`), and if the solve fails.
    """
    found = path if isinstance(path, SbmlModel) else read_sbml(path, ordinary_fast=ordinary_fast)
    names = list(variables) if variables is not None else [*found.outputs, *found.numbers]
    kinds = dict.fromkeys(amounts, "amount") | dict.fromkeys(concentrations, "concentration")
    courses = _courses(found.model, times, parameters, rtol, atol)
    return {name: found.values(courses, name, kinds.get(name, "")) for name in names}


def _courses(model: AbstractModel, times, parameters, rtol: float, atol: float) -> dict[str, np.ndarray]:
    """Time (as ""), species, observables and parameters over time, by the model's names. The native engine solves what
    has states, parameters, no switches at given times, and finite numbers; the engine for events, which steps onto
    every switch, all else and what fails there."""
    found, _ = check_times(times)
    if not found or found[0] < 0:
        raise InterchangeError(f"Argument `times` must hold times from 0 on, but {found[:3]} was given.")
    theta = model.theta_with(parameters)
    y0 = np.asarray(model.initial_vector(jnp.asarray(theta)))
    plain = len(y0) and len(theta) and np.isfinite(y0).all() and found[-1] > 0
    states = None
    if plain and not model.has_events and not event_program(model).timed:
        states = _native(model, theta, found, rtol, atol)
    if states is None:
        states, _ = run_events(model, theta, found, rtol=rtol, atol=atol)
    names = tuple(model.outputs)
    values = observed(model, theta, found, states, names)
    courses = {"": np.array(found)} | dict(zip(names, values.T, strict=True))
    return courses | {k: np.full(len(found), theta[i]) for i, k in enumerate(model.parameters)}


def _native(model: AbstractModel, theta: np.ndarray, times: tuple[float, ...], rtol: float, atol: float):
    """States at the times, shape (times, species); None where the solve fails, as at a switch between rates."""
    request = SolveRequest(model, times, tuple(model.species), (), 0.0, times[-1])
    nothing = DoseEvents(*(np.array([[padding]]) for padding in PADDING))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EngineWarning)  # one subject: the slower engine costs nothing that matters
        engine = AutomaticIntegrator(rtol, atol).chosen(request).for_one()
    solution = engine.solve_batch(request, theta[None], nothing)
    return solution.values[0] if solution.status[0] == Status.OK else None


def write_model_file(path: str | Path, out: str | Path, *, ordinary_fast: bool = False) -> SbmlModel:
    """Writes the model of an SBML file as a model file of qspx (Python). Arguments and errors as in `load_sbml`."""
    found = read_sbml(path, ordinary_fast=ordinary_fast)
    Path(out).write_text(found.source, encoding="utf-8")
    return found
