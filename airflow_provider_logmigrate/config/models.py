"""What the YAML file may hold: types, bounds, defaults and the text of the reference page.

The only module that imports pydantic at its top; the loader imports it when it is needed. Models
are strict (no number where text is meant, no text where a number is) and forbid unknown keys.
References between parts (stores, streams, tenants) are resolved in :mod:`.resolve`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    WithJsonSchema,
    model_validator,
)

from airflow_provider_logmigrate.config.quantities import (
    DURATION_PATTERN,
    SIZE_PATTERN,
    parse_day,
    parse_duration,
    parse_lag,
    parse_size,
)

MIGRATION_NAME = r"^[a-z0-9_]{1,60}$"
MAX_PREFIX = 32
"""With the longest slug, tenant, period and version a name stays below the engines' 255 bytes."""

Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN, "title": "duration"}),
]
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer"}, {"type": "string", "pattern": SIZE_PATTERN}],
            "title": "size",
        }
    ),
]
Lag = Annotated[
    timedelta | int,
    BeforeValidator(parse_lag),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": DURATION_PATTERN, "title": "duration"},
                {"type": "string", "pattern": SIZE_PATTERN, "title": "size"},
            ]
        }
    ),
]
Day = Annotated[
    date,
    BeforeValidator(parse_day),
    WithJsonSchema({"type": "string", "format": "date", "title": "day"}),
]
Name = Annotated[str, StringConstraints(min_length=1, max_length=250)]
# Identifiers of the database: quoted wherever they are used, so only their length is checked.
Identifier = Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=r"^[^\x00]*$")]
Prefix = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=MAX_PREFIX)]
Table = Annotated[str, StringConstraints(min_length=1, max_length=127, pattern=r"^[^\x00]*$")]
# A stream's name is a part of unit keys, which are cut at `/`; `all` stands for every stream.
StreamName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
# Items are checked one by one when tenants are resolved: a wrong one is only its own problem.
AnyText = Annotated[Any, WithJsonSchema({"type": "string", "minLength": 1})]
JsonModeName = Literal["text", "object", "flat_object"]
StrategyName = Literal["auto", "keyset", "by_parent", "by_key", "sweep"]


class Model(BaseModel):
    """Base of all parts: strict, closed, frozen."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )


def _is_list(value: object) -> str:
    return "<names>" if isinstance(value, list) else "<definitions>"


def _is_text(value: object) -> str:
    return "<name>" if isinstance(value, str) else "<by stream>"


def _has_parent(value: object) -> str:
    return "<parent>" if isinstance(value, Mapping) and "parent" in value else "<values>"


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


class IndexModel(Model):
    """Settings of new indices. While an index is loaded, refresh is off and replicas are 0."""

    shards: int = Field(default=1, ge=1, le=1024)
    """Primary shards of each index."""
    replicas: int = Field(default=0, ge=0, le=100)
    """Replicas of each index, made after the load."""
    refresh_interval: Annotated[str, StringConstraints(pattern=r"^(-1|[0-9]+(ms|s|m|h|d))$")] = (
        "30s"
    )
    """How often new documents become searchable, in the engine's notation (`-1`: never)."""
    total_fields: int = Field(default=2000, ge=1, le=1_000_000)
    """The engine's limit of fields per index."""
    codec: Literal["default", "best_compression", "zstd", "zstd_no_dict"] | None = None
    """Compression of stored documents; `null`: the engine's default. The `zstd` ones are
    OpenSearch's."""
    text: Literal["full", "match_only", "stored"] = "full"
    """How long texts are indexed: JSON kept as text, other `text` columns, offloaded content.
    `full`: full text; `match_only`: without relevance, a smaller index (`match_only_text`, in
    OpenSearch since 2.12); `stored`: not searchable. docs/benchmarks.md has rates and sizes."""


