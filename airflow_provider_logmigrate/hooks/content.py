"""Offloaded content through Airflow's object storage paths."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_logmigrate.core.errors import SourceUnavailable, SourceUnsuitable

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath


class ObjectStorageContent:
    """Reads offloaded objects below one URL (``file://``, ``s3://``, any fsspec scheme).

    :param url: the folder or bucket the storage keys are relative to.
    :param conn_id: Airflow connection of the object storage, if it needs one.
    """

    def __init__(self, url: str, *, conn_id: str | None = None) -> None:
        from airflow.sdk import ObjectStoragePath

        self._url = url
        self._root: ObjectStoragePath = ObjectStoragePath(url, conn_id=conn_id)

    def read(self, key: str, *, limit: int) -> bytes | None:
        """At most ``limit`` bytes of an object, ``None`` if it doesn't exist.

        :raises SourceUnsuitable: the key points outside of the storage's root.
        :raises SourceUnavailable: the storage can't be read.
        """
        try:
            with self._at(key).open("rb") as stream:  # type: ignore[no-untyped-call]
                content: bytes = stream.read(limit)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            self._require_root()
            return None
        except OSError as error:
            raise SourceUnavailable(f"object storage can't be read: {error}", where=key) from error
        return content

    def delete(self, key: str) -> None:
        """Delete an object; one that isn't there is fine.

        :raises SourceUnsuitable: the key points outside of the storage's root.
        :raises SourceUnavailable: the storage refuses it, or can't be reached.
        """
        self._require_root()
        try:
            self._at(key).unlink(missing_ok=True)
        except OSError as error:
            raise SourceUnavailable(f"an object can't be deleted: {error}", where=key) from error

    def write(self, key: str, content: bytes) -> None:
        """Create or replace an object.

        :raises SourceUnsuitable: the key points outside of the storage's root.
        :raises SourceUnavailable: the storage refuses it, or can't be reached.
        """
        self._require_root()
        try:
            target = self._at(key)
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as stream:  # type: ignore[no-untyped-call]
                stream.write(content)
        except OSError as error:
            raise SourceUnavailable(f"an object can't be written: {error}", where=key) from error

    def _require_root(self) -> None:
        """A folder that is gone, for example a lost mount, isn't one without files."""
        if self._root.protocol == "file" and not self._root.is_dir():
            raise SourceUnavailable(
                "the folder of the offloaded content isn't there",
                where=self._url,
                next_step="mount it where this task runs, or correct `offload.url`",
            )

    def _at(self, key: str) -> ObjectStoragePath:
        if key.startswith("/") or ".." in key.split("/"):
            raise SourceUnsuitable("an object's key leaves the storage's root", where=key)
        return self._root / key
