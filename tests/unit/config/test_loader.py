"""The loader: what loads, what is told, and what one mistake may not take down."""

from __future__ import annotations

import pickle
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_logmigrate.config.entities import (
    Approval,
    Config,
    Limits,
    OffloadStorage,
    StoreType,
)
from airflow_provider_logmigrate.config.loader import load
from airflow_provider_logmigrate.core.certificate import ProofMode
from airflow_provider_logmigrate.core.errors import ConfigInvalid
from airflow_provider_logmigrate.core.layout import Layout
from airflow_provider_logmigrate.core.plan import ReadStrategy
from airflow_provider_logmigrate.core.planning import Order
from airflow_provider_logmigrate.core.protection import Protection, Thresholds
from airflow_provider_logmigrate.core.reconcile import Bounds
from airflow_provider_logmigrate.core.stream import JsonMode, TextIndex
from airflow_provider_logmigrate.core.unit import Granularity

HEAD = """\
version: 1
stores:
  db: {type: postgres, connection: pg}
  search: {type: opensearch, connection: os}
  elastic: {type: elasticsearch, connection: es}
migrations:
"""
GOOD = {
    "pack": "dify",
    "source": "db",
    "target": "search",
    "tenants": "{list: [a, b]}",
    "from": "2025-01-01",
}
STREAM = "table: t, event_time: at, tenant_column: owner"


def migration(name: str = "m", **changes: str | None) -> str:
    """YAML of a good migration with some keys changed, added, or (None) taken away."""
    lines = {key: value for key, value in {**GOOD, **changes}.items() if value is not None}
    return f"  {name}:\n" + "".join(f"    {key}: {value}\n" for key, value in lines.items())


def write(folder: Path, text: str) -> Path:
    path = folder / "logmigrate.yaml"
    path.write_text(text)
    return path


def told(config: Config) -> dict[str, str]:
    return {problem.path: problem.message for problem in config.problems}


def refused(path: Path) -> ConfigInvalid:
    with pytest.raises(ConfigInvalid) as caught:
        load(path)
    assert str(path) in str(caught.value)
    return caught.value


def test_limits_and_protection_arrive_in_the_entities(tmp_path: Path) -> None:
    text = HEAD + migration(
        limits="{documents_per_second: 500, megabytes_per_second: 2.5}",
        protect="{probe_latency: 250ms, replication_lag: 10s, active_backends: 40, every: 2s,"
        " give_up_after: 10m}",
    )
    found = load(write(tmp_path, text)).migrations["m"]
    copied = found.limits.copy
    assert (copied.documents_per_second, copied.bytes_per_second) == (500.0, 2_500_000.0)
    assert found.protect == Protection(
        Thresholds(probe_seconds=0.25, lag_seconds=10.0, active_backends=40), 2.0, 600.0
    )


def test_a_lag_may_be_a_size_and_nothing_is_protected_unless_asked_for(tmp_path: Path) -> None:
    found = load(write(tmp_path, HEAD + migration(protect="{replication_lag: 64MiB}")))
    assert found.migrations["m"].protect == Protection(Thresholds(lag_bytes=64 << 20))
    assert load(write(tmp_path, HEAD + migration())).migrations["m"].protect is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"protect": "{every: 1s}"}, "give at least one of `probe_latency`"),
        ({"protect": "{replication_lag: soon}"}, "is no lag: write a duration like 10s"),
        ({"protect": "{replication_lag: 0s}"}, "must be more than nothing"),
        ({"protect": "{active_backends: 0}"}, "greater than or equal to 1"),
        ({"limits": "{documents_per_second: 0}"}, "greater than or equal to 0.1"),
        ({"limits": "{megabytes_per_second: .nan}"}, "finite number"),
    ],
)
def test_limits_that_would_stop_or_mean_nothing_are_refused(
    tmp_path: Path, changes: dict[str, str], message: str
) -> None:
    config = load(write(tmp_path, HEAD + migration(**changes)))
    assert config.migrations == {}
    (problem,) = config.problems
    assert message in problem.message


