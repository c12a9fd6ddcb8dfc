"""The ledger's tables as the queries see them.

Nothing is created from here: the migrations do that, and a test holds both equal.

Records that are read back and acted on (plan, checkpoint, certificate, cut-over) are ``json``,
which keeps their text as it was written; what people read and search (detail, report) is ``jsonb``.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    Sequence,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from airflow_provider_logmigrate.ledger.schema import SCHEMA

metadata = MetaData(
    schema=SCHEMA,
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "fk": "%(table_name)s_%(referred_table_name)s_fkey",
    },
)

attempt_seq = Sequence("attempt_seq", data_type=BigInteger, metadata=metadata)
"""Fencing tokens: a later attempt always has the higher number."""


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _count(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default=text("0"))


def _now(name: str) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=False, server_default=text("now()"))


def _number() -> Column[int]:
    return Column("id", BigInteger, Identity(always=True), primary_key=True)


plan = Table(
    "plan",
    metadata,
    Column("hash", Text, primary_key=True),
    _text("migration"),
    _text("tenant"),
    Column("body", JSON, nullable=False),
    _now("created_at"),
    _text("who"),
)

unit = Table(
    "unit",
    metadata,
    Column("migration", Text, primary_key=True),
    Column("unit", Text, primary_key=True),
    _text("stream"),
    _text("tenant"),
    _text("period"),
    _text("definition"),
    _text("index_name"),
    _text("phase"),
    Column("attempt", BigInteger, nullable=False),
    _text("holder"),
    Column("checkpoint", JSON(none_as_null=True)),
    _count("rows_read"),
    _count("documents"),
    _count("rejected"),
    _count("bytes"),
    _now("created_at"),
    _now("updated_at"),
    _text("who"),
    CheckConstraint("phase IN ('copying', 'copied')", name="phase"),
    Index(None, "migration", "tenant"),
)

dead_letter = Table(
    "dead_letter",
    metadata,
    _number(),
    _text("migration"),
    _text("unit"),
    _text("key"),
    # Keys have no longest length, entries of an index do: uniqueness is by digest.
    Column("key_digest", LargeBinary, nullable=False),
    _text("index_name"),
    Column("status", Integer, nullable=False),
    _text("kind"),
    _text("reason"),
    Column("document", LargeBinary, nullable=False),
    _text("state"),
    Column("attempt", BigInteger, nullable=False),
    _now("created_at"),
    _now("updated_at"),
    _text("who"),
    # How often it was refused; and why it was waived, by ``who`` at ``updated_at``.
    Column("tries", BigInteger, nullable=False, server_default=text("1")),
    Column("why", Text),
    CheckConstraint("state IN ('open', 'redriven', 'waived')", name="state"),
    UniqueConstraint("migration", "unit", "key_digest"),
)

finding = Table(
    "finding",
    metadata,
    _number(),
    _text("migration"),
    _text("unit"),
    _text("kind"),
    _text("key"),
    Column("key_digest", LargeBinary, nullable=False),
    _text("detail"),
    Column("attempt", BigInteger, nullable=False),
    _now("created_at"),
    _now("updated_at"),
    _text("who"),
    UniqueConstraint("migration", "unit", "kind", "key_digest"),
)

certificate = Table(
    "certificate",
    metadata,
    Column("id", Text, primary_key=True),
    # The order of certificates: clocks of several workers don't agree well enough.
    Column("number", BigInteger, Identity(always=True), nullable=False),
    _text("migration"),
    _text("unit"),
    _text("verdict"),
    Column("body", JSON, nullable=False),
    Column("as_of", DateTime(timezone=True), nullable=False),
    _now("created_at"),
    _text("who"),
    Index(None, "migration", "unit", "number", unique=True),
)

cutover = Table(
    "cutover",
    metadata,
    Column("id", Text, primary_key=True),
    _text("migration"),
    _text("tenant"),
    _text("state"),
    _text("hash"),
    Column("actions", JSON, nullable=False),
    Column("inverse", JSON, nullable=False),
    Column("certificates", JSON, nullable=False),
    Column("failure", Text),
    Column("applied_at", DateTime(timezone=True)),
    Column("rolled_back_at", DateTime(timezone=True)),
    Column("rolled_back_by", Text),
    _now("created_at"),
    _text("who"),
    CheckConstraint("state IN ('planned', 'applied', 'rolled_back', 'failed')", name="state"),
    Index(None, "migration", "tenant", "created_at"),
)

run = Table(
    "run",
    metadata,
    Column("id", Text, primary_key=True),
    _text("migration"),
    _text("tenant"),
    Column("plan_hash", Text),
    _text("outcome"),
    Column("report", JSONB(none_as_null=True)),
    _now("started_at"),
    Column("ended_at", DateTime(timezone=True)),
    _now("created_at"),
    _text("who"),
    CheckConstraint(
        "outcome IN ('running', 'completed', 'completed_with_findings', 'interrupted', 'failed')",
        name="outcome",
    ),
    Index(None, "migration", "tenant", "started_at"),
)

history = Table(
    "history",
    metadata,
    _number(),
    _now("at"),
    _text("who"),
    _text("action"),
    _text("subject"),
    Column("detail", JSONB, nullable=False),
    Index(None, "subject"),
)

sweep = Table(
    "sweep",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    _text("migration"),
    _text("hash"),
    _text("state"),
    Column("body", JSON, nullable=False),
    _now("created_at"),
    _now("updated_at"),
    _text("who"),
    CheckConstraint("state IN ('open', 'settled', 'dropped')", name="state"),
    Index(None, "migration", "number"),
)

sweep_part = Table(
    "sweep_part",
    metadata,
    Column("sweep", BigInteger, ForeignKey(sweep.c.number), primary_key=True),
    Column("part", Integer, primary_key=True, autoincrement=False),
    _text("stream"),
    _text("relation"),
    Column("lane", Integer, nullable=False),
    Column("first_block", BigInteger, nullable=False),
    Column("end_block", BigInteger, nullable=False),
    Column("next_block", BigInteger, nullable=False),
    Column("next_line", BigInteger, nullable=False),
    _text("phase"),
    Column("attempt", BigInteger, nullable=False),
    _text("holder"),
    _count("rows_read"),
    _count("documents"),
    _count("rejected"),
    _count("bytes"),
    Column("skipped", JSONB, nullable=False),
    _now("created_at"),
    _now("updated_at"),
    _text("who"),
    CheckConstraint("phase IN ('sweeping', 'swept')", name="phase"),
)

sweep_unit = Table(
    "sweep_unit",
    metadata,
    Column("sweep", BigInteger, primary_key=True, autoincrement=False),
    Column("part", Integer, primary_key=True, autoincrement=False),
    Column("unit", Text, primary_key=True),
    Column("left_because", Text),
    _count("rows_read"),
    _count("documents"),
    _count("rejected"),
    _count("bytes"),
    _now("created_at"),
    _now("updated_at"),
    _text("who"),
    ForeignKeyConstraint(["sweep", "part"], [sweep_part.c.sweep, sweep_part.c.part]),
)

purge_plan = Table(
    "purge_plan",
    metadata,
    Column("hash", Text, primary_key=True),
    _text("migration"),
    _text("tenant"),
    Column("body", JSON, nullable=False),
    _now("created_at"),
    _text("who"),
)

deletion_batch = Table(
    "deletion_batch",
    metadata,
    _number(),
    _text("migration"),
    _text("unit"),
    _text("plan"),
    Column("attempt", BigInteger, nullable=False),
    Column("transaction", BigInteger, nullable=False),
    _text("state"),
    Column("counts", JSONB, nullable=False),
    Column("proven", JSON, nullable=False),
    # Compressed: keys of everything that went, and rows that no document holds.
    Column("keys", LargeBinary, nullable=False),
    Column("kept", LargeBinary, nullable=False),
    _now("created_at"),
    _now("updated_at"),
    _text("who"),
    CheckConstraint("state IN ('intended', 'deleted', 'restored')", name="state"),
    Index(None, "migration", "unit", "state"),
)

deletion_hour = Table(
    "deletion_hour",
    metadata,
    Column("migration", Text, primary_key=True),
    Column("unit", Text, primary_key=True),
    Column("hour", DateTime(timezone=True), primary_key=True),
    Column("rows", BigInteger, nullable=False),
    Column("high", Numeric, nullable=False),
    Column("low", Numeric, nullable=False),
)

deletion_object = Table(
    "deletion_object",
    metadata,
    _number(),
    Column("batch", BigInteger, ForeignKey(deletion_batch.c.id), nullable=False),
    _text("key"),
    Column("unit", Text),
    Column("row_table", Text),
    Column("row_key", Text),
    _text("column"),
    _text("state"),
    Column("failure", Text),
    _now("created_at"),
    _now("updated_at"),
    _text("who"),
    CheckConstraint("state IN ('intended', 'pending', 'deleted', 'restored')", name="state"),
    Index(None, "batch"),
)

retention_plan = Table(
    "retention_plan",
    metadata,
    Column("hash", Text, primary_key=True),
    _text("migration"),
    Column("body", JSON, nullable=False),
    _now("created_at"),
    _text("who"),
)

retention = Table(
    "retention",
    metadata,
    Column("plan", Text, ForeignKey(retention_plan.c.hash), primary_key=True),
    Column("index_name", Text, primary_key=True),
    _text("migration"),
    _text("action"),
    Column("units", JSONB, nullable=False),
    _text("state"),
    Column("documents", BigInteger, nullable=False),
    Column("deleted", BigInteger),
    _now("created_at"),
    _now("updated_at"),
    _text("who"),
    CheckConstraint("state IN ('intended', 'deleted', 'stopped')", name="state"),
    Index(None, "migration"),
)
