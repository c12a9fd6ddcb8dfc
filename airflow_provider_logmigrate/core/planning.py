"""Building a tenant's plan. Reads from both sides, writes nowhere: a dry run stops after this."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from airflow_provider_logmigrate.core.errors import TenantInvalid
from airflow_provider_logmigrate.core.layout import Layout, Share, share_of
from airflow_provider_logmigrate.core.naming import IndexNames
from airflow_provider_logmigrate.core.plan import (
    Estimate,
    Plan,
    ReadStrategy,
    UnitPlan,
    digest,
    shared_owner,
)
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
    layout: Layout = Layout.PER_TENANT

    def share(self, tenant: str) -> Share | None:
        """The tenant's part of shared indices; ``None`` where each tenant has its own."""
        return share_of(self.shape, tenant) if self.layout is Layout.SHARED else None

    def base(self, unit: Unit) -> str:
        """Name of the index a unit goes into, without its version."""
        label = unit.period.label
        if self.layout is Layout.SHARED:
            return self.names.shared_base(label)
        return self.names.unit_alias(unit.tenant, label)

    def owner(self, unit: Unit) -> str:
        """Whose index that is, see :attr:`UnitPlan.owner`."""
        return shared_owner(unit) if self.layout is Layout.SHARED else unit.key

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

    def versions(self, owners: Mapping[str, str]) -> Mapping[str, Mapping[int, str]]:
        """Existing versions of many indices at once: name without version -> number -> definition.

        :param owners: name without version -> whose such an index must be, see
            :attr:`UnitPlan.owner`.
        :returns: names that have no version may be left out.
        :raises IndexConflict: an index of such a name isn't the owner's.
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
    wanted: list[tuple[StreamSetup, Unit, Estimate]] = []
    warnings = [note for setup in setups for note in setup.notes]
    for setup in setups:
        stream = setup.shape.stream
        estimates = source.survey(stream.name, tenant, periods)
        wanted += [
            (setup, Unit(stream.name, tenant, period), estimate)
            for period, estimate in estimates.items()
        ]
        if held_back := sum(e.held_back for e in estimates.values()):
            warnings.append(f"{stream.name}: {held_back:,} unsettled rows are held back")
        if estimates and setup.strategy is not ReadStrategy.KEYSET:
            warnings.append(f"{stream.name}: read {setup.strategy.value}: {setup.strategy_reason}")
    units, new = _units(wanted, target)
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


def _units(
    wanted: Sequence[tuple[StreamSetup, Unit, Estimate]], target: Registry
) -> tuple[list[UnitPlan], int]:
    """The units with their versions, and how many of their indices aren't there yet."""
    owners = {setup.base(unit): setup.owner(unit) for setup, unit, _ in wanted}
    existing = target.versions(owners) if owners else {}
    definitions: dict[str, str] = {}  # each costs a hash of the whole mapping
    units = []
    new = 0
    for setup, unit, estimate in wanted:
        base = setup.base(unit)
        definition = definitions.setdefault(unit.stream, "") or setup.definition
        definitions[unit.stream] = definition
        known = existing.get(base, {})
        version = choose_version(known, definition)
        new += version not in known
        units.append(
            UnitPlan(
                unit=unit,
                alias=setup.names.unit_alias(unit.tenant, unit.period.label),
                tenant_alias=setup.names.tenant_alias(unit.tenant),
                index=f"{base}-v{version}",
                definition=definition,
                strategy=setup.strategy,
                strategy_reason=setup.strategy_reason,
                body=setup.body,
                estimate=estimate,
                share=setup.share(unit.tenant),
            )
        )
    return units, new


def choose_version(existing: Mapping[int, str], definition: str) -> int:
    """The highest version of the same definition, else the next free number."""
    same = [number for number, found in existing.items() if found == definition]
    return max(same) if same else max(existing, default=0) + 1


def _unique(lines: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(lines))
