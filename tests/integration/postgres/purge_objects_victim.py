"""Deletes objects whose rows are gone, and kills its own process: ``LEDGER URL POINT NTH``."""

from __future__ import annotations

import logging
import os
import signal
import sys

from airflow_provider_logmigrate.core.purge_ports import Member, Removal, StoredObject
from airflow_provider_logmigrate.hooks.content import ObjectStorageContent
from airflow_provider_logmigrate.ledger.ledger import Ledger
from airflow_provider_logmigrate.operators.purge_unit import PurgeReport, delete_objects
from tests.integration.postgres.purge_rig import (
    MIGRATION,
    RUNS_UNIT,
    certificate,
    purge_plan_unit,
)

POINTS = ("deleted", "noted")


def pending(ledger: Ledger, keys: list[str]) -> None:
    """Rows are gone, the objects that they named aren't yet."""
    unit = purge_plan_unit(RUNS_UNIT)
    ledger.certificates.save(MIGRATION, certificate(RUNS_UNIT))
    attempt = ledger.units.begin_attempt()
    ledger.units.claim(MIGRATION, unit.plan, attempt=attempt, holder="a test")
    log = ledger.deletions.attempt(MIGRATION, unit, plan_hash="p", attempt=attempt)
    removal = Removal(
        unit=unit.key,
        transaction=7,
        keys={"runs": ["r"]},
        sums={},
        hours={},
        kept={},
        objects=[StoredObject(key, Member("runs", "r", RUNS_UNIT.unit), "body") for key in keys],
    )
    log.settle(log.intend(removal))


def delete(ledger: Ledger, url: str) -> PurgeReport:
    """Delete what is pending."""
    report = PurgeReport()
    delete_objects(ledger, MIGRATION, ObjectStorageContent(url), report, logging.getLogger())
    return report


def main(dsn: str, url: str, point: str, nth: str) -> None:
    ledger, left = Ledger(dsn, who="a victim"), [int(nth)]
    note = ledger.deletions.object_deleted

    def deadly(number: int) -> None:
        left[0] -= 1
        if point == "noted" or left[0]:
            note(number)
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    ledger.deletions.object_deleted = deadly  # type: ignore[method-assign]
    delete(ledger, url)


if __name__ == "__main__":
    main(*sys.argv[1:])
