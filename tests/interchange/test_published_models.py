"""QSP models from BioModels and the anti-PCSK9 model of Gadkar 2014, against libRoadRunner.

The reference values were confirmed with COPASI to better than 3e-6; the tolerance asked for is 1e-4 relative. Values
under 1e-9 of the largest of their column count with that as their size (they are differences that cancel).
"""

import csv

import numpy as np
import pytest

import qspx

pytest.importorskip("libsbml", reason="needs the extra sbml")


def table(path):
    rows = list(csv.reader(path.read_text().splitlines()))
    return rows[0], np.array([[float(x) for x in row] for row in rows[1:]])


def relative_error(found, wanted):
    return np.abs(found - wanted) / np.maximum(np.abs(wanted), 1e-9 * np.abs(wanted).max() + 1e-300)


@pytest.mark.parametrize(
    "number",
    ["379", "788", *(pytest.param(n, marks=pytest.mark.slow) for n in ("490", "613", "620"))],
)
def test_biomodels(reference_dir, number):
    head, wanted = table(reference_dir / "qsp" / f"BIOMD0000000{number}_reference.csv")
    names = [name.strip("[]") for name in head[1:]]
    found = qspx.simulate_sbml(
        reference_dir / "qsp" / f"BIOMD0000000{number}.xml",
        wanted[:, 0],
        variables=names,
        concentrations=[name.strip("[]") for name in head[1:] if name.startswith("[")],
        rtol=1e-9,
        ordinary_fast=number == "490",  # the reference takes its 66 fast reactions as ordinary ones
    )
    worst = {name: relative_error(found[name], wanted[:, 1 + i]).max() for i, name in enumerate(names)}
    assert max(worst.values()) < 1e-4, max(worst, key=lambda name: worst[name])


def test_fast_reactions_are_refused_unless_asked_for(reference_dir):
    with pytest.raises(qspx.interchange.NotSupported, match=r"490.xml, line \d+, reaction `\w+`: fast reactions"):
        qspx.load_sbml(reference_dir / "qsp" / "BIOMD0000000490.xml")


def test_gadkar_2014(reference_dir):
    """A loaded model takes doses and the native engine: 1000 days to the steady state, then one dose in ug."""
    model = qspx.load_sbml(reference_dir / "qsp" / "gadkar_apcsk9.xml")
    rows = csv.DictReader((reference_dir / "vpop_pcsk9" / "optimised_reference_subject.csv").read_text().splitlines())
    renamed = {"pcsk9_synthesis.Vm_up": "pcsk9_Vm_up", "LDLr_expression.Vm_up": "LDLr_Vm_up"}
    subject = {renamed.get(r["parameter"], r["parameter"].rpartition(".")[2]): float(r["value"]) for r in rows}
    head, wanted = table(reference_dir / "qsp" / "gadkar_apcsk9_single_dose_reference.csv")
    doses = np.unique(wanted[:, 0])
    assert len(doses) == 6
    for dose in doses:
        values = wanted[wanted[:, 0] == dose]
        regimen = qspx.Regimen((qspx.Dose(dose * 1000, "", "antipcsk9_dose", 1000.0),), time_unit="1")
        found = qspx.simulate(
            model,
            regimen,
            1000 + values[:, 1],
            parameters=subject,
            observables=head[2:],
            integrator=qspx.BatchIntegrator(rtol=1e-9),
        )
        for i, name in enumerate(head[2:]):
            assert relative_error(found[name], values[:, 2 + i]).max() < 1e-4, (dose, name)
