"""How a migration copies, proves and keeps in step, as the YAML file may say it."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from airflow_provider_logmigrate.config.fields import Duration, Lag, Model, Name, Size


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