def test_every_key_arrives_in_the_entities(tmp_path: Path) -> None:
    text = HEAD + migration(
        streams="[workflow_runs, node_executions]",
        to="2025-04-30",
        period="day",
        order="oldest_first",
        settle_lag="2h",
        lanes="3",
        layout="shared",
        index_prefix="logs",
        index="{shards: 2, replicas: 1, refresh_interval: 5s, total_fields: 10, codec: zstd,"
        " text: match_only}",
        json_columns="{workflow_runs.graph: object, node_executions.outputs: flat_object}",
        offload='{url: "s3://bucket/x", connection: aws, inline_limit: 2MiB}',
        limits=(
            "{in_flight: 3, chunk: 8MiB, page_rows: 7, checkpoint_every: 500ms, max_rejected: 4,"
            " accept_rejected: 5, statement_timeout: 90s}"
        ),
        proof="{mode: full, sample: 6}",
        reconcile="{passes: 1, max_documents: 5, remove_extras: true}",
        approval="before_swap",
        approval_timeout="1d",
        schedule='"0 3 * * *"',
        strategy="{node_executions: by_parent}",
        pool="slow",
        retries="9",
    )
    config = load(write(tmp_path, text))
    found = config.migrations["m"]

    assert config.problems == ()
    assert config.path == tmp_path / "logmigrate.yaml"
    assert (found.source.type, found.source.connection) == (StoreType.POSTGRES, "pg")
    assert (found.target.name, found.target.type) == ("search", StoreType.OPENSEARCH)
    assert found.tenants == ("a", "b")
    assert [stream.name for stream in found.streams] == [
        "workflow_runs",
        "workflow_node_executions",
    ]
    assert found.stream("node_executions") is found.streams[1]
    assert found.aliases == {
        "runs": "workflow_runs",
        "node_executions": "workflow_node_executions",
    }
    assert (found.first, found.last) == (date(2025, 1, 1), date(2025, 4, 30))
    assert (found.period, found.order) == (Granularity.DAY, Order.OLDEST_FIRST)
    assert found.settle_lag == timedelta(hours=2)
    assert (found.lanes, found.layout, found.sample, found.retries) == (3, Layout.SHARED, 6, 9)
    assert found.names(found.streams[0]).index("a", "2025-01", 1) == (
        "logs-workflow-runs-a-2025.01-v1"
    )
    assert (found.index.shards, found.index.replicas, found.index.codec) == (2, 1, "zstd")
    assert (found.index.refresh_interval, found.index.total_fields) == ("5s", 10)
    assert (found.index.text, found.proof) == (TextIndex.MATCH_ONLY, ProofMode.FULL)
    assert found.streams[0].json_columns["graph"] is JsonMode.OBJECT
    assert found.streams[0].json_columns["inputs"] is JsonMode.TEXT
    assert found.streams[1].json_columns["outputs"] is JsonMode.FLAT_OBJECT
    assert found.offload == OffloadStorage("s3://bucket/x", "aws", 2 << 20)
    assert found.limits == Limits(3, 8 << 20, 7, 0.5, 4, 5, 90.0)
    assert (found.limits.copy.chunk_bytes, found.limits.copy.checkpoint_seconds) == (8 << 20, 0.5)
    assert (found.reconcile, found.follow) == (Bounds(1, 5, remove_extras=True), None)
    assert (found.approval, found.approval_timeout) == (Approval.BEFORE_SWAP, timedelta(days=1))
    assert (found.schedule, found.pool) == ("0 3 * * *", "slow")
    assert found.strategies == {"workflow_node_executions": ReadStrategy.BY_PARENT}
    with pytest.raises(KeyError):
        found.stream("app_logs")


def test_defaults(tmp_path: Path) -> None:
    found = load(write(tmp_path, HEAD + migration())).migrations["m"]

    assert [stream.slug for stream in found.streams] == [
        "workflow-runs",
        "workflow-app-logs",
        "workflow-node-executions",
        "workflow-node-execution-offload",
    ]
    assert (found.index_prefix, found.period, found.order) == (
        "dify",
        Granularity.MONTH,
        Order.NEWEST_FIRST,
    )
    assert (found.last, found.offload, found.schedule, found.pool) == (None, None, None, None)
    assert (found.lanes, found.sample, found.retries, found.limits) == (2, 100, 5, Limits())
    assert (found.approval, found.strategies) == (Approval.NONE, {})
    assert (found.reconcile, found.follow) == (Bounds(3, 10_000, remove_extras=False), None)
    assert (found.index.text, found.proof) == (TextIndex.FULL, ProofMode.SAMPLE)


