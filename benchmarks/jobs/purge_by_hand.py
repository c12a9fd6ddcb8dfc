"""A purge as existing cleaners do it: 100 runs at a time by their ids, with all that is theirs.

Nothing is proven, nothing is kept; the same rows of the same tables go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

import psycopg2

RUNS = 100
_ENDED = "('succeeded', 'failed', 'partial-succeeded', 'stopped')"
_NEXT = (
    "SELECT id::text, created_at FROM workflow_runs WHERE tenant_id = %s AND created_at >= %s"
    f" AND created_at < %s AND status IN {_ENDED} ORDER BY created_at, id LIMIT {RUNS}"
)
_DELETES = (
    "DELETE FROM workflow_node_executions WHERE workflow_run_id = ANY(%s::uuid[])",
    "DELETE FROM workflow_app_logs WHERE workflow_run_id = ANY(%s::uuid[])",
    "DELETE FROM workflow_runs WHERE id = ANY(%s::uuid[])",
)


@contextmanager
def prepared(spec: Mapping[str, Any]) -> Iterator[Callable[[], Any]]:
    """Connect. ``batches``: where to stop, for tables on which each one takes a scan."""
    with closing(psycopg2.connect(spec["dsn"])) as connection:
        yield lambda: _purge(connection, spec)


def _purge(connection: Any, spec: Mapping[str, Any]) -> dict[str, Any]:
    nodes = rows = batches = 0
    since = spec["first"]
    with connection.cursor() as cursor:
        while batches != spec.get("batches"):
            cursor.execute(_NEXT, (spec["tenant"], since, spec["end"]))
            found = cursor.fetchall()
            if not found:
                break
            since = found[-1][1].isoformat()
            for number, statement in enumerate(_DELETES):
                cursor.execute(statement, ([key for key, _ in found],))
                rows += cursor.rowcount
                nodes += 0 if number else cursor.rowcount
            connection.commit()
            batches += 1
    return {"rows": rows, "nodes": nodes, "batches": batches}
