"""Reading by blocks: the documents of any other read, from every kind of table, at any place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import pytest

from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.errors import PlanUnusable, SourceUnsuitable
from airflow_provider_logmigrate.core.plan import ReadStrategy
from airflow_provider_logmigrate.core.stream import SettledBy
from airflow_provider_logmigrate.core.sweep import (
    Part,
    Place,
    Relation,
    SweepPlan,
    SweptStream,
    cut_parts,
)
from airflow_provider_logmigrate.core.sweep_ports import MixedChunk, OpenUnit, UnitFinding
from airflow_provider_logmigrate.core.unit import Granularity, Period
from airflow_provider_logmigrate.stores.postgres import sweep as sweep_module
from airflow_provider_logmigrate.stores.postgres.blocks import BLOCK_PLAN, check_scan, relations
from airflow_provider_logmigrate.streams import dify as dify_pack
from tests.integration.postgres.conftest import SampleDatabase
from tests.integration.postgres.rig import (
    FEBRUARY,
    JANUARY,
    Document,
    Files,
    Framing,
    Rig,
    documents_of,
    execute,
    own_stream,
    utc,
)

EVENTS = "CREATE TABLE events (id text PRIMARY KEY, tenant text, at timestamptz, note text)"
HOSTILE = ("acme", "a'b", "*", "null", "t\x01q\x02", "two\nlines", 'say "%b"')


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many statements for few blocks."""
    monkeypatch.setattr(sweep_module, "FIRST_BLOCKS", 2)
    monkeypatch.setattr(sweep_module, "MOST_BLOCKS", 3)


@dataclass
class Swept:
    """What a sweep pushed, by (tenant, period)."""

    chunks: list[MixedChunk] = field(default_factory=list)
    findings: list[UnitFinding] = field(default_factory=list)
    opened: list[OpenUnit] = field(default_factory=list)

    def by_unit(self) -> dict[tuple[str, str], dict[str, Document]]:
        found: dict[tuple[str, str], dict[str, Document]] = {}
        for chunk in self.chunks:
            if not chunk.count:
                assert not chunk.body
                continue
            for number, document in zip(chunk.units, documents_of(chunk), strict=True):
                unit = self.opened[number].plan.unit
                held = found.setdefault((unit.tenant, unit.period.label), {})
                assert document.key not in held, "a row came twice"
                held[document.key] = document
        return found

    @property
    def keys(self) -> list[str]:
        return [key for chunk in self.chunks for key in chunk.keys]

    @property
    def skipped(self) -> dict[str, int]:
        return dict(sum((Counter(chunk.skipped) for chunk in self.chunks), Counter()))


def places(rig: Rig, stream: str) -> tuple[Relation, ...]:
    with rig.sessions.session(BLOCK_PLAN) as session:
        found = session.run(lambda c: relations(c, rig.found[stream].shape.stream))
        for relation in found:
            session.run(lambda c, r=relation: check_scan(c, r))  # type: ignore[misc]
    return found


def plan_of(
    rig: Rig,
    stream: str,
    tenants: Sequence[str],
    *periods: Period,
    ripe: datetime | None = None,
    lanes: int = 1,
) -> SweepPlan:
    ordered = sorted(periods or (JANUARY,))
    return SweepPlan(
        migration="m",
        granularity=Granularity.MONTH,
        first=ordered[0].start,
        end=ordered[-1].end,
        ripe=ripe or ordered[-1].end,
        tenants=tuple(tenants),
        streams=(SweptStream(stream, "", "definition", 1, {}),),
        units=tuple(rig.plan(stream, tenant, period) for tenant in tenants for period in ordered),
        parts=cut_parts([(stream, r) for r in places(rig, stream)], lanes=lanes),
    )


