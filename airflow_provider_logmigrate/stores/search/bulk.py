"""Writing chunks: send, see what became of each document, repeat what must be repeated.

Guarantees: :meth:`BulkWriter.write` returns only when each document is acknowledged or rejected;
an answer that doesn't account for every document counts as no answer, and the documents are sent
again, which is harmless because of external versions; repetitions are bounded in number and time.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from airflow_provider_logmigrate.core.backoff import Backoff
from airflow_provider_logmigrate.core.chunk import Chunk
from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.errors import TargetRefused, TargetUnavailable
from airflow_provider_logmigrate.core.ports import Rejected, WriteResult
from airflow_provider_logmigrate.stores.search.classify import Fate, Outcome, outcomes
from airflow_provider_logmigrate.stores.search.client import (
    NDJSON,
    SearchClient,
    concrete,
    path,
)
from airflow_provider_logmigrate.stores.search.faults import blocked, kind_of, reason_of

ANSWER = ",".join(
    ["errors", "items.*.status"]
    + [f"items.*.error.{part}" for part in ("type", "reason", "caused_by")]
)
"""What is wanted of an answer; each document has a status, so positions stay."""

_INVALID = frozenset({"action_request_validation_exception", "illegal_argument_exception"})
"""Whole-request errors that one document causes, such as a key of more than 512 bytes."""


def prefix(version: int) -> bytes:
    """The action line before a document, with one ``%b`` for the key as a quoted JSON string.

    ``external_gte`` makes every write idempotent: what is older than the index's document is
    refused, what is as old or newer replaces it.

    :param version: microseconds since 1970.
    """
    return b'{"index":{"_id":%%b,"version":%d,"version_type":"external_gte"}}\n' % version


class BulkWriter:
    """Writes chunks to one cluster. Thread-safe: all state is in the call.

    :param rng: for the jitter of delays.
    :param backoff: bounds the retries of one chunk, those of its parts included.
    """

    def __init__(self, client: SearchClient, *, rng: random.Random, backoff: Backoff) -> None:
        self._client = client
        self._rng = rng
        self._backoff = backoff

    def write(self, index: str, chunk: Chunk, stop: Stop) -> WriteResult:
        """Write one chunk. Idempotent.

        :param index: concrete name.
        :raises TargetUnavailable: it didn't pass within the bounded retries.
        :raises TargetBlocked: writes are blocked.
        :raises TargetRefused: the index is missing or closed.
        :raises ConnectionInvalid: login refused.
        :raises Interrupted: ``stop`` was set while waiting.
        """
        task = _Task(
            client=self._client,
            index=concrete(index),
            delays=self._backoff.delays(self._rng),
            stop=stop,
        )
        parts = [chunk]
        while parts:
            parts += task.send(parts.pop())
        return task.result()


class _Task:
    """One chunk on its way: the tally, and the retries that are left."""

    def __init__(
        self, *, client: SearchClient, index: str, delays: Iterator[float], stop: Stop
    ) -> None:
        self._client, self._index = client, index
        self._delays, self._stop = delays, stop
        self._acknowledged = self._superseded = self._retries = 0
        self._waited = 0.0
        self._why = ""
        self._rejected: list[Rejected] = []

    def result(self) -> WriteResult:
        note = ""
        if self._retries:
            times = "once" if self._retries == 1 else f"{self._retries} times"
            note = f"retried {times}, waited {self._waited:.1f} s: {self._why}"
        return WriteResult(self._acknowledged, tuple(self._rejected), self._superseded, note)

    def send(self, chunk: Chunk) -> list[Chunk]:
        """Send until each document is settled; what is too big comes back in halves."""
        while chunk.count:
            self._stop.check(self._index)
            try:
                response = self._client.request(
                    "POST",
                    path(self._index, "_bulk"),
                    body=chunk.body,
                    params={"filter_path": ANSWER},
                    content_type=NDJSON,
                    expected=(400, 413),
                    where=self._index,
                )
            except TargetUnavailable as error:
                self._wait(error, error.what)
                continue
            if response.status != 200:
                return self._split(chunk, response.status, response.data)
            found = outcomes(response.data, chunk.count)
            if found is None:
                lost = TargetUnavailable(
                    f"the answer to a bulk of {chunk.count} documents doesn't account for each",
                    where=self._place,
                )
                self._wait(lost, "answer incomplete")
                continue
            again = self._settle(chunk, found)
            if again:
                chunk = chunk.subset(again)
                first = next(o for o in found if o.fate is Fate.RETRY)
                why = f"{first.kind or 'no reason'} (HTTP {first.status})"
                overload = TargetUnavailable(
                    f"{len(again)} documents were refused for now: {why}: {first.reason}",
                    where=self._place,
                )
                self._wait(overload, why)
            else:
                break
        return []

    @property
    def _place(self) -> str:
        return f"{self._index} at {self._client.where}"

    def _wait(self, error: TargetUnavailable, why: str) -> None:
        delay = next(self._delays, None)
        if delay is None:
            raise error
        self._retries += 1
        self._waited += delay
        self._why = why
        self._stop.wait(delay, self._index)

    def _settle(self, chunk: Chunk, found: list[Outcome]) -> list[int]:
        """Count what is decided; positions of what isn't come back."""
        again = []
        for position, outcome in enumerate(found):
            if outcome.fate in (Fate.ACKNOWLEDGED, Fate.SUPERSEDED):
                self._acknowledged += 1
                self._superseded += outcome.fate is Fate.SUPERSEDED
            elif outcome.fate is Fate.RETRY:
                again.append(position)
            elif outcome.fate is Fate.REJECTED:
                self._reject(chunk, position, outcome.status, outcome.kind, outcome.reason)
            elif outcome.fate is Fate.BLOCKED:
                raise blocked(outcome.reason, where=self._place)
            else:
                raise TargetRefused(
                    f"the engine refuses all writes (HTTP {outcome.status}, {outcome.kind}): "
                    f"{outcome.reason}",
                    where=self._place,
                    status=outcome.status,
                    kind=outcome.kind,
                )
        return again

    def _split(self, chunk: Chunk, status: int, data: Any) -> list[Chunk]:
        """Halve a bulk that was refused as a whole, until the document at fault is alone."""
        kind = kind_of(data)
        reason = reason_of(data.get("error", data) if isinstance(data, dict) else data)
        if status != 413 and kind not in _INVALID:
            raise TargetRefused(
                f"the engine refused the bulk (HTTP {status}): {reason}",
                where=self._place,
                status=status,
                kind=kind,
            )
        if chunk.count == 1:
            shown = reason or "the request is too large for the engine or a proxy before it"
            self._reject(chunk, 0, status, kind or "request_too_large", shown)
            return []
        middle = chunk.count // 2
        return [chunk.subset(range(middle, chunk.count)), chunk.subset(range(middle))]

    def _reject(self, chunk: Chunk, position: int, status: int, kind: str, reason: str) -> None:
        # The framing is one line; JSON holds no raw line break, so the rest is the document.
        document = chunk.document(position).partition(b"\n")[2].removesuffix(b"\n")
        self._rejected.append(Rejected(chunk.keys[position], status, kind, reason, document))
