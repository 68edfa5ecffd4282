"""A PEtab problem as an objective."""

from __future__ import annotations

import dataclasses
import functools
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from qspx._checks import require_kind
from qspx._errors import CalibrationError, closest
from qspx._status import Status
from qspx.calibrate.estimated import Estimated
from qspx.calibrate.objective import Objective
from qspx.calibrate.scales import SCALES, to_estimation
from qspx.integrate import AbstractIntegrator, AutomaticIntegrator
from qspx.interchange.errors import InterchangeError, NotSupported
from qspx.interchange.sbml import SbmlModel, dimensionless_model, require_libsbml
from qspx.model import AbstractModel
from qspx.petab.conditions import NAMES, Conditions
from qspx.petab.experiments import design_of
from qspx.petab.jumps import warn_of_jumps
from qspx.petab.observables import formula_in, groups_of
from qspx.petab.overrides import with_overrides
from qspx.petab.parameters import ParameterTable, PetabWarning, read_parameters
from qspx.petab.switches import Switches, with_switches
from qspx.petab.tables import Row, Tables, read_tables

if TYPE_CHECKING:
    import pandas as pd

Values = Mapping[str, float] | Any  # by id in their own units, or coordinates on the parameter scales


@dataclasses.dataclass(frozen=True, eq=False)
class PetabProblem:
    """A parameter estimation problem of PEtab v1. Made by `load_petab`.

    Attributes:
        objective: the likelihood on PEtab's parameter scales; what `fit` takes.
        tables: the files.
        table: the parameter table.
        sbml: the model with its SBML ids.
    """

    objective: Objective
    tables: Tables
    table: ParameterTable
    sbml: SbmlModel

    @property
    def model(self) -> AbstractModel:
        return self.sbml.model

    @property
    def estimated(self) -> tuple[Estimated, ...]:
        return self.objective.estimated

    @functools.cached_property
    def nominal(self) -> np.ndarray:
        """Coordinates of the nominal values, shape (estimated,); nan where the parameter table has none."""
        codes = np.array([SCALES.index(e.scale) for e in self.estimated], dtype=int)
        unused = np.zeros(len(codes))
        return to_estimation(self.table.nominal, codes, unused, unused)

    @functools.cached_property
    def measurements(self) -> pd.DataFrame:
        """The measurement table, one row per measurement."""
        import pandas as pd

        columns = self.tables.columns["measurement"]
        frame = pd.DataFrame([[row.get(c) for c in columns] for row in self.tables.measurements], columns=list(columns))
        for column in ("time", "measurement"):
            frame[column] = [row.number(column) for row in self.tables.measurements]
        return frame

    # at given parameters --------------------------------------------------------------------------------------------

    def coordinates(self, values: Values | None = None) -> Any:
        """Coordinates on the parameter scales, shape (estimated,), of values by id in their own units; what is left out
        is nominal. An array (..., estimated) is taken for coordinates already.

        Raises `CalibrationError` for ids that are not estimated, and where a value is neither given nor nominal."""
        names = self.objective.names
        if values is not None and not isinstance(values, Mapping):
            if np.shape(values)[-1:] != (len(names),):
                raise CalibrationError(
                    f"coordinates must have shape (..., {len(names)}), one per estimated parameter, but have "
                    f"{np.shape(values)}."
                )
            return values
        found = dict(zip(names, self.table.nominal.tolist(), strict=True))
        for key, value in (values or {}).items():
            if key not in found:
                raise CalibrationError(f"`{key}` is not estimated.{closest(key, found)}")
            found[key] = float(value)
        if missing := [key for key, value in found.items() if np.isnan(value)]:
            raise CalibrationError(f"`{missing[0]}` has no nominal value in the parameter table; give one.")
        return self.objective.coordinates([found[key] for key in names])

    def log_likelihood(self, values: Values | None = None) -> jax.Array:
        """Of values by id (default: the nominal ones), or of coordinates (estimated,), or of each row of coordinates
        (starts, estimated); -inf where a run fails. Differentiable by coordinates."""
        return self._compiled[0](self.coordinates(values))

    def predict(self, values: Values | None = None) -> pd.DataFrame:
        """The measurement table with `prediction`, `sd` (on the scale of the noise), the residual in units of it, and
        the `status` of the run; nan where it failed."""
        x = np.asarray(self.coordinates(values))
        found, residual = self._compiled[1](x)
        status = np.asarray(found.status)[self.objective.run]
        frame = self.measurements.copy()
        frame["prediction"] = np.where(status == Status.OK, found.prediction, np.nan)
        frame["sd"] = np.where(status == Status.OK, found.sd, np.nan)
        frame["residual"] = np.asarray(residual)
        frame["status"] = [Status(int(code)).name.lower() for code in status]
        return frame

    def chi2(self, values: Values | None = None) -> float:
        """Sum of the squared residuals."""
        return float(np.square(self.predict(values)["residual"].to_numpy()).sum())

    def simulate(self, values: Values | None = None) -> pd.DataFrame:
        """PEtab's simulation table: the measurement table with `simulation` in place of `measurement`."""
        found = self.measurements.drop(columns="measurement")
        found["simulation"] = self.predict(values)["prediction"]
        return found

    @functools.cached_property
    def _compiled(self) -> tuple[Any, Any]:
        o = self.objective
        rows = jax.jit(jax.vmap(o.log_likelihood))

        def likelihood(x: Any) -> jax.Array:
            return rows(x) if np.ndim(x) == 2 else rows(jnp.asarray(x, float)[None])[0]

        return likelihood, jax.jit(lambda x: (o.predict(x), o.residuals(x)))

    def __repr__(self) -> str:
        o = self.objective
        return (
            f"PetabProblem({self.tables.yaml.stem}: {len(o.estimated)} estimated parameters, {len(o.value)} "
            f"measurements of {len(o.groups)} observables in {len(o.phases[-1].runs)} runs)"
        )


