"""Offloaded content: what is there, what isn't, and keys that lead elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_logmigrate.core.errors import SourceUnavailable, SourceUnsuitable
from airflow_provider_logmigrate.hooks.content import ObjectStorageContent


@pytest.fixture
def content(tmp_path: Path) -> ObjectStorageContent:
    (tmp_path / "files" / "deep").mkdir(parents=True)
    (tmp_path / "files" / "deep" / "a b#?.json").write_bytes(b"0123456789")
    (tmp_path / "secret").write_bytes(b"not yours")
    return ObjectStorageContent(f"file://{tmp_path}/files")


def test_reads_up_to_the_limit(content: ObjectStorageContent) -> None:
    assert content.read("deep/a b#?.json", limit=100) == b"0123456789"
    assert content.read("deep/a b#?.json", limit=4) == b"0123"


def test_what_is_not_there_is_none(content: ObjectStorageContent) -> None:
    assert content.read("deep/other", limit=10) is None
    assert content.read("nowhere/at/all", limit=10) is None


@pytest.mark.parametrize("key", ["../secret", "deep/../../secret", "/etc/passwd", "deep/.."])
def test_a_key_that_leaves_the_root(content: ObjectStorageContent, key: str) -> None:
    with pytest.raises(SourceUnsuitable, match="leaves the storage's root") as caught:
        content.read(key, limit=10)
    assert caught.value.where == key


def test_a_folder_is_no_object(content: ObjectStorageContent) -> None:
    assert content.read("deep", limit=10) is None


def test_what_cannot_be_read_is_an_outage_and_not_a_missing_file(
    content: ObjectStorageContent, tmp_path: Path
) -> None:
    loop = tmp_path / "files" / "loop"
    loop.symlink_to(loop)
    with pytest.raises(SourceUnavailable, match="can't be read") as caught:
        content.read("loop", limit=10)
    assert caught.value.where == "loop"


def test_a_root_that_is_gone_is_an_outage_and_not_a_storage_without_files(tmp_path: Path) -> None:
    lost = ObjectStorageContent(f"file://{tmp_path}/unmounted")

    works: list[Callable[[], object]] = [
        lambda: lost.read("a", limit=10),
        lambda: lost.delete("a"),
        lambda: lost.write("a", b""),
    ]
    for work in works:
        with pytest.raises(SourceUnavailable, match=r"isn't there .*unmounted.* Next: mount it"):
            work()
    assert not (tmp_path / "unmounted").exists()
