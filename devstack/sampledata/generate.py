"""Rows of the Dify tables for a profile: deterministic, consistent, and flat in memory.

The same profile gives the same rows, byte for byte, in every process and for both schema variants
(the old one leaves out what it has no column or table for, and keeps large content in the row).
Rows come as bundles: a run with everything that hangs on it, in order of the runs' start.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from devstack.sampledata import records
from devstack.sampledata.hostile import HOSTILE_VALUES, Value, override
from devstack.sampledata.offload import DIFY_THRESHOLD, LargeContent, StoredFile, large_content
from devstack.sampledata.profiles import Profile
from devstack.sampledata.records import Row, Run, RunResult
from devstack.sampledata.runs import (
    ENDED,
    ENDED_NODES,
    TRIGGERS,
    Execution,
    Origin,
    draw_executions,
    draw_origin,
    draw_status,
)
from devstack.sampledata.schema import COLUMNS, DifySchema
from devstack.sampledata.steps import RunFacts, StepContent, StepContents, quick_uuid
from devstack.sampledata.texts import TextPools
from devstack.sampledata.timetable import SECOND, Appointment, Kind, appointments
from devstack.sampledata.workflows import build_workflows

USERS_PER_TENANT = 40
_RESUMED_RUNS = 0.004
"""Share of the succeeded runs that had been paused before."""
_OFFLOADED_COLUMNS = (("outputs",), ("inputs", "outputs"), ("process_data",))


@dataclass(frozen=True, slots=True)
class Bundle:
    """A run with all rows and files that belong to it (or a single step, or an orphaned file).

    :param tenant_id: the owner of every row
    :param settled: no row of the bundle will change any more: the run has ended; for a single
        step, the step itself
    :param rows: rows by table, in the column order of ``COLUMNS``
    :param files: files of the object storage
    :param hostile: the case of ``HOSTILE_VALUES`` in its run and in its second node execution
    """

    tenant_id: str
    settled: bool
    rows: dict[str, list[Row]] = field(default_factory=dict)
    files: list[StoredFile] = field(default_factory=list)
    hostile: str | None = None

    def add(self, table: str, row: Row) -> None:
        """Add a row of a table."""
        self.rows.setdefault(table, []).append(row)


def generate(profile: Profile, schema: DifySchema) -> Iterator[Bundle]:
    """All bundles of a profile, in order of their start."""
    generator = _Generator(profile, schema)
    for appointment in appointments(profile):
        yield generator.bundle(appointment)


def rows(profile: Profile, schema: DifySchema, table: str) -> Iterator[Row]:
    """All rows of one table, in the column order of ``COLUMNS[schema][table]``."""
    for bundle in generate(profile, schema):
        yield from bundle.rows.get(table, ())


class _Generator:
    """Makes bundles one after another.

    What only the new schema has is drawn from a second source of random numbers: the rows both
    variants share stay the same.
    """

    def __init__(self, profile: Profile, schema: DifySchema) -> None:
        self._profile = profile
        self._new = schema is DifySchema.NEW
        self._columns = COLUMNS[schema]
        self._tenants = profile.tenant_ids
        self._workflows = build_workflows(profile)
        self._rng = random.Random(f"{profile.seed}/rows")
        self._new_rng = random.Random(f"{profile.seed}/new-rows")
        self._pools = TextPools(seed=profile.seed, scale=profile.text_scale)
        self._errors = [
            f'[openai] Error: invalid "request" \\ {text.plain}' for text in self._pools.short
        ]
        self._contents = StepContents(rng=self._rng, pools=self._pools)
        self._users = {
            tenant: [quick_uuid(self._rng) for _ in range(USERS_PER_TENANT)]
            for tenant in self._tenants
        }
        self._runs = 0
        self._files = 0
        self._sequence: Counter[str] = Counter()

    def bundle(self, appointment: Appointment) -> Bundle:
        run = self._draw_run(appointment)
        if run.kind is Kind.ORPHAN_OFFLOAD:
            return self._orphan(run)
        if run.kind in (Kind.SINGLE_STEP, Kind.SINGLE_STEP_RUNNING):
            return self._single_step(run)
        hostile = appointment.detail if run.kind is Kind.HOSTILE else None
        bundle = Bundle(run.workflow.tenant_id, settled=run.status in ENDED, hostile=hostile)
        result, last_node = self._add_nodes(bundle, run, self._large_columns(run, appointment))
        self._add_run(bundle, run, result)
        if self._new:
            self._add_new_rows(bundle, run, end=result.end, last_node=last_node)
        if hostile is not None:
            self._make_hostile(bundle, HOSTILE_VALUES[hostile])
        return bundle

    def _draw_run(self, appointment: Appointment) -> Run:
        rng = self._rng
        tenant = self._tenants[appointment.tenant]
        workflow = rng.choice(self._workflows[tenant])
        self._runs += 1
        facts = RunFacts(
            run_id=quick_uuid(rng),
            app_id=workflow.app_id,
            workflow_id=workflow.workflow_id,
            user_id=rng.choice(self._users[tenant]),
            ticket=f"TCK{self._runs:08d}",
            question=self._contents.question(),
        )
        return Run(
            workflow=workflow,
            facts=facts,
            origin=draw_origin(rng, workflow.app_type),
            status=draw_status(rng, appointment.kind),
            start=appointment.at,
            kind=appointment.kind,
        )

    def _orphan(self, run: Run) -> Bundle:
        bundle = Bundle(run.workflow.tenant_id, settled=True)
        content = self._large_content(run, size=self._profile.offload_bytes)
        self._add_offload(bundle, run, None, run.start, {"outputs": content})
        return bundle

    def _single_step(self, run: Run) -> Bundle:
        rng = self._rng
        status = "succeeded" if rng.random() < 0.9 else "failed"
        if run.kind is Kind.SINGLE_STEP_RUNNING:
            status = "running"
        run = replace(run, origin=Origin("single-step", "account", ""), status=status)
        step = rng.choice(run.workflow.steps)
        execution = Execution(step, status, run.start, 900 + rng.randrange(9 * SECOND))
        content = self._contents.make(step.node_type, run.facts)
        row = records.node_row(
            rng, run, execution, content, index=1, previous=None, error=rng.choice(self._errors)
        )
        bundle = Bundle(run.workflow.tenant_id, settled=status in ENDED_NODES)
        bundle.add("workflow_node_executions", row)
        return bundle

    def _add_nodes(
        self, bundle: Bundle, run: Run, large: Mapping[str, LargeContent]
    ) -> tuple[RunResult, str]:
        """Add the node executions; give what they add up to, and the last one's node id."""
        rng, errors = self._rng, self._errors
        executions = draw_executions(
            rng, run.workflow, status=run.status, kind=run.kind, start=run.start
        )
        tokens = 0
        inputs: str | None = None
        outputs: str | None = None
        previous: str | None = None
        for index, execution in enumerate(executions, start=1):
            content = self._contents.make(execution.step.node_type, run.facts)
            tokens += content.tokens
            inputs = inputs or content.inputs
            outputs = content.outputs
            is_large = bool(large) and index == 2
            if is_large:
                content = self._with_large(content, large)
            row = records.node_row(
                *(rng, run, execution, content),
                index=index,
                previous=previous,
                error=errors[int(rng.random() * len(errors))],
            )
            bundle.add("workflow_node_executions", row)
            if is_large:
                self._add_offload(bundle, run, str(row[0]), execution.created, large)
            previous = execution.step.node_id
        last = executions[-1]
        end = last.created + last.duration
        return RunResult(inputs, outputs, tokens, len(executions), end), last.step.node_id

    def _add_run(self, bundle: Bundle, run: Run, result: RunResult) -> None:
        rng, workflow = self._rng, run.workflow
        self._sequence[workflow.app_id] += 1
        newer: Row = (self._sequence[workflow.app_id],)
        if self._new:
            newer = (int(run.status == "partial-succeeded"), f"task-{run.facts.run_id}")
        error = rng.choice(self._errors)
        bundle.add("workflow_runs", records.run_row(run, result, error=error, newer=newer))
        if run.origin.logged:
            bundle.add("workflow_app_logs", records.app_log_row(rng, run))
            if workflow.app_type == "chat":
                bundle.add("messages", records.message_row(rng, run, self._pools.short))

    def _add_new_rows(self, bundle: Bundle, run: Run, *, end: int, last_node: str) -> None:
        rng = self._new_rng
        resumed = run.status == "succeeded" and rng.random() < _RESUMED_RUNS
        if resumed or run.status == "paused":
            pause, reason = records.pause_rows(rng, run, at=end, node_id=last_node, resumed=resumed)
            bundle.add("workflow_pauses", pause)
            bundle.add("workflow_pause_reasons", reason)
        if run.origin.triggered_from in TRIGGERS:
            bundle.add("workflow_trigger_logs", records.trigger_log_row(rng, run, end=end))

    def _large_columns(self, run: Run, appointment: Appointment) -> dict[str, LargeContent]:
        """Large contents for the second node execution of the run, by column."""
        profile, number = self._profile, 1
        if run.kind is Kind.OFFLOADED:
            number = int(appointment.detail)
            columns = _OFFLOADED_COLUMNS[number % len(_OFFLOADED_COLUMNS)]
        elif run.kind is Kind.PAUSED and appointment.detail == "0" and profile.offloaded:
            columns = ("inputs",)
        else:
            return {}
        size = profile.offload_bytes if number else DIFY_THRESHOLD + 76_000
        return {column: self._large_content(run, size=size) for column in columns}

    def _with_large(self, content: StepContent, large: Mapping[str, LargeContent]) -> StepContent:
        """The content with large texts as this schema keeps them in its columns."""
        kept = {name: text.shortened if self._new else text.full for name, text in large.items()}
        return replace(
            content,
            inputs=kept.get("inputs", content.inputs),
            process_data=kept.get("process_data", content.process_data),
            outputs=kept.get("outputs", content.outputs),
        )

    def _large_content(self, run: Run, *, size: int) -> LargeContent:
        return large_content(self._rng, self._pools.long, size=size, ticket=run.facts.ticket)

    def _add_offload(
        self,
        bundle: Bundle,
        run: Run,
        node_execution_id: str | None,
        at: int,
        columns: Mapping[str, LargeContent],
    ) -> None:
        if not self._new:
            return
        for column, large in columns.items():
            content = large.full.encode()
            offload, upload = records.offload_rows(
                *(self._new_rng, run),
                node_execution_id=node_execution_id,
                column=column,
                size=len(content),
                at=at,
            )
            bundle.add("workflow_node_execution_offload", offload)
            bundle.add("upload_files", upload)
            self._files += 1
            missing = self._files <= self._profile.missing_files
            key = str(upload[self._columns["upload_files"].index("key")])
            bundle.files.append(StoredFile(key, None if missing else content))

    def _make_hostile(self, bundle: Bundle, values: Mapping[str, Value]) -> None:
        """Put the values into the run's row and into its second node execution."""
        for table, position in (("workflow_runs", 0), ("workflow_node_executions", 1)):
            row = bundle.rows[table][position]
            bundle.rows[table][position] = override(row, self._columns[table], values)
