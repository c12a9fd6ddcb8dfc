"""Errors, grouped by what has to happen next.

Three branches decide every retry (see :class:`airflow_provider_logmigrate.operators.retry`):

* :class:`NeedsAction`: a person must change something; a retry would fail the same way.
* :class:`Transient`: it will pass; retry with a growing delay.
* :class:`Halt`: the attempt must end now. ``retryable`` says if a later attempt may go on.

Every message says what happened, where, and the next step. Errors carry their data as attributes
and survive pickling, because Airflow and process pools pass them between processes.
"""

from __future__ import annotations

from typing import Any, ClassVar


class LogMigrateError(Exception):
    """Root of all errors raised on purpose.

    :param what: what happened, one sentence without a full stop.
    :param where: the place: a unit key, index, table, file or connection id.
    :param next_step: what the reader should do; falls back to the type's own advice.
    :param data: facts for machines (ids, counts, statuses); never a secret.
    """

    retryable: ClassVar[bool] = False
    advice: ClassVar[str] = "see docs/runbook.md"

    def __init__(self, what: str, *, where: str = "", next_step: str = "", **data: Any) -> None:
        self.what = what
        self.where = where
        self.next_step = next_step or self.advice
        self.data = data
        place = f" [{where}]" if where else ""
        super().__init__(f"{what}{place}. Next: {self.next_step}")

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.what, self.where, self.next_step, self.data)


def _rebuild(
    kind: type[LogMigrateError], what: str, where: str, next_step: str, data: dict[str, Any]
) -> LogMigrateError:
    return kind(what, where=where, next_step=next_step, **data)


class NeedsAction(LogMigrateError):
    """A person must fix configuration, privileges or data; retrying cannot help."""


class ConfigInvalid(NeedsAction):
    """The configuration file is missing, unreadable or wrong."""

    advice = "correct the configuration file and run `airflow logmigrate check`"


class ConnectionInvalid(NeedsAction):
    """An Airflow connection is missing, of the wrong type, or its login was refused."""

    advice = "correct the Airflow connection and run `airflow logmigrate check`"


class TenantInvalid(NeedsAction):
    """A tenant's name can't be used (empty, too long) or isn't part of the migration."""

    advice = "correct the tenant in the configuration or in --conf"


class SourceUnsuitable(NeedsAction):
    """The source lacks a table, column or privilege that the stream needs."""

    advice = "grant the privilege or correct the stream definition, then `airflow logmigrate check`"


class TemplateConflict(NeedsAction):
    """Another index template of the same priority matches the same names."""

    advice = "remove or re-prioritise the other template, then run again"


class IndexConflict(NeedsAction):
    """An index or alias of the wanted name exists and isn't ours."""

    advice = "rename it, or choose another index_prefix, then run again"


class TargetRefused(NeedsAction):
    """The engine refuses the request for a reason that repeats (mapping, settings, version)."""

    advice = "read the engine's reason above, correct it and run again"


class PlanUnusable(NeedsAction):
    """The plan isn't in the ledger, or what it was made from has changed since."""

    advice = "run the DAG again: its dry_run task makes a new plan"


class CertificateMissing(NeedsAction):
    """A cut-over or deletion was asked for without a certificate that is still true."""

    advice = "run the unit's validate task again; it names what differs"


class StillRejected(NeedsAction):
    """Dead letters were sent again, and some of them are still without a document."""

    advice = (
        "read the reasons with `airflow logmigrate dead-letters list`, correct mapping or data and"
        " redrive again, or waive them"
    )


class Transient(LogMigrateError):
    """It will pass: an outage, a time-out, an overload. Retried with a growing delay."""

    retryable = True
    advice = "nothing if it passes: the task retries from its checkpoint"


class SourceUnavailable(Transient):
    """The source can't be reached, cancelled the query, or dropped the connection."""


class TargetUnavailable(Transient):
    """The engine can't be reached, answers 5xx/429 beyond the bounded retries, or times out."""


class LedgerUnavailable(Transient):
    """The ledger can't be reached."""


class Halt(LogMigrateError):
    """This attempt must end; what is safe so far is kept in the checkpoint."""


class Interrupted(Halt):
    """Airflow asked the task to stop (SIGTERM); the checkpoint is written."""

    retryable = True
    advice = "nothing: the next attempt goes on from the checkpoint"


class Fenced(Halt):
    """A newer attempt of the same unit took over; this one wrote nothing more."""

    advice = "nothing: the newer attempt goes on"


class TargetBlocked(Halt):
    """The engine blocks writes (disk flood stage, read-only index); retrying makes no sense yet."""

    advice = "free disk space or lift the index block, then clear the task"


class TooManyRejected(Halt):
    """The engine refuses so many documents that going on would only fill the dead letters."""

    advice = "read the reasons in the dead letters, correct mapping or data, then clear the task"


class NothingCopied(Halt):
    """The source has rows but nothing arrived: never reported as success."""

    advice = "run `airflow logmigrate check` and look at the unit's dead letters"


class ProofFailed(Halt):
    """Source and target differ; the certificate lists how."""

    advice = "run the DAG again: the differing hours are copied anew; extras must be looked at"


class RestoreFailed(Halt):
    """Purged rows can't be brought back as they were; the batch in question stays purged."""

    advice = "see docs/runbook.md; what was brought back so far is proven and stays"
