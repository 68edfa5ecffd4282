"""LLVM text to a function pointer, for the processor at hand. Needs no compiler on the user's machine."""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import sys

import numpy as np

from qspx.integrate.native_code import DOUBLE, FORMATS
from qspx.integrate.native_program import LIBRARY


@functools.cache
def _host() -> tuple[str, str]:
    """Name and features of the processor; sets LLVM up once."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    for name in LIBRARY:
        llvm.add_symbol(f"qspx_{name}", _address(name))
    return llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()


def _address(name: str) -> int:
    """Where a function of the C library is."""
    file = "ucrtbase" if sys.platform == "win32" else ctypes.util.find_library("m")
    pointer = ctypes.cast(getattr(ctypes.CDLL(file), name), ctypes.c_void_p).value
    assert pointer is not None
    return pointer


def widest_vector(real: str = DOUBLE) -> int:
    """Numbers of type `real` per vector register of this processor."""
    features = _host()[1].split(",")
    bits = 512 if "+avx512f" in features else 256 if "+avx2" in features else 128
    return bits // FORMATS[real].bits


_of_capsule = ctypes.pythonapi.PyCapsule_GetPointer
_of_capsule.argtypes, _of_capsule.restype = (ctypes.py_object, ctypes.c_char_p), ctypes.c_void_p


class _ArrayStruct(ctypes.Structure):
    """What `__array_struct__` of an array holds, up to where its numbers are."""

    _fields_ = (
        ("two", ctypes.c_int),
        ("dimensions", ctypes.c_int),
        ("kind", ctypes.c_char),
        ("item_size", ctypes.c_int),
        ("flags", ctypes.c_int),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("data", ctypes.c_void_p),
    )


def place(array: np.ndarray) -> int:
    """Where the numbers of an array are; `array.ctypes.data`, but several times as fast."""
    return ctypes.c_void_p.from_address(_of_capsule(array.__array_struct__, None) + _ArrayStruct.data.offset).value or 0


class Kernel:
    """A compiled function of pointers, called without the interpreter's lock. Keeps its machine code alive."""

    def __init__(self, text: str, name: str, arguments: int):
        import llvmlite.binding as llvm

        cpu, features = _host()
        module = llvm.parse_assembly(text)
        machine = llvm.Target.from_default_triple().create_target_machine(cpu=cpu, features=features, opt=2)
        options = llvm.create_pipeline_tuning_options(speed_level=2)
        # a vector is a vector of subjects already; another one across states could round some subjects differently
        options.loop_vectorization = options.slp_vectorization = False
        builder = llvm.create_pass_builder(machine, options)
        builder.getModulePassManager().run(module, builder)
        self._engine = llvm.create_mcjit_compiler(module, machine)
        self._engine.finalize_object()
        self._call = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * arguments)(self._engine.get_function_address(name))

    def __call__(self, *pointers: int) -> None:
        self._call(*pointers)