def sweep(
    rig: Rig,
    plan: SweepPlan,
    *,
    after: dict[int, Place] | None = None,
    chunk_bytes: int = 100_000,
    on_chunk: Callable[[MixedChunk], None] = lambda chunk: None,
) -> Swept:
    swept = Swept()
    units = {(u.unit.tenant, u.unit.period.label): u for u in plan.units}
    by_name: dict[tuple[str, str], OpenUnit] = {}

    def find(tenant: str, label: str) -> OpenUnit | None:
        name = (tenant, label)
        if name in units and name not in by_name:
            by_name[name] = OpenUnit(len(by_name), units[name], Framing())
            swept.opened.append(by_name[name])
        return by_name.get(name)

    def emit(chunk: MixedChunk) -> None:
        swept.chunks.append(chunk)
        on_chunk(chunk)

    for part in plan.parts:
        rig.source.parts().read_part(
            plan,
            part,
            after=(after or {}).get(part.number, part.start),
            find=find,
            emit=emit,
            report=swept.findings.append,
            stop=Stop(),
            chunk_bytes=lambda: chunk_bytes,
            before_page=lambda: None,
        )
    return swept


def test_documents_are_those_of_a_keyset_read_to_the_byte(dify: SampleDatabase) -> None:
    rig = Rig(dify.dsn, *dify_pack.streams(), forced=ReadStrategy.KEYSET, content=Files(dify.files))
    months = [Period.from_label(month) for month in dify.profile.month_names]
    tenants = dify.profile.tenant_ids
    for stream in rig.found:
        swept = sweep(rig, plan_of(rig, stream, tenants, *months, lanes=2))
        found = swept.by_unit()
        reported = Counter((f.unit.plan.key, f.kind, f.key) for f in swept.findings)
        wanted: Counter[tuple[str, str, str]] = Counter()
        for tenant in tenants:
            for month in months:
                plan = rig.plan(stream, tenant, month)
                read = rig.read(plan)
                lines = {key: document.line for key, document in read.by_key().items()}
                mine = found.pop((tenant, month.label), {})
                assert {key: document.line for key, document in mine.items()} == lines
                wanted.update((plan.key, f.kind, f.key) for f in read.findings)
        assert found == {}
        assert reported == wanted


def test_a_read_goes_on_behind_every_chunk(old_dify: SampleDatabase) -> None:
    rig = Rig(old_dify.dsn, dify_pack.streams()[2])
    stream = "workflow_node_executions"
    months = [Period.from_label(month) for month in old_dify.profile.month_names]
    plan = plan_of(rig, stream, old_dify.profile.tenant_ids, *months)
    whole = sweep(rig, plan, chunk_bytes=60_000)
    assert len(whole.chunks) > 10
    done: list[str] = []
    every = len(whole.chunks) // 8
    for number, chunk in enumerate(whole.chunks):
        done += chunk.keys
        assert chunk.cursor is not None
        if number % every and number + 1 < len(whole.chunks):
            continue
        rest = sweep(rig, plan, after={0: Place.parse(chunk.cursor.key)})
        assert done + rest.keys == whole.keys


def test_rows_that_arent_wanted_are_counted_by_reason(database: str) -> None:
    execute(
        database,
        "CREATE TABLE events (id int PRIMARY KEY, tenant text, at timestamp, state text)",
        "INSERT INTO events VALUES (1, 'a', '2025-01-31 23:59:59.999999', 'done'),"
        " (2, 'a', '2025-01-05', 'running'), (3, 'a', '2025-01-06', NULL),"
        " (4, 'a', '2024-12-31 23:59:59.999999', 'done'), (5, 'a', '2025-02-20', 'done'),"
        " (6, 'b', '2025-01-05', 'running'), (7, NULL, '2025-01-05', 'done'),"
        " (8, 'a', NULL, 'done'), (9, 'a', 'infinity', 'done'), (10, 'a', '-infinity', 'done'),"
        " (11, 'a', '12025-01-01', 'done'), (12, 'a', '2025-01-01 BC', 'done'),"
        " (13, 'a', '2025-01-01', 'done'), (14, 'c', '2025-02-01', 'done'),"
        " (15, 'a', '2025-02-01', 'done')",
    )
    rig = Rig(database, own_stream(settled=SettledBy("state", ("done",))))
    plan = plan_of(rig, "events", ["a", "c"], JANUARY, FEBRUARY, ripe=utc(2025, 2, 10))
    plan = _without(plan, "c")

    swept = sweep(rig, plan)

    assert {unit: set(found) for unit, found in swept.by_unit().items()} == {
        ("a", "2025-01"): {"1", "13"},
        ("a", "2025-02"): {"15"},
    }
    assert swept.skipped == {
        "held_back": 2, "pending": 1, "other_tenant": 2, "out_of_range": 6, "not_planned": 1,
    }  # fmt: skip


