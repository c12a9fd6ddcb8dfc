"""Plans, rows and documents as the core's tests need them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from airflow_provider_logmigrate.core.certificate import Certificate, Verdict
from airflow_provider_logmigrate.core.layout import Share
from airflow_provider_logmigrate.core.naming import IndexNames, encode_tenant
from airflow_provider_logmigrate.core.plan import Estimate, ReadStrategy, UnitPlan
from airflow_provider_logmigrate.core.ports import ReadRequest, TimeRange
from airflow_provider_logmigrate.core.unit import UTC, Period, Unit, month_of

NAMES = IndexNames("dify", "runs")
MONTH = month_of(datetime(2025, 1, 1, tzinfo=UTC))
HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Row:
    """A source row.

    :param odd: reading it reports a finding.
    """

    key: str
    at: datetime
    text: str = "x"
    settled: bool = True
    odd: bool = False

    def content(self) -> dict[str, Any]:
        """The document's fields."""
        return {"id": self.key, "at": self.at.isoformat(), "text": self.text}

    def fingerprint(self) -> tuple[int, int]:
        """Two 32-bit halves."""
        digest = hashlib.md5(json.dumps(self.content()).encode()).hexdigest()
        return int(digest[:8], 16), int(digest[8:16], 16)

    def document(self) -> dict[str, Any]:
        """What the target holds for it."""
        high, low = self.fingerprint()
        return {**self.content(), "logmigrate": {"high": high, "low": low}}


def rows(count: int, *, start: datetime = MONTH.start, step: timedelta = HOUR) -> list[Row]:
    """Rows one ``step`` apart."""
    return [Row(f"k{n:05d}", start + n * step, f"text {n}") for n in range(count)]


def by_key(some: Iterable[Row]) -> dict[str, Row]:
    """Rows as a source holds them."""
    return {row.key: row for row in some}


def plan(
    tenant: str = "t1",
    *,
    period: Period = MONTH,
    estimate: Estimate | None = None,
    version: int = 1,
    definition: str = "d1",
    stream: str = "runs",
    body: Mapping[str, Any] | None = None,
    strategy: ReadStrategy = ReadStrategy.KEYSET,
    shared: bool = False,
) -> UnitPlan:
    """A month of a tenant, in an index of its own unless ``shared``."""
    own = NAMES.index(tenant, period.label, version)
    return UnitPlan(
        unit=Unit(stream, tenant, period),
        alias=NAMES.unit_alias(tenant, period.label),
        tenant_alias=NAMES.tenant_alias(tenant),
        index=NAMES.shared_index(period.label, version) if shared else own,
        definition=definition,
        strategy=strategy,
        strategy_reason="an index serves it",
        body=body or {"mappings": {}, "settings": {}},
        estimate=estimate,
        share=Share("tenant_id", tenant, encode_tenant(tenant)) if shared else None,
    )


def whole(of: UnitPlan) -> ReadRequest:
    """A request for all of a unit."""
    period = of.unit.period
    return ReadRequest(of, (TimeRange(period.start, period.end),))


@dataclass(slots=True)
class FakeClock:
    """Time that moves only when told to, or by ``step`` whenever it is looked at."""

    at: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    seconds: float = 0.0
    step: float = 0.0

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        self.seconds += self.step
        return self.seconds


def certified(plan: UnitPlan, verdict: Verdict = Verdict.EQUAL, **facts: Any) -> Certificate:
    """A certificate of a unit, by fingerprints and without rows unless ``facts`` say otherwise."""
    usual: dict[str, Any] = {
        "id": "c",
        "plan_hash": "p",
        "mode": "fingerprint",
        "upper": plan.unit.period.end.isoformat(),
        "as_of": "2025-06-01T00:00:00+00:00",
        "max_event_time": None,
    }
    counts = ("rows", "documents", "held_back", "pending", "rejected", "high", "low")
    usual |= dict.fromkeys((*counts, "sampled", "seed"), 0)
    return Certificate(
        unit=plan.key,
        index=plan.index,
        definition=plan.definition,
        verdict=verdict,
        **(usual | facts),
    )
