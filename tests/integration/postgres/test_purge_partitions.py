"""Partitioned tables: rows leave as from any other, and emptied partitions go, and come back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import psycopg2
import pytest

from airflow_provider_logmigrate.core.purge import Partition
from airflow_provider_logmigrate.stores.postgres.partitions import bring_back, covered, drop_empty
from tests.integration.postgres.purge_fixtures import empty_ledger, ledger_dsn
from tests.integration.postgres.purge_rig import (
    PARTITIONED,
    RUNS_UNIT,
    STEPS_UNITS,
    PurgeRig,
    purge_plan_unit,
    whole_runs,
)
from tests.integration.postgres.rig import execute

__all__ = ["empty_ledger", "ledger_dsn"]

UNIT = purge_plan_unit(RUNS_UNIT, *STEPS_UNITS)
STEPS = purge_plan_unit(STEPS_UNITS[0])


@pytest.fixture
def rig(database: str, empty_ledger: str) -> Iterator[PurgeRig]:
    rig = PurgeRig(database, empty_ledger, schema=PARTITIONED)
    yield rig
    rig.close()


def planned(rig: PurgeRig) -> list[Partition]:
    plans = (RUNS_UNIT, *STEPS_UNITS)
    with rig.rig.sessions.open() as connection:
        return [p for plan in plans for p in covered(connection, rig.rows[plan.unit.stream], plan)]


def tables(rig: PurgeRig) -> set[str]:
    query = "SELECT relid::regclass::text FROM pg_partition_tree('{}') WHERE isleaf"
    return {name for t in ("runs", "steps") for (name,) in execute(rig.dsn, query.format(t))}


def alone(rig: PurgeRig) -> None:
    """Everything of the month is the tenant's, and settled."""
    execute(
        rig.dsn,
        "DELETE FROM steps WHERE tenant <> 'acme'",
        "DELETE FROM runs WHERE tenant <> 'acme'",
        "UPDATE runs SET state = 'done'",
        "UPDATE steps SET state = 'done'",
    )
    rig.copy()


def test_whole_runs_leave_partitioned_tables(rig: PurgeRig) -> None:
    rig.copy()
    before = rig.rows_now()

    outcome = rig.purge(UNIT)

    after = rig.rows_now()
    assert {t: before[t].keys() - after[t].keys() for t in before} == whole_runs(before)
    assert not outcome.stayed


def test_a_partition_with_rows_of_another_tenant_is_no_units(rig: PurgeRig) -> None:
    assert planned(rig) == []


def test_emptied_partitions_go_and_come_back_and_no_other(rig: PurgeRig) -> None:
    alone(rig)
    partitions = planned(rig)
    names = [p.table for p in partitions]
    assert names == ["public.runs_jan", "public.steps_jan"], "not the default, not the open end"
    before = tables(rig)

    rig.purge(UNIT)
    dropped = drop_empty(rig.rig.sessions, partitions)

    assert [p.table for p in dropped] == ["public.runs_jan"], "single steps are still there"
    rig.purge(STEPS)
    assert [p.table for p in drop_empty(rig.rig.sessions, partitions)] == ["public.steps_jan"]
    assert tables(rig) == {"runs_rest", "steps_rest"}
    assert drop_empty(rig.rig.sessions, partitions) == [], "repeated, it does nothing"

    assert len(bring_back(rig.rig.sessions, partitions)) == 2
    assert tables(rig) == before
    assert bring_back(rig.rig.sessions, partitions) == []
    assert planned(rig) == [], "an empty one isn't any unit's"


def test_a_row_that_appears_under_the_lock_keeps_its_partition(rig: PurgeRig) -> None:
    alone(rig)
    partitions = planned(rig)
    rig.purge(UNIT)
    late = "INSERT INTO runs VALUES ('late', 'acme', '2025-01-03 00:00+00', 'done', '')"
    with closing(psycopg2.connect(rig.dsn)) as writer:
        writer.cursor().execute(late)
        # It isn't committed: the partition looks empty, and only the lock tells.
        assert drop_empty(rig.rig.sessions, partitions) == []
        writer.commit()
    assert drop_empty(rig.rig.sessions, partitions) == []
    assert execute(rig.dsn, "SELECT id FROM runs_jan") == [("late",)]


def test_a_partition_that_isnt_the_planned_one_stays(rig: PurgeRig) -> None:
    alone(rig)
    partitions = planned(rig)
    rig.purge(UNIT)
    execute(
        rig.dsn,
        "ALTER TABLE runs DETACH PARTITION runs_jan",
        "ALTER TABLE runs ATTACH PARTITION runs_jan"
        " FOR VALUES FROM ('2024-12-01 00:00+00') TO ('2025-02-01 00:00+00')",
    )

    assert drop_empty(rig.rig.sessions, partitions) == []
    assert "runs_jan" in tables(rig)
