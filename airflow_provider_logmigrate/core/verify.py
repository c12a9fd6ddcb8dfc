"""Proof of a unit: fingerprints of every row by hour, a random deep sample, every document.

What each mode proves is written in docs/concepts/proof.md. With fingerprints and the verdict
``equal``, the set of (key, fingerprint) pairs of all settled rows before ``upper`` equals the set
the index holds, up to a collision of 64-bit sums; and the sampled documents equal their rows field
by field. Unless it is a full proof, it doesn't prove that an unsampled document's ``_source`` is
what its stored fingerprint was computed from.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from airflow_provider_logmigrate.core.certificate import (
    Finding,
    FindingKind,
    Tally,
    TallyBuilder,
    Verdict,
)
from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.compare import RowComparer
from airflow_provider_logmigrate.core.errors import SourceUnavailable, TargetUnavailable
from airflow_provider_logmigrate.core.fingerprint import Summary, differing_buckets, differing_hours
from airflow_provider_logmigrate.core.full_proof import compare_all
from airflow_provider_logmigrate.core.guard import SourceGuard
from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.core.ports import KeyPrint, Source, Target
from airflow_provider_logmigrate.core.together import both

STALE_REMEMBERED = 100_000
"""Keys of stale documents kept in memory, some 10 MB; a sample meets few of more."""

_REFUSED = frozenset({FindingKind.REJECTED, FindingKind.WAIVED})
"""Rows in the dead letters: no difference."""

_DOCUMENTS_ONLY = frozenset({FindingKind.EXTRA, FindingKind.DUPLICATE})
"""What a look from the rows to their documents can't see."""

NO_TIME = "*"
"""Stands in a finding for all documents without an event time, which no hour lists."""

HOURS_AT_ONCE = 200
"""Hours listed by one query on each side, in which drift is usually scattered: an hour of its own
costs some 15 ms, however few keys it has."""

MOST_MINUTES = 800
"""Minutes looked for by one query: engines allow 1,024 clauses. Where more of them differ, or more
hours than are listed at once, these aren't a few scattered rows, and whole hours are listed."""

SAMPLE_PAGE = 100
"""Rows fetched at once for the deep sample."""


@dataclass(frozen=True, slots=True)
class Proof:
    """Both summaries and everything that differs.

    :param sampled: documents whose content was compared, chosen at random or all of them.
    """

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
    full: bool = False,
    prints: bool = True,
    waived: Collection[str] = (),
    stop: Stop | None = None,
    guard: SourceGuard | None = None,
    each: Callable[[Finding], None] | None = None,
    before: Proof | None = None,
) -> Proof:
    """Compare a unit's two sides.

    :param upper: compare settled rows before this event time (exclusive).
    :param rejected: keys in the unit's dead letters: expected to be missing.
    :param sample: documents to compare field by field.
    :param seed: repeats the random choice.
    :param full: compare all documents as well, see :mod:`.full_proof`.
    :param prints: False: compare the hours' numbers of rows only; what differs is still named.
    :param waived: keys in dead letters that were waived: expected to be missing as well.
    :param stop: ends that; ``guard`` spares the source meanwhile.
    :param each: takes every finding, of which the tally lists the first ones only.
    :param before: a proof of a closed period a moment ago, after which its differences were
        repaired: rows of hours that were equal aren't summed up again.
    :raises TargetUnavailable: the index has documents, but none came for the sample.
    :raises SourceUnavailable: rows vanished during a full proof, so that it proves nothing.
    """
    left, right = both(
        lambda: _source_side(source, plan, upper=upper, prints=prints, before=before),
        lambda: target.summarise(plan, prints=prints),
    )
    work = _Work(source, target, plan, upper, excused(rejected, waived), comparer, each)
    if left.gone:
        work.hours_at_once = 1  # each hour with purged rows is accounted for by itself
    differing = set(differing_hours(left, right))
    if full:
        # It looks at the rows' side once more, row by row.
        work.list_hours(differing, only=_DOCUMENTS_ONLY)
    elif left.gone or not prints or len(differing) > HOURS_AT_ONCE:
        work.list_hours(differing, only=frozenset(FindingKind))
    else:
        work.list_minutes(differing)
    if right.outside:
        text = f"{right.outside} documents have no event time"
        work.tally.add(Finding(FindingKind.EXTRA, NO_TIME, text))
    rows = None
    if full:
        there = left.total.count - left.gone
        lacking, rows = work.compare_all(there, stop=stop or Stop(), guard=guard)
        # A document under a wrong id leaves its hour's sums as they are; only its row tells.
        work.list_hours(lacking - differing, only=_DOCUMENTS_ONLY)
    held = right.total.count + right.outside
    sampled = work.compare_sample(sample, seed, held=held, gone=left.gone)
    found = work.tally.build()
    return Proof(left, right, _verdict(found), found, sampled if rows is None else rows)


