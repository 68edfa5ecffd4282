"""Teclistamab, population pharmacokinetics: two compartments, clearance that falls during treatment, covariates.

Miao et al., Target Oncol 2023;18:667 (338 patients, 4,840 samples; Table 2, as transcribed). Time is counted from the
first dose: CL(t) = CL1 + CL2 exp(-kdes t). The reference patient has IgG myeloma of ISS stage I and weighs 74 kg.

The residual error of the paper (41.7 %) belongs to measurements and is not part of the model.
"""

import jax.numpy as jnp

import qspx

SOURCE = "Miao 2023, Table 2 (Target Oncol 18:667)"
RESIDUAL_CV = 0.417


def par(value, unit, meaning, tag="estimated", source=SOURCE, **more):
    return qspx.Parameter(value, unit, meaning, source=source, tag=tag, **more)


def population():
    """Spread between patients of the same covariates: log-normal, with the published CV read as the coefficient of
    variation of the parameter itself. No correlations are published."""
    return qspx.Joint(
        {
            "CL1": qspx.LogNormal(0.449, cv=0.536),
            "CL2": qspx.LogNormal(0.547, cv=1.07),
            "V1": qspx.LogNormal(4.13, cv=0.488),
            "ka": qspx.LogNormal(0.133, cv=0.452),
        }
    )


def initial_concentration(model):
    """Concentration [ng/mL] at the end of an intravenous bolus of 0.3 µg/kg in a patient of 74 kg."""
    solution = qspx.simulate(
        model,
        qspx.Regimen.single(0.3, "ug/kg", "central"),
        [0.0, 1.0],
        observables=["C"],
        integrator=qspx.DiffraxIntegrator(rtol=1e-9, atol=1e-15),
    )
    return float(solution["C"][0])


class Miao2023(qspx.AbstractModel):
    citation = "Miao et al., Target Oncol 2023;18:667"
    body_weight = "WT"
    molar_mass = "MW"

    depot = qspx.Species("mg", "drug at the subcutaneous site", bioavailability="F", route="SC")
    central = qspx.Species("mg", "drug, central")
    peripheral = qspx.Species("mg", "drug, peripheral")

    WT = par(74.0, "kg", "body weight", "covariate")
    ISS2 = par(0.0, "", "1 for ISS stage II", "covariate", scale="lin")
    ISS3 = par(0.0, "", "1 for ISS stage III", "covariate", scale="lin")
    nonIgG = par(0.0, "", "1 for myeloma other than IgG", "covariate", scale="lin")
    MW = par(146_000.0, "g/mol", "molar mass", "assumed", "an IgG4")
    CL1 = par(0.449, "L/day", "clearance that stays")
    CL2 = par(0.547, "L/day", "clearance that is lost during treatment")
    kdes = par(0.0292, "1/day", "rate of that loss")
    V1 = par(4.13, "L", "central volume")
    V2 = par(1.34, "L", "peripheral volume")
    Q = par(0.0390, "L/day", "distribution clearance")
    ka = par(0.133, "1/day", "absorption rate constant")
    F = par(0.718, "", "bioavailability", bounds=(0.0, 1.0), scale="logit")
    CL1_WT = par(0.704, "", "exponent of weight on CL1")
    V1_WT = par(0.358, "", "exponent of weight on V1")
    V2_WT = par(1.40, "", "exponent of weight on V2")
    CL1_ISS2 = par(1.31, "", "factor of ISS stage II on CL1")
    CL1_ISS3 = par(1.67, "", "factor of ISS stage III on CL1")
    CL1_nonIgG = par(0.689, "", "factor of non-IgG myeloma on CL1")
    CL2_nonIgG = par(0.295, "", "factor of non-IgG myeloma on CL2")
    WT_ref = par(74.0, "kg", "reference weight", "constant")
    ng_mL = par(1000.0, "ng/mL/(mg/L)", "conversion", "constant", "definition")

    C = qspx.Observable("ng/mL", "serum concentration")
    CL = qspx.Observable("L/day", "clearance")

    published = (
        qspx.Published(
            "C at the start, 0.3 µg/kg IV, 74 kg",
            5.38,
            "ng/mL",
            initial_concentration,
            1e-3,
            "independent calculation from Table 2",
        ),
        qspx.Published(
            "first sample of the 0.3 µg/kg IV cohort",
            4.4,
            "ng/mL",
            initial_concentration,
            0.25,
            "digitised from the FDA review of BLA 761291; taken some time after the dose",
        ),
    )

    def volumes(self, p):
        weight = p.WT / p.WT_ref
        return p.V1 * weight**p.V1_WT, p.V2 * weight**p.V2_WT

    def clearance(self, t, p):
        stage = p.CL1_ISS2**p.ISS2 * p.CL1_ISS3**p.ISS3
        lasting = p.CL1 * (p.WT / p.WT_ref) ** p.CL1_WT * stage * p.CL1_nonIgG**p.nonIgG
        return lasting + p.CL2 * p.CL2_nonIgG**p.nonIgG * jnp.exp(-p.kdes * t)

    def rates(self, t, y, p):
        V1, V2 = self.volumes(p)
        distributed = p.Q * (y.central / V1 - y.peripheral / V2)
        return {
            "depot": -p.ka * y.depot,
            "central": p.ka * y.depot - self.clearance(t, p) * y.central / V1 - distributed,
            "peripheral": distributed,
        }

    def observables(self, t, y, p):
        return {"C": y.central / self.volumes(p)[0] * p.ng_mL, "CL": self.clearance(t, p)}
