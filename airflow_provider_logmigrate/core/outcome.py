"""How a run ended, computed from what is recorded; and the table of its units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from airflow_provider_logmigrate.core.certificate import Certificate, Verdict
from airflow_provider_logmigrate.core.plan import UnitPlan

_BAD = frozenset({"failed", "upstream_failed"})


class Outcome(str, Enum):
    """How a run ended."""

    COMPLETED = "completed"
    COMPLETED_WITH_FINDINGS = "completed_with_findings"
    INTERRUPTED = "interrupted"
    FAILED = "failed"

    @property
    def good(self) -> bool:
        """True if the run did what it was asked to."""
        return self in (Outcome.COMPLETED, Outcome.COMPLETED_WITH_FINDINGS)


@dataclass(frozen=True, slots=True)
class UnitReport:
    """One line of a run's table.

    :param rows: source rows in the period: settled, held back and pending ones.
    :param rate: documents per second while copying, ``None`` if nothing was copied in this run.
    :param verdict: of the certificate, ``None`` without one of this plan's index.
    :param findings: source findings (for example offloaded content that is missing).
    """

    stream: str
    period: str
    unit: str
    index: str
    rows: int
    held_back: int
    pending: int
    documents: int
    rejected: int
    rate: float | None
    verdict: str | None
    certificate: str | None
    findings: int
    withheld: str | None
    waived: int = 0

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def of(
        cls,
        unit: UnitPlan,
        certificate: Certificate | None,
        *,
        copied: Mapping[str, Any],
        findings: int,
        withheld: str | None,
    ) -> UnitReport:
        """Put a unit's plan, certificate and this run's copy counts together."""
        if certificate is not None and (
            certificate.index != unit.index or certificate.definition != unit.definition
        ):
            certificate = None
        seconds = float(copied.get("seconds", 0))
        written = int(copied.get("written", copied.get("documents", 0)))
        moved = copied.get("action") in ("copied", "resumed", "repaired")
        return cls(
            stream=unit.unit.stream,
            period=unit.unit.period.label,
            unit=unit.key,
            index=unit.index,
            rows=certificate.rows + certificate.held_back + certificate.pending
            if certificate
            else (unit.estimate.rows + unit.estimate.held_back if unit.estimate else 0),
            held_back=certificate.held_back if certificate else 0,
            pending=certificate.pending if certificate else 0,
            documents=certificate.documents if certificate else 0,
            rejected=certificate.rejected if certificate else 0,
            rate=written / seconds if moved and seconds > 0 else None,
            verdict=certificate.verdict.value if certificate else None,
            certificate=certificate.id if certificate else None,
            findings=findings,
            withheld=withheld,
            waived=certificate.waived if certificate else 0,
        )


def outcome_of(
    units: Sequence[UnitReport], *, task_states: Iterable[str], dry_run: bool
) -> Outcome:
    """Decide a run's outcome.

    * a failed task or a differing unit: ``failed``;
    * a skipped task or a unit without a certificate although nothing failed (somebody rejected
      the approval): ``interrupted``, whatever certificates earlier runs have left;
    * rejected, waived, withheld or odd rows: ``completed_with_findings``.
    """
    verdicts = {unit.verdict for unit in units}
    states = set(task_states)
    if _BAD & states or (Verdict.DIFFERENT.value in verdicts and not dry_run):
        return Outcome.FAILED
    if dry_run:
        return Outcome.COMPLETED
    if None in verdicts or (units and "skipped" in states):
        return Outcome.INTERRUPTED
    odd = any(u.rejected or u.waived or u.findings or u.withheld for u in units)
    return Outcome.COMPLETED_WITH_FINDINGS if odd else Outcome.COMPLETED