def _source_side(
    source: Source, plan: UnitPlan, *, upper: datetime, prints: bool, before: Proof | None
) -> Summary:
    if before is None or before.source.gone:
        return source.summarise(plan, upper=upper, prints=prints)
    hours = frozenset(differing_hours(before.source, before.target))
    if not hours:
        return before.source
    now = source.summarise(plan, upper=upper, prints=prints, hours=hours)
    if now.gone:
        return now
    buckets = {h: b for h, b in before.source.buckets.items() if h not in hours}
    return replace(before.source, buckets=buckets | dict(now.buckets))


class _Work:
    """The steps of one proof, and what they find.

    :ivar named: keys that a finding names already: one cause, one finding.
    """

    def __init__(
        self,
        source: Source,
        target: Target,
        plan: UnitPlan,
        upper: datetime,
        excused: Mapping[str, FindingKind],
        comparer: RowComparer,
        each: Callable[[Finding], None] | None,
    ) -> None:
        self._source, self._target, self._plan = source, target, plan
        self._upper, self._excused, self._comparer = upper, excused, comparer
        self.tally = TallyBuilder(each)
        self.named: set[str] = set()
        self.hours_at_once = HOURS_AT_ONCE

    def list_hours(self, hours: Collection[datetime], *, only: Collection[FindingKind]) -> None:
        """List hours key by key on both sides, several at once, oldest first.

        :param only: findings that count here.
        """
        listed = sorted(hours)
        for start in range(0, len(listed), self.hours_at_once):
            self._list(listed[start : start + self.hours_at_once], only)

    def list_minutes(self, hours: Collection[datetime]) -> None:
        """List of a few hours the minutes that differ: one more look at the hours' sums spares both
        sides to list the keys of all other minutes.

        An hour that has no such minute by now is listed whole.
        """
        if not hours:
            return
        minutes = self._differing_minutes(sorted(hours))
        if len(minutes) > MOST_MINUTES:
            minutes = []
        narrowed = {minute.replace(minute=0) for minute in minutes}
        if minutes:
            self._list(sorted(narrowed), frozenset(FindingKind), minutes)
        self.list_hours(set(hours) - narrowed, only=frozenset(FindingKind))

    def _differing_minutes(self, hours: Sequence[datetime]) -> list[datetime]:
        rows, documents = both(
            lambda: (
                self._source.summarise(
                    self._plan, upper=self._upper, hours=hours, minutes=True
                ).buckets
            ),
            lambda: self._target.minutes(self._plan, hours=hours),
        )
        looked = frozenset(hours)
        return [m for m in differing_buckets(rows, documents) if m.replace(minute=0) in looked]

    def _list(
        self,
        hours: Sequence[datetime],
        only: Collection[FindingKind],
        minutes: Collection[datetime] | None = None,
    ) -> None:
        """List some hours; one by one, if nothing in them explains why their sums differ.

        A document that has moved to another hour keeps its key and its fingerprint, so beside that
        hour it looks as if it were in its place.
        """
        explained = len(hours) == 1 and minutes is None
        waiting: list[Finding] = []  # no more of them than dead letters
        pairs = merge(
            self._source.keys(self._plan, hours=hours, upper=self._upper, minutes=minutes),
            self._target.keys(self._plan, hours=hours, minutes=minutes),
        )
        for finding in _compare_keys(pairs, self._excused):
            if finding.kind not in only:
                continue
            if not explained and finding.kind in _REFUSED:
                waiting.append(finding)
                continue
            explained = True
            while waiting:
                self._take(waiting.pop(0))
            self._take(finding)
        if not explained:
            for hour in hours:
                self._list([hour], only)

    def _take(self, finding: Finding) -> None:
        self.tally.add(finding)
        if finding.kind is FindingKind.STALE and len(self.named) < STALE_REMEMBERED:
            self.named.add(finding.key)

    def compare_all(
        self, counted: int, *, stop: Stop, guard: SourceGuard | None
    ) -> tuple[set[datetime], int]:
        """The full proof; hours in which a row has no document, and how many rows there were.

        :param counted: rows of the source's summary.
        """
        compared = compare_all(
            source=self._source,
            target=self._target,
            plan=self._plan,
            upper=self._upper,
            excused=self._excused,
            comparer=self._comparer,
            tally=self.tally,
            stop=stop,
            guard=guard,
        )
        if compared.rows < counted:
            # More is no harm: what was settled meanwhile was compared.
            raise SourceUnavailable(
                f"{counted:,} rows were counted, and a moment later {compared.rows:,} were read:"
                " rows are being deleted, or the read strategy doesn't find them",
                where=self._plan.key,
                counted=counted,
                compared=compared.rows,
            )
        self.named.update(compared.named)
        return set(compared.lacking), compared.rows

    def compare_sample(self, size: int, seed: int, *, held: int, gone: int = 0) -> int:
        """Compare random documents with their rows; how many there were.

        :param held: documents of the index.
        :param gone: purged rows: a document without a row may be one of theirs.
        """
        if size <= 0:
            return 0
        documents = self._target.sample(self._plan, size=size, seed=seed)
        if held and not documents:
            raise TargetUnavailable(
                f"the index has {held:,} documents but returned none for the sample",
                where=self._plan.index,
            )
        compared = 0
        for start in range(0, len(documents), SAMPLE_PAGE):
            compared += self._compare_page(documents[start : start + SAMPLE_PAGE], gone=gone)
        return compared

    def _compare_page(self, page: list[tuple[str, dict[str, Any]]], *, gone: int) -> int:
        rows = dict(self._source.rows(self._plan, [key for key, _ in page]))
        for key, document in page:
            if key not in rows and gone:
                continue  # the hours' sums have accounted for it
            if key not in rows:
                # The fingerprints have named it, unless it carries those of another row.
                known = FindingKind.EXTRA, FindingKind.DUPLICATE
                if not sum(self.tally.count(kind) for kind in known):
                    text = "found by the sample: no such row"
                    self.tally.add(Finding(FindingKind.EXTRA, key, text))
                continue
            if key in self.named:
                continue
            for difference in self._comparer.differences(rows[key], document):
                self.tally.add(Finding(FindingKind.ALTERED, key, difference))
        return len(rows) if gone else len(page)


