"""The DAG file as Airflow's own processes read it; AIRFLOW settings come from the environment.

``dag_id`` set: as a task process does, which wants one DAG. Else as the DAG processor does: all of
them, serialized.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def prepared(spec: Mapping[str, Any]) -> Iterator[Callable[[], Any]]:
    """Import what those processes have imported before they meet the file."""
    import airflow.dag_processing.processor
    import airflow.sdk.execution_time.task_runner  # noqa: F401
    from airflow.dag_processing.dagbag import BundleDagBag

    file = Path(spec["file"])

    def bag() -> Any:
        found = BundleDagBag(
            dag_folder=file, bundle_path=file.parent, bundle_name="bench", load_op_links=False
        )
        if found.import_errors:
            raise ImportError(str(found.import_errors))
        return found

    yield (lambda: _one(bag, spec["dag_id"])) if spec.get("dag_id") else (lambda: _all(bag))


def _all(bag: Callable[[], Any]) -> dict[str, Any]:
    from airflow.serialization.serialized_objects import DagSerialization

    began = time.perf_counter()
    found = bag()
    parsed = time.perf_counter()
    serialized = [DagSerialization.to_dict(dag) for dag in found.dags.values()]
    return {
        "dags": len(serialized),
        "parse": parsed - began,
        "serialize": time.perf_counter() - parsed,
    }


def _one(bag: Callable[[], Any], dag_id: str) -> dict[str, Any]:
    """The first time imports the provider, the second one only parses."""
    os.environ["_AIRFLOW_PARSING_CONTEXT_DAG_ID"] = dag_id
    took = []
    for _ in range(2):
        began = time.perf_counter()
        found = bag()
        took.append(time.perf_counter() - began)
        if list(found.dags) != [dag_id]:
            raise LookupError(f"wanted {dag_id} alone, got {list(found.dags)[:5]}")
    first, second = took
    return {"imports": first - second, "parse": second}
