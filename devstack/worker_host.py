"""The host name of a Celery worker of the dev stack.

Apart from all else here: each of the worker's task processes imports it.
"""

from __future__ import annotations

import os

VARIABLE = "LOGMIGRATE_DEVSTACK_WORKER"


def name() -> str:
    """What Airflow notes as the host of a task: workers on one machine are told apart by it."""
    return os.environ[VARIABLE]
