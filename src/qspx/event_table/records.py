"""The records of an event table: subjects, times, and what each record does.

Meaning of the data items: NONMEM Users Guides, part VIII, PREDPP (Beal, Sheiner & Boeckmann); where rxode2 and mrgsolve
differ from it, NONMEM's is taken.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qspx.event_table.sheet import Sheet

OBSERVATION, DOSE, OTHER, RESET, RESET_AND_DOSE = 0, 1, 2, 3, 4
_DOSE_ITEMS = ("AMT", "RATE", "II", "ADDL", "SS")


def read_subjects(sheet: Sheet) -> tuple[list[int | float | str], np.ndarray]:
    """(identifiers, each subject's first record and the number of records (subjects + 1,))."""
    column = sheet.column("ID")
    sheet.require(~sheet.is_missing(column), column, "an identifier was expected")
    cells = [plain(x) for x in sheet.frame[column]]
    first, seen = [], set()
    for i, x in enumerate(cells):
        if i and x == cells[i - 1]:
            continue
        if x in seen:
            fix = " NONMEM would take it for another subject; sort the table by subject and time."
            sheet.fail(i, column, "the records of a subject must stand together, so a new identifier was expected", fix)
        seen.add(x)
        first.append(i)
    return [cells[i] for i in first], np.array([*first, len(cells)])


def plain(x: Any) -> int | float | str:
    """A cell that identifies something: numbers as such, so that 1, 1.0 and "1" are the same; "007" is text."""
    text = str(x).strip()
    try:
        number = float(text)
    except ValueError:
        return text
    if text[0] == "0" and text[1:2].isdigit():
        return text
    return int(number) if number.is_integer() else number


def read_times(sheet: Sheet, first: np.ndarray) -> np.ndarray:
    """TIME, (records,): >= 0, and never decreasing within a subject."""
    column = sheet.column("TIME")
    time = sheet.numbers(column, np.nan)
    sheet.require(np.isfinite(time), column, "a time was expected")
    fix = " Shift this subject's times so that they start at 0."
    sheet.require(time >= 0, column, "a time >= 0 was expected", fix)
    back = np.zeros(len(time), bool)
    back[1:] = np.diff(time) < 0
    back[first[:-1]] = False
    if back.any():
        i = int(np.argmax(back))
        fix = (
            " Sort the records, or, where a reset (EVID 3 or 4) is meant to start the clock again, let its time go on: "
            "a reset cannot turn time back here; or give what follows another ID."
        )
        sheet.fail(i, column, f"a time >= {time[i - 1]:g}, that of row {sheet.rows[i - 1]}, was expected", fix)
    return time


def read_evid(sheet: Sheet) -> np.ndarray:
    """EVID, (records,). Where there is no such column: 1 where AMT is not 0 (or RATE, for a constant infusion), else 2
    where MDV is 1, else 0."""
    if "EVID" in sheet.items:
        column = sheet.items["EVID"]
        evid = sheet.numbers(column, 0.0)
        strange = ~np.isin(evid, range(5))
        if strange.any():
            i = int(np.argmax(strange))
            sheet.fail(i, column, "one of 0, 1, 2, 3 and 4 was expected", _about_evid(evid[i]))
    else:
        given = (sheet.item("AMT") != 0) | ((sheet.item("RATE") != 0) & (sheet.item("SS") != 0))
        evid = np.where(given, DOSE, np.where(sheet.item("MDV") == 1, OTHER, OBSERVATION))
    evid = evid.astype(int)
    gives = np.isin(evid, (DOSE, RESET_AND_DOSE))
    for item in _DOSE_ITEMS:
        fix = " Only records that give a dose (EVID 1 and 4) hold AMT, RATE, II, ADDL or SS."
        sheet.require(gives | (sheet.item(item) == 0), sheet.column(item), "0 or `.` was expected here", fix)
    return evid


def _about_evid(code: float) -> str:
    if abs(code) >= 100:
        return (
            " This is a code of classic RxODE (101 is a bolus into compartment 1, 10101 an infusion): write EVID 1, "
            "the compartment in CMT, and RATE for an infusion."
        )
    if code in (5, 6, 7, 8):
        return " EVID 5 to 8 of rxode2 and mrgsolve (replace, multiply, phantom doses) have no counterpart here."
    return " 0 observation, 1 dose, 2 other, 3 reset, 4 reset and dose."
