"""Building a tenant's plan. Reads from both sides, writes nowhere: a dry run stops after this."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from airflow_provider_logmigrate.core.errors import TenantInvalid
from airflow_provider_logmigrate.core.naming import IndexNames
from airflow_provider_logmigrate.core.plan import Estimate, Plan, ReadStrategy, UnitPlan, digest
from airflow_provider_logmigrate.core.stream import StreamShape
from airflow_provider_logmigrate.core.unit import Period, Unit

FINGERPRINT_VERSION = "md5-1"
"""Changes when the fingerprint's text changes: old indices then count as another definition."""

ROWS_PER_SECOND = 10_000.0
"""For the duration estimate before anything was measured: half of one small node's measured
full-text ceiling (18,000 to 22,000 documents of 2.2 KB per second on two cores)."""

BYTES_PER_SECOND = 20e6
"""Same source: half of the measured 39 to 49 MB/s."""


class Order(str, Enum):
    """In which order periods are copied."""

    NEWEST_FIRST = "newest_first"
    OLDEST_FIRST = "oldest_first"


@dataclass(frozen=True, slots=True)
class StreamSetup:
    """Everything decided about one stream before its units are listed.

    :param body: mapping and serving settings for new indices.
    :param material_settings: settings that can't be changed later, part of the definition.
    """

    shape: StreamShape
    names: IndexNames
    strategy: ReadStrategy
    strategy_reason: str
    body: Mapping[str, Any]
    material_settings: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def definition(self) -> str:
        """Hash of everything that decides what documents look like."""
        stream = self.shape.stream
        return digest(
            {
                "fingerprint": FINGERPRINT_VERSION,
                "table": stream.table,
                "key": stream.key,
                "event_time": stream.event_time,
                "tenant": stream.tenant_column,
                "settled": repr(stream.settled),
                "columns": [
                    [c.name, c.source_type, c.kind.value, c.json_mode.value]
                    for c in self.shape.columns
                ],
                "offload": self.shape.offload is not None,
                "mappings": self.body["mappings"],
                "settings": dict(self.material_settings),
            }
        )


class Surveyor(Protocol):
    """The part of a source that planning asks."""

    def survey(
        self, stream: str, tenant: str, periods: Sequence[Period]
    ) -> Mapping[Period, Estimate]:
        """Rows by period."""

    def has_tenant(self, stream: str, tenant: str) -> bool:
        """True if the stream has any row of the tenant."""


class Registry(Protocol):
    """The part of a target that planning asks."""

    def versions(self, unit: Unit, alias: str) -> Mapping[int, str]:
        """Existing versions of a unit's index: number -> definition.

        :raises IndexConflict: an index of such a name isn't ours.
        """


def build_plan(
    *,
    migration: str,
    tenant: str,
    setups: Sequence[StreamSetup],
    source: Surveyor,
    target: Registry,
    periods: Sequence[Period],
    order: Order,
    options: Mapping[str, Any],
    shards_per_index: int,
) -> Plan:
    """List a tenant's units with names, versions, sizes and warnings.

    Periods without rows make no unit. An index of the same definition is continued; a changed
    definition gets the next version beside it, which the cut-over then switches to.

    :param shards_per_index: primaries and replicas of one index.
    :raises TenantInvalid: no stream has any row of this tenant: most likely a misspelt name.
    """
    units: list[UnitPlan] = []
    new = 0
    warnings = [note for setup in setups for note in setup.notes]
    for setup in setups:
        stream = setup.shape.stream
        estimates = source.survey(stream.name, tenant, periods)
        for period, estimate in estimates.items():
            planned, is_new = _unit(setup, Unit(stream.name, tenant, period), estimate, target)
            units.append(planned)
            new += is_new
        if held_back := sum(e.held_back for e in estimates.values()):
            warnings.append(f"{stream.name}: {held_back:,} unsettled rows are held back")
        if estimates and setup.strategy is not ReadStrategy.KEYSET:
            warnings.append(f"{stream.name}: read {setup.strategy.value}: {setup.strategy_reason}")
    if not units:
        if not any(source.has_tenant(s.shape.stream.name, tenant) for s in setups):
            raise TenantInvalid(
                "no stream has a row of this tenant",
                where=tenant,
                next_step="check the tenant's spelling in the configuration",
            )
        warnings.append("the tenant has rows, but none in this range")
    newest = order is Order.NEWEST_FIRST
    units.sort(key=lambda unit: unit.unit.period.start, reverse=newest)
    rows = sum(u.estimate.rows for u in units if u.estimate)
    size = sum(u.estimate.bytes for u in units if u.estimate)
    return Plan(
        migration=migration,
        tenant=tenant,
        units=tuple(units),
        options=dict(options),
        shards=shards_per_index * new,
        duration_seconds=max(rows / ROWS_PER_SECOND, size / BYTES_PER_SECOND),
        warnings=tuple(_unique(warnings)),
    )


def _unit(
    setup: StreamSetup, unit: Unit, estimate: Estimate, target: Registry
) -> tuple[UnitPlan, bool]:
    label = unit.period.label
    alias = setup.names.unit_alias(unit.tenant, label)
    existing = target.versions(unit, alias)
    version = choose_version(existing, setup.definition)
    planned = UnitPlan(
        unit=unit,
        alias=alias,
        tenant_alias=setup.names.tenant_alias(unit.tenant),
        index=setup.names.index(unit.tenant, label, version),
        definition=setup.definition,
        strategy=setup.strategy,
        strategy_reason=setup.strategy_reason,
        body=setup.body,
        estimate=estimate,
    )
    return planned, version not in existing


def choose_version(existing: Mapping[int, str], definition: str) -> int:
    """The highest version of the same definition, else the next free number."""
    same = [number for number, found in existing.items() if found == definition]
    return max(same) if same else max(existing, default=0) + 1


def _unique(lines: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(lines))