def _verdict(tally: Tally) -> Verdict:
    found = {FindingKind(kind) for kind in tally.counts}
    # Content that can't be read any more decides nothing, either way; it is counted.
    if found - _REFUSED - {FindingKind.CONTENT}:
        return Verdict.DIFFERENT
    return Verdict.EQUAL_BUT_REJECTED if found & _REFUSED else Verdict.EQUAL


def excused(rejected: Collection[str], waived: Collection[str]) -> dict[str, FindingKind]:
    """Keys whose documents may be missing, and what to call that."""
    return dict.fromkeys(rejected, FindingKind.REJECTED) | dict.fromkeys(waived, FindingKind.WAIVED)


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
    pairs: Iterator[tuple[KeyPrint | None, KeyPrint | None]], excused: Mapping[str, FindingKind]
) -> Iterator[Finding]:
    last_key: str | None = None
    for row, document in pairs:
        if document is None and row is not None:
            yield Finding(excused.get(row.key, FindingKind.MISSING), row.key)
        elif row is None and document is not None:
            kind = FindingKind.DUPLICATE if document.key == last_key else FindingKind.EXTRA
            yield Finding(kind, document.key)
        elif row is not None and document is not None:
            if (row.high, row.low) != (document.high, document.low):
                yield Finding(FindingKind.STALE, row.key, "fingerprints differ")
            last_key = row.key
