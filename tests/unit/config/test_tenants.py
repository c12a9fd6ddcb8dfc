"""Tenants: every way to give them, and that a wrong one is its own problem only."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_logmigrate.config.entities import Config
from airflow_provider_logmigrate.config.loader import load
from airflow_provider_logmigrate.config.tenants import write_tenants

TEXT = """\
version: 1
stores:
  db: {{type: postgres, connection: pg}}
  search: {{type: opensearch, connection: os}}
migrations:
  m:
    pack: dify
    source: db
    target: search
    from: 2025-01-01
    tenants: {tenants}
"""


def loaded(folder: Path, tenants: str) -> Config:
    path = folder / "logmigrate.yaml"
    path.write_text(TEXT.format(tenants=tenants), encoding="utf-8")
    return load(path)


def told(config: Config) -> dict[str, str]:
    return {problem.path: problem.message for problem in config.problems}


HOSTILE = ["*", "a,b", "..", "UPPER", "_all", "-x", "a b", "ü", "🦉", "a/b", "<x>", "x" * 160, "{}"]


@pytest.mark.parametrize("tenant", HOSTILE)
def test_a_tenant_is_a_value_never_a_pattern(tmp_path: Path, tenant: str) -> None:
    config = loaded(tmp_path, f"{{list: ['{tenant}', other]}}")

    assert config.problems == ()
    assert config.migrations["m"].tenants == (tenant, "other")


@pytest.mark.parametrize(
    ("tenant", "message"),
    [
        ("''", "a tenant name is empty: ''"),
        ("' '", "a tenant name is empty: ' '"),
        ("x" * 161, "a tenant name needs 161 bytes in index names, at most 160 fit: xxx"),
        ("é" * 30, "a tenant name needs 180 bytes"),
        ("A" * 300, "a tenant name needs 900 bytes"),
        ("good", "the tenant 'good' stands twice, first at list[0]"),
        ("007", "7 isn't text: a tenant is text, put it in quotes"),
        ("yes", "True isn't text: a tenant is text, put it in quotes"),
        ("2025-01-01", "2025-01-01 isn't text"),
        ("null", "is empty: a tenant is text"),
        ("", "is empty: a tenant is text"),
        ("[a]", "['a'] isn't text"),
        (r'"a\0b"', "can't hold a NUL character"),
    ],
)
def test_a_wrong_tenant_takes_no_other_down(tmp_path: Path, tenant: str, message: str) -> None:
    block = f"\n      list:\n        - good\n        - fine\n        - {tenant}\n        - last"
    config = loaded(tmp_path, block)

    assert config.migrations["m"].tenants == ("good", "fine", "last")
    assert list(told(config)) == ["migrations.m.tenants.list[2]"]
    assert message in config.problems[0].message
    assert config.problems[0].line == 15


def test_no_usable_tenant(tmp_path: Path) -> None:
    config = loaded(tmp_path, "{list: []}")

    assert config.migrations["m"].tenants == ()
    assert told(config) == {
        "migrations.m.tenants.list": "there is no usable tenant, so nothing will be migrated"
    }


def test_a_file_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    lines = ["\ufeff# head", "", "  one  ", "#two", "th#ree", "one", "A" * 300, "007\r", "last"]
    (tmp_path / "lists/t.txt").write_text("\n".join(lines), encoding="utf-8")
    config = loaded(tmp_path, "{file: lists/t.txt}")

    assert config.migrations["m"].tenants == ("one", "th#ree", "007", "last")
    assert config.migrations["m"].discovered is None
    assert [problem.path for problem in config.problems] == ["migrations.m.tenants.file"] * 2
    assert [problem.message[:52] for problem in config.problems] == [
        "t.txt line 6: the tenant 'one' stands twice, first a",
        "t.txt line 7: a tenant name needs 900 bytes in index",
    ]


@pytest.mark.parametrize("content", [b"", b"# nothing\n\n"])
def test_an_empty_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.txt").write_bytes(content)
    config = loaded(tmp_path, "{file: t.txt}")

    assert config.migrations["m"].tenants == ()
    assert "no usable tenant" in told(config)["migrations.m.tenants.file"]


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_bytes(b"ok\n\xff\n")
    config = loaded(tmp_path, "{file: t.txt}")

    assert config.migrations == {}
    assert "isn't UTF-8 text (byte 3)" in told(config)["migrations.m.tenants.file"]


def test_nothing_discovered_yet_says_how(tmp_path: Path) -> None:
    config = loaded(tmp_path, "{discovered: {file: build/tenants.txt}}")

    assert config.migrations["m"].tenants == ()
    assert config.migrations["m"].discovered == tmp_path / "build/tenants.txt"
    message = told(config)["migrations.m.tenants.discovered.file"]
    assert "run `airflow logmigrate discover m`" in message
    assert str(tmp_path / "build/tenants.txt") in message


def test_discovered_tenants_come_back(tmp_path: Path) -> None:
    names = ["b", "a", "ü x", "", "#a", " a", "a\nb", "a\rb", "\ufeffz"]
    left = write_tenants(tmp_path / "build/tenants.txt", names)
    config = loaded(tmp_path, "{discovered: {file: build/tenants.txt}}")

    assert left == ("", " a", "#a", "a\nb", "a\rb")
    assert config.migrations["m"].tenants == ("a", "b", "ü x", "\ufeffz")
    assert config.problems == ()
    assert [path.name for path in (tmp_path / "build").iterdir()] == ["tenants.txt"]
