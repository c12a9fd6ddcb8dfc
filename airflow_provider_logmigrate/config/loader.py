"""Read the configuration file: the only way from YAML to :class:`Config`.

Airflow reads the file whenever it looks at the DAGs, so this is quick, needs no database and no
Airflow, and keeps one person's mistake from taking down what others migrate: a wrong migration or
tenant becomes a :class:`Problem`, everything else is there. Only a file that can't be understood
at all (unreadable, broken YAML, wrong version, wrong stores) raises.

pydantic and YAML are imported when a file is read, not with this module.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_logmigrate.config.collisions import TakenNames
from airflow_provider_logmigrate.config.document import Document, Fault, Location, read_document
from airflow_provider_logmigrate.config.entities import (
    Config,
    Migration,
    Problem,
    Store,
    StoreType,
)
from airflow_provider_logmigrate.core.errors import ConfigInvalid

if TYPE_CHECKING:
    from pydantic import BaseModel

_Model = TypeVar("_Model", bound="BaseModel")


def load(path: str | Path) -> Config:
    """Read, check and resolve the configuration.

    :param path: the YAML file; file names in it are relative to its folder.
    :raises ConfigInvalid: the file or its top level is wrong. The message lists every error of
        the whole file with path and line; ``data["problems"]`` holds them one by one.
    """
    path = Path(path).absolute()
    document = read_document(path)
    stores = _stores(document.values.get("stores"))
    reader = _Migrations(document, stores, path.parent)
    top, below = _top_faults(document), reader.read()
    problems = [document.problem(fault.location, fault.message) for fault in [*top, *below]]
    problems.sort(key=lambda problem: problem.line or 0)
    if top:
        _refuse(path, problems)
    return Config(
        path=path,
        stores={name: store for name, store in stores.items() if store is not None},
        migrations=reader.good,
        problems=tuple(problems),
    )


def _refuse(path: Path, problems: list[Problem]) -> None:
    count = "1 error" if len(problems) == 1 else f"{len(problems)} errors"
    listed = "".join(f"\n  {problem}" for problem in problems)
    raise ConfigInvalid(
        f"{count} in the configuration:{listed}\n",
        where=str(path),
        problems=[{"path": p.path, "message": p.message, "line": p.line} for p in problems],
    )


def _top_faults(document: Document) -> list[Fault]:
    """What is wrong outside single migrations."""
    from airflow_provider_logmigrate.config.models import ConfigModel

    told = [fault for fault in document.faults if _migration_of(fault.location) is None]
    values = dict(document.values)
    if isinstance(values.get("migrations"), dict):
        values["migrations"] = {}  # each is checked for itself
    _, found = _checked(values, ConfigModel, below=())
    return [*told, *_unless_told(found, told)]


def _checked(
    values: Any, model: type[_Model], *, below: Location
) -> tuple[_Model | None, list[Fault]]:
    from pydantic import ValidationError

    from airflow_provider_logmigrate.config.complaints import faults_of

    try:
        return model.model_validate(values), []
    except ValidationError as error:
        return None, list(faults_of(error, model=model, below=below))


def _unless_told(found: list[Fault], told: list[Fault]) -> list[Fault]:
    places = {fault.location for fault in told}
    return [fault for fault in found if fault.location not in places]


def _migration_of(location: Location) -> str | None:
    return str(location[1]) if len(location) > 1 and location[0] == "migrations" else None


def _stores(raw: Any) -> dict[str, Store | None]:
    """Stores by name; ``None`` for a wrong one, whose fault is told at the top level."""
    from airflow_provider_logmigrate.config.models import StoreModel

    stores: dict[str, Store | None] = {}
    for name, values in raw.items() if isinstance(raw, dict) else ():
        model, _ = _checked(values, StoreModel, below=())
        stores[name] = Store(name, StoreType(model.type), model.connection) if model else None
    return stores


class _Migrations:
    """Reads migration by migration; keeps the good ones."""

    def __init__(
        self, document: Document, stores: Mapping[str, Store | None], folder: Path
    ) -> None:
        self.good: dict[str, Migration] = {}
        self._document, self._stores, self._folder = document, stores, folder
        self._taken = TakenNames()

    def read(self) -> list[Fault]:
        """Fill :attr:`good` and return everything that is wrong with the others."""
        raw = self._document.values.get("migrations")
        if raw == {}:
            return [Fault(("migrations",), "there is none, so nothing will be migrated")]
        return [
            fault
            for name, values in (raw.items() if isinstance(raw, dict) else ())
            for fault in self._read_one(name, values)
        ]

    def _read_one(self, name: str, values: Any) -> list[Fault]:
        from airflow_provider_logmigrate.config.fields import MIGRATION_NAME
        from airflow_provider_logmigrate.config.models import MigrationModel
        from airflow_provider_logmigrate.config.resolve import resolve_migration

        here: Location = ("migrations", name)
        told = [f for f in self._document.faults if _migration_of(f.location) == name]
        if not re.fullmatch(MIGRATION_NAME, name):
            why = "it becomes a part of DAG ids: use a-z, 0-9 and _, at most 60 characters"
            told.append(Fault(here, f"the name is wrong: {why}"))
        model, found = _checked(values, MigrationModel, below=here)
        if model is None:
            return [*told, *_unless_told(found, told)]
        resolved = resolve_migration(name, model, stores=self._stores, folder=self._folder)
        faults = [*told, *_unless_told(resolved.faults, told)]
        if resolved.migration is None or told:
            return faults
        return [*faults, *self._accept(resolved.migration, resolved.tenant_places)]

    def _accept(self, migration: Migration, places: Mapping[str, Location]) -> list[Fault]:
        if clash := self._taken.index_clash(migration):
            return [Fault(("migrations", migration.name, "index_prefix"), clash)]
        lost = self._taken.tenants_without_dag(migration)
        left = tuple(tenant for tenant in migration.tenants if tenant not in lost)
        self.good[migration.name] = replace(migration, tenants=left)
        self._taken.add(self.good[migration.name])
        return [
            Fault(places[tenant], f"the tenant {tenant!r} is left out: its DAG id {taken} is taken")
            for tenant, taken in lost.items()
        ]
