"""Extra link from a task to the run's report."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

REPORT_TASK = "report"


def report_url(dag_id: str, run_id: str) -> str:
    """Page of the run's report task, relative to Airflow's own address."""
    return f"/dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}/tasks/{REPORT_TASK}"


class UnitReportLink(BaseOperatorLink):
    """Leads to the report that lists every unit of the run."""

    name = "Unit report"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002
        """The report task's page."""
        return report_url(ti_key.dag_id, ti_key.run_id)
