"""What both search engines have in common: one node, on a loopback port, from jars."""

from __future__ import annotations

import json
import os
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from devstack import jars
from devstack.errors import DevstackError
from devstack.java import find_java
from devstack.paths import ENGINES
from devstack.ports import free_port
from devstack.process import BackgroundProcess
from devstack.readiness import cluster_answers, wait_until_ready
from devstack.server import Server

if TYPE_CHECKING:
    from typing_extensions import Self

_SMALL_HEAP = ("-XX:+UseSerialGC",)
"""Starts faster and needs less memory."""

_LARGE_HEAP = ("-XX:+UseG1GC", "-XX:G1ReservePercent=25", "-XX:InitiatingHeapOccupancyPercent=30")
"""As both engines ship it: with Java's own defaults garbage stands until they refuse requests for
want of memory."""

_LOGGING = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%d{ISO8601}][%-5p][%c{1.}] %marker%m%n
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
"""


class SearchEngine(Server):
    """
    One node with its data below ``root``; no passwords, no TLS, reachable from this machine only.

    Starting it again after a crash works: what is left of the old one is cleared away first, and
    never anything else. The data outlive a stop; the port does too where it is still free.

    :param root: folder of this node alone; made when missing.
    :param heap_mb: Java heap in MiB; the process takes about 300 MiB more.
    :param settings: engine settings in addition to, or instead of, the defaults, for example
        ``{"thread_pool.write.queue_size": 1}``.
    """

    name: ClassVar[str]
    title: ClassVar[str]

    def __init__(
        self, root: Path, *, heap_mb: int = 512, settings: Mapping[str, object] | None = None
    ) -> None:
        self.root = root.resolve()
        self.heap_mb = heap_mb
        self.settings = dict(settings or {})
        self.process = BackgroundProcess(self.root, self.name)
        self._port_file = self.root / "port"

    @property
    def lock(self) -> Path:
        """The jars this engine is made of."""
        return ENGINES / f"{self.name}.lock"

    def start(self, *, on_progress: jars.Progress | None = None) -> Self:
        """
        Fetch the jars, start, wait until the cluster is usable. Does nothing when it runs.

        :param on_progress: called with (jars there, jars in all) while they are fetched.
        """
        if self.process.running():
            return self
        self.process.stop(grace=0)  # what a crash may have left
        files = jars.fetch(self.lock, on_progress=on_progress)
        for folder in ("config", "data", "logs", "snapshots", "tmp"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        port = free_port(self._last_port())
        self._port_file.write_text(str(port))
        self._write_config(port)
        self.process.start(self.command(files), env=self._environment())
        wait_until_ready(
            lambda: cluster_answers(self.url), process=self.process, seconds=120, what=self.title
        )
        return self

    def stop(self) -> None:
        """Stop it in order. Calling it again is harmless."""
        self.process.stop(grace=30)

    def reserve(self) -> str:
        """Settle on the address before the start, for others who need to know it by then."""
        if not self.process.running():
            self.root.mkdir(parents=True, exist_ok=True)
            self._port_file.write_text(str(free_port(self._last_port())))
        return self.url

    @property
    def url(self) -> str:
        """Where it answers, for example ``http://127.0.0.1:23456``."""
        port = self._last_port()
        if port is None:
            raise DevstackError(f"{self.title} in {self.root} was never started")
        return f"http://127.0.0.1:{port}"

    @abstractmethod
    def command(self, files: Sequence[Path]) -> list[str | Path]:
        """The command line that runs the node in the foreground; prepares what it needs."""

    def java(self) -> list[str | Path]:
        """The start of that command line: Java and the options both engines share."""
        java = find_java()
        return [
            java.program,
            f"-Xms{self.heap_mb}m",
            f"-Xmx{self.heap_mb}m",
            *(_SMALL_HEAP if self.heap_mb <= 1024 else _LARGE_HEAP),
            "-XX:-UsePerfData",
            "-XX:+ExitOnOutOfMemoryError",
            f"-XX:ErrorFile={self.root}/logs/crash-%p.log",
            f"-Djava.io.tmpdir={self.root / 'tmp'}",
            "-Dlog4j2.disable.jmx=true",
            *java.options(),
        ]

    def _write_config(self, port: int) -> None:
        settings: dict[str, object] = {
            "cluster.name": "devstack",
            "node.name": "node-1",
            "discovery.type": "single-node",
            "network.host": "127.0.0.1",
            "http.port": port,
            "transport.port": free_port(),
            "path.data": str(self.root / "data"),
            "path.logs": str(self.root / "logs"),
            "path.repo": [str(self.root / "snapshots")],
            # A full disk of the machine must not turn indices read-only in the middle of a test.
            "cluster.routing.allocation.disk.threshold_enabled": False,
            **self.settings,
        }
        # Each JSON value is YAML as well.
        text = "".join(f"{key}: {json.dumps(value)}\n" for key, value in settings.items())
        (self.root / "config" / f"{self.name}.yml").write_text(text)
        (self.root / "config" / "log4j2.properties").write_text(_LOGGING)

    def _environment(self) -> dict[str, str]:
        # Nothing else of the caller's: options in JAVA_TOOL_OPTIONS would reach the engine.
        return {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.root)}

    def _last_port(self) -> int | None:
        return int(self._port_file.read_text()) if self._port_file.exists() else None