class OffloadModel(Model):
    """Object storage with content that the source keeps outside its rows."""

    url: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9+.-]*://.*$")]
    """fsspec URL of the folder or bucket that the storage keys are relative to, for example
    `file:///data/dify` or `s3://bucket/prefix`. No user name and no password here."""
    connection: Name | None = None
    """Id of the Airflow connection for the object storage, if it needs one."""
    inline_limit: Size = Field(default=8 << 20, ge=0, le=64 << 20)
    """The largest offloaded content that is made searchable; a larger one is left out, and
    reported."""


class LimitsModel(Model):
    """Bounds of load, of memory and of what is tolerated."""

    in_flight: int = Field(default=3, ge=1, le=16)
    """Bulk requests sent at the same time, per lane, at most: fewer while the target pushes
    back."""
    chunk: Size = Field(default=4 << 20, ge=64 << 10, le=64 << 20)
    """Size of one bulk request, at most. Memory per lane stays below (2 x in_flight + 2) x
    chunk."""
    page_rows: int = Field(default=20_000, ge=1, le=1_000_000)
    """Rows read by one statement at most; no transaction is longer than a page."""
    documents_per_second: float | None = Field(default=None, ge=0.1, le=1e9, allow_inf_nan=False)
    """Documents that one lane writes per second at most; default: no limit. Lanes don't know of
    each other: the limit of a target is this times the slots of its `pool`."""
    megabytes_per_second: float | None = Field(default=None, ge=0.001, le=1e6, allow_inf_nan=False)
    """The same in megabytes (1,000,000 bytes) of bulk requests."""
    checkpoint_every: Duration = Field(
        default=timedelta(seconds=1), ge=timedelta(milliseconds=100), le=timedelta(minutes=10)
    )
    """How often the position is kept: the most copying that a kill makes necessary again."""
    max_rejected: int = Field(default=1000, ge=0)
    """Dead letters of one unit before its copy stops."""
    accept_rejected: int = Field(default=0, ge=0)
    """Dead letters of one unit that don't forbid its cut-over; the run then ends
    `completed_with_findings`."""
    statement_timeout: Duration = Field(
        default=timedelta(minutes=5), ge=timedelta(seconds=1), le=timedelta(days=1)
    )
    """Bound of every statement sent to the source."""


class ProtectModel(Model):
    """When reading spares the source. Above a threshold it goes on at half speed, from twice the
    threshold on it pauses, with the reason in the progress. Give at least one threshold.
    """

    probe_latency: Duration | None = Field(default=None, ge=timedelta(milliseconds=1))
    """Time of a small query that fetches one block of a copied table."""
    replication_lag: Lag | None = None
    """How far the slowest replica is behind, as time (`10s`) or as write-ahead log (`64MiB`).
    Needs the role `pg_monitor`."""
    active_backends: int | None = Field(default=None, ge=1)
    """Sessions that run a statement at the same time, those of this provider left out. Sessions
    of other users are seen with the role `pg_monitor` only."""
    every: Duration = Field(
        default=timedelta(seconds=5), ge=timedelta(milliseconds=100), le=timedelta(minutes=10)
    )
    """How often each lane looks, between two pages."""
    give_up_after: Duration = Field(
        default=timedelta(hours=1), ge=timedelta(seconds=1), le=timedelta(days=7)
    )
    """The longest pause; then the attempt ends, which frees its worker, and is retried."""

    @model_validator(mode="after")
    def _watches_something(self) -> ProtectModel:
        if (self.probe_latency, self.replication_lag, self.active_backends) == (None, None, None):
            raise ValueError(
                "give at least one of `probe_latency`, `replication_lag` and `active_backends`"
            )
        lag = self.replication_lag
        if lag is not None and not lag:
            raise ValueError("`replication_lag` must be more than nothing")
        return self


class HoldModel(Model):
    """Rows that must stay, whatever their age: a legal hold."""

    tenant: AnyText | None = None
    """Whose rows; default: every tenant's."""
    from_: Day | None = Field(default=None, alias="from")
    """First day, included; default: open."""
    to: Day | None = None
    """Last day, included; default: open."""

    @model_validator(mode="after")
    def _is_a_tenant(self) -> HoldModel:
        if self.tenant is not None and not isinstance(self.tenant, str):
            raise ValueError("`tenant` must be text: put numbers in quotes")
        if self.from_ is not None and self.to is not None and self.from_ > self.to:
            raise ValueError(f"`to` ({self.to}) is before `from` ({self.from_})")
        return self


