"""A one-compartment model with absorption, and an experiment on it, both as files."""

from collections.abc import Callable
from pathlib import Path

import pytest

MODEL = '''"""One compartment with first-order absorption; made for tests."""

import math

import qspx


def half_life(model):
    p = model.parameters
    return math.log(2) * p["V"].value / p["CL"].value


class Tiny(qspx.AbstractModel):
    molar_mass = "MW"
    body_weight = "WT"
    citation = "made for tests"
    published = (qspx.Published("half-life", 6.931, "day", half_life, 1e-3, "ln 2 V / CL"),)
    slow: bool = False

    depot = qspx.Species("nmol", "drug at the site", bioavailability="F")
    C = qspx.Species("nM", "free drug", volume="V")
    WT = qspx.Parameter(70.0, "kg", "body weight", source="typical", tag="covariate")
    MW = qspx.Parameter(150_000.0, "g/mol", "molar mass", source="made up", tag="assumed")
    V = qspx.Parameter(3.0, "L", "volume", source="made up")
    CL = qspx.Parameter(0.3, "L/day", "clearance", source="made up")
    ka = qspx.Parameter(0.5, "1/day", "absorption", source="made up")
    F = qspx.Parameter(0.7, "", "bioavailability", source="made up", bounds=(0.0, 1.0), scale="logit")
    EC50 = qspx.Parameter(2.0, "nM", "potency", source="made up")
    activity = qspx.Observable("", "share of the maximal effect")
    mass_ng_mL = qspx.Observable("nM", "free drug again")

    def rates(self, t, y, p):
        absorbed = (0.5 if self.slow else 1.0) * p.ka * y.depot
        return {"depot": -absorbed, "C": absorbed / p.V - p.CL / p.V * y.C}

    def observables(self, t, y, p):
        return {"activity": y.C / (p.EC50 + y.C), "mass_ng_mL": y.C}
'''

EXPERIMENT = """title = "Tiny"
seed = 1
model = "tiny.py"

[context]
product = "test antibody"

[population]
size = 12

[population.distributions]
CL = { kind = "lognormal", cv = 0.4, source = "made up" }
F = { kind = "uniform", low = 0.5, high = 0.9, source = "made up" }

[escalation]
into = "depot"
unit = "ug/kg"
levels = [1, 10, 100, 1000]
fractions = [0.1, 1.0]
at = [0, 7]
every = 7
n = 2

[proposal]
target = "20 ug/kg"
reason = "a test"

[potencies.ec20]
assay = "killing"
values = 0.1
unit = "nM"
level = 0.2
source = "made up"

[matches.cmax]
kind = "simulated"
metric = { kind = "max", observable = "C", end = 28 }
analyte = "free"
source = "this model"

[[methods]]
kind = "mabel"
label = "MABEL"
potency = "ec20"
level = 0.2
match = "cmax"

[[methods]]
kind = "receptor_occupancy"
label = "RO"
target = "T"
kd = "1.9 nM"
match = { kind = "bolus", volume = "3 L", source = "made up" }
analyte = "free"
source = "made up"

[[methods]]
kind = "qsp"
label = "QSP"
metric = { kind = "max", observable = "C", end = 28 }
threshold = "3 nM"
schedule = "single"
quantile = 0.9
source = "made up"

[[alternatives]]
name = "slow absorption"
switches = { slow = true }

[[alternatives]]
name = "heavier"
parameters = { MW = "300 kDa" }

[profiles]
times = { from = 0, to = 28, step = 7 }
panels = [{ observable = "C", title = "free drug" }]

[integrator]
lanes = 4
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes model and experiment, with pieces of the experiment replaced; returns the path of the experiment."""

    def written(*changes: tuple[str, str], model: str = MODEL) -> Path:
        text = EXPERIMENT
        for old, new in changes:
            assert text.count(old) == 1, f"{old!r} is in the experiment {text.count(old)} times"
            text = text.replace(old, new)
        (tmp_path / "tiny.py").write_text(model)
        path = tmp_path / "tiny.toml"
        path.write_text(text)
        return path

    return written
