"""Makes the virtual environment ``.venv`` from a lock file, with nothing but Python and pip.

``python3 devstack/bootstrap.py demo`` installs what the demo needs, ``dev`` also the tools for
tests. Run by every ``make`` target: when all is as the locks want it, it ends at once. Everything
it writes is in ``.venv`` and ``build/`` of the checkout, caches included.
"""

# This file alone must run on the machine's own Python, and an old one must get as far as being
# told so: no `from __future__ import annotations`, which Python 3.6 does not know.
# ruff: noqa: I002

import argparse
import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
BUILD = CHECKOUT / "build"
ENVIRONMENT = CHECKOUT / ".venv"
STAMP = ENVIRONMENT / "bootstrap.json"
TOOLS = BUILD / "tools"
TOOLS_LOCK = CHECKOUT / "devstack" / "bootstrap.lock"
TOOLS_STAMP = TOOLS / "bootstrap.sha256"
MINIMUM = (3, 10)

NO_NETWORK = """\
If a download failed: check that this machine reaches the Python package index.
  - behind a proxy: set HTTPS_PROXY
  - if the proxy or the company has a certificate authority of its own: set SSL_CERT_FILE to its
    file, or UV_SYSTEM_CERTS=1 to trust what the system trusts
  - with a mirror of the index: set PIP_INDEX_URL and UV_DEFAULT_INDEX to it
Then run the same command again: what was downloaded is kept."""


class BootstrapError(Exception):
    """Setting up failed; the message says what to do."""


def main() -> int:
    """Set up the wanted environment and return the exit code."""
    parser = argparse.ArgumentParser(description="Make the virtual environment .venv.")
    parser.add_argument("wanted", choices=["demo", "dev"])
    wanted = parser.parse_args().wanted
    try:
        if sys.version_info < MINIMUM:
            raise BootstrapError(
                f"this is Python {sys.version.split()[0]}, needed is {MINIMUM[0]}.{MINIMUM[1]} or "
                "later. If you have a newer one, name it: make PYTHON=python3.12 ..."
            )
        if not is_current(wanted):
            BUILD.mkdir(exist_ok=True)
            # Two commands at once: the second one waits, and then finds the work done.
            with (BUILD / "bootstrap.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not is_current(wanted):
                    install(widest(wanted))
    except BootstrapError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def is_current(wanted: str) -> bool:
    """Whether the environment is what the locks say; a ``dev`` one will do for ``demo`` too."""
    known = stamped()
    return any(known == expected(each) for each in (wanted, "dev"))


def widest(wanted: str) -> str:
    """What to install: an environment for ``dev`` stays one."""
    return "dev" if stamped().get("installed") == "dev" else wanted


def stamped() -> "dict[str, str]":
    """What was installed last, or nothing."""
    try:
        known = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def expected(which: str) -> "dict[str, str]":
    """What the stamp says when everything is up to date. Scripts in it hold the checkout's path."""
    return {
        "installed": which,
        "lock": digest(lock_file(which)),
        "project": digest(CHECKOUT / "pyproject.toml"),
        "python": sys.version,
        "checkout": str(CHECKOUT),
    }


def install(which: str) -> None:
    """Bring the environment to exactly the lock's packages, and the project itself."""
    began = time.monotonic()
    print(f"setting up .venv for {which} with Python {sys.version.split()[0]}", flush=True)
    uv: list[object] = [ensure_uv()]
    before = stamped()
    STAMP.unlink(missing_ok=True)
    reusable = (
        before.get("python") == sys.version
        and before.get("checkout") == str(CHECKOUT)
        and (ENVIRONMENT / "bin" / "python").exists()
    )
    if not sys.stderr.isatty():
        # Progress bars are for people; a log needs no list of 150 packages.
        uv = [*uv, "--quiet"]
    if not reusable:
        run([*uv, "venv", "--clear", "--python", sys.executable, ENVIRONMENT])
    into = ["--python", ENVIRONMENT / "bin" / "python"]
    run([*uv, "pip", "sync", "--require-hashes", *into, lock_file(which)])
    # What builds it is in the lock: nothing more is downloaded.
    run([*uv, "pip", "install", "--no-deps", "--no-build-isolation", *into, "-e", CHECKOUT])
    STAMP.write_text(json.dumps(expected(which), indent=2))
    print(f"ready in {time.monotonic() - began:.0f} s", flush=True)


def ensure_uv() -> Path:
    """The installer, of exactly the locked version, in a folder of the checkout."""
    program = TOOLS / "bin" / "uv"
    wanted = digest(TOOLS_LOCK)
    if program.exists() and TOOLS_STAMP.exists() and TOOLS_STAMP.read_text() == wanted:
        return program
    shutil.rmtree(str(TOOLS), ignore_errors=True)
    options = ["--quiet", "--disable-pip-version-check", "--no-input", "--require-hashes"]
    options += ["--only-binary", ":all:", "--requirement", str(TOOLS_LOCK)]
    if importlib.util.find_spec("ensurepip") and importlib.util.find_spec("venv"):
        run([sys.executable, "-m", "venv", TOOLS])
        run([TOOLS / "bin" / "python", "-m", "pip", "install", *options])
    elif importlib.util.find_spec("pip"):
        # Debian without python3-venv: its pip is enough.
        run([sys.executable, "-m", "pip", "install", "--target", TOOLS, *options])
    else:
        raise BootstrapError(
            "this Python has neither pip nor venv. On Debian or Ubuntu: "
            "apt-get install python3-venv python3-pip"
        )
    TOOLS_STAMP.write_text(wanted)
    return program


def run(command: "list[object]") -> None:
    """Run one step, its output shown."""
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=str(CHECKOUT), env=environment(), check=False)
    if done.returncode != 0:
        raise BootstrapError(
            f"this failed with exit code {done.returncode}:\n  {' '.join(words)}\n{NO_NETWORK}"
        )


def environment() -> "dict[str, str]":
    """The caller's variables, with caches inside the checkout unless the caller chose others."""
    variables = dict(os.environ)
    # A virtual environment that happens to be active is none of our business, and without
    # compiled files Airflow needs more than twice the time to start.
    for name in ("VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE"):
        variables.pop(name, None)
    variables.setdefault("PIP_CACHE_DIR", str(BUILD / "cache" / "pip"))
    variables.setdefault("UV_CACHE_DIR", str(BUILD / "cache" / "uv"))
    variables.setdefault("UV_COMPILE_BYTECODE", "1")
    # No other Python than the one this was called with.
    variables.setdefault("UV_PYTHON_DOWNLOADS", "never")
    return variables


def lock_file(which: str) -> Path:
    """The requirements of one environment."""
    return CHECKOUT / "requirements" / f"{which}.lock"


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
