"""A purge that kills its own process at a chosen point: ``SOURCE LEDGER POINT NTH SESSIONS``."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

from airflow_provider_logmigrate.core import purge_run
from airflow_provider_logmigrate.core.purge_ports import Batch, DeletionLog, Removal
from tests.integration.postgres.purge_rig import (
    RUNS_UNIT,
    STEPS_UNITS,
    PurgeRig,
    purge_plan_unit,
)

POINTS = ("deleted", "intended", "committed", "settled")
BATCH = 10


class Deadly:
    """The ledger's log; dies the nth time the purge passes the point."""

    def __init__(self, log: DeletionLog, point: str, nth: int) -> None:
        self._log, self._point, self._left = log, point, nth

    def _pass(self, point: str) -> None:
        if point == self._point:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def open(self) -> Sequence[Batch]:
        return self._log.open()

    def intend(self, removal: Removal) -> int:
        self._pass("deleted")
        number = self._log.intend(removal)
        self._pass("intended")
        return number

    def settle(self, batch: int) -> None:
        self._pass("committed")
        self._log.settle(batch)
        self._pass("settled")

    def drop(self, batch: int) -> None:
        self._log.drop(batch)


def small_batches(set_: Callable[[Any, str, Any], None] = setattr) -> None:
    set_(purge_run, "SMALLEST_BATCH", BATCH)
    set_(purge_run, "LARGEST_BATCH", BATCH)


def main(source: str, ledger: str, point: str, nth: str, sessions: str) -> None:
    small_batches()
    rig = PurgeRig(source, ledger, runs=0)
    rig.copy()
    unit = purge_plan_unit(RUNS_UNIT, *STEPS_UNITS)
    rig.purge(unit, log=lambda log: Deadly(log, point, int(nth)), sessions=int(sessions))


if __name__ == "__main__":
    main(*sys.argv[1:])
