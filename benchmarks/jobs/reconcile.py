"""One pass of our reconcile over copied units: proofs stored, rows that differ copied by key."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from airflow_provider_logmigrate.core.certificate import Certificate, ProofMode
from airflow_provider_logmigrate.core.clock import Stop, SystemClock
from airflow_provider_logmigrate.core.plan import UnitPlan
from airflow_provider_logmigrate.core.reconcile import Bounds, Differences, Removed, reconcile
from airflow_provider_logmigrate.core.repair import Copied, copy_keys
from airflow_provider_logmigrate.hooks.assembly import Workbench
from airflow_provider_logmigrate.ledger.journal import LedgerJournal
from airflow_provider_logmigrate.ledger.ledger import Ledger
from airflow_provider_logmigrate.operators.certify import Look, certify_unit
from airflow_provider_logmigrate.stores.search.client import NDJSON, path
from airflow_provider_logmigrate.stores.search.search import search
from benchmarks.jobs.opening import opened, opened_ledger, plan_of
from benchmarks.wiring import MIGRATION

MOST = 10_000
"""Documents made to differ at most: what the engine returns at once."""


@contextmanager
def prepared(spec: Mapping[str, Any]) -> Iterator[Callable[[], Any]]:
    """Plan the units, which must have been copied, and let ``drift`` of each differ."""
    with opened(spec) as bench, opened_ledger(spec) as ledger:
        units = plan_of(bench, spec["tenant"]).units
        differing = [_drift(bench, unit, spec["drift"]) for unit in units]
        yield lambda: {
            "differing": sum(differing),
            "units": [_reconcile(bench, ledger, unit) for unit in units],
        }


def _drift(bench: Workbench, plan: UnitPlan, share: float) -> int:
    """Make documents differ all over the unit, half of them missing, half outdated; how many."""
    if not share:
        return 0
    whole = {"size": 0, "track_total_hits": True}
    count = search(bench.client, whole, index=plan.index)["hits"]["total"]["value"]
    chosen = {
        "size": min(MOST, max(2, round(count * share))),
        "_source": False,
        "query": {"function_score": {"random_score": {"seed": 7, "field": "_seq_no"}}},
    }
    ids = [hit["_id"] for hit in search(bench.client, chosen, index=plan.index)["hits"]["hits"]]
    lines: list[str] = []
    for number, key in enumerate(ids):
        if number % 2:
            lines.append(f'{{"delete":{{"_id":"{key}"}}}}')
        else:
            lines += [f'{{"update":{{"_id":"{key}"}}}}', '{"doc":{"logmigrate":{"high":0}}}']
    body = "".join(f"{line}\n" for line in lines).encode()
    bench.client.request(
        "POST",
        path(plan.index, "_bulk"),
        body=body,
        content_type=NDJSON,
        params={"refresh": "true"},
    )
    return len(ids)


def _reconcile(bench: Workbench, ledger: Ledger, plan: UnitPlan) -> dict[str, Any]:
    done = reconcile(_Unit(bench, ledger, plan), Bounds(), live=False)
    return {
        "verdict": done.certificate.verdict.value,
        "passes": done.passes,
        "copied": done.copied,
    }


class _Unit:
    """One copied unit, as the operators repair it."""

    def __init__(self, bench: Workbench, ledger: Ledger, plan: UnitPlan) -> None:
        self._bench, self._ledger, self._plan = bench, ledger, plan
        self._look = Look()

    def prove(self, found: Differences, *, full: bool) -> Certificate:
        return certify_unit(
            self._bench,
            self._ledger,
            self._plan,
            plan_hash="",
            sample=0,
            mode=ProofMode.FULL if full else ProofMode.FINGERPRINT,
            each=found.add,
            look=self._look,
        )

    def copy(self, keys: Sequence[str]) -> Copied:
        attempt = self._ledger.units.begin_attempt()
        previous = self._ledger.units.claim(
            MIGRATION, self._plan, attempt=attempt, holder="benchmarks"
        )
        journal = LedgerJournal(
            ledger=self._ledger, migration=MIGRATION, attempt=attempt, on_progress=lambda _: None
        )
        migration = self._bench.migration
        return copy_keys(
            keys,
            source=self._bench.source,
            target=self._bench.target,
            journal=journal,
            plan=self._plan,
            previous=previous,
            settle_lag=migration.settle_lag,
            limits=migration.limits.copy,
            clock=SystemClock(),
            stop=Stop(),
        )

    def copy_hours(self) -> Copied:
        raise AssertionError("the unit's period is closed")

    def remove(self, ids: Sequence[str]) -> Removed:
        raise AssertionError(f"nobody told to remove {len(ids)} documents")
