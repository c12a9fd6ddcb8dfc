"""What a source lacks is told before the first row is read, with what to do about it."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.errors import (
    ConnectionInvalid,
    LogMigrateError,
    PlanUnusable,
    SourceUnavailable,
    SourceUnsuitable,
    TenantInvalid,
)
from airflow_provider_logmigrate.core.plan import ReadStrategy
from airflow_provider_logmigrate.core.stream import ColumnKind, Parent
from airflow_provider_logmigrate.stores.postgres.preflight import explain_page, preflight
from airflow_provider_logmigrate.stores.postgres.session import Sessions
from airflow_provider_logmigrate.stores.postgres.source import PostgresSource
from airflow_provider_logmigrate.streams import dify as dify_pack
from devstack.ports import free_port
from devstack.sampledata import DifySchema
from tests.integration.postgres.conftest import SampleDatabase
from tests.integration.postgres.rig import (
    FEBRUARY,
    JANUARY,
    QUICK,
    Rig,
    endpoint,
    execute,
    own_stream,
    sessions,
)

RUNS, APP_LOGS, NODES, OFFLOAD = dify_pack.streams()
EVENTS = "CREATE TABLE events (id int PRIMARY KEY, tenant text NOT NULL, at timestamp NOT NULL)"


@contextmanager
def failure(kind: type[LogMigrateError]) -> Iterator[pytest.ExceptionInfo[LogMigrateError]]:
    """The block fails so; the error says what to do and survives the way between processes."""
    with pytest.raises(kind) as caught:
        yield caught
    error = caught.value
    assert error.next_step
    assert error.where
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (type(error), str(error))


@contextmanager
def login(dsn: str, name: str, *grants: str) -> Iterator[Sessions]:
    """Sessions of a role that has these grants only."""
    execute(dsn, f"CREATE ROLE {name} LOGIN PASSWORD 'reader''s secret'", *grants)
    try:
        yield sessions(dsn, user=name, password="reader's secret")
    finally:
        execute(dsn, f"DROP OWNED BY {name}", f"DROP ROLE {name}")


def test_both_schema_variants_fit(dify: SampleDatabase) -> None:
    found = {stream.name: preflight(sessions(dify.dsn), stream) for stream in dify_pack.streams()}
    runs, nodes = found["workflow_runs"], found["workflow_node_executions"]
    assert runs is not None
    assert nodes is not None
    notes = " ".join(runs.notes)
    if dify.schema is DifySchema.NEW:
        assert runs.strategy is ReadStrategy.KEYSET
        assert nodes.strategy is ReadStrategy.BY_PARENT
        assert nodes.shape.offload is not None
        assert "no column sequence_number" in notes
        assert runs.shape.column("total_tokens").source_type == "bigint"
    else:
        assert runs.strategy is ReadStrategy.BY_KEY
        assert nodes.strategy is ReadStrategy.BY_KEY
        assert nodes.shape.offload is None
        assert found["workflow_node_execution_offload"] is None
        assert "no column exceptions_count, task_id" in notes
        assert runs.shape.column("total_tokens").source_type == "integer"
    assert runs.bytes_per_row > 0
    assert all(c.kind is ColumnKind.JSON for c in runs.shape.columns if c.name == "graph")
    assert [c.name for c in runs.shape.columns] == sorted(c.name for c in runs.shape.columns)


def test_an_unknown_new_column_is_copied_and_noted(database: str) -> None:
    execute(database, EVENTS, "ALTER TABLE events ADD brand_new jsonb")
    execute(database, """INSERT INTO events VALUES (1, 't', '2025-01-01', '{"a": 1}')""")
    rig = Rig(database, own_stream(known=("id", "tenant", "at")))
    assert any("brand_new" in note for note in rig.found["events"].notes)
    (document,) = rig.read(rig.plan("events", "t")).documents
    assert document.source["brand_new"] == '{"a": 1}'


def test_a_dropped_column_leaves_no_trace(database: str) -> None:
    execute(database, EVENTS, "ALTER TABLE events ADD gone text", "ALTER TABLE events DROP gone")
    found = preflight(sessions(database), own_stream())
    assert found is not None
    assert [column.name for column in found.shape.columns] == ["at", "id", "tenant"]


def test_a_missing_required_column_is_named(database: str) -> None:
    execute(database, EVENTS)
    with failure(SourceUnsuitable) as caught:
        preflight(sessions(database), own_stream(required=("id", "payload")))
    assert "payload" in str(caught.value)


def test_a_missing_table_is_an_error_unless_optional(database: str) -> None:
    with failure(SourceUnsuitable) as caught:
        preflight(sessions(database), RUNS)
    assert "workflow_runs" in str(caught.value)
    assert preflight(sessions(database), OFFLOAD) is None
    with failure(SourceUnsuitable):
        preflight(sessions(database), own_stream("no_schema.events"))


def test_a_missing_parent_table_is_named(database: str) -> None:
    execute(database, "CREATE TABLE workflow_app_logs (id uuid, tenant_id uuid, created_at date)")
    with failure(SourceUnsuitable) as caught:
        preflight(sessions(database), APP_LOGS)
    assert "workflow_runs" in str(caught.value)


def test_a_stream_the_source_lacks_makes_the_plan_unusable(database: str) -> None:
    execute(database, EVENTS)
    rig = Rig(database, own_stream())
    with failure(PlanUnusable):
        rig.source.has_tenant("workflow_runs", "t")


def test_an_event_time_that_is_no_timestamp_is_refused(database: str) -> None:
    execute(database, "CREATE TABLE events (id int PRIMARY KEY, tenant text, at text)")
    with failure(SourceUnsuitable) as caught:
        Rig(database, own_stream())
    assert "timestamp" in str(caught.value)


def test_a_column_named_like_the_fingerprint_field_is_refused(database: str) -> None:
    execute(database, EVENTS, "ALTER TABLE events ADD logmigrate text")
    with failure(SourceUnsuitable) as caught:
        preflight(sessions(database), own_stream())
    assert "logmigrate" in str(caught.value)


def test_a_key_that_is_not_unique_and_a_nullable_event_time_are_noted(database: str) -> None:
    execute(
        database,
        "CREATE TABLE events (id int, tenant text, at timestamp, UNIQUE (id, tenant))",
    )
    found = preflight(sessions(database), own_stream())
    assert found is not None
    notes = " ".join(found.notes)
    assert "no unique index on id" in notes
    assert "at may be NULL" in notes


@pytest.mark.parametrize("strategy", list(ReadStrategy)[::2])
def test_a_row_without_a_key_stops_the_read(database: str, strategy: ReadStrategy) -> None:
    execute(
        database,
        "CREATE TABLE events (id uuid, tenant text, at timestamp)",
        "INSERT INTO events VALUES (NULL, 't', '2025-01-05')",
    )
    rig = Rig(database, own_stream(), forced=strategy)
    with failure(SourceUnsuitable) as caught:
        rig.read(rig.plan("events", "t"))
    assert "no key" in str(caught.value)


def test_a_table_the_login_may_not_read_is_named(database: str) -> None:
    execute(database, EVENTS)
    with login(database, "no_table") as denied, failure(SourceUnsuitable) as caught:
        preflight(denied, own_stream())
    assert "GRANT SELECT ON events" in str(caught.value)
    execute(database, "CREATE SCHEMA hidden", "CREATE TABLE hidden.events (id int)")
    with login(database, "no_schema") as denied, failure(SourceUnsuitable):
        preflight(denied, own_stream("hidden.events"))


def test_a_parent_table_the_login_may_not_read_is_named(new_dify: SampleDatabase) -> None:
    grants = "GRANT SELECT ON workflow_node_executions, upload_files TO no_parent"
    with login(new_dify.dsn, "no_parent", grants) as denied, failure(SourceUnsuitable) as caught:
        preflight(denied, NODES)
    assert "GRANT SELECT ON workflow_runs" in str(caught.value)


def test_an_offload_table_the_login_may_not_read_is_named(new_dify: SampleDatabase) -> None:
    grants = "GRANT SELECT ON workflow_node_executions, workflow_runs TO no_files"
    with login(new_dify.dsn, "no_files", grants) as denied, failure(SourceUnsuitable) as caught:
        preflight(denied, NODES)
    assert "workflow_node_execution_offload" in str(caught.value)


def test_rows_hidden_by_a_policy_are_an_error_and_not_missing(database: str) -> None:
    execute(
        database,
        EVENTS,
        "INSERT INTO events VALUES (1, 'mine', '2025-01-05'), (2, 'theirs', '2025-01-05')",
    )
    with login(database, "policed", "GRANT SELECT ON events TO policed") as few:
        before = preflight(few, own_stream())
        assert before is not None
        execute(
            database,
            "ALTER TABLE events ENABLE ROW LEVEL SECURITY",
            "CREATE POLICY own ON events USING (tenant = 'mine')",
        )
        with failure(SourceUnsuitable) as caught:
            preflight(few, own_stream())
        assert "row-level security" in str(caught.value)
        rig = Rig(database, own_stream())
        plan = rig.plan("events", "theirs")
        # A policy made after the preflight is noticed by the queries themselves.
        late = PostgresSource(few, {"events": before})
        with failure(SourceUnsuitable):
            late.summarise(plan, upper=JANUARY.end)


def test_a_wrong_password_is_the_connections_fault(database: str) -> None:
    with failure(ConnectionInvalid) as caught:
        preflight(sessions(database, password="t0p-s3cret"), own_stream())
    assert "t0p-s3cret" not in str(caught.value)
    assert "t0p-s3cret" not in repr(endpoint(database, password="t0p-s3cret"))


@pytest.mark.parametrize(
    "changes",
    [
        {"dbname": "no such db"},
        {"user": "nobody_knows"},
        {"password": None, "options": {"passfile": "/nonexistent"}},
        {"options": {"sslmode": "require"}},
    ],
    ids=["database", "user", "no-password", "tls"],
)
def test_what_a_person_must_correct_is_not_retried(
    database: str, changes: dict[str, object]
) -> None:
    with failure(ConnectionInvalid) as caught:
        preflight(sessions(database, **changes), own_stream())
    assert "dify_db" in str(caught.value)


def test_a_login_without_connect_privilege_is_not_retried(database: str) -> None:
    name = endpoint(database).dbname
    revoke = f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC"
    with login(database, "no_connect", revoke) as denied, failure(ConnectionInvalid):
        preflight(denied, own_stream())


def test_a_server_that_is_down_is_an_outage_after_bounded_retries() -> None:
    down = endpoint("postgresql://u:t0p-s3cret@127.0.0.1:1/db", port=free_port())
    waits: list[float] = []

    class Counting(Stop):
        def wait(self, seconds: float, where: str) -> None:
            waits.append(seconds)

    waiting = Sessions(down, backoff=QUICK).session(stop=Counting())
    with failure(SourceUnavailable) as caught, waiting as session:
        session.run(lambda connection: None)
    assert len(waits) == QUICK.attempts
    assert "t0p-s3cret" not in str(caught.value)


def test_a_tenant_that_is_no_uuid_is_told_by_every_question(new_dify: SampleDatabase) -> None:
    rig = Rig(new_dify.dsn, RUNS, NODES)
    for tenant in ("acme", "", "*", "{" + new_dify.tenant + "}", new_dify.tenant + " "):
        for ask in (
            lambda t=tenant: rig.source.has_tenant("workflow_runs", t),
            lambda t=tenant: rig.source.survey("workflow_runs", t, [JANUARY]),
            lambda t=tenant: explain_page(rig.sessions, rig.found["workflow_runs"], t, JANUARY),
        ):
            with pytest.raises(TenantInvalid):
                ask()
    for strategy in ReadStrategy:
        with pytest.raises(TenantInvalid):
            rig.read(rig.plan("workflow_node_executions", "acme", strategy=strategy))


HOSTILE_NAMES = ('a"b', "a'b", "semi;colon", "per%cent %s %(x)s", "brace{}{0}", "drop\\ table")


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_names_and_tenants_are_data(database: str, name: str) -> None:
    """Table, columns and tenant called like an attack: read right, and nothing else happens."""
    quoted = '"' + name.replace('"', '""') + '"'
    tenant = f"x' OR '1'='1'; DROP TABLE {quoted}; -- {name}"
    into = quoted.replace("%", "%%")
    execute(
        database,
        f"CREATE TABLE {quoted} (id text PRIMARY KEY, {quoted} text, at timestamp, parent text,"
        ' "plain ""col" text)',
        (f"INSERT INTO {into} VALUES (%s, %s, '2025-01-05', 'p', %s)", (name, tenant, name)),
        f"INSERT INTO {quoted} VALUES ('other', 'other', '2025-01-05')",
        f"CREATE TABLE runs (id text PRIMARY KEY, {quoted} text, at timestamp, ended timestamp)",
        ("INSERT INTO runs VALUES ('p', %s, '2025-01-04', '2025-01-06')", (tenant,)),
    )
    parent = Parent("runs", "id", "parent", "at", "ended")
    stream = own_stream(name, tenant_column=name, parent=parent)
    for strategy in ReadStrategy:
        rig = Rig(database, stream, forced=strategy)
        plan = rig.plan("events", tenant)
        (document,) = rig.read(plan).documents
        assert document.key == name
        assert document.source[name] == tenant
        assert document.source['plain "col'] == name
        assert rig.source.summarise(plan, upper=JANUARY.end).total.count == 1
        assert [k for k, _ in rig.source.rows(plan, [name, "other", "'"])] == [name]
        assert rig.source.has_tenant("events", tenant)
        assert not rig.source.has_tenant("events", "' OR true --")
        assert list(rig.source.survey("events", tenant, [JANUARY, FEBRUARY])) == [JANUARY]
        warned = explain_page(rig.sessions, rig.found["events"], tenant, JANUARY)
        assert (warned is not None) == (strategy is ReadStrategy.KEYSET)
    assert execute(database, f"SELECT count(*) FROM {quoted}") == [(2,)]


@pytest.mark.parametrize("tenant", ["nul\x00", "half \ud800"])
def test_a_tenant_postgresql_cannot_hold_is_refused(database: str, tenant: str) -> None:
    execute(database, EVENTS)
    rig = Rig(database, own_stream())
    with pytest.raises(TenantInvalid):
        rig.source.has_tenant("events", tenant)


def test_table_and_schema_are_quoted_apart(database: str) -> None:
    execute(
        database,
        'CREATE SCHEMA "My Logs"',
        'CREATE TABLE "My Logs"."E.v" (id int PRIMARY KEY, tenant text, at timestamp)',
        """INSERT INTO "My Logs"."E.v" VALUES (1, 't', '2025-01-05')""",
    )
    rig = Rig(database, own_stream("My Logs.E.v"))
    assert rig.read(rig.plan("events", "t")).keys == ["1"]


def test_a_forced_strategy_is_kept_with_its_reason(new_dify: SampleDatabase) -> None:
    found = preflight(sessions(new_dify.dsn), RUNS, forced=ReadStrategy.BY_KEY)
    assert found is not None
    assert found.strategy is ReadStrategy.BY_KEY
    assert "forced" in found.reason
    assert "keyset" in found.reason
    with failure(SourceUnsuitable):
        preflight(sessions(new_dify.dsn), RUNS, forced=ReadStrategy.BY_PARENT)


@pytest.mark.parametrize(
    ("index", "strategy"),
    [
        ("(tenant, at, id)", ReadStrategy.KEYSET),
        ("(tenant, at DESC)", ReadStrategy.KEYSET),
        ("(at, id)", ReadStrategy.KEYSET),
        ("(at)", ReadStrategy.KEYSET),
        ("(tenant) INCLUDE (at, id)", ReadStrategy.BY_KEY),
        ("(tenant, at, id) WHERE id > 5", ReadStrategy.BY_KEY),
        ("(tenant, date_trunc('day', at))", ReadStrategy.BY_KEY),
        ("USING brin (at)", ReadStrategy.BY_KEY),
        ("(tenant, id, at)", ReadStrategy.BY_KEY),
    ],
)
def test_only_an_index_that_orders_rows_makes_a_keyset(
    database: str, index: str, strategy: ReadStrategy
) -> None:
    execute(database, EVENTS, f"CREATE INDEX ON events {index}")
    found = preflight(sessions(database), own_stream())
    assert found is not None
    assert found.strategy is strategy, found.reason


def test_an_index_that_is_still_being_built_does_not_count(database: str) -> None:
    execute(
        database,
        EVENTS,
        "CREATE INDEX half_built ON events (tenant, at, id)",
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'half_built'::regclass",
    )
    found = preflight(sessions(database), own_stream())
    assert found is not None
    assert found.strategy is ReadStrategy.BY_KEY


def test_explain_warns_where_a_page_follows_no_index(
    database: str, new_dify: SampleDatabase
) -> None:
    rig = Rig(new_dify.dsn, RUNS, NODES)
    ask = (new_dify.tenant, JANUARY)
    assert explain_page(rig.sessions, rig.found["workflow_runs"], *ask) is None
    assert explain_page(rig.sessions, rig.found["workflow_node_executions"], *ask) is None
    forced = Rig(new_dify.dsn, NODES, forced=ReadStrategy.KEYSET)
    warning = explain_page(forced.sessions, forced.found["workflow_node_executions"], *ask)
    assert warning is not None
    assert "workflow_node_executions" in warning
    execute(
        database,
        EVENTS,
        "INSERT INTO events SELECT n, 't', '2025-01-01'::timestamp + n * '1 min'::interval"
        " FROM generate_series(1, 3000) n",
        "CREATE INDEX ON events (tenant)",
        "ANALYZE events",
    )
    own = Rig(database, own_stream(), forced=ReadStrategy.KEYSET)
    assert explain_page(own.sessions, own.found["events"], "t", JANUARY) is not None
    execute(database, "CREATE INDEX ON events (tenant, at DESC)")
    assert explain_page(own.sessions, own.found["events"], "t", JANUARY) is None


def test_a_partitioned_table_counts_its_partitions(database: str) -> None:
    execute(
        database,
        "CREATE TABLE events (id int, tenant text, at timestamp NOT NULL, PRIMARY KEY (at, id))"
        " PARTITION BY RANGE (at)",
        "CREATE TABLE jan PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2025-02-01')",
        "CREATE TABLE rest PARTITION OF events DEFAULT",
        "INSERT INTO events SELECT n, 't', '2025-01-01'::timestamp + n * '1 h'::interval"
        " FROM generate_series(0, 999) n",
        "ANALYZE events",
    )
    rig = Rig(database, own_stream(), page_rows=100)
    found = rig.found["events"]
    assert found.strategy is ReadStrategy.KEYSET
    assert found.facts.rows == 1000
    assert found.bytes_per_row > 0
    assert len(rig.read(rig.plan("events", "t")).keys) == 744


def test_a_view_can_be_read(database: str) -> None:
    execute(
        database,
        "CREATE TABLE base (n uuid DEFAULT gen_random_uuid(), who text, at timestamptz)",
        "CREATE VIEW events AS SELECT n AS id, who AS tenant, at FROM base",
        "INSERT INTO base (who, at) VALUES ('t', '2025-01-31 23:59:59.999999+00')",
    )
    rig = Rig(database, own_stream())
    assert rig.found["events"].strategy is ReadStrategy.BY_KEY
    assert len(rig.read(rig.plan("events", "t")).keys) == 1


def test_a_database_without_an_encoding_is_refused(database: str) -> None:
    name = endpoint(database).dbname + "_ascii"
    execute(
        database,
        f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'"
        " LOCALE_PROVIDER libc",
    )
    try:
        with failure(SourceUnsuitable) as caught:
            preflight(sessions(database, dbname=name), own_stream())
        assert "SQL_ASCII" in str(caught.value)
    finally:
        execute(database, f"DROP DATABASE {name}")


def test_another_server_encoding_arrives_as_utf8(database: str) -> None:
    name = endpoint(database).dbname + "_latin"
    execute(
        database,
        f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'"
        " LOCALE_PROVIDER libc",
    )
    try:
        latin = database.replace(endpoint(database).dbname, name)
        execute(
            latin,
            EVENTS,
            ("INSERT INTO events VALUES (1, %s, '2025-01-05')", ("Grüße \xa0",)),
        )
        rig = Rig(latin, own_stream())
        (document,) = rig.read(rig.plan("events", "Grüße \xa0")).documents
        assert document.source["tenant"] == "Grüße \xa0"
    finally:
        execute(database, f"DROP DATABASE {name}")


def test_a_stream_without_its_offload_tables_is_read_without(database: str) -> None:
    execute(database, EVENTS)
    found = preflight(sessions(database), own_stream(offload=NODES.offload))
    assert found is not None
    assert found.shape.offload is None
