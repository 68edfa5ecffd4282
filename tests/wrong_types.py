"""Calls with arguments of the wrong type, for `test_wrong_types`."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

import qspx
from qspx import (
    AbstractModel,
    Additive,
    Arm,
    BatchIntegrator,
    CalibrationProblem,
    Cohort,
    DiffraxIntegrator,
    Dose,
    Estimated,
    EventTable,
    GivenStarts,
    Input,
    Measurements,
    Parameter,
    PreEquilibration,
    Proportional,
    Protocol,
    Regimen,
    Species,
    fit,
    load_fit,
    load_petab,
    simulate,
    simulate_cohort,
)
from qspx.table_run import simulate_table

qspx.enable_x64()


class Decay(AbstractModel):
    C = Species("nM")
    k = Parameter(1.0, "1/day")

    def rates(self, t, y, p):
        return {"C": -p.k * y.C}


M = Decay()
G = Regimen((Dose(1.0, "nM", "C"),))
P = Protocol((Arm("one", G, (1.0,), ("C",)),))
W = Cohort(M, np.ones((2, 1)), np.zeros(2))
TABLE = EventTable.read(
    pd.DataFrame({"ID": [1, 1], "TIME": [0.0, 1.0], "AMT": [1.0, 0.0], "EVID": [1, 0], "CMT": ["C", "C"]}),
    M,
    unit="nM",
    time_unit="day",
)

SEEN = Measurements.from_dataframe(
    pd.DataFrame({"time": [1.0, 2.0], "value": [0.4, 0.1]}), M, time_unit="day", units="nM", observables="C"
)


ESTIMATED, NOISE = (Estimated("k", (0.1, 10.0)),), Additive(0.1)


def problem(model=M, measurements=SEEN, estimated=ESTIMATED, noise=NOISE, **how):
    return CalibrationProblem(model, measurements, estimated, noise, **{"arms": G} | how)


def traced(make):
    return lambda: jax.grad(lambda x: make(x) and x)(1.0)


CALLS = {
    "simulate integrator": lambda: simulate(M, G, [1.0], integrator="batch"),
    "simulate integrator class": lambda: simulate(M, G, [1.0], integrator=BatchIntegrator),
    "cohort integrator": lambda: simulate_cohort(M, W, P, integrator="batch"),
    "table integrator": lambda: simulate_table(M, TABLE, integrator="batch"),
    "table": lambda: simulate_table(M, "data.csv"),
    "simulate model": lambda: simulate("model.py", G, [1.0]),
    "simulate model class": lambda: simulate(Decay, G, [1.0]),
    "simulate regimen": lambda: simulate(M, Dose(1.0, "nM", "C"), [1.0]),
    "simulate times": lambda: simulate(M, G, "daily"),
    "simulate times of text": lambda: simulate(M, G, [1.0, "2"]),
    "simulate times number": lambda: simulate(M, G, 3.0),
    "simulate observables": lambda: simulate(M, G, [1.0], observables="C"),
    "simulate summaries": lambda: simulate(M, G, [1.0], summaries=["max(C)"]),
    "simulate summaries name": lambda: simulate(M, G, [1.0], summaries="max(C)"),
    "simulate summaries none": lambda: simulate(M, G, [1.0], summaries=None),
    "simulate parameters": lambda: simulate(M, G, [1.0], parameters=[("k", 1.0)]),
    "simulate parameters text": lambda: simulate(M, G, [1.0], parameters={"k": "fast"}),
    "simulate parameters traced": traced(lambda x: simulate(M, G, [1.0], parameters={"k": x})),
    "cohort": lambda: simulate_cohort(M, np.ones((2, 1)), P),
    "cohort protocol": lambda: simulate_cohort(M, W, G),
    "cohort model": lambda: simulate_cohort("m", W, P),
    "cohort shard": lambda: simulate_cohort(M, W, P, shard="many"),
    "cohort theta": lambda: Cohort(M, [["fast"]]),
    "cohort theta flat": lambda: Cohort(M, 1.0),
    "cohort status": lambda: Cohort(M, np.ones((2, 1)), ["ok", "ok"]),
    "dose amount": lambda: Dose("100 mg", "mg", "C"),
    "dose amount none": lambda: Dose(None, "mg", "C"),
    "dose amount traced": traced(lambda x: Dose(x, "nM", "C")),
    "dose time traced": traced(lambda x: Dose(1.0, "nM", "C", at=x)),
    "dose lag traced": traced(lambda x: Dose(1.0, "nM", "C", lag=x)),
    "dose every": lambda: Dose(1.0, "nM", "C", every="weekly"),
    "dose unit": lambda: Dose(1.0, 5, "C"),
    "dose into": lambda: Dose(1.0, "nM", M.species["C"]),
    "dose additional": lambda: Dose(1.0, "nM", "C", additional=None),
    "regimen doses": lambda: Regimen((1.0, 2.0)),
    "regimen number": lambda: Regimen(1.0),
    "regimen resets": lambda: Regimen(G.doses, resets="never"),
    "regimen resets traced": traced(lambda x: Regimen(G.doses, resets=(x,))),
    "regimen inputs": lambda: Regimen(G.doses, inputs=[1.0]),
    "regimen time unit": lambda: Regimen(G.doses, 7),
    "input times": lambda: Input("daily", [1.0], "kg"),
    "input values": lambda: Input([0.0], ["high"], "kg"),
    "input traced": traced(lambda x: Input([0.0], [x], "kg")),
    "input array traced": traced(lambda x: Input([0.0, 1.0], x * jnp.ones(2), "kg")),
    "arm regimen": lambda: Arm("one", Dose(1.0, "nM", "C")),
    "arm times": lambda: Arm("one", G, "daily"),
    "arm covariates": lambda: Arm("one", G, covariates=[1.0]),
    "arm covariates traced": traced(lambda x: Arm("one", G, covariates={"k": x})),
    "protocol arms": lambda: Protocol((G,)),
    "protocol number": lambda: Protocol(3),
    "atol mapping": lambda: BatchIntegrator(atol={"C": 1.0}),
    "atol_of number": lambda: BatchIntegrator(atol_of=1e-9),
    "method text": lambda: BatchIntegrator(method="Rodas4P"),
    "rtol text": lambda: DiffraxIntegrator(rtol="1e-6"),
    "problem model class": lambda: problem(Decay),
    "problem measurements": lambda: problem(measurements=pd.DataFrame({"time": [1.0]})),
    "problem estimated": lambda: problem(estimated=3),
    "problem estimated one": lambda: problem(estimated=Estimated("k", (0.1, 10.0))),
    "problem estimated names": lambda: problem(estimated=["k"]),
    "problem noise": lambda: problem(noise=0.1),
    "problem prior": lambda: problem(prior="x"),
    "problem fixed": lambda: problem(fixed={"k": "a"}),
    "problem fixed nan": lambda: problem(fixed={"k": float("nan")}),
    "problem fixed pairs": lambda: problem(fixed=[("k", 1.0)]),
    "problem per arm": lambda: problem(per_arm=["k"]),
    "problem per arm number": lambda: problem(per_arm={"k": 3}),
    "problem per arm list": lambda: problem(per_arm={"k": {"all": [3]}}),
    "problem per study": lambda: problem(per_study={"k": 3}),
    "problem arms": lambda: problem(arms="iv"),
    "problem arms number": lambda: problem(arms=3),
    "problem integrator": lambda: problem(integrator="x"),
    "problem preequilibration": lambda: problem(preequilibration=10.0),
    "problem values": lambda: problem().log_likelihood({"k": "a"}),
    "estimated name": lambda: Estimated(3, (1, 2)),
    "estimated value": lambda: Estimated("k", (1, 2), value="5"),
    "estimated bounds": lambda: Estimated("k", ("1", 2)),
    "estimated prior": lambda: Estimated("k", (1, 2), prior="x"),
    "preequilibration within": lambda: PreEquilibration(within="a"),
    "additive": lambda: Additive(True),
    "proportional floor": lambda: Proportional(0.1, floor="a"),
    "fit method": lambda: fit(problem(), key=1, method="lm"),
    "fit out": lambda: fit(problem(), key=1, out=3),
    "fit starts": lambda: fit(problem(), key=1, starts="many"),
    "fit problem": lambda: fit(SEEN, key=1),
    "fit save every": lambda: fit(problem(), key=1, save_every="often"),
    "load_fit path": lambda: load_fit(3, problem()),
    "given starts": lambda: GivenStarts("k"),
    "given starts text": lambda: GivenStarts([{"k": "a"}]),
    "load_petab path": lambda: load_petab(3),
    "load_petab folder": lambda: load_petab("."),
    "load_petab integrator": lambda: load_petab("p.yaml", integrator="x"),
}
