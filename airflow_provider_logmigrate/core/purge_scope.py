"""What goes together: a stream's rows and the rows of other tables that end with them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from airflow_provider_logmigrate.core.stream import (
    ColumnKind,
    Dependent,
    JsonMode,
    Reference,
    SettledWithParent,
    Stream,
    StreamShape,
)


@dataclass(frozen=True, slots=True)
class Part:
    """One table whose rows go along.

    :param stream: whose documents prove its rows; ``None``: they are kept in the ledger.
    """

    dependent: Dependent
    stream: str | None

    @property
    def table(self) -> str:
        """The table."""
        return self.dependent.table


@dataclass(frozen=True, slots=True)
class Scope:
    """All that a purge of one stream's units touches.

    :param parts: parents before children; rows are deleted in the opposite order.
    :param owners: a row that one of these finds a row for goes with that row, not by itself.
    :param references: tables that are only reported.
    :param obstacles: why no unit of this stream can be purged; empty if they can.
    """

    stream: Stream
    parts: tuple[Part, ...]
    owners: tuple[Dependent, ...] = ()
    references: tuple[Reference, ...] = ()
    obstacles: tuple[str, ...] = ()

    @property
    def tables(self) -> tuple[str, ...]:
        """Every table that rows are deleted from, the stream's own first."""
        return (self.stream.table, *(part.table for part in self.parts))


def scope_of(
    stream: Stream,
    *,
    copied: Mapping[str, StreamShape],
    existing: Collection[str],
    follows_content: bool,
) -> Scope:
    """Find out what goes with a stream's rows.

    Tables that this source doesn't have are left out. Rows of a stream that settle with a row of
    another copied stream go with that row, declared or not.

    :param copied: shapes of the migration's streams by name.
    :param existing: tables that the source has.
    :param follows_content: offloaded content is copied as well.
    """
    streams = [shape.stream for shape in copied.values()]
    parts: list[Part] = []
    obstacles: list[str] = []
    for dependent in (*stream.dependents, *_derived(stream, streams)):
        if dependent.table not in existing:
            continue
        proof = dependent.stream if dependent.stream in copied else None
        if proof is None and not dependent.keep:
            obstacles.append(
                f"rows of {dependent.table} end with those of {stream.table}, and the migration"
                " doesn't copy them"
            )
        if dependent.file_key is not None and not follows_content:
            obstacles.append(
                f"{dependent.table} names objects of an object storage that the migration doesn't"
                " follow: give it `offload`"
            )
        parts.append(Part(dependent, proof))
    for name in dict.fromkeys([stream.name, *(part.stream for part in parts)]):
        if name is not None and name in copied:
            obstacles += _not_restorable(copied[name])
    return Scope(
        stream=stream,
        parts=tuple(parts),
        owners=tuple(_owners(stream, streams, existing)),
        references=tuple(r for r in stream.references if r.table in existing),
        obstacles=tuple(dict.fromkeys(obstacles)),
    )


def _derived(stream: Stream, streams: Sequence[Stream]) -> Iterator[Dependent]:
    declared = {dependent.table for dependent in stream.dependents}
    for other in streams:
        rule = other.settled
        if (
            isinstance(rule, SettledWithParent)
            and rule.parent_table == stream.table
            and other.table not in declared
        ):
            yield Dependent(
                table=other.table,
                key=other.key,
                column=rule.foreign_key,
                of=stream.table,
                of_column=rule.parent_key,
                stream=other.name,
            )


def _owners(
    stream: Stream, streams: Sequence[Stream], existing: Collection[str]
) -> Iterator[Dependent]:
    for other in streams:
        for dependent in (*other.dependents, *_derived(other, streams)):
            # Only what names its parent itself: a file that a link names is no stream's row.
            if dependent.table == stream.table and dependent.of in existing:
                yield dependent


def _not_restorable(shape: StreamShape) -> Iterator[str]:
    """Columns whose documents don't hold the row's text byte for byte."""
    for column in shape.columns:
        if column.kind is ColumnKind.JSON and column.json_mode is not JsonMode.TEXT:
            yield (
                f"{shape.stream.name}: column {column.name} is stored as {column.json_mode.value},"
                " which doesn't keep its text byte for byte: a purged row couldn't be restored"
            )