def _without(plan: SweepPlan, tenant: str) -> SweepPlan:
    return replace(plan, units=tuple(u for u in plan.units if u.unit.tenant != tenant))


def test_hostile_tenants_get_their_own_rows(database: str) -> None:
    execute(
        database,
        EVENTS,
        *(
            (
                "INSERT INTO events SELECT %s || n, %s, '2025-01-10', 'note' || n"
                " FROM generate_series(1, 20) n",
                (f"{position}-", tenant),
            )
            for position, tenant in enumerate((*HOSTILE, "stranger"))
        ),
    )
    rig = Rig(database, own_stream())

    swept = sweep(rig, plan_of(rig, "events", HOSTILE))

    found = swept.by_unit()
    assert {tenant for tenant, _ in found} == set(HOSTILE)
    for (tenant, _), held in found.items():
        assert len(held) == 20
        assert {document.source["tenant"] for document in held.values()} == {tenant}
    assert swept.skipped == {"other_tenant": 20}


def test_tenants_are_told_as_their_column_prints_them(database: str) -> None:
    upper = "AAAAAAAA-0000-4000-8000-00000000000B"
    execute(
        database,
        "CREATE TABLE events (id int PRIMARY KEY, tenant uuid, at timestamptz, note text)",
        f"INSERT INTO events VALUES (1, '{upper}', '2025-01-10', NULL)",
    )
    rig = Rig(database, own_stream())
    found = sweep(rig, plan_of(rig, "events", [upper, "not a uuid"])).by_unit()
    assert set(found) == {(upper, "2025-01")}
    with pytest.raises(SourceUnsuitable, match="one tenant"):
        sweep(rig, plan_of(rig, "events", [upper, upper.lower()]))


@pytest.mark.parametrize(
    "parts",
    [
        "PARTITION BY RANGE (at)",
        "",
    ],
)
def test_every_leaf_of_a_partitioned_table_is_read_once(database: str, parts: str) -> None:
    columns = "id int NOT NULL, tenant text, at timestamptz NOT NULL, note text"
    leaves = (
        [
            "CREATE TABLE january PARTITION OF events FOR VALUES FROM ('2025-01-01')"
            " TO ('2025-02-01') PARTITION BY LIST (tenant)",
            "CREATE TABLE january_a PARTITION OF january FOR VALUES IN ('a')",
            # Other columns' order than its parent's.
            "CREATE TABLE rest (note text, at timestamptz NOT NULL, tenant text, id int NOT NULL)",
            "ALTER TABLE events ATTACH PARTITION rest DEFAULT",
            "CREATE TABLE january_b PARTITION OF january DEFAULT",
        ]
        if parts
        else ["CREATE TABLE more () INHERITS (events)"]
    )
    execute(
        database,
        f"CREATE TABLE events ({columns}) {parts}",
        *leaves,
        "INSERT INTO events SELECT n, CASE n % 2 WHEN 0 THEN 'a' ELSE 'b' END,"
        " timestamptz '2025-01-01 00:00+00' + n * interval '50 hours', 'x'"
        " FROM generate_series(1, 24) n",
        *([] if parts else ["INSERT INTO more SELECT id + 100, tenant, at, note FROM events"]),
    )
    rig = Rig(database, own_stream(), forced=ReadStrategy.BY_KEY)

    swept = sweep(rig, plan_of(rig, "events", ["a", "b"], JANUARY, FEBRUARY))

    rows = execute(database, "SELECT id::text FROM events")
    assert sorted(swept.keys) == sorted(key for (key,) in rows)
    assert len(places(rig, "events")) == (3 if parts else 2)


def test_what_has_no_blocks_is_refused(database: str) -> None:
    execute(database, EVENTS, "CREATE VIEW seen AS SELECT * FROM events")
    rig = Rig(database, own_stream("seen"), forced=ReadStrategy.BY_KEY)
    with pytest.raises(SourceUnsuitable, match=r"no plain table.*set the stream's strategy"):
        places(rig, "events")


def test_an_empty_table_is_read_to_its_end(database: str) -> None:
    execute(database, EVENTS)
    rig = Rig(database, own_stream())
    plan = plan_of(rig, "events", ["a"])
    assert plan.parts == ()
    assert sweep(rig, plan).chunks == []


