"""The link from any task to its run's report."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from airflow_provider_logmigrate.operators.dry_run import DryRunOperator
from airflow_provider_logmigrate.operators.links import UnitReportLink, report_url


def test_names_are_quoted_as_one_segment_each() -> None:
    url = report_url("logmigrate_logs_a_2cb", "manual__2025-01-01T00:00:00+00:00/../x")
    assert url == (
        "/dags/logmigrate_logs_a_2cb/runs/manual__2025-01-01T00%3A00%3A00%2B00%3A00%2F..%2Fx"
        "/tasks/report"
    )


def test_every_operator_has_the_link() -> None:
    operator = DryRunOperator(task_id="dry_run", migration="logs", tenant="acme")
    (link,) = operator.operator_extra_links
    key = cast(Any, SimpleNamespace(dag_id="d", run_id="r", task_id="dry_run"))
    assert link.name == UnitReportLink.name
    assert link.get_link(cast(Any, operator), ti_key=key) == "/dags/d/runs/r/tasks/report"
