"""Follows offloaded content: a node's oversized columns live in object storage."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Protocol

from airflow_provider_logmigrate.core.ports import SourceFinding


class ContentReader(Protocol):
    """Reads one object of the installation's object storage."""

    def read(self, key: str, *, limit: int) -> bytes | None:
        """At most ``limit`` bytes of the object, ``None`` if it doesn't exist."""


class OffloadResolver:
    """Turns a row's offload list into JSON members ``<column>_offloaded``.

    The row's own (truncated) column stays as it is, so a later restore is byte for byte; the
    content goes beside it, searchable. Content that is missing is a finding, content above the
    limit is left out with a finding that says so.

    :param inline_limit: bytes of one object that are inlined at most.
    """

    def __init__(
        self,
        reader: ContentReader,
        *,
        inline_limit: int,
        report: Callable[[SourceFinding], None],
    ) -> None:
        self._reader = reader
        self._limit = inline_limit
        self._report = report

    def __call__(self, row_key: str, listed: bytes) -> bytes:
        """Members to append to the document, each with a leading comma."""
        members = []
        for column, key in json.loads(listed):
            if key is None:
                self._find("offload_missing", row_key, f"{column}: its file row is missing")
                continue
            content = self._reader.read(key, limit=self._limit + 1)
            if content is None:
                self._find("offload_missing", row_key, f"{column}: no object {key}")
            elif len(content) > self._limit:
                self._find(
                    "offload_too_large", row_key, f"{column}: object {key} exceeds the inline limit"
                )
            else:
                name = json.dumps(f"{column}_offloaded")
                text = json.dumps(content.decode("utf-8", "backslashreplace"))
                members.append(f",{name}:{text}".encode())
        return b"".join(members)

    def _find(self, kind: str, key: str, detail: str) -> None:
        self._report(SourceFinding(kind, key, detail))
