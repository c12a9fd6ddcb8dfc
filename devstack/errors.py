"""The one error the dev stack raises: what failed, where to look, what to do next."""

from __future__ import annotations

from pathlib import Path


class DevstackError(Exception):
    """A part of the dev stack could not do its work. The message is meant for a person."""


def last_lines(log: Path, count: int = 25) -> str:
    """The end of a log file for an error message, and where the rest is."""
    if not log.exists():
        return f"(no log was written to {log})"
    lines = log.read_text(errors="replace").splitlines()
    shown = "\n".join(f"    {line}" for line in lines[-count:]) or "    (the log is empty)"
    return f"last lines of {log}:\n{shown}"
