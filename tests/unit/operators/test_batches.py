"""Tenants in batches: everybody is in exactly one, and the work is even."""

from __future__ import annotations

import json

from airflow_provider_logmigrate.operators.batches import MAX_BATCHES, Planned, batches


def test_few_tenants_have_a_task_each() -> None:
    planned = [Planned("a", "h1", units=2, rows=9), Planned("b", None, error="no rows")]
    assert batches(planned) == [
        {"batch": 0, "tenants": [{"tenant": "a", "plan": "h1", "units": 2, "error": ""}]},
        {"batch": 1, "tenants": [{"tenant": "b", "plan": None, "units": 0, "error": "no rows"}]},
    ]
    assert batches([]) == []


def test_thousands_fit_into_what_airflow_maps() -> None:
    planned = [Planned(f"t{n}", f"h{n}", units=1, rows=1_000) for n in range(5_000)]
    made = batches(planned)
    assert len(made) == MAX_BATCHES < 1_024
    dealt = [one["tenant"] for batch in made for one in batch["tenants"]]
    assert sorted(dealt) == sorted(one.tenant for one in planned)
    counts = [len(batch["tenants"]) for batch in made]
    assert max(counts) - min(counts) <= 1
    assert [batch["batch"] for batch in made] == list(range(MAX_BATCHES))


def test_a_large_tenant_has_few_beside_it() -> None:
    planned = [Planned("large", "h", rows=1_000)]
    planned += [Planned(f"t{n}", "h", rows=10) for n in range(20)]
    first, second = batches(planned, most=2)
    assert [one["tenant"] for one in first["tenants"]] == ["large"]
    assert len(second["tenants"]) == 20


def test_a_tenant_comes_back_from_its_json() -> None:
    planned = Planned("{{ x }}", "h1", units=3, rows=7, error="")
    back = Planned.from_json(json.loads(json.dumps(planned.to_json())))
    assert (back.tenant, back.plan, back.units, back.error) == ("{{ x }}", "h1", 3, "")
