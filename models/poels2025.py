"""BCMA x CD3 engagers in myeloma: drug in blood and marrow, trimers, tumour kill, cytokine release. Elranatamab.

Poels et al., npj Syst Biol Appl 2025;11:102 (Supplementary Note 1, Eqs 1-39, Supplementary Tables 1-4, as transcribed).
Units of the publication: h, pM, cells per µL, pg/mL. Left out: M-protein and free light chains, which nothing else
depends on. Baselines (soluble BCMA, T cells, myeloma cells) are not published as point values; those here are the
middle of the published ranges and tagged as assumed.

Cytokine release falls from dose to dose: at the N-th dose the memory of what was released is multiplied by
m(N) = (1.3² + (N + 1)²) / (5 · 1.3²). Doses are counted by the species `doses`: give one ("1" unit) with every dose of
drug, see `with_count`; a single dose needs no count. The memory is kept as memory / m(1)…m(N), which does not jump.

Switch: `balanced=False` is the published listing (as transcribed), where soluble complexes that leave the marrow arrive
in blood at Vc/Vb = 2.4 times the amount that left. It gives the published numbers to four digits. The default conserves
drug: the first cytokine peaks change by 3 to 7 %, but the half-life of free drug falls from 19 to 12 days.

`teclistamab()` puts a teclistamab of Miao 2023 (clearance) and Menon 2026 (affinities) into the same system.
"""

import math
from typing import ClassVar

import jax.numpy as jnp

import qspx

SOURCE = "Poels 2025, Supplementary Tables 1-4 (npj Syst Biol Appl 11:102)"
MENON = "Menon 2026, Table S2 (doi 10.1002/cpt.70319)"
MIAO = "Miao 2023, Table 2 (Target Oncol 18:667)"
RANGE = "not published as a point value; middle of the published range for virtual patients"
IN_VITRO = "order of magnitude; to be replaced by the result of models/killing_assay.py at the same receptor densities"
CHECK = "two independent implementations of the transcription"
PRECISE = qspx.BatchIntegrator(rtol=1e-8, atol=1e-10)
LAST_COUNTED = 12  # doses after this one change nothing more


def par(value, unit, meaning, tag="estimated", source=SOURCE, **more):
    return qspx.Parameter(value, unit, meaning, source=source, tag=tag, **more)


def with_count(doses):
    """A regimen of the doses [(amount, unit, species, day)], each of them counted."""
    given = []
    for amount, unit, into, day in sorted(doses, key=lambda d: d[3]):
        given += [qspx.Dose(amount, unit, into, day), qspx.Dose(1.0, "", "doses", day)]
    return qspx.Regimen(tuple(given), time_unit="day")


def single_76_mg(model):
    """Free drug after one subcutaneous dose of 76 mg: its summaries, and its values on days 58 and 84."""
    return qspx.simulate(
        model,
        qspx.Regimen.single(76.0, "mg", "depot"),
        [58 * 24.0, 84 * 24.0],
        observables=["C_free"],
        summaries=[qspx.Max("C_free"), qspx.Tmax("C_free")],
        integrator=PRECISE,
    )


def half_life(model):
    early, late = single_76_mg(model)["C_free"]
    return 26.0 * math.log(2) / math.log(early / late)


def cytokine_peak(model, n):
    """Peak [pg/mL] after the n-th dose (from 0) of 12, 32 and 76 mg on days 0, 3, 7 and 76 mg weekly after."""
    days = [0, 3, 7, 14, 21, 28, 35]
    doses = [(mg, "mg", "depot", float(d)) for mg, d in zip((12, 32, 76, 76, 76, 76), days, strict=False)]
    window = qspx.Max("cyt", start=24.0 * days[n], end=24.0 * days[n + 1])
    solution = qspx.simulate(model, with_count(doses), summaries=[window], integrator=PRECISE)
    return next(iter(solution.summaries.values()))


def power(ratio, exponent):
    """`ratio`^exponent, with what is zero or (by rounding, or where the publication floors it) less kept away from
    zero, where the slope of a power below one is infinite."""
    return jnp.maximum(ratio, 1e-12) ** exponent


