"""Extra link from a task to the run's report."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

REPORT_TASK = "report"


def report_url(
    dag_id: str, run_id: str, *, task: str = REPORT_TASK, map_index: int | None = None
) -> str:
    """Page of the run's report task, relative to Airflow's own address.

    :param map_index: of the report, where each batch of tenants has one.
    """
    page = f"/dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}/tasks/{task}"
    mapped = task != REPORT_TASK and map_index is not None and map_index >= 0
    return f"{page}/mapped/{map_index}" if mapped else page


class UnitReportLink(BaseOperatorLink):
    """Leads to the report that lists every unit of the run."""

    name = "Unit report"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The report task's page."""
        task = getattr(operator, "report_task", REPORT_TASK)
        return report_url(ti_key.dag_id, ti_key.run_id, task=task, map_index=ti_key.map_index)
