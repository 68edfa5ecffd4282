"""Small objectives whose posterior, profiles and null directions are known in closed form."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

import qspx
from qspx.calibrate.assigned import Assigned
from qspx.calibrate.estimated import Estimated
from qspx.calibrate.noise import AbstractNoise, NormalNoise
from qspx.calibrate.objective import Group, Objective
from qspx.calibrate.phases import Phase
from qspx.calibrate.runs import Runs
from qspx.integrate import BatchIntegrator


class Still(qspx.AbstractModel):
    """Nothing happens: predictions are formulas of local parameters."""

    time_unit = "h"
    A = qspx.Species("1")
    K = qspx.Parameter(0.1, "1/h", "loss")

    def rates(self, t, y, p):
        return {"A": -p.K * y.A}


class Reversible(qspx.AbstractModel):
    """A <=> B from A = 1."""

    time_unit = "h"
    A = qspx.Species("1")
    B = qspx.Species("1")
    kf = qspx.Parameter(2.0, "1/h", "forward")
    kr = qspx.Parameter(1.0, "1/h", "backward")

    def initial(self, p):
        return {"A": 1.0, "B": 0.0}

    def rates(self, t, y, p):
        net = p.kf * y.A - p.kr * y.B
        return {"A": -net, "B": net}


class Decay(qspx.AbstractModel):
    """Mono-exponential decay of a bolus; the assay reports `gain` times the concentration."""

    time_unit = "h"
    C = qspx.Species("mg/L")
    dose = qspx.Parameter(10.0, "mg/L", "amount given over volume")
    k = qspx.Parameter(0.3, "1/h", "elimination")
    seen = qspx.Observable("mg/L", "concentration")

    def initial(self, p):
        return {"C": p.dose}

    def rates(self, t, y, p):
        return {"C": -p.k * y.C}

    def observables(self, t, y, p):
        return {"seen": y.C}


def objective_of(model, estimated, times, value, formula, local=(), noise: AbstractNoise | None = None, runs=1):
    """Measurements at `times` in each of `runs` equal runs; `formula(t, y, theta, local)`; `local` per measurement."""
    times = np.asarray(times, float)
    names = [e.name for e in estimated]
    given = {name: names.index(name) for name in names if name in model.parameters}
    theta = Assigned.tiled(model.theta, runs, list(model.parameters), given)
    asked = [[(float(t), False) for t in times]] * runs
    made = Runs.of(model, [None] * runs, asked, start=0.0)
    n = runs * len(times)
    run = np.repeat(np.arange(runs), len(times))
    all_times = np.tile(times, runs)
    column = np.array([made.column(int(r), float(t)) for r, t in zip(run, all_times, strict=True)])
    rows = [local(t) for t in all_times] if callable(local) else [list(local)] * n
    group = Group(np.arange(n), formula, Assigned.of(rows, names, len(rows[0])), noise or NormalNoise())
    return Objective(
        tuple(estimated),
        (Phase(made, theta),),
        run,
        column,
        all_times,
        np.asarray(value, float),
        np.zeros(n, int),
        (group,),
        BatchIntegrator(rtol=1e-9, atol=1e-12),
    )


LINE_TIMES = np.linspace(0.0, 4.0, 9)
LINE_SD = 0.5


def line(seed=0, bounds=(-50.0, 50.0), **options):
    """intercept + slope·t with known sd, on the linear scale: its posterior is normal. Objective and exact (mean,
    covariance)."""
    design = np.stack([np.ones_like(LINE_TIMES), LINE_TIMES], axis=1)
    value = design @ [1.0, 2.0] + LINE_SD * np.random.default_rng(seed).normal(size=len(LINE_TIMES))
    estimated = [Estimated(name, bounds, scale="lin") for name in ("intercept", "slope")]

    def formula(t, y, theta, local):
        return local[0] + local[1] * t, jnp.asarray(LINE_SD)

    found = objective_of(Still(), estimated, LINE_TIMES, value, formula, ("intercept", "slope"), **options)
    covariance = LINE_SD**2 * np.linalg.inv(design.T @ design)
    mean = np.linalg.lstsq(design, value, rcond=None)[0]
    return found, mean, covariance


def ratio():
    """Only the plateau of A <=> B is observed: kf/kr is all that matters."""
    estimated = [Estimated("kf", (0.02, 200.0)), Estimated("kr", (0.001, 1000.0))]

    def formula(t, y, theta, local):
        return y[1] / (y[0] + y[1]), jnp.asarray(0.02)

    value = [0.66, 0.68, 0.67]
    return objective_of(Reversible(), estimated, [2000.0, 3000.0, 4000.0], value, formula)


def scaled_decay():
    """gain·dose·exp(-k t): dose and gain only as a product."""
    times = np.array([0.5, 1.0, 2.0, 4.0, 8.0])
    estimated = [
        Estimated("dose", (0.1, 1000.0)),
        Estimated("k", (0.01, 10.0)),
        Estimated("gain", (0.01, 100.0), scale="log10"),
    ]

    def formula(t, y, theta, local):
        return local[0] * y[0], jnp.asarray(0.3)

    value = 20.0 * np.exp(-0.3 * times) + np.array([0.1, -0.2, 0.15, 0.05, -0.1])
    return objective_of(Decay(), estimated, times, value, formula, ("gain",))


def still(estimated, expected, value, sd=0.5, noise=None):
    """Every one of `value` measures `expected(values in the order of estimated)`; no dynamics."""

    def formula(t, y, theta, local):
        return expected(local), jnp.asarray(sd, float) if not callable(sd) else sd(local)

    names = tuple(e.name for e in estimated)
    return objective_of(Still(), estimated, np.arange(1.0, len(value) + 1), value, formula, names, noise=noise)
