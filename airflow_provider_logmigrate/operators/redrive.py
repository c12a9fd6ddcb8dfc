"""RedriveOperator: dead letters are sent again, and their units proven."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airflow_provider_logmigrate.core.errors import StillRejected
from airflow_provider_logmigrate.operators.base import StoppableOperator, TenantOperator, run_key

if TYPE_CHECKING:
    from airflow.sdk import Context


class RedriveOperator(StoppableOperator, TenantOperator):
    """Send the open dead letters of a tenant again, after a mapping or the data was corrected.

    Rows are read anew by their keys, so the newest content goes; a row that isn't there any more
    can't. Every unit is proven after, and its certificate counts what arrived. May be interrupted
    and repeated at will. Waived letters stay waived.

    :param streams: names of streams; default: run parameter ``streams``, else all.
    :param units: unit keys; default: run parameter ``units``, else all.
    :param reason: only those whose error's name or reason has this text; default: run parameter
        ``reason``, else all.
    :returns: by unit: letters, arrived, refused, left, verdict, certificate, why.
    :raises StillRejected: some have no document yet; the others have.
    """

    template_fields = ("tenant", "streams", "units", "reason")

    def __init__(
        self,
        *,
        streams: Sequence[str] | None = None,
        units: Sequence[str] | None = None,
        reason: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.streams = streams
        self.units = units
        self.reason = reason

    def execute(self, context: Context) -> dict[str, Any]:
        """See the class."""
        from airflow_provider_logmigrate.hooks.assembly import workbench
        from airflow_provider_logmigrate.operators.redrive_choice import choice_of, told
        from airflow_provider_logmigrate.operators.redrive_units import redrive

        migration, params = self.load_migration(), context["params"]
        choice = choice_of(
            migration,
            tenant=self.tenant,
            streams=self.streams or params.get("streams") or (),
            units=self.units or params.get("units") or (),
            reason=self.reason or params.get("reason"),
        )
        with (
            self.open_ledger(context) as ledger,
            workbench(migration, migration.streams, stop=self._stop) as bench,
        ):
            done = redrive(
                bench, ledger, choice, holder=run_key(context), stop=self._stop, log=self.log
            )
        report = {found.unit: asdict(found) for found in done}
        if not report:
            self.log.info("There is no such dead letter")
        if not all(found.good for found in done):
            raise StillRejected(
                told(done), where=f"{migration.name}, tenant {self.tenant}", report=report
            )
        return report
