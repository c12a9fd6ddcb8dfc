"""What the engine takes: ready bulk bodies from memory, several in flight, into the same mapping.

The index is made, given its serving settings and refreshed inside the measured work, as our own
copy does it, and refreshed once before its end, which makes the engine faster (early_refresh.py).
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from airflow_provider_logmigrate.stores.search.early_refresh import REST
from benchmarks.jobs.plain_http import Connection, create, serve

_BULK = "_bulk?filter_path=errors,items.*.error"


@contextmanager
def prepared(spec: Mapping[str, Any]) -> Iterator[Callable[[], Any]]:
    """Read the bodies into memory, delete the index."""
    folder, index, url = Path(spec["folder"]), spec["index"], spec["url"]
    body = json.loads((folder / "index.json").read_text())
    for name, changed in spec.get("properties", {}).items():
        body["mappings"]["properties"][name] = changed
    body["settings"]["index"] |= spec.get("settings", {})
    files = sorted(folder.glob("*.ndjson"))
    sent = math.ceil(len(files) * spec.get("share", 1.0))
    bodies = [file.read_bytes() for file in files[:sent]]
    control = Connection(url)
    control.call("DELETE", f"/{index}", missing_ok=True)

    def work() -> dict[str, Any]:
        create(control, index, body)
        _send(url, index, bodies, in_flight=spec["in_flight"])
        rows = serve(control, index, body)
        return {"rows": rows, "bytes": sum(map(len, bodies))}

    try:
        yield work
        if spec.get("drop", True):
            control.call("DELETE", f"/{index}")
    finally:
        control.close()


def _send(url: str, index: str, bodies: list[bytes], *, in_flight: int) -> None:
    waiting: SimpleQueue[bytes] = SimpleQueue()
    errors: list[BaseException] = []
    for body in bodies:
        waiting.put(body)
    refresh_at = round(REST * len(bodies))

    def send() -> None:
        connection = Connection(url)
        try:
            while not errors:
                body = waiting.get_nowait()
                answer = connection.send(f"/{index}/{_BULK}", body)
                if waiting.qsize() == refresh_at:
                    connection.call("POST", f"/{index}/_refresh")
                if answer["errors"]:
                    raise OSError(f"documents were refused: {str(answer)[:500]}")
        except Empty:
            pass
        except BaseException as error:  # noqa: BLE001 - raised below, in the calling thread
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=send) for _ in range(in_flight)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
