"""Requests to one cluster, whichever engine it is."""

from __future__ import annotations

import json
import random
import re
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from airflow_provider_logmigrate.core.backoff import Backoff
from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.errors import (
    ConnectionInvalid,
    LogMigrateError,
    TargetRefused,
    TargetUnavailable,
)
from airflow_provider_logmigrate.stores.search.endpoint import Endpoint, Engine
from airflow_provider_logmigrate.stores.search.faults import (
    Broken,
    Unanswered,
    connection_error,
    refusal,
)
from airflow_provider_logmigrate.stores.search.wire import (
    JSON,
    NDJSON,
    Parse,
    Wire,
    open_wire,
    parse_exact,
)

__all__ = [
    "JSON",
    "NDJSON",
    "Endpoint",
    "Engine",
    "EngineInfo",
    "Response",
    "SearchClient",
    "concrete",
    "connect",
    "path",
]

OLDEST = {Engine.OPENSEARCH: (2, 4), Engine.ELASTICSEARCH: (8, 0)}
"""First version of each engine that is supported; OpenSearch 2.4 brought points in time."""

NOT_NOW = frozenset({429, 503})
"""Statuses of a request that wasn't carried out and may pass in a moment."""

BACKOFF = Backoff(attempts=5, first=0.5, cap=8.0)
"""Of requests other than bulks: a quarter of a minute at most, then the task's own retries."""

_NOT_CONCRETE = re.compile(r'^[-_+.]|[*?,<>|"\\/\s:#%]')


