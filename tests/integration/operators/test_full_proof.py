"""The proof of every document, through the operators: it fails when it must, and only then."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_logmigrate.core.certificate import Certificate
from airflow_provider_logmigrate.core.errors import ProofFailed
from airflow_provider_logmigrate.core.unit import Unit
from devstack.sampledata import PROFILES, DifySchema
from devstack.sampledata.load import load
from tests.integration.operators.stage import Stage

if TYPE_CHECKING:
    from devstack.engine import SearchEngine
    from tests.integration.operators.fixtures import StageMaker

UNIT = "events/acme/2025-01"
PROFILE = replace(PROFILES["test"], runs_per_month=6, months=1, orphan_offloads=0, missing_files=0)


def certificate(stage: Stage, unit: str = UNIT) -> Certificate:
    with stage.ledger() as ledger:
        found = ledger.certificates.latest(stage.migration, unit)
    assert found is not None
    return found


def findings(stage: Stage, unit: str = UNIT) -> list[tuple[str, str]]:
    return sorted((f.kind.value, f.key) for f in certificate(stage, unit).tally.listed)


def put(stage: Stage, index: str, key: str, document: Any) -> None:
    """Store a document as somebody who writes to the index would."""
    body = document if isinstance(document, bytes) else json.dumps(document, default=float).encode()
    stage.client.request("PUT", f"/{index}/_doc/{key}", body=body)


def test_what_differs_is_found_and_what_is_spelt_otherwise_is_not(each_stage: Stage) -> None:
    stage, index = each_stage, each_stage.index(UNIT)
    stage.configure(proof={"mode": "full", "sample": 5})
    stage.fill(60)
    stage.run().copy()
    run = stage.run()
    run.copy()
    assert run.prove()[UNIT]["verdict"] == "equal"
    proven = certificate(stage)
    assert (proven.mode, proven.sampled, proven.rows, proven.documents) == ("full", 60, 60, 60)

    documents = stage.documents(index)
    put(stage, index, "e00001", documents["e00001"] | {"note": "tampered"})
    put(stage, index, "e00002", documents["e00002"] | {"note": 7})
    put(stage, index, "e00003", documents["e00003"] | {"more": None})
    respelt = dict(reversed(documents["e00004"].items())) | {
        "at": documents["e00004"]["at"].replace("+00:00", "Z")
    }
    put(stage, index, "e00004", json.dumps(respelt, indent=1).replace("\n", " ").encode())
    run.validate(mode="fingerprint")
    assert certificate(stage).verdict.value == "equal", "the fingerprints are all right"
    assert certificate(stage).mode == "fingerprint"
    with pytest.raises(ProofFailed, match=r"1 of 1 units differ.*note: the row gives '7'"):
        run.validate()
    assert findings(stage) == [
        ("altered", "e00001"),
        ("altered", "e00002"),
        ("altered", "e00003"),
    ]

    stage.client.request("DELETE", f"/{index}/_doc/e00005")
    put(stage, index, "copy", documents["e00006"])
    put(stage, index, "e00007", documents["e00007"] | {"logmigrate": {"high": 1, "low": 2}})
    with pytest.raises(ProofFailed):
        run.validate(sample=60)
    assert findings(stage) == [
        ("altered", "e00001"),
        ("altered", "e00002"),
        ("altered", "e00003"),
        ("extra", "copy"),
        ("missing", "e00005"),
        ("stale", "e00007"),
    ]

    # As the page says: delete what was altered, and run again.
    for key in ("e00001", "e00002", "e00003", "copy"):
        stage.client.request("DELETE", f"/{index}/_doc/{key}")
    again = stage.run()
    assert again.copy()[UNIT]["action"] == "repaired"
    assert again.prove()[UNIT]["verdict"] == "equal"
    assert findings(stage) == []
    report = again.swap(), again.report()["outcome"]
    assert report[1] == "completed"


def test_in_a_shared_index_each_tenant_s_documents_are_its_own(each_stage: Stage) -> None:
    stage = each_stage
    stage.configure(
        tenants=["acme", "other"],
        layout="shared",
        index={"shards": 2},
        proof={"mode": "full", "sample": 5},
    )
    stage.fill(40)
    stage.fill(30, tenant="other", first=100)
    runs = {tenant: stage.run(tenant) for tenant in ("acme", "other")}
    for run in runs.values():
        run.copy()
    assert [run.prove().popitem()[1]["rows"] for run in runs.values()] == [40, 30]
    with stage.ledger() as ledger:
        plan = ledger.plans.load(runs["other"].lanes[0]["plan"])
    [unit] = plan.units
    document = stage.documents(unit.index)["e00100"] | {"note": "tampered"}
    stage.client.request(
        "PUT",
        f"/{unit.index}/_doc/e00100",
        params={"routing": str(unit.routing)},
        body=json.dumps(document).encode(),
    )
    assert runs["acme"].prove().popitem()[1]["verdict"] == "equal"
    with pytest.raises(ProofFailed):
        runs["other"].prove()
    assert findings(stage, unit.key) == [("altered", "e00100")]


@pytest.mark.parametrize("schema", list(DifySchema))
def test_offloaded_content_and_every_read_strategy(
    opensearch_server: SearchEngine, stage_on: StageMaker, tmp_path: Path, schema: DifySchema
) -> None:
    files = tmp_path / "files"
    stage = stage_on(opensearch_server, events=False)
    loaded = load(stage.source_dsn, PROFILE, schema, files)
    tenant = PROFILE.tenant_ids[0]
    stage.configure(
        tenants=PROFILE.tenant_ids,
        pack="dify",
        streams=None,
        to=PROFILE.last_day,
        settle_lag="15m",
        offload={"url": f"file://{files}"},
    )
    run = stage.run(tenant, mode="full", sample=3)
    run.copy()
    assert {unit["verdict"] for unit in run.prove().values()} == {"equal"}
    [unit] = (u for u in run.lanes[0]["units"] if u.startswith("workflow_node_executions/"))
    proven = certificate(stage, unit)
    assert (proven.mode, proven.sampled) == ("full", proven.rows)
    assert proven.rows == loaded.counts.units[_counted(unit)].settled
    if schema is DifySchema.OLD:
        return

    index = stage.index(unit)
    inlined = {
        key: next(name for name in document if name.endswith("_offloaded"))
        for key, document in stage.documents(index).items()
        if any(name.endswith("_offloaded") for name in document)
    }
    whole = {key: stage.documents(index)[key] for key in inlined}
    altered, lost, *_ = sorted(inlined)
    put(stage, index, altered, whole[altered] | {inlined[altered]: "something else"})
    put(stage, index, lost, {k: v for k, v in whole[lost].items() if k != inlined[lost]})
    with pytest.raises(ProofFailed):
        run.validate()
    assert findings(stage, unit) == [("altered", altered), ("altered", lost)]

    for key in (altered, lost):
        put(stage, index, key, whole[key])
    for path in files.rglob("*"):
        if path.is_file():
            path.unlink()
    assert run.validate()[unit]["verdict"] == "equal"
    counts = certificate(stage, unit).tally.counts
    assert set(counts) == {"content"}
    assert counts["content"] >= len(inlined) >= 2


def _counted(key: str) -> tuple[str, str, str]:
    unit = Unit.from_key(key)
    return unit.stream, unit.tenant, unit.period.label
