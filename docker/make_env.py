"""Make ``docker/.env`` from the example, with a fresh secret wherever the example has none.

Needs the standard library only. An existing file is left alone: its passwords are already in the
databases, and other ones would lock everybody out.
"""

from __future__ import annotations

import base64
import os
import secrets
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
EXAMPLE = HERE / ".env.example"
SECRETS = ("_PASSWORD", "_SECRET", "_SECRET_KEY", "_FERNET_KEY")


def filled(example: str) -> str:
    """The example's text with every empty secret filled in."""
    return "".join(_filled_line(line) for line in example.splitlines(keepends=True))


def _filled_line(line: str) -> str:
    name, separator, value = line.rstrip("\n").partition("=")
    if line.startswith("#") or not separator or value or not name.endswith(SECRETS):
        return line
    return f"{name}={_secret(name)}\n"


def _secret(name: str) -> str:
    if name.endswith("_FERNET_KEY"):
        return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    # The prefix has one of each kind of character that OpenSearch asks for.
    return f"Lm1-{secrets.token_hex(24)}"


def main(target: Path = HERE / ".env") -> int:
    """Write the file, readable by its owner only.

    :return: the process's exit code: 1 when the file is already there.
    """
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        print(
            f"{target} exists and stays as it is: its secrets are in use. Remove it, and the "
            "volumes with `docker compose down --volumes`, to begin anew.",
            file=sys.stderr,
        )
        return 1
    with os.fdopen(descriptor, "w") as stream:
        stream.write(filled(EXAMPLE.read_text()))
    print(f"wrote {target}; now set DIFY_POSTGRES_CONN in it")
    return 0


if __name__ == "__main__":
    sys.exit(main())
