"""Offloaded content through Airflow's object storage paths."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow_provider_logmigrate.core.errors import (
    LogMigrateError,
    SourceUnavailable,
    SourceUnsuitable,
)

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath


class ObjectStorageContent:
    """Reads offloaded objects below one URL (``file://``, ``s3://``, any fsspec scheme).

    An object store says the same of an object, of its folder and of its bucket that aren't there.
    So behind every object that isn't found the place where it should be is looked at: a lost mount
    or a misspelt name is no lost content.

    :param url: the folder or bucket the storage keys are relative to.
    :param conn_id: Airflow connection of the object storage, if it needs one.
    """

    def __init__(self, url: str, *, conn_id: str | None = None) -> None:
        from airflow.sdk import ObjectStoragePath

        self._url = url
        with _told("object storage can't be used", url):
            self._root: ObjectStoragePath = ObjectStoragePath(url, conn_id=conn_id)

    def read(self, key: str, *, limit: int) -> bytes | None:
        """At most ``limit`` bytes of an object, ``None`` if it doesn't exist.

        :raises SourceUnsuitable: the key points outside of the storage's root.
        :raises SourceUnavailable: the storage can't be read, or has nothing at all below the URL.
        """
        content = self._content(key, limit)
        if content is None:
            self._require_root()
        return content

    def has(self, key: str) -> bool:
        """True if the object exists. A folder of a bucket may be empty: its objects were purged.

        :raises SourceUnsuitable: the key points outside of the storage's root.
        :raises SourceUnavailable: the storage can't be read.
        """
        there = self._content(key, 1) is not None
        if not there:
            self._require_container()
        return there

    def delete(self, key: str) -> None:
        """Delete an object; one that isn't there is fine.

        :raises SourceUnsuitable: the key points outside of the storage's root.
        :raises SourceUnavailable: the storage refuses it, or can't be reached.
        """
        with _told("an object can't be deleted", key):
            try:
                self._at(key).unlink()
            except FileNotFoundError:
                self._require_container()

    def write(self, key: str, content: bytes) -> None:
        """Create or replace an object.

        :raises SourceUnsuitable: the key points outside of the storage's root.
        :raises SourceUnavailable: the storage refuses it, or can't be reached.
        """
        self._require_container()  # first: some filesystems make the bucket with the folder
        with _told("an object can't be written", key):
            target = self._at(key)
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as stream:  # type: ignore[no-untyped-call]
                stream.write(content)

    def _content(self, key: str, limit: int) -> bytes | None:
        with _told("object storage can't be read", key):
            try:
                with self._at(key).open("rb") as stream:  # type: ignore[no-untyped-call]
                    content: bytes = stream.read(limit)
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                return None
        return content

    def _require_root(self) -> None:
        self._require_container()
        self._require(self._root.path)

    def _require_container(self) -> None:
        self._require(self._root.namespace if self._root.bucket else self._root.path)

    def _require(self, place: str) -> None:
        with _told("object storage can't be read", self._url):
            there = self._root.fs.exists(place)
        if not there:
            raise SourceUnavailable(
                f"the place of the offloaded content isn't there: {place}",
                where=self._url,
                next_step="mount it where this task runs, or correct `offload.url`; the login has"
                " to be allowed to list a bucket",
            )

    def _at(self, key: str) -> ObjectStoragePath:
        if key.startswith("/") or ".." in key.split("/"):
            raise SourceUnsuitable("an object's key leaves the storage's root", where=key)
        return self._root / key


@contextmanager
def _told(failure: str, key: str) -> Iterator[None]:
    """Filesystems have errors of their own kinds: what isn't known to last is an outage."""
    try:
        yield
    except LogMigrateError:
        raise
    except (ImportError, ValueError) as error:
        raise SourceUnsuitable(
            f"{failure}: {error}",
            where=key,
            next_step="correct `offload.url` and its connection, or install Airflow's provider for"
            " this kind of storage, with its filesystem",
        ) from error
    except Exception as error:
        raise SourceUnavailable(f"{failure}: {type(error).__name__}: {error}", where=key) from error
