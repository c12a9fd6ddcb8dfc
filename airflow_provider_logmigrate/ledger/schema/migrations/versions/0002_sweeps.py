"""Sweeps: their plans, how far each part is, and what became of each unit's rows in it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SCHEMA = "logmigrate"


def upgrade() -> None:
    op.create_table(
        "sweep",
        _big("number"),
        _text("migration"),
        _text("hash"),
        _text("state"),
        sa.Column("body", sa.JSON, nullable=False),
        _now("created_at"),
        _now("updated_at"),
        _text("who"),
        sa.PrimaryKeyConstraint("number", name="sweep_pkey"),
        sa.CheckConstraint("state IN ('open', 'settled', 'dropped')", name="sweep_state_check"),
        schema=SCHEMA,
    )
    op.create_index("sweep_migration_number_idx", "sweep", ["migration", "number"], schema=SCHEMA)
    op.create_table(
        "sweep_part",
        _big("sweep"),
        sa.Column("part", sa.Integer, nullable=False),
        _text("stream"),
        _text("relation"),
        sa.Column("lane", sa.Integer, nullable=False),
        _big("first_block"),
        _big("end_block"),
        _big("next_block"),
        _big("next_line"),
        _text("phase"),
        _big("attempt"),
        _text("holder"),
        *_counters(),
        sa.Column("skipped", JSONB, nullable=False),
        _now("created_at"),
        _now("updated_at"),
        _text("who"),
        sa.PrimaryKeyConstraint("sweep", "part", name="sweep_part_pkey"),
        sa.ForeignKeyConstraint(
            ["sweep"], [f"{SCHEMA}.sweep.number"], name="sweep_part_sweep_fkey"
        ),
        sa.CheckConstraint("phase IN ('sweeping', 'swept')", name="sweep_part_phase_check"),
        schema=SCHEMA,
    )
    op.create_table(
        "sweep_unit",
        _big("sweep"),
        sa.Column("part", sa.Integer, nullable=False),
        _text("unit"),
        sa.Column("left_because", sa.Text),
        *_counters(),
        _now("created_at"),
        _now("updated_at"),
        _text("who"),
        sa.PrimaryKeyConstraint("sweep", "part", "unit", name="sweep_unit_pkey"),
        sa.ForeignKeyConstraint(
            ["sweep", "part"],
            [f"{SCHEMA}.sweep_part.sweep", f"{SCHEMA}.sweep_part.part"],
            name="sweep_unit_sweep_part_fkey",
        ),
        schema=SCHEMA,
    )


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _big(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def _now(name: str) -> sa.Column[object]:
    moment = sa.DateTime(timezone=True)
    return sa.Column(name, moment, nullable=False, server_default=sa.text("now()"))


def _counters() -> list[sa.Column[int]]:
    return [
        sa.Column(name, sa.BigInteger, nullable=False, server_default=sa.text("0"))
        for name in ("rows_read", "documents", "rejected", "bytes")
    ]
