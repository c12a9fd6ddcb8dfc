"""The shape of one run: who started it, how it ended, which steps it took and when.

The value sets are those of Dify. Which of them is drawn follows from the kind of the appointment
for special runs, and from weights close to those of real installations for ordinary ones.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from devstack.sampledata.timetable import SECOND, Kind
from devstack.sampledata.workflows import Step, Workflow

ENDED = frozenset({"succeeded", "failed", "partial-succeeded", "stopped"})
"""Statuses of runs that will not change any more."""
ENDED_NODES = frozenset({"succeeded", "failed", "exception", "stopped"})
"""Statuses of single-step executions that will not change any more."""
DEBUGGING = frozenset({"debugging", "rag-pipeline-debugging"})
"""Origins of runs that get no app log."""
TRIGGERS = frozenset({"webhook", "schedule", "plugin"})
"""Origins of runs that have a row in workflow_trigger_logs."""

_TRIGGERED_FROM = {
    "workflow": (("app-run", "debugging", "schedule", "webhook", "plugin"), (70, 82, 89, 95, 100)),
    "chat": (("app-run", "debugging"), (85, 100)),
    "rag-pipeline": (("rag-pipeline-run", "rag-pipeline-debugging"), (60, 100)),
}
_STATUSES = ("succeeded", "failed", "partial-succeeded", "stopped")
_STATUS_WEIGHTS = (86, 93, 97, 100)
_OPEN = {Kind.RUNNING: "running", Kind.PAUSED: "paused", Kind.SCHEDULED: "scheduled"}
_LONGEST_STEP = 25 * SECOND
_RETRIED_RUNS = 0.05
_EXACT = frozenset({Kind.FIRST_INSTANT, Kind.LAST_MICROSECOND, Kind.TIE})
_FINISHED = ENDED_NODES | {"retry"}


@dataclass(frozen=True, slots=True)
class Origin:
    """Who or what started a run."""

    triggered_from: str
    role: str
    created_from: str

    @property
    def logged(self) -> bool:
        """Whether Dify writes an app log for such a run."""
        return self.triggered_from not in DEBUGGING

    @property
    def nodes_triggered_from(self) -> str:
        """What the run's node executions say about their origin."""
        if self.triggered_from in ("rag-pipeline-run", "single-step"):
            return self.triggered_from
        return "workflow-run"


@dataclass(frozen=True, slots=True)
class Execution:
    """One node execution of a run: what, with which result, and when (microseconds)."""

    step: Step
    status: str
    created: int
    duration: int

    @property
    def finished(self) -> int | None:
        """End of the execution, or None while it is open."""
        return self.created + self.duration if self.status in _FINISHED else None


def draw_origin(rng: random.Random, app_type: str) -> Origin:
    """An origin that is possible for the type of app."""
    names, weights = _TRIGGERED_FROM[app_type]
    triggered_from = rng.choices(names, cum_weights=weights)[0]
    if triggered_from != "app-run":
        automatic = triggered_from in TRIGGERS
        return Origin(triggered_from, "end_user" if automatic else "account", "service-api")
    created_from = rng.choices(
        ("web-app", "service-api", "installed-app"), cum_weights=(45, 85, 100)
    )[0]
    return Origin(
        triggered_from, "account" if created_from == "installed-app" else "end_user", created_from
    )


def draw_status(rng: random.Random, kind: Kind) -> str:
    """The status of a run; special kinds other than the open ones have succeeded."""
    if kind in _OPEN:
        return _OPEN[kind]
    if kind is not Kind.ORDINARY:
        return "succeeded"
    return rng.choices(_STATUSES, cum_weights=_STATUS_WEIGHTS)[0]


def draw_executions(
    rng: random.Random, workflow: Workflow, *, status: str, kind: Kind, start: int
) -> list[Execution]:
    """The node executions of a run, in order.

    All start within the run. A failed, stopped or open run breaks off; its last execution shows
    why. A stopped run may leave a row behind that says ``running`` for ever, as killed workers do.
    """
    planned = _statuses(rng, workflow.steps, status)
    if status == "succeeded" and kind is Kind.ORDINARY and rng.random() < _RETRIED_RUNS:
        again = 1 + int(rng.random() * (len(workflow.steps) - 2))
        planned.insert(again, (workflow.steps[again], "retry"))
    executions = []
    at = start if kind in _EXACT else start + 4_000 + int(rng.random() * 30_000)
    for number, (step, node_status) in enumerate(planned):
        if kind is Kind.LAST_MICROSECOND:
            duration = 0
        elif kind is Kind.TIE:
            at = start + number // 2 * SECOND
            duration = SECOND // 2
        elif kind is Kind.CROSSING and not number:
            duration = SECOND // 8
        else:
            duration = 900 + min(_LONGEST_STEP, int(rng.expovariate(1 / (1.2 * SECOND))))
        executions.append(Execution(step, node_status, at, duration))
        if kind is not Kind.LAST_MICROSECOND:
            at += duration + 300 + int(rng.random() * 9_000)
    return executions


def _statuses(rng: random.Random, steps: Sequence[Step], status: str) -> list[tuple[Step, str]]:
    if status == "succeeded":
        return [(step, "succeeded") for step in steps]
    if status == "partial-succeeded":
        broken = 1 + int(rng.random() * (len(steps) - 2))
        return [
            (step, "exception" if number == broken else "succeeded")
            for number, step in enumerate(steps)
        ]
    end = 1 if status == "scheduled" else 1 + int(rng.random() * (len(steps) - 1))
    last = {
        "failed": "failed",
        "stopped": "stopped" if rng.random() < 0.6 else "running",
        "running": "running",
        "paused": "paused",
        "scheduled": "pending",
    }[status]
    return [*((step, "succeeded") for step in steps[:end]), (steps[end], last)]
