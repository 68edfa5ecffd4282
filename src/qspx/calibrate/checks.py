"""What must hold between the parts of a calibration problem. Every complaint says what to do."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from qspx._checks import mapping, number, require_kind, shown
from qspx._errors import CalibrationError, closest
from qspx.calibrate.building import Builder
from qspx.calibrate.error_models import AbstractErrorModel
from qspx.calibrate.estimated import Estimated, check_support
from qspx.calibrate.names import Number
from qspx.calibrate.noise import NormalNoise
from qspx.calibrate.preequilibration import PreEquilibration
from qspx.calibrate.scales import SCALES, to_natural
from qspx.distributions import Joint
from qspx.integrate import AbstractIntegrator
from qspx.measurements import Measurements
from qspx.model import AbstractModel
from qspx.units import unit


def checked_estimated(estimated: Any, model: AbstractModel) -> tuple[Estimated, ...]:
    """With the value where a search starts: the model's where none is given, else the middle of the bounds."""
    several = tuple(estimated) if isinstance(estimated, Iterable) else None
    if several is None or not all(isinstance(e, Estimated) for e in several):
        raise CalibrationError(
            f"Argument `estimated` must be a sequence of Estimated(name, bounds), but {shown(estimated)} was given."
        )
    names = [e.name for e in several]
    if twice := [n for n in names if names.count(n) > 1]:
        raise CalibrationError(f"`{twice[0]}` is estimated twice; leave one out.")
    if not names:
        raise CalibrationError("Argument `estimated` must hold at least one Estimated, but it is empty.")
    return tuple(with_value(e, model) for e in several)


def with_value(e: Estimated, model: AbstractModel) -> Estimated:
    """With the value where a search starts: its own, else the model's, else the middle of its bounds."""
    if e.value is not None:
        return e
    low, high = e.bounds
    if e.name in model.parameters:
        value = model.parameters[e.name].value
        if not low <= value <= high:
            raise CalibrationError(
                f"the model's value of `{e.name}`, {value:g}, lies outside the bounds {low:g} to {high:g} of its "
                "Estimated. Say where the search starts with `value`, or widen the bounds."
            )
        return dataclasses.replace(e, value=float(value))
    code = np.array(SCALES.index(e.scale))
    middle = to_natural(np.array(np.mean(e.box)), code, np.array(low), np.array(high))
    return dataclasses.replace(e, value=float(np.clip(middle, low, high)))


def check_kinds(
    model: Any, measurements: Any, fixed: Any, per_arm: Any, per_study: Any, prior: Any, integrator: Any
) -> None:
    """Raise `CalibrationError` for the first part of a problem that is something else than it should be."""
    require_kind(model, AbstractModel, "model", error=CalibrationError)
    fix = "Read a table with Measurements.from_dataframe(df, model, ...), or Measurements.read_csv."
    require_kind(measurements, Measurements, "measurements", fix, CalibrationError)
    for name, value in mapping(fixed, "fixed", CalibrationError).items():
        _check_finite(value, f"fixed` for `{name}")
    for role, said in (("per_arm", per_arm), ("per_study", per_study)):
        example = f'{{"KA": {{"{role[4:]} A": 0.5}}}}'
        for name, groups in mapping(said, role, CalibrationError, example).items():
            for group, value in mapping(groups, f"{role}` for `{name}", CalibrationError, example[7:-1]).items():
                if not isinstance(value, str):
                    _check_finite(value, f"{role}` for `{name}` in `{group}")
    if prior is not None:
        fix = "Of one parameter alone? Give it to Estimated(..., prior=)."
        require_kind(prior, Joint, "prior", fix, CalibrationError)
    fix = "For example AutomaticIntegrator(rtol=1e-8, atol=1e-12)."
    require_kind(integrator, AbstractIntegrator, "integrator", fix, CalibrationError)


def _check_finite(value: Any, argument: str) -> None:
    if not math.isfinite(number(value, argument, CalibrationError)):
        raise CalibrationError(f"Argument `{argument}` must be finite, but is {value!r}.")


def check_problem(builder: Builder, m: Measurements) -> None:
    """Raise `CalibrationError` for the first thing that does not fit."""
    if not len(m):
        raise CalibrationError("there are no measurements left; every row was dropped, or censored ones left out.")
    _check_outputs(builder.model, m)
    _check_arms(builder, m)
    _check_noise(builder, m)
    _check_values(builder, m)
    _check_names(builder, m)
    _check_prior(builder)


