"""A sweep from end to end: what it copies, and what the tenants' own runs make of it afterwards."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import psycopg2
import pytest
from airflow.sdk.exceptions import AirflowSkipException

from airflow_provider_logmigrate.core.chunk import Chunk
from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.errors import Interrupted, NothingCopied, PlanUnusable
from airflow_provider_logmigrate.core.naming import dag_id, encode_tenant
from airflow_provider_logmigrate.core.ports import WriteResult
from airflow_provider_logmigrate.ledger.dead_letters import Choice
from airflow_provider_logmigrate.operators.sweep import SweepUnfinished
from airflow_provider_logmigrate.operators.sweeping import run_sweep
from airflow_provider_logmigrate.stores.search.bulk import BulkWriter
from tests.integration.operators.stage import Stage
from tests.integration.operators.sweeps import (
    TENANTS,
    held,
    opened,
    options,
    source_rows,
    sweep_run,
    without_index,
)

pytestmark = pytest.mark.usefixtures("short_waits")


def unit(tenant: str, month: str = "2025-01") -> str:
    return f"events/{encode_tenant(tenant)}/{month}"


MONTHS = ("2025-01", "2025-02")
TWO = ("acme", "sweep")


def several(stage: Stage, *, each: int = 40, tenants: Sequence[str] = TWO, wide: int = 300) -> None:
    """Rows of all tenants and of a stranger, over two months, in the order of time."""
    without_index(stage)
    stage.execute(
        "INSERT INTO events SELECT t || '-' || n, t,"
        " timestamptz '2025-01-01 00:00+00' + n * interval '58 days' / %(each)s, 'done',"
        " repeat('x', %(wide)s) || n FROM generate_series(0, %(each)s - 1) AS n,"
        " unnest(%(names)s) AS t ORDER BY n, t",
        {"each": each, "names": [*tenants, "stranger"], "wide": wide},
    )
    stage.configure(tenants=tenants, to="2025-02-28")


def test_all_tenants_arrive_in_one_pass(stage: Stage) -> None:
    several(stage, tenants=TENANTS)
    with opened(stage) as bench, stage.ledger() as ledger:
        outcomes, (report,) = run_sweep(bench, ledger, options(bench))

    assert sum(outcome.written for outcome in outcomes) == report.counters.documents == 160
    assert report.skipped == {"other_tenant": 40}
    assert report.units == 8
    for tenant in TENANTS:
        for month in MONTHS:
            found = held(stage, unit(tenant, month))
            assert {key: row["note"] for key, row in found.items()} == source_rows(
                stage, tenant, month
            )
            assert {row["tenant"] for row in found.values()} == {tenant}
            assert stage.phase(unit(tenant, month)) == "copied"


def test_documents_and_proof_are_those_of_a_tenants_own_run(stage: Stage) -> None:
    """Swept, then compared, proven and swapped by the tenants' own tasks."""
    several(stage, each=30)
    run = sweep_run(stage)
    dags = run.all()
    assert dags == [dag_id(stage.migration, tenant) for tenant in TWO]

    for tenant in TWO:
        own = stage.run(tenant)
        assert {counts["action"] for counts in own.copy().values()} == {"current"}
        assert {proven["verdict"] for proven in own.prove().values()} == {"equal"}
        own.swap()
        report = own.report()
        assert report["outcome"] == "completed"
        assert report["totals"]["documents"] == 30


def test_a_killed_lane_goes_on_and_settling_first_harms_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    several(stage, wide=4_000)
    stage.configure(tenants=TWO, to="2025-02-28", limits={"chunk": "64KiB"})
    run = sweep_run(stage)
    run.plan_sweep()
    writes = iter(range(1000))

    def dying(self: BulkWriter, chunk: Chunk, stop: Stop) -> WriteResult:
        if next(writes) == 1:
            raise KeyboardInterrupt
        return whole(self, chunk, stop)

    whole = BulkWriter.write_mixed
    with monkeypatch.context() as patch:
        patch.setattr(BulkWriter, "write_mixed", dying)
        with pytest.raises(KeyboardInterrupt):
            run.sweep()
    with pytest.raises(SweepUnfinished, match="1 parts"):
        run.settle()
    index = stage.index(unit("acme"))
    assert stage.settings(index)["index.refresh_interval"] == "30s"
    assert stage.phase(unit("acme")) == "copying"

    run.sweep()
    run.settle()

    assert {tenant: total(stage, tenant) for tenant in TWO} == dict.fromkeys(TWO, 40)
    assert stage.phase(unit("acme")) == "copied"


def test_a_new_run_takes_up_an_unfinished_sweep(stage: Stage) -> None:
    several(stage)
    (first,) = sweep_run(stage).plan_sweep()
    again = sweep_run(stage, "second")
    (lane,) = again.plan_sweep()
    assert lane == first
    again.sweep()
    again.settle()
    third = sweep_run(stage, "third")
    assert third.plan_sweep() == []
    with pytest.raises(AirflowSkipException):
        third.settle()


def test_shared_indices_are_swept_with_each_tenants_routing(stage: Stage) -> None:
    several(stage, tenants=("acme", "100%b"))
    stage.configure(tenants=("acme", "100%b"), to="2025-02-28", layout="shared")
    sweep_run(stage).all()
    for tenant in ("acme", "100%b"):
        assert stage.run(tenant).whole()["outcome"] == "completed"
        alias = f"{stage.prefix}-events-{encode_tenant(tenant)}"
        assert {row["tenant"] for row in stage.documents(alias).values()} == {tenant}
        assert stage.count(alias) == 40


