#!/usr/bin/env python
"""Objective and gradient of four PEtab problems: qspx beside AMICI, in one run of one process.

    python scripts/bench_calibration.py                  # about five minutes on two cores
    python scripts/bench_calibration.py --quick          # a minute: does everything run?
    python scripts/bench_calibration.py --problems Boehm --peers qspx
    python scripts/bench_calibration.py --starts 100     # also multi-starts, beside pyPESTO with Fides and AMICI

Writes `calibration.json` into experiments/calibration_bench/results and renews the tables of the README beside it; with
`--quick`, or a choice of problems or peers, both stay. Peers that are not installed are listed as such.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "experiments"))
os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)  # stored programs would hide the time that compilation takes
os.environ.setdefault("JAX_PLATFORMS", "cpu")

from calibration_bench import multistart, report  # noqa: E402
from calibration_bench.contest import PEERS, hold  # noqa: E402
from calibration_bench.problems import BEST, NAMES, problem  # noqa: E402
from numerical_core.documents import insert, write_json  # noqa: E402
from numerical_core.measure import Others, load_per_core  # noqa: E402

import qspx  # noqa: E402

FOLDER = ROOT / "experiments" / "calibration_bench"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--problems", nargs="*", choices=list(NAMES), default=list(NAMES))
    parser.add_argument("--peers", nargs="*", choices=list(PEERS), default=list(PEERS))
    parser.add_argument("--rtol", type=float, default=1e-8)
    parser.add_argument("--atol", type=float, default=1e-10)
    parser.add_argument("--places", type=int, default=100, help="starts that are evaluated together")
    parser.add_argument("--turns", type=int, default=5, help="0: no contest, only multi-starts")
    parser.add_argument("--budget", type=float, default=0.3, help="CPU seconds per turn")
    parser.add_argument("--starts", type=int, default=0, help="also multi-starts with so many starts")
    parser.add_argument("--quick", action="store_true", help="two turns of a tenth of a second; nothing is written")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    qspx.enable_x64()
    others, loads, begun = Others(), [load_per_core()], time.perf_counter()
    turns, budget = (2, 0.1) if given.quick else (given.turns, given.budget)
    rows, notes = [], {name: PEERS[name].missing() for name in given.peers}
    for name in given.problems if turns else ():
        found = problem(name, given.places)
        rows += hold(found, [p for p in given.peers if not notes[p]], given.rtol, given.atol, turns, budget)
        loads.append(load_per_core())
        print(report.of_problem(found, rows), flush=True)
    searched = []
    if given.starts:
        for name in [n for n in given.problems if n in BEST]:
            searched += multistart.hold(problem(name, 1), given.starts, given.peers, BEST[name])
            print(report.of_searches(searched), flush=True)
    said = report.head(given, loads, others.share(), notes, time.perf_counter() - begun)
    print(said)
    whole = set(given.problems) == set(NAMES) and set(given.peers) == set(PEERS)
    if given.quick or not whole:
        return
    if rows:
        write_json(FOLDER / "results" / "calibration.json", [row.as_dict() for row in rows])
        found = [report.of_problem(problem(name, 1), rows) for name in NAMES]
        insert(FOLDER / "README.md", "calibration", "\n\n".join([said, *found, report.ratios(rows)]))
    if searched:
        write_json(FOLDER / "results" / "multistart.json", searched)
        insert(FOLDER / "README.md", "multistart", "\n\n".join([said, report.of_searches(searched)]))


if __name__ == "__main__":
    main()
