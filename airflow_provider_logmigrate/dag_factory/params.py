"""The form of a run: what a person may narrow, checked before the run starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.sdk import Param

    from airflow_provider_logmigrate.config.entities import Migration

EXAMPLES = 20
"""Tenants that the form offers; a name is checked when the run starts."""
_LISTED_TENANTS = 500
"""More tenants than this aren't offered as a list."""


def run_params(migration: Migration) -> dict[str, Any]:
    """Parameters of a run of one migration."""
    from airflow.sdk import Param

    from airflow_provider_logmigrate.core.certificate import ProofMode

    day: dict[str, Any] = {"type": ["null", "string"], "format": "date"}
    known = [*migration.aliases, *(stream.name for stream in migration.streams)]
    return {
        "streams": Param(
            [],
            type=["array", "string"],
            title="Streams",
            description_md="Names of streams; empty for all of the migration.",
            items={"type": "string", "enum": ["all", *dict.fromkeys(known)]},
            examples=list(dict.fromkeys(known)),
        ),
        "from": Param(None, title="From", description_md="First day, included.", **day),
        "to": Param(None, title="To", description_md="Last day, included.", **day),
        "dry_run": Param(
            default=False,
            type="boolean",
            title="Dry run",
            description_md="Stop after the plan.",
        ),
        "sample": Param(
            None,
            type=["null", "integer"],
            minimum=0,
            maximum=1000,
            title="Sample",
            description_md="Documents per unit compared field by field.",
        ),
        "mode": Param(
            None,
            type=["null", "string"],
            enum=[None, *(mode.value for mode in ProofMode)],
            title="Proof",
            description_md=(
                "How closely units are compared: `full` looks at every document; after `count`"
                " nothing is cut over."
            ),
        ),
        "remove_extras": Param(
            default=False,
            type="boolean",
            title="Remove extras",
            description_md="Remove documents that have no row in the source.",
        ),
    }


def group_params(migration: Migration) -> dict[str, Any]:
    """Parameters of a run for many tenants."""
    from airflow.sdk import Param

    tenants = Param(
        [],
        type="array",
        title="Tenants",
        description_md="Names of tenants; empty for all of the migration.",
        items={"type": "string"},
        examples=list(migration.tenants[:EXAMPLES]),
    )
    return {"tenants": tenants, **run_params(migration)}


def tenant_param(migration: Migration) -> Param:
    """The one tenant of a run that is for one.

    Without a default: a run that names no tenant is refused instead of taking the first one.
    """
    from airflow.sdk import Param

    listed = migration.tenants[: _LISTED_TENANTS + 1]
    choice = {"enum": list(listed)} if 0 < len(listed) <= _LISTED_TENANTS else {"minLength": 1}
    return Param(type="string", title="Tenant", description_md="Whose rows.", **choice)


def plan_param(kind: str) -> Param:
    """The plan that a run is to carry out, of all those of a kind."""
    from airflow.sdk import Param

    return Param(
        None,
        type=["null", "string"],
        pattern="^[0-9a-f]{64}$",
        title="Plan",
        description_md=f"Hash of a {kind} that was seen before: carries out just that.",
    )
