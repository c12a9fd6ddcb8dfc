"""Certificates: counted in full, listed in part, stored and read back unchanged."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from airflow_provider_logmigrate.core.certificate import (
    MAX_LISTED,
    Certificate,
    Finding,
    FindingKind,
    Tally,
    TallyBuilder,
    Verdict,
)

PLAIN = Certificate(
    id="c1",
    unit="runs/t1/2025-01",
    index="dify-runs-t1-2025.01-v1",
    definition="d1",
    plan_hash="p1",
    mode="fingerprint+sample",
    verdict=Verdict.EQUAL,
    rows=2**40,
    documents=2**40,
    held_back=1,
    pending=2,
    rejected=0,
    high=2**60 + 1,
    low=2**61 + 1,
    upper="2025-02-01T00:00:00+00:00",
    as_of="2026-01-01T00:00:00+00:00",
    max_event_time=None,
    sampled=100,
    seed=42,
)


@pytest.mark.parametrize("kind", list(FindingKind))
@pytest.mark.parametrize("verdict", list(Verdict))
def test_it_survives_json(kind: FindingKind, verdict: Verdict) -> None:
    tally = TallyBuilder()
    tally.add(Finding(kind, 'k"\u2028ä', "detail\n"))
    tally.add(Finding(kind, "*"))
    certificate = replace(PLAIN, verdict=verdict, tally=tally.build(), max_event_time="t")
    assert Certificate.from_json(json.loads(json.dumps(certificate.to_json()))) == certificate
    assert Certificate.from_json(json.loads(json.dumps(PLAIN.to_json()))) == PLAIN


def test_all_findings_are_counted_and_the_first_are_listed() -> None:
    tally = TallyBuilder()
    for n in range(5000):
        kind = FindingKind.MISSING if n % 2 else FindingKind.STALE
        tally.add(Finding(kind, f"k{n}"))
    assert tally.count(FindingKind.MISSING) == 2500
    built = tally.build()
    assert (built.of(FindingKind.MISSING), built.of(FindingKind.STALE)) == (2500, 2500)
    assert built.of(FindingKind.EXTRA) == 0
    assert [finding.key for finding in built.listed] == [f"k{n}" for n in range(MAX_LISTED)]
    tally.add(Finding(FindingKind.EXTRA, "later"))
    assert built.of(FindingKind.EXTRA) == 0


@pytest.mark.parametrize(
    ("verdict", "rejected", "accepted", "allowed"),
    [
        (Verdict.EQUAL, 0, 0, True),
        (Verdict.EQUAL_BUT_REJECTED, 3, 0, False),
        (Verdict.EQUAL_BUT_REJECTED, 3, 2, False),
        (Verdict.EQUAL_BUT_REJECTED, 3, 3, True),
        (Verdict.DIFFERENT, 0, 0, False),
        (Verdict.DIFFERENT, 3, 1000, False),
    ],
)
def test_what_may_be_cut_over(
    verdict: Verdict, rejected: int, accepted: int, allowed: bool
) -> None:
    certificate = replace(PLAIN, verdict=verdict, rejected=rejected)
    assert certificate.allows_cutover(accept_rejected=accepted) is allowed
    assert not replace(certificate, mode="count").allows_cutover(accept_rejected=accepted)
    assert replace(certificate, waived=9).allows_cutover(accept_rejected=accepted) is allowed


@pytest.mark.parametrize("damage", [{"verdict": "fine"}, {"unknown": 1}, {"tally": {}}])
def test_a_damaged_record_is_no_certificate(damage: dict[str, object]) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        Certificate.from_json(PLAIN.to_json() | damage)


def test_an_empty_tally_has_nothing() -> None:
    assert TallyBuilder().build() == Tally()
