"""Certificates."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_provider_logmigrate.core.certificate import (
    Certificate,
    Finding,
    FindingKind,
    Tally,
    Verdict,
)
from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.ledger.ledger import Ledger


@pytest.fixture
def certificate(unit: UnitPlan) -> Certificate:
    return Certificate(
        id="c-1",
        unit=unit.key,
        index=unit.index,
        definition=unit.definition,
        plan_hash="p",
        mode="fingerprint+sample",
        verdict=Verdict.DIFFERENT,
        rows=10,
        documents=9,
        held_back=1,
        pending=0,
        rejected=0,
        high=2**70 + 1,
        low=3,
        upper="2025-02-01T00:00:00+00:00",
        as_of="2025-03-01T00:00:00.123456+00:00",
        max_event_time="2025-01-31T23:59:59.999999+00:00",
        sampled=5,
        seed=42,
        tally=Tally(
            {"extra": 200}, (Finding(FindingKind.EXTRA, "an id with \0 and \ud800", "odd"),)
        ),
    )


def test_a_certificate_comes_back_exactly(ledger: Ledger, certificate: Certificate) -> None:
    ledger.certificates.save("dify", certificate)

    assert ledger.certificates.latest("dify", certificate.unit) == certificate


def test_the_certificate_saved_last_is_the_latest_whatever_its_clock_says(
    ledger: Ledger, certificate: Certificate
) -> None:
    second = replace(
        certificate, id="c-2", verdict=Verdict.EQUAL, as_of="2025-02-28T00:00:00+00:00"
    )
    ledger.certificates.save("dify", certificate)
    ledger.certificates.save("dify", second)
    ledger.certificates.save("dify", certificate)  # a repetition changes nothing

    assert ledger.certificates.latest("dify", certificate.unit) == second
    assert ledger.certificates.latest_by_unit("dify") == {certificate.unit: second}
    assert len(ledger.history.list(subject=f"dify/{certificate.unit}")) == 2


def test_only_exactly_this_unit_counts(ledger: Ledger, certificate: Certificate) -> None:
    ledger.certificates.save("dify", certificate)

    assert ledger.certificates.latest("dify", certificate.unit[:-1]) is None
    assert ledger.certificates.latest("elsewhere", certificate.unit) is None
    assert ledger.certificates.latest_by_unit("elsewhere") == {}
