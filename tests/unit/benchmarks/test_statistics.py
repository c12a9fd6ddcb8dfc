from __future__ import annotations

import pytest

from benchmarks.sections.pairs import interleaved
from benchmarks.statistics import paired_ratio, spread


def test_spread_of_an_odd_and_an_even_number_of_runs() -> None:
    odd = spread([3.0, 1.0, 2.0])
    assert (odd.median, odd.low, odd.high, odd.relative) == (2.0, 1.0, 3.0, 1.0)
    assert spread([1.0, 2.0]).median == 1.5
    assert spread([0.0]).relative == 0.0


def test_a_slow_spell_of_the_machine_does_not_change_the_paired_ratio() -> None:
    ours, other = [80.0, 8.0, 78.0], [100.0, 10.0, 100.0]
    assert paired_ratio(ours, other) == pytest.approx(0.8)


@pytest.mark.parametrize(("ours", "other"), [([], []), ([1.0], []), ([1.0, 2.0], [1.0])])
def test_runs_without_partners_are_refused(ours: list[float], other: list[float]) -> None:
    with pytest.raises(ValueError, match="make no pairs"):
        paired_ratio(ours, other)


def test_zero_is_no_partner() -> None:
    with pytest.raises(ValueError, match="value 0"):
        paired_ratio([1.0], [0.0])


def test_no_values_have_no_median() -> None:
    with pytest.raises(ValueError, match="no values"):
        spread([])


def test_the_side_that_begins_changes() -> None:
    order: list[str] = []

    def run(side: str, value: float) -> float:
        order.append(side)
        return value + len(order)

    ours, other = interleaved(3, ours=lambda: run("ours", 10), other=lambda: run("other", 20))
    assert order == ["ours", "other", "other", "ours", "ours", "other"]
    assert (ours, other) == ((11, 14, 15), (22, 23, 26))
