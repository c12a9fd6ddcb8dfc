"""Deletions: purge plans, every batch that left a source, and what was kept of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SCHEMA = "logmigrate"


def upgrade() -> None:
    op.create_table(
        "purge_plan",
        _text("hash"),
        _text("migration"),
        _text("tenant"),
        sa.Column("body", sa.JSON, nullable=False),
        _now("created_at"),
        _text("who"),
        sa.PrimaryKeyConstraint("hash", name="purge_plan_pkey"),
        schema=SCHEMA,
    )
    op.create_table(
        "deletion_batch",
        _number(),
        _text("migration"),
        _text("unit"),
        _text("plan"),
        _big("attempt"),
        _big("transaction"),
        _text("state"),
        sa.Column("counts", JSONB, nullable=False),
        sa.Column("proven", sa.JSON, nullable=False),
        sa.Column("keys", sa.LargeBinary, nullable=False),
        sa.Column("kept", sa.LargeBinary, nullable=False),
        _now("created_at"),
        _now("updated_at"),
        _text("who"),
        sa.PrimaryKeyConstraint("id", name="deletion_batch_pkey"),
        sa.CheckConstraint(
            "state IN ('intended', 'deleted', 'restored')", name="deletion_batch_state_check"
        ),
        schema=SCHEMA,
    )
    op.create_index(
        "deletion_batch_migration_unit_state_idx",
        "deletion_batch",
        ["migration", "unit", "state"],
        schema=SCHEMA,
    )
    op.create_table(
        "deletion_hour",
        _text("migration"),
        _text("unit"),
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        _big("rows"),
        sa.Column("high", sa.Numeric, nullable=False),
        sa.Column("low", sa.Numeric, nullable=False),
        sa.PrimaryKeyConstraint("migration", "unit", "hour", name="deletion_hour_pkey"),
        schema=SCHEMA,
    )
    op.create_table(
        "deletion_object",
        _number(),
        _big("batch"),
        _text("key"),
        sa.Column("unit", sa.Text),
        sa.Column("row_table", sa.Text),
        sa.Column("row_key", sa.Text),
        _text("column"),
        _text("state"),
        sa.Column("failure", sa.Text),
        _now("created_at"),
        _now("updated_at"),
        _text("who"),
        sa.PrimaryKeyConstraint("id", name="deletion_object_pkey"),
        sa.ForeignKeyConstraint(
            ["batch"], [f"{SCHEMA}.deletion_batch.id"], name="deletion_object_deletion_batch_fkey"
        ),
        sa.CheckConstraint(
            "state IN ('intended', 'pending', 'deleted', 'restored')",
            name="deletion_object_state_check",
        ),
        schema=SCHEMA,
    )
    op.create_index("deletion_object_batch_idx", "deletion_object", ["batch"], schema=SCHEMA)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _big(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def _number() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False)


def _now(name: str) -> sa.Column[object]:
    moment = sa.DateTime(timezone=True)
    return sa.Column(name, moment, nullable=False, server_default=sa.text("now()"))
