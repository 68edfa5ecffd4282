"""Regimens as arrays in the units of a model, and what one subject receives.

`dose_events` makes padded arrays whose amounts and times still depend on the subject (body weight, molar mass, volume,
bioavailability, lag, duration, rate), so that one compiled program serves every subject, arm and dose level.
`subject_doses` works them out for subjects with given parameters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from qspx._dose_units import amount_factor, constant_or_parameter, in_model_time
from qspx._errors import DoseError
from qspx._input_events import for_weight, input_events, inputs_in_model_units
from qspx.dosing import Dose, Regimen
from qspx.model import AbstractModel

RESET, STEADY, ADDED_STEADY = 1, 2, 3  # kinds of mark
INPUT = 5  # kind of what changes an input; no mark
_ONE_TOO_FAR = 4  # kind of the last past dose: a subject in whom it still acts has more of them than there are rows
_MOST_PAST_DOSES = 1000  # of a steady state; a subject with longer infusions, or a longer lag, is not solved
UNKNOWN_PAST = 24  # past doses of a steady state that there is room for where its subjects are not known yet
CONSTANT_INTERVAL = 1000.0  # time units after which a constant infusion is looked at again; any length serves


class DoseEvents(NamedTuple):
    """Doses as arrays of shape (events,), or (rows, events). What a subject receives is
    amount * F * weight**weight_power * molar_mass**mass_power / volume(species), in the species' unit.

    A parameter index of -1 means that the constant beside it holds. Padding has time = inf and amount = 0.
    `rate` > 0 is an infusion by rate (a factor for the parameter where `rate_index` says so). What happens from `until`
    on is cancelled. `kind` marks resets and steady states of doses `interval` apart; rows with `back` = k are the dose
    that a steady state at `time` has had k intervals before the one to come; rows of kind INPUT are no doses.
    """

    time: Any
    duration: Any
    species: Any
    amount: Any
    weight_power: Any
    mass_power: Any
    bioavailability: Any
    bioavailability_index: Any
    lag: Any
    lag_index: Any
    duration_index: Any
    rate: Any
    rate_index: Any
    until: Any
    kind: Any
    interval: Any
    back: Any

    def scaled(self, factor: Any) -> DoseEvents:
        """Amounts of doses, and rates that are numbers, times a factor, as in `Regimen.scaled_to`: durations stay.
        Inputs stay as they are."""
        is_dose = self.kind != INPUT
        by_number = is_dose & (self.rate_index < 0)
        return self._replace(
            amount=self.amount * is_dose * factor + self.amount * ~is_dose,
            rate=self.rate * by_number * factor + self.rate * ~by_number,
        )


PADDING = DoseEvents(np.inf, 0.0, 0, 0.0, 0.0, 0.0, 1.0, -1, 0.0, -1, -1, 0.0, -1, np.inf, 0, 0.0, 0)
_INTEGERS = {f for f in DoseEvents._fields if f.endswith("_index")} | {"species", "kind", "back"}


def dose_events(
    regimen: Regimen, model: AbstractModel, size: int | None = None, theta: np.ndarray | None = None
) -> DoseEvents:
    """The regimen in the model's units, padded to `size` events.

    `theta` (rows, parameters) are the subjects that will receive it; only steady states of doses whose lag or duration
    is a parameter look at them. Where they are not known, lag and duration together may be up to `UNKNOWN_PAST`
    intervals. Raises `DoseError` or `UnitError` naming the dose.
    """
    subjects = None if theta is None else np.atleast_2d(theta)
    inputs = inputs_in_model_units(regimen, model)
    rows = [PADDING._replace(time=t, kind=RESET) for t in _reset_times(regimen, model)]
    rows += [PADDING._replace(kind=INPUT, **fields) for fields in input_events(regimen, model)]
    for i, dose in enumerate(regimen.doses):
        where = f"dose {i} ({dose.amount:g} {dose.unit} into `{dose.into}`)"
        first = _first_event(dose, model, regimen.time_unit, where)
        events = _repeats(first, dose, _cancelled_from(regimen, i, model), model, subjects)
        rows += [for_weight(event, inputs, model, where) for event in events]
    if size is not None and size < len(rows):
        raise DoseError(f"Argument `size` is {size}, but the regimen holds {len(rows)} events.")
    return _as_arrays([*rows, *[PADDING] * ((size or len(rows)) - len(rows))])


def stacked_events(
    regimens: Sequence[Regimen], model: AbstractModel, thetas: Sequence[np.ndarray | None]
) -> list[DoseEvents]:
    """`dose_events` of each regimen, all padded to one size."""
    found = [dose_events(r, model, theta=theta) for r, theta in zip(regimens, thetas, strict=True)]
    size = max(len(e.time) for e in found)
    return [padded(e, size) for e in found]


def no_events(rows: int, size: int = 1) -> DoseEvents:
    """Rows to which nothing is given, every field (rows, size)."""
    return DoseEvents(*(np.tile(field, (rows, 1)) for field in _as_arrays([PADDING] * size)))


def reset_at(times: np.ndarray, events: DoseEvents) -> DoseEvents:
    """The same rows with a reset before all else that happens at its time, infinite for none, shape (rows,)."""
    if not np.isfinite(times).any():
        return events
    first = no_events(len(times))
    kind = np.where(np.isfinite(times), RESET, first.kind[:, 0])
    first = first._replace(time=times[:, None], kind=kind[:, None].astype(first.kind.dtype))
    return DoseEvents(*(np.concatenate(pair, axis=1) for pair in zip(first, events, strict=True)))


def padded(events: DoseEvents, size: int) -> DoseEvents:
    """Events of shape (events,) with padding up to `size`."""
    columns = zip(events, PADDING, strict=True)
    return DoseEvents(*(np.append(x, np.full(size - len(x), fill, dtype=x.dtype)) for x, fill in columns))


def _as_arrays(rows: Sequence[DoseEvents]) -> DoseEvents:
    columns = zip(DoseEvents._fields, zip(*rows, strict=True), strict=True)
    return DoseEvents(*(np.array(column, dtype=int if field in _INTEGERS else float) for field, column in columns))


def _reset_times(regimen: Regimen, model: AbstractModel) -> list[float]:
    return [in_model_time(t, regimen.time_unit, model) for t in regimen.resets]


def _cancelled_from(regimen: Regimen, i: int, model: AbstractModel) -> float:
    """When dose i is forgotten: at the next reset, or the next steady state that replaces everything."""
    resets = [t for t in regimen.resets if t > regimen.doses[i].at]
    resets += [d.at for d in regimen.doses[i + 1 :] if d.steady_state == 1]
    return in_model_time(min(resets), regimen.time_unit, model) if resets else math.inf


def _first_event(dose: Dose, model: AbstractModel, time_unit: str, where: str) -> DoseEvents:
    species = model.species_index(dose.into)
    declared = model.species[dose.into]
    factor, weight_power, mass_power = amount_factor(dose, model, where)
    f, f_index = constant_or_parameter("bioavailability", dose, declared, model, where)
    lag, lag_index = constant_or_parameter("lag", dose, declared, model, where)
    duration, duration_index = constant_or_parameter("duration", dose, declared, model, where)
    rate, rate_index = constant_or_parameter("rate", dose, declared, model, where)
    if rate_index < 0:
        rate = rate * factor / in_model_time(1.0, time_unit, model)
    times = {"time": dose.at, "duration": duration, "lag": lag, "interval": dose.every or 0.0}
    return PADDING._replace(
        **{name: in_model_time(t, time_unit, model) for name, t in times.items()},
        species=species,
        amount=dose.amount * factor,
        weight_power=weight_power,
        mass_power=mass_power,
        bioavailability=f,
        bioavailability_index=f_index,
        lag_index=lag_index,
        duration_index=duration_index,
        rate=rate,
        rate_index=rate_index,
        kind={0: 0, 1: STEADY, 2: ADDED_STEADY}[dose.steady_state],
    )


def _repeats(
    first: DoseEvents, dose: Dose, until: float, model: AbstractModel, subjects: np.ndarray | None
) -> list[DoseEvents]:
    """The event, the past of its steady state, and its repeats, as far as they are not cancelled."""
    if first.time >= until:  # a steady state at the same time replaces it
        return []
    first = first._replace(until=until)
    later = [first._replace(time=first.time + k * first.interval, kind=0) for k in range(1, dose.additional + 1)]
    past = [first._replace(kind=0, back=k) for k in range(1, _past_doses(first, model, subjects) + 1)]
    past[-1:] = [e._replace(kind=_ONE_TOO_FAR) for e in past[-1:]]
    return [first, *past, *(e for e in later if e.time < until)]


def _past_doses(event: DoseEvents, model: AbstractModel, subjects: np.ndarray | None) -> int:
    """How many doses before the one to come can still act on their own at a steady state: they wait for their lag, or
    are being infused. One more than these subjects need, because others may follow."""
    if not event.kind or not event.interval:
        return 0
    least = 0
    if subjects is None:
        subjects = model.theta[None]
        of_subject = (event.lag_index, event.duration_index, event.rate_index)
        by_amount = event.rate > 0 and (event.bioavailability_index >= 0 or event.weight_power or event.mass_power)
        least = UNKNOWN_PAST if by_amount or max(of_subject) >= 0 else 0
    rows = DoseEvents(*(np.broadcast_to(x, (len(subjects), 1)) for x in _as_arrays([event])))
    lag = subjects[:, [event.lag_index]] if event.lag_index >= 0 else event.lag
    found = subject_doses(model, subjects, rows, np)
    longest = np.nanmax(lag / event.interval + found.whole + found.part / event.interval, initial=0.0)
    return 1 + max(math.ceil(min(longest, _MOST_PAST_DOSES)), least)


class SubjectDoses(NamedTuple):
    """Doses in the species' own units, arrays of shape (events,) or (rows, events).

    `jump` is given at `start`, `rate` from `start` to `end`; what never happens has start = inf. Where `mark` is finite
    the state is reset (`kind` RESET) or replaced by a steady state: of periods of length `interval` that end at
    `turn`; in each, `jump` is given at the start, and infusions run `whole` times over it and once more over its first
    `part`.
    """

    start: Any
    end: Any
    species: Any
    jump: Any
    rate: Any
    mark: Any
    kind: Any
    interval: Any
    turn: Any
    whole: Any
    part: Any


def subject_doses(model: AbstractModel, theta: Any, events: DoseEvents, xp: Any) -> SubjectDoses:
    """What subjects with parameters `theta` (parameters,) or (rows, parameters) receive and when.

    `xp` is `numpy` or `jax.numpy`. Differentiable. A subject whose infusion has a rate or a duration that is not
    positive gets a start that is not a number.
    """
    e, where = events, xp.where

    def of_subject(index: Any, constant: Any) -> Any:
        return where(index >= 0, xp.take_along_axis(theta, xp.maximum(index, 0), axis=-1), constant)

    volume = _volumes(model, theta, xp)
    volume = xp.take_along_axis(volume, xp.asarray(e.species), axis=-1)
    scale = _power(model, model.body_weight, theta, e.weight_power, xp)
    scale = scale * _power(model, model.molar_mass, theta, e.mass_power, xp)
    amount = e.amount * of_subject(e.bioavailability_index, e.bioavailability) * scale / volume
    rate = where(e.rate_index >= 0, of_subject(e.rate_index, 1.0) * e.rate, e.rate * scale) / volume
    by_rate = xp.asarray(e.rate) > 0
    by_duration = (xp.asarray(e.duration) > 0) | (e.duration_index >= 0)
    duration = where(by_rate, amount / where(by_rate & (rate > 0), rate, 1.0), of_subject(e.duration_index, e.duration))
    infused, lasts = by_rate | by_duration, duration > 0
    rate = where(by_rate, rate, where(by_duration, amount / where(lasts, duration, 1.0), 0.0))
    impossible = (by_rate & ~(rate > 0)) | (by_duration & ~lasts & ~by_rate)

    begin = e.time + of_subject(e.lag_index, e.lag) - e.back * e.interval
    finish = where(infused, begin + where(infused, duration, 0.0), xp.inf)
    before = (e.back > 0) & (begin < e.time)  # goes on since before the steady state
    steady = (e.kind == STEADY) | (e.kind == ADDED_STEADY)
    constant = steady & (e.interval == 0)
    start = where(before, e.time, begin)
    never = (before & (~infused | (finish <= e.time))) | (start >= e.until) | constant | (e.kind == RESET)
    impossible = impossible | ((e.kind == _ONE_TOO_FAR) & ~never)
    start = where(never, xp.inf, start)
    end = where(never | ~infused, xp.inf, xp.minimum(finish, e.until))

    interval = where(constant, CONSTANT_INTERVAL, where(e.interval > 0, e.interval, 1.0))
    whole = xp.floor(duration / interval * (1 + 1e-12))
    part = duration - whole * interval
    part = where(part > 1e-12 * interval, part, 0.0)
    turn = where(constant, e.time, begin - xp.floor((begin - e.time) / interval) * interval)
    return SubjectDoses(
        start=where(impossible, xp.nan, start),
        end=end,
        species=e.species,
        jump=where(infused, 0.0, amount),
        rate=where(infused, rate, 0.0),
        mark=where(steady | (e.kind == RESET), e.time, xp.inf),
        kind=e.kind,
        interval=interval,
        turn=where(steady, turn, 0.0),
        whole=where(constant, 1.0, where(infused, whole, 0.0)),
        part=where(constant | ~infused, 0.0, part),
    )


def impossible_doses(model: AbstractModel, theta: np.ndarray, events: DoseEvents, t0: float) -> dict[str, np.ndarray]:
    """{reason: which rows} whose doses cannot be given in a run from t0 on: theta (rows, parameters), events (rows,
    events). Such a subject ends as NONFINITE."""
    with np.errstate(all="ignore"):
        start = np.asarray(subject_doses(model, theta, events, np).start)
    by_lag = sorted({list(model.parameters)[i] for i in np.unique(events.lag_index) if i >= 0})
    early = f"a dose would arrive before the run begins ({'negative ' + ', '.join(by_lag) if by_lag else 'too early'})"
    unknown = np.asarray(~np.isfinite(theta).all(axis=1))
    names = ", ".join(np.array(list(model.parameters))[~np.isfinite(theta).all(axis=0)])
    reasons: dict[str, np.ndarray] = {
        f"a parameter is not a finite number ({names})": unknown,
        early: np.asarray((start < t0).any(axis=1)),
        "an infusion has a rate or a duration that is not positive": np.asarray(np.isnan(start).any(axis=1) & ~unknown),
    }
    return {why: rows for why, rows in reasons.items() if rows.any()}


def _volumes(model: AbstractModel, theta: Any, xp: Any) -> Any:
    """By which a dose into each species is divided, shape (..., species)."""
    ones = xp.ones_like(theta[..., 0])
    volumes = [theta[..., model.parameter_index(s.volume)] if s.volume else ones for s in model.species.values()]
    return xp.stack(volumes, axis=-1)


def _power(model: AbstractModel, name: str | None, theta: Any, power: Any, xp: Any) -> Any:
    """Parameter `name` to the powers -1, 0 or 1, rounded once."""
    if name is None:
        return 1.0
    x = theta[..., model.parameter_index(name)][..., None]
    return xp.where(power == 0, 1.0, xp.where(power > 0, x, 1.0 / x))
