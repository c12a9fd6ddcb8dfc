from __future__ import annotations

from airflow_provider_logmigrate.stores.postgres.page_size import PAGE_BYTES, PageSize


def test_small_rows_reach_the_most() -> None:
    size = PageSize(first=500, most=20_000)
    assert size.rows == 500
    size.observe(rows=500, size=500 * 2_200)
    assert size.rows == 20_000


def test_large_rows_keep_a_page_near_its_bytes() -> None:
    size = PageSize(first=500, most=20_000)
    size.observe(rows=500, size=500 * 100_000)
    assert size.rows == PAGE_BYTES // 100_000
    size.observe(rows=1, size=10 * PAGE_BYTES)
    assert size.rows == 1
    size.observe(rows=1, size=10)
    assert size.rows == 20_000


def test_an_empty_page_teaches_nothing() -> None:
    size = PageSize(first=500, most=100)
    assert size.rows == 100
    size.observe(rows=0, size=0)
    assert size.rows == 100
    size.observe(rows=10, size=0)
    assert size.rows == 100


def test_a_bound_from_outside_holds_for_each_page_anew() -> None:
    bound: list[int | None] = [100]
    size = PageSize(first=500, most=20_000, bound=lambda: bound[0])
    assert size.rows == 100
    bound[0] = 0
    assert size.rows == 1
    bound[0] = None
    assert size.rows == 500
    size.observe(rows=500, size=1_000)
    bound[0] = 50_000
    assert size.rows == 20_000
