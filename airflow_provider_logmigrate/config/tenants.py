"""Which tenants a migration has: from the list, a file, or what a discovery wrote down.

A wrong tenant is its own problem and takes no other with it. A tenant is a value, never a pattern:
it stands here as it stands in the source, and only :mod:`..core.naming` turns it into names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from airflow_provider_logmigrate.config.document import Fault, Location
from airflow_provider_logmigrate.config.models import TenantsModel
from airflow_provider_logmigrate.core.errors import TenantInvalid
from airflow_provider_logmigrate.core.naming import encode_tenant


@dataclass(slots=True)
class TenantList:
    """Good tenants in the file's order, with where each stands; and what is wrong.

    :param broken: the migration can't be used at all (its tenants can't be read).
    """

    places: dict[str, Location] = field(default_factory=dict)
    problems: list[Fault] = field(default_factory=list)
    broken: bool = False


@dataclass(frozen=True, slots=True)
class _Entry:
    value: object
    place: Location
    seen_at: str


def read_tenants(model: TenantsModel, *, folder: Path, migration: str) -> TenantList:
    """Read and check a migration's tenants.

    :param folder: what relative file names are relative to.
    """
    here: Location = ("migrations", migration, "tenants")
    found = TenantList()
    given = [
        key
        for key, value in (
            ("list", model.list_),
            ("file", model.file),
            ("discovered", model.discovered),
        )
        if value is not None
    ]
    if len(given) != 1:
        told = f"not {' and '.join(given)}" if given else "none is given"
        found.problems.append(
            Fault(here, f"needs exactly one of list, file and discovered; {told}")
        )
        found.broken = True
    elif model.list_ is not None:
        place = (*here, "list")
        _check(_listed(model.list_, place), found)
        _complain_if_empty(found, place)
    elif model.file is not None:
        _from_file(folder / model.file, (*here, "file"), found)
    elif model.discovered is not None:
        path = folder / model.discovered.file
        place = (*here, "discovered", "file")
        if path.exists():
            _from_file(path, place, found)
        else:
            hint = f"run `airflow logmigrate discover {migration}`, which writes {path}"
            found.problems.append(Fault(place, f"no tenants were discovered yet: {hint}"))
    return found


def _listed(values: list[object], place: Location) -> Iterator[_Entry]:
    for position, value in enumerate(values):
        yield _Entry(value, (*place, position), f"list[{position}]")


def _from_file(path: Path, place: Location, found: TenantList) -> None:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        found.problems.append(Fault(place, f"the file {path} doesn't exist"))
    except UnicodeDecodeError as error:
        found.problems.append(
            Fault(place, f"the file {path} isn't UTF-8 text (byte {error.start})")
        )
    except OSError as error:
        told = error.strerror or str(error)
        found.problems.append(Fault(place, f"the file {path} can't be read: {told}"))
    else:
        _check(_lines(text, place, path.name), found)
        _complain_if_empty(found, place)
        return
    found.broken = True


def _lines(text: str, place: Location, name: str) -> Iterator[_Entry]:
    for number, line in enumerate(text.split("\n"), start=1):
        value = line.strip()
        if value and not value.startswith("#"):
            yield _Entry(value, place, f"{name} line {number}")


def _check(entries: Iterable[_Entry], found: TenantList) -> None:
    first_seen: dict[str, str] = {}
    for entry in entries:
        # the position in a list is part of the path; that in a file has to be told
        told = "" if entry.seen_at.startswith("list[") else f"{entry.seen_at}: "
        if not isinstance(entry.value, str):
            what = "is empty" if entry.value is None else f"{entry.value!s:.60} isn't text"
            problem = f"{told}{what}: a tenant is text, put it in quotes"
        elif (at := first_seen.get(entry.value)) is not None:
            problem = f"{told}the tenant {entry.value[:60]!r} stands twice, first at {at}"
        elif "\0" in entry.value:
            problem = f"{told}a tenant name can't hold a NUL character"
        else:
            first_seen[entry.value] = entry.seen_at
            try:
                encode_tenant(entry.value)
            except TenantInvalid as error:
                problem = f"{told}{error.what}: {error.where}"
            else:
                found.places[entry.value] = entry.place
                continue
        found.problems.append(Fault(entry.place, problem))


def _complain_if_empty(found: TenantList, place: Location) -> None:
    if not found.places:
        found.problems.append(
            Fault(place, "there is no usable tenant, so nothing will be migrated")
        )


def write_tenants(path: Path, tenants: Iterable[str]) -> tuple[str, ...]:
    """Write what a discovery found, in the form :func:`read_tenants` reads. Atomic, sorted.

    :returns: tenants that a line can't hold (line breaks, spaces around, a leading ``#``); they
        can only be given by ``tenants.list``.
    """
    found = set(tenants)
    fitting = {tenant for tenant in found if _fits_a_line(tenant)}
    path.parent.mkdir(parents=True, exist_ok=True)
    head = "# Tenants found in the source. Written by a discovery: changes by hand get lost.\n"
    beside = path.with_name(f"{path.name}.new")
    body = "".join(f"{tenant}\n" for tenant in sorted(fitting))
    beside.write_text(head + body, encoding="utf-8", newline="\n")
    beside.replace(path)
    return tuple(sorted(found - fitting))


def _fits_a_line(tenant: str) -> bool:
    one_line = not any(end in tenant for end in "\r\n")
    return one_line and tenant == tenant.strip() and not tenant.startswith("#") and tenant != ""