def _filled(database: str, rows: int = 400, note: int = 300) -> Rig:
    execute(
        database,
        EVENTS,
        f"INSERT INTO events SELECT lpad(n::text, 5, '0'), 'a', timestamptz '2025-01-01 00:00+00'"
        f" + n * interval '1 minute', repeat('x', {note}) FROM generate_series(1, {rows}) n",
    )
    return Rig(database, own_stream(), forced=ReadStrategy.BY_KEY)


def test_a_table_that_shrinks_meanwhile_is_read_to_the_planned_end(database: str) -> None:
    rig = _filled(database)
    plan = plan_of(rig, "events", ["a"])
    execute(database, "DELETE FROM events WHERE id > '00100'", "VACUUM (TRUNCATE) events")
    (now,) = places(rig, "events")
    (part,) = plan.parts
    assert now.blocks < part.end

    swept = sweep(rig, plan)

    assert len(swept.keys) == 100
    last = swept.chunks[-1].cursor
    assert last is not None
    assert Place.parse(last.key) == Place(part.end)


@pytest.mark.parametrize(
    "statement", ["VACUUM FULL events", "TRUNCATE events", "DROP TABLE events"]
)
def test_a_table_that_was_written_anew_needs_a_new_plan(database: str, statement: str) -> None:
    rig = _filled(database)
    plan = plan_of(rig, "events", ["a"])
    execute(database, statement)
    with pytest.raises(PlanUnusable, match=r"since the sweep was planned.*trigger the sweep's DAG"):
        sweep(rig, plan)


def test_of_a_row_that_moves_meanwhile_the_newest_content_has_the_newest_version(
    database: str,
) -> None:
    """It may be met twice, or not at all: then its fingerprint tells, when the unit is compared."""
    rig = _filled(database)
    plan = plan_of(rig, "events", ["a"])
    steps = iter(["UPDATE events SET note = 'new'", "INSERT INTO events VALUES ('9', 'a', now())"])

    def meanwhile(chunk: MixedChunk) -> None:
        statement = next(steps, None)
        if statement is not None:
            execute(database, statement)

    swept = sweep(rig, plan, on_chunk=meanwhile, chunk_bytes=5_000)

    met: dict[str, list[Document]] = {}
    for chunk in swept.chunks:
        for document in documents_of(chunk) if chunk.count else ():
            met.setdefault(document.key, []).append(document)
    twice = [documents for documents in met.values() if len(documents) > 1]
    assert twice
    for old, new in twice:
        assert old.version < new.version
        assert new.source["note"] == "new"


def test_a_broken_read_goes_on_behind_its_last_row(database: str) -> None:
    """Wide rows: what the network holds when the connection breaks is only a part of them."""
    rig = _filled(database, rows=3_000, note=6_000)
    execute(database, "ALTER TABLE events ALTER note SET STORAGE EXTERNAL")
    plan = plan_of(rig, "events", ["a"])
    left = [2]

    def broken(chunk: MixedChunk) -> None:
        if chunk.sequence % 40 == 10 and left[0]:
            left[0] -= 1
            execute(
                database,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'logmigrate' AND datname = current_database()",
            )

    swept = sweep(rig, plan, on_chunk=broken, chunk_bytes=50_000)

    assert left == [0]
    assert sorted(swept.keys) == [f"{n:05d}" for n in range(1, 3_001)]
    assert [chunk.sequence for chunk in swept.chunks] == list(range(len(swept.chunks)))


def test_a_part_is_read_by_a_walk_through_its_blocks(database: str) -> None:
    """Whatever the planner would like better, and whatever the settled rule looks up."""
    rig = _filled(database, rows=50)
    (relation,) = places(rig, "events")
    part = Part(0, 0, "events", relation, 0, relation.blocks)
    plan = plan_of(rig, "events", ["a"])
    select = sweep_module.select_part(rig.source.parts().rows_of("events"), plan, part, ["a"])

    def explain(connection: Any) -> str:
        with connection.cursor() as cursor:
            text = select(part.start, part.end).as_string(connection)
            cursor.execute(f"EXPLAIN {text}")
            return "\n".join(line for (line,) in cursor.fetchall())

    with rig.sessions.session(BLOCK_PLAN) as session:
        shown = session.run(explain)
    assert "Tid Range Scan on events" in shown
    assert "Seq Scan" not in shown
