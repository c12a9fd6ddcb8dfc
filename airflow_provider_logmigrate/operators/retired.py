"""Units that aren't copied any more, because retention has deleted documents of them."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

from airflow_provider_logmigrate.core.unit import Unit

if TYPE_CHECKING:
    from airflow_provider_logmigrate.config.entities import Migration
    from airflow_provider_logmigrate.ledger.ledger import Ledger


def retired_units(migration: Migration, ledger: Ledger) -> frozenset[str]:
    """Keys of units that retention has deleted documents of, and still would.

    A copy would bring back what is too old. With rules that keep them longer, or without a
    retention, they are copied again.
    """
    if migration.retention is None:
        return frozenset()
    rules, now = migration.retention.rules, datetime.now(timezone.utc)

    def reached(key: str) -> bool:
        unit = Unit.from_key(key)
        return rules.reaches(unit.stream, unit.tenant, unit.period.start, as_of=now)

    return frozenset(key for key in ledger.retentions.units(migration.name) if reached(key))
