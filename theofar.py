import sys

import numpy as np
import pandas as pd

import qspx

qspx.enable_x64()
from qspx.calibrate.estimated import Estimated
from qspx.nlme.base import *
from qspx.nlme.data import *
from qspx.nlme.focei import FOCEI
from qspx.nlme.problem import *
from qspx.nlme.random_effects import *
from qspx.nlme.residual_errors import *


class Theo(qspx.AbstractModel):
    time_unit = "h"
    depot = qspx.Species("mg")
    central = qspx.Species("mg")
    CP = qspx.Observable("mg/L")
    ka = qspx.Parameter(1.5, "1/h")
    CL = qspx.Parameter(2.7, "L/h")
    V = qspx.Parameter(32.0, "L")

    def rates(self, t, y, p):
        return {"depot": -p.ka * y.depot, "central": p.ka * y.depot - p.CL / p.V * y.central}

    def observables(self, t, y, p):
        return {"CP": y.central / p.V}


d = pd.read_csv("/work/shared/reference/nlme/theo_sd.csv")
d["EVID"] = (d.EVID == 101).astype(int)
data = PopulationData.read(d, Theo(), Endpoint("CP"), unit="mg", time_unit="h")
print(data)
e = np.exp
pr = PopulationProblem(
    data,
    [Estimated("ka", (0.05, 50), e(0.45)), Estimated("CL", (0.05, 50), e(1.0)), Estimated("V", (1, 500), e(3.45))],
    [RandomEffect("ka", 0.6**0.5), RandomEffect("CL", 0.3**0.5), RandomEffect("V", 0.1**0.5)],
    {"CP": AdditiveError(Estimated("add", (0.01, 10), 0.7))},
    integrator=qspx.BatchIntegrator(rtol=float(sys.argv[1]) if len(sys.argv) > 1 else 1e-9),
)
import pandas as pd

from qspx.nlme.fit import fit_population

pd.set_option("display.width", 250)
pd.set_option("display.max_columns", 30)
x = pr.coordinates({"ka": 0.2, "CL": 20, "V": 5, "add": 5}, np.diag([2.0, 2.0, 2.0]))
f2 = fit_population(pr, FOCEI(), x=x, uncertainty=False)
print(f2)
print(f2.individuals.parameters())
r0 = f2.objective(f2.x)
print("from z=0:", r0.value, r0.each - f2.evaluated.each)
