"""Findings of the read."""

from __future__ import annotations

import pytest

from airflow_provider_logmigrate.core.errors import Fenced
from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.core.ports import SourceFinding
from airflow_provider_logmigrate.ledger.ledger import Ledger


def test_findings_are_kept_once_with_the_newest_detail(ledger: Ledger, unit: UnitPlan) -> None:
    ledger.units.claim("dify", unit, attempt=1, holder="run")
    first = SourceFinding("offload_missing", "k1", "file a")
    ledger.findings.add("dify", unit.key, [first, first], attempt=1)
    ledger.findings.add(
        "dify",
        unit.key,
        [
            SourceFinding("offload_missing", "k1", "file b\0"),
            SourceFinding("offload_cut", "k1", "z" * 5000),
        ],
        attempt=1,
    )

    assert ledger.findings.list("dify", unit.key) == [
        SourceFinding("offload_missing", "k1", "file b\u2400"),
        SourceFinding("offload_cut", "k1", "z" * 1999 + "…"),
    ]
    assert ledger.findings.counts("dify") == {unit.key: {"offload_cut": 1, "offload_missing": 1}}


def test_an_old_attempt_adds_nothing(ledger: Ledger, unit: UnitPlan) -> None:
    ledger.units.claim("dify", unit, attempt=2, holder="retry")

    with pytest.raises(Fenced):
        ledger.findings.add("dify", unit.key, [SourceFinding("odd", "k", "")], attempt=1)

    assert ledger.findings.list("dify", unit.key) == []
