"""The rule of what is settled, as SQL over a row ``w``.

A rule that asks the row's parent exists in two forms with the same meaning. As an expression of its
own it holds everywhere and looks the parent up for each row. Beside a joined parent
(:func:`with_parent`) the server may remember parents it has met, and rows of one parent lie side
by side (measured: half the cost). The join is a lateral one that can't be flattened: it stays a
primary key lookup for each parent, whatever the planner thinks of hashing the whole table.
"""

from __future__ import annotations

from psycopg2 import sql

from airflow_provider_logmigrate.core.stream import SettledBy, SettledRule, SettledWithParent
from airflow_provider_logmigrate.stores.postgres.catalog import identifier

_TRUE = sql.SQL("true")


def settled(rule: SettledRule) -> sql.Composable:
    """True for a row that will not change any more; never NULL."""
    return _rule(rule, parent=_looked_up(rule) if isinstance(rule, SettledWithParent) else None)


def settled_beside_parent(rule: SettledRule) -> sql.Composable:
    """The same where the row comes from :func:`with_parent`."""
    return _rule(rule, parent=sql.Identifier("parent", "settled"))


def settled_without_parent(rule: SettledRule) -> sql.Composable:
    """The same for rows whose parent isn't there: nobody has to look for it."""
    return _rule(rule, parent=None)


def with_parent(table: sql.Composable, rule: SettledRule) -> sql.Composable:
    """``table`` (the row, as ``w``) with its parent's state beside it, where the rule needs it.

    :param table: for a FROM clause.
    """
    if not isinstance(rule, SettledWithParent):
        return table
    # The scalar subquery makes several parents of one key an error instead of repeated rows.
    return sql.SQL("{} LEFT JOIN LATERAL (SELECT {} AS settled OFFSET 0) AS parent ON true").format(
        table, _looked_up(rule)
    )


def _rule(rule: SettledRule, *, parent: sql.Composable | None) -> sql.Composable:
    if rule is None:
        return _TRUE
    if isinstance(rule, SettledBy):
        return _by("w", rule)
    return sql.SQL("CASE WHEN {fk} IS NULL THEN {own} ELSE coalesce({parent}, true) END").format(
        fk=sql.Identifier("w", rule.foreign_key),
        own=_by("w", rule.own) if rule.own else _TRUE,
        parent=parent or sql.NULL,
    )


def _looked_up(rule: SettledWithParent) -> sql.Composable:
    return sql.SQL("(SELECT {settled} FROM {parent} AS p WHERE {key} = {fk})").format(
        settled=_by("p", rule.parent),
        parent=identifier(rule.parent_table),
        key=sql.Identifier("p", rule.parent_key),
        fk=sql.Identifier("w", rule.foreign_key),
    )


def _by(alias: str, rule: SettledBy) -> sql.Composable:
    return sql.SQL("coalesce({} IN ({}), false)").format(
        sql.Identifier(alias, rule.column),
        sql.SQL(", ").join(sql.Literal(value) for value in rule.values),
    )
