"""PEtab problems written for a test: A turns into B and back, whose solution is known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import libsbml
import numpy as np

Table = Sequence[Sequence[object]]  # the first row is the head

# A <-> B with mass action, as concentrations; a0, b0, k1, k2, and the size of the compartment are constants
CONVERSION = {"rates": {"A": "k2 * B - k1 * A", "B": "k1 * A - k2 * B"}, "initial": {"A": "a0", "B": "b0"}}
CONSTANTS = {"a0": 1.0, "b0": 0.0, "k1": 0.8, "k2": 0.6}
OBSERVABLES = [("observableId", "observableFormula", "noiseFormula"), ("obs_a", "A", "0.5")]


def converted(t: np.ndarray | float, a0: float, b0: float, k1: float, k2: float) -> np.ndarray:
    """A at times t."""
    total, k = a0 + b0, k1 + k2
    return k2 / k * total + (a0 - k2 / k * total) * np.exp(-k * np.asarray(t))


def sbml(
    rates: dict[str, str],
    initial: dict[str, str],
    constants: dict[str, float],
    rules: dict[str, str] | None = None,
    event: bool = False,
) -> str:
    """An SBML file of rate rules for parameters, with initial assignments and assignment rules."""
    document = libsbml.SBMLDocument(3, 2)
    model = document.createModel()
    model.setId("made")
    for key in (*rates, *(rules or {})):
        p = model.createParameter()
        p.setId(key), p.setConstant(False), p.setValue(2.0)
    for key, value in constants.items():
        p = model.createParameter()
        p.setId(key), p.setConstant(True), p.setValue(value)
    for key, formula in rates.items():
        r = model.createRateRule()
        r.setVariable(key), r.setMath(libsbml.parseL3Formula(formula))
    for key, formula in (rules or {}).items():
        r = model.createAssignmentRule()
        r.setVariable(key), r.setMath(libsbml.parseL3Formula(formula))
    for key, formula in initial.items():
        i = model.createInitialAssignment()
        i.setSymbol(key), i.setMath(libsbml.parseL3Formula(formula))
    if event:
        e = model.createEvent()
        e.setId("refill"), e.setUseValuesFromTriggerTime(True)
        t = e.createTrigger()
        t.setInitialValue(True), t.setPersistent(True), t.setMath(libsbml.parseL3Formula("time > 1"))
    return libsbml.writeSBMLToString(document)


def problem(
    folder: Path,
    *,
    parameters: Table,
    measurements: Table,
    conditions: Table = (("conditionId",), ("c0",)),
    observables: Table = OBSERVABLES,
    model: str | None = None,
) -> Path:
    """Writes the files, and gives the YAML file."""
    tables = {
        "parameters": parameters,
        "measurements": measurements,
        "conditions": conditions,
        "observables": observables,
    }
    for name, table in tables.items():
        (folder / f"{name}.tsv").write_text("\n".join("\t".join(map(str, row)) for row in table) + "\n")
    (folder / "model.xml").write_text(model or sbml(**CONVERSION, constants=CONSTANTS))
    kinds = ("condition", "measurement", "observable")
    files = "".join(f"    {kind}_files: [{kind}s.tsv]\n" for kind in kinds)
    text = f"format_version: 1\nparameter_file: parameters.tsv\nproblems:\n  - sbml_files: [model.xml]\n{files}"
    (folder / "problem.yaml").write_text(text)
    return folder / "problem.yaml"


HEAD = ("parameterId", "parameterScale", "lowerBound", "upperBound", "nominalValue", "estimate")


def parameter_table(**nominal: float) -> Table:
    """Estimated parameters on the log10 scale."""
    return [HEAD, *((key, "log10", value / 100, value * 100, value, 1) for key, value in nominal.items())]
