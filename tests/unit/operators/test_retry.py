"""Which errors are worth a retry is decided by their type alone."""

from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.sdk.definitions.retry_policy import RetryAction

from airflow_provider_logmigrate.core import errors
from airflow_provider_logmigrate.operators.report import RunUnsuccessful
from airflow_provider_logmigrate.operators.retry import (
    FIRST_DELAY,
    INTERRUPTED_DELAY,
    LONGEST_DELAY,
    LogMigrateRetryPolicy,
)

PASSING = {
    errors.SourceUnavailable,
    errors.TargetUnavailable,
    errors.LedgerUnavailable,
    errors.Interrupted,
}
ABSTRACT = {errors.NeedsAction, errors.Transient, errors.Halt}


def concrete(kind: type[errors.LogMigrateError]) -> set[type[errors.LogMigrateError]]:
    """All types below one that are raised."""
    below = {leaf for child in kind.__subclasses__() for leaf in concrete(child)}
    return below | ({kind} - ABSTRACT - {errors.LogMigrateError})


def test_every_type_is_decided_and_only_what_passes_is_retried() -> None:
    policy = LogMigrateRetryPolicy()
    decided = {
        kind: policy.evaluate(kind("x", where="y"), 1, 5).action
        for kind in concrete(errors.LogMigrateError)
    }
    assert {kind for kind, action in decided.items() if action is RetryAction.RETRY} == PASSING
    assert {kind for kind, action in decided.items() if action is RetryAction.FAIL} == (
        set(decided) - PASSING
    )
    assert RunUnsuccessful in decided


def test_delays_grow_up_to_a_bound_and_are_jittered() -> None:
    policy, error = LogMigrateRetryPolicy(), errors.TargetUnavailable("x")
    for try_number in range(1, 60):
        bound = min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(try_number - 1, 10))
        delays = [policy.evaluate(error, try_number, 99).retry_delay for _ in range(20)]
        assert all(delay is not None and bound / 2 <= delay <= bound for delay in delays)
        assert len(set(delays)) > 1, "lanes that fail together don't come back together"


def test_a_stopped_task_comes_back_soon() -> None:
    decision = LogMigrateRetryPolicy().evaluate(errors.Interrupted("x"), 7, 9)
    assert decision.retry_delay == INTERRUPTED_DELAY < timedelta(seconds=30)


def test_the_reason_is_the_error_s_own_text() -> None:
    error = errors.IndexConflict("it is taken", where="an-index")
    decision = LogMigrateRetryPolicy().evaluate(error, 1, 5)
    assert decision.reason == str(error)


@pytest.mark.parametrize("error", [KeyError("x"), MemoryError(), RuntimeError("x")])
def test_errors_of_others_follow_the_task_s_settings(error: Exception) -> None:
    assert LogMigrateRetryPolicy().evaluate(error, 1, 5).action is RetryAction.DEFAULT
