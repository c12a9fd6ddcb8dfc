"""Alembic migrations of the ledger; ``upgrade.py`` beside this folder runs them."""

from __future__ import annotations
