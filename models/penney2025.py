"""Clearance of T-cell engagers through CD3: linear two-compartment disposition and binding to CD3 on T cells, per kg.

Penney et al., Clin Transl Sci 2025;18:e70384 (as transcribed). The authors predict the half-life of 29 T-cell engagers
from the affinity for CD3. The paper prints two internalisation rates: a half-life of 36 min, used here, and 1.4 % per
minute (49.5 min), which does not reproduce its own half-lives.

Switch: `taa=True` adds a tumour-associated antigen (TAA) with the same form of binding and turnover. The paper gives no
typical antigen, so its numbers are assumptions to be replaced.
"""

import math

import jax.numpy as jnp

import qspx

SOURCE = "Penney 2025 (Clin Transl Sci 18:e70384)"
ASSUMED = "no typical value published; replace it by the antigen's own"
HALF_LIFE_MONKEY = 9.0  # day


def par(value, unit, meaning, tag="literature", source=SOURCE, **more):
    return qspx.Parameter(value, unit, meaning, source=source, tag=tag, **more)


def parameters_for(species):
    """Parameter values that differ from the typical human's, for `simulate(..., parameters=...)`."""
    return {"human": {}, "cynomolgus": {"t_half_intrinsic": HALF_LIFE_MONKEY}}[species]


def half_life(model, KD, **parameters):
    """Half-life [day] between days 10 and 30 after 0.01 mg/kg into the blood, for a CD3 affinity `KD` [nM]."""
    solution = qspx.simulate(
        model,
        qspx.Regimen.single(0.01, "mg/kg", "C"),
        [10.0, 30.0],
        observables=["C"],
        parameters={"KD": KD} | parameters,
        integrator=qspx.DiffraxIntegrator(rtol=1e-9, atol=1e-15),
    )
    early, late = solution["C"]
    return 20.0 * math.log(2) / math.log(early / late)


class CD3Clearance(qspx.AbstractModel):
    """What both forms of the model share."""

    citation = "Penney et al., Clin Transl Sci 2025;18:e70384"
    molar_mass = "MW"

    C = qspx.Species("nM", "free drug, central", volume="Vc", route="IV")
    P = qspx.Species("nM", "free drug, peripheral", volume="Vp")
    R3 = qspx.Species("nM", "free CD3")
    X = qspx.Species("nM", "drug on CD3")

    MW = par(150_000.0, "g/mol", "molar mass", "assumed", "an IgG")
    Vc = par(0.040, "L/kg", "central volume")
    Vp = par(0.060, "L/kg", "peripheral volume")
    t_half_intrinsic = par(15.0, "day", "half-life without CD3 binding")
    Q_per_CL = par(10.0, "", "distribution clearance over clearance", "assumed")
    kon = par(86.4, "1/nM/day", "association with CD3 (1e6 1/M/s)")
    KD = par(10.0, "nM", "CD3 dissociation constant", "measured", "of the drug")
    kint = par(math.log(2) * 40.0, "1/day", "turnover of CD3, free and bound (half-life 36 min)")
    CD3_per_T = par(50_000.0, "molecule/cell", "CD3 per T cell")
    T_cells = par(1_500.0, "cell/uL", "T cells in blood")
    N_A = par(6.022e14, "molecule/nmol", "Avogadro constant", "constant", "definition")
    uL_per_L = par(1e6, "uL/L", "conversion", "constant", "definition")

    R3_0 = qspx.Observable("nM", "CD3 without drug")
    RO_CD3 = qspx.Observable("", "occupied share of CD3")
    C_total = qspx.Observable("nM", "drug in the central compartment, free and bound")

    def cd3(self, p):
        return p.T_cells * p.CD3_per_T * p.uL_per_L / p.N_A

    def disposition(self, y, p):
        """(elimination, distribution) flows of the central compartment, amount per kg and time."""
        CL = jnp.log(2.0) * (p.Vc + p.Vp) / p.t_half_intrinsic
        return CL * y.C, p.Q_per_CL * CL * (y.C - y.P)

    def core(self, y, p):
        eliminated, distributed = self.disposition(y, p)
        bound = p.kon * y.R3 * y.C - p.kon * p.KD * y.X
        return {
            "C": -(eliminated + distributed) / p.Vc - bound,
            "P": distributed / p.Vp,
            "R3": p.kint * (self.cd3(p) - y.R3) - bound,
            "X": bound - p.kint * y.X,
        }


class Penney2025(CD3Clearance):
    published = (
        qspx.Published("half-life at KD 10 nM, as printed", 4.4, "day", lambda m: half_life(m, 10.0), 0.02, SOURCE),
        qspx.Published(
            "half-life at KD 10 nM", 4.46, "day", lambda m: half_life(m, 10.0), 1.2e-3, "independent calculation"
        ),
        qspx.Published(
            "half-life at KD 40 nM", 9.20, "day", lambda m: half_life(m, 40.0), 6e-4, "independent calculation"
        ),
        qspx.Published(
            "half-life at KD 1000 nM", 15.1, "day", lambda m: half_life(m, 1000.0), 3.5e-3, "independent calculation"
        ),
    )

    def initial(self, p):
        return {"R3": self.cd3(p)}

    def rates(self, t, y, p):
        return self.core(y, p)

    def observables(self, t, y, p):
        return {"R3_0": self.cd3(p), "RO_CD3": y.X / (y.X + y.R3), "C_total": y.C + y.X}


class Penney2025WithTarget(CD3Clearance):
    RT = qspx.Species("nM", "free antigen")
    XT = qspx.Species("nM", "drug on the antigen")

    RT_0 = par(0.1, "nM", "antigen without drug", "assumed", ASSUMED)
    kon_T = par(86.4, "1/nM/day", "association with the antigen", "assumed", ASSUMED)
    KD_T = par(1.0, "nM", "dissociation constant of the antigen", "assumed", ASSUMED)
    kint_T = par(math.log(2) * 40.0, "1/day", "turnover of the antigen, free and bound", "assumed", ASSUMED)

    RO_T = qspx.Observable("", "occupied share of the antigen")

    def initial(self, p):
        return {"R3": self.cd3(p), "RT": p.RT_0}

    def rates(self, t, y, p):
        dy = self.core(y, p)
        bound = p.kon_T * y.RT * y.C - p.kon_T * p.KD_T * y.XT
        antigen = {"RT": p.kint_T * (p.RT_0 - y.RT) - bound, "XT": bound - p.kint_T * y.XT}
        return dy | antigen | {"C": dy["C"] - bound}

    def observables(self, t, y, p):
        return {
            "R3_0": self.cd3(p),
            "RO_CD3": y.X / (y.X + y.R3),
            "C_total": y.C + y.X + y.XT,
            "RO_T": y.XT / (y.XT + y.RT),
        }


def build(taa: bool = False):
    """The model, with CD3 alone or with a tumour-associated antigen too."""
    return Penney2025WithTarget() if taa else Penney2025()
