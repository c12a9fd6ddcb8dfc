"""What every error of ours must be like."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

import pytest

from airflow_provider_logmigrate.core.errors import ConfigInvalid, LogMigrateError

E = TypeVar("E", bound=LogMigrateError)


class Caught(Generic[E]):
    """The error, once the block is left."""

    value: E


@contextmanager
def told(kind: type[E], *parts: str, retried: bool) -> Iterator[Caught[E]]:
    """The block raises exactly this type, and one line tells what, where and the next step.

    :param parts: texts that the line must hold.
    :param retried: whether the retry policy tries again.
    """
    from airflow_provider_logmigrate.operators.retry import LogMigrateRetryPolicy

    caught: Caught[E] = Caught()
    with pytest.raises(LogMigrateError) as raised:
        yield caught
    error = raised.value
    assert type(error) is kind, repr(error)
    text = str(error)
    missing = [part for part in parts if part not in text]
    assert not missing, f"{missing} not in: {text}"
    several = isinstance(error, ConfigInvalid) and "errors in the configuration" in text
    assert several or "\n" not in text, text
    assert error.what in text
    assert error.where
    assert f"[{error.where}]" in text
    assert error.next_step
    assert text.endswith(f"Next: {error.next_step}")
    decision = LogMigrateRetryPolicy().evaluate(error, 1, 5)
    assert decision.action.value == ("retry" if retried else "fail")
    caught.value = error
