"""Dead letters: how often each was refused, and why it was waived."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SCHEMA = "logmigrate"


def upgrade() -> None:
    op.add_column(
        "dead_letter",
        sa.Column("tries", sa.BigInteger, nullable=False, server_default=sa.text("1")),
        schema=SCHEMA,
    )
    op.add_column("dead_letter", sa.Column("why", sa.Text), schema=SCHEMA)
