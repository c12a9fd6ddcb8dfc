"""Repair of a unit that differs from its source: copy what lacks, remove what is told to, prove.

Every pass begins with a proof, whose findings say what to do, and a proof is the last thing, too.
So a pass over an equal unit costs one proof, and whatever becomes of a repair, killed in the middle
or overtaken by another attempt, the next pass sees it and goes on from there. No position is kept.

Guarantees: a document is only ever replaced by a newer read of its row, see :class:`Repairer`; none
is removed unless told so, and none whose row is in the source; a unit is called equal only by a
proof made after the last repair; the number of passes and of documents touched is bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from airflow_provider_logmigrate.core.certificate import Certificate, Finding, FindingKind, Verdict
from airflow_provider_logmigrate.core.clock import Stop
from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.core.purged import UNACCOUNTED
from airflow_provider_logmigrate.core.repair import Copied
from airflow_provider_logmigrate.core.verify import NO_TIME

REMOVED_AT_ONCE = 1_000
"""Documents looked up in the source and then deleted by one request: a second lies between."""

_COPIED = frozenset({FindingKind.MISSING, FindingKind.STALE, FindingKind.ALTERED})
_BEYOND = frozenset({UNACCOUNTED, NO_TIME})
"""Stand in findings for documents or rows without a name."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far a repair may go.

    :param passes: repairs of one unit at most; 0: it is only proven.
    :param max_documents: copied and removed in one unit at most, over all passes.
    :param remove_extras: remove documents that have no row.
    """

    passes: int = 3
    max_documents: int = 10_000
    remove_extras: bool = False


ONLY_PROVE = Bounds(passes=0, max_documents=0)


class Differences:
    """What one proof found, by key as far as there is room, in findings' order.

    :param room: keys that are kept at most.
    :param extras: keep those of documents without a row, too.
    """

    def __init__(self, *, room: int, extras: bool) -> None:
        self._room, self._extras = room, extras
        self._copy: dict[str, None] = {}
        self._remove: dict[str, None] = {}
        self.overflow = False
        self.altered = False

    def add(self, finding: Finding) -> None:
        """Take one finding; a document may have several."""
        if finding.key in _BEYOND:
            return
        if finding.kind in _COPIED:
            self.altered |= finding.kind is FindingKind.ALTERED
            self._keep(self._copy, finding.key)
        elif finding.kind is FindingKind.EXTRA and self._extras:
            self._keep(self._remove, finding.key)

    def _keep(self, keys: dict[str, None], key: str) -> None:
        if len(self._copy) + len(self._remove) < self._room:
            keys[key] = None
        elif key not in keys:
            self.overflow = True

    @property
    def copy(self) -> tuple[str, ...]:
        """Rows to copy."""
        return tuple(self._copy)

    @property
    def remove(self) -> tuple[str, ...]:
        """Documents to remove."""
        return tuple(self._remove)


@dataclass(frozen=True, slots=True)
class Repair:
    """What one pass does.

    :param copy: keys of rows.
    :param remove: ids of documents.
    :param hours: copy whole hours that differ, instead of single rows.
    :param refused: why nothing is done although something could be.
    """

    copy: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    hours: bool = False
    refused: str = ""

    @property
    def does_something(self) -> bool:
        """True unless there is nothing to do."""
        return bool(self.copy or self.remove or self.hours)


def plan_repair(found: Differences, bounds: Bounds, *, live: bool) -> Repair:
    """What to do about a proof's findings.

    More differences than allowed are no drift: another database, or one that was restored from a
    backup, so nothing at all is touched. Except in a period that is still open, which grows: there
    the hours that differ are copied anew.
    """
    if not found.overflow:
        return Repair(found.copy, found.remove)
    if live:
        return Repair(hours=True)
    return Repair(refused=f"more documents differ than the {bounds.max_documents:,} allowed")


@dataclass(frozen=True, slots=True)
class Removed:
    """What became of documents that were to be removed.

    :param kept: whose row is in the source, or which were written since.
    :param refused: why none was touched.
    """

    documents: int = 0
    kept: int = 0
    refused: str = ""


class Repairer(Protocol):
    """One unit, its proof and its repairs, as the attempt that holds it."""

    def prove(self, found: Differences, *, full: bool) -> Certificate:
        """Prove the unit now and keep the certificate.

        :param found: takes every finding.
        :param full: compare every document.
        """

    def copy(self, keys: Sequence[str]) -> Copied:
        """Copy rows anew, those of them that are still there and settled.

        The version of a document is the time of the read, as in every copy. So a repair beats what
        an earlier read has written and what somebody changed by hand, which adds 1, and loses to a
        newer read. No version is made up to win.
        """

    def copy_hours(self) -> Copied:
        """Copy the hours that differ."""

    def remove(self, ids: Sequence[str]) -> Removed:
        """Remove documents, see :func:`remove_documents`."""


@dataclass(slots=True)
class Reconciled:
    """What became of a unit.

    :param certificate: of the last proof.
    :param passes: repairs done.
    :param notes: what else should be known, for a unit that still differs above all.
    """

    certificate: Certificate
    passes: int = 0
    copied: int = 0
    removed: int = 0
    notes: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        """False if the unit still differs."""
        return self.certificate.verdict is not Verdict.DIFFERENT


def reconcile(work: Repairer, bounds: Bounds, *, live: bool, full: bool = False) -> Reconciled:
    """Prove a unit, and repair it until it is equal or a bound is reached.

    One altered document says that there may be others which the sample didn't hold: from then on
    every document is compared.

    :param live: the unit's period is still open.
    :param full: compare every document from the start.
    """
    touched = copied = removed = passes = 0
    notes: list[str] = []
    while True:
        room = max(0, bounds.max_documents - touched)
        found = Differences(room=room, extras=bounds.remove_extras)
        certificate = work.prove(found, full=full)
        full = full or found.altered
        if certificate.verdict is not Verdict.DIFFERENT or not bounds.passes:
            break
        repair = plan_repair(found, bounds, live=live)
        if repair.refused:
            notes.append(repair.refused)
        if not repair.does_something:
            break
        if passes == bounds.passes:
            notes.append(f"still different after {passes} repairs")
            break
        passes += 1
        done, taken = _carry_out(work, repair)
        copied += done.documents
        removed += taken.documents
        touched += len(repair.copy) + len(repair.remove)
        notes = _told(done, taken)
        if not (done.documents or taken.documents):
            # Nothing came of it. The rows may have gone meanwhile, so only a proof can tell.
            certificate = work.prove(Differences(room=0, extras=False), full=full)
            break
    return Reconciled(certificate, passes, copied, removed, tuple(notes))


def _carry_out(work: Repairer, repair: Repair) -> tuple[Copied, Removed]:
    if repair.hours:
        return work.copy_hours(), Removed()
    done = work.copy(repair.copy) if repair.copy else Copied(0)
    return done, work.remove(repair.remove) if repair.remove else Removed()


def _told(done: Copied, taken: Removed) -> list[str]:
    notes = []
    if done.superseded:
        notes.append(
            f"{done.superseded:,} documents have a version newer than now: somebody else wrote"
            " them, or the source's clock went back"
        )
    if taken.refused:
        notes.append(taken.refused)
    if taken.kept:
        notes.append(
            f"{taken.kept:,} documents without a row in this unit are kept: the source has a row of"
            " that key (of another tenant, month or state), or they were written again"
        )
    return notes


class RowLookup(Protocol):
    """A source that can be asked for keys."""

    def present(self, plan: UnitPlan, keys: Sequence[str]) -> tuple[int, frozenset[str]]:
        """Which keys its table has now, whoever's rows they are, settled or not.

        :returns: the time before it looked, as a version, and the keys.
        """


class Remover(Protocol):
    """A target whose documents can be removed by id."""

    def remove(self, plan: UnitPlan, ids: Sequence[str], *, version: int) -> int:
        """Remove the unit's documents of these ids that aren't newer than ``version``; how many."""


def remove_documents(
    plan: UnitPlan,
    ids: Sequence[str],
    *,
    source: RowLookup,
    target: Remover,
    permit: Callable[[Sequence[str]], str],
    stop: Stop,
) -> Removed:
    """Remove documents that have no row, each page looked up in the source right before.

    A key that the source has at that moment is kept, whatever tenant, time or state its row has
    by now; and so is a document written from a later read than this look.

    :param permit: asked with the very ids before each deletion; says why not, keeps them if so.
        :raises Fenced: another attempt has the unit.
    """
    removed = kept = 0
    for start in range(0, len(ids), REMOVED_AT_ONCE):
        stop.check(plan.key)
        page = ids[start : start + REMOVED_AT_ONCE]
        version, there = source.present(plan, page)
        alone = [key for key in page if key not in there]
        if not alone:
            kept += len(page)
            continue
        if why := permit(alone):
            return Removed(removed, kept, why)
        done = target.remove(plan, alone, version=version)
        removed += done
        kept += len(page) - done
    return Removed(removed, kept)
