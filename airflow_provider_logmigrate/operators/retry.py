"""The one place that decides which errors are worth a retry."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow.sdk import RetryPolicy
from airflow.sdk.definitions.retry_policy import RetryDecision

from airflow_provider_logmigrate.core.errors import Interrupted, LogMigrateError

if TYPE_CHECKING:
    from airflow.sdk import Context

FIRST_DELAY = timedelta(seconds=15)
LONGEST_DELAY = timedelta(minutes=10)
INTERRUPTED_DELAY = timedelta(seconds=5)


class LogMigrateRetryPolicy(RetryPolicy):
    """Retries what passes by itself with a growing, jittered delay; fails the rest at once.

    Errors that aren't ours follow the task's own settings. ``retries`` stays the upper bound.
    """

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,
        max_tries: int,  # noqa: ARG002 - Airflow enforces it
        context: Context | None = None,  # noqa: ARG002 - the type of the error decides
    ) -> RetryDecision:
        """Decide by the error's type."""
        if not isinstance(exception, LogMigrateError):
            return RetryDecision.default()
        if not exception.retryable:
            return RetryDecision.fail(reason=str(exception))
        if isinstance(exception, Interrupted):
            return RetryDecision.retry(delay=INTERRUPTED_DELAY, reason=str(exception))
        bound = min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(max(0, try_number - 1), 10))
        jitter = 0.5 + random.random() / 2  # noqa: S311 - jitter
        return RetryDecision.retry(delay=bound * jitter, reason=str(exception))
