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
    key = cast(Any, SimpleNamespace(dag_id="d", run_id="r", task_id="dry_run", map_index=-1))
    assert link.name == UnitReportLink.name
    assert link.get_link(cast(Any, operator), ti_key=key) == "/dags/d/runs/r/tasks/report"


def test_in_a_dag_of_many_tenants_it_leads_to_the_report_of_the_batch() -> None:
    from airflow_provider_logmigrate.operators.tenants_steps import TenantsBackfillOperator

    operator = TenantsBackfillOperator(task_id="backfill", migration="logs", batch={})
    key = cast(Any, SimpleNamespace(dag_id="d.x", run_id="r", task_id="backfill", map_index=7))
    link = UnitReportLink().get_link(cast(Any, operator), ti_key=key)
    assert link == "/dags/d.x/runs/r/tasks/tenants.report/mapped/7"


def test_a_lane_leads_to_the_only_report_of_its_run() -> None:
    assert report_url("d", "r", map_index=3) == "/dags/d/runs/r/tasks/report"
