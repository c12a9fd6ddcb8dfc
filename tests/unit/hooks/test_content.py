"""Offloaded content: what is there, what isn't, and keys that lead elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

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


@pytest.fixture
def storage() -> Any:
    """An object store, which Airflow doesn't know by itself."""
    from airflow.sdk.io import attach
    from fsspec.implementations.memory import MemoryFileSystem  # type: ignore[import-untyped]

    return attach("memory", fs=MemoryFileSystem()).fs


@pytest.fixture
def bucket(storage: Any) -> Iterator[str]:
    """A bucket with an object in the folder ``files``."""
    name = f"/bucket-{uuid4().hex[:8]}"
    storage.makedirs(f"{name}/files")
    storage.pipe_file(f"{name}/files/a", b"content")
    yield name.strip("/")
    storage.rm(name, recursive=True)


@pytest.mark.parametrize("path", ["", "/", "/files"])
def test_an_object_store_has_an_object_or_not(bucket: str, path: str) -> None:
    content = ObjectStorageContent(f"memory://{bucket}{path}")
    key = "a" if path == "/files" else "files/a"

    assert content.read(key, limit=100) == b"content"
    assert content.read("b", limit=100) is None
    assert (content.has(key), content.has("b")) == (True, False)
    content.write("deep/b", b"more")
    assert content.read("deep/b", limit=2) == b"mo"
    content.delete("deep/b")
    content.delete("deep/b")
    assert not content.has("deep/b")


def test_a_missing_bucket_is_no_lost_content_and_isnt_made(storage: Any, bucket: str) -> None:
    lost = ObjectStorageContent(f"memory://other-{bucket}/files")

    works: list[Callable[[], object]] = [
        lambda: lost.read("a", limit=10),
        lambda: lost.has("a"),
        lambda: lost.delete("a"),
        lambda: lost.write("a", b""),
    ]
    for work in works:
        with pytest.raises(SourceUnavailable, match=r"isn't there: .*correct `offload.url`") as no:
            work()
        assert no.value.where == f"memory://other-{bucket}/files"
    assert not storage.exists(f"/other-{bucket}")


def test_a_folder_without_any_object_is_no_place_to_find_content_missing_in(bucket: str) -> None:
    """But one to write to: the last object below it may have been purged."""
    content = ObjectStorageContent(f"memory://{bucket}/misspelt")

    with pytest.raises(SourceUnavailable, match=r"isn't there: .*misspelt"):
        content.read("a", limit=10)
    assert not content.has("a")
    content.delete("a")
    content.write("a", b"back")
    assert content.read("a", limit=10) == b"back"


def test_an_error_of_the_filesystems_own_kind_is_an_outage(
    storage: Any, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class NoConnection(Exception):
        """Not an ``OSError``, as a cloud's own errors."""

    def fail(*_: object, **__: object) -> None:
        raise NoConnection("nobody answers")

    content = ObjectStorageContent(f"memory://{bucket}/files")
    with monkeypatch.context() as broken:
        broken.setattr(type(storage), "open", fail)
        with pytest.raises(SourceUnavailable, match="read: NoConnection: nobody answers"):
            content.read("a", limit=10)
    monkeypatch.setattr(type(storage), "exists", fail)
    with pytest.raises(SourceUnavailable, match="read: NoConnection: nobody answers"):
        content.read("b", limit=10)


def test_a_kind_of_storage_that_isnt_installed_is_no_outage() -> None:
    with pytest.raises(SourceUnsuitable, match="install Airflow's provider"):
        ObjectStorageContent("nosuch://bucket/files")


def test_a_root_that_is_gone_is_an_outage_and_not_a_storage_without_files(tmp_path: Path) -> None:
    lost = ObjectStorageContent(f"file://{tmp_path}/unmounted")

    works: list[Callable[[], object]] = [
        lambda: lost.read("a", limit=10),
        lambda: lost.delete("a"),
        lambda: lost.write("a", b""),
    ]
    for work in works:
        with pytest.raises(SourceUnavailable, match=r"isn't there: .*unmounted.* Next: mount it"):
            work()
    assert not (tmp_path / "unmounted").exists()
