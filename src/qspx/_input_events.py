"""Inputs of a regimen as events: what the states that stand for varying parameters receive.

A state starts at the parameter's value p, which differs between subjects. At the first time it gets -p, a bolus of
-1 with the parameter as its bioavailability, and then the first value; from there on differences, as boluses or as
infusions. The reset of a regimen puts the state back to p as well, so that it gets -p and the value of that time again.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qspx._dose_units import in_model_time
from qspx._errors import DoseError, UnitError, closest
from qspx.dosing import Regimen
from qspx.inputs import Input
from qspx.model import AbstractModel
from qspx.units import conversion, unit
from qspx.varying import TimeVarying


def inputs_in_model_units(regimen: Regimen, model: AbstractModel) -> dict[str, Input]:
    """The regimen's inputs with times and values in the units of the model. Raises `DoseError` or `UnitError`."""
    return {name: _in_model_units(name, given, regimen, model) for name, given in regimen.inputs.items()}


def _in_model_units(name: str, given: Input, regimen: Regimen, model: AbstractModel) -> Input:
    model.parameter_index(name)
    varying = model.varying if isinstance(model, TimeVarying) else ()
    if name not in varying:
        raise DoseError(
            f"an input is given for `{name}`, which is a constant of {model!r}. Let it vary: "
            f"time_varying(model, {name!r}).{closest(name, varying)}"
        )
    declared = unit(model.parameters[name].unit)
    if not unit(given.unit).same_dimension(declared):
        raise UnitError(f"the input for `{name}` is in `{given.unit}`, but the parameter is in `{declared}`.")
    for d in regimen.doses:
        if d.steady_state and d.at > given.times[0]:
            raise DoseError(
                f"the regimen has a steady state at {d.at:g}, after the input for `{name}` begins at "
                f"{given.times[0]:g} {regimen.time_unit}: its past would need one value. Begin the input at the steady "
                "state or later, and give the value before as the parameter; or write out the doses before it."
            )
    factor = conversion(given.unit, declared)
    times = [in_model_time(t, regimen.time_unit, model) for t in given.times]
    return Input(times, [factor * v for v in given.values], declared.text, given.interpolation)


def input_events(regimen: Regimen, model: AbstractModel) -> list[dict[str, Any]]:
    """Fields of the events of all inputs; those left out are as in padding."""
    resets = [in_model_time(t, regimen.time_unit, model) for t in regimen.resets]
    rows = []
    for name, given in inputs_in_model_units(regimen, model).items():
        assert isinstance(model, TimeVarying)  # or there would be no input
        into = {"species": model.species_index(model.states[name])}
        fields = [*_steps(given, resets, model.parameter_index(name)), *_lines(given)]
        rows += [into | field for field in fields]
    return rows


def _steps(given: Input, resets: list[float], index: int) -> list[dict[str, Any]]:
    """Boluses. A state that has been set to a value holds just that, so that later differences end at just zero where
    an input does."""
    begin = given.times[0]
    sets = {begin, *(t for t in resets if t > begin)}
    rows, state = [], 0.0
    for t in sorted({*sets, *(given.times if given.interpolation == "constant" else ())}):
        value = float(given.at(t))  # type: ignore[arg-type]  # not before the first time
        if t in sets:
            rows.append({"time": t, "amount": -1.0, "bioavailability_index": index})
            rows.append({"time": t, "amount": value})
            state = value
        else:
            rows.append({"time": t, "amount": value - state})
            state += value - state
    return rows


def _lines(given: Input) -> list[dict[str, Any]]:
    """Infusions, from each point to the next."""
    if given.interpolation != "linear":
        return []
    points = list(zip(given.times, given.values, strict=True))
    rows = []
    for (t, value), (end, later) in zip(points, points[1:], strict=False):
        duration = end - t
        while t + duration < end:  # so that it ends at `until`, not at the number before it
            duration = float(np.nextafter(duration, np.inf))
        rows.append({"time": t, "amount": later - value, "duration": duration, "until": end})
    return rows


def require_same_start(regimen: Regimen, model: AbstractModel, theta: np.ndarray, t0: float, fix: str) -> None:
    """Raise `DoseError` where a value that holds from the start of the run t0 is not that of the parameter, in one of
    the subjects theta (rows, parameters), although initial values depend on the parameter; likewise where a steady
    state ends as the input begins. `fix` says where to set the parameter."""
    steady = [in_model_time(d.at, regimen.time_unit, model) for d in regimen.doses if d.steady_state]
    for name, given in inputs_in_model_units(regimen, model).items():
        at_start = isinstance(model, TimeVarying) and name in model.read_at_start and given.times[0] <= t0
        what = "initial values" if at_start else "the past of a steady state" if given.times[0] in steady else ""
        column, value = theta[:, model.parameter_index(name)], given.values[0]
        differs = ~np.isclose(column, value, rtol=1e-9, atol=0.0)
        if what and differs.any():
            raise DoseError(
                f"the input for `{name}` begins with {value:g}, but {what} are those of the parameter, which is "
                f"{column[differs][0]:g}: it would be as if it had changed just then. Set the parameter to {value:g} "
                f"as well, in {fix}; or begin the input later, if the change is meant."
            )


def for_weight(event: Any, inputs: dict[str, Input], model: AbstractModel, where: str) -> Any:
    """A dose per kg, where the body weight is an input: for the weight at its time. A steady state, and what is given
    before the input begins, is for the parameter."""
    given = inputs.get(model.body_weight or "")
    if given is None or not event.weight_power:
        return event
    if event.weight_power < 0:
        raise DoseError(
            f"{where}: the species counts amounts per kg of `{model.body_weight}`, which varies in time here; declare "
            "it as an amount."
        )
    weight = given.at(event.time)
    if weight is None or event.kind or event.back:
        return event
    rate = event.rate if event.rate_index >= 0 else event.rate * weight
    return event._replace(amount=event.amount * weight, rate=rate, weight_power=0.0)
