"""Streams that users declare in the YAML file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag, model_validator

from airflow_provider_logmigrate.config.fields import Identifier, JsonModeName, Model, Slug, Table


def _has_parent(value: object) -> str:
    return "<parent>" if isinstance(value, Mapping) and "parent" in value else "<values>"


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
