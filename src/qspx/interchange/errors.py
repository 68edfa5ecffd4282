"""What an exchanged file may hold and qspx does not take."""

from __future__ import annotations

from qspx._errors import QspxError


class InterchangeError(QspxError):
    """A file that cannot be read, or that cannot be written as asked."""


class NotSupported(InterchangeError):
    """A construct of an exchange format that qspx does not take, with its element and line; nothing is dropped."""
