"""Several things at once: all results, every error, no thread left behind."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

import pytest

from airflow_provider_logmigrate.core.together import both, side_by_side

PATIENCE = 60.0


def fail(text: str) -> None:
    raise OSError(text)


def test_both_run_at_the_same_time() -> None:
    meeting = threading.Barrier(2, timeout=PATIENCE)

    def meet(result: str) -> str:
        meeting.wait()  # passes only when the other one is there, too
        return result

    assert both(lambda: meet("a"), lambda: meet("b")) == ("a", "b")


def test_the_error_of_either_is_raised_when_the_other_has_ended() -> None:
    ended: list[str] = []
    with pytest.raises(OSError, match="left"):
        both(lambda: fail("left"), lambda: ended.append("right"))
    with pytest.raises(OSError, match="right"):
        both(lambda: ended.append("left"), lambda: fail("right"))
    assert ended == ["right", "left"]


@pytest.mark.parametrize("slow", ["first", "second"])
def test_of_two_errors_the_first_ones_is_raised_and_the_other_logged(
    slow: str, caplog: pytest.LogCaptureFixture
) -> None:
    failing = threading.Event()

    def first() -> None:
        if slow == "first":
            assert failing.wait(PATIENCE)
        failing.set()
        fail("left")

    def second() -> None:
        if slow == "second":
            assert failing.wait(PATIENCE)
        failing.set()
        fail("right")

    with (
        caplog.at_level(logging.ERROR, logger="airflow_provider_logmigrate"),
        pytest.raises(OSError, match="left"),
    ):
        both(first, second)
    assert [record.getMessage() for record in caplog.records] == ["At the same time: right"]


def test_no_thread_is_left() -> None:
    before = set(threading.enumerate())
    both(lambda: None, lambda: None)
    with pytest.raises(OSError, match="left"):
        both(lambda: fail("left"), lambda: None)
    assert set(threading.enumerate()) <= before


def test_items_are_taken_when_they_can_begin_and_no_more_at_a_time() -> None:
    meeting = threading.Barrier(2, timeout=PATIENCE)
    taken: list[int] = []
    done: list[int] = []

    def items() -> Iterator[int]:
        for number in range(6):
            taken.append(number)
            assert len(taken) - len(done) <= 2 + 1
            yield number

    def work(number: int) -> int:
        meeting.wait()
        done.append(number)
        return number

    assert sorted(side_by_side(work, items(), most=2)) == list(range(6))


def test_an_error_is_raised_when_what_was_under_way_has_ended() -> None:
    failed = threading.Event()
    ended: list[int] = []

    def work(number: int) -> None:
        if number == 0:
            failed.set()
            fail("zero")
        assert failed.wait(PATIENCE)
        ended.append(number)

    with pytest.raises(OSError, match="zero"):
        list(side_by_side(work, range(100), most=2))
    assert 1 in ended
    assert len(ended) < 99
