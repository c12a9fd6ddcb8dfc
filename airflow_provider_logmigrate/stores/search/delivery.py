"""One chunk on its way: sent, judged document by document, and sent again as far as needed.

A body that is refused for now a second time in a row, whole, goes on in halves: beside other load,
or with a small memory, an engine may have room for smaller ones only. What is still to be sent of
the chunk gets no larger than what was taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from airflow_provider_logmigrate.core.chunk import Chunk
from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.errors import TargetRefused, TargetUnavailable
from airflow_provider_logmigrate.core.ports import Rejected, WriteResult
from airflow_provider_logmigrate.stores.search.classify import Fate, Outcome, outcomes
from airflow_provider_logmigrate.stores.search.client import NDJSON, Response, SearchClient
from airflow_provider_logmigrate.stores.search.faults import blocked, kind_of, reason_of

ANSWER = ",".join(
    ["errors", "items.*.status"]
    + [f"items.*.error.{part}" for part in ("type", "reason", "caused_by")]
)
"""What is wanted of an answer; each document has a status, so positions stay."""

SMALLEST_BYTES = 64 << 10
"""Smaller bodies aren't halved because of load: it isn't their size that is too much."""

SLACK = 1.5
"""Bodies are halved by documents, so pieces of one chunk differ in bytes: only what is larger than
the last piece by more than this is cut before it was tried."""

_INVALID = frozenset({"action_request_validation_exception", "illegal_argument_exception"})
"""Whole-request errors that one document causes, such as a key of more than 512 bytes."""


class Delivery:
    """The tally of one chunk, and the retries that are left.

    :param index: what errors call the place.
    :param target: path of the bulk request.
    :param delays: of a whole back-off; started anew whenever documents are settled.
    :param stop: ends a wait.
    :param monotonic: seconds, for the time that the engine takes.
    :param routing: of all documents; ``None``: the engine's own, by id.
    """

    def __init__(
        self,
        *,
        client: SearchClient,
        index: str,
        target: str,
        delays: Callable[[], Iterator[float]],
        stop: Stop,
        monotonic: Callable[[], float],
        routing: str | None = None,
    ) -> None:
        self._client, self._index, self._target = client, index, target
        self._params = {"filter_path": ANSWER} | ({"routing": routing} if routing else {})
        self._renewed, self._delays = delays, delays()
        self._stop, self._monotonic = stop, monotonic
        self._acknowledged = self._superseded = self._retries = 0
        self._seconds = self._waited = 0.0
        self._why = ""
        self._most: int | None = None
        self._rejected: list[Rejected] = []

    def run(self, chunk: Chunk) -> WriteResult:
        """Send a chunk and what it falls into, until each document is settled."""
        parts = [chunk]
        while parts:
            parts += self._send(parts.pop())
        return self._result()

    def _result(self) -> WriteResult:
        note = ""
        if self._retries:
            times = "once" if self._retries == 1 else f"{self._retries} times"
            note = f"retried {times}, waited {self._waited:.1f} s: {self._why}"
        elif self._most is not None:
            note = "sent in smaller pieces: the engine, or a proxy before it, takes no larger body"
        return WriteResult(
            self._acknowledged,
            tuple(self._rejected),
            self._superseded,
            note,
            seconds=self._seconds,
            refusals=self._retries,
            split=self._most is not None,
        )

    def _send(self, chunk: Chunk) -> list[Chunk]:
        """Send until each document is settled; what is too big comes back in halves."""
        refused_whole = 0
        while chunk.count:
            self._stop.check(self._index)
            if self._most is not None and len(chunk.body) > SLACK * self._most and chunk.count > 1:
                return _halves(chunk)
            patience = 1 if self._most is None else 0
            if refused_whole > patience and chunk.count > 1 and len(chunk.body) > SMALLEST_BYTES:
                return self._smaller(chunk)
            try:
                response = self._post(chunk)
            except TargetUnavailable as error:
                # Only an answer says something about the body; a lost connection doesn't.
                refused_whole += "status" in error.data
                self._wait(error, _briefly(error))
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
            if len(again) < chunk.count:
                self._delays = self._renewed()
            if again:
                refused_whole = refused_whole + 1 if len(again) == chunk.count else 0
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

    def _post(self, chunk: Chunk) -> Response:
        began = self._monotonic()
        try:
            return self._client.request(
                "POST",
                self._target,
                body=chunk.body,
                params=self._params,
                content_type=NDJSON,
                expected=(400, 413),
                where=self._index,
                retry=False,  # bulks are repeated here, without what was taken
            )
        finally:
            self._seconds += self._monotonic() - began

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
        return self._smaller(chunk) if status == 413 else _halves(chunk)

    def _smaller(self, chunk: Chunk) -> list[Chunk]:
        """Halves of a body that was too big; what is left of the chunk goes on as small."""
        halves = _halves(chunk)
        self._most = max(SMALLEST_BYTES, *(len(half.body) for half in halves))
        return halves

    def _reject(self, chunk: Chunk, position: int, status: int, kind: str, reason: str) -> None:
        # The framing is one line; JSON holds no raw line break, so the rest is the document.
        document = chunk.document(position).partition(b"\n")[2].removesuffix(b"\n")
        self._rejected.append(Rejected(chunk.keys[position], status, kind, reason, document))


def _briefly(error: TargetUnavailable) -> str:
    """Why a body wasn't taken, for a line of progress: the engine's own reason fills three."""
    status, kind = error.data.get("status"), error.data.get("kind")
    return f"{kind or 'no reason'} (HTTP {status})" if status else error.what


def _halves(chunk: Chunk) -> list[Chunk]:
    """Both halves, by documents; the first one last, as it is sent first."""
    middle = chunk.count // 2
    return [chunk.subset(range(middle, chunk.count)), chunk.subset(range(middle))]