def test_a_configuration_travels_between_processes(tmp_path: Path) -> None:
    config = load(write(tmp_path, HEAD + migration()))

    assert pickle.loads(pickle.dumps(config)) == config


def test_own_streams(tmp_path: Path) -> None:
    streams = (
        "{audit_log: {table: app.audit, key: uid, event_time: at, tenant_column: owner,"
        " json: {payload: object}, fields: {note: {type: text}},"
        " settled: {parent: {table: jobs, key: jid, foreign_key: job, event_time: began,"
        " ended_at: ended, settled: {column: state, values: [done]}},"
        " own: {column: st, values: [x, y]}}},"
        f" plain: {{{STREAM}, slug: other}}}}"
    )
    config = load(write(tmp_path, HEAD + migration("my_own", pack=None, streams=streams)))
    found = config.migrations["my_own"]
    audit, plain = found.streams

    assert config.problems == ()
    assert (found.index_prefix, found.pack, found.aliases) == ("my-own", None, {})
    assert (audit.name, audit.slug, audit.table) == ("audit_log", "audit-log", "app.audit")
    assert (audit.key, audit.event_time, audit.tenant_column) == ("uid", "at", "owner")
    assert audit.required == ("uid", "at", "owner", "payload", "note", "job", "st")
    assert audit.json_columns == {"payload": JsonMode.OBJECT}
    assert audit.fields == {"note": {"type": "text"}}
    assert audit.settled is not None
    assert audit.parent is not None
    assert (audit.parent.table, audit.parent.key, audit.parent.foreign_key) == (
        "jobs",
        "jid",
        "job",
    )
    assert (audit.parent.event_time, audit.parent.ended_at) == ("began", "ended")
    assert (plain.slug, plain.key, plain.settled, plain.parent) == ("other", "id", None, None)


def missing(path: Path) -> None:
    """No file at all."""


def folder(path: Path) -> None:
    path.mkdir()


def binary(path: Path) -> None:
    path.write_bytes(b"version: \xff1")


def text(content: str) -> Any:
    return lambda path: path.write_text(content)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (missing, "the configuration file doesn't exist"),
        (folder, "the configuration file can't be read: Is a directory"),
        (binary, "the configuration file isn't UTF-8 text (byte 9)"),
        (text(""), "the configuration file is empty"),
        (text("# only a comment\n"), "the configuration file is empty"),
        (text("---\n"), "the configuration file is empty"),
        (text("- a\n"), "must be a mapping with version, stores and migrations, not a list"),
        (text("hello\n"), "must be a mapping with version, stores and migrations, not one value"),
        (text("version: 1\nstores: {a: [}\n"), "isn't valid YAML: line 2, column 14:"),
        (text("version: 1\n\tstores: 1\n"), "isn't valid YAML: line 2, column 1:"),
        (text("a: 1\n---\nb: 1\n"), "isn't valid YAML: line 2"),
        (text("version: !!python/object:os.system {}\n"), "means nothing here"),
        (text("version: !env X\n"), "isn't valid YAML: line 1"),
        (text("a: \0\n"), "isn't valid YAML"),
        (text("a: &x [*x]\n"), "an alias contains itself"),
        (text("a: *nowhere\n"), "isn't valid YAML: line 1"),
        (text("[" * 3000), "isn't valid YAML"),
        (text("a: " + "[" * 3000 + "]" * 3000), "the configuration is nested too deeply"),
    ],
)
def test_a_file_that_cannot_be_understood(tmp_path: Path, make: Any, message: str) -> None:
    path = tmp_path / "logmigrate.yaml"
    make(path)

    assert message in refused(path).what


def test_an_alias_that_multiplies_itself_is_stopped(tmp_path: Path) -> None:
    levels = [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 100)}]" for n in range(1, 5)]
    path = write(tmp_path, "\n".join(["l0: &l0 [x, x]", *levels, ""]))

    assert "multiplies the file beyond measure" in refused(path).what


