"""The native engine as operations of jax: inside `jit`, `vmap` and `grad`.

Three primitives work on rows (subjects): `solve` runs them; `push` is its derivative along directions, by a sweep
forward over the tape of accepted steps; `pull`, the transpose of `push`, is the sweep back. Each is a call of the host;
batch dimensions become more rows, or more directions. Second derivatives are refused: use `DiffraxIntegrator`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from qspx._errors import SolveError
from qspx.dose_events import SubjectDoses
from qspx.integrate.base import Samples, SolveRequest
from qspx.integrate.kept_tapes import KEPT, Kept, key_of, room_for
from qspx.integrate.loop_arrays import solution
from qspx.integrate.native_call import NativeSettings, forward
from qspx.integrate.reverse_call import pulled_back
from qspx.integrate.tangent_call import pushed_forward

# arguments by row: those with derivatives first
DIFFERENTIABLE: tuple[str, ...] = ("theta", "start", "end", "jump", "rate", "turn", "part")
_GIVEN: tuple[str, ...] = ("species", "mark", "kind", "interval", "whole", "time", "before")
_MOVED = len(DIFFERENTIABLE)
_ARGUMENTS = _MOVED + len(_GIVEN)


def solve(request: SolveRequest, settings: NativeSettings, theta: Any, doses: SubjectDoses, samples: Samples) -> tuple:
    """Values (rows, times, observables), summaries (rows, summaries), status, steps and end time (rows,), traceable.

    theta (rows, parameters), doses (rows, events), samples (rows, times). Differentiable by theta and the doses'
    starts, ends, amounts and rates.
    """
    shape = jnp.shape(doses.start)
    named: dict[str, Any] = {k: jnp.broadcast_to(getattr(doses, k), shape) for k in SubjectDoses._fields}
    named |= {"theta": jnp.asarray(theta), "time": jnp.asarray(samples.time), "before": jnp.asarray(samples.before)}
    given = [named[k] for k in DIFFERENTIABLE + _GIVEN]
    return tuple(solve_p.bind(*given, request=request, settings=settings, keep=False))[:5]


def _split(args: Sequence[Any]) -> tuple[np.ndarray, SubjectDoses, Samples]:
    named = dict(zip(DIFFERENTIABLE + _GIVEN, map(np.asarray, args), strict=True))
    doses = SubjectDoses(**{k: named[k] for k in SubjectDoses._fields})
    return named["theta"], doses, Samples(named["time"], named["before"])


# on the host --------------------------------------------------------------------------------------------------------


def _solve_host(*args: Any, request: SolveRequest, settings: NativeSettings, keep: bool) -> tuple[np.ndarray, ...]:
    """`keep`: with the tape kept for the sweep that will follow."""
    theta, doses, samples = _split(args)
    tape = room_for(len(theta), len(request.model.species)) if keep else None
    written = forward(request, settings, theta, doses, samples, tape)
    if tape is not None:
        KEPT.add(key_of(settings, request, theta, *doses, *samples), Kept(tape, written["endpoints"]))
    return (*solution(request, samples, written), written["records"])


def _push_host(*args: Any, request: SolveRequest, settings: NativeSettings) -> tuple[np.ndarray, ...]:
    theta, doses, samples = _split(args[:_ARGUMENTS])
    records, status, *dots = (np.asarray(a) for a in args[_ARGUMENTS:])
    named = dict(zip((f"{k}_dot" for k in DIFFERENTIABLE), dots, strict=True))
    theta_dot = named.pop("theta_dot")
    return pushed_forward(request, settings, theta, doses, samples, records, status, theta_dot, named)


def _pull_host(*args: Any, request: SolveRequest, settings: NativeSettings) -> tuple[np.ndarray, ...]:
    theta, doses, samples = _split(args[:_ARGUMENTS])
    rest = (np.asarray(a) for a in args[_ARGUMENTS:])
    found = pulled_back(request, settings, theta, doses, samples, *rest)
    return tuple(found[f"{k}_bar"] for k in DIFFERENTIABLE)


# shapes ---------------------------------------------------------------------------------------------------------------


def _outputs(rows: int, request: SolveRequest, *directions: int) -> list[ShapedArray]:
    """Of values and summaries."""
    shapes = ((len(request.times), len(request.observables)), (len(request.summaries),))
    return [ShapedArray((rows, *directions, *shape), np.dtype(float)) for shape in shapes]


def _solve_shapes(
    theta: Any, *_: Any, request: SolveRequest, settings: NativeSettings, keep: bool
) -> list[ShapedArray]:
    rows = theta.shape[0]
    kinds = (np.int32, np.int32, float, float)  # status, steps, end time, records
    return [*_outputs(rows, request), *(ShapedArray((rows,), np.dtype(k)) for k in kinds)]


def _push_shapes(theta: Any, *args: Any, request: SolveRequest, settings: NativeSettings) -> list[ShapedArray]:
    return _outputs(theta.shape[0], request, args[-1].shape[1])


def _pull_shapes(*args: Any, request: SolveRequest, settings: NativeSettings) -> list[ShapedArray]:
    return [ShapedArray(a.shape, np.dtype(float)) for a in args[:_MOVED]]


def _primitive(name: str, host: Callable, shapes: Callable) -> Primitive:
    p = Primitive(f"qspx_{name}")
    p.multiple_results = True
    p.def_abstract_eval(shapes)
    p.def_impl(lambda *args, **params: [jnp.asarray(x) for x in host(*args, **params)])

    def lowered(ctx: Any, *args: Any, **params: Any) -> Any:
        """Calls the host with arrays of numpy: `jax.pure_callback` would make them arrays of jax first."""
        call = functools.partial(host, **params)
        return mlir.emit_python_callback(ctx, call, None, args, ctx.avals_in, ctx.avals_out, has_side_effect=False)[0]

    mlir.register_lowering(p, lowered)
    return p


solve_p = _primitive("solve", _solve_host, _solve_shapes)
push_p = _primitive("push", _push_host, _push_shapes)
pull_p = _primitive("pull", _pull_host, _pull_shapes)


# derivatives --------------------------------------------------------------------------------------------------------


def _solve_jvp(primals: Sequence[Any], tangents: Sequence[Any], *, keep: bool, **params: Any) -> tuple[list, list]:
    if params["request"].marks:
        _refuse_marks(tangents[_MOVED:])
    dots = tangents[:_MOVED]
    constant = all(type(d) is ad.Zero for d in dots)
    out = solve_p.bind(*primals, keep=keep or not constant, **params)
    still = [ad.Zero(jax.typeof(x).to_tangent_aval()) for x in out]
    if constant:
        return out, still
    dots = [jnp.zeros(x.shape) if type(d) is ad.Zero else d for d, x in zip(dots, primals, strict=False)]
    status, records = out[2], out[5]
    moved = push_p.bind(*primals, records, status, *(d[:, None] for d in dots), **params)
    return out, [*(m[:, 0] for m in moved), *still[2:]]


def _refuse_marks(tangents: Sequence[Any]) -> None:
    """Where a steady state or a reset is, and how far apart its doses are, are data here."""
    given = dict(zip(_GIVEN, tangents, strict=True))
    for name, said in (("mark", "times of steady states and resets"), ("interval", "intervals of steady states")):
        dot = given[name]
        if not (type(dot) is ad.Zero or dot.dtype == jax.dtypes.float0):
            raise SolveError(
                f"derivatives by {said} are not available in BatchIntegrator; use DiffraxIntegrator, or a `lag`, by "
                "which there are derivatives."
            )


def _push_transpose(bars: Sequence[Any], *args: Any, **params: Any) -> list:
    """Cotangents have one direction more than those of `pull`; each is a pull of its own."""
    theta, directions = args[0], args[-1].aval.shape[1]
    shapes = _outputs(theta.shape[0], params["request"], directions)
    full = [jnp.zeros(s.shape) if type(b) is ad.Zero else b for b, s in zip(bars, shapes, strict=True)]
    known = args[: _ARGUMENTS + 2]
    parts = [pull_p.bind(*known, *(b[:, i] for b in full), **params) for i in range(directions)]
    return [None] * len(known) + [jnp.stack(part, axis=1) for part in zip(*parts, strict=True)]


def _refuse(*_: Any, **__: Any) -> NoReturn:
    raise SolveError(
        "second derivatives through BatchIntegrator are not available; use DiffraxIntegrator (with reverse=True for "
        "jax.grad)."
    )


ad.primitive_jvps[solve_p] = _solve_jvp
ad.primitive_transposes[push_p] = _push_transpose
ad.primitive_jvps[push_p] = lambda primals, tangents, **params: _push_jvp(primals, tangents, **params)
ad.primitive_jvps[pull_p] = _refuse


def _push_jvp(primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple[list, list]:
    """Linear in the directions; refuses anything else."""
    known = _ARGUMENTS + 2
    if not all(type(t) is ad.Zero or t.dtype == jax.dtypes.float0 for t in tangents[:known]):
        _refuse()
    dots = [jnp.zeros(x.shape) if type(t) is ad.Zero else t for t, x in zip(tangents, primals, strict=True)][known:]
    return push_p.bind(*primals, **params), push_p.bind(*primals[:known], *dots, **params)


# batches --------------------------------------------------------------------------------------------------------------


def _as_rows(p: Primitive, args: Sequence[Any], dims: Sequence[Any], **params: Any) -> tuple[list, list]:
    """A batch dimension becomes more rows."""
    size = next(a.shape[d] for a, d in zip(args, dims, strict=True) if d is not None)
    moved = [
        jnp.broadcast_to(a, (size, *a.shape)) if d is None else jnp.moveaxis(a, d, 0)
        for a, d in zip(args, dims, strict=True)
    ]
    rows = moved[0].shape[1]
    out = p.bind(*(a.reshape(size * rows, *a.shape[2:]) for a in moved), **params)
    return [o.reshape(size, rows, *o.shape[1:]) for o in out], [0] * len(out)


def _push_batched(args: Sequence[Any], dims: Sequence[Any], **params: Any) -> tuple[list, list]:
    """A batch of directions at one point becomes more directions."""
    known = _ARGUMENTS + 2
    if any(d is not None for d in dims[:known]):
        return _as_rows(push_p, args, dims, **params)
    size = next(a.shape[d] for a, d in zip(args, dims, strict=True) if d is not None)
    dots = [
        jnp.broadcast_to(a[:, None], (a.shape[0], size, *a.shape[1:])) if d is None else jnp.moveaxis(a, d, 1)
        for a, d in zip(args[known:], dims[known:], strict=True)
    ]
    rows, each = dots[0].shape[0], dots[0].shape[2]
    out = push_p.bind(*args[:known], *(d.reshape(rows, size * each, *d.shape[3:]) for d in dots), **params)
    return [jnp.moveaxis(o.reshape(rows, size, each, *o.shape[2:]), 1, 0) for o in out], [0] * len(out)


batching.primitive_batchers[solve_p] = functools.partial(_as_rows, solve_p)
batching.primitive_batchers[push_p] = _push_batched
batching.primitive_batchers[pull_p] = functools.partial(_as_rows, pull_p)
