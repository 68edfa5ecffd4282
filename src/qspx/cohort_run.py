"""`simulate_cohort`: subjects x arms through one compiled program, in shards that are stored as they finish."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qspx._checks import require_kind
from qspx._errors import ProtocolError, SolveError
from qspx._input_events import require_same_start
from qspx._status import Ledger, Status
from qspx.cohort import Cohort
from qspx.cohort_result import CohortResult
from qspx.dose_events import DoseEvents, stacked_events
from qspx.integrate import AbstractIntegrator, SolveRequest, integrator_of
from qspx.model import AbstractModel
from qspx.progress import report
from qspx.protocol import Protocol
from qspx.provenance import environment, now
from qspx.simulation import require_model, solve_request
from qspx.store import RunStore
from qspx.summaries import AbstractSummary


def simulate_cohort(
    model: AbstractModel,
    cohort: Cohort,
    protocol: Protocol,
    *,
    summaries: Sequence[AbstractSummary] = (),
    out: str | Path | None = None,
    integrator: AbstractIntegrator | None = None,
    shard: int = 512,
    progress: bool | None = None,
) -> CohortResult:
    """Simulate every subject of a cohort under every arm of a protocol.

    Never raises for one subject: see `CohortResult.status` and `.ledger`. One program is compiled for all arms and
    subjects. With `out`, each finished shard is stored; the same call resumes after an interruption and gives the same
    numbers.

    Inside `jax.grad`, `jax.jit` and the like, with a cohort whose parameters are traced, the result holds traced arrays
    and derivatives are exact: status and ledger then cannot be looked at, and nothing is stored or shown.

    Args:
        model: the model that the cohort was sampled for.
        cohort: who is simulated; subjects whose status is not OK keep that status and are skipped.
        protocol: arms; their `observables` at their `times` are kept as trajectories.
        summaries: endpoints computed during the solve.
        out: run directory (manifest, patients, metrics, trajectories); None keeps results in memory only.
        integrator: default `AutomaticIntegrator()`.
        shard: subjects per stored block.
        progress: None shows a bar on a terminal and a line every 30 s elsewhere; False is silent.

    Raises:
        QspxError: before compute starts, if model, cohort, protocol and endpoints do not fit each other.
        SolveError: after the run, if not one subject could be solved.
    """
    require_model(model)
    integrator = integrator_of(integrator)
    require_kind(protocol, Protocol, "protocol", 'For one regimen, use Protocol([Arm("name", regimen)]).')
    require_kind(cohort, Cohort, "cohort", "Make it by sample_cohort(...), or from an array by Cohort(model, theta).")
    if cohort.model != model:
        raise SolveError(f"the cohort was made for {cohort.model!r}, not for {model!r}; sample it from the same model.")
    if not (cohort.status == Status.OK).any():
        raise SolveError(f"no subject of the cohort can be simulated: {_with_reasons(cohort.ledger)}.")
    if not isinstance(shard, int) or shard < 1:
        raise SolveError(f"Argument `shard` must be a whole number >= 1, but {shard!r} was given.")
    plan = _Plan.of(model, cohort, protocol, summaries, integrator, shard)
    if cohort.is_traced:
        if out is not None:
            raise SolveError("Argument `out` cannot be used under jax transformations: nothing is stored there.")
        return _traced(plan)
    store = _open_store(plan, out) if out is not None else None
    try:
        return _run(plan, store, progress)
    finally:
        if store:
            store.close()


def _run(plan: _Plan, store: RunStore | None, progress: bool | None) -> CohortResult:
    """Solve the shards that the store does not hold yet."""
    blocks: dict[int, _Block] = {i: plan.read(store, i) for i in store.done()} if store else {}
    todo = [i for i in range(plan.shards) if i not in blocks]
    started = time.monotonic()
    done = sum(b.status.size for b in blocks.values())
    try:
        with report(f"simulating {plan.request.model.name}", plan.rows, done, progress) as bar:
            for i in todo:
                blocks[i] = plan.solve(i)
                if store:
                    plan.write(store, i, blocks[i])
                    blocks[i] = dataclasses.replace(blocks[i], values=None)
                bar.advance(blocks[i].status.size)
    except KeyboardInterrupt:
        if store:
            print(f"\ninterrupted: {len(blocks)} of {plan.shards} shards are in {store.path}; the same call resumes.")
        raise
    return _collect(plan, store, blocks, time.monotonic() - started, len(todo))


def _traced(plan: _Plan) -> CohortResult:
    """All arms and subjects at once, as one function of the parameters."""
    import jax.numpy as jnp

    protocol, request, n = plan.protocol, plan.request, len(plan.cohort)
    arms = [plan.cohort.with_parameters(a.covariates).theta for a in protocol.arms]
    events = DoseEvents(*(np.repeat(np.stack(f), n, axis=0) for f in zip(*plan.events, strict=True)))
    found = plan.integrator.solve_traced(request, jnp.concatenate(arms), events)
    values, metrics, status, steps, _ = (x.reshape(len(arms), n, *x.shape[1:]) for x in found)
    usable = plan.cohort.status == Status.OK
    status: Any = jnp.where(usable, status, plan.cohort.status)
    return CohortResult(
        request.model,
        plan.cohort,
        protocol,
        status,
        steps,
        {name: jnp.where(usable, metrics[..., j], jnp.nan) for j, name in enumerate(plan.metric_names)},
        {name: jnp.where(usable[:, None], values[..., j], jnp.nan) for j, name in enumerate(request.observables)},
        np.array(request.times),
        _units(request),
        {"identity": "traced by jax"},
        None,
    )


@dataclasses.dataclass(frozen=True)
class _Block:
    """Results of one shard: status and steps (arms, subjects), metrics (arms, subjects, metrics), values or None."""

    status: np.ndarray
    steps: np.ndarray
    metrics: np.ndarray
    values: np.ndarray | None


@dataclasses.dataclass(frozen=True)
class _Plan:
    request: SolveRequest
    cohort: Cohort
    protocol: Protocol
    integrator: AbstractIntegrator
    events: tuple[DoseEvents, ...]
    shard: int

    @classmethod
    def of(cls, model, cohort, protocol, summaries, integrator, shard) -> _Plan:
        arm = protocol.arms[0]
        regimens = [a.regimen for a in protocol.arms]
        request = solve_request(model, regimens, arm.times, arm.observables, summaries, arm.before)
        if len({s.name for s in summaries}) < len(summaries):
            raise ProtocolError("two `summaries` are the same; ask for each endpoint once.")
        for a in protocol.arms:
            for name in a.covariates:
                model.parameter_index(name)
        subjects = None if cohort.is_traced else cohort.theta
        plan = cls(
            request,
            cohort,
            protocol,
            integrator.chosen(request),
            tuple(stacked_events(regimens, model, [subjects] * len(regimens))),
            shard,
        )
        for i, a in enumerate(() if cohort.is_traced else protocol.arms):
            theta = plan._arm_theta(i, slice(None))[cohort.status == Status.OK]
            require_same_start(a.regimen, model, theta, request.t0, f"the `covariates` of arm `{a.name}`")
        return plan

    @property
    def rows(self) -> int:
        return len(self.cohort) * len(self.protocol.arms)

    @property
    def shards(self) -> int:
        return -(-len(self.cohort) // self.shard)

    @property
    def metric_names(self) -> tuple[str, ...]:
        return tuple(s.name for s in self.request.summaries)

    def subjects(self, i: int) -> slice:
        return slice(i * self.shard, min((i + 1) * self.shard, len(self.cohort)))

    def solve(self, i: int) -> _Block:
        part = self.subjects(i)
        arms, n = len(self.protocol.arms), part.stop - part.start
        given = np.tile(self.cohort.status[part], (arms, 1))
        todo = (given == Status.OK).ravel()
        theta = np.stack([self._arm_theta(a, part) for a in range(arms)]).reshape(arms * n, -1)[todo]
        events = DoseEvents(*(np.repeat(np.stack(f), n, axis=0)[todo] for f in zip(*self.events, strict=True)))
        shape = (arms * n, len(self.request.times), len(self.request.observables))
        status, steps = given.ravel().copy(), np.zeros(arms * n, dtype=np.int64)
        metrics, values = np.full((arms * n, len(self.metric_names)), np.nan), np.full(shape, np.nan)
        if todo.any():
            batch = self.integrator.solve_batch(self.request, theta, events)
            status[todo], steps[todo] = batch.status, batch.steps
            metrics[todo], values[todo] = batch.summaries, batch.values
        return _Block(
            status.reshape(arms, n),
            steps.reshape(arms, n),
            metrics.reshape(arms, n, len(self.metric_names)),
            values.reshape(arms, n, *shape[1:]),
        )

    def _arm_theta(self, a: int, part: slice) -> np.ndarray:
        theta = self.cohort.theta[part].copy()
        for name, value in self.protocol.arms[a].covariates.items():
            theta[:, self.request.model.parameter_index(name)] = value
        return theta

    # storage ------------------------------------------------------------------------------------------------------

    def identity(self) -> dict[str, Any]:
        """What makes two runs the same run."""
        m = self.request.model
        return {
            "model": m.name,
            "model_hash": m.hash,
            "cohort_sha256": self.cohort.digest,
            "subjects": len(self.cohort),
            "seed": self.cohort.seed,
            "arms": {a.name: {"regimen": str(a.regimen), "covariates": dict(a.covariates)} for a in self.protocol.arms},
            "events_sha256": hashlib.sha256(b"".join(f.tobytes() for e in self.events for f in e)).hexdigest(),
            "times": list(self.request.times),
            "before": list(self.request.before),
            "observables": list(self.request.observables),
            "summaries": [repr(s) for s in self.request.summaries],
            "window": [self.request.t0, self.request.t1],
            "integrator": self.integrator.settings,
            "shard": self.shard,
        }

    def write(self, store: RunStore, i: int, block: _Block) -> None:
        import pandas as pd

        part = self.subjects(i)
        arms, n = block.status.shape
        data = {
            "arm": np.repeat(np.arange(arms), n),
            "subject": np.tile(np.arange(part.start, part.stop), arms),
            "status": block.status.ravel(),
            "steps": block.steps.ravel(),
        }
        data |= {name: block.metrics[..., j].ravel() for j, name in enumerate(self.metric_names)}
        assert block.values is not None
        values = {name: block.values[..., j] for j, name in enumerate(self.request.observables)}
        counts = {s.name.lower(): k for s, k in Ledger.of(block.status).counts.items() if k}
        store.write_shard(i, part.start, pd.DataFrame(data), values if self.request.times else {}, {"status": counts})

    def read(self, store: RunStore, i: int) -> _Block:
        frame = store.read_metrics(i)
        shape = (len(self.protocol.arms), len(frame) // len(self.protocol.arms))
        metrics = frame[list(self.metric_names)].to_numpy(float).reshape(*shape, len(self.metric_names))
        return _Block(
            frame["status"].to_numpy().reshape(shape), frame["steps"].to_numpy().reshape(shape), metrics, None
        )


def _open_store(plan: _Plan, out: str | Path) -> RunStore:
    m = plan.request.model
    store = RunStore(out, plan.identity())
    details = {
        "started": now(),
        "environment": environment(),
        "cohort": plan.cohort.origin,
        "citation": m.citation,
        "parameters": {k: p.unit for k, p in m.parameters.items()},
        "time_unit": m.time_unit,
    }
    store.open(details, plan.cohort.to_dataframe())
    shape = (len(plan.protocol.arms), len(plan.cohort), len(plan.request.times))
    units = {n: m.outputs[n].unit for n in plan.request.observables}
    if plan.request.times:
        store.create_trajectories(plan.request.observables, shape, plan.shard, units)
    return store


def _collect(
    plan: _Plan, store: RunStore | None, blocks: Mapping[int, _Block], seconds: float, solved: int
) -> CohortResult:
    ordered = [blocks[i] for i in range(plan.shards)]
    status = np.concatenate([b.status for b in ordered], axis=1)
    metrics = np.concatenate([b.metrics for b in ordered], axis=1)
    m = plan.request.model
    counts = {s.name.lower(): n for s, n in Ledger.of(status).counts.items() if n}
    details = {"ended": now(), "status": counts, "seconds": round(seconds, 3), "shards_solved_last": solved}
    if store:
        manifest = store.finish(details)
        trajectories = store.trajectories() if plan.request.times and plan.request.observables else {}
    else:
        manifest = {"identity": plan.identity(), "environment": environment(), "finished": True, **details}
        trajectories = (
            {
                n: np.concatenate([b.values[..., j] for b in ordered if b.values is not None], axis=1)
                for j, n in enumerate(plan.request.observables)
            }
            if plan.request.times
            else {}
        )
    result = CohortResult(
        m,
        plan.cohort,
        plan.protocol,
        status,
        np.concatenate([b.steps for b in ordered], axis=1),
        {n: metrics[..., j] for j, n in enumerate(plan.metric_names)},
        trajectories,
        np.array(plan.request.times),
        _units(plan.request),
        manifest,
        store.path if store else None,
    )
    if not (status == Status.OK).any():
        raise SolveError(f"not one of {status.size} runs was solved: {result.ledger}. {_first_advice(status)}")
    return result


def _with_reasons(ledger: Ledger) -> str:
    rows = ledger.table()
    return "; ".join(
        f"{n} {status}: {meaning}"
        for status, n, meaning in zip(rows["status"], rows["n"], rows["meaning"], strict=True)
    )


def _first_advice(status: np.ndarray) -> str:
    from qspx._status import STATUS_ADVICE

    advice = STATUS_ADVICE[Status(int(status.flat[0]))]
    return advice[0].upper() + advice[1:] + "."


def _units(request: SolveRequest) -> dict[str, str]:
    m = request.model
    units = {n: m.outputs[n].unit for n in request.observables}
    return units | {s.name: s.unit_in(m) for s in request.summaries}
