"""In-vitro killing of tumour cells by a bispecific T-cell engager: trimers form, and kill in proportion to an effect.

The assay is that of teclistamab on NCI-H929 myeloma cells: 48 h, five T cells per target cell (Pillarisetti et al.,
Blood Adv 2020;4:4538-4549, doi 10.1182/bloodadvances.2020002393, Figure 1A). Binding is mass action (Schropp et al.,
CPT Pharmacometrics Syst Pharmacol 2019;8:177-187, without cooperativity); free receptors and dimers turn over, trimers
do not; a target cell that dies gives the CD3 of its trimers back (the structure of a poster at ACoP 2023 by Metrum).
The death rate is a Hill function of trimers per living target cell.

With the affinities as measured trimers fall beyond 3 nM. The killing in the figure does not, up to 512 nM: use the
rising limb. Growth of target cells and of T cells is left out. `background` is the share that is dead without drug.
Values tagged "estimated" are those of experiments/teclistamab_fih, fitted to the rising limb of the figure.
"""

import jax.numpy as jnp

import qspx

PAPER = "Pillarisetti 2020 (doi 10.1182/bloodadvances.2020002393)"
MENON = "Menon 2026, Table 1/S2 (doi 10.1002/cpt.70319)"
POELS = "Poels 2025 (npj Syst Biol Appl 11:102)"
FITTED = "experiments/teclistamab_fih: rising limb of Figure 1A of Pillarisetti 2020"
HOURS = 48.0
ANALYTIC = "equilibrium of Schropp 2019, Eqs 20-30, calculated independently"


def par(value, unit, meaning, tag="literature", source=MENON, **more):
    return qspx.Parameter(value, unit, meaning, source=source, tag=tag, **more)


def after(model, concentration, observable="cytotoxicity", hours=HOURS, **parameters):
    """An observable after incubation with a concentration [nM] of drug."""
    solution = qspx.simulate(
        model,
        qspx.Regimen.single(concentration, "nM", "C"),
        [hours],
        observables=[observable],
        parameters=parameters,
        integrator=qspx.BatchIntegrator(rtol=1e-9, atol=1e-15),
    )
    return float(solution[observable][0])


def concentration_at(model, level, top=2.0, **parameters):
    """Smallest concentration [nM] with the share `level` of the kill at `top` nM, by bisection on the rising limb."""
    none, most = (after(model, c, **parameters) for c in (1e-9, top))
    low, high = 1e-6, top
    for _ in range(40):
        middle = (low * high) ** 0.5
        reached = (after(model, middle, **parameters) - none) / (most - none)
        low, high = (middle, high) if reached < level else (low, middle)
    return high


def equilibrium(model, total, observable):
    """Trimer [nM] of 10 nM CD3, 100 nM BCMA, both of 0.01 nM affinity, without turnover and death."""
    cells = {"N0": 100.0, "ET": 1.0}
    receptors = {"BCMA_per_cell": 100 / (100 * 1.66054e-9), "CD3_per_T": 10 / (100 * 1.66054e-9)}
    off = {"kint_BCMA": 0.0, "kint_CD3": 0.0, "kmax": 0.0}
    binding = {"KD_BCMA": 0.01, "KD_CD3": 0.01, "koff_BCMA": 1.0, "koff_CD3": 1.0}
    return after(model, total, observable, 500.0, **cells, **receptors, **off, **binding)


