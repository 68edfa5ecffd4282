"""Where a result comes from: versions, machine, settings."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
import sys
from typing import Any

PACKAGES = ("qspx", "jax", "jaxlib", "diffrax", "equinox", "numpy", "scipy", "pandas")


def versions() -> dict[str, str]:
    """Installed versions of what the numbers depend on."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def environment() -> dict[str, Any]:
    """Python, system, devices and float width."""
    import jax

    devices = jax.devices()
    return {
        "python": sys.version.split()[0],
        "system": f"{platform.system()} {platform.machine()}",
        "device": f"{len(devices)} x {devices[0].device_kind} ({devices[0].platform})",
        "x64": bool(jax.config.read("jax_enable_x64")),
        "versions": versions(),
    }


def now() -> str:
    """UTC time, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
