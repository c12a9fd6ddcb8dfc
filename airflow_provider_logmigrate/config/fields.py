"""Types of single values in the YAML file, and the base of all its parts.

Models are strict (no number where text is meant, no text where a number is), forbid unknown keys
and are frozen.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints, WithJsonSchema

from airflow_provider_logmigrate.config.quantities import (
    DURATION_PATTERN,
    SIZE_PATTERN,
    parse_day,
    parse_duration,
    parse_lag,
    parse_size,
)

MIGRATION_NAME = r"^[a-z0-9_]{1,60}$"
MAX_PREFIX = 32
"""With the longest slug, tenant, period and version a name stays below the engines' 255 bytes."""

Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN, "title": "duration"}),
]
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer"}, {"type": "string", "pattern": SIZE_PATTERN}],
            "title": "size",
        }
    ),
]
Lag = Annotated[
    timedelta | int,
    BeforeValidator(parse_lag),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": DURATION_PATTERN, "title": "duration"},
                {"type": "string", "pattern": SIZE_PATTERN, "title": "size"},
            ]
        }
    ),
]
Day = Annotated[
    date,
    BeforeValidator(parse_day),
    WithJsonSchema({"type": "string", "format": "date", "title": "day"}),
]
Name = Annotated[str, StringConstraints(min_length=1, max_length=250)]
# Identifiers of the database: quoted wherever they are used, so only their length is checked.
Identifier = Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=r"^[^\x00]*$")]
Prefix = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=MAX_PREFIX)]
Table = Annotated[str, StringConstraints(min_length=1, max_length=127, pattern=r"^[^\x00]*$")]
# A stream's name is a part of unit keys, which are cut at `/`; `all` stands for every stream.
StreamName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
# Items are checked one by one when tenants are resolved: a wrong one is only its own problem.
AnyText = Annotated[Any, WithJsonSchema({"type": "string", "minLength": 1})]
JsonModeName = Literal["text", "object", "flat_object"]
StrategyName = Literal["auto", "keyset", "by_parent", "by_key", "sweep"]


class Model(BaseModel):
    """Base of all parts: strict, closed, frozen."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )
