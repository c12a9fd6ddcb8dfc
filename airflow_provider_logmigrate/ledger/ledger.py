"""The ledger as one object, made of its subjects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text

from airflow_provider_logmigrate.ledger.certificates import Certificates
from airflow_provider_logmigrate.ledger.cutovers import Cutovers
from airflow_provider_logmigrate.ledger.database import Database
from airflow_provider_logmigrate.ledger.dead_letters import DeadLetters
from airflow_provider_logmigrate.ledger.deletions import Deletions
from airflow_provider_logmigrate.ledger.findings import Findings
from airflow_provider_logmigrate.ledger.history import History
from airflow_provider_logmigrate.ledger.plans import Plans
from airflow_provider_logmigrate.ledger.retentions import Retentions
from airflow_provider_logmigrate.ledger.runs import Runs
from airflow_provider_logmigrate.ledger.sweep_parts import SweepParts
from airflow_provider_logmigrate.ledger.sweeps import Sweeps
from airflow_provider_logmigrate.ledger.units import Units

if TYPE_CHECKING:
    from types import TracebackType

    from sqlalchemy import URL
    from typing_extensions import Self


class Ledger:
    """The system of record across runs.

    Connects at the first call, which also makes or upgrades the schema. Every call is one
    transaction: durable on return, or nothing happened. Safe to use from several threads and to
    carry into a forked process.

    Every call raises ``LedgerUnavailable`` for an outage (after one new connection) and
    ``ConnectionInvalid`` for a refused login. The password stands in no error and no ``repr``.

    :param url: the database, ``postgresql://…``, as text or SQLAlchemy URL.
    :param who: the person or task that acts, kept with every record.
    """

    def __init__(self, url: URL | str, *, who: str) -> None:
        self._database = Database(url, who=who)
        self.plans = Plans(self._database)
        self.units = Units(self._database)
        self.dead_letters = DeadLetters(self._database)
        self.findings = Findings(self._database)
        self.certificates = Certificates(self._database)
        self.cutovers = Cutovers(self._database)
        self.runs = Runs(self._database)
        self.sweeps = Sweeps(self._database)
        self.sweep_parts = SweepParts(self._database)
        self.deletions = Deletions(self._database)
        self.retentions = Retentions(self._database)
        self.history = History(self._database)

    def __repr__(self) -> str:
        return f"Ledger({self._database.where})"

    @property
    def who(self) -> str:
        """On whose behalf records are written."""
        return self._database.who

    def check(self) -> str:
        """Connect, make or upgrade the schema, and return the server's version."""
        version: str = self._database.transact(lambda c: c.scalar(text("SHOW server_version")))
        return version

    def close(self) -> None:
        """Close the connections."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
