"""Working ahead keeps the order, shows errors where the items are used, and leaves no thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from airflow_provider_logmigrate.core.ahead import ahead


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "test-ahead"]


def test_items_come_in_order_and_one_is_made_before_it_is_wanted() -> None:
    made = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        yield 2
        made.set()
        yield 3

    with ahead(items(), name="test-ahead") as found:
        assert next(found) == 1
        assert made.wait(10), "nobody asked for the second one yet"
        assert list(found) == [2, 3]
    assert threads() == []


def test_an_error_is_raised_where_the_item_would_be_used() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("lost")

    with ahead(items(), name="test-ahead") as found:
        assert next(found) == 1
        with pytest.raises(OSError, match="lost"):
            next(found)


def test_whoever_leaves_early_ends_all_stages() -> None:
    def endless() -> Iterator[int]:
        while True:
            yield 1

    def leave() -> None:
        with (
            ahead(endless(), name="test-ahead") as first,
            ahead((2 * number for number in first), name="test-ahead") as second,
        ):
            assert next(second) == 2
            raise KeyError("enough")

    with pytest.raises(KeyError):
        leave()
    assert threads() == []
