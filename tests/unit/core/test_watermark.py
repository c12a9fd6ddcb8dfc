"""The contiguous watermark: it never skips a chunk, whatever the order of acknowledgements."""

from __future__ import annotations

import random

import pytest

from airflow_provider_logmigrate.core.checkpoint import Counters, Cursor
from airflow_provider_logmigrate.core.watermark import Watermark


def cursor(n: int) -> Cursor:
    return Cursor("2025-01-01", f"{n:04d}")


ONE = Counters(1, 1, 0, 10)


def test_in_order_each_chunk_moves_it() -> None:
    mark = Watermark()
    for n in range(3):
        assert mark.settle(n, cursor(n), ONE)
        assert mark.cursor == cursor(n)
    assert mark.counters == Counters(3, 3, 0, 30)


def test_a_gap_holds_everything_behind_it_back() -> None:
    mark = Watermark(cursor(99), Counters(5, 5))
    assert not mark.settle(1, cursor(1), ONE)
    assert not mark.settle(2, cursor(2), ONE)
    assert (mark.cursor, mark.counters, mark.waiting) == (cursor(99), Counters(5, 5), 2)
    assert mark.complete == Counters(5, 5)
    assert mark.settle(0, cursor(0), ONE)
    assert (mark.cursor, mark.counters, mark.waiting) == (cursor(2), Counters(8, 8, 0, 30), 0)


def test_chunks_without_a_cursor_are_counted_but_no_position() -> None:
    mark = Watermark()
    assert not mark.settle(0, None, ONE)
    assert (mark.cursor, mark.counters) == (None, Counters())
    assert mark.complete == ONE
    assert mark.settle(1, cursor(1), ONE)
    assert not mark.settle(2, None, ONE)
    assert (mark.cursor, mark.counters) == (cursor(1), Counters(2, 2, 0, 20))
    assert mark.complete == Counters(3, 3, 0, 30)


@pytest.mark.parametrize("again", [0, 1, 3])
def test_settling_twice_is_an_error(again: int) -> None:
    mark = Watermark()
    for n in (0, 1, 3):
        mark.settle(n, cursor(n), ONE)
    with pytest.raises(ValueError, match="settled twice"):
        mark.settle(again, cursor(again), ONE)


@pytest.mark.parametrize("seed", range(50))
def test_any_order_gives_the_longest_settled_beginning(seed: int) -> None:
    rng = random.Random(seed)
    count = rng.randrange(1, 40)
    positions = [cursor(n) if rng.random() < 0.7 else None for n in range(count)]
    order = list(range(count))
    rng.shuffle(order)
    mark, settled = Watermark(), set[int]()
    for n in order:
        before = mark.cursor
        settled.add(n)
        assert mark.settle(n, positions[n], ONE) == (mark.cursor != before)
        beginning = next(k for k in range(count + 1) if k not in settled)
        safe = [k for k in range(beginning) if positions[k] is not None]
        assert mark.cursor == (positions[safe[-1]] if safe else None)
        assert mark.counters.read == (safe[-1] + 1 if safe else 0)
        assert mark.complete.read == beginning
    assert mark.waiting == 0
