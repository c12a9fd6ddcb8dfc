"""Names of indices, aliases and DAGs, made from tenants that may hold any character.

A tenant becomes part of names by a reversible encoding, so two tenants never share an index, a
tenant named ``*`` or ``a,b`` is no pattern, and every name can be traced back to its tenant.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from airflow_provider_logmigrate.core.errors import TenantInvalid

MAX_INDEX_NAME_BYTES = 255
"""Limit of OpenSearch and Elasticsearch for index and alias names."""

MAX_TENANT_BYTES = 160
"""Encoded tenant: leaves room for prefix, stream, period and version within 255 bytes."""

_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-")
_ENCODED = re.compile(r"(?:[a-z0-9-]|_[0-9a-f]{2})*")


def encode_tenant(tenant: str) -> str:
    """Lower-case letters, digits and ``-`` stay; every other UTF-8 byte becomes ``_xx``.

    A UUID stays as it is. The result never holds ``.``, so it can't run into the ``.2025.01`` of a
    period.

    :raises TenantInvalid: empty or longer than 160 bytes when encoded.
    """
    if not tenant or not tenant.strip():
        raise TenantInvalid("a tenant name is empty", where=repr(tenant))
    try:
        raw = tenant.encode()
    except UnicodeEncodeError:
        raise TenantInvalid("a tenant name isn't valid text", where=ascii(tenant)) from None
    encoded = "".join(chr(b) if b in _PLAIN else f"_{b:02x}" for b in raw)
    if len(encoded) > MAX_TENANT_BYTES:
        raise TenantInvalid(
            f"a tenant name needs {len(encoded)} bytes in index names, at most "
            f"{MAX_TENANT_BYTES} fit",
            where=f"{tenant[:40]}…",
            next_step="leave this tenant out or migrate it under a shorter key",
        )
    return encoded


def decode_tenant(encoded: str) -> str:
    """Inverse of :func:`encode_tenant`. :raises ValueError: not an encoded tenant."""
    if not encoded or not _ENCODED.fullmatch(encoded):
        raise ValueError(f"not an encoded tenant: {encoded!r}")
    raw = re.sub(r"_([0-9a-f]{2})", lambda m: chr(int(m.group(1), 16)), encoded)
    tenant = raw.encode("latin-1").decode()
    try:
        canonical = encode_tenant(tenant)
    except TenantInvalid as error:
        raise ValueError(f"not an encoded tenant: {encoded!r}") from error
    if canonical != encoded:  # `_61` for `a`: two keys would mean one tenant
        raise ValueError(f"not an encoded tenant: {encoded!r}")
    return tenant


def dag_id(migration: str, tenant: str) -> str:
    """``logmigrate_<migration>_<tenant>``."""
    return f"logmigrate_{migration}_{encode_tenant(tenant)}"


def migration_dag_id(migration: str, role: str) -> str:
    """``logmigrate_<migration>.<role>``: a DAG for all tenants of a migration.

    Tenants' DAGs never have such an id: neither a migration's name nor an encoded tenant holds
    ``.``.
    """
    return f"logmigrate_{migration}.{role}"


@dataclass(frozen=True, slots=True)
class IndexNames:
    """Aliases that readers use and versioned concrete names behind them, for one stream.

    :param prefix: for example ``dify``.
    :param slug: stream part, for example ``workflow-runs``.
    """

    prefix: str
    slug: str

    @property
    def template(self) -> str:
        """Name of the composable index template."""
        return f"{self.prefix}-{self.slug}-template"

    @property
    def pattern(self) -> str:
        """Index pattern of the template: concrete names only, they end in ``-v<number>``."""
        return f"{self.prefix}-{self.slug}-*-v*"

    def tenant_alias(self, tenant: str) -> str:
        """All periods of a tenant."""
        return f"{self.prefix}-{self.slug}-{encode_tenant(tenant)}"

    def unit_alias(self, tenant: str, label: str) -> str:
        """One period of a tenant: ``dify-workflow-runs-<tenant>-2025.01``."""
        return f"{self.tenant_alias(tenant)}-{label.replace('-', '.')}"

    def index(self, tenant: str, label: str, version: int) -> str:
        """Concrete index: the unit's alias plus ``-v<version>``."""
        return f"{self.unit_alias(tenant, label)}-v{version}"

    def shared_base(self, label: str) -> str:
        """A shared index without its version: ``dify-workflow-runs-2025.01``.

        No tenant has such a name: its aliases and indices go on with the encoded tenant, which
        holds no ``.``, and a tenant called ``2025`` gives ``dify-workflow-runs-2025-2025.01``.
        """
        return f"{self.prefix}-{self.slug}-{label.replace('-', '.')}"

    def shared_index(self, label: str, version: int) -> str:
        """Concrete index of all tenants: ``dify-workflow-runs-2025.01-v1``."""
        return f"{self.shared_base(label)}-v{version}"
