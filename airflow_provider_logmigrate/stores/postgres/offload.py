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
        members: dict[str, bytes] = {}
        for column, key in json.loads(listed):
            name = f"{column}_offloaded"
            if key is None:
                self._find("offload_missing", row_key, f"{column}: its file row is missing")
            elif name in members:  # a name may stand in a document only once
                self._find("offload_repeated", row_key, f"{column}: left out object {key}")
            elif not _is_inside(key):
                self._find(
                    "offload_refused", row_key, f"{column}: key {key!r} leaves the storage's root"
                )
            elif (content := self._reader.read(key, limit=self._limit + 1)) is None:
                self._find("offload_missing", row_key, f"{column}: no object {key}")
            elif len(content) > self._limit:
                self._find(
                    "offload_too_large", row_key, f"{column}: object {key} exceeds the inline limit"
                )
            else:
                members[name] = self._text(row_key, column, key, content)
        return b"".join(f",{json.dumps(name)}:".encode() + text for name, text in members.items())

    def _text(self, row_key: str, column: str, key: str, content: bytes) -> bytes:
        try:
            text = content.decode()
        except UnicodeDecodeError:
            text = content.decode("utf-8", "backslashreplace")
            self._find(
                "offload_not_text",
                row_key,
                f"{column}: object {key} isn't UTF-8, its other bytes are inlined as \\xNN",
            )
        return json.dumps(text).encode()

    def _find(self, kind: str, key: str, detail: str) -> None:
        self._report(SourceFinding(kind, key, detail))


def _is_inside(key: str) -> bool:
    """True for a plain relative path: what the database names may not reach beyond the storage."""
    parts = key.split("/")
    return bool(key) and "\x00" not in key and "://" not in key and not {"", "..", "."} & {*parts}