def test_all_errors_are_listed_at_once_with_path_and_line(tmp_path: Path) -> None:
    text = """\
version: 2
stores:
  db: {type: postgrez, connection: pg}
  search: {type: opensearch, conection_id: os}
extra: 1
migrations:
  m:
    pack: dify
    source: db
    target: search
    tenants: {list: [a]}
    frm: 2025-01-01
    limits: {in_fligth: 3}
"""
    error = refused(write(tmp_path, text))

    assert error.data["problems"] == [
        {"path": "version", "message": "must be 1", "line": 1},
        {
            "path": "stores.db.type",
            "message": "must be 'postgres', 'opensearch' or 'elasticsearch'; "
            "did you mean 'postgres'?",
            "line": 3,
        },
        {"path": "stores.search.connection", "message": "is missing", "line": 4},
        {
            "path": "stores.search.conection_id",
            "message": "unknown key; did you mean 'connection'?",
            "line": 4,
        },
        {"path": "extra", "message": "unknown key; known: migrations, stores, version", "line": 5},
        {"path": "migrations.m.from", "message": "is missing", "line": 7},
        {"path": "migrations.m.frm", "message": "unknown key; did you mean 'from'?", "line": 12},
        {
            "path": "migrations.m.limits.in_fligth",
            "message": "unknown key; did you mean 'in_flight'?",
            "line": 13,
        },
    ]
    assert error.what.startswith("8 errors in the configuration:\n  version: must be 1 (line 1)\n")
    assert pickle.loads(pickle.dumps(error)).data == error.data


@pytest.mark.parametrize(
    ("top", "path", "message"),
    [
        ("stores: {}\nmigrations: {}\n", "version", "is missing"),
        ("version: 1\nmigrations: {}\n", "stores", "is missing"),
        ("version: 1\nstores: {a: {type: postgres, connection: x}}\n", "migrations", "is missing"),
        ("version: 1\nstores: []\nmigrations: {}\n", "stores", "must be a valid dictionary"),
        ("version: 1\nstores:\nmigrations: {}\n", "stores", "must be a mapping"),
        (
            "version: 1\nstores: {a: {type: postgres, connection: x}}\nmigrations: [a]\n",
            "migrations",
            "must be a mapping",
        ),
        (
            "version: 1\nstores: {a: {type: postgres, connection: ''}}\nmigrations: {}\n",
            "stores.a.connection",
            "at least 1 character",
        ),
        (
            "version: 1\nversion: 1\nstores: {a: {type: postgres, connection: x}}\n"
            "migrations: {}\n",
            "version",
            "the key stands twice",
        ),
        (
            "version: 1\nstores: {a: {type: postgres, connection: x}, a: {type: postgres,"
            " connection: y}}\nmigrations: {}\n",
            "stores.a",
            "the key stands twice",
        ),
        (
            "version: 1\nstores: {1: {type: postgres, connection: x}}\nmigrations: {}\n",
            "stores.1",
            "the key 1 isn't text: put it in quotes",
        ),
    ],
)
def test_a_wrong_top_level_is_refused(tmp_path: Path, top: str, path: str, message: str) -> None:
    problems = {p["path"]: p["message"] for p in refused(write(tmp_path, top)).data["problems"]}

    assert message.removeprefix("must be a valid dictionary") in problems[path]


