"""Double precision: switched on by the user's entry point, required by the functions that need it."""

from __future__ import annotations

from qspx._errors import SolveError


class PrecisionWarning(UserWarning):
    """A computation runs in float32; the text says what that costs."""


def enable_x64() -> None:
    """Let jax compute in float64. Call once, before the first array is made; qspx never does so on import."""
    import jax

    jax.config.update("jax_enable_x64", True)


def require_x64(allow_float32: bool = False) -> None:
    """Raise `SolveError` where jax would compute in float32.

    QSP states span many orders of magnitude, so that tolerances below about 1e-5 cannot be met in float32.
    """
    import jax

    if not (allow_float32 or jax.config.read("jax_enable_x64")):
        raise SolveError(
            "qspx computes in float64, but jax is set to float32. Call `qspx.enable_x64()` before any computation, "
            "or set the environment variable JAX_ENABLE_X64=1."
        )
