"""RestoreOperator: purged rows come back, byte for byte."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_logmigrate.operators.base import StoppableOperator, TenantOperator, run_key

if TYPE_CHECKING:
    from airflow.sdk import Context


class RestoreOperator(StoppableOperator, TenantOperator):
    """Bring purged units back from the search store into their tables.

    Rows come from their documents and, where no document holds them, from the ledger; offloaded
    objects from the documents that hold their content. A batch is committed only if its rows have
    the fingerprints they left with. Rows that are there already stay untouched, so a restore may
    be repeated and interrupted at will.

    :param units: unit keys; default: run parameter ``units``, else all purged units of the tenant.
    :returns: rows, batches and objects by unit.
    :raises RestoreFailed: documents are missing, or other rows have taken the keys.
    """

    template_fields = ("tenant", "units")

    def __init__(self, *, units: Sequence[str] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units

    def execute(self, context: Context) -> dict[str, Any]:
        """See the class."""
        from airflow_provider_logmigrate.hooks.assembly import workbench
        from airflow_provider_logmigrate.operators.restore_units import bring_back, chosen_units

        migration = self.load_migration()
        wanted = self.units or context["params"].get("units")
        with self.open_ledger(context) as ledger:
            units = chosen_units(ledger, migration, self.tenant, wanted)
            with workbench(migration, migration.streams, stop=self._stop) as bench:
                outcomes = bring_back(
                    bench, ledger, units, holder=run_key(context), stop=self._stop, log=self.log
                )
        return {
            o.unit: {"rows": o.rows, "batches": o.batches, "objects": o.objects} for o in outcomes
        }
