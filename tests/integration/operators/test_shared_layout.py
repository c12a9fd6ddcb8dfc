"""Many tenants through the operators into one index per month."""

from __future__ import annotations

import pytest

from airflow_provider_logmigrate.core.errors import IndexConflict, ProofFailed, SourceUnsuitable
from airflow_provider_logmigrate.core.naming import encode_tenant
from airflow_provider_logmigrate.operators.swap import roll_back
from tests.integration.operators.errors import told
from tests.integration.operators.stage import Stage

TENANTS = ["acme", 'b"*, c', "ÄÖ", "2025"]
UNIT = "events/acme/2025-01"


def filled(stage: Stage, **changes: object) -> Stage:
    """Tenants with 40, 50, 60 and 70 events of their own."""
    stage.configure(tenants=TENANTS, layout="shared", **changes)
    for number, tenant in enumerate(TENANTS):
        stage.fill(40 + 10 * number, tenant=tenant, first=1000 * number)
    return stage


def common(stage: Stage, version: int = 1) -> str:
    return f"{stage.prefix}-events-2025.01-v{version}"


def seen(stage: Stage, tenant: str) -> set[str]:
    """Owners of what a tenant's readers see, by both of its aliases."""
    alias = f"{stage.prefix}-events-{encode_tenant(tenant)}"
    month, all_months = stage.documents(f"{alias}-2025.01"), stage.documents(alias)
    assert month == all_months
    return {found["tenant"] for found in month.values()}


def test_the_whole_way_of_many_tenants(each_stage: Stage) -> None:
    stage = filled(each_stage)
    runs = {tenant: stage.run(tenant) for tenant in TENANTS}
    for run in runs.values():  # side by side: nobody is served before all are copied
        run.copy()
    for number, (tenant, run) in enumerate(runs.items()):
        assert {unit["verdict"] for unit in run.prove().values()} == {"equal"}
        assert len(run.swap()["swapped"]) == 1
        report = run.report()
        assert report["outcome"] == "completed"
        assert report["totals"]["documents"] == 40 + 10 * number
        assert seen(stage, tenant) == {tenant}
        assert stage.count(f"{stage.prefix}-events-{encode_tenant(tenant)}") == 40 + 10 * number
    assert {index for held in stage.aliases().values() for index in held} == {common(stage)}
    assert stage.count(common(stage)) == 40 + 50 + 60 + 70
    for tenant in TENANTS:
        again = stage.run(tenant)
        assert {unit["action"] for unit in again.copy().values()} == {"current"}
        again.prove()
        assert again.swap()["cutover"] is None
    # A new row of one tenant is a matter of that tenant alone.
    stage.add("late", "2025-01-15 00:00+00", tenant="ÄÖ")
    assert next(iter(stage.run("ÄÖ").copy().values()))["action"] == "repaired"
    assert next(iter(stage.run("acme").copy().values()))["action"] == "current"
    assert {unit["verdict"] for unit in runs["acme"].prove().values()} == {"equal"}


def test_the_plan_counts_and_a_document_of_nobody_else_is_found(stage: Stage) -> None:
    filled(stage)
    run = stage.run("acme")
    run.plan()
    assert run.xcoms["dry_run", "plan"]["shards"] == 1
    with stage.ledger() as ledger:
        needs = ledger.plans.load(run.xcoms["dry_run", "plan"]["hash"]).needs
    assert needs is not None
    assert (needs.per_tenant, needs.shared) == (4, 1)
    run.backfill()
    other = stage.run("2025")
    other.plan()
    assert other.xcoms["dry_run", "plan"]["shards"] == 0, "it is there by now"
    stage.client.request(
        "PUT",
        f"/{common(stage)}/_doc/stray",
        params={"routing": "2025", "refresh": "true"},
        body={"id": "stray", "tenant": "acme", "at": "2025-01-15T00:00:00+00:00"},
    )
    with pytest.raises(ProofFailed, match="stray"):
        run.prove()
    other.backfill()
    assert {unit["verdict"] for unit in other.prove().values()} == {"equal"}


