"""Errors: every type says what, where and what next, and travels between processes."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest

from airflow_provider_logmigrate.core import errors
from airflow_provider_logmigrate.core.errors import (
    Halt,
    Interrupted,
    LogMigrateError,
    NeedsAction,
    Transient,
)

TYPES = [
    value
    for _, value in inspect.getmembers(errors, inspect.isclass)
    if issubclass(value, LogMigrateError)
]


def test_all_types_are_seen() -> None:
    assert len(TYPES) >= 20


@pytest.mark.parametrize("kind", TYPES)
def test_the_message_says_what_where_and_next(kind: type[LogMigrateError]) -> None:
    error = kind("it broke", where="runs/t1/2025-01")
    assert str(error) == f"it broke [runs/t1/2025-01]. Next: {kind.advice}"
    assert str(kind("it broke")) == f"it broke. Next: {kind.advice}"
    assert str(kind("it broke", next_step="mend it")) == "it broke. Next: mend it"
    assert kind.advice.strip()
    assert not kind.advice.endswith(".")


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("next_step", ["", "mend it"])
def test_every_type_survives_pickling_and_copying(
    kind: type[LogMigrateError], next_step: str
) -> None:
    error = kind("it broke", where="here", next_step=next_step, status=429, ids=["a", "b"])
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(again) is kind
        assert str(again) == str(error)
        assert (again.what, again.where, again.next_step) == ("it broke", "here", error.next_step)
        assert again.data == {"status": 429, "ids": ["a", "b"]}
        assert again.retryable is kind.retryable


@pytest.mark.parametrize("kind", TYPES)
def test_the_branch_decides_about_retries(kind: type[LogMigrateError]) -> None:
    if kind is LogMigrateError:
        return
    branches = [branch for branch in (NeedsAction, Transient, Halt) if issubclass(kind, branch)]
    assert len(branches) == 1
    expected = branches[0] is Transient or kind is Interrupted
    assert kind.retryable is expected
