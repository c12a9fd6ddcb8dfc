"""Content that a row's table only points to: beside the row, or a finding that says why not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airflow_provider_logmigrate.core.errors import SourceUnavailable
from airflow_provider_logmigrate.core.plan import ReadStrategy
from airflow_provider_logmigrate.core.stream import Offload
from airflow_provider_logmigrate.core.unit import Period
from airflow_provider_logmigrate.streams import dify as dify_pack
from tests.integration.postgres.conftest import SampleDatabase
from tests.integration.postgres.rig import Files, Reading, Rig, execute, own_stream

NODES = dify_pack.streams()[2]
OFFLOAD = Offload("links", "event", "type", "file", "files", "id", "key")
STREAM = own_stream(offload=OFFLOAD)


@pytest.fixture
def linked(database: str, tmp_path: Path) -> str:
    execute(
        database,
        "CREATE TABLE events (id int PRIMARY KEY, tenant text, at timestamp, outputs text)",
        "CREATE TABLE links (event int, type text, file int)",
        "CREATE TABLE files (id int PRIMARY KEY, key text)",
        "INSERT INTO events SELECT n, 't', '2025-01-05', '{}' FROM generate_series(1, 3) n",
    )
    return database


def link(dsn: str, root: Path, column: str, key: str | None, content: bytes | None = None) -> None:
    """Offload ``column`` of event 2 to ``key``; ``None`` leaves the file's row out."""
    execute(
        dsn,
        ("INSERT INTO links SELECT 2, %s, count(*) FROM links", (column,)),
        (
            "INSERT INTO files SELECT count(*) - 1, %s::text FROM links WHERE %s::text IS NOT NULL"
            " HAVING %s::text IS NOT NULL",
            (key, key, key),
        ),
    )
    if content is not None and key is not None:
        path = root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def read(dsn: str, root: Path, *, limit: int = 1000) -> tuple[Reading, Files]:
    files = Files(root)
    rig = Rig(dsn, STREAM, content=files, inline_limit=limit)
    return rig.read(rig.plan("events", "t")), files


def findings(reading: Reading) -> list[tuple[str, str]]:
    assert all(f.detail for f in reading.findings)
    return [(f.kind, f.key) for f in reading.findings]


def test_content_stands_beside_the_row(linked: str, tmp_path: Path) -> None:
    content = 'say "知识库" \x00\x01 \u2028 \n{"delete":{}}\n'
    link(linked, tmp_path, "outputs", "a/b.json", content.encode())
    link(linked, tmp_path, "inputs", "a/empty", b"")
    reading, _ = read(linked, tmp_path)
    documents = reading.by_key()
    assert documents["2"].source["outputs_offloaded"] == content
    assert documents["2"].source["inputs_offloaded"] == ""
    assert documents["2"].source["outputs"] == "{}"
    assert sorted(documents["1"].source) == ["at", "id", "logmigrate", "outputs", "tenant"]
    assert findings(reading) == []


def test_the_fingerprint_is_the_rows_alone(linked: str, tmp_path: Path) -> None:
    before = read(linked, tmp_path)[0].by_key()["2"]
    link(linked, tmp_path, "outputs", "x", b"content")
    assert read(linked, tmp_path)[0].by_key()["2"].print == before.print


def test_content_that_is_missing_is_a_finding(linked: str, tmp_path: Path) -> None:
    link(linked, tmp_path, "outputs", "not/there")
    link(linked, tmp_path, "inputs", None)
    reading, _ = read(linked, tmp_path)
    assert findings(reading) == [("offload_missing", "2")] * 2
    assert {f.detail.split(":")[0] for f in reading.findings} == {"inputs", "outputs"}
    assert not [name for name in reading.by_key()["2"].source if "offloaded" in name]


def test_no_storage_makes_every_reference_a_finding(linked: str, tmp_path: Path) -> None:
    link(linked, tmp_path, "outputs", "x", b"content")
    rig = Rig(linked, STREAM)
    reading = rig.read(rig.plan("events", "t"))
    assert len(reading.by_key()) == 3
    assert findings(reading) == [("offload_missing", "2")]