class KillingAssay(qspx.AbstractModel):
    time_unit = "h"
    citation = "Pillarisetti et al., Blood Adv 2020;4:4538-4549"
    doi = "10.1182/bloodadvances.2020002393"
    molar_mass = "MW"

    C = qspx.Species("nM", "free drug")
    B = qspx.Species("nM", "free BCMA")
    R = qspx.Species("nM", "free CD3")
    CB = qspx.Species("nM", "drug on BCMA")
    CR = qspx.Species("nM", "drug on CD3")
    X = qspx.Species("nM", "trimer")
    N = qspx.Species("cell/uL", "living target cells")

    MW = par(146_000.0, "g/mol", "molar mass", "assumed", "an IgG4")
    N0 = par(100.0, "cell/uL", "target cells at the start", "assumed", "20,000 cells in 0.2 mL; not in the abstract")
    ET = par(5.0, "", "T cells per target cell", "measured", PAPER)
    BCMA_per_cell = par(12_590.0, "molecule/cell", "BCMA per target cell", "assumed", f"myeloma cells of {POELS}")
    CD3_per_T = par(60_000.0, "molecule/cell", "CD3 per T cell", "literature", POELS)
    KD_BCMA = par(0.5, "nM", "BCMA dissociation constant", "measured")
    koff_BCMA = par(7.66e-4 * 3600, "1/h", "BCMA dissociation rate constant", "measured")
    KD_CD3 = par(20.8, "nM", "CD3 dissociation constant", "measured")
    koff_CD3 = par(5.6e-3 * 3600, "1/h", "CD3 dissociation rate constant", "measured")
    kint_BCMA = par(0.35, "1/h", "turnover of BCMA, free and on drug")
    kint_CD3 = par(0.173, "1/h", "turnover of CD3, free and on drug")
    background = par(0.252, "", "share dead without drug", "estimated", FITTED, bounds=(0.0, 1.0), scale="logit")
    kmax = par(0.0366, "1/h", "largest death rate", "estimated", FITTED)
    X50 = par(6.17, "molecule/cell", "trimers per target cell of half-maximal death rate", "estimated", FITTED)
    hill = par(3.06, "", "Hill coefficient of the death rate", "estimated", FITTED)
    cv = par(1.66054e-9, "nM/(molecule/uL)", "conversion", "constant", "1e15 / Avogadro constant")

    trimers = qspx.Observable("molecule/cell", "trimers per living target cell")
    cytotoxicity = qspx.Observable("", "share of target cells that is dead")
    RO_BCMA = qspx.Observable("", "occupied share of BCMA")

    published = (
        qspx.Published("trimer at 18.172 nM of drug", 9.9866, "nM", lambda m: equilibrium(m, 18.172, "X"), 1e-4,
                       ANALYTIC),
        qspx.Published("trimer at 205.12 nM of drug, past the peak", 4.8746, "nM",
                       lambda m: equilibrium(m, 205.12, "X"), 1e-4, ANALYTIC),
        qspx.Published("EC50 of H929 cytotoxicity", 0.15, "nM", lambda m: concentration_at(m, 0.5), 1.0, PAPER),
    )  # fmt: skip

    def totals(self, cells, p):
        """BCMA of so many living cells, and CD3, nM."""
        return cells * p.BCMA_per_cell * p.cv, p.N0 * p.ET * p.CD3_per_T * p.cv

    def initial(self, p):
        B, R = self.totals(p.N0, p)
        return {"B": B, "R": R, "N": p.N0}

    def per_cell(self, y, p):
        return y.X / (y.N * p.cv)

    def rates(self, t, y, p):
        B0, R0 = self.totals(y.N, p)
        on_B, on_R = p.koff_BCMA / p.KD_BCMA, p.koff_CD3 / p.KD_CD3
        to_B, to_R = on_B * y.C * y.B - p.koff_BCMA * y.CB, on_R * y.C * y.R - p.koff_CD3 * y.CR
        X_by_R, X_by_B = on_R * y.CB * y.R - p.koff_CD3 * y.X, on_B * y.CR * y.B - p.koff_BCMA * y.X
        effect = jnp.maximum(self.per_cell(y, p) / p.X50, 1e-12) ** p.hill
        death = p.kmax * effect / (1 + effect)
        return {
            "C": -to_B - to_R,
            "B": p.kint_BCMA * (B0 - y.B) - to_B - X_by_B - death * y.B,
            "R": p.kint_CD3 * (R0 - y.R) - to_R - X_by_R + death * y.X,
            "CB": to_B - X_by_R - (p.kint_BCMA + death) * y.CB,
            "CR": to_R - X_by_B - p.kint_CD3 * y.CR,
            "X": X_by_R + X_by_B - death * y.X,
            "N": -death * y.N,
        }

    def observables(self, t, y, p):
        return {
            "trimers": self.per_cell(y, p),
            "cytotoxicity": 1 - (1 - p.background) * y.N / p.N0,
            "RO_BCMA": 1 - y.B / (y.B + y.CB + y.X),
        }
