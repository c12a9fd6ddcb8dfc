"""The rows of one run, table by table, in the column order of ``COLUMNS``.

Each function makes one row (or the pair of rows that always comes together) and draws no more than
the ids it needs, from the random numbers it is given.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from devstack.sampledata.hostile import Value
from devstack.sampledata.offload import time_ordered_uuid
from devstack.sampledata.runs import ENDED, Execution, Origin
from devstack.sampledata.steps import RunFacts, StepContent, quick_uuid
from devstack.sampledata.texts import Text
from devstack.sampledata.timetable import SECOND, Kind, timestamp
from devstack.sampledata.workflows import Workflow

Row = tuple[Value, ...]

_WITHOUT_OUTPUTS = frozenset({"failed", "exception", "retry"})


@dataclass(frozen=True, slots=True)
class Run:
    """What the rows of one run share; ``start`` is in microseconds since 1970."""

    workflow: Workflow
    facts: RunFacts
    origin: Origin
    status: str
    start: int
    kind: Kind


@dataclass(frozen=True, slots=True)
class RunResult:
    """What the steps of a run add up to; ``end`` is in microseconds since 1970."""

    inputs: str | None
    outputs: str | None
    tokens: int
    steps: int
    end: int


def run_row(run: Run, result: RunResult, *, error: str, newer: Row) -> Row:
    """A row of workflow_runs.

    :param error: the error text, used where the run has failed
    :param newer: the columns at the end that differ between the schema variants
    """
    workflow, facts, ended = run.workflow, run.facts, run.status in ENDED
    return (
        facts.run_id,
        workflow.tenant_id,
        workflow.app_id,
        workflow.workflow_id,
        workflow.app_type,
        run.origin.triggered_from,
        workflow.version,
        workflow.graph,
        result.inputs,
        run.status,
        result.outputs if run.status in ("succeeded", "partial-succeeded") else "{}",
        error if run.status == "failed" else None,
        (result.end - run.start) / SECOND if ended else 0.0,
        result.tokens,
        result.steps,
        run.origin.role,
        facts.user_id,
        timestamp(run.start),
        timestamp(result.end) if ended else None,
        *newer,
    )


def node_row(
    rng: random.Random,
    run: Run,
    execution: Execution,
    content: StepContent,
    *,
    index: int,
    previous: str | None,
    error: str,
) -> Row:
    """A row of workflow_node_executions.

    :param index: place of the execution in its run, from 1
    :param previous: node id of the step before
    :param error: the error text, used where the execution has failed
    """
    workflow, step, finished = run.workflow, execution.step, execution.finished
    failed = execution.status in _WITHOUT_OUTPUTS
    single = run.origin.triggered_from == "single-step"
    return (
        quick_uuid(rng),
        workflow.tenant_id,
        workflow.app_id,
        workflow.workflow_id,
        run.origin.nodes_triggered_from,
        None if single else run.facts.run_id,
        index,
        previous,
        quick_uuid(rng),
        step.node_id,
        step.node_type,
        step.title,
        content.inputs,
        content.process_data,
        None if failed or finished is None else content.outputs,
        execution.status,
        error if failed else None,
        0.0 if finished is None else execution.duration / SECOND,
        content.metadata,
        timestamp(execution.created),
        run.origin.role,
        run.facts.user_id,
        None if finished is None else timestamp(finished),
    )


def app_log_row(rng: random.Random, run: Run) -> Row:
    """A row of workflow_app_logs, a little after the start of the run."""
    if run.kind in (Kind.FIRST_INSTANT, Kind.LAST_MICROSECOND):
        delay = 0
    else:
        delay = SECOND // 5 if run.kind is Kind.CROSSING else 5_000
    workflow = run.workflow
    return (
        quick_uuid(rng),
        workflow.tenant_id,
        workflow.app_id,
        workflow.workflow_id,
        run.facts.run_id,
        run.origin.created_from,
        run.origin.role,
        run.facts.user_id,
        timestamp(run.start + delay),
    )


def message_row(rng: random.Random, run: Run, texts: list[Text]) -> Row:
    """A row of messages: the conversation of a chat run."""
    created = timestamp(run.start)
    query, answer = rng.choice(texts).plain, rng.choice(texts).plain
    ids = (quick_uuid(rng), run.workflow.app_id, quick_uuid(rng), run.facts.run_id)
    return (*ids, query, answer, created, created)


def pause_rows(
    rng: random.Random, run: Run, *, at: int, node_id: str, resumed: bool
) -> tuple[Row, Row]:
    """A row each of workflow_pauses and workflow_pause_reasons."""
    pause_id, reason_id = time_ordered_uuid(rng, at), time_ordered_uuid(rng, at)
    moment, facts = timestamp(at), run.facts
    state = f"workflow-state-{facts.run_id}.json"
    return (
        (
            *(pause_id, moment, moment, facts.workflow_id, facts.run_id),
            *(moment if resumed else None, state),
        ),
        (
            *(reason_id, moment, moment, pause_id, "human_input_required"),
            *(quick_uuid(rng), "", node_id),
        ),
    )


def trigger_log_row(rng: random.Random, run: Run, *, end: int) -> Row:
    """A row of workflow_trigger_logs."""
    started, workflow = timestamp(run.start), run.workflow
    return (
        *(time_ordered_uuid(rng, run.start), workflow.tenant_id, workflow.app_id),
        *(workflow.workflow_id, run.facts.run_id, run.origin.triggered_from, "{}", "{}"),
        *(run.status, "workflow_based_app_execution", run.origin.role, run.facts.user_id, 0),
        *(started, started, timestamp(end) if run.status in ENDED else None),
    )


def offload_rows(
    rng: random.Random,
    run: Run,
    *,
    node_execution_id: str | None,
    column: str,
    size: int,
    at: int,
) -> tuple[Row, Row]:
    """A row each of workflow_node_execution_offload and upload_files.

    :param column: the column whose content is in the file
    :param size: size of the file in bytes
    :param at: creation of the node execution; the content is saved a moment later
    """
    tenant_id, file_id, created = run.workflow.tenant_id, quick_uuid(rng), timestamp(at + 1_000)
    name = f"node_execution_{node_execution_id or file_id}_{column}.json"
    return (
        (
            *(time_ordered_uuid(rng, at), created, tenant_id, run.workflow.app_id),
            *(node_execution_id, column, file_id),
        ),
        (
            *(file_id, tenant_id, "local", f"upload_files/{tenant_id}/{name}", name, size),
            *("json", "application/json", run.origin.role, run.facts.user_id, created),
            *("false", ""),
        ),
    )
