"""Which dead letters are meant, checked against the configuration; and what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from airflow_provider_logmigrate.core.errors import TenantInvalid
from airflow_provider_logmigrate.ledger.dead_letters import Choice
from airflow_provider_logmigrate.operators.options import known_stream

if TYPE_CHECKING:
    from airflow_provider_logmigrate.config.entities import Migration
    from airflow_provider_logmigrate.operators.redrive_units import Redriven


def choice_of(
    migration: Migration,
    *,
    tenant: str | None,
    streams: Sequence[str] = (),
    units: Sequence[str] = (),
    reason: str | None = None,
) -> Choice:
    """The dead letters that are wanted.

    :raises TenantInvalid: the migration doesn't name this tenant.
    :raises ConfigInvalid: it doesn't have such a stream.
    """
    if tenant is not None and tenant not in migration.tenants:
        raise TenantInvalid("the migration doesn't name this tenant", where=tenant or "''")
    wanted = [streams] if isinstance(streams, str) else streams
    names = [known_stream(migration, name).name for name in wanted]
    return Choice(tenant=tenant, streams=names, units=list(units), reason=reason or None)


def told(done: Sequence[Redriven]) -> str:
    """One sentence for what isn't good."""
    bad = [found for found in done if not found.good]
    parts = [
        f"{found.unit}: {found.why}"
        if found.why
        else f"{found.unit}: {found.refused} of {found.letters} refused again, {found.left} without"
        f" a row to send, {found.verdict}"
        for found in bad[:3]
    ]
    more = f"; and {len(bad) - 3} more" if len(bad) > 3 else ""
    return (
        f"dead letters of {len(bad)} of {len(done)} units aren't through: {'; '.join(parts)}{more}"
    )
