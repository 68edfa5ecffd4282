"""A one-compartment bolus model with a bell-shaped observable: every dose has a closed form."""

from __future__ import annotations

import jax.numpy as jnp

import qspx


class Linear(qspx.AbstractModel):
    """C = dose / V exp(-CL / V t); trimer T = C / (1 + C / hook)^2 peaks at C = hook."""

    molar_mass = "MW"
    body_weight = "WT"
    C = qspx.Species("nM", "drug", volume="V", route="IV")
    V = qspx.Parameter(3.0, "L")
    CL = qspx.Parameter(0.3, "L/day")
    WT = qspx.Parameter(70.0, "kg", tag="covariate")
    MW = qspx.Parameter(150_000.0, "g/mol")
    hook = qspx.Parameter(10.0, "nM")
    trimer = qspx.Observable("nM", "bell-shaped in C")
    steep = qspx.Observable("nM", "third power of C")
    wave = qspx.Observable("nM", "not monotone: falls and rises again")

    def rates(self, t, y, p):
        return {"C": -p.CL / p.V * y.C}

    def observables(self, t, y, p):
        return {
            "trimer": y.C / (1 + y.C / p.hook) ** 2,
            "steep": y.C * (y.C / p.hook) ** 2,
            "wave": _wave(y.C, p.hook),
        }


def _wave(c, hook):
    """Rises to C = hook / 10, falls to C = hook, then rises for good."""
    x = c / hook
    return hook * jnp.where(x < 0.1, x, jnp.where(x < 1.0, 0.1 - 0.05 * (x - 0.1), 0.055 * x))


SINGLE = qspx.Regimen.single(1.0, "ug/kg", "C")
