from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import results
from benchmarks.errors import BenchmarkError
from benchmarks.results import Better, Result
from benchmarks.sizing import inputs
from benchmarks.sizing.__main__ import PAGE
from benchmarks.sizing.inputs import Figures, Kind
from benchmarks.sizing.limits import limits
from benchmarks.sizing.need import AMOUNTS, Amount, need
from benchmarks.sizing.table import markdown

ROUND = Figures(
    engine_rate=10_000,
    python_us=20,
    postgres_us=30,
    proof_share=0.0,
    parse_1000=5,
    sweep_rate=100_000,
    document_bytes=2_000,
    index_bytes=1_000,
    ledger_bytes=1_000,
    lane_mb=500,
    node_cores=8,
    node_disk_gb=1_000,
    busy=0.5,
    window_hours=1,
    kept_days=60,
    copies=2,
    streams=3,
    largest_tenant=0.5,
    in_flight=3,
    tenant_dags=500,
    node_shards=1_000,
    shard_gb=50,
    shard_documents=2e9,
    heap_gb=31,
    hour_rows=2e6,
    import_seconds=30,
    task_hours=24,
)


def test_a_days_rows() -> None:
    """100,000 documents a second: every figure can be checked in one's head."""
    found = need(Amount(title="", rows=360e6, tenants=100), ROUND)

    assert found.rate == 100_000
    assert found.engine_cores == 20  # 10 busy ones, half used
    assert found.worker_cores == 4
    assert found.lanes == 7  # 21 bulks, 3 each
    assert found.memory_gb == 3.5
    assert found.postgres_cores == 3
    assert found.postgres_mb_s == 200
    assert found.kept == 60 * 360e6
    assert found.disk_gb == 43_200
    assert (found.nodes_by_cores, found.nodes_by_disk, found.nodes) == (3, 51, 51)
    assert (found.cores_per_node, found.heap_gb) == (2, 7)
    assert found.months == 2
    assert found.month_gb == 10_800
    assert found.primaries == 216
    assert found.shards == 218 * 2 * 2
    assert found.units == 100 * 3 * 2
    assert found.own_shards == 1_200
    assert found.scan_hours == 60


def test_a_backlog() -> None:
    backlog = Amount(title="", rows=86.4e6, tenants=10, days=1, months=12)
    found = need(backlog, replace(ROUND, proof_share=0.1))

    assert found.rate == pytest.approx(1_100)  # the proof takes its share of the day
    assert found.kept == 86.4e6
    assert found.months == 12
    assert (found.nodes, found.lanes, found.worker_cores) == (2, 1, 1)
    assert found.primaries == 1


def test_what_breaks_first_stands_first() -> None:
    many = limits(need(Amount(title="", rows=1e6, tenants=5_000), ROUND), ROUND)
    uses = [limit.use for limit in many]

    assert uses == sorted(uses, reverse=True)
    assert many[0].what == "shards with `layout: per_tenant`"
    assert many[0].use == 5_000 * 3 * 2 * 2 / (2 * 1_000)
    assert many[1].what == "a DAG for each tenant"
    assert {limit.what: limit.use for limit in many}["parsing a DAG for each tenant"] == 25 / 30

    long = Amount(title="", rows=1e9, tenants=1, days=10, months=10)
    by_name = {limit.what: limit.use for limit in limits(need(long, ROUND), ROUND)}
    assert by_name["a lane of the largest tenant, as one Celery task"] == 5
    assert by_name["the largest tenant's rows in an hour"] == pytest.approx(1e9 / 2 / 7_200 / 2e6)


@pytest.mark.parametrize("amount", AMOUNTS, ids=lambda amount: amount.title)
def test_more_rows_never_need_less(amount: Amount) -> None:
    given = inputs.figures(inputs.read())
    less, more = need(amount, given), need(replace(amount, rows=3 * amount.rows), given)

    for name in ("rate", "lanes", "worker_cores", "engine_cores", "nodes", "disk_gb", "primaries"):
        assert getattr(less, name) <= getattr(more, name), name


def test_the_page_has_the_tables_of_these_figures() -> None:
    """If not: ``python -m benchmarks.sizing`` writes them anew."""
    assert markdown(inputs.read()) in PAGE.read_text()


def test_the_file_is_written_as_it_is_read(tmp_path: Path) -> None:
    inputs.write(inputs.read(), tmp_path / "inputs.json")

    assert (tmp_path / "inputs.json").read_text() == inputs.FILE.read_text()


def test_a_figure_too_few_is_an_error(tmp_path: Path) -> None:
    stored = json.loads(inputs.FILE.read_text())
    (tmp_path / "inputs.json").write_text(json.dumps({"inputs": stored["inputs"][1:]}))

    with pytest.raises(BenchmarkError, match="engine_rate"):
        inputs.read(tmp_path / "inputs.json")


def test_measured_figures_are_taken_over_and_others_stay() -> None:
    def result(name: str, value: float, *ours: float) -> Result:
        return Result(
            name=name, unit="", value=value, required=None, better=Better.HIGHER, ours=ours
        )

    before = inputs.read()
    found = inputs.measured(
        before,
        [
            result("copy_pinned", 0.98, 10_900.0, 11_111.0, 11_900.0),
            result("cpu_python", 14.567, 14.0),
            result("unknown", 1.0, 1.0),
        ],
    )

    changed = {one.name: one.value for one in found if one not in before}
    assert changed == {"engine_rate": 11_100, "python_us": 14.6}


def test_every_section_named_is_one_of_the_benchmarks() -> None:
    from benchmarks.registry import NAMES

    given = inputs.read()
    assert {one.section for one in given if one.section} <= set(NAMES)
    assert {one.figure for one in given if one.section} <= {"value", "ours"}
    assert all(one.kind is Kind.MEASURED for one in given if one.section)


def test_without_results_it_says_what_to_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from benchmarks.sizing.__main__ import main

    page, given = PAGE.read_text(), inputs.FILE.read_text()
    assert main(["--measured", "--results", str(tmp_path / "none.json")]) == 2
    assert "make bench" in capsys.readouterr().err
    assert (PAGE.read_text(), inputs.FILE.read_text()) == (page, given)
    assert results.read(tmp_path / "none.json") == []
