"""The first ledger: plans, units and what came of them, cut-overs, runs, history."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SCHEMA = "logmigrate"
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.execute(sa.schema.CreateSequence(sa.Sequence("attempt_seq", schema=SCHEMA)))
    _plans_and_units()
    _dead_letters_and_findings()
    _certificates_and_cutovers()
    _runs_and_history()


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable)


def _moment(name: str, *, nullable: bool = True) -> sa.Column[object]:
    return sa.Column(name, MOMENT, nullable=nullable)


def _now(name: str) -> sa.Column[object]:
    return sa.Column(name, MOMENT, nullable=False, server_default=sa.text("now()"))


def _big(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False, server_default=sa.text("0"))


def _number() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False)


def _plans_and_units() -> None:
    op.create_table(
        "plan",
        _text("hash"),
        _text("migration"),
        _text("tenant"),
        sa.Column("body", sa.JSON, nullable=False),
        _now("created_at"),
        _text("who"),
        sa.PrimaryKeyConstraint("hash", name="plan_pkey"),
        schema=SCHEMA,
    )
    op.create_table(
        "unit",
        _text("migration"),
        _text("unit"),
        _text("stream"),
        _text("tenant"),
        _text("period"),
        _text("definition"),
        _text("index_name"),
        _text("phase"),
        _big("attempt"),
        _text("holder"),
        sa.Column("checkpoint", sa.JSON),
        _count("rows_read"),
        _count("documents"),
        _count("rejected"),
        _count("bytes"),
        _now("created_at"),
        _now("updated_at"),
        _text("who"),
        sa.PrimaryKeyConstraint("migration", "unit", name="unit_pkey"),
        sa.CheckConstraint("phase IN ('copying', 'copied')", name="unit_phase_check"),
        schema=SCHEMA,
    )
    op.create_index("unit_migration_tenant_idx", "unit", ["migration", "tenant"], schema=SCHEMA)


def _dead_letters_and_findings() -> None:
    op.create_table(
        "dead_letter",
        _number(),
        _text("migration"),
        _text("unit"),
        _text("key"),
        sa.Column("key_digest", sa.LargeBinary, nullable=False),
        _text("index_name"),
        sa.Column("status", sa.Integer, nullable=False),
        _text("kind"),
        _text("reason"),
        sa.Column("document", sa.LargeBinary, nullable=False),
        _text("state"),
        _big("attempt"),
        _now("created_at"),
        _now("updated_at"),
        _text("who"),
        sa.PrimaryKeyConstraint("id", name="dead_letter_pkey"),
        sa.CheckConstraint(
            "state IN ('open', 'redriven', 'waived')", name="dead_letter_state_check"
        ),
        sa.UniqueConstraint(
            "migration", "unit", "key_digest", name="dead_letter_migration_unit_key_digest_key"
        ),
        schema=SCHEMA,
    )
    op.create_table(
        "finding",
        _number(),
        _text("migration"),
        _text("unit"),
        _text("kind"),
        _text("key"),
        sa.Column("key_digest", sa.LargeBinary, nullable=False),
        _text("detail"),
        _big("attempt"),
        _now("created_at"),
        _now("updated_at"),
        _text("who"),
        sa.PrimaryKeyConstraint("id", name="finding_pkey"),
        sa.UniqueConstraint(
            "migration",
            "unit",
            "kind",
            "key_digest",
            name="finding_migration_unit_kind_key_digest_key",
        ),
        schema=SCHEMA,
    )


def _certificates_and_cutovers() -> None:
    op.create_table(
        "certificate",
        _text("id"),
        sa.Column("number", sa.BigInteger, sa.Identity(always=True), nullable=False),
        _text("migration"),
        _text("unit"),
        _text("verdict"),
        sa.Column("body", sa.JSON, nullable=False),
        _moment("as_of", nullable=False),
        _now("created_at"),
        _text("who"),
        sa.PrimaryKeyConstraint("id", name="certificate_pkey"),
        schema=SCHEMA,
    )
    op.create_index(
        "certificate_migration_unit_number_idx",
        "certificate",
        ["migration", "unit", "number"],
        unique=True,
        schema=SCHEMA,
    )
    op.create_table(
        "cutover",
        _text("id"),
        _text("migration"),
        _text("tenant"),
        _text("state"),
        _text("hash"),
        sa.Column("actions", sa.JSON, nullable=False),
        sa.Column("inverse", sa.JSON, nullable=False),
        sa.Column("certificates", sa.JSON, nullable=False),
        _text("failure", nullable=True),
        _moment("applied_at"),
        _moment("rolled_back_at"),
        _text("rolled_back_by", nullable=True),
        _now("created_at"),
        _text("who"),
        sa.PrimaryKeyConstraint("id", name="cutover_pkey"),
        sa.CheckConstraint(
            "state IN ('planned', 'applied', 'rolled_back', 'failed')", name="cutover_state_check"
        ),
        schema=SCHEMA,
    )
    op.create_index(
        "cutover_migration_tenant_created_at_idx",
        "cutover",
        ["migration", "tenant", "created_at"],
        schema=SCHEMA,
    )


def _runs_and_history() -> None:
    op.create_table(
        "run",
        _text("id"),
        _text("migration"),
        _text("tenant"),
        _text("plan_hash", nullable=True),
        _text("outcome"),
        sa.Column("report", JSONB),
        _now("started_at"),
        _moment("ended_at"),
        _now("created_at"),
        _text("who"),
        sa.PrimaryKeyConstraint("id", name="run_pkey"),
        sa.CheckConstraint(
            "outcome IN "
            "('running', 'completed', 'completed_with_findings', 'interrupted', 'failed')",
            name="run_outcome_check",
        ),
        schema=SCHEMA,
    )
    op.create_index(
        "run_migration_tenant_started_at_idx",
        "run",
        ["migration", "tenant", "started_at"],
        schema=SCHEMA,
    )
    op.create_table(
        "history",
        _number(),
        _now("at"),
        _text("who"),
        _text("action"),
        _text("subject"),
        sa.Column("detail", JSONB, nullable=False),
        sa.PrimaryKeyConstraint("id", name="history_pkey"),
        schema=SCHEMA,
    )
    op.create_index("history_subject_idx", "history", ["subject"], schema=SCHEMA)
