"""pydantic's errors in the words and paths of the configuration file."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_logmigrate.config.document import Fault, Location
from airflow_provider_logmigrate.streams.registry import near

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails

_KEY = "[key]"
"""What pydantic appends to a location when a mapping's key itself is wrong."""


def faults_of(
    error: ValidationError, *, model: type[BaseModel], below: Location
) -> Iterator[Fault]:
    """Each error once, where it stands in the file.

    :param model: what the value was checked against; tells which keys are known.
    :param below: location of the checked value in the file.
    """
    for details in error.errors(include_url=False):
        steps = [step for step in details["loc"] if not _is_tag(step)]
        wrong_key = bool(steps) and steps[-1] == _KEY
        if wrong_key:
            steps.pop()
        message = _message(details, model, steps)
        yield Fault((*below, *steps), f"the name is wrong: {message}" if wrong_key else message)


def _is_tag(step: int | str) -> bool:
    return isinstance(step, str) and step.startswith("<") and step.endswith(">")


def _message(details: ErrorDetails, model: type[BaseModel], steps: list[int | str]) -> str:
    kind, context = details["type"], details.get("ctx", {})
    if kind == "extra_forbidden":
        return f"unknown key{near(str(steps[-1]), known_keys(model, steps[:-1]))}"
    if kind == "missing":
        return "is missing"
    if kind == "value_error":
        return str(context["error"])
    if kind in {"model_type", "dict_type", "model_attributes_type"}:
        return "must be a mapping (keys and values)"
    if kind == "literal_error":
        given = details["input"]
        guess = near(given, _options(context)) if isinstance(given, str) else ""
        return f"must be {context['expected']}{guess if 'did you mean' in guess else ''}"
    if kind == "string_type":
        return "must be text: put it in quotes" if details["input"] is not None else "is empty"
    if kind == "string_pattern_mismatch":
        return f"{str(details['input'])[:60]!r} doesn't match {context['pattern']}"
    text = details["msg"].removeprefix("Input ")
    return text.replace("should be", "must be", 1)


def _options(context: Mapping[str, Any]) -> list[str]:
    return [part for part in str(context["expected"]).split("'") if part.strip(", or")]


def known_keys(model: type[BaseModel], steps: list[int | str]) -> list[str]:
    """The keys that may stand at a location below ``model``."""
    kinds: list[Any] = [model]
    for step in steps:
        kinds = [found for kind in kinds for found in _below(kind, step)]
    return [name for kind in kinds if _is_model(kind) for name in fields_of(kind)]


def fields_of(model: type[BaseModel]) -> dict[str, Any]:
    """Key in the file -> pydantic's field information."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _below(kind: Any, step: int | str) -> list[Any]:
    if _is_model(kind):
        field = fields_of(kind).get(str(step))
        return leaves(field.annotation) if field else []
    arguments = typing.get_args(kind)
    return leaves(arguments[-1]) if arguments else []


def leaves(annotation: Any) -> list[Any]:
    """The models, lists and mappings that an annotation allows, unions and marks taken apart."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return leaves(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return [leaf for part in typing.get_args(annotation) for leaf in leaves(part)]
    return [annotation]


def _is_model(kind: Any) -> bool:
    return hasattr(kind, "model_fields")
