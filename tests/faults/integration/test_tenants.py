"""A tenant is a value, never a pattern, whatever it looks like."""

from __future__ import annotations

import pytest

from airflow_provider_logmigrate.core.errors import TenantInvalid
from airflow_provider_logmigrate.core.naming import encode_tenant
from tests.integration.operators.errors import told
from tests.integration.operators.stage import Stage

ODD = (
    *("*", "a,b", "..", ".", "UPPER", "ac*me", "_all", "-acme", "<acme-{now/d}>", "a/b"),
    *("ä 名 '\"", "acme-2025.01", "acme%2e", "x" * 160),
)
NEIGHBOURS = ("acme", "a", "b", "upper")


def test_odd_tenants_get_their_own_rows_and_no_others(stage: Stage) -> None:
    everyone = (*ODD, *NEIGHBOURS)
    stage.configure(tenants=everyone)
    for n, tenant in enumerate(everyone):
        stage.add(f"row{n}", "2025-01-10", tenant=tenant)
    aliases: dict[str, list[str]] = {}
    for n, tenant in enumerate(everyone):
        report = stage.run(tenant).whole()
        assert report["totals"]["documents"] == 1, tenant
        (unit,) = report["units"]
        assert unit["unit"] == f"events/{encode_tenant(tenant)}/2025-01"
        (document,) = stage.documents(unit["index"]).values()
        assert (document["id"], document["tenant"]) == (f"row{n}", tenant)
        alias = f"{stage.prefix}-events-{encode_tenant(tenant)}"
        aliases |= {alias: [unit["index"]], f"{alias}-2025.01": [unit["index"]]}
        assert stage.aliases() == aliases, f"{tenant} touched another tenant's alias"
    assert len(aliases) == 2 * len(everyone), "no two share a name"


def test_a_tenant_of_300_characters_is_a_finding_and_the_others_go_on(stage: Stage) -> None:
    long = "x" * 300
    stage.configure(tenants=["acme", long])
    stage.add("mine", "2025-01-10")
    stage.add("long", "2025-01-10", tenant=long)
    assert stage.run().whole()["totals"]["documents"] == 1
    with told(TenantInvalid, "xxx", retried=False):
        stage.run(long).plan()


def test_an_unknown_tenant(stage: Stage) -> None:
    stage.add("other", "2025-01-10", tenant="globex")
    with told(TenantInvalid, "globex", "doesn't name this tenant", retried=False):
        stage.run("globex").plan()


def test_a_misspelt_tenant_has_no_rows_at_all(stage: Stage) -> None:
    stage.configure(tenants=["acme", "acmee"])
    stage.add("mine", "2025-01-10")
    with told(TenantInvalid, "acmee", "spelling", retried=False):
        stage.run("acmee").plan()


def test_an_empty_tenant(stage: Stage) -> None:
    from airflow_provider_logmigrate.hooks.opening import load_config

    stage.configure(tenants=["", "acme"])
    stage.add("mine", "2025-01-10")
    (problem,) = load_config().problems
    assert problem.path == "migrations.logs.tenants.list[0]"
    assert "a tenant name is empty" in problem.message
    with told(TenantInvalid, "doesn't name this tenant", retried=False):
        stage.run("").plan()
    assert stage.run().whole()["outcome"] == "completed"


def test_a_tenant_without_rows_in_the_range(
    stage: Stage, capfd: pytest.CaptureFixture[str]
) -> None:
    stage.add("later", "2025-02-01")
    run = stage.run()
    assert run.plan() == []
    assert run.xcoms["dry_run", "plan"]["warnings"] == [
        "the tenant has rows, but none in this range"
    ]
    assert run.report()["outcome"] == "completed"
    assert "Nothing further to do: no units" in capfd.readouterr().out


def test_a_tenant_that_is_no_uuid_where_uuids_are(stage: Stage) -> None:
    stage.execute(
        "CREATE TABLE typed (id uuid PRIMARY KEY, tenant uuid NOT NULL, at timestamptz NOT NULL)"
    )
    stage.configure(
        tenants=["*"],
        streams={"events": {"table": "typed", "event_time": "at", "tenant_column": "tenant"}},
    )
    with told(TenantInvalid, "[*]", "holds UUIDs", retried=False):
        stage.run("*").plan()
