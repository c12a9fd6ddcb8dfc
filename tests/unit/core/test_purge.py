"""Why a unit stays, what a plan's hash covers, how batches are sized."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from airflow_provider_logmigrate.core.certificate import Certificate, Verdict
from airflow_provider_logmigrate.core.purge import (
    Hold,
    PurgePlan,
    PurgeRules,
    PurgeUnit,
    reasons_to_keep,
)
from airflow_provider_logmigrate.core.purge_run import LARGEST_BATCH, SMALLEST_BATCH, next_size
from airflow_provider_logmigrate.core.unit import UTC
from tests.unit.core.building import MONTH, certified, plan

NOW = datetime(2025, 6, 1, tzinfo=UTC)
RULES = PurgeRules(timedelta(days=30))
UNIT = plan()
CERTIFICATE = certified(UNIT, rows=3, documents=3, high=1, low=2)


def reasons(
    *,
    certificate: Certificate | None = CERTIFICATE,
    definition: str = UNIT.definition,
    shown: bool = True,
    rules: PurgeRules = RULES,
    now: datetime = NOW,
) -> list[str]:
    return list(
        reasons_to_keep(
            UNIT,
            certificate=certificate,
            definition=definition,
            shown=shown,
            rules=rules,
            now=now,
        )
    )


def test_nothing_keeps_an_old_proven_unit_that_readers_see() -> None:
    assert reasons() == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"certificate": None}, "it has no certificate"),
        ({"certificate": replace(CERTIFICATE, verdict=Verdict.DIFFERENT)}, "says that it differs"),
        ({"certificate": replace(CERTIFICATE, index="other-v2")}, "is about other-v2"),
        ({"certificate": replace(CERTIFICATE, definition="x")}, "is about"),
        ({"certificate": replace(CERTIFICATE, pending=1)}, "still open"),
        (
            {"certificate": replace(CERTIFICATE, upper="2025-01-20T00:00:00+00:00")},
            "still open",
        ),
        (
            {"certificate": replace(CERTIFICATE, verdict=Verdict.EQUAL_BUT_REJECTED, rejected=2)},
            "2 documents were rejected, 0 are accepted",
        ),
        ({"certificate": replace(CERTIFICATE, mode="count")}, "only counts rows"),
        ({"definition": "another"}, "changed since it was copied"),
        ({"shown": False}, "isn't cut over"),
        ({"now": MONTH.end + timedelta(days=29)}, "less than 30 days ago"),
        ({"rules": replace(RULES, holds=(Hold(),))}, "legal hold"),
    ],
)
def test_each_obstacle_keeps_it_and_is_told(changes: dict[str, object], told: str) -> None:
    found = reasons(**changes)  # type: ignore[arg-type]

    assert [told in reason for reason in found] == [True]


def test_accepted_rejections_dont_keep_the_others() -> None:
    rejected = replace(CERTIFICATE, verdict=Verdict.EQUAL_BUT_REJECTED, rejected=2)

    assert reasons(certificate=rejected, rules=replace(RULES, accept_rejected=2)) == []


@pytest.mark.parametrize(
    ("hold", "covered"),
    [
        (Hold(), True),
        (Hold(tenant=UNIT.unit.tenant), True),
        (Hold(tenant="somebody else"), False),
        (Hold(first=MONTH.end), False),
        (Hold(first=MONTH.end - timedelta(microseconds=1)), True),
        (Hold(end=MONTH.start), False),
        (Hold(end=MONTH.start + timedelta(microseconds=1)), True),
    ],
)
def test_a_hold_covers_every_period_it_touches(hold: Hold, covered: bool) -> None:
    assert hold.covers(UNIT.unit.tenant, MONTH) is covered


def test_a_plan_comes_back_from_its_json_with_the_same_hash() -> None:
    unit = PurgeUnit(
        plan=UNIT,
        along=(UNIT,),
        certificates={UNIT.key: "c"},
        rows={"runs": 3},
        bytes=10,
        held_back=1,
        references={"messages": 4},
        notes=("a trigger",),
    )
    made = PurgePlan("dify", "acme", (unit,), {"other": ("too young",)}, {"before": None})

    again = PurgePlan.from_json(made.to_json())

    assert again == made
    assert again.hash == made.hash
    assert replace(made, units=(replace(unit, bytes=99),)).hash == made.hash
    for changed in (
        replace(unit, rows={"runs": 4}),
        replace(unit, certificates={UNIT.key: "d"}),
        replace(unit, notes=()),
        replace(unit, along=()),
    ):
        assert replace(made, units=(changed,)).hash != made.hash


@pytest.mark.parametrize(
    ("rows", "seconds", "size"),
    [
        (1000, 0.5, 1000),
        (1000, 0.25, 2000),
        (1000, 0.01, 4000),
        (1000, 1.0, 500),
        (1000, 60.0, 500),
        (1000, 0.0, 4000),
        (SMALLEST_BATCH, 9.0, SMALLEST_BATCH),
        (LARGEST_BATCH, 0.1, LARGEST_BATCH),
    ],
)
def test_batches_are_sized_by_time(rows: int, seconds: float, size: int) -> None:
    assert next_size(rows, seconds, aim=0.5) == size
