"""YAML text -> plain values, the line of every value, and what is wrong with the text itself.

YAML has traps that a plain ``safe_load`` falls into without a word: of two equal keys the last one
wins, an impossible date raises an error without a place. Here each becomes a fault with path and
line, and the rest of the file is still read, so that all errors can be told at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_logmigrate.config.entities import Problem
from airflow_provider_logmigrate.core.errors import ConfigInvalid

if TYPE_CHECKING:
    import yaml

Location = tuple[str | int, ...]
"""Keys and list positions from the top of the file down to a value."""

MAX_VALUES = 500_000
"""Values of one file: more is no configuration but an alias that multiplies itself."""


_TEXT_TAG = "tag:yaml.org,2002:str"
_COLLECTION_TAGS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong at a place of the file."""

    location: Location
    message: str


@dataclass(frozen=True, slots=True)
class Document:
    """The file's values and where they stand."""

    values: dict[str, Any]
    lines: dict[Location, int]
    faults: tuple[Fault, ...] = ()

    def problem(self, location: Location, message: str) -> Problem:
        """A problem at a location, with the line of the nearest part that exists."""
        for length in range(len(location), 0, -1):
            if location[:length] in self.lines:
                return Problem(path_text(location), message, self.lines[location[:length]])
        return Problem(path_text(location), message)


def path_text(location: Location) -> str:
    """``migrations.dify_logs.tenants.list[2]``."""
    text = ""
    for step in location:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text or "(top level)"


def read_document(path: Path) -> Document:
    """Read and parse the file.

    :raises ConfigInvalid: missing, unreadable, empty, broken YAML, or not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigInvalid(
            "the configuration file doesn't exist",
            where=str(path),
            next_step="create it, or point [logmigrate] config at the right file",
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigInvalid(
            f"the configuration file isn't UTF-8 text (byte {error.start})", where=str(path)
        ) from None
    except OSError as error:
        raise ConfigInvalid(
            f"the configuration file can't be read: {error.strerror or error}",
            where=str(path),
            next_step="make it a file that the Airflow user may read",
        ) from None
    return parse_document(text, where=str(path))


def parse_document(text: str, *, where: str) -> Document:
    """Parse YAML text; see :func:`read_document`."""
    import yaml

    loader_type: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    loader = None
    try:
        loader = loader_type(text)
        root = loader.get_single_node()
        if root is None:
            raise ConfigInvalid("the configuration file is empty", where=where)
        builder = _Builder(loader)
        values = builder.build(root, ())
    except yaml.YAMLError as error:
        raise ConfigInvalid(
            f"the configuration isn't valid YAML: {_told(error)}", where=where
        ) from (None)
    except RecursionError:
        raise ConfigInvalid("the configuration is nested too deeply", where=where) from None
    finally:
        if loader is not None:
            loader.dispose()
    if values is None:
        raise ConfigInvalid("the configuration file is empty", where=where)
    if not isinstance(values, dict):
        kind = "a list" if isinstance(values, list) else f"one value ({type(values).__name__})"
        raise ConfigInvalid(
            f"the configuration must be a mapping with version, stores and migrations, not {kind}",
            where=where,
        )
    return Document(values, builder.lines, tuple(builder.faults))


def _told(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    context = getattr(error, "context", None)
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return f"{place}{problem}{f' ({context})' if context else ''}"


@dataclass(slots=True)
class _Builder:
    """Turns nodes into values; keeps lines and faults on the way."""

    loader: Any
    lines: dict[Location, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    _open: set[int] = field(default_factory=set)
    _flat: set[int] = field(default_factory=set)
    _count: int = 0

    def build(self, node: yaml.Node, location: Location) -> Any:
        import yaml

        self._count += 1
        if self._count > MAX_VALUES or id(node) in self._open:
            raise yaml.MarkedYAMLError(
                problem="an alias contains itself, or multiplies the file beyond measure",
                problem_mark=node.start_mark,
            )
        self.lines.setdefault(location, node.start_mark.line + 1)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, location)
        if node.tag not in _COLLECTION_TAGS:
            raise yaml.MarkedYAMLError(
                problem=f"the tag {node.tag} means nothing here", problem_mark=node.start_mark
            )
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return [
                    self.build(item, (*location, position))
                    for position, item in enumerate(node.value)
                ]
            assert isinstance(node, yaml.MappingNode)
            return self._mapping(node, location)
        finally:
            self._open.discard(id(node))

    def _scalar(self, node: yaml.ScalarNode, location: Location) -> Any:
        try:
            return self.loader.construct_object(node)
        except ValueError as error:
            self.faults.append(Fault(location, f"{node.value[:40]!r} is impossible: {error}"))
            return None

    def _mapping(self, node: yaml.MappingNode, location: Location) -> dict[str, Any]:
        if id(node) not in self._flat:  # an alias brings the same node again
            self._flat.add(id(node))
            seen: set[str] = set()
            for key_node, _ in node.value:
                key = _key_text(key_node)
                if key in seen:
                    self._refuse(key_node, (*location, key), "the key stands twice")
                seen.add(key)
            self.loader.flatten_mapping(node)  # `<<: *defaults`; own keys come last and win
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = _key_text(key_node)
            if not isinstance(key_node.value, str) or key_node.tag != _TEXT_TAG:
                message = f"the key {key} isn't text: put it in quotes"
                self._refuse(key_node, (*location, key), message)
                continue
            # the key's line is where people look; a block below it begins a line later
            self.lines.setdefault((*location, key), key_node.start_mark.line + 1)
            values[key] = self.build(value_node, (*location, key))
        return values

    def _refuse(self, node: yaml.Node, location: Location, message: str) -> None:
        self.lines[location] = node.start_mark.line + 1
        self.faults.append(Fault(location, message))


def _key_text(node: yaml.Node) -> str:
    return node.value if isinstance(node.value, str) else f"(at line {node.start_mark.line + 1})"
