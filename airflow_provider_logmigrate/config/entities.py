"""What the configuration means, as frozen data for the rest of the program.

Nothing in here knows YAML or pydantic. Names are checked and resolved: a migration carries its
stores and streams themselves, so no later step can meet a name that leads nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import Enum
from pathlib import Path

from airflow_provider_logmigrate.core.certificate import ProofMode
from airflow_provider_logmigrate.core.layout import Layout
from airflow_provider_logmigrate.core.naming import IndexNames
from airflow_provider_logmigrate.core.plan import ReadStrategy
from airflow_provider_logmigrate.core.planning import Order
from airflow_provider_logmigrate.core.ports import CopyLimits
from airflow_provider_logmigrate.core.protection import Protection
from airflow_provider_logmigrate.core.purge import Hold
from airflow_provider_logmigrate.core.reconcile import Bounds
from airflow_provider_logmigrate.core.retention_rules import RetentionRules
from airflow_provider_logmigrate.core.stream import Stream, TextIndex
from airflow_provider_logmigrate.core.survey import Counting
from airflow_provider_logmigrate.core.unit import Granularity


class StoreType(str, Enum):
    """What kind of system a store is."""

    POSTGRES = "postgres"
    OPENSEARCH = "opensearch"
    ELASTICSEARCH = "elasticsearch"


class DagsPer(str, Enum):
    """Which DAGs a migration has."""

    AUTO = "auto"
    TENANT = "per_tenant"
    GROUPED = "grouped"


class Approval(str, Enum):
    """Where the DAG waits for a person."""

    NONE = "none"
    BEFORE_BACKFILL = "before_backfill"
    BEFORE_SWAP = "before_swap"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in the configuration, without stopping the rest.

    :param path: where, for example ``migrations.dify_logs.tenants.list[2]``.
    :param line: line of the file, counted from 1, where known.
    """

    path: str
    message: str
    line: int | None = None

    def __str__(self) -> str:
        place = f" (line {self.line})" if self.line else ""
        return f"{self.path}: {self.message}{place}"


@dataclass(frozen=True, slots=True)
class Store:
    """A system reached through one Airflow connection.

    :param connection: the Airflow connection's id; secrets stay there.
    """

    name: str
    type: StoreType
    connection: str


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """Settings of new indices while they serve; other ones apply while they are loaded.

    :param refresh_interval: in the engine's own notation, ``-1`` for never.
    :param codec: ``None``: the engine's default.
    :param text: of all long texts.
    """

    shards: int = 1
    replicas: int = 0
    refresh_interval: str = "30s"
    total_fields: int = 2000
    codec: str | None = None
    text: TextIndex = TextIndex.FULL


