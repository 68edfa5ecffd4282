"""The CUDA C text itself, and what happens where it cannot be run. Needs neither a compiler nor a GPU."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import subprocess
import sys
import warnings
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest
import systems
from programs import ZOO
from test_diffrax_integrator import REQUEST, TROUBLE, tile
from test_program import model_called

from qspx import AUC, Last, Max, Min, TimeAbove, Tmax
from qspx._errors import SolveError
from qspx._precision import PrecisionWarning
from qspx._status import Status
from qspx.integrate import CudaIntegrator, SolveRequest, cuda_batch, cuda_device, cuda_loop, loop_arrays, native_memory
from qspx.integrate.cuda_program import PRECISIONS, printed
from qspx.integrate.lowering import lower, lower_functions
from qspx.integrate.observed import observed


def of_precision(precision: str) -> CudaIntegrator:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PrecisionWarning)
        return CudaIntegrator(rtol=1e-4, precision=precision)


SINGLE = of_precision("float32")
PROGRAMS = ("prologue", "rates", "factor", "solve", "seen_prologue", "initial", "samples", "levels", "slopes", "bends")


class Driven(systems.AbstractModel):
    """A rate that depends on time: the one case in which the method needs the drift."""

    x = systems.Species("1")
    k = systems.Parameter(1.0, "1/day")

    def rates(self, t, y, p):
        return {"x": p.k * jnp.cos(p.k * t) * y.x}


def isb_request() -> SolveRequest:
    kinds = (Max("nACT"), Tmax("nACT", 1, 3), Min("C"), AUC("C"), Last("nACT"), TimeAbove("nACT", 3.0))
    return SolveRequest(model_called("isb2001"), (1.0, 2.0), ("nACT", "C"), kinds, 0.0, 7.0, marks=True)


def functions_of(text: str) -> dict[str, str]:
    """Bodies of the printed programs by name."""
    found = re.findall(r"^QSPX_PROGRAM void (\w+)\([^)]*\)\n\{\n(.*?)^\}", text, flags=re.S | re.M)
    assert len(dict(found)) == len(found)
    return dict(found)


# one function per program, one line per operation ------------------------------------------------------------------


def test_every_program_is_one_function_with_one_line_per_operation():
    request = isb_request()
    functions = functions_of(CudaIntegrator().source(request))
    assert tuple(functions) == PROGRAMS
    low, seen = lower(request.model), observed(request.model, ("nACT", "C"), ("nACT", "C"))
    programs = {name: getattr(low, name) for name in ("prologue", "rates", "factor", "solve")}
    programs |= {name: getattr(seen, name) for name in ("initial", "samples", "levels", "slopes", "bends")}
    programs["seen_prologue"] = seen.prologue
    for name, program in programs.items():
        lines = functions[name].splitlines()
        assert sum(line.startswith("    const ") for line in lines) == program.operations, name
        stored = sum(len(nodes) for nodes in program.outputs.values())
        assert sum(line.startswith("    out_") for line in lines) == stored, name


def test_every_name_is_written_before_it_is_read():
    for body in functions_of(CudaIntegrator().source(isb_request())).values():
        known: set[str] = set()
        for line in body.splitlines():
            target, read = re.match(r"\s+(?:const \w+ (v\d+)|out_\w+\[\d+\]) = (.*);$", line).groups()
            assert set(re.findall(r"\bv\d+\b", read)) <= known
            known.add(target)


def test_the_drift_is_printed_where_rates_depend_on_time():
    request = SolveRequest(Driven(), (1.0,), ("x",), (), 0.0, 2.0)
    text = CudaIntegrator().source(request)
    assert "drift" in functions_of(text) and "#define QSPX_DRIFTS 1" in text
    assert "#define QSPX_DRIFTS 0" in CudaIntegrator().source(REQUEST)


def test_arguments_are_the_arrays_of_the_native_loop_then_queue_and_numbers():
    written = tuple(k for k in native_memory.WRITTEN if k != "records")  # of the tape
    assert tuple(cuda_loop.READ) == native_memory.READ and tuple(cuda_loop.WRITTEN) == written
    assert cuda_loop.SLOTS == 1 + max(loop_arrays.KINDS.values())
    text = CudaIntegrator().source(REQUEST)
    (given,) = re.findall(r"QSPX_KERNEL void run\((.*?)\)", text, flags=re.S)
    names = [argument.split()[-1] for argument in given.split(",")]
    fields = [*cuda_loop.READ, *cuda_loop.WRITTEN, "queue", *cuda_loop.NUMBERS]
    assert names == [{"unsigned": "nonnegative", "whole": "times_over"}.get(name, name) for name in fields]
    (job,) = re.findall(r"struct Job \{\n(.*?)\};", text, flags=re.S)
    assert [line.split()[-1].rstrip(";") for line in job.splitlines()] == names
    assert f"job = {{{', '.join(names)}}};" in text


def test_codes_are_those_of_the_status():
    text = CudaIntegrator().source(REQUEST)
    for status in (Status.OK, Status.MAX_STEPS, Status.DT_MIN, Status.NONFINITE):
        assert f"constexpr int {status.name} = {int(status)};" in text


# the same question, the same text ------------------------------------------------------------------------------------


def test_equal_requests_have_equal_texts_and_others_have_not():
    def text(times, kinds, **settings):
        return CudaIntegrator(**settings).source(SolveRequest(systems.TMDD(), times, ("C",), kinds, 0.0, 9.0))

    first = text((1.0,), (Max("C"),))
    cuda_batch._source.cache_clear()
    assert text((1.0,), (Max("C"),)) == first
    # neither how many nor when nor how exact is compiled in
    assert text((1.0, 2.0), (Max("C"), Max("C", 1, 2)), rtol=1e-3, max_steps=5) == first
    assert text((1.0,), (AUC("C"),)) != first
    assert text((1.0,), (TimeAbove("C", 1.0),)) == text((1.0,), (TimeAbove("C", 2.0, 1, 3),)) != first
    assert text((1.0,), (Max("occupancy"),)) != first


def test_marks_are_compiled_in_where_they_are_asked_for():
    request = SolveRequest(systems.TMDD(), (1.0,), ("C",), (), 0.0, 9.0)
    texts = [CudaIntegrator().source(dataclasses.replace(request, marks=marks)) for marks in (False, True)]
    assert [f"constexpr int MARKS = {i};" in text for i, text in enumerate(texts)] == [True, True]


def test_the_text_is_the_same_in_another_process():
    code = (
        "import sys, hashlib, qspx; sys.path[:0] = sys.argv[1:]; qspx.enable_x64()\n"
        "import systems\nfrom qspx import AUC, Max, Tmax\nfrom qspx.integrate import CudaIntegrator, SolveRequest\n"
        "request = SolveRequest(systems.TMDD(), (1.0,), ('C', 'R'), (Max('C'), AUC('R'), Tmax('RC')), 0.0, 9.0)\n"
        "print(hashlib.sha256(CudaIntegrator().source(request).encode()).hexdigest())"
    )
    place = os.path.dirname(systems.__file__)
    done = subprocess.run(
        [sys.executable, "-c", code, place], capture_output=True, text=True, env=os.environ | {"PYTHONHASHSEED": "7"}
    )
    request = SolveRequest(systems.TMDD(), (1.0,), ("C", "R"), (Max("C"), AUC("R"), Tmax("RC")), 0.0, 9.0)
    assert done.stdout.strip() == hashlib.sha256(CudaIntegrator().source(request).encode()).hexdigest(), done.stderr


# precision ------------------------------------------------------------------------------------------------------------

LITERAL = re.compile(r"(?<![\w.])(?:\d+\.\d*(?:e[+-]?\d+)?|\d+e[+-]?\d+)(\w*)")
DOUBLE_FUNCTION = re.compile(r"(?<!\w)(?:sqrt|exp|log|expm1|log1p|pow|sin|cos|tanh|atan|erf|floor|ceil|rint|fmod)\(")


@pytest.mark.parametrize("asked", [lambda: REQUEST, isb_request], ids=["trouble", "isb2001"])
def test_no_double_literal_or_function_in_single_precision(asked):
    text = SINGLE.source(asked())
    assert "typedef float real;" in text and "#define R(x) x##f" in text and "#define F(name) name##f" in text
    bare = re.sub(r"\bR\([^()]*\)", "", re.sub(r"//.*", "", text))
    assert {suffix for suffix in LITERAL.findall(bare)} == {"f"}
    assert not DOUBLE_FUNCTION.search(bare)


def test_double_precision_has_no_single_literal():
    bare = re.sub(r"\bR\([^()]*\)", "", re.sub(r"//.*", "", CudaIntegrator().source(isb_request())))
    assert {suffix for suffix in LITERAL.findall(bare)} == {""}


@pytest.mark.parametrize("name", PRECISIONS)
@pytest.mark.parametrize("x", [0.0, -0.0, 1.0, 0.1, -2.5e-7, 6.02214076e23, 1 / 3, np.pi, 1.5e-42])
def test_a_literal_reads_back_as_the_same_number(name, x):
    text = PRECISIONS[name].literal(x).strip("()")
    kind = np.dtype(name).type
    found = kind(text.removesuffix("f"))
    assert found == kind(x) and np.signbit(found) == np.signbit(x)
    assert "." in text or "e" in text  # a literal, not a whole number


def test_special_constants_have_names():
    literal = PRECISIONS["float64"].literal
    assert [literal(x) for x in (np.inf, -np.inf, np.nan)] == [
        "((real)QSPX_INFINITE)",
        "(-(real)QSPX_INFINITE)",
        "((real)QSPX_NOT_A_NUMBER)",
    ]


@pytest.mark.parametrize("x", [1e39, -1e300, 1e-60])
def test_a_constant_that_single_precision_has_not_is_refused(x):
    with pytest.raises(SolveError, match=rf"constant {re.escape(f'{x:g}')}, which float32 has no number for.*float64"):
        PRECISIONS["float32"].literal(x)


@pytest.mark.parametrize("name", ZOO)
def test_every_construct_prints_in_both_precisions(name):
    rates = lower_functions(ZOO[name], None, 3, 3).rates
    for precision in PRECISIONS.values():
        text = printed("rates", rates, ("t", "y", "theta", "fixed"), precision)
        assert text.startswith("QSPX_PROGRAM void rates(real t, const real* __restrict__ y,")
        assert "None" not in text and "np." not in text


# what it refuses -----------------------------------------------------------------------------------------------------


def test_settings_are_checked_and_named():
    for name in ("rtol", "atol", "max_steps"):
        with pytest.raises(SolveError, match=f"`{name}` must be a number > 0"):
            CudaIntegrator(**{name: 0})
    with pytest.raises(SolveError, match='`precision` must be "float64" or "float32", but \'half\''):
        CudaIntegrator(precision="half")
    with pytest.raises(SolveError, match='`rtol` must be >= 1e-05 with precision="float32", but 1e-06'):
        CudaIntegrator(precision="float32")
    with pytest.warns(PrecisionWarning, match="six digits"):
        CudaIntegrator(rtol=1e-4, precision="float32")
    expected = {"integrator": "CudaIntegrator", "solver": "Rodas5P", "rtol": 1e-6, "atol": 1e-12}
    assert CudaIntegrator().settings == expected | {"max_steps": 100_000, "precision": "float64"}


def test_a_model_without_a_scalar_program_is_refused_with_the_way_out():
    class Angle(systems.AbstractModel):
        x = systems.Species("1")
        k = systems.Parameter(1.0, "1/day")

        def rates(self, t, y, p):
            return {"x": p.k * jnp.arctan2(y.x, 1.0)}

    with pytest.raises(SolveError, match=r"(?s)Angle cannot be compiled for Cuda.*atan2.*DiffraxIntegrator"):
        CudaIntegrator().source(SolveRequest(Angle(), (1.0,), ("x",), (), 0.0, 1.0))


class CudaError(RuntimeError):
    pass


class CompileError(Exception):
    pass


def cupy_like(count: object, compile_error: Exception | None = None, launch_error: Exception | None = None):
    """What `cuda_device` uses of cupy, with arrays on the host and a kernel that does nothing."""

    def compiled():
        if compile_error:
            raise compile_error

    def devices():
        if isinstance(count, Exception):
            raise count
        return count

    class Kernel:
        launches: list[tuple] = []
        compile = staticmethod(compiled)

        def __call__(self, grid, block, arguments):
            if launch_error:
                raise launch_error
            self.launches.append((grid, block, arguments))

    class Array(np.ndarray):
        def get(self):
            return np.asarray(self)

    return SimpleNamespace(
        RawModule=lambda **given: SimpleNamespace(get_function=lambda name: Kernel()),
        asarray=lambda a: a.copy().view(Array),
        zeros=np.zeros,
        kernel=Kernel,
        cuda=SimpleNamespace(
            runtime=SimpleNamespace(getDeviceCount=devices, CUDARuntimeError=CudaError),
            driver=SimpleNamespace(CUDADriverError=CudaError),
            compiler=SimpleNamespace(CompileException=CompileError),
            Device=lambda: SimpleNamespace(attributes={"MultiProcessorCount": 2}),
        ),
    )


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (None, r"needs cupy.*pip install qspx\[cuda12\].*BatchIntegrator"),
        (cupy_like(0), "needs an NVIDIA GPU.*finds none.*BatchIntegrator"),
        (cupy_like(CudaError("no driver")), "needs an NVIDIA GPU.*no driver.*BatchIntegrator"),
        (cupy_like(1, CompileError("line 3")), "NVRTC.*did not compile.*line 3.*BatchIntegrator"),
        (cupy_like(1, OSError("libnvrtc.so")), "NVRTC.*not found.*libnvrtc.so.*BatchIntegrator"),
        (cupy_like(1, None, CudaError("too many resources")), "did not run 3 subjects: too many resources"),
        (cupy_like(1, None, MemoryError("4 GB")), "did not run 3 subjects: 4 GB.*Fewer at a time"),
    ],
)
def test_what_is_missing_is_said(monkeypatch, module, said):
    monkeypatch.setitem(sys.modules, "cupy", module)
    cuda_batch._launch.cache_clear()
    with pytest.raises(SolveError, match=said):
        CudaIntegrator().solve_batch(REQUEST, np.tile(TROUBLE.theta, (3, 1)), tile(3))
    cuda_batch._launch.cache_clear()


@pytest.mark.parametrize(("rows", "blocks"), [(1, 1), (128, 1), (129, 2), (100_000, 2 * cuda_device.BLOCKS)])
def test_the_launch_covers_the_subjects_and_no_more_than_the_device(monkeypatch, rows, blocks):
    cupy = cupy_like(1)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    cuda_batch._launch.cache_clear()
    found = CudaIntegrator().solve_batch(REQUEST, np.tile(TROUBLE.theta, (rows, 1)), tile(rows))
    cuda_batch._launch.cache_clear()
    (((grid,), (threads,), arguments),) = cupy.kernel.launches
    assert (grid, threads) == (blocks, cuda_device.THREADS)
    arrays = dict(zip([*cuda_loop.READ, *cuda_loop.WRITTEN, "queue"], arguments, strict=False))
    assert arrays["theta"].shape == (len(TROUBLE.theta), rows)  # patients last
    assert arrays["values"].shape == (2, 2, rows) and arrays["endpoints"].shape == (3, cuda_loop.SLOTS, rows)
    assert arrays["time"].shape == arrays["before"].shape == (3, rows)
    assert arrays["queue"].dtype == np.uint64 and not arrays["queue"].any()
    numbers = dict(zip(cuda_loop.NUMBERS, arguments[len(arrays) :], strict=True))
    assert numbers == {
        "rows": rows, "max_steps": 100_000, "events": 1, "summaries": 3, "t0": 0.0, "t1": 4.0, "rtol": 1e-6,
    }  # fmt: skip
    np.testing.assert_array_equal(arrays["atol"], [1e-12] * len(TROUBLE.species))
    assert {type(numbers[k]).__name__ for k in ("rows", "max_steps", "events", "summaries")} == {"int64"}
    assert (found.status == Status.NOT_RUN).all()  # this kernel does nothing, and nothing hides it
    assert np.isnan(found.values).all()
