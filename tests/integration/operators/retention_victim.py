"""A retention that kills its own process at a chosen point: ``PLAN INDEX POINT``.

Points: ``intended``, ``running`` (a deletion by query), ``deleted``.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import tests.unit.operators.airflow_home  # noqa: F401
from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.retention_run import ItemState
from airflow_provider_logmigrate.ledger.retentions import ItemLog
from airflow_provider_logmigrate.stores.search.retention import SearchRetention


def main(plan: str, index: str, point: str) -> None:
    from airflow_provider_logmigrate.operators.retention import RetentionCleanupOperator

    def die(here: str, name: str) -> None:
        if (here, name) == (point, index):
            os.kill(os.getpid(), signal.SIGKILL)

    intend, settle, wait = ItemLog.intend, ItemLog.settle, SearchRetention._wait

    def deadly_intend(self: ItemLog) -> None:
        intend(self)
        die("intended", self._item.index)

    def deadly_settle(self: ItemLog, state: ItemState, *, deleted: int) -> None:
        die("deleted", self._item.index)
        settle(self, state, deleted=deleted)

    def deadly_wait(self: SearchRetention, task: str, index: str, stop: Stop) -> None:
        die("running", index)
        wait(self, task, index, stop)

    patched: Any = ItemLog
    patched.intend, patched.settle = deadly_intend, deadly_settle
    patched = SearchRetention
    patched._wait = deadly_wait

    class TaskInstance:
        dag_id, run_id, map_index = "victim", "victim", -1

    operator = RetentionCleanupOperator(task_id="cleanup", migration="logs", plan_hash=plan)
    context: Any = {"ti": TaskInstance(), "params": {}}
    operator.execute(context)


if __name__ == "__main__":
    main(*sys.argv[1:])