@dataclass(frozen=True, slots=True)
class OffloadStorage:
    """Where offloaded content lies.

    :param url: fsspec URL of the folder (or bucket) that the storage keys are relative to.
    :param connection: Airflow connection of the object storage, if it needs one.
    :param inline_limit: bytes of one offloaded content that are made searchable.
    """

    url: str
    connection: str | None = None
    inline_limit: int = 8 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of load and tolerance of one migration.

    :param in_flight: bulks sent at the same time, per lane, at most.
    :param chunk_bytes: size of a bulk body, at most.
    :param page_rows: rows read by one statement at most.
    :param documents_per_second: of one lane; ``None``: no limit.
    :param bytes_per_second: the same in bytes of bulk bodies.
    :param checkpoint_seconds: at most this much copying is done again after a kill.
    :param max_rejected: dead letters of one unit before its copy stops.
    :param accept_rejected: dead letters of one unit that don't forbid its cut-over.
    :param statement_timeout_seconds: bound of every statement sent to the source.
    """

    in_flight: int = 3
    chunk_bytes: int = 4 << 20
    page_rows: int = 20_000
    checkpoint_seconds: float = 1.0
    max_rejected: int = 1000
    accept_rejected: int = 0
    statement_timeout_seconds: float = 300.0
    documents_per_second: float | None = None
    bytes_per_second: float | None = None

    @property
    def copy(self) -> CopyLimits:
        """The part that bounds the copy loop."""
        return CopyLimits(
            in_flight=self.in_flight,
            chunk_bytes=self.chunk_bytes,
            checkpoint_seconds=self.checkpoint_seconds,
            max_rejected=self.max_rejected,
            documents_per_second=self.documents_per_second,
            bytes_per_second=self.bytes_per_second,
        )


@dataclass(frozen=True, slots=True)
class FollowSettings:
    """Keeping open periods in step with a living source.

    :param schedule: cron expression or preset.
    :param closed_for: how long a period is still followed after its end.
    """

    schedule: str = "@hourly"
    closed_for: timedelta = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class PurgeSettings:
    """When and how proven rows leave the source.

    :param batch_seconds: what one deleting transaction should take.
    :param sessions: deleting transactions at a time.
    :param snapshot: snapshot repository of the target, ``None``: no snapshot is taken.
    """

    floor_age: timedelta = timedelta(days=30)
    holds: tuple[Hold, ...] = ()
    batch_seconds: float = 0.5
    sessions: int = 1
    approval: bool = True
    snapshot: str | None = None
    vacuum: bool = False


@dataclass(frozen=True, slots=True)
class RetentionSettings:
    """When and how documents leave the target.

    :param documents_per_second: bounds a deletion by query.
    :param snapshot: snapshot repository of the target, ``None``: no snapshot is taken.
    :param schedule: cron expression or preset of the retention's DAG, ``None``: by hand.
    """

    rules: RetentionRules
    documents_per_second: float = 5000.0
    snapshot: str | None = None
    approval: bool = True
    schedule: str | None = None


@dataclass(frozen=True, slots=True)
class Migration:
    """One migration: what goes from where to where, for whom, and how carefully.

    :param pack: name of the stream pack, ``None`` for own stream definitions.
    :param aliases: short name -> stream name, for what people type.
    :param discovered: file that a discovery of tenants writes, ``None`` if they are given.
    :param first: first day to migrate (whole periods are migrated).
    :param last: last day to migrate, included; ``None``: up to now.
    :param settle_lag: rows younger than this are left for a later run.
    :param offload: ``None``: offloaded content isn't followed.
    :param protect: when reading spares the source, ``None``: never.
    :param proof: how closely a copied unit is compared.
    :param sample: documents compared field by field in each unit's proof.
    :param reconcile: how far documents that differ are repaired.
    :param follow: ``None``: nothing keeps open periods in step but the tenants' own DAGs.
    :param purge: ``None``: nothing is ever deleted from the source.
    :param retention: ``None``: nothing is ever deleted from the target.
    :param dags: one DAG per tenant, or one for all.
    :param counts: how a plan learns row numbers.
    :param schedule: cron expression or preset of the tenants' DAGs, ``None``: by hand.
    :param strategies: read strategies forced by stream name; others are chosen by preflight.
    :param pool: Airflow pool of the copying tasks, ``None``: Airflow's default pool.
    """

    name: str
    source: Store
    target: Store
    tenants: tuple[str, ...]
    streams: tuple[Stream, ...]
    first: date
    index_prefix: str
    pack: str | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)
    discovered: Path | None = None
    last: date | None = None
    period: Granularity = Granularity.MONTH
    order: Order = Order.NEWEST_FIRST
    settle_lag: timedelta = timedelta(minutes=15)
    lanes: int = 2
    layout: Layout = Layout.PER_TENANT
    index: IndexSettings = IndexSettings()
    offload: OffloadStorage | None = None
    limits: Limits = Limits()
    protect: Protection | None = None
    proof: ProofMode = ProofMode.SAMPLE
    sample: int = 100
    reconcile: Bounds = field(default_factory=Bounds)
    follow: FollowSettings | None = None
    purge: PurgeSettings | None = None
    retention: RetentionSettings | None = None
    approval: Approval = Approval.NONE
    approval_timeout: timedelta = timedelta(days=7)
    dags: DagsPer = DagsPer.AUTO
    counts: Counting = Counting.AUTO
    schedule: str | None = None
    strategies: Mapping[str, ReadStrategy] = field(default_factory=dict)
    pool: str | None = None
    retries: int = 5

    def stream(self, name: str) -> Stream:
        """The stream with this name or short name. :raises KeyError: not in this migration."""
        full = self.aliases.get(name, name)
        for stream in self.streams:
            if stream.name == full:
                return stream
        raise KeyError(name)

    def names(self, stream: Stream) -> IndexNames:
        """Index and alias names of one of the streams."""
        return IndexNames(self.index_prefix, stream.slug)


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration: everything that is right, and what isn't.

    :param migrations: the good ones by name, in the file's order, each with its good tenants only.
    :param problems: why migrations or tenants of the file are missing here.
    """

    path: Path
    stores: Mapping[str, Store]
    migrations: Mapping[str, Migration]
    problems: tuple[Problem, ...] = ()