def test_a_new_definition_moves_tenant_by_tenant_and_back(stage: Stage) -> None:
    filled(stage)
    for tenant in ("acme", "ÄÖ"):
        stage.run(tenant).whole()
    fields = {"note": {"type": "keyword"}}
    stream = {"table": "events", "event_time": "at", "tenant_column": "tenant", "fields": fields}
    stage.configure(tenants=TENANTS, layout="shared", streams={"events": stream})
    run = stage.run("acme")
    assert run.copy()[UNIT]["action"] == "copied"
    run.prove()
    swapped = run.swap()
    mine, theirs = (f"{stage.prefix}-events-{encode_tenant(t)}" for t in ("acme", "ÄÖ"))
    assert stage.aliases()[mine] == [common(stage, 2)]
    assert stage.aliases()[theirs] == [common(stage, 1)]
    assert seen(stage, "acme") == {"acme"}
    with stage.ledger() as ledger:
        roll_back(stage.client, ledger, ledger.cutovers.get(swapped["cutover"]), by="a test")
    assert stage.aliases()[mine] == [common(stage, 1)]
    assert seen(stage, "acme") == {"acme"}
    assert seen(stage, "ÄÖ") == {"ÄÖ"}


def test_the_layout_changes_in_place_and_back(stage: Stage) -> None:
    stage.configure(tenants=TENANTS)
    for number, tenant in enumerate(("acme", "2025")):
        stage.fill(30 + number, tenant=tenant, first=1000 * number)
    stage.run("acme").whole()
    own = stage.index(UNIT)
    stage.configure(tenants=TENANTS, layout="shared")
    run = stage.run("acme")
    assert run.copy()[UNIT]["action"] == "copied"
    stage.run("2025").whole()
    run.prove()
    swapped = run.swap()
    assert {i for alias, held in stage.aliases().items() for i in held} == {common(stage)}
    assert seen(stage, "acme") == {"acme"}
    with stage.ledger() as ledger:
        roll_back(stage.client, ledger, ledger.cutovers.get(swapped["cutover"]), by="a test")
    assert stage.aliases()[f"{stage.prefix}-events-acme"] == [own]
    stage.run("acme").whole()
    assert stage.aliases()[f"{stage.prefix}-events-acme"] == [common(stage)]
    stage.configure(tenants=TENANTS)  # back: the index of before is brought up to date
    stage.add("late", "2025-01-15 00:00+00")
    stage.run("acme").whole()
    assert stage.aliases()[f"{stage.prefix}-events-acme"] == [own]
    assert stage.count(f"{stage.prefix}-events-acme") == 31
    assert seen(stage, "2025") == {"2025"}


def test_an_index_that_was_made_anew_by_another_tenant_is_filled_again(stage: Stage) -> None:
    filled(stage)
    run = stage.run("acme")
    run.copy()
    stage.client.request("DELETE", f"/{common(stage)}")
    stage.run("ÄÖ").copy()
    assert stage.run("acme").copy()[UNIT]["action"] == "copied"
    assert stage.count(common(stage)) == 40 + 60


def test_a_migration_does_not_write_into_another_one_s_index(stage: Stage) -> None:
    filled(stage)
    stage.run("acme").copy()
    stage.migration = "logs_too"
    stage.configure(tenants=TENANTS, layout="shared")
    with told(IndexConflict, "belongs to the migration logs, not to logs_too", retried=False):
        stage.run("ÄÖ").plan()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("ALTER TABLE events DROP CONSTRAINT events_pkey", "unique index on id alone"),
        ("ALTER TABLE events ALTER tenant TYPE char(10)", "of type character"),
    ],
)
def test_a_table_that_tenants_cannot_share(stage: Stage, change: str, said: str) -> None:
    filled(stage)
    stage.execute(change)
    with told(SourceUnsuitable, said, "per_tenant", retried=False):
        stage.run("acme").plan()
    stage.configure(tenants=TENANTS)
    stage.run("acme").plan()


def test_a_cluster_without_room_is_told_about_the_layout(stage: Stage) -> None:
    names = [f"t{n}" for n in range(1200)]
    stage.configure(tenants=["acme", *names])
    stage.fill(3)
    run = stage.run("acme", dry_run=True)
    run.plan()
    warnings = " ".join(run.xcoms["dry_run", "plan"]["warnings"])
    assert "up to 1,201 shards" in warnings
    assert "set `layout` to `shared`, which needs 1" in warnings
    stage.configure(tenants=["acme", *names], layout="shared")
    run = stage.run("acme", dry_run=True)
    run.plan()
    assert not any("up to" in warning for warning in run.xcoms["dry_run", "plan"]["warnings"])
