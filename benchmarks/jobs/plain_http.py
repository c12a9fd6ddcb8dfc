"""The shortest way to the engine: one keep-alive connection, nothing checked but the outcome."""

from __future__ import annotations

import http.client
import json
import time
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

WAITS = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between attempts at a bulk that is refused for now."""

LOADING = {"refresh_interval": "-1", "number_of_replicas": 0}


class Busy(OSError):
    """The engine has no memory for it at the moment."""


class Connection:
    """One connection to the engine."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=300)

    def call(
        self, method: str, path: str, body: bytes | None = None, *, missing_ok: bool = False
    ) -> Any:
        """One request; the parsed answer. :raises OSError: an error status."""
        kind = "application/x-ndjson" if "_bulk" in path else "application/json"
        self._connection.request(method, path, body, {"Content-Type": kind})
        response = self._connection.getresponse()
        data = response.read()
        if response.status >= 300 and not (missing_ok and response.status == 404):
            busy = response.status == HTTPStatus.TOO_MANY_REQUESTS
            raise (Busy if busy else OSError)(f"{path}: {response.status} {data[:500]!r}")
        return json.loads(data)

    def send(self, path: str, body: bytes) -> Any:
        """Post a bulk; again after a while if the engine is busy."""
        for wait in WAITS:
            try:
                return self.call("POST", path, body)
            except Busy:
                time.sleep(wait)
        return self.call("POST", path, body)

    def close(self) -> None:
        """Close it."""
        self._connection.close()


def create(connection: Connection, index: str, body: dict[str, Any]) -> None:
    """Make an index with load settings."""
    settings = {"index": body["settings"]["index"] | LOADING}
    made = {"settings": settings, "mappings": body["mappings"]}
    connection.call("PUT", f"/{index}", json.dumps(made).encode())


def serve(connection: Connection, index: str, body: dict[str, Any]) -> int:
    """Give it its serving settings, make all visible; the number of documents."""
    serving = {name: body["settings"]["index"][name] for name in LOADING}
    connection.call("PUT", f"/{index}/_settings", json.dumps({"index": serving}).encode())
    connection.call("POST", f"/{index}/_refresh")
    return int(connection.call("GET", f"/{index}/_count")["count"])
