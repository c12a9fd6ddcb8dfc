"""What became of a batch whose end nobody saw: it is counted or dropped before anything else."""

from __future__ import annotations

from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.errors import SourceUnavailable
from airflow_provider_logmigrate.core.purge_ports import DeletionLog, Fate, PurgeSource
from airflow_provider_logmigrate.core.purge_scope import Scope

FATE_SECONDS = 1.0
FATE_TRIES = 120
"""How long a transaction of an earlier attempt may go on; idle ones are ended by the server."""


def finish_open(
    source: PurgeSource,
    log: DeletionLog,
    scope: Scope,
    *,
    stop: Stop,
    where: str,
    only: int | None = None,
) -> int:
    """Find out what became of batches whose end nobody saw; rows that turned out to be deleted.

    :param only: this batch; others may be under way.
    :raises SourceUnavailable: one of them is still running after a while.
    """
    rows = 0
    for batch in log.open():
        if only not in (None, batch.id):
            continue
        for _ in range(FATE_TRIES):
            fate = source.fate(scope, batch.removal)
            if fate is not Fate.RUNNING:
                break
            stop.wait(FATE_SECONDS, where)
        else:
            raise SourceUnavailable(
                f"transaction {batch.removal.transaction} of an earlier attempt is still open",
                where=where,
                next_step="nothing if it passes; else end its session in pg_stat_activity",
            )
        if fate is Fate.COMMITTED:
            log.settle(batch.id)
            rows += batch.removal.rows
        else:
            log.drop(batch.id)
    return rows
