"""How tenants are spread over indices, and what one tenant's part of a common index is.

``per_tenant`` isolates by index: simple, and a tenant's period is deleted with its index. It needs
tenants x periods x streams shards, which no cluster has room for beyond a few hundred tenants.
``shared`` needs periods x streams: a tenant's documents are routed, and its aliases are filtered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from airflow_provider_logmigrate.core.errors import SourceUnsuitable
from airflow_provider_logmigrate.core.naming import encode_tenant
from airflow_provider_logmigrate.core.stream import ColumnKind, StreamShape

_TENANT_TYPES = frozenset({"uuid", "text", "character varying", "smallint", "integer", "bigint"})
"""Types whose ``=`` finds exactly the rows whose documents hold the same text. Padded
(``character``) and case-insensitive (``citext``) ones don't."""


class Layout(str, Enum):
    """How tenants are spread over indices."""

    PER_TENANT = "per_tenant"
    """One index per tenant, stream and period."""
    SHARED = "shared"
    """One index per stream and period for all tenants."""


@dataclass(frozen=True, slots=True, order=True)
class Share:
    """One tenant's part of a shared index: what its aliases carry and its proof counts.

    :param field: the tenant's column, a keyword in the index.
    :param value: the tenant as its documents hold it.
    :param routing: the encoded tenant. The tenant itself may hold a comma, which engines take for
        a list of routings.
    """

    field: str
    value: str
    routing: str

    @property
    def filter(self) -> dict[str, Any]:
        """The engine's query for exactly these documents."""
        return {"term": {self.field: self.value}}

    def to_json(self) -> dict[str, str]:
        """Plain JSON values for the ledger."""
        return {"field": self.field, "value": self.value, "routing": self.routing}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Share:
        """Inverse of :meth:`to_json`."""
        return cls(record["field"], record["value"], record["routing"])


def share_of(shape: StreamShape, tenant: str) -> Share:
    """A tenant's share of the stream's shared indices.

    The source takes ``ABCD…`` for the UUID ``abcd…`` and ``007`` for the number 7, the filter on
    documents doesn't: the value is what the source returns.
    """
    column = shape.column(shape.stream.tenant_column)
    value = tenant
    if column.kind is ColumnKind.UUID:
        value = tenant.lower()
    elif column.kind is ColumnKind.INTEGER and tenant.strip().removeprefix("-").isdecimal():
        value = str(int(tenant))
    return Share(column.name, value, encode_tenant(value))


def check_shareable(shape: StreamShape, *, unique_key: bool) -> None:
    """See that tenants can't get in each other's way in one index.

    :param unique_key: no two rows of the table share a key, whoever's they are.
    :raises SourceUnsuitable: they could.
    """
    stream = shape.stream
    column = shape.column(stream.tenant_column)
    instead = "set the migration's `layout` to `per_tenant`"
    if not unique_key:
        raise SourceUnsuitable(
            f"the layout `shared` needs a unique index on {stream.key} alone: rows of two tenants"
            " that share a key would overwrite each other",
            where=f"{stream.name}, table {stream.table}",
            next_step=f"create one, or {instead}",
        )
    if column.source_type not in _TENANT_TYPES:
        raise SourceUnsuitable(
            f"the layout `shared` can't filter by {column.name}, which is of type"
            f" {column.source_type}",
            where=f"{stream.name}, table {stream.table}",
            next_step=f"{instead}; it can filter by {', '.join(sorted(_TENANT_TYPES))}",
        )


@dataclass(frozen=True, slots=True)
class ShardNeeds:
    """Shards of a whole migration in either layout, replicas included, at most.

    At most, because a tenant has no index for a period without rows.
    """

    per_tenant: int
    shared: int

    @classmethod
    def of(cls, *, tenants: int, periods: int, streams: int, shards_per_index: int) -> ShardNeeds:
        """:param shards_per_index: primaries and replicas of one index."""
        shared = periods * streams * shards_per_index
        return cls(per_tenant=tenants * shared, shared=shared)

    def to_json(self) -> dict[str, int]:
        """Plain JSON values for the ledger."""
        return {"per_tenant": self.per_tenant, "shared": self.shared}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> ShardNeeds:
        """Inverse of :meth:`to_json`."""
        return cls(record["per_tenant"], record["shared"])


def layout_advice(needs: ShardNeeds, *, layout: Layout, limit: int) -> str:
    """What to say about the layout; empty if it fits.

    :param limit: shards that the whole cluster takes.
    """
    needed = needs.shared if layout is Layout.SHARED else needs.per_tenant
    if needed <= limit:
        return ""
    said = (
        f"all tenants together need up to {needed:,} shards with the layout `{layout.value}`,"
        f" the cluster takes {limit:,}"
    )
    if layout is Layout.PER_TENANT and needs.shared <= limit:
        return f"{said}: set `layout` to `shared`, which needs {needs.shared:,}"
    return f"{said}: add nodes, or raise cluster.max_shards_per_node"
