"""Text and JSON in a form PostgreSQL can keep, with what it can't keep made visible."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any

MAX_TEXT = 2000
"""Characters kept of a reason or detail: enough to understand, too little to hoard documents."""

NUL_SHOWN = "\u2400"
"""Stands for a NUL character, which neither ``text`` nor ``jsonb`` can hold."""


def storable(value: str) -> str:
    """The text with NUL shown as ``␀`` and a lone surrogate as its escape in ASCII."""
    return value.replace("\0", NUL_SHOWN).encode("utf-8", "backslashreplace").decode()


def cut(value: str) -> str:
    """Storable text of at most :data:`MAX_TEXT` characters; ``…`` at the end shows a cut."""
    value = storable(value)
    return value if len(value) <= MAX_TEXT else f"{value[: MAX_TEXT - 1]}…"


def storable_json(value: Any) -> Any:
    """A JSON value whose texts are :func:`storable` and whose numbers are finite."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, Mapping):
        return {storable(str(name)): storable_json(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [storable_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def key_digest(key: str) -> bytes:
    """SHA-256 of a key, exact where :func:`storable` would make two keys look alike."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
