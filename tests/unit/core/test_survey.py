"""When a plan counts, and when it takes the source's word."""

from __future__ import annotations

import pytest

from airflow_provider_logmigrate.core.plan import Estimate
from airflow_provider_logmigrate.core.survey import (
    EXACT_ROWS,
    Counting,
    Survey,
    choose_counting,
)
from airflow_provider_logmigrate.core.unit import Period

AUTO, EXACT, ESTIMATE = Counting.AUTO, Counting.EXACT, Counting.ESTIMATE


@pytest.mark.parametrize(
    ("wanted", "indexed", "expected", "exact", "said"),
    [
        (AUTO, True, EXACT_ROWS, True, ""),
        (AUTO, True, EXACT_ROWS + 1, False, "about 20,000,001 rows"),
        (AUTO, True, None, True, ""),
        (AUTO, False, 10 * EXACT_ROWS, True, ""),
        (EXACT, True, 10 * EXACT_ROWS, True, ""),
        (EXACT, False, None, True, ""),
        (ESTIMATE, True, 5, False, "as configured"),
        (ESTIMATE, False, 5, True, "although estimates were asked for"),
    ],
)
def test_the_choice(
    wanted: Counting, indexed: bool, expected: float | None, exact: bool, said: str
) -> None:
    chosen, note = choose_counting(wanted, indexed=indexed, expected=expected)
    assert chosen is exact
    assert (said in note) if said else not note


def test_a_tenant_without_rows_has_no_periods() -> None:
    january = Period.from_label("2025-01")
    survey = Survey({"acme": {january: Estimate(1, 10, exact=True)}})
    assert list(survey.of("acme")) == [january]
    assert survey.of("globex") == {}
