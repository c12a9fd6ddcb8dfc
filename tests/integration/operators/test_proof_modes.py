"""Each way in which a copy can be wrong, and the modes of proof that must see it.

One unit is copied once; every case alters it, is proven in every mode, and is undone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import requests

from airflow_provider_logmigrate.core.certificate import Certificate, ProofMode, Verdict
from airflow_provider_logmigrate.hooks.assembly import workbench
from airflow_provider_logmigrate.hooks.opening import find_migration, load_config
from airflow_provider_logmigrate.ledger.ledger import Ledger
from airflow_provider_logmigrate.operators.certify import certify_unit
from tests.integration.operators.fixtures import StageMaker
from tests.integration.operators.stage import Stage

if TYPE_CHECKING:
    from airflow_provider_logmigrate.core.plan import UnitPlan
    from airflow_provider_logmigrate.hooks.assembly import Workbench
    from devstack.engine import SearchEngine
    from devstack.postgres import PostgresServer

UNIT = "events/acme/2025-01"
ROWS = 30
COUNT, FINGERPRINT, SAMPLE, FULL = ProofMode
ALL = frozenset(ProofMode)
PRINTS = ALL - {COUNT}
CONTENT = frozenset({SAMPLE, FULL})


class Copied:
    """A copied unit that is altered and put right again.

    :param other: the same month of another tenant.
    """

    def __init__(
        self, stage: Stage, bench: Workbench, ledger: Ledger, plan: UnitPlan, other: UnitPlan
    ) -> None:
        self.stage, self.bench, self.ledger, self.plan = stage, bench, ledger, plan
        self.other = other
        self.rows = stage.execute("SELECT * FROM events ORDER BY id")
        self.documents = stage.documents(plan.index)
        self.touched: set[str] = set()

    def prove(self, mode: ProofMode, plan: UnitPlan | None = None) -> Certificate:
        return certify_unit(
            *(self.bench, self.ledger, plan or self.plan),
            plan_hash="",
            sample=ROWS * 2,
            mode=mode,
        )

    def put(self, key: str, document: Mapping[str, Any]) -> None:
        """Store a document as somebody who writes to the index would."""
        self.touched.add(key)
        body = json.dumps(document, default=float).encode()
        self.stage.client.request("PUT", f"/{self.plan.index}/_doc/{key}", body=body)

    def change(self, key: str, **fields: Any) -> None:
        self.put(key, self.documents[key] | fields)

    def delete(self, key: str) -> None:
        self.touched.add(key)
        self.stage.client.request("DELETE", f"/{self.plan.index}/_doc/{key}")

    def undo(self) -> None:
        for key in self.touched:
            if key in self.documents:
                self.put(key, self.documents[key])
            else:
                self.delete(key)
        self.touched.clear()
        self.stage.execute("TRUNCATE events")
        for row in self.rows:
            self.stage.execute("INSERT INTO events VALUES (%s, %s, %s, %s, %s)", row)


@pytest.fixture(scope="module")
def copied(
    postgres_server: PostgresServer,
    opensearch_server: SearchEngine,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Copied]:
    yield from _copied(postgres_server, opensearch_server, tmp_path_factory.mktemp("modes"))


def _copied(postgres: PostgresServer, engine: SearchEngine, folder: Path) -> Iterator[Copied]:
    names = [f"modes_{engine.name}_{part}" for part in ("source", "ledger")]
    with ExitStack() as stack:
        source, ledger_dsn = (postgres.create_database(name) for name in names)
        for name in names:
            stack.callback(postgres.drop_database, name)
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        maker = StageMaker(source, ledger_dsn, folder, patch)
        stage = maker(engine)
        stack.callback(stage.close)
        stage.configure(tenants=["acme", "other"], to="2025-02-28")
        stage.fill(ROWS)
        stage.fill(5, tenant="other", first=100)
        runs = [stage.run(tenant) for tenant in ("acme", "other")]
        for run in runs:
            run.copy()
        migration = find_migration(load_config(), stage.migration)
        ledger = stack.enter_context(stage.ledger())
        bench = stack.enter_context(workbench(migration, migration.streams))
        plans = [ledger.plans.load(run.lanes[0]["plan"]).units for run in runs]
        [plan], [other] = plans
        yield Copied(stage, bench, ledger, plan, other)


@pytest.fixture
def unit(copied: Copied) -> Iterator[Copied]:
    yield copied
    copied.undo()


def missing(unit: Copied) -> None:
    unit.delete("e00003")


def extra(unit: Copied) -> None:
    unit.put("x", unit.documents["e00003"] | {"id": "x", "logmigrate": {"high": 1, "low": 2}})


def duplicate(unit: Copied) -> None:
    unit.put("copy", unit.documents["e00003"])


def another_in_its_place(unit: Copied) -> None:
    unit.delete("e00003")
    extra(unit)


def field_changed(unit: Copied) -> None:
    unit.change("e00003", note="8", logmigrate={"high": 1, "low": 2})


def content_altered(unit: Copied) -> None:
    unit.change("e00003", note="8")


def type_altered(unit: Copied) -> None:
    unit.change("e00003", note=7)


def document_in_another_month(unit: Copied) -> None:
    unit.change("e00003", at="2025-02-10T00:00:00+00:00")


def row_changed(unit: Copied) -> None:
    unit.stage.execute("UPDATE events SET note = '8' WHERE id = 'e00003'")


def row_deleted(unit: Copied) -> None:
    unit.stage.execute("DELETE FROM events WHERE id = 'e00003'")


def row_of_another_tenant(unit: Copied) -> None:
    unit.stage.execute("UPDATE events SET tenant = 'other' WHERE id = 'e00003'")


def row_of_another_month(unit: Copied) -> None:
    unit.stage.execute("UPDATE events SET at = '2025-02-10 00:00+00' WHERE id = 'e00003'")


CASES: list[tuple[Any, frozenset[ProofMode], set[tuple[str, str]]]] = [
    (missing, ALL, {("missing", "e00003")}),
    (extra, ALL, {("extra", "x")}),
    (duplicate, ALL, {("duplicate", "e00003"), ("extra", "copy")}),
    (another_in_its_place, PRINTS, {("missing", "e00003"), ("extra", "x")}),
    (field_changed, PRINTS, {("stale", "e00003")}),
    (content_altered, CONTENT, {("altered", "e00003")}),
    (type_altered, CONTENT, {("altered", "e00003")}),
    (
        document_in_another_month,
        ALL,
        {("missing", "e00003"), ("extra", "e00003"), ("altered", "e00003")},
    ),
    (row_changed, PRINTS, {("stale", "e00003")}),
    (row_deleted, ALL, {("extra", "e00003")}),
    (row_of_another_tenant, ALL, {("extra", "e00003")}),
    (row_of_another_month, ALL, {("extra", "e00003"), ("altered", "e00003")}),
]


@pytest.mark.parametrize(
    ("alter", "seen_by", "expected"), CASES, ids=[c[0].__name__ for c in CASES]
)
def test_what_each_mode_must_see(
    unit: Copied, alter: Any, seen_by: frozenset[ProofMode], expected: set[tuple[str, str]]
) -> None:
    alter(unit)
    verdicts = {}
    for mode in ProofMode:
        certificate = unit.prove(mode)
        verdicts[mode] = certificate.verdict
        found = {(finding.kind.value, finding.key) for finding in certificate.tally.listed}
        if mode in seen_by:
            assert found
            assert found <= expected, mode
        else:
            assert found == set(), mode
    assert {m for m, verdict in verdicts.items() if verdict is Verdict.DIFFERENT} == seen_by


def test_a_document_in_another_tenants_index_is_seen_from_both_sides(unit: Copied) -> None:
    """Moved there whole, its fingerprint intact."""
    stray = f"/{unit.other.index}/_doc/e00003"
    unit.delete("e00003")
    body = json.dumps(unit.documents["e00003"], default=float).encode()
    unit.stage.client.request("PUT", stray, body=body)
    try:
        found = {mode: (unit.prove(mode), unit.prove(mode, unit.other)) for mode in ProofMode}
    finally:
        unit.stage.client.request("DELETE", stray)
    for mode, (mine, other) in found.items():
        assert (mine.verdict, other.verdict) == (Verdict.DIFFERENT, Verdict.DIFFERENT), mode
        assert [(f.kind.value, f.key) for f in mine.tally.listed] == [("missing", "e00003")], mode
        assert [(f.kind.value, f.key) for f in other.tally.listed] == [("extra", "e00003")], mode


def test_an_equal_unit_is_equal_in_every_mode(copied: Copied) -> None:
    for mode in ProofMode:
        certificate = copied.prove(mode)
        assert certificate.verdict is Verdict.EQUAL
        assert (certificate.rows, certificate.documents) == (ROWS, ROWS)
        assert (certificate.high == 0) is (mode is COUNT)


@pytest.mark.parametrize("mode", list(ProofMode))
def test_a_certificate_can_be_checked_by_hand(copied: Copied, mode: ProofMode) -> None:
    """Nothing but the certificate, a driver and an HTTP client."""
    certificate = Certificate.from_json(json.loads(json.dumps(copied.prove(mode).to_json())))
    source, target = certificate.by_hand["source"], certificate.by_hand["target"]
    with psycopg.connect(copied.stage.source_dsn) as connection:
        for statement in source["settings"]:
            connection.execute(statement)
        rows = connection.execute(source["sql"]).fetchall()
    # h, rows, high, low, newest, held_back, pending
    assert sum(row[1] for row in rows) == certificate.rows == ROWS
    assert sum(row[2] for row in rows) == certificate.high
    assert sum(row[3] for row in rows) == certificate.low

    def ask(request: Mapping[str, Any]) -> Any:
        url = f"{copied.stage.engine.url}{request['path']}"
        answer = requests.request(request["method"], url, json=request["body"], timeout=30)
        assert answer.ok, answer.text
        return answer.json()

    found = ask(target)
    assert found["hits"]["total"]["value"] == certificate.documents == ROWS
    hours = found["aggregations"]["hours"]["buckets"]
    for name, wanted in (("high", certificate.high), ("low", certificate.low)):
        sums = [bucket[name]["value"] for bucket in hours if name in bucket]
        assert sum(sums) == wanted
        assert bool(sums) is (mode is not COUNT)
    if mode is SAMPLE:
        drawn = ask(certificate.by_hand["sample"])["hits"]["hits"]
        again = copied.bench.target.sample(copied.plan, size=ROWS * 2, seed=certificate.seed)
        assert [hit["_id"] for hit in drawn] == [key for key, _ in again]


def test_counts_alone_allow_no_cut_over(stage: Stage) -> None:
    stage.configure(proof={"mode": "count"})
    stage.fill(10)
    run = stage.run()
    run.copy()
    assert run.prove()[UNIT]["verdict"] == "equal"
    swapped = run.swap()
    assert swapped["swapped"] == []
    assert "only counts rows" in swapped["withheld"][UNIT]
    assert run.report()["outcome"] == "completed_with_findings"
    assert stage.aliases() == {}


def test_a_lean_look_on_the_other_engine(
    postgres_server: PostgresServer,
    elasticsearch_server: SearchEngine,
    tmp_path: Path,
) -> None:
    for unit in _copied(postgres_server, elasticsearch_server, tmp_path):
        for alter, mode in ((missing, COUNT), (row_changed, FINGERPRINT), (type_altered, SAMPLE)):
            assert unit.prove(mode).verdict is Verdict.EQUAL
            alter(unit)
            assert unit.prove(mode).verdict is Verdict.DIFFERENT
            unit.undo()
