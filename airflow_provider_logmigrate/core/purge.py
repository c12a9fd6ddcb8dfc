"""The purge plan: which units' rows leave the source, and why the others don't.

Made by a dry run and stored by its hash; the real run quotes the hash and judges everything anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from airflow_provider_logmigrate.core.certificate import Certificate, Verdict
from airflow_provider_logmigrate.core.plan import UnitPlan, digest
from airflow_provider_logmigrate.core.unit import Period, Unit


@dataclass(frozen=True, slots=True)
class Hold:
    """Rows that must stay whatever their age: a legal hold.

    :param tenant: ``None``: every tenant's.
    :param first, end: half-open range of event time; ``None``: open on that side.
    """

    tenant: str | None = None
    first: datetime | None = None
    end: datetime | None = None

    def covers(self, tenant: str, period: Period) -> bool:
        """True if a row of this tenant and period may be under the hold."""
        return (
            (self.tenant is None or self.tenant == tenant)
            and (self.first is None or self.first < period.end)
            and (self.end is None or period.start < self.end)
        )


@dataclass(frozen=True, slots=True)
class PurgeRules:
    """When rows may leave.

    :param floor_age: a period's end must lie this far back, at least.
    :param accept_rejected: see :meth:`Certificate.allows_cutover`; rejected rows themselves stay.
    """

    floor_age: timedelta
    holds: tuple[Hold, ...] = ()
    accept_rejected: int = 0


def reasons_to_keep(
    unit: UnitPlan,
    *,
    certificate: Certificate | None,
    definition: str,
    shown: bool,
    rules: PurgeRules,
    now: datetime,
) -> Iterator[str]:
    """Why a unit's rows may not be deleted now; nothing if they may.

    :param definition: the stream's definition as it is now.
    :param shown: readers see this index: the unit was cut over.
    """
    period = unit.unit.period
    if period.end > now - rules.floor_age:
        yield f"the period ends {period.end:%Y-%m-%d}, less than {_days(rules.floor_age)} ago"
    if any(hold.covers(unit.unit.tenant, period) for hold in rules.holds):
        yield "it is under legal hold"
    if definition != unit.definition:
        yield "columns, mapping or configuration changed since it was copied"
    if certificate is None:
        yield "it has no certificate"
        return
    if certificate.index != unit.index or certificate.definition != unit.definition:
        yield f"its certificate is about {certificate.index}"
    elif certificate.verdict is Verdict.DIFFERENT:
        yield f"certificate {certificate.id} says that it differs"
    elif not certificate.compares_rows:
        yield f"certificate {certificate.id} only counts rows"
    elif not certificate.allows_cutover(accept_rejected=rules.accept_rejected):
        accepted = rules.accept_rejected
        yield f"{certificate.rejected} documents were rejected, {accepted} are accepted"
    if certificate.pending or datetime.fromisoformat(certificate.upper) < period.end:
        yield "its certificate was made while the period was still open"
    if not shown:
        yield "readers don't see its index: it isn't cut over"


def _days(age: timedelta) -> str:
    return f"{age.days} days" if age.days else f"{age / timedelta(hours=1):g} hours"


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition that lies within a unit and holds only its rows: it goes once it is empty.

    :param table: its name with its schema.
    :param parent: the partitioned table.
    :param bound: as the source prints it; a restore makes the partition again by it.
    """

    table: str
    parent: str
    bound: str


@dataclass(frozen=True, slots=True)
class PurgeUnit:
    """One unit of a purge plan.

    :param plan: the unit whose rows go, as it was copied.
    :param along: units of other rows that go with them.
    :param certificates: by unit key, for all of these.
    :param rows: what goes, by table.
    :param bytes: about how much that is.
    :param held_back: rows of the unit that aren't settled and stay.
    :param references: rows elsewhere that name what goes, by table; they stay.
    :param notes: what a person should know before approving.
    :param partitions: dropped at the end, if nothing is left in them.
    """

    plan: UnitPlan
    along: tuple[UnitPlan, ...] = ()
    certificates: Mapping[str, str] = field(default_factory=dict)
    rows: Mapping[str, int] = field(default_factory=dict)
    bytes: int = 0
    held_back: int = 0
    references: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    partitions: tuple[Partition, ...] = ()

    @property
    def key(self) -> str:
        """The unit's key."""
        return self.plan.key

    @property
    def units(self) -> dict[Unit, UnitPlan]:
        """Every unit that rows may be deleted of."""
        return {plan.unit: plan for plan in (self.plan, *self.along)}

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values for the ledger."""
        return {
            "plan": self.plan.to_json(),
            "along": [plan.to_json() for plan in self.along],
            "certificates": dict(self.certificates),
            "rows": dict(self.rows),
            "bytes": self.bytes,
            "held_back": self.held_back,
            "references": dict(self.references),
            "notes": list(self.notes),
            "partitions": [asdict(partition) for partition in self.partitions],
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> PurgeUnit:
        """Inverse of :meth:`to_json`."""
        values = dict(record)
        plan = UnitPlan.from_json(values.pop("plan"))
        along = tuple(UnitPlan.from_json(unit) for unit in values.pop("along"))
        values["notes"] = tuple(values["notes"])
        values["partitions"] = tuple(Partition(**p) for p in values.pop("partitions", ()))
        return cls(plan=plan, along=along, **values)


@dataclass(frozen=True, slots=True)
class PurgePlan:
    """A tenant's purge plan.

    :param options: what was asked for.
    :param kept: why the other units stay, by unit key.
    """

    migration: str
    tenant: str
    units: tuple[PurgeUnit, ...]
    kept: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def hash(self) -> str:
        """SHA-256 over the canonical JSON of all of it but sizes in bytes."""
        units = [{**unit.to_json(), "bytes": 0} for unit in self.units]
        return digest({**self.to_json(), "units": units, "kept": {}})

    @property
    def rows(self) -> int:
        """Rows that go, of all tables."""
        return sum(sum(unit.rows.values()) for unit in self.units)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values for the ledger."""
        return {
            "migration": self.migration,
            "tenant": self.tenant,
            "units": [unit.to_json() for unit in self.units],
            "kept": {key: list(why) for key, why in self.kept.items()},
            "options": dict(self.options),
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> PurgePlan:
        """Inverse of :meth:`to_json`."""
        return cls(
            migration=record["migration"],
            tenant=record["tenant"],
            units=tuple(PurgeUnit.from_json(unit) for unit in record["units"]),
            kept={key: tuple(why) for key, why in record["kept"].items()},
            options=record["options"],
        )
