"""Columns that are parameters of the model: one value per subject, or one per dose record.

A parameter that only says how doses arrive (bioavailability, lag, duration or rate of infusions) may change from record
to record within a subject: each dose takes the value in its own record, and so do its additional doses. One that the
model lets vary in time becomes an input (`covariates`). Any other must be the same in all records of a subject. Empty
cells stand for the value that the subject has elsewhere.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from qspx._errors import DoseError
from qspx.event_table.covariates import Covariates
from qspx.event_table.sheet import Sheet
from qspx.model import AbstractModel
from qspx.varying import TimeVarying

DOSE_ROLES = ("bioavailability", "lag", "duration", "rate")


@dataclasses.dataclass(frozen=True)
class TableParameters:
    """theta: (subjects, parameters). own: for each parameter that changes within some subject, the value in each record
    (records,), and NaN in subjects in whom it does not change. covariates: those that change in time."""

    theta: np.ndarray
    own: dict[str, np.ndarray]
    covariates: Covariates

    @classmethod
    def of(
        cls,
        sheet: Sheet,
        model: AbstractModel,
        first: np.ndarray,
        is_dose: np.ndarray,
        time: np.ndarray,
        convention: str,
    ) -> TableParameters:
        """`first`: each subject's first record, and the number of records, (subjects + 1,); `is_dose`, `time`:
        (records,); `convention`: see `Covariates`."""
        theta = np.tile(model.theta, (len(first) - 1, 1))
        own: dict[str, np.ndarray] = {}
        free = _only_for_doses(model)
        varying = model.varying if isinstance(model, TimeVarying) else ()
        covariates = Covariates(model, convention, time, {})
        for name, column in sheet.parameters.items():
            given = sheet.numbers(column, np.nan)
            counts = is_dose if name in free else np.ones(len(sheet), bool)
            for s, subject in enumerate(map(slice, first[:-1], first[1:])):
                records = np.arange(subject.start, subject.stop)
                known = _known(sheet, name, given, counts, records)
                theta[s, model.parameter_index(name)] = given[known[0]]
                differs = known[given[known] != given[known[0]]]
                if not len(differs):
                    continue
                if name in varying:
                    covariates.add(sheet, name, given, records)
                elif name not in free:
                    _refuse_change(sheet, model, name, given, int(known[0]), int(differs[0]))
                else:
                    own.setdefault(name, np.full(len(sheet), np.nan))
                    own[name][records] = _in_every_dose(sheet, column, given, is_dose, records)
        return cls(theta, own, covariates)


def _only_for_doses(model: AbstractModel) -> set[str]:
    """Parameters that act on doses in one of the roles above and are read by no function of the model."""
    y, p, t = model.states_of(np.ones(len(model.species))), model.values_of(model.theta), np.float64(1.0)
    model.initial(p)
    model.rates(t, y, p)
    model.observables(t, y, p)
    elsewhere = {*p.accessed, model.molar_mass, model.body_weight, *(s.volume for s in model.species.values())}
    found = {getattr(s, role) for s in model.species.values() for role in DOSE_ROLES}
    return {name for name in found if name is not None} - elsewhere


def _known(sheet: Sheet, name: str, given: np.ndarray, counts: np.ndarray, records: np.ndarray) -> np.ndarray:
    """The subject's records that hold a value and count; where none counts, the first that holds one."""
    known = records[np.isfinite(given[records])]
    if not len(known):
        column = sheet.parameters[name]
        fix = f" Fill it in, or ignore the column with columns={{{column!r}: None}} to use the typical value."
        sheet.fail(int(records[0]), column, f"a value of parameter `{name}` was expected for this subject", fix)
    return known[counts[known]] if counts[known].any() else known[:1]


def _in_every_dose(
    sheet: Sheet, column: str, given: np.ndarray, is_dose: np.ndarray, records: np.ndarray
) -> np.ndarray:
    """The subject's values, after a check that every dose record has one."""
    here = np.isin(np.arange(len(sheet)), records) & is_dose
    fix = " It changes within this subject, so every dose record must say it."
    sheet.require(~here | np.isfinite(given), column, "a number was expected", fix)
    return given[records]


def _refuse_change(sheet: Sheet, model: AbstractModel, name: str, given: np.ndarray, known: int, differs: int) -> None:
    column = sheet.parameters[name]
    raise DoseError(
        f"{sheet.where(differs, column)}: parameter `{name}` of {model.name} is {given[differs]:g} here, but "
        f"{given[known]:g} in row {sheet.rows[known]} of the same subject. Let it vary in time: read the table for "
        f"time_varying(model, {name!r}); or give each subject one value, or ignore the column with "
        f"columns={{{column!r}: None}}."
    )
