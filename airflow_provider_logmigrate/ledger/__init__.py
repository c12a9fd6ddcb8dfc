"""The ledger: the system of record across runs, in schema ``logmigrate`` of a PostgreSQL database.

Plans, units with their checkpoints, dead letters, findings, certificates, cut-overs, runs, and who
did what when. Start at :class:`airflow_provider_logmigrate.ledger.ledger.Ledger`.
"""

from __future__ import annotations
