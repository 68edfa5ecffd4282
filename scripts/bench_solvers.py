#!/usr/bin/env python
"""Native cohorts against other solvers: time, error, compilation, in one run of one process.

    python scripts/bench_solvers.py                     # about ten minutes on two cores
    python scripts/bench_solvers.py --quick             # a minute: does everything run?
    python scripts/bench_solvers.py --workloads tce12 --peers native,cvode,numbalsoda
    python scripts/bench_solvers.py --tune              # chunks of the vmapped peers

Writes `solvers.md` and `solvers.json` into experiments/numerical_core/results and renews the tables of the README
beside it; with `--out`, or `--quick` (into runs/bench_solvers), the README stays. Peers that are not installed are
listed as such. Protocol and peers: experiments/numerical_core/README.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "experiments"))
os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)  # stored programs would hide the time that compilation takes
os.environ.setdefault("JAX_PLATFORMS", "cpu")

from numerical_core import equal_error, gradients, measure, tables, targets  # noqa: E402
from numerical_core.contest import PEERS, Contest, Settings, hold, tune  # noqa: E402
from numerical_core.documents import PACKAGES, environment, insert, write_json  # noqa: E402
from numerical_core.peers.base import version  # noqa: E402
from numerical_core.problems import WORKLOADS  # noqa: E402

import qspx  # noqa: E402

FOLDER = ROOT / "experiments" / "numerical_core"


def arguments() -> argparse.Namespace:
    def listed(known):
        def parse(text: str) -> list[str]:
            names = [name for name in text.split(",") if name]
            if unknown := [name for name in names if name not in known]:
                raise argparse.ArgumentTypeError(f"unknown {unknown[0]!r}; known: {', '.join(known)}")
            return names

        return parse

    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--workloads", type=listed(WORKLOADS), default=list(WORKLOADS), help="comma-separated")
    parser.add_argument("--peers", type=listed(PEERS), default=list(PEERS), help=f"of {', '.join(PEERS)}")
    parser.add_argument("--patients", type=int, default=2048, help="most patients of a fast peer")
    parser.add_argument("--repeats", type=int, default=5, help="turns; slow peers take three")
    parser.add_argument("--budget", type=float, default=0.8, help="CPU seconds per turn that patients are chosen for")
    parser.add_argument("--quick", action="store_true", help="few patients, two turns, fast peers only")
    parser.add_argument("--tune", action="store_true", help="time the chunks of the vmapped peers and stop")
    parser.add_argument("--out", type=Path, help="folder for the results")
    return parser.parse_args()


def settings(given: argparse.Namespace) -> Settings:
    if not given.quick:
        return Settings(given.workloads, given.peers, given.patients, given.repeats, given.budget)
    slow = ("kvaerno5", "kvaerno3", "tsit5", "amici")
    return Settings(given.workloads, [p for p in given.peers if p not in slow], 64, 2, 0.1)


EQUAL_TOLERANCE = (
    "CPU time per patient over that of the native engine, at rtol 1e-6. Above 1 the native engine is faster. Errors "
    "differ between peers: see the comparison at equal error."
)
EQUAL_ERROR = (
    "Tolerances from 1e-3 to 1e-9; CPU time where the largest error over 32 patients, all samples and all states is as "
    "given, interpolated in logarithms. A dash: no tolerance reached it."
)
COMPILATION = (
    "Wall seconds. Two threads use the code compiled for one. AMICI's compilation is stored: its figure is the "
    "compilation in the first run only."
)


def circumstances(contests: dict[str, Contest]) -> str:
    return tables.banner([x for c in contests.values() for x in c.load], [c.others for c in contests.values()])


GRADIENTS = (
    "CPU time per patient, one thread: the run alone, and the gradient of a weighted sum of all samples of all states "
    "by all parameters and by amount and time of every dose. The latter holds the run that writes the tape, and the "
    "sweep back; `jax.grad` adds one run for the value."
)


def headlines(contests: dict[str, Contest], costs: list[gradients.GradientCost], seconds: float) -> str:
    """What the README shows."""
    blocks = [
        f"{environment()} The run took {seconds / 60:.1f} minutes.",
        circumstances(contests),
        "### Targets",
        targets.target_table(contests, costs),
        "The GPU has a target of its own, which this script does not measure.",
        "### Gradients",
        GRADIENTS,
        targets.gradient_table(costs),
        "### At equal tolerance",
        EQUAL_TOLERANCE,
        tables.ratio_table(contests),
        "### At equal error",
        EQUAL_ERROR,
        *(tables.equal_error_table(c) for c in contests.values()),
    ]
    return "\n\n".join(block for block in blocks if block)


def details(contests: dict[str, Contest]) -> str:
    blocks = [
        *(tables.workload_table(c) for c in contests.values()),
        "### Compilation",
        COMPILATION,
        tables.compile_table(contests),
        "### Lanes and threads",
        tables.lanes_table(contests),
        "### How the peers were set up",
        tables.setting_list(contests),
    ]
    return "\n\n".join(blocks)


def main() -> None:
    given = arguments()
    qspx.enable_x64()
    chosen = settings(given)
    if given.tune:
        for name in chosen.workloads:
            tune(name, chosen, lambda line: print(line, flush=True))
        return
    began = time.perf_counter()
    contests: dict[str, Contest] = {}
    for name in chosen.workloads:
        print(f"{name} (load per core {measure.load_per_core():.2f})", flush=True)
        contests[name], problem, entries = hold(name, chosen, lambda line: print(line, flush=True))
        contests[name].equal_error = equal_error.compare(problem, entries)
    costs = [gradients.measured(name) for name in gradients.NAMES if name in chosen.workloads]
    shown, more = headlines(contests, costs, time.perf_counter() - began), details(contests)
    print(f"\n{shown}\n\n{more}\n")
    out = given.out or (ROOT / "runs" / "bench_solvers" if given.quick else FOLDER / "results")
    out.mkdir(parents=True, exist_ok=True)
    (out / "solvers.md").write_text(f"# Cohort solvers compared\n\n{shown}\n\n{more}\n")
    write_json(out / "solvers.json", as_data(contests))
    print(f"Written to {out}")
    if out == FOLDER / "results":
        insert(FOLDER / "README.md", "solvers", shown)
    print(f"\n{'!' * 100}\n{circumstances(contests)}\n{'!' * 100}")


def as_data(contests: dict[str, Contest]) -> dict[str, object]:
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": measure.machine(),
        "versions": {p: version(p) for p in ("qspx", *PACKAGES)},
        "targets": [dataclasses.asdict(t) | {"verdict": t.verdict} for t in targets.targets(contests)],
        "workloads": {
            name: dataclasses.asdict(c) | {"rows": {key: row.as_dict() for key, row in c.rows.items()}}
            for name, c in contests.items()
        },
    }


if __name__ == "__main__":
    main()
