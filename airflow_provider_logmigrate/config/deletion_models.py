"""When something may be deleted, as the YAML file may say it: purge and retention."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from airflow_provider_logmigrate.config.fields import (
    AnyText,
    Day,
    Duration,
    Model,
    Name,
    StreamName,
)


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
    sessions: int = Field(default=1, ge=1, le=8)
    """How many of them go on at a time. Each one keeps a processor of the source busy, so more are
    quicker while some are idle; where none is, others notice."""
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
