"""The benchmark problems: a model, its virtual patients, its doses and its sampling times, as arrays for every peer."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import qspx
from qspx.dose_events import DoseEvents, dose_events, subject_doses
from qspx.integrate import SolveRequest
from qspx.integrate.lowering import Lowered, lower

HERE = Path(__file__).resolve().parent
PUBLISHED = HERE.parents[1] / "models"


@dataclasses.dataclass(frozen=True)
class Workload:
    """What to simulate.

    Args:
        name: label.
        file: model file.
        regimen: doses.
        days: end of the run, in the model's time unit.
        samples: sampling times after 0, shape (times,); no dose falls on one.
        cv: coefficient of variation of the log-normal parameters.
        constant: parameters that do not vary; those tagged `constant` and those with bounds never do.
        rtol, atol: error tolerances; `atol` in the species' units.
        seed: of the virtual patients.
    """

    name: str
    file: Path
    regimen: qspx.Regimen
    days: float
    samples: tuple[float, ...]
    cv: float
    constant: tuple[str, ...] = ()
    rtol: float = 1e-6
    atol: float = 1e-9
    seed: int = 2026

    @functools.cached_property
    def model(self) -> qspx.AbstractModel:
        return qspx.load_model(self.file)

    def patients(self, n: int, cv: float | None = None) -> np.ndarray:
        """Parameters of the first n virtual patients, shape (n, parameters): typical values times log-normal factors of
        median 1."""
        declared = self.model.parameters
        varies = [
            p.tag != "constant" and p.bounds is None and p.value > 0 and name not in self.constant
            for name, p in declared.items()
        ]
        omega = np.sqrt(np.log(1 + (self.cv if cv is None else cv) ** 2))
        # one stream per patient, so that patient i does not depend on n
        draws = np.array([np.random.default_rng((self.seed, i)).standard_normal(len(declared)) for i in range(n)])
        return self.model.theta * np.exp(omega * draws * np.array(varies))


def weekly(days: int) -> tuple[float, ...]:
    """14 samples a week, none of them at a dose: every half day from a quarter of a day on."""
    return tuple(0.25 + 0.5 * k for k in range(2 * days))


def weekly_boluses(name: str, into: str, unit: str, amount: float, cv: float, *constant: str) -> Workload:
    """Four boluses seven days apart over 28 days."""
    regimen = qspx.Regimen.repeated(amount, unit, into, every=7.0, n=4)
    return Workload(name, HERE / "models" / f"{name}.py", regimen, 28.0, weekly(28), cv, constant)


WORKLOADS = {
    w.name: w
    for w in (
        weekly_boluses("tmdd3", "L", "nM", 50.0, 0.4),
        weekly_boluses("tce12", "A", "nmol", 60.0, 0.4),
        weekly_boluses("casc48", "L", "nM", 30.0, 0.3, "X_total", "Ph_total"),
        weekly_boluses("hill_input", "A", "nmol", 100.0, 0.4, "power", "steep"),
        Workload(
            "isb2001",
            PUBLISHED / "isb2001.py",
            qspx.Regimen.step_up(5.0, "ug/kg", "depot", fractions=(0.1, 0.3, 1.0), at=(0.0, 3.0, 7.0), n=3),
            28.0,
            weekly(28),
            0.4,
            ("MW", "WT"),
            atol=1e-12,
        ),
    )
}


@dataclasses.dataclass(frozen=True, eq=False)
class Problem:
    """One workload with its patients, as every peer receives it.

    Args:
        workload: where it comes from.
        theta: parameters, shape (patients, parameters).
        initial: states before the first dose, shape (patients, states).
        dose_times: shape (doses,), the first at 0; a dose is added to the state when the run reaches its time.
        jumps: what each dose adds, shape (patients, doses, states).
    """

    workload: Workload
    theta: np.ndarray
    initial: np.ndarray
    dose_times: np.ndarray
    jumps: np.ndarray

    @property
    def model(self) -> qspx.AbstractModel:
        return self.workload.model

    @property
    def times(self) -> np.ndarray:
        return np.array(self.workload.samples)

    @property
    def states(self) -> int:
        return self.initial.shape[1]

    @functools.cached_property
    def lowered(self) -> Lowered:
        """The model's scalar programs, printed by the peers that compile their right-hand side."""
        return lower(self.model)

    @functools.cached_property
    def fixed(self) -> np.ndarray:
        """What depends on parameters alone, shape (patients, values); computed beforehand for the peers."""
        found = self.lowered.prologue.evaluate_numpy(theta=self.theta.T)["fixed"]
        return np.ascontiguousarray(found.T)

    @functools.cached_property
    def segments(self) -> list[tuple[float, float, np.ndarray]]:
        """Between doses: (start, end, numbers of the samples in between)."""
        edges = [*self.dose_times, self.workload.days]
        return [
            (float(a), float(b), np.flatnonzero((self.times > a) & (self.times <= b)))
            for a, b in zip(edges, edges[1:], strict=False)
        ]

    @functools.cached_property
    def request(self) -> SolveRequest:
        """The same question to an integrator of qspx: all species at the samples."""
        return SolveRequest(self.model, self.workload.samples, tuple(self.model.species), (), 0.0, self.workload.days)

    def events(self, n: int) -> DoseEvents:
        """Doses of the first n patients."""
        one = dose_events(self.workload.regimen, self.model)
        return DoseEvents(*(np.tile(field, (n, 1)) for field in one))


def problem(workload: Workload, patients: int, cv: float | None = None) -> Problem:
    model, theta = workload.model, workload.patients(patients, cv)
    one = dose_events(workload.regimen, model)
    if not (np.all(np.diff(one.time) > 0) and one.time[0] == 0 and not one.duration.any()):
        raise ValueError(f"{workload.name}: the peers take boluses at increasing times from 0 on")

    @jax.jit
    @jax.vmap
    def prepare(row):
        doses = subject_doses(model, row, one, jnp)
        jumps = doses.jump[:, None] * (doses.species[:, None] == np.arange(len(model.species)))
        return model.initial_vector(row), jumps, doses.start

    initial, jumps, starts = (np.array(x) for x in prepare(theta))
    if not (starts == one.time).all():
        raise ValueError(f"{workload.name}: the peers take doses without lag")
    return Problem(workload, theta, initial, np.asarray(one.time), jumps)
