"""A redrive of the events stage that kills its own process at a chosen point: ``POINT``.

Points: ``sent`` (the engine has the documents, the ledger knows nothing of it), ``proven`` (nor of
the proof), ``certified`` (the letters are closed, nobody was told).
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import tests.unit.operators.airflow_home  # noqa: F401
from airflow_provider_logmigrate.core.certificate import Certificate
from airflow_provider_logmigrate.core.chunk import Chunk
from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.core.ports import WriteResult
from airflow_provider_logmigrate.ledger.certificates import Certificates
from airflow_provider_logmigrate.stores.search.target import SearchTarget


def main(point: str) -> None:
    from airflow_provider_logmigrate.operators.redrive import RedriveOperator

    def die(here: str) -> None:
        if here == point:
            os.kill(os.getpid(), signal.SIGKILL)

    write, save = SearchTarget.write, Certificates.save

    def deadly_write(
        self: SearchTarget, plan: UnitPlan, chunk: Chunk, *, stop: Stop
    ) -> WriteResult:
        result = write(self, plan, chunk, stop=stop)
        die("sent")
        return result

    def deadly_save(
        self: Certificates, migration: str, certificate: Certificate, **given: Any
    ) -> None:
        die("proven")
        save(self, migration, certificate, **given)
        die("certified")

    patched: Any = SearchTarget
    patched.write = deadly_write
    patched = Certificates
    patched.save = deadly_save

    class TaskInstance:
        dag_id, run_id, map_index = "victim", "victim", -1

    operator = RedriveOperator(task_id="redrive", migration="logs", tenant="acme")
    context: Any = {"ti": TaskInstance(), "params": {}}
    operator.execute(context)


if __name__ == "__main__":
    main(*sys.argv[1:])
