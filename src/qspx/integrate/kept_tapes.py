"""Tapes of the last runs, so that their derivatives need not run the subjects once more.

A run under differentiation keeps its tape here; the sweep that belongs to it finds the tape by all that the run was
given, to the last bit. Where there is none, or a subject had more steps than there was room for, the sweep runs the
subjects again: the numbers are the same.
"""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

import numpy as np

from qspx.integrate.native_call import NativeSettings, Tape
from qspx.integrate.native_tape import RECORD_HEAD

ROOM = 1024  # records of each subject; pages that nothing is written to take no memory
LARGEST = 64 * 2**20  # bytes of all kept tapes together
_LEAST = 32  # records: with less room it is not worth it


class Kept(NamedTuple):
    """The tape of a run, and the endpoints that the run wrote."""

    tape: Tape
    endpoints: np.ndarray

    @property
    def size(self) -> int:
        return self.tape.records.nbytes + self.endpoints.nbytes


class KeptTapes:
    """At most `LARGEST` bytes of tapes, the last ones. Safe to use from several threads."""

    def __init__(self):
        self._lock, self._found = threading.Lock(), dict[Any, Kept]()

    def add(self, key: Any, kept: Kept) -> None:
        with self._lock:
            self._found.pop(key, None)
            self._found[key] = kept
            while sum(k.size for k in self._found.values()) > LARGEST:
                del self._found[next(iter(self._found))]

    def take(self, key: Any) -> Kept | None:
        """The tape, which is kept no longer."""
        with self._lock:
            return self._found.pop(key, None)


KEPT = KeptTapes()


def key_of(settings: NativeSettings, request: Any, *arrays: np.ndarray) -> Any:
    """All that a run was given."""
    return settings, request, *((a.shape, a.tobytes()) for a in arrays)


def room_for(rows: int, species: int) -> Tape | None:
    """Memory for the tape of a run that is to be kept, or None where it would be too large."""
    room = min(ROOM, LARGEST // (2 * 8 * max(rows, 1) * (RECORD_HEAD + species)))
    if room < _LEAST:
        return None
    first = np.arange(rows, dtype=np.int64) * room
    return Tape(np.empty((rows * room, RECORD_HEAD + species)), first, room)
