from __future__ import annotations

import pytest

from airflow_provider_logmigrate.core.plan import ReadStrategy
from airflow_provider_logmigrate.stores.postgres.preflight import choose_strategy
from airflow_provider_logmigrate.streams import dify

RUNS, _, NODES, _ = dify.streams()
KEYSET, BY_PARENT, BY_KEY = ReadStrategy.KEYSET, ReadStrategy.BY_PARENT, ReadStrategy.BY_KEY


@pytest.mark.parametrize(
    ("indexes", "strategy", "words"),
    [
        ((), BY_KEY, "created CONCURRENTLY"),
        ((("id",),), BY_KEY, "no usable index"),
        ((("tenant_id", "created_at", "id"),), KEYSET, "(tenant_id, created_at, id)"),
        ((("tenant_id", "created_at"),), KEYSET, "(tenant_id, created_at)"),
        ((("tenant_id", "created_at", "status"),), KEYSET, "(tenant_id, created_at)"),
        ((("created_at", "id"),), KEYSET, "other tenants' rows"),
        ((("created_at",),), KEYSET, "other tenants' rows"),
        (
            (("created_at",), ("tenant_id", "created_at", "id")),
            KEYSET,
            "(tenant_id, created_at, id)",
        ),
        ((("tenant_id", "app_id", "created_at"),), BY_KEY, "no usable index"),
        ((("id", "created_at"),), BY_KEY, "no usable index"),
        ((("workflow_run_id",),), BY_PARENT, "workflow_run_id"),
        ((("workflow_run_id",), ("created_at",)), KEYSET, "created_at"),
        ((("tenant_id", "workflow_run_id"),), BY_KEY, "no usable index"),
    ],
)
def test_the_best_index_decides_and_is_named(
    indexes: tuple[tuple[str, ...], ...], strategy: ReadStrategy, words: str
) -> None:
    chosen, reason = choose_strategy(NODES, indexes)
    assert chosen is strategy
    assert words in reason


def test_a_stream_without_parent_is_never_read_by_parent() -> None:
    assert choose_strategy(RUNS, (("workflow_run_id",),))[0] is BY_KEY
