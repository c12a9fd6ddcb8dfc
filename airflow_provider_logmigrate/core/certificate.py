"""Findings of a proof and the certificate that keeps them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

MAX_LISTED = 100
"""Findings listed by id in a certificate; all are counted."""


class ProofMode(str, Enum):
    """How closely a unit is compared."""

    COUNT = "count"
    """Numbers of rows only: enough to look, not to cut over or to purge."""
    FINGERPRINT = "fingerprint"
    """Keys and fingerprints of all rows."""
    SAMPLE = "sample"
    """And some documents field by field."""
    FULL = "full"
    """And all documents byte by byte."""


class FindingKind(str, Enum):
    """How a document can differ from its row."""

    MISSING = "missing"
    """The row has no document."""
    EXTRA = "extra"
    """The document has no row."""
    STALE = "stale"
    """The fingerprints differ: one side changed after the copy."""
    ALTERED = "altered"
    """The document's content isn't the row's, whatever its stored fingerprint says."""
    DUPLICATE = "duplicate"
    """Two documents stand for one row."""
    REJECTED = "rejected"
    """The row is in the dead letters: the engine refused its document."""
    WAIVED = "waived"
    """So it is, and somebody has waived it, with a reason."""
    CONTENT = "content"
    """Offloaded content is missing or was cut; the row itself is whole."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference, by key."""

    kind: FindingKind
    key: str
    detail: str = ""


class Verdict(str, Enum):
    """What a proof says."""

    EQUAL = "equal"
    """Every settled row has its document and no other document is there."""
    EQUAL_BUT_REJECTED = "equal_but_rejected"
    """Equal but for rows that stand in the dead letters, waived ones included."""
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of findings by kind; the list is cut, the counts aren't."""

    counts: Mapping[str, int] = field(default_factory=dict)
    listed: tuple[Finding, ...] = ()

    def of(self, kind: FindingKind) -> int:
        """How many findings of this kind."""
        return self.counts.get(kind.value, 0)


class TallyBuilder:
    """Collects findings in bounded memory.

    :param each: told every one.
    """

    def __init__(self, each: Callable[[Finding], None] | None = None) -> None:
        self._each = each
        self._counts: dict[str, int] = {}
        self._listed: list[Finding] = []

    def add(self, finding: Finding) -> None:
        """Count it; list it while there is room."""
        if self._each is not None:
            self._each(finding)
        self._counts[finding.kind.value] = self._counts.get(finding.kind.value, 0) + 1
        if len(self._listed) < MAX_LISTED:
            self._listed.append(finding)

    def count(self, kind: FindingKind) -> int:
        """How many findings of this kind so far."""
        return self._counts.get(kind.value, 0)

    def build(self) -> Tally:
        """The result."""
        return Tally(dict(self._counts), tuple(self._listed))


@dataclass(frozen=True, slots=True)
class Certificate:
    """The stored proof of one unit.

    :param mode: what was compared: ``count``, ``fingerprint``, ``fingerprint+sample`` or ``full``.
    :param rows: settled source rows in range at the time of the proof.
    :param documents: documents in the unit's index.
    :param held_back: unsettled rows, not copied, never purged.
    :param pending: rows younger than the settle lag.
    :param rejected: rows in the dead letters; ``waived``: those that somebody has waived.
    :param high, low: sums of the source's fingerprint halves: what a later re-check compares; 0
        in the mode ``count``.
    :param upper: event time up to which the source was compared (exclusive, ISO 8601).
    :param as_of: when the proof was made (ISO 8601, UTC).
    :param max_event_time: the data's real age (ISO 8601), ``None`` for an empty unit.
    :param sampled: documents compared field by field; ``seed`` repeats the choice.
    :param by_hand: the statement and the request that give the certificate's sums, for anybody
        with a SQL shell and an HTTP client.
    """

    id: str
    unit: str
    index: str
    definition: str
    plan_hash: str
    mode: str
    verdict: Verdict
    rows: int
    documents: int
    held_back: int
    pending: int
    rejected: int
    high: int
    low: int
    upper: str
    as_of: str
    max_event_time: str | None
    sampled: int
    seed: int
    tally: Tally = field(default_factory=Tally)
    waived: int = 0
    by_hand: Mapping[str, Any] = field(default_factory=dict)

    @property
    def compares_rows(self) -> bool:
        """False if only their number was looked at: nothing may be switched or deleted by that."""
        return self.mode != ProofMode.COUNT.value

    def allows_cutover(self, *, accept_rejected: int = 0) -> bool:
        """True for an equal unit, or one whose dead letters the user accepted up to a number.

        Waived ones were accepted one by one.
        """
        if not self.compares_rows:
            return False
        if self.verdict is Verdict.EQUAL_BUT_REJECTED:
            return self.rejected <= accept_rejected
        return self.verdict is Verdict.EQUAL

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values for the ledger."""
        record = asdict(self)
        record["verdict"] = self.verdict.value
        record["tally"] = {
            "counts": dict(self.tally.counts),
            "listed": [[f.kind.value, f.key, f.detail] for f in self.tally.listed],
        }
        return record

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Certificate:
        """Inverse of :meth:`to_json`."""
        values = dict(record)
        tally = values.pop("tally")
        verdict = Verdict(values.pop("verdict"))
        listed = tuple(Finding(FindingKind(k), key, d) for k, key, d in tally["listed"])
        return cls(**values, verdict=verdict, tally=Tally(tally["counts"], listed))