def _check_outputs(model: AbstractModel, m: Measurements) -> None:
    for name, observed in m.observed.items():
        if observed.output not in model.outputs:
            raise CalibrationError(
                f"`{name}` is measured as `{observed.output}`, which is no observable or species of {model.name}."
                f"{closest(observed.output, model.outputs)} Read the measurements for this model."
            )
        same = unit(m.units[name]) == unit(model.outputs[observed.output].unit)
        if not (same or isinstance(observed.scaling, str)):
            raise CalibrationError(
                f"`{name}` is in {m.units[name]}, but {model.name} gives it in {model.outputs[observed.output].unit}; "
                "read the measurements for this model."
            )
    if unit(m.time_unit) != unit(model.time_unit):
        raise CalibrationError(
            f"times are in {m.time_unit}, but those of {model.name} in {model.time_unit}; read the measurements for "
            "this model."
        )


def _check_arms(builder: Builder, m: Measurements) -> None:
    for name in m.arms:
        if name not in builder.arms:
            row = int(m.row[m.arm == name][0])
            raise CalibrationError(
                f"measurements, row {row}: arm `{name}` is not among `arms` ({', '.join(builder.arms)})."
                f"{closest(name, builder.arms)} Say what is given there; None if nothing is."
            )
    for role, said, known in (
        ("preequilibration", list(builder.before), builder.arms),
        *(("per_arm", list(groups), builder.arms) for groups in builder.names.per_arm.values()),
        *(("per_study", list(groups), set(m.study)) for groups in builder.names.per_study.values()),
    ):
        if unknown := [name for name in said if name not in known]:
            kind = "study" if role == "per_study" else "arm"
            raise CalibrationError(
                f"Argument `{role}` names `{unknown[0]}`, which is no {kind}.{closest(unknown[0], known)}"
            )


def check_every_arm_is_measured(arms: Sequence[str], m: Measurements) -> None:
    """Raise `CalibrationError` for an arm without measurements."""
    measured = set(m.arms)
    if empty := [name for name in arms if name not in measured]:
        raise CalibrationError(
            f"arm `{empty[0]}` has no measurement, so it says nothing about the parameters."
            f"{closest(empty[0], m.arms)} Leave it out of `arms`, or look for its name in the table "
            f"({', '.join(m.arms)})."
        )


def noise_by_observable(noise: Any, m: Measurements) -> dict[str, AbstractErrorModel]:
    """Raise `CalibrationError` unless it is error models by name, or one for all."""
    if isinstance(noise, AbstractErrorModel):
        return dict.fromkeys(m.observables, noise)
    if not isinstance(noise, Mapping):
        raise CalibrationError(
            f'Argument `noise` must map observables to error models such as Proportional("cv"), but {noise!r} was '
            "given."
        )
    for name, error in noise.items():
        if not isinstance(error, AbstractErrorModel):
            raise CalibrationError(
                f'Argument `noise` must give an error model such as Proportional("cv") for `{name}`, but {error!r} '
                "was given."
            )
    return dict(noise)


def runs_in(before: Any, arms: Iterable[str]) -> dict[str, PreEquilibration]:
    """What happens before each arm. Raises `CalibrationError` for anything but a PreEquilibration."""
    if before is None:
        return {}
    found: dict[str, Any] = dict(before) if isinstance(before, Mapping) else dict.fromkeys(arms, before)
    for each in found.values():
        if not isinstance(each, PreEquilibration):
            raise CalibrationError(
                f"Argument `preequilibration` must hold PreEquilibration(within), but {shown(each)} was given."
            )
    return found


def _check_noise(builder: Builder, m: Measurements) -> None:
    for name in builder.noise:
        if name not in m.observed:
            raise CalibrationError(
                f"Argument `noise` names `{name}`, which is not in the measurements.{closest(name, m.observed)}"
            )
    if missing := [name for name in m.observables if name not in builder.noise]:
        raise CalibrationError(
            f'Argument `noise` says nothing about `{missing[0]}`; add {{"{missing[0]}": Proportional("cv")}}, or '
            "another error model."
        )


def _check_values(builder: Builder, m: Measurements) -> None:
    for name in m.observables:
        error, rows = builder.noise[name], np.flatnonzero(m.observable == name)
        seen = m.censored[rows] == 0
        kind = f"{type(error).__name__}(...) of `{name}`"
        _require(m, rows, (error.family.scale == "lin") | (m.value[rows] > 0), "value", "a value > 0 was expected, "
                 f"because {kind} is on a logarithm", "Use Combined, or mark it as below the limit.")  # fmt: skip
        _require(m, rows, ~(error.vanishes & seen & (m.value[rows] == 0)), "value", "a value other than 0 was "
                 f"expected, because {kind} would make the likelihood unbounded",
                 "Use Combined, mark it as below the limit, or leave it out.")  # fmt: skip
        _require(m, rows, np.isfinite(m.sd[rows]) | (not error.reads_table), "sd", "a standard deviation was expected, "
                 f"because of {kind}", "Fill it in, or estimate one with Additive.")  # fmt: skip
        normal = isinstance(error.family, NormalNoise)
        _require(m, rows, (m.n[rows] == 1) | normal, "n", "1 was expected, because the mean of several values with "
                 f"{error.family} has no closed likelihood", "Use a normal family.")  # fmt: skip