WRONG: list[tuple[dict[str, str | None], str, str]] = [
    ({"source": None}, "source", "is missing"),
    ({"source": "dbb"}, "source", "there is no store 'dbb'; did you mean 'db'?"),
    ({"source": "search"}, "source", "'search' is of type opensearch, it must be postgres"),
    ({"target": "db"}, "target", "'db' is of type postgres, it must be opensearch or"),
    ({"target": "zzz"}, "target", "there is no store 'zzz'; known: db, elastic, search"),
    ({"pack": "difi"}, "pack", "there is no pack 'difi'; did you mean 'dify'?"),
    ({"pack": None}, "pack", "give a pack (dify), or define streams of your own"),
    ({"pack": "7"}, "pack", "must be text: put it in quotes"),
    ({"streams": f"{{s: {{{STREAM}}}}}"}, "streams", "a pack exclude each other"),
    ({"streams": "[workflow_run]"}, "streams[0]", "did you mean 'workflow_runs'?"),
    ({"streams": "[runs, app_logs, workflow_runs]"}, "streams[2]", "stands twice"),
    ({"streams": "[1]"}, "streams[0]", "must be text: put it in quotes"),
    ({"streams": "[]"}, "streams", "at least 1 item"),
    ({"from": "2025-02-30"}, "from", "'2025-02-30' is impossible: day is out of range"),
    ({"from": "'2025-02-30'"}, "from", "2025-02-30 is no day"),
    ({"from": "yesterday"}, "from", "'yesterday' is no day: write it like 2025-01-31"),
    ({"from": "2025-01-01 10:00:00"}, "from", "is no day: write it like 2025-01-31"),
    ({"from": "20250101"}, "from", "20250101 is no day"),
    ({"from": "0205-01-01"}, "from", "0205-01-01 is before 1970-01-01: check the year"),
    ({"from": "2025-05-01", "to": "2025-04-30"}, "to", "2025-04-30 is before `from` (2025-05-01)"),
    ({"period": "week"}, "period", "must be 'month' or 'day'"),
    ({"order": "newest"}, "order", "did you mean 'newest_first'?"),
    ({"settle_lag": "15"}, "settle_lag", "15 is no duration: write a unit, like 30s"),
    ({"settle_lag": "'15 minutes'"}, "settle_lag", "'15 minutes' is no duration"),
    ({"settle_lag": "-5m"}, "settle_lag", "'-5m' is no duration"),
    ({"settle_lag": "99999999999d"}, "settle_lag", "is too long a duration"),
    ({"lanes": "0"}, "lanes", "must be greater than or equal to 1"),
    ({"lanes": "'2'"}, "lanes", "must be a valid integer"),
    ({"lanes": "yes"}, "lanes", "must be a valid integer"),
    ({"lanes": "1.5"}, "lanes", "must be a valid integer"),
    ({"layout": "shard"}, "layout", "did you mean 'shared'?"),
    ({"index_prefix": "Dify"}, "index_prefix", "'Dify' doesn't match"),
    ({"index_prefix": "'*'"}, "index_prefix", "'*' doesn't match"),
    ({"index_prefix": "x" * 33}, "index_prefix", "at most 32 characters"),
    ({"index": "{shards: 0}"}, "index.shards", "greater than or equal to 1"),
    ({"index": "{refresh_interval: often}"}, "index.refresh_interval", "doesn't match"),
    ({"index": "{codec: zst}"}, "index.codec", "did you mean 'zstd'?"),
    (
        {"index": "{codec: zstd}", "target": "elastic"},
        "index.codec",
        "Elasticsearch has no codec 'zstd': use best_compression",
    ),
    ({"json_columns": "{graph: object}"}, "json_columns.graph", "write it as stream.column"),
    (
        {"json_columns": "{workflow_run.graph: object}"},
        "json_columns.workflow_run.graph",
        "there is no stream 'workflow_run'; did you mean 'workflow_runs'?",
    ),
    (
        {"json_columns": "{runs.grph: object}"},
        "json_columns.runs.grph",
        "runs has no JSON column 'grph'; did you mean 'graph'?",
    ),
    ({"json_columns": "{runs.graph: json}"}, "json_columns.runs.graph", "must be 'text', 'object'"),
    ({"offload": "{url: /data/dify}"}, "offload.url", "'/data/dify' doesn't match"),
    ({"offload": '{url: "s3://me:pw@host/x"}'}, "offload.url", "no user name or password"),
    ({"offload": '{url: "s3://x", inline_limit: 1MB}'}, "offload.inline_limit", "is no size"),
    ({"offload": "7"}, "offload", "must be a mapping"),
    ({"limits": "{chunk: 4MB}"}, "limits.chunk", "'4MB' is no size: write bytes or a unit"),
    ({"limits": "{chunk: 1KiB}"}, "limits.chunk", "greater than or equal to 65536"),
    ({"limits": "{chunk: true}"}, "limits.chunk", "is no size"),
    ({"limits": "{page_rows: 0}"}, "limits.page_rows", "greater than or equal to 1"),
    ({"limits": "{chunks: 1}"}, "limits.chunks", "unknown key; did you mean 'chunk'?"),
    ({"proof": "{mode: all}"}, "proof.mode", "must be 'count', 'fingerprint'"),
    ({"index": "{text: none}"}, "index.text", "must be 'full', 'match_only' or 'stored'"),
    ({"proof": "{sample: -1}"}, "proof.sample", "greater than or equal to 0"),
    ({"approval": "always"}, "approval", "must be 'none', 'before_backfill' or 'before_swap'"),
    ({"schedule": "'@dayly'"}, "schedule", "there is no preset '@dayly'"),
    ({"schedule": "'0 25 * * *'"}, "schedule", "'25' can't be the hour"),
    ({"schedule": "every day at noon"}, "schedule", "has 4 fields, a cron expression has 5"),
    ({"follow": "{schedule: '@dayly'}"}, "follow.schedule", "there is no preset '@dayly'"),
    ({"follow": "{}", "to": "2025-03-31"}, "follow", "a migration with an end isn't followed"),
    ({"reconcile": "{passes: -1}"}, "reconcile.passes", "must be greater than or equal to 0"),
    ({"strategy": "keyst"}, "strategy", "did you mean 'keyset'?"),
    ({"strategy": "{runs: keyst}"}, "strategy.runs", "did you mean 'keyset'?"),
    ({"strategy": "{run: keyset}"}, "strategy.run", "did you mean 'runs'?"),
    ({"strategy": "{runs: by_parent}"}, "strategy.runs", "declares no parent"),
    ({"strategy": "by_parent"}, "strategy", "force it by stream"),
    ({"retries": "-1"}, "retries", "greater than or equal to 0"),
    ({"tenant": "x"}, "tenant", "unknown key; did you mean 'tenants'?"),
    ({"tenants": None}, "tenants", "is missing"),
    ({"tenants": "[a]"}, "tenants", "must be a mapping"),
    ({"tenants": "{}"}, "tenants", "exactly one of list, file and discovered; none is given"),
    ({"tenants": "{list: [a], file: x}"}, "tenants", "not list and file"),
    ({"tenants": "{list: a}"}, "tenants.list", "must be a valid list"),
    ({"tenants": "{lst: [a]}"}, "tenants.lst", "unknown key; did you mean 'list'?"),
    ({"tenants": "{file: none.txt}"}, "tenants.file", "none.txt doesn't exist"),
    ({"tenants": "{file: .}"}, "tenants.file", "can't be read: Is a directory"),
    ({"lanes": "1\n    lanes: 2"}, "lanes", "the key stands twice"),
]


