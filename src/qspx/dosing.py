"""Doses and regimens: what a protocol says, as amounts with units, times, and the species that receives them.

The words mean what they mean in NONMEM (Beal, Sheiner & Boeckmann, NONMEM Users Guides, part VIII, PREDPP): additional
doses, steady state, reset, modelled rate and duration, lag and bioavailability.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from qspx._checks import mapping, number, numbers, require_kind
from qspx._errors import DoseError
from qspx.inputs import Input
from qspx.units import split_per_kg, unit

_TRACED = (
    "A regimen holds plain numbers. Derivatives by it come through parameters: name one as `lag`, `duration`, `rate` "
    "or `bioavailability`; or scale the arrays of `qspx.dose_events.dose_events(regimen, model)`."
)


def _require(condition: bool | np.bool_, message: str) -> None:
    if not condition:
        raise DoseError(message)


@dataclasses.dataclass(frozen=True)
class Dose:
    """One administration, perhaps repeated.

    Args:
        amount: >= 0, in `unit` (mass or amount; append `/kg` for a dose per body weight: "ug/kg").
        into: species that receives it.
        at: time, in the regimen's time unit.
        duration: of a zero-order infusion whose rate follows from amount and bioavailability: a number in the regimen's
            time unit, or the name of a parameter. None is a bolus, or an infusion by `rate`.
        rate: of an infusion, in `unit` per time unit of the regimen, or the name of a parameter in amount per time. Its
            duration follows: bioavailability * amount / rate.
        bioavailability, lag: a number or a parameter name; None uses what the species declares (else 1 and 0).
        additional: how often the dose is given again, `every` apart (NONMEM's ADDL and II).
        every: time between repeats, also those of the past at steady state.
        steady_state: 0 none; 1 the system is at the steady state of this dose given `every` so long, and what was given
            before is forgotten; 2 that steady state is added to what is there (its departure from the initial values).
            An amount of 0 with a `rate` and no `every` is a constant infusion up to this time. A lag counts: the first
            dose of the steady state that is still to come arrives at `at` + lag.
    """

    amount: float
    unit: str
    into: str
    at: float = 0.0
    duration: float | str | None = None
    bioavailability: float | str | None = None
    lag: float | str | None = None
    rate: float | str | None = None
    additional: int = 0
    every: float | None = None
    steady_state: int = 0

    def __post_init__(self):
        self._check_types()
        _require(
            math.isfinite(self.amount) and self.amount >= 0,
            f"Argument `amount` of a Dose must be a number >= 0, but {self.amount} was given.",
        )
        _require(math.isfinite(self.at), f"Argument `at` of a Dose must be finite, but {self.at} was given.")
        for role in ("duration", "rate", "every"):
            value = getattr(self, role)
            _require(
                value is None or isinstance(value, str) or 0 < value < math.inf,
                f"Argument `{role}` of a Dose must be > 0 and finite"
                f"{' (None is a bolus)' if role == 'duration' else ''}, but {value} was given.",
            )
        for role in ("bioavailability", "lag"):
            value = getattr(self, role)
            _require(
                value is None or isinstance(value, str) or 0 <= value < math.inf,
                f"Argument `{role}` must be a number >= 0 or a parameter name, but {value} was given.",
            )
        _require(
            self.duration is None or self.rate is None,
            f"Arguments `duration` and `rate` of a Dose exclude each other, but {self.duration} and {self.rate} were "
            "given; leave one out.",
        )
        _require(
            self.additional >= 0 and self.additional == int(self.additional),
            f"Argument `additional` of a Dose must be a whole number >= 0, but {self.additional} was given.",
        )
        _require(
            self.additional == 0 or self.every is not None,
            f"Argument `additional` of a Dose is {self.additional}, so `every` must say how far apart the doses are.",
        )
        _require(
            self.steady_state in (0, 1, 2),
            f"Argument `steady_state` of a Dose must be 0, 1 or 2, but {self.steady_state} was given.",
        )
        constant = self.amount == 0 and self.rate is not None
        _require(
            not self.steady_state or self.every is not None or constant,
            "a Dose at steady state needs `every`, the time between doses (or amount 0 and a `rate`: a constant "
            "infusion).",
        )
        unit(split_per_kg(self.unit)[0])

    def _check_types(self) -> None:
        for role in ("unit", "into"):
            require_kind(getattr(self, role), str, f"{role}` of a `Dose", error=DoseError)
        for role in ("amount", "at", "additional", "steady_state"):
            number(getattr(self, role), f"{role}` of a `Dose", DoseError, _TRACED)
        for role in ("duration", "bioavailability", "lag", "rate", "every"):
            value = getattr(self, role)
            if value is not None and (role == "every" or not isinstance(value, str)):
                number(value, f"{role}` of a `Dose", DoseError, _TRACED)

    @property
    def constant_infusion(self) -> bool:
        """Whether it stands for an infusion that has always run, up to its time."""
        return self.steady_state > 0 and self.every is None


@dataclasses.dataclass(frozen=True)
class Regimen:
    """Doses in the order of time. `first` and `target` are the first and the largest amount.

    Args:
        doses: what is given; the order counts where doses at one time include a steady state.
        time_unit: of all times.
        resets: times at which every species goes back to its initial value and whatever was given before is forgotten:
            infusions end, and doses and repeats that are still to come are cancelled. Doses given at exactly that time
            come after it. Inputs go on.
        inputs: values in time of parameters of a `time_varying` model, by name; they are not scaled with the doses.
    """

    doses: tuple[Dose, ...]
    time_unit: str = "day"
    resets: tuple[float, ...] = ()
    inputs: Mapping[str, Input] = dataclasses.field(default_factory=dict, hash=False)

    def __post_init__(self):
        if isinstance(self.doses, Dose):
            raise DoseError("Argument `doses` must be a sequence, but one Dose was given; write Regimen((dose,)).")
        require_kind(self.doses, Iterable, "doses", "Write Regimen((dose,)).", DoseError)
        object.__setattr__(self, "doses", tuple(self.doses))
        for dose in self.doses:
            require_kind(dose, Dose, "doses", 'It holds doses such as Dose(100, "mg", "depot").', DoseError)
        require_kind(self.time_unit, str, "time_unit", error=DoseError)
        object.__setattr__(self, "inputs", dict(mapping(self.inputs, "inputs", DoseError, '{"WT": Input(...)}')))
        object.__setattr__(self, "resets", tuple(sorted(numbers(self.resets, "resets", DoseError, _TRACED))))
        _require(len(self.doses) > 0, "Argument `doses` must hold at least one Dose, but it is empty.")
        times = [d.at for d in self.doses]
        if times != sorted(times):
            late = next(i for i in range(1, len(times)) if times[i] < times[i - 1])
            raise DoseError(
                f"Argument `doses` must be sorted by time, but dose {late} is at {times[late]:g}, before dose "
                f"{late - 1} at {times[late - 1]:g}. Sort them, or use sorted(doses, key=lambda d: d.at)."
            )
        _require(
            all(map(math.isfinite, self.resets)), f"Argument `resets` must be finite, but {self.resets} was given."
        )
        for name, given in self.inputs.items():
            _require(
                isinstance(given, Input),
                f"Argument `inputs` must map names of parameters to Input objects, but `{name}` is {given!r}.",
            )
        unit(self.time_unit)

    @classmethod
    def single(cls, amount: float, unit: str, into: str, at: float = 0.0, **dose) -> Regimen:
        """One dose."""
        return cls((Dose(amount, unit, into, at, **dose),))

    @classmethod
    def repeated(cls, amount: float, unit: str, into: str, every: float, n: int, start: float = 0.0, **dose) -> Regimen:
        """`n` equal doses, `every` apart."""
        _require(n >= 1, f"Argument `n` must be >= 1, but {n} was given.")
        _require(every > 0, f"Argument `every` must be > 0, but {every} was given.")
        return cls(tuple(Dose(amount, unit, into, start + i * every, **dose) for i in range(n)))

    @classmethod
    def step_up(
        cls,
        target: float,
        unit: str,
        into: str,
        fractions: Sequence[float] = (0.1, 0.3, 1.0),
        at: Sequence[float] = (0.0, 3.0, 7.0),
        every: float = 7.0,
        n: int = 1,
        **dose,
    ) -> Regimen:
        """A fractionated start: `fractions` of the target at the times `at`, then the last fraction again every
        `every` until it has been given `n` times."""
        _require(
            len(fractions) == len(at) and len(at) > 0,
            f"Arguments `fractions` and `at` must have the same length, but have {len(fractions)} and {len(at)}.",
        )
        _require(n >= 1, f"Argument `n` must be >= 1, but {n} was given.")
        times = [*at, *(at[-1] + every * i for i in range(1, n))]
        shares = [*fractions, *[fractions[-1]] * (n - 1)]
        return cls(tuple(Dose(f * target, unit, into, float(t), **dose) for f, t in zip(shares, times, strict=True)))

    @property
    def unit(self) -> str:
        units = {d.unit for d in self.doses}
        _require(len(units) == 1, f"the regimen mixes dose units {sorted(units)}; it has no single `unit`.")
        return units.pop()

    @property
    def first(self) -> float:
        return self.doses[0].amount

    @property
    def target(self) -> float:
        return max(d.amount for d in self.doses)

    def scaled_to(self, target: float) -> Regimen:
        """The same schedule with every amount scaled so that the largest is `target`."""
        _require(math.isfinite(target) and target > 0, f"Argument `target` must be > 0, but {target} was given.")
        _require(
            self.target > 0,
            "a regimen whose amounts are all 0 cannot be scaled to a target amount; give the drug as an amount.",
        )
        return dataclasses.replace(self, doses=tuple(_scaled(d, target / self.target, target) for d in self.doses))

    def with_inputs(self, inputs: Mapping[str, Input]) -> Regimen:
        """The same doses with these inputs as well; they replace those of the same name."""
        return dataclasses.replace(self, inputs={**self.inputs, **inputs})

    @property
    def has_marks(self) -> bool:
        """Whether it holds a reset or a steady state."""
        return bool(self.resets) or any(d.steady_state for d in self.doses)

    def __str__(self) -> str:
        amounts = ", ".join(f"{d.amount:.3g}" for d in self.doses)
        days = ", ".join(f"{d.at:g}" for d in self.doses)
        text = f"{amounts} {self.doses[0].unit} into {self.doses[0].into} at {self.time_unit} {days}"
        repeated = [f"{d.additional} more every {d.every:g} from {d.at:g}" for d in self.doses if d.additional]
        steady = [f"steady state at {d.at:g}" for d in self.doses if d.steady_state]
        resets = [f"reset at {t:g}" for t in self.resets]
        return "; ".join([text, *repeated, *steady, *resets, *(f"{k} {v}" for k, v in self.inputs.items())])


def _scaled(dose: Dose, factor: float, target: float) -> Dose:
    """Amount and rate by `factor`, so that the duration stays; exactly `target` where that is meant."""
    amount = target if math.isclose(dose.amount * factor, target, rel_tol=1e-12) else dose.amount * factor
    rate = dose.rate * factor if isinstance(dose.rate, int | float) else dose.rate
    return dataclasses.replace(dose, amount=amount, rate=rate)