def _require(m: Measurements, rows: np.ndarray, fine: np.ndarray, column: str, expected: str, fix: str) -> None:
    if not np.all(fine):
        i = int(rows[int(np.argmin(fine))])
        given = getattr(m, column)[i]
        raise CalibrationError(
            f"measurements, row {m.row[i]}, column `{column}`: {expected}, but it is {given:g}. {fix}"
        )


def _check_names(builder: Builder, m: Measurements) -> None:
    """Every name is known, and everything that is said is used."""
    names, model = builder.names, builder.model
    spread, place = set(), set()
    for name in m.observables:
        observed = m.observed[name]
        spread |= {x for x in builder.noise[name].numbers.values() if isinstance(x, str)}
        place |= {x for x in (observed.scaling, observed.offset) if isinstance(x, str)}
    special = (*names.per_arm.items(), *names.per_study.items())
    targets = {x for _, groups in special for x in groups.values() if isinstance(x, str)}
    targets |= {x for before in builder.before.values() for x in before.parameters.values() if isinstance(x, str)}
    known = {*model.parameters, *spread, *place}
    for role, said in (("per_arm", names.per_arm), ("per_study", names.per_study)):
        if unknown := [name for name in said if name not in known]:
            raise CalibrationError(
                f"Argument `{role}` names `{unknown[0]}`, which is neither a parameter of {model.name} nor used by "
                f"`noise` or an observable.{closest(unknown[0], known)}"
            )
    for name in (*names.fixed, *names.estimated):
        if name not in known | targets:
            role = "fixed" if name in names.fixed else "estimated"
            raise CalibrationError(
                f"`{name}` is {role}, but is neither a parameter of {model.name} nor used by `noise`, an observable, "
                f"`per_arm`, `per_study` or `preequilibration`.{closest(name, known)}"
            )
    if both := [name for name in names.fixed if name in names.estimated]:
        raise CalibrationError(f"`{both[0]}` is both fixed and estimated; leave one out.")
    for before in builder.before.values():
        _check_before(before, model)
    _check_used(builder, m)
    _check_positive(builder, m)


def _check_before(before: PreEquilibration, model: AbstractModel) -> None:
    for name in before.parameters:
        if name not in model.parameters:
            raise CalibrationError(
                f"Argument `parameters` of PreEquilibration names `{name}`, which is no parameter of {model.name}."
                f"{closest(name, model.parameters)}"
            )


def _check_used(builder: Builder, m: Measurements) -> None:
    """An estimated parameter that every arm replaces would be free."""
    used: set[Number] = set()
    for arm, study in dict.fromkeys(zip(m.arm, m.study, strict=True)):
        used |= set(builder.parameters(arm, study))
        if arm in builder.before:
            used |= set(builder.parameters(arm, study, builder.before[arm].parameters))
    for arm, study, name in dict.fromkeys(zip(m.arm, m.study, m.observable, strict=True)):
        observed = m.observed[name]
        numbers = (observed.scaling, observed.offset, *builder.noise[name].numbers.values())
        used |= {builder.names.of(x, arm, study) for x in numbers}
    if free := [name for name in builder.names.estimated if name not in used]:
        raise CalibrationError(
            f"`{free[0]}` is estimated, but no measurement depends on it: every arm has another value in its place."
        )


def _check_positive(builder: Builder, m: Measurements) -> None:
    """Numbers of error models are positive, wherever they come from."""
    bounds = {e.name: e.bounds for e in builder.estimated}
    for arm, study, name in dict.fromkeys(zip(m.arm, m.study, m.observable, strict=True)):
        for role, said in builder.noise[name].numbers.items():
            number = builder.names.of(said, arm, study)
            least = bounds[number][0] if isinstance(number, str) else number
            if not least > 0:
                raise CalibrationError(
                    f"`{said}`, the `{role}` of the noise of `{name}`, must be > 0, but "
                    f"{'may be' if isinstance(number, str) else 'is'} {least:g} in arm `{arm}`. "
                    f"{'Raise its lower bound.' if isinstance(number, str) else 'Give a positive number.'}"
                )


def _check_prior(builder: Builder) -> None:
    if builder.prior is None:
        return
    own = {e.name for e in builder.estimated if e.prior is not None}
    bounds = {e.name: e.bounds for e in builder.estimated}
    for name in builder.prior.names:
        if name not in builder.names.estimated:
            raise CalibrationError(
                f"Argument `prior` is about `{name}`, which is not estimated.{closest(name, builder.names.estimated)}"
            )
        if name in own:
            raise CalibrationError(f"`{name}` has a prior of its own and one in `prior`; leave one out.")
        check_support(name, builder.prior.marginals[name], *bounds[name])
