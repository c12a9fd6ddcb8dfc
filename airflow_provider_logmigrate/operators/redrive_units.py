"""Sends the rows of dead letters again, unit by unit, and proves each unit.

A row is read anew from the source by its key, so the newest content is sent, under the version of
this read. The refused document itself is never sent: without its row it would be a document that no
row stands behind, which a proof calls ``extra``, and somebody may have deleted the row on purpose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_logmigrate.core.certificate import ProofMode, Verdict
from airflow_provider_logmigrate.core.checkpoint import Phase
from airflow_provider_logmigrate.core.clock import SystemClock
from airflow_provider_logmigrate.core.errors import Fenced, PlanUnusable
from airflow_provider_logmigrate.core.repair import copy_keys
from airflow_provider_logmigrate.ledger.dead_letters import Choice, LetterState
from airflow_provider_logmigrate.ledger.journal import LedgerJournal
from airflow_provider_logmigrate.operators.certify import certify_unit

if TYPE_CHECKING:
    from airflow_provider_logmigrate.core.certificate import Certificate
    from airflow_provider_logmigrate.core.clock import Stop
    from airflow_provider_logmigrate.core.plan import UnitPlan
    from airflow_provider_logmigrate.hooks.assembly import Workbench
    from airflow_provider_logmigrate.ledger.ledger import Ledger

CHANGED = (
    "columns, mapping or configuration changed since it was copied: the tenant's DAG builds the"
    " next version of the index, with these documents in it"
)


@dataclass(frozen=True, slots=True)
class Redriven:
    """What became of a unit's dead letters.

    :param letters: that were chosen.
    :param arrived: whose documents the target has now.
    :param refused: that the target refused again.
    :param left: of which there is no settled row to send, or whose documents still differ.
    :param verdict: of the proof made after, with the certificate's id.
    :param why: nothing was sent, for this reason.
    """

    unit: str
    letters: int
    arrived: int = 0
    refused: int = 0
    left: int = 0
    verdict: str | None = None
    certificate: str | None = None
    why: str | None = None

    @property
    def good(self) -> bool:
        """True if every letter has got through and the unit doesn't differ."""
        return self.arrived == self.letters and self.verdict != Verdict.DIFFERENT.value


def redrive(
    bench: Workbench, ledger: Ledger, choice: Choice, *, holder: str, stop: Stop, log: Any
) -> list[Redriven]:
    """Send the open dead letters of a choice again; one result per unit.

    Idempotent, and harmless beside any other attempt: documents have versions, and each unit is
    claimed, so an attempt that was overtaken leaves the rest of it to the newer one.

    :param holder: who does it, for those who look at the ledger.
    """
    keys: dict[str, list[str]] = {}
    for letter in ledger.dead_letters.list(bench.migration.name, choice, limit=None):
        keys.setdefault(letter.unit, []).append(letter.key)
    done = []
    for unit, wanted in sorted(keys.items()):
        stop.check(unit)
        try:
            found = _Unit(bench, ledger, unit, holder=holder, stop=stop, log=log).redrive(wanted)
        except (PlanUnusable, Fenced) as error:
            found = Redriven(unit, len(wanted), why=error.what)
        if found.why:
            log.warning("%s: %s dead letters aren't sent: %s", unit, found.letters, found.why)
        else:
            log.info(
                "%s: of %s dead letters %s arrived, %s were refused again, %s are left; %s",
                *(unit, found.letters, found.arrived, found.refused, found.left, found.verdict),
            )
        done.append(found)
    return done


class _Unit:
    """One unit, as the attempt that claims it."""

    def __init__(
        self, bench: Workbench, ledger: Ledger, unit: str, *, holder: str, stop: Stop, log: Any
    ) -> None:
        self._bench, self._ledger, self._unit = bench, ledger, unit
        self._holder, self._stop, self._log = holder, stop, log
        self._migration = bench.migration

    def redrive(self, keys: Sequence[str]) -> Redriven:
        """Send the rows of these keys, then prove the unit.

        :raises PlanUnusable: the unit isn't in a state in which single rows can be sent.
        :raises Fenced: a newer attempt has the unit.
        """
        plan, plan_hash = self._plan()
        attempt = self._ledger.units.begin_attempt()
        name, clock = self._migration.name, SystemClock()
        copy_keys(
            keys,
            source=self._bench.source,
            target=self._bench.target,
            journal=LedgerJournal(
                ledger=self._ledger,
                migration=name,
                attempt=attempt,
                on_progress=lambda progress: self._log.info("%s", progress.line()),
            ),
            plan=plan,
            previous=self._ledger.units.claim(name, plan, attempt=attempt, holder=self._holder),
            settle_lag=self._migration.settle_lag,
            limits=self._migration.limits.copy,
            clock=clock,
            stop=self._stop,
            pace=self._bench.pace(clock=clock),
        )
        certificate = self._certify(plan, plan_hash)
        standing = {
            letter.key: letter
            for letter in self._ledger.dead_letters.list(
                name, Choice(units=[plan.key]), state=None, limit=None
            )
            if letter.state is not LetterState.REDRIVEN
        }
        still = [standing[key] for key in keys if key in standing]
        refused = sum(letter.attempt == attempt for letter in still)
        return Redriven(
            plan.key,
            len(keys),
            arrived=len(keys) - len(still),
            refused=refused,
            left=len(still) - refused,
            verdict=certificate.verdict.value,
            certificate=certificate.id,
        )

    def _plan(self) -> tuple[UnitPlan, str]:
        """The unit as its newest certificate's plan has it, and that plan's hash."""
        certificate = self._ledger.certificates.latest(self._migration.name, self._unit)
        state = self._ledger.units.state(self._migration.name, self._unit)
        if certificate is None or state is None:
            raise PlanUnusable("it was never proven: run its DAG", where=self._unit)
        stored = self._ledger.plans.load(certificate.plan_hash)
        plan = next((unit for unit in stored.units if unit.key == self._unit), None)
        if plan is None:
            raise PlanUnusable("its certificate's plan doesn't have it", where=self._unit)
        definition = self._bench.setup(plan.unit.stream).definition
        if not definition == plan.definition == state.definition:
            raise PlanUnusable(CHANGED, where=self._unit)
        if state.phase is not Phase.COPIED or not self._bench.index_exists(plan):
            raise PlanUnusable(
                "its copy isn't whole: run its DAG, which sends them with the others",
                where=self._unit,
            )
        return plan, certificate.plan_hash

    def _certify(self, plan: UnitPlan, plan_hash: str) -> Certificate:
        migration = self._migration
        # Numbers of rows alone can't tell that a document has arrived whole.
        mode = ProofMode.FINGERPRINT if migration.proof is ProofMode.COUNT else migration.proof
        return certify_unit(
            self._bench,
            self._ledger,
            plan,
            plan_hash=plan_hash,
            sample=migration.sample,
            mode=mode,
            stop=self._stop,
        )
