from __future__ import annotations

import pytest

from airflow_provider_logmigrate.stores.search.early_refresh import REST_BYTES, Loaded


@pytest.mark.parametrize(
    ("documents", "size", "expected", "nearly"),
    [
        (84, 84, 100, False),
        (85, 85, 100, True),
        (120, 120, 100, True),
        (0, 0, 100, False),
        (90, 90 * REST_BYTES // 10, 100, True),
        (90, 90 * REST_BYTES // 10 + 90, 100, False),
    ],
)
def test_when_a_load_is_nearly_whole(
    documents: int, size: int, expected: int, nearly: bool
) -> None:
    assert Loaded(documents, size).is_nearly_whole(expected) is nearly
