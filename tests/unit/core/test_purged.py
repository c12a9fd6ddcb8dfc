"""A proof after a purge: what left still counts, and nothing else is excused by it."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from airflow_provider_logmigrate.core.certificate import Verdict
from airflow_provider_logmigrate.core.compare import RowComparer
from airflow_provider_logmigrate.core.fingerprint import EMPTY, Bucket
from airflow_provider_logmigrate.core.purged import UNACCOUNTED, PurgedSource
from airflow_provider_logmigrate.core.stream import Column, ColumnKind, Stream, StreamShape
from airflow_provider_logmigrate.core.verify import Proof, prove
from tests.unit.core.building import MONTH, Row, by_key, plan, rows
from tests.unit.core.fakes import FakeSource, FakeTarget, Stored

SHAPE = StreamShape(
    Stream("runs", "runs", "runs", "id", "at", "tenant_id"),
    (
        Column("at", ColumnKind.TIMESTAMP_TZ, "timestamptz"),
        Column("id", ColumnKind.KEYWORD, "varchar"),
        Column("text", ColumnKind.TEXT, "text", variable=True),
    ),
)
ALL = rows(9, step=timedelta(minutes=20))  # three hours of three rows
PURGED = [ALL[0], ALL[3], ALL[4], ALL[5]]


@pytest.fixture
def source() -> FakeSource:
    return FakeSource(by_key(row for row in ALL if row not in PURGED))


@pytest.fixture
def target() -> FakeTarget:
    target = FakeTarget()
    target.documents = {row.key: Stored(1, row.document()) for row in ALL}
    return target


def proof(source: FakeSource, target: FakeTarget, *, full: bool = False) -> Proof:
    gone: dict[datetime, Bucket] = {}
    for row in PURGED:
        hour = row.at.replace(minute=0)
        gone[hour] = gone.get(hour, EMPTY) + Bucket(1, *row.fingerprint())
    return prove(
        source=PurgedSource(source, target, gone),
        target=target,
        plan=plan(),
        upper=MONTH.end,
        rejected=(),
        comparer=RowComparer(SHAPE),
        sample=20,
        seed=1,
        full=full,
    )


def found(result: Proof) -> set[tuple[str, str]]:
    return {(finding.kind.value, finding.key) for finding in result.tally.listed}


@pytest.mark.parametrize("full", [False, True])
def test_what_was_purged_still_counts(source: FakeSource, target: FakeTarget, full: bool) -> None:
    result = proof(source, target, full=full)

    assert (result.verdict, found(result)) == (Verdict.EQUAL, set())
    assert (result.source.total.count, result.source.gone) == (9, 4)
    assert result.sampled == 5, "purged rows have nothing to compare with"


def test_a_row_that_changed_beside_purged_ones_is_the_only_finding(
    source: FakeSource, target: FakeTarget
) -> None:
    source.rows_by_key["k00001"] = Row("k00001", ALL[1].at, "changed")

    result = proof(source, target)

    assert found(result) == {("stale", "k00001")}


def test_a_lost_document_of_a_purged_row_is_found(source: FakeSource, target: FakeTarget) -> None:
    del target.documents["k00004"]

    result = proof(source, target)

    assert result.verdict is Verdict.DIFFERENT
    assert ("missing", UNACCOUNTED) in found(result)


def test_a_foreign_document_isnt_taken_for_a_purged_row(
    source: FakeSource, target: FakeTarget
) -> None:
    target.documents["k00004x"] = Stored(1, Row("k00004x", ALL[4].at, "foreign").document())

    result = proof(source, target)

    assert result.verdict is Verdict.DIFFERENT
    assert ("extra", "k00004x") in found(result)


def test_a_row_that_is_gone_without_a_purge_is_found(
    source: FakeSource, target: FakeTarget
) -> None:
    del source.rows_by_key["k00008"]

    assert found(proof(source, target)) == {("extra", "k00008")}
