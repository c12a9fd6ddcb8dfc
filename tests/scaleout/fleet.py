"""A migration on several workers: which lane runs where, in which processes."""

from __future__ import annotations

import re
from dataclasses import dataclass

import psutil

from airflow_provider_logmigrate.ledger.units import UnitState
from devstack.celery_workers import CeleryAirflow
from devstack.sampledata import Counts
from tests.scaleout.migrations import STREAM, TENANT
from tests.system.rig import DagRun, Site


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet(Site):
    """An Airflow with workers, and what the sample's generator says it holds."""

    workers: CeleryAirflow
    counts: Counts

    def rows(self, period: str) -> int:
        """Settled rows of a month, all of which get a document."""
        return self.counts.units[STREAM, TENANT, period].settled


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """A lane's task in the middle of its only unit.

    :param worker: the host as Airflow noted it; ``process`` was found in that worker's session.
    :param supervisor: the process's parent, a slot of the worker.
    :param unit: as the ledger has it.
    """

    number: int
    worker: str
    process: psutil.Process
    supervisor: psutil.Process
    unit: UnitState

    @property
    def task(self) -> str:
        """Name of the task instance."""
        return f"backfill[{self.number}]"

    @property
    def period(self) -> str:
        return self.unit.period


def lanes(fleet: Fleet, run: DagRun) -> list[Lane]:
    """The lanes of a run whose tasks are all copying, in order."""
    tasks = run.tasks()
    found = []
    for unit in fleet.ledger.units.states(run.migration, tenant=run.tenant):
        holder = re.search(r"lane (\d+) on \S+ process (\d+)$", unit.holder)
        assert holder, unit.holder
        process = psutil.Process(int(holder[2]))
        supervisor = process.parent()
        assert supervisor is not None
        worker = fleet.workers.worker_of(process.pid)
        number = int(holder[1])
        assert tasks[f"backfill[{number}]"]["hostname"] == worker.name
        assert supervisor in worker.members()
        assert supervisor.pid != worker.pid
        found.append(
            Lane(
                number=number,
                worker=worker.name,
                process=process,
                supervisor=supervisor,
                unit=unit,
            )
        )
    return sorted(found, key=lambda lane: lane.number)
