"""Arms and protocols: which regimen, which covariates, when to sample, what to keep."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from qspx._checks import mapping, number, numbers, require_kind
from qspx._errors import ProtocolError
from qspx.dosing import Regimen
from qspx.inputs import Input

_TRACED = "Covariates of an arm are plain numbers; give a traced value to the cohort: cohort.with_parameters({...})."


@dataclasses.dataclass(frozen=True)
class Arm:
    """One arm.

    Args:
        name: unique in its protocol.
        regimen: what is given.
        times: sampling times in the model's time unit, increasing, shape (times,); may be empty.
        observables: observables or species to keep at those times.
        covariates: parameters that take this value for every subject of the arm.
        dose: the dose level that the arm stands for, in the regimen's unit (default: its target dose).
        before: for values before the doses given at exactly those times: True, or one truth value per time.
        inputs: values in time of parameters of a `time_varying` model, the same for every subject of the arm; they go
            into `regimen`, whose time unit they share.
    """

    name: str
    regimen: Regimen
    times: Sequence[float] | np.ndarray = ()
    observables: tuple[str, ...] = ()
    covariates: Mapping[str, float] = dataclasses.field(default_factory=dict)
    dose: float | None = None
    before: bool | Sequence[bool] = False
    inputs: Mapping[str, Input] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        require_kind(self.name, str, "name` of an `Arm", error=ProtocolError)
        where = f"of arm `{self.name}"
        require_kind(self.regimen, Regimen, f"regimen` {where}", "Write Regimen((dose,)).", ProtocolError)
        mapping(self.inputs, f"inputs` {where}", ProtocolError, '{"WT": Input(...)}')
        for name, value in mapping(self.covariates, f"covariates` {where}", ProtocolError).items():
            number(value, f"covariates` {where}` for `{name}", ProtocolError, _TRACED)
        times = numbers(self.times, f"times` {where}", ProtocolError)
        early = (self.before,) * len(times) if isinstance(self.before, bool) else tuple(map(bool, self.before))
        order = [(t, not b) for t, b in zip(times, early, strict=False)]
        if any(b <= a for a, b in zip(order, order[1:], strict=False)) or not np.all(np.isfinite(times)):
            raise ProtocolError(
                f"arm `{self.name}`: `times` must be finite and increasing, but {times[:8]} … was given."
            )
        if len(early) != len(times):
            raise ProtocolError(
                f"arm `{self.name}`: `before` must be True, False, or one of them per time, but {len(early)} were "
                f"given for {len(times)} times."
            )
        object.__setattr__(self, "times", times)
        object.__setattr__(self, "before", early)
        if isinstance(self.observables, str):
            raise ProtocolError(
                f'arm `{self.name}`: `observables` must be a sequence of names, but "{self.observables}" was given; '
                f'write ("{self.observables}",).'
            )
        object.__setattr__(self, "observables", tuple(self.observables))
        object.__setattr__(self, "regimen", self.regimen.with_inputs(self.inputs))
        if self.dose is None:
            object.__setattr__(self, "dose", self.regimen.target)


@dataclasses.dataclass(frozen=True)
class Protocol:
    """The arms of a study. All arms share sampling times and observables, so that results form one array."""

    arms: tuple[Arm, ...]

    def __post_init__(self):
        if isinstance(self.arms, Arm):
            raise ProtocolError("Argument `arms` must be a sequence, but one Arm was given; write Protocol([arm]).")
        require_kind(self.arms, Iterable, "arms", error=ProtocolError)
        object.__setattr__(self, "arms", tuple(self.arms))
        for arm in self.arms:
            require_kind(arm, Arm, "arms", 'It holds arms such as Arm("name", regimen).', ProtocolError)
        if not self.arms:
            raise ProtocolError("Argument `arms` must hold at least one Arm, but it is empty.")
        names = [a.name for a in self.arms]
        if twice := {n for n in names if names.count(n) > 1}:
            raise ProtocolError(f"arm names must be unique, but {sorted(twice)} occur more than once.")
        for a in self.arms[1:]:
            first = self.arms[0]
            if (a.times, a.before, a.observables) != (first.times, first.before, first.observables):
                raise ProtocolError(
                    f"all arms must share `times`, `before` and `observables`, but `{a.name}` differs from "
                    f"`{self.arms[0].name}`. Use the union of both."
                )

    @classmethod
    def escalation(
        cls,
        regimen: Regimen,
        levels: Sequence[float],
        times: Sequence[float] | np.ndarray = (),
        observables: Sequence[str] = (),
    ) -> Protocol:
        """One arm per target dose: the same schedule scaled to each of `levels` (in the regimen's unit)."""
        if len(levels) == 0:
            raise ProtocolError("Argument `levels` must hold at least one dose level, but it is empty.")
        arms = [
            Arm(f"{level:.6g} {regimen.unit}", regimen.scaled_to(level), times, tuple(observables), dose=level)
            for level in levels
        ]
        return cls(tuple(arms))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(a.name for a in self.arms)

    @property
    def doses(self) -> np.ndarray:
        """Dose level of each arm, shape (arms,)."""
        return np.array([a.dose for a in self.arms], dtype=float)
