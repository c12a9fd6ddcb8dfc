"""The settings of the dev stack's Airflow, as environment variables."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

_SIMPLE_AUTH_MANAGER = (
    "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
)

# Everything a test or a demo waits for comes sooner than by default, and what a killed process
# leaves is noticed within seconds: a dead scheduler's task runs again after about 16 s, a silent
# task's after about 25 s. Below a 20 s task heartbeat a mere API server restart would look like a
# dead task.
TIMINGS: Mapping[str, str] = {
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "10",
    "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "3",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
    "AIRFLOW__SCHEDULER__TRIGGER_TIMEOUT_CHECK_INTERVAL": "5",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "2",
}

PLAIN: Mapping[str, str] = {
    "AIRFLOW__API__HOST": "127.0.0.1",
    "AIRFLOW__API__WORKERS": "1",
    "AIRFLOW__CORE__AUTH_MANAGER": _SIMPLE_AUTH_MANAGER,
    "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    # The default forks 32 workers at once.
    "AIRFLOW__CORE__PARALLELISM": "4",
    "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
}


@dataclass(frozen=True, slots=True)
class Secrets:
    """Keys and passwords of one Airflow, random and never shared between two."""

    fernet_key: str
    jwt_secret: str
    api_secret: str
    passwords: Mapping[str, str]

    @classmethod
    def generate(cls, users: Mapping[str, str]) -> Secrets:
        """
        New ones.

        :param users: role by user name.
        """
        from cryptography.fernet import Fernet

        return cls(
            fernet_key=Fernet.generate_key().decode(),
            jwt_secret=secrets.token_urlsafe(48),
            api_secret=secrets.token_urlsafe(48),
            passwords={user: secrets.token_urlsafe(12) for user in users},
        )

    def environment(self) -> dict[str, str]:
        """The variables that carry them."""
        return {
            "AIRFLOW__CORE__FERNET_KEY": self.fernet_key,
            "AIRFLOW__API_AUTH__JWT_SECRET": self.jwt_secret,
            "AIRFLOW__API__SECRET_KEY": self.api_secret,
        }