def test_content_above_the_limit_is_left_out_and_told(linked: str, tmp_path: Path) -> None:
    link(linked, tmp_path, "outputs", "large", b"x" * 1001)
    link(linked, tmp_path, "inputs", "just", b"x" * 1000)
    reading, _ = read(linked, tmp_path, limit=1000)
    assert findings(reading) == [("offload_too_large", "2")]
    assert len(reading.by_key()["2"].source["inputs_offloaded"]) == 1000
    assert "outputs_offloaded" not in reading.by_key()["2"].source


def test_content_that_is_no_text_is_told(linked: str, tmp_path: Path) -> None:
    link(linked, tmp_path, "outputs", "latin", "Grüße".encode("latin-1"))
    reading, _ = read(linked, tmp_path)
    assert reading.by_key()["2"].source["outputs_offloaded"] == r"Gr\xfc\xdfe"
    assert findings(reading) == [("offload_not_text", "2")]


@pytest.mark.parametrize(
    "key",
    ["../secret", "a/../../secret", "/etc/passwd", "", "a//b", "file:///etc/passwd", "./x", "a/.."],
)
def test_a_key_that_leaves_the_root_is_never_opened(linked: str, tmp_path: Path, key: str) -> None:
    link(linked, tmp_path, "outputs", key)
    reading, files = read(linked, tmp_path)
    assert len(reading.by_key()) == 3
    assert findings(reading) == [("offload_refused", "2")]
    assert files.asked == []


def test_a_column_named_like_an_attack_is_a_name(linked: str, tmp_path: Path) -> None:
    names = ['x":1},{"delete', "a%b%%", "new\nline", "q'"]
    for number, name in enumerate(names):
        link(linked, tmp_path, name, f"f{number}", b"v")
    reading, _ = read(linked, tmp_path)
    source = reading.by_key()["2"].source
    assert {f"{name}_offloaded" for name in names} == {n for n in source if "_offloaded" in n}


def test_a_column_offloaded_twice_stands_once(linked: str, tmp_path: Path) -> None:
    link(linked, tmp_path, "outputs", "one", b"1")
    link(linked, tmp_path, "outputs", "two", b"2")
    reading, _ = read(linked, tmp_path)
    assert reading.by_key()["2"].source["outputs_offloaded"] in ("1", "2")
    assert findings(reading) == [("offload_repeated", "2")]


def test_a_storage_that_fails_for_a_moment_is_asked_again(linked: str, tmp_path: Path) -> None:
    link(linked, tmp_path, "outputs", "x", b"content")

    class Flaky(Files):
        def read(self, key: str, *, limit: int) -> bytes | None:
            if len(self.asked) < 2:
                self.asked.append(key)
                raise SourceUnavailable("object storage can't be read", where=key)
            return super().read(key, limit=limit)

    for strategy in (ReadStrategy.KEYSET, ReadStrategy.BY_KEY):
        files = Flaky(tmp_path)
        rig = Rig(linked, STREAM, content=files, forced=strategy)
        reading = rig.read(rig.plan("events", "t"))
        assert len(reading.by_key()) == 3
        assert reading.by_key()["2"].source["outputs_offloaded"] == "content"
        assert len(files.asked) == 3


def test_the_sample_installations_content_is_inlined(new_dify: SampleDatabase) -> None:
    rig = Rig(new_dify.dsn, NODES, content=Files(new_dify.files), inline_limit=2_000_000)
    offloaded: dict[str, str] = {}
    for tenant in new_dify.profile.tenant_ids:
        for month in new_dify.profile.month_names:
            plan = rig.plan("workflow_node_executions", tenant, Period.from_label(month))
            reading = rig.read(plan)
            assert reading.findings == []
            for document in reading.documents:
                for name, value in document.source.items():
                    if name.endswith("_offloaded"):
                        offloaded[f"{document.key}/{name.removesuffix('_offloaded')}"] = value
    stored = execute(
        new_dify.dsn,
        "SELECT n.id || '/' || o.type, f.key FROM workflow_node_executions n"
        " JOIN workflow_node_execution_offload o ON o.node_execution_id = n.id"
        " JOIN upload_files f ON f.id = o.file_id"
        " JOIN workflow_runs r ON r.id = n.workflow_run_id AND r.status = 'succeeded'",
    )
    assert len(stored) >= 4
    assert set(offloaded) >= {place for place, _ in stored}
    for place, key in stored:
        assert offloaded[place] == (new_dify.files / key).read_text()
        json.loads(offloaded[place])
