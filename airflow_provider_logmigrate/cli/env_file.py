"""Settings written as ``NAME=value`` lines, as in Dify's ``.env``."""

from __future__ import annotations

import re
from pathlib import Path

from airflow_provider_logmigrate.core.errors import ConfigInvalid

_QUOTED = re.compile(r"""(["'])(.*)\1\s*(?:#.*)?""")
_COMMENT = re.compile(r"(?:^|\s+)#.*")


def read_env_file(path: Path) -> dict[str, str]:
    """Read a ``.env`` file; the last of several equal names counts.

    Only a matching pair of quotes around the whole value is taken off: any other quote belongs to
    the value, which may be a password. ``#`` begins a comment behind a space, outside of quotes.

    :raises ConfigInvalid: the file can't be read.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise ConfigInvalid(
            f"the file can't be read: {error.strerror}",
            where=str(path),
            next_step="name Dify's .env file",
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigInvalid(
            f"the file isn't UTF-8 text (byte {error.start})",
            where=str(path),
            next_step="name Dify's .env file",
        ) from None
    settings = {}
    for line in lines:
        name, sign, value = line.strip().removeprefix("export ").partition("=")
        if sign and not name.startswith("#"):
            settings[name.strip()] = _value(value.strip())
    return settings


def _value(text: str) -> str:
    quoted = _QUOTED.fullmatch(text)
    if quoted is None:
        return _COMMENT.sub("", text)
    if quoted[1] == "'":
        return quoted[2]
    return re.sub(r'\\(["\\$])', r"\1", quoted[2])