def published_numbers(peaks, exposure, half):
    """Rows of the published table, with the tolerance of cytokine peaks, of exposure and of the half-life."""
    cmax = lambda m: single_76_mg(m).summaries["max(C_free)"] * 0.1485  # noqa: E731  nM to µg/mL at 148.5 kDa
    tmax = lambda m: single_76_mg(m).summaries["tmax(C_free)"] / 24  # noqa: E731
    return (
        qspx.Published("Cmax of free drug, 76 mg SC", 1.3864, "ug/mL", cmax, exposure, CHECK),
        qspx.Published("its time", 7.25, "day", tmax, exposure, CHECK),
        qspx.Published("half-life, days 58 to 84 after 76 mg", 19.1, "day", half_life, half, CHECK),
        *(
            qspx.Published(
                f"cytokine peak after dose {k + 1} of 12/32/76 mg",
                value,
                "pg/mL",
                lambda m, k=k: cytokine_peak(m, k),
                peaks,
                CHECK,
            )
            for k, value in enumerate((26.21, 15.97, 9.771, 2.974, 2.051, 2.001))
        ),
    )


class Poels2025(qspx.AbstractModel):
    time_unit = "h"
    citation = "Poels et al., npj Syst Biol Appl 2025;11:102"
    molar_mass = "MW"
    body_weight = "WT"

    conserved: ClassVar[bool] = False  # drug that leaves the marrow on soluble BCMA

    depot = qspx.Species("pmol", "drug at the subcutaneous site", bioavailability="F", route="SC")
    doses = qspx.Species("", "doses given so far")
    A = qspx.Species("pM", "free drug, central", volume="Vc", route="IV")
    Ap = qspx.Species("pM", "free drug, peripheral")
    s = qspx.Species("pM", "free soluble BCMA, central")
    As = qspx.Species("pM", "drug on soluble BCMA, central")
    A3 = qspx.Species("pM", "drug on CD3, central")
    T_c = qspx.Species("cell/uL", "T cells, central")
    Ab = qspx.Species("pM", "free drug, marrow")
    sb = qspx.Species("pM", "free soluble BCMA, marrow")
    Asb = qspx.Species("pM", "drug on soluble BCMA, marrow")
    AB = qspx.Species("pM", "drug on membrane BCMA, marrow")
    A3b = qspx.Species("pM", "drug on CD3, marrow")
    X = qspx.Species("pM", "trimer of BCMA, drug and CD3, marrow")
    M1 = qspx.Species("cell/uL", "living myeloma cells, marrow")
    M2 = qspx.Species("cell/uL", "dying myeloma cells, first stage")
    M3 = qspx.Species("cell/uL", "dying myeloma cells, second stage")
    M4 = qspx.Species("cell/uL", "dying myeloma cells, third stage")
    T_m = qspx.Species("cell/uL", "T cells, marrow")
    C0 = qspx.Species("pg/mL", "cytokine in marrow, at release")
    C1 = qspx.Species("pg/mL", "cytokine in marrow, first transit")
    C2 = qspx.Species("pg/mL", "cytokine in marrow, second transit")
    C3 = qspx.Species("pg/mL", "cytokine in marrow, third transit")
    C4 = qspx.Species("pg/mL", "cytokine in marrow, fourth transit")
    C5 = qspx.Species("pg/mL", "cytokine in marrow, fifth transit")
    cyt = qspx.Species("pg/mL", "cytokine, central")
    memory = qspx.Species("pg/mL*h", "released cytokine above baseline, over time, per dose factor", signed=True)

    WT = par(70.0, "kg", "body weight", "covariate", "typical adult")
    MW = par(148_500.0, "g/mol", "molar mass", "literature")
    KD_BCMA = par(30.0, "pM", "BCMA dissociation constant (kon 0.0054 1/pM/h)", "measured")
    o1 = par(0.162, "1/h", "BCMA dissociation rate constant", "measured")
    KD_CD3 = par(41_500.0, "pM", "CD3 dissociation constant (kon 0.00198 1/pM/h)", "measured")
    o2 = par(82.17, "1/h", "CD3 dissociation rate constant", "measured")
    kdegs = par(0.01925, "1/h", "turnover of soluble BCMA, central")
    ktrs = par(0.1, "1/h", "soluble BCMA from marrow to blood")
    kcb = par(0.1, "1/h", "drug from blood to marrow")
    kbc = par(0.3, "1/h", "drug from marrow to blood")
    ka = par(6.167e-3, "1/h", "absorption rate constant")
    F = par(0.511, "", "bioavailability", bounds=(0.0, 1.0), scale="logit")
    Vc = par(4.25, "L", "central volume")
    Vp = par(7.8, "L", "peripheral volume")
    Vb = par(1.75, "L", "marrow volume", "literature")
    Q = par(0.008416, "L/h", "distribution clearance")
    CL = par(0.0139583, "L/h", "clearance")
    tcb = par(0.2, "1/h", "T cells from blood to marrow")
    tbc = par(0.3893, "1/h", "T cells from marrow to blood")
    kelT = par(0.1046, "1/h", "turnover of T cells in blood")
    T0 = par(203.0, "cell/uL", "T cells in blood at the start", "assumed", RANGE)
    MM0 = par(2.25e5, "cell/uL", "myeloma cells in marrow at the start", "assumed", RANGE)
    s0 = par(5_329.0, "pM", "soluble BCMA in blood at the start", "assumed", RANGE)
    BCMA_per_MM = par(12_590.0, "molecule/cell", "BCMA per myeloma cell", "literature")
    CD3_per_T = par(60_000.0, "molecule/cell", "CD3 per T cell", "literature")
    bprod = par(1.0, "pg/mL/h", "cytokine production at rest")
    kdeg = par(0.5, "1/h", "cytokine degradation")
    ktr = par(0.625, "1/h", "cytokine transit")
    Emax = par(80_590.0, "pg/mL/h", "largest cytokine release")
    EC50 = par(0.5, "pM", "trimer of half-maximal cytokine release")
    IC50 = par(10_000.0, "pg/mL*h", "memory of half-maximal inhibition of release")
    cyt0 = par(2.857, "pg/mL", "cytokine at the start", "assumed", RANGE)
    kg0 = par(3.32e-4, "1/h", "growth rate of myeloma cells, small tumour")
    kg1 = par(1500.0, "cell/uL/h", "growth of myeloma cells, large tumour")
    psi = par(20.0, "", "switch between the two", "constant")
    MMmax = par(3e6, "cell/uL", "largest number of myeloma cells")
    alpha = par(0.02, "1/h", "largest kill rate")
    km = par(4.25e-4, "pM/(cell/uL)", "trimer per cell of half-maximal kill")
    n = par(0.8, "", "Hill coefficient of kill")
    tau = par(24.0, "h", "time to die")
    ar = par(0.5, "", "resistance: relative rise of km")
    br = par(0.1, "1/h", "resistance: rate")
    tr = par(600.0, "h", "resistance: onset")
    K1 = par(150.0, "pg/mL", "cytokine that halves the exit of T cells from marrow")
    nc = par(2.0, "", "its Hill coefficient")
    K2 = par(0.02, "pM", "trimer that halves the exit of T cells from marrow")
    nt = par(1.5, "", "its Hill coefficient")
    hill_memory = par(2.5, "", "Hill coefficient of the inhibition by memory")
    half_dose = par(1.3, "", "constant of the dose factor m(N)")
    floor_dose = par(5.0, "", "constant of the dose factor m(N)")
    cv = par(1.66054e-6, "pM/(molecule/uL)", "conversion", "constant", "1e18 / Avogadro constant")
    eps = par(1e-6, "cell/uL", "keeps trimer per cell finite", "constant")
    hour = par(1.0, "h", "the listing subtracts a production rate from a concentration", "constant")
    nM_per_pM = par(1e-3, "nM/pM", "conversion", "constant", "definition")
    mass = par(1e-6, "(ng/mL)/(pM*g/mol)", "conversion", "constant", "definition")

    C_free = qspx.Observable("nM", "free drug, central")
    C_total = qspx.Observable("nM", "drug, central, free and bound")
    free_ng_mL = qspx.Observable("ng/mL", "free drug, central")
    total_ng_mL = qspx.Observable("ng/mL", "drug, central, free and bound")
    C_marrow = qspx.Observable("nM", "free drug, marrow")
    trimers = qspx.Observable("molecule/cell", "trimers per living myeloma cell, marrow")
    RO_BCMA = qspx.Observable("", "occupied share of membrane BCMA, marrow")
    RO_CD3 = qspx.Observable("", "occupied share of CD3, blood")

    published = published_numbers(peaks=1e-3, exposure=1e-3, half=5e-3)

    def initial(self, p):
        return {
            "s": p.s0,
            "sb": p.kdegs * p.Vc / (p.ktrs * p.Vb) * p.s0,
            "T_c": p.T0,
            "T_m": p.tcb * p.Vc / (p.tbc * p.Vb) * p.T0,
            "M1": p.MM0,
            "cyt": p.cyt0,
        }

    def elimination(self, t, p):
        return p.CL / p.Vc

    def receptors(self, y, p):
        """Free CD3 in blood, free CD3 and BCMA in marrow, pM; and myeloma cells, living and dying."""
        MM = y.M1 + y.M2 + y.M3 + y.M4
        return (
            y.T_c * p.CD3_per_T * p.cv - y.A3,
            y.T_m * p.CD3_per_T * p.cv - y.A3b - y.X,
            MM * p.BCMA_per_MM * p.cv - y.AB - y.X,
            MM,
        )

    def kill(self, t, y, p):
        """Death rate of myeloma cells, 1/h. Resistance starts at `tr`."""
        km = p.km * (1 + p.ar * (1 - jnp.exp(-p.br * jnp.maximum(t - p.tr, 0.0))))
        effect = power(y.X / (y.M1 + p.eps) / km, p.n)
        return p.alpha * effect / (1 + effect)

    def growth(self, MM, p):
        slowed = 1 + (p.kg0 * MM / p.kg1) ** p.psi
        return p.kg0 * (1 - MM / p.MMmax) / slowed ** (1 / p.psi)

    def kept(self, y, p):
        """Share of T cells that trimers and cytokine keep from leaving the marrow."""
        mean = (y.C0 + y.C1 + y.C2 + y.C3 + y.C4 + y.C5) / 6
        by_cytokine, by_trimer = power(mean / p.K1, p.nc), power(y.X / p.K2, p.nt)
        return by_cytokine / (1 + by_cytokine) * by_trimer / (1 + by_trimer)

    def dose_factor(self, y, p):
        """Product of m(1) to m(N) for the N doses given."""
        found = 1.0
        for k in range(1, LAST_COUNTED + 1):
            m = (p.half_dose**2 + (k + 1.0) ** 2) / (p.floor_dose * p.half_dose**2)
            found = found * jnp.where(y.doses > k - 0.5, m, 1.0)
        return found

    def rates(self, t, y, p):
        R, Rm, Bm, MM = self.receptors(y, p)
        k1, k2 = p.o1 / p.KD_BCMA, p.o2 / p.KD_CD3
        kel, bc = self.elimination(t, p), p.Vb / p.Vc
        to_s, to_R = k1 * y.A * y.s - p.o1 * y.As, k2 * y.A * R - p.o2 * y.A3
        to_sb, to_Rm, to_Bm = (
            k1 * y.Ab * y.sb - p.o1 * y.Asb,
            k2 * y.Ab * Rm - p.o2 * y.A3b,
            k1 * y.Ab * Bm - p.o1 * y.AB,
        )
        X_by_B, X_by_R = k1 * y.A3b * Bm - p.o1 * y.X, k2 * y.AB * Rm - p.o2 * y.X
        uptake = p.kcb * y.A - p.kbc * bc * y.Ab
        absorbed = p.ka * y.depot / p.Vc
        distributed = p.Q / p.Vc * y.A - p.Q / p.Vc * y.Ap
        left = p.ktrs * (1.0 if self.conserved else bc) * y.Asb
        leaving = p.tbc * y.T_m * (1 - self.kept(y, p))
        killed, dying = self.kill(t, y, p) * y.M1, 4 / p.tau
        factor = self.dose_factor(y, p)
        remembered = power(y.memory * factor / p.IC50, p.hill_memory)
        released = p.Emax * y.X / (p.EC50 + y.X) / (1 + remembered)
        gone = p.ktr + p.kdeg
        return {
            "depot": -p.ka * y.depot,
            "A": absorbed - distributed - to_s - to_R - uptake - kel * y.A,
            "Ap": distributed * p.Vc / p.Vp,
            "s": p.kdegs * (p.ktrs * p.Vb / (p.kdegs * p.Vc) * y.sb - y.s) - to_s,
            "As": to_s + p.ktrs * bc * y.Asb - kel * y.As,
            "A3": to_R,
            "T_c": p.kelT * p.T0 - (p.kelT + p.tcb) * y.T_c + bc * leaving,
            "Ab": uptake / bc - to_sb - to_Rm - to_Bm,
            "sb": p.kdegs / bc * p.s0 / p.MM0 * MM - p.ktrs * y.sb - to_sb,
            "Asb": to_sb - left,
            "AB": to_Bm - X_by_R,
            "A3b": to_Rm - X_by_B,
            "X": X_by_B + X_by_R,
            "M1": self.growth(MM, p) * y.M1 - killed,
            "M2": killed - dying * y.M2,
            "M3": dying * (y.M2 - y.M3),
            "M4": dying * (y.M3 - y.M4),
            "T_m": p.tcb * y.T_c / bc - leaving,
            "C0": released - gone * y.C0,
            "C1": p.ktr * y.C0 - gone * y.C1,
            "C2": p.ktr * y.C1 - gone * y.C2,
            "C3": p.ktr * y.C2 - gone * y.C3,
            "C4": p.ktr * y.C3 - gone * y.C4,
            "C5": p.ktr * y.C4 - gone * y.C5,
            "cyt": p.bprod + p.ktr * y.C5 * bc - p.kdeg * y.cyt,
            "memory": (y.C0 - p.bprod * p.hour) / factor,
        }

    def observables(self, t, y, p):
        R, _, Bm, _ = self.receptors(y, p)
        total = y.A + y.As + y.A3
        return {
            "C_free": y.A * p.nM_per_pM,
            "C_total": total * p.nM_per_pM,
            "free_ng_mL": y.A * p.MW * p.mass,
            "total_ng_mL": total * p.MW * p.mass,
            "C_marrow": y.Ab * p.nM_per_pM,
            "trimers": y.X / (y.M1 + p.eps) / p.cv,
            "RO_BCMA": 1 - Bm / (Bm + y.AB + y.X),
            "RO_CD3": y.A3 / (y.A3 + R),
        }


