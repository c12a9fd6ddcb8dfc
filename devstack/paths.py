"""Where the dev stack keeps things: all of it below ``build/`` of the checkout."""

from __future__ import annotations

import os
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
BUILD = CHECKOUT / "build"
CACHE = BUILD / "cache"
ENGINES = CHECKOUT / "devstack" / "engines"
"""Lock files and launcher sources of the search engines."""


def write_private(path: Path, text: str) -> None:
    """Write a file only its owner can read; readers see the old or the new text, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(text)
    draft.replace(path)
