"""Shows configuration entries that were left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_provider_logmigrate.core.errors import ConfigInvalid

if TYPE_CHECKING:
    from airflow.sdk import Context


class ConfigurationProblemsOperator(BaseOperator):
    """Fails with the list of problems, so that a wrong entry is seen and not just missing.

    :param problems: one sentence each.
    """

    def __init__(self, *, problems: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.problems = list(problems)

    def execute(self, context: Context) -> None:  # noqa: ARG002
        """:raises ConfigInvalid: always."""
        raise ConfigInvalid("; ".join(self.problems), where="logmigrate.yaml")