def test_a_table_that_was_written_anew_is_planned_anew(stage: Stage) -> None:
    several(stage)
    run = sweep_run(stage)
    run.plan_sweep()
    with contextlib.closing(psycopg2.connect(stage.source_dsn)) as connection:
        connection.autocommit = True
        connection.cursor().execute("VACUUM FULL events")
    with pytest.raises(PlanUnusable, match="written anew"):
        run.sweep()

    again = sweep_run(stage, "second")
    again.all()

    with pytest.raises(PlanUnusable, match="another sweep took its place"):
        run.sweep()
    assert total(stage, "acme") == 40


def test_what_moved_or_came_meanwhile_is_repaired_by_the_tenants_run(stage: Stage) -> None:
    several(stage)
    run = sweep_run(stage)
    run.plan_sweep()
    run.sweep()
    stage.execute("UPDATE events SET note = 'changed' WHERE id = 'acme-3'")
    stage.add("late", "2025-01-20", tenant="acme", note="came late")
    run.settle()

    own = stage.run("acme")
    done = own.copy()
    assert {key: counts["action"] for key, counts in done.items()} == {
        unit("acme", "2025-01"): "repaired",
        unit("acme", "2025-02"): "current",
    }
    found = held(stage, unit("acme"))
    assert {key: row["note"] for key, row in found.items()} == source_rows(stage, "acme", "2025-01")


def test_a_rejected_document_is_its_own_units_dead_letter(stage: Stage) -> None:
    several(stage, each=6)
    stage.execute("INSERT INTO events VALUES (repeat('k', 600), 'sweep', '2025-02-10', 'done', '')")
    sweep_run(stage).all()
    with stage.ledger() as ledger:
        (letter,) = ledger.dead_letters.list(
            stage.migration, Choice(units=[unit("sweep", "2025-02")])
        )
        assert letter.key == "k" * 600
        assert letter.index == stage.index(unit("sweep", "2025-02"))
        assert (
            ledger.dead_letters.list(stage.migration, Choice(units=[unit("acme", "2025-02")])) == []
        )


def test_units_that_were_copied_before_are_left_out(stage: Stage) -> None:
    several(stage)
    stage.run("acme").copy()
    with opened(stage) as bench, stage.ledger() as ledger:
        _, (report,) = run_sweep(bench, ledger, options(bench))
    assert report.units == 2
    assert report.skipped == {"other_tenant": 40, "not_planned": 40}


def test_a_tenants_run_beside_a_sweep_keeps_its_units(stage: Stage) -> None:
    several(stage)
    run = sweep_run(stage)
    run.plan_sweep()
    stage.run("acme").copy()  # begun later: its attempt is newer
    run.sweep()
    run.settle()
    with stage.ledger() as ledger:
        left = {
            key
            for key, tally in ledger.sweep_parts.units(run.lanes[0]["sweep"]).items()
            if tally.left
        }
        assert left == {unit("acme", month) for month in MONTHS}
        state = ledger.units.state(stage.migration, unit("acme"))
        assert state is not None
        assert state.attempt > run.lanes[0]["sweep"]
    assert {tenant: total(stage, tenant) for tenant in TWO} == dict.fromkeys(TWO, 40)


def test_a_forced_sweep_is_asked_for_before_a_tenants_run_copies(stage: Stage) -> None:
    stage.fill(20)
    stage.configure(strategy="sweep")
    with pytest.raises(PlanUnusable, match=r"read by a sweep.*\.sweep"):
        stage.run().copy()
    assert sweep_run(stage).all() == [dag_id(stage.migration, "acme")]
    assert {counts["action"] for counts in stage.run().copy().values()} == {"current"}


def test_nothing_is_swept_where_an_index_serves(stage: Stage) -> None:
    stage.fill(20)
    stage.configure(tenants=("acme", "b"))
    run = sweep_run(stage)
    assert run.plan_sweep() == []
    with pytest.raises(AirflowSkipException):
        run.settle()


def test_without_a_plan_a_run_is_no_success(stage: Stage) -> None:
    stage.configure(tenants=("acme", "b"))
    with pytest.raises(SweepUnfinished, match="no plan"):
        sweep_run(stage).settle()


def test_a_plan_names_the_sweep_where_it_would_pay(stage: Stage) -> None:
    several(stage, each=6)
    with opened(stage) as bench:
        (setup,) = bench.setups
        assert setup.strategy_reason.endswith(
            f"; the DAG logmigrate_{stage.migration}.sweep reads it once for all 2 tenants"
        )


def test_rows_that_vanish_between_plan_and_sweep_are_no_success(stage: Stage) -> None:
    several(stage, each=6)
    run = sweep_run(stage)
    run.plan_sweep()
    stage.execute("DELETE FROM events")
    run.sweep()
    with pytest.raises(NothingCopied, match="0 of 12 rows"):
        run.settle()


def test_sigterm_stops_a_lane_at_a_durable_position(stage: Stage) -> None:
    several(stage)
    run = sweep_run(stage)
    run.plan_sweep()
    operator = run.sweep_operator()
    operator.on_kill()
    with pytest.raises(Interrupted):
        run.sweep(operator=operator)
    run.sweep()
    run.settle()
    assert total(stage, "acme") == 40


def total(stage: Stage, tenant: str) -> int:
    return sum(stage.count(stage.index(unit(tenant, month))) for month in MONTHS)
