"""What a user would write: psycopg2 dictionaries and the client library's bulk helpers.

``method`` is ``offset`` (OFFSET pages and ``helpers.bulk``) or ``parallel`` (a server-side cursor
and ``helpers.parallel_bulk``), both with the library's own chunks and threads. No fingerprints, no
checkpoints, no dead letters, nothing to resume from; the same rows, mapping and load settings.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extras
from opensearchpy import OpenSearch, TransportError, helpers

from benchmarks.jobs.plain_http import WAITS, Connection, create, serve

_ROWS = (
    "SELECT * FROM workflow_node_executions WHERE tenant_id = %s AND created_at >= %s"
    " AND created_at < %s ORDER BY created_at, id"
)
_PAGE = 1_000


class _Patient(OpenSearch):
    """Sends a bulk again that the engine has no memory for at the moment: no helper does."""

    def bulk(self, *values: Any, **named: Any) -> Any:
        for wait in WAITS:
            try:
                return super().bulk(*values, **named)
            except TransportError as error:
                if error.status_code != HTTPStatus.TOO_MANY_REQUESTS:
                    raise
                time.sleep(wait)
        return super().bulk(*values, **named)


@contextmanager
def prepared(spec: Mapping[str, Any]) -> Iterator[Callable[[], Any]]:
    """Delete the index."""
    index, body = spec["index"], json.loads((Path(spec["folder"]) / "index.json").read_text())
    control = Connection(spec["url"])
    control.call("DELETE", f"/{index}", missing_ok=True)
    wanted = (spec["tenant"], spec["first"], spec["end"])
    copy = {"offset": _offset, "parallel": _parallel}[spec["method"]]
    client = _Patient(spec["url"], maxsize=8, timeout=300)

    def work() -> dict[str, Any]:
        create(control, index, body)
        with closing(psycopg2.connect(spec["dsn"])) as connection:
            copy(client, connection, index, wanted)
        return {"rows": serve(control, index, body)}

    try:
        yield work
        control.call("DELETE", f"/{index}")
    finally:
        client.close()
        control.close()


def _offset(client: OpenSearch, connection: Any, index: str, wanted: tuple[Any, ...]) -> None:
    offset = 0
    while True:
        with connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
            cursor.execute(f"{_ROWS} LIMIT {_PAGE} OFFSET {offset}", wanted)
            rows = cursor.fetchall()
        if not rows:
            return
        helpers.bulk(client, (_action(index, row) for row in rows))
        offset += len(rows)


def _parallel(client: OpenSearch, connection: Any, index: str, wanted: tuple[Any, ...]) -> None:
    factory = psycopg2.extras.RealDictCursor
    with connection.cursor("by_hand", cursor_factory=factory) as cursor:
        cursor.itersize = 2_000
        cursor.execute(_ROWS, wanted)
        actions = (_action(index, row) for row in cursor)
        for done, answer in helpers.parallel_bulk(client, actions):
            if not done:
                raise OSError(f"a document was refused: {answer}")


def _action(index: str, row: Mapping[str, Any]) -> dict[str, Any]:
    document = dict(row)
    for name in ("created_at", "finished_at"):
        document[name] = document[name] and document[name].isoformat()
    return {"_index": index, "_id": document["id"], "_source": document}
