"""The DAG that deletes from the target, and the configuration that gives it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

import tests.unit.operators.airflow_home  # noqa: F401
from airflow_provider_logmigrate.core.purge import Hold
from airflow_provider_logmigrate.core.retention_rules import RetentionRule, RetentionRules
from tests.unit.test_dag_factory import config, edges

NAME = "logmigrate_logs.retention"


def test_a_retention_block_gives_a_dag_that_asks_before_it_deletes(tmp_path: Path) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    from airflow_provider_logmigrate.dag_factory import build_dags

    assert NAME not in build_dags(config(tmp_path))

    block = {"after": "365d", "schedule": "@daily"}
    dag = build_dags(config(tmp_path, retention=block))[NAME]
    assert edges(dag) == {"plan": {"approval"}, "approval": {"cleanup"}, "cleanup": set()}
    assert (str(dag.schedule), dag.catchup, dag.max_active_runs) == ("@daily", False, 1)
    planned: Any = dag.get_task("plan")
    assert planned.approved_later
    assert DagSerialization.from_dict(DagSerialization.to_dict(dag)).dag_id == NAME
    assert list(build_dags(config(tmp_path, retention=block), only=NAME)) == [NAME]

    unasked = build_dags(config(tmp_path, retention={"approval": False}))[NAME]
    assert edges(unasked) == {"plan": {"cleanup"}, "cleanup": set()}
    planned = unasked.get_task("plan")
    assert not planned.approved_later, "a run that nobody is asked about only plans"
    assert unasked.schedule is None


def test_the_rules_as_they_are_written(tmp_path: Path) -> None:
    built = config(
        tmp_path,
        settle_lag="15m",
        purge={"hold": [{"tenant": "acme"}]},
        retention={
            "after": "365d",
            "rules": [
                {"after": "30d", "stream": "runs", "where": {"status": ["succeeded"], "b": ["x"]}},
                {"after": None, "tenant": "acme"},
            ],
            "hold": [{"from": "2025-01-01", "to": "2025-01-31"}],
            "cap": {"indices": 3, "documents": 7},
            "allow_last_copy": True,
            "allow_ilm": True,
        },
    )
    settings = built.migrations["logs"].retention
    assert settings is not None
    january = datetime(2025, 1, 1, tzinfo=timezone.utc), datetime(2025, 2, 1, tzinfo=timezone.utc)
    assert settings.rules == RetentionRules(
        default=timedelta(days=365),
        rules=(
            RetentionRule(
                timedelta(days=30),
                stream="workflow_runs",
                where=(("b", ("x",)), ("status", ("succeeded",))),
            ),
            RetentionRule(None, tenant="acme"),
        ),
        holds=(Hold(None, *january), Hold("acme")),
        settle_lag=timedelta(minutes=15),
        max_indices=3,
        max_documents=7,
        allow_last_copy=True,
        allow_managed=True,
    )


@pytest.mark.parametrize(
    ("block", "wrong"),
    [
        ({"after": "12h"}, "retention.after"),
        ({"rules": [{"tenant": "acme"}]}, "retention.rules[0].after"),
        ({"rules": [{"after": "1d", "stream": "rans"}]}, "retention.rules[0].stream"),
        ({"rules": [{"after": "1d", "tenant": 7}]}, "must be text"),
        ({"rules": [{"after": "1d", "where": {"a*": ["x"]}}]}, "retention.rules[0].where"),
        ({"rules": [{"after": "1d", "where": {"a": []}}]}, "retention.rules[0].where"),
        ({"schedule": "often"}, "retention.schedule"),
        ({"cap": {"indices": 0}}, "retention.cap.indices"),
    ],
)
def test_what_is_wrong_in_a_retention_is_told(
    tmp_path: Path, block: dict[str, Any], wrong: str
) -> None:
    built = config(tmp_path, retention=block)
    assert "logs" not in built.migrations
    assert wrong in "\n".join(str(problem) for problem in built.problems)
