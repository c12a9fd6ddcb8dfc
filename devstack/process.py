"""Background processes that can be found, and stopped, by a later run.

Each server runs in a session of its own. A pid file remembers the pid together with the moment the
process started, so a pid the system has given to somebody else since is recognised as a stranger
and left alone. After the leader was killed, what is left of its session is still found: a process
is ours when it has our session id and works inside our folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from devstack.errors import DevstackError
from devstack.paths import write_private


@dataclass(frozen=True, slots=True)
class Record:
    """What the pid file says about a process that was started."""

    pid: int
    identity: str


def identity(pid: int) -> str | None:
    """
    A name for the process that no other process ever has, or None when it is gone.

    On Linux the boot and the clock ticks since boot: unlike a time of day they don't move when the
    clock is set. Elsewhere the start time must do.
    """
    try:
        process = psutil.Process(pid)
        if _over(process):
            return None
        stat = Path(f"/proc/{pid}/stat")
        if not stat.exists():
            return f"{process.create_time():.2f}"
        # The second field is the program's name in brackets and may itself hold brackets or blanks.
        ticks = stat.read_text().rpartition(")")[2].split()[19]
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}:{ticks}"
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The unprivileged system user a server is started as when we are root."""

    uid: int
    gid: int


_children: list[subprocess.Popen[bytes]] = []
_children_lock = threading.Lock()


def _collect_children() -> None:
    # A child that ended stays a zombie until its parent, which is us whichever of our objects
    # started it, has asked for its exit code.
    with _children_lock:
        _children[:] = [child for child in _children if child.poll() is None]


class BackgroundProcess:
    """
    One program in its own session, known by ``<root>/<name>.pid``.

    :param root: folder the program works in; what remains after a crash is recognised by it.
    :param name: file name of the pid file and of the log.
    """

    def __init__(self, root: Path, name: str) -> None:
        self.root = root.resolve()
        self.name = name
        self.pid_file = self.root / f"{name}.pid"
        self.log = self.root / "logs" / f"{name}.log"

    def start(
        self,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str],
        account: Account | None = None,
    ) -> int:
        """Start the program, its output appended to the log, and return its pid. Doesn't wait."""
        if self.running():
            raise DevstackError(
                f"{self.name} already runs (pid file {self.pid_file}): stop it first"
            )
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            child = subprocess.Popen(
                [str(part) for part in command],
                cwd=self.root,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
            )
        with _children_lock:
            _children.append(child)
        record = Record(pid=child.pid, identity=identity(child.pid) or "ended at once")
        write_private(self.pid_file, json.dumps(asdict(record)))
        return record.pid

    def running(self) -> bool:
        """Whether exactly the process that was started still lives."""
        _collect_children()
        record = self._record()
        return record is not None and identity(record.pid) == record.identity

    @property
    def pid(self) -> int | None:
        """The pid while it runs."""
        record = self._record()
        return record.pid if record is not None and self.running() else None

    def members(self) -> list[psutil.Process]:
        """All living processes of the session, also when its leader was killed."""
        _collect_children()
        record = self._record()
        if record is None:
            return []
        found = identity(record.pid)
        if found is not None and found != record.identity:
            return []  # the system could only reuse the pid after the whole session had gone
        return [
            process
            for process in psutil.process_iter()
            if _session_of(process) == record.pid
            and not _over(process)
            and (found == record.identity or self._works_here(process))
        ]

    def stop(
        self,
        *,
        first: signal.Signals = signal.SIGTERM,
        whole_session: bool = False,
        grace: float = 30.0,
    ) -> None:
        """
        Stop the session: ask the leader (or everybody), wait, then kill. May be called again.

        :param first: the signal that asks for an orderly end.
        :param whole_session: send it to every process rather than to the leader alone.
        :param grace: seconds to wait before SIGKILL.
        """
        record = self._record()
        members = self.members()
        for process in members:
            if whole_session or (record is not None and process.pid == record.pid):
                _send(process, first)
        if any(record is not None and process.pid == record.pid for process in members):
            self._wait_gone(grace)
        for process in self.members():
            _send(process, signal.SIGKILL)
        self._wait_gone(10.0)
        left = [process.pid for process in self.members()]
        if left:
            raise DevstackError(
                f"{self.name} could not be stopped: processes {left} live on after SIGKILL "
                f"(pid file {self.pid_file}). Look at them with: ps -o pid,stat,cmd -p {left[0]}"
            )
        self.pid_file.unlink(missing_ok=True)

    def kill(self) -> None:
        """SIGKILL the whole session at once, as a crash would; the pid file stays behind."""
        for process in self.members():
            _send(process, signal.SIGKILL)
        self._wait_gone(10.0)

    def _wait_gone(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while self.members() and time.monotonic() < deadline:
            time.sleep(0.05)

    def _record(self) -> Record | None:
        try:
            return Record(**json.loads(self.pid_file.read_text()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            raise DevstackError(
                f"unreadable pid file {self.pid_file} ({error}): delete it and make sure that no "
                f"{self.name} of this checkout is left running"
            ) from error

    def _works_here(self, process: psutil.Process) -> bool:
        try:
            return Path(process.cwd()).is_relative_to(self.root)
        except (psutil.Error, OSError):
            return False


def _session_of(process: psutil.Process) -> int | None:
    try:
        return os.getsid(process.pid)
    except OSError:
        return None


def _over(process: psutil.Process) -> bool:
    # A killed process its parent has not asked about yet. While other threads of it are still
    # dying, it holds its ports and locks.
    try:
        return process.status() == psutil.STATUS_ZOMBIE and process.num_threads() <= 1
    except psutil.NoSuchProcess:
        return True


def _send(process: psutil.Process, number: signal.Signals) -> None:
    # psutil compares the start time again before it sends.
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)