class Balanced(Poels2025):
    """The same with drug conserved."""

    conserved = True
    published = published_numbers(peaks=0.1, exposure=0.01, half=0.4)


class Teclistamab(Poels2025):
    """The system of Poels 2025 with the drug replaced. No number of it was published for this combination."""

    MW = par(146_000.0, "g/mol", "molar mass", "assumed", "an IgG4")
    WT = par(74.0, "kg", "body weight", "covariate", MIAO)
    KD_BCMA = par(500.0, "pM", "BCMA dissociation constant", "measured", MENON)
    o1 = par(7.66e-4 * 3600, "1/h", "BCMA dissociation rate constant", "measured", MENON)
    KD_CD3 = par(20_800.0, "pM", "CD3 dissociation constant", "measured", MENON)
    o2 = par(5.6e-3 * 3600, "1/h", "CD3 dissociation rate constant", "measured", MENON)
    CL = par(0.449 / 24, "L/h", "clearance that stays", "estimated", MIAO)
    CL2 = par(0.547 / 24, "L/h", "clearance that is lost during treatment", "estimated", MIAO, bounds=(0.0, 10.0))
    kdes = par(0.0292 / 24, "1/h", "rate of that loss", "estimated", MIAO)
    Vc = par(4.13, "L", "central volume", "estimated", MIAO)
    Vp = par(1.34, "L", "peripheral volume", "estimated", MIAO)
    Q = par(0.0390 / 24, "L/h", "distribution clearance", "estimated", MIAO)
    ka = par(0.133 / 24, "1/h", "absorption rate constant", "estimated", MIAO)
    F = par(0.718, "", "bioavailability", "estimated", MIAO, bounds=(0.0, 1.0), scale="logit")
    X_vitro = par(3.0, "molecule/cell", "trimers per cell of a reference effect in vitro", "assumed", IN_VITRO)

    signal = qspx.Observable("", "trimers per living myeloma cell over those of a reference effect in vitro")

    conserved = True
    published = ()

    def elimination(self, t, p):
        return (p.CL + p.CL2 * jnp.exp(-p.kdes * t)) / p.Vc

    def observables(self, t, y, p):
        found = super().observables(t, y, p)
        return {**found, "signal": found["trimers"] / p.X_vitro}


def teclistamab():
    """Teclistamab in the system of Poels 2025: an application, with no published number to check it against."""
    return Teclistamab()


def build(balanced: bool = True):
    """Elranatamab, as published."""
    return Balanced() if balanced else Poels2025()
