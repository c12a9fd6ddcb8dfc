"""Which unit an hour of rows is in."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from psycopg2 import sql

from airflow_provider_logmigrate.core.unit import UTC, Period, Unit
from airflow_provider_logmigrate.stores.postgres.row_sql import RowSql


class Places:
    """Units by stream, tenant and hour; the same unit is always the same object, quick to compare.

    :param period_of: the period of an event time.
    """

    def __init__(self, period_of: Callable[[datetime], Period]) -> None:
        self._period_of = period_of
        self._units: dict[Unit, Unit] = {}
        self._hours: dict[tuple[str, str, datetime], tuple[Unit, datetime]] = {}

    def place(self, stream: str, tenant: str, hour: datetime) -> tuple[Unit, datetime]:
        """Unit and hour, in UTC."""
        known = (stream, tenant, hour)
        if known not in self._hours:
            moment = hour.astimezone(UTC)
            unit = Unit(stream, tenant, self._period_of(moment))
            self._hours[known] = self._units.setdefault(unit, unit), moment
        return self._hours[known]


def hour(rows: RowSql) -> sql.Composable:
    """The hour of a row's event time, NULL where no period has such an hour."""
    return sql.SQL(
        "CASE WHEN {at} >= {first} AND {at} < {end} THEN date_trunc('hour', {at}::timestamptz) END"
    ).format(
        at=rows.event_time,
        first=rows.moment("0001-01-01T00:00:00+00:00"),
        end=rows.moment("9999-12-01T00:00:00+00:00"),
    )
