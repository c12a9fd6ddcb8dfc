"""A source that keeps a count of what was read from it, for when its process is killed."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable
from pathlib import Path

from airflow_provider_logmigrate.core.chunk import Chunk
from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.ports import Framing, ReadRequest, SourceFinding
from airflow_provider_logmigrate.stores.postgres.source import PostgresSource

_NUMBER = struct.Struct("=q")


class CountingSource(PostgresSource):
    """Counts emitted rows in a file that survives a SIGKILL of this process."""

    @classmethod
    def around(cls, source: PostgresSource, path: Path) -> CountingSource:
        """The same source, counted in ``path``."""
        counted = cls.__new__(cls)
        counted.__dict__.update(source.__dict__)
        path.write_bytes(_NUMBER.pack(0))
        with path.open("r+b") as stream:
            counted._memory = mmap.mmap(stream.fileno(), _NUMBER.size)
        return counted

    _memory: mmap.mmap

    def read(
        self,
        request: ReadRequest,
        *,
        framing: Framing,
        emit: Callable[[Chunk], None],
        report: Callable[[SourceFinding], None],
        stop: Stop,
    ) -> None:
        """Read, and count each chunk when it is ready."""

        def counted(chunk: Chunk) -> None:
            before = _NUMBER.unpack(self._memory[:])[0]
            self._memory[:] = _NUMBER.pack(before + chunk.count)
            emit(chunk)

        super().read(request, framing=framing, emit=counted, report=report, stop=stop)


def count_in(path: Path) -> int:
    """Rows counted so far."""
    return int(_NUMBER.unpack(path.read_bytes())[0])
