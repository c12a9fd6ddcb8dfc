"""The demo's search: a migrated run is found by its words, through the readers' alias."""

from __future__ import annotations

from collections.abc import Sequence

import httpx
import psycopg
from rich.console import Console

from devstack.sampledata import FULL_TEXT_PHRASE

_FIELDS = ("inputs", "outputs")


def search(url: str, tenant: str, console: Console, *, purged_from: str = "") -> bool:
    """Find a run by words of its inputs or outputs and show it; whether there is one.

    :param purged_from: address of the source: only a run counts that isn't there any more.
    """
    alias = f"dify-workflow-runs-{tenant}"
    query = {
        "size": 100 if purged_from else 1,
        "_source": ["id", *_FIELDS],
        "query": {"multi_match": {"query": FULL_TEXT_PHRASE, "type": "phrase", "fields": _FIELDS}},
    }
    found = httpx.post(f"{url}/{alias}/_search", json=query, trust_env=False, timeout=30)
    runs = [hit["_source"] for hit in found.json().get("hits", {}).get("hits", [])]
    if purged_from:
        there = _there(purged_from, [run["id"] for run in runs])
        runs = [run for run in runs if run["id"] not in there]
    if not runs:
        return False
    source = runs[0]
    text = next(
        (source[name] for name in _FIELDS if FULL_TEXT_PHRASE in (source[name] or "")),
        source["outputs"] or source["inputs"],
    )
    at = max(0, text.find(FULL_TEXT_PHRASE) - 40)
    console.print(f'Full-text search for "{FULL_TEXT_PHRASE}" in {alias}:')
    console.print(f"  run {source['id']}: …{text[at : at + 120]}…", markup=False, highlight=False)
    return True


def _there(dsn: str, runs: Sequence[str]) -> set[str]:
    query = "SELECT id::text FROM workflow_runs WHERE id = ANY(%s::uuid[])"
    with psycopg.connect(dsn) as connection:
        return {key for (key,) in connection.execute(query, [list(runs)])}
