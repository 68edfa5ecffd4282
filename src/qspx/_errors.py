"""Exceptions of qspx.

A definition mistake raises where the thing is defined, and the message says what must hold, what was found, and
how to repair it. Failures of single subjects in a batch are never exceptions; they are a
[`Status`][qspx._status.Status].
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class QspxError(ValueError):
    """Base of every error that qspx raises on purpose."""


class UnitError(QspxError):
    """A unit that cannot be read, converted, or that does not fit its place in a model."""


class ModelError(QspxError):
    """A model, species, parameter, observable or network that is not well defined."""


class DoseError(QspxError):
    """A dose or regimen that is not well defined or does not fit the model."""


class ProtocolError(QspxError):
    """An arm or protocol that is not well defined or does not fit the model."""


class SolveError(QspxError):
    """A simulation that cannot be started as asked."""


class CalibrationError(QspxError):
    """Measurements, a calibration problem or a fit that are not well defined."""


class ThresholdError(QspxError):
    """A dose or concentration threshold that is never reached, or not unique."""


class ConfigError(QspxError):
    """A setting, file or environment that does not allow the requested run."""


class NotTraceable(QspxError):
    """A model function with a construct that the jaxpr interpreter does not follow."""


def closest(name: str, options: Iterable[str]) -> str:
    """`" Did you mean `x`?"` for the option most like `name`, or `""` when none is near."""
    names = [str(option) for option in options]
    lower = {option.lower(): option for option in names}
    if str(name).lower() in lower:
        return f" Did you mean `{lower[str(name).lower()]}`?"
    found = difflib.get_close_matches(str(name), names, n=1, cutoff=0.6)
    if not found:
        found = [lower[hit] for hit in difflib.get_close_matches(str(name).lower(), list(lower), n=1, cutoff=0.6)]
    return f" Did you mean `{found[0]}`?" if found else ""
