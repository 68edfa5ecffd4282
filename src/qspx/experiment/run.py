"""The verbs on an experiment file: simulate its cohort, make its dose rationale, write the report again."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from pathlib import Path

from qspx._errors import ConfigError
from qspx.cohort_result import CohortResult
from qspx.cohort_run import simulate_cohort
from qspx.fih import AbstractThresholdMethod, DoseRationale, compare_doses
from qspx.protocol import Protocol
from qspx.store import write_atomic

from .load import ExperimentFile
from .plan import Plan, build
from .stored import save_rationale

EXPERIMENT, RESULT, SIMULATIONS = "experiment.toml", "rationale.json", "simulations"


def run_cohort(
    file: ExperimentFile, out: str | Path, *, trajectories: bool = False, progress: bool | None = None
) -> CohortResult:
    """Simulate the population at every dose level of the escalation, with the endpoints of all threshold methods.

    An interrupted run resumes when it is called again. Written besides the run itself: `metrics.parquet` (one row per
    dose level and virtual patient), the experiment and its model file.

    Args:
        file: the experiment.
        out: run directory.
        trajectories: also keep the time courses named in [profiles].
        progress: None shows a bar on a terminal.
    """
    plan = build(file)
    profiles = plan.profiles if trajectories else None
    if trajectories and profiles is None:
        raise ConfigError(f"{file.path.name}: time courses were asked for, but there is no [profiles] to say which.")
    summaries = list(dict.fromkeys(m.metric for m in plan.methods if isinstance(m, AbstractThresholdMethod)))
    if not summaries and profiles is None:
        raise ConfigError(
            f"{file.path.name}: nothing to compute: no method has a metric, and no time courses are kept."
        )
    protocol = Protocol.escalation(
        plan.escalation.regimen,
        plan.escalation.levels,
        profiles.times if profiles else (),
        tuple(profiles.panels) if profiles else (),
    )
    result = simulate_cohort(
        plan.model, plan.sample(), protocol, summaries=summaries, out=out, integrator=plan.integrator, progress=progress
    )
    result.to_dataframe().to_parquet(Path(out) / "metrics.parquet", index=False)
    _keep_sources(file, Path(out))
    return result


def run_fih(file: ExperimentFile, out: str | Path, *, progress: bool | None = None) -> DoseRationale:
    """The dose rationale of the experiment.

    An interrupted run resumes when it is called again with the same `out`. Written: `simulations/`, `rationale.json`
    (the whole result, which `load_rationale` reads back), the experiment and its model file.
    """
    plan, out = build(file), Path(out)
    _check_folder(out)
    rationale = _compare(plan, out / SIMULATIONS, progress)
    origin = {
        "experiment": {
            "file": file.path.name,
            "sha256": _sha256(file.text.encode()),
            "seed": plan.seed,
            "model_file_sha256": _sha256(file.model_path.read_bytes()),
        }
    }
    rationale = dataclasses.replace(rationale, provenance={**rationale.provenance, **origin})
    save_rationale(rationale, out / RESULT, plan.title)
    _keep_sources(file, out)
    return rationale


def _compare(plan: Plan, simulations: Path, progress: bool | None) -> DoseRationale:
    return compare_doses(
        plan.model,
        plan.sample(),
        plan.escalation,
        plan.methods,
        key=plan.seed,
        proposal=plan.proposal,
        context=plan.context,
        modality=plan.modality,
        uncertainty=plan.uncertainty,
        distribution=plan.distribution,
        distribution_sources=plan.distribution_sources,
        alternatives=plan.alternatives,
        profiles=plan.profiles,
        limitations=plan.limitations,
        integrator=plan.integrator,
        out=simulations,
        progress=progress,
    )


def _check_folder(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise ConfigError(f"Argument `out` must be a folder, but {str(out)!r} is a file.")
    if out.is_dir() and any(out.iterdir()) and not (out / SIMULATIONS).is_dir():
        raise ConfigError(
            f"Argument `out` must be a new or an empty folder, or one of an earlier run, but {str(out)!r} holds other "
            "files. Choose another one."
        )
    (out / SIMULATIONS).mkdir(parents=True, exist_ok=True)


def _keep_sources(file: ExperimentFile, out: Path) -> None:
    write_atomic(out / EXPERIMENT, file.text.encode())
    shutil.copyfile(file.model_path, out / file.model_path.name)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