@dataclass(frozen=True, slots=True)
class Response:
    """An answer; ``data`` is parsed JSON with exact decimals, or text."""

    status: int
    data: Any


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What answers: its family and its version as it says."""

    flavour: Engine
    version: str

    @property
    def release(self) -> tuple[int, int]:
        """Major and minor: ``(3, 8)`` of ``3.8.0``."""
        major, minor = self.version.split(".")[:2]
        return int(major), int(minor)


def path(*segments: str) -> str:
    """A request path of quoted segments: a name with ``/`` or ``?`` stays one segment.

    :raises TargetRefused: a segment that HTTP libraries would resolve (``..``) or drop.
    """
    if any(segment in ("", ".", "..") for segment in segments):
        raise TargetRefused("a request path has an unusable segment", where=repr(segments))
    return "".join("/" + quote(segment, safe="") for segment in segments)


def concrete(name: str) -> str:
    """``name``, if it can only mean one index or alias.

    Quoting doesn't help here: engines read ``*``, ``,``, ``-name`` and ``<date>`` after decoding.

    :raises TargetRefused: it could be a pattern or a list.
    """
    if not name or _NOT_CONCRETE.search(name):
        raise TargetRefused("an index name could mean more than one index", where=repr(name))
    return name


class SearchClient:
    """Sends requests; thread-safe; connects lazily, with the first one.

    A host without a connection is passed over at once, as nothing was sent; everything else is
    raised, because only the caller knows whether a repetition is harmless. A refusal for now (429,
    503) is waited out, bounded: it would cost a whole task's retry otherwise.

    :param wire: another transport, for tests of faults that a real server can't be made to show.
    :param backoff: bounds the waits of one request.
    :param rng: their jitter.
    :param stop: ends them.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        wire: Wire | None = None,
        backoff: Backoff = BACKOFF,
        rng: random.Random | None = None,
        stop: Stop | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.where = endpoint.label
        self._wire = wire
        self._backoff = backoff
        self._rng = rng or random.Random()  # noqa: S311 - jitter
        self._stop = stop or Stop()
        self._lock = threading.Lock()
        self._info: EngineInfo | None = None

    @property
    def engine(self) -> Engine:
        """The family the connection says it is; :meth:`info` checks it."""
        return self.endpoint.engine

    def request(
        self,
        method: str,
        target: str,
        *,
        body: bytes | Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
        timeout: float | None = None,
        content_type: str = JSON,
        expected: Collection[int] = (),
        where: str = "",
        retry: bool = True,
        parse: Parse = parse_exact,
    ) -> Response:
        """Send one request; again after a while if the engine refuses it for now.

        :param target: from :func:`path`.
        :param body: bytes go out untouched, a mapping as JSON.
        :param timeout: seconds, instead of the endpoint's.
        :param expected: error statuses that are an answer to the caller.
        :param where: named in errors beside the hosts; an index, usually.
        :param retry: False for bulks, which have retries of their own, and for requests that may
            not run twice.
        :param parse: what makes ``data`` of a successful answer's JSON.
        :raises TargetUnavailable: no answer, 408 or 5xx; 429 or 503 after bounded retries.
        :raises TargetBlocked: a block refuses it.
        :raises TargetRefused: any other error status.
        :raises ConnectionInvalid: login or certificate refused.
        :raises Interrupted: the client's ``stop`` was set while waiting.
        """
        place = f"{where} at {self.where}" if where else self.where
        payload = body if isinstance(body, bytes) or body is None else _encode(body)
        delays = self._backoff.delays(self._rng)
        while True:
            status, data = self._send(
                method, target, params or {}, payload, content_type, timeout, place, parse
            )
            if 200 <= status < 300 or status in expected:
                return Response(status, data)
            error = refusal(status, data, where=place)
            delay = next(delays, None) if retry and _passes(status, error) else None
            if delay is None:
                raise error
            self._stop.wait(delay, place)

    def info(self) -> EngineInfo:
        """What answers, asked once.

        :raises ConnectionInvalid: the other family of engines, or too old a version.
        """
        if self._info is None:
            self._info = self._check(self.request("GET", "/").data)
        return self._info

    def close(self) -> None:
        """Close the connections; the client can still be used and connects anew."""
        with self._lock:
            wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()

    def _send(
        self,
        method: str,
        target: str,
        params: Mapping[str, str],
        body: bytes | None,
        content_type: str,
        timeout: float | None,
        place: str,
        parse: Parse,
    ) -> tuple[int, Any]:
        wire = self._opened()
        for left in reversed(range(len(self.endpoint.hosts))):
            try:
                return wire.send(method, target, params, body, content_type, timeout, parse)
            except Unanswered as fault:
                if fault.broken is not Broken.NOT_SENT or not left:
                    raise connection_error(fault, where=place) from fault
        raise AssertionError("an endpoint has at least one host")

    def _opened(self) -> Wire:
        with self._lock:
            if self._wire is None:
                self._wire = open_wire(self.endpoint)
            return self._wire

    def _check(self, data: Any) -> EngineInfo:
        version = data.get("version") if isinstance(data, Mapping) else None
        number = version.get("number") if isinstance(version, Mapping) else None
        if not isinstance(version, Mapping) or not re.match(r"\d+\.\d+(\.|$)", str(number)):
            raise ConnectionInvalid(
                "what answers is neither OpenSearch nor Elasticsearch",
                where=self.where,
                next_step="correct host and port in the Airflow connection",
            )
        # Under its compatibility setting OpenSearch leaves out the distribution and says 7.10.2.
        opensearch = version.get("distribution") == "opensearch" or "OpenSearch" in str(
            data.get("tagline", "")
        )
        found = EngineInfo(Engine.OPENSEARCH if opensearch else Engine.ELASTICSEARCH, str(number))
        if found.flavour is not self.engine:
            raise ConnectionInvalid(
                f"the connection's type is {self.engine.value}, but {found.flavour.value} "
                f"{found.version} answers",
                where=self.where,
                next_step=f"set the connection's type to {found.flavour.value}",
            )
        disguised = opensearch and found.version == "7.10.2"
        oldest = OLDEST[found.flavour]
        if found.release < oldest and not disguised:
            raise ConnectionInvalid(
                f"{found.flavour.value} {found.version} is too old: "
                f"{oldest[0]}.{oldest[1]} or later is needed",
                where=self.where,
                next_step="upgrade the engine or use another one",
            )
        return found


def connect(endpoint: Endpoint, *, stop: Stop | None = None) -> SearchClient:
    """A client for the endpoint; nothing is sent yet.

    :param stop: ends waits between retries.
    :raises ConnectionInvalid: the endpoint's hosts aren't usable URLs.
    """
    return SearchClient(endpoint, stop=stop)


def _passes(status: int, error: LogMigrateError) -> bool:
    """True for a refusal that a short wait may help against; a block isn't one."""
    return status in NOT_NOW and isinstance(error, TargetUnavailable)


def _encode(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode("ascii")