@pytest.mark.parametrize(("changes", "path", "message"), WRONG)
def test_a_wrong_migration_takes_no_other_down(
    tmp_path: Path, changes: dict[str, str | None], path: str, message: str
) -> None:
    wrong = migration("wrong", **{"index_prefix": "w", **changes})
    config = load(write(tmp_path, HEAD + migration("first") + wrong))

    assert list(config.migrations) == ["first"]
    assert list(told(config)) == [f"migrations.wrong.{path}"]
    assert message in told(config)[f"migrations.wrong.{path}"]
    assert config.problems[0].line is not None


OWN: list[tuple[str, str, str]] = [
    (f"{{s: {{{STREAM}, tablee: x}}}}", "s.tablee", "unknown key; did you mean 'table'?"),
    ("{s: {event_time: at, tenant_column: o}}", "s.table", "is missing"),
    (f"{{S/1: {{{STREAM}}}}}", "S/1", "the name is wrong: 'S/1' doesn't match"),
    (f"{{all: {{{STREAM}}}}}", "all", "the name `all` stands for every stream"),
    (f"{{s: {{{STREAM}, slug: A}}}}", "s.slug", "'A' doesn't match"),
    (f"{{s: {{{STREAM}, settled: {{column: c}}}}}}", "s.settled.values", "is missing"),
    (f"{{s: {{{STREAM}, settled: done}}}}", "s.settled", "must be a mapping"),
    (
        f"{{s: {{{STREAM}, settled: {{parent: {{table: p}}}}}}}}",
        "s.settled.parent.foreign_key",
        "is missing",
    ),
    (
        f"{{s: {{{STREAM}, settled: {{parent: {{table: p, foreign_key: f, ended_at: e,"
        " settled: {column: c, values: [d]}}}}}",
        "s.settled.parent",
        "`ended_at` needs `event_time` beside it",
    ),
    (f"{{s: {{{STREAM}, json: {{c: jsn}}}}}}", "s.json.c", "must be 'text', 'object'"),
    (
        f"{{runs: {{{STREAM}}}, runs_archive: {{{STREAM}}}}}",
        "runs_archive.slug",
        "its slug 'runs-archive' runs into 'runs' of runs",
    ),
    (
        f"{{one: {{{STREAM}, slug: x}}, two: {{{STREAM}, slug: x}}}}",
        "two.slug",
        "its slug 'x' runs into 'x' of one",
    ),
]


