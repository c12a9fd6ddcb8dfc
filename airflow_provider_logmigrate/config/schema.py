"""The JSON schema of the configuration file, for editors and for checks outside Airflow.

``python -m airflow_provider_logmigrate.config.schema`` prints it. It is published as
``schema.json`` beside this module. It can't tell what only a look at other parts of the file tells
(a store that isn't there, a repeated tenant): that is the loader's work.
"""

from __future__ import annotations

import json
import sys
from datetime import date, timedelta
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from airflow_provider_logmigrate.config.models import ConfigModel
from airflow_provider_logmigrate.config.quantities import show_duration


class _Generator(GenerateJsonSchema):
    """Defaults as people write them; no titles made from field names."""

    def encode_default(self, dft: Any) -> Any:
        if isinstance(dft, timedelta):
            return show_duration(dft)
        return str(dft) if isinstance(dft, date) else super().encode_default(dft)

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False


def config_schema() -> dict[str, Any]:
    """The schema as plain values."""
    schema = ConfigModel.model_json_schema(by_alias=True, schema_generator=_Generator)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_finished(schema),
        "title": "Configuration of airflow-provider-logmigrate",
    }


def _finished(value: Any) -> Any:
    """Descriptions on one line; where keys have a pattern, no other keys."""
    if isinstance(value, list):
        return [_finished(item) for item in value]
    if not isinstance(value, dict):
        return value
    finished = {key: _finished(item) for key, item in value.items()}
    if isinstance(told := value.get("description"), str):
        finished["description"] = " ".join(told.split())
    if "patternProperties" in value:
        finished["additionalProperties"] = False
    return finished


def schema_text() -> str:
    """The content of ``schema.json``."""
    return json.dumps(config_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(schema_text())
