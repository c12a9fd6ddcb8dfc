"""What the YAML file may hold: types, bounds, defaults and the text of the reference page.

Only the modules of the models import pydantic at their top; the loader imports them when they are
needed. References between parts (stores, streams, tenants) are resolved in :mod:`.resolve`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import ConfigDict, Discriminator, Field, StringConstraints, Tag

from airflow_provider_logmigrate.config.copy_models import (
    FollowModel,
    IndexModel,
    LimitsModel,
    OffloadModel,
    ProofModel,
    ProtectModel,
    ReconcileModel,
)
from airflow_provider_logmigrate.config.deletion_models import PurgeModel, RetentionModel
from airflow_provider_logmigrate.config.fields import (
    MIGRATION_NAME,
    AnyText,
    Day,
    Duration,
    JsonModeName,
    Model,
    Name,
    Prefix,
    StrategyName,
    StreamName,
)
from airflow_provider_logmigrate.config.stream_models import StreamModel


def _is_list(value: object) -> str:
    return "<names>" if isinstance(value, list) else "<definitions>"


def _is_text(value: object) -> str:
    return "<name>" if isinstance(value, str) else "<by stream>"


class StoreModel(Model):
    """One system, reached through an Airflow connection that holds host, user and password."""

    type: Literal["postgres", "opensearch", "elasticsearch"]
    """What kind of system it is."""
    connection: Name
    """Id of the Airflow connection."""


class TenantsModel(Model):
    """Whose rows are migrated: exactly one of the three keys. Each tenant gets a DAG of its own."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    list_: list[AnyText] | None = Field(default=None, alias="list")
    """The tenants, as text (put numbers in quotes)."""
    file: Name | None = None
    """A text file with one tenant per line, relative to this file; lines starting with `#` are
    comments."""
    discovered: DiscoveredModel | None = None
    """Tenants found in the source by `airflow logmigrate discover`."""


class DiscoveredModel(Model):
    """Tenants that a discovery wrote down, so that reading the configuration needs no database."""

    file: Name
    """Where the discovery writes, relative to this file; same form as `tenants.file`."""


class MigrationModel(Model):
    """What is copied from where to where, for whom, and how carefully."""

    pack: Name | None = None
    """Built-in streams: `dify`. Leave it out to declare `streams` of your own."""
    source: Name
    """The store that rows are read from (`postgres`)."""
    target: Name
    """The store that documents are written to (`opensearch` or `elasticsearch`)."""
    tenants: TenantsModel
    """Whose rows are migrated."""
    streams: (
        Annotated[
            Annotated[list[str], Field(min_length=1), Tag("<names>")]
            | Annotated[dict[StreamName, StreamModel], Field(min_length=1), Tag("<definitions>")],
            Discriminator(_is_list),
        ]
        | None
    ) = None
    """With a pack: names of the streams wanted (all by default; for `dify` also `runs`,
    `app_logs`, `node_executions`, `offload`). Without one: own definitions by name."""
    from_: Day = Field(alias="from")
    """First day. Whole periods are migrated: the one that holds this day is the first."""
    to: Day | None = None
    """Last day, included; default: open, up to now less `settle_lag`."""
    period: Literal["month", "day"] = "month"
    """What one index holds."""
    order: Literal["newest_first", "oldest_first"] = "newest_first"
    """Which periods are migrated first."""
    settle_lag: Duration = Field(default=timedelta(minutes=15), ge=timedelta(0))
    """Rows younger than this are left for a later run."""
    lanes: int = Field(default=2, ge=1, le=64)
    """Parallel copying tasks of one tenant's DAG."""
    layout: Literal["per_tenant", "shared"] = "per_tenant"
    """`per_tenant`: one index per tenant, stream and period. `shared`: one per stream and period
    for all tenants, each behind filtered aliases of its own; see docs/concepts/layout.md."""
    index_prefix: Prefix | None = None
    """First part of all index names; default: the pack's name, without a pack the migration's
    name with `-` for `_`."""
    index: IndexModel = Field(default_factory=IndexModel)
    """Settings of new indices."""
    json_columns: dict[str, JsonModeName] = Field(default_factory=dict)
    """Other treatment of a JSON column than the stream's, as `stream.column: mode`."""
    offload: OffloadModel | None = None
    """Where offloaded content lies; without it, it isn't followed."""
    limits: LimitsModel = Field(default_factory=LimitsModel)
    """Bounds of load, of memory and of what is tolerated."""
    protect: ProtectModel | None = None
    """When reading spares the source; without it, only a page's size bounds what it does there."""
    proof: ProofModel = Field(default_factory=ProofModel)
    """How closely a copied unit is compared."""
    reconcile: ReconcileModel = Field(default_factory=ReconcileModel)
    """How far documents that differ from their rows are repaired."""
    follow: FollowModel | None = None
    """Keeps open periods in step with a source that is still written to; without it nothing does
    but the tenants' own DAGs."""
    purge: PurgeModel | None = None
    """When rows may be deleted from the source; without it nothing is ever deleted there."""
    retention: RetentionModel | None = None
    """When documents may be deleted from the target; without it nothing is ever deleted there."""
    approval: Literal["none", "before_backfill", "before_swap"] = "none"
    """Where the DAG waits for a person."""
    approval_timeout: Duration = Field(default=timedelta(days=7), ge=timedelta(minutes=1))
    """How long it waits; then the run fails, and nothing is swapped."""
    dags: Literal["auto", "per_tenant", "grouped"] = "auto"
    """One DAG for each tenant, or a single one for all, `logmigrate_<migration>.tenants`, with a
    parameter that names tenants. `auto` groups the largest migrations while there are more tenants
    than `[logmigrate] max_tenant_dags`."""
    counts: Literal["auto", "exact", "estimate"] = "auto"
    """How a plan learns row numbers: by counting, or from PostgreSQL's statistics. `auto` counts
    unless an index finds the periods and more than 20 million rows are expected."""
    schedule: Name | None = None
    """Cron expression or preset (`@daily`) of the tenants' DAGs; default: started by hand."""
    strategy: Annotated[
        Annotated[StrategyName, Tag("<name>")]
        | Annotated[dict[str, StrategyName], Tag("<by stream>")],
        Discriminator(_is_text),
    ] = "auto"
    """How rows are read: `keyset` (along an index), `by_parent`, `by_key` (a scan, then by primary
    key), `sweep` (one pass for all tenants, by the DAG `logmigrate_<migration>.sweep`; see
    docs/concepts/sweep.md), or `auto`, which looks at the source. For all streams, or by stream."""
    pool: Name | None = None
    """Airflow pool of the copying tasks; default: Airflow's own `default_pool`."""
    retries: int = Field(default=5, ge=0, le=100)
    """How often Airflow tries a failed task again; each try goes on from the checkpoint."""


class ConfigModel(Model):
    """The whole file."""

    version: Literal[1]
    """Version of this file's form."""
    stores: dict[Name, StoreModel] = Field(min_length=1)
    """Systems by a name of your choice."""
    migrations: dict[Annotated[str, StringConstraints(pattern=MIGRATION_NAME)], MigrationModel]
    """Migrations by name (`a-z`, `0-9`, `_`, at most 60 characters), which is part of DAG ids."""


TenantsModel.model_rebuild()
