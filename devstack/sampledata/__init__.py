"""Sample data as a Dify installation holds it: generated, deterministic, with its edge cases.

``load.load`` puts a profile into a database; ``expected`` says what will be in it. The command line
is ``python -m devstack.sampledata``.
"""

from __future__ import annotations

from devstack.sampledata.generate import Bundle, generate, rows
from devstack.sampledata.hostile import HOSTILE_VALUES, Value, override
from devstack.sampledata.profiles import PROFILES, Profile
from devstack.sampledata.schema import COLUMNS, STREAM_TABLES, DifySchema, create_schema
from devstack.sampledata.summary import Counts, HostileRows, UnitCount, expected
from devstack.sampledata.texts import FULL_TEXT_PHRASE

__all__ = [
    "COLUMNS",
    "FULL_TEXT_PHRASE",
    "HOSTILE_VALUES",
    "PROFILES",
    "STREAM_TABLES",
    "Bundle",
    "Counts",
    "DifySchema",
    "HostileRows",
    "Profile",
    "UnitCount",
    "Value",
    "create_schema",
    "expected",
    "generate",
    "override",
    "rows",
]