class PurgeModel(Model):
    """When rows that were copied, proven and cut over may be deleted from the source."""

    floor_age: Duration = Field(
        default=timedelta(days=30), ge=timedelta(days=1), le=timedelta(days=36_500)
    )
    """How long a period must be over, at least."""
    hold: list[HoldModel] = Field(default_factory=list)
    """Legal holds."""
    batch: Duration = Field(
        default=timedelta(milliseconds=500), ge=timedelta(milliseconds=50), le=timedelta(seconds=10)
    )
    """How long one deleting transaction should take."""
    approval: bool = True
    """Whether the purge's DAG waits for a person between plan and deletion."""
    snapshot: Name | None = None
    """A snapshot repository of the target: the indices are kept there before the first deletion."""
    vacuum: bool = False
    """Whether `VACUUM (ANALYZE)` runs on the tables afterwards."""


# Part of a request's path and of queries: no pattern, no list.
FieldName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_@][A-Za-z0-9_.@-]{0,199}$")]
FieldValue = Annotated[str, StringConstraints(min_length=1, max_length=512)]


class RetentionRuleModel(Model):
    """How long some documents stay. The first rule that fits a document decides."""

    after: Duration | None = Field(ge=timedelta(days=1), le=timedelta(days=36_500))
    """Age at which they go; `null`: they stay for ever."""
    stream: StreamName | None = None
    """Of which stream; default: of all."""
    tenant: AnyText | None = None
    """Of which tenant; default: of all."""
    where: dict[FieldName, Annotated[list[FieldValue], Field(min_length=1)]] = Field(
        default_factory=dict
    )
    """Which of them: values by field, for example `{status: [succeeded, stopped]}`. Documents that
    have one of the values in each of the fields. A field must be mapped to an exact type:
    `keyword`, `boolean` or a whole number."""

    @model_validator(mode="after")
    def _is_a_tenant(self) -> RetentionRuleModel:
        if self.tenant is not None and not isinstance(self.tenant, str):
            raise ValueError("`tenant` must be text: put numbers in quotes")
        return self


class RetentionCapModel(Model):
    """The most that one plan deletes; the rest waits for the next one."""

    indices: int = Field(default=20, ge=1, le=10_000)
    """Indices that something is deleted of."""
    documents: int = Field(default=10_000_000, ge=1)
    """Documents."""


class RetentionModel(Model):
    """When documents may be deleted from the target. Their age is that of the data."""

    after: Duration | None = Field(default=None, ge=timedelta(days=1), le=timedelta(days=36_500))
    """Age at which documents go that no rule fits; default: never."""
    rules: list[RetentionRuleModel] = Field(default_factory=list)
    """Other ages, by stream, tenant and field values."""
    hold: list[HoldModel] = Field(default_factory=list)
    """Legal holds; those of `purge.hold` count as well."""
    cap: RetentionCapModel = Field(default_factory=RetentionCapModel)
    """The most that one plan deletes."""
    documents_per_second: float = Field(default=5000, ge=1, le=1e9, allow_inf_nan=False)
    """Speed of a deletion by query; whole indices are dropped at once."""
    snapshot: Name | None = None
    """A snapshot repository of the target: the indices are kept there before the first deletion."""
    allow_last_copy: bool = False
    """Whether documents may go whose rows are no longer in the source."""
    allow_ilm: bool = False
    """Whether indices may be deleted that a lifecycle policy of the engine manages as well
    (Elasticsearch's ILM, OpenSearch's ISM)."""
    approval: bool = True
    """Whether the retention's DAG waits for a person between plan and deletion."""
    schedule: Name | None = None
    """Cron expression or preset (`@daily`) of the retention's DAG; default: started by hand."""


class ReconcileModel(Model):
    """How far differing documents are repaired; see docs/concepts/reconcile.md."""

    passes: int = Field(default=3, ge=0, le=20)
    """Repairs of one unit at most, each followed by a proof; 0: a difference fails the proof."""
    max_documents: int = Field(default=10_000, ge=1, le=1_000_000)
    """Documents of one unit that may be copied again or removed. If more differ, none is touched;
    only in a period that is still open the hours that differ are copied anew."""
    remove_extras: bool = False
    """Whether documents without a row are removed. One whose key is in the source never is."""


class FollowModel(Model):
    """Keeps live tenants' open periods in step: a DAG that proves, repairs what differs, and copies
    new periods.
    """

    schedule: Name = "@hourly"
    """Cron expression or preset of the DAG `logmigrate_<migration>.follow`."""
    closed_for: Duration = Field(
        default=timedelta(days=2), ge=timedelta(0), le=timedelta(days=3_660)
    )
    """How long a period is still followed after its end."""


class ProofModel(Model):
    """How closely a copied unit is compared; see docs/concepts/proof.md."""

    mode: Literal["count", "fingerprint", "sample", "full"] = "sample"
    """`count`: numbers of rows by hour, enough for a look, never for a cut-over or a purge;
    `fingerprint`: keys and fingerprints of all rows; `sample`: some documents field by field as
    well; `full`: every document as well, in about half the copy's time."""
    sample: int = Field(default=100, ge=0, le=10_000)
    """Random documents per unit compared with their rows field by field; none in the modes `count`
    and `fingerprint`."""


class SettledValuesModel(Model):
    """A row won't change any more when a column has one of these values."""

    column: Identifier
    """The column that tells."""
    values: list[str] = Field(min_length=1)
    """Its final values."""


class SettledParentModel(Model):
    """A row is settled when its parent row is; rows whose parent is gone are settled."""

    table: Table
    """The parent's table, as `table` or `schema.table`."""
    key: Identifier = "id"
    """The parent's key."""
    foreign_key: Identifier
    """The column of this stream that holds the parent's key."""
    settled: SettledValuesModel
    """When the parent is settled."""
    event_time: Identifier | None = None
    """The parent's event time. Give it where rows may be read by their parents (`by_parent`)."""
    ended_at: Identifier | None = None
    """When the parent ended, if a column says so; needs `event_time`."""

    @model_validator(mode="after")
    def _ended_at_needs_event_time(self) -> SettledParentModel:
        if self.ended_at is not None and self.event_time is None:
            raise ValueError("`ended_at` needs `event_time` beside it")
        return self


class SettledWithParentModel(Model):
    """Settled together with a parent row."""

    parent: SettledParentModel
    """The parent row and its rule."""
    own: SettledValuesModel | None = None
    """The rule of rows that have no parent; without it they count as settled."""


Settled = Annotated[
    Annotated[SettledValuesModel, Tag("<values>")]
    | Annotated[SettledWithParentModel, Tag("<parent>")],
    Discriminator(_has_parent),
]


class StreamModel(Model):
    """One kind of record, declared by its table's names. Its other columns are discovered."""

    table: Table
    """The table that holds the rows, as `table` or `schema.table`."""
    key: Identifier = "id"
    """The primary key; becomes the document's `_id`."""
    event_time: Identifier
    """The time column that periods are cut by."""
    tenant_column: Identifier
    """The column that says whose row it is."""
    slug: Slug | None = None
    """The stream's part of index names; default: its name with `-` for `_`."""
    settled: Settled | None = None
    """When a row stops changing; without it rows never change after they were inserted."""
    json_: dict[Identifier, JsonModeName] = Field(default_factory=dict, alias="json")
    """Text columns that hold JSON: `text` keeps them byte for byte and searchable, `object` and
    `flat_object` parse them."""
    fields_: dict[Identifier, dict[str, Any]] = Field(default_factory=dict, alias="fields")
    """Explicit field definitions of the engine by column; other columns follow their type."""


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
