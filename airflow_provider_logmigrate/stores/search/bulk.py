"""Writing chunks: send, see what became of each document, repeat what must be repeated.

Guarantees: :meth:`BulkWriter.write` returns only when each document is acknowledged or rejected;
an answer that doesn't account for every document counts as no answer, and the documents are sent
again, which is harmless because of external versions; repetitions are bounded in number and time.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from airflow_provider_logmigrate.core.backoff import Backoff
from airflow_provider_logmigrate.core.chunk import Chunk
from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.ports import WriteResult
from airflow_provider_logmigrate.stores.search.client import SearchClient, concrete, path
from airflow_provider_logmigrate.stores.search.delivery import Delivery


def prefix(version: int) -> bytes:
    """The action line before a document, with one ``%b`` for the key as a quoted JSON string.

    ``external_gte`` makes every write idempotent: what is older than the index's document is
    refused, what is as old or newer replaces it.

    :param version: microseconds since 1970.
    """
    return b'{"index":{"_id":%%b,"version":%d,"version_type":"external_gte"}}\n' % version


@dataclass(frozen=True, slots=True)
class MixedFraming:
    """How a document is framed in a bulk for many indices: its action line names its own.

    :param index: concrete name.
    """

    index: str
    routing: str | None

    def prefix(self, version: int) -> bytes:
        """See :func:`prefix`."""
        routed = {"routing": self.routing} if self.routing is not None else {}
        names = json.dumps({"_index": concrete(self.index)} | routed)
        # Per cent signs as escapes: in the template that this becomes they have a meaning.
        named = names.replace("%", "\\u0025").removesuffix("}").encode()
        rest = b',"_id":%%b,"version":%d,"version_type":"external_gte"}}\n' % version
        return b'{"index":' + named + rest


class BulkWriter:
    """Writes chunks to one cluster. Thread-safe: all state is in the call.

    :param rng: for the jitter of delays.
    :param backoff: bounds the retries of one chunk, those of its parts included; anew whenever
        some of its documents are settled, so a chunk that moves on isn't given up.
    :param monotonic: seconds, for the time that the engine takes.
    """

    def __init__(
        self,
        client: SearchClient,
        *,
        rng: random.Random,
        backoff: Backoff,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._rng = rng
        self._backoff = backoff
        self._monotonic = monotonic

    def write(
        self, index: str, chunk: Chunk, stop: Stop, *, routing: str | None = None
    ) -> WriteResult:
        """Write one chunk. Idempotent.

        :param index: concrete name.
        :param routing: of all its documents; ``None``: the engine's own, by id.
        :raises TargetUnavailable: it didn't pass within the bounded retries.
        :raises TargetBlocked: writes are blocked.
        :raises TargetRefused: the index is missing or closed.
        :raises ConnectionInvalid: login refused.
        :raises Interrupted: ``stop`` was set while waiting.
        """
        delivery = Delivery(
            client=self._client,
            index=concrete(index),
            target=path(index, "_bulk"),
            routing=routing,
            delays=lambda: self._backoff.delays(self._rng),
            stop=stop,
            monotonic=self._monotonic,
        )
        return delivery.run(chunk)

    def write_mixed(self, chunk: Chunk, stop: Stop) -> WriteResult:
        """Write a chunk whose action lines name each document's index; see :meth:`write`.

        :param chunk: framed with :class:`MixedFraming`.
        """
        delivery = Delivery(
            client=self._client,
            index="a sweep's indices",
            target=path("_bulk"),
            delays=lambda: self._backoff.delays(self._rng),
            stop=stop,
            monotonic=self._monotonic,
        )
        return delivery.run(chunk)