def load_petab(
    path: str | Path,
    *,
    integrator: AbstractIntegrator | None = None,
    settled_within: float | None = None,
) -> PetabProblem:
    """A parameter estimation problem in the PEtab format, version 1, with an SBML model.

    Args:
        path: the YAML file.
        integrator: whose tolerances the likelihood is computed to; default rtol 1e-8, atol 1e-12.
        settled_within: time that pre-equilibrations, and runs that are measured at infinite time, are given to come to
            rest, in the model's time unit; default a million times the last time of a measurement. A run that is
            not at rest by then has failed.

    Raises:
        InterchangeError: naming file, line and column, where a file cannot be read or does not say what PEtab asks for.
        NotSupported: for what PEtab or SBML allow and qspx does not take, with its place: events, other versions, and
            what `load_sbml` refuses.

    Warns (`PetabWarning`) of nominal values outside their bounds and of copied measurements, and (`GradientWarning`)
    where rates jump at a threshold of a state: then the gradient lacks a part.
    """
    require_libsbml()
    if integrator is not None:
        fix = "For example AutomaticIntegrator(1e-8, 1e-12)."
        require_kind(integrator, AbstractIntegrator, "integrator", fix, CalibrationError)
    tables = read_tables(path)
    table = read_parameters(tables.parameters)
    conditions, switches = _model(tables, table)
    rows = tables.measurements
    value, times = (np.array([row.number(column) for row in rows]) for column in ("measurement", "time"))
    last = times[np.isfinite(times)].max(initial=0.0)
    _warn_of_copies(rows)
    within = settled_within if settled_within is not None else 1e6 * (last or 1.0)
    design = design_of(rows, conditions, switches, settled_within=float(within))
    objective = Objective(
        estimated=table.estimated,
        phases=design.phases,
        run=design.run,
        column=design.column,
        time=design.time,
        value=value,
        censored=np.zeros(len(value)),
        groups=groups_of(tables.observables, rows, conditions),
        integrator=integrator or AutomaticIntegrator(1e-8, 1e-12),
    )
    return PetabProblem(objective, tables, table, conditions.sbml)


def _warn_of_copies(measurements: Sequence[Row]) -> None:
    """PEtab takes rows that are equal for replicates, which seldom agree in every digit."""
    first: dict[tuple[tuple[str, str], ...], Row] = {}
    copies = [
        (row, same) for row in measurements if (same := first.setdefault(tuple(row.cells.items()), row)) is not row
    ]
    if copies:
        row, same = copies[0]
        more = f"; so are {len(copies) - 1} others" if len(copies) > 1 else ""
        warnings.warn(
            f"{row.file}, line {row.line}: it is a copy of line {same.line}{more}. Each counts as a measurement of its "
            "own; remove what was measured once, or tell replicates apart by `replicateId`.",
            PetabWarning,
            stacklevel=3,
        )


def _model(tables: Tables, table: ParameterTable) -> tuple[Conditions, Switches]:
    """The model with what conditions set as parameters, and with its switches in time as species."""
    from qspx.interchange.sbml_reader import read_document

    document = read_document(tables.model)
    if document.events:
        which = document.events[0].id
        raise NotSupported(f"{document.file}, event `{which}`: events are not supported in PEtab problems.")
    used = [tables.conditions[key] for key in _used_conditions(tables)]
    given = {key: f"{row.file}, line {row.line}, `{key}`" for row in used for key in row.cells if key not in NAMES}
    always = {key for key in given if all(row.get(key) for row in used)}
    given |= {key: f"{row.file}, line {row.line}, `parameterId`" for key, row in tables.parameters.items()}
    overridden = with_overrides(document, given, always | set(tables.parameters))
    if wrong := [key for key in overridden.states if key in table]:
        row = tables.parameters[wrong[0]]
        raise row.refused("parameterId", f"`{wrong[0]}` changes over time in {document.file}, so it is no parameter")
    switched, switches = with_switches(overridden.document)
    warn_of_jumps(switched, switches.states)
    sbml = dimensionless_model(switched)
    conditions = Conditions(tables.conditions, table, sbml, dataclasses.replace(overridden, document=switched))
    _check_columns(used, conditions, tables)
    return conditions, switches


def _check_columns(used: Sequence[Row], conditions: Conditions, tables: Tables) -> None:
    """Raise `InterchangeError` for a column of the condition table that sets what nothing has."""
    model, table = conditions.sbml, conditions.table
    known = {*model.outputs, *model.numbers, *table.names, *table.fixed}
    formulas = [
        (row, column) for row in tables.observables.values() for column in ("observableFormula", "noiseFormula")
    ]
    for row in used:
        for key in row.cells:
            if key in NAMES or key in known:
                continue
            if not any(key in formula_in(r, column, conditions).names() for r, column in formulas):
                raise row.error(key, f"neither the model nor a table has `{key}`", closest(key, known))


def _used_conditions(tables: Tables) -> list[str]:
    """Ids of the conditions of measurements. Raises `InterchangeError` for one that the condition table lacks."""
    found: dict[str, None] = {}
    for row in tables.measurements:
        for column in ("preequilibrationConditionId", "simulationConditionId"):
            if (key := row.get(column)) and key not in tables.conditions:
                raise row.error(column, f"the condition table has no `{key}`", closest(key, tables.conditions))
            if key:
                found[key] = None
    if not found:
        raise InterchangeError(f"{tables.yaml.name}: there are no measurements.")
    return list(found)
