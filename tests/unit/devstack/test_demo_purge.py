"""What the demo's second part says of three looks at the source: its facts, what falls short."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from devstack.demo_purge import FILES, State, purge_facts, purge_shortfalls, states_table

BEFORE: State = {"runs": (10, "a"), "steps": (1_200, "b"), FILES: (2, "c")}
AFTER: State = {"runs": (1, "d"), "steps": (100, "e"), FILES: (0, "f")}
WHOLE = purge_facts(BEFORE, AFTER, BEFORE, purged=1_109, restored=1_109)


def test_a_round_trip_falls_short_of_nothing() -> None:
    assert WHOLE == {
        "purged_rows": 1_109,
        "restored_rows": 1_109,
        "restored_equal": True,
        "purge_reported": True,
    }
    assert purge_shortfalls(WHOLE | {"purged_search_hit": True}) == []


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"purged_rows": 0, "restored_rows": 0}, "nothing was purged: the log"),
        ({"purge_reported": False}, "1109 rows left the source, the purge reports others"),
        ({"purged_search_hit": False}, "found none of the purged runs"),
        ({"restored_rows": 1_108}, "1109 rows were purged, 1108 restored"),
        ({"restored_equal": False}, "the source isn't what it was"),
    ],
)
def test_each_shortfall_is_one_sentence(changed: dict[str, object], problem: str) -> None:
    (found,) = purge_shortfalls(WHOLE | {"purged_search_hit": True} | changed)

    assert problem in found


def test_one_other_byte_in_a_row_or_a_lost_file_is_not_equal() -> None:
    for name, other in (("runs", (10, "x")), (FILES, (1, "c"))):
        facts = purge_facts(BEFORE, AFTER, {**BEFORE, name: other}, purged=1_109, restored=1_109)
        assert not facts["restored_equal"]


def test_the_table_shows_each_moment_and_what_differs() -> None:
    out = io.StringIO()
    back = {**BEFORE, "steps": (1_199, "x")}
    Console(file=out, width=100, color_system=None).print(states_table(BEFORE, AFTER, back))

    lines = [line.split() for line in out.getvalue().splitlines()]
    assert ["runs", "10", "1", "10", "yes"] in lines
    assert ["steps", "1,200", "100", "1,199", "no"] in lines
