"""How the small programs of a population fit are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

# A fit runs each program some hundred times on small arrays, and compiles it once: half the time of compiling is worth
# more than what optimised machine code gains.
_OPTIONS = {"xla_backend_optimization_level": 0}


def compiled(function: Callable[..., Any]) -> Any:
    """`jax.jit`, quick to compile."""
    return jax.jit(function, compiler_options=_OPTIONS)
