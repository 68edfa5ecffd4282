"""Cohorts: who is simulated. A cohort is a matrix of parameters with a status per subject."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jax.core import Tracer

from qspx._checks import mapping, require_kind, shown
from qspx._errors import ModelError, SolveError, closest
from qspx._status import Ledger, Status
from qspx.distributions import Joint
from qspx.model import AbstractModel

if TYPE_CHECKING:
    import pandas as pd


@dataclasses.dataclass(frozen=True)
class Cohort:
    """Virtual patients before weighting.

    Args:
        model: whose parameters the columns of `theta` are.
        theta: shape (subjects, parameters), in the units of the model's declarations. May be traced by jax (inside
            `jax.grad`, `jax.jit`): the subjects are then taken as they are, without the checks of their values, which
            nobody knows yet. A cohort that was made of numbers keeps its status when `with_parameters` replaces some.
        status: codes, shape (subjects,); only subjects with `Status.OK` are simulated (default: all are OK).
        weights: prevalence weights, shape (subjects,), summing to one over the usable subjects (default: equal).
        seed, origin: how it was made, for the manifest.
        reasons: why subjects are not usable, for the ledger.
    """

    model: AbstractModel
    theta: Any
    status: np.ndarray = None  # type: ignore[assignment]  # all OK is filled in below
    weights: np.ndarray = None  # type: ignore[assignment]  # equal weights are filled in below
    seed: str = ""
    origin: str = ""
    reasons: Mapping[Status, Mapping[str, int]] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        require_kind(self.model, AbstractModel, "model")
        theta = self.theta if self.is_traced else _array(self.theta, "theta", float)
        if theta.ndim != 2 or theta.shape[1] != len(self.model.parameters):
            raise SolveError(
                f"Argument `theta` must have shape (subjects, {len(self.model.parameters)}), but has {theta.shape}."
            )
        for name in ("subject", "status", "weight"):
            if name in self.model.parameters:
                raise SolveError(
                    f"`{name}` is a column of every cohort, so {self.model.name} cannot have a parameter of that name; "
                    "rename the parameter."
                )
        if len(theta) == 0:
            raise SolveError("the cohort is empty; sample at least one subject.")
        object.__setattr__(self, "theta", theta)
        status = np.full(len(theta), int(Status.OK)) if self.status is None else self.status
        object.__setattr__(self, "status", _array(status, "status", np.int64))
        if self.status.shape != (len(theta),):
            raise SolveError(
                f"Argument `status` must have shape ({len(theta)},), one code per subject, but has {self.status.shape}."
            )
        if not self.is_traced:
            self._mark_impossible()
        object.__setattr__(self, "weights", self._checked_weights())

    def _mark_impossible(self) -> None:
        """Subjects with a parameter that cannot be, or lies outside the bounds that the model declares."""
        status, reasons = self.status.copy(), {k: dict(v) for k, v in self.reasons.items()}
        for reason, outside in impossible(self.model, self.theta).items():
            if (wrong := outside & (status == Status.OK)).any():
                status[wrong] = Status.IMPLAUSIBLE
                reasons.setdefault(Status.IMPLAUSIBLE, {})[reason] = int(wrong.sum())
        object.__setattr__(self, "status", status)
        object.__setattr__(self, "reasons", reasons)

    def _checked_weights(self) -> np.ndarray:
        usable = self.status == Status.OK
        weights = usable.astype(float) if self.weights is None else _array(self.weights, "weights", float)
        if weights.shape != self.status.shape or not np.all(weights >= 0):
            raise SolveError("Argument `weights` must be one number >= 0 per subject.")
        total = weights[usable].sum()
        return np.where(usable, weights / total, 0.0) if total > 0 else np.zeros(len(weights))

    def __len__(self) -> int:
        return len(self.theta)

    @property
    def is_traced(self) -> bool:
        """Whether `theta` is an array under transformation by jax."""
        return isinstance(self.theta, Tracer)

    @property
    def ledger(self) -> Ledger:
        return Ledger.of(self.status, self.reasons)

    @property
    def digest(self) -> str:
        """sha256 of the parameters and status."""
        return hashlib.sha256(self.theta.tobytes() + self.status.tobytes()).hexdigest()

    def column(self, name: str) -> np.ndarray:
        """One parameter, shape (subjects,)."""
        return self.theta[:, self.model.parameter_index(name)]

    def with_parameters(self, values: Mapping[str, Any]) -> Cohort:
        """The same subjects with some parameters set to one value for all, or to one each, shape (subjects,). Values
        may be traced by jax; those that are not are checked as always, also beside traced ones."""
        theta = self.theta
        for name, value in mapping(values, "values", SolveError).items():
            theta = _with_column(theta, self.model.parameter_index(name), value)
        if not isinstance(theta, Tracer):
            return dataclasses.replace(self, theta=theta)
        known = {name: value for name, value in values.items() if not isinstance(value, Tracer)}
        numbers = np.tile(self.model.theta, (len(self), 1))
        for name, value in known.items():
            numbers = _with_column(numbers, self.model.parameter_index(name), value)
        checked = Cohort(self.model, numbers, self.status, reasons=self.reasons)
        return dataclasses.replace(self, theta=theta, status=checked.status, reasons=checked.reasons)

    def to_dataframe(self) -> pd.DataFrame:
        """One row per subject: subject, status, weight, then the parameters; units in `df.attrs["units"]`."""
        import pandas as pd

        frame = pd.DataFrame(self.theta, columns=list(self.model.parameters))
        frame.insert(0, "subject", np.arange(len(self)))
        frame.insert(1, "status", [Status(int(s)).name.lower() for s in self.status])
        frame.insert(2, "weight", self.weights)
        frame.attrs["units"] = {k: p.unit for k, p in self.model.parameters.items()}
        return frame

    def save(self, path: str | Path) -> None:
        """Write as Parquet, one row per subject."""
        self.to_dataframe().to_parquet(path, index=False)

    @classmethod
    def load(cls, path: str | Path, model: AbstractModel) -> Cohort:
        """Read what `save` wrote. Raises `ModelError` if a parameter of the model is missing."""
        import pandas as pd

        frame = pd.read_parquet(path)
        for name in model.parameters:
            if name not in frame:
                raise ModelError(
                    f"{path}: parameter `{name}` of {model.name} is missing.{closest(name, frame.columns)}"
                )
        status = np.array([Status[s.upper()] for s in frame["status"]])
        return cls(
            model,
            frame[list(model.parameters)].to_numpy(float),
            status,
            frame["weight"].to_numpy(float),
            origin=f"file {Path(path).name}",
        )

    def __str__(self) -> str:
        return f"cohort of {self.model.name}: {self.ledger} ({self.origin})"


def _array(values: Any, argument: str, kind: type) -> np.ndarray:
    try:
        return np.asarray(values, dtype=kind)
    except (TypeError, ValueError):
        held = "codes of `Status`" if argument == "status" else "numbers"
        raise SolveError(f"Argument `{argument}` must hold {held}, but {shown(values)} was given.") from None


def _with_column(theta: Any, i: int, value: Any) -> Any:
    if not isinstance(value, Tracer):
        try:
            value = np.asarray(value, dtype=float)
        except (TypeError, ValueError) as e:
            raise SolveError(f"Argument `values` must hold numbers, but {value!r} was given.") from e
    if np.shape(value) not in ((), (len(theta),)):
        raise SolveError(
            f"Argument `values` must hold one number, or one per subject (shape ({len(theta)},)), but shape "
            f"{np.shape(value)} was given."
        )
    if isinstance(theta, Tracer) or isinstance(value, Tracer):
        import jax.numpy as jnp

        return jnp.asarray(theta).at[:, i].set(value)
    found = np.array(theta, dtype=float)
    found[:, i] = value
    return found


def impossible(model: AbstractModel, theta: np.ndarray) -> dict[str, np.ndarray]:
    """{reason: which rows of `theta`}: outside declared bounds; not positive although a dose is divided by it (body
    weight, molar mass, volume); negative although it is on a log scale (zero switches it off). NaN is left to the
    solve."""
    roles = {model.body_weight, model.molar_mass, *(s.volume for s in model.species.values())}
    found = {}
    for i, (name, p) in enumerate(model.parameters.items()):
        x = theta[:, i]
        if p.bounds is not None:
            found[f"{name} outside {p.bounds[0]:g} to {p.bounds[1]:g}"] = (x < p.bounds[0]) | (x > p.bounds[1])
        if name in roles:
            found[f"{name} not positive"] = x <= 0
        elif p.scale == "log":
            found[f"{name} negative"] = x < 0
    return found


def sample_cohort(
    model: AbstractModel,
    distribution: Joint,
    n: int,
    *,
    key: Any,
    parameters: Mapping[str, float] | None = None,
    first: int = 0,
) -> Cohort:
    """Virtual patients from a distribution; parameters that it does not name keep their typical value.

    Subject i depends on (key, i) alone, whatever `n` and `first`. A subject with a parameter outside the bounds that
    the model declares gets status IMPLAUSIBLE and is not simulated; the ledger names the parameter.

    Args:
        model: the model.
        distribution: over some of its parameters, covariates such as body weight included.
        n: number of subjects.
        key: jax key or integer seed.
        parameters: typical values to replace, by name.
        first: number of the first subject.
    """
    from qspx._random import described  # jax, which reading a cohort does without

    if n < 1:
        raise SolveError(f"Argument `n` must be >= 1, but {n} was given: the cohort would be empty.")
    columns = [model.parameter_index(name) for name in distribution.names]
    theta = np.tile(model.theta_with(parameters), (n, 1))
    theta[:, columns] = np.asarray(distribution.sample(key, np.arange(first, first + n)))
    origin = f"{n} sampled from {', '.join(distribution.names)}"
    return Cohort(model, theta, np.full(n, Status.OK), seed=described(key), origin=origin)