@pytest.mark.parametrize(("streams", "path", "message"), OWN)
def test_a_wrong_stream_definition(tmp_path: Path, streams: str, path: str, message: str) -> None:
    wrong = migration("wrong", pack=None, streams=streams)
    problems = told(load(write(tmp_path, HEAD + wrong)))

    assert message in problems[f"migrations.wrong.streams.{path}"]


@pytest.mark.parametrize("name", ["Dify", "a-b", "a.b", "x" * 61, "''"])
def test_a_wrong_migration_name(tmp_path: Path, name: str) -> None:
    config = load(write(tmp_path, HEAD + migration("good") + migration(name, index_prefix="w")))

    assert list(config.migrations) == ["good"]
    assert [p.message for p in config.problems if "the name is wrong" in p.message]


def test_a_name_too_long_to_stand_for_the_prefix(tmp_path: Path) -> None:
    name = "x" * 60
    config = load(
        write(tmp_path, HEAD + migration(name, pack=None, streams=f"{{s: {{{STREAM}}}}}"))
    )

    assert "give one of 1 to 32 characters" in told(config)[f"migrations.{name}.index_prefix"]


def test_the_same_migration_twice(tmp_path: Path) -> None:
    config = load(write(tmp_path, HEAD + migration("m") + migration("n") + migration("n")))

    assert list(config.migrations) == ["m"]
    assert told(config) == {"migrations.n": "the key stands twice"}


def test_no_migrations_is_told(tmp_path: Path) -> None:
    config = load(write(tmp_path, HEAD.replace("migrations:", "migrations: {}")))

    assert told(config) == {"migrations": "there is none, so nothing will be migrated"}


def test_merge_keys_and_shared_anchors(tmp_path: Path) -> None:
    text = HEAD + (
        "  one: &one\n    pack: dify\n    source: db\n    target: search\n    index_prefix: one\n"
        "    tenants: {list: [a]}\n    from: &day 2025-01-01\n    to: *day\n"
        "  two:\n    <<: *one\n    index_prefix: two\n    lanes: 4\n"
        "  three: {<<: *one, target: elastic}\n"
    )
    config = load(write(tmp_path, text))

    assert config.problems == ()
    assert {name: m.index_prefix for name, m in config.migrations.items()} == {
        "one": "one",
        "two": "two",
        "three": "one",
    }
    assert config.migrations["two"].lanes == 4


def test_secrets_in_the_wrong_place_are_not_repeated(tmp_path: Path) -> None:
    text = HEAD.replace("connection: os", "connection: os, password: hunter2") + migration()

    error = refused(write(tmp_path, text))

    assert "stores.search.password: unknown key" in str(error)
    assert "hunter2" not in str(error)


def test_a_thousand_tenants_load_quickly(tmp_path: Path) -> None:
    listed = ", ".join(f"00000000-0000-4000-8000-{number:012d}" for number in range(1000))
    path = write(tmp_path, HEAD + migration(tenants=f"{{list: [{listed}]}}"))
    load(path)
    best = float("inf")
    for _ in range(3):
        began = time.perf_counter()
        config = load(path)
        best = min(best, time.perf_counter() - began)

    assert len(config.migrations["m"].tenants) == 1000
    assert best < 0.150
