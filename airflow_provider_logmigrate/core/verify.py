"""Proof of a unit: fingerprints of every row by hour, then a random deep sample.

What it proves: with verdict ``equal``, the set of (key, fingerprint) pairs of all settled rows
before ``upper`` equals the set the index holds, up to a collision of 64-bit sums; and the sampled
documents equal their rows field by field. What it doesn't prove: that an unsampled document's
``_source`` is what its stored fingerprint was computed from.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime

from airflow_provider_logmigrate.core.certificate import (
    Finding,
    FindingKind,
    Tally,
    TallyBuilder,
    Verdict,
)
from airflow_provider_logmigrate.core.compare import RowComparer
from airflow_provider_logmigrate.core.errors import TargetUnavailable
from airflow_provider_logmigrate.core.fingerprint import Summary, differing_hours
from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.core.ports import KeyPrint, Source, Target

STALE_REMEMBERED = 100_000
"""Keys of stale documents kept in memory, some 10 MB; a sample meets few of more."""

SAMPLE_PAGE = 100
"""Rows fetched at once for the deep sample."""


@dataclass(frozen=True, slots=True)
class Proof:
    """Both summaries and everything that differs."""

    source: Summary
    target: Summary
    verdict: Verdict
    tally: Tally
    sampled: int


def prove(
    *,
    source: Source,
    target: Target,
    plan: UnitPlan,
    upper: datetime,
    rejected: Collection[str],
    comparer: RowComparer,
    sample: int,
    seed: int,
) -> Proof:
    """Compare a unit's two sides.

    :param upper: compare settled rows before this event time (exclusive).
    :param rejected: keys in the unit's dead letters: expected to be missing.
    :param sample: documents to compare field by field.
    :param seed: repeats the random choice.
    :raises TargetUnavailable: the index has documents, but none came for the sample.
    """
    left = source.summarise(plan, upper=upper)
    right = target.summarise(plan)
    tally = TallyBuilder()
    stale: set[str] = set()
    for hour in differing_hours(left, right):
        pairs = merge(source.keys(plan, hour=hour, upper=upper), target.keys(plan, hour=hour))
        for finding in _compare_keys(pairs, rejected):
            tally.add(finding)
            if finding.kind is FindingKind.STALE and len(stale) < STALE_REMEMBERED:
                stale.add(finding.key)
    if right.outside:
        tally.add(Finding(FindingKind.EXTRA, "*", f"{right.outside} documents have no event time"))
    held = right.total.count + right.outside
    sampled = _compare_sample(
        source, target, plan, comparer, sample, seed, tally, held=held, stale=stale
    )
    found = tally.build()
    return Proof(left, right, _verdict(found), found, sampled)


def _verdict(tally: Tally) -> Verdict:
    differing = set(tally.counts) - {FindingKind.REJECTED.value}
    if differing:
        return Verdict.DIFFERENT
    return Verdict.EQUAL_BUT_REJECTED if tally.of(FindingKind.REJECTED) else Verdict.EQUAL


def merge(
    left: Iterator[KeyPrint], right: Iterator[KeyPrint]
) -> Iterator[tuple[KeyPrint | None, KeyPrint | None]]:
    """Join two streams ordered by the key's bytes; memory stays flat.

    A key that stands twice on one side meets its partner once; the repetition comes alone.
    """
    a, b = next(left, None), next(right, None)
    while a is not None or b is not None:
        a_key = a.key.encode() if a else None
        b_key = b.key.encode() if b else None
        if b_key is None or (a_key is not None and a_key < b_key):
            yield a, None
            a = next(left, None)
        elif a_key is None or b_key < a_key:
            yield None, b
            b = next(right, None)
        else:
            yield a, b
            a, b = next(left, None), next(right, None)


def _compare_keys(
    pairs: Iterator[tuple[KeyPrint | None, KeyPrint | None]], rejected: Collection[str]
) -> Iterator[Finding]:
    last_key: str | None = None
    for row, document in pairs:
        if document is None and row is not None:
            kind = FindingKind.REJECTED if row.key in rejected else FindingKind.MISSING
            yield Finding(kind, row.key)
        elif row is None and document is not None:
            kind = FindingKind.DUPLICATE if document.key == last_key else FindingKind.EXTRA
            yield Finding(kind, document.key)
        elif row is not None and document is not None:
            if (row.high, row.low) != (document.high, document.low):
                yield Finding(FindingKind.STALE, row.key, "fingerprints differ")
            last_key = row.key


def _compare_sample(
    source: Source,
    target: Target,
    plan: UnitPlan,
    comparer: RowComparer,
    size: int,
    seed: int,
    tally: TallyBuilder,
    *,
    held: int,
    stale: Collection[str],
) -> int:
    if size <= 0:
        return 0
    documents = target.sample(plan, size=size, seed=seed)
    if held and not documents:
        raise TargetUnavailable(
            f"the index has {held:,} documents but returned none for the sample",
            where=plan.index,
        )
    for start in range(0, len(documents), SAMPLE_PAGE):
        page = documents[start : start + SAMPLE_PAGE]
        rows = dict(source.rows(plan, [key for key, _ in page]))
        for key, document in page:
            if key not in rows:
                # The fingerprints have named it, unless it carries those of another row.
                if not tally.count(FindingKind.EXTRA) + tally.count(FindingKind.DUPLICATE):
                    tally.add(Finding(FindingKind.EXTRA, key, "found by the sample: no such row"))
                continue
            if key in stale:
                continue  # one cause, one finding: the row changed after the copy
            for difference in comparer.differences(rows[key], document):
                tally.add(Finding(FindingKind.ALTERED, key, difference))
    return len(documents)
