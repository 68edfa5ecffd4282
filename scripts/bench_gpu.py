"""Virtual patients per second on an NVIDIA GPU: a trimer model of 12 states, 28 days, a dose each week, 56 samples.

    python scripts/bench_gpu.py [--patients 100000] [--precision float32 --rtol 1e-4]

Prints the seconds of the compilation and of several whole calls of `solve_batch` (transfers included), and how far the
results are from those of the native engine. Says so, and exits with 1, where there is no GPU.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np

import qspx
from qspx import AbstractModel, Parameter, Regimen, Species
from qspx._errors import SolveError
from qspx._status import Status
from qspx.dose_events import DoseEvents, dose_events
from qspx.integrate import BatchIntegrator, CudaIntegrator, SolveRequest, cuda_device

CHECKED = 200  # patients that the native engine solves as well


class Trimer(AbstractModel):
    """A T-cell engager with a depot, plasma, a peripheral compartment and a tumour; binding in plasma and tumour. Its
    numbers are of a usual size and of no drug in particular."""

    depot = Species("nmol", "drug at the injection site")
    C = Species("nM", "free drug in plasma", volume="V")
    P = Species("nM", "free drug in the periphery")
    R = Species("nM", "free CD3 in plasma")
    CR = Species("nM", "drug on CD3 in plasma")
    D = Species("nM", "free drug in the tumour")
    T = Species("nM", "free CD3 in the tumour")
    A = Species("nM", "free antigen in the tumour")
    DT = Species("nM", "drug on CD3 in the tumour")
    DA = Species("nM", "drug on antigen in the tumour")
    TDA = Species("nM", "trimer in the tumour")
    E = Species("1", "effect, driven by the trimer")
    V = Parameter(3.0, "L")
    ka = Parameter(0.4, "1/day")
    kel = Parameter(0.15, "1/day")
    k_out = Parameter(0.6, "1/day", "plasma to periphery")
    k_in = Parameter(0.5, "1/day", "periphery to plasma")
    k_tumour = Parameter(0.05, "1/day", "plasma to tumour")
    k_back = Parameter(0.2, "1/day", "tumour to plasma")
    on_cd3 = Parameter(20.0, "1/nM/day")
    off_cd3 = Parameter(40.0, "1/day")
    on_antigen = Parameter(50.0, "1/nM/day")
    off_antigen = Parameter(5.0, "1/day")
    R0 = Parameter(1.0, "nM")
    T0 = Parameter(0.3, "nM")
    A0 = Parameter(5.0, "nM")
    kdeg_cd3 = Parameter(1.2, "1/day")
    kdeg_antigen = Parameter(0.7, "1/day")
    kint = Parameter(0.9, "1/day", "internalisation of complexes")
    k_trimer = Parameter(0.4, "1/day", "loss of trimers")
    half = Parameter(0.01, "nM", "trimer at half of the largest effect")
    hill = Parameter(1.3, "")
    k_effect = Parameter(0.3, "1/day")

    def initial(self, p):
        return {"R": p.R0, "T": p.T0, "A": p.A0}

    def rates(self, t, y, p):
        absorbed = p.ka * y.depot
        plasma = p.on_cd3 * y.C * y.R - p.off_cd3 * y.CR
        dt = p.on_cd3 * y.D * y.T - p.off_cd3 * y.DT
        da = p.on_antigen * y.D * y.A - p.off_antigen * y.DA
        from_dt = p.on_antigen * y.DT * y.A - p.off_antigen * y.TDA
        from_da = p.on_cd3 * y.DA * y.T - p.off_cd3 * y.TDA
        drive = (y.TDA / p.half) ** p.hill
        return {
            "depot": -absorbed,
            "C": absorbed / p.V - (p.kel + p.k_out + p.k_tumour) * y.C + p.k_in * y.P + p.k_back * y.D - plasma,
            "P": p.k_out * y.C - p.k_in * y.P,
            "R": p.kdeg_cd3 * (p.R0 - y.R) - plasma,
            "CR": plasma - p.kint * y.CR,
            "D": p.k_tumour * y.C - p.k_back * y.D - dt - da,
            "T": p.kdeg_cd3 * (p.T0 - y.T) - dt - from_da,
            "A": p.kdeg_antigen * (p.A0 - y.A) - da - from_dt,
            "DT": dt - from_dt - p.kint * y.DT,
            "DA": da - from_da - p.kint * y.DA,
            "TDA": from_dt + from_da - p.k_trimer * y.TDA,
            "E": p.k_effect * (drive / (1 + drive) - y.E),
        }


def problem(patients: int) -> tuple[SolveRequest, np.ndarray, DoseEvents]:
    """Parameters with a coefficient of variation of 40 %, but for the Hill exponent, a dose of 30 nmol each week."""
    model = Trimer()
    spread = np.sqrt(np.log1p(0.4**2))
    theta = np.asarray(model.theta) * np.exp(
        spread * np.random.default_rng(0).standard_normal((patients, len(model.theta)))
    )
    theta[:, model.parameter_index("hill")] = model.parameters["hill"].value
    events = dose_events(Regimen.repeated(30.0, "nmol", "depot", every=7.0, n=4), model)
    times = tuple(0.5 * np.arange(1, 57))
    request = SolveRequest(model, times, tuple(model.species), (), 0.0, 28.0)
    return request, theta, DoseEvents(*(np.tile(field, (patients, 1)) for field in events))


def first(events: DoseEvents, rows: int) -> DoseEvents:
    return DoseEvents(*(field[:rows] for field in events))


def report(patients: int, repeats: int, integrator: CudaIntegrator) -> None:
    request, theta, events = problem(patients)
    start = time.perf_counter()
    integrator.prepare(request)
    print(f"printed and compiled in {time.perf_counter() - start:.1f} s")
    solution = integrator.solve_batch(request, theta[:CHECKED], first(events, CHECKED))
    native = BatchIntegrator(rtol=integrator.rtol, atol=integrator.atol)
    expected = native.solve_batch(request, theta[:CHECKED], first(events, CHECKED))
    both = (solution.status == Status.OK) & (expected.status == Status.OK)
    scale = np.abs(expected.values[both]).max(axis=1, keepdims=True)
    largest = np.max(np.abs(solution.values[both] - expected.values[both]) / np.where(scale == 0, 1.0, scale))
    same = np.mean(solution.status == expected.status)
    print(f"against BatchIntegrator, {CHECKED} patients: difference {largest:.1e}, {same:.1%} of the statuses equal")
    for _ in range(repeats):
        start = time.perf_counter()
        solution = integrator.solve_batch(request, theta, events)
        took = time.perf_counter() - start
        solved = np.mean(solution.status == Status.OK)
        print(
            f"{patients:,} patients in {took:.3f} s: {patients / took:,.0f} per second "
            f"({np.mean(solution.steps):.0f} steps each, {solved:.1%} solved)"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--precision", default="float64")
    parser.add_argument("--rtol", type=float, default=1e-6)
    parser.add_argument("--atol", type=float, default=1e-9)
    a = parser.parse_args()
    qspx.enable_x64()
    try:
        cuda_device.found_cupy()
        report(a.patients, a.repeats, CudaIntegrator(a.rtol, a.atol, precision=a.precision))
    except SolveError as e:
        sys.exit(f"Nothing was measured: {e}")


if __name__ == "__main__":
    main()
