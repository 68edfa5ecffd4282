"""Run cases of the SBML semantic test suite and print pass, refused (why) or failed for each.

    python scripts/sbml_semantic.py FOLDER [CASE ...]

FOLDER holds one folder per case, `NNNNN/NNNNN-settings.txt`, `-results.csv` and `-sbml-l*v*.xml`; the newest level of
each is run. A case passes where |expected - computed| <= absolute + relative |expected| at every point, with the
tolerances of its settings. Exit code 1 if a case has failed.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
import time
import traceback
from pathlib import Path

import numpy as np

import qspx
from qspx._errors import QspxError
from qspx.interchange import InterchangeError, NotSupported


def settings(path: Path) -> dict[str, str]:
    pairs = (line.partition(":") for line in path.read_text().splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, _, value in pairs}


def names(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def expected(path: Path) -> np.ndarray:
    """Values (times, variables) with the time first; a header is skipped."""
    rows = [row for row in csv.reader(path.read_text().splitlines()) if any(cell.strip() for cell in row)]
    if re.search(r"[a-df-zA-DF-Z_]", rows[0][0]) and rows[0][0].strip().lower() not in ("nan", "inf", "-inf"):
        rows = rows[1:]
    return np.array([[float(cell) for cell in row] for row in rows])


def newest(folder: Path) -> Path:
    return max(folder.glob(f"{folder.name}-sbml-l*v*.xml"), key=lambda p: p.stem.rsplit("-", 1)[1])


def run_case(folder: Path, sbml: Path | None = None) -> tuple[str, str]:
    """("pass" | "refused" | "failed", why)."""
    given = settings(folder / f"{folder.name}-settings.txt")
    reference = expected(folder / f"{folder.name}-results.csv")
    if not given.get("steps"):
        return "refused", "no time course is asked for (no `steps` in the settings)"
    variables, rtol, atol = names(given["variables"]), float(given["relative"]), float(given["absolute"])
    times = float(given["start"]) + float(given["duration"]) * np.arange(len(reference)) / float(given["steps"])
    try:
        found = qspx.simulate_sbml(
            sbml or newest(folder),
            times,
            variables=variables,
            amounts=names(given.get("amount", "")),
            concentrations=names(given.get("concentration", "")),
            rtol=min(rtol / 1000, 1e-9),
            atol=min(atol / 1e5, 1e-12),
        )
    except NotSupported as error:
        return "refused", str(error)
    except InterchangeError as error:
        return "refused", str(error)
    except QspxError as error:
        return "failed", f"{type(error).__name__}: {error}"
    except Exception as error:  # a case that breaks the program is a failure, and the others go on
        traceback.print_exc()
        return "failed", f"{type(error).__name__}: {error}"
    return compared(reference, np.column_stack([found[v] for v in variables]), variables, rtol, atol)


def compared(reference, found, variables, rtol: float, atol: float) -> tuple[str, str]:
    want = reference[:, 1:]
    with np.errstate(all="ignore"):
        fine = np.abs(want - found) <= atol + rtol * np.abs(want)
    fine |= (want == found) | (np.isnan(want) & np.isnan(found))
    if fine.all():
        return "pass", ""
    i, j = np.argwhere(~fine)[0]
    share = f"{np.sum(~fine)} of {fine.size} values"
    return "failed", f"{share}; `{variables[j]}` at {reference[i, 0]:g}: {found[i, j]:.9g}, expected {want[i, j]:.9g}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("cases", nargs="*", help="numbers of the cases; default: all")
    options = parser.parse_args()
    qspx.enable_x64()
    folders = sorted(p.parent for p in options.folder.glob("*/*-settings.txt"))
    if not folders:
        parser.error(f"{options.folder} holds no case (no */*-settings.txt)")
    count: dict[str, int] = {}
    for folder in folders:
        if options.cases and folder.name not in options.cases:
            continue
        began = time.perf_counter()
        outcome, why = run_case(folder)
        count[outcome] = count.get(outcome, 0) + 1
        print(f"{folder.name} {outcome}{f': {why}' if why else ''} ({time.perf_counter() - began:.1f} s)", flush=True)
    print(", ".join(f"{n} {outcome}" for outcome, n in sorted(count.items())))
    return 1 if count.get("failed") else 0


if __name__ == "__main__":
    sys.exit(main())
