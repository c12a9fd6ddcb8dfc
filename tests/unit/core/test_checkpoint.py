"""The checkpoint record: stored whole, read back whole or not at all; the newest valid one wins."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

import pytest

from airflow_provider_logmigrate.core.checkpoint import (
    FORMAT,
    Checkpoint,
    Counters,
    Cursor,
    Phase,
    newest,
)

FULL = Checkpoint(
    unit="runs/t1/2025-01",
    definition="d1",
    phase=Phase.COPYING,
    attempt=7,
    upper="2025-02-01T00:00:00+00:00",
    cursor=Cursor("2025-01-03 04:05:06.123456+00", "ä\u2028\x00'\""),
    counters=Counters(10, 8, 2, 12345),
)


@pytest.mark.parametrize(
    "record",
    [FULL, FULL.moved(None, Counters()), Checkpoint("u", "d", Phase.COPIED, 1, "")],
)
def test_it_survives_json(record: Checkpoint) -> None:
    assert Checkpoint.from_json(json.loads(json.dumps(record.to_json()))) == record


def test_moving_on_changes_the_position_only() -> None:
    moved = FULL.moved(Cursor("t", "k"), Counters(11))
    assert moved == Checkpoint.from_json(
        FULL.to_json()
        | {"cursor": {"event_time": "t", "key": "k"}}
        | {"counters": {"read": 11, "documents": 0, "rejected": 0, "bytes": 0}}
    )


@pytest.mark.parametrize("damaged", [None, [], "text", 5, {}, {"format": FORMAT}, [("format", 1)]])
def test_what_is_no_record_is_ignored(damaged: object) -> None:
    assert Checkpoint.from_json(damaged) is None


@pytest.mark.parametrize("other", [0, 2, "1", None])
def test_another_format_is_never_guessed_at(other: object) -> None:
    assert Checkpoint.from_json(FULL.to_json() | {"format": other}) is None


@pytest.mark.parametrize("field", [f for f in FULL.to_json() if f != "format"])
@pytest.mark.parametrize("value", [3.5, [], {"a": 1}, True, "nonsense", -1, "gone"])
def test_a_damaged_field_spoils_the_record_or_is_the_field(field: str, value: Any) -> None:
    record = copy.deepcopy(FULL.to_json())
    if value == "gone":
        del record[field]
    else:
        record[field] = value
    read = Checkpoint.from_json(record)
    if read is not None:  # a text in place of a text can't be told from the right one
        assert value == "nonsense"
        assert field in ("unit", "definition", "upper")
        assert read.to_json() == record


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cursor", {"event_time": None, "key": "k"}),
        ("cursor", {"event_time": "t", "key": 5}),
        ("cursor", {"event_time": "t"}),
        ("cursor", {}),
        ("counters", {"read": "5"}),
        ("counters", {"read": -5}),
        ("counters", {"unknown": 5}),
        ("counters", None),
    ],
)
def test_damage_inside_a_field_spoils_the_record(field: str, value: object) -> None:
    assert Checkpoint.from_json(FULL.to_json() | {field: value}) is None


def checkpoint(**changes: Any) -> Checkpoint:
    values: dict[str, Any] = {
        "unit": "u",
        "definition": "d",
        "phase": Phase.COPYING,
        "attempt": 1,
        "upper": "",
        "counters": Counters(changes.pop("read", 0)),
    }
    return Checkpoint(**values | changes)


def test_other_units_and_definitions_are_discarded() -> None:
    wrong = [None, checkpoint(unit="v", attempt=9), checkpoint(definition="e", attempt=9)]
    assert newest(wrong, unit="u", definition="d") is None
    right = checkpoint()
    assert newest([*wrong, right], unit="u", definition="d") is right
    assert newest([], unit="u", definition="d") is None


def test_attempt_before_phase_before_rows_whatever_the_order() -> None:
    ranked = [
        checkpoint(attempt=1, phase=Phase.COPIED, read=900),
        checkpoint(attempt=2, read=5),
        checkpoint(attempt=2, read=80),
        checkpoint(attempt=2, phase=Phase.COPIED, read=7),
        checkpoint(attempt=3, read=0),
    ]
    for end in range(1, len(ranked) + 1):
        some = ranked[:end]
        random.Random(end).shuffle(some)
        assert newest(some, unit="u", definition="d") is ranked[end - 1]


def test_counters_add_up() -> None:
    assert Counters(1, 2, 3, 4) + Counters(10, 20, 30, 40) == Counters(11, 22, 33, 44)
