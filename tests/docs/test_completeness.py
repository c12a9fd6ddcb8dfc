"""What the code has, the documentation explains: errors, operators, fields, findings."""

from __future__ import annotations

import importlib
import inspect
import re
from dataclasses import fields
from math import comb
from pathlib import Path

from airflow_provider_logmigrate.core import errors
from airflow_provider_logmigrate.core.certificate import Certificate, FindingKind, Verdict
from airflow_provider_logmigrate.core.checkpoint import Checkpoint
from airflow_provider_logmigrate.core.outcome import Outcome
from airflow_provider_logmigrate.core.progress import Progress
from airflow_provider_logmigrate.get_provider_info import get_provider_info
from tests.docs.pages import ROOT, page


def _error_types() -> set[str]:
    from airflow_provider_logmigrate.operators.report import RunUnsuccessful

    found = {
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, errors.LogMigrateError)
    }
    return found | {RunUnsuccessful.__name__}


def test_every_error_has_an_entry_in_the_runbook_with_a_way_out() -> None:
    runbook = page("docs/runbook.md")
    groups = {"LogMigrateError", "NeedsAction", "Transient", "Halt"}

    assert _error_types() <= set(runbook.headings)
    for name in _error_types() - groups:
        entry = re.search(rf"^#+ {name}\n(.*?)^#", runbook.text, re.MULTILINE | re.DOTALL)
        assert entry is not None
        for part in ("**You see:**", "**Safe:**", "**Do:**"):
            assert part in entry[1], f"{name} lacks {part}"


def test_the_runbook_sorts_errors_as_the_code_does() -> None:
    headings = page("docs/runbook.md").headings
    for group in (errors.NeedsAction, errors.Transient, errors.Halt):
        for kind in group.__subclasses__():
            if kind.__module__ != errors.__name__:
                continue
            before = headings[: headings.index(kind.__name__)]
            last = [h for h in before if h in ("NeedsAction", "Transient", "Halt")][-1]
            assert last == group.__name__, kind.__name__


def test_every_operator_hook_and_link_is_explained_with_its_parameters() -> None:
    text = page("docs/operators.md").text
    info = get_provider_info()
    modules = [
        name
        for kind in ("operators", "hooks")
        for entry in info[kind]
        for name in entry["python-modules"]
    ]
    classes = [
        value
        for name in modules
        for value in vars(importlib.import_module(name)).values()
        if inspect.isclass(value)
        and value.__module__ == name
        and not issubclass(value, Exception)
        and not value.__name__.startswith("_")
    ]

    assert len(classes) >= len(modules)
    for cls in classes:
        entry = re.search(rf"^## {cls.__name__}\n(.*?)^## ", text, re.MULTILINE | re.DOTALL)
        assert entry is not None, cls.__name__
        assert f"`{cls.__module__}.{cls.__name__}`" in entry[1]
        for name, parameter in inspect.signature(cls.__init__).parameters.items():
            if name != "self" and parameter.kind is inspect.Parameter.KEYWORD_ONLY:
                common = name in ("migration", "tenant")
                assert f"`{name}`" in (text if common else entry[1]), f"{cls.__name__}.{name}"
    for link in info["extra-links"]:
        assert f"`{link}`" in text


def test_every_field_of_a_certificate_is_explained() -> None:
    text = page("docs/concepts/proof.md").text
    table = text.partition("## The certificate")[2].partition("## Check one by hand")[0]

    assert [f.name for f in fields(Certificate) if f"`{f.name}`" not in table] == []


def test_verdicts_findings_and_outcomes_are_explained() -> None:
    proof = page("docs/concepts/proof.md").text
    start = page("docs/getting-started.md").text

    assert [v.value for v in Verdict if f"| `{v.value}` |" not in proof] == []
    assert [k.value for k in FindingKind if f"| `{k.value}` |" not in proof] == []
    assert [o.value for o in Outcome if f"| `{o.value}` |" not in start] == []


def test_the_checkpoint_is_shown_as_it_is_stored() -> None:
    import json

    (shown,) = page("docs/concepts/resume.md").of("json")

    stored = json.loads(shown.text)
    assert Checkpoint.from_json(stored) is not None
    assert stored.keys() == {f.name for f in fields(Checkpoint)}


def test_the_keys_of_the_progress_are_those_of_the_task_state() -> None:
    text = page("docs/operators.md").text
    row = next(line for line in text.splitlines() if line.startswith("| task state `progress`"))

    assert set(re.findall(r"`(\w+)`", row)) == {
        "progress", "lane", *(f.name for f in fields(Progress)),
    }  # fmt: skip


def test_findings_of_the_read_are_explained() -> None:
    text = page("docs/concepts/proof.md").text
    stores = ROOT / "airflow_provider_logmigrate/stores"
    kinds = {
        kind
        for path in stores.rglob("*.py")
        for kind in re.findall(
            r'(?:SourceFinding|_find)\(\s*"(\w+)"', path.read_text(encoding="utf-8")
        )
    }

    assert kinds >= {"offload_missing", "offload_too_large", "json_repaired"}
    assert [kind for kind in kinds if f"`{kind}`" not in text] == []


def test_the_chances_of_the_sample_are_right() -> None:
    """C(N - k, n) / C(N, n), the share of samples of n that hold none of k altered documents."""
    text = page("docs/concepts/proof.md").text
    head = "| N documents | sample n |"
    rows = text.partition(head)[2].partition("\n\n")[0].splitlines()[2:]
    altered = (1, 10, 100, 1000)

    assert len(rows) == 6
    for row in rows:
        cells = [cell.strip().replace(",", "") for cell in row.strip("|").split("|")]
        documents, sample = int(cells[0]), int(cells[1])
        for k, shown in zip(altered, cells[2:], strict=True):
            chance = comb(documents - k, sample) / comb(documents, sample)
            assert shown == f"{100 * chance:.1f} %", row


def test_the_example_dag_is_one_that_airflow_takes() -> None:
    import runpy

    found = runpy.run_path(str(Path(ROOT / "examples/own_dag.py")))

    dag = found["dag"]
    assert set(dag.task_ids) == {"dry_run", "backfill", "validate", "swap", "report", "tell"}
    assert dag.get_task("report").trigger_rule == "all_done"
    assert dag.get_task("swap").upstream_task_ids == {"validate"}
