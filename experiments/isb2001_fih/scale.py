"""The cohort of `isb2001.toml` at scale: many virtual patients x dose levels x the fractionated cycle, with its memory.

    python experiments/isb2001_fih/scale.py --patients 100000 --out runs/isb2001_scale

Endpoints (peak nACT and Cmax of cycle 1) are computed during the solve, so no trajectory is stored. The same call
resumes.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import numpy as np

import qspx
from qspx.experiment import build, load_experiment

HERE = Path(__file__).resolve().parent


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--patients", type=int, default=100_000)
    parser.add_argument("--levels", type=int, default=12, help="dose levels, from 0.1 to 300 ug/kg")
    parser.add_argument("--out", type=Path, default=Path("runs/isb2001_scale"))
    given = parser.parse_args()
    qspx.enable_x64()
    plan = build(load_experiment(HERE / "isb2001.toml"))
    cohort = qspx.sample_cohort(plan.model, plan.distribution, given.patients, key=plan.seed)
    levels = np.geomspace(0.1, 300, given.levels).tolist()
    protocol = qspx.Protocol.escalation(plan.escalation.regimen, levels)
    began = time.monotonic()
    summaries = [qspx.Max("nACT", end=28), qspx.Max("C", end=28)]
    run = qspx.simulate_cohort(plan.model, cohort, protocol, summaries=summaries, out=given.out)
    seconds, runs = time.monotonic() - began, given.patients * given.levels
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(run.ledger)
    print(f"{runs:,} runs in {seconds:.0f} s: {runs / seconds:,.0f} per second, peak memory {memory:.2f} GiB")


if __name__ == "__main__":
    main()
