"""Retentions: plans of what leaves a target for its age, and each index that something left."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SCHEMA = "logmigrate"


def upgrade() -> None:
    op.create_table(
        "retention_plan",
        _text("hash"),
        _text("migration"),
        sa.Column("body", sa.JSON, nullable=False),
        _now("created_at"),
        _text("who"),
        sa.PrimaryKeyConstraint("hash", name="retention_plan_pkey"),
        schema=SCHEMA,
    )
    op.create_table(
        "retention",
        _text("plan"),
        _text("index_name"),
        _text("migration"),
        _text("action"),
        sa.Column("units", JSONB, nullable=False),
        _text("state"),
        sa.Column("documents", sa.BigInteger, nullable=False),
        sa.Column("deleted", sa.BigInteger),
        _now("created_at"),
        _now("updated_at"),
        _text("who"),
        sa.PrimaryKeyConstraint("plan", "index_name", name="retention_pkey"),
        sa.ForeignKeyConstraint(
            ["plan"], [f"{SCHEMA}.retention_plan.hash"], name="retention_retention_plan_fkey"
        ),
        sa.CheckConstraint(
            "state IN ('intended', 'deleted', 'stopped')", name="retention_state_check"
        ),
        schema=SCHEMA,
    )
    op.create_index("retention_migration_idx", "retention", ["migration"], schema=SCHEMA)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _now(name: str) -> sa.Column[object]:
    moment = sa.DateTime(timezone=True)
    return sa.Column(name, moment, nullable=False, server_default=sa.text("now()"))
