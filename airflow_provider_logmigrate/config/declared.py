"""Streams that users declare in the file -> the same :class:`Stream` that packs are made of."""

from __future__ import annotations

from airflow_provider_logmigrate.config.stream_models import (
    SettledValuesModel,
    SettledWithParentModel,
    StreamModel,
)
from airflow_provider_logmigrate.core.stream import (
    JsonMode,
    Parent,
    SettledBy,
    SettledRule,
    SettledWithParent,
    Stream,
)


def declared_stream(name: str, model: StreamModel) -> Stream:
    """The stream that ``model`` declares.

    Every column that the declaration names is required: without it the declaration is wrong.
    ``known`` stays empty: any other column of the table is as good as expected.
    """
    parent: Parent | None = None
    settled: SettledRule = None
    named = [model.key, model.event_time, model.tenant_column, *model.json_, *model.fields_]
    rule = model.settled
    if isinstance(rule, SettledWithParentModel):
        settled, parent = _with_parent(rule)
        named.append(rule.parent.foreign_key)
        named += [rule.own.column] if rule.own else []
    elif rule is not None:
        settled = _by_values(rule)
        named.append(rule.column)
    return Stream(
        name=name,
        slug=model.slug or name.replace("_", "-"),
        table=model.table,
        key=model.key,
        event_time=model.event_time,
        tenant_column=model.tenant_column,
        settled=settled,
        parent=parent,
        required=tuple(dict.fromkeys(named)),
        json_columns={column: JsonMode(mode) for column, mode in model.json_.items()},
        fields=dict(model.fields_),
    )


def _by_values(model: SettledValuesModel) -> SettledBy:
    return SettledBy(column=model.column, values=tuple(model.values))


def _with_parent(model: SettledWithParentModel) -> tuple[SettledWithParent, Parent | None]:
    parent = model.parent
    rule = SettledWithParent(
        foreign_key=parent.foreign_key,
        parent_table=parent.table,
        parent_key=parent.key,
        parent=_by_values(parent.settled),
        own=_by_values(model.own) if model.own else None,
    )
    if parent.event_time is None:
        return rule, None
    return rule, Parent(
        table=parent.table,
        key=parent.key,
        foreign_key=parent.foreign_key,
        event_time=parent.event_time,
        ended_at=parent.ended_at,
    )
