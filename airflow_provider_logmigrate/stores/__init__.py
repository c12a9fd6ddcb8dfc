"""Stores that rows are read from and documents are written to; they work without Airflow."""

from __future__ import annotations
